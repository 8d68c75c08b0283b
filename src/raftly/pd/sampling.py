"""SampleSet: a set one can draw from."""

from __future__ import annotations

from collections.abc import Iterator
from typing import final

from raftly.base.rand import SplitMix64


@final
class SampleSet:
    """Numbers; adding, taking out and drawing one each cost the same however many there are.

    Drawing depends on nothing but what was done to the set before, in order, and on the source of randomness.
    """

    __slots__ = ("_items", "_places")

    def __init__(self) -> None:
        self._items: list[int] = []
        self._places: dict[int, int] = {}

    def __len__(self) -> int:
        return len(self._items)

    def __contains__(self, item: int) -> bool:
        return item in self._places

    def __iter__(self) -> Iterator[int]:
        return iter(self._items)

    def add(self, item: int) -> None:
        """Put it in."""
        if item not in self._places:
            self._places[item] = len(self._items)
            self._items.append(item)

    def discard(self, item: int) -> None:
        """Take it out if it is there; the last one takes its place."""
        place = self._places.pop(item, None)
        if place is None:
            return
        last = self._items.pop()
        if last != item:
            self._items[place] = last
            self._places[last] = place

    def draw(self, rand: SplitMix64, tries: int) -> Iterator[int]:
        """At most `tries` of them, each at most once, in random order."""
        count = len(self._items)
        start = rand.below(count) if count else 0
        stride = 1 if count < 3 else 1 + rand.below(count - 1)
        while _common_divisor(stride, count) > 1:
            stride += 1  # coprime, so that every one comes before any comes again
        for n in range(min(tries, count)):
            yield self._items[(start + n * stride) % count]


def _common_divisor(a: int, b: int) -> int:
    while b:
        a, b = b, a % b
    return a
