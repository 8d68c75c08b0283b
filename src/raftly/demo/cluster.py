"""Hosts and the wire between them, in rounds: what was sent in one round arrives in the next, or never."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import final

from raftly.base.rand import SplitMix64
from raftly.base.types import NodeId, Term
from raftly.core.config import Config
from raftly.core.messages import Message
from raftly.core.role import Role
from raftly.demo.host import Host
from raftly.transport.codec import encode_messages

ELECTION_TICKS = 20  # one tick a round
HEARTBEAT_TICKS = 2


@final
@dataclass(frozen=True, slots=True)
class Flight:
    """A message on the wire."""

    from_: NodeId
    to: NodeId
    name: str  # MsgApp, MsgAppResp, ...
    frame: bytes
    lost: bool  # it will not arrive


@final
class Cluster:
    """Empty nodes with these ids, none of which belongs to a group yet. `drop` percent of all messages are lost."""

    __slots__ = ("_drop", "_rng", "hosts", "in_flight", "lost", "rounds", "sent")

    def __init__(self, ids: Iterable[NodeId], seed: int, drop: float = 0.0) -> None:
        self.hosts = {id_: Host(_config(id_, seed)) for id_ in ids}
        self.in_flight: list[Flight] = []
        self.rounds = 0
        self.sent = 0
        self.lost = 0
        self._drop = drop
        self._rng = SplitMix64(seed)

    def receive(self) -> None:
        """The first half of a round: all that is in flight arrives, and every clock ticks."""
        self.rounds += 1
        arriving, self.in_flight = self.in_flight, []
        for flight in arriving:
            if not flight.lost:
                self.hosts[flight.to].receive(flight.frame)
        for host in self.hosts.values():
            host.node.tick()

    def work(self) -> None:
        """The second half: every host does what there is to do, and sends."""
        for host in self.hosts.values():
            for message in host.work():
                self._send(message)

    def _send(self, message: Message) -> None:
        # One frame a message, so that a loss loses one; a real transport puts all messages to a peer into one frame.
        lost = self._rng.below(1_000_000) < self._drop * 10_000
        frame = encode_messages([message])
        self.in_flight.append(Flight(message.from_, message.to, message.type.name, frame, lost))
        self.sent += 1
        self.lost += lost

    def leader(self) -> Host | None:
        """The leader of the highest term, if any node leads. An older one may not know yet that it was replaced."""
        leaders = [host for host in self.hosts.values() if host.node.raft.role is Role.LEADER]
        return max(leaders, key=lambda host: host.node.raft.term, default=None)

    def term(self) -> Term:
        """The highest term that any node has reached."""
        return max(host.node.raft.term for host in self.hosts.values())

    def is_equal(self) -> bool:
        """Are all state machines the same, command by command?"""
        journals = [host.journal.commands for host in self.hosts.values()]
        return all(journal == journals[0] for journal in journals)


def _config(id_: NodeId, seed: int) -> Config:
    # Pre-vote and check-quorum keep a node that merely missed some heartbeats from unseating a leader at work.
    return Config(
        id_,
        election_tick=ELECTION_TICKS,
        heartbeat_tick=HEARTBEAT_TICKS,
        seed=seed,
        pre_vote=True,
        check_quorum=True,
    )
