"""A network inside one process: messages cross as bytes, on the next turn of the loop."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from typing import Final, final

from raftly.base.types import NodeId
from raftly.core.messages import Message, MsgSnap
from raftly.errors import RaftlyError, TransferFailed
from raftly.transport.base import Receiver, RequestHandler
from raftly.transport.codec import decode_messages, encode_messages
from raftly.transport.frame import HEADER_BYTES
from raftly.transport.options import Address
from raftly.transport.transfer import Begin, SnapshotSource, SnapshotTaker, decode_begin

_CHUNK_BYTES: Final = 64 << 10  # of a snapshot


@final
class MemoryNetwork:
    """Joins the MemoryTransports made from it. `cut` holds pairs (from, to) that do not reach each other."""

    __slots__ = ("cut", "ends", "expelled", "handlers", "lost", "nodes", "places", "takers")

    def __init__(self) -> None:
        self.nodes: dict[NodeId, Receiver] = {}
        self.takers: dict[NodeId, SnapshotTaker | None] = {}
        self.handlers: dict[NodeId, RequestHandler] = {}  # of those that serve clients (`memory_client`)
        self.lost: dict[NodeId, Callable[[NodeId], None]] = {}  # who is told of connections that close
        self.cut: set[tuple[NodeId, NodeId]] = set()
        self.ends: dict[NodeId, MemoryTransport] = {}
        self.expelled: set[tuple[NodeId, NodeId]] = set()  # (by, whom)
        self.places: dict[Address, NodeId] = {}  # of the transports that have an address

    def isolate(self, id_: NodeId) -> None:
        """Cut a node off from all others, both ways."""
        for other in self.nodes:
            if other != id_:
                self.cut |= {(id_, other), (other, id_)}

    def close_connections(self, id_: NodeId) -> None:
        """Those of a node close, as when its process ends: the others are told, and so is it if it lives."""
        for other in sorted(self.lost):
            if other != id_:
                self.close_connection(id_, other)

    def close_connection(self, one: NodeId, other: NodeId) -> None:
        """The connections between two nodes close, and are made again at once."""
        for to, lost in ((one, other), (other, one)):
            if to in self.nodes:
                self.lost[to](lost)

    def introduce(self, one: NodeId, other: NodeId) -> bool:
        """As the handshake: are they of one group, so that they may talk? Who did not know its origin learns it."""
        ends = [self.ends[one], self.ends[other]]
        known = {end.origin for end in ends} - {0}
        if len(known) == 1:
            for end in ends:
                end.origin = max(known)
        return len(known) < 2

    def heal(self) -> None:
        """Undo all cuts."""
        self.cut.clear()


@final
class MemoryTransport:
    """One node's end of a MemoryNetwork.

    Without an address it reaches everybody. With one, only nodes at an address that it was told and that is right.
    """

    __slots__ = (
        "_addresses",
        "_id",
        "_network",
        "_unreachable",
        "address",
        "directories",
        "on_expelled",
        "on_lost",
        "on_moved",
        "origin",
        "take_snapshot",
    )

    def __init__(self, network: MemoryNetwork, id_: NodeId, address: Address | None = None) -> None:
        self.address = address
        self.origin = 0
        self.directories: dict[NodeId, int] = {}
        self.on_expelled: Callable[[NodeId], None] = lambda _: None
        self._network = network
        self._id = id_
        self._addresses: dict[NodeId, Address] = {}
        self._unreachable: Callable[[NodeId], None] | None = None
        self.on_lost: Callable[[NodeId], None] = lambda _: None
        self.on_moved: Callable[[NodeId], None] = lambda _: None
        self.take_snapshot: SnapshotTaker | None = None

    def send(self, to: NodeId, batch: list[tuple[int, list[Message]]]) -> None:
        """See `Transport.send`."""
        frames = [(group, encode_messages(messages)) for group, messages in batch]
        asyncio.get_running_loop().call_soon(self._deliver, to, frames)

    def _deliver(self, to: NodeId, frames: list[tuple[int, bytes]]) -> None:
        network = self._network
        receive = network.nodes.get(to)
        if receive is None or (self._id, to) in network.cut or not self._finds(to):
            if self._unreachable is not None:
                self._unreachable(to)
            return
        if (self._id, to) in network.expelled or not network.introduce(self._id, to):
            return
        if (to, self._id) in network.expelled:
            self.on_expelled(to)
            return
        receive(self._id, [(group, decode_messages(frame, 0, len(frame))) for group, frame in frames])

    def _finds(self, to: NodeId) -> bool:
        if self.address is None:
            return True
        address = self._addresses.get(to)
        return address is not None and self._network.places.get(address) == to

    def set_address(self, node: NodeId, address: Address | None) -> None:
        """See `Transport.set_address`."""
        if address is None:
            self._addresses.pop(node, None)
        else:
            self._addresses[node] = address

    def set_origin(self, origin: int, directory: int) -> None:
        """See `Transport.set_origin`."""
        self.origin = origin

    def expel(self, node: NodeId) -> None:
        """See `Transport.expel`."""
        self._network.expelled.add((self._id, node))

    async def start(self, receive: Receiver, unreachable: Callable[[NodeId], None]) -> None:
        """See `Transport.start`."""
        self._unreachable = unreachable
        self._network.nodes[self._id] = receive
        self._network.lost[self._id] = self.on_lost
        self._network.takers[self._id] = self.take_snapshot
        self._network.ends[self._id] = self
        if self.address is not None:
            self._network.places[self.address] = self._id

    async def send_snapshot(self, to: NodeId, group: int, message: MsgSnap, source: SnapshotSource) -> None:
        """See `Transport.send_snapshot`. One attempt; the taker goes on next time where this one broke."""
        frame = Begin(group, source.size, inline=False, id=source.id, message=message).encode()
        begin = decode_begin(frame, HEADER_BYTES, len(frame))
        await asyncio.sleep(0)
        offer = MemoryOffer(self._network, self._id, to, begin, source)
        taker = self._network.takers.get(to)
        if taker is None or not offer.is_connected() or not self._finds(to):
            raise TransferFailed(to, "nobody takes it")
        try:
            await taker(offer)
        except (RaftlyError, OSError) as error:
            raise TransferFailed(to, str(error)) from error

    def serve(self, handler: RequestHandler | None) -> None:
        """Let `handler` answer clients from now on; None: nobody does."""
        if handler is None:
            self._network.handlers.pop(self._id, None)
        else:
            self._network.handlers[self._id] = handler

    async def close(self) -> None:
        """See `Transport.close`."""
        if self._network.nodes.pop(self._id, None) is not None:
            # Behind what it sent before.
            asyncio.get_running_loop().call_soon(self._network.close_connections, self._id)


@final
class MemoryOffer:
    """See `Incoming`: a snapshot that crosses as it is read."""

    __slots__ = ("_network", "_receiver", "_source", "_to", "begin", "from_", "resumable")

    def __init__(self, network: MemoryNetwork, from_: NodeId, to: NodeId, begin: Begin, source: SnapshotSource) -> None:
        self.from_ = from_
        self.begin = begin
        self.resumable = True
        self._network = network
        self._to = to
        self._source = source
        self._receiver = network.nodes.get(to)

    def is_connected(self) -> bool:
        """Do both run, the taker still the one that it was, and reach each other?"""
        nodes = self._network.nodes
        pairs = {(self.from_, self._to), (self._to, self.from_)}
        is_up = self._receiver is not None and nodes.get(self._to) is self._receiver and self.from_ in nodes
        return is_up and not pairs & (self._network.cut | self._network.expelled)

    async def chunks(self, offset: int = 0) -> AsyncGenerator[bytes, None]:
        """See `Incoming.chunks`."""
        async with aclosing(self._source.chunks(offset, _CHUNK_BYTES)) as chunks:
            async for chunk in chunks:
                if not self.is_connected():
                    raise TransferFailed(self.from_, "the connection broke")
                yield chunk
                await asyncio.sleep(0)
