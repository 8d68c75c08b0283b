"""pdpb.PD: safe points, old style and new. All keyspaces are one here: API v1 knows no others."""

from __future__ import annotations

from typing import Final, final

from raftly.pd.placement import Placement
from raftly.proto import pdpb_pb2 as pb
from raftly.proto import pdpb_rpc
from raftly.rpc.service import Bound
from raftly.server.pd_edge import Edge

NULL_KEYSPACE: Final = 0xFFFFFFFF


@final
class GcHandlers:
    """See the module."""

    def __init__(self, edge: Edge) -> None:
        self._edge = edge
        self._member = edge.member

    def bound(self) -> list[Bound]:
        """All of them."""
        unary = self._edge.unary
        return [
            unary(pdpb_rpc.PD_GET_GC_SAFE_POINT, self.get_gc_safe_point),
            unary(pdpb_rpc.PD_UPDATE_GC_SAFE_POINT, self.update_gc_safe_point),
            unary(pdpb_rpc.PD_UPDATE_SERVICE_GC_SAFE_POINT, self.update_service_gc_safe_point),
            unary(pdpb_rpc.PD_GET_GC_STATE, self.get_gc_state),
            unary(pdpb_rpc.PD_ADVANCE_TXN_SAFE_POINT, self.advance_txn_safe_point),
            unary(pdpb_rpc.PD_ADVANCE_GC_SAFE_POINT, self.advance_gc_safe_point),
            unary(pdpb_rpc.PD_SET_GC_BARRIER, self.set_gc_barrier),
            unary(pdpb_rpc.PD_DELETE_GC_BARRIER, self.delete_gc_barrier),
        ]

    async def get_gc_safe_point(self, request: pb.GetGCSafePointRequest) -> pb.GetGCSafePointResponse:
        _, gc, _ = await self._member.node.ask(Placement.gc_state)
        return pb.GetGCSafePointResponse(safe_point=gc)

    async def update_gc_safe_point(self, request: pb.UpdateGCSafePointRequest) -> pb.UpdateGCSafePointResponse:
        """One that would go back changes nothing, and the answer tells what is."""
        after = await self._member.call(Placement.update_gc_safe_point, request.safe_point)
        return pb.UpdateGCSafePointResponse(new_safe_point=after)

    async def update_service_gc_safe_point(
        self, request: pb.UpdateServiceGCSafePointRequest
    ) -> pb.UpdateServiceGCSafePointResponse:
        service = request.service_id.decode("utf-8", "replace")
        name, ttl_s, lowest = await self._member.call(
            Placement.update_service_safe_point, service, request.safe_point, request.TTL
        )
        return pb.UpdateServiceGCSafePointResponse(service_id=name.encode(), TTL=ttl_s, min_safe_point=lowest)

    async def get_gc_state(self, request: pb.GetGCStateRequest) -> pb.GetGCStateResponse:
        txn, gc, barriers = await self._member.node.ask(Placement.gc_state)
        shown = {} if request.exclude_gc_barriers else barriers
        return pb.GetGCStateResponse(
            gc_state=pb.GCState(
                keyspace_scope=pb.KeyspaceScope(keyspace_id=NULL_KEYSPACE),
                txn_safe_point=txn,
                gc_safe_point=gc,
                gc_barriers=[_barrier(name, ts, ttl_s) for name, (ts, ttl_s) in shown.items()],
            )
        )

    async def advance_txn_safe_point(self, request: pb.AdvanceTxnSafePointRequest) -> pb.AdvanceTxnSafePointResponse:
        before, after, blocker = await self._member.call(Placement.advance_txn_safe_point, request.target)
        return pb.AdvanceTxnSafePointResponse(
            old_txn_safe_point=before, new_txn_safe_point=after, blocker_description=blocker
        )

    async def advance_gc_safe_point(self, request: pb.AdvanceGCSafePointRequest) -> pb.AdvanceGCSafePointResponse:
        before, after = await self._member.call(Placement.advance_gc_safe_point, request.target)
        return pb.AdvanceGCSafePointResponse(old_gc_safe_point=before, new_gc_safe_point=after)

    async def set_gc_barrier(self, request: pb.SetGCBarrierRequest) -> pb.SetGCBarrierResponse:
        await self._member.call(Placement.set_gc_barrier, request.barrier_id, request.barrier_ts, request.ttl_seconds)
        told = _barrier(request.barrier_id, request.barrier_ts, request.ttl_seconds)
        return pb.SetGCBarrierResponse(new_barrier_info=told)

    async def delete_gc_barrier(self, request: pb.DeleteGCBarrierRequest) -> pb.DeleteGCBarrierResponse:
        found = await self._member.call(Placement.delete_gc_barrier, request.barrier_id)
        if found is None:
            return pb.DeleteGCBarrierResponse()
        return pb.DeleteGCBarrierResponse(deleted_barrier_info=_barrier(request.barrier_id, *found))


def _barrier(name: str, ts: int, ttl_s: int) -> pb.GCBarrierInfo:
    return pb.GCBarrierInfo(barrier_id=name, barrier_ts=ts, ttl_seconds=ttl_s)
