"""Scripts: what goes wrong and what clients do, when and for how long, as plain data drawn from a seed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from random import Random
from typing import Final

from raftly.base.types import NodeId
from raftly.testing.sim.faults import KINDS as FULL_KINDS
from raftly.testing.sim.faults import Fault, Tempo, to_line
from raftly.testing.sim.faults import from_line as fault_from_line

__all__ = ["CLIENT_KINDS", "KINDS", "PROFILES", "Fault", "Tempo", "from_line", "plan", "to_line"]

CLIENT_KINDS: Final[Mapping[str, str]] = {
    "write": "a client proposes amount payloads, at a leader or else at nodes[0]",
    "read": "a client asks for a linearizable read, at a leader or else at nodes[0]",
}
_OF_WHOLE_NODES: Final = frozenset(
    {"reset", "wall_jump", "snapshot", "grow", "stop", "rolling", "wipe", "bit_rot", "bad_write", "replace"}
    | {"suspend", "narrow_link", "write_error", "read_error", "crash_at_callback"}
)
_OF_THE_CORE: Final = {
    "late": "of what nodes[0] sends, half arrives up to amount seconds late",
    "campaign": "nodes[0] starts an election",
    "leader_lost": "nodes[0] is told that the connection to its leader closed, true or not",
    "compact": "nodes[0] makes a snapshot and cuts its log",
    "change": "whoever leads is asked for a change of members, single or joint, with learners or not, drawn by amount",
    "raft_rs": "nodes[0] does what only raft-rs has, drawn by amount: priorities, commit groups, asking for snapshots",
}
KINDS: Final[Mapping[str, str]] = {
    **{kind: text for kind, text in FULL_KINDS.items() if kind not in _OF_WHOLE_NODES},
    **_OF_THE_CORE,
}
"""Every kind of fault, and what it does."""

_NET: Final = {
    "isolate": 3.0, "deaf": 1.0, "mute": 1.0, "split": 2.0, "bridge": 1.0, "cut": 2.0, "flap": 1.0, "slow_link": 1.0,
    "loss": 1.0, "late": 1.0,
}  # fmt: skip
_DISK: Final = {"slow_disk": 1.0, "stall_disk": 1.0, "full_disk": 0.5, "sync_error": 0.5, "crash_at_write": 2.0}
_CORE: Final = {"transfer": 1.0, "campaign": 0.5, "leader_lost": 1.0, "compact": 1.0, "change": 0.7, "raft_rs": 0.7}
_DOWN: Final = {"crash": 4.0, "exit": 2.0, "crash_all": 0.5, "pause": 2.0}

PROFILES: Final[Mapping[str, Tempo]] = {
    "calm": Tempo({}, 1.0, 0.1, 0.1),
    "uniform": Tempo({**_NET, **_DISK, **_CORE, **_DOWN, "clock_rate": 1.0}, 0.4, 0.02, 2.0),
    "storm": Tempo(
        {"crash": 8, "exit": 4, "crash_at_write": 4, "isolate": 1, "campaign": 2, "leader_lost": 2, "transfer": 1},
        0.06,
        0.001,
        0.015,
    ),
    "disk": Tempo({**_DISK, "crash": 3, "exit": 1, "compact": 2, "full_disk": 2, "sync_error": 2}, 0.3, 0.02, 1.5),
    "partitions": Tempo({**_NET, "transfer": 1, "leader_lost": 1}, 0.3, 0.02, 2.0),
    "membership": Tempo(
        {
            "change": 10,
            "transfer": 2,
            "crash": 2,
            "isolate": 2,
            "split": 2,
            "compact": 2,
            "exit": 1,
            "leader_lost": 1,
            "raft_rs": 1,
        },
        0.15,
        0.02,
        1.5,
    ),
    "clocks": Tempo(
        {
            "clock_rate": 5,
            "pause": 4,
            "isolate": 3,
            "late": 3,
            "transfer": 2,
            "leader_lost": 4,
            "campaign": 1,
            "cut": 2,
        },
        0.15,
        0.02,
        1.0,
    ),
    "overload": Tempo({"slow_link": 3, "slow_disk": 3, "pause": 4, "loss": 3, "late": 2, "crash": 1}, 0.3, 0.05, 2.0),
}
"""By name. In every run some kinds of a profile are left out, drawn, so that the others are met alone."""


def plan(random: Random, ids: Sequence[NodeId], profile: str, seconds: float, rate: float) -> list[Fault]:
    """A script of so many seconds, by times, with about `rate` client events a second.

    Raises:
        KeyError: there is no such profile.
    """
    tempo = PROFILES[profile]
    kinds = [kind for kind in tempo.weights if random.random() < 0.75] or list(tempo.weights)
    script: list[Fault] = []
    if kinds:
        weights = [tempo.weights[kind] for kind in kinds]
        at = random.uniform(0.2, 1.0)
        while at < seconds:
            kind = random.choices(kinds, weights)[0]
            low, high = tempo.span_s_min, tempo.span_s_max
            span = min(low * (high / low) ** random.random(), seconds - at)
            script.append(_draw(random, kind, ids, at, span))
            at += random.expovariate(1.0 / tempo.gap_s_mean)
    at = random.expovariate(rate)
    while at < seconds:
        kind = "write" if random.random() < 0.7 else "read"
        amount = random.choice((1.0, 1.0, 1.0, 5.0, 20.0)) if kind == "write" else 0.0
        script.append(Fault(at, kind, (random.choice(ids),), 0.0, amount))
        at += random.expovariate(rate)
    return sorted(script, key=lambda fault: fault.at)


def _draw(random: Random, kind: str, ids: Sequence[NodeId], at: float, span: float) -> Fault:
    nodes = random.sample(list(ids), len(ids))
    count, amount = 1, 0.0
    if kind in {"cut", "flap"}:
        count = min(2, len(nodes))
    elif kind == "split":
        count = random.randrange(1, max(len(nodes), 2))
    elif kind == "crash_all":
        count = 0
    if kind == "crash_at_write":
        amount = float(random.randrange(1, 30))
    elif kind == "flap":
        amount = random.uniform(0.01, 0.3)
    elif kind in {"slow_link", "slow_disk"}:
        amount = random.choice((10.0, 100.0))
    elif kind == "loss":
        amount = random.uniform(0.01, 0.3)
    elif kind == "late":
        amount = random.uniform(0.05, 3.0)
    elif kind == "full_disk":
        amount = float(random.choice((0, 100, 5000)))
    elif kind == "clock_rate":
        amount = random.uniform(0.9, 1.1)
    elif kind in {"change", "raft_rs"}:
        amount = float(random.randrange(1 << 30))
    return Fault(at, kind, tuple(nodes[:count]), span, amount)


def from_line(line: str) -> Fault:
    """What `to_line` wrote.

    Raises:
        DecodeError: it is something else.
    """
    return fault_from_line(line, {*KINDS, *CLIENT_KINDS})
