"""Many runs on many processors, and what they come to together."""

from __future__ import annotations

import gc
import multiprocessing
import signal
import time
from collections import Counter
from collections.abc import Generator, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from dataclasses import dataclass, field, replace
from random import Random
from typing import Final, final

from raftly.node.parent import end_with_parent
from raftly.testing.core_sim.faults import CLIENT_KINDS, PROFILES
from raftly.testing.core_sim.kinds import Job
from raftly.testing.core_sim.options import Options
from raftly.testing.core_sim.run import Outcome
from raftly.testing.linearizability import Violation
from raftly.testing.sim import PROFILES as FULL_PROFILES

PROFILE_NAMES: Final = {"core": tuple(PROFILES), "full": tuple(FULL_PROFILES)}
"""By kind of run: some are of whole nodes only."""
_SIZES: Final = {"core": (3, 3, 3, 3, 5, 3, 1, 2, 4, 5), "full": (3, 3, 3, 3, 5)}
_AHEAD: Final = 2  # jobs given to each process beyond the one it works on


def jobs_of(seeds: Iterable[int], options: Options, profile: str, full_share: float) -> Iterator[Job]:
    """A job a seed: a share of them whole nodes, and all of them when the core has no such profile.

    Profile, size and transport are drawn from the seed, each by itself, so that every pair of them occurs.
    """
    for seed in seeds:
        whole = (seed * 2654435761 % (1 << 32)) / (1 << 32) < full_share
        kind = "full" if whole or (profile and profile not in PROFILES) else "core"
        name = profile or profile_of(kind, seed)
        yield Job(kind, seed, replace(options, profile=name, size=options.size or size_of(kind, seed)))


def profile_of(kind: str, seed: int) -> str:
    """The profile that is drawn for a seed, each as often."""
    return Random(f"{seed}/profile").choice(PROFILE_NAMES[kind])


def size_of(kind: str, seed: int) -> int:
    """How many nodes a seed has: three, mostly; one of five has five, and cores also have one, two and four."""
    return Random(f"{seed}/size").choice(_SIZES[kind])


@final
@dataclass(slots=True)
class Totals:
    """What many runs came to."""

    passed: int = 0
    failures: list[tuple[Job, str]] = field(default_factory=list)
    violations: list[tuple[Job, Violation]] = field(default_factory=list)  # of those whose history is not linearizable
    seeds: Counter[str] = field(default_factory=Counter)  # by kind of run
    seconds: Counter[str] = field(default_factory=Counter)  # virtual ones, by kind, rounded
    events: Counter[str] = field(default_factory=Counter)
    cpu_s: Counter[str] = field(default_factory=Counter)
    struck: Counter[str] = field(default_factory=Counter)
    counts: Counter[str] = field(default_factory=Counter)
    rare: Counter[str] = field(default_factory=Counter)
    coverage: dict[tuple[str, str], int] = field(default_factory=dict)
    recovery_s_max: float = 0.0
    wall_s: float = 0.0

    def add(self, job: Job, outcome: Outcome, cpu_s: float) -> None:
        """One run more."""
        kind = job.kind
        if outcome.problem:
            self.failures.append((job, outcome.problem))
        else:
            self.passed += 1
        if outcome.violation is not None:
            self.violations.append((job, outcome.violation))
        self.seeds[kind] += 1
        self.seconds[kind] += round(outcome.seconds)
        self.events[kind] += outcome.events
        self.cpu_s[kind] += cpu_s  # type: ignore[assignment]  # a Counter of floats
        self.struck.update(outcome.struck)
        self.counts.update(outcome.counts)
        self.rare.update(outcome.rare)
        self.recovery_s_max = max(self.recovery_s_max, outcome.recovery_s)
        for pair, count in outcome.coverage.items():
            self.coverage[pair] = self.coverage.get(pair, 0) + count

    def faults(self) -> dict[str, int]:
        """Those that happened, without what clients did."""
        return {kind: count for kind, count in sorted(self.struck.items()) if kind not in CLIENT_KINDS}

    def rates(self, kind: str) -> tuple[float, float]:
        """Events a second of processor time, and virtual seconds."""
        cpu_s = self.cpu_s[kind] or 1e-9
        return self.events[kind] / cpu_s, self.seconds[kind] / cpu_s


def make(job: Job) -> tuple[Job, Outcome, float]:
    """Make a run, here; with its processor time."""
    begun = time.process_time()
    outcome = job.run()
    cpu_s = time.process_time() - begun
    if not outcome.problem:
        outcome.script = []  # not worth sending
    if job.kind == "full":
        gc.collect()  # what is left of a world is in circles, and too old by now to be looked at soon
    return job, outcome, cpu_s


def make_all(
    jobs: Iterable[Job], processes: int, until: float | None = None
) -> Generator[tuple[Job, Outcome, float], None, None]:
    """Make all runs, as they come; none is begun after `until`, a time of `time.monotonic`.

    Closed, or interrupted, it waits for those that have begun; of what is more, nothing is made.
    """
    source = iter(jobs)
    if processes <= 1:
        for job in source:
            yield make(job)
            if until is not None and time.monotonic() >= until:
                return
        return
    context = multiprocessing.get_context("spawn")
    pool = ProcessPoolExecutor(processes, mp_context=context, initializer=_begin)
    try:
        running: set[Future[tuple[Job, Outcome, float]]] = set()
        open_ = True
        while open_ or running:
            while open_ and len(running) < processes * (1 + _AHEAD):
                given = next(source, None)
                if given is None or (until is not None and time.monotonic() >= until):
                    open_ = False
                else:
                    running.add(pool.submit(make, given))
            done, running = wait(running, return_when=FIRST_COMPLETED)
            for future in done:
                yield future.result()
    finally:
        pool.shutdown(cancel_futures=True)


def _begin() -> None:
    """In each process: Ctrl-C in a terminal comes to all of them, and the first one ends the others."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    end_with_parent()
