"""Services of raftly/proto/pdpb.proto. Written by raftly.rpc.codegen; do not edit."""

from __future__ import annotations

from collections.abc import AsyncIterator, Coroutine
from typing import Final, Protocol, Unpack

from raftly.rpc.channel import CallOptions, Channel
from raftly.rpc.client_call import ClientCall
from raftly.rpc.service import (
    Kind,
    Method,
    Service,
    StreamHandler,
    StreamStreamHandler,
    StreamUnaryHandler,
    UnaryHandler,
    bind,
    files_of,
)
from raftly.proto import pdpb_pb2


PD_GET_CLUSTER_INFO: Final[Method[pdpb_pb2.GetClusterInfoRequest, pdpb_pb2.GetClusterInfoResponse]] = Method(
    service="pdpb.PD",
    name="GetClusterInfo",
    kind=Kind.UNARY_UNARY,
    encode_request=pdpb_pb2.GetClusterInfoRequest.SerializeToString,
    decode_request=pdpb_pb2.GetClusterInfoRequest.FromString,
    encode_response=pdpb_pb2.GetClusterInfoResponse.SerializeToString,
    decode_response=pdpb_pb2.GetClusterInfoResponse.FromString,
)
PD_GET_MEMBERS: Final[Method[pdpb_pb2.GetMembersRequest, pdpb_pb2.GetMembersResponse]] = Method(
    service="pdpb.PD",
    name="GetMembers",
    kind=Kind.UNARY_UNARY,
    encode_request=pdpb_pb2.GetMembersRequest.SerializeToString,
    decode_request=pdpb_pb2.GetMembersRequest.FromString,
    encode_response=pdpb_pb2.GetMembersResponse.SerializeToString,
    decode_response=pdpb_pb2.GetMembersResponse.FromString,
)
PD_TSO: Final[Method[pdpb_pb2.TsoRequest, pdpb_pb2.TsoResponse]] = Method(
    service="pdpb.PD",
    name="Tso",
    kind=Kind.STREAM_STREAM,
    encode_request=pdpb_pb2.TsoRequest.SerializeToString,
    decode_request=pdpb_pb2.TsoRequest.FromString,
    encode_response=pdpb_pb2.TsoResponse.SerializeToString,
    decode_response=pdpb_pb2.TsoResponse.FromString,
)
PD_BOOTSTRAP: Final[Method[pdpb_pb2.BootstrapRequest, pdpb_pb2.BootstrapResponse]] = Method(
    service="pdpb.PD",
    name="Bootstrap",
    kind=Kind.UNARY_UNARY,
    encode_request=pdpb_pb2.BootstrapRequest.SerializeToString,
    decode_request=pdpb_pb2.BootstrapRequest.FromString,
    encode_response=pdpb_pb2.BootstrapResponse.SerializeToString,
    decode_response=pdpb_pb2.BootstrapResponse.FromString,
)
PD_IS_BOOTSTRAPPED: Final[Method[pdpb_pb2.IsBootstrappedRequest, pdpb_pb2.IsBootstrappedResponse]] = Method(
    service="pdpb.PD",
    name="IsBootstrapped",
    kind=Kind.UNARY_UNARY,
    encode_request=pdpb_pb2.IsBootstrappedRequest.SerializeToString,
    decode_request=pdpb_pb2.IsBootstrappedRequest.FromString,
    encode_response=pdpb_pb2.IsBootstrappedResponse.SerializeToString,
    decode_response=pdpb_pb2.IsBootstrappedResponse.FromString,
)
PD_ALLOC_ID: Final[Method[pdpb_pb2.AllocIDRequest, pdpb_pb2.AllocIDResponse]] = Method(
    service="pdpb.PD",
    name="AllocID",
    kind=Kind.UNARY_UNARY,
    encode_request=pdpb_pb2.AllocIDRequest.SerializeToString,
    decode_request=pdpb_pb2.AllocIDRequest.FromString,
    encode_response=pdpb_pb2.AllocIDResponse.SerializeToString,
    decode_response=pdpb_pb2.AllocIDResponse.FromString,
)
PD_IS_SNAPSHOT_RECOVERING: Final[Method[pdpb_pb2.IsSnapshotRecoveringRequest, pdpb_pb2.IsSnapshotRecoveringResponse]] = Method(
    service="pdpb.PD",
    name="IsSnapshotRecovering",
    kind=Kind.UNARY_UNARY,
    encode_request=pdpb_pb2.IsSnapshotRecoveringRequest.SerializeToString,
    decode_request=pdpb_pb2.IsSnapshotRecoveringRequest.FromString,
    encode_response=pdpb_pb2.IsSnapshotRecoveringResponse.SerializeToString,
    decode_response=pdpb_pb2.IsSnapshotRecoveringResponse.FromString,
)
PD_GET_STORE: Final[Method[pdpb_pb2.GetStoreRequest, pdpb_pb2.GetStoreResponse]] = Method(
    service="pdpb.PD",
    name="GetStore",
    kind=Kind.UNARY_UNARY,
    encode_request=pdpb_pb2.GetStoreRequest.SerializeToString,
    decode_request=pdpb_pb2.GetStoreRequest.FromString,
    encode_response=pdpb_pb2.GetStoreResponse.SerializeToString,
    decode_response=pdpb_pb2.GetStoreResponse.FromString,
)
PD_PUT_STORE: Final[Method[pdpb_pb2.PutStoreRequest, pdpb_pb2.PutStoreResponse]] = Method(
    service="pdpb.PD",
    name="PutStore",
    kind=Kind.UNARY_UNARY,
    encode_request=pdpb_pb2.PutStoreRequest.SerializeToString,
    decode_request=pdpb_pb2.PutStoreRequest.FromString,
    encode_response=pdpb_pb2.PutStoreResponse.SerializeToString,
    decode_response=pdpb_pb2.PutStoreResponse.FromString,
)
PD_GET_ALL_STORES: Final[Method[pdpb_pb2.GetAllStoresRequest, pdpb_pb2.GetAllStoresResponse]] = Method(
    service="pdpb.PD",
    name="GetAllStores",
    kind=Kind.UNARY_UNARY,
    encode_request=pdpb_pb2.GetAllStoresRequest.SerializeToString,
    decode_request=pdpb_pb2.GetAllStoresRequest.FromString,
    encode_response=pdpb_pb2.GetAllStoresResponse.SerializeToString,
    decode_response=pdpb_pb2.GetAllStoresResponse.FromString,
)
PD_STORE_HEARTBEAT: Final[Method[pdpb_pb2.StoreHeartbeatRequest, pdpb_pb2.StoreHeartbeatResponse]] = Method(
    service="pdpb.PD",
    name="StoreHeartbeat",
    kind=Kind.UNARY_UNARY,
    encode_request=pdpb_pb2.StoreHeartbeatRequest.SerializeToString,
    decode_request=pdpb_pb2.StoreHeartbeatRequest.FromString,
    encode_response=pdpb_pb2.StoreHeartbeatResponse.SerializeToString,
    decode_response=pdpb_pb2.StoreHeartbeatResponse.FromString,
)
PD_REGION_HEARTBEAT: Final[Method[pdpb_pb2.RegionHeartbeatRequest, pdpb_pb2.RegionHeartbeatResponse]] = Method(
    service="pdpb.PD",
    name="RegionHeartbeat",
    kind=Kind.STREAM_STREAM,
    encode_request=pdpb_pb2.RegionHeartbeatRequest.SerializeToString,
    decode_request=pdpb_pb2.RegionHeartbeatRequest.FromString,
    encode_response=pdpb_pb2.RegionHeartbeatResponse.SerializeToString,
    decode_response=pdpb_pb2.RegionHeartbeatResponse.FromString,
)
PD_GET_REGION: Final[Method[pdpb_pb2.GetRegionRequest, pdpb_pb2.GetRegionResponse]] = Method(
    service="pdpb.PD",
    name="GetRegion",
    kind=Kind.UNARY_UNARY,
    encode_request=pdpb_pb2.GetRegionRequest.SerializeToString,
    decode_request=pdpb_pb2.GetRegionRequest.FromString,
    encode_response=pdpb_pb2.GetRegionResponse.SerializeToString,
    decode_response=pdpb_pb2.GetRegionResponse.FromString,
)
PD_GET_PREV_REGION: Final[Method[pdpb_pb2.GetRegionRequest, pdpb_pb2.GetRegionResponse]] = Method(
    service="pdpb.PD",
    name="GetPrevRegion",
    kind=Kind.UNARY_UNARY,
    encode_request=pdpb_pb2.GetRegionRequest.SerializeToString,
    decode_request=pdpb_pb2.GetRegionRequest.FromString,
    encode_response=pdpb_pb2.GetRegionResponse.SerializeToString,
    decode_response=pdpb_pb2.GetRegionResponse.FromString,
)
PD_GET_REGION_BY_ID: Final[Method[pdpb_pb2.GetRegionByIDRequest, pdpb_pb2.GetRegionResponse]] = Method(
    service="pdpb.PD",
    name="GetRegionByID",
    kind=Kind.UNARY_UNARY,
    encode_request=pdpb_pb2.GetRegionByIDRequest.SerializeToString,
    decode_request=pdpb_pb2.GetRegionByIDRequest.FromString,
    encode_response=pdpb_pb2.GetRegionResponse.SerializeToString,
    decode_response=pdpb_pb2.GetRegionResponse.FromString,
)
PD_QUERY_REGION: Final[Method[pdpb_pb2.QueryRegionRequest, pdpb_pb2.QueryRegionResponse]] = Method(
    service="pdpb.PD",
    name="QueryRegion",
    kind=Kind.STREAM_STREAM,
    encode_request=pdpb_pb2.QueryRegionRequest.SerializeToString,
    decode_request=pdpb_pb2.QueryRegionRequest.FromString,
    encode_response=pdpb_pb2.QueryRegionResponse.SerializeToString,
    decode_response=pdpb_pb2.QueryRegionResponse.FromString,
)
PD_SCAN_REGIONS: Final[Method[pdpb_pb2.ScanRegionsRequest, pdpb_pb2.ScanRegionsResponse]] = Method(
    service="pdpb.PD",
    name="ScanRegions",
    kind=Kind.UNARY_UNARY,
    encode_request=pdpb_pb2.ScanRegionsRequest.SerializeToString,
    decode_request=pdpb_pb2.ScanRegionsRequest.FromString,
    encode_response=pdpb_pb2.ScanRegionsResponse.SerializeToString,
    decode_response=pdpb_pb2.ScanRegionsResponse.FromString,
)
PD_BATCH_SCAN_REGIONS: Final[Method[pdpb_pb2.BatchScanRegionsRequest, pdpb_pb2.BatchScanRegionsResponse]] = Method(
    service="pdpb.PD",
    name="BatchScanRegions",
    kind=Kind.UNARY_UNARY,
    encode_request=pdpb_pb2.BatchScanRegionsRequest.SerializeToString,
    decode_request=pdpb_pb2.BatchScanRegionsRequest.FromString,
    encode_response=pdpb_pb2.BatchScanRegionsResponse.SerializeToString,
    decode_response=pdpb_pb2.BatchScanRegionsResponse.FromString,
)
PD_ASK_SPLIT: Final[Method[pdpb_pb2.AskSplitRequest, pdpb_pb2.AskSplitResponse]] = Method(
    service="pdpb.PD",
    name="AskSplit",
    kind=Kind.UNARY_UNARY,
    encode_request=pdpb_pb2.AskSplitRequest.SerializeToString,
    decode_request=pdpb_pb2.AskSplitRequest.FromString,
    encode_response=pdpb_pb2.AskSplitResponse.SerializeToString,
    decode_response=pdpb_pb2.AskSplitResponse.FromString,
)
PD_REPORT_SPLIT: Final[Method[pdpb_pb2.ReportSplitRequest, pdpb_pb2.ReportSplitResponse]] = Method(
    service="pdpb.PD",
    name="ReportSplit",
    kind=Kind.UNARY_UNARY,
    encode_request=pdpb_pb2.ReportSplitRequest.SerializeToString,
    decode_request=pdpb_pb2.ReportSplitRequest.FromString,
    encode_response=pdpb_pb2.ReportSplitResponse.SerializeToString,
    decode_response=pdpb_pb2.ReportSplitResponse.FromString,
)
PD_ASK_BATCH_SPLIT: Final[Method[pdpb_pb2.AskBatchSplitRequest, pdpb_pb2.AskBatchSplitResponse]] = Method(
    service="pdpb.PD",
    name="AskBatchSplit",
    kind=Kind.UNARY_UNARY,
    encode_request=pdpb_pb2.AskBatchSplitRequest.SerializeToString,
    decode_request=pdpb_pb2.AskBatchSplitRequest.FromString,
    encode_response=pdpb_pb2.AskBatchSplitResponse.SerializeToString,
    decode_response=pdpb_pb2.AskBatchSplitResponse.FromString,
)
PD_REPORT_BATCH_SPLIT: Final[Method[pdpb_pb2.ReportBatchSplitRequest, pdpb_pb2.ReportBatchSplitResponse]] = Method(
    service="pdpb.PD",
    name="ReportBatchSplit",
    kind=Kind.UNARY_UNARY,
    encode_request=pdpb_pb2.ReportBatchSplitRequest.SerializeToString,
    decode_request=pdpb_pb2.ReportBatchSplitRequest.FromString,
    encode_response=pdpb_pb2.ReportBatchSplitResponse.SerializeToString,
    decode_response=pdpb_pb2.ReportBatchSplitResponse.FromString,
)
PD_GET_CLUSTER_CONFIG: Final[Method[pdpb_pb2.GetClusterConfigRequest, pdpb_pb2.GetClusterConfigResponse]] = Method(
    service="pdpb.PD",
    name="GetClusterConfig",
    kind=Kind.UNARY_UNARY,
    encode_request=pdpb_pb2.GetClusterConfigRequest.SerializeToString,
    decode_request=pdpb_pb2.GetClusterConfigRequest.FromString,
    encode_response=pdpb_pb2.GetClusterConfigResponse.SerializeToString,
    decode_response=pdpb_pb2.GetClusterConfigResponse.FromString,
)
PD_PUT_CLUSTER_CONFIG: Final[Method[pdpb_pb2.PutClusterConfigRequest, pdpb_pb2.PutClusterConfigResponse]] = Method(
    service="pdpb.PD",
    name="PutClusterConfig",
    kind=Kind.UNARY_UNARY,
    encode_request=pdpb_pb2.PutClusterConfigRequest.SerializeToString,
    decode_request=pdpb_pb2.PutClusterConfigRequest.FromString,
    encode_response=pdpb_pb2.PutClusterConfigResponse.SerializeToString,
    decode_response=pdpb_pb2.PutClusterConfigResponse.FromString,
)
PD_SCATTER_REGION: Final[Method[pdpb_pb2.ScatterRegionRequest, pdpb_pb2.ScatterRegionResponse]] = Method(
    service="pdpb.PD",
    name="ScatterRegion",
    kind=Kind.UNARY_UNARY,
    encode_request=pdpb_pb2.ScatterRegionRequest.SerializeToString,
    decode_request=pdpb_pb2.ScatterRegionRequest.FromString,
    encode_response=pdpb_pb2.ScatterRegionResponse.SerializeToString,
    decode_response=pdpb_pb2.ScatterRegionResponse.FromString,
)
PD_GET_GC_SAFE_POINT: Final[Method[pdpb_pb2.GetGCSafePointRequest, pdpb_pb2.GetGCSafePointResponse]] = Method(
    service="pdpb.PD",
    name="GetGCSafePoint",
    kind=Kind.UNARY_UNARY,
    encode_request=pdpb_pb2.GetGCSafePointRequest.SerializeToString,
    decode_request=pdpb_pb2.GetGCSafePointRequest.FromString,
    encode_response=pdpb_pb2.GetGCSafePointResponse.SerializeToString,
    decode_response=pdpb_pb2.GetGCSafePointResponse.FromString,
)
PD_UPDATE_GC_SAFE_POINT: Final[Method[pdpb_pb2.UpdateGCSafePointRequest, pdpb_pb2.UpdateGCSafePointResponse]] = Method(
    service="pdpb.PD",
    name="UpdateGCSafePoint",
    kind=Kind.UNARY_UNARY,
    encode_request=pdpb_pb2.UpdateGCSafePointRequest.SerializeToString,
    decode_request=pdpb_pb2.UpdateGCSafePointRequest.FromString,
    encode_response=pdpb_pb2.UpdateGCSafePointResponse.SerializeToString,
    decode_response=pdpb_pb2.UpdateGCSafePointResponse.FromString,
)
PD_UPDATE_SERVICE_GC_SAFE_POINT: Final[Method[pdpb_pb2.UpdateServiceGCSafePointRequest, pdpb_pb2.UpdateServiceGCSafePointResponse]] = Method(
    service="pdpb.PD",
    name="UpdateServiceGCSafePoint",
    kind=Kind.UNARY_UNARY,
    encode_request=pdpb_pb2.UpdateServiceGCSafePointRequest.SerializeToString,
    decode_request=pdpb_pb2.UpdateServiceGCSafePointRequest.FromString,
    encode_response=pdpb_pb2.UpdateServiceGCSafePointResponse.SerializeToString,
    decode_response=pdpb_pb2.UpdateServiceGCSafePointResponse.FromString,
)
PD_GET_GC_SAFE_POINT_V2: Final[Method[pdpb_pb2.GetGCSafePointV2Request, pdpb_pb2.GetGCSafePointV2Response]] = Method(
    service="pdpb.PD",
    name="GetGCSafePointV2",
    kind=Kind.UNARY_UNARY,
    encode_request=pdpb_pb2.GetGCSafePointV2Request.SerializeToString,
    decode_request=pdpb_pb2.GetGCSafePointV2Request.FromString,
    encode_response=pdpb_pb2.GetGCSafePointV2Response.SerializeToString,
    decode_response=pdpb_pb2.GetGCSafePointV2Response.FromString,
)
PD_WATCH_GC_SAFE_POINT_V2: Final[Method[pdpb_pb2.WatchGCSafePointV2Request, pdpb_pb2.WatchGCSafePointV2Response]] = Method(
    service="pdpb.PD",
    name="WatchGCSafePointV2",
    kind=Kind.UNARY_STREAM,
    encode_request=pdpb_pb2.WatchGCSafePointV2Request.SerializeToString,
    decode_request=pdpb_pb2.WatchGCSafePointV2Request.FromString,
    encode_response=pdpb_pb2.WatchGCSafePointV2Response.SerializeToString,
    decode_response=pdpb_pb2.WatchGCSafePointV2Response.FromString,
)
PD_UPDATE_GC_SAFE_POINT_V2: Final[Method[pdpb_pb2.UpdateGCSafePointV2Request, pdpb_pb2.UpdateGCSafePointV2Response]] = Method(
    service="pdpb.PD",
    name="UpdateGCSafePointV2",
    kind=Kind.UNARY_UNARY,
    encode_request=pdpb_pb2.UpdateGCSafePointV2Request.SerializeToString,
    decode_request=pdpb_pb2.UpdateGCSafePointV2Request.FromString,
    encode_response=pdpb_pb2.UpdateGCSafePointV2Response.SerializeToString,
    decode_response=pdpb_pb2.UpdateGCSafePointV2Response.FromString,
)
PD_UPDATE_SERVICE_SAFE_POINT_V2: Final[Method[pdpb_pb2.UpdateServiceSafePointV2Request, pdpb_pb2.UpdateServiceSafePointV2Response]] = Method(
    service="pdpb.PD",
    name="UpdateServiceSafePointV2",
    kind=Kind.UNARY_UNARY,
    encode_request=pdpb_pb2.UpdateServiceSafePointV2Request.SerializeToString,
    decode_request=pdpb_pb2.UpdateServiceSafePointV2Request.FromString,
    encode_response=pdpb_pb2.UpdateServiceSafePointV2Response.SerializeToString,
    decode_response=pdpb_pb2.UpdateServiceSafePointV2Response.FromString,
)
PD_GET_ALL_GC_SAFE_POINT_V2: Final[Method[pdpb_pb2.GetAllGCSafePointV2Request, pdpb_pb2.GetAllGCSafePointV2Response]] = Method(
    service="pdpb.PD",
    name="GetAllGCSafePointV2",
    kind=Kind.UNARY_UNARY,
    encode_request=pdpb_pb2.GetAllGCSafePointV2Request.SerializeToString,
    decode_request=pdpb_pb2.GetAllGCSafePointV2Request.FromString,
    encode_response=pdpb_pb2.GetAllGCSafePointV2Response.SerializeToString,
    decode_response=pdpb_pb2.GetAllGCSafePointV2Response.FromString,
)
PD_ADVANCE_GC_SAFE_POINT: Final[Method[pdpb_pb2.AdvanceGCSafePointRequest, pdpb_pb2.AdvanceGCSafePointResponse]] = Method(
    service="pdpb.PD",
    name="AdvanceGCSafePoint",
    kind=Kind.UNARY_UNARY,
    encode_request=pdpb_pb2.AdvanceGCSafePointRequest.SerializeToString,
    decode_request=pdpb_pb2.AdvanceGCSafePointRequest.FromString,
    encode_response=pdpb_pb2.AdvanceGCSafePointResponse.SerializeToString,
    decode_response=pdpb_pb2.AdvanceGCSafePointResponse.FromString,
)
PD_ADVANCE_TXN_SAFE_POINT: Final[Method[pdpb_pb2.AdvanceTxnSafePointRequest, pdpb_pb2.AdvanceTxnSafePointResponse]] = Method(
    service="pdpb.PD",
    name="AdvanceTxnSafePoint",
    kind=Kind.UNARY_UNARY,
    encode_request=pdpb_pb2.AdvanceTxnSafePointRequest.SerializeToString,
    decode_request=pdpb_pb2.AdvanceTxnSafePointRequest.FromString,
    encode_response=pdpb_pb2.AdvanceTxnSafePointResponse.SerializeToString,
    decode_response=pdpb_pb2.AdvanceTxnSafePointResponse.FromString,
)
PD_SET_GC_BARRIER: Final[Method[pdpb_pb2.SetGCBarrierRequest, pdpb_pb2.SetGCBarrierResponse]] = Method(
    service="pdpb.PD",
    name="SetGCBarrier",
    kind=Kind.UNARY_UNARY,
    encode_request=pdpb_pb2.SetGCBarrierRequest.SerializeToString,
    decode_request=pdpb_pb2.SetGCBarrierRequest.FromString,
    encode_response=pdpb_pb2.SetGCBarrierResponse.SerializeToString,
    decode_response=pdpb_pb2.SetGCBarrierResponse.FromString,
)
PD_DELETE_GC_BARRIER: Final[Method[pdpb_pb2.DeleteGCBarrierRequest, pdpb_pb2.DeleteGCBarrierResponse]] = Method(
    service="pdpb.PD",
    name="DeleteGCBarrier",
    kind=Kind.UNARY_UNARY,
    encode_request=pdpb_pb2.DeleteGCBarrierRequest.SerializeToString,
    decode_request=pdpb_pb2.DeleteGCBarrierRequest.FromString,
    encode_response=pdpb_pb2.DeleteGCBarrierResponse.SerializeToString,
    decode_response=pdpb_pb2.DeleteGCBarrierResponse.FromString,
)
PD_SET_GLOBAL_GC_BARRIER: Final[Method[pdpb_pb2.SetGlobalGCBarrierRequest, pdpb_pb2.SetGlobalGCBarrierResponse]] = Method(
    service="pdpb.PD",
    name="SetGlobalGCBarrier",
    kind=Kind.UNARY_UNARY,
    encode_request=pdpb_pb2.SetGlobalGCBarrierRequest.SerializeToString,
    decode_request=pdpb_pb2.SetGlobalGCBarrierRequest.FromString,
    encode_response=pdpb_pb2.SetGlobalGCBarrierResponse.SerializeToString,
    decode_response=pdpb_pb2.SetGlobalGCBarrierResponse.FromString,
)
PD_DELETE_GLOBAL_GC_BARRIER: Final[Method[pdpb_pb2.DeleteGlobalGCBarrierRequest, pdpb_pb2.DeleteGlobalGCBarrierResponse]] = Method(
    service="pdpb.PD",
    name="DeleteGlobalGCBarrier",
    kind=Kind.UNARY_UNARY,
    encode_request=pdpb_pb2.DeleteGlobalGCBarrierRequest.SerializeToString,
    decode_request=pdpb_pb2.DeleteGlobalGCBarrierRequest.FromString,
    encode_response=pdpb_pb2.DeleteGlobalGCBarrierResponse.SerializeToString,
    decode_response=pdpb_pb2.DeleteGlobalGCBarrierResponse.FromString,
)
PD_GET_GC_STATE: Final[Method[pdpb_pb2.GetGCStateRequest, pdpb_pb2.GetGCStateResponse]] = Method(
    service="pdpb.PD",
    name="GetGCState",
    kind=Kind.UNARY_UNARY,
    encode_request=pdpb_pb2.GetGCStateRequest.SerializeToString,
    decode_request=pdpb_pb2.GetGCStateRequest.FromString,
    encode_response=pdpb_pb2.GetGCStateResponse.SerializeToString,
    decode_response=pdpb_pb2.GetGCStateResponse.FromString,
)
PD_GET_ALL_KEYSPACES_GC_STATES: Final[Method[pdpb_pb2.GetAllKeyspacesGCStatesRequest, pdpb_pb2.GetAllKeyspacesGCStatesResponse]] = Method(
    service="pdpb.PD",
    name="GetAllKeyspacesGCStates",
    kind=Kind.UNARY_UNARY,
    encode_request=pdpb_pb2.GetAllKeyspacesGCStatesRequest.SerializeToString,
    decode_request=pdpb_pb2.GetAllKeyspacesGCStatesRequest.FromString,
    encode_response=pdpb_pb2.GetAllKeyspacesGCStatesResponse.SerializeToString,
    decode_response=pdpb_pb2.GetAllKeyspacesGCStatesResponse.FromString,
)
PD_SYNC_REGIONS: Final[Method[pdpb_pb2.SyncRegionRequest, pdpb_pb2.SyncRegionResponse]] = Method(
    service="pdpb.PD",
    name="SyncRegions",
    kind=Kind.STREAM_STREAM,
    encode_request=pdpb_pb2.SyncRegionRequest.SerializeToString,
    decode_request=pdpb_pb2.SyncRegionRequest.FromString,
    encode_response=pdpb_pb2.SyncRegionResponse.SerializeToString,
    decode_response=pdpb_pb2.SyncRegionResponse.FromString,
)
PD_GET_OPERATOR: Final[Method[pdpb_pb2.GetOperatorRequest, pdpb_pb2.GetOperatorResponse]] = Method(
    service="pdpb.PD",
    name="GetOperator",
    kind=Kind.UNARY_UNARY,
    encode_request=pdpb_pb2.GetOperatorRequest.SerializeToString,
    decode_request=pdpb_pb2.GetOperatorRequest.FromString,
    encode_response=pdpb_pb2.GetOperatorResponse.SerializeToString,
    decode_response=pdpb_pb2.GetOperatorResponse.FromString,
)
PD_SYNC_MAX_TS: Final[Method[pdpb_pb2.SyncMaxTSRequest, pdpb_pb2.SyncMaxTSResponse]] = Method(
    service="pdpb.PD",
    name="SyncMaxTS",
    kind=Kind.UNARY_UNARY,
    encode_request=pdpb_pb2.SyncMaxTSRequest.SerializeToString,
    decode_request=pdpb_pb2.SyncMaxTSRequest.FromString,
    encode_response=pdpb_pb2.SyncMaxTSResponse.SerializeToString,
    decode_response=pdpb_pb2.SyncMaxTSResponse.FromString,
)
PD_SPLIT_REGIONS: Final[Method[pdpb_pb2.SplitRegionsRequest, pdpb_pb2.SplitRegionsResponse]] = Method(
    service="pdpb.PD",
    name="SplitRegions",
    kind=Kind.UNARY_UNARY,
    encode_request=pdpb_pb2.SplitRegionsRequest.SerializeToString,
    decode_request=pdpb_pb2.SplitRegionsRequest.FromString,
    encode_response=pdpb_pb2.SplitRegionsResponse.SerializeToString,
    decode_response=pdpb_pb2.SplitRegionsResponse.FromString,
)
PD_SPLIT_AND_SCATTER_REGIONS: Final[Method[pdpb_pb2.SplitAndScatterRegionsRequest, pdpb_pb2.SplitAndScatterRegionsResponse]] = Method(
    service="pdpb.PD",
    name="SplitAndScatterRegions",
    kind=Kind.UNARY_UNARY,
    encode_request=pdpb_pb2.SplitAndScatterRegionsRequest.SerializeToString,
    decode_request=pdpb_pb2.SplitAndScatterRegionsRequest.FromString,
    encode_response=pdpb_pb2.SplitAndScatterRegionsResponse.SerializeToString,
    decode_response=pdpb_pb2.SplitAndScatterRegionsResponse.FromString,
)
PD_GET_DC_LOCATION_INFO: Final[Method[pdpb_pb2.GetDCLocationInfoRequest, pdpb_pb2.GetDCLocationInfoResponse]] = Method(
    service="pdpb.PD",
    name="GetDCLocationInfo",
    kind=Kind.UNARY_UNARY,
    encode_request=pdpb_pb2.GetDCLocationInfoRequest.SerializeToString,
    decode_request=pdpb_pb2.GetDCLocationInfoRequest.FromString,
    encode_response=pdpb_pb2.GetDCLocationInfoResponse.SerializeToString,
    decode_response=pdpb_pb2.GetDCLocationInfoResponse.FromString,
)
PD_STORE_GLOBAL_CONFIG: Final[Method[pdpb_pb2.StoreGlobalConfigRequest, pdpb_pb2.StoreGlobalConfigResponse]] = Method(
    service="pdpb.PD",
    name="StoreGlobalConfig",
    kind=Kind.UNARY_UNARY,
    encode_request=pdpb_pb2.StoreGlobalConfigRequest.SerializeToString,
    decode_request=pdpb_pb2.StoreGlobalConfigRequest.FromString,
    encode_response=pdpb_pb2.StoreGlobalConfigResponse.SerializeToString,
    decode_response=pdpb_pb2.StoreGlobalConfigResponse.FromString,
)
PD_LOAD_GLOBAL_CONFIG: Final[Method[pdpb_pb2.LoadGlobalConfigRequest, pdpb_pb2.LoadGlobalConfigResponse]] = Method(
    service="pdpb.PD",
    name="LoadGlobalConfig",
    kind=Kind.UNARY_UNARY,
    encode_request=pdpb_pb2.LoadGlobalConfigRequest.SerializeToString,
    decode_request=pdpb_pb2.LoadGlobalConfigRequest.FromString,
    encode_response=pdpb_pb2.LoadGlobalConfigResponse.SerializeToString,
    decode_response=pdpb_pb2.LoadGlobalConfigResponse.FromString,
)
PD_WATCH_GLOBAL_CONFIG: Final[Method[pdpb_pb2.WatchGlobalConfigRequest, pdpb_pb2.WatchGlobalConfigResponse]] = Method(
    service="pdpb.PD",
    name="WatchGlobalConfig",
    kind=Kind.UNARY_STREAM,
    encode_request=pdpb_pb2.WatchGlobalConfigRequest.SerializeToString,
    decode_request=pdpb_pb2.WatchGlobalConfigRequest.FromString,
    encode_response=pdpb_pb2.WatchGlobalConfigResponse.SerializeToString,
    decode_response=pdpb_pb2.WatchGlobalConfigResponse.FromString,
)
PD_REPORT_BUCKETS: Final[Method[pdpb_pb2.ReportBucketsRequest, pdpb_pb2.ReportBucketsResponse]] = Method(
    service="pdpb.PD",
    name="ReportBuckets",
    kind=Kind.STREAM_UNARY,
    encode_request=pdpb_pb2.ReportBucketsRequest.SerializeToString,
    decode_request=pdpb_pb2.ReportBucketsRequest.FromString,
    encode_response=pdpb_pb2.ReportBucketsResponse.SerializeToString,
    decode_response=pdpb_pb2.ReportBucketsResponse.FromString,
)
PD_REPORT_MIN_RESOLVED_TS: Final[Method[pdpb_pb2.ReportMinResolvedTsRequest, pdpb_pb2.ReportMinResolvedTsResponse]] = Method(
    service="pdpb.PD",
    name="ReportMinResolvedTS",
    kind=Kind.UNARY_UNARY,
    encode_request=pdpb_pb2.ReportMinResolvedTsRequest.SerializeToString,
    decode_request=pdpb_pb2.ReportMinResolvedTsRequest.FromString,
    encode_response=pdpb_pb2.ReportMinResolvedTsResponse.SerializeToString,
    decode_response=pdpb_pb2.ReportMinResolvedTsResponse.FromString,
)
PD_SET_EXTERNAL_TIMESTAMP: Final[Method[pdpb_pb2.SetExternalTimestampRequest, pdpb_pb2.SetExternalTimestampResponse]] = Method(
    service="pdpb.PD",
    name="SetExternalTimestamp",
    kind=Kind.UNARY_UNARY,
    encode_request=pdpb_pb2.SetExternalTimestampRequest.SerializeToString,
    decode_request=pdpb_pb2.SetExternalTimestampRequest.FromString,
    encode_response=pdpb_pb2.SetExternalTimestampResponse.SerializeToString,
    decode_response=pdpb_pb2.SetExternalTimestampResponse.FromString,
)
PD_GET_EXTERNAL_TIMESTAMP: Final[Method[pdpb_pb2.GetExternalTimestampRequest, pdpb_pb2.GetExternalTimestampResponse]] = Method(
    service="pdpb.PD",
    name="GetExternalTimestamp",
    kind=Kind.UNARY_UNARY,
    encode_request=pdpb_pb2.GetExternalTimestampRequest.SerializeToString,
    decode_request=pdpb_pb2.GetExternalTimestampRequest.FromString,
    encode_response=pdpb_pb2.GetExternalTimestampResponse.SerializeToString,
    decode_response=pdpb_pb2.GetExternalTimestampResponse.FromString,
)
PD_GET_MIN_TS: Final[Method[pdpb_pb2.GetMinTSRequest, pdpb_pb2.GetMinTSResponse]] = Method(
    service="pdpb.PD",
    name="GetMinTS",
    kind=Kind.UNARY_UNARY,
    encode_request=pdpb_pb2.GetMinTSRequest.SerializeToString,
    decode_request=pdpb_pb2.GetMinTSRequest.FromString,
    encode_response=pdpb_pb2.GetMinTSResponse.SerializeToString,
    decode_response=pdpb_pb2.GetMinTSResponse.FromString,
)


class PDHandlers(Protocol):
    """What serves pdpb.PD; a handler takes the request or requests, and if it wants the call."""

    @property
    def get_cluster_info(self) -> UnaryHandler[pdpb_pb2.GetClusterInfoRequest, pdpb_pb2.GetClusterInfoResponse]:
        """GetClusterInfo."""

    @property
    def get_members(self) -> UnaryHandler[pdpb_pb2.GetMembersRequest, pdpb_pb2.GetMembersResponse]:
        """GetMembers."""

    @property
    def tso(self) -> StreamStreamHandler[pdpb_pb2.TsoRequest, pdpb_pb2.TsoResponse]:
        """Tso."""

    @property
    def bootstrap(self) -> UnaryHandler[pdpb_pb2.BootstrapRequest, pdpb_pb2.BootstrapResponse]:
        """Bootstrap."""

    @property
    def is_bootstrapped(self) -> UnaryHandler[pdpb_pb2.IsBootstrappedRequest, pdpb_pb2.IsBootstrappedResponse]:
        """IsBootstrapped."""

    @property
    def alloc_id(self) -> UnaryHandler[pdpb_pb2.AllocIDRequest, pdpb_pb2.AllocIDResponse]:
        """AllocID."""

    @property
    def is_snapshot_recovering(self) -> UnaryHandler[pdpb_pb2.IsSnapshotRecoveringRequest, pdpb_pb2.IsSnapshotRecoveringResponse]:
        """IsSnapshotRecovering."""

    @property
    def get_store(self) -> UnaryHandler[pdpb_pb2.GetStoreRequest, pdpb_pb2.GetStoreResponse]:
        """GetStore."""

    @property
    def put_store(self) -> UnaryHandler[pdpb_pb2.PutStoreRequest, pdpb_pb2.PutStoreResponse]:
        """PutStore."""

    @property
    def get_all_stores(self) -> UnaryHandler[pdpb_pb2.GetAllStoresRequest, pdpb_pb2.GetAllStoresResponse]:
        """GetAllStores."""

    @property
    def store_heartbeat(self) -> UnaryHandler[pdpb_pb2.StoreHeartbeatRequest, pdpb_pb2.StoreHeartbeatResponse]:
        """StoreHeartbeat."""

    @property
    def region_heartbeat(self) -> StreamStreamHandler[pdpb_pb2.RegionHeartbeatRequest, pdpb_pb2.RegionHeartbeatResponse]:
        """RegionHeartbeat."""

    @property
    def get_region(self) -> UnaryHandler[pdpb_pb2.GetRegionRequest, pdpb_pb2.GetRegionResponse]:
        """GetRegion."""

    @property
    def get_prev_region(self) -> UnaryHandler[pdpb_pb2.GetRegionRequest, pdpb_pb2.GetRegionResponse]:
        """GetPrevRegion."""

    @property
    def get_region_by_id(self) -> UnaryHandler[pdpb_pb2.GetRegionByIDRequest, pdpb_pb2.GetRegionResponse]:
        """GetRegionByID."""

    @property
    def query_region(self) -> StreamStreamHandler[pdpb_pb2.QueryRegionRequest, pdpb_pb2.QueryRegionResponse]:
        """QueryRegion."""

    @property
    def scan_regions(self) -> UnaryHandler[pdpb_pb2.ScanRegionsRequest, pdpb_pb2.ScanRegionsResponse]:
        """ScanRegions."""

    @property
    def batch_scan_regions(self) -> UnaryHandler[pdpb_pb2.BatchScanRegionsRequest, pdpb_pb2.BatchScanRegionsResponse]:
        """BatchScanRegions."""

    @property
    def ask_split(self) -> UnaryHandler[pdpb_pb2.AskSplitRequest, pdpb_pb2.AskSplitResponse]:
        """AskSplit."""

    @property
    def report_split(self) -> UnaryHandler[pdpb_pb2.ReportSplitRequest, pdpb_pb2.ReportSplitResponse]:
        """ReportSplit."""

    @property
    def ask_batch_split(self) -> UnaryHandler[pdpb_pb2.AskBatchSplitRequest, pdpb_pb2.AskBatchSplitResponse]:
        """AskBatchSplit."""

    @property
    def report_batch_split(self) -> UnaryHandler[pdpb_pb2.ReportBatchSplitRequest, pdpb_pb2.ReportBatchSplitResponse]:
        """ReportBatchSplit."""

    @property
    def get_cluster_config(self) -> UnaryHandler[pdpb_pb2.GetClusterConfigRequest, pdpb_pb2.GetClusterConfigResponse]:
        """GetClusterConfig."""

    @property
    def put_cluster_config(self) -> UnaryHandler[pdpb_pb2.PutClusterConfigRequest, pdpb_pb2.PutClusterConfigResponse]:
        """PutClusterConfig."""

    @property
    def scatter_region(self) -> UnaryHandler[pdpb_pb2.ScatterRegionRequest, pdpb_pb2.ScatterRegionResponse]:
        """ScatterRegion."""

    @property
    def get_gc_safe_point(self) -> UnaryHandler[pdpb_pb2.GetGCSafePointRequest, pdpb_pb2.GetGCSafePointResponse]:
        """GetGCSafePoint."""

    @property
    def update_gc_safe_point(self) -> UnaryHandler[pdpb_pb2.UpdateGCSafePointRequest, pdpb_pb2.UpdateGCSafePointResponse]:
        """UpdateGCSafePoint."""

    @property
    def update_service_gc_safe_point(self) -> UnaryHandler[pdpb_pb2.UpdateServiceGCSafePointRequest, pdpb_pb2.UpdateServiceGCSafePointResponse]:
        """UpdateServiceGCSafePoint."""

    @property
    def get_gc_safe_point_v2(self) -> UnaryHandler[pdpb_pb2.GetGCSafePointV2Request, pdpb_pb2.GetGCSafePointV2Response]:
        """GetGCSafePointV2."""

    @property
    def watch_gc_safe_point_v2(self) -> StreamHandler[pdpb_pb2.WatchGCSafePointV2Request, pdpb_pb2.WatchGCSafePointV2Response]:
        """WatchGCSafePointV2."""

    @property
    def update_gc_safe_point_v2(self) -> UnaryHandler[pdpb_pb2.UpdateGCSafePointV2Request, pdpb_pb2.UpdateGCSafePointV2Response]:
        """UpdateGCSafePointV2."""

    @property
    def update_service_safe_point_v2(self) -> UnaryHandler[pdpb_pb2.UpdateServiceSafePointV2Request, pdpb_pb2.UpdateServiceSafePointV2Response]:
        """UpdateServiceSafePointV2."""

    @property
    def get_all_gc_safe_point_v2(self) -> UnaryHandler[pdpb_pb2.GetAllGCSafePointV2Request, pdpb_pb2.GetAllGCSafePointV2Response]:
        """GetAllGCSafePointV2."""

    @property
    def advance_gc_safe_point(self) -> UnaryHandler[pdpb_pb2.AdvanceGCSafePointRequest, pdpb_pb2.AdvanceGCSafePointResponse]:
        """AdvanceGCSafePoint."""

    @property
    def advance_txn_safe_point(self) -> UnaryHandler[pdpb_pb2.AdvanceTxnSafePointRequest, pdpb_pb2.AdvanceTxnSafePointResponse]:
        """AdvanceTxnSafePoint."""

    @property
    def set_gc_barrier(self) -> UnaryHandler[pdpb_pb2.SetGCBarrierRequest, pdpb_pb2.SetGCBarrierResponse]:
        """SetGCBarrier."""

    @property
    def delete_gc_barrier(self) -> UnaryHandler[pdpb_pb2.DeleteGCBarrierRequest, pdpb_pb2.DeleteGCBarrierResponse]:
        """DeleteGCBarrier."""

    @property
    def set_global_gc_barrier(self) -> UnaryHandler[pdpb_pb2.SetGlobalGCBarrierRequest, pdpb_pb2.SetGlobalGCBarrierResponse]:
        """SetGlobalGCBarrier."""

    @property
    def delete_global_gc_barrier(self) -> UnaryHandler[pdpb_pb2.DeleteGlobalGCBarrierRequest, pdpb_pb2.DeleteGlobalGCBarrierResponse]:
        """DeleteGlobalGCBarrier."""

    @property
    def get_gc_state(self) -> UnaryHandler[pdpb_pb2.GetGCStateRequest, pdpb_pb2.GetGCStateResponse]:
        """GetGCState."""

    @property
    def get_all_keyspaces_gc_states(self) -> UnaryHandler[pdpb_pb2.GetAllKeyspacesGCStatesRequest, pdpb_pb2.GetAllKeyspacesGCStatesResponse]:
        """GetAllKeyspacesGCStates."""

    @property
    def sync_regions(self) -> StreamStreamHandler[pdpb_pb2.SyncRegionRequest, pdpb_pb2.SyncRegionResponse]:
        """SyncRegions."""

    @property
    def get_operator(self) -> UnaryHandler[pdpb_pb2.GetOperatorRequest, pdpb_pb2.GetOperatorResponse]:
        """GetOperator."""

    @property
    def sync_max_ts(self) -> UnaryHandler[pdpb_pb2.SyncMaxTSRequest, pdpb_pb2.SyncMaxTSResponse]:
        """SyncMaxTS."""

    @property
    def split_regions(self) -> UnaryHandler[pdpb_pb2.SplitRegionsRequest, pdpb_pb2.SplitRegionsResponse]:
        """SplitRegions."""

    @property
    def split_and_scatter_regions(self) -> UnaryHandler[pdpb_pb2.SplitAndScatterRegionsRequest, pdpb_pb2.SplitAndScatterRegionsResponse]:
        """SplitAndScatterRegions."""

    @property
    def get_dc_location_info(self) -> UnaryHandler[pdpb_pb2.GetDCLocationInfoRequest, pdpb_pb2.GetDCLocationInfoResponse]:
        """GetDCLocationInfo."""

    @property
    def store_global_config(self) -> UnaryHandler[pdpb_pb2.StoreGlobalConfigRequest, pdpb_pb2.StoreGlobalConfigResponse]:
        """StoreGlobalConfig."""

    @property
    def load_global_config(self) -> UnaryHandler[pdpb_pb2.LoadGlobalConfigRequest, pdpb_pb2.LoadGlobalConfigResponse]:
        """LoadGlobalConfig."""

    @property
    def watch_global_config(self) -> StreamHandler[pdpb_pb2.WatchGlobalConfigRequest, pdpb_pb2.WatchGlobalConfigResponse]:
        """WatchGlobalConfig."""

    @property
    def report_buckets(self) -> StreamUnaryHandler[pdpb_pb2.ReportBucketsRequest, pdpb_pb2.ReportBucketsResponse]:
        """ReportBuckets."""

    @property
    def report_min_resolved_ts(self) -> UnaryHandler[pdpb_pb2.ReportMinResolvedTsRequest, pdpb_pb2.ReportMinResolvedTsResponse]:
        """ReportMinResolvedTS."""

    @property
    def set_external_timestamp(self) -> UnaryHandler[pdpb_pb2.SetExternalTimestampRequest, pdpb_pb2.SetExternalTimestampResponse]:
        """SetExternalTimestamp."""

    @property
    def get_external_timestamp(self) -> UnaryHandler[pdpb_pb2.GetExternalTimestampRequest, pdpb_pb2.GetExternalTimestampResponse]:
        """GetExternalTimestamp."""

    @property
    def get_min_ts(self) -> UnaryHandler[pdpb_pb2.GetMinTSRequest, pdpb_pb2.GetMinTSResponse]:
        """GetMinTS."""


def pd_service(handlers: PDHandlers) -> Service:
    """pdpb.PD, served by `handlers`."""
    return Service(
        "pdpb.PD",
        [
            bind(PD_GET_CLUSTER_INFO, handlers.get_cluster_info),
            bind(PD_GET_MEMBERS, handlers.get_members),
            bind(PD_TSO, handlers.tso),
            bind(PD_BOOTSTRAP, handlers.bootstrap),
            bind(PD_IS_BOOTSTRAPPED, handlers.is_bootstrapped),
            bind(PD_ALLOC_ID, handlers.alloc_id),
            bind(PD_IS_SNAPSHOT_RECOVERING, handlers.is_snapshot_recovering),
            bind(PD_GET_STORE, handlers.get_store),
            bind(PD_PUT_STORE, handlers.put_store),
            bind(PD_GET_ALL_STORES, handlers.get_all_stores),
            bind(PD_STORE_HEARTBEAT, handlers.store_heartbeat),
            bind(PD_REGION_HEARTBEAT, handlers.region_heartbeat),
            bind(PD_GET_REGION, handlers.get_region),
            bind(PD_GET_PREV_REGION, handlers.get_prev_region),
            bind(PD_GET_REGION_BY_ID, handlers.get_region_by_id),
            bind(PD_QUERY_REGION, handlers.query_region),
            bind(PD_SCAN_REGIONS, handlers.scan_regions),
            bind(PD_BATCH_SCAN_REGIONS, handlers.batch_scan_regions),
            bind(PD_ASK_SPLIT, handlers.ask_split),
            bind(PD_REPORT_SPLIT, handlers.report_split),
            bind(PD_ASK_BATCH_SPLIT, handlers.ask_batch_split),
            bind(PD_REPORT_BATCH_SPLIT, handlers.report_batch_split),
            bind(PD_GET_CLUSTER_CONFIG, handlers.get_cluster_config),
            bind(PD_PUT_CLUSTER_CONFIG, handlers.put_cluster_config),
            bind(PD_SCATTER_REGION, handlers.scatter_region),
            bind(PD_GET_GC_SAFE_POINT, handlers.get_gc_safe_point),
            bind(PD_UPDATE_GC_SAFE_POINT, handlers.update_gc_safe_point),
            bind(PD_UPDATE_SERVICE_GC_SAFE_POINT, handlers.update_service_gc_safe_point),
            bind(PD_GET_GC_SAFE_POINT_V2, handlers.get_gc_safe_point_v2),
            bind(PD_WATCH_GC_SAFE_POINT_V2, handlers.watch_gc_safe_point_v2),
            bind(PD_UPDATE_GC_SAFE_POINT_V2, handlers.update_gc_safe_point_v2),
            bind(PD_UPDATE_SERVICE_SAFE_POINT_V2, handlers.update_service_safe_point_v2),
            bind(PD_GET_ALL_GC_SAFE_POINT_V2, handlers.get_all_gc_safe_point_v2),
            bind(PD_ADVANCE_GC_SAFE_POINT, handlers.advance_gc_safe_point),
            bind(PD_ADVANCE_TXN_SAFE_POINT, handlers.advance_txn_safe_point),
            bind(PD_SET_GC_BARRIER, handlers.set_gc_barrier),
            bind(PD_DELETE_GC_BARRIER, handlers.delete_gc_barrier),
            bind(PD_SET_GLOBAL_GC_BARRIER, handlers.set_global_gc_barrier),
            bind(PD_DELETE_GLOBAL_GC_BARRIER, handlers.delete_global_gc_barrier),
            bind(PD_GET_GC_STATE, handlers.get_gc_state),
            bind(PD_GET_ALL_KEYSPACES_GC_STATES, handlers.get_all_keyspaces_gc_states),
            bind(PD_SYNC_REGIONS, handlers.sync_regions),
            bind(PD_GET_OPERATOR, handlers.get_operator),
            bind(PD_SYNC_MAX_TS, handlers.sync_max_ts),
            bind(PD_SPLIT_REGIONS, handlers.split_regions),
            bind(PD_SPLIT_AND_SCATTER_REGIONS, handlers.split_and_scatter_regions),
            bind(PD_GET_DC_LOCATION_INFO, handlers.get_dc_location_info),
            bind(PD_STORE_GLOBAL_CONFIG, handlers.store_global_config),
            bind(PD_LOAD_GLOBAL_CONFIG, handlers.load_global_config),
            bind(PD_WATCH_GLOBAL_CONFIG, handlers.watch_global_config),
            bind(PD_REPORT_BUCKETS, handlers.report_buckets),
            bind(PD_REPORT_MIN_RESOLVED_TS, handlers.report_min_resolved_ts),
            bind(PD_SET_EXTERNAL_TIMESTAMP, handlers.set_external_timestamp),
            bind(PD_GET_EXTERNAL_TIMESTAMP, handlers.get_external_timestamp),
            bind(PD_GET_MIN_TS, handlers.get_min_ts),
        ],
        files_of(pdpb_pb2.DESCRIPTOR),
    )


class PDClient:
    """Calls to pdpb.PD. Every method raises RpcError."""

    def __init__(self, channel: Channel) -> None:
        self._channel = channel

    def get_cluster_info(self, request: pdpb_pb2.GetClusterInfoRequest, **options: Unpack[CallOptions]) -> Coroutine[object, object, pdpb_pb2.GetClusterInfoResponse]:
        """GetClusterInfo."""
        return self._channel.unary(PD_GET_CLUSTER_INFO, request, **options)

    def get_members(self, request: pdpb_pb2.GetMembersRequest, **options: Unpack[CallOptions]) -> Coroutine[object, object, pdpb_pb2.GetMembersResponse]:
        """GetMembers."""
        return self._channel.unary(PD_GET_MEMBERS, request, **options)

    async def tso(self, **options: Unpack[CallOptions]) -> ClientCall[pdpb_pb2.TsoRequest, pdpb_pb2.TsoResponse]:
        """Tso."""
        return await self._channel.open(PD_TSO, **options)

    def bootstrap(self, request: pdpb_pb2.BootstrapRequest, **options: Unpack[CallOptions]) -> Coroutine[object, object, pdpb_pb2.BootstrapResponse]:
        """Bootstrap."""
        return self._channel.unary(PD_BOOTSTRAP, request, **options)

    def is_bootstrapped(self, request: pdpb_pb2.IsBootstrappedRequest, **options: Unpack[CallOptions]) -> Coroutine[object, object, pdpb_pb2.IsBootstrappedResponse]:
        """IsBootstrapped."""
        return self._channel.unary(PD_IS_BOOTSTRAPPED, request, **options)

    def alloc_id(self, request: pdpb_pb2.AllocIDRequest, **options: Unpack[CallOptions]) -> Coroutine[object, object, pdpb_pb2.AllocIDResponse]:
        """AllocID."""
        return self._channel.unary(PD_ALLOC_ID, request, **options)

    def is_snapshot_recovering(self, request: pdpb_pb2.IsSnapshotRecoveringRequest, **options: Unpack[CallOptions]) -> Coroutine[object, object, pdpb_pb2.IsSnapshotRecoveringResponse]:
        """IsSnapshotRecovering."""
        return self._channel.unary(PD_IS_SNAPSHOT_RECOVERING, request, **options)

    def get_store(self, request: pdpb_pb2.GetStoreRequest, **options: Unpack[CallOptions]) -> Coroutine[object, object, pdpb_pb2.GetStoreResponse]:
        """GetStore."""
        return self._channel.unary(PD_GET_STORE, request, **options)

    def put_store(self, request: pdpb_pb2.PutStoreRequest, **options: Unpack[CallOptions]) -> Coroutine[object, object, pdpb_pb2.PutStoreResponse]:
        """PutStore."""
        return self._channel.unary(PD_PUT_STORE, request, **options)

    def get_all_stores(self, request: pdpb_pb2.GetAllStoresRequest, **options: Unpack[CallOptions]) -> Coroutine[object, object, pdpb_pb2.GetAllStoresResponse]:
        """GetAllStores."""
        return self._channel.unary(PD_GET_ALL_STORES, request, **options)

    def store_heartbeat(self, request: pdpb_pb2.StoreHeartbeatRequest, **options: Unpack[CallOptions]) -> Coroutine[object, object, pdpb_pb2.StoreHeartbeatResponse]:
        """StoreHeartbeat."""
        return self._channel.unary(PD_STORE_HEARTBEAT, request, **options)

    async def region_heartbeat(self, **options: Unpack[CallOptions]) -> ClientCall[pdpb_pb2.RegionHeartbeatRequest, pdpb_pb2.RegionHeartbeatResponse]:
        """RegionHeartbeat."""
        return await self._channel.open(PD_REGION_HEARTBEAT, **options)

    def get_region(self, request: pdpb_pb2.GetRegionRequest, **options: Unpack[CallOptions]) -> Coroutine[object, object, pdpb_pb2.GetRegionResponse]:
        """GetRegion."""
        return self._channel.unary(PD_GET_REGION, request, **options)

    def get_prev_region(self, request: pdpb_pb2.GetRegionRequest, **options: Unpack[CallOptions]) -> Coroutine[object, object, pdpb_pb2.GetRegionResponse]:
        """GetPrevRegion."""
        return self._channel.unary(PD_GET_PREV_REGION, request, **options)

    def get_region_by_id(self, request: pdpb_pb2.GetRegionByIDRequest, **options: Unpack[CallOptions]) -> Coroutine[object, object, pdpb_pb2.GetRegionResponse]:
        """GetRegionByID."""
        return self._channel.unary(PD_GET_REGION_BY_ID, request, **options)

    async def query_region(self, **options: Unpack[CallOptions]) -> ClientCall[pdpb_pb2.QueryRegionRequest, pdpb_pb2.QueryRegionResponse]:
        """QueryRegion."""
        return await self._channel.open(PD_QUERY_REGION, **options)

    def scan_regions(self, request: pdpb_pb2.ScanRegionsRequest, **options: Unpack[CallOptions]) -> Coroutine[object, object, pdpb_pb2.ScanRegionsResponse]:
        """ScanRegions."""
        return self._channel.unary(PD_SCAN_REGIONS, request, **options)

    def batch_scan_regions(self, request: pdpb_pb2.BatchScanRegionsRequest, **options: Unpack[CallOptions]) -> Coroutine[object, object, pdpb_pb2.BatchScanRegionsResponse]:
        """BatchScanRegions."""
        return self._channel.unary(PD_BATCH_SCAN_REGIONS, request, **options)

    def ask_split(self, request: pdpb_pb2.AskSplitRequest, **options: Unpack[CallOptions]) -> Coroutine[object, object, pdpb_pb2.AskSplitResponse]:
        """AskSplit."""
        return self._channel.unary(PD_ASK_SPLIT, request, **options)

    def report_split(self, request: pdpb_pb2.ReportSplitRequest, **options: Unpack[CallOptions]) -> Coroutine[object, object, pdpb_pb2.ReportSplitResponse]:
        """ReportSplit."""
        return self._channel.unary(PD_REPORT_SPLIT, request, **options)

    def ask_batch_split(self, request: pdpb_pb2.AskBatchSplitRequest, **options: Unpack[CallOptions]) -> Coroutine[object, object, pdpb_pb2.AskBatchSplitResponse]:
        """AskBatchSplit."""
        return self._channel.unary(PD_ASK_BATCH_SPLIT, request, **options)

    def report_batch_split(self, request: pdpb_pb2.ReportBatchSplitRequest, **options: Unpack[CallOptions]) -> Coroutine[object, object, pdpb_pb2.ReportBatchSplitResponse]:
        """ReportBatchSplit."""
        return self._channel.unary(PD_REPORT_BATCH_SPLIT, request, **options)

    def get_cluster_config(self, request: pdpb_pb2.GetClusterConfigRequest, **options: Unpack[CallOptions]) -> Coroutine[object, object, pdpb_pb2.GetClusterConfigResponse]:
        """GetClusterConfig."""
        return self._channel.unary(PD_GET_CLUSTER_CONFIG, request, **options)

    def put_cluster_config(self, request: pdpb_pb2.PutClusterConfigRequest, **options: Unpack[CallOptions]) -> Coroutine[object, object, pdpb_pb2.PutClusterConfigResponse]:
        """PutClusterConfig."""
        return self._channel.unary(PD_PUT_CLUSTER_CONFIG, request, **options)

    def scatter_region(self, request: pdpb_pb2.ScatterRegionRequest, **options: Unpack[CallOptions]) -> Coroutine[object, object, pdpb_pb2.ScatterRegionResponse]:
        """ScatterRegion."""
        return self._channel.unary(PD_SCATTER_REGION, request, **options)

    def get_gc_safe_point(self, request: pdpb_pb2.GetGCSafePointRequest, **options: Unpack[CallOptions]) -> Coroutine[object, object, pdpb_pb2.GetGCSafePointResponse]:
        """GetGCSafePoint."""
        return self._channel.unary(PD_GET_GC_SAFE_POINT, request, **options)

    def update_gc_safe_point(self, request: pdpb_pb2.UpdateGCSafePointRequest, **options: Unpack[CallOptions]) -> Coroutine[object, object, pdpb_pb2.UpdateGCSafePointResponse]:
        """UpdateGCSafePoint."""
        return self._channel.unary(PD_UPDATE_GC_SAFE_POINT, request, **options)

    def update_service_gc_safe_point(self, request: pdpb_pb2.UpdateServiceGCSafePointRequest, **options: Unpack[CallOptions]) -> Coroutine[object, object, pdpb_pb2.UpdateServiceGCSafePointResponse]:
        """UpdateServiceGCSafePoint."""
        return self._channel.unary(PD_UPDATE_SERVICE_GC_SAFE_POINT, request, **options)

    def get_gc_safe_point_v2(self, request: pdpb_pb2.GetGCSafePointV2Request, **options: Unpack[CallOptions]) -> Coroutine[object, object, pdpb_pb2.GetGCSafePointV2Response]:
        """GetGCSafePointV2."""
        return self._channel.unary(PD_GET_GC_SAFE_POINT_V2, request, **options)

    def watch_gc_safe_point_v2(self, request: pdpb_pb2.WatchGCSafePointV2Request, **options: Unpack[CallOptions]) -> AsyncIterator[pdpb_pb2.WatchGCSafePointV2Response]:
        """WatchGCSafePointV2."""
        return self._channel.unary_stream(PD_WATCH_GC_SAFE_POINT_V2, request, **options)

    def update_gc_safe_point_v2(self, request: pdpb_pb2.UpdateGCSafePointV2Request, **options: Unpack[CallOptions]) -> Coroutine[object, object, pdpb_pb2.UpdateGCSafePointV2Response]:
        """UpdateGCSafePointV2."""
        return self._channel.unary(PD_UPDATE_GC_SAFE_POINT_V2, request, **options)

    def update_service_safe_point_v2(self, request: pdpb_pb2.UpdateServiceSafePointV2Request, **options: Unpack[CallOptions]) -> Coroutine[object, object, pdpb_pb2.UpdateServiceSafePointV2Response]:
        """UpdateServiceSafePointV2."""
        return self._channel.unary(PD_UPDATE_SERVICE_SAFE_POINT_V2, request, **options)

    def get_all_gc_safe_point_v2(self, request: pdpb_pb2.GetAllGCSafePointV2Request, **options: Unpack[CallOptions]) -> Coroutine[object, object, pdpb_pb2.GetAllGCSafePointV2Response]:
        """GetAllGCSafePointV2."""
        return self._channel.unary(PD_GET_ALL_GC_SAFE_POINT_V2, request, **options)

    def advance_gc_safe_point(self, request: pdpb_pb2.AdvanceGCSafePointRequest, **options: Unpack[CallOptions]) -> Coroutine[object, object, pdpb_pb2.AdvanceGCSafePointResponse]:
        """AdvanceGCSafePoint."""
        return self._channel.unary(PD_ADVANCE_GC_SAFE_POINT, request, **options)

    def advance_txn_safe_point(self, request: pdpb_pb2.AdvanceTxnSafePointRequest, **options: Unpack[CallOptions]) -> Coroutine[object, object, pdpb_pb2.AdvanceTxnSafePointResponse]:
        """AdvanceTxnSafePoint."""
        return self._channel.unary(PD_ADVANCE_TXN_SAFE_POINT, request, **options)

    def set_gc_barrier(self, request: pdpb_pb2.SetGCBarrierRequest, **options: Unpack[CallOptions]) -> Coroutine[object, object, pdpb_pb2.SetGCBarrierResponse]:
        """SetGCBarrier."""
        return self._channel.unary(PD_SET_GC_BARRIER, request, **options)

    def delete_gc_barrier(self, request: pdpb_pb2.DeleteGCBarrierRequest, **options: Unpack[CallOptions]) -> Coroutine[object, object, pdpb_pb2.DeleteGCBarrierResponse]:
        """DeleteGCBarrier."""
        return self._channel.unary(PD_DELETE_GC_BARRIER, request, **options)

    def set_global_gc_barrier(self, request: pdpb_pb2.SetGlobalGCBarrierRequest, **options: Unpack[CallOptions]) -> Coroutine[object, object, pdpb_pb2.SetGlobalGCBarrierResponse]:
        """SetGlobalGCBarrier."""
        return self._channel.unary(PD_SET_GLOBAL_GC_BARRIER, request, **options)

    def delete_global_gc_barrier(self, request: pdpb_pb2.DeleteGlobalGCBarrierRequest, **options: Unpack[CallOptions]) -> Coroutine[object, object, pdpb_pb2.DeleteGlobalGCBarrierResponse]:
        """DeleteGlobalGCBarrier."""
        return self._channel.unary(PD_DELETE_GLOBAL_GC_BARRIER, request, **options)

    def get_gc_state(self, request: pdpb_pb2.GetGCStateRequest, **options: Unpack[CallOptions]) -> Coroutine[object, object, pdpb_pb2.GetGCStateResponse]:
        """GetGCState."""
        return self._channel.unary(PD_GET_GC_STATE, request, **options)

    def get_all_keyspaces_gc_states(self, request: pdpb_pb2.GetAllKeyspacesGCStatesRequest, **options: Unpack[CallOptions]) -> Coroutine[object, object, pdpb_pb2.GetAllKeyspacesGCStatesResponse]:
        """GetAllKeyspacesGCStates."""
        return self._channel.unary(PD_GET_ALL_KEYSPACES_GC_STATES, request, **options)

    async def sync_regions(self, **options: Unpack[CallOptions]) -> ClientCall[pdpb_pb2.SyncRegionRequest, pdpb_pb2.SyncRegionResponse]:
        """SyncRegions."""
        return await self._channel.open(PD_SYNC_REGIONS, **options)

    def get_operator(self, request: pdpb_pb2.GetOperatorRequest, **options: Unpack[CallOptions]) -> Coroutine[object, object, pdpb_pb2.GetOperatorResponse]:
        """GetOperator."""
        return self._channel.unary(PD_GET_OPERATOR, request, **options)

    def sync_max_ts(self, request: pdpb_pb2.SyncMaxTSRequest, **options: Unpack[CallOptions]) -> Coroutine[object, object, pdpb_pb2.SyncMaxTSResponse]:
        """SyncMaxTS."""
        return self._channel.unary(PD_SYNC_MAX_TS, request, **options)

    def split_regions(self, request: pdpb_pb2.SplitRegionsRequest, **options: Unpack[CallOptions]) -> Coroutine[object, object, pdpb_pb2.SplitRegionsResponse]:
        """SplitRegions."""
        return self._channel.unary(PD_SPLIT_REGIONS, request, **options)

    def split_and_scatter_regions(self, request: pdpb_pb2.SplitAndScatterRegionsRequest, **options: Unpack[CallOptions]) -> Coroutine[object, object, pdpb_pb2.SplitAndScatterRegionsResponse]:
        """SplitAndScatterRegions."""
        return self._channel.unary(PD_SPLIT_AND_SCATTER_REGIONS, request, **options)

    def get_dc_location_info(self, request: pdpb_pb2.GetDCLocationInfoRequest, **options: Unpack[CallOptions]) -> Coroutine[object, object, pdpb_pb2.GetDCLocationInfoResponse]:
        """GetDCLocationInfo."""
        return self._channel.unary(PD_GET_DC_LOCATION_INFO, request, **options)

    def store_global_config(self, request: pdpb_pb2.StoreGlobalConfigRequest, **options: Unpack[CallOptions]) -> Coroutine[object, object, pdpb_pb2.StoreGlobalConfigResponse]:
        """StoreGlobalConfig."""
        return self._channel.unary(PD_STORE_GLOBAL_CONFIG, request, **options)

    def load_global_config(self, request: pdpb_pb2.LoadGlobalConfigRequest, **options: Unpack[CallOptions]) -> Coroutine[object, object, pdpb_pb2.LoadGlobalConfigResponse]:
        """LoadGlobalConfig."""
        return self._channel.unary(PD_LOAD_GLOBAL_CONFIG, request, **options)

    def watch_global_config(self, request: pdpb_pb2.WatchGlobalConfigRequest, **options: Unpack[CallOptions]) -> AsyncIterator[pdpb_pb2.WatchGlobalConfigResponse]:
        """WatchGlobalConfig."""
        return self._channel.unary_stream(PD_WATCH_GLOBAL_CONFIG, request, **options)

    async def report_buckets(self, **options: Unpack[CallOptions]) -> ClientCall[pdpb_pb2.ReportBucketsRequest, pdpb_pb2.ReportBucketsResponse]:
        """ReportBuckets."""
        return await self._channel.open(PD_REPORT_BUCKETS, **options)

    def report_min_resolved_ts(self, request: pdpb_pb2.ReportMinResolvedTsRequest, **options: Unpack[CallOptions]) -> Coroutine[object, object, pdpb_pb2.ReportMinResolvedTsResponse]:
        """ReportMinResolvedTS."""
        return self._channel.unary(PD_REPORT_MIN_RESOLVED_TS, request, **options)

    def set_external_timestamp(self, request: pdpb_pb2.SetExternalTimestampRequest, **options: Unpack[CallOptions]) -> Coroutine[object, object, pdpb_pb2.SetExternalTimestampResponse]:
        """SetExternalTimestamp."""
        return self._channel.unary(PD_SET_EXTERNAL_TIMESTAMP, request, **options)

    def get_external_timestamp(self, request: pdpb_pb2.GetExternalTimestampRequest, **options: Unpack[CallOptions]) -> Coroutine[object, object, pdpb_pb2.GetExternalTimestampResponse]:
        """GetExternalTimestamp."""
        return self._channel.unary(PD_GET_EXTERNAL_TIMESTAMP, request, **options)

    def get_min_ts(self, request: pdpb_pb2.GetMinTSRequest, **options: Unpack[CallOptions]) -> Coroutine[object, object, pdpb_pb2.GetMinTSResponse]:
        """GetMinTS."""
        return self._channel.unary(PD_GET_MIN_TS, request, **options)
