"""A Transport of messages between simulated hosts: each may be lost, doubled, or overtaken by others."""

from __future__ import annotations

from collections.abc import Callable
from typing import final

from raftly.base.types import NodeId
from raftly.core.messages import Message, MsgSnap
from raftly.testing.sim.host import Host
from raftly.transport.base import Receiver
from raftly.transport.codec import decode_messages, encode_messages
from raftly.transport.events import SnapshotReported, TransportEvent

_HEADER_BYTES = 32


@final
class MessageNetwork:
    """Which transport is whose; made once for a cluster."""

    def __init__(self, hosts: dict[NodeId, Host]) -> None:
        self.hosts = hosts
        self.ends: dict[NodeId, MessageTransport] = {}


@final
class MessageTransport:
    """One node's end: the `Transport` that a driver takes. What the links do to messages is the world's affair."""

    def __init__(self, network: MessageNetwork, id_: NodeId, on_event: Callable[[TransportEvent], None]) -> None:
        self._network = network
        self._id = id_
        self._host = network.hosts[id_]
        self._on_event = on_event
        self._receive: Receiver | None = None
        self._unreachable: Callable[[NodeId], None] | None = None

    async def start(self, receive: Receiver, unreachable: Callable[[NodeId], None]) -> None:
        """See `Transport.start`."""
        self._receive = receive
        self._unreachable = unreachable
        self._network.ends[self._id] = self

    async def close(self) -> None:
        """See `Transport.close`."""
        self._receive = None
        if self._network.ends.get(self._id) is self:
            del self._network.ends[self._id]

    def send(self, to: NodeId, batch: list[tuple[int, list[Message]]]) -> None:
        """See `Transport.send`. A snapshot is reported at once: as sent when it can arrive, else as failed."""
        target = self._network.hosts.get(to)
        net = self._host.world.net
        for group, messages in batch:
            encoded = [(group, encode_messages([message])) for message in messages]
            for (_, data), message in zip(encoded, messages, strict=True):
                reached = target is not None and target.alive and net.reaches(self._host, target)
                if isinstance(message, MsgSnap):
                    self._on_event(SnapshotReported(to, group, "" if reached else "the node cannot be reached"))
                if target is not None:
                    net.post(self._host, target, len(data) + _HEADER_BYTES, self._delivery(to, group, data))
                if not reached:
                    self._host.loop.call_soon(self._tell_unreachable, to)

    def _tell_unreachable(self, to: NodeId) -> None:
        if self._unreachable is not None and self._receive is not None:
            self._unreachable(to)

    def _delivery(self, to: NodeId, group: int, data: bytes) -> Callable[[], None]:
        def deliver() -> None:
            end = self._network.ends.get(to)
            if end is not None and end._receive is not None:  # noqa: SLF001 - one's own class
                end._receive(self._id, [(group, decode_messages(data, 0, len(data)))])  # noqa: SLF001

        return deliver
