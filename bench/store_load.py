"""Load: unary gRPC calls on one connection, so many in flight, by as little client as there can be.

The same for both systems. A request is two frames put together from bytes made beforehand, an answer is judged by the
size of its message alone, so a call costs a few microseconds here. It knows no compression and no priorities, and gives
the server all the window there is at once.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass
from struct import Struct
from typing import Final

DATA, HEADERS, RST_STREAM, SETTINGS, PING, GOAWAY, WINDOW_UPDATE = 0, 1, 3, 4, 6, 7, 8
END_STREAM, ACK, END_HEADERS = 1, 1, 4
_HEAD: Final = Struct(">HBBBI")  # the size's upper 16 bits and lower 8, type, flags, stream
_GRPC: Final = Struct(">BI")
_WINDOW: Final = (1 << 31) - 1
_WINDOW_FIRST: Final = 65_535


def frame(kind: int, flags: int, stream: int, body: bytes) -> bytes:
    """An HTTP/2 frame."""
    size = len(body)
    return _HEAD.pack(size >> 8, size & 255, kind, flags, stream) + body


def header_block(path: str, authority: str) -> bytes:
    """The headers of a gRPC request, by the static table and literals only, so that it is the same every time."""

    def text(value: str) -> bytes:
        data = value.encode()
        assert len(data) < 127
        return bytes((len(data),)) + data

    return b"".join(
        (
            b"\x83\x86",  # :method POST, :scheme http
            b"\x04" + text(path),
            b"\x01" + text(authority),
            b"\x0f\x10" + text("application/grpc"),  # content-type
            b"\x00" + text("te") + text("trailers"),
        )
    )


@dataclass(frozen=True, slots=True)
class Figures:
    """Of one stretch."""

    calls: int
    seconds: float
    p50_ms: float
    p99_ms: float


class Load(asyncio.Protocol):
    """One connection. `run` keeps so many calls in flight for a while."""

    def __init__(self, path: str, authority: str, request: Callable[[], bytes], answer_bytes: range) -> None:
        self._block = header_block(path, authority)
        self._request = request
        self._answer_bytes = answer_bytes  # of a right answer's message
        self._transport: asyncio.Transport | None = None
        self._buffer = b""
        self._stream = 1
        self._window = _WINDOW_FIRST  # what the server takes of the whole connection
        self._waiting = 0  # calls that wait for window
        self._begun: dict[int, float] = {}
        self._took: list[float] = []
        self._until = 0.0
        self._left = 0
        self._idle: asyncio.Future[None] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Say who we are, and that we take whatever comes."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        settings = (4).to_bytes(2, "big") + _WINDOW.to_bytes(4, "big")
        more = (_WINDOW - _WINDOW_FIRST).to_bytes(4, "big")
        preface = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
        transport.write(preface + frame(SETTINGS, 0, 0, settings) + frame(WINDOW_UPDATE, 0, 0, more))

    def connection_lost(self, error: Exception | None) -> None:
        """A call that was under way failed."""
        self._fail(ConnectionError(f"the server closed the connection: {error}"))

    def _fail(self, error: Exception) -> None:
        if self._idle is not None and not self._idle.done():
            self._idle.set_exception(error)

    async def run(self, in_flight: int, seconds: float = 1e9, calls: int = 1 << 60) -> Figures:
        """Keep `in_flight` calls under way, for a while or until so many were begun.

        Raises:
            ConnectionError, ValueError: the server hung up, or did not answer as it must.
        """
        assert self._transport is not None
        self._idle = asyncio.get_running_loop().create_future()
        self._took = []
        began = time.perf_counter()
        self._until = began + seconds
        self._left = calls
        out: list[bytes] = []
        for _ in range(min(in_flight, calls)):
            self._left -= 1
            self._call(out, began)
        self._transport.write(b"".join(out))
        await self._idle
        took, lasted = sorted(self._took), time.perf_counter() - began
        return Figures(len(took), lasted, *(1000 * took[int(len(took) * share)] for share in (0.5, 0.99)))

    def _call(self, out: list[bytes], now: float) -> None:
        message = self._request()
        body = _GRPC.pack(0, len(message)) + message
        if len(body) > self._window:
            self._waiting += 1
            return
        self._window -= len(body)
        stream, self._stream = self._stream, self._stream + 2
        self._begun[stream] = now
        out.append(frame(HEADERS, END_HEADERS, stream, self._block) + frame(DATA, END_STREAM, stream, body))

    def data_received(self, data: bytes) -> None:
        """Count what was answered, and ask for as much again."""
        data = self._buffer + data if self._buffer else data
        at, end = 0, len(data)
        out: list[bytes] = []
        now = time.perf_counter()
        while at + 9 <= end:
            high, low, kind, flags, stream = _HEAD.unpack_from(data, at)
            start = at + 9
            stop = start + (high << 8 | low)
            if stop > end:
                break
            at = stop
            if kind == DATA:
                if stop > start and stop - start - _GRPC.size not in self._answer_bytes:
                    self._fail(ValueError(f"an answer of {stop - start - _GRPC.size} bytes: {data[start:stop]!r}"))
            elif kind == HEADERS:
                if flags & END_STREAM:
                    self._took.append(now - self._begun.pop(stream))
                    if now < self._until and self._left > 0:
                        self._left -= 1
                        self._call(out, now)
            elif kind == SETTINGS and not flags & ACK:
                out.append(frame(SETTINGS, ACK, 0, b""))
            elif kind == PING and not flags & ACK:
                out.append(frame(PING, ACK, 0, data[start:stop]))
            elif kind == WINDOW_UPDATE and not stream:
                self._window += int.from_bytes(data[start:stop], "big")
                waiting, self._waiting = self._waiting, 0
                for _ in range(waiting):
                    self._call(out, now)
            elif kind in {RST_STREAM, GOAWAY}:
                self._fail(ConnectionError(f"the server gave up: {data[start:stop]!r}"))
        self._buffer = data[at:]
        assert self._transport is not None
        if out:
            self._transport.write(b"".join(out))
        if not self._begun and not self._waiting and self._idle is not None and not self._idle.done():
            self._idle.set_result(None)


async def connect(address: str, path: str, request: Callable[[], bytes], answer_bytes: range) -> Load:
    """A connection to `host:port` for calls of one method."""
    host, _, port = address.rpartition(":")
    loop = asyncio.get_running_loop()
    _, load = await loop.create_connection(lambda: Load(path, address, request, answer_bytes), host, int(port))
    return load
