"""Whatever a run ends with is a failure of its seed, with all that replays it: no exception ends the others."""

import gc
import pickle
import re

import pytest

from raftly.node.structures import Dict
from raftly.testing.core_sim.faults import Fault
from raftly.testing.core_sim.fleet import Totals, jobs_of, make_all
from raftly.testing.core_sim.kinds import Job
from raftly.testing.core_sim.options import Options
from raftly.testing.core_sim.run import problem_of
from raftly.testing.core_sim.shrink import shrink
from raftly.testing.sim import Run, World

SCRIPT = (Fault(0.3, "write", (1,), 0.0, 1.0),)


def fall(*_: object) -> None:
    raise KeyError("planted")


@pytest.mark.parametrize(
    ("kind", "where"),
    [("core", "raftly.testing.core_sim.inject.Injector._next"), ("full", "raftly.testing.sim.run.inject")],
)
def test_any_exception_is_a_failure_of_its_seed(kind: str, where: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(where, fall)
    jobs = [Job(kind, seed, Options("calm", seconds=0.5)) for seed in (3, 4)]
    totals = Totals()
    for done in make_all(jobs, 1):
        totals.add(*done)
    assert [job.seed for job, _ in totals.failures] == [3, 4]
    for _, problem in totals.failures:
        assert re.fullmatch(r"KeyError: 'planted' \(test_problems\.py:\d+ in fall\)", problem)
    assert shrink(Job(kind, 3, Options("calm", seconds=0.5), () if kind == "full" else SCRIPT)).job.script == ()


def test_a_run_that_cannot_even_begin_is_a_failure_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Run, "_plan", fall)
    assert Job("full", 3, Options("calm", seconds=0.5)).run().problem.startswith("KeyError: 'planted' (test_problems")


def test_what_nothing_explains_comes_home_from_another_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Dict, "_put", lambda self, *_: self.revision)  # what is written is lost
    job = Job("full", 1, Options("calm", seconds=0.5))
    outcome = pickle.loads(pickle.dumps(job.run()))
    assert outcome.problem.startswith("NotLinearizable: ")
    assert outcome.violation.operation.name in {"read", "cas"}
    totals = Totals()
    totals.add(job, outcome, 0.0)
    assert totals.violations == [(job, outcome.violation)]


def test_a_check_that_says_what_is_wrong_needs_no_place() -> None:
    assert problem_of(AssertionError("two lead")) == "AssertionError: two lead"
    assert problem_of(OSError("no room")) == "OSError: no room"


def test_a_run_leaves_no_world_behind() -> None:
    """Each was some hundred kilobytes of circles that nobody looked at: a gigabyte in an hour of seeds."""
    gc.disable()
    try:
        others = worlds()  # of tests before this one, which nobody has collected yet
        for _ in make_all(jobs_of(range(2), Options(seconds=0.5), "calm", 1.0), 1):
            assert [world for world in worlds() if not any(world is other for other in others)] == []
    finally:
        gc.enable()


def worlds() -> list[World]:
    return [it for it in gc.get_objects() if isinstance(it, World)]
