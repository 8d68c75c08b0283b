"""Recorder: all that a page about a run shows, taken down while it runs.

run = run_of(seed=7)
recorder = Recorder(run)
try:
    run.go()
finally:
    write_trace_page("run.html", recorder.events())
"""

from __future__ import annotations

from collections import deque
from typing import Any, Final, final

from raftly.base.types import NodeId
from raftly.core.describe import describe_message
from raftly.core.messages import Message
from raftly.core.role import Role
from raftly.testing.html import TraceEvent
from raftly.testing.sim.host import Host
from raftly.testing.sim.run import Run
from raftly.testing.sim.watch import core_of

_ROLES: Final = {role: role.name.lower().replace("_", "-") for role in Role}
_NOTES: Final = frozenset({"start", "kill", "pause", "failed", "serves", "retired", "change", "rot", "rate", "jump"})


@final
class Recorder:
    """Made before `Run.go`. Keeps everything: a run of some seconds has some ten thousand events."""

    def __init__(self, run: Run[Any]) -> None:
        self._run = run
        self._world = run.world
        self._events: list[TraceEvent] = []
        self._states: dict[NodeId, dict[str, Any]] = {}
        self._flying: dict[tuple[NodeId, NodeId, str], deque[TraceEvent]] = {}
        run.cluster.on_send.append(self._on_send)
        run.cluster.on_receive.append(self._on_receive)
        run.world.after_turn.append(self._after_turn)
        run.world.trace.sink = self._on_line

    def events(self) -> list[TraceEvent]:
        """So far, by their times; with the faults and calls of the run."""
        run = self._run
        faults = [
            TraceEvent(at, "fault", data={"text": str(fault), "until": at + fault.seconds})
            for fault in run.faults
            if (at := run.faults_from + fault.at) <= run.world.now
        ]
        calls = [
            TraceEvent(
                operation.start,
                "call",
                f"client{operation.client}",
                {"text": str(operation).rpartition(" -> ")[0]}
                if operation.is_unknown
                else {
                    "text": str(operation).rpartition(" -> ")[0],
                    "until": operation.end,
                    "result": repr(operation.result),
                },
            )
            for operation in run.history.operations
        ]
        return sorted([*self._events, *faults, *calls], key=lambda event: event.at)

    def _after_turn(self, host: Host) -> None:
        id_ = self._run.cluster.id_of.get(host.name)
        if id_ is None:
            return
        node = self._run.cluster.nodes.get(id_)
        if node is None:
            self._note_state(id_, {"role": "down"})
            return
        raft = core_of(node)
        self._note_state(
            id_,
            {
                "role": _ROLES[raft.role],
                "term": raft.term,
                "commit": raft.log.committed,
                "applied": node.machine.applied,
                "last": raft.log.last_index,
            },
        )

    def _note_state(self, id_: NodeId, state: dict[str, Any]) -> None:
        if self._states.get(id_) != state:
            self._states[id_] = state
            self._events.append(TraceEvent(self._world.now, "state", f"node{id_}", state))

    def _on_send(self, from_: NodeId, to: NodeId, message: Message) -> None:
        text = describe_message(message)
        event = TraceEvent(self._world.now, "message", f"node{from_}", {"to": f"node{to}", "text": text, "until": None})
        self._events.append(event)
        self._flying.setdefault((from_, to, text), deque()).append(event)

    def _on_receive(self, from_: NodeId, to: NodeId, message: Message) -> None:
        waiting = self._flying.get((from_, to, describe_message(message)))
        if waiting:
            waiting.popleft().data["until"] = self._world.now

    def _on_line(self, line: str) -> None:
        _, host, kind, *detail = line.rstrip("\n").split(" ", 3)
        if kind in _NOTES:
            self._events.append(TraceEvent(self._world.now, "note", host, {"text": " ".join([kind, *detail])}))
            id_ = self._run.cluster.id_of.get(host)
            if kind == "kill" and id_ is not None:
                self._note_state(id_, {"role": "down"})
