"""The way to one node: dialed at once and again, a bounded queue, one write a turn of the loop."""

from __future__ import annotations

import asyncio
from enum import Enum
from typing import final

from raftly.base.types import NodeId
from raftly.core.messages import Message
from raftly.errors import DecodeError, PeerRefused
from raftly.transport.codec import encode_messages
from raftly.transport.connection import Connection, Session
from raftly.transport.dial import Backoff, dial
from raftly.transport.events import IdentityRefused, PeerConnected, PeerLost, PeerStatus
from raftly.transport.handshake import Purpose, Welcome
from raftly.transport.hub import Hub
from raftly.transport.options import Address
from raftly.transport.send_queue import PART_BYTES_MAX, SendQueue


class LinkState(Enum):
    """Where a link stands."""

    DOWN = "down"  # waiting to dial again: what is sent is dropped, for it would be stale by then
    DIALING = "dialing"  # what is sent waits
    UP = "up"


@final
class Link(Session):
    """Messages to one node.

    The hub's `unreachable` hears of each attempt that fails, each connection that breaks, and of the queue overflowing.
    """

    __slots__ = (
        "_backoff",
        "_connection",
        "_flushing",
        "_full",
        "_hub",
        "_lost",
        "_node",
        "_problem",
        "_queue",
        "_task",
        "_up_at",
        "_wake",
        "address",
        "state",
    )

    def __init__(self, hub: Hub, node: NodeId, address: Address) -> None:
        self.address = address
        self.state = LinkState.DIALING
        self._hub = hub
        self._node = node
        self._queue = SendQueue(hub.options.queue_bytes_max)
        self._backoff = Backoff(hub.options.backoff_s_min, hub.options.backoff_s_max, hub.random)
        self._connection: Connection | None = None
        self._up_at = 0.0
        self._problem = ""  # of the last attempt, so that it is told once
        self._flushing = False  # the hub will call `flush`
        self._full = False  # something was dropped since the queue last was empty
        self._lost = asyncio.Event()
        self._wake = asyncio.Event()
        self._task = hub.loop.create_task(self._run(), name=f"raftly-link-{hub.identity.node_id}-{node}")

    # --- sending ---

    def send(self, batch: list[tuple[int, list[Message]]]) -> None:
        """Queue messages of some groups, or drop them."""
        if self.state is LinkState.DOWN:
            self._hub.stats.batches_dropped += len(batch)
            return
        queue = self._queue
        for group, messages in batch:
            encoded = encode_messages(messages)
            if len(encoded) > PART_BYTES_MAX:
                self._push_singly(group, messages)
            elif not queue.push(group, encoded):
                self._on_full()
        if self._hub.options.write_at_once:
            self.flush()
        elif not self._flushing:
            self._flushing = True
            self._hub.flush_soon(self)

    def _push_singly(self, group: int, messages: list[Message]) -> None:
        """Together they are larger than a frame."""
        for message in messages:
            encoded = encode_messages([message])
            if len(encoded) > PART_BYTES_MAX or not self._queue.push(group, encoded):
                self._on_full()

    def _on_full(self) -> None:
        self._hub.stats.batches_dropped += 1
        if not self._full:
            self._full = True
            self._hub.loop.call_soon(self._tell_unreachable)  # the caller of `send` is in the middle of something

    def flush(self) -> None:
        """Write what waits, as far as there is room."""
        self._flushing = False
        connection = self._connection
        if connection is None:
            return
        while connection.writable and self._queue and connection.is_open:
            connection.write(self._queue.take())
            self._hub.stats.frames_sent += 1
        if not self._queue:
            self._full = False

    # --- the connection ---

    def _on_welcome(self, connection: Connection, welcome: Welcome) -> Session:
        self._connection = connection
        self.state = LinkState.UP
        self._problem = ""
        self._up_at = self._hub.loop.time()
        self._hub.stats.connects += 1
        self._hub.emit(PeerConnected(self._node, welcome.version, welcome.features))
        self.flush()
        return self

    def on_frame(self, kind: int, buf: bytes, start: int, stop: int) -> None:
        """See `Session.on_frame`."""
        raise DecodeError("frame", start, f"kind {kind} does not belong on a connection for messages to a node")

    def on_writable(self) -> None:
        """See `Session.on_writable`."""
        self.flush()

    def check(self, now: float) -> None:
        """See `Session.check`."""
        assert self._connection is not None
        self._connection.keep_alive(now)

    def on_lost(self, problem: str) -> None:
        """See `Session.on_lost`."""
        assert self._connection is not None
        self._hub.forget(self._connection)
        self._connection = None
        self._hub.stats.lost += 1
        if self._hub.loop.time() - self._up_at >= self._backoff.max_s:
            self._backoff.reset()  # a peer that takes connections only to drop them is not dialed ever faster
        self._problem = problem
        self._go_down()
        self._hub.emit(PeerLost(self._node, problem))
        self._lost.set()
        self._hub.tell_lost(self._node)

    def _go_down(self) -> None:
        self.state = LinkState.DOWN
        self._hub.stats.batches_dropped += self._queue.clear()
        self._full = False
        self._tell_unreachable()

    def _tell_unreachable(self) -> None:
        if not self._hub.closing:
            self._hub.unreachable(self._node)

    # --- life ---

    async def _run(self) -> None:
        while True:
            self.state = LinkState.DIALING
            self._lost.clear()
            self._wake.clear()
            delay = 0.0
            try:
                await dial(self._hub, self._node, self.address, Purpose.MESSAGES, self._on_welcome)
            except PeerRefused as error:
                self._on_failed(str(error))
                self._hub.emit(IdentityRefused(self._node, error.reason, error.problem, here=False))
                delay = self._backoff.max_s  # somebody has to correct something first
            except (OSError, UnicodeError) as error:  # UnicodeError: a host name that cannot be one
                self._on_failed(str(error) or type(error).__name__)
            else:
                await self._lost.wait()
            await self._pause(delay or self._backoff.take())

    def _on_failed(self, problem: str) -> None:
        self._hub.stats.connects_failed += 1
        self._go_down()
        if problem != self._problem:
            self._problem = problem
            self._hub.emit(PeerLost(self._node, problem))

    async def _pause(self, seconds: float) -> None:
        try:
            async with asyncio.timeout(seconds):
                await self._wake.wait()
        except TimeoutError:
            pass

    def wake(self) -> None:
        """There is reason to believe that the node is up: do not wait to dial it."""
        self._wake.set()

    def set_address(self, address: Address) -> None:
        """Dial another address from now on; what is connected is cut."""
        if address == self.address:
            return
        self.address = address
        self._backoff.reset()
        self.cut("its address changed")
        self.wake()

    def cut(self, why: str) -> None:
        """Break what is connected."""
        if self._connection is not None:
            self._connection.abort(why)

    def status(self) -> PeerStatus:
        """How it stands."""
        connection = self._connection
        rtt_s = 0.0 if connection is None else connection.rtt_s
        up = connection is not None
        return PeerStatus(self._node, self.address, up, self._queue.cost, rtt_s, "" if up else self._problem)

    async def close(self) -> None:
        """Dial no more. The hub closes the connection."""
        self._task.cancel()
        await asyncio.wait([self._task])
