"""Every bound that protects a process from its remotes, in one value.

All of them have defaults that protect; they are tested at and past them (`test_h2_limits.py` and `test_server.py` in
`tests/unit/rpc`).
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Final

from raftly.errors import ConfigError

__all__ = ["KIB", "MIB", "Limits"]

KIB: Final = 1024
MIB: Final = 1024 * KIB

_FRAME_BYTES_MIN: Final = 16_384  # RFC 9113 §6.5.2, SETTINGS_MAX_FRAME_SIZE
_FRAME_BYTES_MAX: Final = 16_777_215
_WINDOW_BYTES_MIN: Final = 65_535  # RFC 9113 §6.9.2: a peer may send this much before it has read our SETTINGS
_WINDOW_BYTES_MAX: Final = 2**31 - 1


@dataclass(frozen=True, slots=True)
class Limits:
    """What one connection, and one server, may cost. Sizes in bytes, times in seconds, rates a second.

    Past a limit the smallest thing that helps is given up: the message, then the stream, then the connection.
    """

    # What a remote may send
    header_list_bytes_max: int = 16 * KIB  # RFC 9113 §6.5.2 size; past it the stream is refused, past 4x the connection
    frame_bytes_max: int = 16 * KIB  # payload of one frame; past it the connection ends with FRAME_SIZE_ERROR
    message_bytes_max: int = 4 * MIB  # one gRPC message, after decompression; past it RESOURCE_EXHAUSTED
    stream_window_bytes: int = 256 * KIB  # received and not yet taken by the handler, per stream
    connection_window_bytes: int = MIB  # in flight to us on one connection
    unread_bytes_max: int = 16 * MIB  # received and not taken, per connection; past it one unfinished message goes on

    # What one server carries
    streams_max: int = 1024  # open at once on a connection, handlers still winding down included; then REFUSED_STREAM
    connections_max: int = 10_000  # half handshakes included; past it a connection is answered with GOAWAY and closed
    pending_calls_max: int = 10_000  # client: calls that wait for a connection or a free stream

    # What waits to be sent
    send_backlog_bytes: int = 64 * KIB  # per stream; a handler that sends more waits
    output_bytes_max: int = MIB  # per connection; past it a server stops reading from a client that does not read
    backlog_bytes_max: int = 64 * MIB  # per connection, answers without window; past it calls end RESOURCE_EXHAUSTED

    # Time without progress
    handshake_s: float = 10.0  # TLS, preface and first SETTINGS
    stall_s: float = 30.0  # a frame, header block or message begun and not continued; output a peer does not take
    idle_s: float = 0.0  # server: a connection without a stream is asked to leave after this; 0: never
    keepalive_s: float = 60.0  # silence after which a PING is sent; 0: never
    keepalive_timeout_s: float = 20.0  # without a byte after that PING: the connection is dead

    # Floods: a budget that time and useful work (DATA we send, calls we answer) refill; past it ENHANCE_YOUR_CALM
    control_burst: int = 1000  # PING, SETTINGS, PRIORITY, empty and unknown frames; apart, windows opened by crumbs
    control_per_s: float = 100.0
    reset_burst: int = 2048  # streams given up by the peer (all it may open, twice), or reset for its mistakes
    reset_per_s: float = 100.0

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            if value < 0 or (value == 0 and field.name not in {"idle_s", "keepalive_s"}):
                raise ConfigError(field.name, f"must be positive, not {value}")
        if not _FRAME_BYTES_MIN <= self.frame_bytes_max <= _FRAME_BYTES_MAX:
            raise ConfigError("frame_bytes_max", f"must lie in [{_FRAME_BYTES_MIN}, {_FRAME_BYTES_MAX}]")
        for name in ("stream_window_bytes", "connection_window_bytes"):
            if not _WINDOW_BYTES_MIN <= getattr(self, name) <= _WINDOW_BYTES_MAX:
                raise ConfigError(name, f"must lie in [{_WINDOW_BYTES_MIN}, {_WINDOW_BYTES_MAX}]")
        if self.message_bytes_max > 2**32 - 1:
            raise ConfigError("message_bytes_max", "must fit the 4-byte length of a gRPC message")

    @property
    def header_list_bytes_hard(self) -> int:
        """Size past which a header block is not even decoded to its end, encoded or decoded."""
        return 4 * self.header_list_bytes_max

    @property
    def unfinished_bytes_max(self) -> int:
        """Server: bytes of messages that are not whole, per connection, past which one more such is given up."""
        return 4 * self.unread_bytes_max
