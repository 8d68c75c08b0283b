"""The placement driver as a store asks and tells it, over gRPC: `store.placement.PlacementClient`.

Region heartbeats share one stream. Our driver answers each of them at once, TiKV's only when it has something to ask;
both send steps of their own accord too. A step that comes while nobody waits for one goes to `on_step` at once: kept
for the region's next heartbeat it would be an old one by then.

The stream ends with the leadership of who answered: whoever leads next knows nothing of what was told on it, except
what its predecessor wrote down. `on_new_leader` hears of that, and should tell everything again.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Final, final

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
from raftly.base.region import Peer, Region, RegionEpoch, RegionId, StoreId
from raftly.base.store_meta import StoreMeta
from raftly.client.errors import NotDone, PlacementRefused
from raftly.client.pd import PdClient, PlacedRegion
from raftly.client.wire import peer_message, peer_of, region_message, region_of, store_message
from raftly.errors import RaftlyError
from raftly.proto import pdpb_pb2, pdpb_rpc
from raftly.rpc import ClientCall, RpcError
from raftly.server.store_stats import stats_message

__all__ = ["GrpcPlacement"]

ANSWER_S: Final = 0.5  # for an answer to a heartbeat; a driver that has nothing to ask may send none
MISSING: Final = frozenset({"REGION_NOT_FOUND", "NOT_BOOTSTRAPPED"})

_Stream = ClientCall[pdpb_pb2.RegionHeartbeatRequest, pdpb_pb2.RegionHeartbeatResponse]


@final
class GrpcPlacement:
    """Calls of one store. Raises what PdClient raises. `close` it."""

    def __init__(self, pd: PdClient) -> None:
        self.on_step: Callable[[Operator], None] = lambda _: None
        self.on_new_leader: Callable[[], None] = lambda: None
        self._pd = pd
        self._heartbeats = _Heartbeats(pd, self)

    async def close(self) -> None:
        """End the stream of heartbeats, and the client that was handed in."""
        await self._heartbeats.close()
        await self._pd.close()

    async def cluster_id(self) -> int:
        """Which cluster this is."""
        return self._pd.cluster_id or (await self._pd.members()).cluster_id

    # --- the cluster and its stores ---------------------------------------------------------------------------------

    async def is_bootstrapped(self) -> bool:
        """Does the cluster have its first region?"""
        return await self._pd.is_bootstrapped()

    async def bootstrap(self, store: StoreMeta, region: Region) -> bool:
        """Begin the cluster with this region on this store; False: somebody else did already.

        One whose answer was lost may find its own work: whoever is told False looks at what the cluster has.
        """
        request = pdpb_pb2.BootstrapRequest(store=store_message(store), region=region_message(region))
        try:
            await self._pd.call(pdpb_rpc.PD_BOOTSTRAP, request)
        except PlacementRefused as error:
            if error.kind != "ALREADY_BOOTSTRAPPED":
                raise
            return False
        return True

    async def alloc_id(self) -> int:
        """A number that nobody had before."""
        return (await self._pd.call(pdpb_rpc.PD_ALLOC_ID, pdpb_pb2.AllocIDRequest(count=1))).id

    async def put_store(self, store: StoreMeta) -> None:
        """Tell who and where this store is."""
        await self._pd.put_store(store_message(store))

    async def store_of(self, store_id: StoreId) -> StoreMeta | None:
        """Where a store is; None: nobody has heard of it."""
        try:
            return await self._pd.get_store(store_id)
        except PlacementRefused:
            if all(store.id != store_id for store in await self._pd.get_all_stores(tombstones=True)):
                return None
            raise

    async def stores(self) -> list[StoreMeta]:
        """All stores that are no tombstones."""
        return await self._pd.get_all_stores()

    # --- heartbeats -------------------------------------------------------------------------------------------------

    async def store_heartbeat(self, stats: StoreStats) -> None:
        """How this store does."""
        await self._pd.call(pdpb_rpc.PD_STORE_HEARTBEAT, pdpb_pb2.StoreHeartbeatRequest(stats=stats_message(stats)))
        self._heartbeats.follow_leader()

    async def region_heartbeat(self, report: RegionReport) -> Operator | None:
        """How a region fares that is led from here; what is to be done with it."""
        return await self._heartbeats.tell(report)

    # --- splits -----------------------------------------------------------------------------------------------------

    async def ask_batch_split(self, region: Region, count: int) -> list[NewRegionIds]:
        """Ids for so many regions that a split of `region` is to make."""
        request = pdpb_pb2.AskBatchSplitRequest(region=region_message(region), split_count=count)
        response = await self._pd.call(pdpb_rpc.PD_ASK_BATCH_SPLIT, request)
        return [NewRegionIds(ids.new_region_id, tuple(ids.new_peer_ids)) for ids in response.ids]

    async def report_batch_split(self, regions: Sequence[Region]) -> None:
        """A split made these."""
        request = pdpb_pb2.ReportBatchSplitRequest(regions=map(region_message, regions))
        await self._pd.call(pdpb_rpc.PD_REPORT_BATCH_SPLIT, request)

    # --- regions ----------------------------------------------------------------------------------------------------

    async def region_by_key(self, key: bytes) -> tuple[Region, Peer | None] | None:
        """The region that holds a key, and its leader; None: not known."""
        try:
            return _pair(await self._pd.get_region(key))
        except PlacementRefused as error:
            if error.kind not in MISSING:
                raise
            return None

    async def region_by_id(self, region_id: RegionId) -> tuple[Region, Peer | None] | None:
        """A region, and its leader; None: not known."""
        try:
            return _pair(await self._pd.get_region_by_id(region_id))
        except PlacementRefused as error:
            if error.kind not in MISSING:
                raise
            return None


@final
class _Heartbeats:
    """The stream of region heartbeats, made again when it breaks."""

    def __init__(self, pd: PdClient, owner: GrpcPlacement) -> None:
        self._pd = pd
        self._owner = owner  # has the callbacks, which are set later
        self._stream: _Stream | None = None
        self._leader = ""  # whom it is with
        self._answered = False  # did anybody hear what was told on it?
        self._reading: asyncio.Task[None] | None = None
        self._opening = asyncio.Lock()
        self._waiting: dict[RegionId, asyncio.Future[Operator | None]] = {}

    async def tell(self, report: RegionReport) -> Operator | None:
        region_id = report.region.id
        loop = asyncio.get_running_loop()
        asked: asyncio.Future[Operator | None] = loop.create_future()
        self._waiting[region_id] = asked
        try:
            stream = await self._open()
            await stream.send(_heartbeat(report, self._pd.cluster_id))
            async with asyncio.timeout(ANSWER_S):
                return await asked
        except TimeoutError:
            return None
        except RpcError as error:
            self._pd.forget_leader()
            raise NotDone("a region heartbeat", str(error)) from error
        finally:
            if self._waiting.get(region_id) is asked:
                del self._waiting[region_id]

    async def _open(self) -> _Stream:
        async with self._opening:
            if self._reading is None or self._reading.done() or self._stream is None:
                await self._end()
                self._stream = await self._pd.stream(pdpb_rpc.PD_REGION_HEARTBEAT)
                self._leader, self._answered = self._pd.leader, False
                self._reading = asyncio.create_task(self._read(self._stream))
            return self._stream

    async def _read(self, stream: _Stream) -> None:
        """Take answers until the stream ends; the next heartbeat makes another."""
        try:
            async with stream:
                async for response in stream:
                    if response.header.HasField("error"):
                        problem = f"the placement driver refuses heartbeats: {response.header.error.message}"
                        self._fail(NotDone("a region heartbeat", problem))
                        break
                    self._take(response)
        except (RaftlyError, ValueError) as error:  # it ended, or does not decode
            self._fail(NotDone("a region heartbeat", str(error)))
        self._pd.forget_leader()
        self._on_end()

    def follow_leader(self) -> None:
        """End a stream with somebody who leads no more, and is too far away to say so."""
        is_open = self._reading is not None and not self._reading.done()
        if self._reading is not None and is_open and self._pd.leader not in ("", self._leader):
            self._reading.cancel()
            self._stream = None
            self._fail(NotDone("a region heartbeat", "another member of the placement driver leads now"))
            self._on_end()

    def _on_end(self) -> None:
        if self._answered:  # else nobody heard anything that is to be told again
            self._answered = False
            self._owner.on_new_leader()

    def _take(self, response: pdpb_pb2.RegionHeartbeatResponse) -> None:
        operator = _operator(response)
        self._answered = True
        asked = self._waiting.get(response.region_id)
        if asked is not None and not asked.done():
            asked.set_result(operator)
        elif operator is not None:
            self._owner.on_step(operator)

    def _fail(self, error: RaftlyError) -> None:
        for asked in self._waiting.values():
            if not asked.done():
                asked.set_exception(error)
                asked.exception()  # seen, also when nobody waits any more

    async def _end(self) -> None:
        if self._reading is not None:
            self._reading.cancel()
            with suppress(asyncio.CancelledError):
                await self._reading
        self._reading = self._stream = None

    async def close(self) -> None:
        await self._end()


def _pair(placed: PlacedRegion) -> tuple[Region, Peer | None]:
    return placed.region, placed.leader


def _interval(seconds: int) -> pdpb_pb2.TimeInterval:
    return pdpb_pb2.TimeInterval(start_timestamp=0, end_timestamp=seconds)


def _heartbeat(report: RegionReport, cluster_id: int) -> pdpb_pb2.RegionHeartbeatRequest:
    return pdpb_pb2.RegionHeartbeatRequest(
        header=pdpb_pb2.RequestHeader(cluster_id=cluster_id),
        region=region_message(report.region),
        leader=peer_message(report.leader),
        term=report.term,
        approximate_size=report.approximate_bytes,
        approximate_keys=report.approximate_keys,
        bytes_written=report.bytes_written,
        keys_written=report.keys_written,
        bytes_read=report.bytes_read,
        keys_read=report.keys_read,
        interval=_interval(report.interval_s),
        down_peers=(
            pdpb_pb2.PeerStats(peer=peer_message(down.peer), down_seconds=down.down_s) for down in report.down_peers
        ),
        pending_peers=map(peer_message, report.pending_peers),
    )


def _operator(response: pdpb_pb2.RegionHeartbeatResponse) -> Operator | None:
    """What the driver asks for; None: nothing, or something that no store of ours does.

    Raises:
        DecodeError: a role that does not exist.
    """
    step = _step(response)
    if step is None:
        return None
    epoch = RegionEpoch(response.region_epoch.conf_ver, response.region_epoch.version)
    return Operator(response.region_id, epoch, peer_of(response.target_peer), step)


def _step(response: pdpb_pb2.RegionHeartbeatResponse) -> Step | None:
    if response.HasField("transfer_leader"):
        return TransferLeader(peer_of(response.transfer_leader.peer))
    if response.HasField("change_peer"):
        return ChangePeers((_change(response.change_peer),))
    if response.HasField("change_peer_v2"):
        return ChangePeers(tuple(map(_change, response.change_peer_v2.changes)))
    if response.HasField("split_region"):
        return SplitRegion(tuple(response.split_region.keys), SplitPolicy(int(response.split_region.policy)))
    if response.HasField("merge"):
        return MergeInto(region_of(response.merge.target))
    return None


def _change(message: pdpb_pb2.ChangePeer) -> PeerChange:
    return PeerChange(ChangeKind(int(message.change_type)), peer_of(message.peer))
