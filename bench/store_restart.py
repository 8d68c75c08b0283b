"""How long stores take from kill -9 to serving again, and what they keep in memory, beside etcd in the same run.

    python bench/store_restart.py [--keys 100000] [--rounds 3] [--systems etcd raftly] [--json]

Three members of etcd, and three stores with a placement driver, each started anew in each round and filled with 16-byte
keys and 128-byte values. Then

    resident   of a member, in the mean of the three, after the puts, and when all were started again
    one        a member that does not lead is killed and started: until it answers a linearizable read
    all        every process is killed and started, the placement driver too: until a put is answered

`cpu` is what the processes that were started took of a processor until then: of `one` with nothing else in the way.
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
from store_members import SYSTEMS, EtcdMembers, Members, StoreMembers, again, kill, put_once, until_reads
from store_systems import System
from store_usage import usage_of

from raftly.cli.form import core_form

SETTLE_S = 2.0  # for what a member does behind the last put


@dataclass(frozen=True, slots=True)
class Row:
    """One round of one system."""

    filled_mib: float
    one_s: float
    one_cpu_s: float
    all_s: float
    all_cpu_s: float
    again_mib: float


def resident(system: Members) -> float:
    """Of a member, in the mean."""
    usage = usage_of({name: system.processes[name] for name in system.members()})
    return statistics.mean(usage.rss_mib.values())


async def play(system: EtcdMembers | StoreMembers, keys: int) -> Row:
    """Fill, kill, start."""
    await system.start()
    filling: System = system
    load = await filling.puts(in_order=True)
    await load.run(256, calls=keys)
    await asyncio.sleep(SETTLE_S)
    filled = resident(system)
    leader = await system.leader()
    one = next(name for name in system.members() if name != leader)
    await until_reads(system, one)
    kill(system, one)
    again(system, one)
    one_s = await until_reads(system, one)
    one_cpu_s = usage_of({one: system.processes[one]}).cpu_s
    await asyncio.sleep(SETTLE_S)
    puts = await system.puts_anywhere()
    kill(system, *system.processes)
    began = time.perf_counter()
    again(system, *system.processes)
    await put_once(puts)
    all_s = time.perf_counter() - began
    all_cpu_s = usage_of(system.processes).cpu_s
    await until_reads(system, *system.members())
    await asyncio.sleep(SETTLE_S)
    row = Row(filled, one_s, one_cpu_s, all_s, all_cpu_s, resident(system))
    await system.close()
    return row


def measure(directory: Path, rounds: int, keys: int, names: list[str]) -> dict[str, Row]:
    """The medians of all rounds, in which the systems take turns."""
    seen: dict[str, list[Row]] = {}
    for number in range(rounds):
        turn = number % len(names)
        for name in names[turn:] + names[:turn]:
            if sys.stderr.isatty():
                print(f"round {number + 1} of {rounds}: {name}", file=sys.stderr)
            with (
                tempfile.TemporaryDirectory(dir=directory, prefix="raftly-bench-") as root,
                SYSTEMS[name](Path(root)) as system,
            ):
                seen.setdefault(name, []).append(asyncio.run(play(system, keys)))
    return {
        name: Row(*(statistics.median(getattr(row, column) for row in rows) for column in Row.__slots__))
        for name, rows in seen.items()
    }


def main() -> None:
    """See the module."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--keys", type=int, default=100_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--systems", nargs="+", choices=("etcd", "raftly"), default=["etcd", "raftly"])
    parser.add_argument("--directory", type=Path, default=Path.cwd() / "build", help="on the disk to be measured")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    options.directory.mkdir(parents=True, exist_ok=True)
    stolen = steal()
    rows = measure(options.directory, options.rounds, options.keys, options.systems)
    stolen = steal() - stolen
    form = core_form()
    if options.json:
        found = {name: asdict(row) for name, row in rows.items()}
        print(json.dumps({"form": form, "keys": options.keys, "steal_s": stolen, "systems": found}))
        return
    print(f"core {form}, {options.keys:,} keys, {options.rounds} rounds; the host took {stolen:.1f} s away")
    print(f"{'':8}{'filled MiB':>12}{'one s':>9}{'cpu s':>9}{'all s':>9}{'cpu s':>9}{'again MiB':>12}")
    for name, row in rows.items():
        print(
            f"{name:8}{row.filled_mib:12.0f}{row.one_s:9.2f}{row.one_cpu_s:9.2f}"
            f"{row.all_s:9.2f}{row.all_cpu_s:9.2f}{row.again_mib:12.0f}"
        )


if __name__ == "__main__":
    main()
