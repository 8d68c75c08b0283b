"""Callers elsewhere: their process against the leader of three processes, over loopback, with real logs.

    python bench/remote.py                   calls, calls in a session, strong reads
    python bench/remote.py --callers 2       from so many processes at once
    python bench/remote.py --profile 256     where the time of the caller goes at 256 in flight

128-byte commands through `connect`, sync on. `caller` and `leader` are microseconds of CPU a call of those processes.
Compare with bench/node.py, whose callers are inside the leader's process; the machine may be noisy, so compare runs
made together.
"""

from __future__ import annotations

import argparse
import asyncio
import cProfile
import json
import pstats
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from disk import steal
from node_cluster import Cluster
from node_member import PAYLOAD, Answer, Store, load

from raftly.node.remote import connect

IN_FLIGHT = (1, 64, 256, 1024)
WHATS = ("call", "session", "ask")
WARM_S = 0.3


async def drive(addresses: list[str], what: str, in_flight: int, seconds: float) -> Answer:
    """What so many callers in this process get, and its CPU."""
    async with connect(Store, addresses) as store:
        session = await store.open_session()
        once = {
            "call": lambda: store.call(Store.put, PAYLOAD),
            "session": lambda: session.call(Store.put, PAYLOAD),
            "ask": lambda: store.ask(Store.get),
        }[what]
        await load(once, in_flight, WARM_S)
        before = time.process_time()
        result = await load(once, in_flight, seconds)
        result["caller_us"] = (time.process_time() - before) / max(result["done"], 1) * 1e6
        return result


def drive_all(addresses: list[str], what: str, in_flight: int, seconds: float, callers: int) -> Answer:
    """The same from some processes, each with its share: rates add up, times are the slowest process's."""
    command = [sys.executable, __file__, "--drive", *addresses, "--what", what, "--seconds", str(seconds)]
    command += ["--in-flight", str(max(in_flight // callers, 1))]
    processes = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(callers)]
    answers: list[Answer] = [json.loads(process.communicate()[0]) for process in processes]
    result = {name: max(answer[name] for answer in answers) for name in ("p50_ms", "p99_ms", "caller_us")}
    result |= {name: sum(answer[name] for answer in answers) for name in ("per_s", "done")}
    return {**result}


def table(seconds: float, callers: int, directory: Path) -> None:
    """Start a group, print a line a load."""
    began, stolen = time.time(), steal()
    with (
        tempfile.TemporaryDirectory(dir=directory, prefix="raftly-bench-") as root,
        Cluster("raftly", Path(root)) as group,
    ):
        print(f"{'':9}{'in flight':>10}{'per second':>12}{'p50 ms':>9}{'p99 ms':>9}{'caller us':>11}{'leader us':>11}")
        for what in WHATS:
            for in_flight in IN_FLIGHT:
                leader = group.leader()
                before = leader.ask(do="usage")["cpu"]
                row = drive_all(group.addresses, what, in_flight, seconds, callers)
                used = (leader.ask(do="usage")["cpu"] - before) / (row["done"] * (1 + WARM_S / seconds)) * 1e6
                print(
                    f"{what:9}{in_flight:>10,}{row['per_s']:>12,.0f}{row['p50_ms']:>9.2f}{row['p99_ms']:>9.2f}"
                    f"{row['caller_us']:>11.0f}{used:>11.0f}"
                )
    print(f"{callers} process(es) of callers; steal {(steal() - stolen) / (time.time() - began):.2f} cores")


def profile(in_flight: int, seconds: float, directory: Path) -> None:
    """Print where the caller's time goes."""
    with (
        tempfile.TemporaryDirectory(dir=directory, prefix="raftly-bench-") as root,
        Cluster("raftly", Path(root)) as group,
    ):
        group.leader()
        profiler = cProfile.Profile()
        profiler.enable()
        asyncio.run(drive(group.addresses, "session", in_flight, seconds))
        profiler.disable()
        pstats.Stats(profiler).sort_stats("tottime").print_stats(35)


def main() -> None:
    """Parse, run, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=2.0, help="of each line")
    parser.add_argument("--callers", type=int, default=1, help="processes of callers")
    parser.add_argument("--dir", type=Path, default=Path(), help="where to write; on the disk to be measured")
    parser.add_argument("--profile", type=int, default=0, metavar="N", help="profile with N in flight instead")
    parser.add_argument("--drive", nargs="+", metavar="ADDRESS", help="be one process of callers; prints JSON")
    parser.add_argument("--what", choices=WHATS, default="call", help="with --drive")
    parser.add_argument("--in-flight", type=int, default=1, help="with --drive")
    options = parser.parse_args()
    if options.drive:
        print(json.dumps(asyncio.run(drive(options.drive, options.what, options.in_flight, options.seconds))))
    elif options.profile:
        profile(options.profile, options.seconds, options.dir)
    else:
        table(options.seconds, options.callers, options.dir)


if __name__ == "__main__":
    main()
