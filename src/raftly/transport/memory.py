"""A network inside one process: messages cross as bytes, on the next turn of the loop."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import final

from raftly.base.types import NodeId
from raftly.core.messages import Message
from raftly.transport.base import Receiver, RequestHandler
from raftly.transport.codec import decode_messages, encode_messages


@final
class MemoryNetwork:
    """Joins the MemoryTransports made from it. `cut` holds pairs (from, to) that do not reach each other."""

    __slots__ = ("cut", "handlers", "nodes")

    def __init__(self) -> None:
        self.nodes: dict[NodeId, Receiver] = {}
        self.handlers: dict[NodeId, RequestHandler] = {}  # of those that serve clients (`memory_client`)
        self.cut: set[tuple[NodeId, NodeId]] = set()

    def isolate(self, id_: NodeId) -> None:
        """Cut a node off from all others, both ways."""
        for other in self.nodes:
            if other != id_:
                self.cut |= {(id_, other), (other, id_)}

    def heal(self) -> None:
        """Undo all cuts."""
        self.cut.clear()


@final
class MemoryTransport:
    """One node's end of a MemoryNetwork."""

    __slots__ = ("_id", "_network", "_unreachable")

    def __init__(self, network: MemoryNetwork, id_: NodeId) -> None:
        self._network = network
        self._id = id_
        self._unreachable: Callable[[NodeId], None] | None = None

    def send(self, to: NodeId, batch: list[tuple[int, list[Message]]]) -> None:
        """See `Transport.send`."""
        frames = [(group, encode_messages(messages)) for group, messages in batch]
        asyncio.get_running_loop().call_soon(self._deliver, to, frames)

    def _deliver(self, to: NodeId, frames: list[tuple[int, bytes]]) -> None:
        receive = self._network.nodes.get(to)
        if receive is None or (self._id, to) in self._network.cut:
            if self._unreachable is not None:
                self._unreachable(to)
            return
        receive(self._id, [(group, decode_messages(frame, 0, len(frame))) for group, frame in frames])

    async def start(self, receive: Receiver, unreachable: Callable[[NodeId], None]) -> None:
        """See `Transport.start`."""
        self._unreachable = unreachable
        self._network.nodes[self._id] = receive

    def serve(self, handler: RequestHandler | None) -> None:
        """Let `handler` answer clients from now on; None: nobody does."""
        if handler is None:
            self._network.handlers.pop(self._id, None)
        else:
            self._network.handlers[self._id] = handler

    async def close(self) -> None:
        """See `Transport.close`."""
        self._network.nodes.pop(self._id, None)
