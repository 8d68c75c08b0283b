"""How long writes stand still when a leader goes: three processes on loopback, real log, sync on, defaults throughout.

    python bench/failover.py                 kill -9 of the leader 20 times, then SIGTERM of it 5 times
    python bench/failover.py --json          the same, as one line of JSON

A caller beside each member begins a write every 10 ms, in a session, so retried until it is answered. After a kill, the
time is taken from the signal to the first answer to a write that began when the process was gone. Over a SIGTERM, no
write of the members that stay may fail; the gap is the longest time without an answer to any of them.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import json
import signal
import statistics
import sys
import tempfile
import time
from pathlib import Path
from types import TracebackType
from typing import Any, Self

sys.path.insert(0, str(Path(__file__).parent))

from node_cluster import Member

from raftly.core.role import Role
from raftly.errors import RaftlyError
from raftly.node import Replicated, Session, command, replicate, serve
from raftly.testing.processes import free_ports

EVERY_S = 0.01
MEMBERS = (1, 2, 3)
TARGET_S = 0.7
READY_S_MAX = 20.0

Write = tuple[float, float, str]  # began, ended, what went wrong


class Counter:
    """What is replicated."""

    value = 0

    @command
    def add(self, payload: bytes) -> int:
        """One write of 128 bytes."""
        self.value += 1
        return self.value


# --- a member ---


class Caller:
    """Begins a write every so often, whatever became of those before."""

    def __init__(self, session: Session[Counter]) -> None:
        self._session = session
        self._writes: list[Write] = []
        self._running: set[asyncio.Task[None]] = set()
        self._begins = True

    async def run(self) -> None:
        """Until `stop`."""
        while self._begins:
            task = asyncio.create_task(self._write())
            self._running.add(task)
            task.add_done_callback(self._running.discard)
            await asyncio.sleep(EVERY_S)

    async def _write(self) -> None:
        began, problem = time.monotonic(), ""
        try:
            await self._session.call(Counter.add, b"x" * 128)
        except RaftlyError as error:
            problem = repr(error)
        self._writes.append((began, time.monotonic(), problem))

    async def stop(self) -> list[Write]:
        """All writes, those under way awaited."""
        self._begins = False
        if self._running:
            await asyncio.wait(self._running)
        return self._writes


async def answer_lines(node: Replicated[Counter]) -> None:
    """Do what the lines on standard input ask for."""
    lines = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(lines), sys.stdin)
    caller: Caller | None = None
    tasks: list[asyncio.Task[None]] = []
    while line := await lines.readline():
        what = json.loads(line)["do"]
        basic = node.status().basic
        if what == "status":
            leads = basic.soft_state.role is Role.LEADER
            result: dict[str, Any] = {"leads": leads, "applied": basic.applied, "leader": basic.soft_state.leader}
        elif what == "begin":
            caller = Caller(await node.open_session())
            tasks.append(asyncio.create_task(caller.run()))
            result = {}
        else:
            assert caller is not None
            result = {"writes": await caller.stop()}
        print(json.dumps(result), flush=True)


async def be_member(id_: int, ports: list[int], directory: str) -> None:
    """One process of the group."""
    addresses = {at + 1: ("127.0.0.1", port) for at, port in enumerate(ports)}
    node = await replicate(Counter, id_, addresses, directory)
    print("{}", flush=True)
    lines = asyncio.create_task(answer_lines(node))
    await serve(node)
    lines.cancel()


# --- the process that looks on ---


class Cluster:
    """Three processes, started again as often as they end."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._ports = free_ports(len(MEMBERS))
        self.members: dict[int, Member] = {}

    def __enter__(self) -> Self:
        self.start(*MEMBERS)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        for member in self.members.values():
            member.process.kill()
            member.process.wait()

    def start(self, *ids: int) -> None:
        """Start processes, and wait until they run."""
        for id_ in ids:
            words = [__file__, "--member", str(id_), ",".join(map(str, self._ports))]
            self.members[id_] = Member(id_, self._root / str(id_), *words)
        for id_ in ids:
            self.members[id_].hear()

    def wait_ready(self) -> Member:
        """Wait until all follow one leader and have applied the same; who it is."""
        until = time.monotonic() + READY_S_MAX
        while time.monotonic() < until:
            found = {id_: member.ask(do="status") for id_, member in self.members.items()}
            leaders = [id_ for id_, status in found.items() if status["leads"]]
            if len(leaders) == 1 and len({(status["applied"], status["leader"]) for status in found.values()}) == 1:
                return self.members[leaders[0]]
            time.sleep(0.05)
        raise SystemExit("the group did not get ready in time")

    def end_leader(self, by: signal.Signals, before_s: float, after_s: float) -> tuple[float, float, list[list[Write]]]:
        """Signal the leader while all members write; (when, when it was gone, the writes of each that stays)."""
        leader = self.wait_ready()
        for member in self.members.values():
            member.ask(do="begin")
        time.sleep(before_s)
        signalled = time.monotonic()
        leader.process.send_signal(by)
        leader.process.wait()
        gone = time.monotonic()
        time.sleep(after_s)
        others = [member for member in self.members.values() if member is not leader]
        writes = [member.ask(do="end")["writes"] for member in others]
        self.start(leader.id)
        return signalled, gone, writes


def measure_kills(cluster: Cluster, runs: int) -> dict[str, float]:
    """Seconds from kill -9 to the first new write that is answered."""
    taken: list[float] = []
    failures = 0
    for run in range(runs):
        # Not in step with the heartbeats.
        signalled, gone, writes = cluster.end_leader(signal.SIGKILL, 0.3 + run * 0.1 / runs, 0.9)
        taken.append(min(ended for own in writes for began, ended, problem in own if began > gone and not problem))
        taken[-1] -= signalled
        failures += sum(bool(problem) for own in writes for _, _, problem in own)
    taken.sort()
    return {
        "runs": runs,
        "median_s": statistics.median(taken),
        "p90_s": taken[min(runs - 1, runs * 9 // 10)],
        "max_s": taken[-1],
        "failures": failures,
    }


def measure_terms(cluster: Cluster, runs: int) -> dict[str, float]:
    """Failures and the longest gap over SIGTERM."""
    writes = failures = 0
    gaps: list[float] = []
    stopping: list[float] = []
    for _ in range(runs):
        signalled, gone, found = cluster.end_leader(signal.SIGTERM, 0.5, 0.5)
        stopping.append(gone - signalled)
        for own in found:
            writes += len(own)
            failures += sum(bool(problem) for _, _, problem in own)
            ends = sorted(ended for _, ended, problem in own if not problem)
            gaps.append(max(later - earlier for earlier, later in itertools.pairwise(ends)))
    gaps.sort()
    return {
        "runs": runs,
        "writes": writes,
        "failures": failures,
        "gap_median_s": statistics.median(gaps),
        "gap_max_s": gaps[-1],
        "stop_max_s": max(stopping),
    }


def main() -> None:
    """Parse, run."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=20, help="kills")
    parser.add_argument("--terms", type=int, default=5, help="SIGTERMs")
    parser.add_argument("--json", action="store_true", help="one line of JSON")
    parser.add_argument("--member", nargs=3, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.member:
        id_, ports, directory = arguments.member
        asyncio.run(be_member(int(id_), [int(port) for port in ports.split(",")], directory))
        return
    with tempfile.TemporaryDirectory(prefix="raftly-failover-") as root, Cluster(Path(root)) as cluster:
        kills = measure_kills(cluster, arguments.runs) if arguments.runs else {}
        terms = measure_terms(cluster, arguments.terms) if arguments.terms else {}
    if arguments.json:
        print(json.dumps({"target_s": TARGET_S, "kill": kills, "term": terms}))
        return
    if kills:
        met = "met" if kills["median_s"] <= TARGET_S else "missed"
        print(
            f"kill -9 of the leader, {kills['runs']} runs: median {kills['median_s']:.3f} s, "
            f"p90 {kills['p90_s']:.3f} s, max {kills['max_s']:.3f} s (target: median {TARGET_S} s, {met}); "
            f"{kills['failures']} writes failed"
        )
    if terms:
        print(
            f"SIGTERM of the leader, {terms['runs']} runs: {terms['failures']} of {terms['writes']} writes failed "
            f"(target: 0); longest gap {terms['gap_max_s']:.3f} s, median {terms['gap_median_s']:.3f} s; "
            f"the process ended in {terms['stop_max_s']:.3f} s at most"
        )


if __name__ == "__main__":
    main()
