"""The bytes of a snapshot file: a header, chunks, an end. A file travels between nodes as it stands on disk.

Little-endian, version 1.

    header                                          chunk
      0  8s  "raftlySN"                               0  u32  size, 1 to 1 MiB
      8  u16 version 1                                4  u32  CRC-32 of its number (u64, from 0) and its bytes
     10  u16 0                                        8  bytes
     12  u32 size of this header, checksum included
     16  u64 cluster id                             end
     24  u64 group                                    0  u32  0
     32  u64 index                                    4  u32  CRC-32 of what follows
     40  u64 term                                     8  u64  chunks
     48  u64 id of this file, drawn when it was made 16  u64  bytes in them
     56  membership (storage.items)
      .  u32 CRC-32 of everything before it

Two files of the same index may differ in their bytes (who made them, in which order); the id tells them apart, so that
a transfer is only resumed with the file that it began with.
"""

from __future__ import annotations

from dataclasses import dataclass
from struct import Struct
from typing import Final, final
from zlib import crc32

from raftly.base.types import SnapshotMeta
from raftly.errors import DecodeError
from raftly.storage.items import decode_membership, encode_membership

CHUNK_BYTES_MAX: Final = 1 << 20
HEADER_BYTES_MAX: Final = 1 << 20
FRAME_BYTES: Final = 8
END_BYTES: Final = 24
VERSION: Final = 1
_WHAT: Final = "snapshot"
_MAGIC: Final = b"raftlySN"
_HEADER: Final = Struct("<8sHHIQQQQQ")
_FRAME: Final = Struct("<II")
_U64: Final = Struct("<Q")
_TOTALS: Final = Struct("<QQ")
_CRC: Final = Struct("<I")


@final
@dataclass(frozen=True, slots=True)
class SnapshotHeader:
    """Whose snapshot it is, where it stands, and which file."""

    cluster_id: int
    group: int
    meta: SnapshotMeta
    file_id: int

    def encode(self) -> bytes:
        members = encode_membership(self.meta.conf_state)
        size = _HEADER.size + len(members) + _CRC.size
        head = (_MAGIC, VERSION, 0, size, self.cluster_id, self.group, self.meta.index, self.meta.term, self.file_id)
        body = _HEADER.pack(*head) + members
        return body + _CRC.pack(crc32(body))


def header_bytes(data: bytes) -> int:
    """The size of the header that `data` begins with; its first 16 bytes are enough.

    Raises:
        DecodeError: it is no snapshot of ours, or of a version that this release does not know.
    """
    if len(data) < 16 or data[:8] != _MAGIC:
        raise DecodeError(_WHAT, 0, "this is not a raftly snapshot")
    version = int.from_bytes(data[8:10], "little")
    size = int.from_bytes(data[12:16], "little")
    if version != VERSION:
        raise DecodeError(_WHAT, 8, f"version {version} is unknown to this release")
    if not _HEADER.size + _CRC.size <= size <= HEADER_BYTES_MAX:
        raise DecodeError(_WHAT, 12, f"a header of {size} bytes cannot be")
    return size


def decode_header(data: bytes) -> SnapshotHeader:
    """The header that `data` is.

    Raises:
        DecodeError: it is not one, or damaged.
    """
    size = header_bytes(data)
    if len(data) != size:
        raise DecodeError(_WHAT, 12, f"a header of {size} bytes, {len(data)} are there")
    if crc32(data[: -_CRC.size]) != _CRC.unpack_from(data, size - _CRC.size)[0]:
        raise DecodeError(_WHAT, 0, "the header does not match its checksum")
    _, _, _, _, cluster_id, group, index, term, file_id = _HEADER.unpack_from(data)
    conf_state, end = decode_membership(data, _HEADER.size)
    if end != size - _CRC.size:
        raise DecodeError(_WHAT, end, "bytes are left over in the header")
    return SnapshotHeader(cluster_id, group, SnapshotMeta(index, term, conf_state), file_id)


def encode_chunk(number: int, data: bytes) -> bytes:
    """A chunk of 1 to CHUNK_BYTES_MAX bytes."""
    assert 1 <= len(data) <= CHUNK_BYTES_MAX
    return _FRAME.pack(len(data), _chunk_crc(number, data)) + data


def encode_end(chunks: int, total: int) -> bytes:
    """What follows the last chunk."""
    totals = _TOTALS.pack(chunks, total)
    return _FRAME.pack(0, crc32(totals)) + totals


def _chunk_crc(number: int, data: bytes) -> int:
    return crc32(data, crc32(_U64.pack(number)))


@final
class Frames:
    """Checks what follows a header, frame by frame: give it each frame in order, until `finished`."""

    __slots__ = ("chunks", "finished", "offset", "total")

    def __init__(self, offset: int) -> None:
        self.offset = offset  # of the next frame in the file
        self.chunks = 0
        self.total = 0
        self.finished = False

    def size(self, head: bytes) -> int:
        """How many bytes the frame has that begins with these 8.

        Raises:
            DecodeError: too many, or too few bytes to tell.
        """
        if len(head) < FRAME_BYTES:
            raise DecodeError(_WHAT, self.offset, "the file ends before its end")
        size: int = _FRAME.unpack_from(head)[0]
        if size > CHUNK_BYTES_MAX:
            raise DecodeError(_WHAT, self.offset, f"a chunk of {size} bytes, the limit is {CHUNK_BYTES_MAX}")
        return FRAME_BYTES + size if size else END_BYTES

    def take(self, frame: bytes) -> bytes:
        """The chunk in a whole frame; nothing for the end.

        Raises:
            DecodeError: it does not match its checksum, is incomplete, or the end tells of other chunks.
        """
        assert not self.finished
        size, crc = _FRAME.unpack_from(frame)
        data = frame[FRAME_BYTES:]
        if len(frame) != self.size(frame):
            raise DecodeError(_WHAT, self.offset, "the file ends inside a chunk")
        if size == 0:
            if crc32(data) != crc or _TOTALS.unpack(data) != (self.chunks, self.total):
                raise DecodeError(_WHAT, self.offset, "the end does not match what came before")
            self.finished = True
            data = b""
        elif _chunk_crc(self.chunks, data) != crc:
            raise DecodeError(_WHAT, self.offset, f"chunk {self.chunks} does not match its checksum")
        else:
            self.chunks += 1
            self.total += size
        self.offset += len(frame)
        return data
