"""Clock: when a leader puts its clock into the log although nobody calls anything."""

from __future__ import annotations

from typing import Final, final


@final
class Clock:
    """Decides at each tick; `interval` and `retry` are seconds.

    Log time has to pass while something waits for it: sessions that may expire, which are not in a hurry and get an
    entry every `interval`, and what the class itself planned (`log_time.Timed`), which gets one when its time comes.
    """

    __slots__ = ("_asked_at", "_asked_due_us", "_interval", "_retry")

    def __init__(self, interval: float, retry: float) -> None:
        self._interval: Final = interval
        self._retry: Final = retry
        self._asked_at = float("-inf")
        self._asked_due_us = 0

    def wants_entry(self, now: float, stamp_us: int, log_us: int, due_us: int | None, *, sessions: bool) -> bool:
        """Is an entry with this stamp to be proposed now? One that was lost is asked for again."""
        since = now - self._asked_at
        if due_us is not None and stamp_us >= due_us:
            wanted = due_us != self._asked_due_us or since >= self._retry
        else:
            wanted = sessions and since >= self._interval and stamp_us >= log_us + int(self._interval * 1e6)
        if wanted:
            self._asked_at = now
            self._asked_due_us = due_us or 0
        return wanted
