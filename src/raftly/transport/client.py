"""TcpDialer: a client's way to nodes over TCP, with or without TLS.

    dialer = TcpDialer(cluster_id=7)
    channel = await dialer.dial(("127.0.0.1", 4001))
    response = await channel.request(b"...")

A client is no node: it has no id, listens nowhere, and learns from the answer to its hello which node it reached. With
TLS it shows a certificate that the nodes' `PeerTls.clients` name, and the node shows one of that node's names. Requests
of one turn of the loop leave in one write. The client pings, and cuts a node that does not answer.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from typing import final

from raftly.base.rand import RandomSource, SplitMix64
from raftly.base.types import NO_NODE, NodeId
from raftly.core.messages import Message
from raftly.errors import ConfigError, DecodeError, LimitExceeded, RequestLost
from raftly.transport.connection import Connection, Session
from raftly.transport.dial import dial
from raftly.transport.events import TransportEvent, TransportStats, log_event
from raftly.transport.exchange import ITEM_HEADER_BYTES, Item, decode_items, encode_items
from raftly.transport.frame import FRAME_REFUSAL, FRAME_REQUESTS, FRAME_RESPONSES
from raftly.transport.handshake import Identity, Purpose, Welcome, decode_refusal
from raftly.transport.hub import Hub
from raftly.transport.options import Address, TcpOptions

_INCARNATIONS = (1 << 63) - 1


@final
class TcpDialer:
    """See `raftly.transport.base.Dialer`. Runs on one event loop, that of the first `dial`."""

    def __init__(
        self,
        cluster_id: int,
        options: TcpOptions | None = None,
        *,
        random: RandomSource | None = None,
        on_event: Callable[[TransportEvent], None] = log_event,
    ) -> None:
        """Take the settings; nothing is opened before `dial`.

        Raises:
            ConfigError: the cluster's id is wrong.
        """
        if not 0 < cluster_id < 1 << 64:
            raise ConfigError("cluster_id", f"is {cluster_id}, it must be in [1, 2**64)")
        self.options = options or TcpOptions()
        self.stats = TransportStats()
        self._random = random or SplitMix64(int.from_bytes(os.urandom(8), "little"))
        self._identity = Identity(cluster_id, NO_NODE, self._random.below(_INCARNATIONS) + 1)
        self._on_event = on_event
        self._hub: Hub | None = None

    @property
    def request_bytes_max(self) -> int:
        """See `Dialer.request_bytes_max`."""
        return self.options.client_frame_bytes_max - ITEM_HEADER_BYTES

    async def dial(self, address: Address) -> TcpChannel:
        """See `Dialer.dial`.

        Raises:
            PeerRefused: one side refuses the other.
            OSError: no connection.
            ConfigError: not loopback without TLS.
        """
        self.options.check_address("address", address)
        hub = self._hub
        if hub is None:
            loop = asyncio.get_running_loop()
            hub = self._hub = Hub(
                loop, self._identity, self.options, self._random, self.stats, self._on_event, _ignore, _forget
            )
        if hub.closing:
            raise ConnectionError("this client is closed")
        made: list[TcpChannel] = []

        def welcome(connection: Connection, answer: Welcome) -> Session:
            made.append(TcpChannel(hub, connection, answer.node_id))
            return made[0]

        await dial(hub, NO_NODE, address, Purpose.CLIENT, welcome)
        self.stats.connects += 1
        return made[0]

    async def close(self) -> None:
        """See `Dialer.close`."""
        if self._hub is not None and not self._hub.closing:
            await self._hub.close()


def _ignore(_from: NodeId, _batch: list[tuple[int, list[Message]]]) -> None:
    """A client takes no messages of nodes."""


def _forget(_node: NodeId) -> None:
    """Nor does it watch them."""


@final
class TcpChannel(Session):
    """See `raftly.transport.base.Channel`."""

    __slots__ = ("_connection", "_flushing", "_hub", "_next", "_out", "_waiting", "heard_at", "node_id")

    def __init__(self, hub: Hub, connection: Connection, node_id: NodeId) -> None:
        self.node_id = node_id
        self.heard_at = hub.loop.time()
        self._hub = hub
        self._connection = connection
        self._waiting: dict[int, asyncio.Future[bytes]] = {}
        self._out: list[Item] = []  # not written yet
        self._next = 1
        self._flushing = False
        connection.reader.limit = hub.options.client_frame_bytes_max

    @property
    def is_open(self) -> bool:
        """See `Channel.is_open`."""
        return self._connection.is_open

    @property
    def in_flight(self) -> int:
        """See `Channel.in_flight`."""
        return len(self._waiting)

    def request(self, data: bytes) -> asyncio.Future[bytes]:
        """See `Channel.request`.

        Raises:
            LimitExceeded: it is too large.
            RequestLost: the connection is gone; nothing was sent.
        """
        bound = self._hub.options.client_frame_bytes_max - ITEM_HEADER_BYTES
        if len(data) > bound:
            raise LimitExceeded("request_bytes", len(data), bound)
        if not self._connection.is_open:
            raise RequestLost(self._connection.problem or "the connection is closed", sent=False)
        future: asyncio.Future[bytes] = self._hub.loop.create_future()
        self._waiting[self._next] = future
        self._out.append((self._next, data))
        self._next += 1
        if not self._flushing:
            self._flushing = True
            self._hub.flush_soon(self)
        return future

    def flush(self) -> None:
        """Write what has gathered, if there is room. See `Flushed`."""
        self._flushing = False
        if self._out and self._connection.writable and self._connection.is_open:
            items, self._out = self._out, []
            self._connection.write(encode_items(FRAME_REQUESTS, items, self._hub.options.client_frame_bytes_max))

    def on_writable(self) -> None:
        """See `Session.on_writable`."""
        self.flush()

    def on_frame(self, kind: int, buf: bytes, start: int, stop: int) -> None:
        """See `Session.on_frame`."""
        if kind == FRAME_REFUSAL:
            self._connection.abort(str(decode_refusal(buf[start:stop]).error(self.node_id)))
            return
        if kind != FRAME_RESPONSES:
            raise DecodeError("frame", start, f"kind {kind} is nothing that a client is sent")
        self.heard_at = self._hub.loop.time()
        for id_, data in decode_items(buf, start, stop):
            future = self._waiting.pop(id_, None)
            if future is None:
                raise DecodeError("requests", start, f"a response to request {id_}, which is not in flight")
            if not future.done():  # its caller may have given up
                future.set_result(data)

    def check(self, now: float) -> None:
        """See `Session.check`."""
        self._connection.keep_alive(now)

    def on_lost(self, problem: str) -> None:
        """See `Session.on_lost`."""
        self._hub.forget(self._connection)
        self._hub.stats.lost += 1
        unsent = {id_ for id_, _ in self._out}
        self._out.clear()
        waiting, self._waiting = self._waiting, {}
        for id_, future in waiting.items():
            if not future.done():
                future.set_exception(RequestLost(problem, sent=id_ not in unsent))

    def close(self) -> None:
        """See `Channel.close`."""
        self._connection.close("closed by its owner")
