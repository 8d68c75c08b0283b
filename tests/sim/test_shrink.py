"""Shrinking finds the few events that matter, keeps to the failure it was given, and to its time."""

from collections.abc import Sequence

import pytest

from raftly.testing.core_sim import kinds
from raftly.testing.core_sim.faults import Fault
from raftly.testing.core_sim.kinds import Job, Runner
from raftly.testing.core_sim.options import Options
from raftly.testing.core_sim.run import Outcome
from raftly.testing.core_sim.shrink import NothingFails, shrink

PLANNED = [Fault(at / 10, "write", (1,), 0.0, float(at)) for at in range(1000)]


def failing_with(*needed: float, spared: float = -1.0) -> Runner:
    """A run that fails when all of these events are in its script; in another way when only the first is."""

    def run(seed: int, options: Options, script: Sequence[Fault] | None = None) -> Outcome:
        outcome = Outcome(seed, script=list(PLANNED if script is None else script), seconds=90.0)
        amounts = [fault.amount for fault in outcome.script]
        if all(amount in amounts for amount in needed):
            outcome.problem = "SafetyViolation: found"
        elif needed and needed[0] in amounts and spared in amounts:
            outcome.problem = "NotLive: something else"
        return outcome

    return run


def test_what_does_not_matter_goes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(kinds.RUNNERS, "core", failing_with(17, 500, 501, 899, spared=3))
    steps: list[tuple[int, int]] = []
    shrunk = shrink(Job("core", 1, Options()), on_step=lambda left, runs: steps.append((left, runs)))
    assert shrunk.job.script is not None
    assert [fault.amount for fault in shrunk.job.script] == [17, 500, 501, 899]
    assert shrunk.problem == "SafetyViolation: found"
    assert shrunk.runs < 400
    assert [left for left, _ in steps] == sorted((left for left, _ in steps), reverse=True)
    assert shrunk.job.run().problem == shrunk.problem


def test_a_failure_without_any_event_leaves_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(kinds.RUNNERS, "core", failing_with())
    assert shrink(Job("core", 1, Options())).job.script == ()


def test_time_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(kinds.RUNNERS, "core", failing_with(17, 500))
    shrunk = shrink(Job("core", 1, Options()), within_s=0.0)
    assert shrunk.job.script is not None
    assert len(shrunk.job.script) == 901, "only what lies behind the failure went"


def test_a_run_that_passes_cannot_be_shrunk(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(kinds.RUNNERS, "core", failing_with(-1.0))
    with pytest.raises(NothingFails):
        shrink(Job("core", 1, Options()))
