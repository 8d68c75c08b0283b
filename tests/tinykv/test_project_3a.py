"""TinyKV's project 3A: those of its scenarios that no test of the core plays as they are. docs/tinykv.md lists all."""

from __future__ import annotations

import pytest

from raftly.base.membership import ConfChange, ConfChangeType
from raftly.base.types import EntryType
from raftly.core.messages import MsgTimeoutNow
from raftly.core.role import Role
from tests.support.lone import leader
from tests.support.network import cluster


@pytest.mark.tinykv("TestLeaderTransferReceiveHigherTermVote3A")
def test_another_campaign_wins_while_a_transfer_waits() -> None:
    network = cluster(3)
    network.campaign(1)
    network.isolate(3)
    network.host(1).node.transfer_leader(3)
    network.stabilise()
    assert network.raft(1).lead_transferee == 3
    network.campaign(2)
    assert (network.raft(2).role, network.raft(2).term) == (Role.LEADER, 2)
    assert (network.raft(1).role, network.raft(1).leader, network.raft(1).lead_transferee) == (Role.FOLLOWER, 2, 0)


@pytest.mark.tinykv("TestLeaderTransferRemoveNode3A")
def test_a_transfer_to_a_removed_node_changes_nothing() -> None:
    network = cluster(3)
    network.campaign(1)
    network.host(1).node.propose_conf_change(ConfChange(ConfChangeType.REMOVE_NODE, 3))
    network.stabilise()
    network.hold(lambda message: isinstance(message, MsgTimeoutNow))
    network.host(1).node.transfer_leader(3)
    network.stabilise()
    assert network.held == []
    assert (network.raft(1).role, network.raft(1).term, network.raft(1).lead_transferee) == (Role.LEADER, 1, 0)
    network.propose(1)  # nothing is pending that would refuse it
    assert network.raft(2).log.committed == 3


@pytest.mark.tinykv("TestRawNodeProposeAndConfChange3A")
def test_a_proposal_and_a_change_stand_in_the_log_in_order_each_of_its_type() -> None:
    host = leader(voters=(1,))
    change = ConfChange(ConfChangeType.ADD_NODE, 1)
    host.node.propose(b"data")
    host.node.propose_conf_change(change)
    assert [(entry.type, entry.data) for entry in host.log()[-2:]] == [
        (EntryType.NORMAL, b"data"),
        (EntryType.CONF_CHANGE, change.encode()),
    ]
