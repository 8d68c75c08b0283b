"""A running digest of all that happens in a world: the same seed must give the same digest."""

from __future__ import annotations

import hashlib
from collections import deque
from collections.abc import Callable
from typing import Final, final

_BATCH_LINES: Final = 512


@final
class Trace:
    """One line an event: the world's time, the host, the kind, and what tells it from others.

    No line may hold what differs between two runs of a seed: no `id`, no `hash`, no order of a set, no address of an
    object. `keep` last lines are kept for people; `sink` is called with every line.
    """

    __slots__ = ("_batch", "_hash", "count", "kept", "sink")

    def __init__(self, keep: int = 0, sink: Callable[[str], None] | None = None) -> None:
        self.count = 0
        self.kept: deque[str] = deque(maxlen=keep)
        self.sink = sink
        self._hash = hashlib.blake2b(digest_size=16)
        self._batch: list[str] = []

    def add(self, now: float, host: str, kind: str, detail: str = "") -> None:
        """Something happened."""
        line = f"{now!r} {host} {kind} {detail}\n"
        self.count += 1
        batch = self._batch
        batch.append(line)
        if len(batch) >= _BATCH_LINES:
            self._settle()
        if self.kept.maxlen:
            self.kept.append(line)
        if self.sink is not None:
            self.sink(line)

    def tell(self, now: float, host: str, kind: str, detail: str = "") -> None:
        """For people only: in no digest, since nobody sees to it that two runs would say it in the same words."""
        line = f"{now!r} {host} {kind} {detail}\n"
        if self.kept.maxlen:
            self.kept.append(line)
        if self.sink is not None:
            self.sink(line)

    def digest(self) -> str:
        """Of all lines so far, as hexadecimal digits."""
        self._settle()
        return self._hash.hexdigest()

    def _settle(self) -> None:
        self._hash.update("".join(self._batch).encode())
        self._batch.clear()
