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

    __slots__ = ("_asleep_until", "_at", "_boot", "_monotonic", "_wall", "rate")

    def __init__(self, monotonic: float = 0.0, wall: float = WALL_AT_START) -> None:
        self.rate = 1.0
        self._at = 0.0  # the world's time at which the two below were true
        self._monotonic = monotonic
        self._asleep_until = 0.0  # by the world's time
        self._boot = monotonic
        self._wall = wall

    def monotonic(self, now: float) -> float:
        """The host's `loop.time()` at a time of the world's."""
        asleep_until = self._asleep_until
        return self._monotonic + (max(now, asleep_until) - max(self._at, asleep_until)) * self.rate

    def boot(self, now: float) -> float:
        """Seconds since the machine was switched on, those in which it slept too: CLOCK_BOOTTIME."""
        return self._boot + (now - self._at) * self.rate

    def wall(self, now: float) -> float:
        """The host's seconds since 1970."""
        return self._wall + (now - self._at) * self.rate

    def when(self, monotonic: float) -> float:
        """The world's time at which the monotonic clock will show this, if nothing changes."""
        wait = (monotonic - self._monotonic) / self.rate
        return self._at + wait if wait <= 0 else max(self._at, self._asleep_until) + wait

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
        self._boot += seconds
        self._wall += seconds

    def sleep(self, now: float, seconds: float) -> None:
        """The monotonic clock stands still for so long; who could look meanwhile sleeps."""
        assert seconds >= 0
        self._settle(now)
        self._asleep_until = max(self._asleep_until, now + seconds)

    def wake(self, now: float) -> None:
        """It sleeps no longer."""
        self._settle(now)
        self._asleep_until = now

    def jump(self, now: float, seconds: float) -> None:
        """The wall clock is set, forward or back."""
        self._settle(now)
        self._wall += seconds

    def _settle(self, now: float) -> None:
        self._boot = self.boot(now)
        self._monotonic = self.monotonic(now)
        self._wall = self.wall(now)
        self._at = now
