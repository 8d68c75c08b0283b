"""One engine as a store: what is answered is durable, what is read too, and whom it serves."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from raftly.base.region import Peer, RegionEpoch
from raftly.base.region_errors import (
    EpochNotMatch,
    MismatchPeerId,
    ReadIndexNotReady,
    RegionError,
    RegionNotFound,
    ServerIsBusy,
    StoreNotMatch,
)
from raftly.engine import MemoryEngine
from raftly.engine.base import WriteBatch
from raftly.errors import DiskFull, OutcomeUnknown, StorageError, SyncFailed
from raftly.server.standalone import PEER, REGION, StandaloneKv
from raftly.store.kv import RequestContext
from raftly.store.ops import Cas, CasResult, Delete, DeleteRange, Expire, Put
from tests.unit.server.parts import FAR, ignore, run

CONTEXT = RequestContext(REGION.id, REGION.epoch, PEER)


class SlowEngine:
    """A memory engine whose syncs end when they are told to, and whose writes may fail."""

    def __init__(self) -> None:
        self.memory = MemoryEngine()
        self.syncs: list[asyncio.Future[None]] = []
        self.error: StorageError | None = None

    def __getattr__(self, name: str) -> Any:
        return getattr(self.memory, name)

    def write(self, batch: WriteBatch) -> None:
        if self.error is not None:
            raise self.error
        self.memory.write(batch)

    async def sync(self) -> None:
        self.syncs.append(asyncio.get_running_loop().create_future())
        await self.syncs[-1]


def put(key: bytes, value: bytes = b"v") -> Put:
    return Put("default", key, value)


async def turns() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


def test_writes_share_the_sync_that_begins_after_them() -> None:
    async def body() -> None:
        engine = SlowEngine()
        kv = StandaloneKv(engine, ignore)
        first = asyncio.ensure_future(kv.write(CONTEXT, [put(b"a")], FAR))
        await turns()
        later = [asyncio.ensure_future(kv.write(CONTEXT, [put(key)], FAR)) for key in (b"b", b"c")]
        await turns()
        assert len(engine.syncs) == 1
        engine.syncs[0].set_result(None)
        await turns()
        assert first.done()
        assert not any(write.done() for write in later)
        engine.syncs[1].set_result(None)
        assert await asyncio.gather(*later) == [[None], [None]]
        await kv.stop()
        assert len(engine.syncs) == 2

    run(body())


def test_what_is_read_is_durable_and_no_older_than_the_question() -> None:
    async def body() -> None:
        engine = SlowEngine()
        kv = StandaloneKv(engine, ignore)
        write = asyncio.ensure_future(kv.write(CONTEXT, [put(b"k", b"1")], FAR))
        await turns()
        assert kv.read_now(CONTEXT) is None
        read = asyncio.ensure_future(kv.read(CONTEXT, FAR))
        await turns()
        late = asyncio.ensure_future(kv.write(CONTEXT, [put(b"k", b"2")], FAR))
        await turns()
        assert not read.done()
        engine.syncs[0].set_result(None)
        await turns()
        engine.syncs[1].set_result(None)
        reader = await read
        assert reader.get("default", b"k") == b"1"
        reader.close()
        await asyncio.gather(write, late)
        await kv.stop()
        found = kv.read_now(CONTEXT)
        assert found is not None
        assert found.get("default", b"k") == b"2"

    run(body())


def test_a_read_in_the_turn_of_a_write_waits_for_it_to_be_durable() -> None:
    async def body() -> None:
        engine = SlowEngine()
        kv = StandaloneKv(engine, ignore)
        write = kv.write(CONTEXT, [put(b"k")], FAR)
        assert kv.read_now(CONTEXT) is None
        waiting = asyncio.ensure_future(write)
        await turns()
        engine.syncs[0].set_result(None)
        assert await waiting == [None]
        assert kv.read_now(CONTEXT) is not None
        assert len(engine.syncs) == 1

    run(body())


def test_a_deadline_that_passes_leaves_the_outcome_open() -> None:
    async def body() -> None:
        engine = SlowEngine()
        kv = StandaloneKv(engine, ignore)
        with pytest.raises(OutcomeUnknown):
            await kv.write(CONTEXT, [put(b"k")], 0.0)
        with pytest.raises(ReadIndexNotReady):
            await kv.read(CONTEXT, 0.0)
        engine.syncs[0].set_result(None)
        await turns()
        engine.syncs[1].set_result(None)
        await kv.stop()
        assert (await kv.read(CONTEXT, 0.0)).get("default", b"k") == b"v"

    run(body())


def test_a_failed_sync_is_the_end() -> None:
    async def body() -> None:
        engine = SlowEngine()
        told: list[StorageError] = []
        kv = StandaloneKv(engine, told.append)
        write = asyncio.ensure_future(kv.write(CONTEXT, [put(b"k")], FAR))
        await turns()
        other = asyncio.ensure_future(kv.write(CONTEXT, [put(b"l")], FAR))
        await turns()
        engine.syncs[0].set_exception(SyncFailed())
        for outcome in (write, other):
            with pytest.raises(OutcomeUnknown) as caught:
                await outcome
            assert isinstance(caught.value.__cause__, SyncFailed)
        assert told == [SyncFailed()]
        for refused in (lambda: kv.read_now(CONTEXT), lambda: kv.write(CONTEXT, [put(b"k")], FAR)):
            with pytest.raises(ServerIsBusy):
                refused()
        assert len(engine.syncs) == 1

    run(body())


def test_a_full_disk_refuses_and_goes_on_and_another_failure_ends() -> None:
    async def body() -> None:
        engine = SlowEngine()
        told: list[StorageError] = []
        kv = StandaloneKv(engine, told.append)
        engine.error = DiskFull()
        with pytest.raises(DiskFull):
            await kv.write(CONTEXT, [put(b"k")], FAR)
        assert told == []
        engine.error = StorageError()
        with pytest.raises(OutcomeUnknown):
            await kv.write(CONTEXT, [put(b"k")], FAR)
        assert told == [StorageError()]

    run(body())


def test_what_has_expired_is_swept_and_nothing_else() -> None:
    async def body() -> None:
        now_s = 100.0
        engine = MemoryEngine()
        kv = StandaloneKv(engine, ignore, lambda: now_s)
        values = {b"a": 100, b"b": 101, b"c": 0}
        for key, second in values.items():
            await kv.write(CONTEXT, [put(key, second.to_bytes(8, "big"))], FAR)
        assert kv.sweeper is not None
        kv.will_expire(REGION.id, 101)
        kv.will_expire(99, 0)
        await kv.sweeper.sweep()
        assert [key for key, _ in engine.scan("default", b"", b"", 9)] == [b"zb", b"zc"]
        now_s = 101.0
        await kv.sweeper.sweep()
        assert [key for key, _ in engine.scan("default", b"", b"", 9)] == [b"zc"]
        assert await kv.write(CONTEXT, [Expire("default", b"c", 200), Expire("default", b"x", 200)], FAR) == [False] * 2

    run(body())


def test_ops_happen_in_order_and_compare_with_those_before_them() -> None:
    async def body() -> None:
        kv = StandaloneKv(MemoryEngine(), ignore)
        await kv.write(CONTEXT, [put(b"a", b"1"), put(b"b", b"1"), Delete("default", b"a")], FAR)
        results = await kv.write(
            CONTEXT,
            [
                Cas("default", b"b", b"1", b"2"),
                Cas("default", b"b", b"2", b"3"),
                DeleteRange("default", b"b", b""),
                Cas("default", b"b", b"3", b"4"),
                Cas("default", b"a", None, b"5"),
                Delete("default", b"a"),
                Cas("default", b"a", None, b"6"),
                Cas("write", b"a", None, b"7"),
                Cas("lock", b"a", b"7", None),
                Put("lock", b"a", b"8"),
                Cas("lock", b"a", b"8", None),
                Cas("lock", b"a", None, b"9"),
                Cas("lock", b"a", b"9", None),
            ],
            FAR,
        )
        assert results == [
            CasResult(True, b"1"),
            CasResult(True, b"2"),
            None,
            CasResult(False, None),
            CasResult(True, None),
            None,
            CasResult(True, None),
            CasResult(True, None),
            CasResult(False, None),
            None,
            CasResult(True, b"8"),
            CasResult(True, None),
            CasResult(True, b"9"),
        ]
        reader = kv.read_now(CONTEXT)
        assert reader is not None
        assert reader.scan("default", b"", b"", 9) == [(b"a", b"6")]
        assert reader.scan("write", b"", b"", 9) == [(b"a", b"7")]
        assert reader.scan("lock", b"", b"", 9) == []

    run(body())


@pytest.mark.parametrize(
    "ctx,error",
    [
        (RequestContext(9, RegionEpoch(9, 9), Peer(9, 9)), StoreNotMatch(9, 1)),
        (RequestContext(9, RegionEpoch(9, 9), Peer(9, 1)), RegionNotFound(9)),
        (RequestContext(1, RegionEpoch(9, 9), Peer(9, 1)), MismatchPeerId(9, 1)),
        (RequestContext(1, RegionEpoch(1, 9), PEER), EpochNotMatch((REGION,))),
    ],
    ids=lambda value: getattr(value, "code", ""),
)
def test_who_is_not_meant_is_told_so_in_order(ctx: RequestContext, error: RegionError) -> None:
    kv = StandaloneKv(MemoryEngine(), ignore)
    for ask in (lambda: kv.read_now(ctx), lambda: kv.write(ctx, [put(b"k")], FAR)):
        with pytest.raises(type(error)) as caught:
            ask()
        assert str(caught.value) == str(error)
