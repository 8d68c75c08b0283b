"""Options of raft-rs that can be switched while a node runs: check-quorum, batching, telling commits, forwarding."""

from __future__ import annotations

from dataclasses import replace

import pytest

from raftly.base.membership import ConfChange, ConfChangeType
from raftly.base.types import Entry
from raftly.core.config import ReadOnlyOption
from raftly.core.messages import MsgApp, MsgAppResp, MsgHeartbeat, MsgProp
from raftly.core.readindex import ReadState
from raftly.core.role import Role
from raftly.core.sizes import entries_bytes
from raftly.core.tracker import ProgressState
from raftly.errors import DropReason, ProposalDropped
from tests.support.lone import acked, indexes, leader, peer, propose, receive, sent, take, voter
from tests.support.network import DEFAULTS, cluster

BATCHING = replace(DEFAULTS, batch_append=True)


# --- check-quorum ----------------------------------------------------------------------------------------------


@pytest.mark.behaviour("X03")
def test_check_quorum_can_be_switched_at_run_time() -> None:
    host = leader()
    for _ in range(3 * DEFAULTS.election_tick):
        host.node.tick()
    assert host.raft.role is Role.LEADER  # off: a lonely leader stays

    host.node.set_check_quorum(True)
    for _ in range(2 * DEFAULTS.election_tick):
        host.node.tick()
    assert host.raft.role.value == "StateFollower"


@pytest.mark.behaviour("X03")
def test_check_quorum_switched_off_keeps_the_leader() -> None:
    host = leader(template=replace(DEFAULTS, check_quorum=True))
    host.node.set_check_quorum(False)
    for _ in range(5 * DEFAULTS.election_tick):
        host.node.tick()
    assert host.raft.role is Role.LEADER


@pytest.mark.behaviour("X04")
def test_lease_reads_go_on_when_check_quorum_is_switched_off() -> None:
    template = replace(DEFAULTS, check_quorum=True, read_only_option=ReadOnlyOption.LEASE_BASED)
    network = cluster(3, template)
    network.campaign(1)
    for id_ in (1, 2, 3):
        network.host(id_).node.set_check_quorum(False)
    network.propose(1, b"a")
    network.host(1).node.read_index(b"at the leader")
    network.host(3).node.read_index(b"at a follower")
    network.stabilise()
    assert network.host(1).read_states == [ReadState(2, b"at the leader")]
    assert network.host(3).read_states == [ReadState(2, b"at a follower")]
    network.isolate(1)  # the lease asks nobody
    network.host(1).node.read_index(b"alone")
    network.stabilise()
    assert network.host(1).read_states[-1] == ReadState(2, b"alone")


# --- batched appends -------------------------------------------------------------------------------------------


@pytest.mark.behaviour("X05")
def test_consecutive_proposals_are_merged_into_one_waiting_append_for_each_peer() -> None:
    host = leader(template=BATCHING, followed_by=(2, 3))
    for at in range(10):
        host.node.propose(b"%d" % at)
    for id_ in (2, 3):
        (append,) = sent(host.raft.messages, MsgApp, to=id_)
        assert (append.index, append.log_term) == (1, 1)
        assert [entry.data for entry in append.entries] == [b"%d" % at for at in range(10)]
        assert peer(host, id_).next == 12
    # What was handed out is not touched any more.
    messages = take(host)
    host.node.propose(b"later")
    assert [len(append.entries) for append in sent(messages, MsgApp)] == [10, 10]
    assert [(append.index, len(append.entries)) for append in sent(take(host), MsgApp)] == [(11, 1), (11, 1)]


@pytest.mark.behaviour("X05")
def test_without_batching_every_proposal_has_its_own_append() -> None:
    host = leader(template=BATCHING, followed_by=(2, 3))
    host.node.set_batch_append(False)
    for _ in range(3):
        host.node.propose(b"x")
    assert len(sent(host.raft.messages, MsgApp)) == 6
    host.node.set_batch_append(True)
    for _ in range(3):
        host.node.propose(b"x")
    assert [len(append.entries) for append in sent(host.raft.messages, MsgApp, to=2)] == [1, 1, 1, 3]


@pytest.mark.behaviour("X05")
def test_an_append_that_does_not_follow_is_not_merged() -> None:
    host = leader(template=BATCHING, followed_by=(2, 3))
    take(host)
    host.node.propose(b"a")
    host.node.step(MsgAppResp(1, 2, 1, 2, reject=True, reject_hint=1, log_term=1))
    # The peer is probed from its match; the first append is still waiting in front.
    assert peer(host, 2).state is ProgressState.PROBE
    appends = sent(host.raft.messages, MsgApp, to=2)
    assert [(append.index, indexes(append.entries)) for append in appends] == [(1, [2]), (1, [2])]


@pytest.mark.behaviour("X05")
def test_a_waiting_append_takes_up_a_newer_commit_index_and_respects_the_message_size() -> None:
    host = leader(template=BATCHING, followed_by=(2, 3))
    take(host)
    host.node.propose(b"a")
    assert [append.commit for append in sent(host.raft.messages, MsgApp)] == [1, 1]
    host.run_ready()
    host.node.propose(b"b")
    host.node.step(acked(host, 2, 2))
    appends = sent(host.raft.messages, MsgApp)
    assert [(append.to, indexes(append.entries), append.commit) for append in appends] == [(2, [3], 2), (3, [3], 2)]

    limit = 2 * entries_bytes([Entry(1, 2, data=b"x")])
    host = leader(template=replace(BATCHING, max_size_per_msg=limit), followed_by=(2, 3))
    take(host)
    for _ in range(5):
        host.node.propose(b"x")
    assert [indexes(append.entries) for append in sent(host.raft.messages, MsgApp, to=3)] == [[2, 3], [4, 5], [6]]


@pytest.mark.behaviour("X05")
def test_a_cluster_agrees_with_batching() -> None:
    network = cluster(3, BATCHING)
    network.campaign(1)
    for at in range(20):
        network.host(1).node.propose(b"%d" % at)
        if at % 7 == 0:
            network.stabilise()
    network.stabilise()
    for id_ in (1, 2, 3):
        assert network.host(id_).payloads() == [b"%d" % at for at in range(20)]


# --- telling commits -------------------------------------------------------------------------------------------


@pytest.mark.behaviour("X06")
def test_commits_are_not_broadcast_but_come_with_the_next_append_or_heartbeat() -> None:
    network = cluster(3, replace(DEFAULTS, skip_bcast_commit=True))
    network.campaign(1)

    def committed() -> list[int]:
        return [network.raft(id_).log.committed for id_ in (1, 2, 3)]

    network.tick(only=(1,))  # the first heartbeat tells of the empty entry
    assert committed() == [1, 1, 1]
    network.propose(1, b"a")
    assert committed() == [2, 1, 1]
    network.propose(1, b"b")
    assert committed() == [3, 2, 2]
    network.tick(only=(1,))
    assert committed() == [3, 3, 3]

    for id_ in (1, 2, 3):
        network.host(id_).node.set_skip_bcast_commit(False)
    network.propose(1, b"c")
    assert committed() == [4, 4, 4]
    network.host(1).node.set_skip_bcast_commit(True)
    network.propose(1, b"d")
    assert committed() == [5, 4, 4]


@pytest.mark.behaviour("X06")
def test_membership_changes_are_still_told_at_once() -> None:
    network = cluster(3, replace(DEFAULTS, skip_bcast_commit=True))
    network.campaign(1)
    network.tick(only=(1,))
    network.host(1).node.propose_conf_change(ConfChange(ConfChangeType.ADD_NODE, 4))
    network.stabilise()
    assert [network.raft(id_).log.committed for id_ in (1, 2, 3)] == [2, 2, 2]
    for id_ in (1, 2, 3):
        assert network.raft(id_).tracker.config.voters.ids() == (1, 2, 3, 4)


# --- forwarding ------------------------------------------------------------------------------------------------


@pytest.mark.behaviour("X07")
def test_a_follower_that_does_not_forward_drops_the_proposal() -> None:
    network = cluster(3, replace(DEFAULTS, disable_proposal_forwarding=True))
    network.campaign(1)
    follower = network.host(2)
    for attempt in (
        lambda: follower.node.propose(b"mine"),
        lambda: follower.node.step(MsgProp(2, 2, 0, [Entry(data=b"stepped")])),
    ):
        with pytest.raises(ProposalDropped) as caught:
            attempt()
        assert caught.value.reason is DropReason.FORWARDING_DISABLED
    network.propose(1, b"the leader's")
    assert network.host(3).payloads() == [b"the leader's"]


@pytest.mark.behaviour("X07")
def test_a_follower_that_forwards_names_the_leader() -> None:
    host = voter(2)
    receive(host, MsgHeartbeat(2, 1, 1))
    (forwarded,) = sent(propose(host, b"x"), MsgProp)
    assert (forwarded.to, forwarded.from_, forwarded.term) == (1, 2, 0)
