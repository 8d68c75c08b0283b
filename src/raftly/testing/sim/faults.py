"""Faults as plain data: what goes wrong, when, and for how long.

    faults = plan(random, ids=(1, 2, 3), profile="storm", seconds=20.0)
    await inject(cluster, faults)          all of them, each undone after its time; returns when all is well again

A fault undoes itself (all but those that replace a node) and passes over nodes that are not there; where a node is to
come and has not, it strikes the one that is to go (`Successors`). So any part of a list is a list too: that is what a
shrinker needs. `to_line` and `from_line` are its form in files.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Container, Mapping, Sequence
from dataclasses import dataclass, replace
from random import Random
from typing import Final, final

from raftly.base.types import NodeId
from raftly.errors import DecodeError


@final
@dataclass(frozen=True, slots=True)
class Fault:
    """At `at` seconds from the beginning, for `seconds`. What `nodes` and `amount` mean depends on the kind."""

    at: float
    kind: str
    nodes: tuple[NodeId, ...] = ()
    seconds: float = 0.0
    amount: float = 0.0

    def __str__(self) -> str:
        """As one would tell it."""
        nodes = ",".join(map(str, self.nodes))
        amount = f" {self.amount:g}" if self.amount else ""
        return f"{self.at:.3f} s: {self.kind} {nodes}{amount} for {self.seconds:.3f} s"


KINDS: Final[Mapping[str, str]] = {
    "crash": "power of nodes[0] is off; what was not synced is lost, in part or whole",
    "exit": "the process of nodes[0] is killed; its machine, and what it wrote, stay",
    "crash_at_write": "nodes[0] loses power before the amount-th change of its disk from now",
    "crash_at_callback": "nodes[0] loses power after the amount-th callback from now, in the middle of a turn",
    "crash_all": "power of all nodes fails at once",
    "pause": "the process of nodes[0] stands still",
    "suspend": "the machine of nodes[0] sleeps, reached by nobody; its monotonic clock does not count that time",
    "isolate": "nodes[0] neither reaches the others nor is reached",
    "deaf": "nodes[0] reaches the others, nothing reaches it",
    "mute": "nothing that nodes[0] sends arrives",
    "split": "`nodes` on one side, the others on the other",
    "bridge": "nodes[0] reaches all; the others are two halves that do not reach each other",
    "cut": "nothing goes from nodes[0] to nodes[1]",
    "flap": "both ways between nodes[0] and nodes[1] break and mend every amount seconds",
    "reset": "every connection between nodes[0] and nodes[1] is reset",
    "slow_link": "what nodes[0] sends takes amount times as long",
    "narrow_link": "of what nodes[0] sends, amount bytes pass in a second to each other host",
    "loss": "of what nodes[0] sends, this part is lost, doubled or overtaken",
    "slow_disk": "syncs of nodes[0] take amount times as long",
    "stall_disk": "no sync of nodes[0] ends",
    "full_disk": "the disk of nodes[0] has room for amount bytes more",
    "sync_error": "the next sync of nodes[0] fails; its process is started again",
    "write_error": "after amount writes of nodes[0], one fails; its process is started again",
    "read_error": "the process of nodes[0] is killed and started; one in amount of its reads fails",
    "clock_rate": "the clocks of nodes[0] run amount times as fast",
    "wall_jump": "the wall clock of nodes[0] is set by amount seconds, and back",
    "transfer": "whoever leads is asked to hand over to nodes[0]",
    "snapshot": "nodes[0] makes a snapshot",
    "grow": "nodes[0], a new one, is added, and removed again",
    "stop": "nodes[0] is told to end and does so in good order",
    "rolling": "every node, one after the other, is told to end, and started again",
    "wipe": "nodes[0] loses its disk, and is replaced by nodes[1], a new one",
    "bit_rot": "a bit of what nodes[0] has on its disk flips; it starts again and is replaced by nodes[1]",
    "bad_write": "after amount writes of nodes[0], a bit of one flips on its way; then power fails; as bit_rot",
    "replace": "nodes[0] is removed for good when nodes[1], a new one, has been added",
}
"""Every kind of fault, and what it does. Those that damage a disk strike a minority at most, or else pass."""

NEWCOMERS: Final = frozenset({"grow", "replace", "wipe", "bit_rot", "bad_write"})
"""Kinds whose last node is one that is not there before."""

_REPLACE: Final = NEWCOMERS - {"grow"}

Profile = Mapping[str, float]

_ORDINARY: Final[Profile] = {
    "crash": 4, "exit": 2, "crash_at_write": 2, "crash_at_callback": 2, "crash_all": 0.5, "pause": 2, "suspend": 1,
    "isolate": 3, "deaf": 1, "mute": 1, "split": 2, "bridge": 1, "cut": 2, "flap": 1, "reset": 2, "slow_link": 1,
    "narrow_link": 1, "loss": 1, "slow_disk": 1, "stall_disk": 1, "full_disk": 0.5, "sync_error": 0.5,
    "write_error": 0.5, "read_error": 0.5, "clock_rate": 1, "wall_jump": 1, "transfer": 1, "snapshot": 1, "grow": 0.5,
    "replace": 0.5, "stop": 1, "rolling": 0.2, "wipe": 0.2, "bit_rot": 0.2, "bad_write": 0.2,
}  # fmt: skip


@final
@dataclass(frozen=True, slots=True)
class Tempo:
    """How often something goes wrong, and for how long. Seconds."""

    weights: Profile
    gap_s_mean: float
    span_s_min: float
    span_s_max: float


PROFILES: Final[Mapping[str, Tempo]] = {
    "calm": Tempo({}, 1.0, 0.1, 0.1),
    "uniform": Tempo(_ORDINARY, 1.0, 0.05, 3.0),
    "storm": Tempo(
        {"crash": 8, "exit": 4, "crash_at_write": 4, "crash_at_callback": 4, "reset": 2, "isolate": 1},
        0.15,
        0.001,
        0.015,
    ),
    "disk": Tempo(
        {
            "crash": 3,
            "crash_at_write": 6,
            "slow_disk": 3,
            "stall_disk": 3,
            "full_disk": 3,
            "sync_error": 2,
            "write_error": 2,
            "read_error": 2,
            "exit": 1,
            "wipe": 0.5,
            "bit_rot": 1,
            "bad_write": 1,
            "snapshot": 1,
        },
        0.7,
        0.05,
        2.0,
    ),
    "partitions": Tempo(
        {"isolate": 3, "deaf": 2, "mute": 2, "split": 3, "bridge": 2, "cut": 3, "flap": 2, "reset": 1, "transfer": 1},
        0.7,
        0.05,
        4.0,
    ),
    "membership": Tempo(
        {"grow": 5, "replace": 5, "transfer": 3, "crash": 2, "isolate": 2, "split": 1, "snapshot": 2, "exit": 1},
        1.0,
        0.05,
        4.0,
    ),
    "upgrade": Tempo(
        {"rolling": 4, "stop": 6, "transfer": 2, "exit": 1, "crash": 1, "isolate": 1, "snapshot": 1}, 1.5, 0.05, 3.0
    ),
    "clocks": Tempo(
        {"clock_rate": 6, "wall_jump": 3, "pause": 3, "suspend": 3, "isolate": 2, "transfer": 1}, 0.6, 0.05, 5.0
    ),
    "overload": Tempo(
        {"slow_link": 3, "narrow_link": 3, "slow_disk": 3, "pause": 4, "loss": 3, "reset": 1}, 0.5, 0.05, 3.0
    ),
}
"""By name. In every run some kinds of a profile are left out, drawn, so that the others are met alone."""


def plan(random: Random, ids: Sequence[NodeId], profile: str, seconds: float) -> list[Fault]:
    """Faults for a run of so many seconds, by their times; all have ended by then, save a crash's restart.

    Raises:
        KeyError: there is no such profile.
    """
    tempo = PROFILES[profile]
    kinds = [kind for kind in tempo.weights if random.random() < 0.75]
    if not kinds:
        kinds = list(tempo.weights)
    if not kinds:
        return []
    weights = [tempo.weights[kind] for kind in kinds]
    faults: list[Fault] = []
    present, fresh = list(ids), max(ids) + 1
    at = random.uniform(0.0, 2.0)
    while at < seconds:
        kind = random.choices(kinds, weights)[0]
        span = min(_span(random, tempo), seconds - at)
        fault = _draw(random, kind, present, at, span)
        if kind == "grow":
            fault = Fault(at, kind, (fresh,), span)
        elif kind in NEWCOMERS:
            fault = Fault(at, kind, (fault.nodes[0], fresh), span, fault.amount)
            present[present.index(fault.nodes[0])] = fresh
        fresh += kind in NEWCOMERS
        faults.append(fault)
        at += random.expovariate(1.0 / tempo.gap_s_mean)
    return faults


@final
class Successors:
    """Who is where a plan has a node: a fault that was to replace somebody may pass, or take its time."""

    def __init__(self, faults: Sequence[Fault]) -> None:
        self._old_of = {fault.nodes[1]: fault.nodes[0] for fault in faults if fault.kind in _REPLACE}

    def resolve(self, fault: Fault, known: Container[NodeId], here: Container[NodeId]) -> Fault | None:
        """The fault with nodes that are here. None: it strikes nobody. `known` have been here, and may have left."""
        if fault.kind == "grow":
            return fault
        nodes = tuple(self._standing_for(id_, known) for id_ in fault.nodes)
        if fault.kind in _REPLACE:
            return replace(fault, nodes=(nodes[0], fault.nodes[1]))
        if fault.kind == "split":
            nodes = tuple(id_ for id_ in nodes if id_ in here)
            return replace(fault, nodes=nodes) if nodes else None
        return replace(fault, nodes=nodes) if all(id_ in here for id_ in nodes) else None

    def _standing_for(self, id_: NodeId, known: Container[NodeId]) -> NodeId:
        """Whom it was to replace, as long as it has not come itself."""
        for _ in self._old_of:
            if id_ not in known:
                id_ = self._old_of.get(id_, id_)
        return id_


def _span(random: Random, tempo: Tempo) -> float:
    """Short ones are as likely as long ones: by magnitude."""
    low, high = tempo.span_s_min, tempo.span_s_max
    return float(low * (high / low) ** random.random())


_AMOUNTS: Final[Mapping[str, Callable[[Random], float]]] = {
    "crash_at_write": lambda random: float(random.randrange(1, 30)),
    "crash_at_callback": lambda random: float(random.randrange(1, 200)),
    "flap": lambda random: random.uniform(0.02, 0.5),
    "slow_link": lambda random: random.choice((10.0, 100.0, 1000.0)),
    "slow_disk": lambda random: random.choice((10.0, 100.0, 1000.0)),
    "narrow_link": lambda random: random.choice((5e4, 2e5, 1e6)),
    "loss": lambda random: random.uniform(0.01, 0.3),
    "full_disk": lambda random: float(random.choice((0, 100, 5000))),
    "write_error": lambda random: float(random.randrange(10)),
    "read_error": lambda random: random.choice((1.0, 3.0, 30.0)),
    "bad_write": lambda random: float(random.randrange(2)),
    "clock_rate": lambda random: random.uniform(0.9, 1.1),
    "wall_jump": lambda random: float(random.choice((-1, 1)) * 10 ** random.uniform(-1, 5)),
}


def _draw(random: Random, kind: str, ids: Sequence[NodeId], at: float, span: float) -> Fault:
    nodes = random.sample(list(ids), len(ids))
    count = 1
    if kind in {"cut", "flap", "reset"}:
        count = min(2, len(nodes))
    elif kind == "split":
        count = random.randrange(1, max(len(nodes), 2))
    elif kind in {"crash_all", "rolling"}:
        count = 0
    amount = _AMOUNTS[kind](random) if kind in _AMOUNTS else 0.0
    return Fault(at, kind, tuple(nodes[:count]), span, amount)


def to_line(fault: Fault) -> str:
    """One line of JSON."""
    return json.dumps([fault.at, fault.kind, list(fault.nodes), fault.seconds, fault.amount])


def from_line(line: str, kinds: Container[str] = KINDS) -> Fault:
    """What `to_line` wrote, of one of these kinds.

    Raises:
        DecodeError: it is something else.
    """
    try:
        at, kind, nodes, seconds, amount = json.loads(line)
        fault = Fault(float(at), str(kind), tuple(map(int, nodes)), float(seconds), float(amount))
    except (ValueError, TypeError) as error:
        raise DecodeError("fault", 0, f"{line.strip()!r} is not a fault: {error}") from error
    if fault.kind not in kinds:
        raise DecodeError("fault", 0, f"there is no fault {fault.kind!r}")
    return fault
