"""Shrinking runs of either kind: fewer events that still make one fail, within a bounded time.

A run that fails otherwise than before (another kind of error) is not taken, so that one fault is not shrunk into
another. First everything behind the failure goes.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final, final

from raftly.testing.core_sim.faults import Fault
from raftly.testing.core_sim.kinds import Job
from raftly.testing.shrink import shrink_list

SHRINK_S: Final = 300.0


@final
@dataclass(frozen=True, slots=True)
class Shrunk:
    """What came of it."""

    job: Job
    """With the small script."""
    problem: str
    runs: int
    seconds: float


class NothingFails(ValueError):
    """The run that is to be shrunk passes."""


def shrink(job: Job, within_s: float = SHRINK_S, on_step: Callable[[int, int], None] | None = None) -> Shrunk:
    """Shrink a failing run; `on_step` hears of (events left, runs made).

    Raises:
        NothingFails: it passes.
    """
    begun = time.monotonic()
    first = job.run()
    if not first.problem:
        raise NothingFails(f"seed {job.seed} passes: there is nothing to shrink")
    kind = _kind(first.problem)
    best, problem, runs = tuple(first.script), first.problem, 1

    def fails(script: tuple[Fault, ...]) -> bool:
        nonlocal best, problem, runs
        outcome = replace(job, script=script).run()
        runs += 1
        if _kind(outcome.problem) != kind:
            return False
        best, problem = script, outcome.problem
        if on_step is not None:
            on_step(len(best), runs)
        return True

    if "NotLive" not in kind:
        fails(tuple(fault for fault in best if fault.at <= first.seconds))
    shrink_list(best, fails, lambda: time.monotonic() - begun < within_s)
    return Shrunk(replace(job, script=best), problem, runs, time.monotonic() - begun)


def _kind(problem: str) -> str:
    """What two failures must share to be taken for the same."""
    return problem.partition(":")[0]
