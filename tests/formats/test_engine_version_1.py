"""What version 1 of a region's snapshot and of the log of the engine in memory wrote, kept as it was."""

import asyncio

from raftly.base.region import Peer, Region, RegionEpoch
from raftly.engine import CF_DEFAULT, CF_RAFT, CF_WRITE, MemoryEngine, WriteBatch
from raftly.store.region_snapshot import RegionSize, check_region, write_region
from raftly.testing.memfs import MemFs

REGION = Region(1, b"d", b"", RegionEpoch(2, 3), (Peer(4, 5),))
REGION_SNAPSHOT = (
    # version, size of the region, the region
    "01003700000001010000000000000002000000000000000300000000000000010000006400000000010000000400000000000000"
    "050000000000000000"
    # a block of the default family
    "010d00000002000000030000007a646f6e65"
    # a block of the write family
    "030a00000002000000000000007a65"
    # the end: 2 records, 7 bytes
    "0002000000000000000700000000000000"
)


def engine_with_both(fs: MemFs) -> MemoryEngine:
    engine = MemoryEngine(fs)
    batch = WriteBatch()
    batch.put(CF_DEFAULT, b"zd", b"one")
    batch.put(CF_WRITE, b"ze", b"")
    engine.write(batch)
    return engine


def test_a_region_snapshot_is_written_as_then_and_read() -> None:
    async def work() -> None:
        parts: list[bytes] = []

        async def write(data: bytes) -> None:
            parts.append(data)

        await write_region(engine_with_both(MemFs()).snapshot(), REGION, write)
        assert b"".join(parts).hex() == REGION_SNAPSHOT
        assert await check_region([bytes.fromhex(REGION_SNAPSHOT)]) == (REGION, RegionSize(7, 2))

    asyncio.run(work())


MEMORY_LOG = (
    "726166746c794d4501000000f0ff95361b0000002375a6c6000002000000030000007a646f6e65000202000000000000"
    "007a6517000000053cbe65010002000000000000007a640203010000000000000061"
)


def test_the_log_of_the_engine_in_memory_is_written_as_then_and_read() -> None:
    fs = MemFs()
    engine = engine_with_both(fs)
    batch = WriteBatch()
    batch.delete(CF_DEFAULT, b"zd")
    batch.delete_range(CF_RAFT, b"a", b"")
    engine.write(batch)
    (path,) = fs.paths()
    assert fs.content(path).hex() == MEMORY_LOG
    old = MemFs()
    old.put("engine/00000001.log", bytes.fromhex(MEMORY_LOG))
    read = MemoryEngine(old)
    assert (read.get(CF_DEFAULT, b"zd"), read.get(CF_WRITE, b"ze")) == (None, b"")
