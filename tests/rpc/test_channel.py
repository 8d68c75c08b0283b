"""The client against servers that refuse, say goodbye, die, come back, or answer nonsense; all on 127.0.0.1."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from random import Random
from typing import Any

import pytest

from raftly.errors import ConfigError
from raftly.rpc.channel import Backoff, Channel
from raftly.rpc.grpc.heads import OK_TRAILERS, RESPONSE_HEAD, http_response
from raftly.rpc.grpc.message import frame_message
from raftly.rpc.grpc.status import RpcError, StatusCode
from raftly.rpc.h2.connection import Connection
from raftly.rpc.h2.events import DataReceived, HeadersReceived
from raftly.rpc.h2.frames import SETTINGS, ErrorCode, frame, goaway_frame
from raftly.rpc.h2.stream import Stream
from raftly.rpc.limits import Limits
from raftly.rpc.server import Server
from raftly.rpc.service import Kind, Service, bind
from tests.unit.rpc.memory import ECHO, method

CALL = method("Echo")
BIDI = method("Bidi", Kind.STREAM_STREAM)
WATCH = method("Watch", Kind.UNARY_STREAM)
QUICK = Backoff(first_s=0.01, last_s=0.05)
Answer = Callable[["Scripted", Stream, bytes], None]


def run(body: Callable[[], Awaitable[Any]]) -> Any:
    async def main() -> Any:
        async with asyncio.timeout(20):
            return await body()

    return asyncio.run(main())


class Scripted(asyncio.Protocol):
    """A server connection that answers each request as a test says."""

    def __init__(self, answer: Answer, limits: Limits) -> None:
        self.h2 = Connection(limits, client=False, clock=lambda: 0.0)
        self._answer = answer

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport: Any = transport
        self.flush()

    def data_received(self, data: bytes) -> None:
        for event in self.h2.receive(data):
            if isinstance(event, DataReceived):
                self.h2.release(event.stream, len(event.data))
            if isinstance(event, DataReceived | HeadersReceived) and event.end_stream:
                self._answer(self, event.stream, getattr(event, "data", b""))
        self.flush()

    def flush(self) -> None:
        while self.h2.has_output:
            self.transport.write(self.h2.take_output())

    def serve(self, stream: Stream, payload: bytes = b"ok") -> None:
        self.h2.send_all(stream, RESPONSE_HEAD, frame_message(payload), OK_TRAILERS)


@asynccontextmanager
async def scripted(answer: Answer, limits: Limits | None = None) -> AsyncIterator[int]:
    loop = asyncio.get_running_loop()
    made: list[Scripted] = []

    def factory() -> Scripted:
        made.append(Scripted(answer, limits or Limits()))
        return made[-1]

    listener = await loop.create_server(factory, "127.0.0.1", 0)
    try:
        yield listener.sockets[0].getsockname()[1]
    finally:
        listener.close()
        for connection in made:
            connection.transport.abort()


async def failure(call: Awaitable[Any]) -> RpcError:
    with pytest.raises(RpcError) as caught:
        await call
    return caught.value


def test_one_connection_serves_all_calls() -> None:
    async def body() -> None:
        server = Server([Service("t.T", [ECHO])])
        port = await server.start()
        async with Channel("127.0.0.1", port) as channel:
            replies = await asyncio.gather(*(channel.unary(CALL, b"%d" % n) for n in range(300)))
            assert replies == [b"%d" % n for n in range(300)]
            assert server.stats.connections == 1
        await server.stop(1.0)
        assert server.connections_open == 0

    run(body)


def test_calls_wait_for_a_stream_when_the_server_allows_few() -> None:
    async def body() -> None:
        at_once = 0
        most = 0

        async def slow(request: bytes) -> bytes:
            nonlocal at_once, most
            at_once += 1
            most = max(most, at_once)
            await asyncio.sleep(0)
            at_once -= 1
            return request

        server = Server([Service("t.T", [bind(CALL, slow)])], limits=Limits(streams_max=3))
        port = await server.start()
        async with Channel("127.0.0.1", port) as channel:
            assert len(await asyncio.gather(*(channel.unary(CALL, b"x") for _ in range(100)))) == 100
        assert most <= 3
        await server.stop(1.0)

    run(body)


def test_calls_past_the_queue_fail_at_once() -> None:
    async def body() -> None:
        async with scripted(lambda *_: None, Limits(streams_max=1)) as port:
            async with Channel("127.0.0.1", port, limits=Limits(pending_calls_max=2)) as channel:
                first = asyncio.create_task(channel.unary(CALL, b"x"))
                await asyncio.sleep(0.05)
                waiting = [asyncio.create_task(channel.unary(CALL, b"x")) for _ in range(2)]
                await asyncio.sleep(0)
                error = await failure(channel.unary(CALL, b"x"))
                assert (error.status, error.maybe_processed) == (StatusCode.RESOURCE_EXHAUSTED, False)
            outcomes = await asyncio.gather(first, *waiting, return_exceptions=True)
            assert all(isinstance(outcome, RpcError) for outcome in outcomes)

    run(body)


def test_refused_streams_are_sent_again() -> None:
    async def body() -> None:
        seen: list[int] = []

        def answer(connection: Scripted, stream: Stream, _data: bytes) -> None:
            seen.append(stream.id)
            if len(seen) < 3:
                connection.h2.reset(stream, ErrorCode.REFUSED_STREAM)
            else:
                connection.serve(stream)

        async with scripted(answer) as port, Channel("127.0.0.1", port, backoff=QUICK) as channel:
            assert await channel.unary(CALL, b"x") == b"ok"
            assert seen == [1, 3, 5]
            stream = method("S", Kind.UNARY_STREAM)
            seen.clear()
            assert [reply async for reply in channel.unary_stream(stream, b"x")] == [b"ok"]
            assert len(seen) == 3

    run(body)


def test_a_call_that_is_sent_again_keeps_its_deadline() -> None:
    async def body() -> None:
        seen: list[int] = []

        def answer(connection: Scripted, stream: Stream, _data: bytes) -> None:
            seen.append(stream.id)
            if len(seen) == 1:
                connection.h2.reset(stream, ErrorCode.REFUSED_STREAM)  # and never anything more

        async with scripted(answer) as port, Channel("127.0.0.1", port, backoff=QUICK) as channel:
            loop = asyncio.get_running_loop()
            start = loop.time()
            first = asyncio.create_task(failure(channel.unary(CALL, b"x", timeout_s=0.2)))
            await asyncio.sleep(0.01)
            later = asyncio.create_task(failure(channel.unary(CALL, b"x", timeout_s=0.2)))
            assert (await first).status is StatusCode.DEADLINE_EXCEEDED
            assert not later.done(), "each call has a deadline of its own"
            assert loop.time() - start >= 0.2
            assert (await later).status is StatusCode.DEADLINE_EXCEEDED

    run(body)


def test_what_is_refused_for_ever_fails_and_was_not_processed() -> None:
    async def body() -> None:
        def answer(connection: Scripted, stream: Stream, _data: bytes) -> None:
            connection.h2.reset(stream, ErrorCode.REFUSED_STREAM)

        async with scripted(answer) as port, Channel("127.0.0.1", port, backoff=QUICK) as channel:
            error = await failure(channel.unary(CALL, b"x"))
            assert (error.status, error.maybe_processed) == (StatusCode.UNAVAILABLE, False)

    run(body)


@pytest.mark.parametrize("code", [ErrorCode.CANCEL, ErrorCode.INTERNAL_ERROR, ErrorCode.ENHANCE_YOUR_CALM])
def test_other_resets_are_never_sent_again(code: ErrorCode) -> None:
    async def body() -> None:
        seen: list[int] = []

        def answer(connection: Scripted, stream: Stream, _data: bytes) -> None:
            seen.append(stream.id)
            connection.h2.reset(stream, code)

        async with scripted(answer) as port, Channel("127.0.0.1", port, backoff=QUICK) as channel:
            assert (await failure(channel.unary(CALL, b"x"))).maybe_processed
            assert seen == [1]

    run(body)


def test_goaway_moves_calls_above_its_last_stream_to_a_new_connection() -> None:
    async def body() -> None:
        connections: list[Scripted] = []

        def answer(connection: Scripted, stream: Stream, _data: bytes) -> None:
            if connection not in connections:
                connections.append(connection)
            if len(connections) == 1 and stream.id == 3:
                connection.transport.write(goaway_frame(1, 0, b"moving"))
                connection.serve(connection.h2.streams[1], b"first, after the goodbye")
            elif len(connections) > 1:
                connection.serve(stream, b"second")

        async with scripted(answer) as port, Channel("127.0.0.1", port, backoff=QUICK) as channel:
            replies = await asyncio.gather(channel.unary(CALL, b"1"), channel.unary(CALL, b"2"))
            assert list(replies) == [b"first, after the goodbye", b"second"]

    run(body)


def test_a_lost_connection_leaves_the_outcome_open_and_the_next_call_connects_again() -> None:
    async def body() -> None:
        seen: list[int] = []

        def answer(connection: Scripted, stream: Stream, _data: bytes) -> None:
            seen.append(stream.id)
            if len(seen) == 1:
                connection.transport.abort()
            else:
                connection.serve(stream)

        async with scripted(answer) as port, Channel("127.0.0.1", port, backoff=QUICK) as channel:
            error = await failure(channel.unary(CALL, b"x"))
            assert (error.status, error.maybe_processed) == (StatusCode.UNAVAILABLE, True)
            assert await channel.unary(CALL, b"x") == b"ok"
            assert seen == [1, 1]

    run(body)


def serves_some(connection: Scripted, stream: Stream, data: bytes) -> None:
    """Requests that say so are served, others never."""
    if data.endswith(b"served"):
        connection.serve(stream)


@asynccontextmanager
async def ends_at_once(hold_s: float = 0.0) -> AsyncIterator[tuple[int, list[float]]]:
    """A server that says SETTINGS and ends, a moment later or in the same breath; its port, and when it was asked."""
    asked: list[float] = []

    async def serve(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked.append(asyncio.get_running_loop().time())
        writer.write(frame(SETTINGS, 0, 0))
        if hold_s:
            await writer.drain()
            await asyncio.sleep(hold_s)
        writer.write(goaway_frame(0, ErrorCode.ENHANCE_YOUR_CALM, b"full"))
        writer.close()

    listener = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield listener.sockets[0].getsockname()[1], asked
    finally:
        listener.close()


@pytest.mark.parametrize("hold_s", [0.0, 0.002])
def test_a_server_that_ends_every_connection_is_asked_with_pauses(hold_s: float) -> None:
    async def body() -> None:
        backoff = Backoff(first_s=0.1, factor=2.0, jitter=0.0)
        async with ends_at_once(hold_s) as (port, asked), Channel("127.0.0.1", port, backoff=backoff) as channel:
            error = await failure(channel.unary(CALL, b"x", timeout_s=0.5, wait_for_ready=True))
            assert not error.maybe_processed
            if not hold_s:  # else the call was begun, and refused
                assert "the server said goodbye: ENHANCE_YOUR_CALM full" in error.message
            assert 2 <= len(asked) <= 4, "at once, perhaps once more, after 0.1 s, after another 0.2 s"

    run(body)


def test_a_server_that_is_full_says_so_at_once() -> None:
    async def body() -> None:
        server = Server([Service("t.T", [ECHO])], limits=Limits(connections_max=1))
        port = await server.start()
        async with Channel("127.0.0.1", port) as first, Channel("127.0.0.1", port) as second:
            assert await first.unary(CALL, b"x") == b"x"
            error = await failure(second.unary(CALL, b"x"))
            assert (error.status, error.maybe_processed) == (StatusCode.UNAVAILABLE, False)
            assert "too many connections" in error.message
            assert server.stats.connections <= 3
        await server.stop(1.0)

    run(body)


def test_a_server_that_answers_is_reached_again_at_once_however_often_it_restarts() -> None:
    async def body() -> None:
        def answer(connection: Scripted, stream: Stream, data: bytes) -> None:
            if data.endswith(b"die"):
                connection.transport.abort()
            else:
                connection.serve(stream)

        async with scripted(answer) as port, Channel("127.0.0.1", port, backoff=Backoff(first_s=60.0)) as channel:
            assert (await failure(channel.unary(CALL, b"die"))).maybe_processed, "before any call was answered"
            for _ in range(5):
                assert await channel.unary(CALL, b"x") == b"ok"
                assert (await failure(channel.unary(CALL, b"die"))).maybe_processed
            assert (await failure(channel.unary(CALL, b"die"))).maybe_processed
            assert (await failure(channel.unary(CALL, b"die"))).maybe_processed, "the second in a row without an answer"
            assert not (await failure(channel.unary(CALL, b"x"))).maybe_processed, "a pause"

    run(body)


@pytest.mark.parametrize("how", ["cancelled", "too late", "left"])
def test_a_call_given_up_frees_its_stream_for_one_that_waits(how: str) -> None:
    async def body() -> None:
        gate = asyncio.Event()

        async def hold(channel: Channel) -> None:
            if how == "left":
                async with await channel.open(BIDI):
                    await gate.wait()
            else:
                await channel.unary(CALL, b"held", timeout_s=0.05 if how == "too late" else None)

        async with scripted(serves_some, Limits(streams_max=1)) as port, Channel("127.0.0.1", port) as channel:
            assert await channel.unary(CALL, b"served") == b"ok"
            holds = asyncio.create_task(hold(channel))
            await asyncio.sleep(0)
            waits = asyncio.create_task(channel.unary(CALL, b"served"))
            await asyncio.sleep(0.01)
            assert not waits.done()
            gate.set()
            if how == "cancelled":
                holds.cancel()
            async with asyncio.timeout(0.5):
                assert await waits == b"ok"
            await asyncio.gather(holds, return_exceptions=True)

    run(body)


def test_a_call_that_waits_no_longer_is_out_of_the_queue_and_passes_its_turn_on() -> None:
    async def body() -> None:
        mine = Limits(pending_calls_max=2)
        async with (
            scripted(serves_some, Limits(streams_max=1)) as port,
            Channel("127.0.0.1", port, limits=mine) as channel,
        ):
            holds = asyncio.create_task(channel.unary(CALL, b"held"))
            await asyncio.sleep(0.01)
            for _ in range(5):
                error = await failure(channel.unary(CALL, b"x", timeout_s=0.01))
                assert error.status is StatusCode.DEADLINE_EXCEEDED, "the queue is not full of those who left"
            first = asyncio.create_task(channel.unary(CALL, b"served"))
            second = asyncio.create_task(channel.unary(CALL, b"served"))
            await asyncio.sleep(0)
            holds.cancel()
            await asyncio.sleep(0)
            assert len(channel._waiting) == 1
            first.cancel()  # woken, and gone before it could begin
            async with asyncio.timeout(0.5):
                assert await second == b"ok"
            await asyncio.gather(holds, first, return_exceptions=True)
            assert first.cancelled()

    run(body)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def test_nobody_listens_fails_fast_then_waits_when_asked_and_recovers() -> None:
    async def body() -> None:
        port = free_port()
        async with Channel("127.0.0.1", port, backoff=QUICK, rng=Random(1)) as channel:
            error = await failure(channel.unary(CALL, b"x"))
            assert (error.status, error.maybe_processed) == (StatusCode.UNAVAILABLE, False)
            assert f"127.0.0.1:{port}" in error.message
            waiting = asyncio.create_task(channel.unary(CALL, b"x", wait_for_ready=True))
            await asyncio.sleep(0.05)
            server = Server([Service("t.T", [ECHO])])
            await server.start(port=port)
            assert await waiting == b"x"
            await server.stop(1.0)
            assert (await failure(channel.unary(CALL, b"x"))).status is StatusCode.UNAVAILABLE
            again = Server([Service("t.T", [ECHO])])
            await again.start(port=port)
            assert await channel.unary(CALL, b"back", wait_for_ready=True) == b"back"
            await again.stop(1.0)

    run(body)


def test_a_deadline_covers_connecting() -> None:
    async def body() -> None:
        async with Channel("127.0.0.1", free_port(), backoff=Backoff(first_s=10.0)) as channel:
            await failure(channel.unary(CALL, b"x"))
            error = await failure(channel.unary(CALL, b"x", wait_for_ready=True, timeout_s=0.05))
            assert (error.status, error.maybe_processed) == (StatusCode.DEADLINE_EXCEEDED, False)

    run(body)


def test_backoff_grows_to_its_bound_with_jitter_from_the_seed() -> None:
    backoff = Backoff(first_s=1.0, factor=2.0, last_s=8.0, jitter=0.5)
    pauses = [backoff.pause(failures, Random(7)) for failures in (1, 2, 3, 4, 5, 1000)]
    assert pauses == [backoff.pause(failures, Random(7)) for failures in (1, 2, 3, 4, 5, 1000)]
    scale = pauses[0]
    assert 0.5 <= scale <= 1.5
    assert [round(pause / scale, 6) for pause in pauses] == [1, 2, 4, 8, 8, 8]


def test_server_stop_lets_running_calls_finish_and_ends_the_rest() -> None:
    async def body() -> None:
        gate = asyncio.Event()
        started = asyncio.Event()

        async def waits(request: bytes) -> bytes:
            started.set()
            await (gate if request == b"short" else asyncio.Event()).wait()
            return request

        server = Server([Service("t.T", [bind(CALL, waits)])])
        port = await server.start()
        async with Channel("127.0.0.1", port, backoff=QUICK) as channel:
            short = asyncio.create_task(channel.unary(CALL, b"short"))
            endless = asyncio.create_task(channel.unary(CALL, b"endless"))
            await started.wait()
            stopping = asyncio.create_task(server.stop(grace_s=0.5))
            await asyncio.sleep(0.1)
            assert (await failure(channel.unary(CALL, b"late"))).status is StatusCode.UNAVAILABLE
            gate.set()
            assert await short == b"short"
            error = await failure(endless)
            assert (error.status, error.message) == (StatusCode.UNAVAILABLE, "the server is stopping")
            await stopping
            assert server.connections_open == 0

    run(body)


def test_responses_that_are_wrong() -> None:
    def not_grpc(connection: Scripted, stream: Stream, _data: bytes) -> None:
        connection.h2.send_all(stream, http_response(503, b"busy"), b"busy", None)

    def no_message(connection: Scripted, stream: Stream, _data: bytes) -> None:
        connection.h2.send_headers(stream, RESPONSE_HEAD)
        connection.h2.send_headers(stream, OK_TRAILERS, end_stream=True)

    def two_messages(connection: Scripted, stream: Stream, _data: bytes) -> None:
        connection.h2.send_all(stream, RESPONSE_HEAD, frame_message(b"1") + frame_message(b"2"), OK_TRAILERS)

    def half_a_message(connection: Scripted, stream: Stream, _data: bytes) -> None:
        connection.h2.send_all(stream, RESPONSE_HEAD, frame_message(b"whole")[:-1], OK_TRAILERS)

    def no_trailers(connection: Scripted, stream: Stream, _data: bytes) -> None:
        connection.h2.send_all(stream, RESPONSE_HEAD, frame_message(b"1"), None)

    def too_large(connection: Scripted, stream: Stream, _data: bytes) -> None:
        connection.serve(stream, bytes(2000))

    def no_http2(connection: Scripted, stream: Stream, _data: bytes) -> None:
        connection.transport.write(frame(0, 0, 0, b"data on stream 0"))

    cases: list[tuple[Answer, StatusCode]] = [
        (not_grpc, StatusCode.UNAVAILABLE),
        (no_message, StatusCode.INTERNAL),
        (two_messages, StatusCode.INTERNAL),
        (half_a_message, StatusCode.INTERNAL),
        (no_trailers, StatusCode.INTERNAL),
        (too_large, StatusCode.RESOURCE_EXHAUSTED),
        (no_http2, StatusCode.UNAVAILABLE),
    ]

    async def body() -> None:
        for answer, status in cases:
            limits = Limits(message_bytes_max=1000)
            async with scripted(answer) as port, Channel("127.0.0.1", port, limits=limits) as channel:
                assert (await failure(channel.unary(CALL, b"x"))).status is status

    run(body)


@pytest.mark.parametrize("at_once", [True, False])
def test_responses_before_one_that_is_wrong_are_given_first(at_once: bool) -> None:
    wrong = frame_message(bytes(2000))[:5]

    def answer(connection: Scripted, stream: Stream, _data: bytes) -> None:
        connection.h2.send_headers(stream, RESPONSE_HEAD)
        pieces = [frame_message(b"one"), frame_message(b"two"), wrong]
        for piece in [b"".join(pieces)] if at_once else pieces:
            connection.h2.send_data(stream, piece)

    async def body() -> None:
        async with (
            scripted(answer) as port,
            Channel("127.0.0.1", port, limits=Limits(message_bytes_max=1000)) as channel,
            await channel.open(WATCH) as call,
        ):
            await call.send(b"x")
            call.done_sending()
            assert [await call.recv(), await call.recv()] == [b"one", b"two"]
            assert (await failure(call.recv())).status is StatusCode.RESOURCE_EXHAUSTED

    run(body)


@pytest.mark.parametrize("at_once", [True, False])
def test_a_second_response_that_is_wrong_is_told_as_such_however_cut(at_once: bool) -> None:
    wrong = frame_message(bytes(2000))[:5]

    def answer(connection: Scripted, stream: Stream, _data: bytes) -> None:
        connection.h2.send_headers(stream, RESPONSE_HEAD)
        for piece in [frame_message(b"1") + wrong] if at_once else [frame_message(b"1"), wrong]:
            connection.h2.send_data(stream, piece)

    async def body() -> None:
        async with (
            scripted(answer) as port,
            Channel("127.0.0.1", port, limits=Limits(message_bytes_max=1000)) as channel,
        ):
            assert (await failure(channel.unary(CALL, b"x"))).status is StatusCode.RESOURCE_EXHAUSTED

    run(body)


def test_a_server_that_is_no_http2_server() -> None:
    async def body() -> None:
        async def http1(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
            writer.close()

        listener = await asyncio.start_server(http1, "127.0.0.1", 0)
        port = listener.sockets[0].getsockname()[1]
        async with Channel("127.0.0.1", port, backoff=QUICK) as channel:
            assert (await failure(channel.unary(CALL, b"x"))).status is StatusCode.UNAVAILABLE
        listener.close()

    run(body)


def test_metadata_that_cannot_be_sent_is_the_caller_s_mistake() -> None:
    async def body() -> None:
        async with Channel("127.0.0.1", 1) as channel:
            with pytest.raises(ConfigError, match="metadata"):
                await channel.unary(CALL, b"x", metadata=(("Upper", "x"),))

    run(body)


def test_cancelling_the_caller_resets_the_stream() -> None:
    async def body() -> None:
        hears = asyncio.Event()
        started = asyncio.Event()

        async def hangs(request: bytes) -> bytes:
            started.set()
            try:
                await asyncio.Event().wait()
            finally:
                hears.set()
            return request

        server = Server([Service("t.T", [bind(CALL, hangs)])])
        port = await server.start()
        async with Channel("127.0.0.1", port) as channel:
            call = asyncio.create_task(channel.unary(CALL, b"x"))
            await started.wait()
            call.cancel()
            with pytest.raises(asyncio.CancelledError):
                await call
            await hears.wait()
        await server.stop(1.0)

    run(body)


def test_reading_late_holds_the_server_back() -> None:
    async def body() -> None:
        sent = 0

        async def many(requests: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
            nonlocal sent
            async for _ in requests:
                for _ in range(200):
                    sent += 1
                    yield bytes(50_000)

        server = Server([Service("t.T", [bind(BIDI, many)])])
        port = await server.start()
        limits = Limits(stream_window_bytes=65_535, connection_window_bytes=65_535)
        async with Channel("127.0.0.1", port, limits=limits) as channel, await channel.open(BIDI) as call:
            await call.send(b"go")
            call.done_sending()
            assert await call.recv() == bytes(50_000)
            await asyncio.sleep(0.1)
            assert sent < 20
            received = 1
            async for _ in call:
                received += 1
            assert (received, sent) == (200, 200)
        await server.stop(1.0)

    run(body)


def test_leaving_a_call_with_answers_unread_makes_room_for_others() -> None:
    async def body() -> None:
        async def answer(requests: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
            async for _ in requests:
                yield bytes(150_000)

        async def large(_request: bytes) -> bytes:
            return bytes(300_000)

        server = Server([Service("t.T", [bind(BIDI, answer), bind(CALL, large)])])
        port = await server.start()
        limits = Limits(unread_bytes_max=65_535, connection_window_bytes=65_535)
        async with Channel("127.0.0.1", port, limits=limits) as channel, await channel.open(BIDI) as call:
            await call.send(b"go")
            call.done_sending()
            await asyncio.sleep(0.05)
            assert call._ended, "all of it is here, and not read"
            waits = asyncio.create_task(channel.unary(CALL, b"x"))
            await asyncio.sleep(0.05)
            assert not waits.done()
            await call.__aexit__(None, None, None)
            async with asyncio.timeout(1.0):
                assert len(await waits) == 300_000
        await server.stop(1.0)

    run(body)


def test_keepalive_finds_a_server_that_is_gone_without_a_word() -> None:
    async def body() -> None:
        async with scripted(lambda *_: None) as port:
            limits = Limits(keepalive_s=5.0, keepalive_timeout_s=2.0)
            async with Channel("127.0.0.1", port, limits=limits) as channel:
                call = asyncio.create_task(channel.unary(CALL, b"x"))
                await asyncio.sleep(0.1)
                connection = channel._connection
                assert connection is not None
                now = asyncio.get_running_loop().time()
                connection.check(now)
                connection.check(now + 6.0)
                connection.check(now + 7.0)
                assert not call.done()
                connection.check(now + 9.0)
                error = await failure(call)
                assert (error.status, error.maybe_processed) == (StatusCode.UNAVAILABLE, True)
                assert "no sign of life" in error.message

    run(body)
