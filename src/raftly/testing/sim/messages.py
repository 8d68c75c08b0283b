"""A transport whose messages are lost, doubled and overtaken one by one, which TCP never does to them.

Connections, snapshots and identities are those of a TcpTransport below; only Raft's messages go another way.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Final, final

from raftly.base.types import NodeId
from raftly.core.messages import Message, MsgSnap
from raftly.testing.sim.host import Host
from raftly.transport.base import Receiver
from raftly.transport.codec import decode_messages, encode_messages
from raftly.transport.options import Address
from raftly.transport.tcp import TcpTransport
from raftly.transport.transfer import SnapshotSource, SnapshotTaker

_HEADER_BYTES: Final = 40


@final
class MessageNetwork:
    """The transports of one cluster, by node."""

    def __init__(self, hosts: dict[NodeId, Host]) -> None:
        self.hosts = hosts
        self.ends: dict[NodeId, MessageTransport] = {}


@final
class MessageTransport:
    """One node's end: a `Transport`. What happens to a message on its link is the world's affair (`LinkOptions`)."""

    def __init__(self, network: MessageNetwork, id_: NodeId, inner: TcpTransport) -> None:
        self._network = network
        self._id = id_
        self._host = network.hosts[id_]
        self._inner = inner
        self._receive: Receiver | None = None
        self._expelled: set[NodeId] = set()
        self._directory = 0
        self.directories = inner.directories

    async def start(self, receive: Receiver, unreachable: Callable[[NodeId], None]) -> None:
        """See `Transport.start`."""
        await self._inner.start(receive, unreachable)
        self._receive = receive
        self._network.ends[self._id] = self

    async def close(self) -> None:
        """See `Transport.close`."""
        self._receive = None
        if self._network.ends.get(self._id) is self:
            del self._network.ends[self._id]
        await self._inner.close()

    def send(self, to: NodeId, batch: list[tuple[int, list[Message]]]) -> None:
        """See `Transport.send`."""
        target = self._network.hosts.get(to)
        if to in self._expelled or target is None:
            return
        for group, messages in batch:
            for message in messages:
                if isinstance(message, MsgSnap):
                    self._inner.send(to, [(group, [message])])
                else:
                    data = encode_messages([message])
                    deliver = partial(self._deliver, to, group, data)
                    self._host.world.net.post(self._host, target, len(data) + _HEADER_BYTES, deliver)

    def _deliver(self, to: NodeId, group: int, data: bytes) -> None:
        end = self._network.ends.get(to)
        if end is not None:
            end.take(self._id, self._directory, group, data)

    def take(self, from_: NodeId, directory: int, group: int, data: bytes) -> None:
        """A message has arrived here."""
        if self._receive is None or from_ in self._expelled:
            return
        if self.directories.setdefault(from_, directory) == directory:  # as a handshake would have it
            self._receive(from_, [(group, decode_messages(data, 0, len(data)))])

    # --- as the transport below has it ---

    @property
    def address(self) -> Address | None:
        """See `Transport.address`."""
        return self._inner.address

    def set_address(self, node: NodeId, address: Address | None) -> None:
        """See `Transport.set_address`."""
        self._inner.set_address(node, address)

    @property
    def origin(self) -> int:
        """See `Transport.origin`."""
        return self._inner.origin

    def set_origin(self, origin: int, directory: int) -> None:
        """See `Transport.set_origin`."""
        self._directory = directory
        self._inner.set_origin(origin, directory)

    def expel(self, node: NodeId) -> None:
        """See `Transport.expel`."""
        self._expelled.add(node)
        self._inner.expel(node)

    async def send_snapshot(self, to: NodeId, group: int, message: MsgSnap, source: SnapshotSource) -> None:
        """See `Transport.send_snapshot`.

        Raises:
            TransferFailed, LimitExceeded: as there.
        """
        await self._inner.send_snapshot(to, group, message, source)

    @property
    def take_snapshot(self) -> SnapshotTaker | None:
        """See `Transport.take_snapshot`."""
        return self._inner.take_snapshot

    @take_snapshot.setter
    def take_snapshot(self, taker: SnapshotTaker | None) -> None:
        self._inner.take_snapshot = taker

    @property
    def on_expelled(self) -> Callable[[NodeId], None]:
        """See `Transport.on_expelled`."""
        return self._inner.on_expelled

    @on_expelled.setter
    def on_expelled(self, callback: Callable[[NodeId], None]) -> None:
        self._inner.on_expelled = callback

    @property
    def on_lost(self) -> Callable[[NodeId], None]:
        """See `Transport.on_lost`."""
        return self._inner.on_lost

    @on_lost.setter
    def on_lost(self, callback: Callable[[NodeId], None]) -> None:
        self._inner.on_lost = callback

    @property
    def on_moved(self) -> Callable[[NodeId], None]:
        """See `Transport.on_moved`."""
        return self._inner.on_moved

    @on_moved.setter
    def on_moved(self, callback: Callable[[NodeId], None]) -> None:
        self._inner.on_moved = callback
