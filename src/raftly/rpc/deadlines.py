"""Deadlines of many calls on one timer for each length of time-out.

Calls of one length expire in the order in which they began, so a queue a length needs no heap and one timer: it is
armed for the call in front, and a call that ends in time, as nearly all do, only leaves its queue.
"""

from __future__ import annotations

import asyncio
from typing import Protocol, final

__all__ = ["Deadlines", "Expiring"]


class Expiring(Protocol):
    """What has a deadline."""

    def on_deadline(self) -> None:
        """It has passed; the queue has let go of it."""


@final
class Deadlines:
    """Deadlines on one event loop. O(1) for each call; memory is the calls that are open."""

    __slots__ = ("_loop", "_queues", "_timers")

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._queues: dict[float, dict[Expiring, float]] = {}  # by length: when each is due, in order
        self._timers: dict[float, asyncio.TimerHandle] = {}

    def add(self, item: Expiring, length_s: float, due: float) -> None:
        """Call `item.on_deadline` at loop time `due`; items of one length come with a `due` that does not fall."""
        queue = self._queues.get(length_s)
        if queue is None:
            queue = self._queues[length_s] = {}
            self._timers[length_s] = self._loop.call_at(due, self._expire, length_s)
        queue[item] = due

    def discard(self, item: Expiring, length_s: float) -> None:
        """`item` has ended."""
        queue = self._queues.get(length_s)
        if queue is not None:
            queue.pop(item, None)

    def _expire(self, length_s: float) -> None:
        queue = self._queues[length_s]
        now = self._loop.time()
        while queue:
            item, due = next(iter(queue.items()))
            if due > now:
                self._timers[length_s] = self._loop.call_at(due, self._expire, length_s)
                return
            del queue[item]
            item.on_deadline()
        self._queues.pop(length_s, None)
        self._timers.pop(length_s, None)

    def close(self) -> None:
        """Forget everything."""
        for timer in self._timers.values():
            timer.cancel()
        self._queues.clear()
        self._timers.clear()
