"""Services of tests/rpc/protos/echo.proto. Written by raftly.rpc.codegen; do not edit."""

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
from tests.rpc.protos import echo_pb2

ECHO_UNARY: Final[Method[echo_pb2.EchoRequest, echo_pb2.EchoReply]] = Method(
    service="raftly.test.Echo",
    name="Unary",
    kind=Kind.UNARY_UNARY,
    encode_request=echo_pb2.EchoRequest.SerializeToString,
    decode_request=echo_pb2.EchoRequest.FromString,
    encode_response=echo_pb2.EchoReply.SerializeToString,
    decode_response=echo_pb2.EchoReply.FromString,
)
ECHO_SERVER_STREAM: Final[Method[echo_pb2.EchoRequest, echo_pb2.EchoReply]] = Method(
    service="raftly.test.Echo",
    name="ServerStream",
    kind=Kind.UNARY_STREAM,
    encode_request=echo_pb2.EchoRequest.SerializeToString,
    decode_request=echo_pb2.EchoRequest.FromString,
    encode_response=echo_pb2.EchoReply.SerializeToString,
    decode_response=echo_pb2.EchoReply.FromString,
)
ECHO_CLIENT_STREAM: Final[Method[echo_pb2.EchoRequest, echo_pb2.EchoReply]] = Method(
    service="raftly.test.Echo",
    name="ClientStream",
    kind=Kind.STREAM_UNARY,
    encode_request=echo_pb2.EchoRequest.SerializeToString,
    decode_request=echo_pb2.EchoRequest.FromString,
    encode_response=echo_pb2.EchoReply.SerializeToString,
    decode_response=echo_pb2.EchoReply.FromString,
)
ECHO_BIDI: Final[Method[echo_pb2.EchoRequest, echo_pb2.EchoReply]] = Method(
    service="raftly.test.Echo",
    name="Bidi",
    kind=Kind.STREAM_STREAM,
    encode_request=echo_pb2.EchoRequest.SerializeToString,
    decode_request=echo_pb2.EchoRequest.FromString,
    encode_response=echo_pb2.EchoReply.SerializeToString,
    decode_response=echo_pb2.EchoReply.FromString,
)
ECHO_BATCHES: Final[Method[echo_pb2.Batch, echo_pb2.BatchReply]] = Method(
    service="raftly.test.Echo",
    name="Batches",
    kind=Kind.STREAM_STREAM,
    encode_request=echo_pb2.Batch.SerializeToString,
    decode_request=echo_pb2.Batch.FromString,
    encode_response=echo_pb2.BatchReply.SerializeToString,
    decode_response=echo_pb2.BatchReply.FromString,
)
ECHO_DEEP: Final[Method[echo_pb2.Nested, echo_pb2.EchoReply]] = Method(
    service="raftly.test.Echo",
    name="Deep",
    kind=Kind.UNARY_UNARY,
    encode_request=echo_pb2.Nested.SerializeToString,
    decode_request=echo_pb2.Nested.FromString,
    encode_response=echo_pb2.EchoReply.SerializeToString,
    decode_response=echo_pb2.EchoReply.FromString,
)


class EchoHandlers(Protocol):
    """What serves raftly.test.Echo; a handler takes the request or requests, and if it wants the call."""

    @property
    def unary(self) -> UnaryHandler[echo_pb2.EchoRequest, echo_pb2.EchoReply]:
        """Unary."""

    @property
    def server_stream(self) -> StreamHandler[echo_pb2.EchoRequest, echo_pb2.EchoReply]:
        """ServerStream."""

    @property
    def client_stream(self) -> StreamUnaryHandler[echo_pb2.EchoRequest, echo_pb2.EchoReply]:
        """ClientStream."""

    @property
    def bidi(self) -> StreamStreamHandler[echo_pb2.EchoRequest, echo_pb2.EchoReply]:
        """Bidi."""

    @property
    def batches(self) -> StreamStreamHandler[echo_pb2.Batch, echo_pb2.BatchReply]:
        """Batches."""

    @property
    def deep(self) -> UnaryHandler[echo_pb2.Nested, echo_pb2.EchoReply]:
        """Deep."""


def echo_service(handlers: EchoHandlers) -> Service:
    """raftly.test.Echo, served by `handlers`."""
    return Service(
        "raftly.test.Echo",
        [
            bind(ECHO_UNARY, handlers.unary),
            bind(ECHO_SERVER_STREAM, handlers.server_stream),
            bind(ECHO_CLIENT_STREAM, handlers.client_stream),
            bind(ECHO_BIDI, handlers.bidi),
            bind(ECHO_BATCHES, handlers.batches),
            bind(ECHO_DEEP, handlers.deep),
        ],
        files_of(echo_pb2.DESCRIPTOR),
    )


class EchoClient:
    """Calls to raftly.test.Echo. Every method raises RpcError."""

    def __init__(self, channel: Channel) -> None:
        self._channel = channel

    def unary(
        self, request: echo_pb2.EchoRequest, **options: Unpack[CallOptions]
    ) -> Coroutine[object, object, echo_pb2.EchoReply]:
        """Unary."""
        return self._channel.unary(ECHO_UNARY, request, **options)

    def server_stream(
        self, request: echo_pb2.EchoRequest, **options: Unpack[CallOptions]
    ) -> AsyncIterator[echo_pb2.EchoReply]:
        """ServerStream."""
        return self._channel.unary_stream(ECHO_SERVER_STREAM, request, **options)

    async def client_stream(
        self, **options: Unpack[CallOptions]
    ) -> ClientCall[echo_pb2.EchoRequest, echo_pb2.EchoReply]:
        """ClientStream."""
        return await self._channel.open(ECHO_CLIENT_STREAM, **options)

    async def bidi(self, **options: Unpack[CallOptions]) -> ClientCall[echo_pb2.EchoRequest, echo_pb2.EchoReply]:
        """Bidi."""
        return await self._channel.open(ECHO_BIDI, **options)

    async def batches(self, **options: Unpack[CallOptions]) -> ClientCall[echo_pb2.Batch, echo_pb2.BatchReply]:
        """Batches."""
        return await self._channel.open(ECHO_BATCHES, **options)

    def deep(
        self, request: echo_pb2.Nested, **options: Unpack[CallOptions]
    ) -> Coroutine[object, object, echo_pb2.EchoReply]:
        """Deep."""
        return self._channel.unary(ECHO_DEEP, request, **options)
