"""What a placement driver would say of a standalone store, so that clients find it: one member, one store, one region.

Only what a raw client asks for. Source: kvproto pdpb; which fields clients need is what they were seen to read.
"""

from __future__ import annotations

from typing import Final, final

from raftly.base.store_meta import StoreMeta
from raftly.client.wire import peer_message, region_message, store_message
from raftly.proto import pdpb_pb2 as pb
from raftly.proto import pdpb_rpc
from raftly.rpc import Service, bind
from raftly.rpc.service import files_of
from raftly.server.standalone import PEER, REGION

__all__ = ["standalone_pd"]

_MEMBER_ID: Final = 1


def standalone_pd(cluster_id: int, address: str) -> Service:
    """pdpb.PD for the store at `address`, "host:port" as clients reach it, on whose port this is served too."""
    handlers = _Handlers(cluster_id, address)
    return Service(
        pdpb_rpc.PD_GET_MEMBERS.service,
        [
            bind(pdpb_rpc.PD_GET_MEMBERS, handlers.get_members),
            bind(pdpb_rpc.PD_GET_REGION, handlers.get_region),
            bind(pdpb_rpc.PD_GET_PREV_REGION, handlers.get_prev_region),
            bind(pdpb_rpc.PD_GET_REGION_BY_ID, handlers.get_region_by_id),
            bind(pdpb_rpc.PD_SCAN_REGIONS, handlers.scan_regions),
            bind(pdpb_rpc.PD_GET_STORE, handlers.get_store),
            bind(pdpb_rpc.PD_GET_ALL_STORES, handlers.get_all_stores),
        ],
        files_of(pb.DESCRIPTOR),
    )


@final
class _Handlers:
    def __init__(self, cluster_id: int, address: str) -> None:
        self._header = pb.ResponseHeader(cluster_id=cluster_id)
        self._member = pb.Member(name="standalone", member_id=_MEMBER_ID, client_urls=[f"http://{address}"])
        self._store = store_message(StoreMeta(PEER.store_id, address))
        self._found = pb.GetRegionResponse(
            header=self._header, region=region_message(REGION), leader=peer_message(PEER)
        )

    async def get_members(self, _request: pb.GetMembersRequest) -> pb.GetMembersResponse:
        return pb.GetMembersResponse(header=self._header, members=[self._member], leader=self._member)

    async def get_region(self, _request: pb.GetRegionRequest) -> pb.GetRegionResponse:
        return self._found

    async def get_prev_region(self, _request: pb.GetRegionRequest) -> pb.GetRegionResponse:
        return pb.GetRegionResponse(header=self._header)  # nothing is before the first

    async def get_region_by_id(self, request: pb.GetRegionByIDRequest) -> pb.GetRegionResponse:
        return self._found if request.region_id == REGION.id else pb.GetRegionResponse(header=self._header)

    async def scan_regions(self, _request: pb.ScanRegionsRequest) -> pb.ScanRegionsResponse:
        region, leader = self._found.region, self._found.leader
        return pb.ScanRegionsResponse(
            header=self._header,
            region_metas=[region],
            leaders=[leader],
            regions=[pb.Region(region=region, leader=leader)],
        )

    async def get_store(self, request: pb.GetStoreRequest) -> pb.GetStoreResponse:
        if request.store_id != PEER.store_id:
            problem = f"there is no store {request.store_id}: this is standalone store {PEER.store_id}"
            error = pb.Error(type=pb.ErrorType.UNKNOWN, message=problem)
            return pb.GetStoreResponse(header=pb.ResponseHeader(cluster_id=self._header.cluster_id, error=error))
        return pb.GetStoreResponse(header=self._header, store=self._store)

    async def get_all_stores(self, _request: pb.GetAllStoresRequest) -> pb.GetAllStoresResponse:
        return pb.GetAllStoresResponse(header=self._header, stores=[self._store])
