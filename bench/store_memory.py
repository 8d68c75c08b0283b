"""Memory and disk of three stores while they take puts without a pause.

    python bench/store_memory.py [--minutes 5] [--in-flight 256] [--log-segment 64MiB] [--directory DIRECTORY]

Puts of 100,000 keys, 16 + 128 bytes, drawn at random, to the leader over gRPC; default options. Prints a line each half
minute: puts so far, resident MiB of each store and of the placement driver, MiB of the raft logs and of the engines of
all three. Memory is flat when the last line is no higher than the one at a third of the way, but for a few per cent;
logs are cut when every store has applied and stored what they hold, by whole segments, so small ones show it sooner.
"""

from __future__ import annotations

import argparse
import asyncio
import tempfile
import time
from pathlib import Path

from store_systems import KEYS, Raftly
from store_usage import usage_of

SLICE_S = 30.0
MIB = 1 << 20
FLAT = 0.05  # so much more at the end is no growth


def size_mib(root: Path, part: str) -> float:
    """Of a part of every store, as it takes space on the disk."""
    total = 0
    for path in root.glob(f"store-*/{part}/**/*"):
        try:
            total += path.stat().st_blocks * 512
        except FileNotFoundError:  # cut, or compacted, this moment
            continue
    return total / MIB


async def play(system: Raftly, minutes: float, in_flight: int) -> list[dict[str, float]]:
    """Put, look, print."""
    await system.start()
    filling = await system.puts(in_order=True)
    await filling.run(256, calls=KEYS)
    load = await system.puts()
    seen: list[dict[str, float]] = []
    done = KEYS
    began = time.monotonic()
    while time.monotonic() - began < minutes * 60:
        done += (await load.run(in_flight, min(SLICE_S, minutes * 60))).calls
        resident = usage_of(system.processes).rss_mib
        seen.append(resident)
        told = "  ".join(f"{name} {mib:6.1f}" for name, mib in resident.items())
        logs, engines = size_mib(system.root, "raft"), size_mib(system.root, "engine")
        seconds = time.monotonic() - began
        print(f"{seconds:5.0f} s {done:11,} puts  {told} MiB  logs {logs:6.0f}  engines {engines:6.0f} MiB", flush=True)
    return seen


def main() -> None:
    """See the module."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=5.0)
    parser.add_argument("--in-flight", type=int, default=256)
    parser.add_argument("--log-segment", default="64MiB")
    parser.add_argument("--directory", type=Path, default=Path.cwd() / "build", help="on the disk to be used")
    options = parser.parse_args()
    options.directory.mkdir(parents=True, exist_ok=True)
    with (
        tempfile.TemporaryDirectory(dir=options.directory, prefix="raftly-bench-") as root,
        Raftly(Path(root), f'[raft]\nlog_segment = "{options.log_segment}"\n') as system,
    ):
        seen = asyncio.run(play(system, options.minutes, options.in_flight))
    third, last = seen[len(seen) // 3], seen[-1]
    growth = max(last[name] / third[name] for name in third) - 1
    verdict = "flat" if growth <= FLAT else "NOT flat"
    print(f"from a third of the way to the end: {growth:+.1%} in the process that grew most: {verdict}")


if __name__ == "__main__":
    main()
