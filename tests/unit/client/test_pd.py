"""The placement driver's client: it finds the leader, follows it, and gathers requests for timestamps."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Awaitable, Callable
from dataclasses import replace

import pytest

from raftly.client import NotDone, PdClient, PlacementRefused
from raftly.client.channels import split_address
from raftly.client.pd import NOTHING_DONE
from raftly.errors import ConfigError, NotLeader, OutcomeUnknown
from raftly.proto import metapb_pb2, pdpb_pb2
from raftly.rpc import RpcError, StatusCode
from raftly.server.pd_edge import status_of
from tests.unit.client.fakes import CLUSTER_ID, FakeCluster


def run(test: Callable[[FakeCluster, PdClient], Awaitable[None]]) -> None:
    async def main() -> None:
        cluster = FakeCluster()
        cluster.pd_is_ours = True
        async with cluster, PdClient([f"127.0.0.1:{cluster.pd_port}"], timeout_s=20.0) as pd:
            await test(cluster, pd)

    asyncio.run(main())


def test_members_are_told() -> None:
    async def test(cluster: FakeCluster, pd: PdClient) -> None:
        members = await pd.members()
        assert members.cluster_id == pd.cluster_id == CLUSTER_ID
        assert [member.id for member in members.members] == [members.leader.id] == [cluster.pd_port]

    run(test)


def test_members_are_those_that_the_leader_knows() -> None:
    """Who was removed may be the first to answer."""

    async def test(cluster: FakeCluster, pd: PdClient) -> None:
        async with FakeCluster() as leader:
            cluster.members = [leader.pd_port, cluster.pd_port]
            leader.members = [leader.pd_port]
            assert [member.id for member in (await pd.members()).members] == [leader.pd_port]

    run(test)


def test_one_member_that_answers_is_enough() -> None:
    async def test(cluster: FakeCluster, pd: PdClient) -> None:
        async with PdClient(["127.0.0.1:1", f"127.0.0.1:{cluster.pd_port}"], timeout_s=20.0) as other:
            assert (await other.get_region(b"k")).region.id == 2

    run(test)


def test_a_new_leader_is_found_and_followed() -> None:
    async def test(cluster: FakeCluster, pd: PdClient) -> None:
        await pd.get_region(b"k")
        async with FakeCluster() as other:
            other.members = cluster.members = [other.pd_port, cluster.pd_port]
            cluster.pd_faults.append(RpcError(StatusCode.UNAVAILABLE, "not leader"))
            await pd.get_region(b"k")
            assert other.pd_requests[-1] == "GetRegion"
            cluster.members = [cluster.pd_port, other.pd_port]
        assert (await pd.get_region(b"k")).region.id == 2, "the other is gone"

    run(test)


def test_a_restart_is_survived() -> None:
    async def test(cluster: FakeCluster, pd: PdClient) -> None:
        before = await pd.timestamp()
        assert cluster.pd is not None
        await cluster.pd.stop(grace_s=0.0)
        asked = asyncio.create_task(pd.timestamp())
        await cluster.start_pd()
        assert await asked > before
        assert (await pd.get_region(b"k")).region.id == 2

    run(test)


def test_nobody_there_is_told_in_time() -> None:
    async def main() -> None:
        with pytest.raises(NotDone, match="cannot connect"):
            await PdClient.connect(["127.0.0.1:1"], timeout_s=0.3)

    asyncio.run(main())


def test_an_answer_that_comes_when_nobody_waits_any_more_is_no_complaint(monkeypatch: pytest.MonkeyPatch) -> None:
    complaints: list[dict[str, object]] = []

    async def main() -> None:
        asyncio.get_running_loop().set_exception_handler(lambda _, context: complaints.append(context))
        late = asyncio.Event()

        async def ask(self: PdClient, address: str) -> None:
            await late.wait()
            raise RpcError(StatusCode.UNAVAILABLE, address)

        monkeypatch.setattr(PdClient, "_ask_member", ask)
        async with PdClient(["127.0.0.1:1"], timeout_s=0.01) as pd:
            with pytest.raises(NotDone):
                await pd.members()
            late.set()
            for _ in range(9):
                await asyncio.sleep(0)
            pd._finding = None
            gc.collect()

    asyncio.run(main())
    assert complaints == []


def test_a_region_that_is_not_known_is_refused() -> None:
    async def test(cluster: FakeCluster, pd: PdClient) -> None:
        cluster.seen.clear()
        with pytest.raises(PlacementRefused, match="REGION_NOT_FOUND"):
            await pd.get_region(b"k")
        with pytest.raises(PlacementRefused, match="UNIMPLEMENTED"):
            await pd.get_all_stores()

    run(test)


def test_all_regions_are_told_of_also_those_that_one_answer_does_not_hold() -> None:
    async def test(cluster: FakeCluster, pd: PdClient) -> None:
        for number, key in enumerate([b"d", b"h", b"p", b"t"], 3):
            cluster.split(key, number, leader=1)
        cluster.told()
        cluster.scan_max = 2

        async def ids(*of: object) -> list[int]:
            return [placed.region.id for placed in await pd.scan_regions(*of)]  # type: ignore[arg-type]

        cluster.pd_requests.clear()
        assert await ids() == [2, 3, 4, 5, 6]
        assert await ids(b"", b"", 3) == [2, 3, 4]
        assert await ids(b"", b"", 4) == [2, 3, 4, 5]
        assert cluster.pd_requests.count("ScanRegions") == 3 + 2 + 2
        assert await ids(b"e", b"p") == [3, 4]
        assert await ids(b"e", b"q") == [3, 4, 5]
        assert cluster.pd_requests.count("ScanRegions") == 7 + 1 + 2
        del cluster.seen[6]
        assert await ids() == [2, 3, 4, 5], "nobody told of the last one"

    run(test)


def test_a_region_that_took_others_in_between_two_answers_is_told_of_once() -> None:
    async def test(cluster: FakeCluster, pd: PdClient) -> None:
        for number, key in enumerate([b"h", b"p"], 3):
            cluster.split(key, number, leader=1)
        cluster.told()
        cluster.scan_max = 2
        scan, whole = cluster.scan_regions, replace(cluster.seen[4].region, start_key=b"h")

        def then_merged(request: pdpb_pb2.ScanRegionsRequest) -> pdpb_pb2.ScanRegionsResponse:
            response = scan(request)
            cluster.seen.pop(3, None)
            cluster.seen[4].region = whole
            return response

        assert cluster.pd is not None
        await cluster.pd.stop(grace_s=0.0)
        cluster.scan_regions = then_merged  # type: ignore[method-assign]
        await cluster.start_pd()
        assert [placed.region.id for placed in await pd.scan_regions()] == [2, 4]

    run(test)


def test_a_command_whose_answer_was_lost_is_repeated_if_that_does_no_harm() -> None:
    async def test(cluster: FakeCluster, pd: PdClient) -> None:
        commands: list[Callable[[], Awaitable[object]]] = [
            lambda: pd.put_store(metapb_pb2.Store(id=4)),
            lambda: pd.admin("set-config"),
        ]
        for command in commands:
            cluster.pd_done.clear()
            cluster.pd_lost_answers = 1
            await command()
            assert len(cluster.pd_done) == 2
            cluster.pd_lost_answers = 1000
            pd.timeout_s = 0.3
            with pytest.raises(OutcomeUnknown, match="the answer is lost"):
                await command()
            pd.timeout_s = 20.0

    run(test)


def test_a_command_whose_repetition_is_refused_may_have_been_done() -> None:
    async def test(cluster: FakeCluster, pd: PdClient) -> None:
        cluster.pd_lost_answers = 1
        with pytest.raises(OutcomeUnknown, match="it was done before"):
            await pd.admin("remove-member")
        with pytest.raises(PlacementRefused, match="it was done before"):
            await pd.admin("remove-member")

    run(test)


def test_a_plan_is_sent_again_only_if_it_was_certainly_not_made() -> None:
    async def test(cluster: FakeCluster, pd: PdClient) -> None:
        early = [status_of(NotLeader(0)), *(RpcError(StatusCode.UNAVAILABLE, said) for said in sorted(NOTHING_DONE))]
        cluster.pd_faults += early
        await pd.admin("move-peer")
        assert not cluster.pd_faults
        cluster.pd_done.clear()
        cluster.pd_lost_answers = 1
        with pytest.raises(OutcomeUnknown, match="the answer is lost"):
            await pd.admin("move-peer")
        assert cluster.pd_done == ["move-peer"]

    run(test)


def test_a_command_that_nobody_took_was_certainly_not_done() -> None:
    async def test(cluster: FakeCluster, pd: PdClient) -> None:
        cluster.pd_faults += [RpcError(StatusCode.UNAVAILABLE, "not leader")] * 1000
        pd.timeout_s = 0.2
        with pytest.raises(NotDone):
            await pd.put_store(metapb_pb2.Store(id=4))

    run(test)


def test_timestamps_asked_for_together_come_in_one_request() -> None:
    async def test(cluster: FakeCluster, pd: PdClient) -> None:
        first = await pd.timestamp()
        given = await asyncio.gather(*(pd.timestamp() for _ in range(100)), pd.timestamps(28))
        singles, run_ = given[:-1], given[-1]
        assert sorted({*singles, *run_}) == list(range(first + 1, first + 129))  # type: ignore[misc]
        assert [request for request in cluster.pd_requests if request.startswith("Tso")] == ["Tso 1", "Tso 128"]

    run(test)


def test_timestamps_survive_a_stream_that_breaks() -> None:
    async def test(cluster: FakeCluster, pd: PdClient) -> None:
        first = await pd.timestamp()
        cluster.pd_faults += [RpcError(StatusCode.UNAVAILABLE, "not leader")] * 2
        assert await pd.timestamp() > first

    run(test)


def test_timestamps_that_go_back_are_refused() -> None:
    async def test(cluster: FakeCluster, pd: PdClient) -> None:
        first = await pd.timestamp()
        cluster.ts -= 1
        with pytest.raises(PlacementRefused, match=f"{first} is not above {first}"):
            await pd.timestamp()
        with pytest.raises(ConfigError):
            await pd.timestamps(0)
        with pytest.raises(ConfigError):
            await pd.timestamps(10_001)

    run(test)


@pytest.mark.parametrize(
    ("address", "place"),
    [
        ("127.0.0.1:2379", ("127.0.0.1", 2379)),
        ("http://pd.example:2379/", ("pd.example", 2379)),
        ("https://[::1]:20160", ("::1", 20160)),
    ],
)
def test_addresses(address: str, place: tuple[str, int]) -> None:
    assert split_address(address) == place


@pytest.mark.parametrize("address", ["", "localhost", ":2379", "a:0", "a:65536", "a:b"])
def test_no_addresses(address: str) -> None:
    with pytest.raises(ConfigError, match="host:port"):
        split_address(address)
