"""Whole runs: clusters of real nodes under faults, and what is made of them."""

import asyncio
import math
from itertools import pairwise
from random import Random

import pytest

from raftly.errors import Corruption, DecodeError
from raftly.testing.checks import SafetyViolation
from raftly.testing.faultfs import Effect
from raftly.testing.faultfs import Fault as DiskFault
from raftly.testing.linearizability import check
from raftly.testing.models import Register as RegisterModel
from raftly.testing.sim import (
    KINDS,
    NEWCOMERS,
    PROFILES,
    Call,
    ClientOptions,
    Fault,
    HostDown,
    NotLive,
    Run,
    RunOptions,
    SimCluster,
    Way,
    World,
    from_line,
    plan,
    to_line,
)
from raftly.testing.sim.run import NodeFailed
from tests.support.nodes import Register, Taken
from tests.unit.testing.sim.machine import workload


def test_a_cluster_elects_answers_survives_and_agrees() -> None:
    world = World(1)
    cluster = SimCluster(world, Register)

    async def script() -> None:
        await cluster.start()
        first = await cluster.wait_leader()
        assert await cluster.invoke(Register.set, "a", 1) == 1
        cluster.kill(first)
        assert cluster.leader() != first
        with pytest.raises(HostDown):
            await cluster.call(first, Register.set, "a", 2)
        assert await cluster.invoke(Register.add, "a", 10) == 11
        cluster.boot(first)
        await cluster.wait_equal()
        assert cluster.nodes[first].machine.applied > 2
        with pytest.raises(Taken):
            await cluster.invoke(Register.claim, "a")
        second = await cluster.wait_leader()
        other = next(id_ for id_ in cluster.ids if id_ != second)
        await cluster.transfer(other)
        await asyncio.sleep(1)
        assert cluster.leader() == other
        await cluster.stop(other)
        assert other not in cluster.nodes
        assert await cluster.wait_leader() != other

    world.run(script(), within=60)
    world.close()


def test_a_minority_answers_nobody_and_hears_of_all_later() -> None:
    world = World(2)
    cluster = SimCluster(world, Register, size=5)

    async def script() -> None:
        await cluster.start()
        old = await cluster.wait_leader()
        friend = next(id_ for id_ in cluster.ids if id_ != old)
        rest = tuple(id_ for id_ in cluster.ids if id_ not in {old, friend})
        undo = cluster.partition((old, friend), rest)
        doomed = asyncio.ensure_future(cluster.call(old, Register.set, "a", 1))
        await asyncio.sleep(5)
        assert cluster.leader() in rest
        assert await cluster.invoke(Register.set, "a", 2) == 2
        undo()
        await cluster.wait_equal()
        with pytest.raises(Exception, match=r"leader|unknown|outcome"):
            await doomed
        assert {node.look(Register.get, "a") for node in cluster.nodes.values()} == {2}

    world.run(script(), within=60)
    world.close()


def test_members_come_and_go() -> None:
    world = World(3)
    cluster = SimCluster(world, Register)

    async def script() -> None:
        await cluster.start()
        await cluster.invoke(Register.set, "a", 1)
        await cluster.add(4)
        await cluster.remove(1)
        assert cluster.ids == (2, 3, 4)
        assert not cluster.hosts[1].up
        cluster.boot(1)
        assert not cluster.hosts[1].alive, "it is gone for good"
        cluster.kill(2)
        await cluster.invoke(Register.set, "a", 2)
        cluster.boot(2)
        await cluster.wait_equal()
        assert [member.id for member in cluster.nodes[4].member_list()] == [2, 3, 4]
        await cluster.snapshot(4)

    world.run(script(), within=120)
    world.close()


def test_a_member_that_slept_comes_back_to_a_cluster_of_others() -> None:
    world = World(1)
    cluster = SimCluster(world, Register)

    async def script() -> None:
        await cluster.start()
        await cluster.invoke(Register.set, "a", 1)
        cluster.kill(3)
        for old, new in ((1, 4), (2, 5)):
            await cluster.add(new)
            await cluster.remove(old)
        await cluster.invoke(Register.set, "a", 2)
        cluster.boot(3)
        await cluster.wait_equal(60)

    world.run(script(), within=300)


@pytest.mark.parametrize("profile", sorted(PROFILES))
def test_a_run_of_each_profile_recovers_and_is_linearizable(profile: str) -> None:
    options = RunOptions(profile=profile, seconds=4.0, messages=profile in {"uniform", "overload"})
    report = Run(5, Register, workload, options).go()
    verdict = check(report.operations, RegisterModel(0))
    assert verdict.holds, verdict
    assert report.answered > 5
    assert bool(report.struck) == (profile != "calm")


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_each_kind_of_fault_strikes_and_is_undone(kind: str) -> None:
    amount = {"clock_rate": 1.05, "loss": 0.2, "flap": 0.1, "full_disk": 100, "crash_at_write": 3}.get(kind, 50.0)
    amount = 1.0 if kind in {"bad_write", "write_error", "read_error"} else amount
    pair = dict.fromkeys(("cut", "flap", "reset"), (1, 2))
    nodes: tuple[int, ...] = {**pair, "grow": (4,), "rolling": (), "transfer": (2,)}.get(kind, (1,))
    replaces = kind in NEWCOMERS and kind != "grow"
    nodes = (1, 4) if replaces else nodes
    run = Run(1, Register, workload, RunOptions(seconds=2.0, clients=1), faults=[Fault(0.5, kind, nodes, 1.0, amount)])
    report = run.go()
    assert report.struck == {kind: 1}
    assert all(not link.cuts and link.slow == pytest.approx(1) for link in run.world.net._links.values())
    assert all(link.options is run.world.net.options for link in run.world.net._links.values())
    assert run.cluster.retired == ({1} if replaces else {"grow": {4}}.get(kind, set()))
    lives = {
        "rolling": 2,
        "stop": 2,
        "crash": 2,
        "crash_all": 2,
        "exit": 2,
        "crash_at_write": 2,
        "crash_at_callback": 2,
    }
    assert run.cluster.hosts[1].incarnation >= lives.get(kind, 2 if kind in {"wipe", "bit_rot", "bad_write"} else 1)
    for host in run.cluster.hosts.values():
        assert host.disk.slow == 1.0
        assert host.clock.rate == 1.0
        assert not host.disk.fs.faults
        assert host.disk.used_bytes() > 0


def test_a_cluster_that_does_not_recover_is_told() -> None:
    run = Run(1, Register, workload, RunOptions(seconds=3.0), faults=[])
    net = run.world.net
    net.heal = lambda: None  # type: ignore[method-assign]

    def cut() -> None:
        nodes = list(run.cluster.hosts.values())
        net.cut_edges([(a, b) for a in nodes for b in nodes if a is not b])

    run.world.at(2.5, cut)
    with pytest.raises(NotLive, match="seed 1: no write"):
        run.go()


def test_disks_that_lie_about_their_syncs_are_found_out() -> None:
    faults = [Fault(at, "crash_all", (), 0.05) for at in (2.0, 3.0)]
    run = Run(1, Register, workload, RunOptions(seconds=4.0), faults=faults)
    for host in run.cluster.hosts.values():
        host.disk.fs.add(DiskFault("sync", Effect.LOST, times=None))
    with pytest.raises((NodeFailed, NotLive, SafetyViolation)):
        run.go()
    assert any(isinstance(error, Corruption) for _, error in run.cluster.failures)


def test_clients_write_down_what_they_know() -> None:
    run = Run(4, Register, workload, RunOptions(profile="partitions", seconds=10.0))
    report = run.go()
    unknown = [op for op in report.operations if op.is_unknown]
    assert 0 < len(unknown) < len(report.operations) / 2
    looked_back = [op for op in report.operations if op.client == 0]
    assert report.answered == len(report.operations) - len(unknown) - len(looked_back)
    for op in report.operations:
        assert op.start <= op.end
        assert op.end == math.inf or op.end <= report.seconds
    for client in {op.client for op in report.operations}:
        own = sorted((op for op in report.operations if op.client == client), key=lambda op: op.start)
        assert all(before.end <= after.start for before, after in pairwise(own))


@pytest.mark.parametrize("way", list(Way))
def test_each_way_of_clients_gets_through_trouble(way: Way) -> None:
    faults = [Fault(1.0, "crash_all", (), 0.5), Fault(3.0, "isolate", (1,), 2.0), Fault(3.5, "reset", (2, 3), 0.0)]
    options = RunOptions(seconds=6.0, client=ClientOptions(ways=(way,)))
    run = Run(2, Register, workload, options, faults=faults)
    report = run.go()
    assert {client.way for client in run.clients} == {way}
    assert check(report.operations, RegisterModel(0)).holds
    begun = report.operations[0].start
    assert sum(op.end < begun + 1.0 for op in report.operations) > 3
    assert sum(begun + 5.2 < op.start and not op.is_unknown for op in report.operations) > 0


@pytest.mark.parametrize("way", list(Way))
def test_a_registered_exception_is_a_result(way: Way) -> None:
    def claim(random: Random) -> Call[Register]:
        return Call("claim", "a", None, Register.claim, ("a",))

    report = Run(1, Register, claim, RunOptions(profile="calm", seconds=2.0, client=ClientOptions(ways=(way,)))).go()
    results = [op.result for op in report.operations]
    assert results.count(None) == 1
    assert results.count("Taken('a')") == len(results) - 1 > 5


# --- faults as data ---


def test_plans_are_drawn_from_the_seed_and_survive_a_file() -> None:
    for profile in sorted(PROFILES):
        faults = plan(Random(7), (1, 2, 3), profile, 20.0)
        assert faults == plan(Random(7), (1, 2, 3), profile, 20.0)
        assert [from_line(to_line(fault)) for fault in faults] == faults
        assert all(fault.at >= 0 and fault.at + fault.seconds <= 20.0 + 1e-9 for fault in faults)
        assert all(
            set(fault.nodes) <= {1, 2, 3} for fault in faults if profile not in {"uniform", "membership", "disk"}
        )
        assert all(str(fault) for fault in faults)


def test_every_kind_is_drawn_by_some_profile() -> None:
    drawn = {
        fault.kind
        for profile in PROFILES
        for seed in range(10)
        for fault in plan(Random(seed), (1, 2, 3, 4, 5), profile, 60)
    }
    assert drawn == set(KINDS)


@pytest.mark.parametrize(
    "line", ["", "[]", "[1, 2]", '[1, "no such thing", [], 0, 0]', '{"at": 1}', '["x", "crash", [1], 0, 0]']
)
def test_a_line_that_is_no_fault_is_refused(line: str) -> None:
    with pytest.raises(DecodeError):
        from_line(line)
