"""Reported commits (raft-rs): the leader knows what each peer has committed; a read answer raises a commit.

And reads that a smaller quorum confirms.
"""

from __future__ import annotations

from dataclasses import replace

import pytest

from raftly.base.membership import ConfChange, ConfChangeType, ConfState
from raftly.core.messages import (
    MsgApp,
    MsgAppResp,
    MsgHeartbeat,
    MsgHeartbeatResp,
    MsgReadIndexResp,
)
from raftly.core.readindex import ReadState
from raftly.core.role import Role
from tests.support.lone import entries, leader, peer, propose, receive, sent, voter
from tests.support.network import DEFAULTS, Network, cluster

REPORTING = replace(DEFAULTS, report_commit=True)


def tracked(network: Network, leader_id: int) -> list[int]:
    return [network.raft(leader_id).tracker.progress[id_].committed_index for id_ in (1, 2, 3)]


@pytest.mark.behaviour("X32")
def test_the_leader_tracks_the_commits_of_all() -> None:
    network = cluster(3, REPORTING)
    network.campaign(1)
    assert tracked(network, 1) == [1, 1, 1]
    network.cut(1, 3)
    network.propose(1)
    network.propose(1)
    assert tracked(network, 1) == [3, 3, 1]
    network.recover()
    network.tick(2 * DEFAULTS.heartbeat_tick, only=(1,))
    assert tracked(network, 1) == [3, 3, 3]

    network.campaign(2)
    assert tracked(network, 2) == [4, 4, 4]
    network.propose(2)
    network.campaign(1)
    assert tracked(network, 1) == [6, 6, 6]


@pytest.mark.behaviour("X32")
def test_answers_to_appends_and_heartbeats_carry_it_accepted_or_not() -> None:
    host = voter(2, template=REPORTING, terms=(1, 1, 1), commit=2)
    (accepted,) = sent(receive(host, MsgApp(2, 1, 1, 1, 3, entries(4, 1), 3)), MsgAppResp)
    (old,) = sent(receive(host, MsgApp(2, 1, 1, 1, 1, [], 3)), MsgAppResp)
    (rejected,) = sent(receive(host, MsgApp(2, 1, 1, 1, 9, [], 3)), MsgAppResp)
    assert [answer.commit for answer in (accepted, old, rejected)] == [3, 3, 3]
    assert rejected.reject
    (beat,) = sent(receive(host, MsgHeartbeat(2, 1, 1, 4)), MsgHeartbeatResp)
    assert beat.commit == 4

    silent = voter(2, terms=(1, 1, 1), commit=2)
    (accepted,) = sent(receive(silent, MsgApp(2, 1, 1, 1, 3, entries(4, 1), 3)), MsgAppResp)
    (beat,) = sent(receive(silent, MsgHeartbeat(2, 1, 1, 4)), MsgHeartbeatResp)
    assert (accepted.commit, beat.commit) == (0, 0)


@pytest.mark.behaviour("X32")
def test_it_never_falls() -> None:
    host = leader(template=REPORTING)
    for _ in range(5):
        propose(host)
    receive(host, MsgHeartbeatResp(1, 2, 1, commit=4))
    assert peer(host, 2).committed_index == 4
    for late in (
        MsgHeartbeatResp(1, 2, 1, commit=2),
        MsgHeartbeatResp(1, 2, 1),
        MsgAppResp(1, 2, 1, 3, commit=3),
        MsgAppResp(1, 2, 1, 6, reject=True, reject_hint=1, log_term=1, commit=1),
    ):
        receive(host, late)
        assert peer(host, 2).committed_index == 4
    receive(host, MsgAppResp(1, 2, 1, 6, commit=5))
    assert peer(host, 2).committed_index == 5
    # Not at a new term either: what is committed stays so.
    receive(host, MsgHeartbeat(1, 3, 2))
    assert peer(host, 2).committed_index == 5


@pytest.mark.behaviour("X33")
def test_a_follower_raises_its_commit_from_a_read_answer() -> None:
    network = cluster(3, replace(REPORTING, skip_bcast_commit=True))
    network.campaign(1)
    network.propose(1)
    follower = network.host(2)
    assert (network.raft(1).log.committed, follower.raft.log.committed) == (2, 1)
    network.drop(lambda message: isinstance(message, MsgHeartbeat) and message.to == 2)  # 3 confirms the read
    follower.node.read_index(b"ctx")
    network.stabilise()
    assert follower.read_states == [ReadState(2, b"ctx")]
    assert follower.raft.log.committed == 2
    assert follower.applied_index == 2  # so the read needs not wait for a heartbeat


@pytest.mark.behaviour("X33")
@pytest.mark.parametrize(
    "index, reporting, wanted",
    [(3, True, 3), (2, True, 1), (4, True, 1), (3, False, 1)],
)
def test_the_answer_raises_it_only_to_an_entry_of_its_term_that_is_held(
    index: int, reporting: bool, wanted: int
) -> None:
    host = voter(2, template=replace(DEFAULTS, report_commit=reporting), terms=(1, 1, 2), term=2, commit=1)
    receive(host, MsgHeartbeat(2, 1, 2))
    receive(host, MsgReadIndexResp(2, 1, 2, index, b"ctx"))
    assert host.raft.log.committed == wanted
    assert host.read_states == [ReadState(index, b"ctx")]


@pytest.mark.behaviour("X34")
def test_a_removal_that_lowers_the_quorum_confirms_waiting_reads() -> None:
    network = cluster(2)
    network.campaign(1)
    network.ignore(MsgHeartbeatResp)
    host = network.host(1)
    host.node.read_index(b"a")
    host.node.read_index(b"b")
    network.stabilise()
    assert host.read_states == []
    host.node.apply_conf_change(ConfChange(ConfChangeType.REMOVE_NODE, 2))
    assert host.raft.read_states == [ReadState(1, b"a"), ReadState(1, b"b")]
    assert host.raft.read_only.waiting() == 0


@pytest.mark.behaviour("X34")
def test_a_removal_that_leaves_too_few_confirmations_does_not() -> None:
    network = cluster(5)
    network.campaign(1)
    network.drop(lambda message: isinstance(message, MsgHeartbeatResp) and message.from_ != 2)
    host = network.host(1)
    host.node.read_index(b"a")
    network.stabilise()
    host.node.apply_conf_change(ConfChange(ConfChangeType.REMOVE_NODE, 5))  # 2 of 4 is no quorum
    assert host.raft.read_states == []
    host.node.apply_conf_change(ConfChange(ConfChangeType.REMOVE_NODE, 4))  # 2 of 3 is
    assert host.raft.read_states == [ReadState(1, b"a")]


@pytest.mark.behaviour("X34")
def test_the_confirmation_of_a_node_that_left_does_not_count() -> None:
    network = cluster(5)
    network.campaign(1)
    network.drop(lambda message: isinstance(message, MsgHeartbeatResp) and message.from_ != 5)
    host = network.host(1)
    host.node.read_index(b"a")
    network.stabilise()
    for leaving in (5, 4):
        host.node.apply_conf_change(ConfChange(ConfChangeType.REMOVE_NODE, leaving))
    assert host.node.status().conf_state == ConfState((1, 2, 3))
    assert host.raft.read_states == []
    assert host.raft.role is Role.LEADER
