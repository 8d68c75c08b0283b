"""Many regions on one store, nearly all of them idle: processor, memory, and what they cost those that are not.

    python bench/regions.py [--regions 10000] [--hot 100] [--seconds 60] [--engine rocks|memory] [--stores 1|3] [--json]

A process has a store with so many regions, made by splits; another one has a store with the hot ones alone. Both wait
until all regions sleep, and as long again as a region that is awake waits between two reports. Then the share of a
processor that the first one takes is measured, and its memory. Then, in turns, every hot region of either
takes writes, one at a time each; the processor's time for a write tells most where other things run beside.

The placement driver's rules run in the store's process and count for it; there is no gRPC. With three stores, all are
in one process, and the figures are those of the three together.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import logging
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from statistics import median
from time import perf_counter, process_time

from raftly.base.rand import SplitMix64
from raftly.base.region import PeerRole
from raftly.base.store_meta import StoreMeta
from raftly.engine import CF_DEFAULT, Engine, MemoryEngine
from raftly.engine.rocks import RocksEngine
from raftly.errors import RaftlyError
from raftly.pd.local import LocalPlacement
from raftly.storage.osfs import OsFs
from raftly.store.kv import RequestContext
from raftly.store.ops import Put
from raftly.store.options import StoreOptions
from raftly.store.peer import RegionPeer
from raftly.store.store import RegionStore
from raftly.transport.base import Transport
from raftly.transport.memory import MemoryNetwork, MemoryTransport

VALUE = bytes(128)
SPLIT_AT_ONCE = 100
ROUNDS = 3
PATIENCE_S = 300.0


class Stores:
    """In one process."""

    def __init__(self, stores: list[RegionStore]) -> None:
        self.stores = stores

    def leaders(self) -> list[tuple[RegionStore, RegionPeer]]:
        """Who leads each region, by key."""
        found = []
        for store in self.stores:
            for region in store.regions():
                peer = store.peer_of(region.id)
                if peer is not None and peer.is_leader:
                    found.append((region.start_key, store, peer))
        return [(store, peer) for _, store, peer in sorted(found, key=lambda entry: entry[0])]

    async def until(self, is_so: Callable[[], bool]) -> None:
        """Wait for something."""
        deadline = perf_counter() + PATIENCE_S
        while not is_so():
            if perf_counter() > deadline:
                raise SystemExit("it never came")
            await asyncio.sleep(0.1)

    async def split(self, regions: int) -> None:
        """Until there are so many regions."""
        made = 1
        while made < regions:
            count = min(SPLIT_AT_ONCE, regions - made)
            keys = [b"%08d" % number for number in range(made, made + count)]
            store, peer = self.leaders()[-1]
            try:
                parts = await store.split(context(peer), keys, soon())
            except RaftlyError:
                await asyncio.sleep(0.1)
                continue
            made += len(parts) - 1
            await self.until(lambda: len(self.leaders()) == made)  # noqa: B023 - awaited at once

    async def asleep(self) -> None:
        """All regions sleep."""

        def is_so() -> bool:
            peers = [store.peer_of(region.id) for store in self.stores for region in store.regions()]
            return all(peer is not None and peer.group is not None and peer.group.asleep for peer in peers)

        await self.until(is_so)

    async def write(self, hot: int, seconds: float) -> tuple[float, float]:
        """Writes a second into the first regions, one at a time into each; and the processor's microseconds for one."""
        leaders = self.leaders()[:hot]
        end = perf_counter() + seconds
        done = 0

        async def writer(store: RegionStore, peer: RegionPeer) -> None:
            nonlocal done
            while perf_counter() < end:
                key = peer.region.start_key + b"-%08d" % done
                await store.write(context(peer), [Put(CF_DEFAULT, key, VALUE)], soon())
                done += 1

        cpu, start = process_time(), perf_counter()
        await asyncio.gather(*(writer(store, peer) for store, peer in leaders))
        return done / (perf_counter() - start), (process_time() - cpu) * 1e6 / done


def context(peer: RegionPeer) -> RequestContext:
    """As a client that knows all has it."""
    return RequestContext(peer.region.id, peer.region.epoch, peer.own())


def soon() -> float:
    """A deadline."""
    return asyncio.get_running_loop().time() + 30.0


def resident_mib() -> float:
    """Of this process, now."""
    fields = Path("/proc/self/statm").read_text("ascii").split()
    return int(fields[1]) * 4096 / (1 << 20)


async def start(count: int, engine: str, root: Path) -> Stores:
    """Empty stores, with a region that has a replica on each."""
    network = MemoryNetwork()
    placement = LocalPlacement(asyncio.get_running_loop().time)
    stores: list[RegionStore] = []

    def make_transport(_: int, store_id: int) -> Transport:
        return MemoryTransport(network, store_id)

    for number in range(count):
        directory = root / str(number)
        directory.mkdir()
        keys: Engine = MemoryEngine() if engine == "memory" else RocksEngine(directory / "engine")
        meta = StoreMeta(0, f"store{number}:1")
        options = StoreOptions()
        stores.append(
            await RegionStore.start(
                OsFs(directory), keys, make_transport, placement, meta, options, random=SplitMix64(number)
            )
        )
    found = Stores(stores)

    def is_whole() -> bool:
        peers = [peer for _, leader in found.leaders() for peer in leader.region.peers]
        return len(peers) == count and all(peer.role is PeerRole.VOTER for peer in peers)

    await found.until(is_whole)
    return found


async def child(options: argparse.Namespace, root: Path) -> None:
    """Build the regions, and do as the parent says, a line at a time."""
    loop = asyncio.get_running_loop()
    stores = await start(options.stores, options.engine, root)
    empty_mib = resident_mib()
    began = perf_counter()
    await stores.split(options.child)
    split_s = perf_counter() - began
    await stores.asleep()
    answer({"split_s": split_s, "asleep_s": perf_counter() - began, "empty_mib": empty_mib, "mib": resident_mib()})
    while line := (await loop.run_in_executor(None, sys.stdin.readline)).split():
        seconds = float(line[1])
        if line[0] == "idle":
            await stores.asleep()
            await asyncio.sleep(options.settle)
            cpu, started = process_time(), perf_counter()
            await asyncio.sleep(seconds)
            share = (process_time() - cpu) / (perf_counter() - started)
            answer({"cpu": share, "mib": resident_mib()})
        else:
            rate, cpu_us = await stores.write(options.hot, seconds)
            answer({"rate": rate, "cpu_us": cpu_us})
    for store in stores.stores:
        await store.stop()
        store.engine.close()


def answer(found: dict[str, float]) -> None:
    """To the parent."""
    sys.stdout.write(json.dumps(found) + "\n")
    sys.stdout.flush()


class Child:
    """A process with stores."""

    def __init__(self, regions: int, options: argparse.Namespace) -> None:
        args = ["--child", str(regions), "--hot", str(options.hot), "--stores", str(options.stores)]
        args += ["--engine", options.engine, "--settle", str(options.settle)]
        self._process = subprocess.Popen(
            [sys.executable, __file__, *args], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        self.built = self._answer()

    def ask(self, what: str, seconds: float) -> dict[str, float]:
        """Do something for so long."""
        assert self._process.stdin is not None
        self._process.stdin.write(f"{what} {seconds}\n")
        self._process.stdin.flush()
        return self._answer()

    def _answer(self) -> dict[str, float]:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise SystemExit(f"a store ended with {self._process.wait()}")
        found: dict[str, float] = json.loads(line)
        return found

    def end(self) -> None:
        """Close it down."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait()


def parent(options: argparse.Namespace) -> None:
    """Measure and print."""
    many = Child(options.regions, options)
    idle = many.ask("idle", options.seconds)
    few = Child(options.hot, options)
    alone: list[dict[str, float]] = []
    among: list[dict[str, float]] = []
    for _ in range(ROUNDS):
        alone.append(few.ask("write", options.write_seconds))
        among.append(many.ask("write", options.write_seconds))
    few.end()
    many.end()
    rates = [median(turn["rate"] for turn in turns) for turns in (alone, among)]
    costs = [median(turn["cpu_us"] for turn in turns) for turns in (alone, among)]
    found = {
        "regions": options.regions,
        "stores": options.stores,
        "engine": options.engine,
        "split_s": many.built["split_s"],
        "asleep_s": many.built["asleep_s"],
        "idle_cpu_percent": 100 * idle["cpu"],
        "empty_mib": many.built["empty_mib"],
        "idle_mib": idle["mib"],
        "kib_a_region": (idle["mib"] - many.built["empty_mib"]) * 1024 / options.regions / options.stores,
        "alone_writes_per_s": rates[0],
        "among_writes_per_s": rates[1],
        "alone_cpu_us": costs[0],
        "among_cpu_us": costs[1],
    }
    if options.json:
        print(json.dumps(found))
        return
    for name, value in found.items():
        print(f"{name:18} {value:,.2f}" if isinstance(value, float) else f"{name:18} {value}")


def main() -> None:
    """Parse and run."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--regions", type=int, default=10_000)
    parser.add_argument("--hot", type=int, default=100)
    parser.add_argument("--seconds", type=float, default=60.0, help="of idleness that are measured")
    parser.add_argument("--settle", type=float, default=60.0, help="seconds of it before that")
    parser.add_argument("--write-seconds", type=float, default=3.0, help="of each of three turns")
    parser.add_argument("--engine", choices=("rocks", "memory"), default="rocks")
    parser.add_argument("--stores", type=int, choices=(1, 3), default=1)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--child", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child is None:
        parent(options)
        return
    logging.basicConfig(level=logging.WARNING)
    with tempfile.TemporaryDirectory(prefix="raftly-bench-") as root:
        asyncio.run(child(options, Path(root)))


if __name__ == "__main__":
    main()
