"""Learners: they take entries and give votes, but count in no majority and never campaign."""

from dataclasses import replace

import pytest

from raftly.base.membership import ConfChange, ConfChangeTransition, ConfChangeType, ConfChangeV2, parse_changes
from raftly.core.config import Config
from raftly.core.messages import MsgTimeoutNow, MsgTransferLeader, MsgVote, MsgVoteResp
from raftly.core.role import Role
from raftly.errors import ConfChangeError
from tests.support.network import DEFAULTS, cluster, host_with, storage_with

ADD, LEARN, REMOVE = ConfChangeType.ADD_NODE, ConfChangeType.ADD_LEARNER_NODE, ConfChangeType.REMOVE_NODE
ASYNC = replace(DEFAULTS, async_storage_writes=True)


@pytest.mark.behaviour("LN01")
@pytest.mark.parametrize("pre_vote", [False, True])
def test_a_learner_never_campaigns_by_timeout(pre_vote: bool) -> None:
    network = cluster(1, replace(DEFAULTS, pre_vote=pre_vote), learners=(2,))
    learner = network.raft(2)
    network.tick(5 * DEFAULTS.election_tick, only=(2,))
    assert (learner.role, learner.term) == (Role.FOLLOWER, 0)
    assert network.in_flight() == []


@pytest.mark.behaviour("LN02")
@pytest.mark.parametrize("template", [DEFAULTS, ASYNC])
def test_a_promoted_learner_can_campaign_and_lead(template: Config) -> None:
    network = cluster(1, template, learners=(2,))
    network.campaign(1)
    network.campaign(2)
    assert network.leader() == 1
    network.host(1).node.propose_conf_change(ConfChange(ADD, 2))
    network.stabilise()
    assert not network.raft(2).is_learner
    network.tick(network.raft(2).randomized_election_timeout, only=(2,))
    assert (network.leader(), network.raft(1).role) == (2, Role.FOLLOWER)
    network.propose(2, b"x")
    assert network.host(1).payloads() == network.host(2).payloads() == [b"x"]


@pytest.mark.behaviour("LN02")
def test_a_learner_takes_over_after_its_promotion_only() -> None:
    network = cluster(2, learners=(3,))
    network.campaign(1)
    network.send(MsgTransferLeader(1, 3, 1))
    assert (network.leader(), network.raft(1).lead_transferee) == (1, 0)
    network.host(1).node.propose_conf_change(ConfChange(ADD, 3))
    network.stabilise()
    network.send(MsgTransferLeader(1, 3, 1))
    assert network.leader() == 3


@pytest.mark.behaviour("LN03")
def test_a_learner_grants_valid_vote_requests() -> None:
    learner = host_with(2, storage=storage_with(voters=(1, 3), learners=(2,), terms=(1,)))
    learner.node.step(MsgVote(2, 1, 2, 1, 1))
    learner.node.step(MsgVote(2, 3, 2, 1, 1))
    assert learner.settle() == [MsgVoteResp(1, 2, 2), MsgVoteResp(3, 2, 2, reject=True)]
    assert learner.raft.vote == 1
    learner.node.step(MsgVote(2, 3, 3, 1, 0))
    assert learner.settle() == [MsgVoteResp(3, 2, 3, reject=True)]


@pytest.mark.behaviour("LN04")
@pytest.mark.parametrize("template", [DEFAULTS, ASYNC])
def test_a_learner_receives_entries_and_its_match_is_tracked(template: Config) -> None:
    network = cluster(1, template, learners=(2,))
    network.campaign(1)
    network.propose(1, b"x")
    leader, learner = network.host(1), network.host(2)
    assert leader.raft.tracker.progress[2].match == leader.raft.log.last_index == 2
    assert learner.log() == leader.log()
    assert learner.payloads() == [b"x"]
    assert learner.raft.log.committed == 2


@pytest.mark.behaviour("LN04")
def test_learners_do_not_count_towards_a_commit() -> None:
    network = cluster(3, learners=(4, 5))
    network.campaign(1)
    network.isolate(2, 3)
    network.propose(1)
    leader = network.raft(1)
    assert [leader.tracker.progress[id_].match for id_ in (4, 5)] == [2, 2]
    assert leader.log.committed == 1


@pytest.mark.behaviour("LN05")
@pytest.mark.parametrize("pre_vote", [False, True])
def test_a_learner_ignores_hup_and_the_order_to_take_over(pre_vote: bool) -> None:
    learner = host_with(2, replace(DEFAULTS, pre_vote=pre_vote), storage_with(voters=(1,), learners=(2,), term=1))
    learner.node.campaign()
    assert (learner.raft.role, learner.raft.term) == (Role.FOLLOWER, 1)
    learner.node.step(MsgTimeoutNow(2, 1, 1))
    assert (learner.raft.role, learner.raft.term) == (Role.FOLLOWER, 1)
    assert learner.settle() == []


@pytest.mark.behaviour("LN06")
def test_learner_flags_follow_additions_promotions_and_demotions() -> None:
    host = host_with(1, storage=storage_with(voters=(1,)))
    raft = host.raft

    def flags() -> tuple[dict[int, bool], bool]:
        return {id_: peer.is_learner for id_, peer in raft.tracker.peers}, raft.is_learner

    for change, learners, expected in (
        (ConfChange(LEARN, 2), (2,), ({1: False, 2: True}, False)),
        (ConfChange(ADD, 2), (), ({1: False, 2: False}, False)),
        (ConfChange(LEARN, 1), (1,), ({1: True, 2: False}, True)),
        (ConfChange(LEARN, 1), (1,), ({1: True, 2: False}, True)),
        (ConfChange(ADD, 1), (), ({1: False, 2: False}, False)),
    ):
        assert host.node.apply_conf_change(change).learners == learners
        assert flags() == expected
        assert raft.promotable() is not expected[1]


@pytest.mark.behaviour("LN06")
def test_through_a_joint_state_the_flag_changes_when_it_is_left() -> None:
    host = host_with(1, storage=storage_with(voters=(1, 2, 3)))
    enter = ConfChangeV2(parse_changes("l1 v4"), ConfChangeTransition.JOINT_EXPLICIT)
    state = host.node.apply_conf_change(enter)
    assert (state.learners, state.learners_next, host.raft.is_learner) == ((), (1,), False)
    assert host.raft.promotable()
    state = host.node.apply_conf_change(ConfChangeV2())
    assert (state.learners, state.learners_next, host.raft.is_learner) == ((1,), (), True)
    assert host.raft.tracker.progress[1].is_learner
    assert not host.raft.promotable()


@pytest.mark.behaviour("LN07")
def test_removing_a_learner_and_never_the_last_voter() -> None:
    host = host_with(1, storage=storage_with(voters=(1,), learners=(2,)))
    state = host.node.apply_conf_change(ConfChange(REMOVE, 2))
    assert (state.voters, state.learners) == ((1,), ())
    assert sorted(host.raft.tracker.progress) == [1]
    with pytest.raises(ConfChangeError, match="removed all voters"):
        host.node.apply_conf_change(ConfChange(REMOVE, 1))
    assert host.node.status().conf_state == state
    assert host.raft.promotable()


@pytest.mark.behaviour("LN07")
def test_the_last_voter_cannot_be_demoted_either() -> None:
    host = host_with(1, storage=storage_with(voters=(1,), learners=(2,)))
    before = host.node.status().conf_state
    with pytest.raises(ConfChangeError, match="removed all voters"):
        host.node.apply_conf_change(ConfChange(LEARN, 1))
    assert host.node.status().conf_state == before
    assert not host.raft.is_learner
