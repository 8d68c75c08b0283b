"""TcpTransport: nodes among themselves over TCP, with or without TLS.

    transport = TcpTransport(cluster_id=7, node_id=1, listen=("127.0.0.1", 4001), addresses={2: ("127.0.0.1", 4002)})

Each node dials every other whose address it knows, and sends its messages on that connection; back come only the answer
to the hello, and to pings. So two nodes have two connections, and one more for each snapshot that is under way. Who a
node is (`handshake`) does not depend on where it is: addresses may change, and are resolved again each time.

docs/transport.md tells what is lost when, and docs/formats-transport.md draws the bytes.
"""

from __future__ import annotations

import asyncio
import dataclasses
import os
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import final

from raftly.base.rand import RandomSource, SplitMix64
from raftly.base.types import NO_NODE, NodeId
from raftly.core.messages import Message, MsgSnap
from raftly.errors import ConfigError, TransferFailed
from raftly.transport.accept import Acceptor
from raftly.transport.base import Receiver, RequestHandler
from raftly.transport.connection import Connection, Session
from raftly.transport.events import (
    IdentityRefused,
    PeerStatus,
    SnapshotReported,
    TransportEvent,
    TransportStats,
    log_event,
)
from raftly.transport.handshake import FEATURES, Hello, Identity, Reason, Welcome
from raftly.transport.hub import Hub
from raftly.transport.link import Link
from raftly.transport.options import Address, TcpOptions
from raftly.transport.sending import SnapshotSender
from raftly.transport.taking import SnapshotReceiver
from raftly.transport.transfer import Begin, SnapshotSource, SnapshotTaker

_INCARNATIONS = (1 << 63) - 1
_WILDCARDS = {"", "0.0.0.0", "::"}  # noqa: S104 - not listened on, told apart


@final
class TcpTransport:
    """A Transport (`raftly.transport.base`) over TCP. Runs on one event loop, through its public methods only.

    `random` decides incarnation and jitter: hand in a seeded one for a run that repeats, but then each node's own,
    since an incarnation must not come twice; by default the operating system seeds it. `on_event` is called with what
    happens (`events`) inside callbacks of the loop: quick, and never raising. `take_snapshot` keeps streamed snapshots.
    """

    def __init__(
        self,
        cluster_id: int,
        node_id: NodeId,
        listen: Address,
        addresses: Mapping[NodeId, Address],
        options: TcpOptions | None = None,
        *,
        random: RandomSource | None = None,
        required_features: int = 0,
        on_event: Callable[[TransportEvent], None] = log_event,
        take_snapshot: SnapshotTaker | None = None,
        advertise: Address | None = None,
    ) -> None:
        """Take the settings; nothing is opened before `start`. `advertise`: where others reach what listens here.

        Raises:
            ConfigError: an id or an address is wrong, or not loopback without TLS.
        """
        self.options = options or TcpOptions()
        self.stats = TransportStats()
        self._random = random or SplitMix64(int.from_bytes(os.urandom(8), "little"))
        incarnation = self._random.below(_INCARNATIONS) + 1
        for name, value in (("cluster_id", cluster_id), ("node_id", node_id)):
            if not NO_NODE < value < 1 << 64:
                raise ConfigError(name, f"is {value}, it must be in [1, 2**64)")
        if required_features & ~FEATURES:
            raise ConfigError("required_features", f"has {required_features:#x}, this node has {int(FEATURES):#x}")
        self.identity = Identity(cluster_id, node_id, incarnation, required=required_features)
        self.options.check_address("listen", listen)
        self._listen = listen
        self._advertise = advertise
        self._addresses: dict[NodeId, Address] = {}
        self._guests: set[NodeId] = set()  # whose address is only what they say themselves
        self.on_expelled: Callable[[NodeId], None] = lambda _: None
        self.directories: dict[NodeId, int] = {}
        self._expelled: set[NodeId] = set()
        self.on_lost: Callable[[NodeId], None] = lambda _: None
        self.on_moved: Callable[[NodeId], None] = lambda _: None
        self._on_event = on_event
        self.take_snapshot = take_snapshot
        self._links: dict[NodeId, Link] = {}
        self._retired: set[asyncio.Task[None]] = set()  # links that are closing
        self._handler: RequestHandler | None = None
        self._hub: Hub | None = None
        self._acceptor: Acceptor | None = None
        self._sender: SnapshotSender | None = None
        self._receiver: SnapshotReceiver | None = None
        self._server: asyncio.Server | None = None
        for node, address in sorted(addresses.items()):
            self.set_address(node, address)

    # --- life ---

    async def start(self, receive: Receiver, unreachable: Callable[[NodeId], None]) -> None:
        """See `Transport.start`. Listens, and dials all whose addresses are known.

        Raises:
            OSError: the port cannot be listened on.
        """
        assert self._hub is None
        loop = asyncio.get_running_loop()
        hub = Hub(loop, self.identity, self.options, self._random, self.stats, self._emit, receive, unreachable)
        hub.expelled = self._expelled
        hub.directories = self.directories
        hub.lost = self.on_lost
        receiver = SnapshotReceiver(hub, self.take_snapshot)

        def make_transfer(connection: Connection, hello: Hello, welcome: Welcome) -> Session:
            return receiver.make_session(connection, hello, welcome, acceptor.forget)

        acceptor = Acceptor(hub, make_transfer, self._on_node, self._on_node_gone)
        acceptor.handler = self._handler
        host, port = self._listen
        try:
            self._server = await loop.create_server(acceptor.accept, host, port)
        except BaseException:
            await hub.close()
            raise
        hub.identity = dataclasses.replace(hub.identity, address=self._advertised())
        self._hub = hub
        self._acceptor = acceptor
        self._receiver = receiver
        self._sender = SnapshotSender(hub, self._addresses.get)
        for node, address in self._addresses.items():
            self._links[node] = Link(hub, node, address)

    async def close(self) -> None:
        """See `Transport.close`. What was sent still leaves, if that takes no longer than `close_s`."""
        hub = self._hub
        if hub is None or self._acceptor is None or self._sender is None or self._receiver is None:
            return
        if hub.closing:
            return
        hub.closing = True
        if self._server is not None:
            self._server.close()
        await asyncio.gather(*(link.close() for link in self._links.values()), *self._retired)
        await self._sender.close()
        await self._receiver.close()
        await self._acceptor.close()
        await hub.close()

    def serve(self, handler: RequestHandler | None) -> None:
        """Let `handler` answer clients on the same port from now on; None: let no more of them in."""
        self._handler = handler
        if self._acceptor is not None:
            self._acceptor.handler = handler

    # --- who is where ---

    @property
    def address(self) -> Address:
        """Where this node listens; with the port that was given to it when it asked for port 0."""
        if self._server is None or not self._server.sockets:
            return self._listen
        name = self._server.sockets[0].getsockname()
        return str(name[0]), int(name[1])

    def set_address(self, node: NodeId, address: Address | None) -> None:
        """From now on a node is at `address`, or (None) is not to be dialed any more. The own id is ignored.

        Raises:
            ConfigError: not an address, or not loopback without TLS.
        """
        if node == self.identity.node_id:
            return
        self._guests.discard(node)
        self._set_address(node, address)

    def _set_address(self, node: NodeId, address: Address | None) -> None:
        if address is None:
            self._addresses.pop(node, None)
            link = self._links.pop(node, None)
            if link is not None and self._hub is not None:
                link.cut("its address was removed")
                task = self._hub.loop.create_task(link.close())
                self._retired.add(task)
                task.add_done_callback(self._retired.discard)
            return
        self.options.check_address(f"address of node {node}", address)
        self._addresses[node] = address
        if self._hub is None or self._hub.closing:
            return
        link = self._links.get(node)
        if link is None:
            self._links[node] = Link(self._hub, node, address)
        else:
            link.set_address(address)

    def expel(self, node: NodeId) -> None:
        """See `Transport.expel`."""
        self.set_address(node, None)
        self._expelled.add(node)
        if self._acceptor is not None:
            self._acceptor.drop(node)

    @property
    def origin(self) -> int:
        """See `Transport.origin`."""
        return (self._hub or self).identity.origin

    def set_origin(self, origin: int, directory: int) -> None:
        """See `Transport.set_origin`."""
        assert self._hub is None
        self.identity = dataclasses.replace(self.identity, origin=origin, directory=directory)

    def _emit(self, event: TransportEvent) -> None:
        if isinstance(event, IdentityRefused) and event.reason == Reason.REMOVED.name and not event.here:
            self.on_expelled(event.node_id)
        self._on_event(event)

    def _advertised(self) -> Address | None:
        """Where this node says that it can be dialed; a wildcard is no place."""
        if self._advertise is not None:
            return self._advertise
        return None if self.address[0] in _WILDCARDS else self.address

    def _on_node(self, node: NodeId, said: Address | None) -> None:
        """A node has connected to us, so it is up. If we know of no address, it is dialed where it says.

        It may lead a group that has it by an entry that has not come here yet, and could not come without an answer.
        """
        link = self._links.get(node)
        if link is not None:
            link.wake()
            if said is not None and said != link.address:
                self.on_moved(node)
        elif said is not None and node not in self._addresses:
            with suppress(ConfigError):  # not loopback, without TLS
                self._set_address(node, said)
                self._guests.add(node)

    def _on_node_gone(self, node: NodeId) -> None:
        """What it said of its address counts no longer than its connection."""
        if node in self._guests and self._hub is not None and not self._hub.closing:
            self._guests.discard(node)
            self._set_address(node, None)

    # --- messages ---

    def send(self, to: NodeId, batch: list[tuple[int, list[Message]]]) -> None:
        """See `Transport.send`. A MsgSnap goes on a connection of its own and ends in a SnapshotReported event.

        What else is lost: everything while there is no connection and none is being made, and what comes when
        `queue_bytes_max` is full.
        """
        if any(MsgSnap in map(type, messages) for _, messages in batch):
            batch = self._divert_snapshots(to, batch)
        link = self._links.get(to)
        if link is None:
            self.stats.batches_dropped += len(batch)
        else:
            link.send(batch)

    def _divert_snapshots(self, to: NodeId, batch: list[tuple[int, list[Message]]]) -> list[tuple[int, list[Message]]]:
        """Send the snapshots of a batch; the rest of it."""
        for group, messages in batch:
            for message in messages:
                if isinstance(message, MsgSnap):
                    if self._sender is None:
                        self._on_event(SnapshotReported(to, group, "the transport has not started"))
                    else:
                        self._sender.send_inline(to, group, message)
        kept = [(group, [m for m in messages if not isinstance(m, MsgSnap)]) for group, messages in batch]
        return [(group, messages) for group, messages in kept if messages]

    async def send_snapshot(self, to: NodeId, group: int, message: MsgSnap, source: SnapshotSource) -> None:
        """Stream a snapshot; returns when the other end has taken all of it and handed on the message.

        One at a time to a node. A connection that breaks is made again, and the transfer goes on where the other end
        says; it fails when `transfer_attempts` connections in a row moved nothing.

        Raises:
            TransferFailed: it was not taken, as far as is known.
            LimitExceeded: the message carries too much besides.
        """
        if self._sender is None:
            raise TransferFailed(to, "the transport has not started")
        await self._sender.send(to, Begin(group, source.size, inline=False, id=source.id, message=message), source)

    # --- to look at ---

    def peers(self) -> list[PeerStatus]:
        """How it stands with each node that is dialed, by id."""
        return [link.status() for _, link in sorted(self._links.items())]

    def incoming(self) -> list[NodeId]:
        """The nodes whose connections for messages are up, by id."""
        return [] if self._acceptor is None else self._acceptor.peers()
