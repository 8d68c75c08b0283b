"""Raw commands against stores that split, move, refuse, lose answers and go away."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from raftly.base.region_errors import (
    EpochNotMatch,
    NotRegionLeader,
    RaftEntryTooLarge,
    RegionNotFound,
    ServerIsBusy,
    StaleCommand,
)
from raftly.client import ClientOptions, NotDone, RawClient, RequestRefused, blocking
from raftly.client.errors import ClientClosed
from raftly.client.raw import Swap
from raftly.errors import ConfigError, OutcomeUnknown
from raftly.rpc import RpcError, StatusCode
from tests.unit.client.fakes import FakeCluster


def run(test: Callable[[FakeCluster, RawClient], Awaitable[None]], options: ClientOptions | None = None) -> None:
    async def main() -> None:
        async with FakeCluster() as cluster, await cluster.client(*([options] if options else [])) as client:
            await test(cluster, client)

    asyncio.run(main())


def three_regions(cluster: FakeCluster) -> None:
    cluster.split(b"h", 3, leader=2)
    cluster.split(b"p", 4, leader=3)


ALPHABET = {bytes([letter]): bytes([letter]) * 3 for letter in b"abcdefghijklmnopqrstuvwxyz"}


def test_put_get_delete() -> None:
    async def test(cluster: FakeCluster, client: RawClient) -> None:
        await client.put(b"k", b"v")
        assert await client.get(b"k") == b"v"
        await client.put(b"empty", b"")
        assert await client.get(b"empty") == b""
        await client.delete(b"k")
        assert await client.get(b"k") is None
        assert cluster.pd_requests.count("GetRegion") == 1, "the route is kept"

    run(test)


@pytest.mark.parametrize("told", [True, False])
def test_batches_and_scans_cross_regions(told: bool) -> None:
    """Also when the placement driver does not know of the splits: the stores' refusals tell."""

    async def test(cluster: FakeCluster, client: RawClient) -> None:
        await client.put(b"a", b"route to the whole is cached")
        three_regions(cluster)
        if told:
            cluster.told()
        await client.batch_put(ALPHABET)
        assert cluster.data == ALPHABET
        assert await client.batch_get([*ALPHABET, b"zz"]) == ALPHABET
        everything = sorted(ALPHABET.items())
        assert await client.scan(limit=100) == everything
        assert await client.scan(limit=100, reverse=True) == everything[::-1]
        assert await client.scan(b"f", b"r", limit=5) == everything[5:10]
        assert await client.scan(b"f", b"r", limit=5, reverse=True) == everything[12:17][::-1]
        assert await client.scan(b"h", b"p", limit=50, reverse=True) == everything[7:15][::-1]
        assert await client.scan(b"y", limit=9, keys_only=True) == [(b"y", b""), (b"z", b"")]
        assert await client.scan(b"r", b"f", limit=5) == []
        assert [pair async for pair in client.iterate(b"b", b"y")] == everything[1:24]
        assert [pair async for pair in client.iterate(b"b", b"y", reverse=True)] == everything[1:24][::-1]
        await client.batch_delete([b"a", b"z", b"m", b"zz"])
        await client.delete_range(b"c", b"x")
        assert sorted(cluster.data) == [b"b", b"x", b"y"]
        await client.delete_range(b"x")
        assert sorted(cluster.data) == [b"b"]

    run(test, ClientOptions(timeout_s=20.0, scan_keys_max=3, batch_keys_max=4))


def test_a_batch_is_cut_by_count_and_by_bytes() -> None:
    async def test(cluster: FakeCluster, client: RawClient) -> None:
        await client.batch_put({bytes([letter]): b"x" * 30 for letter in b"abcdefgh"})
        assert cluster.stores[1].requests.count("RawBatchPut") == 8 / 2, "two pairs of 31 bytes fit in 64"
        await client.batch_get(ALPHABET)
        assert cluster.stores[1].requests.count("RawBatchGet") == 26 / 13

    run(test, ClientOptions(timeout_s=20.0, batch_keys_max=13, batch_bytes_max=64))


def test_refusals_are_not_told_while_there_is_time() -> None:
    async def test(cluster: FakeCluster, client: RawClient) -> None:
        await client.put(b"k", b"1")
        refusals = (
            *(NotRegionLeader(2), EpochNotMatch(()), RegionNotFound(2), ServerIsBusy("flooded", 5), StaleCommand()),
            RpcError(StatusCode.UNAVAILABLE, "try later"),
        )
        for error in refusals:
            cluster.stores[1].faults.append(error)
            await client.put(b"k", b"2")
            assert not cluster.stores[1].faults
            assert await client.get(b"k") == b"2"

    run(test)


def test_a_leader_that_moves_is_followed() -> None:
    async def test(cluster: FakeCluster, client: RawClient) -> None:
        for leader in (1, 3, 2, 1):
            cluster.regions[2].leader = leader
            await client.put(b"k", b"%d" % leader)
            assert cluster.stores[leader].requests[-1] == "RawPut"
        assert cluster.pd_requests.count("GetRegion") == 1

    run(test)


def test_a_store_that_goes_away_is_left_without_the_driver_knowing() -> None:
    async def test(cluster: FakeCluster, client: RawClient) -> None:
        await client.put(b"k", b"v")
        await cluster.stores[1].stop()
        cluster.regions[2].leader = 3
        assert await client.get(b"k") == b"v"

    run(test)


def test_a_store_that_comes_back_is_found_where_it_was_while_the_driver_is_away() -> None:
    async def test(cluster: FakeCluster, client: RawClient) -> None:
        await client.put(b"k", b"v")
        await cluster.stores[1].stop()
        cluster.regions[2].leader = 3
        await client.put(b"k", b"w")
        await cluster.stores[1].start()
        assert cluster.pd is not None
        await cluster.pd.stop(grace_s=0.0)
        cluster.pd = None
        cluster.regions[2].leader = 1
        assert await client.get(b"k") == b"w"

    run(test, ClientOptions(timeout_s=30.0))


def test_a_region_is_found_again_after_all_refused_while_the_driver_is_away() -> None:
    """Of store 1 alone the address is known."""

    async def test(cluster: FakeCluster, client: RawClient) -> None:
        await client.put(b"k", b"v")
        assert cluster.pd is not None
        await cluster.pd.stop(grace_s=0.0)
        cluster.pd = None
        works: list[Callable[[], Awaitable[object]]] = [
            lambda: client.put(b"k", b"w"),
            lambda: client.batch_get([b"k"]),
            lambda: client.scan(limit=1, reverse=True),
        ]
        for work in works:
            cluster.stores[1].faults.append(NotRegionLeader(2))
            await work()
            assert not cluster.stores[1].faults

    run(test, ClientOptions(attempt_s=0.2))


def test_a_region_that_the_driver_knows_older_is_asked_for_where_it_was() -> None:
    async def test(cluster: FakeCluster, client: RawClient) -> None:
        await client.put(b"k", b"v")
        cluster.split(b"h", 3, leader=2)
        await client.put(b"k", b"v")
        for store in cluster.stores.values():
            store.faults.append(NotRegionLeader(3))
        looked_up = cluster.pd_requests.count("GetRegion")
        await client.put(b"k", b"w")
        assert cluster.pd_requests.count("GetRegion") == looked_up + 1
        assert cluster.stores[2].requests[-1] == "RawPut"
        assert cluster.data == {b"k": b"w"}

    run(test)


def test_a_lost_answer_is_asked_for_again_but_for_a_swap() -> None:
    async def test(cluster: FakeCluster, client: RawClient) -> None:
        cluster.stores[1].lost_answers = 1
        await client.put(b"k", b"v")
        assert cluster.writes == 2
        cluster.stores[1].lost_answers = 1
        with pytest.raises(OutcomeUnknown):
            await client.compare_and_swap(b"k", b"v", b"w")
        assert cluster.data[b"k"] == b"w"
        assert cluster.stores[1].requests.count("RawCompareAndSwap") == 1

    run(test)


def test_a_swap_that_certainly_did_nothing_is_sent_again() -> None:
    async def test(cluster: FakeCluster, client: RawClient) -> None:
        cluster.stores[1].faults += [NotRegionLeader(2), StaleCommand(), EpochNotMatch(())]
        assert await client.compare_and_swap(b"k", None, b"1") == Swap(done=True, previous=None)
        assert await client.compare_and_swap(b"k", None, b"2") == Swap(done=False, previous=b"1")
        assert await client.compare_and_swap(b"k", b"1", b"3") == Swap(done=True, previous=b"1")
        assert cluster.data[b"k"] == b"3"

    run(test)


def test_time_that_is_over_says_what_is_certain() -> None:
    async def test(cluster: FakeCluster, client: RawClient) -> None:
        await client.get(b"k")
        cluster.stores[1].faults += [StaleCommand()] * 1000
        with pytest.raises(NotDone, match="the term changed"):
            await client.put(b"k", b"v", timeout_s=0.1)
        cluster.stores[1].faults.clear()
        cluster.stores[1].lost_answers = 1000
        with pytest.raises(OutcomeUnknown):
            await client.put(b"k", b"v", timeout_s=0.3)
        with pytest.raises(NotDone):
            await client.get(b"k", timeout_s=0.3)

    run(test)


def test_a_batch_that_was_done_in_part_never_says_that_nothing_changed() -> None:
    async def test(cluster: FakeCluster, client: RawClient) -> None:
        cluster.split(b"m", 3, leader=2)
        cluster.told()
        cluster.stores[2].faults += [ServerIsBusy("flooded")] * 1000
        with pytest.raises(OutcomeUnknown):
            await client.batch_put({b"a": b"1", b"z": b"2"}, timeout_s=0.5)
        with pytest.raises(NotDone):
            await client.batch_put({b"z": b"2"}, timeout_s=0.2)

    run(test)


def test_what_is_final_is_told_at_once() -> None:
    async def test(cluster: FakeCluster, client: RawClient) -> None:
        with pytest.raises(RequestRefused, match="no ttl here"):
            await client.put(b"k", b"v", ttl=5)
        with pytest.raises(ConfigError, match="ttl must not be negative"):
            await client.put(b"k", b"v", ttl=-1)
        cluster.stores[1].faults.append(RaftEntryTooLarge(2, 9_000_000))
        with pytest.raises(RaftEntryTooLarge):
            await client.put(b"k", b"v")
        with pytest.raises(RequestRefused, match="UNIMPLEMENTED"):
            await client.checksum()
        assert len(cluster.stores[1].requests) == 2

    run(test)


def test_what_is_too_much_for_one_answer_is_asked_for_in_parts() -> None:
    async def test(cluster: FakeCluster, client: RawClient) -> None:
        await client.batch_put(ALPHABET)
        store = cluster.stores[1]
        store.answer_max = 3
        store.requests.clear()
        assert await client.batch_get(ALPHABET) == ALPHABET
        pairs = list(ALPHABET.items())
        assert await client.scan(limit=20) == pairs[:20]
        assert await client.scan(limit=20, reverse=True) == pairs[:5:-1]
        assert [pair async for pair in client.iterate(b"c", b"x")] == pairs[2:-3]
        assert not any(other.requests for other in cluster.stores.values() if other is not store), "the route is good"

    run(test)


def test_one_that_is_refused_is_asked_for_again_where_it_is() -> None:
    async def test(cluster: FakeCluster, client: RawClient) -> None:
        await client.put(b"k", b"v")
        cluster.stores[1].faults += [
            RpcError(StatusCode.RESOURCE_EXHAUSTED, "the client does not take its answers")
        ] * 2
        assert await client.get(b"k") == b"v"
        assert not cluster.stores[2].requests
        cluster.stores[1].faults.append(RpcError(StatusCode.RESOURCE_EXHAUSTED, "the client does not take its answers"))
        with pytest.raises(OutcomeUnknown):
            await client.compare_and_swap(b"k", b"v", b"w")

    run(test)


def test_a_request_that_is_too_large_was_certainly_not_done() -> None:
    async def main() -> None:
        cluster = FakeCluster()
        cluster.stores[1].message_max = 1000
        async with cluster, await cluster.client() as client:
            with pytest.raises(RequestRefused, match="the limit is 1000"):
                await client.compare_and_swap(b"k", None, bytes(2000))
            with pytest.raises(RequestRefused, match="the limit is 1000"):
                await client.put(b"k", bytes(2000))
            pairs = {key: value * 50 for key, value in ALPHABET.items()}
            await client.batch_put(pairs)
            assert cluster.data == pairs
            with pytest.raises(OutcomeUnknown):
                await client.batch_put(pairs | {b"z": bytes(2000)})

    asyncio.run(main())


@pytest.mark.parametrize("page", [1, 2, 3, 9])
def test_the_empty_key_ends_what_is_read_in_reverse(page: int) -> None:
    async def test(cluster: FakeCluster, client: RawClient) -> None:
        await client.batch_put({b"": b"0", b"a": b"1", b"b": b"2"})
        assert await client.scan(limit=7, reverse=True) == [(b"b", b"2"), (b"a", b"1"), (b"", b"0")]
        found = []
        async for key, _ in client.iterate(reverse=True):
            found.append(key)
            assert len(found) < 9
        assert found == [b"b", b"a", b""]
        assert await client.scan(b"a", limit=7, reverse=True) == [(b"b", b"2"), (b"a", b"1")]

    run(test, ClientOptions(timeout_s=20.0, scan_keys_max=page))


def test_a_closed_client_says_so() -> None:
    async def test(cluster: FakeCluster, client: RawClient) -> None:
        await client.put(b"k", b"v")
        await client.close()
        with pytest.raises(ClientClosed):
            await client.get(b"k")

    run(test)


def test_a_blocking_client_that_is_closed_lets_nobody_wait() -> None:
    async def main() -> None:
        async with FakeCluster() as cluster:
            client = await asyncio.to_thread(blocking.connect, [f"127.0.0.1:{cluster.pd_port}"])
            cluster.stores[1].faults += [StaleCommand()] * 1000
            waiting = asyncio.ensure_future(asyncio.to_thread(client.put, b"k", b"v", timeout_s=60.0))
            await cluster.stores[1].asked.wait()
            await asyncio.to_thread(client.close)
            with pytest.raises((ClientClosed, OutcomeUnknown)):
                await waiting

    asyncio.run(main())


def test_the_blocking_form_does_the_same() -> None:
    async def main() -> None:
        async with FakeCluster() as cluster:
            await asyncio.to_thread(block, f"http://127.0.0.1:{cluster.pd_port}")

    def block(endpoint: str) -> None:
        with blocking.connect([endpoint], ClientOptions(timeout_s=20.0)) as client:
            client.batch_put({b"a": b"1", b"b": b"2"})
            client.put(b"c", b"3")
            assert client.scan(limit=9) == [(b"a", b"1"), (b"b", b"2"), (b"c", b"3")]
            assert client.compare_and_swap(b"c", b"3", b"4").done
            client.delete(b"a")
            assert client.batch_get([b"a", b"b", b"c"]) == {b"b": b"2", b"c": b"4"}
        client.close()
        with pytest.raises(ClientClosed):
            client.get(b"a")

    asyncio.run(main())
