"""The core and the log alone, whole clusters on virtual time from a seed: many events a second, every fault of theirs.

    outcome = run(seed=7, options=Options(profile="storm"))        raises nothing: a failure is in the outcome
    outcome = run(7, options, script=outcome.script[:10])          the same with other faults and client events

Under test, unchanged, are `raftly.core` and `raftly.storage.LogStore`, the latter on a MemFs; the loop around them is
the one of `raftly.node.driver` in small. There is no asyncio: a commit of the log is a coroutine that stops at each
sync, and goes on when the simulated disk is done.

Invariants:

1. One seed, one set of options and one script give one run, to the last event; `Outcome.digest` tells, in any
   process and under any PYTHONHASHSEED.
2. A script is a list of plain events (`faults.Fault`): what goes wrong and what clients do. Each undoes itself after
   its time and passes over what is not there, so any part of a script is a script: that is what `shrink` needs.
3. All checks of `raftly.testing.checks` are on, after every event.
4. At the end everything is healed; then a write must be acknowledged, one leader stand, all members be equal and all
   counters at rest within `LIVENESS_S`. A run also has a budget of events.

Reading order: `faults` (scripts as data), `options` (what is drawn from a seed), `network`, `node` (core, log and disk
of one node), `world` (the events), `inject` (scripts carried out), `healing`, `record` (for a page about a run), `run`;
then `kinds` (these runs and those of whole nodes under one protocol), `shrink`, `fleet` (many runs on many processors).
"""

from raftly.testing.core_sim.faults import KINDS, PROFILES, Fault, from_line, plan, to_line
from raftly.testing.core_sim.options import Options
from raftly.testing.core_sim.run import LIVENESS_S, Outcome, run

__all__ = ["KINDS", "LIVENESS_S", "PROFILES", "Fault", "Options", "Outcome", "from_line", "plan", "run", "to_line"]
