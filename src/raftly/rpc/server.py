"""The gRPC server: listens, counts and watches connections, and stops in good order."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from raftly.errors import ConfigError
from raftly.rpc.driver import protocol_of
from raftly.rpc.limits import Limits
from raftly.rpc.server_connection import ServerConnection
from raftly.rpc.service import Bound, Interceptor, Service

if TYPE_CHECKING:
    from raftly.rpc.tls import ServerTls

__all__ = ["Server", "ServerStats"]

_log: Final = logging.getLogger("raftly.rpc")
_WATCH_S: Final = 1.0
_DRAIN_ANSWER_S: Final = 1.0  # how long a client may take to answer the ping of a drain
_LAST_WORDS_S: Final = 0.5  # after the grace: for the last statuses to be written


@dataclass(slots=True)
class ServerStats:
    """Counters since the start, for metrics."""

    connections: int = 0  # accepted, the refused ones included
    connections_refused: int = 0  # over `Limits.connections_max`
    tls_failures: int = 0  # handshakes that failed or took too long
    faults: int = 0  # connections that ended by the client's fault


class Server:
    """Serves `services` on any number of addresses. Nothing runs before `start`.

    Raises ConfigError when two services have the same method, or TLS files do not load.
    """

    def __init__(
        self,
        services: Sequence[Service],
        *,
        interceptors: Sequence[Interceptor] = (),
        limits: Limits | None = None,
        tls: ServerTls | None = None,
    ) -> None:
        self.services = tuple(services)
        self.interceptors = tuple(interceptors)  # the first is the outermost
        self.limits = limits or Limits()
        self.stats = ServerStats()
        self.methods: dict[bytes, Bound] = {}
        for service in services:
            for bound in service.methods:
                path = bound.method.path
                if path in self.methods:
                    raise ConfigError("services", f"have the method {path.decode()} twice")
                self.methods[path] = bound
        self._tls = tls
        if tls is not None:
            tls.context()  # files that do not load are told here, not at the first connection
        self._listeners: list[asyncio.Server] = []
        self._connections: dict[ServerConnection, None] = {}
        self._handshakes: dict[asyncio.Task[None], None] = {}
        self._watch: asyncio.TimerHandle | None = None
        self._gone: asyncio.Future[None] | None = None
        self._stopping = False

    async def start(self, host: str = "127.0.0.1", port: int = 0) -> int:
        """Listen on an address; returns the port, which is chosen for port 0. May be called for more addresses.

        Raises OSError when the address cannot be had.
        """
        loop = asyncio.get_running_loop()
        listener = await loop.create_server(lambda: self._accept(loop), host, port, backlog=1024)
        self._listeners.append(listener)
        bound_port: int = listener.sockets[0].getsockname()[1]
        return bound_port

    async def stop(self, grace_s: float = 5.0) -> None:
        """Take no new calls, let running ones finish for `grace_s`, then end them with UNAVAILABLE and close."""
        loop = asyncio.get_running_loop()
        self._stopping = True
        for listener in self._listeners:
            listener.close()
        for task in list(self._handshakes):
            task.cancel()
        await asyncio.gather(*self._handshakes, return_exceptions=True)
        for connection in list(self._connections):
            connection.begin_drain()
        insist = loop.call_later(min(_DRAIN_ANSWER_S, grace_s / 2), self._insist)
        try:
            await self._wait_gone(grace_s)
            if self._connections:
                for connection in list(self._connections):
                    connection.abandon_calls()
                    connection.insist_on_drain()
                await self._wait_gone(_LAST_WORDS_S)
        finally:
            insist.cancel()
            for connection in list(self._connections):
                connection.abort()
            if self._watch is not None:
                self._watch.cancel()
                self._watch = None
        await self._wait_gone(_LAST_WORDS_S)

    def _insist(self) -> None:
        for connection in list(self._connections):
            connection.insist_on_drain()

    async def _wait_gone(self, timeout_s: float) -> None:
        if self._connections:
            self._gone = asyncio.get_running_loop().create_future()
            await asyncio.wait([self._gone], timeout=timeout_s)
            self._gone = None

    @property
    def connections_open(self) -> int:
        """Connections now open, half handshakes included."""
        return len(self._connections) + len(self._handshakes)

    @property
    def calls_open(self) -> int:
        """Calls now being served."""
        return sum(connection.calls_open for connection in self._connections)

    # --- connections ----------------------------------------------------------------------------------------------

    def _accept(self, loop: asyncio.AbstractEventLoop) -> asyncio.BaseProtocol:
        if self._tls is None:
            return protocol_of(ServerConnection(self, loop))
        return _Handshake(self, loop)

    def on_connected(self, connection: ServerConnection) -> bool:
        """A connection is up; False when there are too many and it is to be closed."""
        self.stats.connections += 1
        admitted = self.connections_open < self.limits.connections_max and not self._stopping
        if not admitted:
            self.stats.connections_refused += 1
        self._connections[connection] = None
        if self._watch is None:
            self._watch = connection.loop.call_later(_WATCH_S, self._check, connection.loop)
        return admitted

    def on_lost(self, connection: ServerConnection) -> None:
        """A connection is gone."""
        self._connections.pop(connection, None)
        if not self._connections and self._gone is not None and not self._gone.done():
            self._gone.set_result(None)

    def on_fault(self, connection: ServerConnection, problem: str) -> None:
        """A client broke the protocol or a limit; its connection is being closed."""
        self.stats.faults += 1
        _log.info("closing connection from %s: %s", connection.peer, problem)

    def _check(self, loop: asyncio.AbstractEventLoop) -> None:
        """The watch over all connections: one timer a server, none while nobody is connected."""
        now = loop.time()
        for connection in list(self._connections):
            connection.check(now)
        self._watch = loop.call_later(_WATCH_S, self._check, loop) if self._connections else None

    # --- TLS ------------------------------------------------------------------------------------------------------

    def on_tls_accepted(self, transport: asyncio.Transport, loop: asyncio.AbstractEventLoop) -> None:
        """Plain TCP is up: shake hands, counted and bounded in time."""
        if self.connections_open >= self.limits.connections_max or self._stopping:
            self.stats.connections += 1
            self.stats.connections_refused += 1
            transport.abort()
            return
        task = loop.create_task(self._shake_hands(transport, loop))
        self._handshakes[task] = None
        task.add_done_callback(self._handshakes.pop)

    async def _shake_hands(self, transport: asyncio.Transport, loop: asyncio.AbstractEventLoop) -> None:
        assert self._tls is not None
        connection = ServerConnection(self, loop)
        try:
            secured = await loop.start_tls(
                transport,
                protocol_of(connection),
                self._tls.context(),
                server_side=True,
                ssl_handshake_timeout=self.limits.handshake_s,
            )
        except (OSError, asyncio.CancelledError) as error:  # ssl.SSLError is an OSError
            self.stats.tls_failures += 1
            _log.info("TLS handshake with %s failed: %s", transport.get_extra_info("peername"), error)
            transport.abort()
            return
        if secured is None:  # closed meanwhile
            self.stats.tls_failures += 1
            return
        connection.connection_made(secured)
        if secured.get_extra_info("ssl_object").selected_alpn_protocol() not in ("h2", None):
            connection.abort()


class _Handshake(asyncio.Protocol):
    """Holds an accepted socket until TLS takes it over."""

    def __init__(self, server: Server, loop: asyncio.AbstractEventLoop) -> None:
        self._server = server
        self._loop = loop

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        transport.pause_reading()
        self._server.on_tls_accepted(transport, self._loop)
