"""Backoff: how long to wait before another attempt, by what went wrong, within a deadline. Pure: time comes in."""

from __future__ import annotations

from enum import Enum
from typing import Final, Protocol, final

__all__ = ["Backoff", "Cause", "Draw"]


class Cause(Enum):
    """What an attempt met."""

    LEADER_MOVED = "leader moved"  # it says who leads now
    NO_LEADER = "no leader"  # an election, which is over within a second or two
    ROUTE = "route"  # the region has changed or is elsewhere
    NOT_READY = "not ready"  # the region is there and does not serve this just now: a merge, a new term, a replica
    CONNECTION = "connection"  # a store or its link is gone
    BUSY = "busy"  # a store has too much to do
    PLACEMENT = "placement"  # the placement driver does not answer, or has no leader


# the first pause after it, and the longest, in seconds
PAUSES: Final = {
    Cause.LEADER_MOVED: (0.001, 0.5),
    Cause.NO_LEADER: (0.01, 0.5),
    Cause.ROUTE: (0.002, 0.5),
    Cause.NOT_READY: (0.005, 0.5),
    Cause.CONNECTION: (0.02, 0.5),
    Cause.BUSY: (0.1, 3.0),
    Cause.PLACEMENT: (0.02, 0.5),
}


class Draw(Protocol):
    """Where jitter comes from: `random.Random`, or a seeded stand-in."""

    def random(self) -> float:
        """Uniform in [0, 1)."""
        ...


@final
class Backoff:
    """The pauses of one request. Each cause has its own: they double from the first to the last, half of it by chance.

    `deadline` is in the same seconds as every `now`. Compare: tikv/client-go, internal/retry/backoff.go.
    """

    __slots__ = ("_draw", "_met", "deadline")

    def __init__(self, deadline: float, draw: Draw) -> None:
        self.deadline: Final = deadline
        self._draw = draw
        self._met: dict[Cause, int] = {}

    def left(self, now: float) -> float:
        """Seconds until the deadline, not below 0."""
        return max(self.deadline - now, 0.0)

    def pause(self, cause: Cause, now: float, at_least: float = 0.0) -> float | None:
        """Seconds to wait, at least what the server advised; None when the deadline would pass meanwhile."""
        met = self._met.get(cause, 0)
        self._met[cause] = met + 1
        first_s, last_s = PAUSES[cause]
        whole = min(last_s, first_s * 2.0 ** min(met, 16))
        pause = max(at_least, whole * (0.5 + 0.5 * self._draw.random()))
        return None if now + pause >= self.deadline else pause
