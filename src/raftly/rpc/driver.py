"""What drives an HTTP/2 connection on asyncio, on either side: one write a turn, pauses, and the watch for progress."""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from typing import Any, Final, Protocol, cast

from raftly.rpc.h2.connection import Connection
from raftly.rpc.h2.frames import ErrorCode
from raftly.rpc.limits import Limits

__all__ = ["WATCH_S", "Driver", "StreamOwner", "protocol_of"]

WATCH_S: Final = 1.0  # how often `check` is called
_KEEPALIVE_PING: Final = b"keepaliv"


class StreamOwner(Protocol):
    """What sits on a stream, seen from here."""

    def on_writable(self) -> None:
        """More may be sent."""

    def check(self, now: float) -> None:
        """Give up when the peer owes the rest of a message and it does not come."""

    def on_stuck(self) -> None:
        """The peer has given no window for too long: end the call and its stream."""


class Driver(ABC):
    """Moves bytes between a transport and a `Connection`: to a loop, an `asyncio.Protocol`; `protocol_of` says so.

    Output goes to the transport once a turn of the loop. While the transport is full nothing is taken from the core.
    It does not inherit from `asyncio.Protocol`, which would keep it from being compiled to a class of C's.
    """

    def __init__(self, limits: Limits, loop: asyncio.AbstractEventLoop, *, client: bool) -> None:
        self.loop = loop
        self.limits = limits
        self.h2 = Connection(limits, client=client, clock=loop.time)
        self.peer = ""
        self._transport: asyncio.Transport | None = None
        self._flush_due = False
        self._reading = False  # inside `data_received`, which flushes at its end
        self._reading_paused = False
        self._writing_paused_at = 0.0  # loop time; 0: the transport takes more
        self._writers: dict[StreamOwner, None] = {}  # wait for the transport
        self._since = loop.time()  # of the connection
        self._receipts = 0  # times something came in, and what the watch made of it
        self._receipts_seen = 0
        self._quiet_since = self._since
        self._ping_sent_at = 0.0  # 0: none is unanswered
        self._frames_seen = 0
        self._frame_since = self._since
        self._stuck: dict[int, tuple[int, float]] = {}  # streams that wait for a window: kilobytes, and since when

    # --- the transport's side ---------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Connected; with TLS the handshake is done."""
        self._transport = cast("asyncio.Transport", transport)
        self.peer = _address(transport.get_extra_info("peername"))
        self._since = self._quiet_since = self._frame_since = self.loop.time()

    @abstractmethod
    def data_received(self, data: bytes) -> None:
        """Bytes from the peer, as they came."""

    def eof_received(self) -> bool:
        """The peer sends no more: False closes the transport."""
        return False

    @abstractmethod
    def connection_lost(self, error: Exception | None) -> None:
        """Closed, by either side."""

    def pause_writing(self) -> None:
        """The transport holds enough."""
        self._writing_paused_at = self.loop.time()

    def resume_writing(self) -> None:
        """The transport takes more."""
        self._writing_paused_at = 0.0
        self.schedule_flush()
        writers, self._writers = self._writers, {}
        for owner in writers:
            owner.on_writable()

    # --- output -----------------------------------------------------------------------------------------------------

    def schedule_flush(self) -> None:
        """Write what there is at the start of the next turn: one write, whoever made output in this one."""
        if not self._flush_due and not self._reading:
            self._flush_due = True
            self.loop.call_soon(self._flush_turn)

    def _flush_turn(self) -> None:
        """The write of a turn. It stays due until it finds nothing, so that a read in its turn does not write too."""
        self._flush_due = False
        if self._flush():
            self.schedule_flush()

    def _flush_read(self) -> None:
        """The write after a read, unless a turn's write is due anyway."""
        self._reading = False
        if not self._flush_due:
            self._flush()
            if self.h2.has_output:
                self.schedule_flush()

    def _flush(self) -> bool:
        """Hand the output to the transport; whether there was any."""
        transport = self._transport
        if transport is None:
            return False
        h2 = self.h2
        data = b""
        if not self._writing_paused_at:
            data = h2.take_output()
            if data:
                transport.write(data)
            for stream in h2.take_writable():
                owner = stream.owner
                if owner is not None:
                    owner.on_writable()
        self._after_flush(transport)
        if h2.ended and not h2.has_output and not transport.is_closing():
            transport.close()  # once: a TLS transport that is closed twice cannot be aborted any more
        return bool(data)

    @abstractmethod
    def _after_flush(self, transport: asyncio.Transport) -> None:
        """What a side looks at once a turn."""

    @property
    def output_full(self) -> bool:
        """Whether the peer takes less than we make."""
        return self._writing_paused_at > 0.0

    async def wait_writable(self, owner: StreamOwner, waiter: asyncio.Future[None]) -> None:
        """Wait until `owner.on_writable` resolves `waiter`; it is asked to when its stream or the transport drains."""
        if self.output_full:
            self._writers[owner] = None
        await waiter

    def forget_writer(self, owner: StreamOwner) -> None:
        """`owner` waits no longer."""
        if self._writers:
            self._writers.pop(owner, None)

    # --- endings ----------------------------------------------------------------------------------------------------

    def close(self, code: ErrorCode, problem: str) -> None:
        """GOAWAY, then close when it is written. Calls still open fail."""
        self.h2.close(code, problem)
        self._fail_calls(problem)
        self.schedule_flush()

    def abort(self) -> None:
        """Close now; what was not sent is lost."""
        if self._transport is not None:
            self._transport.abort()

    @abstractmethod
    def _fail_calls(self, problem: str) -> None:
        """The connection is over for every call on it."""

    @abstractmethod
    def _on_fault(self, problem: str) -> None:
        """The peer's fault ended the connection."""

    # --- the watch --------------------------------------------------------------------------------------------------

    def check(self, now: float) -> None:
        """Look for a peer that makes no progress; called every `WATCH_S`."""
        limits = self.limits
        if self._receipts != self._receipts_seen:
            self._receipts_seen = self._receipts
            self._quiet_since = now
            self._ping_sent_at = 0.0
        if not self.h2.established:
            if now - self._since > limits.handshake_s:
                self._drop("no HTTP/2 preface and SETTINGS in time")
        elif self._writing_paused_at and now - self._writing_paused_at > limits.stall_s:
            self._drop("the peer does not read")
        elif self._frame_stalled(now):
            self._drop("a frame was begun and not ended")
        else:
            if self.h2.nudge():
                self.schedule_flush()
            self._check_backlogs(now)
            self._check_silence(now)

    def _frame_stalled(self, now: float) -> bool:
        """A frame that was begun must end, however slowly its bytes drip in."""
        frames = self.h2.frames_received
        if frames != self._frames_seen or not self.h2.mid_frame or self._reading_paused:
            self._frames_seen = frames
            self._frame_since = now
        return now - self._frame_since > self.limits.stall_s

    def _check_backlogs(self, now: float) -> None:
        """A stream that waits for a window must get some; a kilobyte is progress."""
        before = self._stuck
        self._stuck = {}
        for stream in [stream for stream in self.h2.streams.values() if stream.backlog_bytes]:
            seen = before.get(stream.id, (-1, now))
            if seen[0] != stream.backlog_bytes >> 10:
                seen = (stream.backlog_bytes >> 10, now)
            if now - seen[1] <= self.limits.stall_s:
                self._stuck[stream.id] = seen
            elif stream.owner is not None:
                stream.owner.on_stuck()
            else:
                self.h2.reset(stream, ErrorCode.ENHANCE_YOUR_CALM)
                self.schedule_flush()

    def _check_silence(self, now: float) -> None:
        limits = self.limits
        if self._ping_sent_at:
            if now - self._ping_sent_at > limits.keepalive_timeout_s:
                self._drop("no sign of life after a ping")
        elif limits.keepalive_s and now - self._quiet_since > limits.keepalive_s:
            self._ping_sent_at = now
            self.h2.ping(_KEEPALIVE_PING)
            self.schedule_flush()

    def _drop(self, problem: str) -> None:
        """Say why, if the socket takes it at once, and close."""
        self._on_fault(problem)
        self.h2.close(ErrorCode.ENHANCE_YOUR_CALM, problem)
        if self._transport is not None:
            data = self.h2.take_output()
            if not self._writing_paused_at:
                self._transport.write(data)
            self._transport.abort()


def protocol_of(driver: Driver) -> asyncio.Protocol:
    """The same, for who asks for its type; no transport does."""
    protocol: Any = driver
    return cast("asyncio.Protocol", protocol)


def _address(peername: object) -> str:
    if isinstance(peername, tuple) and len(peername) >= 2:
        host, port = peername[0], peername[1]
        return f"[{host}]:{port}" if ":" in str(host) else f"{host}:{port}"
    return str(peername or "unknown")
