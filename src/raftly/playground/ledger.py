"""Ledger: what was written, what became of it, and whether it is still there.

put(k, v) ──► acknowledged    the value of k is v, or one that was written to k later
         └──► unknown         it may be there, now or later
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import final

__all__ = ["Ledger"]


@final
class Ledger:
    """All writes of one playground, one writer a key at a time."""

    def __init__(self) -> None:
        self.acknowledged = 0
        self._promised: dict[bytes, bytes] = {}  # the last value that was acknowledged
        self._possible: dict[bytes, set[bytes]] = {}  # written later, with an outcome that is not known

    def begin(self, key: bytes, value: bytes) -> None:
        """A write is about to be sent: from now on it may be there."""
        self._possible.setdefault(key, set()).add(value)

    def acknowledge(self, key: bytes, value: bytes) -> None:
        """It was done. What was unknown before stays possible: a late request may still come after it."""
        self.acknowledged += 1
        self._promised[key] = value
        self._possible[key].discard(value)

    def refuse(self, key: bytes, value: bytes) -> None:
        """It was certainly not done."""
        self._possible[key].discard(value)

    @property
    def keys(self) -> list[bytes]:
        """All that something was promised for."""
        return sorted(self._promised)

    def judge(self, found: Mapping[bytes, bytes]) -> list[str]:
        """What is wrong with what was read of `keys`, a sentence for each; nothing if nothing was lost."""
        problems = []
        for key, promised in sorted(self._promised.items()):
            value = found.get(key)
            if value != promised and value not in self._possible.get(key, ()):
                there = "it is not there" if value is None else f"{value!r} is there"
                problems.append(f"{key!r} was acknowledged with {promised!r}, and {there}")
        return problems
