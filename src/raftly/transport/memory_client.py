"""Clients of nodes on a MemoryNetwork: requests and responses cross as bytes, on the next turn of the loop.

An address is ("memory", node). A client has an id too, below 0, so that `MemoryNetwork.cut` can part it from nodes:
what crosses a cut is lost, and the connection with it.
"""

from __future__ import annotations

import asyncio
from typing import Final, final

from raftly.base.types import NodeId
from raftly.errors import RequestLost
from raftly.transport.exchange import Item, decode_items, encode_items
from raftly.transport.frame import FRAME_REQUESTS, FRAME_RESPONSES, HEADER_BYTES
from raftly.transport.memory import MemoryNetwork
from raftly.transport.options import Address

HOST: Final = "memory"
REQUEST_BYTES_MAX: Final = 16 << 20


def memory_address(node: NodeId) -> Address:
    """Where a node of a MemoryNetwork is."""
    return HOST, node


@final
class MemoryDialer:
    """See `raftly.transport.base.Dialer`."""

    __slots__ = ("_channels", "_id", "_network", "request_bytes_max")

    def __init__(self, network: MemoryNetwork, id_: int = -1) -> None:
        self.request_bytes_max = REQUEST_BYTES_MAX
        self._network = network
        self._id = id_
        self._channels: list[MemoryChannel] = []

    async def dial(self, address: Address) -> MemoryChannel:
        """See `Dialer.dial`.

        Raises:
            ConnectionError: nobody is there, or it serves no clients, or the way is cut.
        """
        await asyncio.sleep(0)
        host, node = address
        if host != HOST or node not in self._network.nodes or node not in self._network.handlers:
            raise ConnectionError(f"nobody serves clients at {address}")
        channel = MemoryChannel(self._network, self._id, node)
        if channel.is_cut():
            raise ConnectionError(f"the way to {address} is cut")
        self._channels.append(channel)
        return channel

    async def close(self) -> None:
        """See `Dialer.close`."""
        for channel in self._channels:
            channel.close()


@final
class MemoryChannel:
    """See `raftly.transport.base.Channel`; the `Caller` at the other end too."""

    __slots__ = (
        "_id",
        "_network",
        "_next",
        "_waiting",
        "heard_at",
        "in_flight_max",
        "is_open",
        "node_id",
        "response_bytes_max",
    )

    def __init__(self, network: MemoryNetwork, id_: int, node: NodeId) -> None:
        self.node_id = node
        self.is_open = True
        self.heard_at = asyncio.get_running_loop().time()
        self.in_flight_max = 1 << 30
        self.response_bytes_max = REQUEST_BYTES_MAX
        self._network = network
        self._id = id_
        self._waiting: dict[int, asyncio.Future[bytes]] = {}
        self._next = 1

    @property
    def in_flight(self) -> int:
        """See `Channel.in_flight`."""
        return len(self._waiting)

    def is_cut(self) -> bool:
        """Does nothing get through, in one direction or the other?"""
        return not {(self._id, self.node_id), (self.node_id, self._id)}.isdisjoint(self._network.cut)

    def request(self, data: bytes) -> asyncio.Future[bytes]:
        """See `Channel.request`.

        Raises:
            RequestLost: the connection is gone; nothing was sent.
        """
        if not self.is_open:
            raise RequestLost("the connection is closed", sent=False)
        loop = asyncio.get_running_loop()
        future: asyncio.Future[bytes] = loop.create_future()
        self._waiting[self._next] = future
        frame = encode_items(FRAME_REQUESTS, [(self._next, data)], REQUEST_BYTES_MAX)
        self._next += 1
        loop.call_soon(self._arrive, frame)
        return future

    def _arrive(self, frame: bytes) -> None:
        handler = self._network.handlers.get(self.node_id)
        if handler is None or self.node_id not in self._network.nodes or (self._id, self.node_id) in self._network.cut:
            self._break("the node is gone")
        elif self.is_open:
            handler.on_requests(self, decode_items(frame, HEADER_BYTES, len(frame)))

    def respond(self, id: int, data: bytes) -> None:
        """See `Caller.respond`."""
        frame = encode_items(FRAME_RESPONSES, [(id, data)], REQUEST_BYTES_MAX)
        asyncio.get_running_loop().call_soon(self._answer, decode_items(frame, HEADER_BYTES, len(frame)))

    def _answer(self, items: list[Item]) -> None:
        if (self.node_id, self._id) in self._network.cut:
            self._break("the way back is cut")
            return
        self.heard_at = asyncio.get_running_loop().time()
        for id_, data in items:
            future = self._waiting.pop(id_, None)
            if future is not None and not future.done():
                future.set_result(data)

    def _break(self, problem: str) -> None:
        self.is_open = False
        waiting, self._waiting = self._waiting, {}
        for future in waiting.values():
            if not future.done():
                future.set_exception(RequestLost(problem, sent=True))

    def close(self) -> None:
        """See `Channel.close`."""
        self._break("closed by its owner")
