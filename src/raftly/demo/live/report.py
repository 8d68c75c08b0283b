"""Report: what the process of a node tells the demonstration, as one line of JSON; and a picture of all of them."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from enum import Enum
from typing import final

from raftly.base.types import Index, NodeId, Term


class State(Enum):
    """What became of a process."""

    RUNNING = "running"
    PAUSED = "paused"
    KILLED = "killed"  # kill -9
    STOPPED = "stopped"  # in good order
    FAILED = "failed"  # it ended by itself
    NEW = "not started"


@final
@dataclass(frozen=True, slots=True)
class Safe:
    """May a node be stopped? See `raftly.node.health.Verdict`."""

    ok: bool
    why: str


@final
@dataclass(frozen=True, slots=True)
class Stored:
    """A value as a replica has it, and the revision that put it there."""

    value: str
    revision: int


@final
@dataclass(frozen=True, slots=True)
class Report:
    """One node at one moment. What only a leader knows is empty elsewhere."""

    id: NodeId
    role: str
    leader: NodeId  # 0: none is known here
    term: Term
    last: Index
    committed: Index
    applied: Index
    voters: tuple[NodeId, ...]
    learners: tuple[NodeId, ...] = ()
    no_leader: str = ""  # why, in words
    problems: tuple[str, ...] = ()
    unreachable: tuple[NodeId, ...] = ()
    behind: dict[NodeId, int] = field(default_factory=dict)
    safe: dict[NodeId, Safe] = field(default_factory=dict)
    digest: str = ""  # these two only when they were asked for
    items: dict[str, Stored] = field(default_factory=dict)

    def encode(self) -> str:
        """As a line, without its end."""
        return json.dumps(asdict(self))


def decode_report(line: str) -> Report:
    """What `encode` made."""
    told = json.loads(line)
    for name in ("voters", "learners", "problems", "unreachable"):
        told[name] = tuple(told[name])
    told["behind"] = {int(id_): lag for id_, lag in told["behind"].items()}
    told["safe"] = {int(id_): Safe(**safe) for id_, safe in told["safe"].items()}
    told["items"] = {key: Stored(**stored) for key, stored in told["items"].items()}
    return Report(**told)


@final
@dataclass(frozen=True, slots=True)
class Seen:
    """One node as the demonstration sees it."""

    id: NodeId
    state: State
    report: Report | None = None  # None: it does not run, or does not answer
    pid: int = 0
    port: int = 0  # of its proxy


@final
@dataclass(frozen=True, slots=True)
class Picture:
    """All nodes at one moment, and the links that are cut."""

    nodes: dict[NodeId, Seen]
    cut: tuple[tuple[NodeId, NodeId], ...] = ()

    def is_linked(self, one: NodeId, other: NodeId) -> bool:
        """Does the link between two nodes hold?"""
        return (min(one, other), max(one, other)) not in self.cut

    def reports(self) -> list[Report]:
        """Of those that answer, by id."""
        return [seen.report for _, seen in sorted(self.nodes.items()) if seen.report is not None]

    def leader(self) -> Report | None:
        """Who leads; of several the one of the highest term, as the others only do not know yet."""
        leaders = [report for report in self.reports() if report.role == "leader"]
        return max(leaders, key=lambda report: report.term, default=None)

    def voters(self) -> tuple[NodeId, ...]:
        """As the newest state has them."""
        newest = max(self.reports(), key=lambda report: report.applied, default=None)
        return tuple(sorted(self.nodes)) if newest is None else newest.voters

    def running(self) -> list[NodeId]:
        """Nodes that run, and are not paused."""
        return [id_ for id_, seen in sorted(self.nodes.items()) if seen.state is State.RUNNING]

    def may_lead(self) -> list[NodeId]:
        """Voters that run and reach a majority, themselves included."""
        voters = self.voters()
        alive = [id_ for id_ in self.running() if id_ in voters]
        return [
            id_ for id_ in alive if 2 * sum(other == id_ or self.is_linked(id_, other) for other in alive) > len(voters)
        ]
