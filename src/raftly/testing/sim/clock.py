"""The two clocks of a host, as functions of the world's time."""

from __future__ import annotations

from typing import Final, final

WALL_AT_START: Final = 1_700_000_000.0


@final
class Clock:
    """A monotonic clock and a wall clock that run at one rate, right or wrong.

    The monotonic one never goes back (`skip` is a machine that was suspended and did not count the time as lost); the
    wall clock jumps both ways.
    """

    __slots__ = ("_at", "_monotonic", "_wall", "rate")

    def __init__(self, monotonic: float = 0.0, wall: float = WALL_AT_START) -> None:
        self.rate = 1.0
        self._at = 0.0  # the world's time at which the two below were true
        self._monotonic = monotonic
        self._wall = wall

    def monotonic(self, now: float) -> float:
        """The host's `loop.time()` at a time of the world's."""
        return self._monotonic + (now - self._at) * self.rate

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
        """Both clocks jump forward."""
        assert seconds >= 0
        self._settle(now)
        self._monotonic += seconds
        self._wall += seconds

    def jump(self, now: float, seconds: float) -> None:
        """The wall clock is set, forward or back."""
        self._settle(now)
        self._wall += seconds

    def _settle(self, now: float) -> None:
        self._monotonic = self.monotonic(now)
        self._wall = self.wall(now)
        self._at = now
