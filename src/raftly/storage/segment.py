"""The bytes of a log segment: a header, then batches, then the zeros that were written ahead.

Little-endian, version 1. A batch is what one sync covered; it begins and ends at a multiple of 32, so that its header
lies in one sector of the disk.

    segment header, 64 bytes                        batch header, 32 bytes
      0  8s  "raftlyWL"                               0  u32  size of the payload, never 0
      8  u16 version 1                                4  u32  empty sectors: zero by right
     10  u16 size of this header                      8  u64  sequence, one more than that of the batch before
     12  u32 0                                       16  u32  CRC-32 of the body
     16  u64 cluster id                              20  u32  thin sectors: 1 to 3 of their bytes are not zero
     24  u64 node id                                 24  u32  0
     32  u64 number of the segment                   28  u32  CRC-32 of bytes 0-27
     40  u64 sequence of its first batch             32  body: the payload, then 8 to 39 bytes 0xA5
     48  12 zeros
     60  u32 CRC-32 of bytes 0-59                    (of the sectors behind the header's own)

How recovery tells a torn batch, which was never acknowledged, from damage to one that was: a disk writes sectors of
512 bytes whole or not at all, and what it did not write still reads as the zeros put there before. A batch is torn
when its header reads as zeros together with the rest of the header's sector, or when more sectors of its body are
zero than its header admits. Only zero sectors that hardly differ from what was written there prove nothing: a flipped
bit could have made them, so then the batch is refused. Everything else is damage and is refused, as is a torn batch
that something follows: batches are synced one after the other, so the one before had been synced.

The file always reaches RESERVE_BYTES beyond the last batch, durably so before that batch is written. A file that does
not was cut.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from struct import Struct
from typing import Final, final
from zlib import crc32

from raftly.errors import Corruption, StorageError

SECTOR_BYTES: Final = 512
HEADER_BYTES: Final = 64
BATCH_HEADER_BYTES: Final = 32
RESERVE_BYTES: Final = 512
PAYLOAD_BYTES_MAX: Final = 1 << 30
VERSION: Final = 1
_MAGIC: Final = b"raftlyWL"
_HEADER: Final = Struct("<8sHHIQQQQ12x")
_BATCH: Final = Struct("<IIQIII")
_CRC: Final = Struct("<I")
_FILL: Final = b"\xa5" * 39
_FILL_MIN: Final = 8
_THIN_BYTES: Final = 3  # so few could be the work of a flipped bit or two
_ZERO_HEADER: Final = bytes(BATCH_HEADER_BYTES)
_ZEROS: Final = bytes(4096)


@final
@dataclass(frozen=True, slots=True)
class SegmentHeader:
    """Whose segment it is, and where its batches begin."""

    cluster_id: int
    node_id: int
    number: int
    first_sequence: int

    def encode(self) -> bytes:
        body = _HEADER.pack(
            _MAGIC, VERSION, HEADER_BYTES, 0, self.cluster_id, self.node_id, self.number, self.first_sequence
        )
        return body + _CRC.pack(crc32(body))


def decode_header(path: str, data: bytes) -> SegmentHeader:
    """The header that `data` begins with.

    Raises:
        Corruption: it is not one of ours.
        StorageError: it is of a later version: sound, and not to be cut away as damage is.
    """
    if len(data) < HEADER_BYTES:
        raise Corruption(path, len(data), "the file ends inside its header")
    if data[:8] != _MAGIC:
        raise Corruption(path, 0, "this is not a raftly log segment")
    _, version, _, _, cluster_id, node_id, number, first = _HEADER.unpack_from(data)
    if crc32(data[: HEADER_BYTES - 4]) != _CRC.unpack_from(data, HEADER_BYTES - 4)[0]:
        raise Corruption(path, 0, "the header does not match its checksum")
    if version != VERSION:
        raise StorageError(f"{path} is of version {version}, this release knows {VERSION}: use the one that wrote it")
    return SegmentHeader(cluster_id, node_id, number, first)


def batch_bytes(payload_bytes: int) -> int:
    """What a batch with a payload of this size takes in a segment."""
    return -(-(BATCH_HEADER_BYTES + payload_bytes + _FILL_MIN) // BATCH_HEADER_BYTES) * BATCH_HEADER_BYTES


def encode_batch(sequence: int, payload: bytes, offset: int) -> bytes:
    """The bytes of a batch that will stand at `offset` of its segment."""
    size = len(payload)
    fill = _FILL[: batch_bytes(size) - BATCH_HEADER_BYTES - size]
    empty, thin = _poor_sectors(payload + fill, 0, size + len(fill), offset + BATCH_HEADER_BYTES)
    head = _BATCH.pack(size, empty, sequence, crc32(fill, crc32(payload)), thin, 0)
    return b"".join((head, _CRC.pack(crc32(head)), payload, fill))


def _poor_sectors(data: bytes, start: int, stop: int, file_offset: int) -> tuple[int, int]:
    """How many sectors of `data[start:stop]`, `start` lying at `file_offset`, are empty, and how many thin.

    What lies in the sector of the header does not count: that sector was written or not, header and all.
    """
    empty = thin = 0
    edge = start + -file_offset % SECTOR_BYTES
    if data.find(_ZERO_HEADER, edge, stop) >= 0:  # so many zeros in a row has every empty or thin sector
        for at in range(edge, stop, SECTOR_BYTES):
            end = min(at + SECTOR_BYTES, stop)
            filled = end - at - data.count(0, at, end)
            empty += filled == 0
            thin += 0 < filled <= _THIN_BYTES
    return empty, thin


@final
@dataclass(frozen=True, slots=True)
class Batch:
    """A batch that was read: its place in the segment, its payload at `payload_offset`."""

    sequence: int
    offset: int
    payload: bytes

    @property
    def payload_offset(self) -> int:
        return self.offset + BATCH_HEADER_BYTES

    @property
    def end(self) -> int:
        return self.offset + batch_bytes(len(self.payload))


def scan(path: str, data: bytes, first_sequence: int, take: Callable[[Batch], None], *, last: bool) -> int:
    """Hand the batches of a whole segment to `take`, in order; the offset where the next one belongs.

    In the `last` segment a torn batch at the end is left out; it is to be zeroed before anything is appended.

    Raises:
        Corruption: damage to what had been synced.
    """
    offset = HEADER_BYTES
    sequence = first_sequence
    while (batch := _read(data, offset, sequence)) is not None:
        take(batch)
        offset = batch.end
        sequence += 1
    problem = _damage(data, offset, sequence, last=last)
    if problem is not None:
        raise Corruption(path, offset, problem)
    return offset


def zeros_from(data: bytes, start: int) -> int:
    """Where the zeros begin that reach to the end of the data; at `start` at the least. 0 <= start <= len(data).

    By blocks: a mebibyte of space, which most logs end with, takes 15 ms to be stripped byte by byte.
    """
    end = len(data)
    while end - start >= len(_ZEROS) and data[end - len(_ZEROS) : end] == _ZEROS:
        end -= len(_ZEROS)
    return start + len(data[start:end].rstrip(b"\0"))


def _read(data: bytes, offset: int, sequence: int) -> Batch | None:
    """The valid batch at `offset`; None when there is none."""
    body = offset + BATCH_HEADER_BYTES
    if body > len(data):
        return None
    size, _, found, crc, _, _ = _BATCH.unpack_from(data, offset)
    end = offset + batch_bytes(size)
    if size == 0 or found != sequence or end > len(data) or not _is_header(data, offset):
        return None
    payload = data[body : body + size]
    return Batch(sequence, offset, payload) if crc32(data[body + size : end], crc32(payload)) == crc else None


def _is_header(data: bytes, offset: int) -> bool:
    stop = offset + BATCH_HEADER_BYTES - _CRC.size
    return bool(crc32(data[offset:stop]) == _CRC.unpack_from(data, stop)[0])


def _damage(data: bytes, offset: int, sequence: int, *, last: bool) -> str | None:
    """Why what stands behind the last valid batch is neither zeros nor, in the last segment, one torn batch."""
    if len(data) < offset + RESERVE_BYTES:
        return "the file was cut: it ends too early for its last batch"
    if zeros_from(data, offset) == offset:
        return None
    body = offset + BATCH_HEADER_BYTES
    if data[offset:body] == _ZERO_HEADER:
        rest = data[body : body + -body % SECTOR_BYTES]
        if rest.strip(b"\0"):
            return "the header of a batch is gone, the rest of its sector is not"
        problem = "a batch follows one that is incomplete" if _batch_follows(data, offset, sequence) else None
    else:
        problem = _damaged_body(data, offset, sequence)
    if problem is None and not last:
        return "a batch is incomplete, but later segments follow"
    return problem


def _damaged_body(data: bytes, offset: int, sequence: int) -> str | None:
    """Why a batch whose header is not all zero is not merely torn; None when it is."""
    if not _is_header(data, offset):
        return "a batch header does not match its checksum"
    size, empty, found, _, thin, _ = _BATCH.unpack_from(data, offset)
    if found != sequence or size == 0:
        return f"batch {found} stands where batch {sequence} belongs"
    end = offset + batch_bytes(size)
    if end + RESERVE_BYTES > len(data):
        return "the file was cut: it ends too early for its last batch"
    body = offset + BATCH_HEADER_BYTES
    missing = _poor_sectors(data, body, end, body)[0] - empty
    if missing <= 0:
        return f"batch {sequence} does not match its checksum"
    if missing <= thin:
        return f"batch {sequence} lacks only sectors that were nearly empty: torn or damaged, which cannot be told"
    return "something follows a batch that is incomplete" if zeros_from(data, end) > end else None


def _batch_follows(data: bytes, offset: int, sequence: int) -> bool:
    """Is there the header of a later batch anywhere behind `offset`?"""
    for later in range(sequence + 1, sequence + 4):
        needle = later.to_bytes(8, "little")
        at = data.find(needle, offset + 8) - 8
        while at >= offset:
            whole = at + BATCH_HEADER_BYTES <= len(data)
            if at % BATCH_HEADER_BYTES == 0 and whole and _is_header(data, at):
                return True
            at = data.find(needle, at + 9) - 8
    return False
