"""Tape: the events of a page about a run, as they come; both kinds of runs write theirs on one."""

from __future__ import annotations

from typing import Final, final

from raftly.base.types import Index, NodeId
from raftly.core.describe import describe_message
from raftly.core.messages import Message
from raftly.core.raft import Raft
from raftly.core.role import Role
from raftly.testing.html import Json, TraceEvent
from raftly.testing.sim.faults import Fault

_ROLES: Final = {role: role.name.lower().replace("_", "-") for role in Role}


@final
class Tape:
    """In the order of what happened; times are virtual seconds."""

    def __init__(self) -> None:
        self.events: list[TraceEvent] = []
        self._states: dict[NodeId, tuple[Role, int, Index, Index, Index] | None] = {}

    def state(self, at: float, id_: NodeId, raft: Raft | None, applied: Index = 0) -> None:
        """A node is like this now; None: it does not run. Only what differs from before is taken down."""
        log = None if raft is None else raft.log
        known = None if raft is None or log is None else (raft.role, raft.term, log.committed, applied, log.last_index)
        if self._states.get(id_, ()) == known:
            return
        self._states[id_] = known
        data: dict[str, Json] = {"role": "down"}
        if known is not None:
            role, term, commit, applied, last = known
            data = {"role": _ROLES[role], "term": term, "commit": commit, "applied": applied, "last": last}
        self.events.append(TraceEvent(at, "state", f"node{id_}", data))

    def message(self, at: float, from_: NodeId, to: NodeId, message: Message, until: float | None = None) -> TraceEvent:
        """A message leaves; `until` when it arrives, if that is known by now."""
        data: dict[str, Json] = {"to": f"node{to}", "text": describe_message(message), "until": until}
        event = TraceEvent(at, "message", f"node{from_}", data)
        self.events.append(event)
        return event

    def fault(self, at: float, fault: Fault) -> None:
        """A fault strikes."""
        self.events.append(TraceEvent(at, "fault", data={"text": str(fault), "until": at + fault.seconds}))

    def note(self, at: float, who: str, text: str) -> None:
        """Something else to tell."""
        self.events.append(TraceEvent(at, "note", who, {"text": text}))
