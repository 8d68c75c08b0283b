"""The answer to a request that is HTTP/2 but not gRPC: a status and a sentence, once the request has been heard out.

Answering at the head would be allowed, but a client that is still sending may take it badly, and tools that probe a
server expect to be answered in turn.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, final

from raftly.rpc.grpc.heads import http_response
from raftly.rpc.h2.frames import ErrorCode
from raftly.rpc.h2.stream import Stream

if TYPE_CHECKING:
    from raftly.rpc.server_connection import ServerConnection

__all__ = ["Refusal"]

_SENTENCE: Final = b"This port speaks gRPC: POST, content-type application/grpc.\n"


@final
class Refusal:
    """Owns a stream until its request has ended, was too long, or took too long; what comes in is thrown away."""

    __slots__ = ("_bytes_left", "_connection", "_since", "_status", "_stream")

    def __init__(self, connection: ServerConnection, stream: Stream, status: int) -> None:
        self._connection = connection
        self._stream = stream
        self._status = status
        self._bytes_left = connection.limits.message_bytes_max
        self._since = connection.read_at

    def on_data(self, data: bytes, end_stream: bool) -> None:
        """A piece of the body."""
        self._connection.h2.release(self._stream, len(data))
        self._bytes_left -= len(data)
        if end_stream or self._bytes_left < 0:
            self.on_input_end()

    def on_input_end(self) -> None:
        """The request is whole: answer."""
        self._stream.owner = None
        self._connection.h2.send_all(self._stream, http_response(self._status, _SENTENCE), _SENTENCE, None)
        self._connection.schedule_flush()

    def abandon(self) -> None:
        """The server stops."""
        self.on_input_end()

    def check(self, now: float) -> None:
        """However it goes on, it must end."""
        if now - self._since > self._connection.limits.stall_s:
            self.on_input_end()

    def on_reset(self) -> None:
        """Nobody waits for the answer."""
        self._stream.owner = None

    def on_writable(self) -> None:
        """Nothing waits to be sent."""

    def on_stuck(self) -> None:
        """Nothing waits to be sent; the answer itself has no owner."""
        self._connection.h2.reset(self._stream, ErrorCode.ENHANCE_YOUR_CALM)
