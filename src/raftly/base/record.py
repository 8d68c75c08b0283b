"""The framed record of an entry: made once by the leader, then spliced into every log file and message.

Little-endian, version 1:

      0  u32  size      of the whole record, checksum included
      4  u8   kind      bits 0-3 entry type, bit 4 type set, bit 5 payload set, bit 6 a context follows
      5  u8   version   1
      6  u64  term
     14  u64  index
     22  [u32 context size, context]   only with bit 6 of kind
      .  payload
    size-4  u32  CRC-32 (zlib) of everything before it

`decode_records` trusts the checksum of the frame around the records and checks structure only; `verify_record`
checks the record's own checksum and is for whoever reads it from a disk.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import Final
from zlib import crc32

from raftly.base.types import Entry, EntryType
from raftly.errors import DecodeError

RECORD_VERSION: Final = 1
RECORD_BYTES_MIN: Final = 26
_HEAD_BYTES: Final = 22
_CRC_BYTES: Final = 4
_CONTEXT: Final = 0x40  # in kind
_VERSION_1: Final = RECORD_VERSION << 8  # kind and version are read as one number: one comparison on the common path
_TYPES: Final = (EntryType.NORMAL, EntryType.CONF_CHANGE, EntryType.CONF_CHANGE_V2)
_NORMAL: Final = EntryType.NORMAL  # a member reached through its class costs a call in Python 3.11

_HEAD: Final = struct.Struct("<IHQQ")
_pack_head: Final = _HEAD.pack
_unpack_head: Final = _HEAD.unpack_from
_U32: Final = struct.Struct("<I")
_pack_u32: Final = _U32.pack
_unpack_u32: Final = _U32.unpack_from


def frame_entry(entry: Entry) -> bytes:
    """The framed record of an entry as it stands now. `record_of` keeps it; this does not."""
    data = entry.data
    kind = entry.type | entry.flags << 4 | _VERSION_1
    if entry.context:
        context = entry.context
        data = _pack_u32(len(context)) + context + data
        kind |= _CONTEXT
    body = _pack_head(len(data) + RECORD_BYTES_MIN, kind, entry.term, entry.index) + data
    return body + _pack_u32(crc32(body))


def place_payloads(term: int, index: int, payloads: Sequence[bytes], context: bytes = b"") -> list[Entry]:
    """Entries of one term for payloads, from `index` on, each with its record: what a leader appends.

    One loop for all of it, since every proposal passes through here.
    """
    if context:
        return [Entry(term, index + at, _NORMAL, data, context) for at, data in enumerate(payloads)]
    entries: list[Entry] = []
    for data in payloads:
        body = _pack_head(len(data) + RECORD_BYTES_MIN, _VERSION_1, term, index) + data
        entries.append(Entry(term, index, _NORMAL, None, b"", 0, body + _pack_u32(crc32(body))))
        index += 1
    return entries


def record_of(entry: Entry) -> bytes:
    """The framed record of an entry that has its term and index for good; made on first use and kept on the entry."""
    record = entry.record
    if not record:
        record = frame_entry(entry)
        entry.record = record
    return record


def read_records(buf: bytes, offset: int, end: int, count: int, entries: list[Entry]) -> int:
    """Append the `count` records that start at `offset` to `entries`; the offset behind the last of them.

    Each entry keeps its own record. No byte at or behind `end` becomes part of an entry.

    Raises:
        DecodeError: truncated, oversized, an unknown version or kind.
    """
    try:
        for _ in range(count):
            head: tuple[int, int, int, int] = _unpack_head(buf, offset)
            size, kind, term, index = head
            stop = offset + size
            if stop > end or size < RECORD_BYTES_MIN:
                raise DecodeError("entry record", offset, f"a record claims {size} bytes, {end - offset} are left")
            record = buf[offset:stop]
            if kind == _VERSION_1:
                entries.append(Entry(term, index, _NORMAL, None, b"", 0, record))
            else:
                entries.append(_decode_kind(record, kind, term, index, offset))
            offset = stop
    except struct.error:
        raise DecodeError("entry record", offset, "the bytes end inside a record") from None
    return offset


def decode_records(buf: bytes, offset: int, end: int, count: int) -> list[Entry]:
    """`count` records that fill `buf[offset:end]` exactly; each entry keeps its own record.

    Raises:
        DecodeError: truncated, oversized, left-over bytes, an unknown version or kind.
    """
    entries: list[Entry] = []
    stop = read_records(buf, offset, end, count, entries)
    if stop != end:
        raise DecodeError("entry record", stop, f"{end - stop} bytes are left over")
    return entries


def _decode_kind(record: bytes, kind: int, term: int, index: int, offset: int) -> Entry:
    """An entry that is not just a normal payload."""
    if kind >> 8 != RECORD_VERSION:
        raise DecodeError("entry record", offset, f"version {kind >> 8} is unknown")
    type_ = kind & 0x0F
    if type_ >= len(_TYPES) or kind & 0x80:
        raise DecodeError("entry record", offset, f"kind {kind & 0xFF:#04x} is unknown")
    at = _HEAD_BYTES
    stop = len(record) - _CRC_BYTES
    context = b""
    if kind & _CONTEXT:
        if stop - at < 4:
            raise DecodeError("entry record", offset, "the record ends inside its context size")
        context_bytes = int(_unpack_u32(record, at)[0])
        at += 4
        if context_bytes > stop - at:
            raise DecodeError("entry record", offset, f"a context of {context_bytes} bytes does not fit")
        context = record[at : at + context_bytes]
        at += context_bytes
    return Entry(term, index, _TYPES[type_], record[at:stop], context, kind >> 4 & 3, record)


def decode_record(buf: bytes, offset: int, end: int) -> tuple[Entry, int]:
    """The checksummed record at `offset`, and the offset behind it.

    Raises:
        DecodeError: malformed, or the checksum does not match.
    """
    if end - offset < RECORD_BYTES_MIN:
        raise DecodeError("entry record", offset, "the bytes end inside a record")
    size = int(_unpack_u32(buf, offset)[0])
    if size > end - offset:
        raise DecodeError("entry record", offset, f"a record claims {size} bytes, {end - offset} are left")
    entry = decode_records(buf, offset, offset + size, 1)[0]
    if not verify_record(entry.record):
        raise DecodeError("entry record", offset, "the checksum does not match")
    return entry, offset + size


def verify_record(record: bytes) -> bool:
    """Does the record's own checksum match its bytes?"""
    if len(record) < RECORD_BYTES_MIN:
        return False
    return bool(crc32(record[:-_CRC_BYTES]) == _unpack_u32(record, len(record) - _CRC_BYTES)[0])
