"""Our client beside another gRPC that answers as TiKV's may: every refusal, lost links, leaders that move."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

grpc = pytest.importorskip("grpc", reason="grpcio is not installed")

from raftly.base.region_errors import RaftEntryTooLarge  # noqa: E402 - behind the line that may skip all this
from raftly.client import NotDone, RawClient, RequestRefused  # noqa: E402
from raftly.client.raw import Swap  # noqa: E402
from raftly.errors import OutcomeUnknown  # noqa: E402
from raftly.proto import errorpb_pb2  # noqa: E402
from tests.unit.client.scripted import CLUSTER_ID, REGION, ScriptedCluster, abort, hang, refuse, slow  # noqa: E402

Test = Callable[[ScriptedCluster, RawClient], Awaitable[None]]


def run(test: Test, *, members: int = 1, **options: Any) -> None:
    async def main() -> None:
        async with asyncio.timeout(60), ScriptedCluster(members) as cluster, await cluster.client(**options) as client:
            await test(cluster, client)

    asyncio.run(main())


REFUSALS = sorted(
    field.name for field in errorpb_pb2.Error.DESCRIPTOR.fields if field.name not in {"message", "raft_entry_too_large"}
)
KEPT = {  # the region stays where it was; for all others it is looked up again
    *("not_leader", "server_is_busy", "stale_command", "max_timestamp_not_synced", "read_index_not_ready"),
    *("proposal_in_merging_mode", "data_is_not_ready", "disk_full", "undetermined_result"),
}


def refusal(name: str) -> errorpb_pb2.Error:
    """As TiKV fills it; presence of the field is what counts."""
    error = errorpb_pb2.Error(message="as TiKV says it")
    getattr(error, name).SetInParent()
    if name == "not_leader":
        error.not_leader.region_id = REGION
    return error


def test_what_tikv_answers_is_understood() -> None:
    """With fields that our servers never fill."""

    async def test(cluster: ScriptedCluster, client: RawClient) -> None:
        await client.put(b"a", b"1")
        await client.batch_put({b"b": b"2", b"c": b""})
        assert await client.get(b"a") == b"1"
        assert await client.get(b"nobody") is None
        assert await client.batch_get([b"a", b"c", b"x"]) == {b"a": b"1", b"c": b""}
        assert await client.scan(b"a", limit=2) == [(b"a", b"1"), (b"b", b"2")]
        assert await client.compare_and_swap(b"n", None, b"1") == Swap(done=True, previous=None)
        assert await client.compare_and_swap(b"n", b"2", b"3") == Swap(done=False, previous=b"1")
        assert cluster.looked_up() == 1
        stamps = await client.pd.timestamps(5)
        assert list(stamps) == [(1_700_000_000_000 << 18) + number for number in range(1, 6)]
        placed = await client.pd.get_region(b"a")
        assert placed.leader is not None
        assert (placed.leader.store_id, placed.down_peers[0].down_s, placed.pending_peers[0].id) == (1, 7, 43)

    run(test)


@pytest.mark.parametrize("name", REFUSALS)
def test_every_refusal_is_tried_again_until_it_is_done(name: str) -> None:
    """What was refused was not done, so a swap too, except where the store itself does not know."""

    async def test(cluster: ScriptedCluster, client: RawClient) -> None:
        await client.put(b"k", b"0")
        store = cluster.stores[1]
        works: list[Callable[[], Awaitable[object]]] = [
            lambda: client.put(b"k", b"1"),
            lambda: client.get(b"k"),
            lambda: client.batch_put({b"k": b"1"}),
        ]
        for work in works:
            store.script.append(refuse(refusal(name)))
            before = sum(len(one.seen) for one in cluster.stores.values())
            await work()
            assert sum(len(one.seen) for one in cluster.stores.values()) == before + 2
            assert not store.script
            client.regions.cache.clear()  # after not_leader without a leader another store is asked
        assert cluster.data == {b"k": b"1"}
        await client.get(b"k")
        looked_up = cluster.looked_up()
        store.script.append(refuse(refusal(name)))
        if name == "undetermined_result":
            with pytest.raises(OutcomeUnknown):
                await client.compare_and_swap(b"k", b"1", b"2")
        else:
            assert (await client.compare_and_swap(b"k", b"1", b"2")).done
            assert cluster.data == {b"k": b"2"}
        assert cluster.looked_up() == looked_up + (name not in KEPT)

    run(test)


def test_only_words_are_a_refusal_too() -> None:
    async def test(cluster: ScriptedCluster, client: RawClient) -> None:
        cluster.stores[1].script.append(refuse(errorpb_pb2.Error(message="something that is new")))
        await client.put(b"k", b"v")
        assert cluster.data == {b"k": b"v"}

    run(test)


def test_an_entry_that_no_log_takes_is_told_at_once() -> None:
    async def test(cluster: ScriptedCluster, client: RawClient) -> None:
        error = errorpb_pb2.Error()
        error.raft_entry_too_large.region_id, error.raft_entry_too_large.entry_size = REGION, 9 << 20
        cluster.stores[1].script.append(refuse(error))
        with pytest.raises(RaftEntryTooLarge):
            await client.put(b"k", b"v")
        assert len(cluster.stores[1].seen) == 1

    run(test)


@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize("code", ["UNAVAILABLE", "INTERNAL", "UNKNOWN", "DEADLINE_EXCEEDED", "CANCELLED", "ABORTED"])
def test_a_status_leaves_open_whether_it_was_done(code: str, *, after: bool) -> None:
    """Nobody can tell the two apart, so both end alike: a put is sent again, a swap is not."""

    async def test(cluster: ScriptedCluster, client: RawClient) -> None:
        cluster.stores[1].script += [abort(grpc.StatusCode[code], after=after)]
        await client.put(b"k", b"v")
        assert cluster.data == {b"k": b"v"}
        client.regions.cache.clear()
        cluster.stores[1].script += [abort(grpc.StatusCode[code], after=after)]
        with pytest.raises(OutcomeUnknown):
            await client.compare_and_swap(b"k", b"v", b"w")
        assert cluster.data == {b"k": b"w" if after else b"v"}
        swaps = [name for one in cluster.stores.values() for name, _ in one.seen if name == "RawCompareAndSwap"]
        assert len(swaps) == 1

    run(test)


@pytest.mark.parametrize("code", ["UNIMPLEMENTED", "INVALID_ARGUMENT", "PERMISSION_DENIED"])
def test_a_status_that_is_final_is_told_at_once(code: str) -> None:
    async def test(cluster: ScriptedCluster, client: RawClient) -> None:
        cluster.stores[1].script.append(abort(grpc.StatusCode[code], after=False))
        with pytest.raises(RequestRefused, match=code):
            await client.put(b"k", b"v")

    run(test)


@pytest.mark.parametrize("cut", [True, False])
def test_a_store_that_dies_or_falls_silent_in_mid_call(*, cut: bool) -> None:
    """It carried the write out, and nobody heard. A put is sent again, to who leads now; a swap is not."""

    async def test(cluster: ScriptedCluster, client: RawClient) -> None:
        first, second = cluster.stores[1], cluster.stores[2]
        await client.get(b"k")
        first.script += [hang, hang]
        swap = asyncio.ensure_future(client.compare_and_swap(b"k", None, b"swapped"))
        await first.hung.wait()
        first.hung.clear()
        put = asyncio.ensure_future(client.put(b"other", b"v"))
        await first.hung.wait()
        cluster.leader = 2
        if cut:
            await first.stop()
        with pytest.raises(OutcomeUnknown, match="whether all of it was done is unknown"):
            await swap
        await put
        assert cluster.data == {b"k": b"swapped", b"other": b"v"}
        assert [name for name, _ in second.seen] == ["RawPut"]

    run(test, attempt_s=20.0 if cut else 0.2)


def test_a_store_with_another_address_is_found() -> None:
    """The only one that leads: whoever else is asked refuses, and names it."""

    async def test(cluster: ScriptedCluster, client: RawClient) -> None:
        await client.put(b"k", b"v")
        moved = cluster.stores[1]
        await moved.stop()
        await moved.start()
        error = refusal("not_leader")
        error.not_leader.leader.CopyFrom(cluster.peer(1))
        for other in (2, 3):
            cluster.stores[other].script += [refuse(error)] * 50
        assert await client.get(b"k") == b"v"
        assert [name for name, _ in moved.seen] == ["RawPut", "RawGet"]

    run(test)


def test_a_driver_whose_leader_changes_is_followed() -> None:
    async def test(cluster: ScriptedCluster, client: RawClient) -> None:
        await client.put(b"k", b"v")
        first = await client.pd.timestamp()
        for leader in (2, 1, 0):
            cluster.pd_leader = leader
            client.regions.cache.clear()
            assert await client.get(b"k") == b"v"
            assert cluster.pd_seen[-1][0] == leader
        cluster.pd_leader = 1
        assert await client.pd.timestamp() > first, "nothing but the stream tells that another leads"

    run(test, members=3)


def test_another_cluster_in_the_place_of_the_first_is_told() -> None:
    async def test(cluster: ScriptedCluster, client: RawClient) -> None:
        await client.put(b"k", b"v")
        cluster.cluster_id = CLUSTER_ID + 1
        client.regions.cache.clear()
        with pytest.raises(NotDone, match=f"belongs to cluster {CLUSTER_ID + 1}, not {CLUSTER_ID}"):
            await client.put(b"k", b"w", timeout_s=0.5)
        assert cluster.data == {b"k": b"v"}

    run(test)


def test_a_region_without_a_leader_is_asked_at_a_peer() -> None:
    async def test(cluster: ScriptedCluster, client: RawClient) -> None:
        cluster.names_leader = False
        await client.put(b"k", b"v")
        assert cluster.data == {b"k": b"v"}

    run(test)


def test_a_call_that_is_given_up_is_given_up_at_the_store_and_not_repeated() -> None:
    async def test(cluster: ScriptedCluster, client: RawClient) -> None:
        store = cluster.stores[1]
        store.script.append(hang)
        put = asyncio.ensure_future(client.put(b"k", b"v"))
        await store.hung.wait()
        put.cancel()
        with pytest.raises(asyncio.CancelledError):
            await put
        await store.let_go.wait()
        assert await client.get(b"k") == b"v"
        assert [name for name, _ in store.seen] == ["RawPut", "RawGet"]

    run(test, attempt_s=20.0)


def test_a_deadline_is_kept_and_says_what_is_certain() -> None:
    async def test(cluster: ScriptedCluster, client: RawClient) -> None:
        await client.get(b"k")
        for store in cluster.stores.values():
            store.script += [hang] * 9
        with pytest.raises(OutcomeUnknown):
            await client.put(b"k", b"v", timeout_s=0.2)
        with pytest.raises(NotDone):
            await client.get(b"k", timeout_s=0.2)

    run(test)


def test_a_read_that_takes_longer_than_an_attempt_is_given_longer() -> None:
    async def test(cluster: ScriptedCluster, client: RawClient) -> None:
        await client.put(b"k", b"v")
        not_leader = refusal("not_leader")
        not_leader.not_leader.leader.CopyFrom(cluster.peer(1))
        for other in (2, 3):
            cluster.stores[other].script += [refuse(not_leader)] * 50
        works: list[Callable[[], Awaitable[object]]] = [
            client.checksum,
            lambda: client.scan(limit=1),
            lambda: client.batch_get([b"a", b"b", b"k"]),
        ]
        for work in works:
            cluster.stores[1].script += [slow(0.25)] * 50
            before = len(cluster.stores[1].seen)
            assert await work()
            assert len(cluster.stores[1].seen) <= before + 12
            cluster.stores[1].script.clear()

    run(test, attempt_s=0.1, batch_keys_max=1)


def test_a_part_that_was_under_way_when_another_failed_may_have_been_done() -> None:
    """Two requests of one batch: one hangs, and was carried out; the other is refused for good."""

    async def test(cluster: ScriptedCluster, client: RawClient) -> None:
        store = cluster.stores[1]

        async def refuse_once_the_other_hangs(store: Any, method: str, request: Any) -> Any:
            await store.hung.wait()
            return store.empty(method)(error="no such column family")

        await client.get(b"k")
        store.script += [hang, refuse_once_the_other_hangs]
        with pytest.raises(OutcomeUnknown, match="no such column family"):
            await client.batch_put({b"a": b"1", b"b": b"2"})
        assert len(cluster.data) == 1
        store.script.append(refuse_once_the_other_hangs)
        with pytest.raises(RequestRefused):
            await client.put(b"c", b"3")

    run(test, batch_keys_max=1)
