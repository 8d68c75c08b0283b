# mypy: disable-error-code="type-arg"
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class EchoRequest(_message.Message):
    __slots__ = ("payload", "replies", "reply_bytes", "status", "message", "wait_ms")
    PAYLOAD_FIELD_NUMBER: _ClassVar[int]
    REPLIES_FIELD_NUMBER: _ClassVar[int]
    REPLY_BYTES_FIELD_NUMBER: _ClassVar[int]
    STATUS_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    WAIT_MS_FIELD_NUMBER: _ClassVar[int]
    payload: bytes
    replies: int
    reply_bytes: int
    status: int
    message: str
    wait_ms: int
    def __init__(self, payload: _Optional[bytes] = ..., replies: _Optional[int] = ..., reply_bytes: _Optional[int] = ..., status: _Optional[int] = ..., message: _Optional[str] = ..., wait_ms: _Optional[int] = ...) -> None: ...

class EchoReply(_message.Message):
    __slots__ = ("payload",)
    PAYLOAD_FIELD_NUMBER: _ClassVar[int]
    payload: bytes
    def __init__(self, payload: _Optional[bytes] = ...) -> None: ...

class Batch(_message.Message):
    __slots__ = ("requests", "ids")
    REQUESTS_FIELD_NUMBER: _ClassVar[int]
    IDS_FIELD_NUMBER: _ClassVar[int]
    requests: _containers.RepeatedCompositeFieldContainer[EchoRequest]
    ids: _containers.RepeatedScalarFieldContainer[int]
    def __init__(self, requests: _Optional[_Iterable[_Union[EchoRequest, _Mapping]]] = ..., ids: _Optional[_Iterable[int]] = ...) -> None: ...

class BatchReply(_message.Message):
    __slots__ = ("replies", "ids")
    REPLIES_FIELD_NUMBER: _ClassVar[int]
    IDS_FIELD_NUMBER: _ClassVar[int]
    replies: _containers.RepeatedCompositeFieldContainer[EchoReply]
    ids: _containers.RepeatedScalarFieldContainer[int]
    def __init__(self, replies: _Optional[_Iterable[_Union[EchoReply, _Mapping]]] = ..., ids: _Optional[_Iterable[int]] = ...) -> None: ...

class Nested(_message.Message):
    __slots__ = ("child",)
    CHILD_FIELD_NUMBER: _ClassVar[int]
    child: Nested
    def __init__(self, child: _Optional[_Union[Nested, _Mapping]] = ...) -> None: ...
