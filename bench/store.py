"""Three stores and a placement driver beside three members of etcd, in one run: puts and linearizable gets.

    python bench/store.py                      both, taking turns
    python bench/store.py --systems raftly     one of them
    python bench/store.py --json

16-byte keys, 128-byte values, sync on for both, unary calls of single keys on one connection, one region, everything to
the leader, one load generator for both (`load`). Each round starts both anew and fills in every key first; a figure is
the median of the rounds. `cpu` is microseconds of CPU a call of all the system's processes, `load` that of the
generator. `gets by read index` are those of stores without a lease; etcd confirms every read with its peers.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import statistics
import sys
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path

from disk import steal
from store_load import Load
from store_systems import KEYS, Etcd, Raftly
from store_usage import Usage, usage_of

from raftly.cli.form import core_form

IN_FLIGHT = (1, 16, 64, 256)
SYSTEMS = ("etcd", "raftly", "read index")
NO_LEASE = '[raft]\nlease = "0s"\n'


@dataclass(frozen=True, slots=True)
class Row:
    """One load on one system."""

    rate: float
    p50_ms: float
    p99_ms: float
    cpu_us: float
    load_us: float


Rows = dict[tuple[str, str, int], Row]


async def stretch(system: Etcd | Raftly, load: Load, in_flight: int, seconds: float) -> Row:
    """One figure."""
    before, own = usage_of(system.processes), time.process_time()
    found = await load.run(in_flight, seconds)
    own, spent = time.process_time() - own, usage_of(system.processes).cpu_s - before.cpu_s
    share = 1e6 / found.calls
    return Row(found.calls / found.seconds, found.p50_ms, found.p99_ms, spent * share, own * share)


async def play(system: Etcd | Raftly, seconds: float, kinds: tuple[str, ...]) -> tuple[Rows, Usage]:
    """All loads of a system that was started anew, and what it takes after they are done."""
    seen: Rows = {}
    await system.start()
    puts = await system.puts(in_order=True)
    await puts.run(256, calls=KEYS)
    for kind in kinds:
        load = await system.puts() if kind == "puts" else await system.gets()
        await load.run(64, 0.3)
        for in_flight in IN_FLIGHT:
            seen[system.name, kind, in_flight] = await stretch(system, load, in_flight, seconds)
    return seen, usage_of(system.processes)


def measure(directory: Path, rounds: int, seconds: float, names: list[str]) -> tuple[Rows, dict[str, Usage]]:
    """The medians of all rounds."""
    seen: dict[tuple[str, str, int], list[Row]] = {}
    usages: dict[str, Usage] = {}
    for number in range(rounds):
        turn = number % len(names)
        for name in names[turn:] + names[:turn]:
            if sys.stderr.isatty():
                print(f"round {number + 1} of {rounds}: {name}", file=sys.stderr)
            with tempfile.TemporaryDirectory(dir=directory, prefix="raftly-bench-") as root:
                system = {"etcd": Etcd, "raftly": Raftly, "read index": Raftly}[name](Path(root))
                kinds: tuple[str, ...] = ("puts", "gets")
                if name == "read index":
                    system = Raftly(Path(root), NO_LEASE)
                    system.name, kinds = name, ("gets",)
                with system:
                    rows, usages[name] = asyncio.run(play(system, seconds, kinds))
            for key, row in rows.items():
                seen.setdefault(key, []).append(row)
    return {key: _median(rows) for key, rows in seen.items()}, usages


def _median(rows: list[Row]) -> Row:
    return Row(*(statistics.median(getattr(row, name) for row in rows) for name in Row.__slots__))


def main() -> None:
    """See the module."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=2.0)
    parser.add_argument(
        "--systems", nargs="+", choices=("etcd", "raftly", "read index"), default=["etcd", "raftly", "read index"]
    )
    parser.add_argument("--directory", type=Path, default=Path.cwd() / "build", help="on the disk to be measured")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    options.directory.mkdir(parents=True, exist_ok=True)
    stolen = steal()
    rows, usages = measure(options.directory, options.rounds, options.seconds, options.systems)
    stolen = steal() - stolen
    if options.json:
        flat = [
            {"system": system, "kind": kind, "in_flight": in_flight, **asdict(row)}
            for (system, kind, in_flight), row in rows.items()
        ]
        print(json.dumps({"rows": flat, "rss_mib": {n: u.rss_mib for n, u in usages.items()}, "steal_s": stolen}))
        return
    form = core_form()
    print(f"core {form}, {options.rounds} rounds of {options.seconds:g} s a figure; the host took {stolen:.1f} s away")
    print(f"{'':22}{'in flight':>10}{'calls/s':>10}{'p50 ms':>9}{'p99 ms':>9}{'cpu us':>9}{'load us':>9}{'of etcd':>9}")
    for (name, kind, in_flight), row in sorted(rows.items(), key=lambda item: (item[0][1], item[0][2], item[0][0])):
        peer = rows.get(("etcd", kind, in_flight))
        ratio = f"{row.rate / peer.rate:9.2f}" if peer is not None and name != "etcd" else ""
        what = f"{kind}, {name}"
        print(
            f"{what:22}{in_flight:10}{row.rate:10.0f}{row.p50_ms:9.2f}{row.p99_ms:9.2f}{row.cpu_us:9.0f}{row.load_us:9.1f}{ratio}"
        )
    for name, usage in usages.items():
        told = ", ".join(f"{process} {mib:.0f} MiB" for process, mib in usage.rss_mib.items())
        print(f"{name}: {told} resident at the end")


if __name__ == "__main__":
    main()
