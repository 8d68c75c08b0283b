"""A region's data in a file and back: the same on both engines, after a crash anywhere, and from hostile bytes."""

import asyncio
import random
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from raftly.base.membership import ConfState
from raftly.base.rand import SplitMix64
from raftly.base.region import Peer, Region, RegionEpoch, encode_region
from raftly.base.types import SnapshotMeta
from raftly.engine import (
    CF_DEFAULT,
    CF_LOCK,
    CF_RAFT,
    CF_WRITE,
    CFS,
    DATA_CFS,
    Engine,
    KeyValue,
    MemoryEngine,
    WriteBatch,
)
from raftly.engine.rocks import RocksEngine
from raftly.errors import Corruption, DecodeError
from raftly.storage.snapshot import RateLimit, SnapshotStore
from raftly.store import region_snapshot
from raftly.store.keys import data_end_key, data_key
from raftly.store.region_snapshot import RegionSize, check_region, ingest_region, region_of, write_region
from raftly.testing.memfs import MemFs
from tests.support import virtual

REGION = Region(7, b"d", b"m", RegionEpoch(3, 5), (Peer(11, 1), Peer(12, 2)))
META = SnapshotMeta(50, 4, ConfState((11, 12)))


@pytest.fixture(params=["memory", "rocks"])
def make(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Callable[[], Engine]]:
    """Makes engines, each with a place of its own."""
    made: list[Engine] = []

    def engine() -> Engine:
        path = tmp_path / f"engine{len(made)}"
        made.append(MemoryEngine() if request.param == "memory" else RocksEngine(path))
        return made[-1]

    yield engine
    for one in made:
        one.close()


def fill(engine: Engine, count: int = 3000, seed: int = 1) -> None:
    """Keys inside and outside the region, in all families."""
    source = random.Random(seed)
    batch = WriteBatch()
    for _ in range(count):
        key = source.choice([b"a", b"d", b"g", b"lzzz", b"m", b"q"]) + source.randbytes(source.randrange(5))
        batch.put(source.choice(DATA_CFS), data_key(key), source.randbytes(source.randrange(200)))
    batch.put(CF_DEFAULT, data_key(b"d"), b"the first key")
    batch.put(CF_WRITE, data_key(b"g big"), bytes(300_000))
    batch.put(CF_RAFT, b"\x01", b"not users' data")
    engine.write(batch)


def inside(engine: Engine, region: Region = REGION) -> dict[str, list[KeyValue]]:
    lo, hi = data_key(region.start_key), data_end_key(region.end_key)
    return {cf: list(engine.iterate(cf, lo, hi)) for cf in DATA_CFS}


def outside(engine: Engine) -> dict[str, list[KeyValue]]:
    lo, hi = data_key(REGION.start_key), data_end_key(REGION.end_key)
    return {
        cf: [item for item in engine.iterate(cf, b"", b"") if cf == CF_RAFT or not lo <= item[0] < hi] for cf in CFS
    }


async def state_of(engine: Engine, region: Region = REGION) -> tuple[bytes, RegionSize]:
    parts: list[bytes] = []

    async def write(data: bytes) -> None:
        parts.append(data)

    snapshot = engine.snapshot()
    size = await write_region(snapshot, region, write)
    snapshot.close()
    return b"".join(parts), size


def cut(state: bytes, size: int) -> list[bytes]:
    return [state[at : at + size] for at in range(0, len(state), size)]


@pytest.mark.parametrize("chunk", [1 << 20, 1000, 7])
def test_a_region_comes_back_as_it_was_and_nothing_else_changes(make: Callable[[], Engine], chunk: int) -> None:
    async def work() -> None:
        source, target = make(), make()
        fill(source, 300 if chunk < 10 else 3000)
        fill(target, 1000, seed=2)
        others = outside(target)
        state, size = await state_of(source)
        chunks = cut(state, chunk)
        assert region_of(chunks) == REGION
        assert await check_region(chunks) == (REGION, size)
        assert await ingest_region(target, chunks) == (REGION, size)
        assert inside(target) == inside(source)
        assert outside(target) == others
        items = [item for found in inside(source).values() for item in found]
        assert size == RegionSize(sum(len(key) + len(value) for key, value in items), len(items))

    asyncio.run(work())


def test_a_region_without_bounds_and_an_empty_one(make: Callable[[], Engine]) -> None:
    async def work() -> None:
        source, target = make(), make()
        everything = Region(1)
        state, size = await state_of(source, everything)
        assert size == RegionSize()
        fill(target)
        assert await ingest_region(target, [state]) == (everything, RegionSize())
        assert inside(target, everything) == {cf: [] for cf in DATA_CFS}
        assert target.get(CF_RAFT, b"\x01") is not None
        fill(source)
        state, _ = await state_of(source, everything)
        await ingest_region(target, [state])
        assert inside(target, everything) == inside(source, everything)

    asyncio.run(work())


def test_it_shows_the_moment_of_the_snapshot_while_writes_go_on(make: Callable[[], Engine]) -> None:
    async def work() -> None:
        source, target = make(), make()
        fill(source)
        expected = inside(source)
        snapshot = source.snapshot()
        parts: list[bytes] = []

        async def write(data: bytes) -> None:
            parts.append(data)
            batch = WriteBatch()
            batch.put(CF_LOCK, data_key(b"l%d" % len(parts)), b"later")
            batch.delete_range(CF_WRITE, data_key(b"g"), data_key(b"h"))
            source.write(batch)

        await write_region(snapshot, REGION, write)
        await ingest_region(target, parts)
        assert inside(target) == expected

    asyncio.run(work())


def test_through_a_snapshot_file(make: Callable[[], Engine]) -> None:
    async def work() -> None:
        source, target = make(), make()
        fill(source)
        files = SnapshotStore(MemFs(), 0xC1, REGION.id, SplitMix64(1), chunk_bytes=5000)
        files.open_dir()
        writer = files.create(META)
        await write_region(source.snapshot(), REGION, writer.write)
        await writer.commit()
        reader = files.open(META.index)
        assert region_of(reader.chunks()) == REGION
        await check_region(reader.chunks())
        await ingest_region(target, reader.chunks())
        reader.close()
        assert inside(target) == inside(source)

    asyncio.run(work())


def test_a_damaged_file_is_told_before_anything_is_taken_in() -> None:
    async def work() -> None:
        engine = MemoryEngine()
        fill(engine)
        fs = MemFs()
        files = SnapshotStore(fs, 0xC1, REGION.id, SplitMix64(1), chunk_bytes=5000)
        files.open_dir()
        writer = files.create(META)
        await write_region(engine.snapshot(), REGION, writer.write)
        await writer.commit()
        (path,) = fs.paths()
        content = bytearray(fs.content(path))
        content[len(content) // 2] ^= 1
        fs.put(path, bytes(content))
        with pytest.raises(Corruption):
            await check_region(files.open(META.index).chunks())

    asyncio.run(work())


class Crash(Exception):
    pass


def test_a_crash_at_each_step_of_taking_in_is_made_good_by_doing_it_again() -> None:
    """The engine loses an end of what was not synced, anywhere; the second attempt finds whatever is there."""

    async def state() -> bytes:
        source = MemoryEngine()
        fill(source, 2000)
        return (await state_of(source))[0]

    chunks = cut(asyncio.run(state()), 10_000)
    expected = MemoryEngine()
    asyncio.run(ingest_region(expected, chunks))
    for steps in range(100):
        fs = MemFs()
        engine = MemoryEngine(fs)
        fill(engine, 200, seed=2)
        asyncio.run(engine.sync())
        others = outside(engine)
        last = fs.steps + steps

        def crash(_operation: str, _path: str, fs: MemFs = fs, last: int = last) -> None:
            if fs.steps > last:
                raise Crash

        fs.on_step = crash
        try:
            asyncio.run(ingest_region(engine, chunks))
            crashed = False
        except Crash:
            crashed = True
        fs.on_step = None
        for after in fs.outcomes(SplitMix64(steps), 4):
            again = MemoryEngine(after)
            assert outside(again) == others
            asyncio.run(ingest_region(again, chunks))
            assert inside(again) == inside(expected)
            assert outside(again) == others
        if not crashed:
            assert steps > 3
            return
    raise AssertionError("it never came to its end")


def test_broken_off_and_done_again(make: Callable[[], Engine]) -> None:
    async def work() -> None:
        source, target = make(), make()
        fill(source)
        fill(target, seed=2)
        state, _ = await state_of(source)

        def broken() -> Iterator[bytes]:
            yield from cut(state, 50_000)[:4]
            raise Crash

        with pytest.raises(Crash):
            await ingest_region(target, broken())
        assert inside(target) != inside(source)
        await ingest_region(target, [state])
        assert inside(target) == inside(source)

    asyncio.run(work())


def test_the_loop_turns_between_slices(make: Callable[[], Engine]) -> None:
    async def work() -> None:
        source, target = make(), make()
        fill(source, 6000)
        turns = 0

        async def count() -> None:
            nonlocal turns
            while True:
                turns += 1
                await asyncio.sleep(0)

        counting = asyncio.ensure_future(count())
        state, size = await state_of(source)
        written = turns
        await ingest_region(target, [state])
        counting.cancel()
        assert written >= size.bytes // (1 << 20)
        assert turns > written

    asyncio.run(work())


def test_a_rate_limit_holds_it_back() -> None:
    async def work() -> None:
        engine = MemoryEngine()
        fill(engine)

        async def write(data: bytes) -> None:
            pass

        size = await write_region(engine.snapshot(), REGION, write, RateLimit(100_000, 1000))
        expected = size.bytes / 100_000
        assert expected > 2
        assert expected * 0.9 < asyncio.get_running_loop().time() < expected * 1.3

    virtual.run(work())


# --- hostile bytes ---


def state_with(*blocks: tuple[int, bytes], end: bytes | None = None, head: bytes | None = None) -> bytes:
    encoded = encode_region(REGION)
    out = region_snapshot._HEAD.pack(1, len(encoded)) + encoded if head is None else head
    for family, records in blocks:
        out += region_snapshot._BLOCK.pack(family, len(records)) + records
    return out + (b"\0" + region_snapshot._END.pack(0, 0) if end is None else end)


def record(key: bytes, value: bytes = b"") -> bytes:
    return region_snapshot._RECORD.pack(len(key), len(value)) + key + value


HOSTILE = {
    "nothing": (b"", "ends before its end"),
    "another version": (state_with(head=b"\x02\0" + bytes(50)), "version 2 is unknown"),
    "a region that is none": (state_with(head=b"\x01\0\x05\0\0\0" + bytes(5)), "region"),
    "a region with more behind": (
        state_with(head=region_snapshot._HEAD.pack(1, 100) + encode_region(REGION) + bytes(100)),
        "follow the region",
    ),
    "a family that is none": (state_with((4, record(b"ze"))), "family 4"),
    "families out of order": (state_with((2, record(b"ze")), (1, record(b"ze"))), "family 1 cannot follow family 2"),
    "an empty block": (state_with((1, b"")), "a block is empty"),
    "a huge block": (state_with(end=b"\x01\xff\xff\xff\xff"), "the limit is"),
    "a record cut": (state_with((1, record(b"ze")[:5])), "ends inside a record"),
    "a record too long": (state_with((1, record(b"ze", b"123")[:-1])), "does not fit"),
    "below the region": (state_with((1, record(b"zc"))), "not of the region"),
    "above the region": (state_with((1, record(b"zm"))), "not of the region"),
    "not a data key": (state_with((1, record(b"e"))), "not of the region"),
    "out of order": (state_with((1, record(b"zf") + record(b"ze"))), "out of order"),
    "out of order in two blocks": (state_with((1, record(b"zf")), (1, record(b"zf"))), "out of order"),
    "no end": (state_with((1, record(b"zf")), end=b""), "ends before its end"),
    "an end that is wrong": (state_with((1, record(b"zf"))), "the end does not tell of 1 keys with 2 bytes"),
    "more behind the end": (state_with() + b"x", "bytes follow the end"),
}


@pytest.mark.parametrize("what", HOSTILE)
@pytest.mark.parametrize("chunk", [1 << 20, 1])
def test_bytes_that_are_no_snapshot_are_refused(what: str, chunk: int) -> None:
    state, problem = HOSTILE[what]
    with pytest.raises(DecodeError, match=problem):
        asyncio.run(check_region(cut(state, chunk)))
    engine = MemoryEngine()
    fill(engine, 50)
    others = outside(engine)
    with pytest.raises(DecodeError, match=problem):
        asyncio.run(ingest_region(engine, cut(state, chunk)))
    assert outside(engine) == others
