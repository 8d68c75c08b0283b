"""The placement driver as a store sees it: heartbeats on one stream, steps that come when they come."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest

from raftly.base.heartbeats import NewRegionIds, RegionReport, StoreStats
from raftly.base.operators import (
    ChangeKind,
    ChangePeers,
    MergeInto,
    Operator,
    PeerChange,
    SplitPolicy,
    SplitRegion,
    Step,
    TransferLeader,
)
from raftly.base.region import Peer, PeerRole, Region, RegionEpoch
from raftly.base.store_meta import StoreMeta
from raftly.client.errors import NotDone, PlacementRefused
from raftly.client.pd import PdClient
from raftly.proto import pdpb_pb2 as pb
from raftly.proto import pdpb_rpc as rpc
from raftly.rpc import RpcError, Server, Service, StatusCode, bind
from raftly.server.pd_edge import step_message
from raftly.server.placement_client import GrpcPlacement

OK = pb.ResponseHeader(cluster_id=7)
LEADER = Peer(11, 1)
REGION = Region(2, b"a", b"m", RegionEpoch(3, 4), (LEADER, Peer(12, 2, PeerRole.LEARNER)))
REPORT = RegionReport(REGION, LEADER, 5, 1000, 10, pending_peers=(Peer(12, 2, PeerRole.LEARNER),))


class Driver:
    """One member that does what a test tells it to."""

    def __init__(self) -> None:
        self.heard: list[object] = []
        self.streams: list[object] = []
        self.answers: list[pb.RegionHeartbeatResponse | Exception] = []
        self.bootstrapped = False
        self.host, self.port = "127.0.0.1", 0

    async def members(self, _: pb.GetMembersRequest) -> pb.GetMembersResponse:
        member = pb.Member(name="one", member_id=1, client_urls=[f"http://{self.host}:{self.port}"])
        return pb.GetMembersResponse(header=OK, members=[member], leader=member)

    async def bootstrap(self, request: pb.BootstrapRequest) -> pb.BootstrapResponse:
        if self.bootstrapped:
            error = pb.Error(type=pb.ErrorType.ALREADY_BOOTSTRAPPED, message="already")
            return pb.BootstrapResponse(header=pb.ResponseHeader(cluster_id=7, error=error))
        self.bootstrapped = True
        return pb.BootstrapResponse(header=OK)

    async def ask_batch_split(self, request: pb.AskBatchSplitRequest) -> pb.AskBatchSplitResponse:
        ids = [pb.SplitID(new_region_id=100 + n, new_peer_ids=[200 + n, 300 + n]) for n in range(request.split_count)]
        return pb.AskBatchSplitResponse(header=OK, ids=ids)

    async def get_region(self, _: pb.GetRegionRequest) -> pb.GetRegionResponse:
        error = pb.Error(type=pb.ErrorType.REGION_NOT_FOUND, message="none")
        return pb.GetRegionResponse(header=pb.ResponseHeader(cluster_id=7, error=error))

    async def store_heartbeat(self, request: pb.StoreHeartbeatRequest) -> pb.StoreHeartbeatResponse:
        self.heard.append(request)
        return pb.StoreHeartbeatResponse(header=OK)

    async def region_heartbeat(
        self, requests: AsyncIterator[pb.RegionHeartbeatRequest]
    ) -> AsyncIterator[pb.RegionHeartbeatResponse]:
        self.streams.append(requests)
        async for request in requests:
            self.heard.append(request)
            answers = self.answers or [pb.RegionHeartbeatResponse(header=OK, region_id=request.region.id)]
            self.answers = []
            for answer in answers:
                if isinstance(answer, Exception):
                    raise answer
                yield answer


def run(test: Callable[[Driver, GrpcPlacement], Awaitable[None]]) -> None:
    async def main() -> None:
        driver = Driver()
        bound = [
            bind(rpc.PD_GET_MEMBERS, driver.members),
            bind(rpc.PD_BOOTSTRAP, driver.bootstrap),
            bind(rpc.PD_ASK_BATCH_SPLIT, driver.ask_batch_split),
            bind(rpc.PD_GET_REGION, driver.get_region),
            bind(rpc.PD_STORE_HEARTBEAT, driver.store_heartbeat),
            bind(rpc.PD_REGION_HEARTBEAT, driver.region_heartbeat),
        ]
        server = Server([Service("pdpb.PD", bound)])
        driver.port = await server.start()
        placement = GrpcPlacement(PdClient([f"127.0.0.1:{driver.port}"], timeout_s=20.0))
        try:
            await test(driver, placement)
        finally:
            await placement.close()
            await server.stop(0.0)

    asyncio.run(main())


STEPS: list[Step] = [
    TransferLeader(Peer(12, 2)),
    ChangePeers((PeerChange(ChangeKind.ADD_LEARNER, Peer(13, 3, PeerRole.LEARNER)),)),
    ChangePeers((PeerChange(ChangeKind.ADD_VOTER, Peer(13, 3)), PeerChange(ChangeKind.REMOVE, Peer(12, 2)))),
    ChangePeers(()),
    SplitRegion((b"c", b"e"), SplitPolicy.USE_KEYS),
    MergeInto(Region(3, b"m", b"", RegionEpoch(1, 2), (Peer(21, 1),))),
]


@pytest.mark.parametrize("step", STEPS, ids=lambda step: type(step).__name__)
def test_each_step_arrives_as_it_was_meant(step: Step) -> None:
    operator = Operator(2, REGION.epoch, LEADER, step)

    async def test(driver: Driver, placement: GrpcPlacement) -> None:
        driver.answers = [step_message(operator, OK)]
        assert await placement.region_heartbeat(REPORT) == operator

    run(test)


def test_a_report_arrives_whole_and_nothing_to_do_is_none() -> None:
    async def test(driver: Driver, placement: GrpcPlacement) -> None:
        assert await placement.region_heartbeat(REPORT) is None
        await placement.store_heartbeat(StoreStats(1, 1000, 400, 600, region_count=3, interval_s=10))
        region, store = driver.heard
        assert isinstance(region, pb.RegionHeartbeatRequest)
        assert isinstance(store, pb.StoreHeartbeatRequest)
        assert (region.header.cluster_id, region.region.id, region.term, region.approximate_size) == (7, 2, 5, 1000)
        assert [peer.id for peer in region.pending_peers] == [12]
        assert (store.stats.available, store.stats.region_count, store.stats.interval.end_timestamp) == (400, 3, 10)

    run(test)


OTHER = Operator(5, RegionEpoch(1, 1), Peer(51, 1), TransferLeader(Peer(52, 2)))


def test_a_step_for_another_region_is_handed_on_and_is_not_the_answer_to_what_it_reports_later() -> None:
    async def test(driver: Driver, placement: GrpcPlacement) -> None:
        asked: list[Operator] = []
        placement.on_step = asked.append
        driver.answers = [step_message(OTHER, OK), pb.RegionHeartbeatResponse(header=OK, region_id=2)]
        assert await placement.region_heartbeat(REPORT) is None
        assert asked == [OTHER]
        assert await placement.region_heartbeat(RegionReport(Region(5), Peer(51, 1))) is None
        assert asked == [OTHER]

    run(test)


def test_a_step_that_comes_when_nobody_waits_for_it_any_more_is_handed_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("raftly.server.placement_client.ANSWER_S", 0.0)

    async def test(driver: Driver, placement: GrpcPlacement) -> None:
        came: asyncio.Future[Operator] = asyncio.get_running_loop().create_future()
        placement.on_step = came.set_result
        driver.answers = [step_message(OTHER, OK)]
        assert await placement.region_heartbeat(RegionReport(Region(5), Peer(51, 1))) is None
        assert await came == OTHER

    run(test)


def test_a_stream_that_breaks_is_made_anew() -> None:
    async def test(driver: Driver, placement: GrpcPlacement) -> None:
        assert await placement.region_heartbeat(REPORT) is None
        driver.answers = [RpcError(StatusCode.UNAVAILABLE, "not leader")]
        with pytest.raises(NotDone, match="not leader"):
            await placement.region_heartbeat(REPORT)
        assert await placement.region_heartbeat(REPORT) is None

    run(test)


def test_whoever_leads_next_is_told_everything_once() -> None:
    async def test(driver: Driver, placement: GrpcPlacement) -> None:
        ended: list[int] = []
        placement.on_new_leader = lambda: ended.append(len(driver.heard))
        driver.answers = [RpcError(StatusCode.UNAVAILABLE, "not leader")]
        with pytest.raises(NotDone):
            await placement.region_heartbeat(REPORT)
        assert ended == [], "nothing was told yet"
        assert await placement.region_heartbeat(REPORT) is None
        driver.answers = [RpcError(StatusCode.UNAVAILABLE, "not leader")]
        with pytest.raises(NotDone):
            await placement.region_heartbeat(REPORT)
        assert ended == [3]
        assert await placement.region_heartbeat(REPORT) is None
        assert ended == [3]

    run(test)


def test_a_leader_that_is_silent_is_left_for_the_one_that_others_know() -> None:
    async def test(driver: Driver, placement: GrpcPlacement) -> None:
        renewed = asyncio.Event()
        placement.on_new_leader = renewed.set
        assert await placement.region_heartbeat(REPORT) is None
        await placement.store_heartbeat(StoreStats(1))
        assert not renewed.is_set()
        driver.host = "localhost"  # another name is another member
        placement._pd.forget_leader()
        await placement.store_heartbeat(StoreStats(1))
        assert renewed.is_set()
        before = len(driver.streams)
        assert await placement.region_heartbeat(REPORT) is None
        assert len(driver.streams) == before + 1

    run(test)


def test_refusals_that_are_answers() -> None:
    async def test(driver: Driver, placement: GrpcPlacement) -> None:
        store = StoreMeta(1, "127.0.0.1:20160")
        assert await placement.cluster_id() == 7
        assert await placement.bootstrap(store, REGION)
        assert not await placement.bootstrap(store, REGION)
        assert await placement.region_by_key(b"k") is None
        assert await placement.ask_batch_split(REGION, 2) == [
            NewRegionIds(100, (200, 300)),
            NewRegionIds(101, (201, 301)),
        ]
        with pytest.raises(PlacementRefused, match="UNIMPLEMENTED"):
            await placement.put_store(store)

    run(test)
