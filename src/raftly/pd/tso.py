"""Timestamps: numbers that only grow, and tell the time while they do.

    timestamp = milliseconds since 1970 << 18 | a number within the millisecond, 1 to 2**18 - 1

    oracle.begin(saved_bound_ms, now_ms)     this member leads now: start at the bound, above all that was ever given
    oracle.take(count, now_ms)               the last of a batch; None: not now, see `wait_ms`
    oracle.bound_to_save(now_ms)             put this into the log, then `on_saved`

A timestamp is given only if its millisecond lies below a bound that the log holds, so whoever leads next, in this
process or another, starts at the bound. Who may call `take`: a leader that holds a lease at that moment, since another
one may already give higher ones out otherwise.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, final

from raftly.errors import LimitExceeded

LOGICAL_BITS: Final = 18
LOGICAL_MAX: Final = (1 << LOGICAL_BITS) - 1
WINDOW_MS: Final = 3000
"""How far ahead of the clock a bound is saved."""


@final
@dataclass(frozen=True, slots=True, order=True)
class Timestamp:
    """A timestamp taken apart."""

    physical_ms: int
    logical: int

    def as_int(self) -> int:
        """As it stands in keys and requests."""
        return self.physical_ms << LOGICAL_BITS | self.logical


def timestamp_of(number: int) -> Timestamp:
    """The timestamp that a number is."""
    return Timestamp(number >> LOGICAL_BITS, number & LOGICAL_MAX)


@final
class Oracle:
    """Gives timestamps out. Knows no clock: the milliseconds since 1970 are an argument, and may go back."""

    __slots__ = ("_last", "_saved_ms", "_window_ms")

    def __init__(self, window_ms: int = WINDOW_MS) -> None:
        self._window_ms = window_ms
        self._last = Timestamp(0, 0)  # the newest that was given out; physical_ms < _saved_ms
        self._saved_ms = 0

    @property
    def last(self) -> Timestamp:
        """Everything given out is at or below it."""
        return self._last

    def begin(self, saved_ms: int, now_ms: int) -> None:
        """Start, or start again, knowing nothing but the saved bound and the clock."""
        assert saved_ms > self._last.physical_ms or self._last == Timestamp(0, 0), "given out above the saved bound"
        # A clock ahead of the bound is fine: nothing is given out before a bound above it is saved.
        self._last = Timestamp(max(saved_ms, now_ms), 0)
        self._saved_ms = saved_ms

    def take(self, count: int, now_ms: int) -> Timestamp | None:
        """The last of `count` consecutive timestamps of one millisecond; None when the caller has to wait.

        Raises:
            LimitExceeded: no millisecond has so many, or there are none to give.
        """
        if not 1 <= count <= LOGICAL_MAX:
            raise LimitExceeded("timestamps", count, LOGICAL_MAX)
        physical_ms, logical = self._last.physical_ms, self._last.logical
        if now_ms > physical_ms:
            physical_ms, logical = now_ms, 0
        if logical + count > LOGICAL_MAX:
            if now_ms == physical_ms:
                return None  # the next millisecond is near
            physical_ms, logical = physical_ms + 1, 0  # the clock lags: it would be a long wait
        if physical_ms >= self._saved_ms:
            return None
        self._last = Timestamp(physical_ms, logical + count)
        return self._last

    def bound_to_save(self, now_ms: int) -> int | None:
        """The bound that the log should hold, when what it holds is soon used up; None while there is room."""
        ahead_ms = max(now_ms, self._last.physical_ms)
        if self._saved_ms - ahead_ms > self._window_ms // 2:
            return None
        return ahead_ms + self._window_ms

    def on_saved(self, bound_ms: int) -> None:
        """The log holds this bound."""
        self._saved_ms = max(self._saved_ms, bound_ms)
