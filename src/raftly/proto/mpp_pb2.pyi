# mypy: disable-error-code="type-arg"
from raftly.proto import apipb_pb2 as _apipb_pb2
from raftly.proto import coprocessor_pb2 as _coprocessor_pb2
from raftly.proto import kvrpcpb_pb2 as _kvrpcpb_pb2
from raftly.proto import metapb_pb2 as _metapb_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class TaskMeta(_message.Message):
    __slots__ = ("start_ts", "task_id", "partition_id", "address", "gather_id", "query_ts", "local_query_id", "server_id", "mpp_version", "keyspace_id", "keyspace_identity", "coordinator_address", "report_execution_summary", "api_version", "resource_group_name", "connection_id", "connection_alias", "sql_digest", "plan_digest")
    START_TS_FIELD_NUMBER: _ClassVar[int]
    TASK_ID_FIELD_NUMBER: _ClassVar[int]
    PARTITION_ID_FIELD_NUMBER: _ClassVar[int]
    ADDRESS_FIELD_NUMBER: _ClassVar[int]
    GATHER_ID_FIELD_NUMBER: _ClassVar[int]
    QUERY_TS_FIELD_NUMBER: _ClassVar[int]
    LOCAL_QUERY_ID_FIELD_NUMBER: _ClassVar[int]
    SERVER_ID_FIELD_NUMBER: _ClassVar[int]
    MPP_VERSION_FIELD_NUMBER: _ClassVar[int]
    KEYSPACE_ID_FIELD_NUMBER: _ClassVar[int]
    KEYSPACE_IDENTITY_FIELD_NUMBER: _ClassVar[int]
    COORDINATOR_ADDRESS_FIELD_NUMBER: _ClassVar[int]
    REPORT_EXECUTION_SUMMARY_FIELD_NUMBER: _ClassVar[int]
    API_VERSION_FIELD_NUMBER: _ClassVar[int]
    RESOURCE_GROUP_NAME_FIELD_NUMBER: _ClassVar[int]
    CONNECTION_ID_FIELD_NUMBER: _ClassVar[int]
    CONNECTION_ALIAS_FIELD_NUMBER: _ClassVar[int]
    SQL_DIGEST_FIELD_NUMBER: _ClassVar[int]
    PLAN_DIGEST_FIELD_NUMBER: _ClassVar[int]
    start_ts: int
    task_id: int
    partition_id: int
    address: str
    gather_id: int
    query_ts: int
    local_query_id: int
    server_id: int
    mpp_version: int
    keyspace_id: int
    keyspace_identity: _apipb_pb2.KeyspaceIdentity
    coordinator_address: str
    report_execution_summary: bool
    api_version: _kvrpcpb_pb2.APIVersion
    resource_group_name: str
    connection_id: int
    connection_alias: str
    sql_digest: str
    plan_digest: str
    def __init__(self, start_ts: _Optional[int] = ..., task_id: _Optional[int] = ..., partition_id: _Optional[int] = ..., address: _Optional[str] = ..., gather_id: _Optional[int] = ..., query_ts: _Optional[int] = ..., local_query_id: _Optional[int] = ..., server_id: _Optional[int] = ..., mpp_version: _Optional[int] = ..., keyspace_id: _Optional[int] = ..., keyspace_identity: _Optional[_Union[_apipb_pb2.KeyspaceIdentity, _Mapping]] = ..., coordinator_address: _Optional[str] = ..., report_execution_summary: _Optional[bool] = ..., api_version: _Optional[_Union[_kvrpcpb_pb2.APIVersion, str]] = ..., resource_group_name: _Optional[str] = ..., connection_id: _Optional[int] = ..., connection_alias: _Optional[str] = ..., sql_digest: _Optional[str] = ..., plan_digest: _Optional[str] = ...) -> None: ...

class IsAliveRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class IsAliveResponse(_message.Message):
    __slots__ = ("available", "mpp_version")
    AVAILABLE_FIELD_NUMBER: _ClassVar[int]
    MPP_VERSION_FIELD_NUMBER: _ClassVar[int]
    available: bool
    mpp_version: int
    def __init__(self, available: _Optional[bool] = ..., mpp_version: _Optional[int] = ...) -> None: ...

class DispatchTaskRequest(_message.Message):
    __slots__ = ("meta", "encoded_plan", "timeout", "regions", "schema_ver", "table_regions", "table_shard_infos")
    META_FIELD_NUMBER: _ClassVar[int]
    ENCODED_PLAN_FIELD_NUMBER: _ClassVar[int]
    TIMEOUT_FIELD_NUMBER: _ClassVar[int]
    REGIONS_FIELD_NUMBER: _ClassVar[int]
    SCHEMA_VER_FIELD_NUMBER: _ClassVar[int]
    TABLE_REGIONS_FIELD_NUMBER: _ClassVar[int]
    TABLE_SHARD_INFOS_FIELD_NUMBER: _ClassVar[int]
    meta: TaskMeta
    encoded_plan: bytes
    timeout: int
    regions: _containers.RepeatedCompositeFieldContainer[_coprocessor_pb2.RegionInfo]
    schema_ver: int
    table_regions: _containers.RepeatedCompositeFieldContainer[_coprocessor_pb2.TableRegions]
    table_shard_infos: _containers.RepeatedCompositeFieldContainer[_coprocessor_pb2.TableShardInfos]
    def __init__(self, meta: _Optional[_Union[TaskMeta, _Mapping]] = ..., encoded_plan: _Optional[bytes] = ..., timeout: _Optional[int] = ..., regions: _Optional[_Iterable[_Union[_coprocessor_pb2.RegionInfo, _Mapping]]] = ..., schema_ver: _Optional[int] = ..., table_regions: _Optional[_Iterable[_Union[_coprocessor_pb2.TableRegions, _Mapping]]] = ..., table_shard_infos: _Optional[_Iterable[_Union[_coprocessor_pb2.TableShardInfos, _Mapping]]] = ...) -> None: ...

class DispatchTaskResponse(_message.Message):
    __slots__ = ("error", "retry_regions")
    ERROR_FIELD_NUMBER: _ClassVar[int]
    RETRY_REGIONS_FIELD_NUMBER: _ClassVar[int]
    error: Error
    retry_regions: _containers.RepeatedCompositeFieldContainer[_metapb_pb2.Region]
    def __init__(self, error: _Optional[_Union[Error, _Mapping]] = ..., retry_regions: _Optional[_Iterable[_Union[_metapb_pb2.Region, _Mapping]]] = ...) -> None: ...

class CancelTaskRequest(_message.Message):
    __slots__ = ("meta", "error")
    META_FIELD_NUMBER: _ClassVar[int]
    ERROR_FIELD_NUMBER: _ClassVar[int]
    meta: TaskMeta
    error: Error
    def __init__(self, meta: _Optional[_Union[TaskMeta, _Mapping]] = ..., error: _Optional[_Union[Error, _Mapping]] = ...) -> None: ...

class CancelTaskResponse(_message.Message):
    __slots__ = ("error",)
    ERROR_FIELD_NUMBER: _ClassVar[int]
    error: Error
    def __init__(self, error: _Optional[_Union[Error, _Mapping]] = ...) -> None: ...

class ReportTaskStatusRequest(_message.Message):
    __slots__ = ("meta", "data", "error")
    META_FIELD_NUMBER: _ClassVar[int]
    DATA_FIELD_NUMBER: _ClassVar[int]
    ERROR_FIELD_NUMBER: _ClassVar[int]
    meta: TaskMeta
    data: bytes
    error: Error
    def __init__(self, meta: _Optional[_Union[TaskMeta, _Mapping]] = ..., data: _Optional[bytes] = ..., error: _Optional[_Union[Error, _Mapping]] = ...) -> None: ...

class ReportTaskStatusResponse(_message.Message):
    __slots__ = ("error",)
    ERROR_FIELD_NUMBER: _ClassVar[int]
    error: Error
    def __init__(self, error: _Optional[_Union[Error, _Mapping]] = ...) -> None: ...

class EstablishMPPConnectionRequest(_message.Message):
    __slots__ = ("sender_meta", "receiver_meta")
    SENDER_META_FIELD_NUMBER: _ClassVar[int]
    RECEIVER_META_FIELD_NUMBER: _ClassVar[int]
    sender_meta: TaskMeta
    receiver_meta: TaskMeta
    def __init__(self, sender_meta: _Optional[_Union[TaskMeta, _Mapping]] = ..., receiver_meta: _Optional[_Union[TaskMeta, _Mapping]] = ...) -> None: ...

class MPPDataPacket(_message.Message):
    __slots__ = ("data", "error", "chunks", "stream_ids", "version")
    DATA_FIELD_NUMBER: _ClassVar[int]
    ERROR_FIELD_NUMBER: _ClassVar[int]
    CHUNKS_FIELD_NUMBER: _ClassVar[int]
    STREAM_IDS_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    data: bytes
    error: Error
    chunks: _containers.RepeatedScalarFieldContainer[bytes]
    stream_ids: _containers.RepeatedScalarFieldContainer[int]
    version: int
    def __init__(self, data: _Optional[bytes] = ..., error: _Optional[_Union[Error, _Mapping]] = ..., chunks: _Optional[_Iterable[bytes]] = ..., stream_ids: _Optional[_Iterable[int]] = ..., version: _Optional[int] = ...) -> None: ...

class Error(_message.Message):
    __slots__ = ("code", "msg", "mpp_version")
    CODE_FIELD_NUMBER: _ClassVar[int]
    MSG_FIELD_NUMBER: _ClassVar[int]
    MPP_VERSION_FIELD_NUMBER: _ClassVar[int]
    code: int
    msg: str
    mpp_version: int
    def __init__(self, code: _Optional[int] = ..., msg: _Optional[str] = ..., mpp_version: _Optional[int] = ...) -> None: ...
