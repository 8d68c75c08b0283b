"""A list of faults on its way: what each of them asks for, and where it is counted."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Coroutine
from typing import Any, TypeAlias, final

from raftly.base.types import NodeId
from raftly.testing.sim.cluster import SimCluster
from raftly.testing.sim.faults import Fault
from raftly.testing.sim.host import Host

Cluster: TypeAlias = SimCluster[Any]


@final
class Injection:
    """One list of faults on its way, and what of it really struck."""

    def __init__(self, cluster: Cluster, struck: Counter[str]) -> None:
        self.cluster = cluster
        self.replacing: set[NodeId] = set()
        """Nodes whose successors are on their way in, or have come."""
        self.lit: dict[NodeId, Fault] = {}
        """Who lit the fuse of a disk last."""
        self._struck = struck

    def hit(self, fault: Fault, is_so: bool = True) -> None:
        """It does something, if so: then it counts."""
        if is_so:
            self._struck[fault.kind] += 1

    def host(self, fault: Fault) -> Host:
        """Of its first node."""
        return self.cluster.hosts[fault.nodes[0]]

    def others(self, host: Host) -> list[Host]:
        """Every host but this one and the director's: clients are cut off too."""
        world = self.cluster.world
        return [other for other in world.hosts.values() if other is not host and other is not world.director]

    async def boot(self, id_: NodeId, after: float = 0.0) -> None:
        """Start a node in a while, if nobody has by then."""
        await asyncio.sleep(after)
        if not self.cluster.hosts[id_].alive:
            self.cluster.boot(id_)


Action: TypeAlias = Callable[[Injection, Fault], Coroutine[Any, Any, None]]
"""Does what a fault says, and undoes it after its time."""


async def hold(fault: Fault, undo: Callable[[], None]) -> None:
    """Until the time of a fault is over."""
    try:
        await asyncio.sleep(fault.seconds)
    finally:
        undo()
