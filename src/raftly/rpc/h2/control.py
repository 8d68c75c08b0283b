"""Frames that carry no content of a call (settings, windows, pings, resets, goodbyes), and budgets against floods.

`Connection` adds what carries content, in and out of the streams.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from raftly.rpc.h2.budget import Budget
from raftly.rpc.h2.errors import ConnectionFault, StreamFault
from raftly.rpc.h2.events import Event, GoAwayReceived, PingAcked, SettingsReceived, StreamReset
from raftly.rpc.h2.frames import (
    ACK,
    GOAWAY,
    PING,
    PRIORITY,
    PUSH_PROMISE,
    SETTINGS,
    STREAM_ID_MAX,
    WINDOW_BYTES_MAX,
    ErrorCode,
    frame,
    goaway_frame,
)
from raftly.rpc.h2.sending import SendHalf
from raftly.rpc.h2.settings import parse_settings
from raftly.rpc.limits import Limits

__all__ = ["DRAIN_PING", "Control"]

DRAIN_PING: Final = b"draining"  # its answer shows that the peer has read our first GOAWAY
_SETTINGS_ENTRIES_MAX: Final = 64
_SMALL_INCREMENT: Final = 512  # bytes; opening a shut window by less costs the peer a token


class Control(SendHalf):
    """The state of a connection beside its streams' content. Handlers raise ConnectionFault or StreamFault."""

    def __init__(self, limits: Limits, *, client: bool, clock: Callable[[], float]) -> None:
        super().__init__(client=client, streams_max=limits.streams_max)
        self.limits = limits
        self.goaway_received = False
        self._clock = clock
        self._settings_seen = False
        self._ended = False
        self._events: list[Event] = []  # of the `receive` under way
        self._last_remote = 0  # highest stream the peer opened
        self._next_local = 1
        self._late_resets = 0  # of streams that we had answered
        self._refuse_above = STREAM_ID_MAX  # streams above were told off by our GOAWAY
        now = clock()
        self._control = Budget(limits.control_burst, limits.control_per_s, now)
        self._windows = Budget(limits.control_burst, limits.control_per_s, now)
        self._resets = Budget(limits.reset_burst, limits.reset_per_s, now)

    def _is_idle(self, stream_id: int) -> bool:
        if stream_id & 1:
            return stream_id >= self._next_local if self.client else stream_id > self._last_remote
        return True  # neither side ever opens an even stream: no push

    # --- frames ---------------------------------------------------------------------------------------------------

    def _on_control(self, kind: int, flags: int, stream_id: int, payload: bytes) -> None:
        """A frame of a kind that few come of."""
        if kind == SETTINGS:
            self._on_settings(flags, stream_id, payload)
        elif kind == PING:
            self._on_ping(flags, stream_id, payload)
        elif kind == GOAWAY:
            self._on_goaway(stream_id, payload)
        elif kind == PRIORITY:
            self._on_priority(stream_id, payload)
        elif kind == PUSH_PROMISE:
            raise ConnectionFault(ErrorCode.PROTOCOL_ERROR, "PUSH_PROMISE, and push is off")
        else:
            self._charge("frames of unknown types")  # RFC 9113 §4.1: ignored

    def _on_window_update(self, stream_id: int, payload: bytes) -> None:
        if len(payload) != 4:
            raise ConnectionFault(ErrorCode.FRAME_SIZE_ERROR, f"WINDOW_UPDATE of {len(payload)} bytes, not 4")
        increment = int.from_bytes(payload, "big") & WINDOW_BYTES_MAX
        if stream_id == 0:
            if increment == 0:
                raise ConnectionFault(ErrorCode.PROTOCOL_ERROR, "WINDOW_UPDATE of 0")
            if self._send_window + increment > WINDOW_BYTES_MAX:
                raise ConnectionFault(ErrorCode.FLOW_CONTROL_ERROR, "connection window over 2^31-1")
            if self._ready and increment < _SMALL_INCREMENT:
                self._charge_window()
            self._send_window += increment
            return
        stream = self.streams.get(stream_id)
        if stream is None:
            if self._is_idle(stream_id):
                raise ConnectionFault(ErrorCode.PROTOCOL_ERROR, f"WINDOW_UPDATE on idle stream {stream_id}")
            if increment == 0:
                self._charge("window updates of nothing")
            return  # closed: the peer may not know yet
        if increment == 0:
            raise StreamFault(stream_id, ErrorCode.PROTOCOL_ERROR, "WINDOW_UPDATE of 0")
        if stream.send_window + increment > WINDOW_BYTES_MAX:
            raise StreamFault(stream_id, ErrorCode.FLOW_CONTROL_ERROR, "stream window over 2^31-1")
        if stream.backlog_bytes and increment < _SMALL_INCREMENT:
            self._charge_window()
        stream.send_window += increment
        self._maybe_ready(stream)

    def _on_priority(self, stream_id: int, payload: bytes) -> None:
        """Checked and ignored: RFC 9113 §5.3.2 does away with priorities."""
        self._charge("PRIORITY frames")
        if stream_id == 0:
            raise ConnectionFault(ErrorCode.PROTOCOL_ERROR, "PRIORITY on stream 0")
        if len(payload) != 5:
            raise StreamFault(stream_id, ErrorCode.FRAME_SIZE_ERROR, f"PRIORITY of {len(payload)} bytes, not 5")
        if int.from_bytes(payload[:4], "big") & STREAM_ID_MAX == stream_id:
            raise StreamFault(stream_id, ErrorCode.PROTOCOL_ERROR, "the stream depends on itself")

    def _on_rst_stream(self, stream_id: int, payload: bytes) -> None:
        if len(payload) != 4:
            raise ConnectionFault(ErrorCode.FRAME_SIZE_ERROR, f"RST_STREAM of {len(payload)} bytes, not 4")
        if stream_id == 0 or self._is_idle(stream_id):
            raise ConnectionFault(ErrorCode.PROTOCOL_ERROR, f"RST_STREAM on stream {stream_id}, which is idle")
        stream = self.streams.get(stream_id)
        if stream is None:
            self._on_late_reset(stream_id)
            return
        self._charge_reset()
        code = ErrorCode.of(int.from_bytes(payload, "big"))
        self._forget(stream)
        unprocessed = code is ErrorCode.REFUSED_STREAM
        self._events.append(StreamReset(stream, code, remote=True, unprocessed=unprocessed))

    def _on_late_reset(self, stream_id: int) -> None:
        """A reset that crossed the end of its stream is free: one for each stream that we reset or answered."""
        if stream_id in self._reset_ids:
            del self._reset_ids[stream_id]
        elif self._late_resets < self.served:
            self._late_resets += 1
        else:
            self._charge_reset()

    def _on_settings(self, flags: int, stream_id: int, payload: bytes) -> None:
        if stream_id:
            raise ConnectionFault(ErrorCode.PROTOCOL_ERROR, f"SETTINGS on stream {stream_id}")
        self._charge("SETTINGS frames")
        if flags & ACK:
            if payload:
                raise ConnectionFault(ErrorCode.FRAME_SIZE_ERROR, "SETTINGS acknowledgement with a payload")
            return
        entries = parse_settings(payload)
        if len(entries) > _SETTINGS_ENTRIES_MAX:
            raise ConnectionFault(ErrorCode.ENHANCE_YOUR_CALM, f"SETTINGS with {len(entries)} entries")
        window_before = self.peer.initial_window
        for identifier, value in entries:
            self.peer.apply(identifier, value)
        self._shift_windows(self.peer.initial_window - window_before)
        self._settings_seen = True
        self._emit(frame(SETTINGS, ACK, 0))
        self._events.append(SettingsReceived())

    def _shift_windows(self, change: int) -> None:
        """A new initial window moves every stream's window, below zero if need be. RFC 9113 §6.9.2."""
        if change == 0:
            return
        for stream in self.streams.values():
            if stream.send_window + change > WINDOW_BYTES_MAX:
                raise ConnectionFault(ErrorCode.FLOW_CONTROL_ERROR, "SETTINGS lift a stream window over 2^31-1")
            stream.send_window += change
            if stream.send_window > 0:
                self._maybe_ready(stream)
            elif stream.backlog_bytes:
                self._ready.pop(stream.id, None)

    def _on_ping(self, flags: int, stream_id: int, payload: bytes) -> None:
        if stream_id:
            raise ConnectionFault(ErrorCode.PROTOCOL_ERROR, f"PING on stream {stream_id}")
        if len(payload) != 8:
            raise ConnectionFault(ErrorCode.FRAME_SIZE_ERROR, f"PING of {len(payload)} bytes, not 8")
        self._charge("PING frames")
        if not flags & ACK:
            self._emit(frame(PING, ACK, 0, payload))
            return
        if payload == DRAIN_PING and self._refuse_above == STREAM_ID_MAX:
            self.finish_drain()
        self._events.append(PingAcked(payload))

    def _on_goaway(self, stream_id: int, payload: bytes) -> None:
        if stream_id:
            raise ConnectionFault(ErrorCode.PROTOCOL_ERROR, f"GOAWAY on stream {stream_id}")
        if len(payload) < 8:
            raise ConnectionFault(ErrorCode.FRAME_SIZE_ERROR, f"GOAWAY of {len(payload)} bytes, fewer than 8")
        self._charge("GOAWAY frames")
        last = int.from_bytes(payload[:4], "big") & STREAM_ID_MAX
        code = ErrorCode.of(int.from_bytes(payload[4:8], "big"))
        self.goaway_received = True
        if self.client:
            for stream in [stream for number, stream in self.streams.items() if number > last]:
                self._forget(stream)
                self._events.append(StreamReset(stream, code, remote=True, unprocessed=True))
        self._events.append(GoAwayReceived(last, code, payload[8:]))

    # --- floods --------------------------------------------------------------------------------------

    def _charge(self, what: str) -> None:
        if not self._control.take(self._clock(), self.work):
            raise ConnectionFault(ErrorCode.ENHANCE_YOUR_CALM, f"too many {what}")

    def _charge_window(self) -> None:
        """Opening a window by crumbs makes us send crumbs; work earns nothing here, for it would pay for itself."""
        if not self._windows.take(self._clock(), 0):
            raise ConnectionFault(ErrorCode.ENHANCE_YOUR_CALM, "too many small window updates")

    def _charge_reset(self) -> None:
        """Resets are free for a client: each costs the server a call that the client made."""
        if not self.client and not self._resets.take(self._clock(), self.served):
            raise ConnectionFault(ErrorCode.ENHANCE_YOUR_CALM, "too many streams given up")

    # --- what the driver asks for ---------------------------------------------------------------------------------

    def ping(self, payload: bytes) -> None:
        """Ask for a sign of life; 8 bytes that come back in `PingAcked`."""
        assert len(payload) == 8
        self._emit(frame(PING, 0, 0, payload))

    def begin_drain(self) -> None:
        """Server: ask for no new streams, while those under way to us are still served. RFC 9113 §6.8."""
        if not self._ended:
            self._emit(goaway_frame(STREAM_ID_MAX, ErrorCode.NO_ERROR, b""))
            self.ping(DRAIN_PING)

    def finish_drain(self) -> None:
        """Server: name the last stream that is served; later ones are dropped. Comes with the answer to the ping."""
        if not self._ended and self._refuse_above == STREAM_ID_MAX:
            self._refuse_above = self._last_remote
            self._emit(goaway_frame(self._last_remote, ErrorCode.NO_ERROR, b""))

    @property
    def drained(self) -> bool:
        """Server: whether `finish_drain` has happened and no stream is left."""
        return self._refuse_above != STREAM_ID_MAX and not self.streams

    def close(self, code: ErrorCode, debug: str = "") -> None:
        """GOAWAY, then accept and send nothing more. Streams stay listed, for the driver to fail."""
        if not self._ended:
            self._ended = True
            self._ready.clear()
            for stream in self.streams.values():
                stream.aborted = True
            last = min(self._last_remote, self._refuse_above)  # a later GOAWAY must not name a later stream
            self._emit(goaway_frame(last, code, debug.encode()))
