"""Commands through a replicated class: three nodes in one process, memory network, so all CPU is counted together.

    python bench/node.py                     real log with sync on in a temporary directory
    python bench/node.py --memory            the log in memory: what raftly itself costs
    python bench/node.py --profile 256       where the time goes at 256 in flight

128-byte commands by callers beside the leader. CPU is that of the process for all three nodes; the machine may be
noisy, so look at ratios between lines and between runs made together.
"""

from __future__ import annotations

import argparse
import asyncio
import cProfile
import gc
import pstats
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

from raftly.core.role import Role
from raftly.node import NodeConfig, Replicated, command, query
from raftly.storage.osfs import OsFs
from raftly.testing.memfs import MemFs
from raftly.transport.memory import MemoryNetwork, MemoryTransport

PAYLOAD = b"x" * 128
IN_FLIGHT = (1, 64, 256, 1024)


class Store:
    """What is replicated."""

    def __init__(self) -> None:
        self.count = 0
        self.last = b""

    @command
    def put(self, value: bytes) -> int:
        """One command."""
        self.count += 1
        self.last = value
        return self.count

    @query
    def get(self) -> int:
        """One query."""
        return self.count


async def start(root: Path | None) -> tuple[Replicated[Store], list[Replicated[Store]]]:
    """Three nodes; the leader and all."""
    network = MemoryNetwork()
    members = (1, 2, 3)
    nodes: list[Replicated[Store]] = []
    for id_ in members:
        if root is not None:
            (root / str(id_)).mkdir()
        fs = MemFs() if root is None else OsFs(str(root / str(id_)))
        config = NodeConfig(id_, members, snapshot_entries=1_000_000_000)
        nodes.append(await Replicated.start(Store, config, MemoryTransport(network, id_), fs=fs))
    while True:
        await asyncio.sleep(0.1)
        for node in nodes:
            if node.status().basic.soft_state.role is Role.LEADER:
                await node.fresh()
                return node, nodes


async def load(once: Callable[[], Awaitable[object]], in_flight: int, seconds: float) -> tuple[float, float, float]:
    """(operations/s, microseconds of CPU each, median latency in ms) of so many callers that call again and again."""
    done = 0
    latencies: list[float] = []
    stop_at = time.perf_counter() + seconds

    async def caller() -> None:
        nonlocal done
        while (began := time.perf_counter()) < stop_at:
            await once()
            done += 1
            latencies.append(time.perf_counter() - began)

    gc.collect()
    wall, cpu = time.perf_counter(), time.process_time()
    await asyncio.gather(*(caller() for _ in range(in_flight)))
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    return done / wall, cpu / done * 1e6, sorted(latencies)[len(latencies) // 2] * 1e3


async def run(root: Path | None, seconds: float, profile: int) -> None:
    """Print the table, or a profile."""
    leader, nodes = await start(root)
    await load(lambda: leader.call(Store.put, PAYLOAD), 64, seconds / 4)
    if profile:
        profiler = cProfile.Profile()
        profiler.enable()
        await load(lambda: leader.call(Store.put, PAYLOAD), profile, seconds)
        profiler.disable()
        pstats.Stats(profiler).sort_stats("tottime").print_stats(45)
    else:
        print(f"{'':8}{'in flight':>10}{'per second':>12}{'CPU us each':>13}{'p50 ms':>9}")
        for name, once in (("call", lambda: leader.call(Store.put, PAYLOAD)), ("ask", lambda: leader.ask(Store.get))):
            for in_flight in IN_FLIGHT:
                rate, cpu, median = await load(once, in_flight, seconds)
                print(f"{name:8}{in_flight:>10}{rate:>12,.0f}{cpu:>13.1f}{median:>9.2f}")
    for node in nodes:
        await node.stop()


def main() -> None:
    """Parse, run."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--memory", action="store_true", help="the log in memory")
    parser.add_argument("--seconds", type=float, default=2.0, help="for each line")
    parser.add_argument("--profile", type=int, default=0, metavar="N", help="profile with N in flight instead")
    arguments = parser.parse_args()
    if arguments.memory:
        asyncio.run(run(None, arguments.seconds, arguments.profile))
    else:
        with tempfile.TemporaryDirectory(prefix="raftly-bench-") as root:
            asyncio.run(run(Path(root), arguments.seconds, arguments.profile))


if __name__ == "__main__":
    main()
