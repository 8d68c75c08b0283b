"""The tables of handlers: every pair of role and message is named, and what means nothing changes nothing."""

from __future__ import annotations

from dataclasses import replace

import pytest

from raftly.base.types import Entry, Snapshot
from raftly.core.dispatch import TABLES, ignore, ignore_peer, reject
from raftly.core.messages import (
    MESSAGE_CLASSES,
    Message,
    MsgApp,
    MsgAppResp,
    MsgBeat,
    MsgCheckQuorum,
    MsgForgetLeader,
    MsgHeartbeat,
    MsgHeartbeatResp,
    MsgHup,
    MsgPreVote,
    MsgPreVoteResp,
    MsgProp,
    MsgReadIndex,
    MsgReadIndexResp,
    MsgSnap,
    MsgSnapStatus,
    MsgStorageAppend,
    MsgStorageAppendResp,
    MsgStorageApply,
    MsgStorageApplyResp,
    MsgTimeoutNow,
    MsgTransferLeader,
    MsgUnreachable,
    MsgVote,
    MsgVoteResp,
)
from raftly.core.role import Role
from raftly.errors import InvariantError, ProposalDropped
from tests.support.lone import lead, state_of, take, voter
from tests.support.network import DEFAULTS, Host


def examples(term: int) -> list[Message]:
    """One of each, from node 2 in this term."""
    return [
        MsgHup(1, 1),
        MsgBeat(1, 1),
        MsgProp(1, 2, 0, [Entry(data=b"x")]),
        MsgApp(1, 2, term, 0, 0, [], 0),
        MsgAppResp(1, 2, term, 0),
        MsgVote(1, 2, term),
        MsgVoteResp(1, 2, term),
        MsgSnap(1, 2, term, Snapshot()),
        MsgHeartbeat(1, 2, term),
        MsgHeartbeatResp(1, 2, term),
        MsgUnreachable(1, 2),
        MsgSnapStatus(1, 2),
        MsgCheckQuorum(1, 1),
        MsgTransferLeader(1, 2),
        MsgTimeoutNow(1, 2, term),
        MsgReadIndex(1, 2, 0, b"x"),
        MsgReadIndexResp(1, 2, term, 0, b"x"),
        MsgPreVote(1, 2, term),
        MsgPreVoteResp(1, 2, term),
        MsgStorageAppend(1, 1, 0, 0, 0, [], None, []),
        MsgStorageAppendResp(1, 1, term),
        MsgStorageApply(1, 1, 0, [], []),
        MsgStorageApplyResp(1, 1, 0, []),
        MsgForgetLeader(1, 2),
    ]


def example(kind: type[Message], term: int) -> Message:
    (message,) = (message for message in examples(term) if type(message) is kind)
    return message


# What each role does not care for; everything else has a handler of its own.
NOBODY_BUT_LEADERS = {MsgBeat, MsgCheckQuorum, MsgAppResp, MsgHeartbeatResp, MsgUnreachable, MsgSnapStatus}
CAMPAIGNS = NOBODY_BUT_LEADERS | {MsgTransferLeader, MsgForgetLeader, MsgReadIndex, MsgReadIndexResp}
MEANINGLESS: dict[Role, set[type[Message]]] = {
    Role.FOLLOWER: NOBODY_BUT_LEADERS | {MsgVoteResp, MsgPreVoteResp},
    Role.CANDIDATE: CAMPAIGNS | {MsgPreVoteResp},
    Role.PRE_CANDIDATE: CAMPAIGNS | {MsgVoteResp},
    Role.LEADER: {
        MsgApp,
        MsgSnap,
        MsgHeartbeat,
        MsgTimeoutNow,
        MsgReadIndexResp,
        MsgVoteResp,
        MsgPreVoteResp,
        MsgForgetLeader,
    },
}

EVERY_PAIR = pytest.mark.parametrize(
    "role, kind",
    [(role, kind) for role in Role for kind in MESSAGE_CLASSES],
    ids=lambda value: value.__name__ if isinstance(value, type) else value.value,
)


def in_role(role: Role) -> Host:
    """Node 1 of three at rest in this role."""
    host = voter(template=replace(DEFAULTS, pre_vote=role is Role.PRE_CANDIDATE))
    if role is Role.LEADER:
        lead(host)
    elif role is not Role.FOLLOWER:
        host.node.campaign()
    take(host)
    assert host.raft.role is role
    return host


def test_dispatch_total() -> None:
    assert set(TABLES) == set(Role)
    for table in TABLES.values():
        assert set(table) == set(MESSAGE_CLASSES)
        assert all(callable(handler) for handler in table.values())


@EVERY_PAIR
def test_what_means_nothing_to_a_role_is_named_so_and_changes_nothing(role: Role, kind: type[Message]) -> None:
    meaningless = kind in MEANINGLESS[role]
    assert (TABLES[role][kind] in (ignore, ignore_peer)) == meaningless
    host = in_role(role)
    before = state_of(host.raft)
    if meaningless:
        host.raft.step(example(kind, host.raft.term))
        assert state_of(host.raft) == before


@EVERY_PAIR
def test_every_pair_can_be_stepped(role: Role, kind: type[Message]) -> None:
    host = in_role(role)
    message = example(kind, host.raft.term)
    if kind in (MsgStorageAppend, MsgStorageApply):
        assert TABLES[role][kind] is reject
        with pytest.raises(InvariantError, match="was stepped into node 1"):
            host.raft.step(message)
    elif kind is MsgProp and role is not Role.LEADER:
        with pytest.raises(ProposalDropped):
            host.raft.step(message)
    else:
        host.raft.step(message)
        take(host)


def test_the_table_follows_the_role() -> None:
    host = in_role(Role.LEADER)
    host.raft.step(MsgHeartbeat(1, 2, 9))
    host.raft.step(MsgBeat(1, 1))  # a follower does not beat
    assert [message.to for message in take(host)] == [2]
