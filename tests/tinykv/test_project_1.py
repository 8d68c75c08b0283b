"""TinyKV's project 1: raw commands of a store of one process, over both engines."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import TypeVar

import pytest

from raftly.engine import CF_DEFAULT, CF_WRITE, Engine, MemoryEngine, WriteBatch
from raftly.errors import StorageError
from raftly.proto import kvrpcpb_pb2 as pb
from raftly.proto.tikvpb_rpc import TikvClient
from raftly.rpc import Channel
from raftly.server.kv_server import KvServer, KvServerOptions
from raftly.server.raw import RawOptions
from raftly.server.standalone import PEER, REGION, StandaloneKv
from raftly.store.keys import data_key

T = TypeVar("T")

WITHIN_S = 30.0


class Store:
    """A server of one engine, asked by gRPC, and the engine, to look behind its back."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.failures: list[StorageError] = []
        self.options = KvServerOptions(raw=RawOptions(enable_ttl=False))  # values lie in the engine as they are
        self.context = pb.Context(region_id=REGION.id, peer={"id": PEER.id, "store_id": PEER.store_id})
        self.context.region_epoch.conf_ver = REGION.epoch.conf_ver
        self.context.region_epoch.version = REGION.epoch.version

    def lay(self, *keys: bytes, cf: str = CF_DEFAULT) -> None:
        """Put keys into the engine, each with a value of its own."""
        batch = WriteBatch()
        for key in keys:
            batch.put(cf, data_key(key), value_of(key))
        self.engine.write(batch)

    def stored(self, key: bytes, cf: str = CF_DEFAULT) -> bytes | None:
        """What the engine has."""
        return self.engine.get(cf, data_key(key))

    def get(self, key: bytes, cf: str = CF_DEFAULT) -> pb.RawGetResponse:
        return self._ask(lambda tikv: tikv.raw_get(pb.RawGetRequest(context=self.context, key=key, cf=cf)))

    def put(self, key: bytes, value: bytes, cf: str = CF_DEFAULT) -> None:
        request = pb.RawPutRequest(context=self.context, key=key, value=value, cf=cf)
        assert self._ask(lambda tikv: tikv.raw_put(request)) == pb.RawPutResponse()

    def delete(self, key: bytes, cf: str = CF_DEFAULT) -> None:
        request = pb.RawDeleteRequest(context=self.context, key=key, cf=cf)
        assert self._ask(lambda tikv: tikv.raw_delete(request)) == pb.RawDeleteResponse()

    def scan(self, start_key: bytes, limit: int, cf: str = CF_DEFAULT) -> list[tuple[bytes, bytes]]:
        request = pb.RawScanRequest(context=self.context, start_key=start_key, limit=limit, cf=cf)
        return [(pair.key, pair.value) for pair in self._ask(lambda tikv: tikv.raw_scan(request)).kvs]

    def _ask(self, call: Callable[[TikvClient], Awaitable[T]]) -> T:
        async def ask() -> T:
            server = KvServer(StandaloneKv(self.engine, self.failures.append), lambda: 0.0, self.options)
            port = await server.start("127.0.0.1", 0)
            try:
                async with asyncio.timeout(WITHIN_S), Channel("127.0.0.1", port) as channel:
                    return await call(TikvClient(channel))
            finally:
                await server.stop(1.0)

        return asyncio.run(ask())


def value_of(key: bytes) -> bytes:
    return b"value of " + key


def pairs(*keys: bytes) -> list[tuple[bytes, bytes]]:
    return [(key, value_of(key)) for key in keys]


@pytest.fixture(params=["memory", "rocks"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Store]:
    engine: Engine
    if request.param == "memory":
        engine = MemoryEngine()
    else:
        engine = pytest.importorskip("raftly.engine.rocks").RocksEngine(tmp_path / "db")  # needs an extra
    store = Store(engine)
    yield store
    engine.close()
    assert store.failures == []


@pytest.mark.tinykv("TestRawGet1")
def test_a_get_finds_what_is_in_the_engine(store: Store) -> None:
    store.lay(b"a")
    answer = store.get(b"a")
    assert (answer.value, answer.not_found, answer.error) == (value_of(b"a"), False, "")


@pytest.mark.tinykv("TestRawGetNotFound1")
def test_a_get_of_nothing_is_no_error(store: Store) -> None:
    answer = store.get(b"a")
    assert (answer.value, answer.not_found, answer.error) == (b"", True, "")


@pytest.mark.tinykv("TestRawPut1")
def test_a_put_is_in_the_engine(store: Store) -> None:
    store.put(b"a", b"1")
    assert store.stored(b"a") == b"1"


@pytest.mark.tinykv("TestRawGetAfterRawPut1")
def test_each_family_answers_its_own_value(store: Store) -> None:
    store.put(b"a", b"1", CF_DEFAULT)
    store.put(b"a", b"2", CF_WRITE)
    assert (store.get(b"a", CF_DEFAULT).value, store.get(b"a", CF_WRITE).value) == (b"1", b"2")


@pytest.mark.tinykv("TestRawGetAfterRawDelete1")
def test_a_get_after_a_delete_finds_nothing(store: Store) -> None:
    store.lay(b"a")
    store.delete(b"a")
    assert store.get(b"a").not_found


@pytest.mark.tinykv("TestRawDelete1")
def test_a_deleted_key_is_not_in_the_engine_and_may_have_been_missing(store: Store) -> None:
    store.lay(b"a", b"b")
    store.delete(b"a")
    store.delete(b"a")
    assert (store.stored(b"a"), store.stored(b"b")) == (None, value_of(b"b"))


@pytest.mark.tinykv("TestRawScan1")
def test_a_scan_gives_the_first_keys_in_order_up_to_its_limit(store: Store) -> None:
    store.lay(b"e", b"d", b"c", b"b", b"a")
    assert store.scan(b"a", 3) == pairs(b"a", b"b", b"c")
    assert store.scan(b"b\x00", 2) == pairs(b"c", b"d")
    assert store.scan(b"a", 3, CF_WRITE) == []


@pytest.mark.tinykv("TestRawScanAfterRawPut1")
def test_a_key_put_later_is_scanned_at_its_place(store: Store) -> None:
    store.lay(b"a", b"b", b"c", b"e")
    store.put(b"d", value_of(b"d"))
    assert store.scan(b"a", 10) == pairs(b"a", b"b", b"c", b"d", b"e")


@pytest.mark.tinykv("TestRawScanAfterRawDelete1")
def test_a_deleted_key_is_not_scanned(store: Store) -> None:
    store.lay(b"a", b"b", b"c", b"d")
    store.delete(b"c")
    assert store.scan(b"a", 10) == pairs(b"a", b"b", b"d")


@pytest.mark.tinykv("TestIterWithRawDelete1")
def test_an_open_iterator_still_meets_a_key_that_is_deleted(store: Store) -> None:
    store.lay(b"a", b"b", b"c", b"d")
    iterator = store.engine.iterate(CF_DEFAULT, b"", b"")
    first = next(iterator)
    store.delete(b"c")
    assert [first, *iterator] == [(data_key(key), value) for key, value in pairs(b"a", b"b", b"c", b"d")]
    assert store.scan(b"a", 10) == pairs(b"a", b"b", b"d")
