"""`raftly sim`: what it prints, and how it ends."""

import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from raftly.cli import sim as command
from raftly.cli.form import core_form
from raftly.cli.sim import sim
from raftly.node.structures import Dict
from raftly.testing.core_sim import healing, kinds
from raftly.testing.core_sim.faults import Fault
from raftly.testing.core_sim.fleet import PROFILE_NAMES, jobs_of, size_of
from raftly.testing.core_sim.options import Options
from raftly.testing.core_sim.run import Outcome

SMALL = ("--jobs", "1", "--seconds", "0.5")


def fail(seed: int, options: Options, script: Sequence[Fault] | None = None) -> Outcome:
    return Outcome(seed, problem=f"SafetyViolation: planted in {options.profile}", script=[Fault(0.1, "exit", (1,))])


def events_of(page: Path) -> list[Any]:
    found = re.search(r'id="events">(.*?)</script>', page.read_text(), re.DOTALL)
    assert found is not None
    events: list[Any] = json.loads(found[1])
    return events


def test_seeds_are_run_and_counted(tmp_path: Path) -> None:
    report = tmp_path / "report.md"
    done = CliRunner().invoke(sim, ["run", "--seeds", "0..5", *SMALL, "--full-share", "0", "--report", str(report)])
    assert done.exit_code == 0, done.output
    lines = done.output.splitlines()
    assert lines[-1] == "5 passed, 0 failed"
    assert lines[0].startswith("core: 5 seeds, 0.00 virtual hours, ")
    assert "events/s" in lines[0]
    assert f"raftly core: {core_form()}" in lines
    assert re.search(rf"\n5 passed, 0 failed, in \d\.\d minutes; raftly core: {core_form()}\.\n", report.read_text())


def test_an_interrupt_tells_what_was_done_until_then(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(seed: int, options: Options, script: Sequence[Fault] | None = None) -> Outcome:
        if seed == 6:
            raise KeyboardInterrupt
        return Outcome(seed)

    monkeypatch.setitem(kinds.RUNNERS, "core", interrupt)
    report = tmp_path / "report.md"
    done = CliRunner().invoke(sim, ["run", "--seeds", "4..", *SMALL, "--full-share", "0", "--report", str(report)])
    assert done.exit_code == 130
    assert "interrupted: " in done.output
    assert done.output.splitlines()[-1] == "2 passed, 0 failed"
    assert "2 passed, 0 failed" in report.read_text()


def test_json_is_one_object() -> None:
    done = CliRunner().invoke(sim, ["run", "--seeds", "0..3", *SMALL, "--full-share", "0.4", "--json"])
    assert done.exit_code == 0, done.output
    told = json.loads(done.output)
    assert (told["passed"], told["failed"], told["core_form"]) == (3, [], core_form())
    assert sum(kind["seeds"] for kind in told["kinds"].values()) == 3
    assert told["kinds"]["full"]["seeds"] >= 1
    assert any(pair.endswith("MsgApp") for pair in told["reached"])


def test_a_failure_says_how_to_see_it_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(kinds.RUNNERS, "core", fail)
    done = CliRunner().invoke(sim, ["run", "--seeds", "4..6", *SMALL, "--full-share", "0", "--profile", "storm"])
    assert done.exit_code == 1
    assert done.output.splitlines()[-1] == "0 passed, 2 failed"
    assert f"raftly sim replay 4 --profile storm --size {size_of('core', 4)} --seconds 0.5" in done.output
    assert "planted in storm" in done.output


def test_a_replay_is_a_timeline_until_a_time() -> None:
    arguments = ["replay", "3", "--profile", "storm", "--seconds", "2", "--until", "1"]
    done = CliRunner().invoke(sim, arguments)
    assert done.exit_code == 0, done.output
    *lines, summary, verdict = done.output.splitlines()
    assert any(" fault " in line for line in lines)
    assert any(" leader in term " in line for line in lines)
    assert all(float(line.split()[0]) <= 1 for line in lines)
    assert summary.startswith("1.000 virtual seconds, ")
    assert verdict == "stopped at 1 s, not judged to its end"
    assert CliRunner().invoke(sim, arguments).output == done.output


def test_a_replay_shows_the_healing_too_until_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a run that does not get on when all is healed, that is what one wants to see."""
    monkeypatch.setattr(healing, "_is_converged", lambda *_: False)
    arguments = ["replay", "4", "--profile", "storm", "--size", "3", "--seconds", "1"]
    whole = CliRunner().invoke(sim, arguments)
    assert whole.exit_code == 1
    lines = whole.output.splitlines()
    healed = next(number for number, line in enumerate(lines) if line.endswith("heal"))
    first = next(line for line in lines[healed:] if " leader in term " in line)
    assert float(first.split()[0]) > 1
    until = float(first.split()[0]) + 0.001
    part = CliRunner().invoke(sim, [*arguments, "--until", f"{until:f}"])
    assert part.exit_code == 0
    *shown, summary, verdict = part.output.splitlines()
    assert shown == [line for line in lines if line in shown]
    assert shown == lines[: len(shown)]
    assert shown[-1] == first
    assert summary.startswith(f"{until:.3f} virtual seconds, ")
    assert verdict == f"stopped at {until:g} s, not judged to its end"


def test_a_run_that_ends_before_that_time_is_judged() -> None:
    arguments = ["replay", "3", "--profile", "storm", "--seconds", "1", "--quiet"]
    done = CliRunner().invoke(sim, [*arguments, "--until", "30"])
    assert done.output.splitlines()[-1] == "passed"
    assert CliRunner().invoke(sim, arguments).output == done.output


@pytest.mark.parametrize(("kind", "seed", "profile"), [("core", 17, "membership"), ("full", 20, "disk")])
def test_a_seed_alone_is_replayed_as_it_was_run(kind: str, seed: int, profile: str) -> None:
    [job] = jobs_of([seed], Options(size=0, seconds=0.5), "", float(kind == "full"))
    assert (job.options.profile, job.options.size) == (profile, 5)
    done = CliRunner().invoke(sim, ["replay", str(seed), "--kind", kind, "--seconds", "0.5", "--quiet"])
    assert f"digest {job.run().digest}" in done.output


def test_a_seed_alone_is_shrunk_as_it_was_run(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(kinds.RUNNERS, "core", fail)
    done = CliRunner().invoke(sim, ["shrink", "17", "--to", str(tmp_path / "small.script")])
    assert "planted in membership" in done.output
    assert kinds.load(tmp_path / "small.script").options.size == 5


@pytest.mark.parametrize("kind", ["core", "full"])
def test_a_page_shows_a_run_with_its_roles_messages_and_faults(kind: str, tmp_path: Path) -> None:
    page = tmp_path / "run.html"
    arguments = ["replay", "3", "--kind", kind, "--profile", "storm", "--seconds", "1", "--quiet"]
    done = CliRunner().invoke(sim, [*arguments, "--trace", str(page)])
    assert done.exit_code == 0, done.output
    assert CliRunner().invoke(sim, arguments).output == done.output, "to look at it changes nothing"
    events = events_of(page)
    assert {event[1] for event in events} >= {"state", "message", "fault", "note"}
    assert {event[3].get("role") for event in events if event[1] == "state"} >= {"leader", "follower", "down"}
    assert [event[0] for event in events] == sorted(event[0] for event in events)
    lasts = [event[3]["last"] for event in events if event[1] == "state" and "last" in event[3]]
    assert max(lasts) > 1
    arrived = [event for event in events if event[1] == "message" and event[3]["until"] is not None]
    assert len(arrived) > 20
    assert all(event[0] <= event[3]["until"] for event in arrived)


def test_the_page_of_many_runs_is_of_the_first_that_failed_or_of_the_last(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    page = tmp_path / "run.html"
    arguments = ["run", "--seeds", "4..7", *SMALL, "--full-share", "0", "--profile", "calm", "--trace", str(page)]
    assert CliRunner().invoke(sim, arguments).exit_code == 0
    assert "<title>Seed 6, core, calm: passed</title>" in page.read_text()
    monkeypatch.setitem(kinds.RUNNERS, "core", fail)
    assert CliRunner().invoke(sim, arguments).exit_code == 1
    assert "<title>Seed 4, core, calm: " in page.read_text()


def test_the_history_that_nothing_explains_is_on_a_page(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Registers lose what is written: of seeds 0 (a queue) to 3 the runs of 1 and 3 fail."""
    monkeypatch.setattr(Dict, "_put", lambda self, *_: self.revision)
    page = tmp_path / "history.html"
    shape = ["--profile", "calm", "--size", "3", "--seconds", "0.5", "--history", str(page)]
    done = CliRunner().invoke(sim, ["run", "--seeds", "0..4", "--jobs", "1", "--full-share", "1", *shape])
    assert done.output.splitlines()[-1] == "2 passed, 2 failed"
    told = page.read_text()
    assert "<title>Seed 1, calm: not linearizable</title>" in told
    page.unlink()
    assert CliRunner().invoke(sim, ["replay", "1", "--kind", "full", "--quiet", *shape]).exit_code == 1
    assert page.read_text() == told


def test_a_history_that_is_linearizable_is_on_no_page(tmp_path: Path) -> None:
    page = tmp_path / "history.html"
    shape = ["--kind", "full", "--profile", "calm", "--seconds", "0.5", "--history", str(page)]
    assert CliRunner().invoke(sim, ["replay", "1", "--quiet", *shape]).exit_code == 0
    assert not page.exists()


def test_the_steps_of_the_core_are_written_for_tla(tmp_path: Path) -> None:
    path = tmp_path / "trace.ndjson"
    arguments = ["--profile", "storm", "--size", "3", "--seconds", "2", "--tla", str(path)]
    done = CliRunner().invoke(sim, ["run", "--seeds", "0..2", "--jobs", "1", *arguments])
    assert done.exit_code == 0, done.output
    lines = path.read_text().splitlines()
    assert len(lines) == 500
    records = [json.loads(line) for line in lines]
    names = [record["event"]["name"] for record in records]
    assert set(names) >= {"InitState", "BecomeLeader", "Replicate", "Commit", "SendAppendEntriesResponse", "Ready"}
    assert names.count("InitState") > 3, "nodes are started again"
    # A group begins with one configuration entry of term 1 for each voter, and none is joint.
    assert all(record["event"]["conf"][1] == [] for record in records)
    first = [record["event"] for record in records if record["event"]["nid"] == "1"][:6]
    assert [event["name"] for event in first] == ["InitState", "BecomeFollower", *["ApplyConfChange"] * 3, "Ready"]
    assert (first[-1]["state"]["term"], first[-1]["log"], first[-1]["state"]["commit"]) == (1, 3, 3)
    again = ["replay", "1", *arguments]
    assert CliRunner().invoke(sim, again).exit_code == 0
    assert path.read_text().splitlines() == lines
    assert CliRunner().invoke(sim, [*again, "--kind", "full"]).exit_code == 2


def test_a_failing_run_is_shrunk_into_a_file_that_replays(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(kinds.RUNNERS, "core", fail)
    path = tmp_path / "small.script"
    done = CliRunner().invoke(sim, ["shrink", "3", "--to", str(path)])
    assert done.exit_code == 0, done.output
    assert "0 events are left" in done.output
    assert kinds.load(path).seed == 3
    monkeypatch.undo()
    assert CliRunner().invoke(sim, ["replay", str(path), "--until", "0.1"]).exit_code == 0
    assert CliRunner().invoke(sim, ["shrink", str(path)]).exit_code == 1


def test_the_command_knows_every_profile() -> None:
    assert PROFILE_NAMES["core"] == command._CORE_PROFILES
    assert set(command._PROFILES) == set(PROFILE_NAMES["full"])


def test_a_profile_of_whole_nodes_only_makes_full_runs() -> None:
    arguments = ["--profile", "upgrade", "--seconds", "2"]
    done = CliRunner().invoke(sim, ["run", "--seeds", "1..2", "--jobs", "1", "--full-share", "0", "--json", *arguments])
    assert done.exit_code == 0, done.output
    assert list(json.loads(done.output)["kinds"]) == ["full"]
    assert CliRunner().invoke(sim, ["replay", "1", "--kind", "full", *arguments]).exit_code == 0


@pytest.mark.parametrize(
    "arguments",
    [
        ["run", "--seeds", "x..3"],
        ["replay", "no-such-file"],
        ["run", "--profile", "x"],
        ["replay", "1", "--profile", "upgrade"],
        ["shrink", "1", "--profile", "upgrade"],
        ["run", "--profile", "upgrade", "--tla", "x"],
        ["replay", "1", "--history", "x"],
    ],
)
def test_bad_arguments_are_refused(arguments: list[str]) -> None:
    done = CliRunner().invoke(sim, arguments)
    assert done.exit_code == 2
    assert "Traceback" not in done.output
