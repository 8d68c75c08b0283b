"""Slices: a range read piece by piece, so that a long one shows one moment and gives others their turn."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Final, final

from raftly.engine.base import KeyValue
from raftly.store.kv import RegionReader

__all__ = ["SLICE_KEYS", "TURN_KEYS", "Scan", "pause", "slices"]

SLICE_KEYS: Final = 32  # read at once at first: values may be large; then as many as make _SLICE_BYTES
TURN_KEYS: Final = 256  # in one turn of the loop: about a millisecond
_SLICE_KEYS_MAX: Final = 512
_SLICE_BYTES: Final = 256 << 10


@final
class Scan:
    """A range to be read, as the engine has it: [lo, hi), whichever way."""

    __slots__ = ("cf", "hi", "keys_only", "limit", "lo", "reverse")

    def __init__(
        self, cf: str, start_key: bytes, end_key: bytes, limit: int, reverse: bool = False, keys_only: bool = False
    ) -> None:
        self.cf = cf
        self.lo, self.hi = (end_key, start_key) if reverse else (start_key, end_key)
        self.limit = limit if not self.hi or self.lo < self.hi else 0
        self.reverse = reverse
        self.keys_only = keys_only


async def slices(
    reader: RegionReader, scan: Scan, value_of: Callable[[bytes], bytes | None], *, expire: bool
) -> AsyncIterator[list[KeyValue]]:
    """What a scan finds and has not expired, a slice at a time; gives the loop a turn now and then.

    `value_of` takes what is stored, and gives None where that has expired; without `expire` nothing ever does.
    """
    lo, hi, left = scan.lo, scan.hi, scan.limit
    slice_keys, since_pause = SLICE_KEYS, 0
    keys_only = scan.keys_only and not expire
    while left > 0:
        wanted = min(left, slice_keys)
        found = reader.scan(scan.cf, lo, hi, wanted, reverse=scan.reverse, keys_only=keys_only)
        pairs = [(key, value) for key, stored in found if (value := value_of(stored)) is not None]
        yield [(key, b"") for key, _ in pairs] if scan.keys_only else pairs
        left -= len(pairs)
        if len(found) < wanted:
            return
        last = found[-1][0]
        if not scan.reverse:
            lo = last + b"\x00"
        elif last:
            hi = last
        else:
            return  # the empty key is the first of all
        small = sum(len(value) for _, value in found) < _SLICE_BYTES
        slice_keys = min(2 * slice_keys, _SLICE_KEYS_MAX) if small else max(slice_keys // 2, 1)
        since_pause += len(found)
        if left > 0 and (since_pause >= TURN_KEYS or not small):
            since_pause = 0
            await pause(reader)


async def pause(reader: RegionReader) -> None:
    """A turn of the loop; the reader goes on to show the moment that it shows now."""
    reader.pin()
    await asyncio.sleep(0)
