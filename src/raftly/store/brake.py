"""Brake: fewer writes while the engine's compactions are behind, before the engine stops all of them by itself.

TiKV's clients take ServerIsBusy for the end of an operation, or stay away for seconds. So a write waits first, the
longer the longer it lasts; only when that does not help are writes refused.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, final

from raftly.base.region_errors import ServerIsBusy

LOOK_S: Final = 0.25  # between two looks at the engine, which are not for nothing
FIRST_S: Final = 0.01
GROWTH: Final = 0.05  # of the time that it lasts
LONGEST_S: Final = 0.5  # a call of tikv-client has two seconds
REFUSE_AFTER_S: Final = 20.0
_BACKOFF_MS: Final = 1000


@final
class Brake:
    """Of one store. `is_busy` asks the engine. Without writes nobody asks. Times are the loop's."""

    __slots__ = ("_is_busy", "_looked", "_since", "waiting")

    def __init__(self, is_busy: Callable[[], bool]) -> None:
        self._is_busy = is_busy
        self._looked = float("-inf")
        self._since: float | None = None  # when it was first seen busy
        self.waiting = 0
        """Writes that wait now; whoever lets one wait counts it."""

    def delay(self, now: float) -> float:
        """Seconds that a write of now has to wait.

        Raises:
            ServerIsBusy: waiting did not help.
        """
        if now - self._looked >= LOOK_S:
            self._look(now)
        if self._since is None:
            return 0.0
        lasted = now - self._since
        if lasted > REFUSE_AFTER_S:
            raise ServerIsBusy(f"compactions have been behind for {lasted:.0f} seconds", _BACKOFF_MS)
        return min(FIRST_S + lasted * GROWTH, LONGEST_S)

    def _look(self, now: float) -> None:
        is_gap = now - self._looked > REFUSE_AFTER_S  # nobody wrote for long: what was then is not what is now
        self._looked = now
        if not self._is_busy():
            self._since = None
        elif self._since is None or is_gap:
            self._since = now
