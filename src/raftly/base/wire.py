"""Protobuf wire primitives, enough for membership changes and the interoperation codecs.

    field = varint(number << 3 | wire type), then
            wire type 0: a varint    1: eight bytes    2: varint length, bytes    5: four bytes

Source: Protocol Buffers documentation, "Encoding".
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from raftly.errors import DecodeError

VARINT: Final = 0
FIXED64: Final = 1
BYTES: Final = 2
FIXED32: Final = 5

U64_MAX: Final = (1 << 64) - 1


def varint_bytes(value: int) -> int:
    """How many bytes `encode_varint` gives for a value in [0, 2**64)."""
    if value < 0x80:
        return 1
    return (value.bit_length() + 6) // 7


def encode_varint(value: int) -> bytes:
    """Seven bits a byte, low bits first, high bit set on all but the last. `value` in [0, 2**64)."""
    assert 0 <= value <= U64_MAX
    if value < 0x80:
        return bytes((value,))
    out = bytearray()
    while value >= 0x80:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def encode_uint(number: int, value: int) -> bytes:
    """A varint field."""
    return encode_varint(number << 3) + encode_varint(value)


def encode_bytes(number: int, value: bytes) -> bytes:
    """A length-delimited field."""
    return encode_varint(number << 3 | BYTES) + encode_varint(len(value)) + value


def decode_varint(what: str, buf: bytes, offset: int, end: int) -> tuple[int, int]:
    """The varint at `offset` and the offset behind it.

    Raises:
        DecodeError: it runs past `end`, past ten bytes, or past 64 bits.
    """
    value = 0
    shift = 0
    at = offset
    while True:
        if at >= end:
            raise DecodeError(what, offset, "the bytes end inside a varint")
        byte = buf[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            break
        shift += 7
        if shift > 63:
            raise DecodeError(what, offset, "a varint is longer than ten bytes")
    if value > U64_MAX:
        raise DecodeError(what, offset, "a varint does not fit 64 bits")
    return value, at


def decode_fields(what: str, buf: bytes, offset: int, end: int) -> Iterator[tuple[int, int, int, int, int]]:
    """Each field in `buf[offset:end]` as (number, wire type, value, start, stop).

    `buf[start:stop]` is what follows the field's key and length: the content of a length-delimited field. `value` is
    the number of any other. Unknown fields come too: skipping them is the caller's choice.

    Raises:
        DecodeError: truncated, an unknown wire type, a group, or field number 0.
    """
    at = offset
    while at < end:
        start = at
        key, at = decode_varint(what, buf, at, end)
        number, wire = key >> 3, key & 7
        if number == 0 or number > 0x1FFFFFFF:
            raise DecodeError(what, start, f"field number {number} is out of range")
        if wire == VARINT:
            start = at
            value, at = decode_varint(what, buf, at, end)
            yield number, wire, value, start, at
        elif wire == BYTES:
            length, at = decode_varint(what, buf, at, end)
            if length > end - at:
                raise DecodeError(what, start, f"field {number} claims {length} bytes, {end - at} are left")
            yield number, wire, 0, at, at + length
            at += length
        elif wire in (FIXED64, FIXED32):
            size = 8 if wire == FIXED64 else 4
            if size > end - at:
                raise DecodeError(what, start, f"field {number} claims {size} bytes, {end - at} are left")
            yield number, wire, int.from_bytes(buf[at : at + size], "little"), at, at + size
            at += size
        else:
            raise DecodeError(what, start, f"wire type {wire} of field {number} is not supported")
