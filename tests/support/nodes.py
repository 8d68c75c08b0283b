"""Replicas of a class in one process, on virtual time, memory disks and a memory network.

async with Nodes() as nodes:                of a small class for tests; `Replicas(Dict[str, int])` of any other
    leader = await nodes.leader()
    await leader.call(Register.set, "a", 1)
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from types import TracebackType
from typing import Any, Generic, Self, TypeVar

from raftly.base.rand import SplitMix64
from raftly.core.role import Role
from raftly.errors import DiskFull, NotLeader, OutcomeUnknown, ProposalDropped, RaftlyError
from raftly.node import NodeConfig, Replicated, command, query
from raftly.testing.faultfs import FaultFs
from raftly.testing.memfs import MemFs
from raftly.transport.memory import MemoryNetwork, MemoryTransport
from raftly.transport.options import Address

T = TypeVar("T")


class Taken(Exception):
    """A registered result."""


class Register:
    errors = (Taken,)
    values: dict[str, int]

    def __init__(self) -> None:
        self.values = {}

    @command
    def set(self, name: str, value: int) -> int:
        self.values[name] = value
        return value

    @command
    def add(self, name: str, amount: int) -> int:
        self.values[name] = self.values.get(name, 0) + amount
        return self.values[name]

    @command
    def claim(self, name: str) -> None:
        if name in self.values:
            raise Taken(name)
        self.values[name] = 1

    @command
    def bug(self) -> None:
        raise ZeroDivisionError

    @query
    def get(self, name: str) -> int:
        return self.values.get(name, 0)


class Replicas(Generic[T]):
    """Some replicas; all stopped at the end."""

    def __init__(self, factory: Callable[[], T], count: int = 3, **options: Any) -> None:
        self.factory = factory
        self.options: dict[str, Any] = {"seed": 7, **options}
        self.ids = tuple(range(1, count + 1))
        self.network = MemoryNetwork()
        self.disks = {id_: MemFs() for id_ in self.ids}
        self.faults = {id_: FaultFs(self.disks[id_]) for id_ in self.ids}
        self.random = SplitMix64(self.options["seed"])
        self.nodes: dict[int, Replicated[T]] = {}

    async def __aenter__(self) -> Self:
        for id_ in self.ids:
            await self.start(id_)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for node in self.nodes.values():
            await node.stop()

    async def start(
        self, id_: int, *, address: Address | None = None, hints: dict[int, Address] | None = None
    ) -> Replicated[T]:
        """Start a node: one of the first, or one that joins; with an address, or on a network that needs none."""
        joins = id_ not in self.ids
        if id_ not in self.disks:
            self.put_disk(id_, MemFs())
        config = NodeConfig(
            id=id_, members=() if joins else self.ids, join=joins, addresses=hints or {}, **self.options
        )
        loop = asyncio.get_running_loop()
        node = self.nodes[id_] = await Replicated.start(
            self.factory,
            config,
            MemoryTransport(self.network, id_, address),
            fs=self.faults[id_],
            clock=lambda: 1_000_000 + loop.time(),
        )
        return node

    async def stop(self, id_: int) -> None:
        await self.nodes.pop(id_).stop()

    def crash(self, id_: int) -> None:
        """The process is gone, with it what its disk had not synced, in part or whole."""
        node = self.nodes.pop(id_)
        self.network.nodes.pop(id_, None)
        driver = node._driver
        if driver._ticker is not None:
            driver._ticker.cancel()
        driver.abandon_write()
        driver.failure = RaftlyError("crashed")
        snapshots = node._snapshots
        snapshots._closed = snapshots._taker._closed = True
        for task in [*snapshots._tasks, *([snapshots._making] if snapshots._making is not None else [])]:
            task.cancel()
        node._give_up("crashed")
        self.put_disk(id_, self.disks[id_].crash(self.random))

    def put_disk(self, id_: int, disk: MemFs) -> None:
        """A node that does not run has this disk."""
        self.disks[id_] = disk
        self.faults[id_] = FaultFs(disk)

    async def leader(self, *, but: int = 0) -> Replicated[T]:
        """A node that leads and has applied an entry of its term."""
        for _ in range(1000):
            for id_, node in self.nodes.items():
                raft = node._group.raw.raft
                if id_ != but and raft.role is Role.LEADER and node.failure is None and raft.applied_in_term():
                    return node
            await asyncio.sleep(0.05)
        raise AssertionError("no leader in 50 s")

    def others(self, node: Replicated[T]) -> list[Replicated[T]]:
        return [other for other in self.nodes.values() if other is not node]

    async def equal(self) -> None:
        """Wait until all replicas have applied the same, and compare them."""
        for _ in range(1000):
            if len({node.machine.applied for node in self.nodes.values()}) == 1:
                break
            await asyncio.sleep(0.05)
        digests = {id_: (node.machine.applied, node.machine.digest()) for id_, node in self.nodes.items()}
        assert len(set(digests.values())) == 1, digests


class Nodes(Replicas[Register]):
    """Replicas of the small class."""

    def __init__(self, count: int = 3, **options: Any) -> None:
        super().__init__(Register, count, **options)

    async def set(self, name: str, value: int) -> None:
        """Set at whoever leads."""
        for _ in range(100):
            leader = await self.leader()
            try:
                await leader.call(Register.set, name, value)
            except NotLeader:
                await asyncio.sleep(0.1)
            else:
                return
        raise AssertionError("no leader took it")

    async def fill_disk(self, id_: int) -> RaftlyError:
        """Leave a leader's disk no more space than its log has, and write until that is taken; how it says so."""
        disk = self.disks[id_]
        disk.capacity_bytes = sum(len(disk.content(f"wal/{name}")) for name in disk.list("wal"))
        try:
            for _ in range(200):
                await self.nodes[id_].call(Register.set, "x" * 60_000, 1)
        except (DiskFull, NotLeader, OutcomeUnknown, ProposalDropped) as error:
            return error
        raise AssertionError("the disk took all of it")

    def free_disk(self, id_: int) -> None:
        """There is space again."""
        self.disks[id_].capacity_bytes = None
