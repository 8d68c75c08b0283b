"""Syncs a second of the log, beside the raw rate of the disk in the same run, for each way to wait for a sync.

    python bench/log.py --rounds 5 --seconds 2 --dir DIRECTORY      DIRECTORY is on the disk to be measured

A batch is 64 entries of 128 bytes. `raw` writes the same bytes into a file filled ahead with zeros and calls fdatasync,
with nothing around it: the most that any log could reach here. The log commits through LogStore, one batch after the
other; the entries are framed before the clock runs, since a leader does that once for its log and all its messages.
`busy`: a second task keeps the loop busy in slices of 100 microseconds. All take turns within a round; the median of
the rounds is given, and of each round's ratio to raw.

A thread may wait for the GIL of a busy loop for seconds: the loop gives it up for a moment with every poll, too short
for the thread to take it, and often enough that the thread never asks for it. So a case ends by the clock, not by a
count, and the loop's other work with it, or the commit that waits might never end.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import statistics
import sys
import tempfile
import time
from pathlib import Path

from disk import run_raw, steal

from raftly.base.record import record_of
from raftly.base.types import Entry
from raftly.storage import EntriesItem, LogStore, OsFs, SyncMode
from raftly.storage.segment import batch_bytes

ENTRIES = 64
PAYLOAD = os.urandom(128)
AT_ONCE = 100  # batches made before they are written one after the other: a disk that waits falls asleep
SLICE_S = 100e-6
GOAL = 0.8  # of the raw rate


def framed(first: int) -> list[Entry]:
    """The entries of a batch, framed as a leader does."""
    entries = [Entry(1, first + at, data=PAYLOAD) for at in range(ENTRIES)]
    for entry in entries:
        record_of(entry)
    return entries


BATCH_BYTES = batch_bytes(17 + sum(len(entry.record) for entry in framed(1)))


async def run_log(directory: str, mode: SyncMode, seconds: float, *, busy: bool) -> tuple[list[float], str]:
    """Durations of commits, and how syncs were really waited for."""
    fs = OsFs(directory, mode)
    store = LogStore(fs, 1, 1)
    store.open()
    took: list[float] = []
    first = 1
    left = seconds
    while left > 0:
        ready = [framed(first + at * ENTRIES) for at in range(AT_ONCE)]
        first += AT_ONCE * ENTRIES
        spinner = asyncio.create_task(spin(left)) if busy else None
        for entries in ready:
            now = time.perf_counter()
            await store.commit([EntriesItem(1, entries)])
            took.append(time.perf_counter() - now)
            left -= took[-1]
            if left <= 0 or (spinner is not None and spinner.done()):
                left = 0.0
                break
        if spinner is not None:
            spinner.cancel()
    really = fs.mode.value
    store.close()
    fs.close()
    return took, really


async def spin(seconds: float) -> None:
    """A loop that is not idle for so long."""
    end = time.perf_counter() + seconds
    while time.perf_counter() < end:
        until = time.perf_counter() + SLICE_S
        while time.perf_counter() < until:
            pass
        await asyncio.sleep(0)


def figures(took: list[float]) -> dict[str, float]:
    """Rate and latency of a run."""
    took.sort()
    return {
        "per_s": len(took) / sum(took),
        "p50_ms": took[len(took) // 2] * 1e3,
        "p99_ms": took[min(len(took) - 1, len(took) * 99 // 100)] * 1e3,
        "max_ms": took[-1] * 1e3,
    }


def measure(directory: Path, rounds: int, seconds: float) -> dict[str, dict[str, float]]:
    """The median figures of every case, with the median of its ratios to the raw rate of the same round."""
    cases = [(mode, busy) for busy in (False, True) for mode in SyncMode]
    seen: dict[str, list[dict[str, float]]] = {}
    for number in range(rounds):
        if sys.stderr.isatty():
            print(f"\rround {number + 1} of {rounds}", end="", file=sys.stderr, flush=True)
        with tempfile.TemporaryDirectory(dir=directory) as folder:
            raw = figures(run_raw(folder, seconds, BATCH_BYTES))
        seen.setdefault("raw fdatasync", []).append(raw | {"of_raw": 1.0})
        turn = number % len(cases)
        for mode, busy in cases[turn:] + cases[:turn]:
            with tempfile.TemporaryDirectory(dir=directory) as folder:
                took, really = asyncio.run(run_log(folder, mode, seconds, busy=busy))
            told = mode.value if really == mode.value else f"{mode.value} (not there: {really})"
            result = figures(took)
            result["of_raw"] = result["per_s"] / raw["per_s"]
            seen.setdefault(f"{told}, loop {'busy' if busy else 'idle'}", []).append(result)
    if sys.stderr.isatty():
        print("\r" + " " * 20 + "\r", end="", file=sys.stderr)
    return {
        case: {name: statistics.median(run[name] for run in runs) for name in runs[0]} for case, runs in seen.items()
    }


def main() -> int:
    """Run and print; a figure is for a person to judge."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3, help="how often each case is measured (median taken)")
    parser.add_argument("--seconds", type=float, default=1.0, help="of each case in a round")
    parser.add_argument("--dir", type=Path, default=Path(), help="where to write; must be on the disk to be measured")
    parser.add_argument("--json", action="store_true", help="one JSON object instead of a table")
    options = parser.parse_args()
    before, started = steal(), time.time()
    result = measure(options.dir, options.rounds, options.seconds)
    stolen = (steal() - before) / (time.time() - started)
    if options.json:
        print(json.dumps({"figures": result, "steal_cores": round(stolen, 3)}))
        return 0
    print("| batches of 64 × 128 B | per second | of raw | p50 ms | p99 ms | max ms |")
    print("|---|---|---|---|---|---|")
    for case, row in sorted(result.items(), key=lambda item: ("busy" in item[0], -item[1]["of_raw"])):
        cells = (
            f"{row['per_s']:.0f}",
            f"{row['of_raw']:.0%}",
            *(f"{row[p]:.2f}" for p in ("p50_ms", "p99_ms", "max_ms")),
        )
        print(f"| {case} | " + " | ".join(cells) + " |")
    print(
        f"\nsteal: {stolen:.2f} cores; rounds: {options.rounds}, median; goal: the best with an idle loop ≥ {GOAL:.0%}"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
