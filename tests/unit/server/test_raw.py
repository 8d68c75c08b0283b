"""The raw commands on a store in memory, beside a dictionary; expiry, limits, and requests that make no sense."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from raftly.base.region_errors import DataIsNotReady, ServerIsBusy
from raftly.errors import ConfigError, DecodeError, LimitExceeded
from raftly.proto import kvrpcpb_pb2 as pb
from raftly.rpc import RpcError, StatusCode
from raftly.rpc.later import settled
from raftly.server.commands import InvalidRequest
from raftly.server.contexts import Contexts
from raftly.server.crc64 import crc64
from raftly.server.raw import RawKv, RawOptions
from tests.unit.server.parts import CONTEXT, FAR, NOW_S, Clock, Fake, Store, as_asked, context, run

# --- get, put, delete ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("enable_ttl", [True, False])
def test_what_was_put_is_got_until_it_is_deleted(enable_ttl: bool) -> None:
    async def body() -> None:
        store = Store(enable_ttl=enable_ttl)
        assert await store.get(b"k") is None
        await store.put(b"k", b"v")
        await store.put(b"k", b"other", cf="write")
        assert await store.get(b"k") == await store.get(b"k", cf="default") == b"v"
        assert await store.get(b"k", cf="write") == b"other"
        assert await store.get(b"k", cf="lock") is None
        await store.do(store.raw.delete(pb.RawDeleteRequest(context=CONTEXT, key=b"k")))
        await store.do(store.raw.delete(pb.RawDeleteRequest(context=CONTEXT, key=b"never there")))
        assert await store.get(b"k") is None
        assert await store.get(b"k", cf="write") == b"other"

    run(body())


def test_an_empty_value_is_a_value() -> None:
    async def body() -> None:
        store = Store()
        await store.put(b"", b"")
        assert await store.get(b"") == b""
        assert await store.scan() == [(b"", b"")]

    run(body())


def test_batches_are_written_whole_and_read_as_far_as_they_are_there() -> None:
    async def body() -> None:
        store = Store()
        keys = [b"%03d" % number for number in range(300)]
        pairs = [pb.KvPair(key=key, value=key * 2) for key in keys]
        await store.do(store.raw.batch_put(pb.RawBatchPutRequest(context=CONTEXT, pairs=pairs)))
        request = pb.RawBatchGetRequest(context=CONTEXT, keys=[*reversed(keys), b"absent", keys[0]])
        found = await store.raw.batch_get(request, FAR)
        assert [(pair.key, pair.value) for pair in found.pairs] == [(k, k * 2) for k in [*reversed(keys), keys[0]]]
        await store.do(store.raw.batch_delete(pb.RawBatchDeleteRequest(context=CONTEXT, keys=keys[:-1])))
        assert await store.scan(limit=9) == [(b"299", b"299299")]
        await store.do(store.raw.batch_put(pb.RawBatchPutRequest(context=CONTEXT)))
        await store.do(store.raw.batch_delete(pb.RawBatchDeleteRequest(context=CONTEXT)))

    run(body())


def test_a_range_is_deleted() -> None:
    async def body() -> None:
        store = Store()
        for key in b"abcde":
            await store.put(bytes([key]), b"")

        async def delete(start_key: bytes, end_key: bytes) -> list[bytes]:
            request = pb.RawDeleteRangeRequest(context=CONTEXT, start_key=start_key, end_key=end_key)
            await store.do(store.raw.delete_range(request))
            return [key for key, _ in await store.scan()]

        backwards = pb.RawDeleteRangeRequest(context=CONTEXT, start_key=b"c", end_key=b"b")
        assert not store.raw.delete_range(backwards).ops
        assert await delete(b"c", b"b") == [b"a", b"b", b"c", b"d", b"e"]
        assert await delete(b"b", b"d") == [b"a", b"d", b"e"]
        assert await delete(b"b", b"") == [b"a"]

    run(body())


# --- scans -----------------------------------------------------------------------------------------------------------


@settings(max_examples=60, deadline=None)
@given(
    keys=st.sets(st.sampled_from([bytes([a, b]) for a in range(9) for b in range(9)] + [b"", b"\x00"])),
    expired=st.booleans(),
    bounds=st.tuples(st.binary(max_size=2), st.binary(max_size=2)),
    limit=st.sampled_from([0, 1, 5, 31, 32, 33, 200]),
    reverse=st.booleans(),
    key_only=st.booleans(),
)
def test_scans_are_those_of_a_dictionary(
    keys: set[bytes], expired: bool, bounds: tuple[bytes, bytes], limit: int, reverse: bool, key_only: bool
) -> None:
    lo, hi = bounds

    async def body() -> Any:
        store = Store()
        for key in keys:
            await store.put(key, b"v" + key, ttl=1 if expired and len(key) == 2 and key[1] % 2 else 0)
        store.clock.now_s += 5
        ends = (hi, lo) if reverse else (lo, hi)
        return await store.scan(*ends, limit=limit, reverse=reverse, key_only=key_only)

    kept = [key for key in sorted(keys, reverse=reverse) if not (expired and len(key) == 2 and key[1] % 2)]
    found = [(key, b"" if key_only else b"v" + key) for key in kept if lo <= key and (not hi or key < hi)]
    assert run(body()) == found[:limit]


@pytest.mark.parametrize("reverse", [False, True])
def test_a_scan_goes_on_at_the_very_next_key(reverse: bool) -> None:
    async def body() -> None:
        store = Store()
        keys = [b"k" + bytes(number) for number in range(100)]  # nothing fits between two of them
        for key in keys:
            await store.put(key, b"")
        assert [key for key, _ in await store.scan(limit=100, reverse=reverse)] == keys[:: -1 if reverse else 1]

    run(body())


def test_a_long_scan_shows_one_moment_and_lets_others_run() -> None:
    async def body() -> None:
        store = Store()
        keys = [b"%04d" % number for number in range(2000)]
        pairs = [pb.KvPair(key=key, value=b"old") for key in keys]
        await store.do(store.raw.batch_put(pb.RawBatchPutRequest(context=CONTEXT, pairs=pairs)))
        scan = asyncio.ensure_future(store.scan(limit=5000))
        await asyncio.sleep(0)
        assert not scan.done()
        await store.put(keys[-1], b"new")
        assert await scan == [(key, b"old") for key in keys]
        assert await store.get(keys[-1]) == b"new"

    run(body())


def test_each_range_of_a_batch_has_the_limit() -> None:
    async def body() -> None:
        store = Store()
        for key in b"abcdef":
            await store.put(bytes([key]), bytes([key]))
        ranges = [pb.KeyRange(start_key=b"a", end_key=b"c"), pb.KeyRange(start_key=b"d")]
        request = pb.RawBatchScanRequest(context=CONTEXT, ranges=ranges, each_limit=2)
        assert [pair.key for pair in (await store.raw.batch_scan(request, FAR)).kvs] == [b"a", b"b", b"d", b"e"]
        ranges = [pb.KeyRange(start_key=b"c", end_key=b"a"), pb.KeyRange(end_key=b"d")]
        request = pb.RawBatchScanRequest(context=CONTEXT, ranges=ranges, each_limit=9, reverse=True, key_only=True)
        found = await store.raw.batch_scan(request, FAR)
        assert [(p.key, p.value) for p in found.kvs] == [(k, b"") for k in (b"b", b"a", b"f", b"e", b"d")]

    run(body())


def test_an_answer_that_would_be_too_large_fails_and_is_not_cut() -> None:
    async def body() -> None:
        store = Store(answer_bytes_max=3 * (10 + 64))
        for key in (b"a", b"b", b"c"):
            await store.put(key, b"x" * 9)
        assert len(await store.scan()) == 3
        await store.put(b"d", b"")
        with pytest.raises(RpcError) as caught:
            await store.scan()
        assert caught.value.status is StatusCode.RESOURCE_EXHAUSTED
        with pytest.raises(RpcError):
            await store.raw.batch_get(pb.RawBatchGetRequest(context=CONTEXT, keys=[b"a", b"b", b"c", b"d"]), FAR)
        assert len(await store.scan(limit=3)) == 3

    run(body())


def test_many_small_ranges_give_others_their_turn_and_show_one_moment() -> None:
    async def body() -> None:
        store = Store()
        await store.put(b"k", b"old")
        ranges = [pb.KeyRange(start_key=b"k")] * 500
        scan = pb.RawBatchScanRequest(context=CONTEXT, ranges=ranges, each_limit=1)
        scanning = asyncio.ensure_future(store.raw.batch_scan(scan, FAR))
        summing = asyncio.ensure_future(store.raw.checksum(pb.RawChecksumRequest(context=CONTEXT, ranges=ranges), FAR))
        await asyncio.sleep(0)
        assert not scanning.done()
        assert not summing.done()
        await store.put(b"k", b"new")
        assert {pair.value for pair in (await scanning).kvs} == {b"old"}
        assert (await summing).total_bytes == 500 * 4

    run(body())


@pytest.mark.parametrize("command", ["scan", "batch_scan", "batch_get", "checksum"])
def test_a_long_read_ends_by_its_deadline(command: str) -> None:
    async def body() -> None:
        store = Store()
        pairs = [pb.KvPair(key=b"%04d" % number) for number in range(2000)]
        await store.do(store.raw.batch_put(pb.RawBatchPutRequest(context=CONTEXT, pairs=pairs)))
        ranges = [pb.KeyRange()] * 3
        asked = {
            "scan": pb.RawScanRequest(context=CONTEXT, limit=(1 << 32) - 1),
            "batch_scan": pb.RawBatchScanRequest(context=CONTEXT, ranges=ranges, each_limit=(1 << 32) - 1),
            "batch_get": pb.RawBatchGetRequest(context=CONTEXT, keys=[pair.key for pair in pairs]),
            "checksum": pb.RawChecksumRequest(context=CONTEXT, ranges=ranges),
        }[command]
        read = getattr(store.raw, command)
        assert (await read(asked, FAR)).ByteSize() > 2
        with pytest.raises(RpcError) as caught:
            await read(asked, asyncio.get_running_loop().time())
        assert caught.value.status is StatusCode.DEADLINE_EXCEEDED

    run(body())


def test_answers_that_are_put_together_at_once_are_bounded_together() -> None:
    async def body() -> None:
        store = Store(reading_bytes_max=100_000)
        for number in range(600):
            await store.put(b"%03d" % number, b"x" * 50)
        keys = [b"%03d" % number for number in range(600)]
        several = [store.scan(limit=1000) for _ in range(2)]
        get = store.raw.batch_get(pb.RawBatchGetRequest(context=CONTEXT, keys=keys), FAR)
        results = await asyncio.gather(*several, get, return_exceptions=True)
        assert sum(isinstance(result, ServerIsBusy) for result in results) == 2
        assert len(await store.scan(limit=1000)) == 600, "what was given up counts no more"

    run(body())


# --- expiry ----------------------------------------------------------------------------------------------------------


def test_a_key_expires_in_its_second() -> None:
    async def body() -> None:
        store = Store()

        async def left(key: bytes) -> int | None:
            response = await store.raw.get_key_ttl(pb.RawGetKeyTTLRequest(context=CONTEXT, key=key), FAR)
            return None if response.not_found else response.ttl

        await store.put(b"k", b"v", ttl=10)
        await store.put(b"stays", b"v")
        assert (await left(b"k"), await left(b"stays"), await left(b"absent")) == (10, 0, None)
        store.clock.now_s += 9.9
        assert (await store.get(b"k"), await left(b"k")) == (b"v", 1)
        store.clock.now_s += 0.1
        assert (await store.get(b"k"), await left(b"k")) == (None, None)
        assert (await store.raw.batch_get(pb.RawBatchGetRequest(context=CONTEXT, keys=[b"k"]), FAR)).pairs == []
        assert await store.scan() == [(b"stays", b"v")]

    run(body())


def test_a_batch_has_a_ttl_for_all_or_one_for_each() -> None:
    async def body() -> None:
        store = Store()
        pairs = [pb.KvPair(key=b"a"), pb.KvPair(key=b"b")]

        async def put(**fields: Any) -> list[int]:
            await store.do(store.raw.batch_put(pb.RawBatchPutRequest(context=CONTEXT, pairs=pairs, **fields)))
            asked = [pb.RawGetKeyTTLRequest(context=CONTEXT, key=pair.key) for pair in pairs]
            return [(await store.raw.get_key_ttl(request, FAR)).ttl for request in asked]

        assert await put(ttl=5) == [5, 5]
        assert await put(ttls=[6]) == [6, 6]
        assert await put(ttls=[7, 8], ttl=5) == [7, 8]
        with pytest.raises(InvalidRequest, match="3 ttls for 2 pairs"):
            await put(ttls=[1, 2, 3])

    run(body())


def test_the_backend_hears_when_what_is_about_to_be_written_is_gone() -> None:
    backend = Fake()
    raw = RawKv(backend, Contexts(), Clock())
    pairs = [pb.KvPair(key=b"a"), pb.KvPair(key=b"b")]
    for ttl in (0, 5):
        raw.put(pb.RawPutRequest(context=CONTEXT, key=b"k", ttl=ttl))
        raw.batch_put(pb.RawBatchPutRequest(context=CONTEXT, pairs=pairs, ttl=ttl))
        raw.batch_put(pb.RawBatchPutRequest(context=CONTEXT, pairs=pairs, ttls=[0, 2 * ttl]))
        raw.compare_and_swap(pb.RawCASRequest(context=CONTEXT, key=b"k", ttl=3 * ttl))
        raw.compare_and_swap(pb.RawCASRequest(context=CONTEXT, key=b"k", ttl=ttl, delete=True))
    assert backend.expiring == [(1, NOW_S + 5), (1, NOW_S + 5), (1, NOW_S + 10), (1, NOW_S + 15)]


def test_without_expiry_values_are_kept_bare_and_a_ttl_is_refused() -> None:
    async def body() -> None:
        store = Store(enable_ttl=False)
        await store.put(b"k", b"v")
        assert store.engine.get("default", b"zk") == b"v"
        for refused in (
            store.put(b"k", b"v", ttl=1),
            store.raw.get_key_ttl(pb.RawGetKeyTTLRequest(context=CONTEXT, key=b"k"), FAR),
        ):
            with pytest.raises(InvalidRequest, match="enable_ttl"):
                await refused

    run(body())


def test_a_value_from_a_store_without_expiry_is_not_taken_for_one_with() -> None:
    async def body() -> None:
        plain = Store(enable_ttl=False)
        await plain.put(b"k", b"short")
        raw = RawKv(plain.raw._backend, Contexts(), plain.clock)
        with pytest.raises(DecodeError):
            raw.get(pb.RawGetRequest(context=CONTEXT, key=b"k"), FAR)

    run(body())


# --- compare and swap ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("enable_ttl", [True, False])
def test_compare_and_swap(enable_ttl: bool) -> None:
    async def body() -> None:
        store = Store(enable_ttl=enable_ttl)

        async def swap(value: bytes, **fields: Any) -> tuple[bool, bool, bytes]:
            request = pb.RawCASRequest(context=CONTEXT, key=b"k", value=value, **fields)
            response = await store.do(store.raw.compare_and_swap(request))
            return response.succeed, response.previous_not_exist, response.previous_value

        assert await swap(b"1", previous_value=b"0") == (False, True, b"")
        assert await swap(b"1", previous_not_exist=True) == (True, True, b"")
        assert await swap(b"2", previous_not_exist=True) == (False, False, b"1")
        assert await swap(b"2", previous_value=b"") == (False, False, b"1")
        assert await swap(b"2", previous_value=b"1") == (True, False, b"1")
        assert await store.get(b"k") == b"2"
        if enable_ttl:
            assert await swap(b"3", previous_value=b"2", ttl=5) == (True, False, b"2")
            store.clock.now_s += 5
            assert await swap(b"4", previous_not_exist=True) == (True, True, b"")

    run(body())


@pytest.mark.parametrize("enable_ttl", [True, False])
def test_compare_and_delete(enable_ttl: bool) -> None:
    async def body() -> None:
        store = Store(enable_ttl=enable_ttl)

        async def delete(**fields: Any) -> tuple[bool, bool, bytes]:
            request = pb.RawCASRequest(context=CONTEXT, key=b"k", delete=True, **fields)
            response = await store.do(store.raw.compare_and_swap(request))
            return response.succeed, response.previous_not_exist, response.previous_value

        await store.put(b"k", b"1")
        assert await delete(previous_value=b"0") == (False, False, b"1")
        assert await delete(previous_not_exist=True) == (False, False, b"1")
        assert await store.get(b"k") == b"1"
        assert await delete(previous_value=b"1") == (True, False, b"1")
        assert await store.get(b"k") is None
        assert not store.engine.scan("default", b"", b"", 9)
        assert await delete(previous_value=b"1") == (False, True, b"")
        assert await delete(previous_not_exist=True) == (True, True, b"")
        if enable_ttl:
            await store.put(b"k", b"2", ttl=5)
            store.clock.now_s += 5
            assert await delete(previous_value=b"2") == (False, True, b"")
            assert await delete(previous_not_exist=True) == (True, True, b"")
            assert not store.engine.scan("default", b"", b"", 9)

    run(body())


# --- checksum --------------------------------------------------------------------------------------------------------


def test_the_crc_is_that_of_xz() -> None:
    assert crc64(b"123456789") == 0x995DC9BBDF1939FA
    assert crc64(b"") == 0


def test_the_checksum_of_parts_is_the_checksum_of_the_whole() -> None:
    async def body() -> None:
        store = Store()
        for number in range(500):
            await store.put(b"%03d" % number, b"x" * number)

        async def checksum(*ranges: tuple[bytes, bytes]) -> tuple[int, int, int]:
            asked = [pb.KeyRange(start_key=lo, end_key=hi) for lo, hi in ranges]
            found = await store.raw.checksum(pb.RawChecksumRequest(context=CONTEXT, ranges=asked), FAR)
            return found.checksum, found.total_kvs, found.total_bytes

        assert await checksum((b"", b"001")) == (crc64(b"000"), 1, 3)
        whole = await checksum((b"", b""))
        parts = [await checksum((b"", b"250")), await checksum((b"250", b""))]
        assert whole == (parts[0][0] ^ parts[1][0], 500, parts[0][2] + parts[1][2])
        assert whole == await checksum((b"", b"250"), (b"250", b""))

    run(body())


def test_a_checksum_of_few_large_values_gives_others_a_turn() -> None:
    async def body() -> None:
        store = Store()
        for key in b"abc":
            await store.put(bytes([key]), b"x" * 20_000)
        request = pb.RawChecksumRequest(context=CONTEXT, ranges=[pb.KeyRange()])
        summing = asyncio.ensure_future(store.raw.checksum(request, FAR))
        await asyncio.sleep(0)
        assert not summing.done()
        assert (await summing).total_kvs == 3

    run(body())


# --- what is refused -------------------------------------------------------------------------------------------------


def test_limits_at_and_past_them() -> None:
    async def body() -> None:
        store = Store(key_bytes_max=4, value_bytes_max=6)
        await store.put(b"1234", b"123456")
        with pytest.raises(LimitExceeded, match="key_bytes is 5, the limit is 4"):
            await store.put(b"12345", b"")
        with pytest.raises(LimitExceeded, match="value_bytes is 7, the limit is 6"):
            await store.put(b"", b"1234567")
        with pytest.raises(LimitExceeded):
            await store.do(store.raw.delete(pb.RawDeleteRequest(context=CONTEXT, key=b"12345")))
        assert await store.scan(b"\xff" * 9000, reverse=True) == [(b"1234", b"123456")]

    run(body())


@pytest.mark.parametrize("name", ["key_bytes_max", "value_bytes_max", "answer_bytes_max", "reading_bytes_max"])
def test_an_option_that_makes_no_sense_is_named(name: str) -> None:
    values: dict[str, Any] = {name: 0}
    with pytest.raises(ConfigError, match=name):
        RawOptions(**values)


def test_a_family_that_is_not_there() -> None:
    for cf in ("raft", "Default", "x" * 500):
        with pytest.raises(InvalidRequest, match="default, lock, write"):
            run(Store().get(b"k", cf=cf))


# --- contexts --------------------------------------------------------------------------------------------------------


def test_a_context_reaches_the_store() -> None:
    backend = Fake()
    raw = RawKv(backend, Contexts(9), Clock())
    told = context(cluster_id=9, term=4, replica_read=True, trace_id=b"t" * 500)

    async def body() -> None:
        for _ in range(2):
            raw.get(pb.RawGetRequest(context=told, key=b"k"), FAR)

    run(body())
    first, again = backend.asked
    write = raw.put(pb.RawPutRequest(context=CONTEXT, key=b"k")).ctx
    assert first == again
    assert as_asked(first) == as_asked(write) == (1, write.epoch, 1, 1)
    assert (first.term, first.replica_read, write.term, write.replica_read) == (4, True, 0, False)


def test_a_read_without_a_lease_is_confirmed_first() -> None:
    backend = Fake()
    backend.is_leased = False
    raw = RawKv(backend, Contexts(), Clock())
    run(settled(raw.get(pb.RawGetRequest(context=CONTEXT, key=b"k"), 77.0)))
    assert backend.deadlines == [77.0]


def test_a_stale_read_is_refused_every_time() -> None:
    raw = RawKv(Fake(), Contexts(), Clock())
    for _ in range(2):
        with pytest.raises(DataIsNotReady):
            raw.get(pb.RawGetRequest(context=context(stale_read=True)), FAR)


@pytest.mark.parametrize("fields", [{"cluster_id": 8}, {"api_version": 2}])
def test_another_cluster_or_api_is_refused(fields: dict[str, int]) -> None:
    raw = RawKv(Fake(), Contexts(9), Clock())
    with pytest.raises(RpcError) as caught:
        raw.get(pb.RawGetRequest(context=context(**fields)), FAR)
    assert caught.value.status is StatusCode.INVALID_ARGUMENT


def test_kept_contexts_are_bounded() -> None:
    contexts = Contexts()
    for number in range(10_000):
        assert contexts.of(context(task_id=number)).region_id == 1
    assert len(contexts._kept) <= 4096
    contexts.of(context(trace_id=b"x" * 10_000))
    assert all(len(kept) < 10_000 for kept in contexts._kept)


def test_time_is_read_when_a_value_is_put() -> None:
    async def body() -> None:
        store = Store()
        await store.put(b"k", b"v", ttl=3)
        assert store.engine.get("default", b"zk") == b"v" + (NOW_S + 3).to_bytes(8, "big")

    run(body())
