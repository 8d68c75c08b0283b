"""Commit in votes (raft-rs): vote messages tell of commits, so a membership change that nobody knew of gets known."""

from __future__ import annotations

from dataclasses import replace

import pytest

from raftly.base.membership import (
    AnyConfChange,
    ConfChange,
    ConfChangeTransition,
    ConfChangeType,
    ConfChangeV2,
    parse_changes,
)
from raftly.core.config import Config
from raftly.core.messages import MsgApp, MsgAppResp, MsgPreVote, MsgPreVoteResp, MsgVote, MsgVoteResp
from raftly.core.role import Role
from tests.support.lone import entries, receive, sent, take, voter
from tests.support.network import DEFAULTS, Network, cluster

TELLING = replace(DEFAULTS, commit_in_votes=True)


def template(pre_vote: bool, telling: bool = True) -> Config:
    return replace(DEFAULTS, pre_vote=pre_vote, commit_in_votes=telling)


def time_out(network: Network, id_: int) -> None:
    """Let one node's election time-out pass, without delivering anything on the way."""
    host = network.host(id_)
    for _ in range(max(host.raft.randomized_election_timeout - host.raft.election_elapsed, 1)):
        host.node.tick()
    network.stabilise()


# --- requests --------------------------------------------------------------------------------------------------

PROMOTIONS: list[AnyConfChange] = [
    ConfChange(ConfChangeType.ADD_NODE, 4),
    ConfChangeV2(parse_changes("l3 v4"), ConfChangeTransition.JOINT_EXPLICIT),
]


def hidden_promotion(change: AnyConfChange, options: Config) -> tuple[Network, int]:
    """Learner 4 was promoted and has the longest log, but only voter 2 knows of the commit; leader 1 is gone.

    The index of the change comes along.
    """
    network = cluster(3, options, learners=(4,))
    network.campaign(1)
    network.ignore(MsgAppResp)
    network.host(1).node.propose_conf_change(change)
    network.stabilise()
    change_index = network.raft(1).log.last_index
    network.recover()
    network.cut(1, 2)
    network.cut(1, 3)
    network.propose(1, b"makes 4's log longer")
    network.recover()
    network.cut(1, 4)
    network.ignore(MsgApp)
    network.send(MsgAppResp(1, 2, 1, change_index), MsgAppResp(1, 3, 1, change_index - 1))
    network.tick(DEFAULTS.heartbeat_tick, only=(1,))
    network.recover()
    network.isolate(1)
    assert network.raft(2).log.committed >= change_index
    assert network.raft(4).log.committed < change_index
    assert 4 in network.raft(2).tracker.config.voters.ids()
    return network, change_index


@pytest.mark.behaviour("X30")
@pytest.mark.parametrize("pre_vote", [False, True])
@pytest.mark.parametrize("change", PROMOTIONS, ids=["simple", "joint"])
def test_a_vote_request_tells_a_learner_that_it_was_promoted(change: AnyConfChange, pre_vote: bool) -> None:
    network, change_index = hidden_promotion(change, template(pre_vote))
    promoted = network.host(4)
    time_out(network, 4)
    assert promoted.raft.role is Role.FOLLOWER  # it believes to be a learner
    time_out(network, 2)
    # 2 needs 4, which refuses it for its shorter log, and learns of the commit from the request.
    assert network.raft(2).role in {Role.CANDIDATE, Role.PRE_CANDIDATE}
    assert promoted.raft.log.committed >= change_index
    assert promoted.raft.promotable()
    time_out(network, 4)
    assert network.leader() == 4


@pytest.mark.behaviour("X30")
def test_without_the_option_the_promotion_stays_hidden() -> None:
    network, change_index = hidden_promotion(PROMOTIONS[0], template(False, telling=False))
    time_out(network, 2)
    assert network.raft(4).log.committed < change_index
    assert not network.raft(4).promotable()
    for id_ in (2, 4, 2):
        time_out(network, id_)
        assert network.leader() == 1  # alone, and nobody else gets there


@pytest.mark.behaviour("X30")
@pytest.mark.parametrize("pre_vote", [False, True])
def test_requests_carry_the_commit_point_only_with_the_option(pre_vote: bool) -> None:
    kind = MsgPreVote if pre_vote else MsgVote
    for telling, wanted in ((True, (2, 1)), (False, (0, 0))):
        host = voter(template=template(pre_vote, telling), terms=(1, 1, 2), commit=2)
        host.node.campaign()
        assert [(request.commit, request.commit_term) for request in sent(take(host), kind)] == [wanted] * 2


@pytest.mark.behaviour("X30")
@pytest.mark.parametrize(
    "commit, commit_term, wanted",
    [
        (3, 2, 3),
        (2, 1, 2),
        (3, 1, 1),  # another entry than ours: says nothing
        (4, 2, 1),  # beyond our log
        (1, 1, 1),
        (0, 0, 1),
        (3, 0, 1),
    ],
)
def test_a_commit_is_believed_only_where_the_log_confirms_it(commit: int, commit_term: int, wanted: int) -> None:
    host = voter(template=TELLING, terms=(1, 1, 2), term=5, commit=1)
    receive(host, MsgVote(1, 2, 5, 1, 2, commit=commit, commit_term=commit_term))  # refused: its log is shorter
    assert host.raft.log.committed == wanted


@pytest.mark.behaviour("X30")
def test_a_leader_is_told_nothing_by_votes() -> None:
    network = cluster(3, TELLING)
    network.campaign(1)
    network.isolate(1)
    host = network.host(1)
    network.propose(1, b"uncommitted")
    host.node.step(MsgVote(1, 2, 1, 0, 0, commit=2, commit_term=1))
    assert (host.raft.role, host.raft.log.committed) == (Role.LEADER, 1)


# --- refusals --------------------------------------------------------------------------------------------------


def hidden_removal(joint: bool, options: Config) -> tuple[Network, int]:
    """Voter 4 left, knows it, and has the longest log; candidate 2 does not know; leader 1 is gone."""
    network = cluster(4, options)
    network.campaign(1)
    change: AnyConfChange | None = ConfChange(ConfChangeType.REMOVE_NODE, 4)
    if joint:
        enter = ConfChangeV2(parse_changes("v3 l4"), ConfChangeTransition.JOINT_EXPLICIT)
        network.host(1).node.propose_conf_change(enter)
        network.stabilise()
        change = None
    network.ignore(MsgAppResp)
    network.host(1).node.propose_conf_change(change)
    network.stabilise()
    change_index = network.raft(1).log.last_index
    network.recover()
    # The acknowledgements of 2 and 3 arrive while only 4 hears the leader.
    network.cut(1, 2)
    network.cut(1, 3)
    network.propose(1, b"makes 4's log longer")
    network.send(MsgAppResp(1, 2, 1, change_index), MsgAppResp(1, 3, 1, change_index))
    network.recover()
    network.isolate(1)
    assert network.raft(4).log.committed >= change_index
    assert network.raft(2).log.committed < change_index
    return network, change_index


@pytest.mark.behaviour("X31")
@pytest.mark.parametrize("pre_vote", [False, True])
@pytest.mark.parametrize("joint", [False, True])
def test_a_refusal_tells_a_candidate_that_the_quorum_is_another(joint: bool, pre_vote: bool) -> None:
    network, change_index = hidden_removal(joint, template(pre_vote))
    candidate = network.raft(2)
    assert 4 in candidate.tracker.config.voters.ids()
    time_out(network, 4)
    assert network.raft(4).role is Role.FOLLOWER  # no voter any more
    network.cut(2, 3)  # it depends on 4, which refuses it for its shorter log
    time_out(network, 2)
    assert candidate.log.committed >= change_index
    assert candidate.role is Role.FOLLOWER
    assert candidate.tracker.config.voters.ids() == (1, 2, 3)
    network.recover()
    network.isolate(1)
    time_out(network, 2)
    assert network.leader() == 2


@pytest.mark.behaviour("X31")
@pytest.mark.parametrize("pre_vote", [False, True])
def test_refusals_carry_the_commit_point_and_grants_do_not(pre_vote: bool) -> None:
    kind, answer = (MsgPreVote, MsgPreVoteResp) if pre_vote else (MsgVote, MsgVoteResp)
    for telling in (True, False):
        host = voter(template=replace(DEFAULTS, commit_in_votes=telling), terms=(1, 1, 2), term=5, commit=2)
        (refusal,) = sent(receive(host, kind(1, 2, 6, 1, 9)), answer)
        assert (refusal.reject, refusal.commit, refusal.commit_term) == (True, *((2, 1) if telling else (0, 0)))
        (grant,) = sent(receive(host, kind(1, 3, 6, 2, 3)), answer)
        assert (grant.reject, grant.commit, grant.commit_term) == (False, 0, 0)


@pytest.mark.behaviour("X31")
@pytest.mark.parametrize("with_change", [False, True])
def test_a_candidate_steps_down_for_a_membership_change_only(with_change: bool) -> None:
    host = voter(voters=(1, 2, 3, 4, 5), template=TELLING)
    appended = entries(1, 1, 1)
    if with_change:
        network = cluster(1, TELLING)
        network.campaign(1)
        network.host(1).node.propose_conf_change(ConfChange(ConfChangeType.ADD_NODE, 6))
        appended[1].type = network.host(1).log()[-1].type
        appended[1].data = network.host(1).log()[-1].data
    receive(host, MsgApp(1, 2, 1, 0, 0, appended, 0))
    host.node.campaign()
    take(host)
    host.node.step(MsgVoteResp(1, 3, 2, reject=True, commit=2, commit_term=1))
    assert host.raft.log.committed == 2
    assert host.raft.role is (Role.FOLLOWER if with_change else Role.CANDIDATE)
    assert host.raft.term == 2
