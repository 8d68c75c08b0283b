"""Memcomparable bytes: an encoding of a key whose order is that of the key, whatever is written behind it.

The key is cut into groups of 8, the last one filled up with zeros; behind each group stands a byte, 0xFF less the zeros
that were added. A group without any is never the last, so a key of 8 bytes takes two groups, and the empty key one.

    b""            00 00 00 00 00 00 00 00  F7
    b"tk3"         74 6B 33 00 00 00 00 00  FA
    b"abcdefgh"    61 62 63 64 65 66 67 68  FF   00 00 00 00 00 00 00 00  F7

Source: TiKV, components/codec/src/byte.rs; MyRocks' record format before it.
"""

from __future__ import annotations

from typing import Final

from raftly.errors import DecodeError

GROUP_BYTES: Final = 8
ENCODED_GROUP_BYTES: Final = 9
_FULL: Final = 0xFF
_ZEROS: Final = bytes(GROUP_BYTES)
_WHAT: Final = "memcomparable bytes"


def encode_bytes(key: bytes) -> bytes:
    """The encoding of a key: (len(key) // 8 + 1) * 9 bytes."""
    parts: list[bytes] = []
    full = len(key) // GROUP_BYTES * GROUP_BYTES
    for at in range(0, full, GROUP_BYTES):
        parts.append(key[at : at + GROUP_BYTES])
        parts.append(b"\xff")
    rest = key[full:]
    padding = GROUP_BYTES - len(rest)
    parts.append(rest + _ZEROS[:padding])
    parts.append(bytes((_FULL - padding,)))
    return b"".join(parts)


def decode_bytes(buf: bytes, offset: int = 0) -> tuple[bytes, int]:
    """The key whose encoding is at `offset`, and where that ends; anything may follow.

    Raises:
        DecodeError: the bytes end inside a group, a marker cannot be, or a padding is not zeros.
    """
    parts: list[bytes] = []
    at = offset
    while True:
        stop = at + GROUP_BYTES
        if stop >= len(buf):
            raise DecodeError(_WHAT, at, "the bytes end inside a group")
        padding = _FULL - buf[stop]
        if padding == 0:
            parts.append(buf[at:stop])
            at = stop + 1
            continue
        if padding > GROUP_BYTES:
            raise DecodeError(_WHAT, stop, f"{buf[stop]:#04x} cannot follow a group")
        if buf[stop - padding : stop] != _ZEROS[:padding]:
            raise DecodeError(_WHAT, stop - padding, "the padding is not zeros")
        parts.append(buf[at : stop - padding])
        return b"".join(parts), stop + 1


def decode_whole(buf: bytes) -> bytes:
    """The key that all of `buf` is the encoding of.

    Raises:
        DecodeError: as `decode_bytes`, or something follows.
    """
    key, stop = decode_bytes(buf)
    if stop != len(buf):
        raise DecodeError(_WHAT, stop, f"{len(buf) - stop} bytes are left over")
    return key
