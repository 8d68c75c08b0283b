"""The envelope of everything that peers send: what it is, how long, and a checksum over all of it.

Little-endian, version 1:

     0  u8 'r'   u8 'f'
     2  u8   version   1
     3  u8   kind      what the body is: the FRAME_ numbers below
     4  u32  size      of the body
     8  u32  CRC-32 (zlib) of bytes 0 to 7 and the body
    12  body

The checksum is taken once a batch: bytes that crossed a network are right or refused here, and what decodes the body
checks structure only. TCP's own checksum misses about one damaged segment in 65 thousand (Stone and Partridge,
"When the CRC and TCP checksum disagree", SIGCOMM 2000).
"""

from __future__ import annotations

import struct
from typing import Final, final
from zlib import crc32

from raftly.base.limits import FRAME_BYTES_MAX
from raftly.errors import DecodeError, LimitExceeded

FRAME_VERSION: Final = 1
FRAME_MESSAGES: Final = 1  # kind: a batch of messages (`raftly.transport.codec`)
FRAME_GROUPS: Final = 2  # batches of several groups (`raftly.transport.groups`)
FRAME_HELLO: Final = 3  # these three: `raftly.transport.handshake`
FRAME_WELCOME: Final = 4
FRAME_REFUSAL: Final = 5
FRAME_PING: Final = 6  # any body; comes back as it is in a pong
FRAME_PONG: Final = 7
FRAME_BEGIN: Final = 8  # these five: `raftly.transport.transfer`
FRAME_CHUNK: Final = 9
FRAME_TAKEN: Final = 10
FRAME_DONE: Final = 11
FRAME_FAILED: Final = 12
FRAME_REQUESTS: Final = 13  # these two: `raftly.transport.exchange`
FRAME_RESPONSES: Final = 14
HEADER_BYTES: Final = 12

_MAGIC: Final = 0x6672  # 'r', 'f'
_WHAT: Final = "frame"
_START: Final = struct.Struct("<HBBI")
_START_BYTES: Final = 8
_CRC: Final = struct.Struct("<I")


def encode_frame(kind: int, body: bytes) -> bytes:
    """The frame around a body.

    Raises:
        LimitExceeded: the body is larger than a peer takes.
    """
    if len(body) > FRAME_BYTES_MAX:
        raise LimitExceeded("frame body bytes", len(body), FRAME_BYTES_MAX)
    start = _START.pack(_MAGIC, FRAME_VERSION, kind, len(body))
    return b"".join((start, _CRC.pack(crc32(body, crc32(start))), body))


def join_frame(kind: int, parts: list[bytes]) -> bytes:
    """`encode_frame` of the parts in a row, together no larger than a peer takes; copies them once."""
    size = sum(map(len, parts))
    assert size <= FRAME_BYTES_MAX
    start = _START.pack(_MAGIC, FRAME_VERSION, kind, size)
    checksum = crc32(start)
    for part in parts:
        checksum = crc32(part, checksum)
    return b"".join((start, _CRC.pack(checksum), *parts))


def decode_frame(buf: bytes, offset: int, end: int, limit: int = FRAME_BYTES_MAX) -> tuple[int, int, int] | None:
    """The frame at `offset` as (kind, body start, body stop); None while its bytes are not all there yet.

    A header that cannot be right is refused as soon as it can be read, before anybody waits for its body.

    Raises:
        DecodeError: not a frame, an unknown version, a body larger than `limit`, or damaged.
    """
    if end - offset < HEADER_BYTES:
        return None
    magic, version, kind, size = _START.unpack_from(buf, offset)
    if magic != _MAGIC:
        raise DecodeError(_WHAT, offset, "the peer does not speak this protocol")
    if version != FRAME_VERSION:
        raise DecodeError(_WHAT, offset, f"version {version} is unknown")
    if size > limit:
        raise DecodeError(_WHAT, offset, f"a body of {size} bytes is over the limit of {limit}")
    start = offset + HEADER_BYTES
    stop = start + size
    if stop > end:
        return None
    checksum = crc32(memoryview(buf)[start:stop], crc32(buf[offset : offset + _START_BYTES]))
    if checksum != _CRC.unpack_from(buf, offset + _START_BYTES)[0]:
        raise DecodeError(_WHAT, offset, "the checksum does not match")
    return kind, start, stop


@final
class FrameReader:
    """Cuts a stream of bytes into frames. Holds one incomplete frame at most, and only bytes that came."""

    __slots__ = ("_held", "_need", "completed", "limit")

    def __init__(self, limit: int) -> None:
        self.limit = limit  # bytes of a body; a change holds from the next `feed` on
        self.completed = 0  # frames that were whole
        self._held = bytearray()  # of the frame that is not complete
        self._need = 0  # its size, or that of its header while more is not known

    @property
    def waiting(self) -> bool:
        """Has a frame begun that has not ended?"""
        return len(self._held) > 0

    def feed(self, data: bytes) -> tuple[bytes, list[tuple[int, int, int]]]:
        """The frames that these bytes complete, as (kind, body start, body stop) in the bytes that are given back.

        Raises:
            DecodeError: as `decode_frame`; the stream cannot be read any further.
        """
        frames: list[tuple[int, int, int]] = []
        held = self._held
        if held:
            held += data
            if len(held) < self._need:
                return b"", frames
            data = bytes(held)
            self._held = bytearray()
        offset = 0
        end = len(data)
        while (found := decode_frame(data, offset, end, self.limit)) is not None:
            frames.append(found)
            offset = found[2]
        self.completed += len(frames)
        if offset < end:
            self._keep(data[offset:])
        return data, frames

    def _keep(self, rest: bytes) -> None:
        """Wait for what completes this beginning of a frame."""
        self._held += rest
        self._need = HEADER_BYTES
        if len(rest) >= HEADER_BYTES:
            self._need += int(_START.unpack_from(rest)[3])
