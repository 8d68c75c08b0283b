"""Resident memory of three processes while they take writes without a pause.

    python bench/memory.py [--minutes 10] [--in-flight 256] [--dir DIRECTORY]

128-byte commands through the class, default options, real logs. Prints a line each half minute. Memory is flat when the
last line is no higher than the one at a third of the way, but for a few per cent; the log's cache (`cache_bytes_max`)
fills before that.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path

from node_cluster import Cluster

SLICE_S = 30.0
MIB = 1 << 20
FLAT = 0.05  # so much more at the end is no growth


def main() -> None:
    """Write, look, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--in-flight", type=int, default=256)
    parser.add_argument("--dir", type=Path, default=Path(), help="where to write")
    options = parser.parse_args()
    with (
        tempfile.TemporaryDirectory(dir=options.dir, prefix="raftly-bench-") as root,
        Cluster("raftly", Path(root)) as cluster,
    ):
        began = time.monotonic()
        seen: list[list[float]] = []
        done = 0.0
        while time.monotonic() - began < options.minutes * 60:
            done += cluster.measure("call", options.in_flight, min(SLICE_S, options.minutes * 60))["done"]
            seen.append([member.ask(do="usage")["resident"] / MIB for member in cluster.members])
            log = sum(path.stat().st_size for path in Path(root).rglob("*.seg")) / MIB
            cells = "  ".join(f"{resident:7.1f}" for resident in seen[-1])
            print(
                f"{time.monotonic() - began:6.0f} s  {done:12,.0f} commands  {cells} MiB  logs {log:,.0f} MiB",
                flush=True,
            )
        third, last = seen[len(seen) // 3], seen[-1]
        growth = max(b / a for a, b in zip(third, last, strict=True)) - 1
        verdict = "flat" if growth <= FLAT else "NOT flat"
        print(f"from a third of the way to the end: {growth:+.1%} in the process that grew most: {verdict}")


if __name__ == "__main__":
    main()
