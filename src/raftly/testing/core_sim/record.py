"""CoreRecorder: all that a page about a core run shows, taken down while it runs.

recorder = CoreRecorder()
outcome = run(seed=7, recorder=recorder)
write_trace_page("run.html", recorder.events(outcome.script))
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, final

from raftly.base.types import NodeId
from raftly.core.messages import Message
from raftly.testing.core_sim.faults import CLIENT_KINDS, Fault
from raftly.testing.html import TraceEvent
from raftly.testing.sim.tape import Tape

if TYPE_CHECKING:
    from raftly.testing.core_sim.node import Node


@final
class CoreRecorder:
    """Given to a run. Keeps everything: a virtual second has some ten thousand events. Times it is told are in µs."""

    def __init__(self) -> None:
        self._tape = Tape()
        self._now = 0

    def looked(self, now: int, nodes: Mapping[NodeId, Node]) -> None:
        """An event is over."""
        self._now = now
        for id_, node in nodes.items():
            self._tape.state(now / 1e6, id_, node.raft if node.alive else None, node.applied if node.alive else 0)

    def failed(self, now: int, nodes: Mapping[NodeId, Node], error: Exception) -> None:
        """The run ends here, in the middle of an event."""
        self.looked(now, nodes)
        self.noted(now, "cluster", f"failed {type(error).__name__}: {error}")

    def sent(self, now: int, sender: NodeId, message: Message, arrival: int | None) -> None:
        """A copy of a message is on its way; None: it is lost."""
        until = None if arrival is None else arrival / 1e6
        self._tape.message(now / 1e6, sender, message.to, message, until)

    def noted(self, now: int, who: str, text: str) -> None:
        """Something for the timeline."""
        self._tape.note(now / 1e6, who, text)

    def events(self, script: Sequence[Fault]) -> list[TraceEvent]:
        """So far, by their times; with what the script did to the cluster."""
        tape = Tape()
        for fault in script:
            if fault.at > self._now / 1e6:
                continue
            if fault.kind in CLIENT_KINDS:
                tape.note(fault.at, "client", str(fault))
            else:
                tape.fault(fault.at, fault)
        return sorted([*self._tape.events, *tape.events], key=lambda event: event.at)
