"""A run: processes, clients, faults; a chapter at a time, each with a history of its own that is checked at its end."""

from __future__ import annotations

import asyncio
import random
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import final

from raftly.errors import RaftlyError
from raftly.node import FOLLOWER, Remote, RemoteOptions, connect
from raftly.testing.history import Operation
from raftly.testing.linearizability import check
from raftly.testing.processes import ProcessCluster, free_ports
from tests.cluster.support.clients import Book, Clients, connect_only, watch
from tests.cluster.support.faults import AnyOf, Fault, Killer, Nemesis, Network, Parter, Pauser, leader_of
from tests.cluster.support.registers import TARGET, Registers

MODES = ("kill", "pause", "partition", "mixed")
HEAL_S_MAX = 60.0
PROGRESS = 150  # writes between two faults, at least
MEMBERS = 3


@final
@dataclass(frozen=True, slots=True)
class Setting:
    """What a run is made of."""

    mode: str = "kill"
    seed: int = 1
    clients: int = 8
    keys: int = 5
    snapshot_entries: int = 1000


@final
@dataclass(slots=True)
class Chapter:
    """What was found."""

    number: int
    operations: list[Operation]
    faults: list[Fault]
    problems: list[str]
    acknowledged: int
    unknown: int
    refused: int
    undecided: int
    check_s: float
    resumed_s: list[tuple[str, float]] = field(default_factory=list)
    """For each fault, from when a majority could go on to the first write that began then and was acknowledged."""


@final
class Run:
    """Made by `started`."""

    def __init__(self, cluster: ProcessCluster, remote: Remote[Registers], nemesis: Nemesis, setting: Setting) -> None:
        self.cluster = cluster
        self._remote = remote
        self._nemesis = nemesis
        self._setting = setting
        self._clients = Clients(cluster.addresses, setting.clients, setting.seed)
        self._chapters = 0

    async def chapter(self, cycles: int) -> Chapter:
        """So many faults under load, then quiet; and what a look at everything finds."""
        self._chapters += 1
        book = Book(self._chapters, self._setting.keys)
        await self._remote.within(HEAL_S_MAX).call(Registers.begin, book.number)
        self._clients.start(book)
        if self._setting.mode in ("pause", "mixed"):
            for id_ in self.cluster.ids:
                self._clients.also(watch(self._clients, book, 100 + id_, self.cluster.address(id_)))
        faults: list[Fault] = []
        problems: list[str] = []
        while len(faults) < cycles and not problems:
            faults.append(await self._nemesis.cycle())
            problems += await self._goes_on(book)
        await self._clients.stop()
        problems = problems or await self._final_reads(book)
        began = time.monotonic()
        verdict = await asyncio.to_thread(check, book.history.operations)
        if not verdict.holds:
            problems.append(str(verdict))
        return Chapter(
            book.number,
            book.history.operations,
            faults,
            problems,
            len(book.acknowledged),
            len(book.unknown),
            len(book.refused),
            len(verdict.undecided),
            time.monotonic() - began,
            _resumed(book, faults),
        )

    async def _goes_on(self, book: Book) -> list[str]:
        """Wait until clients are served; it is under load that faults are to come."""
        wanted = len(book.acknowledged) + PROGRESS
        deadline = time.monotonic() + HEAL_S_MAX
        while len(book.acknowledged) < wanted:
            ended = self.cluster.failed()
            if ended or time.monotonic() > deadline:
                problems = [f"member {id_} ended by itself:\n{said}" for id_, said in ended.items()]
                return problems or [f"fewer than {PROGRESS} writes were acknowledged in {HEAL_S_MAX:g} s"]
            await asyncio.sleep(0.05)
        return []

    async def _final_reads(self, book: Book) -> list[str]:
        """Ask the leader, then each replica: the history goes on with these reads, and all must hold the same."""
        problems: list[str] = []
        found = []
        for number, id_ in enumerate([0, *self.cluster.ids]):
            remote = self._remote if not id_ else connect_only(self.cluster.address(id_), HEAL_S_MAX)
            reading = remote.within(HEAL_S_MAX).reading(FOLLOWER)
            reads = [book.history.invoke(1000 + number, "read", key) for key in book.keys]
            try:
                values, applied = await (reading if id_ else remote.within(HEAL_S_MAX)).ask(Registers.everything)
            except RaftlyError as error:
                problems.append(f"{f'node {id_}' if id_ else 'the group'} did not come back: {error!r}")
                for read in reads:
                    read.refused()
            else:
                for read, key in zip(reads, book.keys, strict=True):
                    read.returned(values.get(key))
                found.append(applied)
            if id_:
                await remote.close()
        for applied in found:
            problems += _lost(book, applied)
        return list(dict.fromkeys(problems))


def _lost(book: Book, applied: dict[int, int]) -> list[str]:
    """Acknowledged: applied exactly once. Unknown: at most once. Refused: never."""
    return [
        *(f"{value} was acknowledged, and applied {applied.get(value, 0)} times" for value in book.acknowledged
          if applied.get(value) != 1),
        *(f"{value} had an unknown outcome, and was applied {applied[value]} times" for value in sorted(book.unknown)
          if applied.get(value, 0) > 1),
        *(f"{value} was refused, and applied" for value in sorted(book.refused) if value in applied),
    ]  # fmt: skip


def _resumed(book: Book, faults: list[Fault]) -> list[tuple[str, float]]:
    writes = sorted(
        (operation.start, operation.end)
        for operation in book.history.operations
        if operation.name != "read" and not operation.is_unknown
    )
    found = []
    for fault in faults:
        ends = [end for start, end in writes if start >= fault.at]
        if ends:
            found.append((fault.what, min(ends) - fault.at))
    return found


@asynccontextmanager
async def started(root: Path, setting: Setting) -> AsyncIterator[Run]:
    """A group of three processes, and what is to happen to them."""
    rng = random.Random(setting.seed)
    async with AsyncExitStack() as stack:
        ports = free_ports(2 * MEMBERS)
        network = Network(ports[:MEMBERS], ports[MEMBERS:])
        through_proxies = setting.mode in ("partition", "mixed")
        if through_proxies:
            await network.start()
            stack.push_async_callback(network.close)
        cluster = stack.enter_context(
            ProcessCluster(
                TARGET,
                root,
                MEMBERS,
                config={"snapshot_entries": setting.snapshot_entries},
                ports=ports[:MEMBERS],
                advertised=network.advertised if through_proxies else None,
            )
        )
        remote = await stack.enter_async_context(
            connect(Registers, cluster.addresses, options=RemoteOptions(call_timeout=HEAL_S_MAX, seed=setting.seed))
        )
        nemeses: dict[str, Nemesis] = {
            "kill": Killer(cluster, remote, rng),
            "pause": Pauser(cluster, remote, rng),
            "partition": Parter(network, remote, rng),
        }
        nemesis = nemeses.get(setting.mode) or AnyOf(list(nemeses.values()), rng)
        cluster.start()
        await leader_of(remote, cluster.ids, rng)
        yield Run(cluster, remote, nemesis, setting)


@final
class Totals:
    """The figures of a run."""

    def __init__(self) -> None:
        self.began = time.monotonic()
        self.chapters = 0
        self.counts: Counter[str] = Counter()
        self.faults: Counter[str] = Counter()
        self.resumed_s: dict[str, list[float]] = {}
        self.check_s_max = 0.0

    def add(self, chapter: Chapter) -> None:
        self.chapters += 1
        self.counts.update(
            operations=len(chapter.operations),
            acknowledged=chapter.acknowledged,
            unknown=chapter.unknown,
            refused=chapter.refused,
            violations=len(chapter.problems),
            undecided=chapter.undecided,
        )
        self.faults.update(fault.what for fault in chapter.faults)
        for what, seconds in chapter.resumed_s:
            self.resumed_s.setdefault(what, []).append(seconds)
        self.check_s_max = max(self.check_s_max, chapter.check_s)

    def figures(self) -> dict[str, object]:
        """As JSON has them."""
        return {
            "seconds": round(time.monotonic() - self.began, 1),
            "histories": self.chapters,
            "cycles": self.faults.total(),
            **{name: self.counts[name] for name in sorted(self.counts)},
            "faults": dict(sorted(self.faults.items())),
            "resumed_s": {what: _spread(found) for what, found in sorted(self.resumed_s.items())},
            "check_s_max": round(self.check_s_max, 2),
        }


def _spread(found: list[float]) -> dict[str, float]:
    found = sorted(found)
    return {
        "median": round(found[len(found) // 2], 2),
        "p99": round(found[min(len(found) - 1, len(found) * 99 // 100)], 2),
        "max": round(found[-1], 2),
    }
