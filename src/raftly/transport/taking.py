"""Taking snapshots: a stream of chunks for whoever keeps them, never more than a window of them in memory."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, Callable
from typing import final

from raftly.base.limits import FRAME_BYTES_MAX
from raftly.base.types import NodeId, Snapshot
from raftly.core.messages import MsgSnap
from raftly.errors import DecodeError, RaftlyError, TransferFailed
from raftly.transport.connection import Connection, Session
from raftly.transport.frame import FRAME_BEGIN, FRAME_CHUNK
from raftly.transport.handshake import Feature, Hello, Welcome
from raftly.transport.hub import Hub
from raftly.transport.transfer import (
    BEGIN_BYTES_MAX,
    CHUNK_HEADER_BYTES,
    Begin,
    Incoming,
    SnapshotTaker,
    decode_begin,
    decode_chunk,
    encode_done,
    encode_failed,
    encode_taken,
)


@final
class IncomingSnapshot:
    """See `Incoming`: a snapshot on a connection."""

    __slots__ = (
        "_arrived",
        "_chunks",
        "_connection",
        "_expected",
        "_problem",
        "_taken",
        "_window",
        "begin",
        "from_",
        "is_over",
        "resumable",
    )

    def __init__(self, connection: Connection, from_: NodeId, begin: Begin, window: int, *, resumable: bool) -> None:
        self.from_ = from_  # the node
        self.begin = begin  # group, size, id, message
        self.resumable = resumable  # may `chunks` start anywhere but at 0?
        self.is_over = False  # has the taker ended, one way or the other?
        self._connection = connection
        self._window = window
        self._chunks: deque[bytes] = deque()
        self._arrived = asyncio.Event()
        self._expected = -1  # where the next chunk begins; -1: none was asked for
        self._taken = 0
        self._problem = ""

    async def chunks(self, offset: int = 0) -> AsyncGenerator[bytes, None]:
        """See `Incoming.chunks`; each was checked by its frame's CRC.

        Raises:
            TransferFailed: the connection broke.
        """
        assert self._expected < 0
        assert 0 <= offset <= self.begin.size
        assert offset == 0 or self.resumable
        self._expected = offset
        self._say_taken(offset)
        while offset < self.begin.size:
            while not self._chunks:
                if self._problem:
                    raise TransferFailed(self.from_, self._problem)
                self._arrived.clear()
                await self._arrived.wait()
            chunk = self._chunks.popleft()
            yield chunk
            offset += len(chunk)
            self._say_taken(offset)

    def _say_taken(self, offset: int) -> None:
        self._taken = offset
        self._connection.write(encode_taken(offset, self._window))

    def say_at_work(self) -> None:
        """Have the sender wait on while the taker does something with what it has all of, however long that lasts."""
        if not self.is_over and self._taken == self._expected == self.begin.size:
            self._say_taken(self._taken)

    def on_chunk(self, offset: int, data: bytes) -> None:
        """A chunk came.

        Raises:
            DecodeError: not the one that follows, or more than was asked for.
        """
        stop = offset + len(data)
        if self._expected < 0 or offset != self._expected:
            raise DecodeError("snapshot chunk", 0, f"it begins at {offset}, not at {self._expected}")
        if stop - self._taken > self._window or stop > self.begin.size:
            raise DecodeError("snapshot chunk", 0, "it goes beyond the window, or beyond the snapshot")
        self._expected = stop
        self._chunks.append(data)
        self._arrived.set()

    def on_lost(self, problem: str) -> None:
        """Nothing more will come."""
        self._problem = problem or "the connection broke"
        self._arrived.set()


@final
class SnapshotReceiver:
    """All snapshots that come to this node. `taker` keeps streamed ones; inline ones are put together here."""

    __slots__ = ("_hub", "_nodes", "_tasks", "taker")

    def __init__(self, hub: Hub, taker: SnapshotTaker | None) -> None:
        self.taker = taker
        self._hub = hub
        self._nodes: dict[NodeId, Taking] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    def make_session(
        self, connection: Connection, hello: Hello, welcome: Welcome, forget: Callable[[Connection], None]
    ) -> Session:
        """For a connection that is for a snapshot. A node has one such connection; a new one ends the old."""
        before = self._nodes.get(hello.node_id)
        taking = self._nodes[hello.node_id] = Taking(self, self._hub, connection, hello, welcome, forget)
        if before is not None:
            before.connection.abort("the node has begun another snapshot")
        connection.reader.limit = CHUNK_HEADER_BYTES + max(BEGIN_BYTES_MAX, self._hub.options.window_bytes)
        return taking

    def on_lost(self, taking: Taking) -> None:
        """A connection is gone."""
        if self._nodes.get(taking.node) is taking:
            del self._nodes[taking.node]

    def start(self, incoming: IncomingSnapshot, connection: Connection) -> None:
        """Have a snapshot taken."""
        if len(self._tasks) >= self._hub.options.transfers_max:
            connection.write(encode_failed("too many snapshots are coming in; later"))
            return
        taker = self._take_inline if incoming.begin.inline else self.taker
        if taker is None:
            connection.write(encode_failed("this node takes no streamed snapshots"))
            return
        task = self._hub.loop.create_task(self._take(taker, incoming, connection))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _take(self, taker: SnapshotTaker, incoming: IncomingSnapshot, connection: Connection) -> None:
        stats = self._hub.stats
        try:
            await taker(incoming)
        except (RaftlyError, OSError) as error:
            stats.snapshots_failed += 1
            connection.write(encode_failed(str(error) or type(error).__name__))
        except BaseException:
            stats.snapshots_failed += 1
            connection.write(encode_failed("the taker failed"))
            raise
        else:
            stats.snapshots_taken += 1
            connection.write(encode_done())
        finally:
            incoming.is_over = True

    async def _take_inline(self, incoming: Incoming) -> None:
        begin = incoming.begin
        if begin.size > FRAME_BYTES_MAX:
            raise TransferFailed(incoming.from_, f"{begin.size} bytes are over the limit of {FRAME_BYTES_MAX}")
        pieces = [chunk async for chunk in incoming.chunks()]
        bare = begin.message
        snapshot = Snapshot(bare.snapshot.meta, b"".join(pieces))
        self._hub.receive(incoming.from_, [(begin.group, [MsgSnap(bare.to, bare.from_, bare.term, snapshot)])])

    async def close(self) -> None:
        """Give up what is coming in."""
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)


@final
class Taking(Session):
    """The taker's end of one connection for a snapshot."""

    __slots__ = ("_forget", "_hub", "_incoming", "_receiver", "_resumable", "connection", "node")

    def __init__(
        self,
        receiver: SnapshotReceiver,
        hub: Hub,
        connection: Connection,
        hello: Hello,
        welcome: Welcome,
        forget: Callable[[Connection], None],
    ) -> None:
        self.node = hello.node_id
        self.connection = connection
        self._resumable = bool(welcome.features & Feature.RESUME)
        self._receiver = receiver
        self._hub = hub
        self._forget = forget
        self._incoming: IncomingSnapshot | None = None

    def on_frame(self, kind: int, buf: bytes, start: int, stop: int) -> None:
        """See `Session.on_frame`."""
        incoming = self._incoming
        if incoming is None and kind == FRAME_BEGIN:
            begin = decode_begin(buf, start, stop)
            if self._hub.options.bind_senders and begin.message.from_ != self.node:
                raise DecodeError("message", start, f"a snapshot in the name of node {begin.message.from_}")
            window = self._hub.options.window_bytes
            self._incoming = IncomingSnapshot(self.connection, self.node, begin, window, resumable=self._resumable)
            self._receiver.start(self._incoming, self.connection)
        elif incoming is not None and kind == FRAME_CHUNK:
            offset, data = decode_chunk(buf, start, stop)
            incoming.on_chunk(offset, data)
        else:
            raise DecodeError("frame", start, f"kind {kind} does not belong here on a connection for a snapshot")

    def check(self, now: float) -> None:
        """See `Session.check`."""
        self.connection.expect_signs(now)
        if (
            self._incoming is not None and self.connection.heard_at == now
        ):  # it pings, and as long as it hears nothing else
            self._incoming.say_at_work()

    def on_lost(self, problem: str) -> None:
        """See `Session.on_lost`."""
        if self._incoming is not None:
            self._incoming.on_lost(problem)
        self._receiver.on_lost(self)
        self._forget(self.connection)
