"""Taking a snapshot: what it replaces, whom it makes a member, and when it is ignored."""

from __future__ import annotations

import pytest

from raftly.base.membership import ConfState
from raftly.base.types import NO_LIMIT, HardState, Snapshot, SnapshotMeta
from raftly.core.messages import MsgApp, MsgAppResp, MsgHup, MsgSnap, MsgTimeoutNow, MsgVote
from raftly.core.raft import Raft
from raftly.core.role import Role
from tests.support.lone import entries, indexes, receive, sent, state_of, take, voter
from tests.support.network import DEFAULTS, Host, cluster, host_with, storage_with


def snapshot(index: int = 11, term: int = 11, conf_state: ConfState | None = None) -> Snapshot:
    """A snapshot, of nodes 1 to 3 unless told otherwise."""
    return Snapshot(SnapshotMeta(index, term, conf_state or ConfState((1, 2, 3))), b"state at %d" % index)


def offer(host: Host, offered: Snapshot, term: int = 11) -> MsgAppResp:
    """Node 2, as leader of `term`, sends a snapshot; the answer that waits for the disk."""
    host.node.step(MsgSnap(host.id, 2, term, offered))
    (answer,) = sent(host.raft.after_append, MsgAppResp)
    host.raft.after_append = []
    return answer


def members(raft: Raft) -> dict[int, bool]:
    """Tracked nodes, and whether they are learners."""
    return {id_: progress.is_learner for id_, progress in raft.tracker.peers}


@pytest.mark.behaviour("SN01")
@pytest.mark.tinykv("TestRestoreSnapshot2C")
def test_a_newer_snapshot_replaces_log_and_membership_and_is_ignored_when_it_comes_again() -> None:
    host = voter(voters=(1, 2), terms=(1, 1, 2), term=2, commit=1)
    answer = offer(host, snapshot())
    log = host.raft.log
    assert (log.last_index, log.last_term, log.first_index(), log.committed) == (11, 11, 12, 11)
    assert log.term(11) == 11
    assert log.slice(12, 12, NO_LIMIT) == []
    assert host.raft.tracker.config.conf_state() == ConfState((1, 2, 3))
    assert (answer.to, answer.index, answer.reject, answer.term) == (2, 11, False, 11)
    before = state_of(host.raft)
    assert offer(host, snapshot()).index == 11
    assert state_of(host.raft) == before


@pytest.mark.behaviour("SN01")
def test_the_application_gets_the_snapshot_in_a_ready_and_then_the_entries_behind_it() -> None:
    host = voter(terms=(1, 1), term=1, commit=1)
    host.node.step(MsgSnap(1, 2, 11, snapshot()))
    host.node.step(MsgApp(1, 2, 11, 11, 11, entries(12, 11, 11), 13))
    ready = host.node.ready()
    assert (ready.snapshot, ready.must_sync) == (snapshot(), True)
    assert indexes(ready.entries) == [12, 13]
    assert ready.committed_entries == []  # not before the snapshot is in place
    host.save(ready)
    host.node.advance()
    assert host.raft.log.applied == 11
    take(host)
    assert (host.state, indexes(host.applied)) == (b"state at 11", [12, 13])
    assert host.storage.first_index() == 12


@pytest.mark.behaviour("SN02")
@pytest.mark.parametrize("joint", [False, True])
def test_a_restored_node_does_not_campaign_before_the_snapshot_is_applied(joint: bool) -> None:
    conf_state = ConfState((2, 3, 4), (), (1, 2, 3)) if joint else ConfState((1, 2, 3))
    host = voter()
    offer(host, snapshot(conf_state=conf_state))
    for _ in range(2 * host.raft.randomized_election_timeout):
        host.node.tick()
    host.node.campaign()
    host.node.step(MsgTimeoutNow(1, 2, 11))
    assert (host.raft.role, host.raft.term) == (Role.FOLLOWER, 11)
    ready = host.node.ready()
    host.node.campaign()  # handed out is not in place
    assert host.raft.role is Role.FOLLOWER
    host.save(ready)
    host.node.advance()
    host.node.campaign()
    assert (host.raft.role, host.raft.term) == (Role.CANDIDATE, 12)


@pytest.mark.behaviour("SN03")
def test_learners_of_the_snapshot_are_learners_of_the_tracker() -> None:
    host = voter(id_=3, voters=(1, 2))
    offer(host, snapshot(conf_state=ConfState((1, 2), (3, 4))))
    assert members(host.raft) == {1: False, 2: False, 3: True, 4: True}
    assert host.raft.is_learner
    assert not host.raft.promotable()


@pytest.mark.behaviour("SN04")
def test_a_joint_snapshot_tracks_the_voters_of_both_halves() -> None:
    host = voter(voters=(1, 2))
    conf_state = ConfState((2, 3, 4), (7,), (1, 2, 5, 6), (6,), auto_leave=True)
    offer(host, snapshot(conf_state=conf_state))
    assert members(host.raft) == {1: False, 2: False, 3: False, 4: False, 5: False, 6: False, 7: True}
    assert host.raft.tracker.config.conf_state() == conf_state
    assert host.raft.tracker.config.voters.ids() == (1, 2, 3, 4, 5, 6)


@pytest.mark.behaviour("SN05")
def test_a_voter_takes_a_snapshot_that_makes_it_a_learner() -> None:
    host = voter(id_=3)
    assert members(host.raft)[3] is False
    answer = offer(host, snapshot(conf_state=ConfState((1, 2), (3,))))
    assert (host.raft.is_learner, answer.index) == (True, 11)
    assert host.raft.tracker.config.learners == (3,)


@pytest.mark.behaviour("SN06")
def test_a_learner_is_promoted_by_a_snapshot_that_names_it_a_voter() -> None:
    host = host_with(3, DEFAULTS, storage_with(voters=(1, 2), learners=(3,)))
    assert members(host.raft)[3] is True
    offer(host, snapshot())
    assert not host.raft.is_learner
    take(host)
    assert host.raft.promotable()


@pytest.mark.behaviour("SN07")
def test_a_learner_catches_up_by_snapshot() -> None:
    network = cluster(1, learners=(2,))
    network.isolate(2)
    network.campaign(1)
    for _ in range(5):
        network.propose(1)
    network.host(1).compact()
    network.recover()
    network.tick()
    first, second = network.hosts.values()
    assert second.storage.first_index() == 7  # it got no entries before
    assert second.raft.log.committed == first.raft.log.committed == 6
    assert second.state == first.state != b""
    network.propose(1)
    assert second.state == first.state


@pytest.mark.behaviour("SN08")
@pytest.mark.tinykv("TestRestoreIgnoreSnapshot2C")
@pytest.mark.parametrize("index", [1, 2, 3])
def test_a_snapshot_at_or_below_the_commit_index_is_ignored(index: int) -> None:
    host = voter(terms=(1, 1, 1, 1), term=2, commit=3)
    host.raft.become_follower(2, 2)
    before = state_of(host.raft)
    answer = offer(host, snapshot(index, 1), term=2)
    assert (answer.index, answer.reject) == (3, False)
    assert state_of(host.raft) == before


@pytest.mark.behaviour("SN08")
def test_a_snapshot_that_matches_the_log_only_raises_the_commit_index() -> None:
    host = voter(terms=(1, 1, 1, 1), term=2, commit=1)
    answer = offer(host, snapshot(3, 1), term=2)
    assert (answer.index, host.raft.log.committed, host.raft.log.last_index) == (3, 3, 4)
    assert host.node.ready().snapshot is None
    assert host.log_terms() == [1, 1, 1, 1]


@pytest.mark.behaviour("SN08")
def test_a_snapshot_that_contradicts_the_log_replaces_it() -> None:
    host = voter(terms=(1, 1, 1, 1), term=2, commit=1)
    assert offer(host, snapshot(3, 2), term=2).index == 3
    assert (host.raft.log.last_index, host.raft.log.last_term) == (3, 2)


@pytest.mark.behaviour("SN11")
@pytest.mark.tinykv("TestRestoreFromSnapMsg2C")
@pytest.mark.parametrize("campaigns", [False, True])
def test_the_sender_of_a_snapshot_is_the_leader(campaigns: bool) -> None:
    host = voter()
    if campaigns:
        host.raft.step(MsgHup())
    host.node.step(MsgSnap(1, 3, 2, snapshot(term=1)))
    assert (host.raft.leader, host.raft.term, host.raft.role) == (3, 2, Role.FOLLOWER)
    host.node.step(MsgSnap(1, 2, 2, snapshot(term=1)))
    assert host.raft.leader == 2  # no two nodes lead one term; who sends last is believed


def test_a_snapshot_that_does_not_name_this_node_is_ignored() -> None:
    host = voter(terms=(1,), term=1)
    answer = offer(host, snapshot(conf_state=ConfState((2, 3), (4,))))
    assert (answer.index, host.raft.log.last_index) == (0, 1)
    assert host.raft.tracker.config.conf_state() == ConfState((1, 2, 3))
    assert host.node.ready().snapshot is None


def test_the_answer_to_a_vote_names_the_snapshot_as_the_end_of_the_log() -> None:
    host = voter()
    offer(host, snapshot())
    receive(host, MsgVote(1, 3, 12, log_term=11, index=10))
    assert host.raft.vote == 0
    receive(host, MsgVote(1, 3, 12, log_term=11, index=11))
    assert host.raft.vote == 3


def test_a_restored_node_restarts_from_the_snapshot() -> None:
    host = voter(terms=(1, 1), term=1, commit=1)
    receive(host, MsgSnap(1, 2, 11, snapshot()))
    host.restart()
    assert (host.raft.log.first_index(), host.raft.log.last_index, host.raft.log.applied) == (12, 11, 11)
    assert host.storage.initial_state() == (HardState(11, 0, 11), ConfState((1, 2, 3)))
