"""A server connection on a transport in memory, spoken to in frames; and time that tests move."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

from raftly.rpc.grpc.heads import request_block
from raftly.rpc.grpc.message import frame_message
from raftly.rpc.h2.connection import Connection
from raftly.rpc.h2.events import ConnectionEnded, DataReceived, GoAwayReceived, HeadersReceived, StreamReset
from raftly.rpc.h2.frames import ErrorCode
from raftly.rpc.h2.stream import Stream
from raftly.rpc.limits import Limits
from raftly.rpc.server import Server
from raftly.rpc.server_connection import ServerConnection
from raftly.rpc.service import Bound, Kind, Method, Service, bind


def method(name: str, kind: Kind = Kind.UNARY_UNARY) -> Method[bytes, bytes]:
    """A method whose messages are bytes."""
    return Method("t.T", name, kind, bytes, bytes, bytes, bytes)


class MemoryTransport(asyncio.Transport):
    """Keeps what is written, write by write."""

    def __init__(self) -> None:
        super().__init__()
        self.writes: list[bytes] = []
        self.closed = False
        self.aborted = False
        self.reading = True

    def write(self, data: Any) -> None:
        assert not self.closed
        self.writes.append(bytes(data))

    def close(self) -> None:
        self.closed = True

    def abort(self) -> None:
        self.closed = self.aborted = True

    def is_closing(self) -> bool:
        return self.closed

    def is_reading(self) -> bool:
        return self.reading

    def pause_reading(self) -> None:
        self.reading = False

    def resume_reading(self) -> None:
        self.reading = True

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return ("127.0.0.1", 9) if name == "peername" else default


class Talk:
    """A client core that talks to a `ServerConnection` of a real `Server`. Use within a running loop."""

    def __init__(
        self, bound: Sequence[Bound], limits: Limits | None = None, client_limits: Limits | None = None, **options: Any
    ) -> None:
        self.loop = asyncio.get_running_loop()
        self.server = Server([Service("t.T", bound)], limits=limits, **options)
        self.connection = ServerConnection(self.server, self.loop)
        self.transport = MemoryTransport()
        self.connection.connection_made(self.transport)
        self.client = Connection(client_limits or Limits(), client=True, clock=self.loop.time)
        self.messages: dict[int, bytes] = {}
        self.status: dict[int, str] = {}
        self.resets: dict[int, ErrorCode] = {}
        self.ended: list[str] = []
        self.goaways: list[ErrorCode] = []
        self.release = True
        self.send()
        self._take()

    def send(self) -> None:
        """Carry what the client has to the server."""
        while self.client.has_output:
            self.connection.data_received(self.client.take_output())

    def _take(self) -> None:
        writes, self.transport.writes = self.transport.writes, []
        for event in self.client.receive(b"".join(writes)):
            if isinstance(event, DataReceived):
                self.messages[event.stream.id] = self.messages.get(event.stream.id, b"") + event.data
                if self.release:
                    self.client.release(event.stream, len(event.data))
            elif isinstance(event, HeadersReceived) and event.end_stream:
                self.status[event.stream.id] = (event.block.get(b"grpc-status") or b"").decode()
            elif isinstance(event, StreamReset):
                self.resets[event.stream.id] = event.code
            elif isinstance(event, GoAwayReceived):
                self.goaways.append(event.code)
                self.ended.append(event.debug.decode())
            elif isinstance(event, ConnectionEnded):
                self.ended.append(event.problem)

    async def turns(self, count: int = 6) -> None:
        """Let the loop turn, carrying bytes both ways."""
        for _ in range(count):
            self.send()
            await asyncio.sleep(0)
            self._take()
        self.send()

    def open(self, name: str, *messages: bytes, end: bool = True, timeout_s: float | None = None) -> Stream:
        """A call with its first messages; `end` says that no more follow."""
        stream = self.client.open_stream()
        self.client.send_headers(stream, request_block(b"/t.T/" + name.encode(), b"h", b"http", b"me", b"", timeout_s))
        for number, message in enumerate(messages, 1):
            self.client.send_data(stream, frame_message(message), end_stream=end and number == len(messages))
        if end and not messages:
            self.client.send_data(stream, b"", end_stream=True)
        return stream

    async def finish(self) -> None:
        """Lose the connection and see that nothing is left running."""
        self.connection.connection_lost(None)
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert self.connection.h2.winding_down == 0
        assert asyncio.all_tasks() == {asyncio.current_task()}
        if self.server._watch is not None:
            self.server._watch.cancel()


async def echo(request: bytes) -> bytes:
    return request


ECHO = bind(method("Echo"), echo)
