"""SETTINGS: what each side told the other, validated. Source: RFC 9113 §6.5."""

from __future__ import annotations

from struct import Struct
from typing import Final, final

from raftly.rpc.h2.errors import ConnectionFault
from raftly.rpc.h2.frames import WINDOW_BYTES_MAX, ErrorCode

__all__ = ["PeerSettings", "encode_settings", "parse_settings"]

HEADER_TABLE_SIZE: Final = 0x1
ENABLE_PUSH: Final = 0x2
MAX_CONCURRENT_STREAMS: Final = 0x3
INITIAL_WINDOW_SIZE: Final = 0x4
MAX_FRAME_SIZE: Final = 0x5
MAX_HEADER_LIST_SIZE: Final = 0x6

_ENTRY: Final = Struct(">HL")  # identifier, value


@final
class PeerSettings:
    """The remote's settings, at their defaults until it says otherwise."""

    __slots__ = ("initial_window", "max_frame", "max_header_list", "max_streams")

    def __init__(self) -> None:
        self.max_streams = STREAMS_UNLIMITED  # how many streams we may have open towards it
        self.initial_window = 65_535  # send window of a new stream
        self.max_frame = 16_384  # largest payload it takes
        self.max_header_list = 2**32 - 1  # advisory: largest header list it takes

    def apply(self, identifier: int, value: int) -> None:
        """Take one entry. Raises ConnectionFault on a value out of range; unknown identifiers are ignored."""
        if identifier == ENABLE_PUSH:
            if value > 1:
                raise ConnectionFault(ErrorCode.PROTOCOL_ERROR, f"SETTINGS_ENABLE_PUSH is {value}, not 0 or 1")
        elif identifier == MAX_CONCURRENT_STREAMS:
            self.max_streams = value
        elif identifier == INITIAL_WINDOW_SIZE:
            if value > WINDOW_BYTES_MAX:
                raise ConnectionFault(
                    ErrorCode.FLOW_CONTROL_ERROR, f"SETTINGS_INITIAL_WINDOW_SIZE is {value}, the limit is 2^31-1"
                )
            self.initial_window = value
        elif identifier == MAX_FRAME_SIZE:
            if not 16_384 <= value <= 16_777_215:
                raise ConnectionFault(
                    ErrorCode.PROTOCOL_ERROR, f"SETTINGS_MAX_FRAME_SIZE is {value}, outside [2^14, 2^24-1]"
                )
            self.max_frame = value
        elif identifier == MAX_HEADER_LIST_SIZE:
            self.max_header_list = value
        # HEADER_TABLE_SIZE: our encoder keeps no table, so any size will do


STREAMS_UNLIMITED: Final = 2**32 - 1


def parse_settings(payload: bytes) -> list[tuple[int, int]]:
    """Entries in order. Raises ConnectionFault when the length is no multiple of 6."""
    if len(payload) % 6:
        raise ConnectionFault(ErrorCode.FRAME_SIZE_ERROR, f"SETTINGS of {len(payload)} bytes, not a multiple of 6")
    return list(_ENTRY.iter_unpack(payload))


def encode_settings(entries: list[tuple[int, int]]) -> bytes:
    """The payload of a SETTINGS frame."""
    return b"".join(_ENTRY.pack(identifier, value) for identifier, value in entries)
