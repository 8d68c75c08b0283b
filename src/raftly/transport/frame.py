"""The envelope of everything that peers send: what it is, how long, and a checksum over all of it.

Little-endian, version 1:

     0  u8 'r'   u8 'f'
     2  u8   version   1
     3  u8   kind      what the body is; 1: a batch of messages (`raftly.transport.codec`)
     4  u32  size      of the body
     8  u32  CRC-32 (zlib) of bytes 0 to 7 and the body
    12  body

The checksum is taken once a batch: bytes that crossed a network are right or refused here, and what decodes the body
checks structure only. TCP's own checksum misses about one damaged segment in 65 thousand (Stone and Partridge,
"When the CRC and TCP checksum disagree", SIGCOMM 2000).
"""

from __future__ import annotations

import struct
from typing import Final
from zlib import crc32

from raftly.base.limits import FRAME_BYTES_MAX
from raftly.errors import DecodeError, LimitExceeded

FRAME_VERSION: Final = 1
FRAME_MESSAGES: Final = 1  # kind: a batch of messages
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


def decode_frame(buf: bytes, offset: int, end: int) -> tuple[int, int, int] | None:
    """The frame at `offset` as (kind, body start, body stop); None while its bytes are not all there yet.

    A header that cannot be right is refused as soon as it can be read, before anybody waits for its body.

    Raises:
        DecodeError: not a frame, an unknown version, larger than FRAME_BYTES_MAX, or damaged.
    """
    if end - offset < HEADER_BYTES:
        return None
    magic, version, kind, size = _START.unpack_from(buf, offset)
    if magic != _MAGIC:
        raise DecodeError(_WHAT, offset, "the peer does not speak this protocol")
    if version != FRAME_VERSION:
        raise DecodeError(_WHAT, offset, f"version {version} is unknown")
    if size > FRAME_BYTES_MAX:
        raise DecodeError(_WHAT, offset, f"a body of {size} bytes is over the limit of {FRAME_BYTES_MAX}")
    start = offset + HEADER_BYTES
    stop = start + size
    if stop > end:
        return None
    checksum = crc32(memoryview(buf)[start:stop], crc32(buf[offset : offset + _START_BYTES]))
    if checksum != _CRC.unpack_from(buf, offset + _START_BYTES)[0]:
        raise DecodeError(_WHAT, offset, "the checksum does not match")
    return kind, start, stop
