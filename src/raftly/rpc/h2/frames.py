"""Frames of HTTP/2 as bytes: numbers, layouts and the builders of the small ones.

    +-----------------------------------------------+
    | length (24) | type (8) | flags (8) | 0 + stream id (31) |   9 bytes, then `length` bytes of payload
    +-----------------------------------------------+

Source: RFC 9113 §4.1 (layout), §6 (types), §7 (error codes).
"""

from __future__ import annotations

from enum import IntEnum
from struct import Struct
from typing import Final

__all__ = [
    "ACK",
    "CONTINUATION",
    "DATA",
    "END_HEADERS",
    "END_STREAM",
    "FRAME_HEADER",
    "FRAME_HEADER_BYTES",
    "GOAWAY",
    "HEADERS",
    "PADDED",
    "PING",
    "PREFACE",
    "PRIORITY",
    "PRIORITY_FLAG",
    "PUSH_PROMISE",
    "RST_STREAM",
    "SETTINGS",
    "STREAM_ID_MAX",
    "WINDOW_BYTES_MAX",
    "WINDOW_UPDATE",
    "ErrorCode",
    "frame",
    "goaway_frame",
    "rst_stream_frame",
    "window_update_frame",
]

PREFACE: Final = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"  # RFC 9113 §3.4

DATA: Final = 0x0
HEADERS: Final = 0x1
PRIORITY: Final = 0x2
RST_STREAM: Final = 0x3
SETTINGS: Final = 0x4
PUSH_PROMISE: Final = 0x5
PING: Final = 0x6
GOAWAY: Final = 0x7
WINDOW_UPDATE: Final = 0x8
CONTINUATION: Final = 0x9

END_STREAM: Final = 0x1
ACK: Final = 0x1
END_HEADERS: Final = 0x4
PADDED: Final = 0x8
PRIORITY_FLAG: Final = 0x20

STREAM_ID_MAX: Final = 2**31 - 1
WINDOW_BYTES_MAX: Final = 2**31 - 1
FRAME_HEADER: Final = Struct(">BHBBL")  # length high, length low, type, flags, stream id with its reserved bit
FRAME_HEADER_BYTES: Final = 9


class ErrorCode(IntEnum):
    """Why a stream or connection ended. Source: RFC 9113 §7."""

    NO_ERROR = 0x0
    PROTOCOL_ERROR = 0x1
    INTERNAL_ERROR = 0x2
    FLOW_CONTROL_ERROR = 0x3
    SETTINGS_TIMEOUT = 0x4
    STREAM_CLOSED = 0x5
    FRAME_SIZE_ERROR = 0x6
    REFUSED_STREAM = 0x7
    CANCEL = 0x8
    COMPRESSION_ERROR = 0x9
    CONNECT_ERROR = 0xA
    ENHANCE_YOUR_CALM = 0xB
    INADEQUATE_SECURITY = 0xC
    HTTP_1_1_REQUIRED = 0xD

    @classmethod
    def of(cls, number: int) -> ErrorCode:
        """The code for a number from the wire; an unknown one counts as INTERNAL_ERROR (RFC 9113 §7)."""
        try:
            return cls(number)
        except ValueError:
            return cls.INTERNAL_ERROR


def frame(kind: int, flags: int, stream_id: int, payload: bytes = b"") -> bytes:
    """One whole frame. `payload` must fit the receiver's frame size; nothing is checked here."""
    size = len(payload)
    return FRAME_HEADER.pack(size >> 16, size & 0xFFFF, kind, flags, stream_id) + payload


def rst_stream_frame(stream_id: int, code: int) -> bytes:
    """RST_STREAM, RFC 9113 §6.4."""
    return frame(RST_STREAM, 0, stream_id, code.to_bytes(4, "big"))


def window_update_frame(stream_id: int, increment: int) -> bytes:
    """WINDOW_UPDATE, RFC 9113 §6.9; stream 0 is the connection."""
    return frame(WINDOW_UPDATE, 0, stream_id, increment.to_bytes(4, "big"))


def goaway_frame(last_stream_id: int, code: int, debug: bytes) -> bytes:
    """GOAWAY, RFC 9113 §6.8. `debug` is for a person who reads it."""
    return frame(GOAWAY, 0, 0, last_stream_id.to_bytes(4, "big") + code.to_bytes(4, "big") + debug)
