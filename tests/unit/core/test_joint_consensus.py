"""Joint consensus through the log: which changes enter it, who leaves it and when (thesis §4.3)."""

from __future__ import annotations

from dataclasses import replace

import pytest

from raftly.base.membership import (
    AnyConfChange,
    ConfChange,
    ConfChangeTransition,
    ConfChangeType,
    ConfChangeV2,
    ConfState,
    parse_changes,
)
from raftly.base.types import Entry, EntryType
from raftly.core.messages import MsgApp, MsgHeartbeat, MsgTransferLeader
from raftly.core.role import Role
from raftly.errors import ProposalDropped
from tests.support.lone import acked, indexes, lead, leader, peer, propose, receive, sent, take
from tests.support.network import DEFAULTS, Host, host_with, storage_with

AUTO, IMPLICIT, EXPLICIT = (
    ConfChangeTransition.AUTO,
    ConfChangeTransition.JOINT_IMPLICIT,
    ConfChangeTransition.JOINT_EXPLICIT,
)


def v2(changes: str, transition: ConfChangeTransition = AUTO, context: bytes = b"") -> ConfChangeV2:
    return ConfChangeV2(parse_changes(changes), transition, context)


def run(host: Host, change: AnyConfChange | None) -> None:
    """Propose a change at a single voter, commit it, and apply it; not what follows from it."""
    index = host.node.propose_conf_change(change)
    while host.applied_index < index:
        host.run_ready()


@pytest.mark.behaviour("CC07")
@pytest.mark.parametrize(
    "change, after",
    [
        (ConfChange(ConfChangeType.ADD_NODE, 2), ConfState((1, 2))),
        (v2("v2"), ConfState((1, 2))),
        (ConfChange(ConfChangeType.ADD_LEARNER_NODE, 2), ConfState((1,), (2,))),
        (v2("l2"), ConfState((1,), (2,))),
    ],
)
def test_a_single_change_with_auto_transition_takes_the_simple_path(change: AnyConfChange, after: ConfState) -> None:
    host = leader(voters=(1,))
    run(host, change)
    take(host)
    assert host.conf_state == after
    assert host.raft.log.last_index == 2  # nothing follows from it


@pytest.mark.behaviour("CC08")
@pytest.mark.parametrize(
    "change, joint, after",
    [
        (v2("l2", EXPLICIT), ConfState((1,), (2,), (1,)), ConfState((1,), (2,))),
        (v2("v2", EXPLICIT), ConfState((1, 2), (), (1,)), ConfState((1, 2))),
        (v2("v2 l3", EXPLICIT), ConfState((1, 2), (3,), (1,)), ConfState((1, 2), (3,))),
    ],
)
def test_an_explicit_joint_state_stays_until_an_empty_change_is_proposed(
    change: ConfChangeV2, joint: ConfState, after: ConfState
) -> None:
    host = leader(voters=(1,))
    run(host, change)
    assert host.conf_state == joint
    receive(host, *(acked(host, id_) for id_ in joint.voters[1:]))
    propose(host)
    receive(host, *(acked(host, id_) for id_ in joint.voters[1:]))
    assert host.conf_state == joint
    assert host.raft.log.committed == 3
    host.node.propose_conf_change(v2("v5"))  # another change is not taken meanwhile
    host.node.propose_conf_change(None)
    take(host)
    receive(host, *(acked(host, id_) for id_ in joint.voters[1:]))
    assert host.conf_state == after
    assert [entry.type for entry in host.log()[3:]] == [EntryType.NORMAL, EntryType.CONF_CHANGE_V2]


@pytest.mark.behaviour("CC08")
def test_an_empty_change_is_not_taken_outside_a_joint_state() -> None:
    host = leader(voters=(1,))
    host.node.propose_conf_change(None)
    host.node.propose_conf_change(v2("", context=b"manual"))
    take(host)
    assert host.log() == [Entry(1, 1), Entry(1, 2), Entry(1, 3)]


@pytest.mark.behaviour("CC09")
@pytest.mark.parametrize(
    "change, joint, after",
    [
        (v2("l2", IMPLICIT), ConfState((1,), (2,), (1,), (), True), ConfState((1,), (2,))),
        (v2("l2 l3"), ConfState((1,), (2, 3), (1,), (), True), ConfState((1,), (2, 3))),
        (v2("v2", IMPLICIT), ConfState((1, 2), (), (1,), (), True), ConfState((1, 2))),
        (v2("v2 l3"), ConfState((1, 2), (3,), (1,), (), True), ConfState((1, 2), (3,))),
    ],
)
def test_an_implicit_joint_state_is_left_by_the_leader_itself(
    change: ConfChangeV2, joint: ConfState, after: ConfState
) -> None:
    host = leader(voters=(1,))
    run(host, change)
    assert host.conf_state == joint
    # The proposal that leaves it was made when the entering one was acknowledged as applied.
    assert host.log()[-1] == Entry(1, 3, EntryType.CONF_CHANGE_V2)
    assert host.raft.pending_conf_index == 3
    take(host)
    receive(host, *(acked(host, id_) for id_ in joint.voters[1:]))
    assert host.conf_state == after
    propose(host)
    receive(host, *(acked(host, id_) for id_ in joint.voters[1:]))
    assert host.raft.log.last_index == 4  # it is proposed once


@pytest.mark.behaviour("CC10")
@pytest.mark.parametrize("transition", [AUTO, EXPLICIT])
def test_a_demoted_voter_is_a_learner_only_after_the_joint_state(transition: ConfChangeTransition) -> None:
    host = leader(followed_by=[2, 3])
    host.node.propose_conf_change(v2("l2 r3", transition))
    take(host)
    receive(host, acked(host, 2))
    assert host.conf_state == ConfState((1,), (), (1, 2, 3), (2,), transition is AUTO)
    assert not peer(host, 2).is_learner
    assert host.raft.tracker.config.voters.ids() == (1, 2, 3)
    if transition is EXPLICIT:
        host.node.propose_conf_change(None)
        take(host)
    receive(host, acked(host, 2))
    assert host.conf_state == ConfState((1,), (2,))
    assert peer(host, 2).is_learner
    assert 3 not in host.raft.tracker.progress


@pytest.mark.behaviour("CC11")
@pytest.mark.parametrize(
    "change",
    [
        ConfChange(ConfChangeType.ADD_NODE, 2),
        ConfChange(ConfChangeType.ADD_LEARNER_NODE, 2, b"context", 300),
        v2("v2"),
        v2("v2", context=b"context"),
        v2("l2 l3", EXPLICIT, b"context"),
    ],
)
def test_the_stored_change_is_the_proposed_one_to_the_bit(change: AnyConfChange) -> None:
    host = leader(voters=(1,))
    run(host, change)
    stored = host.storage.entries(2, 3, 1 << 20)[0]
    assert stored.type == (EntryType.CONF_CHANGE if isinstance(change, ConfChange) else EntryType.CONF_CHANGE_V2)
    assert stored.data == change.encode()


@pytest.mark.behaviour("CC11")
def test_the_change_that_leaves_may_carry_a_context() -> None:
    host = leader(voters=(1,))
    run(host, v2("l2", EXPLICIT))
    manual = v2("", context=b"manual")
    run(host, manual)
    assert host.storage.entries(3, 4, 1 << 20)[0].data == manual.encode()
    assert host.conf_state == ConfState((1,), (2,))


@pytest.mark.behaviour("CC12")
def test_the_next_leader_leaves_a_joint_state_that_the_last_one_could_not() -> None:
    host = leader(voters=(1,))
    host.node.propose_conf_change(v2("l2", IMPLICIT))
    host.run_ready()
    ready = host.node.ready()
    assert indexes(ready.committed_entries) == [2]
    host.node.step(MsgHeartbeat(1, 3, 2))  # somebody leads term 2, says node 3
    host.save(ready)
    host.apply(ready.committed_entries)
    host.node.advance()
    take(host)
    assert host.raft.role is Role.FOLLOWER
    assert (host.conf_state.auto_leave, host.raft.log.last_index) == (True, 2)
    lead(host)
    take(host)
    assert [(entry.term, entry.type) for entry in host.log()[2:]] == [
        (3, EntryType.NORMAL),
        (3, EntryType.CONF_CHANGE_V2),
    ]
    assert host.conf_state == ConfState((1,), (2,))


@pytest.mark.behaviour("CC12")
def test_a_new_leader_leaves_a_joint_state_only_after_it_applied_all_it_inherited() -> None:
    # Joint with auto-leave as of its snapshot; entries 3 to 5 are not applied yet, and any may be a change.
    joint = ConfState((1,), (2,), (1,), (), auto_leave=True)
    storage = storage_with(conf_state=joint, snapshot=(2, 1), terms=(1, 1, 1), term=1, commit=4)
    host = host_with(1, replace(DEFAULTS, max_size_per_msg=0), storage)  # one entry a Ready
    host.node.campaign()
    while host.raft.role is not Role.LEADER:
        ready, _ = host.accept_ready()
        host.save(ready)
        host.apply(ready.committed_entries)
        host.node.advance()
    assert host.raft.pending_conf_index == 5
    while host.applied_index < 5:
        assert host.raft.log.last_index == 6  # the empty entry, and no leave
        host.run_ready()
    assert host.log()[-1] == Entry(2, 7, EntryType.CONF_CHANGE_V2)


def leave_prevented() -> Host:
    """Joint, with a leave that is due and a transfer under way: entry 2 is applied, entry 3 is not committed."""
    host = leader(voters=(1, 2), followed_by=[2])
    host.node.propose_conf_change(v2("l3", IMPLICIT))
    take(host)
    host.node.propose(b"x")
    host.run_ready()
    host.node.step(acked(host, 2, 2))
    host.node.step(MsgTransferLeader(1, 2))
    take(host)
    assert (host.conf_state.auto_leave, host.raft.log.last_index) == (True, 3)
    with pytest.raises(ProposalDropped):
        host.node.propose_conf_change(None)
    return host


def test_a_leave_that_a_transfer_prevented_is_proposed_when_that_is_given_up() -> None:
    host = leave_prevented()
    for _ in range(DEFAULTS.election_tick):
        assert host.raft.log.last_index == 3
        host.node.tick()
    take(host)
    assert host.log()[3:] == [Entry(1, 4, EntryType.CONF_CHANGE_V2)]
    receive(host, acked(host, 2, 3))
    assert host.raft.log.last_index == 4, "once"


def test_a_leave_that_a_transfer_prevented_is_proposed_when_leadership_is_to_stay() -> None:
    host = leave_prevented()
    host.node.step(MsgTransferLeader(1, 1))
    take(host)
    assert host.log()[3:] == [Entry(1, 4, EntryType.CONF_CHANGE_V2)]
    host.node.step(MsgTransferLeader(1, 1))
    take(host)
    assert host.raft.log.last_index == 4


def test_a_leave_is_not_proposed_while_a_transfer_is_under_way_whatever_is_applied() -> None:
    host = leave_prevented()
    for _ in range(DEFAULTS.election_tick - 1):
        host.node.tick()
    receive(host, acked(host, 2, 3))
    assert host.raft.log.last_index == 3, "the transfer is still under way"
    host.node.tick()
    take(host)
    assert host.log()[3:] == [Entry(1, 4, EntryType.CONF_CHANGE_V2)]


def test_while_joint_both_halves_must_hold_an_entry() -> None:
    host = leader(followed_by=[2, 3])
    host.node.propose_conf_change(v2("r2 r3 v4 v5", EXPLICIT))
    take(host)
    receive(host, acked(host, 2))
    assert host.conf_state == ConfState((1, 4, 5), (), (1, 2, 3))
    propose(host)
    receive(host, acked(host, 2, 3), acked(host, 3, 3))
    assert host.raft.log.committed == 2
    receive(host, acked(host, 4, 3))
    assert host.raft.log.committed == 3


def test_the_steps_of_advance_are_own_answers_then_the_log_then_what_was_applied() -> None:
    # The order shows in what a follower is sent: the commit that the own acknowledgement brings comes first, and the
    # change that leaves the joint state, made when the entering one is applied, already carries it.
    host = leader(voters=(1,))
    host.node.propose_conf_change(v2("l2", IMPLICIT))
    host.run_ready()
    host.node.propose(b"x")
    ready = host.node.ready()
    assert (indexes(ready.entries), indexes(ready.committed_entries)) == ([3], [2])
    host.save(ready)
    host.apply(ready.committed_entries)
    host.node.step(acked(host, 2, 2))  # the learner streams
    host.raft.messages = []
    host.node.advance()
    assert [(indexes(append.entries), append.commit) for append in sent(host.raft.messages, MsgApp, to=2)] == [
        ([], 3),
        ([4], 3),
    ]
