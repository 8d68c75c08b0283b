"""The two clocks of a host, as functions of the world's time."""

from __future__ import annotations

from typing import Final, final

WALL_AT_START: Final = 1_700_000_000.0


@final
class Clock:
    """A monotonic clock, one of the time since boot, and a wall clock; all run at one rate, right or wrong.

    The first two never go back, and differ by the time for which the machine slept: the monotonic clock stands still
    then (`sleep`), as CLOCK_MONOTONIC does. The wall clock jumps both ways.
    """

    __slots__ = ("_at", "_monotonic", "_slept", "_wall", "rate")

    def __init__(self, monotonic: float = 0.0, wall: float = WALL_AT_START) -> None:
        self.rate = 1.0
        self._at = 0.0  # the world's time at which the two below were true
        self._monotonic = monotonic
        self._slept = 0.0
        self._wall = wall

    def monotonic(self, now: float) -> float:
        """The host's `loop.time()` at a time of the world's."""
        return self._monotonic + (now - self._at) * self.rate

    def boot(self, now: float) -> float:
        """Seconds since the machine was switched on, those in which it slept too: CLOCK_BOOTTIME."""
        return self.monotonic(now) + self._slept

    def wall(self, now: float) -> float:
        """The host's seconds since 1970."""
        return self._wall + (now - self._at) * self.rate

    def when(self, monotonic: float) -> float:
        """The world's time at which the monotonic clock will show this, if nothing changes."""
        return self._at + (monotonic - self._monotonic) / self.rate

    def set_rate(self, now: float, rate: float) -> None:
        """From now on this many seconds pass here in one of the world's."""
        assert rate > 0
        self._settle(now)
        self.rate = rate

    def skip(self, now: float, seconds: float) -> None:
        """All clocks jump forward."""
        assert seconds >= 0
        self._settle(now)
        self._monotonic += seconds
        self._wall += seconds

    def sleep(self, now: float, seconds: float) -> None:
        """In so many seconds the monotonic clock will show what it shows now; who could look meanwhile sleeps."""
        assert seconds >= 0
        self._settle(now)
        self._monotonic -= seconds * self.rate
        self._slept += seconds * self.rate

    def jump(self, now: float, seconds: float) -> None:
        """The wall clock is set, forward or back."""
        self._settle(now)
        self._wall += seconds

    def _settle(self, now: float) -> None:
        self._monotonic = self.monotonic(now)
        self._wall = self.wall(now)
        self._at = now
