"""What a node asks of a network: to carry batches of messages between nodes, losing what it must.

And what callers elsewhere and the node that answers them ask: requests one way, a response to each the other way.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Protocol, TypeAlias

from raftly.base.types import NodeId
from raftly.core.messages import Message, MsgSnap
from raftly.transport.exchange import Item
from raftly.transport.options import Address
from raftly.transport.transfer import SnapshotSource, SnapshotTaker

Receiver: TypeAlias = Callable[[NodeId, list[tuple[int, list[Message]]]], None]
"""Takes what one node sent in one frame: for each group the messages, in the order in which they were sent."""


class Transport(Protocol):
    """Carries Raft messages. Everything may be lost, late or doubled, but nothing is damaged or from a stranger."""

    on_expelled: Callable[[NodeId], None]
    """Called with a node that says that this one is no member any more. Set before `start`."""

    @property
    def origin(self) -> int:
        """What the group began with, as a number: given, or learned from the first node that knows it; 0: not yet.

        Nodes of different origins do not talk to each other.
        """
        ...

    directories: dict[NodeId, int]
    """The data directory that each node came with, as a number: one that comes with another is refused. It may know
    some before `start`; it only grows."""

    def set_origin(self, origin: int, directory: int) -> None:
        """What is known of the origin (or 0), and the number of this node's data directory. Before `start`."""
        ...

    @property
    def address(self) -> Address | None:
        """Where this node listens; None where nodes are reached without addresses."""
        ...

    def set_address(self, node: NodeId, address: Address | None) -> None:
        """From now on a node is at `address`, or (None) is not to be reached any more.

        Raises:
            ConfigError: the address is not one that this transport may use.
        """
        ...

    def expel(self, node: NodeId) -> None:
        """Take nothing from a node any more, and send it nothing; when it calls, tell it that it is no member."""
        ...

    take_snapshot: SnapshotTaker | None
    """Who keeps the snapshots that come in; set before `start`."""

    on_lost: Callable[[NodeId], None]
    """Called with a node when a connection to or from it that was up has closed, behind all that came on it.

    Its process has probably ended; a queue that overflows and a network that is silent are no such sign. Set before
    `start`, called on the loop."""

    on_moved: Callable[[NodeId], None]
    """Called with a node that has connected, and says that it can be dialed elsewhere than where this one dials it.

    That is for somebody else to believe, and to tell with `set_address`. Set before `start`, called on the loop."""

    def send(self, to: NodeId, batch: list[tuple[int, list[Message]]]) -> None:
        """Queue the messages of some groups for a node; returns at once, and drops them when the queue is full."""
        ...

    async def start(self, receive: Receiver, unreachable: Callable[[NodeId], None]) -> None:
        """Begin to receive; `unreachable` is told when a node cannot be reached."""
        ...

    async def send_snapshot(self, to: NodeId, group: int, message: MsgSnap, source: SnapshotSource) -> None:
        """Stream a snapshot; returns when the other end has taken all of it and handed on the message.

        Raises:
            TransferFailed: it was not taken, as far as is known.
            LimitExceeded: the message carries too much besides.
        """
        ...

    async def close(self) -> None:
        """Stop."""
        ...


class Caller(Protocol):
    """A client that is connected to this node."""

    @property
    def in_flight_max(self) -> int:
        """Requests that it may have in flight."""
        ...

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

    @property
    def heard_at(self) -> float:
        """When the last response came, or the connection was made; of the loop's time."""
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
