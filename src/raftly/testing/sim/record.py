"""Recorder: all that a page about a run of whole nodes shows, taken down while it runs.

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
from raftly.testing.html import TraceEvent
from raftly.testing.sim.host import Host
from raftly.testing.sim.run import Run
from raftly.testing.sim.tape import Tape
from raftly.testing.sim.watch import core_of

_NOTES: Final = frozenset(
    {"start", "kill", "pause", "failed", "serves", "retired", "change", "rot", "rate", "jump", "log"}
)


@final
class Recorder:
    """Made before `Run.go`. Keeps everything: a run of some seconds has some ten thousand events."""

    def __init__(self, run: Run[Any]) -> None:
        self._run = run
        self._world = run.world
        self._tape = Tape()
        self._flying: dict[tuple[NodeId, NodeId, str], deque[TraceEvent]] = {}
        self._listener = run.world.trace.sink  # who heard the lines before, and still does
        run.cluster.on_send.append(self._on_send)
        run.cluster.on_receive.append(self._on_receive)
        run.world.after_turn.insert(0, self._after_turn)  # before the checks, which raise
        run.world.trace.sink = self._on_line

    def events(self) -> list[TraceEvent]:
        """So far, by their times; with the faults and calls of the run."""
        run, tape = self._run, Tape()
        for fault in run.faults:
            if (at := run.faults_from + fault.at) <= run.world.now:
                tape.fault(at, fault)
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
        return sorted([*self._tape.events, *tape.events, *calls], key=lambda event: event.at)

    def _after_turn(self, host: Host) -> None:
        id_ = self._run.cluster.id_of.get(host.name)
        if id_ is None:
            return
        node = self._run.cluster.nodes.get(id_)
        if node is None:
            self._tape.state(self._world.now, id_, None)
        else:
            self._tape.state(self._world.now, id_, core_of(node), node.machine.applied)

    def _on_send(self, from_: NodeId, to: NodeId, message: Message) -> None:
        event = self._tape.message(self._world.now, from_, to, message)
        self._flying.setdefault((from_, to, str(event.data["text"])), deque()).append(event)

    def _on_receive(self, from_: NodeId, to: NodeId, message: Message) -> None:
        waiting = self._flying.get((from_, to, describe_message(message)))
        if waiting:
            waiting.popleft().data["until"] = self._world.now

    def _on_line(self, line: str) -> None:
        if self._listener is not None:
            self._listener(line)
        if self._world.is_closed:
            return  # that all hosts are switched off then is no part of the run
        _, host, kind, *detail = line.rstrip("\n").split(" ", 3)
        if kind in _NOTES:
            self._tape.note(self._world.now, host, " ".join([kind, *detail]))
            id_ = self._run.cluster.id_of.get(host)
            if kind == "kill" and id_ is not None:
                self._tape.state(self._world.now, id_, None)
