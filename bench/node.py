"""Three processes on loopback: commands through a replicated class, beside PySyncObj and the disk, in one run.

    python bench/node.py                     raftly and PySyncObj, taking turns
    python bench/node.py --raftly            raftly alone
    python bench/node.py --json

Real logs with sync on (PySyncObj never syncs), 128-byte commands, the callers inside the leader's process. Each round
starts every system anew; a figure is the median of its rounds. `leader` and `follower` are microseconds of CPU a call
of that process, of a follower the mean of the two. PySyncObj runs with its defaults, and with settings that make it
faster (`node_member.PYSYNCOBJ`): its best is the best of these. `call` are callers as raftly's, coroutines of an event
loop; `callback` are callbacks in PySyncObj's own thread, with nothing between them: what it could do at best.

Compiled or plain: whichever raftly this Python finds; the table says which.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
import time
from pathlib import Path

from disk import run_raw, steal
from node_cluster import Cluster
from node_member import PAYLOAD, PYSYNCOBJ

import raftly.core.raft

IN_FLIGHT = (1, 64, 256, 1024)
WARM_S = 0.5
RECORD_BYTES = len(PAYLOAD) + 128  # what a batch of one command takes in the log, about
Figures = dict[str, float]
Key = tuple[str, str, int]  # system, what, in flight


def play(system: str, whats: tuple[str, ...], folder: Path, seconds: float) -> dict[Key, Figures]:
    """All loads of one system, started anew."""
    seen: dict[Key, Figures] = {}
    with Cluster(system, folder) as cluster:
        cluster.measure("call", 64, WARM_S)
        for what in whats:
            for in_flight in IN_FLIGHT:
                seen[system, what, in_flight] = cluster.measure(what, in_flight, seconds)
    return seen


def measure(directory: Path, rounds: int, seconds: float, systems: list[str]) -> tuple[float, dict[Key, Figures]]:
    """The disk's rate, and the medians of all rounds."""
    raw: list[float] = []
    seen: dict[Key, list[Figures]] = {}
    for number in range(rounds):
        turn = number % len(systems)
        with tempfile.TemporaryDirectory(dir=directory, prefix="raftly-bench-") as root:
            took = run_raw(root, seconds, RECORD_BYTES)
            raw.append(len(took) / sum(took))
            for system in systems[turn:] + systems[:turn]:
                if sys.stderr.isatty():
                    print(f"\rround {number + 1} of {rounds}: {system}      ", end="", file=sys.stderr, flush=True)
                folder = Path(root, system.replace(" ", "-"))
                folder.mkdir()
                whats = ("call", "ask" if system == "raftly" else "callback")
                for key, result in play(system, whats, folder, seconds).items():
                    seen.setdefault(key, []).append(result)
    if sys.stderr.isatty():
        print("\r" + " " * 40 + "\r", end="", file=sys.stderr)
    return statistics.median(raw), {key: median(runs) for key, runs in seen.items()}


def median(runs: list[Figures]) -> Figures:
    """Of each figure."""
    return {name: statistics.median(run[name] for run in runs) for name in runs[0]}


def judge(raw: float, seen: dict[Key, Figures]) -> list[str]:
    """Each goal with what was reached."""
    calls = {in_flight: seen["raftly", "call", in_flight] for in_flight in IN_FLIGHT}
    lines = [
        f"256 in flight: {calls[256]['per_s']:,.0f} commands/s; goal: 25,000",
        f"1 in flight: {calls[1]['per_s'] / raw:.0%} of the disk's {raw:,.0f} syncs/s; goal: 40 %",
        f"1 in flight: p50 {calls[1]['p50_ms']:.2f} ms; goal: 1.5",
        f"strong reads, 256 in flight: {seen['raftly', 'ask', 256]['per_s']:,.0f}/s; goal: 60,000",
    ]
    for what in ("call", "callback"):
        for in_flight in (64, 256):
            rivals = [seen[key]["per_s"] for key in seen if key[0] in PYSYNCOBJ and key[1:] == (what, in_flight)]
            if rivals:
                ratio = calls[in_flight]["per_s"] / max(rivals)
                lines.append(f"{in_flight} in flight: {ratio:.1f} times PySyncObj's best by {what}; goal: 3")
    return lines


def main() -> None:
    """Parse, run, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=2.0, help="of each line in a round")
    parser.add_argument("--dir", type=Path, default=Path(), help="where to write; on the disk to be measured")
    parser.add_argument("--raftly", action="store_true", help="without PySyncObj")
    parser.add_argument("--json", action="store_true", help="one JSON object instead of a table")
    options = parser.parse_args()
    form = "plain" if (raftly.core.raft.__file__ or "").endswith(".py") else "compiled"
    systems = ["raftly", *([] if options.raftly else PYSYNCOBJ)]
    before, started = steal(), time.time()
    raw, seen = measure(options.dir, options.rounds, options.seconds, systems)
    stolen = (steal() - before) / (time.time() - started)
    if options.json:
        rows = [{"system": key[0], "what": key[1], "in_flight": key[2], **row} for key, row in seen.items()]
        print(json.dumps({"form": form, "raw_per_s": raw, "steal_cores": round(stolen, 3), "rows": rows}))
        return
    print("| system | | in flight | per second | p50 ms | p99 ms | leader µs | follower µs |")
    print("|---|---|---|---|---|---|---|---|")
    for (system, what, in_flight), row in seen.items():
        name = f"raftly, {form}" if system == "raftly" else f"PySyncObj, {system}"
        print(
            f"| {name} | {what} | {in_flight:,} | {row['per_s']:,.0f} | {row['p50_ms']:.2f} | {row['p99_ms']:.2f} "
            f"| {row['leader_us']:.0f} | {row['followers_us']:.0f} |"
        )
    print(f"\nraw fdatasync {raw:,.0f}/s; steal {stolen:.2f} cores; rounds: {options.rounds}, median")
    print("\n".join(judge(raw, seen)))
    for (system, what, in_flight), row in seen.items():
        if row["failed"]:
            print(f"{system}, {what}, {in_flight} in flight: {row['failed']:.0f} callers failed")
    for system in PYSYNCOBJ:
        count = sum(row["warnings"] for key, row in seen.items() if key[0] == system)
        if count:
            print(f"PySyncObj, {system}: {count:.0f} warnings, of entries that it had applied and took back")


if __name__ == "__main__":
    main()
