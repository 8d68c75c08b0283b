"""A token bucket against floods: refilled by time and by useful work.

Frames that cost us more than they cost the sender (resets, pings, settings, empty frames) each take one token. A client
that also does real work earns them back, because gRPC clients measure bandwidth with pings and cancel calls in bulk.
"""

from __future__ import annotations

from typing import final

__all__ = ["Budget"]


@final
class Budget:
    """At most `burst` at once, then `per_s` a second and one for each unit of work."""

    __slots__ = ("_at", "_burst", "_per_s", "_tokens", "_work")

    def __init__(self, burst: int, per_s: float, now: float) -> None:
        self._burst = float(burst)
        self._per_s = per_s
        self._tokens = float(burst)
        self._at = now
        self._work = 0

    def take(self, now: float, work: int) -> bool:
        """Spend one token; False when none is left. `work` is a counter that only grows."""
        earned = (now - self._at) * self._per_s + (work - self._work)
        self._at = now
        self._work = work
        tokens = min(self._burst, self._tokens + max(earned, 0.0))
        if tokens < 1.0:
            self._tokens = tokens
            return False
        self._tokens = tokens - 1.0
        return True
