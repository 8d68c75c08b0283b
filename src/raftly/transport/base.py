"""What a node asks of a network: to carry batches of messages between nodes, losing what it must.

And what callers elsewhere and the node that answers them ask: requests one way, a response to each the other way.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Protocol, TypeAlias

from raftly.base.types import NodeId
from raftly.core.messages import Message
from raftly.transport.exchange import Item
from raftly.transport.options import Address

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


class Caller(Protocol):
    """A client that is connected to this node."""

    @property
    def response_bytes_max(self) -> int:
        """No response may be larger."""
        ...

    def respond(self, id: int, data: bytes) -> None:
        """Answer a request, once each; nothing happens when the client is gone."""
        ...


class RequestHandler(Protocol):
    """Answers clients. Called inside callbacks of the loop: quick, and never raising."""

    def on_requests(self, caller: Caller, items: list[Item]) -> None:
        """Requests came; each is to be answered by `caller.respond`, now or later."""
        ...

    def on_excess(self, caller: Caller, items: list[Item]) -> None:
        """These are more than a client may have in flight: answer that, at once."""
        ...


class Channel(Protocol):
    """A client's connection to one node."""

    @property
    def node_id(self) -> NodeId:
        """Who is at the other end."""
        ...

    @property
    def is_open(self) -> bool:
        """Can requests be sent?"""
        ...

    @property
    def in_flight(self) -> int:
        """Requests that are not answered."""
        ...

    def request(self, data: bytes) -> asyncio.Future[bytes]:
        """Send a request; its response, or RequestLost. At most `Dialer.request_bytes_max` bytes."""
        ...

    def close(self) -> None:
        """End the connection."""
        ...


class Dialer(Protocol):
    """A client's way to nodes."""

    @property
    def request_bytes_max(self) -> int:
        """No request may be larger."""
        ...

    async def dial(self, address: Address) -> Channel:
        """Connect to whichever node is at an address.

        Raises:
            PeerRefused: one side refuses the other.
            OSError: no connection.
        """
        ...

    async def close(self) -> None:
        """End all connections."""
        ...
