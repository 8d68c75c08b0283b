"""The client's side of one connection: opens streams for calls and hands events to them."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final, Protocol, final

from raftly.rpc.deadlines import Deadlines
from raftly.rpc.driver import Driver, StreamOwner
from raftly.rpc.h2.events import (
    ConnectionEnded,
    DataReceived,
    Event,
    GoAwayReceived,
    HeadersReceived,
    SettingsReceived,
    StreamReset,
)
from raftly.rpc.h2.frames import ErrorCode
from raftly.rpc.h2.headers import HeaderBlock

if TYPE_CHECKING:
    from raftly.rpc.channel import Channel

__all__ = ["CallSide", "ClientConnection"]

_YOUNG_S: Final = 1.0


class CallSide(StreamOwner, Protocol):
    """A call as its connection sees it."""

    def on_headers(self, block: HeaderBlock, end_stream: bool) -> None:
        """Response head, or trailers."""

    def on_data(self, data: bytes, end_stream: bool) -> None:
        """Bytes of messages."""

    def on_reset(self, code: ErrorCode, problem: str, unprocessed: bool) -> None:
        """The stream ended without trailers. `unprocessed`: the server did nothing with it."""

    def on_lost(self, problem: str) -> None:
        """The connection ended under the call."""


@final
class ClientConnection(Driver):
    """A connection to a server. The channel owns it; `ready` is resolved when the server's SETTINGS have come."""

    def __init__(self, channel: Channel, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(channel.limits, loop, client=True)
        self.ready: asyncio.Future[None] = loop.create_future()
        self.problem = "connection closed"
        self.answered = False  # a call was
        self.deadlines = Deadlines(loop)
        self._channel = channel

    # --- the transport's side ---------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Connected; say hello."""
        super().connection_made(transport)
        self.schedule_flush()

    @property
    def alpn(self) -> str | None:
        """What TLS agreed on: "" for nothing, None without TLS."""
        ssl_object = None if self._transport is None else self._transport.get_extra_info("ssl_object")
        return None if ssl_object is None else ssl_object.selected_alpn_protocol() or ""

    def data_received(self, data: bytes) -> None:
        """Bytes from the server, as they came."""
        self._receipts += 1
        self._reading = True
        for event in self.h2.receive(data):
            if isinstance(event, HeadersReceived):
                self.answered = True
                owner = event.stream.owner
                if owner is not None:
                    owner.on_headers(event.block, event.end_stream)
            elif isinstance(event, DataReceived):
                owner = event.stream.owner
                if owner is not None:
                    owner.on_data(event.data, event.end_stream)
                else:
                    self.h2.release(None, len(event.data))
            else:
                self._on_event(event)
        self._flush_read()
        self._channel.on_progress(self)

    def connection_lost(self, error: Exception | None) -> None:
        """Closed, by either side."""
        self._transport = None
        self.deadlines.close()
        if error is not None:
            self.problem = f"connection lost: {error}"
        self._fail_calls(self.problem)
        self._writers.clear()
        if not self.ready.done():
            self.ready.set_exception(ConnectionError(self.problem))
            self.ready.exception()  # read, so that nobody has to
        self._channel.on_lost(self)

    @property
    def is_young(self) -> bool:
        """Whether it was made only just now."""
        return self.loop.time() - self._since < _YOUNG_S

    def on_stream_freed(self) -> None:
        """A call gave its stream up; the server does not answer that."""
        self._channel.on_progress(self)

    def _after_flush(self, transport: asyncio.Transport) -> None:
        if self.h2.goaway_received and not self.h2.streams and not self.h2.ended:
            self.h2.close(ErrorCode.NO_ERROR)
            transport.write(self.h2.take_output())

    # --- events -----------------------------------------------------------------------------------------------------

    def _on_event(self, event: Event) -> None:
        if isinstance(event, StreamReset):
            owner = event.stream.owner
            if owner is not None:
                owner.on_reset(event.code, event.problem, event.unprocessed)
        elif isinstance(event, SettingsReceived):
            if not self.ready.done():
                self.ready.set_result(None)
        elif isinstance(event, GoAwayReceived):
            debug = event.debug[:200].decode("utf-8", "replace")
            self.problem = f"the server said goodbye: {event.code.name} {debug}".rstrip()
            if event.code is not ErrorCode.NO_ERROR and not self.h2.streams:
                self.schedule_flush()
        elif isinstance(event, ConnectionEnded):
            self._on_fault(f"{event.code.name}: {event.problem}")
            self._fail_calls(self.problem)

    def _on_fault(self, problem: str) -> None:
        self.problem = problem

    def _fail_calls(self, problem: str) -> None:
        for stream in list(self.h2.streams.values()):
            owner = stream.owner
            if owner is not None:
                owner.on_lost(problem)

    # --- the watch ------------------------------------------------------------------------------------------------

    def check(self, now: float) -> None:
        """The watch of `Driver`, and of every call."""
        super().check(now)
        for stream in list(self.h2.streams.values()):
            owner = stream.owner
            if owner is not None:
                owner.check(now)
