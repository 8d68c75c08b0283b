"""Members on simulated machines, under crashes, cuts and clocks that jump: numbers come in the order of true time."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from functools import partial
from itertools import pairwise
from random import Random

import pytest

from raftly.errors import RaftlyError
from raftly.node import Replicated
from raftly.pd.member import Member
from raftly.pd.placement import MemberRow, Placement
from raftly.testing.fixtures import Cluster, ClusterFactory
from raftly.testing.sim.host import HostDown

Answer = tuple[float, float, int, int]  # asked at, told at, first number, last number


@dataclass
class Members:
    """A member on every node that runs, and what clients were told."""

    cluster: Cluster[Placement]
    random: Random
    members: dict[int, tuple[Replicated[Placement], Member]] = field(default_factory=dict)
    timestamps: list[Answer] = field(default_factory=list)
    ids: list[Answer] = field(default_factory=list)

    async def member(self, id_: int) -> Member:
        """That of a node, made anew when the node was."""
        node = self.cluster.sim.nodes.get(id_)
        if node is None:
            raise HostDown(f"node {id_} does not run")
        known = self.members.get(id_)
        if known is None or known[0] is not node:
            host = self.cluster.sim.hosts[id_]

            async def make() -> Member:
                member = Member(node, 77, clock=host.wall)
                member.announce(MemberRow(id_, f"pd-{id_}", [f"http://pd-{id_}:1"], []))
                return member

            self.members[id_] = known = (node, await host.run(make()))
        return known[1]

    async def client(self, seconds: float) -> None:
        """Ask whoever comes to mind, also one that leads no longer and does not know."""
        world = self.cluster.world
        until = world.now + seconds
        while world.now < until:
            id_ = self.random.choice(self.cluster.sim.ids)
            count = self.random.choice((1, 3, 1000, 200_000))
            try:
                member = await self.member(id_)
                await self._ask(id_, count, partial(self._timestamp, member, count), self.timestamps)
                few = self.random.randint(1, 5)
                await self._ask(id_, few, partial(member.alloc_ids, few), self.ids)
            except (RaftlyError, HostDown, TimeoutError):
                await asyncio.sleep(0.02)

    async def _timestamp(self, member: Member, count: int) -> int:
        return (await member.timestamps(count)).as_int() - count + 1

    async def _ask(self, id_: int, count: int, make: Callable[[], Awaitable[int]], told: list[Answer]) -> None:
        async def work() -> int:
            async with asyncio.timeout(3.0):
                return await make()

        asked_at = self.cluster.world.now
        first = await self.cluster.sim.hosts[id_].run(work())
        told.append((asked_at, self.cluster.world.now, first, first + count - 1))

    async def trouble(self, seconds: float) -> None:
        """Something every second or so: a crash, a cut, a clock that jumps either way."""
        sim, world = self.cluster.sim, self.cluster.world
        until = world.now + seconds
        while world.now < until:
            await asyncio.sleep(self.random.uniform(0.3, 2.0))
            victim = sim.leader() or self.random.choice(sim.ids)
            what = self.random.choice(("kill", "cut", "jump", "pause"))
            if victim not in sim.nodes:
                continue
            if what == "kill":
                sim.kill(victim)
                await asyncio.sleep(self.random.uniform(0.1, 1.5))
                sim.boot(victim)
            elif what == "cut":
                heal = sim.partition((victim,), tuple(id_ for id_ in sim.ids if id_ != victim))
                await asyncio.sleep(self.random.uniform(0.5, 3.0))
                heal()
            elif what == "jump":
                sim.hosts[victim].jump(self.random.uniform(-5.0, 5.0))
            else:
                sim.hosts[victim].pause(self.random.uniform(0.2, 2.5))

    async def run(self, seconds: float, clients: int) -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(self.trouble(seconds))
            for _ in range(clients):
                group.create_task(self.client(seconds))


def check_order(told: list[Answer]) -> None:
    """Numbers are given once, and whoever asked after another was told got higher ones."""
    by_number = sorted(told, key=lambda each: each[2])
    for (_, _, _, last), (_, _, first, _) in pairwise(by_number):
        assert last < first, "given twice"
    highest_after = float("inf")
    for asked_at, _, first, _ in reversed(by_number):  # from the highest number down
        assert asked_at <= highest_after, f"{first} was asked for after a higher one was told"
        highest_after = min(highest_after, *(end for _, end, number, _ in told if number == first))


@pytest.mark.parametrize("seed", range(2))
def test_numbers_grow_whatever_happens(raft_cluster: ClusterFactory, seed: int) -> None:
    cluster: Cluster[Placement] = raft_cluster(Placement, size=3)
    run = Members(cluster, Random(seed))
    cluster.do(run.run(15.0, 3), within=200.0)
    assert len(run.timestamps) > 50
    assert len(run.ids) > 50
    check_order(run.timestamps)
    check_order(run.ids)
    cluster.heal()
    cluster.do(_told_where(run), within=60.0)


async def _told_where(run: Members) -> None:
    """In the end everybody knows where everybody is, and who leads is ready to."""
    ready: list[bool] = []
    while True:
        try:
            members = [await run.member(id_) for id_ in run.cluster.sim.ids]
        except HostDown:
            await asyncio.sleep(0.1)
            continue
        known = [sorted(member.state.members) for member in members]
        ready = [member.leads for member in members]
        if known == [[1, 2, 3]] * 3 and ready.count(True) == 1:
            return
        await asyncio.sleep(0.1)


def test_the_order_of_numbers_is_checked() -> None:
    check_order([(0.0, 1.0, 1, 5), (0.0, 1.5, 6, 6), (2.0, 3.0, 7, 9)])
    with pytest.raises(AssertionError, match="given twice"):
        check_order([(0.0, 1.0, 1, 5), (2.0, 3.0, 5, 9)])
    with pytest.raises(AssertionError, match="was asked for after a higher one was told"):
        check_order([(0.0, 1.0, 7, 9), (2.0, 3.0, 1, 5)])
    with pytest.raises(AssertionError, match="was asked for after a higher one was told"):
        check_order([(0.0, 1.0, 7, 9), (0.5, 0.9, 4, 6), (2.0, 3.0, 1, 3)])
