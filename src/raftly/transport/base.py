"""What a driver asks of a network: to carry batches of messages between nodes, losing what it must."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol, TypeAlias

from raftly.base.types import NodeId
from raftly.core.messages import Message

Receiver: TypeAlias = Callable[[NodeId, list[tuple[int, list[Message]]]], None]
"""Takes what one node sent in one frame: for each group the messages, in the order in which they were sent."""


class Transport(Protocol):
    """Carries Raft messages. Everything may be lost, late or doubled, but nothing is damaged or from a stranger."""

    def send(self, to: NodeId, batch: list[tuple[int, list[Message]]]) -> None:
        """Queue the messages of some groups for a node; returns at once, and drops them when the queue is full."""
        ...

    async def start(self, receive: Receiver, unreachable: Callable[[NodeId], None]) -> None:
        """Begin to receive; `unreachable` is told when a node cannot be reached."""
        ...

    async def close(self) -> None:
        """Stop."""
        ...
