"""TinyKV's project 2A: those of its scenarios that no test of the core plays as they are. docs/tinykv.md lists all."""

from __future__ import annotations

import pytest

from raftly.core.messages import MsgApp, MsgVote
from raftly.core.role import Role
from tests.support.lone import leader, peer, propose, receive, sent, take, voter
from tests.support.network import cluster


@pytest.mark.tinykv("TestCampaignWhileLeader2AA")
def test_the_leader_of_a_group_of_one_does_not_campaign() -> None:
    host = leader(voters=(1,))
    host.node.campaign()
    assert take(host) == []
    assert (host.raft.role, host.raft.term, host.raft.log.last_index) == (Role.LEADER, 1, 1)


@pytest.mark.tinykv("TestSplitVote2AA")
def test_after_a_split_vote_the_next_campaign_wins_the_next_term() -> None:
    network = cluster(3)
    network.campaign(1)
    network.isolate(1)
    for id_ in (2, 3):
        network.host(id_).node.campaign()  # both before either hears of the other
    network.stabilise()
    assert [(network.raft(id_).role, network.raft(id_).term) for id_ in (2, 3)] == [(Role.CANDIDATE, 2)] * 2
    network.campaign(2)
    assert [(network.raft(id_).role, network.raft(id_).term) for id_ in (2, 3)] == [
        (Role.LEADER, 3),
        (Role.FOLLOWER, 3),
    ]


@pytest.mark.tinykv("TestVoteRequest2AB")
@pytest.mark.parametrize("terms", [(1,), (1, 2), (1, 1, 3, 3)])
def test_a_follower_that_times_out_shows_the_end_of_its_log(terms: tuple[int, ...]) -> None:
    host = voter(terms=terms)
    receive(host, MsgApp(1, 2, terms[-1], terms[-1], len(terms), [], 0))
    for _ in range(host.raft.randomized_election_timeout):
        host.node.tick()
    assert take(host) == [MsgVote(to, 1, terms[-1] + 1, terms[-1], len(terms)) for to in (2, 3)]


@pytest.mark.tinykv("TestProgressLeader2AB")
def test_what_a_leader_knows_of_itself_follows_its_log() -> None:
    host = leader()
    for last in range(2, 7):
        propose(host)
        own = peer(host, 1)
        assert (own.match, own.next, host.raft.log.last_index) == (last, last + 1, last)


@pytest.mark.tinykv("TestLeaderIncreaseNext2AB")
def test_a_proposal_behind_older_entries_moves_next_behind_the_log() -> None:
    host = leader(terms=(1, 1, 1), followed_by=[2])
    assert peer(host, 2).next == 5  # the three, and the empty one of the leader's own term
    (append,) = sent(propose(host), MsgApp, to=2)
    assert (append.index, peer(host, 2).next, host.raft.log.last_index) == (4, 6, 5)


@pytest.mark.tinykv("TestCommitWithHeartbeat2AB")
def test_one_round_of_heartbeats_brings_a_follower_that_was_away_up_to_the_commit_index() -> None:
    network = cluster(5)
    network.campaign(1)
    network.isolate(5)
    network.propose(1, b"a")
    network.propose(1, b"b")
    assert (network.raft(1).log.committed, network.raft(5).log.committed) == (3, 1)
    network.recover()
    network.tick(only=(1,))
    assert network.raft(5).log.committed == 3
    assert network.host(5).payloads() == [b"a", b"b"]


@pytest.mark.tinykv("TestHeartbeatUpdateCommit2AB")
@pytest.mark.parametrize("own", [1, 3])
def test_heartbeats_do_not_commit_entries_of_a_deposed_leader(own: int) -> None:
    network = cluster(5)
    network.campaign(1)
    network.isolate(1)
    for _ in range(own):
        network.propose(1, b"lost")
    network.campaign(2)
    for _ in range(own):
        network.propose(2, b"kept")
    assert network.raft(2).log.committed == own + 2
    network.recover()
    network.ignore(MsgApp)
    network.tick(2, only=(2,))
    deposed = network.host(1)
    assert (deposed.raft.role, deposed.raft.leader) == (Role.FOLLOWER, 2)
    assert (deposed.raft.log.committed, deposed.payloads()) == (1, [])
    network.recover()
    network.tick(2, only=(2,))
    assert deposed.payloads() == [b"kept"] * own


@pytest.mark.tinykv("TestRawNodeStart2AC")
def test_a_proposal_is_stored_by_one_ready_and_committed_by_the_next() -> None:
    host = voter(voters=(1,))
    host.node.campaign()
    take(host)
    index = host.node.propose(b"foo")
    ready = host.node.ready()
    assert [(entry.index, entry.data) for entry in ready.entries] == [(index, b"foo")]
    assert (ready.committed_entries, ready.must_sync) == ([], True)  # not before it is on disk, even when alone
    host.save(ready)
    host.node.advance()
    ready = host.node.ready()
    assert [(entry.index, entry.data) for entry in ready.committed_entries] == [(index, b"foo")]
    assert ready.entries == []
    host.save(ready)
    host.apply(ready.committed_entries)
    host.node.advance()
    assert not host.node.has_ready()
