"""One accepted connection: events become calls, and a client that takes too much is held back or let go."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final, final

from raftly.rpc.deadlines import RoughDeadlines
from raftly.rpc.driver import Driver
from raftly.rpc.grpc.heads import RequestHead, trailers_only
from raftly.rpc.grpc.status import RpcError, StatusCode
from raftly.rpc.h2.events import ConnectionEnded, DataReceived, Event, HeadersReceived, HeadersTooLarge, StreamReset
from raftly.rpc.h2.frames import ErrorCode
from raftly.rpc.h2.headers import HeaderBlock, Shape
from raftly.rpc.h2.stream import Stream
from raftly.rpc.opening import HTTP1_ANSWER, Opening, classify
from raftly.rpc.refusal import Refusal
from raftly.rpc.server_call import ServerCall
from raftly.rpc.service import Bound, Interceptor

if TYPE_CHECKING:
    from raftly.rpc.server import Server

__all__ = ["ServerConnection"]

_TRAILERS: Final = Shape.TRAILERS
_EVENTS_A_WRITE: Final = 64  # of one read: the client works on the first answers while we work on the next


@final
class ServerConnection(Driver):
    """The server's side of a connection.

    A client that does not read its answers is not read from either: past `Limits.output_bytes_max` reading stops.
    """

    def __init__(self, server: Server, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(server.limits, loop, client=False)
        self.interceptors: Sequence[Interceptor] = server.interceptors
        self._server = server
        self._methods: dict[bytes, Bound] = server.methods
        self.read_at = self._since  # loop time of the latest read: when the calls in it arrived
        self.deadlines = RoughDeadlines(loop)
        self._opening = b""
        self._opened = False
        self._draining = False
        self._idle_since = self._since

    # --- the transport's side ---------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Accepted (with TLS: the handshake is done)."""
        super().connection_made(transport)
        self._idle_since = self._since
        if not self._server.on_connected(self):
            self.close(ErrorCode.ENHANCE_YOUR_CALM, "too many connections; try another server or later")
        elif self._opening:  # TLS may hand over data before the connection
            self.data_received(b"")

    @property
    def peer_certificate(self) -> dict[str, Any] | None:
        """Verified certificate of the client."""
        if self._transport is None:
            return None
        certificate: dict[str, Any] | None = self._transport.get_extra_info("peercert")
        return certificate or None

    def data_received(self, data: bytes) -> None:
        """Bytes from the client, as they came."""
        if not self._opened:
            data = self._open(data)
            if not data:
                return
        self._receipts += 1
        self._reading = True
        self.read_at = self.loop.time()
        for acted, event in enumerate(self.h2.receive(data)):
            if acted % _EVENTS_A_WRITE == _EVENTS_A_WRITE - 1 and self.h2.output_bytes and not self._flush_due:
                self._flush()
            if isinstance(event, DataReceived):
                owner = event.stream.owner
                if isinstance(owner, ServerCall) or owner is not None:
                    owner.on_data(event.data, event.end_stream)
                else:
                    self.h2.release(None, len(event.data))
            elif isinstance(event, HeadersReceived):
                self._on_headers(event.stream, event.block, event.end_stream)
            else:
                self._on_event(event)
        self._flush_read()

    def _open(self, data: bytes) -> bytes:
        """Hold the first bytes until they show what the client speaks; returns them all once they are HTTP/2."""
        data = self._opening + data
        opening = classify(data) if self._transport is not None else Opening.UNDECIDED
        if opening is Opening.UNDECIDED:
            self._opening = data
            return b""
        self._opened = True
        self._opening = b""
        if opening is Opening.HTTP2:
            return data
        assert self._transport is not None
        self._on_fault(opening.value)
        if opening is Opening.HTTP1:
            self.h2.close(ErrorCode.HTTP_1_1_REQUIRED)
            self.h2.take_output()
            self._transport.write(HTTP1_ANSWER)
            self._transport.close()
        elif opening is Opening.TLS:
            self._transport.abort()
        else:
            self.close(ErrorCode.PROTOCOL_ERROR, "not the preface of an HTTP/2 client")
        return b""

    def connection_lost(self, error: Exception | None) -> None:
        """Closed, by either side."""
        self._transport = None
        self._fail_calls("")
        self.deadlines.close()
        self._writers.clear()
        self._server.on_lost(self)

    def _after_flush(self, transport: asyncio.Transport) -> None:
        h2 = self.h2
        full = self.output_full and h2.output_bytes + h2.backlog_bytes > self.limits.output_bytes_max
        if full != self._reading_paused:
            self._reading_paused = full
            if full:
                transport.pause_reading()
            else:
                transport.resume_reading()
        if self._draining and h2.drained and not h2.winding_down:
            self._draining = False
            self.close(ErrorCode.NO_ERROR, "")

    # --- events -----------------------------------------------------------------------------------------------------

    def _on_headers(self, stream: Stream, block: HeaderBlock, end_stream: bool) -> None:
        if block.shape is _TRAILERS:  # of a request: nothing for us but its end
            if stream.owner is not None:
                stream.owner.on_input_end()
            return
        if stream.aborted:  # in the same read
            return
        head = block.parsed
        if not isinstance(head, RequestHead):
            head = block.parsed = RequestHead(block)
        bound = self._methods.get(head.path)
        if bound is None or head.refused:
            self._refuse(stream, head, end_stream)
            return
        call = ServerCall(self, stream, head, bound)
        stream.owner = call
        if bound.client_streams:
            call.start_streaming()
        if end_stream:
            call.on_input_end()

    def _refuse(self, stream: Stream, head: RequestHead, end_stream: bool) -> None:
        if head.http_status != 200:
            refusal = stream.owner = Refusal(self, stream, head.http_status)
            if end_stream:
                refusal.on_input_end()
            return
        error = head.problem
        if error is None:
            error = RpcError(StatusCode.UNIMPLEMENTED, f"no method {head.path[:200].decode('latin-1')}")
        self.h2.send_headers(stream, trailers_only(error), end_stream=True)

    def _on_event(self, event: Event) -> None:
        if isinstance(event, StreamReset):
            if event.stream.owner is not None:
                event.stream.owner.on_reset()
        elif isinstance(event, HeadersTooLarge):
            error = RpcError(
                StatusCode.RESOURCE_EXHAUSTED, f"request metadata over {self.limits.header_list_bytes_max} bytes"
            )
            self.h2.send_headers(event.stream, trailers_only(error), end_stream=True)
        elif isinstance(event, ConnectionEnded):
            self._on_fault(f"{event.code.name}: {event.problem}")
            self._fail_calls(event.problem)

    def _on_fault(self, problem: str) -> None:
        self._server.on_fault(self, problem)

    def _fail_calls(self, _problem: str) -> None:
        for call in self._open_calls():
            call.on_reset()

    def _open_calls(self) -> list[ServerCall | Refusal]:
        """Calls that have not ended: each owns its stream until then."""
        return [stream.owner for stream in self.h2.streams.values() if stream.owner is not None]

    # --- what the server asks for -----------------------------------------------------------------------------------

    def begin_drain(self) -> None:
        """Ask the client to open no more streams; close when those that are open have been served."""
        self._draining = True
        self.h2.begin_drain()
        self.schedule_flush()

    def insist_on_drain(self) -> None:
        """Do not wait any longer for the client to say that it has heard."""
        self.h2.finish_drain()
        self.schedule_flush()

    def abandon_calls(self) -> None:
        """End every call with UNAVAILABLE."""
        for call in self._open_calls():
            call.abandon()

    @property
    def calls_open(self) -> int:
        """Calls being served."""
        return len(self._open_calls())

    def check(self, now: float) -> None:
        """The watch of `Driver`, and of every call; an idle connection is asked to leave."""
        super().check(now)
        for call in self._open_calls():
            call.check(now)
        if self.h2.streams:
            self._idle_since = now
        elif self.limits.idle_s and now - self._idle_since > self.limits.idle_s and not self.h2.ended:
            self.close(ErrorCode.NO_ERROR, "idle")
