"""Histograms: counts of values by fixed bounds; one is added to for each call, so this is compiled."""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass
from itertools import accumulate
from typing import final


@final
class Histogram:
    """Counts of values by fixed bounds, which are inclusive; the last count is of those above all bounds."""

    __slots__ = ("bounds", "counts", "sum")

    def __init__(self, bounds: tuple[float, ...]) -> None:
        self.bounds = bounds
        self.counts = [0] * (len(bounds) + 1)
        self.sum = 0.0

    def observe(self, value: float, times: int = 1) -> None:
        """It was this, so many times."""
        self.counts[bisect_left(self.bounds, value)] += times
        self.sum += value * times

    def value(self) -> HistogramValue:
        """As of now."""
        return HistogramValue(self.bounds, tuple(accumulate(self.counts)), self.sum)


@final
@dataclass(frozen=True, slots=True)
class HistogramValue:
    """How many values were at most each bound, then how many there were; and their sum."""

    bounds: tuple[float, ...]
    cumulative: tuple[int, ...]  # one longer than bounds
    sum: float

    @property
    def count(self) -> int:
        """How many values there were."""
        return self.cumulative[-1]
