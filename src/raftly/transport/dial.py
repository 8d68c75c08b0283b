"""The dialer's side of a new connection: name, TCP, TLS, handshake; and how long to wait before the next attempt."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import final

from raftly.base.rand import RandomSource
from raftly.base.types import NO_NODE, NodeId
from raftly.errors import DecodeError, PeerRefused
from raftly.transport.connection import Connection, Session
from raftly.transport.frame import FRAME_REFUSAL, FRAME_WELCOME
from raftly.transport.handshake import (
    Purpose,
    Reason,
    Welcome,
    check_welcome,
    decode_refusal,
    decode_welcome,
    make_hello,
)
from raftly.transport.hub import Hub
from raftly.transport.options import Address

_GRAINS = 1 << 20


@final
class Backoff:
    """Waits that double, with jitter: each is drawn from the upper half of [0, what doubling gives]."""

    __slots__ = ("_next_s", "_random", "max_s", "min_s")

    def __init__(self, min_s: float, max_s: float, random: RandomSource) -> None:
        self.min_s = min_s
        self.max_s = max_s
        self._next_s = min_s
        self._random = random

    def take(self) -> float:
        """Seconds to wait before the next attempt."""
        bound = self._next_s
        self._next_s = min(bound * 2, self.max_s)
        return bound * (1 + self._random.below(_GRAINS) / _GRAINS) / 2

    def reset(self) -> None:
        """The attempt went well."""
        self._next_s = self.min_s


@final
class Dialing(Session):
    """Says hello, and hands over to the session that `then` makes when the answer is a welcome."""

    __slots__ = ("_connection", "_hub", "_node", "_purpose", "_then", "done")

    def __init__(
        self, hub: Hub, node: NodeId, purpose: Purpose, then: Callable[[Connection, Welcome], Session]
    ) -> None:
        self._hub = hub
        self._node = node
        self._purpose = purpose
        self._then = then
        self._connection: Connection | None = None
        self.done: asyncio.Future[Connection] = hub.loop.create_future()

    def on_open(self, connection: Connection) -> None:
        """See `Session.on_open`."""
        self._connection = connection
        tls = self._hub.options.tls
        if tls is not None and self._node != NO_NODE:
            problem = tls.find_problem(self._node, connection.certificate)
            if problem:
                self._fail(PeerRefused(self._node, Reason.CERTIFICATE.name, problem))
                return
        connection.write(make_hello(self._hub.identity, self._node, self._purpose).encode())

    def on_frame(self, kind: int, buf: bytes, start: int, stop: int) -> None:
        """See `Session.on_frame`."""
        assert self._connection is not None
        try:
            if kind == FRAME_REFUSAL:
                raise decode_refusal(buf[start:stop]).error(self._node)
            if kind != FRAME_WELCOME:
                raise DecodeError("handshake", start, f"a frame of kind {kind} is no answer to a hello")
            welcome = decode_welcome(buf[start:stop])
            check_welcome(self._hub.identity, self._node, welcome)
            self._hub.learn(welcome.origin)
            tls = self._hub.options.tls
            if tls is not None and self._node == NO_NODE:  # who it should be is known only now
                problem = tls.find_problem(welcome.node_id, self._connection.certificate)
                if problem:
                    raise PeerRefused(welcome.node_id, Reason.CERTIFICATE.name, problem)
        except PeerRefused as error:
            self._fail(error)
            return
        self._connection.session = self._then(self._connection, welcome)
        if not self.done.done():
            self.done.set_result(self._connection)

    def on_lost(self, problem: str) -> None:
        """See `Session.on_lost`."""
        assert self._connection is not None
        self._hub.forget(self._connection)
        if not self.done.done():
            self.done.set_exception(ConnectionError(problem))

    def _fail(self, error: PeerRefused) -> None:
        assert self._connection is not None
        if not self.done.done():
            self.done.set_exception(error)
        self._connection.abort(str(error))


async def dial(
    hub: Hub, node: NodeId, address: Address, purpose: Purpose, then: Callable[[Connection, Welcome], Session]
) -> Connection:
    """Connect to a node (NO_NODE: to whichever is there) and shake hands. A host name is resolved each time.

    Raises:
        PeerRefused: either side refuses the other.
        OSError: no connection (TimeoutError, ssl.SSLError and ConnectionError are among them).
    """
    options = hub.options
    dialing = Dialing(hub, node, purpose, then)
    connection = hub.new_connection(dialing)
    host, port = address
    try:
        async with asyncio.timeout(options.connect_s):
            if options.tls is None:
                await hub.loop.create_connection(lambda: connection, host, port)
            else:
                context = options.tls.client_context()
                await hub.loop.create_connection(lambda: connection, host, port, ssl=context, server_hostname=host)
            return await dialing.done
    except TimeoutError:
        connection.abort("no handshake in time")
        raise TimeoutError(f"no connection and handshake within {options.connect_s} s") from None
    except asyncio.CancelledError:
        connection.abort("not needed any more")
        raise
    finally:
        if not connection.is_open:
            hub.forget(connection)
        dialing.done.cancel()  # a connection that is lost from here on has nobody to tell
        if not dialing.done.cancelled():
            dialing.done.exception()  # seen, even when TLS or the time-out spoke first
