"""Nodes that come from nothing: learners and fresh members, and what a leader does for and with them."""

from __future__ import annotations

from dataclasses import replace

import pytest

from raftly.base.membership import ConfState
from raftly.base.types import Snapshot, SnapshotMeta
from raftly.core.messages import MsgAppResp, MsgSnap, MsgTimeoutNow
from raftly.core.role import Role
from tests.support.lone import receive, sent
from tests.support.network import DEFAULTS, Network, cluster, host_with, storage_with


@pytest.mark.behaviour("X12")
def test_a_leader_ignores_a_transfer_to_a_learner() -> None:
    network = cluster(2, learners=(3,))
    network.campaign(1)
    host = network.host(1)
    host.node.transfer_leader(3)
    assert host.raft.lead_transferee == 0
    assert not sent(host.raft.messages, MsgTimeoutNow)
    network.stabilise()
    assert host.raft.role is Role.LEADER
    network.propose(1, b"still taken")
    assert network.host(3).payloads() == [b"still taken"]
    host.node.transfer_leader(2)  # a voter may have it
    network.stabilise()
    assert network.leader() == 2


@pytest.mark.behaviour("X13")
def test_an_uninitialised_node_becomes_the_learner_that_a_snapshot_names() -> None:
    host = host_with(3)
    assert not host.raft.promotable()
    snapshot = Snapshot(SnapshotMeta(11, 11, ConfState((1, 2), (3,))), b"state")
    (answer,) = sent(receive(host, MsgSnap(3, 1, 11, snapshot)), MsgAppResp)
    assert (answer.to, answer.index, answer.reject) == (1, 11, False)
    raft = host.raft
    assert (raft.log.last_index, raft.log.last_term, raft.log.committed) == (11, 11, 11)
    assert raft.tracker.config.conf_state() == snapshot.meta.conf_state
    assert raft.is_learner
    assert host.state == b"state"
    assert not raft.promotable()
    for _ in range(5 * DEFAULTS.election_tick):
        host.node.tick()
    assert raft.role is Role.FOLLOWER


@pytest.mark.behaviour("X14")
@pytest.mark.parametrize("pre_vote", [False, True])
def test_a_fresh_node_gets_a_snapshot_and_the_empty_entry_after_the_first_election(pre_vote: bool) -> None:
    template = replace(DEFAULTS, pre_vote=pre_vote)
    seeded = storage_with(voters=(1, 2), snapshot=(1, 1))
    network = Network([host_with(1, template, seeded), host_with(2, template)])
    network.campaign(1)
    assert network.leader() == 1
    fresh = network.raft(2)
    assert (fresh.log.first_index(), fresh.log.last_index, fresh.log.committed) == (2, 2, 2)
    assert fresh.tracker.config.conf_state() == ConfState((1, 2))
    assert fresh.promotable()
