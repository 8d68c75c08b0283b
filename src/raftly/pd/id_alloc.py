"""Ids, each given once in the life of a cluster: to stores, regions and peers alike.

Batches are reserved through the log, so an id costs no round trip; what a leader has left of its batch when it stops is
never used. No lease is needed: nobody else has the same batch.
"""

from __future__ import annotations

from typing import Final, final

IDS_BATCH: Final = 1000


@final
class IdPool:
    """Ids that were reserved and not given out."""

    __slots__ = ("_end", "_next")

    def __init__(self) -> None:
        self._next = 1
        self._end = 1

    def __len__(self) -> int:
        return self._end - self._next

    def take(self, count: int = 1) -> int | None:
        """The first of `count` consecutive ids; None: reserve a batch first."""
        if count > len(self):
            return None
        first = self._next
        self._next += count
        return first

    def add(self, first: int, count: int) -> None:
        """Ids from `first` on were reserved. What is left of another batch is kept only if this one continues it."""
        if first != self._end:
            self._next = first
        self._end = first + count

    def skip_past(self, used: int) -> None:
        """Somebody chose this id, or a lower one, by himself: give none up to it."""
        self._next = min(max(self._next, used + 1), self._end)
