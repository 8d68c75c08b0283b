"""Where a region is to be split: one walk over its keys, in slices, and a counter that decides.

A region beyond a bound is cut every `split_bytes` or `split_keys`, whichever comes first. The rest behind the last cut
stays with the part before it when both together are within the bounds. What is counted is what is there now: keys and
values of all data families, no versions that were overwritten.

    raw keys            a cut may stand at any key
    under transactions  only between two users' keys: `txn_boundary` finds where the one at hand begins

Source for the rule of the rest: TiKV, components/raftstore/src/coprocessor/split_check.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from heapq import merge
from operator import itemgetter
from typing import Final, TypeAlias, final

from raftly.base.memcomparable import decode_bytes
from raftly.base.region import Region
from raftly.engine import DATA_CFS, KeyValue, Reader
from raftly.errors import ConfigError, DecodeError
from raftly.node.snapshot_files import SLICE_BYTES, Pace
from raftly.store.keys import DATA_PREFIX, data_end_key, data_key
from raftly.store.region_snapshot import RegionSize

Boundary: TypeAlias = Callable[[bytes], bytes | None]  # the largest place for a cut at or below a key; None: none

_SLICE_KEYS: Final = 128
_PREFIX_BYTES: Final = len(DATA_PREFIX)


@final
@dataclass(frozen=True, slots=True)
class SplitLimits:
    """When a region is too large, and how large its parts are to be.

    Raises:
        ConfigError: the parts would be larger than what is split.
    """

    bytes_max: int = 144 << 20
    split_bytes: int = 96 << 20
    keys_max: int = 1_440_000
    split_keys: int = 960_000
    cuts_max: int = 10
    """So many at once; the walk ends there, and the next one goes on behind."""

    def __post_init__(self) -> None:
        for part, whole in (("split_bytes", "bytes_max"), ("split_keys", "keys_max")):
            if not 0 < getattr(self, part) <= getattr(self, whole):
                raise ConfigError(part, f"must lie in [1, {whole}]")
        if self.cuts_max < 1:
            raise ConfigError("cuts_max", "must be at least 1")


@final
@dataclass(frozen=True, slots=True)
class SplitCheck:
    """What a walk found. With `cuts_max` cuts the size is only that of what was walked over."""

    size: RegionSize
    split_keys: tuple[bytes, ...] = ()  # users' keys, ascending; empty: it is not too large


def raw_boundary(key: bytes) -> bytes | None:
    """Every key is a place for a cut."""
    return key


def txn_boundary(key: bytes) -> bytes | None:
    """Where all versions of a user's key begin: its encoding, without the timestamp behind it."""
    try:
        return key[: decode_bytes(key)[1]]
    except DecodeError:
        return None


@final
class SplitCounter:
    """Is told of each key, ascending, and knows where to cut. Pure."""

    __slots__ = ("_before", "_boundary", "_bytes", "_cuts", "_keys", "_last", "_limits", "_part_bytes", "_part_keys")

    def __init__(self, limits: SplitLimits, boundary: Boundary = raw_boundary) -> None:
        self._limits = limits
        self._boundary = boundary
        self._bytes = self._keys = 0
        self._part_bytes = self._part_keys = 0  # behind the last cut
        self._before = RegionSize()  # of the part before it
        self._last = b""
        self._cuts: list[bytes] = []

    def on_key(self, key: bytes, size: int) -> None:
        """The next key (a user's; the same one may come in several families), and its bytes with those of its value."""
        limits = self._limits
        is_whole = self._part_bytes >= limits.split_bytes or self._part_keys >= limits.split_keys
        if is_whole and not self.is_done:
            cut = self._boundary(key)
            if cut is not None and cut > self._last:
                self._cuts.append(cut)
                self._before = RegionSize(self._part_bytes, self._part_keys)
                self._part_bytes = self._part_keys = 0
        self._last = key
        self._bytes += size
        self._keys += 1
        self._part_bytes += size
        self._part_keys += 1

    @property
    def is_done(self) -> bool:
        """Are there as many cuts as may be made at once?"""
        return len(self._cuts) >= self._limits.cuts_max

    def result(self) -> SplitCheck:
        """What follows from the keys so far."""
        limits = self._limits
        size = RegionSize(self._bytes, self._keys)
        if size.bytes <= limits.bytes_max and size.keys <= limits.keys_max:
            return SplitCheck(size)
        both = RegionSize(self._before.bytes + self._part_bytes, self._before.keys + self._part_keys)
        is_small = both.bytes <= limits.bytes_max and both.keys <= limits.keys_max
        return SplitCheck(size, tuple(self._cuts[:-1] if is_small and not self.is_done else self._cuts))


async def check_split(
    reader: Reader, region: Region, limits: SplitLimits, boundary: Boundary = raw_boundary
) -> SplitCheck:
    """Walk over a region, in slices: how large it is, and where to split it if that is too large.

    Raises:
        StorageError: the engine could not read.
    """
    counter = SplitCounter(limits, boundary)
    pace = Pace()
    gathered = 0
    for number, (key, value) in enumerate(_all_keys(reader, region), 1):
        size = len(key) + len(value)
        counter.on_key(key[_PREFIX_BYTES:], size)
        gathered += size
        if number % _SLICE_KEYS == 0 or gathered >= SLICE_BYTES:
            if counter.is_done:
                break
            await pace.after(gathered)
            gathered = 0
    return counter.result()


async def middle_key(reader: Reader, region: Region, boundary: Boundary = raw_boundary) -> bytes | None:
    """A user's key with half of the region's bytes on each side; None when there is no place for a cut.

    Two walks: the first one weighs. `reader` is a snapshot, so that both see the same.

    Raises:
        StorageError: the engine could not read.
    """
    whole = (await check_split(reader, region, _NEVER, boundary)).size
    half = max(whole.bytes // 2, 1)
    limits = SplitLimits(half, half, _NEVER.keys_max, _NEVER.split_keys, 1)
    keys = (await check_split(reader, region, limits, boundary)).split_keys
    return keys[0] if keys else None


_NEVER: Final = SplitLimits(1 << 62, 1 << 62, 1 << 62, 1 << 62)


def _all_keys(reader: Reader, region: Region) -> Iterator[KeyValue]:
    """Of all data families, ascending."""
    lo, hi = data_key(region.start_key), data_end_key(region.end_key)
    return merge(*(reader.iterate(cf, lo, hi) for cf in DATA_CFS), key=itemgetter(0))
