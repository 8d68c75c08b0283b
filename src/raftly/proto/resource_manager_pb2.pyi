# mypy: disable-error-code="type-arg"
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from typing import ClassVar as _ClassVar, Optional as _Optional

DESCRIPTOR: _descriptor.FileDescriptor

class Consumption(_message.Message):
    __slots__ = ("r_r_u", "w_r_u", "read_bytes", "write_bytes", "total_cpu_time_ms", "sql_layer_cpu_time_ms", "kv_read_rpc_count", "kv_write_rpc_count", "read_cross_az_traffic_bytes", "write_cross_az_traffic_bytes", "tikv_r_u_v2", "tidb_r_u_v2", "tiflash_r_u_v2")
    R_R_U_FIELD_NUMBER: _ClassVar[int]
    W_R_U_FIELD_NUMBER: _ClassVar[int]
    READ_BYTES_FIELD_NUMBER: _ClassVar[int]
    WRITE_BYTES_FIELD_NUMBER: _ClassVar[int]
    TOTAL_CPU_TIME_MS_FIELD_NUMBER: _ClassVar[int]
    SQL_LAYER_CPU_TIME_MS_FIELD_NUMBER: _ClassVar[int]
    KV_READ_RPC_COUNT_FIELD_NUMBER: _ClassVar[int]
    KV_WRITE_RPC_COUNT_FIELD_NUMBER: _ClassVar[int]
    READ_CROSS_AZ_TRAFFIC_BYTES_FIELD_NUMBER: _ClassVar[int]
    WRITE_CROSS_AZ_TRAFFIC_BYTES_FIELD_NUMBER: _ClassVar[int]
    TIKV_R_U_V2_FIELD_NUMBER: _ClassVar[int]
    TIDB_R_U_V2_FIELD_NUMBER: _ClassVar[int]
    TIFLASH_R_U_V2_FIELD_NUMBER: _ClassVar[int]
    r_r_u: float
    w_r_u: float
    read_bytes: float
    write_bytes: float
    total_cpu_time_ms: float
    sql_layer_cpu_time_ms: float
    kv_read_rpc_count: float
    kv_write_rpc_count: float
    read_cross_az_traffic_bytes: int
    write_cross_az_traffic_bytes: int
    tikv_r_u_v2: float
    tidb_r_u_v2: float
    tiflash_r_u_v2: float
    def __init__(self, r_r_u: _Optional[float] = ..., w_r_u: _Optional[float] = ..., read_bytes: _Optional[float] = ..., write_bytes: _Optional[float] = ..., total_cpu_time_ms: _Optional[float] = ..., sql_layer_cpu_time_ms: _Optional[float] = ..., kv_read_rpc_count: _Optional[float] = ..., kv_write_rpc_count: _Optional[float] = ..., read_cross_az_traffic_bytes: _Optional[int] = ..., write_cross_az_traffic_bytes: _Optional[int] = ..., tikv_r_u_v2: _Optional[float] = ..., tidb_r_u_v2: _Optional[float] = ..., tiflash_r_u_v2: _Optional[float] = ...) -> None: ...
