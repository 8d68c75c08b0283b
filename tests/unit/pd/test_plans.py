from dataclasses import replace

import pytest

from raftly.base.heartbeats import RegionReport
from raftly.base.operators import (
    ChangeKind,
    ChangePeers,
    MergeInto,
    PeerChange,
    SplitPolicy,
    SplitRegion,
    TransferLeader,
)
from raftly.base.region import Peer, PeerRole, RegionEpoch
from raftly.pd.config import ScheduleConfig
from raftly.pd.moves import Add, HandOver, Leave, Move, Proposal, Remove, Spread, Unite, plan_of
from raftly.pd.operators import (
    AddLearner,
    LeaveJoint,
    Merge,
    Plan,
    PlanKind,
    Promote,
    RemovePeer,
    Split,
    Swap,
    Transfer,
)
from tests.unit.pd.clusters import RunningRegion, cluster_of, region, report

THREE = region(1, b"", b"", [1, 2, 3])
A, B, C = THREE.peers
NEW = Peer(500, 4, PeerRole.LEARNER)


def plan(proposal: Proposal, stores: int = 6) -> Plan:
    numbers = iter(range(500, 600))
    made = plan_of(PlanKind.ADMIN, proposal, cluster_of(stores), lambda: next(numbers))
    assert made is not None
    return made


def test_ways() -> None:
    one = report(region(1, b"", b"", [1]))
    three = report(THREE)
    assert plan(Move(three, B, 4)).steps == (AddLearner(NEW), Swap(NEW, B), RemovePeer(B))
    assert plan(Move(three, A, 4)).steps == (AddLearner(NEW), Transfer(2), Swap(NEW, A), RemovePeer(A))
    assert plan(Move(one, one.leader, 4)).steps == (
        AddLearner(NEW),
        Promote(NEW),
        Transfer(4),
        RemovePeer(one.leader),
    )
    assert plan(Add(three, 4)).steps == (AddLearner(NEW), Promote(NEW))
    assert plan(Remove(three, B)).steps == (RemovePeer(B),)
    assert plan(Remove(three, A)).steps == (Transfer(2), RemovePeer(A))
    assert plan(HandOver(three, 3)).steps == (Transfer(3),)
    assert plan(Leave(three)).steps == (LeaveJoint(),)
    assert plan(Spread(three, ((B, 4),), 3)).steps == (AddLearner(NEW), Swap(NEW, B), RemovePeer(B), Transfer(3))


def test_the_last_replica_is_not_removed() -> None:
    one = report(region(1, b"", b"", [1]))
    assert plan_of(PlanKind.ADMIN, Remove(one, one.leader), cluster_of(3), lambda: 9) is None


def test_without_ids_nothing_is_added() -> None:
    assert plan_of(PlanKind.ADMIN, Add(report(THREE), 4), cluster_of(4), lambda: None) is None


def test_a_merge_brings_peers_together_first() -> None:
    source, target = report(region(1, b"", b"m", [1, 2, 3]), 3), report(region(2, b"m", b"", [1, 4, 5]))
    made = plan(Unite(source, target))
    five = Peer(501, 5, PeerRole.LEARNER)
    second, third = source.region.peers[1:]
    assert made.steps == (
        Transfer(1),
        AddLearner(NEW),
        Swap(NEW, second),
        RemovePeer(second),
        AddLearner(five),
        Swap(five, third),
        RemovePeer(third),
        Merge(target.region),
    )
    assert made.locked == (2,)


def with_peers(*peers: Peer, conf_ver: int = 2, leader: Peer = A, pending: tuple[Peer, ...] = ()) -> RegionReport:
    return RegionReport(replace(THREE, peers=peers, epoch=RegionEpoch(conf_ver, 1)), leader, pending_peers=pending)


def voter(peer: Peer) -> Peer:
    return Peer(peer.id, peer.store_id)


def test_a_move_step_by_step() -> None:
    made = plan(Move(report(THREE), A, 4))

    def step(at: RegionReport) -> object:
        done = made.advance(at, 1.0)
        operator = None if done else made.ask(at)
        return done or (operator and operator.step)

    assert step(report(THREE)) == ChangePeers((PeerChange(ChangeKind.ADD_LEARNER, NEW),))
    assert step(with_peers(A, B, C, NEW, pending=(NEW,))) is None, "it waits for its data"
    at = with_peers(A, B, C, NEW)
    assert step(at) == TransferLeader(B)
    assert step(replace(at, leader=B)) == ChangePeers(
        (
            PeerChange(ChangeKind.ADD_VOTER, voter(NEW)),
            PeerChange(ChangeKind.ADD_LEARNER, Peer(A.id, 1, PeerRole.LEARNER)),
        )
    )
    coming, going = Peer(500, 4, PeerRole.INCOMING_VOTER), Peer(A.id, 1, PeerRole.DEMOTING_VOTER)
    assert step(with_peers(going, B, C, coming, leader=B)) == ChangePeers(), "leave the joint state"
    old = Peer(A.id, 1, PeerRole.LEARNER)
    assert step(with_peers(old, B, C, voter(NEW), leader=B)) == ChangePeers((PeerChange(ChangeKind.REMOVE, A),))
    assert step(with_peers(B, C, voter(NEW), leader=B)) is True


def test_steps_that_others_took_are_passed_over() -> None:
    made = plan(Add(report(THREE), 4))
    assert made.advance(with_peers(A, B, C, voter(NEW)), 1.0)


@pytest.mark.parametrize(
    ("at", "overtaken"),
    [
        (report(THREE), False),
        (with_peers(A, B, C, NEW), False),
        (with_peers(A, B, C, Peer(9, 5)), True),
        (report(replace(THREE, epoch=RegionEpoch(1, 2))), True),
        (report(replace(THREE, epoch=RegionEpoch(5, 1))), False),
    ],
)
def test_a_plan_is_overtaken_by_what_it_does_not_know(at: RegionReport, overtaken: bool) -> None:
    assert plan(Move(report(THREE), B, 4)).is_overtaken(at) is overtaken


def test_a_plan_ends_when_what_it_needs_is_gone() -> None:
    made = plan(HandOver(report(THREE), 3))
    assert made.is_overtaken(with_peers(A, B))
    made = plan(Add(report(THREE), 4))
    assert not made.advance(with_peers(A, B, C, NEW), 0.0)
    assert made.is_overtaken(with_peers(A, B, C, conf_ver=3)), "the learner was removed again"


def test_time_is_bounded_by_what_a_step_does() -> None:
    config = ScheduleConfig(step_timeout_s=600.0, transfer_timeout_s=60.0)
    move, hand_over = plan(Move(report(THREE), B, 4)), plan(HandOver(report(THREE), 3))
    assert not move.is_late(config, 600.0)
    assert move.is_late(config, 600.1)
    assert hand_over.is_late(config, 60.1)
    move.advance(with_peers(A, B, C, NEW), 600.0)
    assert not move.is_late(config, 660.0), "a step has its own time"


def test_a_split_and_a_merge() -> None:
    split = Plan(PlanKind.SPLIT, THREE, (Split(1, (b"m",), SplitPolicy.USE_KEYS),))
    operator = split.ask(report(THREE))
    assert operator is not None
    assert operator.step == SplitRegion((b"m",), SplitPolicy.USE_KEYS)
    halved = report(replace(THREE, start_key=b"m", epoch=RegionEpoch(1, 2)))
    assert not split.is_overtaken(halved)
    assert split.advance(halved, 0.0)
    target = region(2, b"x", b"", [1, 2, 3])
    merge = Plan(PlanKind.MERGE, THREE, (Merge(target),), locked=(2,))
    operator = merge.ask(report(THREE))
    assert operator is not None
    assert operator.step == MergeInto(target)


def test_region_runs_plans_from_start_to_end() -> None:
    for proposal in (
        Move(report(THREE), A, 4),
        Move(report(THREE), C, 4),
        Add(report(THREE), 4),
        Remove(report(THREE), A),
    ):
        made, running = plan(proposal), RunningRegion(THREE, A.id)
        for _ in range(20):
            at = running.report()
            assert not made.is_overtaken(at)
            if made.advance(at, 0.0):
                break
            running.do(made.ask(at))
        else:
            pytest.fail(f"{made} does not end")


@pytest.mark.parametrize("version,overtaken", [(1, False), (2, False), (3, True)])
def test_a_region_that_is_prepared_for_its_merge_is_not_overtaken_and_one_that_was_rolled_back_is(
    version: int, overtaken: bool
) -> None:
    merge = Plan(PlanKind.MERGE, THREE, (Merge(region(2, b"m", b"", [1, 2, 3])),), locked=(2,))
    assert THREE.epoch.version == 1
    epoch = RegionEpoch(THREE.epoch.conf_ver, version)
    assert merge.is_overtaken(report(replace(THREE, epoch=epoch))) is overtaken
