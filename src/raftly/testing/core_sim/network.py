"""Links between nodes: one way each, with a delay, and with whatever goes wrong on the way."""

from __future__ import annotations

from collections.abc import Callable
from heapq import heappop, heappush
from random import Random
from typing import Final, TypeAlias, final

from raftly.base.types import NodeId
from raftly.core.messages import Message
from raftly.testing.core_sim.options import Draw

Deliver: TypeAlias = Callable[[int, Message], None]  # (when in microseconds, message)

QUEUE_MAX: Final = 512
"""So many messages are on their way on a link at most, twice what a core sends without an answer; more are dropped."""


@final
class Link:
    """One direction between two nodes."""

    __slots__ = ("_due", "cuts", "late_us", "loss", "sent_until", "slow")

    def __init__(self) -> None:
        self.cuts = 0
        self.slow = 1.0
        self.loss = 0.0  # lost, doubled, overtaken: each as often as this
        self.late_us = 0  # half of all messages may take so much longer
        self.sent_until = 0  # what is sent later arrives later, unless it overtakes
        self._due: list[int] = []  # a heap of what is on its way

    def is_full(self, now: int) -> bool:
        """Is there no room for one more?"""
        due = self._due
        while due and due[0] <= now:
            heappop(due)
        return len(due) >= QUEUE_MAX

    def take(self, due: int) -> int:
        """One more is on its way until `due`; that."""
        heappush(self._due, due)
        return due

    def mend(self) -> None:
        """It is quick again: what is sent from now on does not wait for what is still on its slow way."""
        self.slow, self.sent_until = 1.0, 0
        self._due.clear()


@final
class Network:
    """All links. `send` decides the fate of a message: how many copies arrive, and when."""

    __slots__ = ("_delay", "_duplicate", "_loss", "_random", "_reorder", "_uniform", "links")

    def __init__(self, ids: tuple[NodeId, ...], random: Random, drawn: Draw) -> None:
        self.links = {(a, b): Link() for a in ids for b in ids if a != b}
        self._random = random.random
        self._delay = drawn.delay_us
        self._loss = drawn.loss
        self._duplicate = drawn.duplicate
        self._reorder = drawn.reorder
        self._uniform = drawn.loss + drawn.duplicate + drawn.reorder > 0

    def send(self, now: int, sender: NodeId, message: Message, deliver: Deliver) -> bool:
        """Hand the message to `deliver` with the time of its arrival, or not at all, or twice; False: it is lost."""
        link = self.links[sender, message.to]  # what is passed on keeps its first sender
        random = self._random
        if link.cuts or link.is_full(now):
            return False
        draw = random()
        due = now + int(self._delay * (1.0 + draw * draw * draw) * link.slow)
        if self._uniform or link.loss or link.late_us:
            if random() < self._loss + link.loss:
                return False
            if random() < self._duplicate + link.loss:
                deliver(link.take(due + int(random() * 20_000)), message)
            if random() < self._reorder + link.loss:
                deliver(link.take(due + int(random() * 10 * self._delay)), message)
                return True
            if link.late_us and draw < 0.5:
                deliver(link.take(due + int(random() * link.late_us)), message)
                return True
        if due <= link.sent_until:
            due = link.sent_until + 1
        link.sent_until = due
        deliver(link.take(due), message)
        return True

    def cut(self, edges: list[tuple[NodeId, NodeId]], by: int = 1) -> None:
        """Cut these once more, or once less; what was healed meanwhile stays so."""
        for edge in edges:
            link = self.links[edge]
            link.cuts = max(link.cuts + by, 0)

    def heal(self) -> None:
        """Nothing is wrong any more, and nothing happens by itself either."""
        for link in self.links.values():
            link.cuts, link.loss, link.late_us = 0, 0.0, 0
            link.mend()
        self._uniform = False
        self._loss = self._duplicate = self._reorder = 0.0
