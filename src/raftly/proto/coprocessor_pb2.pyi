# mypy: disable-error-code="type-arg"
from raftly.proto import errorpb_pb2 as _errorpb_pb2
from raftly.proto import kvrpcpb_pb2 as _kvrpcpb_pb2
from raftly.proto import metapb_pb2 as _metapb_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class KeyRange(_message.Message):
    __slots__ = ("start", "end")
    START_FIELD_NUMBER: _ClassVar[int]
    END_FIELD_NUMBER: _ClassVar[int]
    start: bytes
    end: bytes
    def __init__(self, start: _Optional[bytes] = ..., end: _Optional[bytes] = ...) -> None: ...

class VersionedKeyRange(_message.Message):
    __slots__ = ("range", "read_ts")
    RANGE_FIELD_NUMBER: _ClassVar[int]
    READ_TS_FIELD_NUMBER: _ClassVar[int]
    range: KeyRange
    read_ts: int
    def __init__(self, range: _Optional[_Union[KeyRange, _Mapping]] = ..., read_ts: _Optional[int] = ...) -> None: ...

class Request(_message.Message):
    __slots__ = ("context", "tp", "data", "start_ts", "ranges", "is_cache_enabled", "cache_if_match_version", "schema_ver", "is_trace_enabled", "paging_size", "tasks", "connection_id", "connection_alias", "table_shard_infos", "versioned_ranges", "max_keys_read", "paging_size_bytes", "allow_batch_task_data_merge", "execute_batch_tasks_serially")
    CONTEXT_FIELD_NUMBER: _ClassVar[int]
    TP_FIELD_NUMBER: _ClassVar[int]
    DATA_FIELD_NUMBER: _ClassVar[int]
    START_TS_FIELD_NUMBER: _ClassVar[int]
    RANGES_FIELD_NUMBER: _ClassVar[int]
    IS_CACHE_ENABLED_FIELD_NUMBER: _ClassVar[int]
    CACHE_IF_MATCH_VERSION_FIELD_NUMBER: _ClassVar[int]
    SCHEMA_VER_FIELD_NUMBER: _ClassVar[int]
    IS_TRACE_ENABLED_FIELD_NUMBER: _ClassVar[int]
    PAGING_SIZE_FIELD_NUMBER: _ClassVar[int]
    TASKS_FIELD_NUMBER: _ClassVar[int]
    CONNECTION_ID_FIELD_NUMBER: _ClassVar[int]
    CONNECTION_ALIAS_FIELD_NUMBER: _ClassVar[int]
    TABLE_SHARD_INFOS_FIELD_NUMBER: _ClassVar[int]
    VERSIONED_RANGES_FIELD_NUMBER: _ClassVar[int]
    MAX_KEYS_READ_FIELD_NUMBER: _ClassVar[int]
    PAGING_SIZE_BYTES_FIELD_NUMBER: _ClassVar[int]
    ALLOW_BATCH_TASK_DATA_MERGE_FIELD_NUMBER: _ClassVar[int]
    EXECUTE_BATCH_TASKS_SERIALLY_FIELD_NUMBER: _ClassVar[int]
    context: _kvrpcpb_pb2.Context
    tp: int
    data: bytes
    start_ts: int
    ranges: _containers.RepeatedCompositeFieldContainer[KeyRange]
    is_cache_enabled: bool
    cache_if_match_version: int
    schema_ver: int
    is_trace_enabled: bool
    paging_size: int
    tasks: _containers.RepeatedCompositeFieldContainer[StoreBatchTask]
    connection_id: int
    connection_alias: str
    table_shard_infos: _containers.RepeatedCompositeFieldContainer[TableShardInfos]
    versioned_ranges: _containers.RepeatedCompositeFieldContainer[VersionedKeyRange]
    max_keys_read: int
    paging_size_bytes: int
    allow_batch_task_data_merge: bool
    execute_batch_tasks_serially: bool
    def __init__(self, context: _Optional[_Union[_kvrpcpb_pb2.Context, _Mapping]] = ..., tp: _Optional[int] = ..., data: _Optional[bytes] = ..., start_ts: _Optional[int] = ..., ranges: _Optional[_Iterable[_Union[KeyRange, _Mapping]]] = ..., is_cache_enabled: _Optional[bool] = ..., cache_if_match_version: _Optional[int] = ..., schema_ver: _Optional[int] = ..., is_trace_enabled: _Optional[bool] = ..., paging_size: _Optional[int] = ..., tasks: _Optional[_Iterable[_Union[StoreBatchTask, _Mapping]]] = ..., connection_id: _Optional[int] = ..., connection_alias: _Optional[str] = ..., table_shard_infos: _Optional[_Iterable[_Union[TableShardInfos, _Mapping]]] = ..., versioned_ranges: _Optional[_Iterable[_Union[VersionedKeyRange, _Mapping]]] = ..., max_keys_read: _Optional[int] = ..., paging_size_bytes: _Optional[int] = ..., allow_batch_task_data_merge: _Optional[bool] = ..., execute_batch_tasks_serially: _Optional[bool] = ...) -> None: ...

class Response(_message.Message):
    __slots__ = ("data", "region_error", "locked", "other_error", "range", "exec_details", "exec_details_v2", "is_cache_hit", "cache_last_version", "can_be_cached", "latest_buckets_version", "batch_responses")
    DATA_FIELD_NUMBER: _ClassVar[int]
    REGION_ERROR_FIELD_NUMBER: _ClassVar[int]
    LOCKED_FIELD_NUMBER: _ClassVar[int]
    OTHER_ERROR_FIELD_NUMBER: _ClassVar[int]
    RANGE_FIELD_NUMBER: _ClassVar[int]
    EXEC_DETAILS_FIELD_NUMBER: _ClassVar[int]
    EXEC_DETAILS_V2_FIELD_NUMBER: _ClassVar[int]
    IS_CACHE_HIT_FIELD_NUMBER: _ClassVar[int]
    CACHE_LAST_VERSION_FIELD_NUMBER: _ClassVar[int]
    CAN_BE_CACHED_FIELD_NUMBER: _ClassVar[int]
    LATEST_BUCKETS_VERSION_FIELD_NUMBER: _ClassVar[int]
    BATCH_RESPONSES_FIELD_NUMBER: _ClassVar[int]
    data: bytes
    region_error: _errorpb_pb2.Error
    locked: _kvrpcpb_pb2.LockInfo
    other_error: str
    range: KeyRange
    exec_details: _kvrpcpb_pb2.ExecDetails
    exec_details_v2: _kvrpcpb_pb2.ExecDetailsV2
    is_cache_hit: bool
    cache_last_version: int
    can_be_cached: bool
    latest_buckets_version: int
    batch_responses: _containers.RepeatedCompositeFieldContainer[StoreBatchTaskResponse]
    def __init__(self, data: _Optional[bytes] = ..., region_error: _Optional[_Union[_errorpb_pb2.Error, _Mapping]] = ..., locked: _Optional[_Union[_kvrpcpb_pb2.LockInfo, _Mapping]] = ..., other_error: _Optional[str] = ..., range: _Optional[_Union[KeyRange, _Mapping]] = ..., exec_details: _Optional[_Union[_kvrpcpb_pb2.ExecDetails, _Mapping]] = ..., exec_details_v2: _Optional[_Union[_kvrpcpb_pb2.ExecDetailsV2, _Mapping]] = ..., is_cache_hit: _Optional[bool] = ..., cache_last_version: _Optional[int] = ..., can_be_cached: _Optional[bool] = ..., latest_buckets_version: _Optional[int] = ..., batch_responses: _Optional[_Iterable[_Union[StoreBatchTaskResponse, _Mapping]]] = ...) -> None: ...

class RegionInfo(_message.Message):
    __slots__ = ("region_id", "region_epoch", "ranges")
    REGION_ID_FIELD_NUMBER: _ClassVar[int]
    REGION_EPOCH_FIELD_NUMBER: _ClassVar[int]
    RANGES_FIELD_NUMBER: _ClassVar[int]
    region_id: int
    region_epoch: _metapb_pb2.RegionEpoch
    ranges: _containers.RepeatedCompositeFieldContainer[KeyRange]
    def __init__(self, region_id: _Optional[int] = ..., region_epoch: _Optional[_Union[_metapb_pb2.RegionEpoch, _Mapping]] = ..., ranges: _Optional[_Iterable[_Union[KeyRange, _Mapping]]] = ...) -> None: ...

class ShardInfo(_message.Message):
    __slots__ = ("shard_id", "shard_epoch", "ranges")
    SHARD_ID_FIELD_NUMBER: _ClassVar[int]
    SHARD_EPOCH_FIELD_NUMBER: _ClassVar[int]
    RANGES_FIELD_NUMBER: _ClassVar[int]
    shard_id: int
    shard_epoch: int
    ranges: _containers.RepeatedCompositeFieldContainer[KeyRange]
    def __init__(self, shard_id: _Optional[int] = ..., shard_epoch: _Optional[int] = ..., ranges: _Optional[_Iterable[_Union[KeyRange, _Mapping]]] = ...) -> None: ...

class TableShardInfos(_message.Message):
    __slots__ = ("executor_id", "shard_infos")
    EXECUTOR_ID_FIELD_NUMBER: _ClassVar[int]
    SHARD_INFOS_FIELD_NUMBER: _ClassVar[int]
    executor_id: str
    shard_infos: _containers.RepeatedCompositeFieldContainer[ShardInfo]
    def __init__(self, executor_id: _Optional[str] = ..., shard_infos: _Optional[_Iterable[_Union[ShardInfo, _Mapping]]] = ...) -> None: ...

class TiCIEstimateCountRequest(_message.Message):
    __slots__ = ("context", "start_ts", "table_id", "index_id", "fts_query_info", "time_zone_name", "time_zone_offset", "shard_infos")
    CONTEXT_FIELD_NUMBER: _ClassVar[int]
    START_TS_FIELD_NUMBER: _ClassVar[int]
    TABLE_ID_FIELD_NUMBER: _ClassVar[int]
    INDEX_ID_FIELD_NUMBER: _ClassVar[int]
    FTS_QUERY_INFO_FIELD_NUMBER: _ClassVar[int]
    TIME_ZONE_NAME_FIELD_NUMBER: _ClassVar[int]
    TIME_ZONE_OFFSET_FIELD_NUMBER: _ClassVar[int]
    SHARD_INFOS_FIELD_NUMBER: _ClassVar[int]
    context: _kvrpcpb_pb2.Context
    start_ts: int
    table_id: int
    index_id: int
    fts_query_info: bytes
    time_zone_name: str
    time_zone_offset: int
    shard_infos: _containers.RepeatedCompositeFieldContainer[ShardInfo]
    def __init__(self, context: _Optional[_Union[_kvrpcpb_pb2.Context, _Mapping]] = ..., start_ts: _Optional[int] = ..., table_id: _Optional[int] = ..., index_id: _Optional[int] = ..., fts_query_info: _Optional[bytes] = ..., time_zone_name: _Optional[str] = ..., time_zone_offset: _Optional[int] = ..., shard_infos: _Optional[_Iterable[_Union[ShardInfo, _Mapping]]] = ...) -> None: ...

class TiCIEstimateCountResponse(_message.Message):
    __slots__ = ("est_count", "other_error")
    EST_COUNT_FIELD_NUMBER: _ClassVar[int]
    OTHER_ERROR_FIELD_NUMBER: _ClassVar[int]
    est_count: int
    other_error: str
    def __init__(self, est_count: _Optional[int] = ..., other_error: _Optional[str] = ...) -> None: ...

class TableRegions(_message.Message):
    __slots__ = ("physical_table_id", "regions")
    PHYSICAL_TABLE_ID_FIELD_NUMBER: _ClassVar[int]
    REGIONS_FIELD_NUMBER: _ClassVar[int]
    physical_table_id: int
    regions: _containers.RepeatedCompositeFieldContainer[RegionInfo]
    def __init__(self, physical_table_id: _Optional[int] = ..., regions: _Optional[_Iterable[_Union[RegionInfo, _Mapping]]] = ...) -> None: ...

class BatchRequest(_message.Message):
    __slots__ = ("context", "tp", "data", "regions", "start_ts", "schema_ver", "table_regions", "log_id", "connection_id", "connection_alias", "table_shard_infos")
    CONTEXT_FIELD_NUMBER: _ClassVar[int]
    TP_FIELD_NUMBER: _ClassVar[int]
    DATA_FIELD_NUMBER: _ClassVar[int]
    REGIONS_FIELD_NUMBER: _ClassVar[int]
    START_TS_FIELD_NUMBER: _ClassVar[int]
    SCHEMA_VER_FIELD_NUMBER: _ClassVar[int]
    TABLE_REGIONS_FIELD_NUMBER: _ClassVar[int]
    LOG_ID_FIELD_NUMBER: _ClassVar[int]
    CONNECTION_ID_FIELD_NUMBER: _ClassVar[int]
    CONNECTION_ALIAS_FIELD_NUMBER: _ClassVar[int]
    TABLE_SHARD_INFOS_FIELD_NUMBER: _ClassVar[int]
    context: _kvrpcpb_pb2.Context
    tp: int
    data: bytes
    regions: _containers.RepeatedCompositeFieldContainer[RegionInfo]
    start_ts: int
    schema_ver: int
    table_regions: _containers.RepeatedCompositeFieldContainer[TableRegions]
    log_id: str
    connection_id: int
    connection_alias: str
    table_shard_infos: _containers.RepeatedCompositeFieldContainer[TableShardInfos]
    def __init__(self, context: _Optional[_Union[_kvrpcpb_pb2.Context, _Mapping]] = ..., tp: _Optional[int] = ..., data: _Optional[bytes] = ..., regions: _Optional[_Iterable[_Union[RegionInfo, _Mapping]]] = ..., start_ts: _Optional[int] = ..., schema_ver: _Optional[int] = ..., table_regions: _Optional[_Iterable[_Union[TableRegions, _Mapping]]] = ..., log_id: _Optional[str] = ..., connection_id: _Optional[int] = ..., connection_alias: _Optional[str] = ..., table_shard_infos: _Optional[_Iterable[_Union[TableShardInfos, _Mapping]]] = ...) -> None: ...

class BatchResponse(_message.Message):
    __slots__ = ("data", "other_error", "exec_details", "retry_regions", "retry_shards")
    DATA_FIELD_NUMBER: _ClassVar[int]
    OTHER_ERROR_FIELD_NUMBER: _ClassVar[int]
    EXEC_DETAILS_FIELD_NUMBER: _ClassVar[int]
    RETRY_REGIONS_FIELD_NUMBER: _ClassVar[int]
    RETRY_SHARDS_FIELD_NUMBER: _ClassVar[int]
    data: bytes
    other_error: str
    exec_details: _kvrpcpb_pb2.ExecDetails
    retry_regions: _containers.RepeatedCompositeFieldContainer[_metapb_pb2.Region]
    retry_shards: _containers.RepeatedCompositeFieldContainer[ShardInfo]
    def __init__(self, data: _Optional[bytes] = ..., other_error: _Optional[str] = ..., exec_details: _Optional[_Union[_kvrpcpb_pb2.ExecDetails, _Mapping]] = ..., retry_regions: _Optional[_Iterable[_Union[_metapb_pb2.Region, _Mapping]]] = ..., retry_shards: _Optional[_Iterable[_Union[ShardInfo, _Mapping]]] = ...) -> None: ...

class StoreBatchTask(_message.Message):
    __slots__ = ("region_id", "region_epoch", "peer", "ranges", "task_id", "versioned_ranges", "buckets_version")
    REGION_ID_FIELD_NUMBER: _ClassVar[int]
    REGION_EPOCH_FIELD_NUMBER: _ClassVar[int]
    PEER_FIELD_NUMBER: _ClassVar[int]
    RANGES_FIELD_NUMBER: _ClassVar[int]
    TASK_ID_FIELD_NUMBER: _ClassVar[int]
    VERSIONED_RANGES_FIELD_NUMBER: _ClassVar[int]
    BUCKETS_VERSION_FIELD_NUMBER: _ClassVar[int]
    region_id: int
    region_epoch: _metapb_pb2.RegionEpoch
    peer: _metapb_pb2.Peer
    ranges: _containers.RepeatedCompositeFieldContainer[KeyRange]
    task_id: int
    versioned_ranges: _containers.RepeatedCompositeFieldContainer[VersionedKeyRange]
    buckets_version: int
    def __init__(self, region_id: _Optional[int] = ..., region_epoch: _Optional[_Union[_metapb_pb2.RegionEpoch, _Mapping]] = ..., peer: _Optional[_Union[_metapb_pb2.Peer, _Mapping]] = ..., ranges: _Optional[_Iterable[_Union[KeyRange, _Mapping]]] = ..., task_id: _Optional[int] = ..., versioned_ranges: _Optional[_Iterable[_Union[VersionedKeyRange, _Mapping]]] = ..., buckets_version: _Optional[int] = ...) -> None: ...

class StoreBatchTaskResponse(_message.Message):
    __slots__ = ("data", "region_error", "locked", "other_error", "task_id", "exec_details_v2", "data_merged_into_response")
    DATA_FIELD_NUMBER: _ClassVar[int]
    REGION_ERROR_FIELD_NUMBER: _ClassVar[int]
    LOCKED_FIELD_NUMBER: _ClassVar[int]
    OTHER_ERROR_FIELD_NUMBER: _ClassVar[int]
    TASK_ID_FIELD_NUMBER: _ClassVar[int]
    EXEC_DETAILS_V2_FIELD_NUMBER: _ClassVar[int]
    DATA_MERGED_INTO_RESPONSE_FIELD_NUMBER: _ClassVar[int]
    data: bytes
    region_error: _errorpb_pb2.Error
    locked: _kvrpcpb_pb2.LockInfo
    other_error: str
    task_id: int
    exec_details_v2: _kvrpcpb_pb2.ExecDetailsV2
    data_merged_into_response: bool
    def __init__(self, data: _Optional[bytes] = ..., region_error: _Optional[_Union[_errorpb_pb2.Error, _Mapping]] = ..., locked: _Optional[_Union[_kvrpcpb_pb2.LockInfo, _Mapping]] = ..., other_error: _Optional[str] = ..., task_id: _Optional[int] = ..., exec_details_v2: _Optional[_Union[_kvrpcpb_pb2.ExecDetailsV2, _Mapping]] = ..., data_merged_into_response: _Optional[bool] = ...) -> None: ...

class DelegateRequest(_message.Message):
    __slots__ = ("context", "start_ts", "ranges", "mem_table_sequence", "snapshot_sequence")
    CONTEXT_FIELD_NUMBER: _ClassVar[int]
    START_TS_FIELD_NUMBER: _ClassVar[int]
    RANGES_FIELD_NUMBER: _ClassVar[int]
    MEM_TABLE_SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    SNAPSHOT_SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    context: _kvrpcpb_pb2.Context
    start_ts: int
    ranges: _containers.RepeatedCompositeFieldContainer[KeyRange]
    mem_table_sequence: int
    snapshot_sequence: int
    def __init__(self, context: _Optional[_Union[_kvrpcpb_pb2.Context, _Mapping]] = ..., start_ts: _Optional[int] = ..., ranges: _Optional[_Iterable[_Union[KeyRange, _Mapping]]] = ..., mem_table_sequence: _Optional[int] = ..., snapshot_sequence: _Optional[int] = ...) -> None: ...

class DelegateResponse(_message.Message):
    __slots__ = ("mem_table_data", "snapshot", "region_error", "locked", "other_error", "mem_table_sequence")
    MEM_TABLE_DATA_FIELD_NUMBER: _ClassVar[int]
    SNAPSHOT_FIELD_NUMBER: _ClassVar[int]
    REGION_ERROR_FIELD_NUMBER: _ClassVar[int]
    LOCKED_FIELD_NUMBER: _ClassVar[int]
    OTHER_ERROR_FIELD_NUMBER: _ClassVar[int]
    MEM_TABLE_SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    mem_table_data: bytes
    snapshot: bytes
    region_error: _errorpb_pb2.Error
    locked: _kvrpcpb_pb2.LockInfo
    other_error: str
    mem_table_sequence: int
    def __init__(self, mem_table_data: _Optional[bytes] = ..., snapshot: _Optional[bytes] = ..., region_error: _Optional[_Union[_errorpb_pb2.Error, _Mapping]] = ..., locked: _Optional[_Union[_kvrpcpb_pb2.LockInfo, _Mapping]] = ..., other_error: _Optional[str] = ..., mem_table_sequence: _Optional[int] = ...) -> None: ...
