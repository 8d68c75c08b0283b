"""Many regions on one store, nearly all of them idle: processor, memory, and what they cost those that are not.

    python bench/regions.py [--regions 10000] [--hot 100] [--stores 1|3] [--seconds 60] [--rounds 5] [--json]

Real processes throughout: a placement driver and one store or three with so many regions, made by splits on the
driver's word, and beside them another driver and as many stores with the hot regions alone. All leaders are on one
store, and what moves leaders is off. When all regions sleep, and those who report of them have become seldom
(`--settle`), the share of a processor that each process takes is measured, and its memory. Then, in turns, the hot
regions of either take puts over gRPC, so many in flight as there are hot regions, each for the next one of them; a
ratio is the median of those of each pair of turns.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import count, cycle
from pathlib import Path
from statistics import median
from typing import Final

from disk import steal
from store_load import Load, connect
from store_systems import HOST, VALUE, Raftly, field
from store_usage import Usage, usage_of

from raftly.base.region import PeerRole
from raftly.cli.form import core_form
from raftly.client.pd import PdClient, PlacedRegion
from raftly.errors import RaftlyError
from raftly.proto import kvrpcpb_pb2
from raftly.testing.processes import free_ports

SPLIT_AT_ONCE: Final = 100
SCAN_AT_ONCE: Final = 1000
PATIENCE_S: Final = 600.0


class Regions(Raftly):
    """A placement driver and stores, with so many regions."""

    def __init__(self, root: Path, stores: int, regions: int) -> None:
        root.mkdir()
        super().__init__(root)
        self._stores = stores
        self._regions = regions
        self.empty_mib: dict[str, float] = {}
        self.split_s = 0.0
        self._placed: list[PlacedRegion] = []

    async def start(self) -> None:
        """Start, and split until there are so many."""
        client, peer, *stores = free_ports(2 + self._stores)
        self.pd = f"{HOST}:{client}"
        schedule = f"[schedule]\nmax_replicas = {self._stores}\nbalance_leaders = false\nmerge = false\n"
        self._run("pd", "pd", f'address = "{self.pd}"\npeer_address = "{HOST}:{peer}"\n' + schedule)
        for number, port in enumerate(stores, 1):
            settings = f'address = "{HOST}:{port}"\npd = ["{self.pd}"]\n[log]\nlevel = "warning"\n'
            self._run(f"store-{number}", "store", settings)
        async with PdClient([self.pd]) as pd:
            await self._until(pd, 1)
            self.empty_mib = usage_of(self.processes).rss_mib
            began = time.perf_counter()
            keys = [b"%08d" % number for number in range(1, self._regions)]
            for at in range(0, len(keys), SPLIT_AT_ONCE):
                await self._split(pd, keys[at : at + SPLIT_AT_ONCE])
            self._placed = await self._until(pd, self._regions)
            self.split_s = time.perf_counter() - began
            leader = self._placed[0].leader
            assert leader is not None
            self._leader = (await pd.get_store(leader.store_id)).address

    async def _split(self, pd: PdClient, keys: list[bytes]) -> None:
        """On a busy machine that may take more than the driver's patience."""
        until = time.monotonic() + PATIENCE_S
        while True:
            try:
                await pd.split_regions(keys)
            except RaftlyError:
                if time.monotonic() > until:
                    raise
            else:
                return

    async def _until(self, pd: PdClient, regions: int) -> list[PlacedRegion]:
        """Wait until there are so many, with all their replicas and a leader each."""
        until = time.monotonic() + PATIENCE_S
        while time.monotonic() < until:
            try:
                found = await self._scan(pd)
                if len(found) >= regions and all(map(self._is_whole, found)):
                    return found
            except RaftlyError:
                pass
            await asyncio.sleep(0.5)
        raise SystemExit(f"there never were {regions} whole regions")

    async def _scan(self, pd: PdClient) -> list[PlacedRegion]:
        found: list[PlacedRegion] = []
        start = b""
        while part := await pd.scan_regions(start, limit=SCAN_AT_ONCE):
            found += part
            start = part[-1].region.end_key
            if not start:
                break
        return found

    def _is_whole(self, placed: PlacedRegion) -> bool:
        voters = [peer for peer in placed.region.peers if peer.role is PeerRole.VOTER]
        return len(voters) == self._stores and placed.leader is not None and not placed.pending_peers

    async def hot_puts(self, hot: int) -> Load:
        """A connection for puts into the first regions, one after the other."""
        value = field(3, VALUE)
        targets = [(placed.region.start_key, _context(placed)) for placed in self._placed[:hot]]

        def requests() -> Iterator[bytes]:
            for number, (start, context) in zip(count(), cycle(targets), strict=False):
                yield field(1, context) + field(2, start + b"-%07d" % (number % 1_000_000)) + value

        made = requests()
        return await connect(self._leader, "/tikvpb.Tikv/RawPut", lambda: next(made), range(1))

    def usage(self) -> Usage:
        """Of all processes."""
        return usage_of(self.processes)


def _context(placed: PlacedRegion) -> bytes:
    region, leader = placed.region, placed.leader
    assert leader is not None
    context = kvrpcpb_pb2.Context(region_id=region.id)
    context.region_epoch.conf_ver, context.region_epoch.version = region.epoch.conf_ver, region.epoch.version
    context.peer.id, context.peer.store_id = leader.id, leader.store_id
    return context.SerializeToString()


@dataclass(frozen=True, slots=True)
class Turn:
    """Of writes."""

    rate: float
    p99_ms: float
    cpu_us: float


async def turn(system: Regions, load: Load, hot: int, seconds: float) -> Turn:
    """One, when the regions are awake."""
    await load.run(hot, 0.3)
    before = system.usage().cpu_s
    found = await load.run(hot, seconds)
    cpu_s = system.usage().cpu_s - before
    return Turn(found.calls / found.seconds, found.p99_ms, cpu_s * 1e6 / found.calls)


async def idle(system: Regions, settle_s: float, seconds: float) -> dict[str, float]:
    """Percent of a processor, by process."""
    await asyncio.sleep(settle_s)
    before, began = {name: usage_of({name: one}).cpu_s for name, one in system.processes.items()}, time.perf_counter()
    await asyncio.sleep(seconds)
    lasted = time.perf_counter() - began
    after = {name: usage_of({name: one}).cpu_s for name, one in system.processes.items()}
    return {name: 100 * (after[name] - before[name]) / lasted for name in before}


async def play(many: Regions, few: Regions, options: argparse.Namespace) -> dict[str, object]:
    """Measure."""
    await asyncio.gather(many.start(), few.start())
    percent = await idle(many, options.settle, options.seconds)
    mib = many.usage().rss_mib
    loads = {system: await system.hot_puts(options.hot) for system in (few, many)}
    pairs: list[tuple[Turn, Turn]] = []
    for number in range(options.rounds):
        turns = {}
        for system in (many, few) if number % 2 else (few, many):
            turns[system] = await turn(system, loads[system], options.hot, options.write_seconds)
        pairs.append((turns[few], turns[many]))
    return {
        "regions": options.regions,
        "stores": options.stores,
        "split_s": many.split_s,
        "idle_percent": percent,
        "empty_mib": many.empty_mib,
        "idle_mib": mib,
        "alone_per_s": median(alone.rate for alone, _ in pairs),
        "among_per_s": median(among.rate for _, among in pairs),
        "rate_ratio": median(among.rate / alone.rate for alone, among in pairs),
        "rate_ratios": sorted(round(among.rate / alone.rate, 3) for alone, among in pairs),
        "alone_p99_ms": median(alone.p99_ms for alone, _ in pairs),
        "among_p99_ms": median(among.p99_ms for _, among in pairs),
        "alone_cpu_us": median(alone.cpu_us for alone, _ in pairs),
        "among_cpu_us": median(among.cpu_us for _, among in pairs),
        "cpu_ratio": median(among.cpu_us / alone.cpu_us for alone, among in pairs),
    }


def main() -> None:
    """Parse, run, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--regions", type=int, default=10_000)
    parser.add_argument("--hot", type=int, default=100)
    parser.add_argument("--seconds", type=float, default=60.0, help="of idleness that are measured")
    parser.add_argument("--settle", type=float, default=75.0, help="seconds of it before that")
    parser.add_argument("--write-seconds", type=float, default=2.0, help="of each turn")
    parser.add_argument("--rounds", type=int, default=5, help="pairs of turns")
    parser.add_argument("--stores", type=int, choices=(1, 3), default=1)
    parser.add_argument("--directory", type=Path, default=Path.cwd() / "build", help="on the disk to be measured")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    options.directory.mkdir(parents=True, exist_ok=True)
    stolen = steal()
    with ExitStack() as stack:
        root = Path(stack.enter_context(tempfile.TemporaryDirectory(dir=options.directory, prefix="raftly-bench-")))
        many = stack.enter_context(Regions(root / "many", options.stores, options.regions))
        few = stack.enter_context(Regions(root / "few", options.stores, options.hot))
        found = asyncio.run(play(many, few, options))
    found["core"] = core_form()
    found["steal_s"] = steal() - stolen
    if options.json:
        sys.stdout.write(json.dumps(found) + "\n")
        return
    for name, value in found.items():
        if isinstance(value, dict):
            told = ", ".join(f"{process} {number:.2f}" for process, number in value.items())
        else:
            told = f"{value:,.2f}" if isinstance(value, float) else str(value)
        print(f"{name:14} {told}")


if __name__ == "__main__":
    main()
