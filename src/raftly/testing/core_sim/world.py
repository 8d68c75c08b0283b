"""World: one virtual time in microseconds, one heap of events, all nodes and the network between them."""

from __future__ import annotations

import heapq
from collections import Counter, deque
from collections.abc import Callable
from random import Random
from typing import Any, Final, final

from raftly.base.types import NodeId
from raftly.core.messages import Message
from raftly.core.raft import Raft
from raftly.core.role import Role
from raftly.core.trace import Tracer
from raftly.testing.checks import Checker
from raftly.testing.core_sim.network import Network
from raftly.testing.core_sim.node import Node
from raftly.testing.core_sim.options import CLOCK_RATE_MAX, TICK_US, Options, draw
from raftly.testing.core_sim.record import CoreRecorder

_MASK: Final = (1 << 64) - 1
_LEADER: Final = Role.LEADER
_SPARE: Final = 2
"""Hosts beyond the first voters, where members come and go."""


class OutOfEvents(AssertionError):
    """The budget of events is used up: something goes on for ever."""


@final
class World:
    """All of it. `note` tells of faults and of what nodes do, for people; nobody else pays for it."""

    def __init__(
        self,
        seed: int,
        options: Options,
        tracer: Tracer | None = None,
        keep: int | None = 0,
        recorder: CoreRecorder | None = None,
    ) -> None:
        self.seed = seed
        self.options = options
        self.tracer = tracer
        self.recorder = recorder
        self.random = Random(f"{seed}/world")
        self.drawn = draw(Random(f"{seed}/options"), seed, options)
        self.now = 0
        self.events = 0
        self.digest = 0
        self._carried = 0  # the digest of all that went over the network
        self.lines: deque[str] = deque(maxlen=keep)
        self.struck: Counter[str] = Counter()
        self.coverage: dict[tuple[str, str], int] = {}
        self.rare: Counter[str] = Counter()
        """What seldom happens, and is worth knowing that it did: by what."""
        self.acknowledged = 0
        self.tick_us = TICK_US
        lease_tick = self.drawn.config.lease_tick
        self.lease_us = int((lease_tick - 1) * TICK_US / CLOCK_RATE_MAX) if lease_tick else 0
        self.checker = Checker()
        if not options.modelled:
            self.checker.founded(1, 1, 0)
        self._heap: list[tuple[int, int, Callable[[Any], None], Any]] = []
        self._pushed = 0
        self._tell = keep is None or keep > 0
        founders = tuple(range(1, options.size + 1))
        self.ids = founders
        if options.profile == "membership":
            self.ids = tuple(range(1, options.size + 1 + _SPARE))
        self.network = Network(self.ids, Random(f"{seed}/network"), self.drawn)
        self.nodes = {id_: Node(self, id_, self.drawn.config, founders) for id_ in self.ids}
        for node in self.nodes.values():
            node.boot()

    # --- time ---

    def after(self, wait_us: int, action: Callable[[Any], None], argument: Any) -> None:  # noqa: ANN401 - of the action
        """Have something happen later."""
        self._pushed += 1
        heapq.heappush(self._heap, (self.now + wait_us, self._pushed, action, argument))

    def run_until(self, when: int) -> None:
        """Let time pass.

        Raises:
            OutOfEvents: too much happened.
        """
        heap, pop = self._heap, heapq.heappop
        events, last = self.events, self.options.budget
        digest = self.digest
        recorder = self.recorder
        try:
            while heap and heap[0][0] <= when:
                self.now, number, action, argument = pop(heap)
                events += 1
                digest = ((digest ^ self.now) * 0x5851F42D4C957F2D + number) & _MASK
                if events > last:
                    raise OutOfEvents(f"more than {last} events, at {self.now / 1e6:.3f} s")
                action(argument)
                if recorder is not None:
                    recorder.looked(self.now, self.nodes)
        except Exception as error:
            if recorder is not None:
                recorder.failed(self.now, self.nodes, error)
            raise
        finally:
            self.events, self.digest = events, digest
        self.now = when

    # --- messages ---

    def send(self, sender: NodeId, message: Message) -> bool:
        """A message leaves a node; False: it is certain not to arrive."""
        receiver = self.nodes.get(message.to)
        if receiver is None:
            return False
        receive, recorder = receiver.receive, self.recorder

        def deliver(when: int, message: Message) -> None:
            self._pushed += 1
            heapq.heappush(self._heap, (when, self._pushed, receive, message))
            who_and_what = when << 24 ^ sender << 16 ^ message.to << 8 ^ message.type
            self._carried = ((self._carried ^ who_and_what) * 0x5851F42D4C957F2D + message.term) & _MASK
            if recorder is not None:
                recorder.sent(self.now, sender, message, when)

        arrives = self.network.send(self.now, sender, message, deliver)
        if recorder is not None and not arrives:
            recorder.sent(self.now, sender, message, None)
        return arrives

    def reached(self, raft: Raft, message: Message) -> None:
        """A message is about to be handled: for the count of what was ever handled in which role."""
        key = (raft.role._value_, message.type._name_)
        coverage = self.coverage
        coverage[key] = coverage.get(key, 0) + 1

    # --- what is going on ---

    def note(self, id_: NodeId, what: str, about: object = "") -> None:
        """Something to tell."""
        if not self._tell and self.recorder is None:
            return
        who = f"node {id_}" if id_ else "cluster"
        if self.recorder is not None:
            self.recorder.noted(self.now, who, f"{what} {about}".rstrip())
        if self._tell:
            self.lines.append(f"{self.now / 1e6:10.6f}  {who:8} {what} {about}".rstrip())

    def on_acknowledged(self) -> None:
        """A client heard of its write."""
        self.acknowledged += 1

    def leaders(self) -> list[Node]:
        """Nodes that believe that they lead, and can be spoken to."""
        return [node for node in self.nodes.values() if node.alive and node.raft.role is _LEADER and node.act()]

    def final_digest(self) -> str:
        """Of all events so far, and of where the nodes stand."""
        digest = self.digest ^ self._carried
        for node in self.nodes.values():
            stand = (node.raft.term, node.raft.log.committed, node.state) if node.alive else (0, 0, 0)
            for value in (*stand, node.starts):
                digest = ((digest ^ value) * 0x5851F42D4C957F2D + 1) & _MASK
        return f"{digest:016x}"
