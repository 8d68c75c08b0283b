"""SizeEstimate: about how many bytes lie in a range of keys, without reading any. Pure.

    written lately      one key in every 16 KiB of what is written stands for so many bytes, until a table that is
                        sorted into a level has it
    in sorted tables    half of a table's bytes stand at its first key, half at its last one

Tables of level 0 reach over everything, so their ends tell nothing: what is in them counts as written lately. After a
restart nothing is known about that, and then their ends have to do.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import accumulate
from typing import Final, final

from raftly.engine.base import DATA_CFS, DELETE_RANGE, PUT, WriteBatch

_SAMPLE_BYTES: Final = 16 << 10
_STRIDE: Final = 7919  # a prime: which change of a batch is drawn has nothing to do with how batches are made


@final
@dataclass(frozen=True, slots=True)
class Table:
    """A file of sorted keys, `first` and `last` included."""

    level: int
    first: bytes
    last: bytes
    size: int


@final
class SizeEstimate:
    """Is told what is written and which tables there are."""

    __slots__ = ("_ends", "_order", "_samples", "_sums", "_taken", "_unsampled")

    def __init__(self) -> None:
        self._samples: list[bytes] = []  # sorted
        self._order: deque[bytes] = deque()  # the same as they came, and some that are gone
        self._taken = 0
        self._unsampled = 0
        self._ends: list[bytes] = []  # of tables, sorted
        self._sums: list[int] = [0]  # the bytes that stand at the first n of them

    def on_write(self, batch: WriteBatch) -> None:
        """This was written."""
        changes = batch.changes
        if batch.has_ranges:
            for kind, cf, lo, hi in changes:
                if kind == DELETE_RANGE and cf in DATA_CFS:
                    stop = bisect_left(self._samples, hi) if hi else len(self._samples)
                    del self._samples[bisect_left(self._samples, lo) : stop]
        count, self._unsampled = divmod(self._unsampled + batch.size, _SAMPLE_BYTES)
        for _ in range(count):
            self._taken += 1
            start = self._taken * _STRIDE % len(changes)
            for at in range(start, start - len(changes), -1):
                kind, cf, key, _value = changes[at]
                if kind == PUT and cf in DATA_CFS:
                    insort(self._samples, key)
                    self._order.append(key)
                    break

    def on_tables(self, tables: Iterable[Table], buffered_bytes: int) -> None:
        """These tables are there now, and so many bytes are in no table yet."""
        points: list[tuple[bytes, int]] = []
        level0: list[Table] = []
        for table in tables:
            if table.level:
                points += ((table.first, table.size // 2), (table.last, table.size - table.size // 2))
            else:
                level0.append(table)
        level0_bytes = sum(table.size for table in level0)
        self._forget(buffered_bytes + level0_bytes)
        unknown = level0_bytes - len(self._samples) * _SAMPLE_BYTES
        if unknown > 0:
            for table in level0:
                half = table.size * unknown // level0_bytes // 2
                points += ((table.first, half), (table.last, half))
        points.sort()
        self._ends = [key for key, _ in points]
        self._sums = [0, *accumulate(size for _, size in points)]

    def bytes_in(self, lo: bytes, hi: bytes) -> int:
        """About how many bytes of keys and values are in [lo, hi)."""
        samples = (bisect_left(self._samples, hi) if hi else len(self._samples)) - bisect_left(self._samples, lo)
        stop = bisect_left(self._ends, hi) if hi else len(self._ends)
        in_tables = self._sums[stop] - self._sums[bisect_left(self._ends, lo)]
        return max(samples, 0) * _SAMPLE_BYTES + max(in_tables, 0)

    def _forget(self, recent_bytes: int) -> None:
        """Keep what was written last; sorted tables tell of the rest."""
        samples = self._samples
        while self._order and len(samples) * _SAMPLE_BYTES > recent_bytes + _SAMPLE_BYTES:
            key = self._order.popleft()
            at = bisect_left(samples, key)
            if at < len(samples) and samples[at] == key:
                del samples[at]
