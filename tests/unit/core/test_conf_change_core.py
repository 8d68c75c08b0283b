"""Configuration changes through the log: proposing one at a time, applying, and what a leader does about it."""

from __future__ import annotations

import itertools

import pytest

from raftly.base.membership import (
    ConfChange,
    ConfChangeSingle,
    ConfChangeTransition,
    ConfChangeType,
    ConfChangeV2,
    ConfState,
    parse_changes,
)
from raftly.base.types import Entry, EntryType
from raftly.core.confchange import restore
from raftly.core.messages import MsgApp, MsgHeartbeat, MsgTimeoutNow
from raftly.core.role import Role
from raftly.errors import ConfChangeError
from tests.support.lone import acked, lead, leader, peer, propose, receive, sent, state_of, take, voter
from tests.support.network import Host

ADD, REMOVE, LEARN, UPDATE = (
    ConfChangeType.ADD_NODE,
    ConfChangeType.REMOVE_NODE,
    ConfChangeType.ADD_LEARNER_NODE,
    ConfChangeType.UPDATE_NODE,
)


def add(id_: int) -> ConfChange:
    return ConfChange(ADD, id_)


def last_entry(host: Host) -> Entry:
    return host.log()[-1]


# --- proposing -------------------------------------------------------------------------------------------------


@pytest.mark.behaviour("CC01")
def test_a_change_is_appended_and_its_index_is_pending() -> None:
    host = leader(followed_by=[2, 3])
    change = ConfChange(ADD, 4, b"context", 7)
    assert host.node.propose_conf_change(change) == 2
    assert last_entry(host) == Entry(1, 2, EntryType.CONF_CHANGE, change.encode())
    assert host.raft.pending_conf_index == 2


@pytest.mark.behaviour("CC01")
def test_a_change_behind_other_entries_of_a_batch_is_pending_at_its_own_index() -> None:
    host = leader(followed_by=[2, 3])
    propose(host)
    host.node.propose_conf_change(add(4))
    host.node.propose(b"y")
    assert host.raft.pending_conf_index == 3


@pytest.mark.behaviour("CC02")
def test_a_second_change_while_one_is_pending_becomes_an_empty_entry() -> None:
    host = leader(followed_by=[2, 3])
    host.node.propose_conf_change(add(4))
    for change in (add(5), ConfChangeV2(parse_changes("v5")), None):
        host.node.propose_conf_change(change)
        assert last_entry(host) == Entry(1, host.raft.log.last_index)
        assert host.raft.pending_conf_index == 2
    take(host)
    receive(host, acked(host, 2), acked(host, 3))
    assert host.conf_state == ConfState((1, 2, 3, 4))
    host.node.propose_conf_change(add(5))
    assert last_entry(host).type == EntryType.CONF_CHANGE


@pytest.mark.behaviour("CC02")
def test_a_change_is_pending_until_it_is_applied_not_until_it_is_committed() -> None:
    host = leader(followed_by=[2, 3])
    host.node.propose_conf_change(add(4))
    host.run_ready()
    host.node.step(acked(host, 2))
    assert host.raft.log.committed == 2
    host.node.propose_conf_change(add(5))
    assert last_entry(host).type == EntryType.NORMAL


@pytest.mark.behaviour("CC03")
@pytest.mark.parametrize("terms", [(), (1,), (1, 1, 2)])
def test_a_new_leader_waits_for_all_it_inherited_before_it_takes_a_change(terms: tuple[int, ...]) -> None:
    host = leader(terms=terms)
    assert host.raft.pending_conf_index == len(terms)
    host.node.propose_conf_change(add(4))
    refused = last_entry(host).type == EntryType.NORMAL
    assert refused == bool(terms)  # somewhere in the inherited log there may be a change that is not applied
    take(host)
    receive(host, acked(host, 2))
    host.node.propose_conf_change(add(5))
    assert last_entry(host).type == EntryType.CONF_CHANGE


@pytest.mark.behaviour("CC03")
def test_an_inherited_change_is_not_doubled_by_the_new_leader() -> None:
    # Node 1 was told to add node 4, then lost the leadership before it committed, and won it again.
    host = leader(followed_by=[2, 3])
    host.node.propose_conf_change(add(4))
    take(host)
    host.raft.become_follower(2, 0)
    lead(host)
    assert host.raft.tracker.config.conf_state() == ConfState((1, 2, 3))
    host.node.propose_conf_change(add(5))
    assert [entry.type for entry in host.log()] == [0, EntryType.CONF_CHANGE, 0, 0]


# --- applying --------------------------------------------------------------------------------------------------


@pytest.mark.behaviour("CC04")
@pytest.mark.tinykv("TestAddNode3A")
def test_adding_a_node_extends_the_voters() -> None:
    host = voter(voters=(1,))
    assert host.node.apply_conf_change(add(2)) == ConfState((1, 2))
    assert host.raft.tracker.config.voters.ids() == (1, 2)


@pytest.mark.behaviour("CC04")
def test_a_leader_sends_to_a_newcomer_at_once() -> None:
    host = leader(voters=(1,))
    propose(host)
    host.node.apply_conf_change(add(2))
    (append,) = sent(take(host), MsgApp, to=2)
    assert (append.index, len(append.entries)) == (1, 1)
    assert str(peer(host, 2)) == "StateProbe match=0 next=2 paused"


@pytest.mark.behaviour("CC05")
@pytest.mark.tinykv("TestRemoveNode3A")
def test_removing_a_node_shrinks_the_voters_and_removing_the_last_is_refused() -> None:
    host = voter(voters=(1, 2))
    assert host.node.apply_conf_change(ConfChange(REMOVE, 2)) == ConfState((1,))
    before = state_of(host.raft)
    with pytest.raises(ConfChangeError, match="removed all voters"):
        host.node.apply_conf_change(ConfChange(REMOVE, 1))
    assert state_of(host.raft) == before


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(ConfChangeV2(), id="nothing to leave"),
        pytest.param(ConfChangeV2(parse_changes("r1 r2 r3")), id="no voter left"),
        pytest.param(ConfChange(LEARN, 1), id="the only voter demoted"),
    ],
)
def test_a_change_that_does_not_fit_is_refused_and_the_node_is_as_it_was(change: ConfChange | ConfChangeV2) -> None:
    host = leader(voters=(1,))
    before = state_of(host.raft)
    with pytest.raises(ConfChangeError):
        host.node.apply_conf_change(change)
    assert state_of(host.raft) == before


@pytest.mark.behaviour("CC06")
def test_voters_are_reported_ascending_whatever_the_order_of_input() -> None:
    for order in itertools.permutations((1, 2, 30, 4)):
        raft = voter(voters=order).raft
        assert raft.tracker.config.voters.ids() == (1, 2, 4, 30)
        assert raft.tracker.config.conf_state().voters == (1, 2, 4, 30)
        assert [id_ for id_, _ in raft.tracker.peers] == [1, 2, 4, 30]


def test_a_node_with_a_committed_change_that_is_not_applied_does_not_campaign() -> None:
    # The change may have removed it, or those whose votes it would count.
    host = leader(followed_by=[2, 3])
    host.node.propose_conf_change(add(4))
    take(host)
    host.raft.become_follower(1, 2)
    host.node.step(MsgHeartbeat(1, 2, 1, 2))
    host.node.campaign()
    host.node.step(MsgTimeoutNow(1, 2, 1))
    ready = host.node.ready()
    host.apply(ready.committed_entries)  # applied, but not acknowledged as applied
    host.node.campaign()
    assert (host.raft.role, host.raft.term) == (Role.FOLLOWER, 1)
    host.node.advance()
    host.node.campaign()
    assert (host.raft.role, host.raft.term) == (Role.CANDIDATE, 2)


@pytest.mark.behaviour("CC13")
@pytest.mark.tinykv("TestRawNodeProposeAddDuplicateNode3A")
def test_adding_the_same_node_twice_does_not_block_a_later_change() -> None:
    host = leader(voters=(1,))
    twice, other = add(1), add(2)
    for change in (twice, twice, other):
        host.node.propose_conf_change(change)
        take(host)
    payloads = [entry.data for entry in host.applied if entry.type == EntryType.CONF_CHANGE]
    assert payloads == [twice.encode(), twice.encode(), other.encode()]
    assert host.conf_state == ConfState((1, 2))


@pytest.mark.behaviour("CC14")
def test_applying_an_added_learner_returns_a_membership_with_it() -> None:
    host = leader(voters=(1,))
    host.node.propose_conf_change(ConfChange(LEARN, 2))
    take(host)
    assert host.conf_state == ConfState((1,), (2,))
    assert peer(host, 2).is_learner


def test_an_update_or_a_cancelled_change_changes_nothing() -> None:
    host = leader(followed_by=[2, 3])
    before = [str(progress) for _, progress in host.raft.tracker.peers]
    for change in (ConfChange(UPDATE, 2), ConfChange(ADD, 0), ConfChange(REMOVE, 77)):
        assert host.node.apply_conf_change(change) == ConfState((1, 2, 3))
    assert [str(progress) for _, progress in host.raft.tracker.peers] == before


def test_a_change_keeps_what_is_known_of_the_others() -> None:
    host = leader(followed_by=[2, 3])
    propose(host)
    host.node.apply_conf_change(add(4))
    assert str(peer(host, 2)) == "StateReplicate match=1 next=3 inflight=1"


# --- the messages of a change ----------------------------------------------------------------------------------

TRANSITIONS = list(ConfChangeTransition)
ONE = (ConfChangeSingle(ADD, 1),)


@pytest.mark.behaviour("CC15")
@pytest.mark.parametrize("transition", TRANSITIONS)
@pytest.mark.parametrize("changes", [(), ONE, ONE * 2])
@pytest.mark.parametrize("context", [b"", b"manual"])
def test_only_an_empty_change_with_auto_transition_leaves_a_joint_state(
    transition: ConfChangeTransition, changes: tuple[ConfChangeSingle, ...], context: bytes
) -> None:
    change = ConfChangeV2(changes, transition, context)
    leaves = transition is ConfChangeTransition.AUTO and not changes
    assert change.leaves_joint() == leaves
    assert change.enters_joint() == (transition is not ConfChangeTransition.AUTO or len(changes) > 1)
    assert change.auto_leave() == (transition is not ConfChangeTransition.JOINT_EXPLICIT)


@pytest.mark.behaviour("CC16")
@pytest.mark.parametrize(
    "one, other, same",
    [
        (ConfState((1, 2, 3), (5, 4), (9, 8), (20, 10)), ConfState((3, 1, 2), (4, 5), (8, 9), (10, 20)), True),
        (ConfState(), ConfState(auto_leave=False), True),
        (ConfState((1, 2)), ConfState((1, 2), auto_leave=True), False),
        (ConfState((1, 2)), ConfState((1, 2, 3)), False),
        (ConfState((1, 2)), ConfState((1, 3)), False),
        (ConfState((1,), (2,)), ConfState((1,), (3,)), False),
        (ConfState((1,), (), (2,)), ConfState((1,), (), (3,)), False),
        (ConfState((1,), (), (2, 3), (2,)), ConfState((1,), (), (2, 3), (3,)), False),
        (ConfState((1,), (2,)), ConfState((1, 2)), False),
    ],
)
def test_membership_equality_ignores_order_only(one: ConfState, other: ConfState, same: bool) -> None:
    assert one.equivalent(other) == other.equivalent(one) == same


@pytest.mark.behaviour("CC16")
def test_membership_is_not_compared_with_nothing() -> None:
    with pytest.raises((TypeError, AttributeError)):  # which of them depends on whether the core is compiled
        ConfState().equivalent(None)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "conf_state",
    [
        pytest.param(ConfState((1, 2), (2,)), id="voter and learner"),
        pytest.param(ConfState((1,), (), (), (2,)), id="learners_next without outgoing voters"),
        pytest.param(ConfState((1,), (), (), (), auto_leave=True), id="auto_leave while not joint"),
        pytest.param(ConfState((1,), (), (1, 2), (3,)), id="learners_next not outgoing"),
        pytest.param(ConfState((), (), (1, 2)), id="no incoming voters"),
        pytest.param(ConfState((), (1,)), id="learners only"),
        pytest.param(ConfState((1, 1)), id="a voter twice"),
        pytest.param(ConfState((1, 0)), id="node 0"),
    ],
)
def test_an_impossible_membership_is_refused(conf_state: ConfState) -> None:
    with pytest.raises(ConfChangeError):
        restore(256, 0, conf_state, 10)
