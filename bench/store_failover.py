"""How long puts stand still when the store that leads is killed: three stores, sync on, defaults; etcd beside them.

    python bench/store_failover.py [--runs 10] [--systems etcd raftly] [--json]

A client begins a put every 10 ms; of stores it is ours, with its region cache and its own retries, of etcd a call at
every member, which all pass writes on. The time is taken from kill -9 of the leader to the first answer to a put that
began when the process was gone; `any` counts the answers to those that were under way, too. The member is started again
before the next run, and the run begins when it has answered a read. The systems take turns in blocks of five runs.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from disk import steal
from store_members import SYSTEMS, EtcdMembers, Put, StoreMembers, again, kill, until_reads

from raftly.cli.form import core_form
from raftly.errors import RaftlyError

EVERY_S = 0.01
BEFORE_S = 0.5
PATIENCE_S = 20.0
BLOCK = 5


class Writer:
    """Begins a put every so often, whatever became of those before."""

    def __init__(self, put: Put) -> None:
        self._put = put
        self._running: set[asyncio.Task[None]] = set()
        self.answered: list[tuple[float, float]] = []  # when each began, and ended
        self.failed = 0
        self._beginning = asyncio.create_task(self._begin())

    async def _begin(self) -> None:
        while True:
            task = asyncio.create_task(self._write())
            self._running.add(task)
            task.add_done_callback(self._running.discard)
            await asyncio.sleep(EVERY_S)

    async def _write(self) -> None:
        began = time.perf_counter()
        try:
            await self._put()
        except RaftlyError:
            self.failed += 1
        else:
            self.answered.append((began, time.perf_counter()))

    async def stop(self) -> None:
        """Begin no more, and give up those under way."""
        self._beginning.cancel()
        for task in self._running:
            task.cancel()
        await asyncio.gather(self._beginning, *self._running, return_exceptions=True)


async def fail_over(system: EtcdMembers | StoreMembers, wait_s: float) -> tuple[float, float]:
    """Seconds from the kill of the leader to the first answer to a put that began since, and to any."""
    leader = await system.leader()
    writers = [Writer(put) for put in await system.puts_anywhere()]
    await asyncio.sleep(wait_s)
    killed = time.perf_counter()
    kill(system, leader)
    gone = time.perf_counter()
    new: list[float] = []
    answered: list[tuple[float, float]] = []
    while not new:
        if time.perf_counter() - gone > PATIENCE_S:
            raise SystemExit(f"{system.name}: no put was answered in {PATIENCE_S:.0f} s")
        await asyncio.sleep(EVERY_S)
        answered = [entry for writer in writers for entry in writer.answered]
        new = [ended for began, ended in answered if began > gone]
    others = [ended for _, ended in answered if ended > gone]
    for writer in writers:
        await writer.stop()
    again(system, leader)
    await until_reads(system, *system.members())
    await system.close()
    return min(new) - killed, min(others) - killed


async def play(system: EtcdMembers | StoreMembers, runs: int) -> list[tuple[float, float]]:
    """Kill so often."""
    await system.start()
    await until_reads(system, *system.members())
    # Not in step with the heartbeats.
    return [await fail_over(system, BEFORE_S + 0.2 * run / runs) for run in range(runs)]


def measure(directory: Path, runs: int, names: Sequence[str]) -> dict[str, list[tuple[float, float]]]:
    """The times of all runs."""
    seen: dict[str, list[tuple[float, float]]] = {}
    for begun in range(0, runs, BLOCK):
        for name in names:
            if sys.stderr.isatty():
                print(f"{begun} of {runs}: {name}", file=sys.stderr)
            with (
                tempfile.TemporaryDirectory(dir=directory, prefix="raftly-bench-") as root,
                SYSTEMS[name](Path(root)) as system,
            ):
                seen.setdefault(name, []).extend(asyncio.run(play(system, min(BLOCK, runs - begun))))
    return seen


def main() -> None:
    """See the module."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=10, help="kills of each system's leader")
    parser.add_argument("--systems", nargs="+", choices=("etcd", "raftly"), default=["etcd", "raftly"])
    parser.add_argument("--directory", type=Path, default=Path.cwd() / "build", help="on the disk to be measured")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    options.directory.mkdir(parents=True, exist_ok=True)
    stolen = steal()
    seen = measure(options.directory, options.runs, options.systems)
    stolen = steal() - stolen
    form = core_form()
    found = {}
    for name, times in seen.items():
        new = sorted(first for first, _ in times)
        found[name] = {
            "runs": len(new),
            "median_s": statistics.median(new),
            "p90_s": new[min(len(new) - 1, len(new) * 9 // 10)],
            "max_s": new[-1],
            "any_median_s": statistics.median(any_ for _, any_ in times),
        }
    if options.json:
        print(json.dumps({"form": form, "steal_s": stolen, "systems": found}))
        return
    print(f"core {form}, kill -9 of the leader; the host took {stolen:.1f} s away")
    print(f"{'':8}{'runs':>6}{'median s':>10}{'p90 s':>8}{'max s':>8}{'any, median s':>15}")
    for name, row in found.items():
        print(
            f"{name:8}{row['runs']:6}{row['median_s']:10.2f}{row['p90_s']:8.2f}{row['max_s']:8.2f}"
            f"{row['any_median_s']:15.2f}"
        )


if __name__ == "__main__":
    main()
