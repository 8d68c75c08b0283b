"""Cluster: a few stores in one process, on a loop whose time jumps; the placement driver's rules beside them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace

from raftly.base.rand import SplitMix64
from raftly.base.region import PeerRole, Region
from raftly.base.store_meta import StoreMeta
from raftly.engine.memory import MemoryEngine
from raftly.pd.local import LocalPlacement
from raftly.store.kv import RequestContext
from raftly.store.options import StoreOptions
from raftly.store.peer import RegionPeer
from raftly.store.store import RegionStore
from raftly.testing.memfs import MemFs
from raftly.transport.base import Transport
from raftly.transport.memory import MemoryNetwork, MemoryTransport

OPTIONS = StoreOptions(region_heartbeat_interval=1.0, store_heartbeat_interval=1.0, log_check_interval=0.5)


class Cluster:
    """Stores are numbered from 0."""

    def __init__(self, size: int = 3, options: StoreOptions = OPTIONS) -> None:
        self.network = MemoryNetwork()
        self.placement = LocalPlacement(lambda: asyncio.get_running_loop().time())
        self.disks = [MemFs() for _ in range(size)]
        self.stores: list[RegionStore | None] = [None] * size
        self.options = options
        self.wall_clock: Callable[[], float] | None = None  # where values expire

    async def start(self) -> None:
        """All of them; every region has a peer on three of them then."""
        for number in range(len(self.disks)):
            await self.boot(number)
        wanted = min(len(self.disks), 3)
        await self.until(
            lambda: all(
                len(report.region.peers) == wanted and all(peer.role is PeerRole.VOTER for peer in report.region.peers)
                for report in self.placement.leader.cluster.regions
            )
        )

    async def boot(self, number: int) -> RegionStore:
        """Start one from what its disk holds."""
        fs = self.disks[number]

        def make_transport(_: int, store_id: int) -> Transport:
            return MemoryTransport(self.network, store_id)

        store = self.stores[number] = await RegionStore.start(
            fs,
            MemoryEngine(fs),
            make_transport,
            self.placement,
            StoreMeta(0, f"store{number}:1"),
            replace(self.options),
            random=SplitMix64(number),
            wall_clock=self.wall_clock,
        )
        return store

    async def boot_another(self) -> RegionStore:
        """One store more."""
        self.disks.append(MemFs())
        self.stores.append(None)
        return await self.boot(len(self.disks) - 1)

    async def stop(self) -> None:
        """All of them."""
        for store in self.stores:
            if store is not None:
                await store.stop()

    async def until(self, is_so: Callable[[], bool], within: float = 60.0) -> None:
        """Wait until something is so."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + within
        while not is_so():
            assert loop.time() < deadline, "it never came"
            await asyncio.sleep(0.05)

    def running(self) -> list[RegionStore]:
        """Those that run."""
        return [store for store in self.stores if store is not None]

    def peers(self, key: bytes) -> list[tuple[RegionStore, RegionPeer]]:
        """The replicas of the region of a key."""
        return [
            (store, peer)
            for store in self.running()
            for region in store.regions()
            if region.contains(key) and (peer := store.peer_of(region.id)) is not None
        ]

    async def leader(self, key: bytes = b"") -> tuple[RegionStore, RegionPeer]:
        """Who leads the region of a key."""
        await self.until(lambda: any(peer.is_leader for _, peer in self.peers(key)))
        return next((store, peer) for store, peer in self.peers(key) if peer.is_leader)

    @staticmethod
    def context(peer: RegionPeer, *, replica_read: bool = False) -> RequestContext:
        """As a client that knows all has it."""
        return RequestContext(peer.region.id, peer.region.epoch, peer.own(), replica_read=replica_read)


def soon(seconds: float = 5.0) -> float:
    """A deadline."""
    return asyncio.get_running_loop().time() + seconds


def keys_of(regions: list[Region]) -> list[tuple[bytes, bytes]]:
    """Their ranges."""
    return [(region.start_key, region.end_key) for region in regions]
