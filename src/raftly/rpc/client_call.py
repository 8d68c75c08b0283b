"""Calls on the client: one that is a single question and answer, and one that streams.

A call ends once: by the server's status, the deadline, a cancellation or the end of its connection.
"""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from types import TracebackType
from typing import Generic, Self, TypeVar

from raftly.rpc.client_connection import ClientConnection
from raftly.rpc.grpc.heads import Outcome, outcome_of, response_encoding
from raftly.rpc.grpc.message import PREFIX_BYTES, frame_message
from raftly.rpc.grpc.metadata import Metadata, decode_metadata
from raftly.rpc.grpc.status import RpcError, StatusCode, status_of_reset
from raftly.rpc.h2.frames import ErrorCode
from raftly.rpc.h2.headers import HeaderBlock, OutBlock, Shape
from raftly.rpc.inbox import Inbox
from raftly.rpc.service import Method

__all__ = ["ClientCall", "UnaryCall", "decode_response"]

Request = TypeVar("Request")
Response = TypeVar("Response")


def decode_response(method: Method[Request, Response], payload: bytes) -> Response:
    """The response in `payload`. Raises RpcError when it does not decode."""
    try:
        return method.decode_response(payload)
    except Exception as error:
        raise RpcError(StatusCode.INTERNAL, f"the response does not decode: {type(error).__name__}") from error


class _Call(ABC):
    """What both kinds share: the response as it comes in, and the ways to end."""

    __slots__ = (
        "_connection",
        "_encoding",
        "_ended",
        "_fed_bytes",
        "_head",
        "_inbox",
        "_progress",
        "_progress_at",
        "_stream",
        "_timeout_s",
    )

    def __init__(self, connection: ClientConnection, timeout_s: float | None, deadline: float | None) -> None:
        self._connection = connection
        self._stream = stream = connection.h2.open_stream()
        stream.owner = self
        self._timeout_s = timeout_s
        if timeout_s is not None and deadline is not None:
            connection.deadlines.add(self, timeout_s, deadline)
        self._ended = False
        self._head: HeaderBlock | None = None
        self._encoding = b""
        self._inbox: Inbox | None = None
        self._fed_bytes = 0
        self._progress = -1
        self._progress_at = 0.0

    # --- events -----------------------------------------------------------------------------------------------------

    def on_headers(self, block: HeaderBlock, end_stream: bool) -> None:
        """Response head, trailers, or both in one block."""
        if self._ended:
            return
        try:
            if block.shape is Shape.RESPONSE:
                if not end_stream:
                    self._encoding = response_encoding(block)
                    self._head = block
                    self._on_head()
                    return
                if block.get(b"grpc-status") is None:
                    response_encoding(block)  # says what it is when it is not gRPC
        except RpcError as error:
            self._give_up(error)
            return
        self._on_outcome(outcome_of(block))

    def on_data(self, data: bytes, end_stream: bool) -> None:
        """Bytes of messages."""
        if self._ended:
            self._connection.h2.release(None, len(data))
            return
        try:
            inbox = self._inbox
            if inbox is None:
                connection = self._connection
                bytes_max = connection.limits.message_bytes_max
                inbox = self._inbox = Inbox(connection.h2, self._stream, bytes_max, self._encoding)
            self._fed_bytes += len(data)
            inbox.feed(data)
        except RpcError as error:
            self._give_up(error)
            return
        if end_stream:
            self._fail(RpcError(StatusCode.INTERNAL, "the response ended without trailers"))
        else:
            self._on_bytes()

    def on_reset(self, code: ErrorCode, problem: str, unprocessed: bool) -> None:
        """The stream ended without trailers."""
        if unprocessed:
            self._fail(RpcError(StatusCode.UNAVAILABLE, "the server refused the call", maybe_processed=False))
        elif code is ErrorCode.NO_ERROR and not problem:
            self._fail(RpcError(StatusCode.INTERNAL, "the server reset the stream without a status"))
        else:
            self._fail(RpcError(status_of_reset(code), problem or f"stream reset by the server: {code.name}"))

    def on_lost(self, problem: str) -> None:
        """The connection ended under the call: what the server did with it is unknown."""
        self._fail(RpcError(StatusCode.UNAVAILABLE, problem))

    @abstractmethod
    def on_writable(self) -> None:
        """More may be sent."""

    def check(self, now: float) -> None:
        """A message that was begun must go on; a kilobyte is progress."""
        inbox = self._inbox
        progress = self._fed_bytes >> 10 if inbox is not None and inbox.mid_message else -1
        if progress < 0 or progress != self._progress:
            self._progress = progress
            self._progress_at = now
        elif now - self._progress_at > self._connection.limits.stall_s:
            self._give_up(RpcError(StatusCode.UNAVAILABLE, "an answer was begun and did not go on"))

    def on_stuck(self) -> None:
        """The server takes nothing."""
        self._give_up(RpcError(StatusCode.UNAVAILABLE, "the server takes no more of the request"))

    # --- endings ----------------------------------------------------------------------------------------------------

    def on_deadline(self) -> None:
        """Too late."""
        self._give_up(RpcError(StatusCode.DEADLINE_EXCEEDED, "the deadline passed"))

    def cancel(self) -> None:
        """Give the call up; the server hears of it. Nothing happens when it has ended."""
        if not self._ended:
            self._give_up(RpcError(StatusCode.CANCELLED, "cancelled by the caller"))

    def _give_up(self, error: RpcError) -> None:
        """End it from our side."""
        if not self._ended:
            self._connection.h2.reset(self._stream, ErrorCode.CANCEL)
            self._connection.schedule_flush()
            self._fail(error)
            self._connection.on_stream_freed()

    def _fail(self, error: RpcError) -> None:
        if not self._ended:
            self._finish()
            self._on_failed(error)

    def _finish(self) -> None:
        """Let go of the connection. What was received and not taken stays in the inbox."""
        self._ended = True
        if self._timeout_s is not None:
            self._connection.deadlines.discard(self, self._timeout_s)
        stream = self._stream
        if not stream.local_closed:  # the server has said all before we had
            self._connection.h2.reset(stream, ErrorCode.NO_ERROR)
            self._connection.schedule_flush()
        stream.owner = None  # no cycle is left for the collector
        self._connection.forget_writer(self)

    def _discard(self) -> None:
        """Nobody reads the messages that are left."""
        if self._inbox is not None:
            self._inbox.discard()
            self._inbox = None
            self._connection.schedule_flush()  # windows may have opened

    @abstractmethod
    def _on_head(self) -> None: ...

    @abstractmethod
    def _on_bytes(self) -> None: ...

    @abstractmethod
    def _on_outcome(self, outcome: Outcome) -> None: ...

    @abstractmethod
    def _on_failed(self, error: RpcError) -> None: ...


class UnaryCall(_Call):
    """One message there and one back. `future` gives the bytes of the reply, or RpcError."""

    __slots__ = ("_payload", "future")

    def __init__(
        self,
        connection: ClientConnection,
        head: OutBlock,
        message: bytes,
        timeout_s: float | None = None,
        deadline: float | None = None,
    ) -> None:
        super().__init__(connection, timeout_s, deadline)
        self.future: asyncio.Future[bytes] = connection.loop.create_future()
        self._payload: bytes | None = None
        connection.h2.send_all(self._stream, head, message, None)
        connection.schedule_flush()

    def on_headers(self, block: HeaderBlock, end_stream: bool) -> None:
        """Mostly OK after the whole reply."""
        if end_stream and self._payload is not None and self._inbox is None and not self._ended:
            outcome = outcome_of(block)
            if outcome.status is StatusCode.OK:
                self._finish()
                if not self.future.done():
                    self.future.set_result(self._payload)
                return
        super().on_headers(block, end_stream)

    def on_data(self, data: bytes, end_stream: bool) -> None:
        """Mostly the whole reply at once."""
        size = len(data)
        if (
            self._inbox is None
            and self._payload is None
            and not end_stream
            and data[:PREFIX_BYTES] == b"\x00" + (size - PREFIX_BYTES).to_bytes(4, "big", signed=True)
            and not self._ended
            and size - PREFIX_BYTES <= self._connection.limits.message_bytes_max
        ):
            self._connection.h2.release(None, size)
            self._payload = data[PREFIX_BYTES:]
            return
        super().on_data(data, end_stream)

    def on_writable(self) -> None:
        """Nobody waits for that."""

    def _on_head(self) -> None:
        pass

    def _on_bytes(self) -> None:
        inbox = self._inbox
        if inbox is None or not inbox.ready:
            return
        try:
            payload = inbox.take()
            if self._payload is not None:
                raise RpcError(StatusCode.INTERNAL, "more than one message in a unary response")
            self._payload = payload
        except RpcError as error:
            self._give_up(error)
            return
        self._on_bytes()

    def _on_outcome(self, outcome: Outcome) -> None:
        error = None if outcome.status is StatusCode.OK else outcome.error()
        if error is None:
            if self._payload is None or (self._inbox is not None and not self._inbox.empty):
                error = RpcError(StatusCode.INTERNAL, "the response ended before its message did")
            else:
                self._finish()
                if self._inbox is not None:
                    self._discard()
                if not self.future.done():
                    self.future.set_result(self._payload)
                return
        self._fail(error)

    def _on_failed(self, error: RpcError) -> None:
        self._discard()
        if not self.future.done():
            self.future.set_exception(error)


class ClientCall(_Call, Generic[Request, Response]):
    """A call with a stream of requests, responses, or both. Use it as a context manager: leaving it cancels the rest.

    `send` and `recv` may be used by two tasks at once, each by one.
    """

    __slots__ = ("_compress", "_error", "_method", "_recv_waiter", "_send_waiter", "_sent_all", "_trailing")

    def __init__(
        self,
        connection: ClientConnection,
        method: Method[Request, Response],
        head: OutBlock,
        timeout_s: float | None = None,
        deadline: float | None = None,
        *,
        compress: bool = False,
    ) -> None:
        super().__init__(connection, timeout_s, deadline)
        self._method = method
        self._compress = compress
        self._error: RpcError | None = None
        self._trailing: Metadata = ()
        self._sent_all = False
        self._recv_waiter: asyncio.Future[None] | None = None
        self._send_waiter: asyncio.Future[None] | None = None
        connection.h2.send_headers(self._stream, head)
        connection.schedule_flush()

    # --- sending ----------------------------------------------------------------------------------------------------

    async def send(self, request: Request) -> None:
        """Send one message; waits while more than `Limits.send_backlog_bytes` lie unsent.

        Raises RpcError when the call has ended; with status OK it means that the server wants no more requests.
        """
        if self._ended:
            raise self._error or RpcError(StatusCode.OK, "the call has ended")
        assert not self._sent_all, "send after done_sending"
        connection = self._connection
        payload = frame_message(self._method.encode_request(request), compressed=self._compress)
        connection.h2.send_data(self._stream, payload)
        connection.schedule_flush()
        while not self._ended and (
            self._stream.backlog_bytes > connection.limits.send_backlog_bytes or connection.output_full
        ):
            waiter = self._send_waiter = connection.loop.create_future()
            try:
                await connection.wait_writable(self, waiter)
            finally:
                self._send_waiter = None

    def done_sending(self) -> None:
        """No more requests follow."""
        if not self._sent_all and not self._ended:
            self._sent_all = True
            self._connection.h2.send_data(self._stream, b"", end_stream=True)
            self._connection.schedule_flush()

    def on_writable(self) -> None:
        """More may be sent."""
        waiter = self._send_waiter
        if waiter is not None and not waiter.done():
            waiter.set_result(None)

    # --- receiving --------------------------------------------------------------------------------------------------

    async def recv(self) -> Response | None:
        """The next response; None after the last, when the status is OK. Raises RpcError otherwise.

        Responses that came before a failure are given first.
        """
        while True:
            inbox = self._inbox
            if inbox is not None and inbox.ready:
                return self._take(inbox)
            if self._ended:
                if self._error is not None:
                    raise self._error
                if inbox is not None and not inbox.empty:
                    raise RpcError(StatusCode.INTERNAL, "the response ended in the middle of a message")
                return None
            await self._wait()

    def _take(self, inbox: Inbox) -> Response:
        try:
            payload = inbox.take()
            self._connection.schedule_flush()
            return decode_response(self._method, payload)
        except RpcError as error:
            self._give_up(error)
            raise

    async def _wait(self) -> None:
        self._recv_waiter = self._connection.loop.create_future()
        try:
            await self._recv_waiter
        finally:
            self._recv_waiter = None

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Response:
        response = await self.recv()
        if response is None:
            raise StopAsyncIteration
        return response

    async def initial_metadata(self) -> Metadata:
        """What came with the head of the response; waits for it. Empty when there was none."""
        while self._head is None and not self._ended:
            await self._wait()
        return () if self._head is None else decode_metadata(self._head.fields)

    @property
    def trailing_metadata(self) -> Metadata:
        """What came with the status; empty before."""
        return self._trailing

    # --- the response as it comes -----------------------------------------------------------------------------------

    def _on_head(self) -> None:
        self._wake()

    def _on_bytes(self) -> None:
        self._wake()

    def _on_outcome(self, outcome: Outcome) -> None:
        self._trailing = outcome.metadata
        error = outcome.error()
        if error is not None:
            self._fail(error)
            return
        self._finish()
        self._wake()
        self.on_writable()

    def _on_failed(self, error: RpcError) -> None:
        self._error = error
        self._trailing = error.trailers
        self._wake()
        self.on_writable()

    def _wake(self) -> None:
        waiter = self._recv_waiter
        if waiter is not None and not waiter.done():
            waiter.set_result(None)

    # --- context ----------------------------------------------------------------------------------------------------

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.cancel()
        self._discard()
