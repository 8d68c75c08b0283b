"""Sending a snapshot: who gets one, and how replication goes on after it."""

from __future__ import annotations

import pytest

from raftly.base.membership import ConfState
from raftly.core.messages import MsgApp, MsgAppResp, MsgHeartbeatResp, MsgSnap, MsgSnapStatus
from raftly.core.tracker import ProgressState
from raftly.errors import InvariantError
from tests.support.lone import acked, indexes, leader, peer, propose, receive, sent, take
from tests.support.network import Host, cluster

HEARTBEAT_ANSWER = MsgHeartbeatResp(1, 2, 1)


def compacted_leader() -> Host:
    """A leader of term 1 whose log begins behind a snapshot at 11; node 2 holds entry 1, node 3 all."""
    host = leader(followed_by=[2, 3])
    for _ in range(10):
        propose(host)
    receive(host, acked(host, 3))
    host.node.report_unreachable(2)
    host.compact()
    assert host.raft.log.first_index() == 12
    return host


def snapshotting_leader() -> Host:
    """The same, and the snapshot is on its way."""
    host = compacted_leader()
    (message,) = sent(receive(host, HEARTBEAT_ANSWER), MsgSnap)
    assert (message.to, message.term, message.snapshot.meta.index) == (2, 1, 11)
    return host


@pytest.mark.behaviour("SN09", "SN13")
def test_a_peer_whose_next_entry_is_compacted_gets_a_snapshot_which_is_noted_as_pending() -> None:
    host = compacted_leader()
    messages = receive(host, HEARTBEAT_ANSWER)
    (message,) = sent(messages, MsgSnap)
    assert message.snapshot == host.storage.snapshot()
    assert message.snapshot.meta.conf_state == ConfState((1, 2, 3))
    assert sent(messages, MsgApp, to=2) == []
    assert str(peer(host, 2)) == "StateSnapshot match=1 next=12 paused pendingSnap=11"
    assert peer(host, 2).sent_commit == 11


@pytest.mark.behaviour("SN09")
def test_a_rejection_that_leads_behind_the_compaction_point_brings_a_snapshot() -> None:
    host = leader(followed_by=[2, 3])
    for _ in range(10):
        propose(host)
    receive(host, acked(host, 3))
    host.compact()
    messages = receive(host, MsgAppResp(1, 2, 1, 11, reject=True, reject_hint=1, log_term=1))
    assert [type(message) for message in messages] == [MsgSnap]


def test_entries_from_the_compaction_point_on_need_no_snapshot() -> None:
    host = compacted_leader()
    receive(host, MsgAppResp(1, 2, 1, 11))
    propose(host)
    host.node.report_unreachable(2)
    (append,) = sent(receive(host, HEARTBEAT_ANSWER), MsgApp)
    assert (append.index, append.log_term, indexes(append.entries)) == (11, 1, [12])


@pytest.mark.behaviour("SN10")
def test_a_peer_that_was_not_heard_lately_gets_no_snapshot() -> None:
    host = compacted_leader()
    peer(host, 2).recent_active = False  # as the quorum check leaves it
    for _ in range(3):
        assert sent(propose(host), MsgSnap) == []
    assert peer(host, 2).state is ProgressState.PROBE
    assert peer(host, 2).pending_snapshot == 0
    assert len(sent(receive(host, HEARTBEAT_ANSWER), MsgSnap)) == 1


def test_a_snapshot_that_is_being_made_is_sent_later() -> None:
    host = compacted_leader()
    host.storage.set_snapshot_not_ready(True)
    assert sent(receive(host, HEARTBEAT_ANSWER), MsgSnap) == []
    assert peer(host, 2).state is ProgressState.PROBE
    host.storage.set_snapshot_not_ready(False)
    assert len(sent(receive(host, HEARTBEAT_ANSWER), MsgSnap)) == 1


def test_a_storage_without_the_snapshot_it_must_have_stops_the_node() -> None:
    host = leader(followed_by=[2, 3])
    for _ in range(3):
        propose(host)
    receive(host, acked(host, 3))
    host.node.report_unreachable(2)
    host.storage.compact(3)  # and no snapshot was ever made
    with pytest.raises(InvariantError, match="need non-empty snapshot"):
        host.node.step(HEARTBEAT_ANSWER)


@pytest.mark.behaviour("SN12")
@pytest.mark.tinykv("TestSlowNodeRestore2C")
def test_a_node_far_behind_catches_up_by_snapshot_and_then_commits_with_the_rest() -> None:
    network = cluster(3)
    network.campaign(1)
    network.isolate(3)
    for number in range(100):
        network.propose(1, b"%d" % number)
    host = network.host(1)
    host.compact()
    assert network.host(3).raft.log.last_index == 1
    network.recover()
    network.tick()  # the heartbeat answer says that it is back
    network.propose(1, b"last")
    third = network.host(3)
    assert third.storage.first_index() == host.storage.first_index() == 102
    assert third.raft.log.committed == host.raft.log.committed == 102
    assert third.state == host.state
    assert third.payloads() == [b"last"]
    assert peer(host, 3).state is ProgressState.REPLICATE


@pytest.mark.behaviour("SN14")
def test_while_a_snapshot_is_pending_nothing_is_replicated_to_the_peer() -> None:
    host = snapshotting_leader()
    for _ in range(3):
        messages = propose(host)
        messages += receive(host, acked(host, 3), HEARTBEAT_ANSWER)
        assert [message for message in messages if message.to == 2] == []
    assert str(peer(host, 2)) == "StateSnapshot match=1 next=12 paused pendingSnap=11"


@pytest.mark.behaviour("SN15")
def test_a_failure_report_ends_the_snapshot_behind_match_and_waits() -> None:
    host = snapshotting_leader()
    host.node.report_snapshot(2, failed=True)
    assert str(peer(host, 2)) == "StateProbe match=1 next=2 paused"
    assert take(host) == []
    assert len(sent(receive(host, HEARTBEAT_ANSWER), MsgSnap)) == 1  # it lives: once more


@pytest.mark.behaviour("SN16")
def test_a_success_report_ends_the_snapshot_behind_it_and_waits() -> None:
    host = snapshotting_leader()
    propose(host)
    host.node.report_snapshot(2)
    assert str(peer(host, 2)) == "StateProbe match=1 next=12 paused"
    assert take(host) == []
    (append,) = sent(receive(host, HEARTBEAT_ANSWER), MsgApp, to=2)
    assert (append.index, indexes(append.entries)) == (11, [12])


def test_a_report_on_a_snapshot_that_nobody_sent_changes_nothing() -> None:
    host = compacted_leader()
    before = str(peer(host, 2))
    for failed in (False, True):
        host.node.report_snapshot(2, failed=failed)
        host.node.report_snapshot(99, failed=failed)
        host.raft.step(MsgSnapStatus(1, 3, 1, reject=failed))
    assert str(peer(host, 2)) == before
    assert peer(host, 3).state is ProgressState.REPLICATE


@pytest.mark.behaviour("SN17")
@pytest.mark.parametrize("index", [11, 12])
def test_an_acknowledgement_at_or_above_the_pending_index_resumes_appends(index: int) -> None:
    host = snapshotting_leader()
    propose(host)
    propose(host)
    (append,) = sent(receive(host, acked(host, 2, index)), MsgApp, to=2)[:1]
    assert (peer(host, 2).state, peer(host, 2).match) == (ProgressState.REPLICATE, index)
    assert (append.index, indexes(append.entries)) == (index, list(range(index + 1, 14)))
    assert peer(host, 2).pending_snapshot == 0


@pytest.mark.behaviour("SN17")
def test_an_acknowledgement_from_which_the_log_can_go_on_resumes_appends_too() -> None:
    host = snapshotting_leader()
    propose(host)
    peer(host, 2).become_snapshot(12)  # a later snapshot is on its way, but the log still reaches back to 12
    receive(host, acked(host, 2, 11))
    assert (peer(host, 2).state, peer(host, 2).next) == (ProgressState.REPLICATE, 13)


@pytest.mark.behaviour("SN17")
@pytest.mark.parametrize("index", [1, 2, 10])
def test_an_acknowledgement_behind_which_the_log_is_compacted_does_not(index: int) -> None:
    host = snapshotting_leader()
    propose(host)
    assert [message for message in receive(host, acked(host, 2, index)) if message.to == 2] == []
    assert peer(host, 2).state is ProgressState.SNAPSHOT
    assert peer(host, 2).match == index
