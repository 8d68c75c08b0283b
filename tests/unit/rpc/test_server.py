"""The server on a transport in memory: writes, handlers, backpressure, endings, and the watch over slow clients."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Generator
from itertools import pairwise
from typing import Any

import pytest

from raftly.errors import ConfigError
from raftly.rpc.grpc.message import frame_message
from raftly.rpc.grpc.status import RpcError, StatusCode
from raftly.rpc.h2.frames import DATA, HEADERS, PREFACE, SETTINGS, ErrorCode, frame
from raftly.rpc.h2.headers import encode_block
from raftly.rpc.limits import Limits
from raftly.rpc.opening import Opening, classify
from raftly.rpc.server import Server
from raftly.rpc.server_call import ServerCall
from raftly.rpc.server_connection import ServerConnection
from raftly.rpc.service import Kind, Service, bind
from tests.unit.rpc.memory import ECHO, MemoryTransport, Talk, echo, method


def run(body: Callable[[], Awaitable[Any]]) -> Any:
    async def main() -> Any:
        async with asyncio.timeout(60):
            return await body()

    return asyncio.run(main())


# --- writes ----------------------------------------------------------------------------------------------------------


def test_one_write_for_all_that_one_read_brought() -> None:
    async def body() -> None:
        talk = Talk([ECHO])
        for number in range(20):
            talk.open("Echo", b"%d" % number)
        talk.connection.data_received(talk.client.take_output())
        assert len(talk.transport.writes) == 1
        await talk.turns()
        assert [talk.messages[2 * n + 1] for n in range(20)] == [frame_message(b"%d" % n) for n in range(20)]
        assert set(talk.status.values()) == {"0"}
        await talk.finish()

    run(body)


def test_a_read_in_the_turn_of_a_write_leaves_its_answers_to_the_next_turn() -> None:
    async def body() -> None:
        opened = asyncio.Event()

        async def waits(request: bytes) -> bytes:
            await opened.wait()
            return request

        talk = Talk([bind(method("Waits"), waits), ECHO])
        for _ in range(10):
            talk.open("Waits", b"x")
        await talk.turns(3)
        talk.open("Echo", b"y")
        request = talk.client.take_output()
        counts: list[int] = []
        reads: list[int] = []

        def each_turn() -> None:
            """Runs behind the write of its turn, if there is one; then reads, as a socket that is ready would."""
            counts.append(len(talk.transport.writes))
            if counts[-1] == 1 and len(counts) > 1 and counts[-2] == 0:
                talk.connection.data_received(request)
                assert len(talk.transport.writes) == 1, "the read has not written in the turn of a write"
                reads.append(len(counts))
            if len(counts) < 10:
                talk.loop.call_soon(each_turn)

        opened.set()
        talk.loop.call_soon(each_turn)
        await talk.turns(0)
        for _ in range(12):
            await asyncio.sleep(0)
        assert len(reads) == 1
        steps = [after - before for before, after in pairwise(counts)]
        assert sum(steps) == 2, "ten answers in one write, the read's in another"
        assert max(steps) == 1, "never two in a turn"
        await talk.turns()
        assert len(talk.status) == 11
        await talk.finish()

    run(body)


# --- handlers --------------------------------------------------------------------------------------------------------


def test_handlers_of_a_wrong_form_are_refused_when_bound() -> None:
    async def generator(request: bytes) -> AsyncIterator[bytes]:
        yield request

    async def nothing() -> bytes:
        return b""

    for handler, kind in ((generator, Kind.UNARY_UNARY), (echo, Kind.UNARY_STREAM), (nothing, Kind.UNARY_UNARY)):
        with pytest.raises(ConfigError, match=r"t\.T/M"):
            bind(method("M", kind), handler)
    with pytest.raises(ConfigError, match="twice"):
        Server([Service("t.T", [ECHO]), Service("t.T", [ECHO])])


def test_a_handler_may_be_a_function_that_gives_a_future_or_anything_to_await() -> None:
    async def body() -> None:
        made: list[asyncio.Future[bytes]] = []
        loop = asyncio.get_running_loop()

        def waits(_request: bytes) -> asyncio.Future[bytes]:
            made.append(loop.create_future())
            return made[-1]

        def coroutine(request: bytes) -> Awaitable[bytes]:
            return echo(request)

        class Now:
            def __await__(self) -> Generator[None, None, bytes]:
                yield
                return b"now"

        def awaitable(_request: bytes) -> Awaitable[bytes]:
            return Now()

        def fails(_request: bytes) -> Awaitable[bytes]:
            raise RpcError(StatusCode.ABORTED, "at once")

        forms = {"Waits": waits, "Coroutine": coroutine, "Awaitable": awaitable, "Fails": fails}
        talk = Talk([bind(method(name), handler) for name, handler in forms.items()])
        for name in ("Coroutine", "Awaitable", "Fails", "Waits", "Waits", "Waits"):
            talk.open(name, b"x")
        talk.open("Waits", b"x", timeout_s=0.01)
        await talk.turns()
        made[0].set_result(b"y")
        made[1].set_exception(RpcError(StatusCode.NOT_FOUND, "no"))
        reset = talk.client.streams[11]
        talk.client.reset(reset, ErrorCode.CANCEL)
        await talk.turns()
        assert made[2].cancelled()
        await asyncio.wait(made)
        await talk.turns()
        assert made[3].cancelled()
        assert talk.status == {1: "0", 3: "0", 5: "10", 7: "0", 9: "5", 13: "4"}
        assert [talk.messages[stream] for stream in (1, 3, 7)] == [frame_message(m) for m in (b"x", b"now", b"y")]
        await talk.finish()

    run(body)


def test_a_failing_handler_tells_the_client_nothing_of_itself(caplog: pytest.LogCaptureFixture) -> None:
    async def fails(request: bytes) -> bytes:
        raise ValueError("secret")

    async def body() -> None:
        talk = Talk([bind(method("Fails"), fails)])
        talk.open("Fails", b"x")
        talk.connection.data_received(talk.client.take_output())
        assert b"secret" not in b"".join(talk.transport.writes)
        await talk.turns()
        assert talk.status == {1: "2"}
        await talk.finish()

    run(body)
    assert "secret" in caplog.text


@pytest.mark.parametrize("which", ["set_initial_metadata", "set_trailing_metadata"])
def test_metadata_of_a_handler_that_cannot_be_sent(which: str, caplog: pytest.LogCaptureFixture) -> None:
    async def careless(request: bytes, call: ServerCall) -> bytes:
        getattr(call, which)((("Upper-Case", "x"),))
        return request

    async def body() -> None:
        talk = Talk([bind(method("Careless"), careless)])
        talk.open("Careless", b"x")
        await talk.turns()
        assert talk.status == {1: "13"}
        await talk.finish()

    run(body)
    assert "Upper-Case" in caplog.text


def test_a_message_that_does_not_decode_or_encode() -> None:
    def refuse(_data: bytes) -> bytes:
        raise ValueError

    async def body() -> None:
        undecodable = method("U")
        talk = Talk(
            [
                bind(type(undecodable)("t.T", "In", Kind.UNARY_UNARY, bytes, refuse, bytes, bytes), echo),
                bind(type(undecodable)("t.T", "Out", Kind.UNARY_UNARY, bytes, bytes, refuse, bytes), echo),
            ]
        )
        talk.open("In", b"x")
        talk.open("Out", b"x")
        await talk.turns()
        assert talk.status == {1: "13", 3: "2"}
        await talk.finish()

    run(body)


def test_unary_requests_with_no_message_with_two_and_with_half_of_one() -> None:
    async def body() -> None:
        talk = Talk([ECHO])
        talk.open("Echo")
        talk.open("Echo", b"one", b"two")
        half = talk.open("Echo", end=False)
        talk.client.send_data(half, frame_message(b"whole")[:-1], end_stream=True)
        fine = talk.open("Echo", end=False)
        for byte in frame_message(b"slowly")[:-1]:
            talk.client.send_data(fine, bytes((byte,)))
        talk.client.send_data(fine, b"y", end_stream=True)
        await talk.turns()
        assert talk.status == {1: "13", 3: "13", 5: "13", 7: "0"}
        assert talk.messages == {7: frame_message(b"slowly")}
        await talk.finish()

    run(body)


@pytest.mark.parametrize("at_once", [True, False])
def test_a_handler_has_the_requests_before_a_wrong_one(at_once: bool) -> None:
    seen = []

    async def load(_requests: AsyncIterator[bytes], call: ServerCall) -> bytes:
        while True:
            request = await call.recv()
            seen.append(request)

    async def body() -> None:
        talk = Talk([bind(method("Load", Kind.STREAM_UNARY), load)], Limits(message_bytes_max=10))
        stream = talk.open("Load", end=False)
        wrong = frame_message(bytes(11))[:5]
        if at_once:
            talk.client.send_data(stream, frame_message(b"one") + frame_message(b"two") + wrong)
        else:
            talk.client.send_data(stream, frame_message(b"one") + frame_message(b"two"))
            await talk.turns()
            talk.client.send_data(stream, wrong)
        await talk.turns()
        assert seen == [b"one", b"two"]
        assert talk.status == {1: "8"}
        await talk.finish()

    run(body)


def test_message_over_the_limit_is_refused_before_it_is_sent() -> None:
    async def body() -> None:
        talk = Talk([ECHO], Limits(message_bytes_max=1000))
        talk.open("Echo", bytes(1000))
        talk.open("Echo", bytes(1001))
        chopped = talk.open("Echo", end=False)
        talk.client.send_data(chopped, b"\0\x7f\xff\xff\xff")
        await talk.turns()
        assert talk.status == {1: "0", 3: "8", 5: "8"}
        await talk.finish()

    run(body)


def test_interceptors_see_the_call_from_the_outside_in() -> None:
    seen: list[str] = []

    def named(name: str) -> Any:
        async def interceptor(call: ServerCall, proceed: Callable[[], Awaitable[None]]) -> None:
            seen.append(f"{name} before {call.method}")
            try:
                await proceed()
            except RpcError as error:
                seen.append(f"{name} saw {error.status.name}")
                raise
            seen.append(f"{name} after")

        return interceptor

    async def fails(request: bytes) -> bytes:
        raise RpcError(StatusCode.ABORTED, "no")

    async def body() -> None:
        talk = Talk([ECHO, bind(method("Fails"), fails)], interceptors=[named("a"), named("b")])
        talk.open("Echo", b"x")
        talk.open("Fails", b"x")
        await talk.turns()
        assert talk.status == {1: "0", 3: "10"}
        await talk.finish()

    run(body)
    assert seen == [
        "a before /t.T/Echo",
        "b before /t.T/Echo",
        "b after",
        "a after",
        "a before /t.T/Fails",
        "b before /t.T/Fails",
        "b saw ABORTED",
        "a saw ABORTED",
    ]


def test_an_interceptor_may_refuse_every_kind_of_call() -> None:
    async def refuse(call: ServerCall, proceed: Callable[[], Awaitable[None]]) -> None:
        raise RpcError(StatusCode.UNAUTHENTICATED, "who are you")

    async def bidi(requests: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
        async for request in requests:
            yield request

    async def body() -> None:
        talk = Talk([ECHO, bind(method("Bidi", Kind.STREAM_STREAM), bidi)], interceptors=[refuse])
        talk.open("Echo", b"x")
        talk.open("Bidi", b"x", end=False)
        await talk.turns()
        assert talk.status == {1: "16", 3: "16"}
        await talk.finish()

    run(body)


# --- backpressure ----------------------------------------------------------------------------------------------------


def test_a_streaming_handler_waits_for_a_client_that_gives_no_window() -> None:
    sent: list[int] = []

    async def many(request: bytes) -> AsyncIterator[bytes]:
        for number in range(200):
            sent.append(number)
            yield bytes(10_000)

    async def body() -> None:
        talk = Talk([bind(method("Many", Kind.UNARY_STREAM), many)], client_limits=Limits(stream_window_bytes=65_535))
        talk.release = False
        talk.open("Many", b"")
        await talk.turns(50)
        assert len(sent) < 20
        received = len(talk.messages[1])
        assert received == 65_535
        talk.client.release(talk.client.streams[1], received)
        talk.release = True
        while not talk.status:
            await talk.turns(10)
        assert talk.status == {1: "0"}
        assert len(talk.messages[1]) == 200 * 10_005
        await talk.finish()

    run(body)


def test_a_streaming_handler_waits_for_a_transport_that_is_full() -> None:
    sent: list[int] = []

    async def many(request: bytes) -> AsyncIterator[bytes]:
        for number in range(100):
            sent.append(number)
            yield b"x"

    async def body() -> None:
        talk = Talk([bind(method("Many", Kind.UNARY_STREAM), many)])
        talk.connection.pause_writing()
        talk.open("Many", b"")
        await talk.turns(10)
        assert sent == [0]
        talk.connection.resume_writing()
        await talk.turns(200)
        assert len(sent) == 100
        assert talk.status == {1: "0"}
        await talk.finish()

    run(body)


def test_a_client_stream_that_nobody_reads_holds_the_client_back() -> None:
    gate: list[asyncio.Event] = []

    async def reads_late(requests: AsyncIterator[bytes]) -> bytes:
        gate.append(asyncio.Event())
        await gate[0].wait()
        return b"%d" % sum([len(request) async for request in requests])

    async def body() -> None:
        limits = Limits(stream_window_bytes=65_535)
        talk = Talk([bind(method("Late", Kind.STREAM_UNARY), reads_late)], limits)
        stream = talk.open("Late", *[bytes(1000)] * 1000)
        await talk.turns(20)
        assert talk.connection.h2.unread_bytes <= 65_535
        assert stream.backlog_bytes > 900_000
        gate[0].set()
        while not talk.status:
            await talk.turns(10)
        assert talk.messages == {1: frame_message(b"1000000")}
        assert talk.connection.h2.unread_bytes == 0
        await talk.finish()

    run(body)


def test_a_client_that_does_not_read_is_not_read_from() -> None:
    async def body() -> None:
        limits = Limits(output_bytes_max=100_000, message_bytes_max=50_000)
        talk = Talk([ECHO], limits)
        talk.connection.pause_writing()
        for _ in range(4):
            talk.open("Echo", bytes(40_000))
            await talk.turns(1)
        assert not talk.transport.is_reading()
        talk.connection.resume_writing()
        await talk.turns(10)
        assert talk.transport.is_reading()
        assert set(talk.status.values()) == {"0"}
        await talk.finish()

    run(body)


def test_answers_that_pile_up_end_the_calls_that_would_add_to_them() -> None:
    async def body() -> None:
        async def big(request: bytes) -> bytes:
            return bytes(100_000)

        talk = Talk([bind(method("Big"), big)], Limits(backlog_bytes_max=250_000))
        talk.connection.data_received(frame(SETTINGS, 0, 0, b"\0\4" + bytes(4)))  # no window for any stream
        for _ in range(5):
            talk.open("Big", b"x")
        await talk.turns()
        assert talk.status == {5: "8", 7: "8", 9: "8"}
        assert talk.connection.h2.backlog_bytes == 200_010
        await talk.finish()

    run(body)


# --- endings ---------------------------------------------------------------------------------------------------------


class Hanging:
    """A handler that waits for ever, and tells when it was cancelled."""

    def __init__(self) -> None:
        self.started = 0
        self.cancelled = 0

    async def __call__(self, request: bytes) -> bytes:
        self.started += 1
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        return request


async def _hang_stream(hanging: Hanging, requests: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    async for request in requests:
        yield await hanging(request)


def test_reset_connection_loss_and_deadline_cancel_the_handler() -> None:
    async def body() -> None:
        hanging = Hanging()

        async def hangs(request: bytes) -> bytes:
            return await hanging(request)

        talk = Talk([bind(method("Hangs"), hangs)])
        reset = talk.open("Hangs", b"x")
        await talk.turns(2)
        talk.client.reset(reset, ErrorCode.CANCEL)
        await talk.turns()
        assert (hanging.started, hanging.cancelled) == (1, 1)
        talk.open("Hangs", b"x", timeout_s=0.005)
        await talk.turns(2)
        await asyncio.sleep(0.02)
        await talk.turns()
        assert (hanging.started, hanging.cancelled) == (2, 2)
        assert talk.status == {3: "4"}
        talk.open("Hangs", b"x")
        await talk.turns(2)
        await talk.finish()
        assert (hanging.started, hanging.cancelled) == (3, 3)

    run(body)


def test_a_deadline_that_is_past_on_arrival_starts_no_handler() -> None:
    async def body() -> None:
        hanging = Hanging()

        async def hangs(request: bytes) -> bytes:
            return await hanging(request)

        talk = Talk([bind(method("Hangs"), hangs)])
        talk.open("Hangs", b"x", timeout_s=0.0)
        await talk.turns()
        assert talk.status == {1: "4"}
        assert hanging.started == 0
        await talk.finish()

    run(body)


def test_handlers_of_reset_streams_count_until_they_have_wound_down() -> None:
    async def body() -> None:
        release = asyncio.Event()

        async def stubborn(request: bytes) -> bytes:
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                await release.wait()
                raise
            return request

        talk = Talk([bind(method("Stubborn"), stubborn)], Limits(streams_max=2))
        for _ in range(2):
            stream = talk.open("Stubborn", b"x")
            await talk.turns(3)
            talk.client.reset(stream, ErrorCode.CANCEL)
            await talk.turns(3)
        assert talk.connection.h2.winding_down == 2
        refused = talk.open("Stubborn", b"x")
        await talk.turns()
        assert talk.resets[refused.id] is ErrorCode.REFUSED_STREAM
        release.set()
        await talk.turns()
        assert talk.connection.h2.winding_down == 0
        await talk.finish()

    run(body)


# --- the watch -------------------------------------------------------------------------------------------------------


def watch(talk: Talk, *seconds: float) -> None:
    start = talk.loop.time()
    for after in seconds:
        talk.connection.check(start + after)


def test_a_frame_begun_and_not_ended_however_it_drips() -> None:
    async def body() -> None:
        talk = Talk([ECHO], Limits(stall_s=30.0))
        for second in range(30):
            talk.connection.data_received(b"\0" if second else frame(HEADERS, 5, 1, bytes(100))[:5])
            watch(talk, float(second))
        assert not talk.transport.is_closing()
        watch(talk, 31.0)
        assert talk.transport.aborted
        await talk.finish()

    run(body)


def test_a_busy_connection_that_is_always_within_some_frame_is_fine() -> None:
    async def body() -> None:
        talk = Talk([ECHO], Limits(stall_s=30.0))
        ping = frame(6, 0, 0, bytes(8))
        talk.connection.data_received(ping[:5])
        for second in range(100):
            talk.connection.data_received(ping[5:] + ping[:5])
            watch(talk, float(second))
        assert not talk.transport.is_closing()
        await talk.finish()

    run(body)


def test_a_request_begun_and_not_ended_is_answered() -> None:
    async def body() -> None:
        talk = Talk([ECHO], Limits(stall_s=30.0))
        stream = talk.open("Echo", end=False)
        talk.client.send_data(stream, frame_message(bytes(1000))[:20])
        await talk.turns()
        watch(talk, 0.0, 29.0)
        await talk.turns()
        assert talk.status == {}
        talk.client.send_data(stream, b"drip")  # a few bytes are no progress
        await talk.turns()
        watch(talk, 31.0)
        await talk.turns()
        assert talk.status == {1: "1"}
        assert not talk.transport.is_closing()
        await talk.finish()

    run(body)


def test_a_client_stream_may_be_silent_between_messages() -> None:
    async def body() -> None:
        async def collect(requests: AsyncIterator[bytes]) -> bytes:
            return b"".join([request async for request in requests])

        talk = Talk([bind(method("Collect", Kind.STREAM_UNARY), collect)], Limits(stall_s=30.0, keepalive_s=0.0))
        stream = talk.open("Collect", b"one", end=False)
        await talk.turns()
        watch(talk, 0.0, 100.0, 1000.0)
        talk.client.send_data(stream, frame_message(b"two"), end_stream=True)
        await talk.turns()
        assert talk.messages == {1: frame_message(b"onetwo")}
        await talk.finish()

    run(body)


def test_output_that_the_client_gives_no_window_for_is_given_up() -> None:
    async def body() -> None:
        async def big(request: bytes) -> bytes:
            return bytes(100_000)

        talk = Talk([bind(method("Big"), big)], Limits(stall_s=30.0))
        talk.release = False
        settings = frame(SETTINGS, 0, 0, b"\0\4" + (1000).to_bytes(4, "big"))
        talk.connection.data_received(settings)
        talk.open("Big", b"x")
        await talk.turns()
        watch(talk, 0.0, 29.0)
        assert talk.connection.h2.streams
        watch(talk, 31.0, 62.0)
        await talk.turns()
        assert not talk.connection.h2.streams
        assert not talk.transport.is_closing()
        await talk.finish()

    run(body)


def test_a_transport_that_stays_full_is_closed() -> None:
    async def body() -> None:
        talk = Talk([ECHO], Limits(stall_s=30.0))
        talk.connection.pause_writing()
        watch(talk, 29.0)
        assert not talk.transport.is_closing()
        watch(talk, 31.0)
        assert talk.transport.aborted
        await talk.finish()

    run(body)


def test_no_preface_in_time() -> None:
    async def body() -> None:
        server = Server([Service("t.T", [ECHO])], limits=Limits(handshake_s=10.0))
        for first in (b"", PREFACE[:10], PREFACE):
            connection = ServerConnection(server, asyncio.get_running_loop())
            transport = MemoryTransport()
            connection.connection_made(transport)
            if first:
                connection.data_received(first)
            now = asyncio.get_running_loop().time()
            connection.check(now + 9.0)
            assert not transport.is_closing()
            connection.check(now + 11.0)
            assert transport.aborted
            connection.connection_lost(None)
        assert server.stats.faults == 3
        assert server._watch is not None
        server._watch.cancel()

    run(body)


def test_silence_is_pinged_and_then_closed() -> None:
    async def body() -> None:
        talk = Talk([ECHO], Limits(keepalive_s=60.0, keepalive_timeout_s=20.0))
        await talk.turns()
        watch(talk, 0.0, 61.0)
        await talk.turns()  # answered
        watch(talk, 82.0, 90.0)
        assert not talk.transport.is_closing()
        watch(talk, 151.0, 160.0)
        assert not talk.transport.is_closing()
        watch(talk, 172.0)
        assert talk.transport.aborted
        await talk.finish()

    run(body)


def test_idle_connections_are_asked_to_leave_when_so_configured() -> None:
    async def body() -> None:
        talk = Talk([ECHO], Limits(idle_s=100.0))
        await talk.turns()
        watch(talk, 0.0, 99.0)
        await talk.turns()
        assert talk.goaways == []
        watch(talk, 101.0)
        await talk.turns()
        assert talk.goaways == [ErrorCode.NO_ERROR]
        assert talk.transport.is_closing()
        await talk.finish()

    run(body)


# --- drain -----------------------------------------------------------------------------------------------------------


def test_drain_finishes_what_runs_and_closes() -> None:
    async def body() -> None:
        gate = asyncio.Event()

        async def waits(request: bytes) -> bytes:
            await gate.wait()
            return request

        talk = Talk([bind(method("Waits"), waits)])
        talk.open("Waits", b"x")
        await talk.turns()
        talk.connection.begin_drain()
        await talk.turns()
        assert not talk.client.can_open
        assert not talk.transport.is_closing()
        gate.set()
        await talk.turns()
        assert talk.status == {1: "0"}
        assert talk.transport.is_closing()
        await talk.finish()

    run(body)


# --- what is not HTTP/2 ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("received", "opening"),
    [
        (PREFACE, Opening.HTTP2),
        (PREFACE[:1], Opening.UNDECIDED),
        (b"P", Opening.UNDECIDED),
        (b"PO", Opening.UNDECIDED),
        (b"POST / HTTP/1.1\r\n", Opening.HTTP1),
        (b"GET ", Opening.HTTP1),
        (b"\x16\x03\x01", Opening.TLS),
        (b"\x00", Opening.UNKNOWN),
        (b"INVALID CONNECTION PREFACE\r\n\r\n", Opening.UNKNOWN),
        (b"SSH-2.0-x", Opening.UNKNOWN),
    ],
)
def test_first_bytes(received: bytes, opening: Opening) -> None:
    assert classify(received) is opening


def test_http1_gets_an_answer_that_a_person_can_read_even_byte_by_byte() -> None:
    async def body() -> None:
        server = Server([Service("t.T", [ECHO])])
        connection = ServerConnection(server, asyncio.get_running_loop())
        transport = MemoryTransport()
        connection.connection_made(transport)
        for byte in b"GET / HTTP/1.1\r\nHost: x\r\n\r\n":
            if not transport.is_closing():
                connection.data_received(bytes((byte,)))
        assert transport.is_closing()
        (answer,) = transport.writes
        assert answer.startswith(b"HTTP/1.1 426 Upgrade Required\r\n")
        assert b"speaks gRPC over HTTP/2" in answer
        connection.connection_lost(None)
        assert server._watch is not None
        server._watch.cancel()

    run(body)


def http_request(stream: int, *fields: tuple[bytes, bytes]) -> bytes:
    base: list[tuple[bytes, bytes]] = [(b":method", b"POST"), (b":scheme", b"http"), (b":path", b"/")]
    return frame(HEADERS, 4, stream, encode_block([*base, *fields]).block)


def test_http2_that_is_not_grpc_is_heard_out_and_then_answered() -> None:
    async def body() -> None:
        talk = Talk([ECHO], Limits(message_bytes_max=1000, stall_s=30.0))
        feed = talk.connection.data_received
        feed(http_request(1))
        feed(frame(DATA, 0, 1, bytes(900)))
        assert talk.transport.writes == [], "the request has not ended"
        feed(frame(DATA, 1, 1, b"x"))
        assert b"This port speaks gRPC" in b"".join(talk.transport.writes)
        feed(http_request(3))
        talk.transport.writes.clear()
        feed(frame(DATA, 0, 3, bytes(1001)))
        assert b"This port speaks gRPC" in b"".join(talk.transport.writes), "long enough"
        feed(http_request(5))
        feed(http_request(7, (b"content-length", b"3")))
        feed(frame(DATA, 1, 7, b"four"))
        assert set(talk.connection.h2.streams) == {5}
        watch(talk, 31.0)
        assert talk.connection.h2.streams == {}
        assert talk.connection.h2.unread_bytes == 0
        assert not talk.transport.is_closing()
        await talk.finish()

    run(body)
