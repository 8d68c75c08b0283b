"""A loss of power before every call that changes the disk, while snapshots are made, taken in, and the log is cut.

What each crash could leave is put away as it happens, and started afterwards: all that was answered is there, once.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Any

import pytest

from raftly.base.rand import SplitMix64
from raftly.node import FOLLOWER, Replicated
from raftly.node.roster import changes_in
from raftly.testing.memfs import MemFs
from tests.support.nodes import Replicas
from tests.support.stateful import Counts, Ledger
from tests.support.virtual import run


class Group(Replicas[Counts]):
    """Replicas of Counts, or of Ledgers on the disks of their nodes."""

    def __init__(self, kind: str, count: int, **options: Any) -> None:
        super().__init__(Counts, count, **options)
        self.kind = kind

    async def start(self, id_: int, **more: Any) -> Replicated[Counts]:
        disk = self.disks[id_]
        if self.kind != "streams":
            self.factory = lambda: Ledger(disk, 3 if self.kind == "lazy" else 1)
        return await super().start(id_, **more)


@dataclass
class Crash:
    """What a loss of power left."""

    where: str
    disk: MemFs
    others: dict[int, MemFs]  # of the nodes that went on
    answered: dict[str, int]


class Crashes:
    """Puts away what a crash before each step of one disk could leave."""

    def __init__(self, nodes: Group, victim: int, ways: int, answered: dict[str, int]) -> None:
        self.found: list[Crash] = []
        self.random = SplitMix64(3)
        self.nodes = nodes
        self.victim = victim
        self.ways = ways
        self.answered = answered
        nodes.disks[victim].on_step = self.on_step

    def on_step(self, operation: str, path: str) -> None:
        disks = self.nodes.disks
        for after in disks[self.victim].outcomes(self.random, self.ways):
            others = {id_: disk.copy() for id_, disk in disks.items() if id_ != self.victim}
            self.found.append(Crash(f"{operation} {path}", after, others, dict(self.answered)))

    def stop(self) -> None:
        self.nodes.disks[self.victim].on_step = None

    def operations(self) -> set[str]:
        """Which kinds of calls there were on which kinds of files."""
        found = [crash.where.partition(" ") for crash in self.found]
        return {f"{operation} {path.rpartition('.')[2]}" for operation, _, path in found}


async def add(node: Replicated[Counts], name: str, answered: dict[str, int]) -> None:
    answered[name] = await node.call(Counts.add, name)


async def check(crash: Crash, kind: str, victim: int, count: int, **options: Any) -> None:
    """Start from what is left; the victim has all that was answered, and goes on."""
    nodes = Group(kind, count, **options)
    nodes.put_disk(victim, crash.disk)
    for id_, disk in crash.others.items():
        nodes.put_disk(id_, disk)
    async with nodes:
        leader = await nodes.leader()
        await leader.call(Counts.add, "after")
        node = nodes.nodes[victim]
        await node.fresh(FOLLOWER)
        counts = dict(node.machine.instance.counts)
        assert counts.pop("after") == 1
        counts = {name: value for name, value in counts.items() if not name.startswith("line-")}
        assert set(counts.values()) <= {1}, (crash.where, "applied twice", counts)
        missing = crash.answered.keys() - counts.keys()
        assert not missing, (crash.where, "answered and lost", sorted(missing))
        assert len(counts) <= len(crash.answered) + 1, (crash.where, "never called")
        await nodes.equal()


@pytest.mark.parametrize("kind", ["streams", "lazy"])
def test_a_crash_while_snapshots_are_made_and_the_log_is_cut(kind: str) -> None:
    found: list[Crash] = []

    async def main() -> None:
        answered: dict[str, int] = {}
        async with Group(kind, 1, snapshot_entries=5) as nodes:
            leader = await nodes.leader()
            crashes = Crashes(nodes, 1, 2, answered)
            for number in range(20):
                await add(leader, f"{number}", answered)
                await asyncio.sleep(0.11 if number % 4 == 3 else 0)  # a tick, which collects
            crashes.stop()
            assert leader._log.first_index() > 10
        found.extend(crashes.found)
        wanted = {"open tmp", "write tmp", "sync tmp", "rename tmp", "sync_dir snapshots/1", "remove snap"}
        assert wanted <= crashes.operations()

    run(main())
    for crash in found:
        run(check(crash, kind, 1, 1, snapshot_entries=5))


@pytest.mark.parametrize("kind", ["streams", "disk"])
def test_a_crash_while_a_snapshot_is_taken_in(kind: str) -> None:
    found: list[Crash] = []
    victim = 0

    async def main() -> None:
        nonlocal victim
        answered: dict[str, int] = {}
        async with Group(kind, 3, snapshot_entries=6) as nodes:
            leader = await nodes.leader()
            victim = nodes.others(leader)[0].config.id
            await add(leader, "early", answered)
            await nodes.equal()
            await nodes.stop(victim)
            await leader.call(Counts.fill, 40)
            for number in range(16):
                await add(leader, f"{number}", answered)
                await asyncio.sleep(0.01)
            assert leader._log.first_index() > 10
            crashes = Crashes(nodes, victim, 2, answered)
            node = await nodes.start(victim)
            await nodes.equal()
            for number in range(20, 24):
                await add(leader, f"{number}", answered)
            await nodes.equal()
            crashes.stop()
            assert node._log.first_index() > 10
        found.extend(crashes.found)
        assert {"open part", "write part", "sync part", "rename part"} <= crashes.operations()

    run(main())
    for crash in found:
        run(check(crash, kind, victim, 3, snapshot_entries=6))


@pytest.mark.parametrize("kind", ["streams", "disk"])
def test_a_crash_while_the_membership_changes_leaves_what_the_log_says(kind: str) -> None:
    found: list[Crash] = []

    def changes(node: Replicated[Counts]) -> int:
        return len(list(changes_in(node._log, 1, node.machine.applied + 1)))

    async def main() -> int:
        answered: dict[str, int] = {}
        async with Group(kind, 1) as nodes:  # the log is not cut, so it tells
            leader = await nodes.leader()
            founders = changes(leader)
            crashes = Crashes(nodes, 1, 2, answered)
            for learner in (2, 3):
                await leader.add(learner, voter=False)
                answered[f"+{learner}"] = learner
                await leader.call(Counts.add, f"{learner}")
            crashes.stop()
        found.extend(crashes.found)
        return founders

    async def start(crash: Crash) -> None:
        nodes = Group(kind, 1)
        nodes.put_disk(1, crash.disk)
        async with nodes:
            leader = await nodes.leader()
            await leader.call(Counts.add, "after")
            learners = leader.status().conf_state.learners
            assert len(learners) == changes(leader) - founders, crash.where
            assert leader._snapshots._roster.conf == leader.status().conf_state
            assert set(crash.answered.values()) <= set(learners), crash.where

    founders = run(main())
    assert found
    for crash in found:
        run(start(crash))
