"""What is done to the processes, cycle by cycle."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Final, Protocol, final

from raftly.demo.live.links import Links
from raftly.demo.live.proxy import Proxy
from raftly.errors import RaftlyError
from raftly.node import Remote
from raftly.testing.processes import HOST, ProcessCluster
from tests.cluster.support.registers import Registers


@final
@dataclass(frozen=True, slots=True)
class Fault:
    """One of them."""

    what: str
    at: float
    """From when on a majority could go on, by time.monotonic."""


class Nemesis(Protocol):
    """Does it."""

    async def cycle(self) -> Fault:
        """One fault, and its end."""
        ...


async def leader_of(remote: Remote[Registers], ids: Sequence[int], rng: random.Random) -> int:
    """Who leads; anybody, if nobody says."""
    with suppress(RaftlyError):
        status = await remote.within(2.0).members()
        if status.leader in ids:
            return status.leader
    return rng.choice(ids)


@final
class Killer:
    """kill -9."""

    SHAPES: Final = {"leader": 5, "follower": 2, "again": 2, "two": 2, "all": 3}

    def __init__(self, cluster: ProcessCluster, remote: Remote[Registers], rng: random.Random) -> None:
        self._cluster = cluster
        self._remote = remote
        self._rng = rng

    async def cycle(self) -> Fault:
        cluster, rng = self._cluster, self._rng
        shape = rng.choices(list(self.SHAPES), list(self.SHAPES.values()))[0]
        leader = await leader_of(self._remote, cluster.ids, rng)
        others = [id_ for id_ in cluster.ids if id_ != leader]
        victims = {"follower": [rng.choice(others)], "two": [leader, rng.choice(others)], "all": cluster.ids}
        killed = victims.get(shape, [leader])
        cluster.kill(*killed)
        at = time.monotonic()
        await asyncio.sleep(rng.uniform(0.0, 1.5))
        if len(killed) > 1:
            at = time.monotonic()
        rng.shuffle(killed)
        cluster.start(*killed)
        if shape == "again":  # while it recovers
            await asyncio.sleep(rng.uniform(0.0, 0.8))
            cluster.kill(*killed)
            cluster.start(*killed)
        return Fault(f"kill {shape}", at)


@final
class Pauser:
    """SIGSTOP of the leader, and SIGCONT."""

    def __init__(self, cluster: ProcessCluster, remote: Remote[Registers], rng: random.Random) -> None:
        self._cluster = cluster
        self._remote = remote
        self._rng = rng

    async def cycle(self) -> Fault:
        leader = await leader_of(self._remote, self._cluster.ids, self._rng)
        self._cluster.pause(leader)
        at = time.monotonic()
        await asyncio.sleep(self._rng.uniform(0.5, 5.0))
        self._cluster.resume(leader)
        return Fault("pause leader", at)


@final
class Parter:
    """Links between nodes that lose everything; clients reach all of them."""

    SHAPES: Final = {"leader alone": 3, "one link of the leader": 3, "follower alone": 1, "all apart": 1, "flapping": 1}

    def __init__(self, network: Network, remote: Remote[Registers], rng: random.Random) -> None:
        self._network = network
        self._remote = remote
        self._rng = rng

    async def cycle(self) -> Fault:
        network, rng = self._network, self._rng
        shape = rng.choices(list(self.SHAPES), list(self.SHAPES.values()))[0]
        leader = await leader_of(self._remote, network.ids, rng)
        others = [id_ for id_ in network.ids if id_ != leader]
        rng.shuffle(others)
        cut = {
            "one link of the leader": [(leader, others[0])],
            "follower alone": [(others[0], leader), (others[0], others[1])],
            "all apart": [(leader, others[0]), (leader, others[1]), (others[0], others[1])],
        }.get(shape, [(leader, other) for other in others])
        at = time.monotonic()
        for _ in range(4 if shape == "flapping" else 1):
            network.cut(cut)
            await asyncio.sleep(rng.uniform(0.2, 0.8) if shape == "flapping" else rng.uniform(0.5, 4.0))
            if shape in ("all apart", "flapping"):
                at = time.monotonic()
            network.heal()
            if shape == "flapping":
                await asyncio.sleep(rng.uniform(0.2, 0.8))
        return Fault(f"cut {shape}", at)


@final
class AnyOf:
    """A cycle of one of them at a time."""

    def __init__(self, nemeses: Sequence[Nemesis], rng: random.Random) -> None:
        self._nemeses = nemeses
        self._rng = rng

    async def cycle(self) -> Fault:
        return await self._rng.choice(self._nemeses).cycle()


@final
class Network:
    """A proxy in front of each member."""

    def __init__(self, ports: Sequence[int], proxy_ports: Sequence[int]) -> None:
        self.ids = list(range(1, len(ports) + 1))
        self.advertised = {id_: (HOST, port) for id_, port in zip(self.ids, proxy_ports, strict=True)}
        self._links = Links()
        self._proxies = {id_: Proxy(id_, self._links) for id_ in self.ids}
        for id_, port in zip(self.ids, ports, strict=True):
            self._proxies[id_].target = port

    async def start(self) -> None:
        for id_, proxy in self._proxies.items():
            await proxy.start(self.advertised[id_][1])

    def cut(self, links: Sequence[tuple[int, int]]) -> None:
        for one, other in links:
            self._links.cut(one, other)
        self._tell()

    def heal(self) -> None:
        self._links.heal()
        self._tell()

    def _tell(self) -> None:
        for proxy in self._proxies.values():
            proxy.on_links()

    async def close(self) -> None:
        for proxy in self._proxies.values():
            await proxy.close()
