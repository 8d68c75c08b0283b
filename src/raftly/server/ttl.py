"""Values as they are kept where keys may expire: TiKV's API V1TTL.

    value bytes ...   u64 big-endian: the second since 1970 at which it is gone, 0 for never

A store that was begun with this layout keeps it: without it the same bytes would be read as part of the value.
"""

from __future__ import annotations

from struct import Struct
from typing import Final

from raftly.errors import DecodeError

__all__ = ["encode", "expires_at", "split"]

_EXPIRY: Final = Struct(">Q")
_NEVER: Final = _EXPIRY.pack(0)
_U64_MAX: Final = (1 << 64) - 1


def expires_at(ttl_s: int, now_s: int) -> int:
    """The second at which a value put now is gone; 0, never, for a `ttl_s` of 0."""
    return min(now_s + ttl_s, _U64_MAX) if ttl_s else 0


def encode(value: bytes, expires_s: int) -> bytes:
    """As drawn above."""
    return value + (_EXPIRY.pack(expires_s) if expires_s else _NEVER)


def split(stored: bytes, now_s: int) -> tuple[bytes, int] | None:
    """The value and the seconds it has left, 0 for ever; None when it has expired.

    Raises:
        DecodeError: too short to have an expiry: it was put by a store without them.
    """
    size = len(stored) - _EXPIRY.size
    if size < 0:
        raise DecodeError("value with an expiry", 0, f"{len(stored)} bytes are too few")
    if stored.endswith(_NEVER):
        return stored[:size], 0
    (expires_s,) = _EXPIRY.unpack_from(stored, size)
    return (stored[:size], expires_s - now_s) if expires_s > now_s else None
