"""Places: where each entry of one group's log stands on disk, and the terms, without the entries themselves.

Twelve bytes an entry, plus a pair of numbers for each run of entries with one term, or in one segment. All lists start
at index `first`.
"""

from __future__ import annotations

from array import array
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from itertools import accumulate
from typing import Final, TypeAlias, final

from raftly.base.types import Index, Term

SEGMENT_SHIFT: Final = 32
_OFFSET_MASK: Final = (1 << SEGMENT_SHIFT) - 1

Runs: TypeAlias = list[tuple[Index, int]]  # (first index, value) of each run of entries with the same value, ascending


def place_of(segment: int, offset: int) -> int:
    """Segment and offset in one number."""
    return segment << SEGMENT_SHIFT | offset


def add_run(runs: Runs, first: Index, value: int) -> None:
    """Entries from `first` on have this value, until another run begins."""
    if not runs or runs[-1][1] != value:
        runs.append((first, value))


def _cut_runs(runs: Runs, first: Index) -> None:
    while runs and runs[-1][0] >= first:
        runs.pop()


def _drop_runs(runs: Runs, first: Index) -> None:
    """Runs begin at `first` or later."""
    at = bisect_right(runs, first, key=_run_first) - 1
    if at >= 0:
        runs[: at + 1] = [(first, runs[at][1])]


def _run_first(run: tuple[Index, int]) -> Index:
    return run[0]


@final
class Places:
    """Entries [first, stop)."""

    __slots__ = ("_places", "_segments", "_sizes", "_terms", "first")

    def __init__(self, first: Index) -> None:
        self.first = first
        self._places = array("Q")
        self._sizes = array("I")
        self._terms: Runs = []
        self._segments: Runs = []

    def __len__(self) -> int:
        return len(self._places)

    @property
    def stop(self) -> Index:
        return self.first + len(self._places)

    # --- asking; every index lies in [first, stop) ---

    def term(self, index: Index) -> Term:
        """The term of an entry."""
        return self._terms[bisect_right(self._terms, index, key=_run_first) - 1][1]

    def terms(self, lo: Index, hi: Index) -> Runs:
        """The runs of terms in [lo, hi)."""
        return _between(self._terms, lo, hi)

    def segments(self, lo: Index, hi: Index) -> Iterator[tuple[int, Index, Index, int]]:
        """(segment, first, stop, bytes) of each run of entries of [lo, hi) that stand in one segment."""
        runs = _between(self._segments, lo, hi)
        for at, (first, segment) in enumerate(runs):
            stop = runs[at + 1][0] if at + 1 < len(runs) else hi
            yield segment, first, stop, sum(self._sizes[first - self.first : stop - self.first])

    def in_segment(self, number: int) -> list[tuple[Index, Index]]:
        """The entries that stand in a segment, as runs [first, stop)."""
        runs = self._segments
        return [
            (first, runs[at + 1][0] if at + 1 < len(runs) else self.stop)
            for at, (first, segment) in enumerate(runs)
            if segment == number
        ]

    def stretch(self, lo: Index, hi: Index, bytes_max: int) -> tuple[int, int, int, Index]:
        """(segment, offset, size, stop) of entries from `lo` on that stand back to back and may be read at once.

        As many of [lo, hi) as it takes to reach `bytes_max`.
        """
        at = lo - self.first
        end = hi - self.first
        place = self._places[at]
        size = 0
        while at < end and size < bytes_max and self._places[at] == place + size:
            size += self._sizes[at]
            at += 1
        return place >> SEGMENT_SHIFT, place & _OFFSET_MASK, size, self.first + at

    def size(self, index: Index) -> int:
        """Bytes of an entry's record."""
        return self._sizes[index - self.first]

    # --- changing ---

    def append(self, sizes: Sequence[int], terms: Runs, place: int) -> None:
        """Entries at `stop` and after it stand back to back from `place` on; `terms` are their runs."""
        add_run(self._segments, self.stop, place >> SEGMENT_SHIFT)
        for first, term in terms:
            add_run(self._terms, first, term)
        self._places.extend(array("Q", list(accumulate(sizes[:-1], initial=place))))
        self._sizes.extend(array("I", sizes))

    def cut(self, first: Index) -> None:
        """Forget entries from `first` on; with `first` below all, begin there anew."""
        keep = first - self.first
        if keep <= 0:
            self.clear(first)
            return
        del self._places[keep:]
        del self._sizes[keep:]
        _cut_runs(self._terms, first)
        _cut_runs(self._segments, first)

    def drop(self, first: Index) -> None:
        """Forget entries before `first`."""
        count = first - self.first
        if count >= len(self._places):
            self.clear(first)
            return
        if count > 0:
            del self._places[:count]
            del self._sizes[:count]
            _drop_runs(self._terms, first)
            _drop_runs(self._segments, first)
            self.first = first

    def clear(self, first: Index) -> None:
        """Forget all; the next entry is `first`."""
        self.first = first
        del self._places[:], self._sizes[:]
        self._terms.clear()
        self._segments.clear()

    def move(self, first: Index, sizes: Sequence[int], place: int) -> None:
        """Entries from `first` on stand elsewhere now, back to back from `place` on."""
        stop = first + len(sizes)
        at = first - self.first
        self._places[at : at + len(sizes)] = array("Q", accumulate(sizes[:-1], initial=place))
        runs: Runs = []
        for start, segment in _between(self._segments, self.first, first):
            add_run(runs, start, segment)
        add_run(runs, first, place >> SEGMENT_SHIFT)
        for start, segment in _between(self._segments, stop, self.stop):
            add_run(runs, start, segment)
        self._segments = runs

    def prepend(self, places: array[int], sizes: array[int], terms: Runs) -> None:
        """Put entries before `first`."""
        begin = self.first - len(places)
        segments: Runs = []
        for at, place in enumerate(places):
            add_run(segments, begin + at, place >> SEGMENT_SHIFT)
        for first, segment in self._segments:
            add_run(segments, first, segment)
        for first, term in self._terms:
            add_run(terms, first, term)
        self._places = places + self._places
        self._sizes = sizes + self._sizes
        self._segments = segments
        self._terms = terms
        self.first = begin


def _between(runs: Runs, lo: Index, hi: Index) -> Runs:
    """The runs in [lo, hi), the first beginning at `lo`."""
    if lo >= hi:
        return []
    at = bisect_right(runs, lo, key=_run_first) - 1
    end = bisect_right(runs, hi - 1, key=_run_first)
    return [(max(first, lo), value) for first, value in runs[at:end]]
