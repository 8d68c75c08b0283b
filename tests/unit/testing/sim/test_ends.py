"""How runs end: with nodes that failed, clients that are not answered, and the last calls."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial
from itertools import count
from random import Random

import pytest

from raftly.errors import Corruption, DiskFull, DropReason, ProposalDropped, StorageError, SyncFailed
from raftly.node import Replicated, command
from raftly.node.errors import Diverged, MachineFailed
from raftly.node.structures import Queue
from raftly.testing.checks import SafetyViolation
from raftly.testing.models import Queue as QueueModel
from raftly.testing.models import Register as RegisterModel
from raftly.testing.sim import SCENARIOS, Call, ClientOptions, Fault, NotLinearizable, NotLive, Run, RunOptions, Way
from raftly.testing.sim.run import Ask, NodeFailed
from raftly.testing.sim.watch import Watch
from tests.support.nodes import Register, Taken
from tests.unit.testing.sim.machine import workload

READ: Call[Register] = Call("read", "a", None, Register.get, ("a",), is_query=True)
NEVER = float("inf")


def register_run(*faults: Fault, seconds: float = 2.0, **options: object) -> Run[Register]:
    return Run(1, Register, workload, RunOptions(seconds=seconds, **options), faults=faults, model=RegisterModel(0))  # type: ignore[arg-type]


def during(run: Run[Register], seconds: float, action: Callable[[], None]) -> None:
    """Do something so long after the time of faults began."""

    def look() -> None:
        if run.faults_from:
            run.world.at(run.faults_from + seconds, action)
        else:
            run.world.after(0.1, look)

    look()


# --- nodes that fail ---


@pytest.mark.parametrize("killed", [False, True])
def test_a_node_that_breaks_an_invariant_fails_the_run(killed: bool) -> None:
    """Also one that a fault ends before its supervisor looks."""
    faults = [Fault(1.02, "exit", (2,), 0.1)] if killed else []
    run = register_run(*faults)

    def break_it() -> None:
        def on_tick(now: float) -> None:
            raise AssertionError(f"planted at {now:.0f}")

        run.cluster.nodes[2].on_tick = on_tick  # type: ignore[method-assign]

    during(run, 1.0, break_it)
    with pytest.raises(NodeFailed, match=r"node 2 failed at \d+\.\d+ s, .*MachineFailed.*planted at") as caught:
        run.go()
    assert (caught.value.node, type(caught.value.error)) == (2, MachineFailed)
    assert 1.0 < caught.value.at - run.faults_from < 1.5


DIVERGED = Diverged(5, 1, 2, 3).final("planted")
FAILURES = [MachineFailed("planted"), DIVERGED, Corruption("wal/1", 0, "planted"), SyncFailed("planted"), DiskFull()]


@pytest.mark.parametrize("error", FAILURES)
def test_what_no_fault_explains_fails_the_run(error: Exception) -> None:
    run = register_run(Fault(0.1, "sync_error", (2,), 0.0), Fault(0.1, "full_disk", (2,), 0.0, 1e6))

    async def fail() -> None:
        run.cluster.nodes[3].on_failed(error)

    during(run, 1.0, lambda: run.cluster.hosts[3].begin(fail()))
    with pytest.raises(NodeFailed, match="node 3 failed"):
        run.go()


@pytest.mark.parametrize("error", FAILURES)
def test_what_faults_explain_does_not(error: Exception) -> None:
    run = register_run(Fault(0.5, "sync_error", (1,), 1.0), Fault(0.5, "full_disk", (1,), 1.0, 1e6))
    run.faults_from = 10.0
    run.world.now = 11.0
    run.cluster.damaged.add(2)
    assert run._is_explained(1, error) == isinstance(error, SyncFailed | DiskFull)
    assert run._is_explained(2, error) == (not isinstance(error, MachineFailed))
    assert not run._is_explained(3, error)
    run.world.now = 10.4
    assert not run._is_explained(1, error), "it comes later"
    run.world.now = 20.0
    assert not run._is_explained(1, error), "it is long over"


@pytest.mark.parametrize("kind", ["write_error", "read_error"])
@pytest.mark.parametrize("error", [*FAILURES, StorageError("planted")])
def test_an_error_of_the_disk_explains_itself_and_no_damage(kind: str, error: Exception) -> None:
    run = register_run(Fault(0.5, kind, (1,), 1.0, 1.0))
    run.world.now = 1.0
    assert run._is_explained(1, error) == (type(error) is StorageError)


def test_a_fault_may_strike_whom_its_node_was_to_replace() -> None:
    faults = [Fault(0.1, "replace", (1, 4)), Fault(0.2, "wipe", (4, 5)), Fault(0.3, "sync_error", (5,), 1.0)]
    run = register_run(*faults)
    run.world.now = 1.0
    explained = [id_ for id_ in range(1, 6) if run._is_explained(id_, SyncFailed())]
    assert explained == [1, 4, 5]


def test_a_class_that_raises_fails_the_run() -> None:
    run = Run(1, Register, lambda _: Call("bug", "a", None, Register.bug), RunOptions(profile="calm", seconds=2.0))
    with pytest.raises(NodeFailed, match="ZeroDivisionError"):
        run.go()


# --- clients ---


def test_a_client_that_is_not_answered_is_told() -> None:
    run = register_run()
    net = run.world.net
    net.heal = lambda: None  # type: ignore[method-assign]
    lonely = run.clients[1].host
    during(run, 1.0, lambda: net.cut_edges([(lonely, node) for node in run.cluster.hosts.values()]))
    with pytest.raises(NotLive, match="seed 1: no write of client2 was answered"):
        run.go()


@pytest.mark.parametrize("way", list(Way))
def test_of_a_workload_that_only_reads_an_answer_is_enough(way: Way) -> None:
    client = ClientOptions(ways=(way,))
    report = Run(1, Register, lambda _: READ, RunOptions(profile="calm", seconds=1.0, client=client)).go()
    assert report.answered > 5


def test_a_workload_that_seldom_writes_does_so_when_all_is_healed() -> None:
    calls = count(1)

    def seldom(_: Random) -> Call[Register]:
        number = next(calls)
        return READ if number % 900 else Call("write", "a", number, Register.set, ("a", number))

    run = Run(1, Register, seldom, RunOptions(profile="calm", seconds=1.0, clients=2), model=RegisterModel(0))
    report = run.go()
    assert [client.written for client in run.clients] == [1, 1]
    assert report.recovery_s < 1.0


def test_what_a_check_says_of_a_read_is_not_lost_with_its_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    run = Run(
        1, Register, lambda _: READ, RunOptions(profile="calm", seconds=1.0, client=ClientOptions(ways=(Way.DIRECT,)))
    )

    def answered(*_: object) -> None:
        net = run.world.net
        nodes, clients = run.cluster.hosts.values(), [client.host for client in run.clients]
        net.cut_edges([(node, client) for node in nodes for client in clients])
        raise SafetyViolation("planted")

    monkeypatch.setattr(Watch, "answered", answered)
    with pytest.raises(SafetyViolation, match="planted"):
        run.go()


# --- the last calls ---


def put(random: Random) -> Call[Queue[int]]:
    value = random.getrandbits(40)
    return Call("put", None, value, Queue.put, (value,))


def queue_run() -> Run[Queue[int]]:
    options = RunOptions(profile="calm", seconds=1.0)
    return Run(1, Queue[int], put, options, model=QueueModel(), last=SCENARIOS["queue"].last)


def test_a_queue_is_emptied_at_the_end() -> None:
    run = queue_run()
    report = run.go()
    last = [operation for operation in report.operations if operation.client == 0]
    assert [operation.name for operation in last] == ["take"] * len(last)
    assert len(last) > sum(client.written for client in run.clients) > 5
    assert last[-1].result is None
    assert len({node.machine.applied for node in run.cluster.nodes.values()}) <= 1


def test_a_put_that_was_lost_behind_the_last_value_taken_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    sound = Queue.put

    @command
    def forgetful(self: Queue[int], value: int) -> int:
        if value % 5 == 0:
            return self.last_number + 1
        return sound(self, value)

    forgetful.__name__ = "put"
    monkeypatch.setattr(Queue, "put", forgetful)
    with pytest.raises(NotLinearizable):
        queue_run().go()


def test_a_lock_is_taken_and_let_go_at_the_end() -> None:
    scenario = SCENARIOS["locks"]
    options = RunOptions(profile="calm", seconds=1.0)
    report = Run(1, scenario.factory, scenario.begin(), options, model=scenario.model(), last=scenario.last).go()
    last = [operation for operation in report.operations if operation.client == 0]
    assert [operation.name for operation in last if operation.result is not None] == ["acquire", "release"]
    assert last[-1].result is True


async def doomed(run: Run[Register], do: Callable[[], None], ask: Ask) -> None:
    do()
    await ask(READ)
    await ask(Call("write", "a", 5, Register.set, ("a", 5)))


def test_a_last_call_that_is_not_answered_is_told() -> None:
    run = register_run()

    def cut() -> None:
        run.cluster.partition(*[(id_,) for id_ in run.cluster.ids])

    run._last = partial(doomed, run, cut)
    with pytest.raises(NotLive, match=r"seed 1: the last (read|write) was not answered"):
        run.go()


def test_a_leader_that_dies_meanwhile_is_no_reason_to_give_up() -> None:
    run = register_run()

    def crash() -> None:
        async def soon() -> None:
            leader = run.cluster.leader()
            assert leader is not None
            await asyncio.sleep(0)
            run.cluster.kill(leader)
            await asyncio.sleep(3.0)
            run.cluster.boot(leader)

        run.world.director.begin(soon())

    run._last = partial(doomed, run, crash)
    report = run.go()
    assert [(op.name, op.result) for op in report.operations if op.client % 1000 == 0][-1] == ("write", 5)


def test_a_last_call_that_is_refused_is_made_again() -> None:
    run = register_run()
    refused: list[int] = []

    def refuse() -> None:
        for id_, node in run.cluster.nodes.items():
            node.call = node.ask = partial(once, id_, node)  # type: ignore[assignment,method-assign]

    async def once(id_: int, node: Replicated[Register], *_: object) -> None:
        del node.call, node.ask
        refused.append(id_)
        raise ProposalDropped(DropReason.TRANSFERRING)

    run._last = partial(doomed, run, refuse)
    report = run.go()
    last = [(op.name, op.is_unknown) for op in report.operations if op.client % 1000 == 0]
    assert last == [("read", False), ("write", False)]
    assert len(refused) == 1


def test_a_last_call_that_raises_what_it_registered_is_answered() -> None:
    run = register_run()
    run.model = None

    async def claim(ask: Ask) -> None:
        call: Call[Register] = Call("claim", "z", None, Register.claim, ("z",))
        assert [await ask(call), await ask(call)] == [None, repr(Taken("z"))]

    run._last = claim
    run.go()
