"""Hostile inputs against a listening server: 1 to 12 of the security catalogue, in small. 25 and 26 are in test_tls.

Pass for every case: the connection is closed or a named status is given, nothing is logged at error level, other
clients are served meanwhile and afterwards, no call is left, and memory stays where it was.
"""

from __future__ import annotations

import asyncio
import logging
import random
import resource
import struct
import zlib
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
from hpack import Encoder

from raftly.rpc.channel import Channel
from raftly.rpc.grpc.message import frame_message
from raftly.rpc.grpc.status import RpcError, StatusCode
from raftly.rpc.h2.frames import CONTINUATION, END_HEADERS, END_STREAM, HEADERS, PING, PREFACE, SETTINGS, frame
from raftly.rpc.limits import Limits
from raftly.rpc.server import Server
from tests.rpc.parties import Handlers, Seen
from tests.rpc.protos import echo_rpc
from tests.rpc.protos.echo_pb2 import EchoRequest
from tests.unit.rpc.wire import HELLO, data, rst, settings, window_update

GROWTH_BYTES_MAX = 64 << 20
LIMITS = Limits(connections_max=300, handshake_s=1.0, stall_s=1.0, keepalive_s=0.0)
CALL = [
    (":method", "POST"),
    (":scheme", "http"),
    (":path", "/raftly.test.Echo/Unary"),
    (":authority", "x"),
    ("te", "trailers"),
    ("content-type", "application/grpc"),
]


class Port:
    """A server under attack, and a client that must not notice."""

    def __init__(self, server: Server, port: int, client: echo_rpc.EchoClient) -> None:
        self.server = server
        self.port = port
        self._client = client

    async def connect(self, first: bytes = b"") -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        writer.write(first)
        return reader, writer

    async def throw(self, received: bytes, *, pieces: int = 1, wait_s: float = 5.0) -> bytes:
        """Send, then read until the server closes, or for a moment; gives what it said."""
        reader, writer = await self.connect()
        said = b""
        try:
            step = max(1, len(received) // pieces)
            for at in range(0, len(received), step):
                writer.write(received[at : at + step])
                await writer.drain()
            async with asyncio.timeout(wait_s):
                while chunk := await reader.read(65_536):
                    said += chunk
        except (ConnectionError, TimeoutError):
            pass
        finally:
            writer.close()
        return said

    async def well(self) -> None:
        """Another client is served."""
        reply = await self._client.unary(EchoRequest(payload=b"well"), timeout_s=5.0)
        assert reply.payload == b"well"


@asynccontextmanager
async def attacked(limits: Limits = LIMITS) -> AsyncIterator[Port]:
    server = Server([echo_rpc.echo_service(Handlers(Seen()))], limits=limits)
    port = await server.start()
    async with Channel("127.0.0.1", port) as channel:
        target = Port(server, port, echo_rpc.EchoClient(channel))
        await target.well()
        yield target
        await target.well()
        assert server.calls_open <= 1
    await server.stop(0.5)
    assert server.connections_open == 0


@pytest.fixture
def play(caplog: pytest.LogCaptureFixture) -> Callable[[Callable[[Port], Awaitable[Any]], Limits], None]:
    def go(body: Callable[[Port], Awaitable[Any]], limits: Limits = LIMITS) -> None:
        async def main() -> None:
            async with asyncio.timeout(30), attacked(limits) as port:
                await body(port)

        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        with caplog.at_level(logging.ERROR):
            asyncio.run(main())
        assert caplog.records == []
        assert (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * 1024 < GROWTH_BYTES_MAX

    return go


def head(stream: int, fields: Any = CALL, *, end: bool = False) -> bytes:
    return frame(HEADERS, END_HEADERS | (END_STREAM if end else 0), stream, Encoder().encode(fields))


def test_1_random_bytes_and_frames(play: Any) -> None:
    rng = random.Random(1)

    async def body(port: Port) -> None:
        for number in range(40):
            junk = rng.randbytes(2000)
            await port.throw(junk if number % 2 else HELLO + junk, pieces=rng.randrange(1, 20), wait_s=0.2)
        frames = b"".join(
            frame(rng.randrange(12), rng.randrange(256), rng.randrange(8), rng.randbytes(rng.randrange(40)))
            for _ in range(2000)
        )
        for at in range(0, 40_000, 1000):
            await port.throw(HELLO + frames[at:], wait_s=0.2)
            await port.well()

    play(body)


@pytest.mark.parametrize("length", [0, 1, 2**31 - 1, 2**31, 2**32 - 1])
def test_2_lengths_of_messages(play: Any, length: int) -> None:
    async def body(port: Port) -> None:
        said = await port.throw(HELLO + head(1) + data(1, b"\0" + struct.pack(">L", length), end=True), wait_s=0.5)
        assert b"grpc-status" in said or length == 0

    play(body)


def test_2_lengths_of_frames(play: Any) -> None:
    async def body(port: Port) -> None:
        for size in (16_385, 2**24 - 1):
            said = await port.throw(HELLO + struct.pack(">BHBBL", size >> 16, size & 0xFFFF, 0, 0, 1))
            assert b"the limit is 16384" in said

    play(body)


def test_3_length_larger_than_sent_then_silence(play: Any) -> None:
    async def body(port: Port) -> None:
        cut = HELLO + frame(PING, 0, 0, bytes(8))[:-3]
        assert b"begun and not ended" in await port.throw(cut, wait_s=6.0)
        reader, writer = await port.connect(HELLO + head(1) + data(1, frame_message(bytes(1000))[:100]))
        said = b""
        async with asyncio.timeout(6.0):
            while b"grpc-status" not in said:
                said += await reader.read(65_536)
        assert b"did not go on" in said
        writer.close()

    play(body)


def test_4_one_byte_at_a_time_on_many_connections(play: Any) -> None:
    async def body(port: Port) -> None:
        connections = [await port.connect() for _ in range(200)]
        for byte in PREFACE[:12]:
            for _, writer in connections:
                writer.write(bytes((byte,)))
            await asyncio.sleep(0.05)
        await port.well()
        await asyncio.gather(*(reader.read() for reader, _ in connections), return_exceptions=True)
        assert port.server.connections_open == 1, "slow openings were let go"
        for _, writer in connections:
            writer.close()

    play(body)


def test_5_idle_connections_up_to_the_limit_and_past_it(play: Any) -> None:
    async def body(port: Port) -> None:
        connections = [await port.connect(HELLO) for _ in range(320)]
        async with asyncio.timeout(5.0):
            ends = await asyncio.gather(*(reader.read() for reader, _ in connections[-15:]), return_exceptions=True)
        assert len(ends) == 15, "closed, with a word that the reset may overtake"
        assert port.server.stats.connections_refused >= 15
        await port.well()
        for _, writer in connections:
            writer.close()

    play(body)


def test_6_a_client_that_never_reads(play: Any) -> None:
    async def body(port: Port) -> None:
        reader, writer = await port.connect(HELLO + settings((4, 2**31 - 1)) + window_update(0, 2**31 - 1 - 65_535))
        reader._transport.pause_reading()  # type: ignore[attr-defined]
        request = EchoRequest(replies=10_000, reply_bytes=100_000).SerializeToString()
        stream = [(":path", "/raftly.test.Echo/ServerStream") if field[0] == ":path" else field for field in CALL]
        writer.write(head(1, stream) + data(1, frame_message(request), end=True))
        async with asyncio.timeout(10.0):
            while port.server.connections_open > 1:
                await asyncio.sleep(0.1)
                await port.well()
        assert port.server.stats.faults == 1
        writer.close()

    play(body)


def test_7_requests_without_end_on_one_connection(play: Any) -> None:
    async def body(port: Port) -> None:
        encoder = Encoder()
        _, writer = await port.connect(HELLO + window_update(0, 2**30))
        message = frame_message(EchoRequest(payload=b"x").SerializeToString())
        for start in range(0, 20_000, 500):
            writer.write(
                b"".join(
                    frame(HEADERS, END_HEADERS, 2 * n + 1, encoder.encode(CALL)) + data(2 * n + 1, message, end=True)
                    for n in range(start, start + 500)
                )
            )
            await writer.drain()
            await port.well()
        writer.close()

    play(body)


def test_8_huge_and_odd_fields(play: Any) -> None:
    async def body(port: Port) -> None:
        for value in ("a" * 17_000, "nul\0", "line\r\nbreak"):
            said = await port.throw(HELLO + head_in_frames([*CALL, ("x-key", value)]), wait_s=0.3)
            assert said
        for path in ("", "/", "//", "/\xff\xfe", "*", "/raftly.test.Echo/Unary/../x"):
            fields = [(":path", path.encode("latin-1")) if field[0] == ":path" else field for field in CALL]
            said = await port.throw(HELLO + head(1, fields, end=True), wait_s=0.3)
            assert len(said) > 50

    play(body)


def head_in_frames(fields: Any) -> bytes:
    encoded = Encoder().encode(fields, huffman=False)
    first = frame(HEADERS, END_STREAM | (END_HEADERS if len(encoded) <= 16_384 else 0), 1, encoded[:16_384])
    return first + (frame(CONTINUATION, END_HEADERS, 1, encoded[16_384:]) if len(encoded) > 16_384 else b"")


def test_9_compressed_bomb(play: Any) -> None:
    packer = zlib.compressobj(9, wbits=31)
    start = packer.compress(bytes(1 << 20)) + packer.flush(zlib.Z_FULL_FLUSH)
    more = packer.compress(bytes(1 << 20)) + packer.flush(zlib.Z_FULL_FLUSH)
    bomb = start + more * 200  # 200 MiB in 200 kB, within every window

    async def body(port: Port) -> None:
        message = b"\1" + struct.pack(">L", len(bomb)) + bomb
        frames = b"".join(data(1, message[at : at + 16_384]) for at in range(0, len(message), 16_384))
        said = await port.throw(
            HELLO + head(1, [*CALL, ("grpc-encoding", "gzip")]) + frames + data(1, b"", end=True), wait_s=1
        )
        assert b"decompresses to more than" in said

    play(body)


def test_10_message_nested_ten_thousand_deep(play: Any) -> None:
    nested = b""
    for _ in range(10_000):
        size = len(nested)
        length = b""
        while size >= 0x80:
            length += bytes((size & 0x7F | 0x80,))
            size >>= 7
        nested = b"\x0a" + length + bytes((size,)) + nested
    deep = [(":path", "/raftly.test.Echo/Deep") if field[0] == ":path" else field for field in CALL]

    async def body(port: Port) -> None:
        message = frame_message(nested)
        frames = b"".join(data(1, message[at : at + 16_384]) for at in range(0, len(message), 16_384))
        said = await port.throw(HELLO + head(1, deep) + frames + data(1, b"", end=True), wait_s=0.5)
        assert b"does not decode" in said

    play(body)


@pytest.mark.parametrize(
    ("payload", "answered"),
    [
        (b"\xf2\x3f\x04junk", b"grpc-status\x010"),  # an unknown field
        (b"\x0a\x01a\x0a\x01b", b"grpc-status\x010"),  # a field twice: the last holds
        (b"", b"grpc-status\x010"),  # none at all: all defaults
        (b"\x08\x01", b"grpc-status\x010"),  # another wire type for the field's number: unknown
        (b"\x0a\x7f", b"does not decode"),  # a length past the end
        (b"\x0b", b"does not decode"),  # a group that never ends
        (b"\x0a\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff", b"does not decode"),  # a length that is no varint
    ],
)
def test_11_messages_with_wrong_fields(play: Any, payload: bytes, answered: bytes) -> None:
    async def body(port: Port) -> None:
        assert answered in await port.throw(HELLO + head(1) + data(1, frame_message(payload), end=True), wait_s=0.3)

    play(body)


def test_12_http1(play: Any) -> None:
    async def body(port: Port) -> None:
        for request in (
            b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
            b"POST /x HTTP/1.0\r\n\r\n",
            b"OPTIONS * HTTP/1.1\r\n\r\n",
        ):
            said = await port.throw(request)
            assert said.startswith(b"HTTP/1.1 426")
            assert b"gRPC over HTTP/2" in said

    play(body)


def _resets() -> bytes:
    encoder = Encoder()
    return b"".join(
        frame(HEADERS, END_HEADERS, 2 * n + 1, encoder.encode(CALL)) + rst(2 * n + 1) for n in range(20_000)
    )


FLOODS = {
    "rapid resets": (_resets, b"too many streams given up"),
    "endless CONTINUATION": (
        lambda: frame(HEADERS, END_STREAM, 1, b"") + frame(CONTINUATION, 0, 1, bytes(1000)) * 1000,
        b"header block over",
    ),
    "empty CONTINUATION": (
        lambda: frame(HEADERS, END_STREAM, 1, b"") + frame(CONTINUATION, 0, 1) * 1000,
        b"too many frames",
    ),
    "pings": (lambda: frame(PING, 0, 0, bytes(8)) * 100_000, b"too many PING"),
    "settings": (lambda: frame(SETTINGS, 0, 0) * 100_000, b"too many SETTINGS"),
    "empty data": (lambda: head(1) + data(1, b"") * 100_000, b"too many empty DATA"),
    "window of 0": (lambda: head(1) + window_update(1, 0) * 100_000, b"too many"),
}


@pytest.mark.parametrize("name", FLOODS)
def test_12_floods(play: Any, name: str) -> None:
    make, said_of_it = FLOODS[name]

    async def body(port: Port) -> None:
        flood = HELLO + make()
        reader, writer = await port.connect()
        said = b""

        async def read() -> None:
            nonlocal said
            while chunk := await reader.read(65_536):
                said += chunk

        reading = asyncio.create_task(read())
        try:
            for at in range(0, len(flood), 50_000):
                writer.write(flood[at : at + 50_000])
                await writer.drain()
                await asyncio.sleep(0)
        except ConnectionError:
            pass
        await asyncio.wait([reading], timeout=5.0)
        assert reading.done(), "the server closed the connection"
        reading.exception()
        assert said_of_it in said or port.server.stats.faults == 1
        writer.close()

    play(body)


def test_12_zero_windows(play: Any) -> None:
    """Calls whose answers may never be sent are given up after the stall time, and do not pile up."""

    async def body(port: Port) -> None:
        encoder = Encoder()
        message = frame_message(EchoRequest(reply_bytes=100_000).SerializeToString())
        _, writer = await port.connect(HELLO + settings((4, 0)))
        writer.write(
            b"".join(
                frame(HEADERS, END_HEADERS, 2 * n + 1, encoder.encode(CALL)) + data(2 * n + 1, message, end=True)
                for n in range(300)
            )
        )
        await asyncio.sleep(0.3)
        (connection,) = [c for c in port.server._connections if c.h2.backlog_bytes]
        assert connection.h2.backlog_bytes <= port.server.limits.backlog_bytes_max
        async with asyncio.timeout(10.0):
            while connection.h2.backlog_bytes:
                await asyncio.sleep(0.1)
                await port.well()
        writer.close()

    play(body)


def test_other_clients_are_told_the_truth_while_streams_are_short(play: Any) -> None:
    async def body(port: Port) -> None:
        async with Channel("127.0.0.1", port.port) as channel:
            with pytest.raises(RpcError) as caught:
                await echo_rpc.EchoClient(channel).unary(EchoRequest(payload=bytes(5 << 20)))
            assert caught.value.status is StatusCode.RESOURCE_EXHAUSTED

    play(body)
