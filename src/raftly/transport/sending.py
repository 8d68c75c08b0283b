"""Sending snapshots: each on a connection of its own, one at a time to a node, with a report at the end of each."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing, suppress
from typing import final

from raftly.base.types import NodeId, Snapshot
from raftly.core.messages import MsgSnap
from raftly.errors import DecodeError, PeerRefused, RaftlyError, TransferFailed
from raftly.transport.connection import Connection, Session
from raftly.transport.dial import Backoff, dial
from raftly.transport.events import SnapshotReported
from raftly.transport.frame import FRAME_DONE, FRAME_FAILED, FRAME_TAKEN
from raftly.transport.handshake import Purpose, Welcome, printable
from raftly.transport.hub import Hub
from raftly.transport.options import Address
from raftly.transport.transfer import Begin, SnapshotSource, decode_taken, encode_chunk


@final
class InlineSource:
    """The data of a MsgSnap that is held in memory. Never taken up again, so all have the same id."""

    __slots__ = ("_data", "id", "size")

    def __init__(self, data: bytes) -> None:
        self._data = data
        self.id = b""
        self.size = len(data)

    async def chunks(self, offset: int, chunk_bytes: int) -> AsyncGenerator[bytes, None]:
        """See `SnapshotSource.chunks`."""
        for start in range(offset, self.size, chunk_bytes):
            yield self._data[start : start + chunk_bytes]


@final
class Sending(Session):
    """The sender's end of one connection for a snapshot."""

    __slots__ = ("_changed", "_connection", "_done", "_hub", "_node", "_problem", "_refused", "taken", "window")

    def __init__(self, hub: Hub, node: NodeId) -> None:
        self.taken = -1  # what the taker has dealt with; -1 before it has said where to start
        self.window = 0
        self._hub = hub
        self._node = node
        self._connection: Connection | None = None
        self._changed = asyncio.Event()
        self._done = False
        self._refused = ""  # by the taker
        self._problem = ""  # of the connection

    def begin(self, connection: Connection, _welcome: Welcome) -> Session:
        """The handshake is done."""
        self._connection = connection
        return self

    def on_frame(self, kind: int, buf: bytes, start: int, stop: int) -> None:
        """See `Session.on_frame`."""
        if kind == FRAME_TAKEN:
            offset, self.window = decode_taken(buf, start, stop)
            if offset < self.taken:
                raise DecodeError("snapshot answer", start, f"it goes back from {self.taken} to {offset}")
            self.taken = offset
        elif kind == FRAME_DONE:
            self._done = True
        elif kind == FRAME_FAILED:
            self._refused = printable(buf[start:stop]) or "refused"
        else:
            raise DecodeError("frame", start, f"kind {kind} does not answer a snapshot")
        self._changed.set()

    def on_writable(self) -> None:
        """See `Session.on_writable`."""
        self._changed.set()

    def on_lost(self, problem: str) -> None:
        """See `Session.on_lost`."""
        assert self._connection is not None
        self._hub.forget(self._connection)
        self._problem = problem or "the connection broke"
        self._changed.set()

    def check(self, now: float) -> None:
        """See `Session.check`."""
        assert self._connection is not None
        self._connection.keep_alive(now)

    async def _wait_until(self, holds: Callable[[], bool]) -> bool:
        """Wait for a condition, or for the end (then False), as long as something moves.

        Raises:
            TransferFailed: the taker gave up.
            OSError: the connection broke, or nothing moved for too long.
        """
        while True:
            if self._refused:
                raise TransferFailed(self._node, self._refused)
            if self._done:
                return False
            if self._problem:
                raise ConnectionError(self._problem)
            if holds():
                return True
            self._changed.clear()
            async with asyncio.timeout(self._hub.options.transfer_stall_s):
                await self._changed.wait()

    async def run(self, begin: Begin, source: SnapshotSource) -> None:
        """Send all that the taker has not got, and wait until it has dealt with it.

        Raises:
            TransferFailed: either end gave up.
            OSError: the connection broke, or nothing moved for too long.
        """
        connection = self._connection
        assert connection is not None
        connection.write(begin.encode())
        if not await self._wait_until(lambda: self.taken >= 0):
            return  # it has it all
        offset = self.taken
        if offset > begin.size:
            raise TransferFailed(self._node, f"it asks for byte {offset} of {begin.size}")
        chunk_bytes = min(self._hub.options.chunk_bytes, self.window)
        async with aclosing(source.chunks(offset, chunk_bytes)) as chunks:
            async for chunk in chunks:
                stop = offset + len(chunk)
                assert 0 < len(chunk) <= chunk_bytes
                if not await self._wait_until(lambda: connection.writable and stop - self.taken <= self.window):  # noqa: B023
                    return
                connection.write(encode_chunk(offset, chunk))
                offset = stop
        if offset != begin.size:
            raise TransferFailed(self._node, f"the snapshot has {offset} bytes, not {begin.size} as it said")
        await self._wait_until(lambda: False)


@final
class SnapshotSender:
    """All snapshots that leave this node."""

    __slots__ = ("_address_of", "_hub", "_locks", "_tasks", "_waiting")

    def __init__(self, hub: Hub, address_of: Callable[[NodeId], Address | None]) -> None:
        self._hub = hub
        self._address_of = address_of
        self._locks: dict[NodeId, asyncio.Lock] = {}
        self._waiting: dict[NodeId, int] = {}  # under way, or waiting for their turn
        self._tasks: set[asyncio.Task[None]] = set()

    def send_inline(self, node: NodeId, group: int, message: MsgSnap) -> None:
        """Send a MsgSnap that carries its data; one SnapshotReported tells how it went."""
        task = self._hub.loop.create_task(self._report(node, group, message))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _report(self, node: NodeId, group: int, message: MsgSnap) -> None:
        data = message.snapshot.data
        bare = MsgSnap(message.to, message.from_, message.term, Snapshot(message.snapshot.meta, b""))
        with suppress(RaftlyError):  # reported
            await self.send(node, Begin(group, len(data), inline=True, id=b"", message=bare), InlineSource(data))

    async def send(self, node: NodeId, begin: Begin, source: SnapshotSource) -> None:
        """See `TcpTransport.send_snapshot`. Ends in a SnapshotReported."""
        problem = "this node stops"
        try:
            await self._send(node, begin, source)
            problem = ""
        except RaftlyError as error:
            problem = str(error)
            raise
        finally:
            self._hub.emit(SnapshotReported(node, begin.group, problem))

    async def _send(self, node: NodeId, begin: Begin, source: SnapshotSource) -> None:
        waiting = self._waiting.get(node, 0)
        if waiting >= self._hub.options.transfers_max:
            self._hub.stats.snapshots_failed += 1
            raise TransferFailed(node, f"{waiting} snapshots for it are waiting already")
        self._waiting[node] = waiting + 1
        lock = self._locks.setdefault(node, asyncio.Lock())
        try:
            async with lock:
                await self._send_on(node, begin, source)
        except BaseException:
            self._hub.stats.snapshots_failed += 1
            raise
        finally:
            self._waiting[node] -= 1
            if not self._waiting[node]:
                del self._waiting[node], self._locks[node]
        self._hub.stats.snapshots_sent += 1

    async def _send_on(self, node: NodeId, begin: Begin, source: SnapshotSource) -> None:
        """On one connection after the other, as long as they move it."""
        options = self._hub.options
        backoff = Backoff(options.backoff_s_min, options.backoff_s_max, self._hub.random)
        best = 0
        attempts = 0
        while True:
            address = self._address_of(node)
            if address is None:
                raise TransferFailed(node, "its address is not known")
            sending = Sending(self._hub, node)
            try:
                connection = await dial(self._hub, node, address, Purpose.SNAPSHOT, sending.begin)
                try:
                    await sending.run(begin, source)
                finally:
                    connection.close("the transfer has ended")
                return
            except PeerRefused as error:
                raise TransferFailed(node, error.problem) from error
            except (OSError, UnicodeError) as error:
                attempts += 1
                if sending.taken > best:
                    best = sending.taken
                    attempts = 0
                    backoff.reset()
                if attempts >= options.transfer_attempts:
                    raise TransferFailed(node, str(error) or type(error).__name__) from error
            await asyncio.sleep(backoff.take())

    async def close(self) -> None:
        """Give up what is under way."""
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)
