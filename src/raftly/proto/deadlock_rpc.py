"""Services of raftly/proto/deadlock.proto. Written by raftly.rpc.codegen; do not edit."""

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
from raftly.proto import deadlock_pb2


DEADLOCK_GET_WAIT_FOR_ENTRIES: Final[Method[deadlock_pb2.WaitForEntriesRequest, deadlock_pb2.WaitForEntriesResponse]] = Method(
    service="deadlock.Deadlock",
    name="GetWaitForEntries",
    kind=Kind.UNARY_UNARY,
    encode_request=deadlock_pb2.WaitForEntriesRequest.SerializeToString,
    decode_request=deadlock_pb2.WaitForEntriesRequest.FromString,
    encode_response=deadlock_pb2.WaitForEntriesResponse.SerializeToString,
    decode_response=deadlock_pb2.WaitForEntriesResponse.FromString,
)
DEADLOCK_DETECT: Final[Method[deadlock_pb2.DeadlockRequest, deadlock_pb2.DeadlockResponse]] = Method(
    service="deadlock.Deadlock",
    name="Detect",
    kind=Kind.STREAM_STREAM,
    encode_request=deadlock_pb2.DeadlockRequest.SerializeToString,
    decode_request=deadlock_pb2.DeadlockRequest.FromString,
    encode_response=deadlock_pb2.DeadlockResponse.SerializeToString,
    decode_response=deadlock_pb2.DeadlockResponse.FromString,
)


class DeadlockHandlers(Protocol):
    """What serves deadlock.Deadlock; a handler takes the request or requests, and if it wants the call."""

    @property
    def get_wait_for_entries(self) -> UnaryHandler[deadlock_pb2.WaitForEntriesRequest, deadlock_pb2.WaitForEntriesResponse]:
        """GetWaitForEntries."""

    @property
    def detect(self) -> StreamStreamHandler[deadlock_pb2.DeadlockRequest, deadlock_pb2.DeadlockResponse]:
        """Detect."""


def deadlock_service(handlers: DeadlockHandlers) -> Service:
    """deadlock.Deadlock, served by `handlers`."""
    return Service(
        "deadlock.Deadlock",
        [
            bind(DEADLOCK_GET_WAIT_FOR_ENTRIES, handlers.get_wait_for_entries),
            bind(DEADLOCK_DETECT, handlers.detect),
        ],
        files_of(deadlock_pb2.DESCRIPTOR),
    )


class DeadlockClient:
    """Calls to deadlock.Deadlock. Every method raises RpcError."""

    def __init__(self, channel: Channel) -> None:
        self._channel = channel

    def get_wait_for_entries(self, request: deadlock_pb2.WaitForEntriesRequest, **options: Unpack[CallOptions]) -> Coroutine[object, object, deadlock_pb2.WaitForEntriesResponse]:
        """GetWaitForEntries."""
        return self._channel.unary(DEADLOCK_GET_WAIT_FOR_ENTRIES, request, **options)

    async def detect(self, **options: Unpack[CallOptions]) -> ClientCall[deadlock_pb2.DeadlockRequest, deadlock_pb2.DeadlockResponse]:
        """Detect."""
        return await self._channel.open(DEADLOCK_DETECT, **options)
