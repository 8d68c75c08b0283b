"""Proxy: what stands in front of a node. Everybody who wants to reach the node connects here.

    node 2 ──► :P1 ──► proxy of node 1 ──► node 1, on whatever port it has since its last start

The first frame of a connection says which node has dialed (`raftly.transport.handshake`), so the proxy knows which link
it belongs to. When a link is cut its connections are reset, and new ones are taken, but nothing answers. When it is
healed, those that still wait go on.
"""

from __future__ import annotations

import asyncio
from typing import Final, cast, final

from raftly.base.types import NodeId
from raftly.demo.live.links import Links
from raftly.errors import DecodeError
from raftly.transport.frame import FRAME_HELLO, decode_frame
from raftly.transport.handshake import HANDSHAKE_BYTES_MAX, decode_hello

HOST: Final = "127.0.0.1"


def dialer_of(data: bytes) -> NodeId | None:
    """Which node dialed, by the first bytes of its connection; None while there are not enough of them.

    Raises:
        DecodeError: nobody begins like that.
    """
    found = decode_frame(data, 0, len(data), HANDSHAKE_BYTES_MAX)
    if found is None:
        return None
    kind, start, stop = found
    if kind != FRAME_HELLO:
        raise DecodeError("hello", 0, "a connection begins with another frame")
    return decode_hello(data[start:stop]).node_id


@final
class Proxy:
    """The proxy of one node."""

    def __init__(self, node: NodeId, links: Links) -> None:
        self.node = node
        self.port = 0
        self.target = 0  # the node's own port; 0: it does not run
        self._links = links
        self._server: asyncio.Server | None = None
        self._pairs: set[_Pair] = set()

    async def start(self, port: int = 0) -> None:
        """Listen, on any port if none is given.

        Raises:
            OSError: it cannot be listened on.
        """
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(lambda: _Pair(self).inner, HOST, port)
        self.port = int(self._server.sockets[0].getsockname()[1])

    def is_open_to(self, dialer: NodeId) -> bool:
        """Does anything come through from this node?"""
        return not self._links.is_cut(self.node, dialer)

    def on_links(self) -> None:
        """Links were cut or healed."""
        for pair in list(self._pairs):
            pair.steer()

    async def close(self) -> None:
        """End everything."""
        if self._server is not None:
            self._server.close()
        for pair in list(self._pairs):
            pair.close()
        if self._server is not None:
            await self._server.wait_closed()

    def enter(self, pair: _Pair) -> None:
        """A connection was made."""
        self._pairs.add(pair)

    def leave(self, pair: _Pair) -> None:
        """It is gone."""
        self._pairs.discard(pair)


@final
class _Pair:
    """A connection that came in and the one that goes on to the node."""

    def __init__(self, proxy: Proxy) -> None:
        self.proxy = proxy
        self.inner = _Side(self)  # towards whoever dialed
        self.outer = _Side(self)  # towards the node
        self._dialer: NodeId | None = None
        self._first = b""  # bytes that came before the node was connected to
        self._dialing: asyncio.Task[None] | None = None

    def other(self, side: _Side) -> _Side:
        return self.outer if side is self.inner else self.inner

    def on_made(self, side: _Side) -> None:
        if side is self.inner:
            self.proxy.enter(self)
        else:
            side.write(self._first)  # before anything that comes from now on
            self._first = b""

    def on_data(self, side: _Side, data: bytes) -> None:
        if side is self.outer or self.outer.transport is not None:
            self.other(side).write(data)
            return
        self._first += data
        if self._dialer is None:
            try:
                self._dialer = dialer_of(self._first)
            except DecodeError:
                self.close()
                return
        self.steer()

    def steer(self) -> None:
        """Connect to the node, wait until the link holds, or end because it was cut."""
        if self._dialer is None:
            return
        if self.proxy.is_open_to(self._dialer):
            if self._dialing is None:
                self._dialing = asyncio.get_running_loop().create_task(self._dial())
        elif self._dialing is not None:
            self.inner.abort()
            self.outer.abort()
            self.close()

    async def _dial(self) -> None:
        try:
            if not self.proxy.target:
                raise ConnectionRefusedError
            loop = asyncio.get_running_loop()
            await loop.create_connection(lambda: self.outer, HOST, self.proxy.target)
        except OSError:
            self.close()

    def close(self) -> None:
        if self._dialing is not None and self.outer.transport is None:
            self._dialing.cancel()
        self.inner.close()
        self.outer.close()
        self.proxy.leave(self)


@final
class _Side(asyncio.Protocol):
    """One of the two connections."""

    def __init__(self, pair: _Pair) -> None:
        self.transport: asyncio.Transport | None = None
        self._pair = pair

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)
        self._pair.on_made(self)

    def data_received(self, data: bytes) -> None:
        self._pair.on_data(self, data)

    def connection_lost(self, error: Exception | None) -> None:
        self._pair.close()

    def pause_writing(self) -> None:
        self._pair.other(self).read(wanted=False)

    def resume_writing(self) -> None:
        self._pair.other(self).read(wanted=True)

    def read(self, *, wanted: bool) -> None:
        """Read, or leave what comes where it is, because the other side takes no more."""
        if self.transport is None or self.transport.is_closing():
            return
        if wanted:
            self.transport.resume_reading()
        else:
            self.transport.pause_reading()

    def write(self, data: bytes) -> None:
        if self.transport is not None and not self.transport.is_closing():
            self.transport.write(data)

    def close(self) -> None:
        if self.transport is not None:
            self.transport.close()

    def abort(self) -> None:
        if self.transport is not None:
            self.transport.abort()
