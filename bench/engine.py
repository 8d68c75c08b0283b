"""Engines in one process: puts, gets, scans, syncs, and how long a slice of a region's snapshot holds the loop.

    python bench/engine.py [--keys N] [--rounds N]

Keys of 16 bytes and values of 128, in random order. Writes are not synced, as the store's applies are not. Time is that
which the calling thread computes: what RocksDB's own threads do meanwhile, and other load, is not in it. Medians of the
rounds; each round has a new directory.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import tempfile
from collections.abc import Awaitable, Callable
from statistics import median
from time import perf_counter, thread_time

from raftly.base.region import Region
from raftly.engine import CF_DEFAULT, DATA_CFS, Engine, MemoryEngine, WriteBatch
from raftly.engine.rocks import RocksEngine
from raftly.store.keys import data_key
from raftly.store.region_snapshot import ingest_region, write_region
from raftly.store.split_check import SplitLimits, check_split

REGION = Region(1)
VALUE = random.Random(1).randbytes(128)


def rate(count: int, work: Callable[[], object]) -> float:
    """So many a second."""
    start = thread_time()
    work()
    return count / (thread_time() - start)


def puts(engine: Engine, keys: list[bytes], size: int) -> None:
    """All keys, in batches."""
    for at in range(0, len(keys), size):
        batch = WriteBatch()
        for key in keys[at : at + size]:
            batch.put(CF_DEFAULT, key, VALUE)
        engine.write(batch)


async def longest_hold(work: Callable[[], Awaitable[object]]) -> tuple[float, float]:
    """Milliseconds of the longest time that the loop did not turn, and seconds altogether, while it is done."""
    worst = 0.0
    last = start = thread_time()

    async def watch() -> None:
        nonlocal worst, last
        while True:
            await asyncio.sleep(0)
            now = thread_time()
            worst, last = max(worst, now - last), now

    watching = asyncio.ensure_future(watch())
    await asyncio.sleep(0)
    await work()
    watching.cancel()
    return worst * 1e3, thread_time() - start


def one_round(engine: Engine, other: Engine, count: int, seed: int) -> dict[str, float]:
    """Every figure once."""
    source = random.Random(seed)
    keys = [data_key(b"%015d" % number) for number in range(count)]
    source.shuffle(keys)
    part = keys[: count // 4]
    found: dict[str, float] = {}
    found["puts/s, 1 a batch"] = rate(len(part), lambda: puts(engine, part, 1))
    found["puts/s, 64 a batch"] = rate(count, lambda: puts(engine, keys, 64))
    found["gets/s"] = rate(len(part), lambda: [engine.get(CF_DEFAULT, key) for key in part])
    found["gets/s, 64 at once"] = rate(
        len(part), lambda: [engine.get_many(CF_DEFAULT, part[at : at + 64]) for at in range(0, len(part), 64)]
    )
    scans = [(key, 100) for key in part[:500]]
    found["scanned keys/s, 100 at once"] = rate(
        len(scans) * 100, lambda: [engine.scan(CF_DEFAULT, key, b"", limit) for key, limit in scans]
    )
    found["iterated keys/s"] = rate(count, lambda: sum(1 for _ in engine.iterate(CF_DEFAULT, b"", b"")))
    found["snapshots/s"] = rate(500, lambda: [engine.snapshot() for _ in range(500)])

    async def slices() -> None:
        parts: list[bytes] = []

        async def write(data: bytes) -> None:
            parts.append(data)

        walks: dict[str, Callable[[], Awaitable[object]]] = {
            "a region written to a snapshot": lambda: write_region(engine.snapshot(), REGION, write),
            "a region taken in": lambda: ingest_region(other, parts),
            "a region walked over for a split": lambda: check_split(engine, REGION, SplitLimits()),
        }
        for name, walk in walks.items():
            held, took = await longest_hold(walk)
            found[f"{name}: longest hold of the loop, ms"] = held
            found[f"{name}: s"] = took
        start = perf_counter()
        await other.sync()
        found["a sync after that, ms on the clock"] = (perf_counter() - start) * 1e3

    asyncio.run(slices())
    assert all(list(engine.iterate(cf, b"", b"")) == list(other.iterate(cf, b"", b"")) for cf in DATA_CFS)
    return found


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--keys", type=int, default=100_000)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    rounds: dict[str, list[dict[str, float]]] = {"memory": [], "rocks": []}
    for seed in range(options.rounds):
        for kind, found in rounds.items():
            with tempfile.TemporaryDirectory() as directory:
                engines: list[Engine] = [
                    MemoryEngine() if kind == "memory" else RocksEngine(f"{directory}/{number}") for number in range(2)
                ]
                found.append(one_round(engines[0], engines[1], options.keys, seed))
                for engine in engines:
                    engine.close()
    print(f"{'':60}{'memory':>12}{'rocks':>12}")
    for name in rounds["rocks"][0]:
        figures = [median(found[name] for found in rounds[kind]) for kind in ("memory", "rocks")]
        digits = 0 if "/s" in name else 2
        print(f"{name:60}" + "".join(f"{figure:12,.{digits}f}" for figure in figures))


if __name__ == "__main__":
    main()
