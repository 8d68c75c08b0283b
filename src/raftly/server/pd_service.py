"""pdpb.PD: the placement driver's members, numbers, stores and heartbeats. `pd_regions` and `pd_gc` have the rest.

A member that does not lead answers GetMembers, which names who does, and refuses the rest with UNAVAILABLE "not
leader". A header is in every answer, its `error` only where something was refused: clients take its mere presence for
failure.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from functools import partial
from typing import Final, TypeAlias, final

from raftly.base.heartbeats import RegionReport
from raftly.base.operators import Operator
from raftly.base.region import StoreId, encode_region
from raftly.base.store_meta import StoreState
from raftly.client.wire import region_of, store_message, store_of
from raftly.errors import RaftlyError
from raftly.pd.errors import Refused
from raftly.pd.member import Member
from raftly.pd.placement import MemberRow, row_of
from raftly.pd.region_tree import StaleRegion
from raftly.pd.tso import Timestamp
from raftly.proto import metapb_pb2, pdpb_rpc
from raftly.proto import pdpb_pb2 as pb
from raftly.rpc import RpcError, Service, StatusCode, bind
from raftly.rpc.service import Bound, files_of
from raftly.server.pd_edge import PATIENCE_S, Edge, report_of, status_of, step_message
from raftly.server.pd_gc import GcHandlers
from raftly.server.pd_regions import RegionHandlers
from raftly.server.store_stats import stats_message, stats_of

__all__ = ["pd_service"]

_OUTBOX_MAX: Final = 1024
_POLL_S: Final = 0.02
_Outbox: TypeAlias = "asyncio.Queue[pb.RegionHeartbeatResponse | None]"


def pd_service(member: Member) -> Service:
    """The service of one member."""
    edge = Edge(member)
    handlers = [ClusterHandlers(edge).bound(), Heartbeats(edge).bound()]
    handlers += [RegionHandlers(edge).bound(), GcHandlers(edge).bound()]
    return Service(pdpb_rpc.PD_TSO.service, [each for group in handlers for each in group], files_of(pb.DESCRIPTOR))


@final
class ClusterHandlers:
    """Members, numbers, stores."""

    def __init__(self, edge: Edge) -> None:
        self._edge = edge
        self._member = edge.member

    def bound(self) -> list[Bound]:
        """All of them."""
        unary = self._edge.unary
        return [
            unary(pdpb_rpc.PD_GET_MEMBERS, self.get_members),
            unary(pdpb_rpc.PD_GET_CLUSTER_INFO, self.get_cluster_info),
            bind(pdpb_rpc.PD_TSO, self.tso),
            unary(pdpb_rpc.PD_GET_MIN_TS, self.get_min_ts),
            unary(pdpb_rpc.PD_ALLOC_ID, self.alloc_id),
            unary(pdpb_rpc.PD_BOOTSTRAP, self.bootstrap),
            unary(pdpb_rpc.PD_IS_BOOTSTRAPPED, self.is_bootstrapped),
            unary(pdpb_rpc.PD_GET_CLUSTER_CONFIG, self.get_cluster_config),
            unary(pdpb_rpc.PD_GET_STORE, self.get_store),
            unary(pdpb_rpc.PD_PUT_STORE, self.put_store),
            unary(pdpb_rpc.PD_GET_ALL_STORES, self.get_all_stores),
        ]

    # --- members ----------------------------------------------------------------------------------------------------

    async def get_members(self, request: pb.GetMembersRequest) -> pb.GetMembersResponse:
        """Never without a leader: clients break if there is none, so they wait or hear that there is none."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + PATIENCE_S
        while (leader := self._leader_row()) is None:
            if loop.time() >= deadline:
                raise RpcError(StatusCode.UNAVAILABLE, "no leader of the placement driver is known")
            await asyncio.sleep(_POLL_S)
        there = set(self._member.node.membership().value.all())  # who was removed is not
        members = [_member_message(row) for id_, row in sorted(self._member.state.members.items()) if id_ in there]
        named = _member_message(leader)
        return pb.GetMembersResponse(header=self._edge.header(), members=members, leader=named, etcd_leader=named)

    def _leader_row(self) -> MemberRow | None:
        if self._member.node.failure is not None:
            return None  # it was removed: what it knows is of the past
        state = self._member.state
        leadership = self._member.node.leadership().value
        return state.members.get(leadership.leader) if state.cluster_id else None

    async def get_cluster_info(self, request: pb.GetClusterInfoRequest) -> pb.GetClusterInfoResponse:
        return pb.GetClusterInfoResponse(serviceModes=[pb.ServiceMode.PD_SVC_MODE])

    # --- numbers ----------------------------------------------------------------------------------------------------

    async def tso(self, requests: AsyncIterator[pb.TsoRequest]) -> AsyncIterator[pb.TsoResponse]:
        """One answer a request, in order."""
        async for request in requests:
            try:
                self._edge.check(request.header)
                last = await self._edge.ready(partial(self._member.timestamps, request.count))
            except RaftlyError as error:
                raise status_of(error) from error
            yield pb.TsoResponse(header=self._edge.header(), count=request.count, timestamp=_timestamp(last))

    async def get_min_ts(self, request: pb.GetMinTSRequest) -> pb.GetMinTSResponse:
        return pb.GetMinTSResponse(timestamp=_timestamp(await self._member.timestamps(1)))

    async def alloc_id(self, request: pb.AllocIDRequest) -> pb.AllocIDResponse:
        """The answer names the last of the ids, as the timestamps' does."""
        count = request.count or 1
        first = await self._member.alloc_ids(count)
        return pb.AllocIDResponse(id=first + count - 1, count=count)

    # --- the cluster and its stores ---------------------------------------------------------------------------------

    async def bootstrap(self, request: pb.BootstrapRequest) -> pb.BootstrapResponse:
        store, region = store_of(request.store), region_of(request.region)
        await self._member.bootstrap(row_of(store), encode_region(region))
        return pb.BootstrapResponse()

    async def is_bootstrapped(self, request: pb.IsBootstrappedRequest) -> pb.IsBootstrappedResponse:
        self._member.leader()
        return pb.IsBootstrappedResponse(bootstrapped=self._member.state.is_bootstrapped)

    async def get_cluster_config(self, request: pb.GetClusterConfigRequest) -> pb.GetClusterConfigResponse:
        self._member.leader()
        state = self._member.state
        cluster = metapb_pb2.Cluster(id=state.cluster_id, max_peer_count=state.config.max_replicas)
        return pb.GetClusterConfigResponse(cluster=cluster)

    async def put_store(self, request: pb.PutStoreRequest) -> pb.PutStoreResponse:
        store = store_of(request.store)
        if not store.id or not store.address:
            raise Refused("INVALID_VALUE", "a store needs an id and an address")
        await self._member.put_store(row_of(store))
        return pb.PutStoreResponse()

    async def get_store(self, request: pb.GetStoreRequest) -> pb.GetStoreResponse:
        leader = self._member.leader()
        row = self._member.state.stores.get(request.store_id)
        if row is None:
            raise Refused("UNKNOWN", f"invalid store ID {request.store_id}, not found")
        info = leader.cluster.stores.get(request.store_id)
        stats = None if info is None else stats_message(info.stats)
        return pb.GetStoreResponse(store=store_message(row.meta()), stats=stats)

    async def get_all_stores(self, request: pb.GetAllStoresRequest) -> pb.GetAllStoresResponse:
        self._member.leader()
        metas = [row.meta() for _, row in sorted(self._member.state.stores.items())]
        if request.exclude_tombstone_stores:
            metas = [meta for meta in metas if meta.state is not StoreState.TOMBSTONE]
        return pb.GetAllStoresResponse(stores=map(store_message, metas))


@final
class Heartbeats:
    """What stores tell, and what they are asked to do.

    A region heartbeat is answered at once, with a step for the region or with its id alone. A step of a plan that was
    just made comes by itself, on the stream on which its store spoke last. A stream ends with the term of the leader
    that heard what was told on it, so that stores tell the next one all of it.
    """

    def __init__(self, edge: Edge) -> None:
        self._edge = edge
        self._member = edge.member
        self._streams: dict[StoreId, _Outbox] = {}
        self._readings: set[asyncio.Task[None]] = set()
        edge.member.on_steps = self._push
        edge.member.on_term_end = self._on_term_end

    def bound(self) -> list[Bound]:
        """All of them."""
        return [
            self._edge.unary(pdpb_rpc.PD_STORE_HEARTBEAT, self.store_heartbeat),
            bind(pdpb_rpc.PD_REGION_HEARTBEAT, self.region_heartbeat),
        ]

    async def store_heartbeat(self, request: pb.StoreHeartbeatRequest) -> pb.StoreHeartbeatResponse:
        self._member.store_heartbeat(stats_of(request.stats))
        return pb.StoreHeartbeatResponse()

    async def region_heartbeat(
        self, requests: AsyncIterator[pb.RegionHeartbeatRequest]
    ) -> AsyncIterator[pb.RegionHeartbeatResponse]:
        outbox: _Outbox = asyncio.Queue(_OUTBOX_MAX)
        reading = asyncio.create_task(self._read(requests, outbox))
        reading.add_done_callback(lambda _: _wake(outbox))
        self._readings.add(reading)
        try:
            while not (reading.done() and outbox.empty()):
                response = await outbox.get()
                if response is not None:  # None only wakes
                    yield response
            if reading.cancelled():
                raise RpcError(StatusCode.UNAVAILABLE, "not leader")
            await reading  # raises why it ended
        finally:
            reading.cancel()
            self._readings.discard(reading)
            for store_id in [store_id for store_id, queue in self._streams.items() if queue is outbox]:
                del self._streams[store_id]

    def _on_term_end(self) -> None:
        for reading in self._readings:
            reading.cancel()

    async def _read(self, requests: AsyncIterator[pb.RegionHeartbeatRequest], outbox: _Outbox) -> None:
        async for request in requests:
            await outbox.put(await self._answer(request, outbox))

    async def _answer(self, request: pb.RegionHeartbeatRequest, outbox: _Outbox) -> pb.RegionHeartbeatResponse:
        empty = pb.RegionHeartbeatResponse(header=self._edge.header(), region_id=request.region.id)
        try:
            self._edge.check(request.header)
            report = report_of(request)
            step = await self._edge.ready(lambda: _soon(self._member, report))
        except (StaleRegion, Refused):
            return empty  # of one region; the others on this stream are none the worse
        except RaftlyError as error:
            raise status_of(error) from error
        self._streams[report.leader.store_id] = outbox
        return empty if step is None else step_message(step, self._edge.header())

    def _push(self, steps: Sequence[Operator]) -> None:
        for step in steps:
            outbox = self._streams.get(step.leader.store_id)
            if outbox is not None and not outbox.full():
                outbox.put_nowait(step_message(step, self._edge.header()))


def _wake(outbox: _Outbox) -> None:
    if not outbox.full():  # else whoever takes from it is awake
        outbox.put_nowait(None)


async def _soon(member: Member, report: RegionReport) -> Operator | None:
    return member.region_heartbeat(report)


def _member_message(row: MemberRow) -> pb.Member:
    return pb.Member(name=row.name, member_id=row.id, client_urls=row.client_urls, peer_urls=row.peer_urls)


def _timestamp(last: Timestamp) -> pb.Timestamp:
    return pb.Timestamp(physical=last.physical_ms, logical=last.logical)
