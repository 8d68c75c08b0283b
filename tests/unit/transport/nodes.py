"""Transports under test: what they received, what they told."""

from __future__ import annotations

import asyncio
from typing import Any

from raftly.base.rand import SplitMix64
from raftly.base.types import Entry, NodeId
from raftly.core.messages import Message, MsgApp, MsgHeartbeat
from raftly.transport.events import TransportEvent
from raftly.transport.options import TcpOptions
from raftly.transport.tcp import TcpTransport


class Node:
    """A transport, and all that it brought."""

    def __init__(self, id_: NodeId, port: int, peers: dict[int, int], **settings: Any) -> None:
        options = settings.pop("options", TcpOptions())
        self.id = id_
        self.received: list[tuple[NodeId, int, Message]] = []
        self.frames: list[tuple[NodeId, int]] = []  # from whom, how many messages
        self.unreachable: list[NodeId] = []
        self.lost: list[NodeId] = []
        self.moved: list[NodeId] = []
        self.events: list[TransportEvent] = []
        self.changed = asyncio.Event()
        self.transport = TcpTransport(
            settings.pop("cluster_id", 7),
            id_,
            ("127.0.0.1", port),
            {peer: ("127.0.0.1", its_port) for peer, its_port in peers.items()},
            options,
            random=SplitMix64(settings.pop("seed", id_)),
            on_event=self._on_event,
            **settings,
        )

    def _on_event(self, event: TransportEvent) -> None:
        self.events.append(event)
        self.changed.set()

    def _receive(self, from_: NodeId, batch: list[tuple[int, list[Message]]]) -> None:
        self.frames.append((from_, sum(len(messages) for _, messages in batch)))
        self.received += [(from_, group, message) for group, messages in batch for message in messages]
        self.changed.set()

    def _unreachable(self, node: NodeId) -> None:
        self.unreachable.append(node)
        self.changed.set()

    def _on_lost(self, node: NodeId) -> None:
        self.lost.append(node)
        self.changed.set()

    async def start(self) -> Node:
        self.transport.on_lost = self._on_lost
        self.transport.on_moved = self.moved.append
        await self.transport.start(self._receive, self._unreachable)
        return self

    async def until(self, holds: Any) -> None:
        """Wait for something to become true of this node."""
        while not holds(self):
            self.changed.clear()
            await self.changed.wait()

    def told(self, kind: type) -> list[Any]:
        return [event for event in self.events if isinstance(event, kind)]

    def beat(self, to: NodeId, commit: int = 0, group: int = 1) -> None:
        self.transport.send(to, [(group, [MsgHeartbeat(to, self.id, 1, commit)])])

    def append(self, to: NodeId, size: int, group: int = 1) -> None:
        self.transport.send(to, [(group, [MsgApp(to, self.id, 1, 0, 0, [Entry(1, 1, data=bytes(size))], 0)])])

    @property
    def commits(self) -> list[int]:
        return [message.commit for _, _, message in self.received if isinstance(message, MsgHeartbeat)]


async def pair(**settings: Any) -> tuple[Node, Node]:
    """Two nodes that are connected both ways."""
    one = await Node(1, 4001, {2: 4002}, **settings).start()
    two = await Node(2, 4002, {1: 4001}, **settings).start()
    for node in (one, two):
        await node.until(lambda n: n.transport.peers()[0].connected and n.transport.incoming())
    return one, two


async def close(*nodes: Node) -> None:
    for node in nodes:
        await node.transport.close()
