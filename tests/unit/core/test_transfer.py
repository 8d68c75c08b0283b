"""Leadership transfer: handing over to a caught-up target at once, to any other as soon as it is, or not at all."""

from dataclasses import replace

import pytest

from raftly.base.membership import ConfChange, ConfChangeTransition, ConfChangeType, ConfChangeV2, parse_changes
from raftly.base.types import Entry
from raftly.core.config import Config
from raftly.core.messages import (
    CAMPAIGN_TRANSFER,
    MsgAppResp,
    MsgPreVote,
    MsgProp,
    MsgTimeoutNow,
    MsgTransferLeader,
    MsgVote,
    MsgVoteResp,
)
from raftly.core.role import Role
from raftly.core.tracker import ProgressState
from raftly.errors import DropReason, ProposalDropped
from tests.support.network import DEFAULTS, Network, cluster, host_with, storage_with

TIMEOUT = DEFAULTS.election_tick
ASYNC = replace(DEFAULTS, async_storage_writes=True)
CHECK_QUORUM = replace(DEFAULTS, check_quorum=True)
BOTH = replace(CHECK_QUORUM, pre_vote=True)


def led_by_1(size: int = 3, template: Config = DEFAULTS) -> Network:
    network = cluster(size, template)
    network.campaign(1)
    assert network.leader() == 1
    return network


def transfer(network: Network, to: int, *, asked_at: int = 1) -> None:
    network.host(asked_at).node.transfer_leader(to)
    network.stabilise()


def pending(network: Network) -> Network:
    """Transfer from 1 to 3 that does not come about: the order never arrives."""
    network.ignore(MsgTimeoutNow)
    transfer(network, 3)
    assert network.raft(1).lead_transferee == 3
    return network


def state(network: Network, id_: int = 1) -> tuple[Role, int, int]:
    raft = network.raft(id_)
    return raft.role, raft.leader, raft.lead_transferee


@pytest.mark.behaviour("LT01")
@pytest.mark.tinykv("TestLeaderTransferToUpToDateNode3A")
@pytest.mark.parametrize("template", [DEFAULTS, ASYNC])
def test_a_caught_up_target_leads_and_can_give_it_back(template: Config) -> None:
    network = led_by_1(template=template)
    transfer(network, 2)
    assert state(network) == (Role.FOLLOWER, 2, 0)
    network.propose(2)
    transfer(network, 1, asked_at=2)
    assert state(network) == (Role.LEADER, 1, 0)
    assert network.raft(1).term == 3


@pytest.mark.behaviour("LT02")
@pytest.mark.tinykv("TestLeaderTransferToUpToDateNodeFromFollower3A")
def test_a_follower_passes_the_request_on() -> None:
    network = led_by_1()
    follower = network.host(2)
    follower.node.transfer_leader(2)
    assert follower.settle() == [MsgTransferLeader(1, 2, 1)]
    transfer(network, 2, asked_at=2)
    assert state(network) == (Role.FOLLOWER, 2, 0)
    transfer(network, 1, asked_at=3)  # a third one may ask, too
    assert state(network) == (Role.LEADER, 1, 0)


@pytest.mark.behaviour("LT02")
def test_without_a_leader_the_request_is_lost() -> None:
    network = cluster(3)
    transfer(network, 2)
    assert network.lost == []
    assert [host.raft.term for host in network.hosts.values()] == [0, 0, 0]


@pytest.mark.behaviour("LT03")
@pytest.mark.parametrize("template", [CHECK_QUORUM, BOTH])
def test_a_live_lease_does_not_stand_in_the_way(template: Config) -> None:
    network = led_by_1(template=template)
    network.tick(3)
    transfer(network, 2)
    assert state(network) == (Role.FOLLOWER, 2, 0)
    network.propose(2)
    transfer(network, 1, asked_at=2)
    assert state(network) == (Role.LEADER, 1, 0)


@pytest.mark.behaviour("LT03")
@pytest.mark.parametrize("template", [DEFAULTS, BOTH])
def test_the_target_campaigns_at_once_without_pre_vote_and_says_who_sent_it(template: Config) -> None:
    network = led_by_1(template=template)
    network.hold(lambda message: isinstance(message, MsgVote | MsgPreVote))
    transfer(network, 2)
    assert network.held == [MsgVote(to, 2, 2, 1, 1, CAMPAIGN_TRANSFER) for to in (1, 3)]


@pytest.mark.behaviour("LT04")
@pytest.mark.tinykv("TestLeaderTransferToSlowFollower3A")
def test_a_lagging_target_is_brought_up_to_date_first() -> None:
    network = led_by_1()
    network.isolate(3)
    network.propose(1)
    network.recover()
    assert network.raft(1).tracker.progress[3].match == 1
    network.hold(lambda message: isinstance(message, MsgAppResp) and message.from_ == 3)
    transfer(network, 3)
    assert state(network) == (Role.LEADER, 1, 3)
    network.release()
    assert state(network) == (Role.FOLLOWER, 3, 0)
    assert network.raft(3).log.last_index == 3


@pytest.mark.behaviour("LT04")
def test_the_order_goes_out_once_and_only_to_a_target_that_has_everything() -> None:
    network = led_by_1(template=replace(DEFAULTS, max_size_per_msg=0))  # one entry an append
    network.isolate(3)
    for _ in range(4):
        network.propose(1)
    network.recover()
    network.hold(lambda message: isinstance(message, MsgTimeoutNow))
    transfer(network, 3)
    assert network.held == [MsgTimeoutNow(3, 1, 1)]
    assert network.raft(3).log.last_index == 5
    network.release()
    assert state(network) == (Role.FOLLOWER, 3, 0)


@pytest.mark.behaviour("LT05")
@pytest.mark.tinykv("TestLeaderTransferAfterSnapshot3A")
def test_a_target_that_needs_a_snapshot_leads_after_it_applied_it() -> None:
    network = led_by_1()
    network.isolate(3)
    network.propose(1)
    network.host(1).compact()
    network.recover()
    assert network.raft(1).tracker.progress[3].match == 1
    network.hold(lambda message: isinstance(message, MsgAppResp) and message.from_ == 3 and not message.reject)
    transfer(network, 3)
    assert network.raft(1).tracker.progress[3].state is ProgressState.SNAPSHOT
    assert state(network) == (Role.LEADER, 1, 3)
    assert network.host(3).storage.snapshot().meta.index == 2
    network.release()
    assert state(network) == (Role.FOLLOWER, 3, 0)


@pytest.mark.behaviour("LT06")
@pytest.mark.tinykv("TestLeaderTransferToSelf3A")
def test_to_itself_nothing_happens() -> None:
    network = led_by_1()
    transfer(network, 1)
    assert state(network) == (Role.LEADER, 1, 0)
    assert network.raft(1).term == 1


@pytest.mark.behaviour("LT07")
@pytest.mark.tinykv("TestLeaderTransferToNonExistingNode3A")
def test_to_an_unknown_node_nothing_happens() -> None:
    network = led_by_1()
    transfer(network, 4)
    assert state(network) == (Role.LEADER, 1, 0)
    assert network.lost == []


@pytest.mark.behaviour("LT08")
def test_not_finished_within_an_election_timeout_it_is_off() -> None:
    network = pending(led_by_1())
    network.tick(TIMEOUT - 1, only=(1,))
    assert state(network) == (Role.LEADER, 1, 3)
    network.tick(only=(1,))
    assert state(network) == (Role.LEADER, 1, 0)
    network.propose(1)
    assert network.raft(1).log.committed == 2


@pytest.mark.behaviour("LT08")
@pytest.mark.parametrize("behind", [False, True])
def test_it_has_a_whole_election_timeout_from_the_request(behind: bool) -> None:
    network = led_by_1()
    network.tick(TIMEOUT - 1, only=(1,))
    network.isolate(3)
    if behind:
        network.propose(1)
    transfer(network, 3)
    network.tick(TIMEOUT - 1, only=(1,))
    assert state(network) == (Role.LEADER, 1, 3)
    network.tick(only=(1,))
    assert state(network) == (Role.LEADER, 1, 0)


@pytest.mark.behaviour("LT09")
def test_proposals_are_dropped_while_it_is_pending() -> None:
    network = pending(led_by_1())
    with pytest.raises(ProposalDropped) as dropped:
        network.propose(1)
    assert dropped.value.reason is DropReason.TRANSFERRING
    network.propose(2)  # forwarded, and dropped there
    ((message, error),) = network.refused
    assert isinstance(message, MsgProp)
    assert isinstance(error, ProposalDropped)
    assert network.raft(1).log.last_index == 1


@pytest.mark.behaviour("LT10")
def test_a_vote_request_of_a_higher_term_ends_it() -> None:
    network = pending(led_by_1())
    network.host(1).node.step(MsgVote(1, 2, 2, 1, 1))
    assert state(network) == (Role.FOLLOWER, 0, 0)
    assert (network.raft(1).term, network.raft(1).vote) == (2, 2)


@pytest.mark.behaviour("LT11")
def test_removing_the_target_aborts_it() -> None:
    network = pending(led_by_1())
    network.host(1).node.apply_conf_change(ConfChange(ConfChangeType.REMOVE_NODE, 2))
    assert state(network) == (Role.LEADER, 1, 3)
    network = pending(led_by_1())
    network.host(1).node.apply_conf_change(ConfChange(ConfChangeType.REMOVE_NODE, 3))
    assert state(network) == (Role.LEADER, 1, 0)


@pytest.mark.behaviour("LT12")
def test_demoting_the_target_aborts_it() -> None:
    network = pending(led_by_1())
    network.host(1).node.apply_conf_change(ConfChange(ConfChangeType.ADD_LEARNER_NODE, 3))
    assert state(network) == (Role.LEADER, 1, 0)


@pytest.mark.behaviour("LT12")
def test_demoting_the_target_through_a_joint_state_aborts_it_when_that_is_left() -> None:
    network = pending(led_by_1())
    demotion = ConfChangeV2(parse_changes("l3"), ConfChangeTransition.JOINT_EXPLICIT)
    network.host(1).node.apply_conf_change(demotion)
    assert state(network) == (Role.LEADER, 1, 3)  # still a voter of the outgoing half
    network.host(1).node.apply_conf_change(ConfChangeV2())
    assert state(network) == (Role.LEADER, 1, 0)


@pytest.mark.behaviour("LT13")
@pytest.mark.tinykv("TestLeaderTransferBack3A")
def test_asking_for_the_leader_itself_takes_it_back() -> None:
    network = pending(led_by_1())
    transfer(network, 1)
    assert state(network) == (Role.LEADER, 1, 0)
    network.propose(1)


@pytest.mark.behaviour("LT14")
@pytest.mark.tinykv("TestLeaderTransferSecondTransferToAnotherNode3A")
def test_another_target_replaces_the_first() -> None:
    network = pending(led_by_1())
    network.recover()
    transfer(network, 2)
    assert state(network) == (Role.FOLLOWER, 2, 0)


@pytest.mark.behaviour("LT14")
def test_the_target_that_was_replaced_is_not_sent_off_when_it_catches_up() -> None:
    network = led_by_1()
    network.isolate(3)
    network.propose(1)
    transfer(network, 3)
    network.recover()
    network.hold(lambda message: message.to == 2)
    transfer(network, 2)
    network.tick(2, only=(1,))
    assert network.raft(1).tracker.progress[3].match == 2
    assert state(network) == (Role.LEADER, 1, 2)
    network.release()
    assert state(network) == (Role.FOLLOWER, 2, 0)


@pytest.mark.behaviour("LT15")
def test_the_same_target_again_gains_no_time() -> None:
    network = pending(led_by_1())
    network.tick(only=(1,))
    transfer(network, 3)
    network.tick(TIMEOUT - 2, only=(1,))
    assert state(network) == (Role.LEADER, 1, 3)
    network.tick(only=(1,))
    assert state(network) == (Role.LEADER, 1, 0)


@pytest.mark.behaviour("LT16")
@pytest.mark.tinykv("TestTransferNonMember3A")
def test_a_removed_node_does_not_take_over() -> None:
    host = host_with(1, storage=storage_with(voters=(2, 3, 4), term=1))
    host.node.step(MsgTimeoutNow(1, 2, 1))
    host.node.step(MsgVoteResp(1, 2, 1))
    host.node.step(MsgVoteResp(1, 3, 1))
    assert (host.raft.role, host.raft.term) == (Role.FOLLOWER, 1)
    assert host.settle() == []


@pytest.mark.behaviour("LT01")
def test_a_message_of_an_old_transfer_does_not_disturb_a_new_term() -> None:
    network = led_by_1()
    network.hold(lambda message: isinstance(message, MsgTimeoutNow))
    transfer(network, 3)
    network.campaign(2)
    network.release()
    assert network.leader() == 2
    assert [host.raft.term for host in network.hosts.values()] == [2, 2, 2]
    network.send(MsgProp(2, 3, 0, [Entry(data=b"x")]))
    assert network.raft(3).log.committed == 3
