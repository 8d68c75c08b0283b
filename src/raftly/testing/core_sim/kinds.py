"""The two kinds of runs under one protocol, and their files: what replaying, shrinking and counting need to know.

    outcome = RUNNERS["core"](seed, options, script)        script None: the one that the seed plans

A file of a run has its kind, seed and options in the first line, then one line an event of its script:

    {"kind": "core", "seed": 7, "options": {"profile": "storm", "size": 3, "seconds": 20.0}}
    [0.31, "crash", [1], 0.002, 0.0]
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from random import Random
from typing import Final, TypeAlias, final

from raftly.errors import DecodeError
from raftly.testing.core_sim.faults import Fault, from_line, to_line
from raftly.testing.core_sim.options import Options
from raftly.testing.core_sim.run import Outcome, problem_of
from raftly.testing.core_sim.run import run as run_core
from raftly.testing.html import TraceEvent
from raftly.testing.sim import NotLinearizable, Recorder, RunOptions, Trace, run_of, scenario_of
from raftly.testing.sim import from_line as from_full_line

Runner: TypeAlias = Callable[[int, Options, Sequence[Fault] | None], Outcome]


def loses_messages(seed: int) -> bool:
    """Does a run of whole nodes have Raft's messages on links that lose them? In half of the seeds; others use TCP."""
    return Random(f"{seed}/transport").random() < 0.5


def run_full(
    seed: int,
    options: Options,
    script: Sequence[Fault] | None = None,
    *,
    sink: Callable[[str], None] | None = None,
    recorded: list[TraceEvent] | None = None,
) -> Outcome:
    """A run of whole nodes as an Outcome, what its clients do drawn from the seed; its history is judged.

    `sink` hears every line of the trace; what a page shows goes into `recorded`.
    """
    given = RunOptions(
        size=options.size, profile=options.profile, seconds=options.seconds, messages=loses_messages(seed)
    )
    outcome = Outcome(seed)
    try:
        whole = run_of(seed, faults=script, trace=Trace(sink=sink), options=given)
    except Exception as error:  # noqa: BLE001 - whatever it is, it is a failure of this seed
        outcome.problem = problem_of(error)
        return outcome
    recorder = None if recorded is None else Recorder(whole)
    outcome.script = list(whole.faults)
    try:
        report = whole.go()
        outcome.recovery_s = report.recovery_s
        outcome.counts = report.judged
    except Exception as error:  # noqa: BLE001 - likewise
        outcome.problem = problem_of(error)
        if isinstance(error, NotLinearizable):
            outcome.violation = error.verdict.violations[0]
    outcome.digest = whole.world.trace.digest()
    outcome.seconds, outcome.events, outcome.struck = whole.world.now, whole.world.events, whole.struck
    outcome.rare = +whole.world.rare
    if whole.watch is not None:
        outcome.rare += whole.watch.checker.rare
        outcome.coverage = whole.watch.coverage
    outcome.counts["operations"] += len(whole.history.operations)
    outcome.counts[f"histories of {scenario_of(seed)}"] += 1
    if recorded is not None and recorder is not None:
        recorded += recorder.events()
    return outcome


RUNNERS: Final[dict[str, Runner]] = {"core": run_core, "full": run_full}


@final
@dataclass(frozen=True, slots=True)
class Job:
    """One run to be made."""

    kind: str
    seed: int
    options: Options
    script: tuple[Fault, ...] | None = None

    def run(self) -> Outcome:
        """Make it."""
        return RUNNERS[self.kind](self.seed, self.options, self.script)

    def command(self) -> str:
        """A line for a shell that does it again."""
        options = self.options
        kind = "" if self.kind == "core" else f" --kind {self.kind}"
        return (
            f"raftly sim replay {self.seed}{kind} --profile {options.profile} --size {options.size} "
            f"--seconds {options.seconds:g}{' --tla trace.ndjson' if options.modelled else ''}"
        )

    def save(self, path: Path) -> None:
        """Write a file of it; it needs a script."""
        shape = asdict(self.options)
        head = {"kind": self.kind, "seed": self.seed, "options": shape}
        lines = [json.dumps(head), *map(to_line, self.script or ())]
        path.write_text("\n".join(lines) + "\n", encoding="utf-8")


def load(path: Path) -> Job:
    """What `Job.save` wrote.

    Raises:
        DecodeError: it is something else.
    """
    head, *lines = path.read_text(encoding="utf-8").splitlines()
    try:
        fields = json.loads(head)
        kind, seed, options = str(fields["kind"]), int(fields["seed"]), replace(Options(), **fields["options"])
        reader = {"core": from_line, "full": from_full_line}[kind]
    except (ValueError, TypeError, KeyError) as error:
        raise DecodeError("script", 0, f"{path.name} does not begin with a run: {error}") from error
    return Job(kind, seed, options, tuple(reader(line) for line in lines))
