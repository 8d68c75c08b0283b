"""The TLA+ form of the trace: what is told of each event, when, and what is left out."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from raftly.base.membership import ConfChange, ConfChangeType, ConfChangeV2, ConfState, parse_changes
from raftly.base.types import Entry, HardState, Snapshot, SnapshotMeta
from raftly.core import trace
from raftly.core.config import Config
from raftly.core.messages import MsgApp, MsgSnap, MsgVote
from raftly.core.raw_node import RawNode
from raftly.core.role import Role
from raftly.core.tlatrace import TlaRecord, TlaTracer, tla_record
from tests.support.network import storage_with
from tests.unit.core.test_logtext import LINES, MUTE

CONFIG = Config(id=1)
STATE_ONLY = {"name", "nid", "state", "role", "log", "conf"}


class Traced:
    """A node and what it told, one dict an event."""

    def __init__(self, config: Config = CONFIG, **storage: Any) -> None:
        self.told: list[dict[str, Any]] = []
        self.storage = storage_with(**storage)
        self.node = RawNode(config, self.storage, TlaTracer(self._take))

    def _take(self, record: TlaRecord) -> None:
        line = json.loads(json.dumps(record))
        assert set(line) == {"tag", "event"}
        assert line["tag"] == "trace"
        assert set(line["event"]) - {"msg", "prop"} == STATE_ONLY
        self.told.append(line["event"])

    def names(self) -> list[str]:
        names = [event["name"] for event in self.told]
        self.told.clear()
        return names

    def advance(self) -> None:
        """Write what is to be written, and go on."""
        ready = self.node.ready()
        if ready.hard_state is not None:
            self.storage.set_hard_state(ready.hard_state)
        self.storage.append(ready.entries)
        self.node.advance()


def test_a_start_is_told_with_the_stored_state() -> None:
    traced = Traced(voters=(1, 2, 3), terms=(1, 2), term=3, vote=2, commit=1)
    # To the specification a start is one step: what was stored is all there at once, and nothing else is told.
    assert traced.told == [
        {
            "name": "InitState",
            "nid": "1",
            "state": {"term": 3, "vote": "2", "commit": 1},
            "role": "StateFollower",
            "log": 2,
            "conf": [["1", "2", "3"], []],
        }
    ]


def test_a_restarted_node_is_told_of_from_its_start_on() -> None:
    traced = Traced(voters=(1,))
    tracer = TlaTracer(traced._take)
    traced.told.clear()
    RawNode(CONFIG, traced.storage, tracer).campaign()
    RawNode(CONFIG, traced.storage, tracer).campaign()
    assert traced.names() == ["InitState", "BecomeCandidate", "SendRequestVoteResponse"] * 2


def test_an_append_commits_no_more_than_it_brings() -> None:
    raft = Traced(voters=(1, 2)).node.raft
    for entries, told in ((2, 5), (3, 6), (4, 6)):
        append = MsgApp(2, 1, 4, 4, 3, [Entry()] * entries, 6)
        record = tla_record(raft, trace.MessageSent(append))
        assert record is not None
        assert isinstance(record["event"], dict)
        assert isinstance(record["event"]["msg"], dict)
        assert record["event"]["msg"]["commit"] == told


def test_a_snapshot_commits_what_it_covers() -> None:
    traced = Traced(voters=(1,), snapshot=(9, 2))
    traced.storage.set_hard_state(HardState())
    traced.told.clear()
    RawNode(CONFIG, traced.storage, TlaTracer(traced._take))
    assert traced.told[0]["state"] == {"term": 0, "vote": "0", "commit": 9}


def test_an_election_and_a_proposal() -> None:
    traced = Traced(voters=(1,))
    traced.told.clear()
    traced.node.campaign()
    assert traced.names() == ["BecomeCandidate", "SendRequestVoteResponse"]
    traced.advance()
    # The leader appends its empty entry, and acknowledges it to itself once it is durable.
    assert [(event["name"], event["role"], event["log"]) for event in traced.told] == [
        ("Ready", "StateCandidate", 0),
        ("ReceiveRequestVoteResponse", "StateCandidate", 0),
        ("BecomeLeader", "StateLeader", 0),
        ("Replicate", "StateLeader", 0),
        ("SendAppendEntriesResponse", "StateLeader", 1),
    ]
    traced.told.clear()
    traced.advance()
    assert [(event["name"], event["state"]["commit"]) for event in traced.told] == [
        ("Ready", 0),
        ("ReceiveAppendEntriesResponse", 0),
        ("Commit", 1),
    ]


def test_a_pre_candidate_is_what_it_was_before() -> None:
    traced = Traced(replace(CONFIG, pre_vote=True), voters=(1, 2, 3), terms=(1, 2), term=2)
    traced.node.campaign()
    assert traced.node.raft.role is Role.PRE_CANDIDATE
    traced.node.step(MsgVote(1, 2, 2, 2, 2))
    assert [(event["name"], event["role"]) for event in traced.told[1:]] == [
        ("ReceiveRequestVoteRequest", "StateFollower"),
        ("SendRequestVoteResponse", "StateFollower"),
    ]


def test_a_change_of_members() -> None:
    traced = Traced(voters=(1, 2))
    traced.node.campaign()
    traced.told.clear()
    raft = traced.node.raft
    raft.become_leader()
    raft.pending_conf_index = 0
    traced.told.clear()
    traced.node.propose_conf_change(ConfChangeV2(parse_changes("v3")))
    assert traced.told[0]["prop"] == {"cc": {"changes": [{"nid": "3", "action": "AddNewServer"}]}}
    assert traced.names() == ["ChangeConf", "SendAppendEntriesResponse", "SendAppendEntriesRequest"]
    traced.node.apply_conf_change(ConfChange(ConfChangeType.ADD_NODE, 3))
    # The configuration of before, the voters of after; the attempt to commit comes behind the switch.
    assert traced.told[0]["name"] == "ApplyConfChange"
    assert traced.told[0]["conf"] == [["1", "2"], []]
    assert traced.told[0]["prop"] == {"cc": {"newconf": ["1", "2", "3"]}}
    assert traced.told[1]["name"] == "Commit"
    assert traced.told[1]["conf"] == [["1", "2", "3"], []]


@pytest.mark.parametrize(
    "changes,told",
    [
        ("r2", [{"nid": "2", "action": "RemoveServer"}]),
        ("l17", [{"nid": "17", "action": "AddLearner"}]),
        ("u2 v3", [{"nid": "3", "action": "AddNewServer"}]),
    ],
)
def test_actions(changes: str, told: list[dict[str, str]]) -> None:
    record = tla_record(Traced(voters=(1,)).node.raft, trace.ConfChangeAccepted(ConfChangeV2(parse_changes(changes))))
    assert record is not None
    assert isinstance(record["event"], dict)
    assert record["event"]["prop"] == {"cc": {"changes": told}}


def test_a_change_that_changes_nothing_is_left_out() -> None:
    raft = Traced(voters=(1,)).node.raft
    for changes in ("", "u1"):
        assert tla_record(raft, trace.ConfChangeAccepted(ConfChangeV2(parse_changes(changes)))) is None


def test_joint_voters_are_told_apart() -> None:
    state = ConfState((1, 4), (), (1, 2), (), auto_leave=False)
    traced = Traced(conf_state=state)
    assert traced.told[-1]["conf"] == [["1", "4"], ["1", "2"]]


def test_messages() -> None:
    traced = Traced(voters=(1, 2))
    traced.node.campaign()
    vote = next(event for event in traced.told if event["name"] == "SendRequestVoteRequest")
    assert vote["msg"] == {
        "type": "MsgVote",
        "term": 1,
        "from": "1",
        "to": "2",
        "entries": 0,
        "logTerm": 0,
        "index": 0,
        "commit": 0,
        "vote": "0",
        "reject": False,
        "rejectHint": 0,
    }


def test_a_receipt_is_told_before_the_term_is_settled() -> None:
    traced = Traced(voters=(1, 2), terms=(1,))
    traced.told.clear()
    snapshot = Snapshot(SnapshotMeta(9, 2, ConfState((1, 2))))
    traced.node.step(MsgSnap(1, 2, 3, snapshot))
    received = traced.told[0]
    assert (received["name"], received["state"]["term"]) == ("ReceiveAppendEntriesRequest", 1)
    # A snapshot is an append of the whole log.
    assert received["msg"]["type"] == "MsgSnap"
    assert (received["msg"]["entries"], received["msg"]["index"], received["msg"]["logTerm"]) == (9, 0, 0)
    assert traced.names()[1:] == ["BecomeFollower", "ApplyConfChange", "SendAppendEntriesResponse"]


def test_pre_votes_are_not_modelled() -> None:
    traced = Traced(replace(CONFIG, pre_vote=True), voters=(1, 2))
    traced.told.clear()
    traced.node.campaign()
    assert traced.names() == []


def test_events_that_are_not_modelled() -> None:
    raft = Traced(voters=(1, 2)).node.raft
    told = {trace.RoleChanged, trace.NodeCreated}
    assert [event for event, _ in LINES if type(event) not in told and tla_record(raft, event) is not None] == []
    assert [event for event in MUTE.values() if tla_record(raft, event) is None] == [MUTE[trace.ConfChangeAccepted]]
