"""Deadlines of many calls on few timers. A call that ends in time, as nearly all do, costs a dictionary twice.

A client gives most calls the same time-out: those of one length expire in the order in which they began, so a queue a
length needs one timer, armed for the call in front. A server is sent what is left of any time-out: there those that are
due about together share a timer.
"""

from __future__ import annotations

import asyncio
from math import ceil, frexp
from typing import Protocol, final

__all__ = ["Deadlines", "Expiring", "RoughDeadlines"]


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


@final
class RoughDeadlines:
    """Deadlines of any lengths on one event loop, each kept at most a 64th of its length too late.

    The timer of a slot stays when all its calls have ended: there are at most 128 for each order of length.
    """

    __slots__ = ("_loop", "_slots", "_timers")

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._slots: dict[float, dict[Expiring, None]] = {}  # by the loop time at which they expire
        self._timers: dict[float, asyncio.TimerHandle] = {}

    def add(self, item: Expiring, length_s: float, due: float) -> float:
        """Call `item.on_deadline` at loop time `due`, or soon after; returns what `discard` needs. 0 < `length_s`."""
        width = 2.0 ** (frexp(length_s)[1] - 7)  # 2^(e-1) <= length < 2^e
        at = ceil(due / width) * width
        slot = self._slots.get(at)
        if slot is None:
            slot = self._slots[at] = {}
            self._timers[at] = self._loop.call_at(at, self._expire, at)
        slot[item] = None
        return at

    def discard(self, item: Expiring, at: float) -> None:
        """`item` has ended."""
        slot = self._slots.get(at)
        if slot is not None:
            slot.pop(item, None)

    def _expire(self, at: float) -> None:
        del self._timers[at]
        for item in self._slots.pop(at):
            item.on_deadline()

    def close(self) -> None:
        """Forget everything."""
        for timer in self._timers.values():
            timer.cancel()
        self._slots.clear()
        self._timers.clear()
