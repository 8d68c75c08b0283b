"""Runs whose traces the TLA+ specification of etcd-io/raft can replay: made of what it knows, and of nothing else.

It persists what a node accepts with a Ready at once, so these disks take no time and lose nothing, and a Ready is done
with before the next. It knows neither joint configurations nor messages that arrive twice nor the answers that
check-quorum gives to an older term nor candidates that ask for pre-votes and then follow again, and its snapshots are
acknowledged otherwise than ours: none of these is here. A group begins with one configuration entry a member.
Heartbeats are rare, so that the trace has room for more.
"""

from __future__ import annotations

from collections.abc import Iterable
from random import Random
from typing import Final

from raftly.core.config import Config
from raftly.testing.core_sim.faults import Fault

EVENTS_MAX: Final = 500
"""Of one trace; a longer one takes the model checker too long, and what a trace begins with is a trace as well."""
KINDS: Final = frozenset(
    {"write", "crash", "exit", "crash_all", "pause", "transfer", "campaign", "leader_lost", "clock_rate"}
    | {"isolate", "deaf", "mute", "split", "bridge", "cut", "flap", "slow_link", "late"}
)
WRITES_PER_S: Final = 5.0


def modelled_script(script: Iterable[Fault]) -> list[Fault]:
    """Those events of a script that the specification knows the consequences of."""
    return [fault for fault in script if fault.kind in KINDS]


def modelled_config(random: Random, seed: int) -> Config:
    """Options of the core for such a run."""
    return Config(
        id=1,
        seed=seed,
        election_tick=10,
        heartbeat_tick=random.choice((3, 5, 8)),
        max_size_per_msg=random.choice((0, 40, 1 << 20)),
        max_inflight_msgs=random.choice((1, 2, 256)),
    )
