"""Check-quorum: a leader that hears from no quorum gives up, and voters that hear a leader protect it."""

from dataclasses import replace

import pytest

from raftly.base.membership import ConfChange, ConfChangeType
from raftly.core.messages import (
    CAMPAIGN_TRANSFER,
    MsgAppResp,
    MsgHeartbeat,
    MsgHeartbeatResp,
    MsgPreVote,
    MsgVote,
    MsgVoteResp,
)
from raftly.core.role import Role
from tests.support.network import DEFAULTS, Host, Network, cluster, host_with, storage_with

TIMEOUT = DEFAULTS.election_tick
CHECK_QUORUM = replace(DEFAULTS, check_quorum=True)
BOTH = replace(CHECK_QUORUM, pre_vote=True)
FOLLOWER, CANDIDATE, LEADER, PRE_CANDIDATE = Role.FOLLOWER, Role.CANDIDATE, Role.LEADER, Role.PRE_CANDIDATE


def roles(network: Network) -> list[Role]:
    return [host.raft.role for host in network.hosts.values()]


def terms(network: Network) -> list[int]:
    return [host.raft.term for host in network.hosts.values()]


def lone_leader(voters: int = 3, learners: tuple[int, ...] = ()) -> Host:
    """Node 1 leads term 1; the others are only names."""
    storage = storage_with(voters=range(1, voters + 1), learners=learners)
    host = host_with(1, CHECK_QUORUM, storage)
    host.node.campaign()
    host.settle()
    for id_ in range(2, voters + 1):
        if host.raft.role is CANDIDATE:
            host.node.step(MsgVoteResp(1, id_, 1))
    host.settle()
    assert host.raft.role is LEADER
    return host


# --- the leader ------------------------------------------------------------------------------------------------


@pytest.mark.behaviour("CQ01")
@pytest.mark.parametrize("speaker", [MsgHeartbeatResp(1, 2, 1), MsgAppResp(1, 2, 1, 1)])
def test_a_leader_that_hears_from_a_quorum_stays(speaker: MsgHeartbeatResp | MsgAppResp) -> None:
    host = lone_leader()
    for _ in range(3 * TIMEOUT):
        host.node.step(speaker)
        host.node.tick()
        host.settle()
    assert (host.raft.role, host.raft.term) == (LEADER, 1)


@pytest.mark.behaviour("CQ01")
def test_once_within_a_timeout_is_enough() -> None:
    host = lone_leader()
    for _ in range(4):
        host.node.step(MsgHeartbeatResp(1, 3, 1))
        for _ in range(TIMEOUT):
            host.node.tick()
        assert host.raft.role is LEADER


@pytest.mark.behaviour("CQ02")
def test_a_leader_that_hears_from_no_quorum_steps_down_within_its_term() -> None:
    host = lone_leader()
    for _ in range(TIMEOUT):
        host.node.tick()  # the votes that made it leader do not count as being heard
        host.settle()
    raft = host.raft
    assert (raft.role, raft.term, raft.leader, raft.vote) == (FOLLOWER, 1, 0, 1)


@pytest.mark.behaviour("CQ02")
def test_answers_before_the_last_check_do_not_count() -> None:
    host = lone_leader()
    host.node.step(MsgHeartbeatResp(1, 2, 1))
    for _ in range(TIMEOUT):
        host.node.tick()
    assert (host.raft.role, host.raft.term) == (LEADER, 1)
    for _ in range(TIMEOUT):
        host.node.tick()
    assert (host.raft.role, host.raft.term) == (FOLLOWER, 1)


@pytest.mark.behaviour("CQ02")
def test_learners_do_not_make_a_quorum() -> None:
    host = lone_leader(3, learners=(4, 5))
    for _ in range(TIMEOUT):
        for learner in (4, 5):
            host.node.step(MsgHeartbeatResp(1, learner, 1))
        host.node.tick()
    assert host.raft.role is FOLLOWER


@pytest.mark.behaviour("CQ02")
def test_a_single_voter_is_its_own_quorum_and_without_the_option_nobody_asks() -> None:
    alone = lone_leader(1)
    unchecked = cluster(3)
    unchecked.campaign(1)
    unchecked.isolate(1)
    for _ in range(3 * TIMEOUT):
        alone.node.tick()
    unchecked.tick(3 * TIMEOUT, only=(1,))
    assert alone.raft.role is LEADER
    assert unchecked.raft(1).role is LEADER


@pytest.mark.behaviour("CQ10")
def test_a_new_voter_counts_as_active_until_the_next_check() -> None:
    host = lone_leader(1)
    for _ in range(TIMEOUT - 1):
        host.node.tick()
    host.node.apply_conf_change(ConfChange(ConfChangeType.ADD_NODE, 2))
    host.settle()
    host.node.tick()
    assert (host.raft.role, host.raft.election_elapsed) == (LEADER, 0)
    for _ in range(TIMEOUT - 1):
        host.node.tick()
    assert (host.raft.role, host.raft.term) == (LEADER, 1)
    host.node.tick()
    assert (host.raft.role, host.raft.term) == (FOLLOWER, 1)


# --- leases ----------------------------------------------------------------------------------------------------


@pytest.mark.behaviour("CQ03")
def test_voters_in_touch_with_a_leader_ignore_candidates_until_a_timeout_passed() -> None:
    network = cluster(3, CHECK_QUORUM)
    network.campaign(1)
    network.isolate(1)
    voter = network.raft(2)
    network.campaign(3)
    assert roles(network) == [LEADER, FOLLOWER, CANDIDATE]
    assert (voter.term, voter.vote, voter.leader) == (1, 1, 1)  # not even the term was taken up
    voter.election_elapsed = TIMEOUT - 1
    network.campaign(3)
    assert (voter.term, network.raft(3).role) == (1, CANDIDATE)
    voter.election_elapsed = TIMEOUT
    network.campaign(3)
    assert roles(network) == [LEADER, FOLLOWER, LEADER]
    assert terms(network) == [1, 4, 4]


@pytest.mark.behaviour("CQ03")
def test_the_leader_protects_itself_too() -> None:
    host = lone_leader()
    host.node.step(MsgVote(1, 3, 9, 8, 100))
    host.node.step(MsgPreVote(1, 3, 9, 8, 100))
    assert (host.raft.role, host.raft.term, host.settle()) == (LEADER, 1, [])


@pytest.mark.behaviour("CQ03")
def test_a_candidate_whom_the_leader_sent_is_heard_in_spite_of_the_lease() -> None:
    network = cluster(3, CHECK_QUORUM)
    network.campaign(1)
    network.host(2).node.step(MsgVote(2, 3, 2, 1, 1, CAMPAIGN_TRANSFER))
    assert (network.raft(2).term, network.raft(2).vote) == (2, 3)


@pytest.mark.behaviour("CQ04")
def test_a_node_that_knows_no_leader_votes_at_once() -> None:
    network = cluster(3, CHECK_QUORUM)
    network.campaign(1)
    assert roles(network) == [LEADER, FOLLOWER, FOLLOWER]
    restarted = network.host(2)
    restarted.restart()
    restarted.node.step(MsgVote(2, 3, 2, 1, 1))
    assert (restarted.raft.term, restarted.raft.vote) == (2, 3)


@pytest.mark.behaviour("CQ04")
def test_forgetting_the_leader_ends_the_lease() -> None:
    network = cluster(3, CHECK_QUORUM)
    network.campaign(1)
    follower = network.host(2)
    follower.node.forget_leader()
    assert (follower.raft.leader, follower.raft.role, follower.raft.term) == (0, FOLLOWER, 1)
    follower.node.step(MsgVote(2, 3, 2, 1, 1))
    assert (follower.raft.term, follower.raft.vote) == (2, 3)


# --- stuck and disruptive nodes --------------------------------------------------------------------------------


@pytest.mark.behaviour("CQ05")
def test_a_stuck_candidate_of_a_higher_term_is_freed_by_answering_the_leader() -> None:
    network = cluster(3, CHECK_QUORUM)
    network.campaign(1)
    network.isolate(1)
    network.campaign(3)
    network.campaign(3)
    assert roles(network) == [LEADER, FOLLOWER, CANDIDATE]
    assert terms(network) == [1, 1, 3]
    network.recover()
    network.tick(only=(1,))
    assert roles(network) == [FOLLOWER, FOLLOWER, CANDIDATE]
    assert terms(network)[0] == 3
    network.raft(2).election_elapsed = TIMEOUT
    network.campaign(3)
    assert roles(network) == [FOLLOWER, FOLLOWER, LEADER]


@pytest.mark.behaviour("CQ05")
def test_without_the_option_an_old_leader_gets_no_answer() -> None:
    host = host_with(3, storage=storage_with(voters=(1, 2, 3), term=5))
    host.node.step(MsgHeartbeat(3, 1, 4))
    assert host.settle() == []
    host = host_with(3, CHECK_QUORUM, storage_with(voters=(1, 2, 3), term=5))
    host.node.step(MsgHeartbeat(3, 1, 4))
    assert host.settle() == [MsgAppResp(1, 3, 5)]


@pytest.mark.behaviour("CQ06")
def test_a_voter_that_may_not_campaign_still_follows() -> None:
    # Node 2 does not know yet that it is a voter.
    hosts = [
        host_with(1, CHECK_QUORUM, storage_with(voters=(1, 2))),
        host_with(2, CHECK_QUORUM, storage_with(voters=(1,))),
    ]
    network = Network(hosts)
    assert not network.raft(2).promotable()
    network.tick(2 * TIMEOUT, only=(2,))
    network.campaign(1)
    assert roles(network) == [LEADER, FOLLOWER]
    assert network.raft(2).leader == 1


@pytest.mark.behaviour("CQ07")
@pytest.mark.tinykv("TestDisruptiveFollower2AA")
def test_a_follower_that_timed_out_disrupts_through_a_late_heartbeat() -> None:
    network = cluster(3, CHECK_QUORUM)
    network.campaign(1)
    network.hold(lambda message: message.to == 3)
    network.tick(TIMEOUT - 1, only=(1,))
    follower = network.raft(3)
    while follower.role is not CANDIDATE:
        network.tick(only=(3,))
    assert roles(network) == [LEADER, FOLLOWER, CANDIDATE]
    assert terms(network) == [1, 1, 2]
    network.release()
    assert roles(network)[0] is FOLLOWER
    assert terms(network)[0] == 2
    assert network.leader() == 0


@pytest.mark.behaviour("CQ08")
def test_with_pre_vote_it_does_not() -> None:
    network = cluster(3, BOTH)
    network.campaign(1)
    network.isolate(3)
    network.propose(1)
    network.tick(TIMEOUT - 1, only=(1, 2))
    follower = network.raft(3)
    while follower.role is not PRE_CANDIDATE:
        network.tick(only=(3,))
    network.recover()
    network.campaign(3)
    assert roles(network) == [LEADER, FOLLOWER, PRE_CANDIDATE]
    assert terms(network) == [1, 1, 1]
    network.tick(only=(1,))
    assert roles(network) == [LEADER, FOLLOWER, FOLLOWER]
    assert terms(network) == [1, 1, 1]
    assert follower.log.last_index == 2


@pytest.mark.behaviour("CQ09")
def test_a_live_lease_ignores_pre_votes_and_elections_still_finish() -> None:
    network = cluster(3, BOTH)
    network.campaign(1)
    network.isolate(1)
    network.campaign(3)
    assert roles(network) == [LEADER, FOLLOWER, PRE_CANDIDATE]
    assert network.raft(2).leader == 1
    assert network.raft(2).after_append == []
    # 3 gave its own lease up when it campaigned, so 2 needs nobody else.
    network.campaign(2)
    assert roles(network) == [LEADER, LEADER, FOLLOWER]
    assert terms(network) == [1, 2, 2]


@pytest.mark.behaviour("CQ09")
def test_elections_finish_by_clocks_alone_after_the_leader_is_lost() -> None:
    network = cluster(5, BOTH)
    network.tick(3 * TIMEOUT)
    first = network.leader()
    assert first
    network.isolate(first)
    network.tick(6 * TIMEOUT)
    second = network.leader()
    assert second not in (0, first)
    assert network.raft(first).role is not LEADER
    network.recover()
    network.tick(6 * TIMEOUT)
    # The lost one comes back without disturbing anybody.
    assert network.leader() == second
    assert len(set(terms(network))) == 1
