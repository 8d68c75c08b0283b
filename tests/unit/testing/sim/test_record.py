"""What a page shows of a run that fails: the state that fails, and why."""

import pytest

from raftly.core.raft import Raft
from raftly.testing.checks import Checker, SafetyViolation
from raftly.testing.core_sim import Options
from raftly.testing.core_sim import run as run_core
from raftly.testing.core_sim.record import CoreRecorder
from raftly.testing.html import TraceEvent
from raftly.testing.sim import Host, Recorder, Run, RunOptions
from raftly.testing.sim.watch import core_of
from tests.support.nodes import Register
from tests.unit.testing.sim.machine import workload

ENOUGH = 20


def judge(events: list[TraceEvent], failed: str) -> None:
    states = [event for event in events if event.kind == "state" and event.node == failed]
    commits = [event.data.get("commit") for event in states[-2:]]
    assert commits[0] is not None
    assert commits[1] is not None
    assert commits[0] <= ENOUGH < commits[1]  # type: ignore[operator]
    notes = [event for event in events if event.kind == "note" and "failed" in str(event.data["text"])]
    assert [(event.at, event.node) for event in notes] == [(states[-1].at, "cluster")]
    assert "SafetyViolation: planted" in str(notes[0].data["text"])
    assert not [event for event in events if event.kind == "state" and event.at and event.data["role"] == "down"]


def test_a_page_of_whole_nodes_holds_the_state_that_fails() -> None:
    run = Run(1, Register, workload, RunOptions(profile="calm", seconds=3.0))

    def check(host: Host) -> None:
        if host.name == "node1" and 1 in run.cluster.nodes and core_of(run.cluster.nodes[1]).log.committed > ENOUGH:
            raise SafetyViolation("planted")

    run.world.after_turn.append(check)
    recorder = Recorder(run)
    with pytest.raises(SafetyViolation, match="planted"):
        run.go()
    judge(recorder.events(), "node1")


def test_a_page_of_the_core_holds_the_state_that_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    sound = Checker.look

    def look(self: Checker, raft: Raft, now: int = 0) -> None:
        sound(self, raft, now)
        if raft.id == 1 and raft.log.committed > ENOUGH:
            raise SafetyViolation(f"planted, at {now}")

    monkeypatch.setattr(Checker, "look", look)
    recorder = CoreRecorder()
    outcome = run_core(1, Options(profile="calm", seconds=3.0), recorder=recorder)
    assert "planted" in outcome.problem
    judge(recorder.events(outcome.script), "node1")
