"""One run from a seed: a script carried out, then everything healed and made to work again."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from traceback import extract_tb
from typing import Final, final

from raftly.core.raft import Raft
from raftly.core.trace import RoleChanged, TraceEvent, Tracer
from raftly.errors import RaftlyError
from raftly.testing.core_sim.faults import Fault, plan
from raftly.testing.core_sim.healing import NEVER, converge, heal
from raftly.testing.core_sim.inject import Injector
from raftly.testing.core_sim.modelled import modelled_script
from raftly.testing.core_sim.options import Options
from raftly.testing.core_sim.record import CoreRecorder
from raftly.testing.core_sim.world import World
from raftly.testing.linearizability import Violation

LIVENESS_S: Final = 20.0
"""When all is healed the cluster has come to rest, and done some work, within so many virtual seconds."""


@final
@dataclass(slots=True)
class Outcome:
    """What came of a run."""

    seed: int
    problem: str = ""
    """What failed; empty when nothing did."""
    stopped: bool = False
    """It was looked at only so far: what would have come later is not judged."""
    digest: str = ""
    seconds: float = 0.0
    """Virtual, all of it."""
    events: int = 0
    recovery_s: float = 0.0
    script: list[Fault] = field(default_factory=list)
    struck: Counter[str] = field(default_factory=Counter)
    """Script events that happened, by kind."""
    counts: Counter[str] = field(default_factory=Counter)
    """What there was to be judged."""
    coverage: dict[tuple[str, str], int] = field(default_factory=dict)
    """How often a message of a type was handled in a role."""
    rare: Counter[str] = field(default_factory=Counter)
    """What seldom happens, and is worth knowing that it did."""
    lines: list[str] = field(default_factory=list)
    violation: Violation | None = None
    """Where the history stops being linearizable, if that is the problem."""


@final
class _Roles:
    """Tells of the roles that nodes take, in the timeline."""

    def __init__(self, world_of: Callable[[], World | None]) -> None:
        self._world_of = world_of

    def on_event(self, node: Raft, event: TraceEvent) -> None:
        world = self._world_of()
        if world is not None and isinstance(event, RoleChanged):
            log = node.log
            where = f"in term {node.term}, log to {log.last_term}/{log.last_index}, committed {log.committed}"
            world.note(node.id, event.role.value.removeprefix("State").lower(), where)


def problem_of(error: Exception) -> str:
    """What to tell of a run that ended so; where it happened too, unless the error is one that says what is wrong."""
    problem = f"{type(error).__name__}: {error}"
    frames = extract_tb(error.__traceback__)
    if not frames or isinstance(error, RaftlyError | OSError) or (isinstance(error, AssertionError) and str(error)):
        return problem
    last = frames[-1]
    return f"{problem} ({Path(last.filename).name}:{last.lineno} in {last.name})"


def run(
    seed: int,
    options: Options | None = None,
    script: Sequence[Fault] | None = None,
    *,
    tracer: Tracer | None = None,
    keep: int | None = 0,
    until: float | None = None,
    recorder: CoreRecorder | None = None,
) -> Outcome:
    """Run a seed with its script, or another; raises nothing. `keep` so many lines of what happened, None: all.

    With `until` it stops there, in virtual seconds, be it before the healing or in it. `recorder` takes all of it
    down for a page.
    """
    options = options or Options()
    outcome = Outcome(seed)
    world: World | None = None
    if tracer is None and keep != 0:
        tracer = _Roles(lambda: world)
    try:
        world = World(seed, options, tracer, keep, recorder)
        if script is None:
            script = plan(Random(f"{seed}/script"), world.ids, options.profile, options.seconds, options.rate)
            if options.modelled:
                script = modelled_script(script)
        outcome.script = list(script)
        Injector(world, script)
        heal_us = int(options.seconds * 1e6)
        stop_us = NEVER if until is None else int(until * 1e6)
        world.run_until(min(heal_us, stop_us))
        if heal_us < stop_us:
            heal(world)
            outcome.recovery_s = converge(world, int(LIVENESS_S * 1e6), stop_us) / 1e6
        outcome.stopped = world.now >= stop_us
    except Exception as error:  # noqa: BLE001 - whatever it is, it is a failure of this seed
        outcome.problem = problem_of(error)
    if world is not None:
        outcome.digest = world.final_digest()
        outcome.seconds = world.now / 1e6
        outcome.events = world.events
        outcome.struck, outcome.counts, outcome.coverage = world.struck, world.checker.counts, world.coverage
        outcome.rare = world.rare + world.checker.rare
        outcome.lines = list(world.lines)
    return outcome
