"""A leader goes, or seems to: writes go on soon, and no read by a lease is ever stale. Virtual time.

FAILOVER_SEEDS=0..2000 runs other random schedules than the few of every test run.
"""

import asyncio
import os
import random
import signal
import time
from collections.abc import Callable
from contextlib import suppress

import pytest

from raftly.base.types import NodeId
from raftly.core.messages import Message
from raftly.core.role import Role
from raftly.errors import NotLeader, RaftlyError
from raftly.node import LEASE, LOCAL, NodeConfig, Replicated, bounded, serve
from raftly.node.errors import LeaseNotHeld, MachineFailed, NodeStopped
from raftly.node.lease_clock import lease_clock_of
from raftly.testing.memfs import MemFs
from raftly.transport.memory import MemoryNetwork, MemoryTransport
from tests.support.nodes import Nodes, Register
from tests.support.virtual import VirtualLoop, run


async def seconds_until_written(nodes: Nodes, id_: NodeId) -> float:
    loop = asyncio.get_running_loop()
    began = loop.time()
    session = await nodes.nodes[id_].open_session()
    await session.call(Register.add, "late", 1)
    return loop.time() - began


# --- the leader dies -------------------------------------------------------------------------------------------


def failover(*, told: bool, seed: int) -> float:
    async def main() -> float:
        async with Nodes(seed=seed) as nodes:
            old = await nodes.leader()
            other = nodes.others(old)[0].config.id
            await old.call(Register.set, "a", 1)
            nodes.crash(old.config.id)
            if told:
                nodes.network.close_connections(old.config.id)
            return await seconds_until_written(nodes, other)

    return run(main())


@pytest.mark.parametrize("seed", range(5))
def test_a_leader_whose_connections_close_is_replaced_once_its_lease_is_over(seed: int) -> None:
    assert 0.4 < failover(told=True, seed=seed) < 0.8
    assert failover(told=False, seed=seed) > 0.9


@pytest.mark.parametrize("seed", range(5))
def test_a_living_leader_stays_whatever_closes(seed: int) -> None:
    async def main() -> None:
        async with Nodes(seed=seed) as nodes:
            leader = await nodes.leader()
            term = leader.status().basic.hard_state.term
            draw = random.Random(seed)
            for _ in range(50):
                nodes.network.close_connection(leader.config.id, draw.choice(nodes.others(leader)).config.id)
                await asyncio.sleep(draw.random() * 0.2)
            assert leader.status().basic.soft_state.role is Role.LEADER
            assert leader.status().basic.hard_state.term == term

    run(main())


# --- the leader stops ------------------------------------------------------------------------------------------


def test_no_write_fails_when_the_leader_stops() -> None:
    async def main() -> None:
        async with Nodes() as nodes:
            leader = await nodes.leader()
            sessions = [await node.open_session() for node in nodes.others(leader)]
            loop = asyncio.get_running_loop()
            gap = 0.0

            async def caller(at: int) -> None:
                nonlocal gap
                for _ in range(100):
                    began = loop.time()
                    await sessions[at % 2].call(Register.add, "a", 1)
                    gap = max(gap, loop.time() - began)
                    await asyncio.sleep(0.01)

            callers = [asyncio.create_task(caller(at)) for at in range(4)]
            await asyncio.sleep(0.3)
            await nodes.stop(leader.config.id)
            await asyncio.gather(*callers)
            assert (await nodes.leader()).look(Register.get, "a") == 400
            assert gap < 0.1

    run(main())


def test_calls_that_come_while_a_leader_stops_are_told_whom_to_ask_and_those_before_end() -> None:
    async def main() -> None:
        async with Nodes() as nodes:
            leader = await nodes.leader()
            before = [asyncio.create_task(leader.call(Register.add, "a", 1)) for _ in range(20)]
            await asyncio.sleep(0)
            stopping = asyncio.create_task(leader.stop())
            await asyncio.sleep(0)
            with pytest.raises(NotLeader) as refused:
                await leader.call(Register.add, "a", 1)
            assert refused.value.leader_id in {node.config.id for node in nodes.others(leader)}
            assert sorted(await asyncio.gather(*before)) == list(range(1, 21))
            await stopping
            successor = await nodes.leader(but=leader.config.id)
            assert successor.config.id == refused.value.leader_id
            with pytest.raises(NodeStopped):
                await leader.call(Register.add, "a", 1)

    run(main())


def test_a_leader_that_stops_hands_over_to_a_voter_that_it_can_reach() -> None:
    async def main() -> None:
        async with Nodes() as nodes:
            leader = await nodes.leader()
            gone, there = sorted(node.config.id for node in nodes.others(leader))[::-1]
            nodes.network.isolate(gone)
            await asyncio.sleep(0.3)
            await leader.stop()
            assert nodes.nodes[there].status().basic.soft_state.role is Role.LEADER

    run(main())


def test_serve_stops_the_node_at_a_signal_and_fails_with_it() -> None:
    async def main(how: Callable[[Replicated[Register]], object], id_: int) -> Replicated[Register]:
        network = MemoryNetwork()
        config = NodeConfig(id_, (id_,), seed=1)
        node = await Replicated.start(Register, config, MemoryTransport(network, id_), fs=MemFs())
        await node.wait_leader(within=60)
        serving = asyncio.create_task(serve(node))
        await asyncio.sleep(0)
        how(node)
        await serving
        return node

    before = signal.getsignal(signal.SIGTERM)
    for number in (signal.SIGTERM, signal.SIGINT):
        node = asyncio.run(main(lambda _, number=number: os.kill(os.getpid(), number), 1))  # type: ignore[misc]
        assert isinstance(node.failure, NodeStopped)
    assert signal.getsignal(signal.SIGTERM) is before
    with pytest.raises(MachineFailed):
        asyncio.run(main(lambda node: node.on_failed(ZeroDivisionError()), 1))


def test_a_node_that_cannot_listen_leaves_nothing_behind() -> None:
    class Deaf(MemoryTransport):  # type: ignore[misc]  # final
        async def start(self, *_: object) -> None:
            raise OSError("the port is taken")

    async def main() -> None:
        disk = MemFs()
        config = NodeConfig(1, (1,), seed=1)
        with pytest.raises(OSError, match="taken"):
            await Replicated.start(Register, config, Deaf(MemoryNetwork(), 1), fs=disk)
        assert len(asyncio.all_tasks()) == 1
        node = await Replicated.start(Register, config, MemoryTransport(MemoryNetwork(), 1), fs=disk)
        await node.wait_leader()
        assert await node.call(Register.add, "a", 1) == 1
        await node.stop()

    run(main())


# --- clocks ----------------------------------------------------------------------------------------------------


def test_a_lease_goes_on_counting_while_the_machine_sleeps() -> None:
    async def main() -> None:
        async with Nodes(1) as nodes:
            leader = await nodes.leader()
            asleep = 0.0
            clock = leader._reads._clock
            leader._reads._clock = lambda: clock() + asleep
            await leader.fresh()
            assert (await leader.fresh(LEASE)).age_s == 0
            asleep = 3600.0  # the loop's clock stood still
            with pytest.raises(LeaseNotHeld):
                await leader.fresh(LEASE)
            age = (await leader.fresh(LOCAL)).age_s
            assert age is not None
            assert age >= 3600
            fresh = await leader.fresh(bounded(1.0))
            assert fresh.age_s is not None
            assert fresh.age_s < 1

    run(main())


def test_the_clock_of_leases_goes_on_in_suspend_and_a_simulated_loop_keeps_its_own() -> None:
    loop = asyncio.new_event_loop()
    virtual = VirtualLoop()
    try:
        which = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)
        before = time.clock_gettime(which)
        assert before <= lease_clock_of(loop)() <= time.clock_gettime(which)
        assert lease_clock_of(virtual)() == virtual.time()
    finally:
        loop.close()
        virtual.close()


# --- random schedules ------------------------------------------------------------------------------------------


class Pausable:
    """Between a node and the network: delays what arrives, and holds it while the node's process is paused."""

    def __init__(self, nodes: Nodes, node: Replicated[Register], draw: random.Random) -> None:
        self.node = node
        self.paused = False
        self._held: list[tuple[NodeId, list[tuple[int, list[Message]]]]] = []
        self._draw = draw
        self._receive = nodes.network.nodes[node.config.id]
        nodes.network.nodes[node.config.id] = self._arrive

    def _arrive(self, from_: NodeId, batch: list[tuple[int, list[Message]]]) -> None:
        late = self._draw.random() * 0.01 if self._draw.random() < 0.9 else self._draw.random() * 0.4
        asyncio.get_running_loop().call_later(late, self._deliver, from_, batch)

    def _deliver(self, from_: NodeId, batch: list[tuple[int, list[Message]]]) -> None:
        if self.paused:
            self._held.append((from_, batch))
        else:
            self._receive(from_, batch)

    async def pause(self, seconds: float) -> None:
        """No tick, nothing arrives, and then all at once; whoever reads at that moment reads before any of it."""
        driver = self.node._driver
        if driver._ticker is None or self.paused:
            return
        driver._ticker.cancel()
        self.paused = True
        await asyncio.sleep(seconds)
        self.paused = False
        loop = asyncio.get_running_loop()
        for from_, batch in self._held:
            loop.call_soon(self._receive, from_, batch)
        self._held.clear()
        loop.call_soon(driver._tick)


async def hunt(seed: int) -> tuple[int, int]:
    """One schedule; (reads by lease, writes)."""
    draw = random.Random(f"failover {seed}")
    async with Nodes(seed=seed, call_timeout=2.0) as nodes:
        await nodes.leader()
        written = reads = 0
        loop = asyncio.get_running_loop()
        for node in nodes.nodes.values():
            # Clocks that part by less than clock_drift over a lease, on either side.
            rate = 1 + draw.uniform(-0.1, 0.1)
            node._reads._clock = lambda rate=rate: loop.time() * rate  # type: ignore[misc]
            node._driver._options = type(node._driver._options)(node.config.tick / rate, loop.time)
        holders = [Pausable(nodes, node, draw) for node in nodes.nodes.values()]

        def read_all() -> None:
            nonlocal reads
            for node in nodes.nodes.values():
                if node._reads.by_lease():  # what `ask` and `fresh(LEASE)` go by
                    reads += 1
                    assert node.look(Register.get, "x") >= written, f"seed {seed}: node {node.config.id} reads the past"

        async def writer(node: Replicated[Register]) -> None:
            nonlocal written
            while True:
                if node.status().basic.soft_state.role is Role.LEADER:
                    with suppress(RaftlyError, TimeoutError):
                        async with asyncio.timeout(0.3):
                            written = max(written, await node.call(Register.add, "x", 1))
                    read_all()
                await asyncio.sleep(0.01)

        async def reader() -> None:
            while True:
                read_all()
                for node in nodes.nodes.values():
                    if node.status().basic.soft_state.role is Role.LEADER and not node._reads._asked:
                        node._reads._ask([])
                await asyncio.sleep(0.005)

        async def trouble() -> None:
            ids = nodes.ids
            for _ in range(60):
                await asyncio.sleep(draw.random() * 0.3)
                one, other = draw.sample(ids, 2)
                what = draw.randrange(6)
                if what == 0:
                    nodes.network.cut |= {(one, other)} if draw.random() < 0.5 else {(one, other), (other, one)}
                elif what == 1:
                    nodes.network.isolate(one)
                    nodes.network.close_connections(one)
                elif what == 2:
                    nodes.network.heal()
                elif what == 3:
                    nodes.network.close_connection(one, other)
                elif what == 4:
                    tasks.append(asyncio.create_task(draw.choice(holders).pause(draw.random() * 2)))
                    for node in nodes.nodes.values():
                        node._driver._lost(one)
                else:
                    nodes.network.close_connections(one)

        tasks = [asyncio.create_task(reader()), *(asyncio.create_task(writer(node)) for node in nodes.nodes.values())]
        troubled = asyncio.create_task(trouble())
        await asyncio.wait([troubled, *tasks], return_when=asyncio.FIRST_COMPLETED)
        await troubled
        nodes.network.heal()
        await asyncio.sleep(3)
        for task in tasks:
            task.cancel()
        for result in await asyncio.gather(*tasks, return_exceptions=True):
            if isinstance(result, AssertionError):
                raise result
        return reads, written


def seeds() -> range:
    first, _, stop = os.environ.get("FAILOVER_SEEDS", "0..6").partition("..")
    return range(int(first), int(stop))


@pytest.mark.parametrize("seed", seeds())
def test_no_read_by_a_lease_is_stale(seed: int) -> None:
    reads, written = run(hunt(seed))
    assert reads > 100
    assert written > 20
