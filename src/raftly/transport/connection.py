"""One TCP connection: frames in, bytes out, pings, and the watch. What the frames mean is its session's affair."""

from __future__ import annotations

import asyncio
import fcntl
import sys
import termios
from typing import Any, Final, cast

from raftly.errors import DecodeError
from raftly.transport.events import TransportStats
from raftly.transport.frame import FRAME_PING, FRAME_PONG, FrameReader, encode_frame
from raftly.transport.options import TcpOptions

_WRITE_HIGH_BYTES: Final = 1 << 20  # of the socket's own buffer, above which it is full
_PING_BYTES_MAX: Final = 64


class Session:
    """What a connection is used for now; a handshake hands over to the session that follows it."""

    __slots__ = ()

    def on_open(self, connection: Connection) -> None:
        """TCP (and TLS) is up."""

    def on_frame(self, kind: int, buf: bytes, start: int, stop: int) -> None:
        """A frame with the body `buf[start:stop]`.

        Raises:
            DecodeError: it is not one that belongs here; the connection is closed.
        """

    def on_writable(self) -> None:
        """There is room again in what may be written."""

    def on_alive(self) -> None:
        """A ping was answered."""

    def on_lost(self, problem: str) -> None:
        """The connection is gone; the last call."""

    def last_words(self, problem: str, *, slow: bool) -> bytes:
        """What to tell the other side before it is let go for garbage, or for being `slow`: a frame, or nothing."""
        return b""

    def check(self, now: float) -> None:
        """The watch, twice a second or so."""


def _in_kernel(transport: asyncio.Transport) -> int:
    """Bytes that this machine holds since the other has not acknowledged them; 0 where that cannot be asked."""
    socket = transport.get_extra_info("socket")
    if socket is None or sys.platform != "linux":
        return 0
    try:
        answer = fcntl.ioctl(socket.fileno(), termios.TIOCOUTQ, b"\0\0\0\0")
    except OSError:
        return 0
    return int.from_bytes(answer, sys.byteorder)


class Connection(asyncio.Protocol):
    """Either side of a connection. `problem` is why it was closed, by this side or by the other."""

    __slots__ = (
        "_closing_at",
        "_early",
        "_heard",
        "_left",
        "_marked_at",
        "_marked_frame",
        "_options",
        "_ping_end",
        "_pinged_at",
        "_progress_at",
        "_transport",
        "bytes_written",
        "heard_at",
        "loop",
        "problem",
        "reader",
        "rtt_s",
        "session",
        "stats",
        "writable",
    )

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        options: TcpOptions,
        stats: TransportStats,
        session: Session,
        frame_bytes_max: int,
    ) -> None:
        self.loop = loop
        self.stats = stats
        self.session = session
        self.reader = FrameReader(frame_bytes_max)
        self.problem = ""
        self.writable = True
        self.rtt_s = 0.0
        self.heard_at = loop.time()  # when the watch last found that something had come
        self.bytes_written = 0
        self._early = b""
        self._heard = False
        self._left = 0  # bytes that had left this machine when the watch last looked
        self._progress_at = self.heard_at  # when the watch last found that some had, before the last of the ping had
        self._pinged_at = -1.0  # no ping is out
        self._ping_end = 0  # of all bytes written
        self._marked_frame = -1  # the frame that was incomplete when the watch last looked
        self._marked_at = 0.0
        self._closing_at = -1.0
        self._options = options
        self._transport: asyncio.Transport | None = None

    # --- asyncio's side ---

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """TCP (and TLS) is up."""
        self._transport = transport = cast("asyncio.Transport", transport)  # uvloop's are none by class
        transport.set_write_buffer_limits(high=_WRITE_HIGH_BYTES)
        self.session.on_open(self)
        if self._early:
            early, self._early = self._early, b""
            self.data_received(early)

    def data_received(self, data: bytes) -> None:
        """Bytes, as they came."""
        if self._closing_at >= 0:
            return  # what was under way does not count any more
        if self._transport is None:
            self._early += data  # the end of a TLS handshake may bring data before it is told
            return
        self._heard = True
        stats = self.stats
        stats.bytes_received += len(data)
        try:
            buf, frames = self.reader.feed(data)
            stats.frames_received += len(frames)
            for kind, start, stop in frames:
                if FRAME_PING <= kind <= FRAME_PONG:
                    self._on_ping(kind, buf[start:stop])
                else:
                    self.session.on_frame(kind, buf, start, stop)
                if self._closing_at >= 0:
                    return
        except DecodeError as error:
            stats.garbage += 1
            self._let_go(str(error), slow=False)

    def pause_writing(self) -> None:
        """The socket's own buffer is full."""
        self.writable = False

    def resume_writing(self) -> None:
        """It has emptied."""
        self.writable = True
        if self._closing_at < 0:
            self.session.on_writable()

    def connection_lost(self, error: Exception | None) -> None:
        """It is gone."""
        made = self._transport is not None
        self._transport = None
        if self._closing_at < 0:
            self._closing_at = self.loop.time()
        self.problem = self.problem or (str(error) if error else "closed by the other side")
        if made:
            self.session.on_lost(self.problem)

    # --- the session's side ---

    @property
    def is_open(self) -> bool:
        """Up, and not being closed."""
        return self._transport is not None and self._closing_at < 0

    @property
    def is_closed(self) -> bool:
        """Being closed, or gone."""
        return self._closing_at >= 0

    @property
    def buffered_bytes(self) -> int:
        """What was written and has not left."""
        return 0 if self._transport is None else self._transport.get_write_buffer_size()

    @property
    def peer(self) -> str:
        """Address of the other side, for people."""
        name = None if self._transport is None else self._transport.get_extra_info("peername")
        return f"{name[0]}:{name[1]}" if isinstance(name, tuple) and len(name) >= 2 else str(name or "unknown")

    @property
    def certificate(self) -> dict[str, Any] | None:
        """The other side's verified certificate."""
        return None if self._transport is None else self._transport.get_extra_info("peercert")

    def write(self, frames: bytes) -> None:
        """Send; nothing is lost while the connection is up. Look at `writable` first for anything large."""
        if self._transport is not None and self._closing_at < 0:
            self.stats.bytes_sent += len(frames)
            self.bytes_written += len(frames)
            self._transport.write(frames)

    def pause_reading(self) -> None:
        """Take no more bytes for now; the other side has to wait."""
        if self._transport is not None and self._closing_at < 0:
            self._transport.pause_reading()

    def resume_reading(self) -> None:
        """Take bytes again."""
        if self._transport is not None and self._closing_at < 0:
            self._transport.resume_reading()

    def close(self, problem: str) -> None:
        """Let go when what was written has left, or soon after."""
        if self._closing_at >= 0 or self._transport is None:
            return
        self._closing_at = self.loop.time()
        self.problem = problem
        self._transport.close()

    def abort(self, problem: str) -> None:
        """Let go now."""
        if self._transport is None:
            return
        if self._closing_at < 0:
            self._closing_at = self.loop.time()
            self.problem = problem
        self._transport.abort()

    def time_out(self, problem: str) -> None:
        """Let go of a peer that is too slow."""
        self.stats.timeouts += 1
        self._let_go(problem, slow=True)

    def _let_go(self, problem: str, *, slow: bool) -> None:
        words = self.session.last_words(problem, slow=slow)
        if words and self.is_open:
            self.write(words)
            self.close(problem)
        else:
            self.abort(problem)

    # --- the watch ---

    def check(self, now: float) -> None:
        """Look for what should have happened by now."""
        if self._transport is None:
            return
        if self._closing_at >= 0:
            if now - self._closing_at > self._options.close_s:
                self.abort("")
            return
        if self._heard:
            self._heard = False
            self.heard_at = now
        left = self.bytes_written - self._transport.get_write_buffer_size() - _in_kernel(self._transport)
        if left != self._left:
            if self._left < self._ping_end:  # later, only an answer tells that anybody is there
                self._progress_at = now
            self._left = left
        if not self._check_frame(now):
            return
        self.session.check(now)

    def _check_frame(self, now: float) -> bool:
        """False when a frame takes too long and the connection was closed for it."""
        reader = self.reader
        if not reader.waiting:
            self._marked_frame = -1
        elif reader.completed != self._marked_frame:
            self._marked_frame = reader.completed
            self._marked_at = now
        elif now - self._marked_at > self._options.frame_s_max:
            self.time_out(f"a frame was not whole after {self._options.frame_s_max} s")
            return False
        return True

    def ping(self) -> None:
        """Ask whether the other side lives, unless that has been asked and not answered."""
        if self._pinged_at < 0:
            self._pinged_at = self.loop.time()
            self.write(encode_frame(FRAME_PING, b""))
            self._ping_end = self.bytes_written

    def keep_alive(self, now: float) -> None:
        """For `check` of a session whose peer need not send anything by itself: ping, and cut what does not answer."""
        if self._pinged_at < 0:
            if now - self.heard_at >= self._options.ping_s:
                self.ping()
        elif now - max(self._pinged_at, self._progress_at) > self._options.dead_s:
            self.time_out(f"no answer for {self._options.dead_s} s")

    def expect_signs(self, now: float) -> None:
        """For `check` of a session whose peer pings: cut what is silent."""
        if now - self.heard_at > self._options.dead_s + 2 * self._options.ping_s:
            self.time_out("it fell silent")

    def _on_ping(self, kind: int, body: bytes) -> None:
        if len(body) > _PING_BYTES_MAX:
            raise DecodeError("ping", 0, f"a body of {len(body)} bytes is over the limit of {_PING_BYTES_MAX}")
        if kind == FRAME_PING:
            if self.writable:
                self.write(encode_frame(FRAME_PONG, body))
            else:
                self.time_out("it pings and does not read the answers")
        elif self._pinged_at >= 0:
            self.rtt_s = self.loop.time() - self._pinged_at
            self._pinged_at = -1.0
            self.session.on_alive()
