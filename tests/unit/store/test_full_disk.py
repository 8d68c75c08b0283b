"""A full disk under a store: what callers hear, what goes on, and that nothing acknowledged is lost."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Final, cast

import pytest

from raftly.base.region_errors import RegionError
from raftly.engine.base import CF_DEFAULT
from raftly.errors import DiskFull, OutcomeUnknown
from raftly.storage.log_store import LogOptions
from raftly.store.ops import Put
from raftly.store.peer import RegionPeer
from raftly.store.store import RegionStore
from raftly.testing.faultfs import Effect, Fault, FaultFs
from raftly.testing.memfs import MemFs
from tests.support.virtual import run
from tests.unit.store.cluster import OPTIONS, Cluster, soon

VALUE: Final = bytes(6000)


class Full(Cluster):
    """Each store's disk may be full: no new file is to be had for its log, or nothing is written of its engine."""

    def __init__(self, size: int) -> None:
        super().__init__(size, replace(OPTIONS, hibernate_ticks=0, log=LogOptions(segment_bytes=32 << 10)))
        self.faults = [FaultFs(MemFs()) for _ in range(size)]
        self.disks[:] = cast("list[MemFs]", self.faults)

    def number(self, store: RegionStore) -> int:
        return self.stores.index(store)

    def fill(self, store: RegionStore, directory: str) -> None:
        operation = "open" if directory == "wal" else "write"
        self.faults[self.number(store)].add(Fault(operation, Effect.DISK_FULL, path=directory, times=None))

    def free(self, number: int) -> None:
        self.faults[number].faults.clear()

    async def put(self, store: RegionStore, peer: RegionPeer, key: bytes) -> None:
        await store.write(self.context(peer), [Put(CF_DEFAULT, key, VALUE)], soon())


async def read(cluster: Cluster, store: RegionStore, peer: RegionPeer, key: bytes) -> bytes | None:
    ctx = cluster.context(peer)
    return (store.read_now(ctx) or await store.read(ctx, soon())).get(CF_DEFAULT, key)


def test_a_store_alone_whose_log_is_full_says_so_reads_on_and_writes_when_there_is_space() -> None:
    async def main() -> None:
        cluster = Full(1)
        await cluster.start()
        store, peer = await cluster.leader()
        await cluster.put(store, peer, b"before")
        cluster.fill(store, "wal")
        waiting = [asyncio.ensure_future(cluster.put(store, peer, b"%02d" % number)) for number in range(8)]
        await cluster.until(lambda: store.parts.driver.disk_full is not None)
        for _ in range(3):
            with pytest.raises(DiskFull):
                await cluster.put(store, peer, b"refused")
        assert await read(cluster, store, peer, b"before") == VALUE
        assert store.failure is None
        cluster.free(0)
        await asyncio.gather(*waiting)  # what was in the log is written when there is space
        await cluster.until(lambda: store.parts.driver.disk_full is None)
        await cluster.put(store, peer, b"after")
        for number in range(8):
            assert await read(cluster, store, peer, b"%02d" % number) == VALUE
        assert await read(cluster, store, peer, b"after") == VALUE
        assert await read(cluster, store, peer, b"refused") is None
        await cluster.stop()

    run(main())


@pytest.mark.parametrize("directory", ["wal", "engine"])
def test_others_go_on_when_the_disk_of_a_leader_is_full_and_nothing_acknowledged_is_lost(directory: str) -> None:
    async def main() -> None:
        cluster = Full(3)
        await cluster.start()
        full, peer = await cluster.leader()
        number = cluster.number(full)
        await cluster.put(full, peer, b"before")
        cluster.fill(full, directory)
        acknowledged = [b"before"]
        for burst in range(10):  # at once, so that they need more than the log has written ahead
            store, leader = await cluster.leader()
            keys = [b"%d-%d" % (burst, number) for number in range(8)]
            outcomes = await asyncio.gather(*(cluster.put(store, leader, key) for key in keys), return_exceptions=True)
            for key, outcome in zip(keys, outcomes, strict=True):
                assert outcome is None or isinstance(outcome, RegionError | DiskFull | OutcomeUnknown)
                if outcome is None:
                    acknowledged.append(key)
            await asyncio.sleep(0.2)
        assert len(acknowledged) > 20
        store, leader = await cluster.leader()
        assert store is not full
        assert (full.failure is not None) == (directory == "engine")
        with pytest.raises((RegionError, DiskFull)):
            await cluster.put(full, peer, b"late")
        cluster.free(number)
        if full.failure is not None:  # its process would end: what its engine has is unknown, its log is whole
            await full.stop()
            await cluster.boot(number)
        await cluster.put(store, leader, b"last")
        again = cluster.stores[number]
        assert again is not None
        await cluster.until(lambda: again.engine.get(CF_DEFAULT, b"zlast") == VALUE)
        for other in cluster.running():
            assert all(other.engine.get(CF_DEFAULT, b"z" + key) == VALUE for key in acknowledged)
        await cluster.stop()

    run(main())
