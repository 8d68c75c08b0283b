"""lease_tick: a voter's promise to the leader it heard, and the early campaign when that leader is reported lost."""

from dataclasses import replace

import pytest

from raftly.core.config import Config
from raftly.core.messages import (
    CAMPAIGN_TRANSFER,
    MsgApp,
    MsgHeartbeat,
    MsgPreVote,
    MsgPreVoteResp,
    MsgTimeoutNow,
    MsgVote,
    MsgVoteResp,
)
from raftly.core.role import Role
from tests.support.network import DEFAULTS, Host, Network, cluster, host_with, storage_with

LEASE, TIMEOUT = 6, 20
CONFIG = replace(
    DEFAULTS, check_quorum=True, pre_vote=True, heartbeat_tick=2, lease_tick=LEASE, election_tick=TIMEOUT, seed=3
)
ETCD = replace(CONFIG, lease_tick=0)
FOLLOWER, CANDIDATE, LEADER, PRE_CANDIDATE = Role.FOLLOWER, Role.CANDIDATE, Role.LEADER, Role.PRE_CANDIDATE


def follower(ticks: int = 0, config: Config = CONFIG) -> Host:
    """Node 1 of three, with one entry of term 1, so many ticks after it last heard node 2, the leader."""
    host = host_with(1, config, storage_with(voters=(1, 2, 3), terms=(1,)))
    host.node.step(MsgHeartbeat(1, 2, 1))
    for _ in range(ticks):
        host.node.tick()
    host.settle()
    return host


def elected(size: int = 3) -> Network:
    network = cluster(size, CONFIG)
    network.tick(LEASE)
    network.campaign(1)
    assert network.leader() == 1
    return network


def answers(host: Host, *requests: MsgVote | MsgPreVote) -> list[bool]:
    """For each answer: was it granted?"""
    for request in requests:
        host.node.step(request)
    return [not m.reject for m in host.settle() if isinstance(m, MsgVoteResp | MsgPreVoteResp) and m.to != host.id]


# --- the promise -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("request_class", [MsgVote, MsgPreVote])
def test_a_voter_helps_nobody_before_lease_tick_has_passed_and_anybody_then(
    request_class: type[MsgVote] | type[MsgPreVote],
) -> None:
    request = request_class(1, 3, 2, 1, 1)
    assert answers(follower(LEASE - 1), request) == []
    assert answers(follower(LEASE), request) == [True]
    assert answers(follower(LEASE, ETCD), request) == []


def test_the_promise_outlives_the_knowledge_of_who_leads() -> None:
    # A refusal that was on its way for long brings a later term, and with it the end of everything known of term 1.
    host = follower()
    host.node.step(MsgPreVoteResp(1, 3, 2, reject=True))
    assert (host.raft.term, host.raft.leader) == (2, 0)
    assert answers(host, MsgVote(1, 3, 2, 1, 1)) == [False]
    assert answers(host, MsgVote(1, 3, 3, 1, 1), MsgPreVote(1, 3, 3, 1, 1)) == []
    for _ in range(LEASE):
        host.node.tick()
    assert answers(host, MsgVote(1, 3, 2, 1, 1)) == [True]

    etcd = follower(config=ETCD)
    etcd.node.step(MsgPreVoteResp(1, 3, 2, reject=True))
    assert answers(etcd, MsgVote(1, 3, 2, 1, 1)) == [True]


def test_the_promise_outlives_a_forgotten_leader_and_a_crash() -> None:
    host = follower()
    host.node.forget_leader()
    assert answers(host, MsgVote(1, 3, 2, 1, 1)) == []
    host.restart(lose_unsynced=True)  # its term was not durable when it answered the heartbeat
    for _ in range(LEASE - 1):
        host.node.tick()
    assert answers(host, MsgVote(1, 3, 2, 1, 1)) == []
    host.node.tick()
    assert answers(host, MsgVote(1, 3, 2, 1, 1)) == [True]


def test_a_node_bound_by_its_promise_does_not_vote_for_itself_either() -> None:
    host = follower(LEASE - 1)
    host.node.campaign()
    assert host.raft.role is FOLLOWER
    host.node.tick()
    host.node.campaign()
    assert host.raft.role is PRE_CANDIDATE


def test_a_transfer_is_the_leaders_own_wish_so_no_promise_stands_against_it() -> None:
    host = follower()
    assert answers(host, MsgVote(1, 3, 2, 1, 1, CAMPAIGN_TRANSFER)) == [True]
    host = follower()
    host.node.step(MsgTimeoutNow(1, 2, 1))
    assert (host.raft.role, host.raft.term) == (CANDIDATE, 2)


def test_a_leader_with_a_quorum_grants_nobody_a_pre_vote() -> None:
    network = elected()
    network.tick(3 * TIMEOUT)
    leader = network.host(1)
    assert answers(leader, MsgPreVote(1, 3, leader.raft.term + 1, 1, 9)) == []
    assert leader.raft.role is LEADER


# --- the leader is lost ----------------------------------------------------------------------------------------


def ticks_until_campaign(host: Host, most: int = 10 * TIMEOUT) -> int:
    for count in range(1, most):
        host.node.tick()
        if host.raft.role is not FOLLOWER:
            return count
    raise AssertionError("it never campaigns")


def test_a_follower_whose_leader_is_lost_campaigns_soon_after_the_lease() -> None:
    drawn = set()
    for seed in range(20):
        host = follower(config=replace(CONFIG, seed=seed))
        host.node.report_leader_lost(2)
        drawn.add(ticks_until_campaign(host))
    assert min(drawn) == LEASE  # not before any promise is over, and not all at once
    assert len(drawn) > 1
    assert max(drawn) < TIMEOUT // 2
    assert ticks_until_campaign(follower()) >= TIMEOUT


def test_late_news_of_a_loss_do_not_wait_for_another_lease() -> None:
    host = follower(TIMEOUT - 4)
    host.node.report_leader_lost(2)
    assert ticks_until_campaign(host) <= 4


@pytest.mark.parametrize("lost, config", [(3, CONFIG), (2, ETCD)], ids=["another", "etcd"])
def test_other_losses_and_other_settings_change_nothing(lost: int, config: Config) -> None:
    host = follower(config=config)
    host.node.report_leader_lost(lost)
    assert ticks_until_campaign(host) >= TIMEOUT


@pytest.mark.parametrize("sign", [MsgHeartbeat(1, 2, 1), MsgApp(1, 2, 1, 0, 0, [], 0)])
def test_a_leader_that_is_heard_again_was_not_lost(sign: MsgHeartbeat | MsgApp) -> None:
    host = follower()
    host.node.report_leader_lost(2)
    host.node.tick()
    host.node.step(sign)
    assert ticks_until_campaign(host) >= TIMEOUT


def test_who_is_refused_asks_again_soon_but_not_for_ever() -> None:
    host = follower()
    host.node.report_leader_lost(2)
    asked = []
    for tick in range(1, 4 * TIMEOUT):
        host.node.tick()
        if any(isinstance(message, MsgPreVote) for message in host.settle()):
            asked.append(tick)
    early = [tick for tick in asked if tick < TIMEOUT]
    assert len(early) >= 3
    assert early[0] < LEASE + 4
    # After that as if nothing had been reported, and no later.
    assert len(asked) - len(early) <= 4
    assert ticks_until_campaign(follower()) in asked
    assert host.raft.term == 1  # all of it cost nobody anything


def test_who_votes_for_another_leaves_it_to_that_one() -> None:
    host = follower()
    host.node.report_leader_lost(2)
    for _ in range(LEASE - 1):
        host.node.tick()
    host.node.step(MsgVote(1, 3, 2, 1, 1, CAMPAIGN_TRANSFER))
    host.settle()
    assert ticks_until_campaign(host) >= TIMEOUT


@pytest.mark.parametrize("seed", range(10))
@pytest.mark.parametrize("size", [3, 5])
def test_a_group_that_loses_its_leader_has_another_before_a_time_out_has_passed(size: int, seed: int) -> None:
    network = cluster(size, replace(CONFIG, seed=seed))
    network.tick(LEASE)
    network.campaign(1)
    network.isolate(1)
    others = range(2, size + 1)
    for id_ in others:
        network.host(id_).node.report_leader_lost(1)
    network.tick(LEASE - 1, only=others)
    assert network.leader() == 1
    for _ in range(TIMEOUT - 2 - LEASE):
        network.tick(only=others)
    assert network.leader() != 1


def test_a_living_leader_stays_when_one_follower_believes_it_lost() -> None:
    network = elected()
    network.cut(1, 3)
    network.host(3).node.report_leader_lost(1)
    network.tick(5 * TIMEOUT)
    assert (network.leader(), network.raft(1).term, network.raft(3).term) == (1, 1, 1)
    network.recover()
    network.tick(3)
    assert network.raft(3).leader == 1
