"""Deadlines: ends futures that wait too long, with one timer for all of them.

A timer a call is a tenth of what a call costs its caller, and nearly all are cancelled; this looks at all that wait,
twenty times a second while there are any.
"""

from __future__ import annotations

import asyncio
from typing import Final, final

GRAIN_S: Final = 0.05
"""A deadline is seen to at most so much late."""


@final
class Deadlines:
    """Futures and until when each may wait. On one event loop, that of the first `add`."""

    __slots__ = ("_loop", "_timer", "_until")

    def __init__(self) -> None:
        self._until: dict[asyncio.Future[bytes], float] = {}
        self._loop: asyncio.AbstractEventLoop | None = None
        self._timer: asyncio.TimerHandle | None = None

    def add(self, future: asyncio.Future[bytes], until: float) -> None:
        """End it with TimeoutError at `until`, of the loop's time; `drop` it when it has ended before."""
        self._until[future] = until
        if self._timer is None:
            if self._loop is None:
                self._loop = asyncio.get_running_loop()
            self._set(until)

    def drop(self, future: asyncio.Future[bytes]) -> None:
        """It is over."""
        self._until.pop(future, None)

    def _set(self, soonest: float) -> None:
        assert self._loop is not None
        now = self._loop.time()
        self._timer = self._loop.call_at(min(max(soonest, now), now + GRAIN_S), self._check)

    def _check(self) -> None:
        assert self._loop is not None
        self._timer = None
        now = self._loop.time()
        for future in [future for future, until in self._until.items() if now >= until]:
            del self._until[future]
            if not future.done():
                future.set_exception(TimeoutError("it does not answer"))
        if self._until:
            self._set(min(self._until.values()))
