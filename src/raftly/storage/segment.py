"""The bytes of a log segment: a header, then batches, then the zeros that were written ahead.

Little-endian, version 1. A batch is what one sync covered.

    segment header, 64 bytes                        batch header, 32 bytes
      0  8s  "raftlyWL"                               0  u32  size of the payload, never 0
      8  u16 version 1                                4  u32  zero pieces: how many of the pieces into which
     10  u16 size of this header                               sector edges cut the payload are zero by right
     12  u32 0                                        8  u64  sequence, one more than that of the batch before
     16  u64 cluster id                              16  u32  CRC-32 of the payload
     24  u64 node id                                 20  u32  0
     32  u64 number of the segment                   24  u32  0
     40  u64 sequence of its first batch             28  u32  CRC-32 of bytes 0-27
     48  12 zeros                                    32  payload
     60  u32 CRC-32 of bytes 0-59

How recovery tells a torn batch, which was never acknowledged, from damage to one that was: a disk writes sectors of
512 bytes whole or not at all, and what it did not write still reads as the zeros put there before. So a batch that
fails its checksum is torn exactly when it shows more zero pieces than its header admits (or its header does not read,
and a part of it up to a sector's edge is zero), and no valid batch follows it: batches are synced one after the
other, so one that follows proves that this one had been synced. Everything else is corruption and is refused.
"""

from __future__ import annotations

from dataclasses import dataclass
from struct import Struct
from typing import Final, final
from zlib import crc32

from raftly.errors import Corruption

SECTOR_BYTES: Final = 512
HEADER_BYTES: Final = 64
BATCH_HEADER_BYTES: Final = 32
VERSION: Final = 1
_MAGIC: Final = b"raftlyWL"
_HEADER: Final = Struct("<8sHHIQQQQ12x")
_BATCH: Final = Struct("<IIQIII")
_CRC: Final = Struct("<I")
_ZERO_SECTOR: Final = bytes(SECTOR_BYTES)


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
        Corruption: it is not one of ours, or of a version that this release does not know.
    """
    if len(data) < HEADER_BYTES:
        raise Corruption(path, len(data), "the file ends inside its header")
    if data[:8] != _MAGIC:
        raise Corruption(path, 0, "this is not a raftly log segment")
    _, version, _, _, cluster_id, node_id, number, first = _HEADER.unpack_from(data)
    if crc32(data[: HEADER_BYTES - 4]) != _CRC.unpack_from(data, HEADER_BYTES - 4)[0]:
        raise Corruption(path, 0, "the header does not match its checksum")
    if version != VERSION:
        raise Corruption(path, 8, f"version {version} is unknown to this release")
    return SegmentHeader(cluster_id, node_id, number, first)


def encode_batch(sequence: int, payload: bytes, offset: int) -> bytes:
    """The bytes of a batch that will stand at `offset` of its segment."""
    zeros = _zero_pieces(payload, 0, len(payload), offset + BATCH_HEADER_BYTES)
    head = _BATCH.pack(len(payload), zeros, sequence, crc32(payload), 0, 0)
    return head + _CRC.pack(crc32(head)) + payload


def _zero_pieces(data: bytes, start: int, stop: int, file_offset: int) -> int:
    """How many of the pieces of `data[start:stop]`, cut at sector edges, are zero; `start` lies at `file_offset`."""
    count = 0
    edge = start + -file_offset % SECTOR_BYTES
    if edge > start:
        count += not data[start : min(edge, stop)].strip(b"\0")
    if edge < stop and data.find(_ZERO_SECTOR, edge, stop) >= 0:
        for at in range(edge, stop - SECTOR_BYTES + 1, SECTOR_BYTES):
            count += data[at : at + SECTOR_BYTES] == _ZERO_SECTOR
    tail = stop - (stop - edge) % SECTOR_BYTES
    if edge < stop and tail < stop:
        count += not data[tail:stop].strip(b"\0")
    return count


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
        return self.offset + BATCH_HEADER_BYTES + len(self.payload)


def scan(path: str, data: bytes, first_sequence: int, *, last: bool) -> tuple[list[Batch], int]:
    """The batches of a whole segment, and the offset where the next one belongs.

    In the `last` segment a torn batch at the end is left out; it is to be zeroed before anything is appended.

    Raises:
        Corruption: damage to what had been synced.
    """
    batches: list[Batch] = []
    offset = HEADER_BYTES
    sequence = first_sequence
    while offset + BATCH_HEADER_BYTES <= len(data):
        batch = _read(data, offset, sequence)
        if batch is None:
            break
        batches.append(batch)
        offset = batch.end
        sequence += 1
    _check_end(path, data, offset, sequence, last=last)
    return batches, offset


def _read(data: bytes, offset: int, sequence: int) -> Batch | None:
    """The valid batch at `offset`; None when there is none."""
    size, _, found, crc, _, _ = _BATCH.unpack_from(data, offset)
    if size == 0 or found != sequence or offset + BATCH_HEADER_BYTES + size > len(data):
        return None
    head_end = offset + BATCH_HEADER_BYTES
    if crc32(data[offset : head_end - 4]) != _CRC.unpack_from(data, head_end - 4)[0]:
        return None
    payload = data[head_end : head_end + size]
    return Batch(sequence, offset, payload) if crc32(payload) == crc else None


def _check_end(path: str, data: bytes, offset: int, sequence: int, *, last: bool) -> None:
    """What stands behind the last valid batch is zeros, or in the last segment one torn batch."""
    rest = data[offset:]
    if not rest.strip(b"\0"):
        return
    problem = _damage(data, offset)
    if problem is None and not last:
        problem = "a batch is incomplete, but later segments follow"
    if problem is None and _valid_batch_follows(data, offset, sequence):
        problem = "a batch is incomplete, but a valid one follows it"
    if problem is not None:
        raise Corruption(path, offset, problem)


def _damage(data: bytes, offset: int) -> str | None:
    """Why the batch at `offset` is not merely torn; None when it is."""
    head_end = offset + BATCH_HEADER_BYTES
    head = data[offset:head_end]
    if len(head) < BATCH_HEADER_BYTES:
        return None if not head.strip(b"\0") else "a batch header runs over the end of the segment"
    if crc32(head[:-4]) != _CRC.unpack_from(head, BATCH_HEADER_BYTES - 4)[0]:
        edge = -offset % SECTOR_BYTES
        cut = edge if 0 < edge < BATCH_HEADER_BYTES else BATCH_HEADER_BYTES
        if not head[:cut].strip(b"\0") or (cut < BATCH_HEADER_BYTES and not head[cut:].strip(b"\0")):
            return None
        return "a batch header does not match its checksum"
    size, zeros, sequence, _, _, _ = _BATCH.unpack_from(head)
    end = head_end + size
    if end > len(data):
        return "a batch runs over the end of the segment"
    if _zero_pieces(data, head_end, end, head_end) > zeros:
        return None
    return f"batch {sequence} does not match its checksum"


def _valid_batch_follows(data: bytes, offset: int, sequence: int) -> bool:
    """Is there a valid batch with a later sequence anywhere behind `offset`?"""
    for later in range(sequence + 1, sequence + 3):
        needle = later.to_bytes(8, "little")
        at = data.find(needle, offset + 8)
        while at >= 0:
            if at - 8 >= offset and _read(data, at - 8, later) is not None:
                return True
            at = data.find(needle, at + 1)
    return False
