"""Slices: a range read piece by piece, so that a long one shows one moment and gives others their turn."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Final, final

from raftly.engine.base import KeyValue
from raftly.rpc import RpcError, StatusCode
from raftly.store.kv import RegionReader

__all__ = ["SLICE_KEYS", "Scan", "Turns", "slices"]

SLICE_KEYS: Final = 32  # read at once at first: values may be large; then as many as make _SLICE_BYTES
_TURN_KEYS: Final = 256  # in one turn of the loop: about a millisecond
_SEEK_KEYS: Final = 8  # going to where a range begins takes as long as so many keys
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


@final
class Turns:
    """The turns of the loop that one command takes, over all its ranges; it is to end by `deadline`."""

    __slots__ = ("_deadline", "_keys", "_reader")

    def __init__(self, reader: RegionReader, deadline: float) -> None:
        self._reader = reader
        self._deadline = deadline
        self._keys = 0

    def spend(self, keys: int) -> None:
        """So many were read in this turn, or what takes as long."""
        self._keys += keys

    def end(self) -> None:
        """This turn has been long enough."""
        self._keys = _TURN_KEYS

    async def next(self) -> None:
        """To be awaited before more is read: another turn, if this one has been long enough.

        The reader goes on to show the moment that it shows now.

        Raises:
            RpcError: the time is over.
        """
        if self._keys < _TURN_KEYS:
            return
        self._keys = 0
        self._reader.pin()
        await asyncio.sleep(0)
        if asyncio.get_running_loop().time() >= self._deadline:
            raise RpcError(StatusCode.DEADLINE_EXCEEDED, "reading took too long: ask for fewer keys")


async def slices(
    reader: RegionReader, turns: Turns, scan: Scan, value_of: Callable[[bytes], bytes | None], *, expire: bool
) -> AsyncIterator[list[KeyValue]]:
    """What a scan finds and has not expired, a slice at a time; gives the loop a turn now and then.

    `value_of` takes what is stored, and gives None where that has expired; without `expire` nothing ever does.
    """
    lo, hi, left = scan.lo, scan.hi, scan.limit
    slice_keys = SLICE_KEYS
    keys_only = scan.keys_only and not expire
    turns.spend(_SEEK_KEYS)
    while left > 0:
        await turns.next()
        wanted = min(left, slice_keys)
        found = reader.scan(scan.cf, lo, hi, wanted, reverse=scan.reverse, keys_only=keys_only)
        pairs = [(key, value) for key, stored in found if (value := value_of(stored)) is not None]
        if sum(len(value) for _, value in found) < _SLICE_BYTES:
            slice_keys = min(2 * slice_keys, _SLICE_KEYS_MAX)
            turns.spend(len(found))
        else:
            slice_keys = max(slice_keys // 2, 1)
            turns.end()
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
