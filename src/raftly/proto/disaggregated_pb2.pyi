# mypy: disable-error-code="type-arg"
from raftly.proto import apipb_pb2 as _apipb_pb2
from raftly.proto import coprocessor_pb2 as _coprocessor_pb2
from raftly.proto import kvrpcpb_pb2 as _kvrpcpb_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class S3LockResult(_message.Message):
    __slots__ = ("success", "not_owner", "conflict")
    SUCCESS_FIELD_NUMBER: _ClassVar[int]
    NOT_OWNER_FIELD_NUMBER: _ClassVar[int]
    CONFLICT_FIELD_NUMBER: _ClassVar[int]
    success: Success
    not_owner: NotOwner
    conflict: Conflict
    def __init__(self, success: _Optional[_Union[Success, _Mapping]] = ..., not_owner: _Optional[_Union[NotOwner, _Mapping]] = ..., conflict: _Optional[_Union[Conflict, _Mapping]] = ...) -> None: ...

class Success(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class NotOwner(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class Conflict(_message.Message):
    __slots__ = ("reason",)
    REASON_FIELD_NUMBER: _ClassVar[int]
    reason: str
    def __init__(self, reason: _Optional[str] = ...) -> None: ...

class TryAddLockRequest(_message.Message):
    __slots__ = ("data_file_key", "lock_store_id", "lock_seq")
    DATA_FILE_KEY_FIELD_NUMBER: _ClassVar[int]
    LOCK_STORE_ID_FIELD_NUMBER: _ClassVar[int]
    LOCK_SEQ_FIELD_NUMBER: _ClassVar[int]
    data_file_key: bytes
    lock_store_id: int
    lock_seq: int
    def __init__(self, data_file_key: _Optional[bytes] = ..., lock_store_id: _Optional[int] = ..., lock_seq: _Optional[int] = ...) -> None: ...

class TryAddLockResponse(_message.Message):
    __slots__ = ("result",)
    RESULT_FIELD_NUMBER: _ClassVar[int]
    result: S3LockResult
    def __init__(self, result: _Optional[_Union[S3LockResult, _Mapping]] = ...) -> None: ...

class TryMarkDeleteRequest(_message.Message):
    __slots__ = ("data_file_key",)
    DATA_FILE_KEY_FIELD_NUMBER: _ClassVar[int]
    data_file_key: bytes
    def __init__(self, data_file_key: _Optional[bytes] = ...) -> None: ...

class TryMarkDeleteResponse(_message.Message):
    __slots__ = ("result",)
    RESULT_FIELD_NUMBER: _ClassVar[int]
    result: S3LockResult
    def __init__(self, result: _Optional[_Union[S3LockResult, _Mapping]] = ...) -> None: ...

class GetDisaggConfigRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class DisaggS3Config(_message.Message):
    __slots__ = ("bucket", "root", "endpoint")
    BUCKET_FIELD_NUMBER: _ClassVar[int]
    ROOT_FIELD_NUMBER: _ClassVar[int]
    ENDPOINT_FIELD_NUMBER: _ClassVar[int]
    bucket: str
    root: str
    endpoint: str
    def __init__(self, bucket: _Optional[str] = ..., root: _Optional[str] = ..., endpoint: _Optional[str] = ...) -> None: ...

class GetDisaggConfigResponse(_message.Message):
    __slots__ = ("s3_config",)
    S3_CONFIG_FIELD_NUMBER: _ClassVar[int]
    s3_config: DisaggS3Config
    def __init__(self, s3_config: _Optional[_Union[DisaggS3Config, _Mapping]] = ...) -> None: ...

class DisaggTaskMeta(_message.Message):
    __slots__ = ("start_ts", "gather_id", "query_ts", "server_id", "local_query_id", "task_id", "executor_id", "keyspace_id", "keyspace_identity", "api_version", "connection_id", "connection_alias")
    START_TS_FIELD_NUMBER: _ClassVar[int]
    GATHER_ID_FIELD_NUMBER: _ClassVar[int]
    QUERY_TS_FIELD_NUMBER: _ClassVar[int]
    SERVER_ID_FIELD_NUMBER: _ClassVar[int]
    LOCAL_QUERY_ID_FIELD_NUMBER: _ClassVar[int]
    TASK_ID_FIELD_NUMBER: _ClassVar[int]
    EXECUTOR_ID_FIELD_NUMBER: _ClassVar[int]
    KEYSPACE_ID_FIELD_NUMBER: _ClassVar[int]
    KEYSPACE_IDENTITY_FIELD_NUMBER: _ClassVar[int]
    API_VERSION_FIELD_NUMBER: _ClassVar[int]
    CONNECTION_ID_FIELD_NUMBER: _ClassVar[int]
    CONNECTION_ALIAS_FIELD_NUMBER: _ClassVar[int]
    start_ts: int
    gather_id: int
    query_ts: int
    server_id: int
    local_query_id: int
    task_id: int
    executor_id: str
    keyspace_id: int
    keyspace_identity: _apipb_pb2.KeyspaceIdentity
    api_version: _kvrpcpb_pb2.APIVersion
    connection_id: int
    connection_alias: str
    def __init__(self, start_ts: _Optional[int] = ..., gather_id: _Optional[int] = ..., query_ts: _Optional[int] = ..., server_id: _Optional[int] = ..., local_query_id: _Optional[int] = ..., task_id: _Optional[int] = ..., executor_id: _Optional[str] = ..., keyspace_id: _Optional[int] = ..., keyspace_identity: _Optional[_Union[_apipb_pb2.KeyspaceIdentity, _Mapping]] = ..., api_version: _Optional[_Union[_kvrpcpb_pb2.APIVersion, str]] = ..., connection_id: _Optional[int] = ..., connection_alias: _Optional[str] = ...) -> None: ...

class DisaggReadError(_message.Message):
    __slots__ = ("code", "msg")
    CODE_FIELD_NUMBER: _ClassVar[int]
    MSG_FIELD_NUMBER: _ClassVar[int]
    code: int
    msg: str
    def __init__(self, code: _Optional[int] = ..., msg: _Optional[str] = ...) -> None: ...

class EstablishDisaggTaskError(_message.Message):
    __slots__ = ("error_region", "error_locked", "error_other")
    ERROR_REGION_FIELD_NUMBER: _ClassVar[int]
    ERROR_LOCKED_FIELD_NUMBER: _ClassVar[int]
    ERROR_OTHER_FIELD_NUMBER: _ClassVar[int]
    error_region: ErrorRegion
    error_locked: ErrorLocked
    error_other: ErrorOther
    def __init__(self, error_region: _Optional[_Union[ErrorRegion, _Mapping]] = ..., error_locked: _Optional[_Union[ErrorLocked, _Mapping]] = ..., error_other: _Optional[_Union[ErrorOther, _Mapping]] = ...) -> None: ...

class ErrorRegion(_message.Message):
    __slots__ = ("msg", "region_ids")
    MSG_FIELD_NUMBER: _ClassVar[int]
    REGION_IDS_FIELD_NUMBER: _ClassVar[int]
    msg: str
    region_ids: _containers.RepeatedScalarFieldContainer[int]
    def __init__(self, msg: _Optional[str] = ..., region_ids: _Optional[_Iterable[int]] = ...) -> None: ...

class ErrorLocked(_message.Message):
    __slots__ = ("msg", "locked")
    MSG_FIELD_NUMBER: _ClassVar[int]
    LOCKED_FIELD_NUMBER: _ClassVar[int]
    msg: str
    locked: _containers.RepeatedCompositeFieldContainer[_kvrpcpb_pb2.LockInfo]
    def __init__(self, msg: _Optional[str] = ..., locked: _Optional[_Iterable[_Union[_kvrpcpb_pb2.LockInfo, _Mapping]]] = ...) -> None: ...

class ErrorOther(_message.Message):
    __slots__ = ("code", "msg")
    CODE_FIELD_NUMBER: _ClassVar[int]
    MSG_FIELD_NUMBER: _ClassVar[int]
    code: int
    msg: str
    def __init__(self, code: _Optional[int] = ..., msg: _Optional[str] = ...) -> None: ...

class EstablishDisaggTaskRequest(_message.Message):
    __slots__ = ("meta", "address", "timeout_s", "regions", "schema_ver", "table_regions", "encoded_plan")
    META_FIELD_NUMBER: _ClassVar[int]
    ADDRESS_FIELD_NUMBER: _ClassVar[int]
    TIMEOUT_S_FIELD_NUMBER: _ClassVar[int]
    REGIONS_FIELD_NUMBER: _ClassVar[int]
    SCHEMA_VER_FIELD_NUMBER: _ClassVar[int]
    TABLE_REGIONS_FIELD_NUMBER: _ClassVar[int]
    ENCODED_PLAN_FIELD_NUMBER: _ClassVar[int]
    meta: DisaggTaskMeta
    address: str
    timeout_s: int
    regions: _containers.RepeatedCompositeFieldContainer[_coprocessor_pb2.RegionInfo]
    schema_ver: int
    table_regions: _containers.RepeatedCompositeFieldContainer[_coprocessor_pb2.TableRegions]
    encoded_plan: bytes
    def __init__(self, meta: _Optional[_Union[DisaggTaskMeta, _Mapping]] = ..., address: _Optional[str] = ..., timeout_s: _Optional[int] = ..., regions: _Optional[_Iterable[_Union[_coprocessor_pb2.RegionInfo, _Mapping]]] = ..., schema_ver: _Optional[int] = ..., table_regions: _Optional[_Iterable[_Union[_coprocessor_pb2.TableRegions, _Mapping]]] = ..., encoded_plan: _Optional[bytes] = ...) -> None: ...

class EstablishDisaggTaskResponse(_message.Message):
    __slots__ = ("error", "store_id", "snapshot_id", "tables")
    ERROR_FIELD_NUMBER: _ClassVar[int]
    STORE_ID_FIELD_NUMBER: _ClassVar[int]
    SNAPSHOT_ID_FIELD_NUMBER: _ClassVar[int]
    TABLES_FIELD_NUMBER: _ClassVar[int]
    error: EstablishDisaggTaskError
    store_id: int
    snapshot_id: DisaggTaskMeta
    tables: _containers.RepeatedScalarFieldContainer[bytes]
    def __init__(self, error: _Optional[_Union[EstablishDisaggTaskError, _Mapping]] = ..., store_id: _Optional[int] = ..., snapshot_id: _Optional[_Union[DisaggTaskMeta, _Mapping]] = ..., tables: _Optional[_Iterable[bytes]] = ...) -> None: ...

class CancelDisaggTaskRequest(_message.Message):
    __slots__ = ("meta",)
    META_FIELD_NUMBER: _ClassVar[int]
    meta: DisaggTaskMeta
    def __init__(self, meta: _Optional[_Union[DisaggTaskMeta, _Mapping]] = ...) -> None: ...

class CancelDisaggTaskResponse(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class FetchDisaggPagesRequest(_message.Message):
    __slots__ = ("snapshot_id", "table_id", "segment_id", "page_ids")
    SNAPSHOT_ID_FIELD_NUMBER: _ClassVar[int]
    TABLE_ID_FIELD_NUMBER: _ClassVar[int]
    SEGMENT_ID_FIELD_NUMBER: _ClassVar[int]
    PAGE_IDS_FIELD_NUMBER: _ClassVar[int]
    snapshot_id: DisaggTaskMeta
    table_id: int
    segment_id: int
    page_ids: _containers.RepeatedScalarFieldContainer[int]
    def __init__(self, snapshot_id: _Optional[_Union[DisaggTaskMeta, _Mapping]] = ..., table_id: _Optional[int] = ..., segment_id: _Optional[int] = ..., page_ids: _Optional[_Iterable[int]] = ...) -> None: ...

class PagesPacket(_message.Message):
    __slots__ = ("error", "pages", "chunks", "summaries")
    ERROR_FIELD_NUMBER: _ClassVar[int]
    PAGES_FIELD_NUMBER: _ClassVar[int]
    CHUNKS_FIELD_NUMBER: _ClassVar[int]
    SUMMARIES_FIELD_NUMBER: _ClassVar[int]
    error: DisaggReadError
    pages: _containers.RepeatedScalarFieldContainer[bytes]
    chunks: _containers.RepeatedScalarFieldContainer[bytes]
    summaries: _containers.RepeatedScalarFieldContainer[bytes]
    def __init__(self, error: _Optional[_Union[DisaggReadError, _Mapping]] = ..., pages: _Optional[_Iterable[bytes]] = ..., chunks: _Optional[_Iterable[bytes]] = ..., summaries: _Optional[_Iterable[bytes]] = ...) -> None: ...
