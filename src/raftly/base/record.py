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

from struct import Struct
from typing import Final
from zlib import crc32

from raftly.base.types import Entry, EntryType
from raftly.errors import DecodeError

RECORD_VERSION: Final = 1
_HEAD: Final = Struct("<IBBQQ")
_HEAD_BYTES: Final = 22
_CRC_BYTES: Final = 4
RECORD_BYTES_MIN: Final = 26
_CRC: Final = Struct("<I")
_CONTEXT: Final = 0x40
_TYPES: Final = (EntryType.NORMAL, EntryType.CONF_CHANGE, EntryType.CONF_CHANGE_V2)
_pack_head = _HEAD.pack
_unpack_head = _HEAD.unpack_from
_pack_crc = _CRC.pack


def record_of(entry: Entry) -> bytes:
    """The framed record of an entry that has its term and index; made on first use and kept on the entry."""
    record = entry.record
    if not record:
        data = entry.data
        kind = int(entry.type) | entry.flags << 4
        if entry.context:
            context = entry.context
            data = _pack_crc(len(context)) + context + data
            kind |= _CONTEXT
        body = _pack_head(len(data) + RECORD_BYTES_MIN, kind, RECORD_VERSION, entry.term, entry.index) + data
        record = body + _pack_crc(crc32(body))
        entry.record = record
    return record


def decode_records(buf: bytes, offset: int, end: int, count: int) -> list[Entry]:
    """`count` records that fill `buf[offset:end]` exactly; each entry keeps its own record.

    Raises:
        DecodeError: truncated, oversized, left-over bytes, an unknown version or kind.
    """
    if count * RECORD_BYTES_MIN > end - offset:
        raise DecodeError("entry record", offset, f"{count} records cannot fit in {end - offset} bytes")
    entries: list[Entry] = []
    for _ in range(count):
        if end - offset < RECORD_BYTES_MIN:
            raise DecodeError("entry record", offset, "the bytes end inside a record")
        size, kind, version, term, index = _unpack_head(buf, offset)
        stop = offset + size
        if size < RECORD_BYTES_MIN or stop > end:
            raise DecodeError("entry record", offset, f"a record claims {size} bytes, {end - offset} are left")
        if version != RECORD_VERSION:
            raise DecodeError("entry record", offset, f"version {version} is unknown")
        record = buf[offset:stop]
        if kind == 0:
            entries.append(Entry(term, index, EntryType.NORMAL, record[_HEAD_BYTES:-_CRC_BYTES], b"", 0, record))
        else:
            entries.append(_decode_kind(record, kind, term, index, offset))
        offset = stop
    if offset != end:
        raise DecodeError("entry record", offset, f"{end - offset} bytes are left over")
    return entries


def _decode_kind(record: bytes, kind: int, term: int, index: int, offset: int) -> Entry:
    """An entry that is not just a normal payload."""
    type_ = kind & 0x0F
    if type_ >= len(_TYPES) or kind & 0x80:
        raise DecodeError("entry record", offset, f"kind {kind:#04x} is unknown")
    at = _HEAD_BYTES
    stop = len(record) - _CRC_BYTES
    context = b""
    if kind & _CONTEXT:
        if stop - at < 4:
            raise DecodeError("entry record", offset, "the record ends inside its context size")
        context_bytes = int(_CRC.unpack_from(record, at)[0])
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
    size = int(_CRC.unpack_from(buf, offset)[0])
    if size > end - offset:
        raise DecodeError("entry record", offset, f"a record claims {size} bytes, {end - offset} are left")
    entry = decode_records(buf, offset, offset + size, 1)[0]
    if not verify_record(entry.record):
        raise DecodeError("entry record", offset, "the checksum does not match")
    return entry, offset + size


def verify_record(record: bytes) -> bool:
    """Does the record's own checksum match its bytes?"""
    return bool(crc32(record[:-_CRC_BYTES]) == _CRC.unpack_from(record, len(record) - _CRC_BYTES)[0])
