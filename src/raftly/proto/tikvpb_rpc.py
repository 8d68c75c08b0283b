"""Services of raftly/proto/tikvpb.proto. Written by raftly.rpc.codegen; do not edit."""

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
from raftly.proto import coprocessor_pb2
from raftly.proto import disaggregated_pb2
from raftly.proto import kvrpcpb_pb2
from raftly.proto import mpp_pb2
from raftly.proto import raft_serverpb_pb2
from raftly.proto import tikvpb_pb2


TIKV_KV_GET: Final[Method[kvrpcpb_pb2.GetRequest, kvrpcpb_pb2.GetResponse]] = Method(
    service="tikvpb.Tikv",
    name="KvGet",
    kind=Kind.UNARY_UNARY,
    encode_request=kvrpcpb_pb2.GetRequest.SerializeToString,
    decode_request=kvrpcpb_pb2.GetRequest.FromString,
    encode_response=kvrpcpb_pb2.GetResponse.SerializeToString,
    decode_response=kvrpcpb_pb2.GetResponse.FromString,
)
TIKV_KV_SCAN: Final[Method[kvrpcpb_pb2.ScanRequest, kvrpcpb_pb2.ScanResponse]] = Method(
    service="tikvpb.Tikv",
    name="KvScan",
    kind=Kind.UNARY_UNARY,
    encode_request=kvrpcpb_pb2.ScanRequest.SerializeToString,
    decode_request=kvrpcpb_pb2.ScanRequest.FromString,
    encode_response=kvrpcpb_pb2.ScanResponse.SerializeToString,
    decode_response=kvrpcpb_pb2.ScanResponse.FromString,
)
TIKV_KV_PREWRITE: Final[Method[kvrpcpb_pb2.PrewriteRequest, kvrpcpb_pb2.PrewriteResponse]] = Method(
    service="tikvpb.Tikv",
    name="KvPrewrite",
    kind=Kind.UNARY_UNARY,
    encode_request=kvrpcpb_pb2.PrewriteRequest.SerializeToString,
    decode_request=kvrpcpb_pb2.PrewriteRequest.FromString,
    encode_response=kvrpcpb_pb2.PrewriteResponse.SerializeToString,
    decode_response=kvrpcpb_pb2.PrewriteResponse.FromString,
)
TIKV_KV_PESSIMISTIC_LOCK: Final[Method[kvrpcpb_pb2.PessimisticLockRequest, kvrpcpb_pb2.PessimisticLockResponse]] = Method(
    service="tikvpb.Tikv",
    name="KvPessimisticLock",
    kind=Kind.UNARY_UNARY,
    encode_request=kvrpcpb_pb2.PessimisticLockRequest.SerializeToString,
    decode_request=kvrpcpb_pb2.PessimisticLockRequest.FromString,
    encode_response=kvrpcpb_pb2.PessimisticLockResponse.SerializeToString,
    decode_response=kvrpcpb_pb2.PessimisticLockResponse.FromString,
)
TIKV_KV_PESSIMISTIC_ROLLBACK: Final[Method[kvrpcpb_pb2.PessimisticRollbackRequest, kvrpcpb_pb2.PessimisticRollbackResponse]] = Method(
    service="tikvpb.Tikv",
    name="KVPessimisticRollback",
    kind=Kind.UNARY_UNARY,
    encode_request=kvrpcpb_pb2.PessimisticRollbackRequest.SerializeToString,
    decode_request=kvrpcpb_pb2.PessimisticRollbackRequest.FromString,
    encode_response=kvrpcpb_pb2.PessimisticRollbackResponse.SerializeToString,
    decode_response=kvrpcpb_pb2.PessimisticRollbackResponse.FromString,
)
TIKV_KV_TXN_HEART_BEAT: Final[Method[kvrpcpb_pb2.TxnHeartBeatRequest, kvrpcpb_pb2.TxnHeartBeatResponse]] = Method(
    service="tikvpb.Tikv",
    name="KvTxnHeartBeat",
    kind=Kind.UNARY_UNARY,
    encode_request=kvrpcpb_pb2.TxnHeartBeatRequest.SerializeToString,
    decode_request=kvrpcpb_pb2.TxnHeartBeatRequest.FromString,
    encode_response=kvrpcpb_pb2.TxnHeartBeatResponse.SerializeToString,
    decode_response=kvrpcpb_pb2.TxnHeartBeatResponse.FromString,
)
TIKV_KV_CHECK_TXN_STATUS: Final[Method[kvrpcpb_pb2.CheckTxnStatusRequest, kvrpcpb_pb2.CheckTxnStatusResponse]] = Method(
    service="tikvpb.Tikv",
    name="KvCheckTxnStatus",
    kind=Kind.UNARY_UNARY,
    encode_request=kvrpcpb_pb2.CheckTxnStatusRequest.SerializeToString,
    decode_request=kvrpcpb_pb2.CheckTxnStatusRequest.FromString,
    encode_response=kvrpcpb_pb2.CheckTxnStatusResponse.SerializeToString,
    decode_response=kvrpcpb_pb2.CheckTxnStatusResponse.FromString,
)
TIKV_KV_CHECK_SECONDARY_LOCKS: Final[Method[kvrpcpb_pb2.CheckSecondaryLocksRequest, kvrpcpb_pb2.CheckSecondaryLocksResponse]] = Method(
    service="tikvpb.Tikv",
    name="KvCheckSecondaryLocks",
    kind=Kind.UNARY_UNARY,
    encode_request=kvrpcpb_pb2.CheckSecondaryLocksRequest.SerializeToString,
    decode_request=kvrpcpb_pb2.CheckSecondaryLocksRequest.FromString,
    encode_response=kvrpcpb_pb2.CheckSecondaryLocksResponse.SerializeToString,
    decode_response=kvrpcpb_pb2.CheckSecondaryLocksResponse.FromString,
)
TIKV_KV_COMMIT: Final[Method[kvrpcpb_pb2.CommitRequest, kvrpcpb_pb2.CommitResponse]] = Method(
    service="tikvpb.Tikv",
    name="KvCommit",
    kind=Kind.UNARY_UNARY,
    encode_request=kvrpcpb_pb2.CommitRequest.SerializeToString,
    decode_request=kvrpcpb_pb2.CommitRequest.FromString,
    encode_response=kvrpcpb_pb2.CommitResponse.SerializeToString,
    decode_response=kvrpcpb_pb2.CommitResponse.FromString,
)
TIKV_KV_IMPORT: Final[Method[kvrpcpb_pb2.ImportRequest, kvrpcpb_pb2.ImportResponse]] = Method(
    service="tikvpb.Tikv",
    name="KvImport",
    kind=Kind.UNARY_UNARY,
    encode_request=kvrpcpb_pb2.ImportRequest.SerializeToString,
    decode_request=kvrpcpb_pb2.ImportRequest.FromString,
    encode_response=kvrpcpb_pb2.ImportResponse.SerializeToString,
    decode_response=kvrpcpb_pb2.ImportResponse.FromString,
)
TIKV_KV_CLEANUP: Final[Method[kvrpcpb_pb2.CleanupRequest, kvrpcpb_pb2.CleanupResponse]] = Method(
    service="tikvpb.Tikv",
    name="KvCleanup",
    kind=Kind.UNARY_UNARY,
    encode_request=kvrpcpb_pb2.CleanupRequest.SerializeToString,
    decode_request=kvrpcpb_pb2.CleanupRequest.FromString,
    encode_response=kvrpcpb_pb2.CleanupResponse.SerializeToString,
    decode_response=kvrpcpb_pb2.CleanupResponse.FromString,
)
TIKV_KV_BATCH_GET: Final[Method[kvrpcpb_pb2.BatchGetRequest, kvrpcpb_pb2.BatchGetResponse]] = Method(
    service="tikvpb.Tikv",
    name="KvBatchGet",
    kind=Kind.UNARY_UNARY,
    encode_request=kvrpcpb_pb2.BatchGetRequest.SerializeToString,
    decode_request=kvrpcpb_pb2.BatchGetRequest.FromString,
    encode_response=kvrpcpb_pb2.BatchGetResponse.SerializeToString,
    decode_response=kvrpcpb_pb2.BatchGetResponse.FromString,
)
TIKV_KV_BATCH_ROLLBACK: Final[Method[kvrpcpb_pb2.BatchRollbackRequest, kvrpcpb_pb2.BatchRollbackResponse]] = Method(
    service="tikvpb.Tikv",
    name="KvBatchRollback",
    kind=Kind.UNARY_UNARY,
    encode_request=kvrpcpb_pb2.BatchRollbackRequest.SerializeToString,
    decode_request=kvrpcpb_pb2.BatchRollbackRequest.FromString,
    encode_response=kvrpcpb_pb2.BatchRollbackResponse.SerializeToString,
    decode_response=kvrpcpb_pb2.BatchRollbackResponse.FromString,
)
TIKV_KV_SCAN_LOCK: Final[Method[kvrpcpb_pb2.ScanLockRequest, kvrpcpb_pb2.ScanLockResponse]] = Method(
    service="tikvpb.Tikv",
    name="KvScanLock",
    kind=Kind.UNARY_UNARY,
    encode_request=kvrpcpb_pb2.ScanLockRequest.SerializeToString,
    decode_request=kvrpcpb_pb2.ScanLockRequest.FromString,
    encode_response=kvrpcpb_pb2.ScanLockResponse.SerializeToString,
    decode_response=kvrpcpb_pb2.ScanLockResponse.FromString,
)
TIKV_KV_RESOLVE_LOCK: Final[Method[kvrpcpb_pb2.ResolveLockRequest, kvrpcpb_pb2.ResolveLockResponse]] = Method(
    service="tikvpb.Tikv",
    name="KvResolveLock",
    kind=Kind.UNARY_UNARY,
    encode_request=kvrpcpb_pb2.ResolveLockRequest.SerializeToString,
    decode_request=kvrpcpb_pb2.ResolveLockRequest.FromString,
    encode_response=kvrpcpb_pb2.ResolveLockResponse.SerializeToString,
    decode_response=kvrpcpb_pb2.ResolveLockResponse.FromString,
)
TIKV_KV_GC: Final[Method[kvrpcpb_pb2.GCRequest, kvrpcpb_pb2.GCResponse]] = Method(
    service="tikvpb.Tikv",
    name="KvGC",
    kind=Kind.UNARY_UNARY,
    encode_request=kvrpcpb_pb2.GCRequest.SerializeToString,
    decode_request=kvrpcpb_pb2.GCRequest.FromString,
    encode_response=kvrpcpb_pb2.GCResponse.SerializeToString,
    decode_response=kvrpcpb_pb2.GCResponse.FromString,
)
TIKV_KV_DELETE_RANGE: Final[Method[kvrpcpb_pb2.DeleteRangeRequest, kvrpcpb_pb2.DeleteRangeResponse]] = Method(
    service="tikvpb.Tikv",
    name="KvDeleteRange",
    kind=Kind.UNARY_UNARY,
    encode_request=kvrpcpb_pb2.DeleteRangeRequest.SerializeToString,
    decode_request=kvrpcpb_pb2.DeleteRangeRequest.FromString,
    encode_response=kvrpcpb_pb2.DeleteRangeResponse.SerializeToString,
    decode_response=kvrpcpb_pb2.DeleteRangeResponse.FromString,
)
TIKV_KV_PREPARE_FLASHBACK_TO_VERSION: Final[Method[kvrpcpb_pb2.PrepareFlashbackToVersionRequest, kvrpcpb_pb2.PrepareFlashbackToVersionResponse]] = Method(
    service="tikvpb.Tikv",
    name="KvPrepareFlashbackToVersion",
    kind=Kind.UNARY_UNARY,
    encode_request=kvrpcpb_pb2.PrepareFlashbackToVersionRequest.SerializeToString,
    decode_request=kvrpcpb_pb2.PrepareFlashbackToVersionRequest.FromString,
    encode_response=kvrpcpb_pb2.PrepareFlashbackToVersionResponse.SerializeToString,
    decode_response=kvrpcpb_pb2.PrepareFlashbackToVersionResponse.FromString,
)
TIKV_KV_FLASHBACK_TO_VERSION: Final[Method[kvrpcpb_pb2.FlashbackToVersionRequest, kvrpcpb_pb2.FlashbackToVersionResponse]] = Method(
    service="tikvpb.Tikv",
    name="KvFlashbackToVersion",
    kind=Kind.UNARY_UNARY,
    encode_request=kvrpcpb_pb2.FlashbackToVersionRequest.SerializeToString,
    decode_request=kvrpcpb_pb2.FlashbackToVersionRequest.FromString,
    encode_response=kvrpcpb_pb2.FlashbackToVersionResponse.SerializeToString,
    decode_response=kvrpcpb_pb2.FlashbackToVersionResponse.FromString,
)
TIKV_KV_FLUSH: Final[Method[kvrpcpb_pb2.FlushRequest, kvrpcpb_pb2.FlushResponse]] = Method(
    service="tikvpb.Tikv",
    name="KvFlush",
    kind=Kind.UNARY_UNARY,
    encode_request=kvrpcpb_pb2.FlushRequest.SerializeToString,
    decode_request=kvrpcpb_pb2.FlushRequest.FromString,
    encode_response=kvrpcpb_pb2.FlushResponse.SerializeToString,
    decode_response=kvrpcpb_pb2.FlushResponse.FromString,
)
TIKV_KV_BUFFER_BATCH_GET: Final[Method[kvrpcpb_pb2.BufferBatchGetRequest, kvrpcpb_pb2.BufferBatchGetResponse]] = Method(
    service="tikvpb.Tikv",
    name="KvBufferBatchGet",
    kind=Kind.UNARY_UNARY,
    encode_request=kvrpcpb_pb2.BufferBatchGetRequest.SerializeToString,
    decode_request=kvrpcpb_pb2.BufferBatchGetRequest.FromString,
    encode_response=kvrpcpb_pb2.BufferBatchGetResponse.SerializeToString,
    decode_response=kvrpcpb_pb2.BufferBatchGetResponse.FromString,
)
TIKV_RAW_GET: Final[Method[kvrpcpb_pb2.RawGetRequest, kvrpcpb_pb2.RawGetResponse]] = Method(
    service="tikvpb.Tikv",
    name="RawGet",
    kind=Kind.UNARY_UNARY,
    encode_request=kvrpcpb_pb2.RawGetRequest.SerializeToString,
    decode_request=kvrpcpb_pb2.RawGetRequest.FromString,
    encode_response=kvrpcpb_pb2.RawGetResponse.SerializeToString,
    decode_response=kvrpcpb_pb2.RawGetResponse.FromString,
)
TIKV_RAW_BATCH_GET: Final[Method[kvrpcpb_pb2.RawBatchGetRequest, kvrpcpb_pb2.RawBatchGetResponse]] = Method(
    service="tikvpb.Tikv",
    name="RawBatchGet",
    kind=Kind.UNARY_UNARY,
    encode_request=kvrpcpb_pb2.RawBatchGetRequest.SerializeToString,
    decode_request=kvrpcpb_pb2.RawBatchGetRequest.FromString,
    encode_response=kvrpcpb_pb2.RawBatchGetResponse.SerializeToString,
    decode_response=kvrpcpb_pb2.RawBatchGetResponse.FromString,
)
TIKV_RAW_PUT: Final[Method[kvrpcpb_pb2.RawPutRequest, kvrpcpb_pb2.RawPutResponse]] = Method(
    service="tikvpb.Tikv",
    name="RawPut",
    kind=Kind.UNARY_UNARY,
    encode_request=kvrpcpb_pb2.RawPutRequest.SerializeToString,
    decode_request=kvrpcpb_pb2.RawPutRequest.FromString,
    encode_response=kvrpcpb_pb2.RawPutResponse.SerializeToString,
    decode_response=kvrpcpb_pb2.RawPutResponse.FromString,
)
TIKV_RAW_BATCH_PUT: Final[Method[kvrpcpb_pb2.RawBatchPutRequest, kvrpcpb_pb2.RawBatchPutResponse]] = Method(
    service="tikvpb.Tikv",
    name="RawBatchPut",
    kind=Kind.UNARY_UNARY,
    encode_request=kvrpcpb_pb2.RawBatchPutRequest.SerializeToString,
    decode_request=kvrpcpb_pb2.RawBatchPutRequest.FromString,
    encode_response=kvrpcpb_pb2.RawBatchPutResponse.SerializeToString,
    decode_response=kvrpcpb_pb2.RawBatchPutResponse.FromString,
)
TIKV_RAW_DELETE: Final[Method[kvrpcpb_pb2.RawDeleteRequest, kvrpcpb_pb2.RawDeleteResponse]] = Method(
    service="tikvpb.Tikv",
    name="RawDelete",
    kind=Kind.UNARY_UNARY,
    encode_request=kvrpcpb_pb2.RawDeleteRequest.SerializeToString,
    decode_request=kvrpcpb_pb2.RawDeleteRequest.FromString,
    encode_response=kvrpcpb_pb2.RawDeleteResponse.SerializeToString,
    decode_response=kvrpcpb_pb2.RawDeleteResponse.FromString,
)
TIKV_RAW_BATCH_DELETE: Final[Method[kvrpcpb_pb2.RawBatchDeleteRequest, kvrpcpb_pb2.RawBatchDeleteResponse]] = Method(
    service="tikvpb.Tikv",
    name="RawBatchDelete",
    kind=Kind.UNARY_UNARY,
    encode_request=kvrpcpb_pb2.RawBatchDeleteRequest.SerializeToString,
    decode_request=kvrpcpb_pb2.RawBatchDeleteRequest.FromString,
    encode_response=kvrpcpb_pb2.RawBatchDeleteResponse.SerializeToString,
    decode_response=kvrpcpb_pb2.RawBatchDeleteResponse.FromString,
)
TIKV_RAW_SCAN: Final[Method[kvrpcpb_pb2.RawScanRequest, kvrpcpb_pb2.RawScanResponse]] = Method(
    service="tikvpb.Tikv",
    name="RawScan",
    kind=Kind.UNARY_UNARY,
    encode_request=kvrpcpb_pb2.RawScanRequest.SerializeToString,
    decode_request=kvrpcpb_pb2.RawScanRequest.FromString,
    encode_response=kvrpcpb_pb2.RawScanResponse.SerializeToString,
    decode_response=kvrpcpb_pb2.RawScanResponse.FromString,
)
TIKV_RAW_DELETE_RANGE: Final[Method[kvrpcpb_pb2.RawDeleteRangeRequest, kvrpcpb_pb2.RawDeleteRangeResponse]] = Method(
    service="tikvpb.Tikv",
    name="RawDeleteRange",
    kind=Kind.UNARY_UNARY,
    encode_request=kvrpcpb_pb2.RawDeleteRangeRequest.SerializeToString,
    decode_request=kvrpcpb_pb2.RawDeleteRangeRequest.FromString,
    encode_response=kvrpcpb_pb2.RawDeleteRangeResponse.SerializeToString,
    decode_response=kvrpcpb_pb2.RawDeleteRangeResponse.FromString,
)
TIKV_RAW_BATCH_SCAN: Final[Method[kvrpcpb_pb2.RawBatchScanRequest, kvrpcpb_pb2.RawBatchScanResponse]] = Method(
    service="tikvpb.Tikv",
    name="RawBatchScan",
    kind=Kind.UNARY_UNARY,
    encode_request=kvrpcpb_pb2.RawBatchScanRequest.SerializeToString,
    decode_request=kvrpcpb_pb2.RawBatchScanRequest.FromString,
    encode_response=kvrpcpb_pb2.RawBatchScanResponse.SerializeToString,
    decode_response=kvrpcpb_pb2.RawBatchScanResponse.FromString,
)
TIKV_RAW_GET_KEY_TTL: Final[Method[kvrpcpb_pb2.RawGetKeyTTLRequest, kvrpcpb_pb2.RawGetKeyTTLResponse]] = Method(
    service="tikvpb.Tikv",
    name="RawGetKeyTTL",
    kind=Kind.UNARY_UNARY,
    encode_request=kvrpcpb_pb2.RawGetKeyTTLRequest.SerializeToString,
    decode_request=kvrpcpb_pb2.RawGetKeyTTLRequest.FromString,
    encode_response=kvrpcpb_pb2.RawGetKeyTTLResponse.SerializeToString,
    decode_response=kvrpcpb_pb2.RawGetKeyTTLResponse.FromString,
)
TIKV_RAW_COMPARE_AND_SWAP: Final[Method[kvrpcpb_pb2.RawCASRequest, kvrpcpb_pb2.RawCASResponse]] = Method(
    service="tikvpb.Tikv",
    name="RawCompareAndSwap",
    kind=Kind.UNARY_UNARY,
    encode_request=kvrpcpb_pb2.RawCASRequest.SerializeToString,
    decode_request=kvrpcpb_pb2.RawCASRequest.FromString,
    encode_response=kvrpcpb_pb2.RawCASResponse.SerializeToString,
    decode_response=kvrpcpb_pb2.RawCASResponse.FromString,
)
TIKV_RAW_CHECKSUM: Final[Method[kvrpcpb_pb2.RawChecksumRequest, kvrpcpb_pb2.RawChecksumResponse]] = Method(
    service="tikvpb.Tikv",
    name="RawChecksum",
    kind=Kind.UNARY_UNARY,
    encode_request=kvrpcpb_pb2.RawChecksumRequest.SerializeToString,
    decode_request=kvrpcpb_pb2.RawChecksumRequest.FromString,
    encode_response=kvrpcpb_pb2.RawChecksumResponse.SerializeToString,
    decode_response=kvrpcpb_pb2.RawChecksumResponse.FromString,
)
TIKV_UNSAFE_DESTROY_RANGE: Final[Method[kvrpcpb_pb2.UnsafeDestroyRangeRequest, kvrpcpb_pb2.UnsafeDestroyRangeResponse]] = Method(
    service="tikvpb.Tikv",
    name="UnsafeDestroyRange",
    kind=Kind.UNARY_UNARY,
    encode_request=kvrpcpb_pb2.UnsafeDestroyRangeRequest.SerializeToString,
    decode_request=kvrpcpb_pb2.UnsafeDestroyRangeRequest.FromString,
    encode_response=kvrpcpb_pb2.UnsafeDestroyRangeResponse.SerializeToString,
    decode_response=kvrpcpb_pb2.UnsafeDestroyRangeResponse.FromString,
)
TIKV_REGISTER_LOCK_OBSERVER: Final[Method[kvrpcpb_pb2.RegisterLockObserverRequest, kvrpcpb_pb2.RegisterLockObserverResponse]] = Method(
    service="tikvpb.Tikv",
    name="RegisterLockObserver",
    kind=Kind.UNARY_UNARY,
    encode_request=kvrpcpb_pb2.RegisterLockObserverRequest.SerializeToString,
    decode_request=kvrpcpb_pb2.RegisterLockObserverRequest.FromString,
    encode_response=kvrpcpb_pb2.RegisterLockObserverResponse.SerializeToString,
    decode_response=kvrpcpb_pb2.RegisterLockObserverResponse.FromString,
)
TIKV_CHECK_LOCK_OBSERVER: Final[Method[kvrpcpb_pb2.CheckLockObserverRequest, kvrpcpb_pb2.CheckLockObserverResponse]] = Method(
    service="tikvpb.Tikv",
    name="CheckLockObserver",
    kind=Kind.UNARY_UNARY,
    encode_request=kvrpcpb_pb2.CheckLockObserverRequest.SerializeToString,
    decode_request=kvrpcpb_pb2.CheckLockObserverRequest.FromString,
    encode_response=kvrpcpb_pb2.CheckLockObserverResponse.SerializeToString,
    decode_response=kvrpcpb_pb2.CheckLockObserverResponse.FromString,
)
TIKV_REMOVE_LOCK_OBSERVER: Final[Method[kvrpcpb_pb2.RemoveLockObserverRequest, kvrpcpb_pb2.RemoveLockObserverResponse]] = Method(
    service="tikvpb.Tikv",
    name="RemoveLockObserver",
    kind=Kind.UNARY_UNARY,
    encode_request=kvrpcpb_pb2.RemoveLockObserverRequest.SerializeToString,
    decode_request=kvrpcpb_pb2.RemoveLockObserverRequest.FromString,
    encode_response=kvrpcpb_pb2.RemoveLockObserverResponse.SerializeToString,
    decode_response=kvrpcpb_pb2.RemoveLockObserverResponse.FromString,
)
TIKV_PHYSICAL_SCAN_LOCK: Final[Method[kvrpcpb_pb2.PhysicalScanLockRequest, kvrpcpb_pb2.PhysicalScanLockResponse]] = Method(
    service="tikvpb.Tikv",
    name="PhysicalScanLock",
    kind=Kind.UNARY_UNARY,
    encode_request=kvrpcpb_pb2.PhysicalScanLockRequest.SerializeToString,
    decode_request=kvrpcpb_pb2.PhysicalScanLockRequest.FromString,
    encode_response=kvrpcpb_pb2.PhysicalScanLockResponse.SerializeToString,
    decode_response=kvrpcpb_pb2.PhysicalScanLockResponse.FromString,
)
TIKV_COPROCESSOR: Final[Method[coprocessor_pb2.Request, coprocessor_pb2.Response]] = Method(
    service="tikvpb.Tikv",
    name="Coprocessor",
    kind=Kind.UNARY_UNARY,
    encode_request=coprocessor_pb2.Request.SerializeToString,
    decode_request=coprocessor_pb2.Request.FromString,
    encode_response=coprocessor_pb2.Response.SerializeToString,
    decode_response=coprocessor_pb2.Response.FromString,
)
TIKV_COPROCESSOR_STREAM: Final[Method[coprocessor_pb2.Request, coprocessor_pb2.Response]] = Method(
    service="tikvpb.Tikv",
    name="CoprocessorStream",
    kind=Kind.UNARY_STREAM,
    encode_request=coprocessor_pb2.Request.SerializeToString,
    decode_request=coprocessor_pb2.Request.FromString,
    encode_response=coprocessor_pb2.Response.SerializeToString,
    decode_response=coprocessor_pb2.Response.FromString,
)
TIKV_BATCH_COPROCESSOR: Final[Method[coprocessor_pb2.BatchRequest, coprocessor_pb2.BatchResponse]] = Method(
    service="tikvpb.Tikv",
    name="BatchCoprocessor",
    kind=Kind.UNARY_STREAM,
    encode_request=coprocessor_pb2.BatchRequest.SerializeToString,
    decode_request=coprocessor_pb2.BatchRequest.FromString,
    encode_response=coprocessor_pb2.BatchResponse.SerializeToString,
    decode_response=coprocessor_pb2.BatchResponse.FromString,
)
TIKV_DELEGATE_COPROCESSOR: Final[Method[coprocessor_pb2.DelegateRequest, coprocessor_pb2.DelegateResponse]] = Method(
    service="tikvpb.Tikv",
    name="DelegateCoprocessor",
    kind=Kind.UNARY_UNARY,
    encode_request=coprocessor_pb2.DelegateRequest.SerializeToString,
    decode_request=coprocessor_pb2.DelegateRequest.FromString,
    encode_response=coprocessor_pb2.DelegateResponse.SerializeToString,
    decode_response=coprocessor_pb2.DelegateResponse.FromString,
)
TIKV_RAW_COPROCESSOR: Final[Method[kvrpcpb_pb2.RawCoprocessorRequest, kvrpcpb_pb2.RawCoprocessorResponse]] = Method(
    service="tikvpb.Tikv",
    name="RawCoprocessor",
    kind=Kind.UNARY_UNARY,
    encode_request=kvrpcpb_pb2.RawCoprocessorRequest.SerializeToString,
    decode_request=kvrpcpb_pb2.RawCoprocessorRequest.FromString,
    encode_response=kvrpcpb_pb2.RawCoprocessorResponse.SerializeToString,
    decode_response=kvrpcpb_pb2.RawCoprocessorResponse.FromString,
)
TIKV_RAFT: Final[Method[raft_serverpb_pb2.RaftMessage, raft_serverpb_pb2.Done]] = Method(
    service="tikvpb.Tikv",
    name="Raft",
    kind=Kind.STREAM_UNARY,
    encode_request=raft_serverpb_pb2.RaftMessage.SerializeToString,
    decode_request=raft_serverpb_pb2.RaftMessage.FromString,
    encode_response=raft_serverpb_pb2.Done.SerializeToString,
    decode_response=raft_serverpb_pb2.Done.FromString,
)
TIKV_BATCH_RAFT: Final[Method[tikvpb_pb2.BatchRaftMessage, raft_serverpb_pb2.Done]] = Method(
    service="tikvpb.Tikv",
    name="BatchRaft",
    kind=Kind.STREAM_UNARY,
    encode_request=tikvpb_pb2.BatchRaftMessage.SerializeToString,
    decode_request=tikvpb_pb2.BatchRaftMessage.FromString,
    encode_response=raft_serverpb_pb2.Done.SerializeToString,
    decode_response=raft_serverpb_pb2.Done.FromString,
)
TIKV_SNAPSHOT: Final[Method[raft_serverpb_pb2.SnapshotChunk, raft_serverpb_pb2.Done]] = Method(
    service="tikvpb.Tikv",
    name="Snapshot",
    kind=Kind.STREAM_UNARY,
    encode_request=raft_serverpb_pb2.SnapshotChunk.SerializeToString,
    decode_request=raft_serverpb_pb2.SnapshotChunk.FromString,
    encode_response=raft_serverpb_pb2.Done.SerializeToString,
    decode_response=raft_serverpb_pb2.Done.FromString,
)
TIKV_TABLET_SNAPSHOT: Final[Method[raft_serverpb_pb2.TabletSnapshotRequest, raft_serverpb_pb2.TabletSnapshotResponse]] = Method(
    service="tikvpb.Tikv",
    name="TabletSnapshot",
    kind=Kind.STREAM_STREAM,
    encode_request=raft_serverpb_pb2.TabletSnapshotRequest.SerializeToString,
    decode_request=raft_serverpb_pb2.TabletSnapshotRequest.FromString,
    encode_response=raft_serverpb_pb2.TabletSnapshotResponse.SerializeToString,
    decode_response=raft_serverpb_pb2.TabletSnapshotResponse.FromString,
)
TIKV_SPLIT_REGION: Final[Method[kvrpcpb_pb2.SplitRegionRequest, kvrpcpb_pb2.SplitRegionResponse]] = Method(
    service="tikvpb.Tikv",
    name="SplitRegion",
    kind=Kind.UNARY_UNARY,
    encode_request=kvrpcpb_pb2.SplitRegionRequest.SerializeToString,
    decode_request=kvrpcpb_pb2.SplitRegionRequest.FromString,
    encode_response=kvrpcpb_pb2.SplitRegionResponse.SerializeToString,
    decode_response=kvrpcpb_pb2.SplitRegionResponse.FromString,
)
TIKV_READ_INDEX: Final[Method[kvrpcpb_pb2.ReadIndexRequest, kvrpcpb_pb2.ReadIndexResponse]] = Method(
    service="tikvpb.Tikv",
    name="ReadIndex",
    kind=Kind.UNARY_UNARY,
    encode_request=kvrpcpb_pb2.ReadIndexRequest.SerializeToString,
    decode_request=kvrpcpb_pb2.ReadIndexRequest.FromString,
    encode_response=kvrpcpb_pb2.ReadIndexResponse.SerializeToString,
    decode_response=kvrpcpb_pb2.ReadIndexResponse.FromString,
)
TIKV_MVCC_GET_BY_KEY: Final[Method[kvrpcpb_pb2.MvccGetByKeyRequest, kvrpcpb_pb2.MvccGetByKeyResponse]] = Method(
    service="tikvpb.Tikv",
    name="MvccGetByKey",
    kind=Kind.UNARY_UNARY,
    encode_request=kvrpcpb_pb2.MvccGetByKeyRequest.SerializeToString,
    decode_request=kvrpcpb_pb2.MvccGetByKeyRequest.FromString,
    encode_response=kvrpcpb_pb2.MvccGetByKeyResponse.SerializeToString,
    decode_response=kvrpcpb_pb2.MvccGetByKeyResponse.FromString,
)
TIKV_MVCC_GET_BY_START_TS: Final[Method[kvrpcpb_pb2.MvccGetByStartTsRequest, kvrpcpb_pb2.MvccGetByStartTsResponse]] = Method(
    service="tikvpb.Tikv",
    name="MvccGetByStartTs",
    kind=Kind.UNARY_UNARY,
    encode_request=kvrpcpb_pb2.MvccGetByStartTsRequest.SerializeToString,
    decode_request=kvrpcpb_pb2.MvccGetByStartTsRequest.FromString,
    encode_response=kvrpcpb_pb2.MvccGetByStartTsResponse.SerializeToString,
    decode_response=kvrpcpb_pb2.MvccGetByStartTsResponse.FromString,
)
TIKV_BATCH_COMMANDS: Final[Method[tikvpb_pb2.BatchCommandsRequest, tikvpb_pb2.BatchCommandsResponse]] = Method(
    service="tikvpb.Tikv",
    name="BatchCommands",
    kind=Kind.STREAM_STREAM,
    encode_request=tikvpb_pb2.BatchCommandsRequest.SerializeToString,
    decode_request=tikvpb_pb2.BatchCommandsRequest.FromString,
    encode_response=tikvpb_pb2.BatchCommandsResponse.SerializeToString,
    decode_response=tikvpb_pb2.BatchCommandsResponse.FromString,
)
TIKV_DISPATCH_MPP_TASK: Final[Method[mpp_pb2.DispatchTaskRequest, mpp_pb2.DispatchTaskResponse]] = Method(
    service="tikvpb.Tikv",
    name="DispatchMPPTask",
    kind=Kind.UNARY_UNARY,
    encode_request=mpp_pb2.DispatchTaskRequest.SerializeToString,
    decode_request=mpp_pb2.DispatchTaskRequest.FromString,
    encode_response=mpp_pb2.DispatchTaskResponse.SerializeToString,
    decode_response=mpp_pb2.DispatchTaskResponse.FromString,
)
TIKV_CANCEL_MPP_TASK: Final[Method[mpp_pb2.CancelTaskRequest, mpp_pb2.CancelTaskResponse]] = Method(
    service="tikvpb.Tikv",
    name="CancelMPPTask",
    kind=Kind.UNARY_UNARY,
    encode_request=mpp_pb2.CancelTaskRequest.SerializeToString,
    decode_request=mpp_pb2.CancelTaskRequest.FromString,
    encode_response=mpp_pb2.CancelTaskResponse.SerializeToString,
    decode_response=mpp_pb2.CancelTaskResponse.FromString,
)
TIKV_ESTABLISH_MPP_CONNECTION: Final[Method[mpp_pb2.EstablishMPPConnectionRequest, mpp_pb2.MPPDataPacket]] = Method(
    service="tikvpb.Tikv",
    name="EstablishMPPConnection",
    kind=Kind.UNARY_STREAM,
    encode_request=mpp_pb2.EstablishMPPConnectionRequest.SerializeToString,
    decode_request=mpp_pb2.EstablishMPPConnectionRequest.FromString,
    encode_response=mpp_pb2.MPPDataPacket.SerializeToString,
    decode_response=mpp_pb2.MPPDataPacket.FromString,
)
TIKV_IS_ALIVE: Final[Method[mpp_pb2.IsAliveRequest, mpp_pb2.IsAliveResponse]] = Method(
    service="tikvpb.Tikv",
    name="IsAlive",
    kind=Kind.UNARY_UNARY,
    encode_request=mpp_pb2.IsAliveRequest.SerializeToString,
    decode_request=mpp_pb2.IsAliveRequest.FromString,
    encode_response=mpp_pb2.IsAliveResponse.SerializeToString,
    decode_response=mpp_pb2.IsAliveResponse.FromString,
)
TIKV_REPORT_MPP_TASK_STATUS: Final[Method[mpp_pb2.ReportTaskStatusRequest, mpp_pb2.ReportTaskStatusResponse]] = Method(
    service="tikvpb.Tikv",
    name="ReportMPPTaskStatus",
    kind=Kind.UNARY_UNARY,
    encode_request=mpp_pb2.ReportTaskStatusRequest.SerializeToString,
    decode_request=mpp_pb2.ReportTaskStatusRequest.FromString,
    encode_response=mpp_pb2.ReportTaskStatusResponse.SerializeToString,
    decode_response=mpp_pb2.ReportTaskStatusResponse.FromString,
)
TIKV_CHECK_LEADER: Final[Method[kvrpcpb_pb2.CheckLeaderRequest, kvrpcpb_pb2.CheckLeaderResponse]] = Method(
    service="tikvpb.Tikv",
    name="CheckLeader",
    kind=Kind.UNARY_UNARY,
    encode_request=kvrpcpb_pb2.CheckLeaderRequest.SerializeToString,
    decode_request=kvrpcpb_pb2.CheckLeaderRequest.FromString,
    encode_response=kvrpcpb_pb2.CheckLeaderResponse.SerializeToString,
    decode_response=kvrpcpb_pb2.CheckLeaderResponse.FromString,
)
TIKV_GET_STORE_SAFE_TS: Final[Method[kvrpcpb_pb2.StoreSafeTSRequest, kvrpcpb_pb2.StoreSafeTSResponse]] = Method(
    service="tikvpb.Tikv",
    name="GetStoreSafeTS",
    kind=Kind.UNARY_UNARY,
    encode_request=kvrpcpb_pb2.StoreSafeTSRequest.SerializeToString,
    decode_request=kvrpcpb_pb2.StoreSafeTSRequest.FromString,
    encode_response=kvrpcpb_pb2.StoreSafeTSResponse.SerializeToString,
    decode_response=kvrpcpb_pb2.StoreSafeTSResponse.FromString,
)
TIKV_GET_LOCK_WAIT_INFO: Final[Method[kvrpcpb_pb2.GetLockWaitInfoRequest, kvrpcpb_pb2.GetLockWaitInfoResponse]] = Method(
    service="tikvpb.Tikv",
    name="GetLockWaitInfo",
    kind=Kind.UNARY_UNARY,
    encode_request=kvrpcpb_pb2.GetLockWaitInfoRequest.SerializeToString,
    decode_request=kvrpcpb_pb2.GetLockWaitInfoRequest.FromString,
    encode_response=kvrpcpb_pb2.GetLockWaitInfoResponse.SerializeToString,
    decode_response=kvrpcpb_pb2.GetLockWaitInfoResponse.FromString,
)
TIKV_COMPACT: Final[Method[kvrpcpb_pb2.CompactRequest, kvrpcpb_pb2.CompactResponse]] = Method(
    service="tikvpb.Tikv",
    name="Compact",
    kind=Kind.UNARY_UNARY,
    encode_request=kvrpcpb_pb2.CompactRequest.SerializeToString,
    decode_request=kvrpcpb_pb2.CompactRequest.FromString,
    encode_response=kvrpcpb_pb2.CompactResponse.SerializeToString,
    decode_response=kvrpcpb_pb2.CompactResponse.FromString,
)
TIKV_GET_LOCK_WAIT_HISTORY: Final[Method[kvrpcpb_pb2.GetLockWaitHistoryRequest, kvrpcpb_pb2.GetLockWaitHistoryResponse]] = Method(
    service="tikvpb.Tikv",
    name="GetLockWaitHistory",
    kind=Kind.UNARY_UNARY,
    encode_request=kvrpcpb_pb2.GetLockWaitHistoryRequest.SerializeToString,
    decode_request=kvrpcpb_pb2.GetLockWaitHistoryRequest.FromString,
    encode_response=kvrpcpb_pb2.GetLockWaitHistoryResponse.SerializeToString,
    decode_response=kvrpcpb_pb2.GetLockWaitHistoryResponse.FromString,
)
TIKV_GET_TI_FLASH_SYSTEM_TABLE: Final[Method[kvrpcpb_pb2.TiFlashSystemTableRequest, kvrpcpb_pb2.TiFlashSystemTableResponse]] = Method(
    service="tikvpb.Tikv",
    name="GetTiFlashSystemTable",
    kind=Kind.UNARY_UNARY,
    encode_request=kvrpcpb_pb2.TiFlashSystemTableRequest.SerializeToString,
    decode_request=kvrpcpb_pb2.TiFlashSystemTableRequest.FromString,
    encode_response=kvrpcpb_pb2.TiFlashSystemTableResponse.SerializeToString,
    decode_response=kvrpcpb_pb2.TiFlashSystemTableResponse.FromString,
)
TIKV_GET_ESTIMATE_TI_CI_COUNT: Final[Method[coprocessor_pb2.TiCIEstimateCountRequest, coprocessor_pb2.TiCIEstimateCountResponse]] = Method(
    service="tikvpb.Tikv",
    name="GetEstimateTiCICount",
    kind=Kind.UNARY_UNARY,
    encode_request=coprocessor_pb2.TiCIEstimateCountRequest.SerializeToString,
    decode_request=coprocessor_pb2.TiCIEstimateCountRequest.FromString,
    encode_response=coprocessor_pb2.TiCIEstimateCountResponse.SerializeToString,
    decode_response=coprocessor_pb2.TiCIEstimateCountResponse.FromString,
)
TIKV_TRY_ADD_LOCK: Final[Method[disaggregated_pb2.TryAddLockRequest, disaggregated_pb2.TryAddLockResponse]] = Method(
    service="tikvpb.Tikv",
    name="tryAddLock",
    kind=Kind.UNARY_UNARY,
    encode_request=disaggregated_pb2.TryAddLockRequest.SerializeToString,
    decode_request=disaggregated_pb2.TryAddLockRequest.FromString,
    encode_response=disaggregated_pb2.TryAddLockResponse.SerializeToString,
    decode_response=disaggregated_pb2.TryAddLockResponse.FromString,
)
TIKV_TRY_MARK_DELETE: Final[Method[disaggregated_pb2.TryMarkDeleteRequest, disaggregated_pb2.TryMarkDeleteResponse]] = Method(
    service="tikvpb.Tikv",
    name="tryMarkDelete",
    kind=Kind.UNARY_UNARY,
    encode_request=disaggregated_pb2.TryMarkDeleteRequest.SerializeToString,
    decode_request=disaggregated_pb2.TryMarkDeleteRequest.FromString,
    encode_response=disaggregated_pb2.TryMarkDeleteResponse.SerializeToString,
    decode_response=disaggregated_pb2.TryMarkDeleteResponse.FromString,
)
TIKV_ESTABLISH_DISAGG_TASK: Final[Method[disaggregated_pb2.EstablishDisaggTaskRequest, disaggregated_pb2.EstablishDisaggTaskResponse]] = Method(
    service="tikvpb.Tikv",
    name="EstablishDisaggTask",
    kind=Kind.UNARY_UNARY,
    encode_request=disaggregated_pb2.EstablishDisaggTaskRequest.SerializeToString,
    decode_request=disaggregated_pb2.EstablishDisaggTaskRequest.FromString,
    encode_response=disaggregated_pb2.EstablishDisaggTaskResponse.SerializeToString,
    decode_response=disaggregated_pb2.EstablishDisaggTaskResponse.FromString,
)
TIKV_CANCEL_DISAGG_TASK: Final[Method[disaggregated_pb2.CancelDisaggTaskRequest, disaggregated_pb2.CancelDisaggTaskResponse]] = Method(
    service="tikvpb.Tikv",
    name="CancelDisaggTask",
    kind=Kind.UNARY_UNARY,
    encode_request=disaggregated_pb2.CancelDisaggTaskRequest.SerializeToString,
    decode_request=disaggregated_pb2.CancelDisaggTaskRequest.FromString,
    encode_response=disaggregated_pb2.CancelDisaggTaskResponse.SerializeToString,
    decode_response=disaggregated_pb2.CancelDisaggTaskResponse.FromString,
)
TIKV_FETCH_DISAGG_PAGES: Final[Method[disaggregated_pb2.FetchDisaggPagesRequest, disaggregated_pb2.PagesPacket]] = Method(
    service="tikvpb.Tikv",
    name="FetchDisaggPages",
    kind=Kind.UNARY_STREAM,
    encode_request=disaggregated_pb2.FetchDisaggPagesRequest.SerializeToString,
    decode_request=disaggregated_pb2.FetchDisaggPagesRequest.FromString,
    encode_response=disaggregated_pb2.PagesPacket.SerializeToString,
    decode_response=disaggregated_pb2.PagesPacket.FromString,
)
TIKV_GET_DISAGG_CONFIG: Final[Method[disaggregated_pb2.GetDisaggConfigRequest, disaggregated_pb2.GetDisaggConfigResponse]] = Method(
    service="tikvpb.Tikv",
    name="GetDisaggConfig",
    kind=Kind.UNARY_UNARY,
    encode_request=disaggregated_pb2.GetDisaggConfigRequest.SerializeToString,
    decode_request=disaggregated_pb2.GetDisaggConfigRequest.FromString,
    encode_response=disaggregated_pb2.GetDisaggConfigResponse.SerializeToString,
    decode_response=disaggregated_pb2.GetDisaggConfigResponse.FromString,
)
TIKV_GET_HEALTH_FEEDBACK: Final[Method[kvrpcpb_pb2.GetHealthFeedbackRequest, kvrpcpb_pb2.GetHealthFeedbackResponse]] = Method(
    service="tikvpb.Tikv",
    name="GetHealthFeedback",
    kind=Kind.UNARY_UNARY,
    encode_request=kvrpcpb_pb2.GetHealthFeedbackRequest.SerializeToString,
    decode_request=kvrpcpb_pb2.GetHealthFeedbackRequest.FromString,
    encode_response=kvrpcpb_pb2.GetHealthFeedbackResponse.SerializeToString,
    decode_response=kvrpcpb_pb2.GetHealthFeedbackResponse.FromString,
)
TIKV_BROADCAST_TXN_STATUS: Final[Method[kvrpcpb_pb2.BroadcastTxnStatusRequest, kvrpcpb_pb2.BroadcastTxnStatusResponse]] = Method(
    service="tikvpb.Tikv",
    name="BroadcastTxnStatus",
    kind=Kind.UNARY_UNARY,
    encode_request=kvrpcpb_pb2.BroadcastTxnStatusRequest.SerializeToString,
    decode_request=kvrpcpb_pb2.BroadcastTxnStatusRequest.FromString,
    encode_response=kvrpcpb_pb2.BroadcastTxnStatusResponse.SerializeToString,
    decode_response=kvrpcpb_pb2.BroadcastTxnStatusResponse.FromString,
)


class TikvHandlers(Protocol):
    """What serves tikvpb.Tikv; a handler takes the request or requests, and if it wants the call."""

    @property
    def kv_get(self) -> UnaryHandler[kvrpcpb_pb2.GetRequest, kvrpcpb_pb2.GetResponse]:
        """KvGet."""

    @property
    def kv_scan(self) -> UnaryHandler[kvrpcpb_pb2.ScanRequest, kvrpcpb_pb2.ScanResponse]:
        """KvScan."""

    @property
    def kv_prewrite(self) -> UnaryHandler[kvrpcpb_pb2.PrewriteRequest, kvrpcpb_pb2.PrewriteResponse]:
        """KvPrewrite."""

    @property
    def kv_pessimistic_lock(self) -> UnaryHandler[kvrpcpb_pb2.PessimisticLockRequest, kvrpcpb_pb2.PessimisticLockResponse]:
        """KvPessimisticLock."""

    @property
    def kv_pessimistic_rollback(self) -> UnaryHandler[kvrpcpb_pb2.PessimisticRollbackRequest, kvrpcpb_pb2.PessimisticRollbackResponse]:
        """KVPessimisticRollback."""

    @property
    def kv_txn_heart_beat(self) -> UnaryHandler[kvrpcpb_pb2.TxnHeartBeatRequest, kvrpcpb_pb2.TxnHeartBeatResponse]:
        """KvTxnHeartBeat."""

    @property
    def kv_check_txn_status(self) -> UnaryHandler[kvrpcpb_pb2.CheckTxnStatusRequest, kvrpcpb_pb2.CheckTxnStatusResponse]:
        """KvCheckTxnStatus."""

    @property
    def kv_check_secondary_locks(self) -> UnaryHandler[kvrpcpb_pb2.CheckSecondaryLocksRequest, kvrpcpb_pb2.CheckSecondaryLocksResponse]:
        """KvCheckSecondaryLocks."""

    @property
    def kv_commit(self) -> UnaryHandler[kvrpcpb_pb2.CommitRequest, kvrpcpb_pb2.CommitResponse]:
        """KvCommit."""

    @property
    def kv_import(self) -> UnaryHandler[kvrpcpb_pb2.ImportRequest, kvrpcpb_pb2.ImportResponse]:
        """KvImport."""

    @property
    def kv_cleanup(self) -> UnaryHandler[kvrpcpb_pb2.CleanupRequest, kvrpcpb_pb2.CleanupResponse]:
        """KvCleanup."""

    @property
    def kv_batch_get(self) -> UnaryHandler[kvrpcpb_pb2.BatchGetRequest, kvrpcpb_pb2.BatchGetResponse]:
        """KvBatchGet."""

    @property
    def kv_batch_rollback(self) -> UnaryHandler[kvrpcpb_pb2.BatchRollbackRequest, kvrpcpb_pb2.BatchRollbackResponse]:
        """KvBatchRollback."""

    @property
    def kv_scan_lock(self) -> UnaryHandler[kvrpcpb_pb2.ScanLockRequest, kvrpcpb_pb2.ScanLockResponse]:
        """KvScanLock."""

    @property
    def kv_resolve_lock(self) -> UnaryHandler[kvrpcpb_pb2.ResolveLockRequest, kvrpcpb_pb2.ResolveLockResponse]:
        """KvResolveLock."""

    @property
    def kv_gc(self) -> UnaryHandler[kvrpcpb_pb2.GCRequest, kvrpcpb_pb2.GCResponse]:
        """KvGC."""

    @property
    def kv_delete_range(self) -> UnaryHandler[kvrpcpb_pb2.DeleteRangeRequest, kvrpcpb_pb2.DeleteRangeResponse]:
        """KvDeleteRange."""

    @property
    def kv_prepare_flashback_to_version(self) -> UnaryHandler[kvrpcpb_pb2.PrepareFlashbackToVersionRequest, kvrpcpb_pb2.PrepareFlashbackToVersionResponse]:
        """KvPrepareFlashbackToVersion."""

    @property
    def kv_flashback_to_version(self) -> UnaryHandler[kvrpcpb_pb2.FlashbackToVersionRequest, kvrpcpb_pb2.FlashbackToVersionResponse]:
        """KvFlashbackToVersion."""

    @property
    def kv_flush(self) -> UnaryHandler[kvrpcpb_pb2.FlushRequest, kvrpcpb_pb2.FlushResponse]:
        """KvFlush."""

    @property
    def kv_buffer_batch_get(self) -> UnaryHandler[kvrpcpb_pb2.BufferBatchGetRequest, kvrpcpb_pb2.BufferBatchGetResponse]:
        """KvBufferBatchGet."""

    @property
    def raw_get(self) -> UnaryHandler[kvrpcpb_pb2.RawGetRequest, kvrpcpb_pb2.RawGetResponse]:
        """RawGet."""

    @property
    def raw_batch_get(self) -> UnaryHandler[kvrpcpb_pb2.RawBatchGetRequest, kvrpcpb_pb2.RawBatchGetResponse]:
        """RawBatchGet."""

    @property
    def raw_put(self) -> UnaryHandler[kvrpcpb_pb2.RawPutRequest, kvrpcpb_pb2.RawPutResponse]:
        """RawPut."""

    @property
    def raw_batch_put(self) -> UnaryHandler[kvrpcpb_pb2.RawBatchPutRequest, kvrpcpb_pb2.RawBatchPutResponse]:
        """RawBatchPut."""

    @property
    def raw_delete(self) -> UnaryHandler[kvrpcpb_pb2.RawDeleteRequest, kvrpcpb_pb2.RawDeleteResponse]:
        """RawDelete."""

    @property
    def raw_batch_delete(self) -> UnaryHandler[kvrpcpb_pb2.RawBatchDeleteRequest, kvrpcpb_pb2.RawBatchDeleteResponse]:
        """RawBatchDelete."""

    @property
    def raw_scan(self) -> UnaryHandler[kvrpcpb_pb2.RawScanRequest, kvrpcpb_pb2.RawScanResponse]:
        """RawScan."""

    @property
    def raw_delete_range(self) -> UnaryHandler[kvrpcpb_pb2.RawDeleteRangeRequest, kvrpcpb_pb2.RawDeleteRangeResponse]:
        """RawDeleteRange."""

    @property
    def raw_batch_scan(self) -> UnaryHandler[kvrpcpb_pb2.RawBatchScanRequest, kvrpcpb_pb2.RawBatchScanResponse]:
        """RawBatchScan."""

    @property
    def raw_get_key_ttl(self) -> UnaryHandler[kvrpcpb_pb2.RawGetKeyTTLRequest, kvrpcpb_pb2.RawGetKeyTTLResponse]:
        """RawGetKeyTTL."""

    @property
    def raw_compare_and_swap(self) -> UnaryHandler[kvrpcpb_pb2.RawCASRequest, kvrpcpb_pb2.RawCASResponse]:
        """RawCompareAndSwap."""

    @property
    def raw_checksum(self) -> UnaryHandler[kvrpcpb_pb2.RawChecksumRequest, kvrpcpb_pb2.RawChecksumResponse]:
        """RawChecksum."""

    @property
    def unsafe_destroy_range(self) -> UnaryHandler[kvrpcpb_pb2.UnsafeDestroyRangeRequest, kvrpcpb_pb2.UnsafeDestroyRangeResponse]:
        """UnsafeDestroyRange."""

    @property
    def register_lock_observer(self) -> UnaryHandler[kvrpcpb_pb2.RegisterLockObserverRequest, kvrpcpb_pb2.RegisterLockObserverResponse]:
        """RegisterLockObserver."""

    @property
    def check_lock_observer(self) -> UnaryHandler[kvrpcpb_pb2.CheckLockObserverRequest, kvrpcpb_pb2.CheckLockObserverResponse]:
        """CheckLockObserver."""

    @property
    def remove_lock_observer(self) -> UnaryHandler[kvrpcpb_pb2.RemoveLockObserverRequest, kvrpcpb_pb2.RemoveLockObserverResponse]:
        """RemoveLockObserver."""

    @property
    def physical_scan_lock(self) -> UnaryHandler[kvrpcpb_pb2.PhysicalScanLockRequest, kvrpcpb_pb2.PhysicalScanLockResponse]:
        """PhysicalScanLock."""

    @property
    def coprocessor(self) -> UnaryHandler[coprocessor_pb2.Request, coprocessor_pb2.Response]:
        """Coprocessor."""

    @property
    def coprocessor_stream(self) -> StreamHandler[coprocessor_pb2.Request, coprocessor_pb2.Response]:
        """CoprocessorStream."""

    @property
    def batch_coprocessor(self) -> StreamHandler[coprocessor_pb2.BatchRequest, coprocessor_pb2.BatchResponse]:
        """BatchCoprocessor."""

    @property
    def delegate_coprocessor(self) -> UnaryHandler[coprocessor_pb2.DelegateRequest, coprocessor_pb2.DelegateResponse]:
        """DelegateCoprocessor."""

    @property
    def raw_coprocessor(self) -> UnaryHandler[kvrpcpb_pb2.RawCoprocessorRequest, kvrpcpb_pb2.RawCoprocessorResponse]:
        """RawCoprocessor."""

    @property
    def raft(self) -> StreamUnaryHandler[raft_serverpb_pb2.RaftMessage, raft_serverpb_pb2.Done]:
        """Raft."""

    @property
    def batch_raft(self) -> StreamUnaryHandler[tikvpb_pb2.BatchRaftMessage, raft_serverpb_pb2.Done]:
        """BatchRaft."""

    @property
    def snapshot(self) -> StreamUnaryHandler[raft_serverpb_pb2.SnapshotChunk, raft_serverpb_pb2.Done]:
        """Snapshot."""

    @property
    def tablet_snapshot(self) -> StreamStreamHandler[raft_serverpb_pb2.TabletSnapshotRequest, raft_serverpb_pb2.TabletSnapshotResponse]:
        """TabletSnapshot."""

    @property
    def split_region(self) -> UnaryHandler[kvrpcpb_pb2.SplitRegionRequest, kvrpcpb_pb2.SplitRegionResponse]:
        """SplitRegion."""

    @property
    def read_index(self) -> UnaryHandler[kvrpcpb_pb2.ReadIndexRequest, kvrpcpb_pb2.ReadIndexResponse]:
        """ReadIndex."""

    @property
    def mvcc_get_by_key(self) -> UnaryHandler[kvrpcpb_pb2.MvccGetByKeyRequest, kvrpcpb_pb2.MvccGetByKeyResponse]:
        """MvccGetByKey."""

    @property
    def mvcc_get_by_start_ts(self) -> UnaryHandler[kvrpcpb_pb2.MvccGetByStartTsRequest, kvrpcpb_pb2.MvccGetByStartTsResponse]:
        """MvccGetByStartTs."""

    @property
    def batch_commands(self) -> StreamStreamHandler[tikvpb_pb2.BatchCommandsRequest, tikvpb_pb2.BatchCommandsResponse]:
        """BatchCommands."""

    @property
    def dispatch_mpp_task(self) -> UnaryHandler[mpp_pb2.DispatchTaskRequest, mpp_pb2.DispatchTaskResponse]:
        """DispatchMPPTask."""

    @property
    def cancel_mpp_task(self) -> UnaryHandler[mpp_pb2.CancelTaskRequest, mpp_pb2.CancelTaskResponse]:
        """CancelMPPTask."""

    @property
    def establish_mpp_connection(self) -> StreamHandler[mpp_pb2.EstablishMPPConnectionRequest, mpp_pb2.MPPDataPacket]:
        """EstablishMPPConnection."""

    @property
    def is_alive(self) -> UnaryHandler[mpp_pb2.IsAliveRequest, mpp_pb2.IsAliveResponse]:
        """IsAlive."""

    @property
    def report_mpp_task_status(self) -> UnaryHandler[mpp_pb2.ReportTaskStatusRequest, mpp_pb2.ReportTaskStatusResponse]:
        """ReportMPPTaskStatus."""

    @property
    def check_leader(self) -> UnaryHandler[kvrpcpb_pb2.CheckLeaderRequest, kvrpcpb_pb2.CheckLeaderResponse]:
        """CheckLeader."""

    @property
    def get_store_safe_ts(self) -> UnaryHandler[kvrpcpb_pb2.StoreSafeTSRequest, kvrpcpb_pb2.StoreSafeTSResponse]:
        """GetStoreSafeTS."""

    @property
    def get_lock_wait_info(self) -> UnaryHandler[kvrpcpb_pb2.GetLockWaitInfoRequest, kvrpcpb_pb2.GetLockWaitInfoResponse]:
        """GetLockWaitInfo."""

    @property
    def compact(self) -> UnaryHandler[kvrpcpb_pb2.CompactRequest, kvrpcpb_pb2.CompactResponse]:
        """Compact."""

    @property
    def get_lock_wait_history(self) -> UnaryHandler[kvrpcpb_pb2.GetLockWaitHistoryRequest, kvrpcpb_pb2.GetLockWaitHistoryResponse]:
        """GetLockWaitHistory."""

    @property
    def get_ti_flash_system_table(self) -> UnaryHandler[kvrpcpb_pb2.TiFlashSystemTableRequest, kvrpcpb_pb2.TiFlashSystemTableResponse]:
        """GetTiFlashSystemTable."""

    @property
    def get_estimate_ti_ci_count(self) -> UnaryHandler[coprocessor_pb2.TiCIEstimateCountRequest, coprocessor_pb2.TiCIEstimateCountResponse]:
        """GetEstimateTiCICount."""

    @property
    def try_add_lock(self) -> UnaryHandler[disaggregated_pb2.TryAddLockRequest, disaggregated_pb2.TryAddLockResponse]:
        """tryAddLock."""

    @property
    def try_mark_delete(self) -> UnaryHandler[disaggregated_pb2.TryMarkDeleteRequest, disaggregated_pb2.TryMarkDeleteResponse]:
        """tryMarkDelete."""

    @property
    def establish_disagg_task(self) -> UnaryHandler[disaggregated_pb2.EstablishDisaggTaskRequest, disaggregated_pb2.EstablishDisaggTaskResponse]:
        """EstablishDisaggTask."""

    @property
    def cancel_disagg_task(self) -> UnaryHandler[disaggregated_pb2.CancelDisaggTaskRequest, disaggregated_pb2.CancelDisaggTaskResponse]:
        """CancelDisaggTask."""

    @property
    def fetch_disagg_pages(self) -> StreamHandler[disaggregated_pb2.FetchDisaggPagesRequest, disaggregated_pb2.PagesPacket]:
        """FetchDisaggPages."""

    @property
    def get_disagg_config(self) -> UnaryHandler[disaggregated_pb2.GetDisaggConfigRequest, disaggregated_pb2.GetDisaggConfigResponse]:
        """GetDisaggConfig."""

    @property
    def get_health_feedback(self) -> UnaryHandler[kvrpcpb_pb2.GetHealthFeedbackRequest, kvrpcpb_pb2.GetHealthFeedbackResponse]:
        """GetHealthFeedback."""

    @property
    def broadcast_txn_status(self) -> UnaryHandler[kvrpcpb_pb2.BroadcastTxnStatusRequest, kvrpcpb_pb2.BroadcastTxnStatusResponse]:
        """BroadcastTxnStatus."""


def tikv_service(handlers: TikvHandlers) -> Service:
    """tikvpb.Tikv, served by `handlers`."""
    return Service(
        "tikvpb.Tikv",
        [
            bind(TIKV_KV_GET, handlers.kv_get),
            bind(TIKV_KV_SCAN, handlers.kv_scan),
            bind(TIKV_KV_PREWRITE, handlers.kv_prewrite),
            bind(TIKV_KV_PESSIMISTIC_LOCK, handlers.kv_pessimistic_lock),
            bind(TIKV_KV_PESSIMISTIC_ROLLBACK, handlers.kv_pessimistic_rollback),
            bind(TIKV_KV_TXN_HEART_BEAT, handlers.kv_txn_heart_beat),
            bind(TIKV_KV_CHECK_TXN_STATUS, handlers.kv_check_txn_status),
            bind(TIKV_KV_CHECK_SECONDARY_LOCKS, handlers.kv_check_secondary_locks),
            bind(TIKV_KV_COMMIT, handlers.kv_commit),
            bind(TIKV_KV_IMPORT, handlers.kv_import),
            bind(TIKV_KV_CLEANUP, handlers.kv_cleanup),
            bind(TIKV_KV_BATCH_GET, handlers.kv_batch_get),
            bind(TIKV_KV_BATCH_ROLLBACK, handlers.kv_batch_rollback),
            bind(TIKV_KV_SCAN_LOCK, handlers.kv_scan_lock),
            bind(TIKV_KV_RESOLVE_LOCK, handlers.kv_resolve_lock),
            bind(TIKV_KV_GC, handlers.kv_gc),
            bind(TIKV_KV_DELETE_RANGE, handlers.kv_delete_range),
            bind(TIKV_KV_PREPARE_FLASHBACK_TO_VERSION, handlers.kv_prepare_flashback_to_version),
            bind(TIKV_KV_FLASHBACK_TO_VERSION, handlers.kv_flashback_to_version),
            bind(TIKV_KV_FLUSH, handlers.kv_flush),
            bind(TIKV_KV_BUFFER_BATCH_GET, handlers.kv_buffer_batch_get),
            bind(TIKV_RAW_GET, handlers.raw_get),
            bind(TIKV_RAW_BATCH_GET, handlers.raw_batch_get),
            bind(TIKV_RAW_PUT, handlers.raw_put),
            bind(TIKV_RAW_BATCH_PUT, handlers.raw_batch_put),
            bind(TIKV_RAW_DELETE, handlers.raw_delete),
            bind(TIKV_RAW_BATCH_DELETE, handlers.raw_batch_delete),
            bind(TIKV_RAW_SCAN, handlers.raw_scan),
            bind(TIKV_RAW_DELETE_RANGE, handlers.raw_delete_range),
            bind(TIKV_RAW_BATCH_SCAN, handlers.raw_batch_scan),
            bind(TIKV_RAW_GET_KEY_TTL, handlers.raw_get_key_ttl),
            bind(TIKV_RAW_COMPARE_AND_SWAP, handlers.raw_compare_and_swap),
            bind(TIKV_RAW_CHECKSUM, handlers.raw_checksum),
            bind(TIKV_UNSAFE_DESTROY_RANGE, handlers.unsafe_destroy_range),
            bind(TIKV_REGISTER_LOCK_OBSERVER, handlers.register_lock_observer),
            bind(TIKV_CHECK_LOCK_OBSERVER, handlers.check_lock_observer),
            bind(TIKV_REMOVE_LOCK_OBSERVER, handlers.remove_lock_observer),
            bind(TIKV_PHYSICAL_SCAN_LOCK, handlers.physical_scan_lock),
            bind(TIKV_COPROCESSOR, handlers.coprocessor),
            bind(TIKV_COPROCESSOR_STREAM, handlers.coprocessor_stream),
            bind(TIKV_BATCH_COPROCESSOR, handlers.batch_coprocessor),
            bind(TIKV_DELEGATE_COPROCESSOR, handlers.delegate_coprocessor),
            bind(TIKV_RAW_COPROCESSOR, handlers.raw_coprocessor),
            bind(TIKV_RAFT, handlers.raft),
            bind(TIKV_BATCH_RAFT, handlers.batch_raft),
            bind(TIKV_SNAPSHOT, handlers.snapshot),
            bind(TIKV_TABLET_SNAPSHOT, handlers.tablet_snapshot),
            bind(TIKV_SPLIT_REGION, handlers.split_region),
            bind(TIKV_READ_INDEX, handlers.read_index),
            bind(TIKV_MVCC_GET_BY_KEY, handlers.mvcc_get_by_key),
            bind(TIKV_MVCC_GET_BY_START_TS, handlers.mvcc_get_by_start_ts),
            bind(TIKV_BATCH_COMMANDS, handlers.batch_commands),
            bind(TIKV_DISPATCH_MPP_TASK, handlers.dispatch_mpp_task),
            bind(TIKV_CANCEL_MPP_TASK, handlers.cancel_mpp_task),
            bind(TIKV_ESTABLISH_MPP_CONNECTION, handlers.establish_mpp_connection),
            bind(TIKV_IS_ALIVE, handlers.is_alive),
            bind(TIKV_REPORT_MPP_TASK_STATUS, handlers.report_mpp_task_status),
            bind(TIKV_CHECK_LEADER, handlers.check_leader),
            bind(TIKV_GET_STORE_SAFE_TS, handlers.get_store_safe_ts),
            bind(TIKV_GET_LOCK_WAIT_INFO, handlers.get_lock_wait_info),
            bind(TIKV_COMPACT, handlers.compact),
            bind(TIKV_GET_LOCK_WAIT_HISTORY, handlers.get_lock_wait_history),
            bind(TIKV_GET_TI_FLASH_SYSTEM_TABLE, handlers.get_ti_flash_system_table),
            bind(TIKV_GET_ESTIMATE_TI_CI_COUNT, handlers.get_estimate_ti_ci_count),
            bind(TIKV_TRY_ADD_LOCK, handlers.try_add_lock),
            bind(TIKV_TRY_MARK_DELETE, handlers.try_mark_delete),
            bind(TIKV_ESTABLISH_DISAGG_TASK, handlers.establish_disagg_task),
            bind(TIKV_CANCEL_DISAGG_TASK, handlers.cancel_disagg_task),
            bind(TIKV_FETCH_DISAGG_PAGES, handlers.fetch_disagg_pages),
            bind(TIKV_GET_DISAGG_CONFIG, handlers.get_disagg_config),
            bind(TIKV_GET_HEALTH_FEEDBACK, handlers.get_health_feedback),
            bind(TIKV_BROADCAST_TXN_STATUS, handlers.broadcast_txn_status),
        ],
        files_of(tikvpb_pb2.DESCRIPTOR),
    )


class TikvClient:
    """Calls to tikvpb.Tikv. Every method raises RpcError."""

    def __init__(self, channel: Channel) -> None:
        self._channel = channel

    def kv_get(self, request: kvrpcpb_pb2.GetRequest, **options: Unpack[CallOptions]) -> Coroutine[object, object, kvrpcpb_pb2.GetResponse]:
        """KvGet."""
        return self._channel.unary(TIKV_KV_GET, request, **options)

    def kv_scan(self, request: kvrpcpb_pb2.ScanRequest, **options: Unpack[CallOptions]) -> Coroutine[object, object, kvrpcpb_pb2.ScanResponse]:
        """KvScan."""
        return self._channel.unary(TIKV_KV_SCAN, request, **options)

    def kv_prewrite(self, request: kvrpcpb_pb2.PrewriteRequest, **options: Unpack[CallOptions]) -> Coroutine[object, object, kvrpcpb_pb2.PrewriteResponse]:
        """KvPrewrite."""
        return self._channel.unary(TIKV_KV_PREWRITE, request, **options)

    def kv_pessimistic_lock(self, request: kvrpcpb_pb2.PessimisticLockRequest, **options: Unpack[CallOptions]) -> Coroutine[object, object, kvrpcpb_pb2.PessimisticLockResponse]:
        """KvPessimisticLock."""
        return self._channel.unary(TIKV_KV_PESSIMISTIC_LOCK, request, **options)

    def kv_pessimistic_rollback(self, request: kvrpcpb_pb2.PessimisticRollbackRequest, **options: Unpack[CallOptions]) -> Coroutine[object, object, kvrpcpb_pb2.PessimisticRollbackResponse]:
        """KVPessimisticRollback."""
        return self._channel.unary(TIKV_KV_PESSIMISTIC_ROLLBACK, request, **options)

    def kv_txn_heart_beat(self, request: kvrpcpb_pb2.TxnHeartBeatRequest, **options: Unpack[CallOptions]) -> Coroutine[object, object, kvrpcpb_pb2.TxnHeartBeatResponse]:
        """KvTxnHeartBeat."""
        return self._channel.unary(TIKV_KV_TXN_HEART_BEAT, request, **options)

    def kv_check_txn_status(self, request: kvrpcpb_pb2.CheckTxnStatusRequest, **options: Unpack[CallOptions]) -> Coroutine[object, object, kvrpcpb_pb2.CheckTxnStatusResponse]:
        """KvCheckTxnStatus."""
        return self._channel.unary(TIKV_KV_CHECK_TXN_STATUS, request, **options)

    def kv_check_secondary_locks(self, request: kvrpcpb_pb2.CheckSecondaryLocksRequest, **options: Unpack[CallOptions]) -> Coroutine[object, object, kvrpcpb_pb2.CheckSecondaryLocksResponse]:
        """KvCheckSecondaryLocks."""
        return self._channel.unary(TIKV_KV_CHECK_SECONDARY_LOCKS, request, **options)

    def kv_commit(self, request: kvrpcpb_pb2.CommitRequest, **options: Unpack[CallOptions]) -> Coroutine[object, object, kvrpcpb_pb2.CommitResponse]:
        """KvCommit."""
        return self._channel.unary(TIKV_KV_COMMIT, request, **options)

    def kv_import(self, request: kvrpcpb_pb2.ImportRequest, **options: Unpack[CallOptions]) -> Coroutine[object, object, kvrpcpb_pb2.ImportResponse]:
        """KvImport."""
        return self._channel.unary(TIKV_KV_IMPORT, request, **options)

    def kv_cleanup(self, request: kvrpcpb_pb2.CleanupRequest, **options: Unpack[CallOptions]) -> Coroutine[object, object, kvrpcpb_pb2.CleanupResponse]:
        """KvCleanup."""
        return self._channel.unary(TIKV_KV_CLEANUP, request, **options)

    def kv_batch_get(self, request: kvrpcpb_pb2.BatchGetRequest, **options: Unpack[CallOptions]) -> Coroutine[object, object, kvrpcpb_pb2.BatchGetResponse]:
        """KvBatchGet."""
        return self._channel.unary(TIKV_KV_BATCH_GET, request, **options)

    def kv_batch_rollback(self, request: kvrpcpb_pb2.BatchRollbackRequest, **options: Unpack[CallOptions]) -> Coroutine[object, object, kvrpcpb_pb2.BatchRollbackResponse]:
        """KvBatchRollback."""
        return self._channel.unary(TIKV_KV_BATCH_ROLLBACK, request, **options)

    def kv_scan_lock(self, request: kvrpcpb_pb2.ScanLockRequest, **options: Unpack[CallOptions]) -> Coroutine[object, object, kvrpcpb_pb2.ScanLockResponse]:
        """KvScanLock."""
        return self._channel.unary(TIKV_KV_SCAN_LOCK, request, **options)

    def kv_resolve_lock(self, request: kvrpcpb_pb2.ResolveLockRequest, **options: Unpack[CallOptions]) -> Coroutine[object, object, kvrpcpb_pb2.ResolveLockResponse]:
        """KvResolveLock."""
        return self._channel.unary(TIKV_KV_RESOLVE_LOCK, request, **options)

    def kv_gc(self, request: kvrpcpb_pb2.GCRequest, **options: Unpack[CallOptions]) -> Coroutine[object, object, kvrpcpb_pb2.GCResponse]:
        """KvGC."""
        return self._channel.unary(TIKV_KV_GC, request, **options)

    def kv_delete_range(self, request: kvrpcpb_pb2.DeleteRangeRequest, **options: Unpack[CallOptions]) -> Coroutine[object, object, kvrpcpb_pb2.DeleteRangeResponse]:
        """KvDeleteRange."""
        return self._channel.unary(TIKV_KV_DELETE_RANGE, request, **options)

    def kv_prepare_flashback_to_version(self, request: kvrpcpb_pb2.PrepareFlashbackToVersionRequest, **options: Unpack[CallOptions]) -> Coroutine[object, object, kvrpcpb_pb2.PrepareFlashbackToVersionResponse]:
        """KvPrepareFlashbackToVersion."""
        return self._channel.unary(TIKV_KV_PREPARE_FLASHBACK_TO_VERSION, request, **options)

    def kv_flashback_to_version(self, request: kvrpcpb_pb2.FlashbackToVersionRequest, **options: Unpack[CallOptions]) -> Coroutine[object, object, kvrpcpb_pb2.FlashbackToVersionResponse]:
        """KvFlashbackToVersion."""
        return self._channel.unary(TIKV_KV_FLASHBACK_TO_VERSION, request, **options)

    def kv_flush(self, request: kvrpcpb_pb2.FlushRequest, **options: Unpack[CallOptions]) -> Coroutine[object, object, kvrpcpb_pb2.FlushResponse]:
        """KvFlush."""
        return self._channel.unary(TIKV_KV_FLUSH, request, **options)

    def kv_buffer_batch_get(self, request: kvrpcpb_pb2.BufferBatchGetRequest, **options: Unpack[CallOptions]) -> Coroutine[object, object, kvrpcpb_pb2.BufferBatchGetResponse]:
        """KvBufferBatchGet."""
        return self._channel.unary(TIKV_KV_BUFFER_BATCH_GET, request, **options)

    def raw_get(self, request: kvrpcpb_pb2.RawGetRequest, **options: Unpack[CallOptions]) -> Coroutine[object, object, kvrpcpb_pb2.RawGetResponse]:
        """RawGet."""
        return self._channel.unary(TIKV_RAW_GET, request, **options)

    def raw_batch_get(self, request: kvrpcpb_pb2.RawBatchGetRequest, **options: Unpack[CallOptions]) -> Coroutine[object, object, kvrpcpb_pb2.RawBatchGetResponse]:
        """RawBatchGet."""
        return self._channel.unary(TIKV_RAW_BATCH_GET, request, **options)

    def raw_put(self, request: kvrpcpb_pb2.RawPutRequest, **options: Unpack[CallOptions]) -> Coroutine[object, object, kvrpcpb_pb2.RawPutResponse]:
        """RawPut."""
        return self._channel.unary(TIKV_RAW_PUT, request, **options)

    def raw_batch_put(self, request: kvrpcpb_pb2.RawBatchPutRequest, **options: Unpack[CallOptions]) -> Coroutine[object, object, kvrpcpb_pb2.RawBatchPutResponse]:
        """RawBatchPut."""
        return self._channel.unary(TIKV_RAW_BATCH_PUT, request, **options)

    def raw_delete(self, request: kvrpcpb_pb2.RawDeleteRequest, **options: Unpack[CallOptions]) -> Coroutine[object, object, kvrpcpb_pb2.RawDeleteResponse]:
        """RawDelete."""
        return self._channel.unary(TIKV_RAW_DELETE, request, **options)

    def raw_batch_delete(self, request: kvrpcpb_pb2.RawBatchDeleteRequest, **options: Unpack[CallOptions]) -> Coroutine[object, object, kvrpcpb_pb2.RawBatchDeleteResponse]:
        """RawBatchDelete."""
        return self._channel.unary(TIKV_RAW_BATCH_DELETE, request, **options)

    def raw_scan(self, request: kvrpcpb_pb2.RawScanRequest, **options: Unpack[CallOptions]) -> Coroutine[object, object, kvrpcpb_pb2.RawScanResponse]:
        """RawScan."""
        return self._channel.unary(TIKV_RAW_SCAN, request, **options)

    def raw_delete_range(self, request: kvrpcpb_pb2.RawDeleteRangeRequest, **options: Unpack[CallOptions]) -> Coroutine[object, object, kvrpcpb_pb2.RawDeleteRangeResponse]:
        """RawDeleteRange."""
        return self._channel.unary(TIKV_RAW_DELETE_RANGE, request, **options)

    def raw_batch_scan(self, request: kvrpcpb_pb2.RawBatchScanRequest, **options: Unpack[CallOptions]) -> Coroutine[object, object, kvrpcpb_pb2.RawBatchScanResponse]:
        """RawBatchScan."""
        return self._channel.unary(TIKV_RAW_BATCH_SCAN, request, **options)

    def raw_get_key_ttl(self, request: kvrpcpb_pb2.RawGetKeyTTLRequest, **options: Unpack[CallOptions]) -> Coroutine[object, object, kvrpcpb_pb2.RawGetKeyTTLResponse]:
        """RawGetKeyTTL."""
        return self._channel.unary(TIKV_RAW_GET_KEY_TTL, request, **options)

    def raw_compare_and_swap(self, request: kvrpcpb_pb2.RawCASRequest, **options: Unpack[CallOptions]) -> Coroutine[object, object, kvrpcpb_pb2.RawCASResponse]:
        """RawCompareAndSwap."""
        return self._channel.unary(TIKV_RAW_COMPARE_AND_SWAP, request, **options)

    def raw_checksum(self, request: kvrpcpb_pb2.RawChecksumRequest, **options: Unpack[CallOptions]) -> Coroutine[object, object, kvrpcpb_pb2.RawChecksumResponse]:
        """RawChecksum."""
        return self._channel.unary(TIKV_RAW_CHECKSUM, request, **options)

    def unsafe_destroy_range(self, request: kvrpcpb_pb2.UnsafeDestroyRangeRequest, **options: Unpack[CallOptions]) -> Coroutine[object, object, kvrpcpb_pb2.UnsafeDestroyRangeResponse]:
        """UnsafeDestroyRange."""
        return self._channel.unary(TIKV_UNSAFE_DESTROY_RANGE, request, **options)

    def register_lock_observer(self, request: kvrpcpb_pb2.RegisterLockObserverRequest, **options: Unpack[CallOptions]) -> Coroutine[object, object, kvrpcpb_pb2.RegisterLockObserverResponse]:
        """RegisterLockObserver."""
        return self._channel.unary(TIKV_REGISTER_LOCK_OBSERVER, request, **options)

    def check_lock_observer(self, request: kvrpcpb_pb2.CheckLockObserverRequest, **options: Unpack[CallOptions]) -> Coroutine[object, object, kvrpcpb_pb2.CheckLockObserverResponse]:
        """CheckLockObserver."""
        return self._channel.unary(TIKV_CHECK_LOCK_OBSERVER, request, **options)

    def remove_lock_observer(self, request: kvrpcpb_pb2.RemoveLockObserverRequest, **options: Unpack[CallOptions]) -> Coroutine[object, object, kvrpcpb_pb2.RemoveLockObserverResponse]:
        """RemoveLockObserver."""
        return self._channel.unary(TIKV_REMOVE_LOCK_OBSERVER, request, **options)

    def physical_scan_lock(self, request: kvrpcpb_pb2.PhysicalScanLockRequest, **options: Unpack[CallOptions]) -> Coroutine[object, object, kvrpcpb_pb2.PhysicalScanLockResponse]:
        """PhysicalScanLock."""
        return self._channel.unary(TIKV_PHYSICAL_SCAN_LOCK, request, **options)

    def coprocessor(self, request: coprocessor_pb2.Request, **options: Unpack[CallOptions]) -> Coroutine[object, object, coprocessor_pb2.Response]:
        """Coprocessor."""
        return self._channel.unary(TIKV_COPROCESSOR, request, **options)

    def coprocessor_stream(self, request: coprocessor_pb2.Request, **options: Unpack[CallOptions]) -> AsyncIterator[coprocessor_pb2.Response]:
        """CoprocessorStream."""
        return self._channel.unary_stream(TIKV_COPROCESSOR_STREAM, request, **options)

    def batch_coprocessor(self, request: coprocessor_pb2.BatchRequest, **options: Unpack[CallOptions]) -> AsyncIterator[coprocessor_pb2.BatchResponse]:
        """BatchCoprocessor."""
        return self._channel.unary_stream(TIKV_BATCH_COPROCESSOR, request, **options)

    def delegate_coprocessor(self, request: coprocessor_pb2.DelegateRequest, **options: Unpack[CallOptions]) -> Coroutine[object, object, coprocessor_pb2.DelegateResponse]:
        """DelegateCoprocessor."""
        return self._channel.unary(TIKV_DELEGATE_COPROCESSOR, request, **options)

    def raw_coprocessor(self, request: kvrpcpb_pb2.RawCoprocessorRequest, **options: Unpack[CallOptions]) -> Coroutine[object, object, kvrpcpb_pb2.RawCoprocessorResponse]:
        """RawCoprocessor."""
        return self._channel.unary(TIKV_RAW_COPROCESSOR, request, **options)

    async def raft(self, **options: Unpack[CallOptions]) -> ClientCall[raft_serverpb_pb2.RaftMessage, raft_serverpb_pb2.Done]:
        """Raft."""
        return await self._channel.open(TIKV_RAFT, **options)

    async def batch_raft(self, **options: Unpack[CallOptions]) -> ClientCall[tikvpb_pb2.BatchRaftMessage, raft_serverpb_pb2.Done]:
        """BatchRaft."""
        return await self._channel.open(TIKV_BATCH_RAFT, **options)

    async def snapshot(self, **options: Unpack[CallOptions]) -> ClientCall[raft_serverpb_pb2.SnapshotChunk, raft_serverpb_pb2.Done]:
        """Snapshot."""
        return await self._channel.open(TIKV_SNAPSHOT, **options)

    async def tablet_snapshot(self, **options: Unpack[CallOptions]) -> ClientCall[raft_serverpb_pb2.TabletSnapshotRequest, raft_serverpb_pb2.TabletSnapshotResponse]:
        """TabletSnapshot."""
        return await self._channel.open(TIKV_TABLET_SNAPSHOT, **options)

    def split_region(self, request: kvrpcpb_pb2.SplitRegionRequest, **options: Unpack[CallOptions]) -> Coroutine[object, object, kvrpcpb_pb2.SplitRegionResponse]:
        """SplitRegion."""
        return self._channel.unary(TIKV_SPLIT_REGION, request, **options)

    def read_index(self, request: kvrpcpb_pb2.ReadIndexRequest, **options: Unpack[CallOptions]) -> Coroutine[object, object, kvrpcpb_pb2.ReadIndexResponse]:
        """ReadIndex."""
        return self._channel.unary(TIKV_READ_INDEX, request, **options)

    def mvcc_get_by_key(self, request: kvrpcpb_pb2.MvccGetByKeyRequest, **options: Unpack[CallOptions]) -> Coroutine[object, object, kvrpcpb_pb2.MvccGetByKeyResponse]:
        """MvccGetByKey."""
        return self._channel.unary(TIKV_MVCC_GET_BY_KEY, request, **options)

    def mvcc_get_by_start_ts(self, request: kvrpcpb_pb2.MvccGetByStartTsRequest, **options: Unpack[CallOptions]) -> Coroutine[object, object, kvrpcpb_pb2.MvccGetByStartTsResponse]:
        """MvccGetByStartTs."""
        return self._channel.unary(TIKV_MVCC_GET_BY_START_TS, request, **options)

    async def batch_commands(self, **options: Unpack[CallOptions]) -> ClientCall[tikvpb_pb2.BatchCommandsRequest, tikvpb_pb2.BatchCommandsResponse]:
        """BatchCommands."""
        return await self._channel.open(TIKV_BATCH_COMMANDS, **options)

    def dispatch_mpp_task(self, request: mpp_pb2.DispatchTaskRequest, **options: Unpack[CallOptions]) -> Coroutine[object, object, mpp_pb2.DispatchTaskResponse]:
        """DispatchMPPTask."""
        return self._channel.unary(TIKV_DISPATCH_MPP_TASK, request, **options)

    def cancel_mpp_task(self, request: mpp_pb2.CancelTaskRequest, **options: Unpack[CallOptions]) -> Coroutine[object, object, mpp_pb2.CancelTaskResponse]:
        """CancelMPPTask."""
        return self._channel.unary(TIKV_CANCEL_MPP_TASK, request, **options)

    def establish_mpp_connection(self, request: mpp_pb2.EstablishMPPConnectionRequest, **options: Unpack[CallOptions]) -> AsyncIterator[mpp_pb2.MPPDataPacket]:
        """EstablishMPPConnection."""
        return self._channel.unary_stream(TIKV_ESTABLISH_MPP_CONNECTION, request, **options)

    def is_alive(self, request: mpp_pb2.IsAliveRequest, **options: Unpack[CallOptions]) -> Coroutine[object, object, mpp_pb2.IsAliveResponse]:
        """IsAlive."""
        return self._channel.unary(TIKV_IS_ALIVE, request, **options)

    def report_mpp_task_status(self, request: mpp_pb2.ReportTaskStatusRequest, **options: Unpack[CallOptions]) -> Coroutine[object, object, mpp_pb2.ReportTaskStatusResponse]:
        """ReportMPPTaskStatus."""
        return self._channel.unary(TIKV_REPORT_MPP_TASK_STATUS, request, **options)

    def check_leader(self, request: kvrpcpb_pb2.CheckLeaderRequest, **options: Unpack[CallOptions]) -> Coroutine[object, object, kvrpcpb_pb2.CheckLeaderResponse]:
        """CheckLeader."""
        return self._channel.unary(TIKV_CHECK_LEADER, request, **options)

    def get_store_safe_ts(self, request: kvrpcpb_pb2.StoreSafeTSRequest, **options: Unpack[CallOptions]) -> Coroutine[object, object, kvrpcpb_pb2.StoreSafeTSResponse]:
        """GetStoreSafeTS."""
        return self._channel.unary(TIKV_GET_STORE_SAFE_TS, request, **options)

    def get_lock_wait_info(self, request: kvrpcpb_pb2.GetLockWaitInfoRequest, **options: Unpack[CallOptions]) -> Coroutine[object, object, kvrpcpb_pb2.GetLockWaitInfoResponse]:
        """GetLockWaitInfo."""
        return self._channel.unary(TIKV_GET_LOCK_WAIT_INFO, request, **options)

    def compact(self, request: kvrpcpb_pb2.CompactRequest, **options: Unpack[CallOptions]) -> Coroutine[object, object, kvrpcpb_pb2.CompactResponse]:
        """Compact."""
        return self._channel.unary(TIKV_COMPACT, request, **options)

    def get_lock_wait_history(self, request: kvrpcpb_pb2.GetLockWaitHistoryRequest, **options: Unpack[CallOptions]) -> Coroutine[object, object, kvrpcpb_pb2.GetLockWaitHistoryResponse]:
        """GetLockWaitHistory."""
        return self._channel.unary(TIKV_GET_LOCK_WAIT_HISTORY, request, **options)

    def get_ti_flash_system_table(self, request: kvrpcpb_pb2.TiFlashSystemTableRequest, **options: Unpack[CallOptions]) -> Coroutine[object, object, kvrpcpb_pb2.TiFlashSystemTableResponse]:
        """GetTiFlashSystemTable."""
        return self._channel.unary(TIKV_GET_TI_FLASH_SYSTEM_TABLE, request, **options)

    def get_estimate_ti_ci_count(self, request: coprocessor_pb2.TiCIEstimateCountRequest, **options: Unpack[CallOptions]) -> Coroutine[object, object, coprocessor_pb2.TiCIEstimateCountResponse]:
        """GetEstimateTiCICount."""
        return self._channel.unary(TIKV_GET_ESTIMATE_TI_CI_COUNT, request, **options)

    def try_add_lock(self, request: disaggregated_pb2.TryAddLockRequest, **options: Unpack[CallOptions]) -> Coroutine[object, object, disaggregated_pb2.TryAddLockResponse]:
        """tryAddLock."""
        return self._channel.unary(TIKV_TRY_ADD_LOCK, request, **options)

    def try_mark_delete(self, request: disaggregated_pb2.TryMarkDeleteRequest, **options: Unpack[CallOptions]) -> Coroutine[object, object, disaggregated_pb2.TryMarkDeleteResponse]:
        """tryMarkDelete."""
        return self._channel.unary(TIKV_TRY_MARK_DELETE, request, **options)

    def establish_disagg_task(self, request: disaggregated_pb2.EstablishDisaggTaskRequest, **options: Unpack[CallOptions]) -> Coroutine[object, object, disaggregated_pb2.EstablishDisaggTaskResponse]:
        """EstablishDisaggTask."""
        return self._channel.unary(TIKV_ESTABLISH_DISAGG_TASK, request, **options)

    def cancel_disagg_task(self, request: disaggregated_pb2.CancelDisaggTaskRequest, **options: Unpack[CallOptions]) -> Coroutine[object, object, disaggregated_pb2.CancelDisaggTaskResponse]:
        """CancelDisaggTask."""
        return self._channel.unary(TIKV_CANCEL_DISAGG_TASK, request, **options)

    def fetch_disagg_pages(self, request: disaggregated_pb2.FetchDisaggPagesRequest, **options: Unpack[CallOptions]) -> AsyncIterator[disaggregated_pb2.PagesPacket]:
        """FetchDisaggPages."""
        return self._channel.unary_stream(TIKV_FETCH_DISAGG_PAGES, request, **options)

    def get_disagg_config(self, request: disaggregated_pb2.GetDisaggConfigRequest, **options: Unpack[CallOptions]) -> Coroutine[object, object, disaggregated_pb2.GetDisaggConfigResponse]:
        """GetDisaggConfig."""
        return self._channel.unary(TIKV_GET_DISAGG_CONFIG, request, **options)

    def get_health_feedback(self, request: kvrpcpb_pb2.GetHealthFeedbackRequest, **options: Unpack[CallOptions]) -> Coroutine[object, object, kvrpcpb_pb2.GetHealthFeedbackResponse]:
        """GetHealthFeedback."""
        return self._channel.unary(TIKV_GET_HEALTH_FEEDBACK, request, **options)

    def broadcast_txn_status(self, request: kvrpcpb_pb2.BroadcastTxnStatusRequest, **options: Unpack[CallOptions]) -> Coroutine[object, object, kvrpcpb_pb2.BroadcastTxnStatusResponse]:
        """BroadcastTxnStatus."""
        return self._channel.unary(TIKV_BROADCAST_TXN_STATUS, request, **options)
