"""Messages coming in on one stream, and the flow control that goes with taking them. Both sides use it.

What is fed counts as unread on the connection until it is taken. On the stream, window comes back when a message is
taken, or earlier while the message in front is not whole: it may be larger than the window; its own limit bounds it.
When too much is unread on the connection, such messages go on one after the other, see `h2.windows`.
"""

from __future__ import annotations

from typing import final

from raftly.rpc.grpc.message import MessageReader
from raftly.rpc.grpc.status import RpcError, StatusCode
from raftly.rpc.h2.connection import Connection
from raftly.rpc.h2.stream import Stream

__all__ = ["Inbox"]


@final
class Inbox:
    """A `MessageReader` tied to its stream. `Stream.held` counts what is in it and not given back to the window."""

    __slots__ = ("_h2", "_reader", "_stream", "_unfinished")

    def __init__(self, h2: Connection, stream: Stream, bytes_max: int, encoding: bytes) -> None:
        self._h2 = h2
        self._stream = stream
        self._reader = MessageReader(bytes_max, encoding)
        self._unfinished = 0  # bytes of the message in front, when it is not whole, as the connection counts them

    @property
    def ready(self) -> bool:
        """Whether `take` would give a message, or say what is wrong with the next one."""
        return self._reader.ready

    @property
    def mid_message(self) -> bool:
        """Whether a message has begun and is not whole."""
        return not self._reader.ready and self._reader.buffered_bytes > 0

    @property
    def empty(self) -> bool:
        """Whether nothing was fed that was not taken."""
        return self._reader.buffered_bytes == 0

    def feed(self, data: bytes) -> None:
        """Add bytes of the stream. Raises RpcError for a message that is wrong, too large, or one too many."""
        self._stream.held += len(data)
        self._reader.feed(data)
        if not self._unfinished and self._reader.ready:
            return
        self._settle()
        h2 = self._h2
        mine = self._unfinished
        if mine and not h2.client and h2.unfinished_bytes - mine > h2.limits.unfinished_bytes_max:
            raise RpcError(StatusCode.RESOURCE_EXHAUSTED, "too many unfinished messages on the connection")

    def take(self) -> bytes:
        """The next message; only when `ready`. Raises RpcError for one that is wrong."""
        stream = self._stream
        before = self._reader.buffered_bytes
        try:
            return self._reader.take()
        finally:
            left = self._reader.buffered_bytes
            taken = before - left
            back = min(taken, stream.held)
            stream.held -= back
            self._h2.release(None, taken)
            self._h2.grow(stream, back)
            if left:
                self._settle()

    def discard(self) -> None:
        """Nobody reads on: what is left no longer counts as unread. The inbox is not used after this."""
        self._h2.release(None, self._reader.buffered_bytes)
        self._h2.count_unfinished(-self._unfinished)
        self._h2.step_aside(self._stream)

    def _settle(self) -> None:
        """Tell the connection what is not whole, and ask for the rest of it."""
        if self._reader.ready:
            if self._unfinished:
                self._h2.count_unfinished(-self._unfinished)
                self._unfinished = 0
                self._h2.step_aside(self._stream)
            return
        size = self._reader.buffered_bytes
        if size != self._unfinished:
            self._h2.count_unfinished(size - self._unfinished)
            self._unfinished = size
        if self._stream.held:
            self._h2.go_on(self._stream)
