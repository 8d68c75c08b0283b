"""Shrinking: fewer faults that fail in the same way."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any

from raftly.testing.shrink import shrink_list
from raftly.testing.sim.faults import Fault
from raftly.testing.sim.run import Run


def shrink_run(
    make: Callable[[Sequence[Fault]], Run[Any]], faults: Sequence[Fault], error: type[AssertionError], seconds: float
) -> list[Fault]:
    """Leave faults out as long as the run still fails with `error`; stop after so many real seconds.

    Any part of a list of faults is a list of faults, so each try is a run as good as the first. What is left is minimal
    when there was time enough: without any one of them it passes.
    """
    until = time.monotonic() + seconds
    return list(shrink_list(faults, lambda fewer: _fails(make(fewer), error), lambda: time.monotonic() < until))


def _fails(run: Run[Any], error: type[AssertionError]) -> bool:
    try:
        run.go()
    except error:
        return True
    except AssertionError:
        return False  # another failure would be another story
    return False
