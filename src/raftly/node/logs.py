"""Structured logs: what happened at a node, as values; as text by default, as JSON lines with `JsonFormatter`.

    logging.getLogger("raftly.node")           the logger; nothing is logged for an entry, a call or a message
    handler.setFormatter(JsonFormatter())      one JSON object a line, also for every other logger

Strings that came from elsewhere (an error of a peer, of the class) are escaped and cut before they reach a log, so that
they cannot forge a line or drive a terminal.
"""

from __future__ import annotations

import dataclasses
import json
import logging
import re
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import ClassVar, Final, final

from raftly.base.types import NO_NODE, Index, NodeId, Term
from raftly.node.events import Members

TEXT_MAX: Final = 1000
"""Characters of one string in a log."""

_log: Final = logging.getLogger("raftly.node")
_CAPITAL: Final = re.compile(r"(?<!^)(?=[A-Z])")


@dataclass(frozen=True, slots=True)
class NodeEvent:
    """Base of all events. `str()` is a sentence about the node."""

    level: ClassVar[int] = logging.INFO


@final
@dataclass(frozen=True, slots=True)
class Started(NodeEvent):
    """The node runs; its log holds entries up to `last`."""

    applied: Index
    last: Index

    def __str__(self) -> str:
        return f"started, its state is of entry {self.applied}, its log ends at {self.last}"


@final
@dataclass(frozen=True, slots=True)
class Stopped(NodeEvent):
    """The node was stopped."""

    def __str__(self) -> str:
        return "stopped"


@final
@dataclass(frozen=True, slots=True)
class Failed(NodeEvent):
    """The node stopped by itself: it cannot go on."""

    level: ClassVar[int] = logging.ERROR
    code: str  # of the error
    problem: str

    def __str__(self) -> str:
        return f"failed and serves no more ({self.code}): {self.problem}"


@final
@dataclass(frozen=True, slots=True)
class ElectionStarted(NodeEvent):
    """This node asks for votes."""

    term: Term

    def __str__(self) -> str:
        return f"starts an election in term {self.term}"


@final
@dataclass(frozen=True, slots=True)
class LeaderChanged(NodeEvent):
    """Another leader is known, or none any more."""

    term: Term
    leader: NodeId
    is_self: bool

    def __str__(self) -> str:
        if self.leader == NO_NODE:
            return f"knows no leader in term {self.term}"
        return f"{'leads' if self.is_self else f'follows node {self.leader}'} in term {self.term}"


@final
@dataclass(frozen=True, slots=True)
class MembersChanged(NodeEvent):
    """Another configuration is in force."""

    voters: tuple[NodeId, ...]
    outgoing: tuple[NodeId, ...]
    learners: tuple[NodeId, ...]

    def __str__(self) -> str:
        return f"members are now: {Members(self.voters, self.learners, self.outgoing)}"


@final
@dataclass(frozen=True, slots=True)
class SnapshotMade(NodeEvent):
    """A snapshot is complete and durable. `applied` is as of the tick that noticed it."""

    applied: Index

    def __str__(self) -> str:
        return f"made a snapshot, its state is of entry {self.applied} by now"


@final
@dataclass(frozen=True, slots=True)
class SnapshotRestored(NodeEvent):
    """The state was replaced by a snapshot that another node sent."""

    index: Index

    def __str__(self) -> str:
        return f"took over a snapshot of entry {self.index}"


@final
@dataclass(frozen=True, slots=True)
class SnapshotFailed(NodeEvent):
    """No snapshot can be made, so the log grows. Told once a reason."""

    level: ClassVar[int] = logging.WARNING
    problem: str

    def __str__(self) -> str:
        return f"cannot make a snapshot, so its log grows: {self.problem}"


@final
@dataclass(frozen=True, slots=True)
class DiskTrouble(NodeEvent):
    """The disk of the log does not do its part. `state` is a name of `health.Disk`."""

    level: ClassVar[int] = logging.WARNING
    state: str
    problem: str

    def __str__(self) -> str:
        return self.problem


@final
@dataclass(frozen=True, slots=True)
class DiskRecovered(NodeEvent):
    """It does again."""

    def __str__(self) -> str:
        return "the disk works again"


@final
@dataclass(frozen=True, slots=True)
class LoopLate(NodeEvent):
    """Something kept the event loop from running for longer than an election time-out."""

    level: ClassVar[int] = logging.WARNING
    late_s: float

    def __str__(self) -> str:
        return f"its event loop stood still for {self.late_s:.2f} s, longer than an election time-out"


@final
@dataclass(frozen=True, slots=True)
class StateDiffers(NodeEvent):
    """The digests of two replicas differ at the same index."""

    level: ClassVar[int] = logging.ERROR
    index: Index
    witness: NodeId
    digest: int
    own_digest: int

    def __str__(self) -> str:
        return (
            f"has digest {self.own_digest:08x} of the state at entry {self.index}, node {self.witness} has "
            f"{self.digest:08x}: one of them parted from the others"
        )


@final
@dataclass(frozen=True, slots=True)
class TooCostly(NodeEvent):
    """Making a digest of the state took too long. This node, when it leads, asks for no more of them."""

    level: ClassVar[int] = logging.WARNING
    cost_s: float

    def __str__(self) -> str:
        return (
            f"stood still for {self.cost_s:.2f} s to make a digest of its state, and asks for no more of them; "
            "give the class a state_digest(), or set digest_interval to 0"
        )


def printable(text: str) -> str:
    """The text on one line, nothing in it that a terminal would obey, at most TEXT_MAX characters."""
    if not text.isprintable():
        text = "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in text[:TEXT_MAX])
    return text if len(text) <= TEXT_MAX else text[: TEXT_MAX - 1] + "…"


@final
class NodeLog:
    """Logs the events of one node."""

    __slots__ = ("_group", "_node")

    def __init__(self, node: NodeId, group: int) -> None:
        self._node = node
        self._group = group

    def tell(self, event: NodeEvent, term: Term) -> None:
        """It happened, in this term."""
        if _log.isEnabledFor(event.level):
            facts = {"node": self._node, "group": self._group, "term": term}
            extra = {"raftly_event": event, "raftly_facts": facts}
            _log.log(event.level, "node %s: %s", self._node, printable(str(event)), extra=extra)


@final
class JsonFormatter(logging.Formatter):
    """One JSON object a line: `ts` (UTC), `level`, `logger`, `event`, then what the event holds, `text` last.

    Events of a node have `node`, `group` and `term`. `event` is the name of the event's class in snake case; a record
    that holds none is a `log`. Tracebacks are in `exception`. ASCII only, whatever is in it.
    """

    def format(self, record: logging.LogRecord) -> str:
        """See the class."""
        event: object = getattr(record, "raftly_event", None)
        if event is None and isinstance(record.args, tuple) and len(record.args) == 1:
            event = record.args[0]  # as the transport logs its own
        known = dataclasses.is_dataclass(event) and not isinstance(event, type)
        line: dict[str, object] = {
            "ts": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname,
            "logger": record.name,
            "event": _CAPITAL.sub("_", type(event).__name__).lower() if known else "log",
        }
        facts: object = getattr(record, "raftly_facts", None)
        if isinstance(facts, dict):
            line.update(facts)
        if dataclasses.is_dataclass(event) and not isinstance(event, type):
            for field in dataclasses.fields(event):
                line.setdefault(field.name, _plain(getattr(event, field.name)))
        line["text"] = printable(str(event) if isinstance(event, NodeEvent) else record.getMessage())
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(line, separators=(",", ":"), allow_nan=False)


def _plain(value: object) -> object:
    """A field as JSON has it."""
    if value is None or isinstance(value, bool | int):
        return value
    if isinstance(value, float):
        return round(value, 6) if abs(value) < float("inf") else None
    if isinstance(value, tuple | list):
        return [_plain(item) for item in value]
    return printable(str(value))
