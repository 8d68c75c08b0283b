"""Traces of whole clusters: well formed in every scenario; and, where TLC and the specification are at hand, accepted.

For the latter set TLA_SPEC to the directory of Traceetcdraft.tla and TLA_JAR to tla2tools.jar.
"""

from __future__ import annotations

import copy
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.tla.corrupt import CORRUPTIONS, corruptions
from tests.tla.form import faults
from tests.tla.scenarios import SCENARIOS, run
from tests.tla.tlc import SPEC_FILES, missing, replay, to_tla

SIZES = (3, 5)


def trace_of(name: str, size: int = 3, seed: int = 1) -> list[dict[str, Any]]:
    lines = [json.dumps(record) for record in run(name, size, seed)]
    return [json.loads(line) for line in lines]


@pytest.mark.parametrize("seed", range(2))
@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("name", SCENARIOS)
def test_traces_are_well_formed(name: str, size: int, seed: int) -> None:
    assert faults(trace_of(name, size, seed)) == []


@pytest.mark.parametrize("name", ["loss", "turmoil"])
def test_a_trace_is_the_same_for_the_same_seed(name: str) -> None:
    assert run(name, 3, 5) == run(name, 3, 5)
    assert run(name, 3, 5) != run(name, 3, 6)


@pytest.mark.parametrize(
    "name,told",
    [
        ("conflict", lambda e: e["name"] == "ReceiveAppendEntriesRequest" and e["log"] > e["msg"]["index"] > 3),
        (
            "catch_up",
            lambda e: e.get("msg", {}).get("type") == "MsgApp" and e["msg"]["commit"] == e["state"]["commit"] - 1,
        ),
        ("learner", lambda e: e["name"] == "ReceiveAppendEntriesResponse" and e["msg"]["reject"]),
        ("restart", lambda e: e["name"] == "InitState" and e["conf"] == [["1", "2", "3"], []] and e["log"] > 3),
        ("snapshot", lambda e: e["name"] == "ReceiveAppendEntriesRequest" and e["msg"]["type"] == "MsgSnap"),
        (
            "membership",
            lambda e: e["name"] == "ChangeConf" and e["prop"]["cc"]["changes"][0]["action"] == "RemoveServer",
        ),
        ("learner", lambda e: e["name"] == "ChangeConf" and e["prop"]["cc"]["changes"][0]["action"] == "AddLearner"),
        ("loss", lambda e: e["name"] == "BecomeFollower" and e["log"] > 3),
    ],
)
def test_scenarios_show_what_they_are_for(name: str, told: Callable[[dict[str, Any]], bool]) -> None:
    assert any(told(line["event"]) for line in trace_of(name))


def test_a_bootstrapped_node_starts_with_its_members_committed_at_term_1() -> None:
    events = [line["event"] for line in trace_of("replication") if line["event"]["nid"] == "1"]
    start = events[: next(at for at, event in enumerate(events) if event["name"] == "Ready")]
    assert [event["name"] for event in start] == ["InitState", "BecomeFollower"] + ["ApplyConfChange"] * 3
    assert start[-1]["state"] == {"term": 1, "vote": "0", "commit": 3}
    assert (start[-1]["log"], start[-1]["prop"]) == (3, {"cc": {"newconf": ["1", "2", "3"]}})


def test_a_restart_is_one_event() -> None:
    events = [line["event"] for line in trace_of("restart")]
    starts = [at for at, event in enumerate(events) if event["name"] == "InitState"][3:]
    assert len(starts) == 2
    for at in starts:
        nid = events[at]["nid"]
        following = next(event for event in events[at + 1 :] if event["nid"] == nid)
        assert following["name"] in {"Ready", "ReceiveAppendEntriesRequest", "ReceiveRequestVoteRequest"}


def test_an_append_commits_no_more_than_it_brings() -> None:
    events = [line["event"] for name in ("loss", "turmoil", "snapshot") for line in trace_of(name)]
    appends = [event["msg"] for event in events if event.get("msg", {}).get("type") == "MsgApp"]
    assert all(message["commit"] <= message["index"] + message["entries"] for message in appends)


# --- the checker can fail --------------------------------------------------------------------------------------


def _without(lines: list[dict[str, Any]], name: str) -> list[dict[str, Any]]:
    at = next(at for at, line in enumerate(lines) if line["event"]["name"] == name)
    return lines[:at] + lines[at + 1 :]


@pytest.mark.parametrize("name", ["InitState", "BecomeCandidate", "BecomeLeader", "SendRequestVoteRequest"])
def test_a_missing_event_is_found(name: str) -> None:
    assert faults(_without(trace_of("replication"), name))


@pytest.mark.parametrize("field", ["name", "nid", "state", "role", "log", "conf"])
def test_a_missing_field_is_found(field: str) -> None:
    lines = trace_of("replication")
    del lines[40]["event"][field]
    assert faults(lines)


@pytest.mark.parametrize(
    "field,value", [("type", "MsgPreVote"), ("term", "1"), ("reject", 0), ("from", "0"), ("vote", "x")]
)
def test_a_wrong_message_field_is_found(field: str, value: object) -> None:
    lines = trace_of("replication")
    at = next(at for at, line in enumerate(lines) if line["event"]["name"].startswith("SendAppend"))
    lines[at]["event"]["msg"][field] = value
    assert faults(lines)


def test_a_second_delivery_is_found() -> None:
    lines = trace_of("election")
    at = next(at for at, line in enumerate(lines) if line["event"]["name"].startswith("ReceiveRequestVoteRequest"))
    lines.insert(at, copy.deepcopy(lines[at]))
    assert any("was not released" in fault for fault in faults(lines))


def test_a_trace_can_be_too_long() -> None:
    lines = trace_of("replication")
    assert faults(lines * 4)[0] == f"{4 * len(lines)} events, 500 are allowed"


def test_corruptions_change_the_trace() -> None:
    records = run("conflict", 3, 0)
    spoilt = corruptions(records)
    assert set(spoilt) == set(CORRUPTIONS)
    assert all(other != records for other in spoilt.values())


# --- TLC -------------------------------------------------------------------------------------------------------


def test_values_as_tla() -> None:
    value = to_tla({"a": 1, "b": ["2", True], "c": {}, "d": False})
    assert value == '[a |-> 1, b |-> <<"2", TRUE>>, c |-> <<>>, d |-> FALSE]'


def test_what_is_missing_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    jar = tmp_path / "tla2tools.jar"
    monkeypatch.setattr("shutil.which", lambda _: None)
    assert "java" in missing(tmp_path, jar)
    monkeypatch.setattr("shutil.which", lambda name: name)
    assert "jar" in missing(tmp_path, None)
    jar.touch()
    assert "specification" in missing(None, jar)
    for name in SPEC_FILES:
        (tmp_path / name).touch()
    assert missing(tmp_path, jar) == ""


def _tools() -> tuple[Path, Path]:
    spec, jar = (Path(os.environ[name]) if name in os.environ else None for name in ("TLA_SPEC", "TLA_JAR"))
    reason = missing(spec, jar)
    if reason or spec is None or jar is None:
        pytest.skip(reason)
    return spec, jar


@pytest.mark.parametrize("name", SCENARIOS)
def test_the_specification_accepts(name: str) -> None:
    verdict = replay(run(name, 3, 0), *_tools())
    assert verdict.accepted, verdict.output


@pytest.mark.parametrize("corruption", CORRUPTIONS)
def test_the_specification_rejects(corruption: str) -> None:
    tools = _tools()
    assert not replay(corruptions(run("conflict", 3, 0))[corruption], *tools).accepted
