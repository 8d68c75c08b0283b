"""Linearizable reads: what index an answer carries, and what must have happened before it is given."""

from dataclasses import replace

import pytest

from raftly.base.membership import ConfChangeV2, parse_changes
from raftly.core.config import Config, ReadOnlyOption
from raftly.core.messages import (
    MsgApp,
    MsgHeartbeat,
    MsgHeartbeatResp,
    MsgReadIndex,
    MsgReadIndexResp,
)
from raftly.core.readindex import ReadState
from raftly.core.role import Role
from tests.support.network import DEFAULTS, Network, cluster, host_with, storage_with

ASYNC = replace(DEFAULTS, async_storage_writes=True)
LEASE = replace(DEFAULTS, check_quorum=True, read_only_option=ReadOnlyOption.LEASE_BASED)


def read(network: Network, id_: int, context: bytes) -> list[ReadState]:
    """Ask one node, settle, and take the answers it has had."""
    network.host(id_).node.read_index(context)
    network.stabilise()
    return take(network, id_)


def take(network: Network, id_: int) -> list[ReadState]:
    states = network.host(id_).read_states
    network.host(id_).read_states = []
    return states


# --- safe ------------------------------------------------------------------------------------------------------


@pytest.mark.behaviour("RI01")
@pytest.mark.parametrize("template", [DEFAULTS, ASYNC])
def test_leader_and_followers_answer_with_the_commit_index_and_the_context(template: Config) -> None:
    network = cluster(3, template)
    network.campaign(1)
    for round_, id_ in enumerate((1, 2, 3, 1, 2, 3)):
        for _ in range(10):
            network.propose(1)
        context = b"read %d" % round_
        assert read(network, id_, context) == [ReadState(11 + 10 * round_, context)]
    assert all(take(network, id_) == [] for id_ in (1, 2, 3))


@pytest.mark.behaviour("RI01")
def test_the_index_is_that_of_the_request_not_of_the_answer() -> None:
    network = cluster(3)
    network.campaign(1)
    network.hold(lambda message: isinstance(message, MsgHeartbeatResp))
    network.host(1).node.read_index(b"early")
    network.stabilise()
    network.propose(1)
    assert take(network, 1) == []
    network.release()
    assert take(network, 1) == [ReadState(1, b"early")]


@pytest.mark.behaviour("RI01")
def test_a_read_needs_a_heartbeat_round_to_a_quorum() -> None:
    network = cluster(5)
    network.campaign(1)
    network.isolate(3, 4, 5)
    assert read(network, 1, b"minority") == []
    network.recover()
    network.isolate(4, 5)
    network.tick(only=(1,))
    assert take(network, 1) == [ReadState(1, b"minority")]


@pytest.mark.behaviour("RI01")
def test_one_answer_confirms_every_read_asked_before_its_heartbeat() -> None:
    network = cluster(3)
    network.campaign(1)
    leader = network.host(1)
    for context in (b"a", b"b", b"c"):
        leader.node.read_index(context)
    beats = [message for message in leader.settle() if isinstance(message, MsgHeartbeat) and message.to == 2]
    assert len(beats) == 3
    leader.node.step(MsgHeartbeatResp(1, 2, 1, beats[1].context))
    leader.settle()
    assert take(network, 1) == [ReadState(1, b"a"), ReadState(1, b"b")]
    leader.node.step(MsgHeartbeatResp(1, 3, 1, beats[2].context))
    leader.settle()
    assert take(network, 1) == [ReadState(1, b"c")]


@pytest.mark.behaviour("RI01")
def test_a_single_voter_answers_at_once() -> None:
    network = cluster(1)
    network.campaign(1)
    network.host(1).node.read_index(b"x")
    assert network.raft(1).read_states == [ReadState(1, b"x")]


@pytest.mark.behaviour("RI04")
def test_a_single_voter_too_waits_for_a_commit_in_its_term() -> None:
    # It committed, applied and answered 3 entries before it crashed; the commit index on disk is older.
    host = host_with(1, storage=storage_with(voters=(1,), terms=(1, 1, 1), commit=1))
    host.node.campaign()
    elected = host.node.ready()
    host.save(elected)
    host.apply(elected.committed_entries)
    host.node.advance()
    assert (host.raft.role, host.raft.log.committed) == (Role.LEADER, 1)
    host.node.read_index(b"x")
    assert host.raft.read_states == []
    host.settle()
    assert host.read_states == [ReadState(4, b"x")]


@pytest.mark.behaviour("RI02")
@pytest.mark.parametrize("change", ["l1", "r1"])
def test_a_leader_that_left_the_voters_still_asks_the_one_that_is_left(change: str) -> None:
    network = cluster(2)
    network.campaign(1)
    network.host(1).node.propose_conf_change(ConfChangeV2(parse_changes(change)))
    network.stabilise()
    leader = network.raft(1)
    assert (leader.role, leader.tracker.config.voters.ids()) == (Role.LEADER, (2,))
    network.isolate(1)
    network.campaign(2)
    network.propose(2)
    assert read(network, 1, b"stale") == []


@pytest.mark.behaviour("RI01")
def test_without_a_leader_a_read_is_lost() -> None:
    network = cluster(3)
    assert read(network, 2, b"x") == []
    network.campaign(1)
    assert take(network, 2) == []


@pytest.mark.behaviour("RI01")
def test_a_leader_cut_off_never_confirms_a_read() -> None:
    network = cluster(3)
    network.campaign(1)
    network.isolate(1)
    network.campaign(2)
    network.propose(2)
    assert read(network, 1, b"stale") == []
    network.tick(5, only=(1,))
    network.recover()
    network.tick(5)
    assert network.raft(1).role is Role.FOLLOWER
    assert take(network, 1) == []


@pytest.mark.behaviour("RI02")
def test_reads_from_a_learner_and_beside_learners_only() -> None:
    for voters in (1, 3):
        network = cluster(voters, learners=(9,))
        network.campaign(1)
        for _ in range(3):
            network.propose(1)
        assert read(network, 9, b"learner") == [ReadState(4, b"learner")]
        assert read(network, 1, b"leader") == [ReadState(4, b"leader")]


@pytest.mark.behaviour("RI02")
def test_a_learners_answer_confirms_nothing() -> None:
    network = cluster(3, learners=(9,))
    network.campaign(1)
    network.isolate(2, 3)
    assert read(network, 1, b"x") == []
    assert read(network, 9, b"y") == []


@pytest.mark.behaviour("RI03")
def test_a_lease_answers_without_a_heartbeat_round() -> None:
    network = cluster(3, LEASE)
    network.campaign(1)
    network.ignore(MsgHeartbeat)
    for round_, id_ in enumerate((1, 2, 3)):
        network.propose(1)
        assert read(network, id_, b"x") == [ReadState(2 + round_, b"x")]
    leader = network.host(1)
    leader.node.read_index(b"y")
    assert leader.settle() == []


@pytest.mark.behaviour("RI04")
@pytest.mark.parametrize("lease", [False, True])
def test_a_new_leader_holds_reads_until_it_committed_in_its_term(lease: bool) -> None:
    template = LEASE if lease else DEFAULTS
    network = Network(
        host_with(id_, template, storage_with(voters=(1, 2, 3), terms=(1, 1), commit=1 if id_ == 1 else 2))
        for id_ in (1, 2, 3)
    )
    network.ignore(MsgApp)
    network.campaign(1)
    assert network.raft(1).role is Role.LEADER
    # It knows 1 to be committed, but 2 is: an answer now would miss a write that was acknowledged.
    assert network.raft(1).log.committed == 1
    network.tick(only=(1,))  # so that 2 knows whom to ask
    assert read(network, 1, b"own") == []
    assert read(network, 2, b"follower") == []
    network.recover()
    network.tick(only=(1,))
    assert network.raft(1).log.committed == 3
    assert take(network, 1) == [ReadState(3, b"own")]
    assert take(network, 2) == [ReadState(3, b"follower")]
    assert read(network, 1, b"later") == [ReadState(3, b"later")]


@pytest.mark.behaviour("RI04")
def test_reads_held_back_are_forgotten_with_the_leadership_in_raft_rs_style() -> None:
    network = cluster(3, replace(DEFAULTS, drop_early_reads=True))
    network.ignore(MsgApp)
    network.campaign(1)
    assert read(network, 1, b"early") == []
    network.recover()
    network.tick(only=(1,))
    assert network.raft(1).log.committed == 1
    assert take(network, 1) == []
    assert read(network, 1, b"later") == [ReadState(1, b"later")]


@pytest.mark.behaviour("RI05")
def test_equal_contexts_of_different_reads_are_not_confused() -> None:
    network = cluster(3)
    network.campaign(1)
    network.hold(lambda message: isinstance(message, MsgHeartbeatResp))
    ask_a = MsgReadIndex(1, 2, 0, b"A")
    network.send(ask_a)
    least_a = network.raft(1).log.committed
    late = network.held
    network.held = []
    network.tick(only=(1,))  # and so A is confirmed, by younger answers
    younger, network.held = network.held, []
    network.send(*younger)
    assert [state.context for state in take(network, 2)] == [b"A"]

    network.isolate(1)
    network.campaign(2)
    network.propose(2)
    least_b = network.raft(2).log.committed
    assert least_b > least_a
    network.host(1).node.read_index(b"B")  # 1 thinks that it leads
    network.stabilise()
    network.recover()
    # First A again, then the old answers: they must not confirm B, which was asked later.
    network.send(ask_a, *late)
    network.release()
    for id_ in (1, 2, 3):
        for state in take(network, id_):
            assert state.index >= (least_a if state.context == b"A" else least_b)


@pytest.mark.behaviour("RI05")
def test_the_same_context_twice_gives_two_answers_each_recent_enough() -> None:
    network = cluster(3)
    network.campaign(1)
    network.hold(lambda message: isinstance(message, MsgHeartbeatResp))
    leader = network.host(1)
    leader.node.read_index(b"same")
    network.stabilise()
    first, network.held = network.held, []
    network.propose(1)
    leader.node.read_index(b"same")
    network.stabilise()
    second, network.held = network.held, []
    # An answer to the first round says nothing about the second read.
    network.send(*first)
    assert take(network, 1) == [ReadState(1, b"same")]
    network.send(*first)
    assert take(network, 1) == []
    network.send(*second)
    assert take(network, 1) == [ReadState(2, b"same")]


@pytest.mark.behaviour("RI05")
def test_answers_from_an_earlier_leadership_confirm_nothing() -> None:
    network = cluster(3)
    network.campaign(1)
    network.hold(lambda message: isinstance(message, MsgHeartbeatResp))
    assert read(network, 1, b"old") == []
    late, network.held = network.held, []
    network.campaign(2)
    network.campaign(1)
    assert network.raft(1).term == 3
    assert read(network, 1, b"new") == []
    network.send(*late)
    assert take(network, 1) == []
    network.release()
    assert take(network, 1) == [ReadState(3, b"new")]


@pytest.mark.behaviour("RI06")
def test_confirmed_reads_leave_nothing_behind() -> None:
    network = cluster(3)
    network.campaign(1)
    leader = network.host(1)
    leader.node.read_index(b"a")
    leader.node.read_index(b"b")
    assert leader.raft.read_only.waiting() == 2
    network.stabilise()
    assert leader.raft.read_only.waiting() == 0
    assert leader.raft.read_only.heartbeat_context() == b""
    assert [state.context for state in take(network, 1)] == [b"a", b"b"]
    assert leader.raft.read_states == []


@pytest.mark.behaviour("RI06")
def test_a_lost_leadership_leaves_no_reads_behind() -> None:
    network = cluster(3)
    network.campaign(1)
    network.isolate(1)
    network.host(1).node.read_index(b"x")
    assert network.raft(1).read_only.waiting() == 1
    network.campaign(2)
    network.recover()
    network.tick()
    assert (network.raft(1).role, network.raft(1).read_only.waiting()) == (Role.FOLLOWER, 0)


@pytest.mark.behaviour("RI07")
def test_a_read_travels_without_a_term_from_leader_to_leader() -> None:
    network = cluster(3)
    network.campaign(1)
    network.campaign(2)
    follower, old = network.host(3), network.host(1)
    follower.node.read_index(b"x")
    assert follower.settle() == [MsgReadIndex(2, 3, 0, b"x")]
    # One that followed 1 all this time would ask there; 1 passes it on, for 3 and not for itself.
    old.node.step(MsgReadIndex(1, 3, 0, b"x"))
    assert old.settle() == [MsgReadIndex(2, 3, 0, b"x")]
    network.send(MsgReadIndex(1, 3, 0, b"y"))
    assert take(network, 3) == [ReadState(2, b"y")]
    assert take(network, 1) == []


@pytest.mark.behaviour("RI07")
def test_the_answer_reaches_the_follower_that_asked() -> None:
    network = cluster(3)
    network.campaign(1)
    network.hold(lambda message: isinstance(message, MsgReadIndexResp))
    assert read(network, 2, b"x") == []
    assert network.held == [MsgReadIndexResp(2, 1, 1, 1, b"x")]
