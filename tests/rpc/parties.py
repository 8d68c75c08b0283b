"""The Echo service served and called by raftly and by grpcio, behind one face, so that each case is written once."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import Any

import grpc
import grpc.aio

from raftly.rpc.channel import Channel
from raftly.rpc.grpc.status import RpcError, StatusCode
from raftly.rpc.limits import Limits
from raftly.rpc.server import Server
from raftly.rpc.server_call import ServerCall
from tests.rpc.protos import echo_rpc
from tests.rpc.protos.echo_pb2 import Batch, BatchReply, EchoReply, EchoRequest, Nested

INITIAL = "x-grpc-test-echo-initial"
TRAILING = "x-grpc-test-echo-trailing-bin"
DETAILS = b"\x08\x05\x12\x04gone"  # a serialized google.rpc.Status
PATH = "/raftly.test.Echo/"
Pairs = tuple[tuple[str, str | bytes], ...]


def run(coro: Coroutine[Any, Any, Any], timeout_s: float = 30.0) -> Any:
    async def bounded() -> Any:
        async with asyncio.timeout(timeout_s):
            return await coro

    return asyncio.run(bounded())


@dataclass
class Seen:
    """What handlers lived through."""

    cancelled: asyncio.Event = field(default_factory=asyncio.Event)
    started: asyncio.Event = field(default_factory=asyncio.Event)
    time_left: float | None = None


@dataclass
class Outcome:
    """How a call ended, whoever made it."""

    status: int
    message: str = ""
    details: bytes | None = None
    replies: list[bytes] = field(default_factory=list)
    initial: Pairs = ()
    trailing: Pairs = ()


def kept(pairs: Any) -> Pairs:
    return tuple((name, value) for name, value in pairs or () if name in (INITIAL, TRAILING))


# --- servers ---------------------------------------------------------------------------------------------------------


class Handlers:
    """The Echo service on raftly."""

    def __init__(self, seen: Seen) -> None:
        self.seen = seen

    def _begin(self, call: ServerCall) -> None:
        self.seen.started.set()
        self.seen.time_left = call.time_left()
        call.set_initial_metadata(tuple(pair for pair in call.metadata if pair[0] == INITIAL))
        call.set_trailing_metadata(tuple(pair for pair in call.metadata if pair[0] == TRAILING))

    async def _behave(self, request: EchoRequest, call: ServerCall) -> None:
        if request.message == "gzip":
            call.compress = True
        if request.wait_ms:
            try:
                await asyncio.sleep(request.wait_ms / 1000)
            except asyncio.CancelledError:
                self.seen.cancelled.set()
                raise
        if request.status:
            details = DETAILS if request.message == "details" else None
            raise RpcError(StatusCode(request.status), request.message, details=details)

    async def unary(self, request: EchoRequest, call: ServerCall) -> EchoReply:
        self._begin(call)
        await self._behave(request, call)
        return EchoReply(payload=bytes(request.reply_bytes) or request.payload)

    async def server_stream(self, request: EchoRequest, call: ServerCall) -> AsyncIterator[EchoReply]:
        self._begin(call)
        for _ in range(request.replies):
            yield EchoReply(payload=bytes(request.reply_bytes))
        await self._behave(request, call)

    async def client_stream(self, requests: AsyncIterator[EchoRequest], call: ServerCall) -> EchoReply:
        self._begin(call)
        total = 0
        try:
            async for request in requests:
                total += len(request.payload)
                await self._behave(request, call)
        except asyncio.CancelledError:
            self.seen.cancelled.set()
            raise
        return EchoReply(payload=b"%d" % total)

    async def bidi(self, requests: AsyncIterator[EchoRequest], call: ServerCall) -> AsyncIterator[EchoReply]:
        self._begin(call)
        try:
            async for request in requests:
                await self._behave(request, call)
                yield EchoReply(payload=bytes(request.reply_bytes) or request.payload)
        except asyncio.CancelledError:
            self.seen.cancelled.set()
            raise

    async def batches(self, batches: AsyncIterator[Batch]) -> AsyncIterator[BatchReply]:
        async for batch in batches:
            replies = [EchoReply(payload=request.payload) for request in batch.requests]
            yield BatchReply(replies=replies, ids=batch.ids)

    async def deep(self, request: Nested) -> EchoReply:
        depth = 0
        while request.HasField("child"):
            request = request.child
            depth += 1
        return EchoReply(payload=b"%d" % depth)


@asynccontextmanager
async def raftly_server(seen: Seen, limits: Limits | None = None, **options: Any) -> AsyncIterator[int]:
    server = Server([echo_rpc.echo_service(Handlers(seen))], limits=limits, **options)
    port = await server.start()
    try:
        yield port
    finally:
        await server.stop(grace_s=1.0)
        assert server.connections_open == 0
        assert server.calls_open == 0


class GrpcioHandlers:
    """The same on grpcio."""

    def __init__(self, seen: Seen) -> None:
        self.seen = seen

    async def _begin(self, context: Any) -> None:
        self.seen.started.set()
        self.seen.time_left = context.time_remaining()
        context.add_done_callback(lambda _: self.seen.cancelled.set())  # the call is over for the server
        metadata = kept(context.invocation_metadata())
        await context.send_initial_metadata(tuple(pair for pair in metadata if pair[0] == INITIAL))
        context.set_trailing_metadata(tuple(pair for pair in metadata if pair[0] == TRAILING))

    async def _behave(self, request: EchoRequest, context: Any) -> None:
        await asyncio.sleep(request.wait_ms / 1000)
        if request.status:
            code = next(code for code in grpc.StatusCode if code.value[0] == request.status)
            metadata = (("grpc-status-details-bin", DETAILS),) if request.message == "details" else ()
            await context.abort(code, request.message, (*context.trailing_metadata(), *metadata))

    async def unary(self, request: EchoRequest, context: Any) -> EchoReply:
        if request.message == "gzip":
            context.set_compression(grpc.Compression.Gzip)
        await self._begin(context)
        await self._behave(request, context)
        return EchoReply(payload=bytes(request.reply_bytes) or request.payload)

    async def server_stream(self, request: EchoRequest, context: Any) -> AsyncIterator[EchoReply]:
        await self._begin(context)
        for _ in range(request.replies):
            yield EchoReply(payload=bytes(request.reply_bytes))
        await self._behave(request, context)

    async def client_stream(self, requests: AsyncIterator[EchoRequest], context: Any) -> EchoReply:
        await self._begin(context)
        total = 0
        async for request in requests:
            total += len(request.payload)
        return EchoReply(payload=b"%d" % total)

    async def bidi(self, requests: AsyncIterator[EchoRequest], context: Any) -> AsyncIterator[EchoReply]:
        await self._begin(context)
        async for request in requests:
            await self._behave(request, context)
            yield EchoReply(payload=bytes(request.reply_bytes) or request.payload)


@asynccontextmanager
async def grpcio_server(seen: Seen) -> AsyncIterator[int]:
    server = grpc.aio.server()
    handlers = GrpcioHandlers(seen)
    coding = {"request_deserializer": EchoRequest.FromString, "response_serializer": EchoReply.SerializeToString}
    methods = {
        "Unary": grpc.unary_unary_rpc_method_handler(handlers.unary, **coding),
        "ServerStream": grpc.unary_stream_rpc_method_handler(handlers.server_stream, **coding),
        "ClientStream": grpc.stream_unary_rpc_method_handler(handlers.client_stream, **coding),
        "Bidi": grpc.stream_stream_rpc_method_handler(handlers.bidi, **coding),
    }
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("raftly.test.Echo", methods),))
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    try:
        yield port
    finally:
        await server.stop(0.1)


# --- clients ---------------------------------------------------------------------------------------------------------


class RaftlyClient:
    """Calls by raftly."""

    def __init__(self, channel: Channel) -> None:
        self._channel = channel

    @classmethod
    @asynccontextmanager
    async def connect(cls, port: int) -> AsyncIterator[RaftlyClient]:
        async with Channel("127.0.0.1", port) as channel:
            yield cls(channel)

    async def call(
        self,
        method: str,
        requests: list[EchoRequest],
        *,
        metadata: Pairs = (),
        timeout_s: float | None = None,
        compress: bool = False,
        cancel_after: int | None = None,
        ping_pong: bool = False,
    ) -> Outcome:
        replies: list[bytes] = []
        known = getattr(
            echo_rpc,
            "ECHO_"
            + {"Unary": "UNARY", "ServerStream": "SERVER_STREAM", "ClientStream": "CLIENT_STREAM"}.get(method, "BIDI"),
        )
        if method not in ("Unary", "ServerStream", "ClientStream", "Bidi"):
            service, _, name = method.rpartition("/")
            known = replace(known, service=service, name=name)
        call = None
        try:
            call = await self._channel.open(known, metadata=metadata, timeout_s=timeout_s, compress=compress)
            async with call:
                if cancel_after == 0:
                    await call.send(requests[0])
                    call.cancel()
                for request in requests:
                    await call.send(request)
                    if ping_pong:
                        reply = await call.recv()
                        assert reply is not None
                        replies.append(reply.payload)
                        if cancel_after == len(replies):
                            call.cancel()
                call.done_sending()
                async for reply in call:
                    replies.append(reply.payload)  # noqa: PERF401  # what came before a failure counts
                return Outcome(0, "", None, replies, kept(await call.initial_metadata()), kept(call.trailing_metadata))
        except RpcError as error:
            initial = kept(await call.initial_metadata()) if call is not None else ()
            return Outcome(error.status.value, error.message, error.details, replies, initial, kept(error.trailers))


class GrpcioClient:
    """Calls by grpcio."""

    def __init__(self, channel: grpc.aio.Channel) -> None:
        self._channel = channel

    @classmethod
    @asynccontextmanager
    async def connect(cls, port: int) -> AsyncIterator[GrpcioClient]:
        async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
            yield cls(channel)

    async def call(
        self,
        method: str,
        requests: list[EchoRequest],
        *,
        metadata: Pairs = (),
        timeout_s: float | None = None,
        compress: bool = False,
        cancel_after: int | None = None,
        ping_pong: bool = False,
    ) -> Outcome:
        coding = (EchoRequest.SerializeToString, EchoReply.FromString)
        options: Any = {"metadata": metadata, "timeout": timeout_s}
        if compress:
            options["compression"] = grpc.Compression.Gzip
        path = method if "/" not in method else f"/{method}"
        path = path if path.startswith("/") else PATH + path
        replies: list[bytes] = []
        if method not in ("ServerStream", "ClientStream", "Bidi"):
            return await self._unary(self._channel.unary_unary(path, *coding)(requests[0], **options))
        call = self._channel.stream_stream(path, *coding)(**options)
        try:
            if cancel_after == 0:
                await call.write(requests[0])
                call.cancel()
            for request in requests:
                await call.write(request)
                if ping_pong:
                    reply = await call.read()
                    assert reply is not grpc.aio.EOF
                    replies.append(reply.payload)
                    if cancel_after == len(replies):
                        call.cancel()
            await call.done_writing()
            while (reply := await call.read()) is not grpc.aio.EOF:
                replies.append(reply.payload)
            code = await call.code()
            if code is grpc.StatusCode.OK:
                return Outcome(
                    0, "", None, replies, kept(await call.initial_metadata()), kept(await call.trailing_metadata())
                )
        except (grpc.aio.AioRpcError, asyncio.CancelledError, asyncio.InvalidStateError):
            code = await call.code()
        return await self._failure(call, code, replies)

    async def _unary(self, call: Any) -> Outcome:
        try:
            reply = await call
        except grpc.aio.AioRpcError as error:
            return await self._failure(call, error.code(), [])
        initial, trailing = kept(await call.initial_metadata()), kept(await call.trailing_metadata())
        return Outcome(0, "", None, [reply.payload], initial, trailing)

    async def _failure(self, call: Any, code: Any, replies: list[bytes]) -> Outcome:
        trailers = await call.trailing_metadata() or ()
        details = dict(trailers).get("grpc-status-details-bin")
        message = await call.details()
        return Outcome(code.value[0], message, details, replies, kept(await call.initial_metadata()), kept(trailers))


Connect = Callable[[int], AbstractAsyncContextManager[RaftlyClient | GrpcioClient]]
Serve = Callable[[Seen], AbstractAsyncContextManager[int]]
PARTIES: dict[str, tuple[Serve, Connect]] = {
    "raftly-raftly": (raftly_server, RaftlyClient.connect),
    "grpcio-raftly": (raftly_server, GrpcioClient.connect),
    "raftly-grpcio": (grpcio_server, RaftlyClient.connect),
}
