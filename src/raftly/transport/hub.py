"""What the parts of one TcpTransport share."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace
from typing import Final, Protocol, final

from raftly.base.rand import RandomSource
from raftly.base.types import NodeId
from raftly.transport.base import Receiver
from raftly.transport.connection import Connection, Session
from raftly.transport.events import StrangerClosed, TransportEvent, TransportStats
from raftly.transport.handshake import HANDSHAKE_BYTES_MAX, Identity
from raftly.transport.options import TcpOptions

WATCH_S: Final = 0.5  # between two looks at all connections
_STRANGERS_TOLD_MAX: Final = 16  # StrangerClosed events between two looks: hostile bytes must not fill a log


class Flushed(Protocol):
    """What writes once a turn of the loop."""

    def flush(self) -> None:
        """Write what has gathered."""
        ...


@final
class Hub:
    """Loop, identity, options, callbacks, counts and connections of a transport that has started."""

    __slots__ = (
        "_dirty",
        "_gone",
        "_strangers_told",
        "_watch",
        "closing",
        "connections",
        "directories",
        "emit",
        "expelled",
        "identity",
        "loop",
        "lost",
        "options",
        "random",
        "receive",
        "stats",
        "unreachable",
    )

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        identity: Identity,
        options: TcpOptions,
        random: RandomSource,
        stats: TransportStats,
        emit: Callable[[TransportEvent], None],
        receive: Receiver,
        unreachable: Callable[[NodeId], None],
    ) -> None:
        self.loop = loop
        self.identity = identity
        self.options = options
        self.random = random
        self.stats = stats
        self.emit = emit
        self.receive = receive
        self.unreachable = unreachable
        self.lost: Callable[[NodeId], None] = lambda _: None  # see `Transport.on_lost`
        self.connections: dict[Connection, None] = {}
        self.directories: dict[NodeId, int] = {}  # that nodes came with
        self.expelled: set[NodeId] = set()  # who is no member any more
        self.closing = False
        self._dirty: list[Flushed] = []
        self._gone: asyncio.Future[None] | None = None
        self._strangers_told = 0
        self._watch = loop.call_later(WATCH_S, self.check)

    def learn(self, origin: int) -> None:
        """A node that belongs to the group told of its origin."""
        if self.identity.origin == 0:
            self.identity = replace(self.identity, origin=origin)

    def new_connection(self, session: Session, frame_bytes_max: int = HANDSHAKE_BYTES_MAX) -> Connection:
        """A connection under watch; its reader takes handshakes only, until told otherwise."""
        connection = Connection(self.loop, self.options, self.stats, session, frame_bytes_max)
        self.connections[connection] = None
        return connection

    def forget(self, connection: Connection) -> None:
        """The connection is gone."""
        self.connections.pop(connection, None)
        if not self.connections and self._gone is not None and not self._gone.done():
            self._gone.set_result(None)

    def flush_soon(self, item: Flushed) -> None:
        """Have `item.flush` called once, after this turn of the loop. The caller asks once until that happens."""
        if not self._dirty:
            self.loop.call_soon(self.flush)
        self._dirty.append(item)

    def flush(self) -> None:
        """Write all that has gathered."""
        dirty, self._dirty = self._dirty, []
        for item in dirty:
            item.flush()

    def tell_stranger(self, address: str, problem: str) -> None:
        """A connection that came in was closed before it was anybody's."""
        if self._strangers_told < _STRANGERS_TOLD_MAX:
            self._strangers_told += 1
            self.emit(StrangerClosed(address, problem))
        else:
            self.stats.events_suppressed += 1

    def tell_lost(self, node: NodeId) -> None:
        """A connection for messages that was up has closed, whoever made it."""
        if not self.closing:
            self.lost(node)

    def check(self) -> None:
        """The watch: one timer for all connections."""
        now = self.loop.time()
        self._strangers_told = 0
        for connection in list(self.connections):
            connection.check(now)
        self._watch = self.loop.call_later(WATCH_S, self.check)

    async def close(self) -> None:
        """Close all connections: what was written leaves, if it does so quickly."""
        self.closing = True
        self.flush()
        for connection in list(self.connections):
            connection.close("this node stops")
        if self.connections:
            self._gone = self.loop.create_future()
            await asyncio.wait([self._gone], timeout=self.options.close_s)
        for connection in list(self.connections):
            connection.abort("this node stops")
        self._watch.cancel()
