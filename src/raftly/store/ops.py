"""Ops: what a write does to the keys of a region, in order, and what each of them results in.

Values are opaque but for an `Expire`, and a `Cas` with `has_ttl`: there every value ends in the second at which it
expires (u64, big-endian, since 1970; 0: never), as TiKV's API V1TTL has it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, TypeAlias, final

_EXPIRY_BYTES: Final = 8


@final
@dataclass(slots=True)
class Put:
    """Give a key a value. Result: None."""

    cf: str
    key: bytes
    value: bytes


@final
@dataclass(slots=True)
class Delete:
    """Take a key away. Result: None."""

    cf: str
    key: bytes


@final
@dataclass(slots=True)
class DeleteRange:
    """Take away all keys in [lo, hi) that the region holds; an empty `hi` has nothing above it. Result: None."""

    cf: str
    lo: bytes
    hi: bytes


@final
@dataclass(slots=True)
class Cas:
    """Put `value` (None: take the key away) if the key has the value `expected` (None: no value). Result: a CasResult.

    `expected` is without the expiry, `value` is stored as it is given. What expired by `now_s` is not there.
    """

    cf: str
    key: bytes
    expected: bytes | None
    value: bytes | None
    now_s: int = 0
    has_ttl: bool = False


@final
@dataclass(slots=True)
class Expire:
    """Take a key away if its value, which ends with an expiry, expired by `now_s`. Result: was it taken away?"""

    cf: str
    key: bytes
    now_s: int


Op: TypeAlias = Put | Delete | DeleteRange | Cas | Expire


@final
@dataclass(frozen=True, slots=True)
class CasResult:
    """Was it done, and what was there before, without its expiry (None: nothing)."""

    succeeded: bool
    previous: bytes | None


def compare(op: Cas, stored: bytes | None) -> CasResult:
    """What a Cas comes to where `stored` is in the engine."""
    previous = stored
    if stored is not None and op.has_ttl and len(stored) >= _EXPIRY_BYTES:
        previous = None if has_expired(stored, op.now_s) else stored[:-_EXPIRY_BYTES]
    return CasResult(previous == op.expected, previous)


def expiry_of(stored: bytes) -> int:
    """The second at which a value that ends with an expiry is gone; 0: never."""
    return int.from_bytes(stored[-_EXPIRY_BYTES:], "big") if len(stored) >= _EXPIRY_BYTES else 0


def has_expired(stored: bytes, now_s: int) -> bool:
    """Is a value that ends with an expiry gone by `now_s`?"""
    return 0 < expiry_of(stored) <= now_s
