"""How long a node takes from nothing to serving, when its log holds 100,000 commands.

    python bench/start.py [--entries 100000] [--rounds 3] [--dir DIRECTORY]

Three processes on loopback; the commands go through the class, and no snapshot is made, so all of them are in the log
and must be applied again. A follower is stopped and started: `process` is from the start of its process to its node
running, Python's own start and the imports in it; `serving` until it has answered a linearizable read.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from pathlib import Path

from node_cluster import Cluster

NO_SNAPSHOT = 1 << 40
IN_FLIGHT = 1024
SLICE_S = 0.2


def restart(cluster: Cluster) -> tuple[float, float, float]:
    """Seconds until a follower that is started again runs, of these the node's own, and until it serves."""
    leader = cluster.leader()
    follower = next(member for member in cluster.members if member is not leader)
    follower.stop()
    began = time.perf_counter()
    follower = cluster.again(follower)
    started = follower.hear()["started_s"]
    running = time.perf_counter() - began
    follower.ask(do="fresh")
    return running, started, time.perf_counter() - began


def main() -> None:
    """Fill, restart, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--entries", type=int, default=100_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--dir", type=Path, default=Path(), help="where to write")
    options = parser.parse_args()
    with (
        tempfile.TemporaryDirectory(dir=options.dir, prefix="raftly-bench-") as root,
        Cluster("raftly", Path(root), snapshot_entries=NO_SNAPSHOT) as cluster,
    ):
        done = 0.0
        while done < options.entries:
            done += cluster.measure("call", IN_FLIGHT, SLICE_S)["done"]
        rounds = [restart(cluster) for _ in range(options.rounds)]
        running, started, serving = (statistics.median(column) for column in zip(*rounds, strict=True))
        print(f"{done:,.0f} entries: process {running:.2f} s (of it the node {started:.2f} s), serving {serving:.2f} s")


if __name__ == "__main__":
    main()
