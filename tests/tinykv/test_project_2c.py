"""TinyKV's project 2C: snapshots in Raft that no test of the core plays as they are. docs/tinykv.md lists all."""

from __future__ import annotations

import pytest

from raftly.base.membership import ConfState
from raftly.base.types import Snapshot, SnapshotMeta
from raftly.core.messages import MsgSnap
from tests.support.lone import acked, leader, propose, receive, take, voter


@pytest.mark.tinykv("TestProvideSnap2C")
def test_a_proposal_sends_one_snapshot_to_a_follower_whose_next_entry_is_compacted() -> None:
    host = leader(voters=(1, 2))
    receive(host, acked(host, 2))
    for _ in range(10):
        propose(host)
    receive(host, acked(host, 2))
    host.compact()
    behind = host.raft.tracker.progress[2]
    behind.become_probe()
    behind.match, behind.next = 1, 2  # the follower lost what it held
    (message,) = propose(host)
    assert isinstance(message, MsgSnap)
    assert (message.to, message.snapshot.meta.index) == (2, 11)


@pytest.mark.tinykv("TestRestoreFromSnapWithOverlapingPeersMsg2C")
def test_the_members_are_those_of_the_snapshot_alone() -> None:
    host = voter(id_=3, voters=(1, 2, 3))
    host.node.step(MsgSnap(3, 1, 2, Snapshot(SnapshotMeta(11, 1, ConfState((2, 3, 4))), b"state")))
    assert (host.raft.leader, host.raft.term) == (1, 2)
    take(host)
    assert [id_ for id_, _ in host.raft.tracker.peers] == [2, 3, 4]
    assert host.conf_state == ConfState((2, 3, 4))
