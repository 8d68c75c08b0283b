"""Messages coming in on one stream, and the flow control that goes with taking them. Both sides use it.

What is fed counts as unread on the connection until it is taken. On the stream, window comes back when a message is
taken, or at once while the message in front is not whole: it may be larger than the window; its own limit bounds it.
"""

from __future__ import annotations

from typing import final

from raftly.rpc.grpc.message import MessageReader
from raftly.rpc.h2.connection import Connection
from raftly.rpc.h2.stream import Stream

__all__ = ["Inbox"]


@final
class Inbox:
    """A `MessageReader` tied to its stream. `held` bytes were received and not given back to the stream's window."""

    __slots__ = ("_h2", "_held", "_reader", "_stream")

    def __init__(self, h2: Connection, stream: Stream, bytes_max: int, encoding: bytes) -> None:
        self._h2 = h2
        self._stream = stream
        self._reader = MessageReader(bytes_max, encoding)
        self._held = 0

    @property
    def ready(self) -> bool:
        """Whether `take` would give a message."""
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
        """Add bytes of the stream. Raises RpcError for a message that is wrong or too large."""
        self._held += len(data)
        self._reader.feed(data)
        if not self._reader.ready:
            self._h2.grow(self._stream, self._held)
            self._held = 0

    def take(self) -> bytes:
        """The next message; only when `ready`. Raises RpcError for one that does not decompress."""
        before = self._reader.buffered_bytes
        try:
            return self._reader.take()
        finally:
            taken = before - self._reader.buffered_bytes
            back = min(taken, self._held)
            self._held -= back
            self._h2.release(None, taken)
            self._h2.grow(self._stream, back)

    def discard(self) -> None:
        """Nobody reads on: what is left no longer counts as unread. The inbox is not used after this."""
        self._h2.release(None, self._reader.buffered_bytes)
