"""Three replicas of a class over TcpTransport: elected, a thousand commands, one cut off and healed.

Once on virtual time, where the network is a simulated loop's, and once on real sockets of the loopback interface.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from raftly.base.rand import SplitMix64
from raftly.core.role import Role
from raftly.errors import RaftlyError
from raftly.node.commands import command, query
from raftly.node.config import NodeConfig
from raftly.node.replicated import Replicated
from raftly.testing.memfs import MemFs
from raftly.transport.events import PeerConnected, SnapshotReported, TransportEvent
from raftly.transport.tcp import TcpTransport
from tests.unit.transport.virtual import VirtualLoop, run

IDS = (1, 2, 3)


class Counter:
    def __init__(self) -> None:
        self.value = 0

    @command
    def add(self, amount: int) -> int:
        self.value += amount
        return self.value

    @query
    def get(self) -> int:
        return self.value


class Cluster:
    """Three replicas, and the wires between them."""

    def __init__(self) -> None:
        self.transports: dict[int, TcpTransport] = {}
        self.nodes: dict[int, Replicated[Counter]] = {}
        self.events: list[tuple[int, TransportEvent]] = []
        self.changed = asyncio.Event()

    async def start(self, tick: float, snapshot_entries: int = 10_000) -> None:
        for id_ in IDS:
            transport = self.transports[id_] = TcpTransport(
                7, id_, ("127.0.0.1", 0), {}, random=SplitMix64(id_), on_event=self._listen(id_)
            )
            config = NodeConfig(
                id_,
                IDS,
                cluster_id=7,
                tick=tick,
                seed=id_,
                lease=4 * tick,
                clock_drift=tick,
                snapshot_entries=snapshot_entries,
            )
            self.nodes[id_] = await Replicated.start(Counter, config, transport, fs=MemFs())
        self.heal(*IDS)

    def _listen(self, id_: int) -> Callable[[TransportEvent], None]:
        def on_event(event: TransportEvent) -> None:
            self.events.append((id_, event))
            self.changed.set()

        return on_event

    def cut(self, id_: int) -> None:
        """Break all connections of a node, both ways, and let none be made."""
        for other in IDS:
            if other != id_:
                self.transports[id_].set_address(other, None)
                self.transports[other].set_address(id_, None)

    def heal(self, *ids: int) -> None:
        for id_ in ids:
            for other in IDS:
                if other != id_:
                    self.transports[id_].set_address(other, self.transports[other].address)
                    self.transports[other].set_address(id_, self.transports[id_].address)

    async def leader(self, among: tuple[int, ...] = IDS) -> Replicated[Counter]:
        """The leader that all of these follow."""
        while True:
            for id_ in among:
                if self.nodes[id_].status().basic.soft_state.role is Role.LEADER and all(
                    self.nodes[other].status().basic.soft_state.leader == id_ for other in among
                ):
                    return self.nodes[id_]
            await asyncio.sleep(0.01)

    async def add(self, count: int, among: tuple[int, ...] = IDS) -> None:
        """That many commands, 100 at a time."""
        for _ in range(count // 100):
            leader = await self.leader(among)
            await asyncio.gather(*(leader.call(Counter.add, 1) for _ in range(100)))

    async def agree(self, value: int) -> None:
        """Wait until all replicas have that value."""
        while {node.machine.instance.value for node in self.nodes.values()} != {value}:  # noqa: ASYNC110
            await asyncio.sleep(0.01)

    async def stop(self) -> None:
        for node in self.nodes.values():
            await node.stop()


async def story(tick: float) -> None:
    cluster = Cluster()
    await cluster.start(tick)
    await cluster.add(1000)
    leader = await cluster.leader()
    await cluster.agree(1000)

    cluster.cut(leader.config.id)
    rest = tuple(id_ for id_ in IDS if id_ != leader.config.id)
    uncertain = asyncio.ensure_future(leader.call(Counter.add, 0))  # the old leader does not know yet
    await cluster.add(200, rest)
    assert (await cluster.leader(rest)) is not leader
    assert leader.machine.instance.value == 1000

    cluster.heal(leader.config.id)
    await cluster.leader()
    await asyncio.wait([uncertain])
    assert isinstance(uncertain.exception(), RaftlyError | None)
    await cluster.add(100)
    await cluster.agree(1300)
    assert sum(transport.stats.garbage for transport in cluster.transports.values()) == 0
    await cluster.stop()


def test_on_virtual_time() -> None:
    async def main(_loop: VirtualLoop) -> None:
        await story(0.1)

    run(main)


def test_on_real_sockets() -> None:
    asyncio.run(asyncio.wait_for(story(0.02), 60))


def test_a_follower_that_was_away_for_long_gets_a_snapshot_that_is_reported() -> None:
    async def main(_loop: VirtualLoop) -> None:
        cluster = Cluster()
        await cluster.start(0.1, snapshot_entries=100)
        await cluster.add(100)
        leader = await cluster.leader()
        away = next(id_ for id_ in IDS if id_ != leader.config.id)
        cluster.cut(away)
        await cluster.add(1000, tuple(id_ for id_ in IDS if id_ != away))
        cluster.heal(away)
        await cluster.agree(1100)
        reports = [event for _, event in cluster.events if isinstance(event, SnapshotReported)]
        assert reports
        assert reports[-1].problem == ""
        assert reports[-1].node_id == away
        assert any(isinstance(event, PeerConnected) for _, event in cluster.events)
        await cluster.stop()

    run(main)
