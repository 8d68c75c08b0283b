"""Texts of entries, messages, Ready and states: the language of the golden scripts."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from raftly.base.membership import (
    ConfChange,
    ConfChangeTransition,
    ConfChangeType,
    ConfChangeV2,
    ConfState,
    parse_changes,
)
from raftly.base.types import Entry, EntryType, HardState, Snapshot, SnapshotMeta
from raftly.core import describe
from raftly.core.fields import Fields, from_fields
from raftly.core.messages import (
    APPEND_THREAD,
    APPLY_THREAD,
    MESSAGE_CLASSES,
    Message,
    MsgApp,
    MsgAppResp,
    MsgHeartbeat,
    MsgProp,
    MsgReadIndexResp,
    MsgSnap,
    MsgStorageAppend,
    MsgStorageAppendResp,
    MsgVoteResp,
)
from raftly.core.readindex import ReadState
from raftly.core.ready import Ready
from raftly.core.role import Role
from raftly.core.status import SoftState
from raftly.core.tracker import Inflights, Progress
from raftly.errors import Compacted, ConfigError, DropReason, PeerNotFound, ProposalDropped

JOINT = ConfState((1, 17), (3,), (2, 1), (4,), auto_leave=True)
JOINT_TEXT = "Voters:[1 17] VotersOutgoing:[2 1] Learners:[3] LearnersNext:[4] AutoLeave:true"


@pytest.mark.behaviour("RN30")
@pytest.mark.parametrize(
    "data,text",
    [
        (b"", '""'),
        (b"plain text", '"plain text"'),
        (b'say "hi" \\o/', r'"say \"hi\" \\o/"'),
        (b"\a\b\f\n\r\t\v", r'"\a\b\f\n\r\t\v"'),
        (b"\x00\x1f\x7f", r'"\x00\x1f\x7f"'),
        ("Grüße 日本 😀".encode(), '"Grüße 日本 😀"'),
        (b"\xff\xc3\x28\xe2\x82", r'"\xff\xc3(\xe2\x82"'),
        (b"\xed\xa0\x80\xc0\xaf", r'"\xed\xa0\x80\xc0\xaf"'),
        ("\ufffd".encode(), '"\ufffd"'),
        ("\u0080\u00a0\u00ad\u200b\u2028".encode(), r'"\u0080\u00a0\u00ad\u200b\u2028"'),
        ("\U000e0001\U0010ffff".encode(), r'"\U000e0001\U0010ffff"'),
    ],
)
def test_quoting(data: bytes, text: str) -> None:
    assert describe.quote(data) == text


@given(st.binary(max_size=40))
def test_a_quoted_payload_is_one_printable_line_that_tells_all(data: bytes) -> None:
    text = describe.quote(data)
    assert text.isprintable()
    inner, read, at = text[1:-1], bytearray(), 0
    short = {"a": 7, "b": 8, "f": 12, "n": 10, "r": 13, "t": 9, "v": 11, '"': 34, "\\": 92}
    while at < len(inner):
        if inner[at] != "\\":
            read += inner[at].encode()
            at += 1
        elif inner[at + 1] == "x":
            read.append(int(inner[at + 2 : at + 4], 16))
            at += 4
        elif inner[at + 1] in "uU":
            size = 4 if inner[at + 1] == "u" else 8
            read += chr(int(inner[at + 2 : at + 2 + size], 16)).encode()
            at += 2 + size
        else:
            read.append(short[inner[at + 1]])
            at += 2
    assert bytes(read) == data


@pytest.mark.behaviour("RN30")
def test_entries() -> None:
    changes = parse_changes("v3 l40 r5 u6")
    for entry, text in (
        (Entry(3, 17), '3/17 EntryNormal ""'),
        (Entry(3, 17, data=b"x"), '3/17 EntryNormal "x"'),
        (
            Entry(1, 2, EntryType.CONF_CHANGE, ConfChange(ConfChangeType.ADD_NODE, 30).encode()),
            "1/2 EntryConfChange v30",
        ),
        (Entry(1, 2, EntryType.CONF_CHANGE_V2, ConfChangeV2(changes).encode()), "1/2 EntryConfChangeV2 v3 l40 r5 u6"),
        (Entry(1, 2, EntryType.CONF_CHANGE_V2), "1/2 EntryConfChangeV2"),
    ):
        assert describe.describe_entry(entry) == text
    assert (
        describe.describe_entry(Entry(3, 17, data=b"xy"), lambda data: f"{len(data)} bytes")
        == "3/17 EntryNormal 2 bytes"
    )
    damaged = describe.describe_entry(Entry(1, 2, EntryType.CONF_CHANGE, b"\xff"))
    assert damaged.startswith("1/2 EntryConfChange ConfChange at byte")
    assert describe.describe_entries([Entry(1, 2), Entry(1, 3)]) == '1/2 EntryNormal ""\n1/3 EntryNormal ""\n'
    assert describe.describe_entries([]) == ""


def test_states() -> None:
    assert describe.describe_soft_state(SoftState(17, Role.PRE_CANDIDATE)) == "Lead:17 State:StatePreCandidate"
    assert describe.describe_hard_state(HardState(2, 17, 9)) == "Term:2 Vote:17 Commit:9"
    assert describe.describe_hard_state(HardState()) == "Term:0 Commit:0"
    assert describe.describe_conf_state(JOINT) == JOINT_TEXT
    empty = "Voters:[] VotersOutgoing:[] Learners:[] LearnersNext:[] AutoLeave:false"
    assert describe.describe_snapshot(Snapshot()) == f"Index:0 Term:0 ConfState:{empty}"
    assert describe.describe_snapshot(Snapshot(SnapshotMeta(9, 2, JOINT))) == f"Index:9 Term:2 ConfState:{JOINT_TEXT}"


def test_changes() -> None:
    change = ConfChangeV2(parse_changes("v17 r2"), ConfChangeTransition.JOINT_EXPLICIT, b"why\n")
    assert describe.describe_conf_change(change) == (
        "transition:ConfChangeTransitionJointExplicit changes:{type:ConfChangeAddNode node_id:17} "
        r'changes:{type:ConfChangeRemoveNode node_id:2} context:"why\n"'
    )
    simple = ConfChange(ConfChangeType.ADD_LEARNER_NODE, 3)
    assert describe.describe_conf_change(simple) == (
        "transition:ConfChangeTransitionAuto changes:{type:ConfChangeAddLearnerNode node_id:3}"
    )
    assert describe.describe_conf_change(ConfChangeV2()) == "transition:ConfChangeTransitionAuto"


def test_progress_is_in_order_of_ids() -> None:
    peers = {10: Progress(4, Inflights(1), match=3, active=True), 9: Progress(1, Inflights(1), is_learner=True)}
    assert describe.describe_progress(peers.items()) == (
        "9: StateProbe match=0 next=1 learner inactive\n10: StateProbe match=3 next=4\n"
    )


@pytest.mark.parametrize(
    "message,text",
    [
        (MsgHeartbeat(26, 1, 3, 7, b"never shown"), "1->1a MsgHeartbeat Term:3 Log:0/0 Commit:7"),
        (
            MsgAppResp(1, 26, 3, 9, reject=True, reject_hint=4, log_term=2),
            "1a->1 MsgAppResp Term:3 Log:2/9 Rejected (Hint: 4)",
        ),
        (MsgAppResp(1, 2, 3, 9), "2->1 MsgAppResp Term:3 Log:0/9"),
        (MsgVoteResp(1, 2, 3, reject=True), "2->1 MsgVoteResp Term:3 Log:0/0 Rejected (Hint: 0)"),
        (MsgProp(1, 0, 0, [Entry(data=b"x")]), 'None->1 MsgProp Term:0 Log:0/0 Entries:[0/0 EntryNormal "x"]'),
        (MsgReadIndexResp(2, 1, 3, 9, b"never shown"), "1->2 MsgReadIndexResp Term:3 Log:0/9"),
        (
            MsgApp(2, 1, 3, 2, 8, [Entry(3, 9), Entry(3, 10, data=b"y")], 8),
            '1->2 MsgApp Term:3 Log:2/8 Commit:8 Entries:[\n  3/9 EntryNormal ""\n  3/10 EntryNormal "y"\n]',
        ),
        (
            MsgSnap(2, 1, 3, Snapshot(SnapshotMeta(9, 2, JOINT), b"never shown")),
            f"1->2 MsgSnap Term:3 Log:0/0\n  Snapshot: Index:9 Term:2 ConfState:{JOINT_TEXT}",
        ),
        (MsgSnap(2, 1, 3, Snapshot()), "1->2 MsgSnap Term:3 Log:0/0"),
    ],
)
def test_messages(message: Message, text: str) -> None:
    assert describe.describe_message(message) == text
    assert describe.describe_message(message, "    ") == "\n".join("    " + line for line in text.split("\n"))


def storage_append() -> MsgStorageAppend:
    snapshot = Snapshot(SnapshotMeta(9, 2, JOINT))
    answers: list[Message] = [
        MsgApp(2, 1, 3, 2, 8, [Entry(3, 9), Entry(3, 10)], 0),
        MsgStorageAppendResp(1, APPEND_THREAD, 3, 3, 10, snapshot),
    ]
    return MsgStorageAppend(APPEND_THREAD, 1, 3, 2, 8, [Entry(3, 9)], snapshot, answers)


def test_responses_are_messages_inside_a_message() -> None:
    snapshot = f"Snapshot: Index:9 Term:2 ConfState:{JOINT_TEXT}"
    head = f'1->AppendThread MsgStorageAppend Term:3 Log:0/0 Commit:8 Vote:2 Entries:[3/9 EntryNormal ""]\n  {snapshot}'
    assert describe.describe_message(storage_append()) == (
        f"{head} Responses:[\n"
        '  1->2 MsgApp Term:3 Log:2/8 Entries:[\n    3/9 EntryNormal ""\n    3/10 EntryNormal ""\n  ]\n'
        f"  AppendThread->1 MsgStorageAppendResp Term:3 Log:3/10\n    {snapshot}\n]"
    )
    assert describe.describe_message(storage_append(), responses=False) == head


def test_every_message_has_a_text() -> None:
    for cls in MESSAGE_CLASSES:
        text = describe.describe_message(from_fields(Fields(cls.type, APPLY_THREAD, 10, 3)))
        assert text == f"a->ApplyThread {cls.__name__} Term:3 Log:0/0"


def test_ready() -> None:
    ready = Ready(
        SoftState(1, Role.FOLLOWER),
        HardState(2, 0, 9),
        [ReadState(9, b"ab"), ReadState(10, b"")],
        [Entry(2, 11)],
        Snapshot(SnapshotMeta(10, 2, ConfState((1,)))),
        [Entry(2, 9)],
        [MsgHeartbeat(2, 1, 2), MsgHeartbeat(3, 1, 2)],
        must_sync=True,
    )
    assert describe.describe_ready(ready) == (
        "Ready MustSync=true:\n"
        "Lead:1 State:StateFollower\n"
        "HardState Term:2 Commit:9\n"
        "ReadStates [{9 [97 98]} {10 []}]\n"
        'Entries:\n2/11 EntryNormal ""\n'
        "Snapshot Index:10 Term:2 ConfState:Voters:[1] VotersOutgoing:[] Learners:[] LearnersNext:[] AutoLeave:false\n"
        'CommittedEntries:\n2/9 EntryNormal ""\n'
        "Messages:\n1->2 MsgHeartbeat Term:2 Log:0/0\n1->3 MsgHeartbeat Term:2 Log:0/0\n"
    )
    assert describe.describe_ready(Ready(None, None, [], [], None, [], [], must_sync=False)) == "<empty Ready>"
    only_commit = Ready(None, HardState(2, 0, 9), [], [], None, [], [], must_sync=False)
    assert describe.describe_ready(only_commit) == "Ready MustSync=false:\nHardState Term:2 Commit:9\n"


def test_errors_are_told_in_etcds_words_where_it_has_some() -> None:
    assert describe.describe_error(ProposalDropped(DropReason.NO_LEADER)) == "raft proposal dropped"
    assert describe.describe_error(PeerNotFound(3)) == "raft: cannot step as peer not found"
    assert describe.describe_error(Compacted()) == "requested index is unavailable due to compaction"
    assert describe.describe_error(ConfigError("id", "is 0")) == "id is 0"
