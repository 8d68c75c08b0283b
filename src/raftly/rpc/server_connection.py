"""One accepted connection: an asyncio Protocol that turns events into calls and writes once a turn of the loop."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final, cast

from raftly.rpc.grpc.heads import RequestHead, http_response, trailers_only
from raftly.rpc.grpc.status import RpcError, StatusCode
from raftly.rpc.h2.connection import Connection
from raftly.rpc.h2.events import (
    ConnectionEnded,
    DataReceived,
    Event,
    HeadersReceived,
    HeadersTooLarge,
    PingAcked,
    StreamReset,
)
from raftly.rpc.h2.frames import ErrorCode
from raftly.rpc.h2.headers import HeaderBlock
from raftly.rpc.h2.stream import Stream
from raftly.rpc.limits import Limits
from raftly.rpc.opening import HTTP1_ANSWER, Opening, classify
from raftly.rpc.server_call import ServerCall
from raftly.rpc.service import Bound, Interceptor

if TYPE_CHECKING:
    from raftly.rpc.server import Server

__all__ = ["ServerConnection"]

_log: Final = logging.getLogger("raftly.rpc")
_KEEPALIVE_PING: Final = b"keepaliv"
_NOT_GRPC: Final = b"This port speaks gRPC: POST, content-type application/grpc.\n"


class ServerConnection(asyncio.Protocol):
    """Drives one `Connection`. The server's watch calls `check` about once a second.

    Output goes to the transport in `_flush`, once a turn. While the transport is full nothing more is taken from the
    core, and when that too is full nothing more is read, so a client that does not read stops being served.
    """

    def __init__(self, server: Server, loop: asyncio.AbstractEventLoop) -> None:
        self.loop = loop
        self.limits: Limits = server.limits
        self.interceptors: Sequence[Interceptor] = server.interceptors
        self.peer = ""
        self.h2 = Connection(server.limits, client=False, clock=loop.time)
        self._server = server
        self._methods: dict[bytes, Bound] = server.methods
        self._transport: asyncio.Transport | None = None
        self._opening = b""
        self._opened = False
        self._flush_due = False
        self._paused_writing_at = 0.0  # loop time; 0: the transport takes more
        self._paused_reading = False
        self._writers: dict[ServerCall, None] = {}
        self._calls: dict[ServerCall, None] = {}
        self._received = 0  # times something came in: what the watch compares
        self._seen_received = 0
        self._quiet_since = 0.0
        self._frames_seen = 0
        self._frame_since = 0.0  # when a frame or header block was seen begun and since then none ended; 0: none is
        self._draining = False
        self._idle_since = 0.0
        self._ping_sent_at = 0.0
        self._accepted_at = loop.time()

    # --- the transport's side ---------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Accepted (with TLS: the handshake is done)."""
        self._transport = cast(asyncio.Transport, transport)
        self.peer = _address(transport.get_extra_info("peername"))
        self._quiet_since = self._idle_since = self._accepted_at = self.loop.time()
        if not self._server.on_connected(self):
            self.close(ErrorCode.ENHANCE_YOUR_CALM, "too many connections; try another server or later")
        elif self._opening:  # TLS may hand over data before the connection
            self.data_received(b"")

    @property
    def peer_certificate(self) -> dict[str, Any] | None:
        """Verified certificate of the client."""
        assert self._transport is not None
        certificate: dict[str, Any] | None = self._transport.get_extra_info("peercert")
        return certificate or None

    def data_received(self, data: bytes) -> None:
        """Bytes from the client, as they came."""
        if not self._opened:
            data = self._open(data)
            if not data:
                return
        self._received += 1
        for event in self.h2.receive(data):
            kind = event.__class__
            if kind is DataReceived:
                owner = event.stream.owner  # type: ignore[attr-defined]
                if owner.__class__ is ServerCall:
                    owner.on_data(event.data, end_stream=event.end_stream)  # type: ignore[attr-defined]
                else:
                    self.h2.release(None, len(event.data))  # type: ignore[attr-defined]
            elif kind is HeadersReceived:
                self._on_headers(event.stream, event.block, event.end_stream)  # type: ignore[attr-defined]
            else:
                self._on_event(event)
        self.schedule_flush()

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
        self._server.on_fault(self, opening.value)
        assert self._transport is not None
        if opening is Opening.HTTP1:
            self.h2.take_output()
            self.h2.close(ErrorCode.HTTP_1_1_REQUIRED)
            self.h2.take_output()
            self._transport.write(HTTP1_ANSWER)
            self._transport.close()
        elif opening is Opening.TLS:
            self._transport.abort()
        else:
            self.close(ErrorCode.PROTOCOL_ERROR, "not the preface of an HTTP/2 client")
        return b""

    def eof_received(self) -> bool:
        """The client sends no more: nothing can be completed without window updates, so close."""
        return False

    def connection_lost(self, _error: Exception | None) -> None:
        """Closed, by either side."""
        self._transport = None
        for call in list(self._calls):
            call.on_reset()
        self._writers.clear()
        self._server.on_lost(self)

    def pause_writing(self) -> None:
        """The transport holds enough."""
        self._paused_writing_at = self.loop.time()

    def resume_writing(self) -> None:
        """The transport takes more."""
        self._paused_writing_at = 0.0
        self.schedule_flush()

    # --- output -----------------------------------------------------------------------------------------------------

    def schedule_flush(self) -> None:
        """Write what there is at the start of the next turn: one write, whoever made output in this one."""
        if not self._flush_due:
            self._flush_due = True
            self.loop.call_soon(self._flush)

    def _flush(self) -> None:
        self._flush_due = False
        transport = self._transport
        if transport is None:
            return
        h2 = self.h2
        if not self._paused_writing_at:
            data = h2.take_output()
            if data:
                transport.write(data)
            for stream in h2.take_writable():
                self._wake_writer(stream)
            if self._writers and not self.output_full:
                for call in [call for call in self._writers if call.drained]:
                    del self._writers[call]
                    call.on_writable()
            if h2.has_output and not self._paused_writing_at:
                self.schedule_flush()
        self._balance_reading(transport)
        if self._draining and h2.drained and not self._calls and not h2.winding_down:
            self._draining = False
            self.close(ErrorCode.NO_ERROR, "")
        if h2.ended and not h2.has_output:
            transport.close()

    def _balance_reading(self, transport: asyncio.Transport) -> None:
        full = self.h2.output_bytes > self.limits.output_bytes_max
        if full != self._paused_reading:
            self._paused_reading = full
            if full:
                transport.pause_reading()
            else:
                transport.resume_reading()

    @property
    def output_full(self) -> bool:
        """Whether the client takes less than we make: handlers that stream wait."""
        return self._paused_writing_at > 0.0

    def add_writer(self, call: ServerCall) -> None:
        """Wake `call` when its backlog is small again."""
        self._writers[call] = None

    def _wake_writer(self, stream: Stream) -> None:
        owner = stream.owner
        if isinstance(owner, ServerCall):
            owner.on_writable()

    # --- events -----------------------------------------------------------------------------------------------------

    def _on_headers(self, stream: Stream, block: HeaderBlock, end_stream: bool) -> None:
        owner = stream.owner
        if owner is not None:  # trailers of a request carry nothing for us but its end
            if isinstance(owner, ServerCall):
                owner.on_input_end()
            return
        head = block.parsed
        if head.__class__ is not RequestHead:
            head = block.parsed = RequestHead(block)
        assert isinstance(head, RequestHead)
        bound = self._methods.get(head.path)
        if bound is None or head.problem is not None or head.http_status != 200:
            self._refuse(stream, head)
            return
        call = ServerCall(self, stream, head, bound)
        stream.owner = call
        self._calls[call] = None
        if bound.client_streams:
            call.start_streaming()
        if end_stream:
            call.on_input_end()

    def _refuse(self, stream: Stream, head: RequestHead) -> None:
        if head.http_status != 200:
            self.h2.send_all(stream, http_response(head.http_status, _NOT_GRPC), _NOT_GRPC, None)
            return
        error = head.problem
        if error is None:
            error = RpcError(StatusCode.UNIMPLEMENTED, f"no method {head.path[:200].decode('latin-1')}")
        self.h2.send_headers(stream, trailers_only(error), end_stream=True)

    def _on_event(self, event: Event) -> None:
        if isinstance(event, StreamReset):
            owner = event.stream.owner
            if isinstance(owner, ServerCall):
                owner.on_reset()
        elif isinstance(event, HeadersTooLarge):
            error = RpcError(
                StatusCode.RESOURCE_EXHAUSTED, f"request metadata over {self.limits.header_list_bytes_max} bytes"
            )
            self.h2.send_headers(event.stream, trailers_only(error), end_stream=True)
        elif isinstance(event, PingAcked):
            self._ping_sent_at = 0.0
        elif isinstance(event, ConnectionEnded):
            self._server.on_fault(self, f"{event.code.name}: {event.problem}")
            for call in list(self._calls):
                call.on_reset()

    def on_call_ended(self, call: ServerCall) -> None:
        """The call needs nothing more from us."""
        self._calls.pop(call, None)
        self._writers.pop(call, None)

    # --- what the server asks for -----------------------------------------------------------------------------------

    def close(self, code: ErrorCode, problem: str) -> None:
        """GOAWAY, then close when it is written."""
        self.h2.close(code, problem)
        for call in list(self._calls):
            call.on_reset()
        self.schedule_flush()

    def abort(self) -> None:
        """Close now; what was not sent is lost."""
        if self._transport is not None:
            self._transport.abort()

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
        for call in list(self._calls):
            call.abandon()

    @property
    def calls_open(self) -> int:
        """Calls being served."""
        return len(self._calls)

    def check(self, now: float) -> None:
        """Look for a client that makes no progress; called about once a second."""
        limits = self.limits
        if self._received != self._seen_received:
            self._seen_received = self._received
            self._quiet_since = now
            self._ping_sent_at = 0.0
        if not self.h2.established:
            if now - self._accepted_at > limits.handshake_s:
                self._drop("no HTTP/2 preface and SETTINGS in time")
            return
        if self._paused_writing_at and now - self._paused_writing_at > limits.stall_s:
            self._drop("the client does not read")
            return
        self._check_frames(now)
        for call in list(self._calls):
            call.check(now)
        self._check_silence(now)

    def _check_frames(self, now: float) -> None:
        """A frame that was begun must end, however slowly its bytes drip in."""
        frames = self.h2.frames_received
        if frames != self._frames_seen or not self.h2.mid_frame or self._paused_reading:
            self._frames_seen = frames
            self._frame_since = now
        elif now - self._frame_since > self.limits.stall_s:
            self._drop("a frame was begun and not ended")

    def _check_silence(self, now: float) -> None:
        limits = self.limits
        if self.h2.streams or self._calls:
            self._idle_since = now
        elif limits.idle_s and now - self._idle_since > limits.idle_s:
            self.close(ErrorCode.NO_ERROR, "idle")
            return
        if self._ping_sent_at:
            if now - self._ping_sent_at > limits.keepalive_timeout_s:
                self._drop("no sign of life after a ping")
        elif limits.keepalive_s and now - self._quiet_since > limits.keepalive_s:
            self._ping_sent_at = now
            self.h2.ping(_KEEPALIVE_PING)
            self.schedule_flush()

    def _drop(self, problem: str) -> None:
        self._server.on_fault(self, problem)
        self.h2.close(ErrorCode.ENHANCE_YOUR_CALM, problem)
        if self._transport is not None:
            data = self.h2.take_output()
            if not self._paused_writing_at:
                self._transport.write(data)  # a best effort: the socket may take it before the abort
            self._transport.abort()


def _address(peername: object) -> str:
    if isinstance(peername, tuple) and len(peername) >= 2:
        host, port = peername[0], peername[1]
        return f"[{host}]:{port}" if ":" in str(host) else f"{host}:{port}"
    return str(peername or "unknown")
