"""One call on the server: what its handler sees, and how its outcome becomes a response.

A call goes: head arrives; request message or stream; handler; response; trailers. It ends once, in `_end`: by the
handler's outcome, the deadline, a cancellation or a lost connection, whichever comes first; the others then do nothing.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Coroutine
from typing import TYPE_CHECKING, Any, Final, Generic, TypeVar, final

from raftly.errors import ConfigError
from raftly.rpc import later
from raftly.rpc.grpc.heads import OK_TRAILERS, RESPONSE_HEAD, RequestHead, response_block, trailers_block, trailers_only
from raftly.rpc.grpc.message import PREFIX_BYTES, frame_message
from raftly.rpc.grpc.metadata import Metadata
from raftly.rpc.grpc.status import RpcError, StatusCode
from raftly.rpc.h2.frames import ErrorCode
from raftly.rpc.h2.stream import Stream
from raftly.rpc.inbox import Inbox
from raftly.rpc.service import AnyMessage, Bound, Interceptor

if TYPE_CHECKING:
    from raftly.rpc.server_connection import ServerConnection

__all__ = ["ServerCall"]

_log: Final = logging.getLogger("raftly.rpc")
_SOON_S: Final = 0.001  # a deadline this close to the read that completed the request is looked at before the start
T = TypeVar("T")


@final
class ServerCall:
    """A call being served. Handlers read its properties, set metadata, and may stream through `send`."""

    __slots__ = (
        "_bound",
        "_connection",
        "_cut",
        "_ended",
        "_expires_at",
        "_fed_bytes",
        "_head",
        "_head_sent",
        "_inbox",
        "_initial",
        "_input_ended",
        "_progress",
        "_progress_at",
        "_reply",
        "_send_waiter",
        "_stream",
        "_task",
        "_trailing",
        "_waiter",
        "compress",
        "deadline",
    )

    def __init__(self, connection: ServerConnection, stream: Stream, head: RequestHead, bound: Bound) -> None:
        self.compress = False  # handlers set it before their first message; obeyed when the client takes gzip
        self.deadline = None if head.timeout_s is None else connection.read_at + head.timeout_s  # loop time
        self._connection = connection
        self._stream = stream
        self._head = head
        self._bound = bound
        self._ended = False
        self._cut = False  # the call ended before its handler did
        self._head_sent = False
        self._input_ended = False
        self._initial: Metadata = ()
        self._trailing: Metadata = ()
        self._inbox: Inbox | None = None
        self._reply: Any = None
        self._fed_bytes = 0
        self._progress = -1  # what the watch saw last, and when it saw it change
        self._progress_at = 0.0
        self._task: asyncio.Future[Any] | None = None
        self._expires_at = 0.0  # 0: nothing is kept for it
        self._waiter: asyncio.Future[None] | None = None
        self._send_waiter: asyncio.Future[None] | None = None

    # --- what a handler may ask -----------------------------------------------------------------------------------

    @property
    def method(self) -> str:
        """Path of the method, `/package.Service/Method`."""
        return self._head.path.decode("latin-1")

    @property
    def metadata(self) -> Metadata:
        """What the client sent along."""
        return self._head.metadata

    @property
    def peer(self) -> str:
        """Address of the client as text; for logs."""
        return self._connection.peer

    @property
    def peer_certificate(self) -> dict[str, Any] | None:
        """The client's verified certificate as `ssl.SSLSocket.getpeercert` gives it; None without mutual TLS."""
        return self._connection.peer_certificate

    @property
    def arrived(self) -> float:
        """Loop time of the latest read from the client: in a handler's first step, when its request was whole."""
        return self._connection.read_at

    def time_left(self) -> float | None:
        """Seconds until the deadline, not below 0; None without one."""
        if self.deadline is None:
            return None
        return max(0.0, self.deadline - self._connection.loop.time())

    def set_initial_metadata(self, metadata: Metadata) -> None:
        """Sent with the head of the response, so before its first message."""
        if self._head_sent:
            raise RpcError(StatusCode.INTERNAL, "initial metadata after the head of the response was sent")
        self._initial = metadata

    def set_trailing_metadata(self, metadata: Metadata) -> None:
        """Sent with the status."""
        self._trailing = metadata

    # --- input ----------------------------------------------------------------------------------------------------

    def on_data(self, data: bytes, end_stream: bool) -> None:
        """Bytes of the request. A whole unary request starts the handler."""
        if self._ended:
            self._connection.h2.release(None, len(data))
            return
        if not self._bound.client_streams:
            size = len(data)
            if (
                end_stream
                and self._inbox is None
                and data[:PREFIX_BYTES] == b"\x00" + (size - PREFIX_BYTES).to_bytes(4, "big", signed=True)
                and size - PREFIX_BYTES <= self._connection.limits.message_bytes_max
            ):
                self._connection.h2.release(None, size)
                self._start_unary(data[PREFIX_BYTES:])
                return
        try:
            self._feed(data)
        except RpcError as error:
            self.fail(error)
            return
        if end_stream:
            self._on_input_end()
        self._wake()

    def on_input_end(self) -> None:
        """The request ended without data."""
        if not self._ended:
            self._on_input_end()
            self._wake()

    def _on_input_end(self) -> None:
        self._input_ended = True
        inbox = self._inbox
        if self._bound.client_streams:
            return
        if inbox is None or not inbox.ready:
            self.fail(RpcError(StatusCode.INTERNAL, "the request ended before its message did"))
            return
        try:
            payload = inbox.take()
            if not inbox.empty:
                raise RpcError(StatusCode.INTERNAL, "more than one message in a unary request")
        except RpcError as error:
            self.fail(error)
            return
        self._start_unary(payload)

    def _feed(self, data: bytes) -> None:
        inbox = self._inbox
        if inbox is None:
            connection = self._connection
            inbox = Inbox(connection.h2, self._stream, connection.limits.message_bytes_max, self._head.encoding)
            self._inbox = inbox
        self._fed_bytes += len(data)
        inbox.feed(data)

    def check(self, now: float) -> None:
        """Give the call up when the client owes the rest of a message, or of a unary request, and it does not come.

        A kilobyte is progress, a byte is not: dripping keeps no call open for longer than `Limits.stall_s`.
        """
        inbox = self._inbox
        owes = not self._input_ended and (not self._bound.client_streams or (inbox is not None and inbox.mid_message))
        progress = self._fed_bytes >> 10 if owes else -1
        if progress < 0 or progress != self._progress:
            self._progress = progress
            self._progress_at = now
        elif now - self._progress_at > self._connection.limits.stall_s:
            self.fail(RpcError(StatusCode.CANCELLED, "the request was begun and did not go on"))

    async def recv(self) -> AnyMessage:
        """The next request, decoded; None after the last. For streams of requests only, one reader at a time."""
        while True:
            inbox = self._inbox
            if inbox is not None and inbox.ready:
                payload = inbox.take()
                self._connection.schedule_flush()
                return self._decode(payload)
            if self._input_ended:
                if inbox is not None and not inbox.empty:
                    raise RpcError(StatusCode.INTERNAL, "the request ended in the middle of a message")
                return None
            if self._ended:
                raise asyncio.CancelledError
            self._waiter = self._connection.loop.create_future()
            try:
                await self._waiter
            finally:
                self._waiter = None

    def _decode(self, payload: bytes) -> AnyMessage:
        try:
            return self._bound.decode(payload)
        except Exception as error:
            raise RpcError(StatusCode.INTERNAL, f"the request does not decode: {type(error).__name__}") from error

    def _wake(self) -> None:
        waiter = self._waiter
        if waiter is not None and not waiter.done():
            waiter.set_result(None)

    # --- running the handler --------------------------------------------------------------------------------------

    def start_streaming(self) -> None:
        """Start a handler that reads a stream of requests."""
        if not self._expired():
            self._run(self._serve_stream(RequestStream(self)))

    def _start_unary(self, payload: bytes) -> None:
        self._input_ended = True
        bound = self._bound
        try:
            request = bound.decode(payload)
        except Exception as error:  # noqa: BLE001  # decoders raise what they like
            self.fail(RpcError(StatusCode.INTERNAL, f"the request does not decode: {type(error).__name__}"))
            return
        if self.deadline is not None and self.deadline < self._connection.read_at + _SOON_S and self._expired():
            return
        if bound.server_streams:
            self._run(self._serve_stream(request))
        elif self._connection.interceptors:
            self._run(self._serve_unary(request))
        else:
            try:
                begun = bound.handler(request, self) if bound.takes_call else bound.handler(request)
            except Exception as error:  # noqa: BLE001  # an outcome like any other
                self._on_unary_done(None, error)
            else:
                self._start(begun, self._on_unary_done)

    def _expired(self) -> bool:
        if self.time_left() != 0.0:
            return False
        self.fail(RpcError(StatusCode.DEADLINE_EXCEEDED, "the deadline had passed when the call was to start"))
        return True

    async def _serve_unary(self, request: AnyMessage) -> None:
        self._reply = await later.settled(self._bound.invoke(request, self))

    async def _serve_stream(self, request: AnyMessage) -> None:
        bound = self._bound
        if not bound.server_streams:
            self._reply = await later.settled(bound.invoke(request, self))
            return
        responses = bound.invoke(request, self)
        failure: BaseException | None = None
        try:
            async for response in responses:
                await self.send(response)
        except BaseException as error:  # noqa: BLE001 - raised again below, where compiled code may wait
            failure = error
        close = getattr(responses, "aclose", None)
        if close is not None:
            await close()
        if failure is not None:
            raise failure

    def _run(self, serve: Coroutine[Any, Any, None]) -> None:
        for interceptor in reversed(self._connection.interceptors):
            serve = _intercepted(interceptor, self, serve)
        self._start(serve, self._on_done)

    def _start(self, begun: later.Begun, on_done: later.OnDone) -> None:
        loop = self._connection.loop
        self._task = later.begin(loop, begun, on_done)
        if self._ended:  # answered; or its own first step ended the call
            self._cut_task()
        elif self.deadline is not None and self._head.timeout_s:
            self._expires_at = self._connection.deadlines.add(self, self._head.timeout_s, self.deadline)

    def _on_unary_done(self, reply: AnyMessage, error: BaseException | None) -> None:
        if error is None and not self._ended and not self._initial and not self._trailing and not self.compress:
            try:
                payload = self._bound.encode(reply)
            except Exception as failure:  # noqa: BLE001
                error = failure
            else:
                connection = self._connection
                if connection.h2.backlog_bytes and not self._backlog_takes(len(payload)):
                    return
                self._finish()
                connection.h2.send_all(
                    self._stream, RESPONSE_HEAD, b"\x00" + len(payload).to_bytes(4, "big") + payload, OK_TRAILERS
                )
                connection.schedule_flush()
                return
        self._reply = reply
        self._on_done(None, error)

    def _on_done(self, _result: object, error: BaseException | None) -> None:
        if self._cut:
            self._connection.h2.winding_down -= 1
        if self._ended:
            return
        try:
            if error is None:
                if not self._bound.server_streams:
                    self._send_now(self._reply)
                self._end(None)
                return
        except Exception as failure:  # noqa: BLE001  # encode or metadata of the handler's making
            error = failure
        self.fail(self._status_of(error))

    def _status_of(self, error: BaseException) -> RpcError:
        if isinstance(error, RpcError):
            return error
        if isinstance(error, asyncio.CancelledError):
            return RpcError(StatusCode.CANCELLED, "the handler was cancelled")
        _log.error("handler of %s failed", self.method, exc_info=error)
        return RpcError(StatusCode.UNKNOWN, "the handler failed")

    # --- output ---------------------------------------------------------------------------------------------------

    async def send(self, response: AnyMessage) -> None:
        """Send one message; waits while more than `Limits.send_backlog_bytes` lie unsent. For server streams only."""
        self._send_now(response)
        stream = self._stream
        connection = self._connection
        while not self._ended and (
            stream.backlog_bytes > connection.limits.send_backlog_bytes or connection.output_full
        ):
            waiter = self._send_waiter = connection.loop.create_future()
            try:
                await connection.wait_writable(self, waiter)
            finally:
                self._send_waiter = None

    def on_writable(self) -> None:
        """The backlog is smaller again."""
        waiter = self._send_waiter
        if waiter is not None and not waiter.done():
            waiter.set_result(None)

    def _send_now(self, response: AnyMessage) -> None:
        if self._ended:
            raise asyncio.CancelledError
        payload = self._bound.encode(response)
        if self._connection.h2.backlog_bytes and not self._backlog_takes(len(payload)):
            raise asyncio.CancelledError
        self.send_head()
        compressed = self.compress and self._head.accepts_gzip
        self._connection.h2.send_data(self._stream, frame_message(payload, compressed=compressed))
        self._connection.schedule_flush()

    def _backlog_takes(self, size: int) -> bool:
        """False, and the call has ended, when the client lets more answers pile up than one connection may hold."""
        if self._connection.h2.backlog_bytes + size <= self._connection.limits.backlog_bytes_max:
            return True
        self.fail(RpcError(StatusCode.RESOURCE_EXHAUSTED, "the client does not take its answers"))
        return False

    def send_head(self) -> None:
        """Send the head with the initial metadata now, before the first message; later calls do nothing."""
        if not self._head_sent:
            block = response_block(self._initial, gzip=self.compress and self._head.accepts_gzip)
            self._connection.h2.send_headers(self._stream, block)
            self._head_sent = True
            self._connection.schedule_flush()

    def _end(self, error: RpcError | None) -> None:
        """Send the status and be done. Raises ConfigError, and sends nothing, on metadata that is not valid."""
        trailing = (*self._trailing, *(error.trailers if error is not None else ()))
        if error is not None and not self._head_sent and not self._initial:
            block = trailers_only(error, trailing)
        else:
            block = trailers_block(error, trailing)
            self.send_head()
        self._finish()
        self._connection.h2.send_headers(self._stream, block, end_stream=True)
        self._connection.schedule_flush()

    # --- endings from outside -------------------------------------------------------------------------------------

    def fail(self, error: RpcError) -> None:
        """End the call with a status now, handler or not."""
        if self._ended:
            return
        try:
            self._end(error)
        except ConfigError:
            _log.exception("%s: metadata of the response cannot be sent", self.method)
            self._trailing = self._initial = ()
            self._end(RpcError(StatusCode.INTERNAL, "metadata of the response cannot be sent"))
        self._cut_task()

    def on_reset(self) -> None:
        """The client gave up, or the connection is lost: nobody waits for an answer."""
        if not self._ended:
            self._finish()
            self._cut_task()

    def abandon(self) -> None:
        """The server stops: end with UNAVAILABLE."""
        self.fail(RpcError(StatusCode.UNAVAILABLE, "the server is stopping"))

    def on_deadline(self) -> None:
        """Too late."""
        self.fail(RpcError(StatusCode.DEADLINE_EXCEEDED, "the deadline passed while the call was served"))

    def _cut_task(self) -> None:
        """Cancel the handler; until it has wound down it counts as a stream, so that resets cannot pile up handlers."""
        task = self._task
        if task is not None and not task.done() and not self._cut:
            self._cut = True
            self._connection.h2.winding_down += 1
            task.cancel()

    def _finish(self) -> None:
        self._ended = True
        self._stream.owner = None  # no cycle is left for the collector
        if self._expires_at:
            self._connection.deadlines.discard(self, self._expires_at)
        if self._inbox is not None:
            self._inbox.discard()
            self._inbox = None
        if self._send_waiter is not None:
            self._connection.forget_writer(self)
            self.on_writable()
        if self._waiter is not None:
            self._wake()

    def on_stuck(self) -> None:
        """The client gives no window: there is no way to send a status either."""
        self._connection.h2.reset(self._stream, ErrorCode.ENHANCE_YOUR_CALM)
        self._connection.schedule_flush()
        self.on_reset()


async def _intercepted(interceptor: Interceptor, call: ServerCall, serve: Coroutine[Any, Any, None]) -> None:
    started = False

    async def proceed() -> None:
        nonlocal started
        started = True
        await serve

    try:
        await interceptor(call, proceed)
    finally:
        if not started:
            serve.close()


class RequestStream(AsyncIterator[T], Generic[T]):
    """Requests of a client stream, in order, each decoded when it is taken: an unread one holds the client back."""

    __slots__ = ("_call",)

    def __init__(self, call: ServerCall) -> None:
        self._call = call

    async def __anext__(self) -> T:
        request = await self._call.recv()
        if request is None:
            raise StopAsyncIteration
        message: T = request
        return message
