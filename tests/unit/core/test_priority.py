"""Election priority (raft-rs): between equal logs the voter's own priority is the bar."""

from __future__ import annotations

from dataclasses import replace

import pytest

from raftly.core.messages import MsgPreVote, MsgPreVoteResp, MsgVote, MsgVoteResp, VoteRequest
from raftly.core.role import Role
from raftly.errors import ConfigError
from tests.support.lone import receive, sent, take, voter
from tests.support.network import DEFAULTS, Network, cluster, cluster_with_logs


def prioritised(network: Network, *priorities: int) -> Network:
    for id_, priority in enumerate(priorities, 1):
        network.host(id_).node.set_priority(priority)
    return network


@pytest.mark.behaviour("X20")
def test_priority_is_zero_unless_set_and_may_be_negative() -> None:
    host = voter()
    assert host.raft.priority == 0
    for priority in (0, 1, 7, -1, (1 << 63) - 1, -(1 << 63)):
        host.node.set_priority(priority)
        assert host.raft.priority == priority
    for priority in (1 << 63, -(1 << 63) - 1):
        with pytest.raises(ConfigError, match="priority"):
            host.node.set_priority(priority)
        with pytest.raises(ConfigError, match="priority"):
            voter(template=replace(DEFAULTS, priority=priority))
    assert host.raft.priority == -(1 << 63)
    assert voter(template=replace(DEFAULTS, priority=-5)).raft.priority == -5


@pytest.mark.behaviour("X20")
@pytest.mark.parametrize("pre_vote", [False, True])
def test_vote_requests_carry_it(pre_vote: bool) -> None:
    host = voter(template=replace(DEFAULTS, pre_vote=pre_vote))
    host.node.set_priority(-3)
    host.node.campaign()
    requests = sent(take(host), MsgPreVote if pre_vote else MsgVote)
    assert [request.priority for request in requests] == [-3, -3]


@pytest.mark.behaviour("X21")
@pytest.mark.parametrize("kind, answer", [(MsgVote, MsgVoteResp), (MsgPreVote, MsgPreVoteResp)])
@pytest.mark.parametrize(
    "own, theirs, log_term, index, granted",
    [
        # the voter's log ends in 2/3
        (0, 0, 2, 3, True),
        (5, 5, 2, 3, True),
        (5, 4, 2, 3, False),
        (0, -1, 2, 3, False),
        (-2, -1, 2, 3, True),
        (5, 0, 2, 4, True),  # a longer log wins regardless
        (5, 0, 3, 4, True),
        (0, 9, 2, 2, False),  # and priority never makes up for a shorter one
        (0, 9, 1, 9, False),
        (5, 4, 3, 3, False),  # a later term at the same length is not longer
        (5, 5, 3, 2, True),
    ],
)
def test_what_a_voter_grants(
    kind: type[VoteRequest],
    answer: type[MsgVoteResp | MsgPreVoteResp],
    own: int,
    theirs: int,
    log_term: int,
    index: int,
    granted: bool,
) -> None:
    host = voter(terms=(1, 2, 2))
    host.node.set_priority(own)
    (response,) = sent(receive(host, kind(1, 2, 4, log_term, index, priority=theirs)), answer)
    assert response.reject is not granted


@pytest.mark.behaviour("X21")
@pytest.mark.parametrize(
    "logs, priorities, candidate, elected",
    [
        (((), (), ()), (3, 1, 1), 1, True),
        (((), (), ()), (2, 2, 2), 1, True),
        (((), (), ()), (1, 3, 3), 1, False),
        (((), (), ()), (1, 3, 1), 1, True),  # one of two voters is enough
        (((1,), (), ()), (1, 3, 3), 1, True),  # a newer log wins
        (((), (1,), (1,)), (3, 1, 1), 1, False),  # and an older one loses
    ],
)
def test_elections(
    logs: tuple[tuple[int, ...], ...], priorities: tuple[int, ...], candidate: int, elected: bool
) -> None:
    network = prioritised(cluster_with_logs(*logs), *priorities)
    network.campaign(candidate)
    assert (network.raft(candidate).role is Role.LEADER) is elected


@pytest.mark.behaviour("X22")
@pytest.mark.parametrize("pre_vote", [False, True])
def test_a_changed_priority_changes_the_next_election(pre_vote: bool) -> None:
    network = prioritised(cluster(3, replace(DEFAULTS, pre_vote=pre_vote)), 1, 2, 2)
    network.campaign(1)
    assert network.leader() == 0
    network.host(1).node.set_priority(2)
    network.campaign(1)
    assert network.leader() == 1
    network.host(1).node.set_priority(9)
    network.host(3).node.set_priority(1)
    # Its log is as long as the others', so only its priority decides: both refuse it.
    network.campaign(3)
    assert network.leader() != 3
    network.host(3).node.set_priority(10)
    network.campaign(3)
    assert network.leader() == 3
