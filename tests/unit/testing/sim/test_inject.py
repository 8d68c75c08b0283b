"""Faults that strike: only those are counted, and where a node did not come, the one that stayed is struck."""

import asyncio
from collections import Counter
from collections.abc import Sequence

import pytest

from raftly.errors import NotLeader, StorageError, SyncFailed
from raftly.node import Replicated
from raftly.node.errors import LeaseNotHeld
from raftly.node.reads import LEASE
from raftly.testing.sim import Fault, Run, RunOptions, SimCluster, World, inject
from raftly.testing.sim.faults import Successors
from tests.support.nodes import Register
from tests.unit.testing.sim.machine import workload


def injected(faults: Sequence[Fault]) -> tuple[SimCluster[Register], Counter[str]]:
    world = World(1)
    cluster = SimCluster(world, Register)
    struck: Counter[str] = Counter()

    async def script() -> None:
        await cluster.start()
        await cluster.wait_leader()
        assert await inject(cluster, faults, 0.0, struck) is struck
        await cluster.wait_equal()

    world.run(script(), within=60)
    world.close()
    return cluster, struck


@pytest.mark.parametrize(
    "kind", ["crash", "exit", "pause", "suspend", "stop", "snapshot", "crash_at_write", "crash_at_callback"]
)
def test_what_is_down_is_not_struck(kind: str) -> None:
    assert injected([Fault(0.1, "crash", (1,), 1.0), Fault(0.5, kind, (1,), 0.1, 3.0)])[1] == {"crash": 1}


def test_whom_there_never_was_is_not_struck() -> None:
    kinds = ("crash", "isolate", "slow_disk", "clock_rate", "transfer", "split", "wipe", "replace")
    assert not injected([Fault(0.1, kind, (9, 10), 0.1, 1.0) for kind in kinds])[1]


def test_a_leader_hands_over_to_others_only() -> None:
    struck = [injected([Fault(0.0, "transfer", (id_,))])[1] for id_ in (1, 2, 3)]
    assert sorted(counts["transfer"] for counts in struck) == [0, 1, 1]


def test_a_link_needs_two_ends_and_a_reset_a_connection() -> None:
    assert not injected([Fault(0.1, kind, (1,), 0.1, 0.01) for kind in ("cut", "flap", "reset")])[1]
    faults = [Fault(0.1, "crash", (1,), 0.5), Fault(0.3, "reset", (1, 2))]
    assert injected(faults)[1] == {"crash": 1}


def test_a_callback_that_never_comes_is_no_crash() -> None:
    assert injected([Fault(0.1, "crash_at_callback", (2,), 0.1, 1e9)])[1] == {}
    cut_short = [Fault(0.1, "crash_at_callback", (2,), 0.1, 1e9), Fault(0.2, "exit", (2,), 0.1)]
    assert injected(cut_short)[1] == {"exit": 1}


def test_power_that_is_lost_once_is_counted_once() -> None:
    write = [Fault(0.1 + 0.01 * n, "crash_at_write", (2,), 0.1, 2.0) for n in range(2)]
    assert injected([*write, Fault(0.2, "crash_all", (), 0.1)])[1] in ({"crash_all": 1}, {"crash_at_write": 1})
    assert injected([Fault(0.1, "crash_at_write", (2,), 0.1, 1e6), Fault(0.2, "exit", (2,), 0.1)])[1] == {"exit": 1}
    assert injected([Fault(0.1, "crash_at_write", (2,), 0.1, 1e6)])[1] == {}, "soak, seed 8401611: it wrote no more"


@pytest.mark.parametrize("kind", ["sync_error", "write_error"])
def test_what_never_comes_does_not_fail(kind: str) -> None:
    assert not injected([Fault(0.1, kind, (1,), 1e-4)])[1]


@pytest.mark.parametrize("kind", ["sync_error", "write_error"])
def test_a_node_whose_disk_fails_is_started_again(kind: str) -> None:
    faults = [Fault(0.0, kind, (2,), 2.0), *(Fault(0.1 + 0.1 * n, "transfer", (1 + n % 3,)) for n in range(5))]
    cluster, struck = injected(faults)
    assert struck[kind] == 1
    assert cluster.hosts[2].incarnation == 2
    assert [(id_, type(error)) for id_, error in cluster.failures] == [
        (2, {"sync_error": SyncFailed, "write_error": StorageError}[kind])
    ]


def test_a_node_that_cannot_read_its_disk_tries_until_it_can() -> None:
    """What it could not read it neither leaves out nor calls damaged."""
    cluster, struck = injected([Fault(0.1, "read_error", (2,), 3.0, 1.0)])
    assert struck == {"read_error": 1}
    assert cluster.hosts[2].incarnation > 5
    assert {type(error) for _, error in cluster.failures} == {StorageError}


def test_a_machine_that_slept_holds_no_lease() -> None:
    """Its process knows of no time that passed."""
    world = World(1)
    cluster = SimCluster(world, Register)
    answers: list[object] = []

    async def ask(node: Replicated[Register]) -> None:
        while True:
            try:
                await node.fresh(LEASE)
                answers.append(node.look(Register.get, "a"))
            except LeaseNotHeld as error:
                answers.append(type(error))
            except NotLeader as error:
                answers.append(type(error))
                return
            await asyncio.sleep(0.001)

    async def script() -> None:
        await cluster.start()
        old = await cluster.wait_leader()
        await cluster.invoke(Register.set, "a", 1)
        cluster.hosts[old].begin(ask(cluster.nodes[old]))
        await asyncio.sleep(1.0)
        sleeping = asyncio.create_task(inject(cluster, [Fault(0.0, "suspend", (old,), 5.0)]))
        await asyncio.sleep(3.0)
        assert answers[-1] == 1
        answers.clear()
        await cluster.invoke(Register.set, "a", 2)
        assert await sleeping == {"suspend": 1}
        assert not answers
        await cluster.wait_equal()
        assert set(answers) <= {LeaseNotHeld, NotLeader}
        assert answers

    world.run(script(), within=60)
    world.close()


def test_who_was_not_replaced_is_struck_instead_of_who_did_not_come() -> None:
    """Of three disks one may be damaged at a time: the second fault passes, and 2 stays."""
    faults = [Fault(0.1, "wipe", (1, 4), 3.0), Fault(0.2, "bit_rot", (2, 5), 0.1), Fault(0.5, "crash", (5,), 0.1)]
    cluster, struck = injected(faults)
    assert struck == {"wipe": 1, "crash": 1}
    assert cluster.ids == (2, 3, 4)
    assert cluster.hosts[2].incarnation == 2
    assert 5 not in cluster.hosts


def test_nobody_is_replaced_twice() -> None:
    """4 has not come when it is to be replaced: 1 is on its way out already."""
    faults = [Fault(0.1, "wipe", (1, 4), 2.0), Fault(0.5, "replace", (4, 5), 0.1), Fault(1.0, "crash", (5,), 0.1)]
    cluster, struck = injected(faults)
    assert struck == {"wipe": 1, "crash": 1}
    assert cluster.ids == (2, 3, 4)
    assert cluster.hosts[1].incarnation == 3


def test_planned_names_lead_back_to_whoever_is_there() -> None:
    plan = [Fault(0.0, "replace", (1, 4)), Fault(1.0, "wipe", (4, 5)), Fault(2.0, "grow", (6,))]
    successors = Successors(plan)
    for known, there in (((1, 2, 3), 1), ((1, 2, 3, 4), 4), ((1, 2, 3, 4, 5), 5)):
        assert successors.resolve(Fault(3.0, "crash", (5,)), known, known) == Fault(3.0, "crash", (there,))
    assert successors.resolve(Fault(3.0, "split", (2, 5, 7)), (1, 2, 3), (1, 2, 3)) == Fault(3.0, "split", (2, 1))
    assert successors.resolve(plan[1], (1, 2, 3), (1, 2, 3)) == Fault(1.0, "wipe", (1, 5))
    assert successors.resolve(Fault(3.0, "crash", (1,)), (1, 2, 3, 4), (2, 3, 4)) is None, "it is gone for good"
    assert Successors([Fault(0.0, "wipe", (8, 9)), Fault(0.0, "wipe", (9, 8))]).resolve(plan[2], (), ()) == plan[2]
    assert (
        Successors([Fault(0.0, "wipe", (8, 9)), Fault(0.0, "wipe", (9, 8))]).resolve(Fault(0.0, "crash", (8,)), (), ())
        is None
    )


def test_a_run_that_fails_tells_what_had_struck() -> None:
    run = Run(1, Register, workload, RunOptions(seconds=4.0), faults=[Fault(0.5, "crash", (1,), 0.1)])

    async def fall() -> None:
        await asyncio.sleep(4.0)
        raise AssertionError("planted")

    run.world.director.begin(fall())
    with pytest.raises(AssertionError, match="planted"):
        run.go()
    assert run.struck == {"crash": 1}
