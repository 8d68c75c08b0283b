"""Large and many messages at once: one of them can always become whole, and what is unread stays bounded."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from raftly.rpc.grpc.message import frame_message
from raftly.rpc.grpc.status import RpcError, StatusCode
from raftly.rpc.h2.connection import Connection
from raftly.rpc.h2.events import DataReceived
from raftly.rpc.h2.frames import ErrorCode
from raftly.rpc.h2.headers import encode_block
from raftly.rpc.h2.stream import Stream
from raftly.rpc.inbox import Inbox
from raftly.rpc.limits import MIB, Limits
from tests.unit.rpc.memory import ECHO, Talk
from tests.unit.rpc.wire import RESPONSE, TRAILERS, Clock

HEAD = [(b":method", b"POST"), (b":scheme", b"http"), (b":path", b"/a.B/C")]
SMALL = Limits(
    message_bytes_max=400_000, unread_bytes_max=200_000, stream_window_bytes=65_535, connection_window_bytes=65_535
)


class Two:
    """A client and a server core; whichever receives has an inbox for each stream, and takes what is whole."""

    def __init__(self, limits: Limits, *, takes: bool = True) -> None:
        self.client = Connection(limits, client=True, clock=Clock())
        self.server = Connection(limits, client=False, clock=Clock())
        self.inboxes: dict[int, Inbox] = {}
        self.sizes: dict[int, int] = {}
        self.refused: list[RpcError] = []
        self.unread_most = 0
        self.takes = takes
        self._limits = limits
        self.pump()

    def open(self) -> Stream:
        stream = self.client.open_stream()
        self.client.send_headers(stream, encode_block(HEAD))
        self.pump()
        return stream

    def pump(self) -> None:
        while self.client.has_output or self.server.has_output:
            self._carry(self.client, self.server)
            self._carry(self.server, self.client)

    def _carry(self, source: Connection, target: Connection) -> None:
        for event in target.receive(source.take_output()):
            if isinstance(event, DataReceived):
                self._feed(target, event)
        self.unread_most = max(self.unread_most, target.unread_bytes)

    def _feed(self, target: Connection, event: DataReceived) -> None:
        stream = event.stream
        if not event.data and stream.id not in self.inboxes:
            return  # the end of a request without data
        inbox = self.inboxes.get(stream.id)
        if stream.aborted:
            target.release(None, len(event.data))
            return
        if inbox is None:
            inbox = self.inboxes[stream.id] = Inbox(target, stream, self._limits.message_bytes_max, b"")
        try:
            inbox.feed(event.data)
        except RpcError as error:
            self.refused.append(error)
            inbox.discard()
            target.reset(stream, ErrorCode.NO_ERROR)
            return
        while self.takes and inbox.ready:
            self.take(stream.id)

    def take(self, stream_id: int) -> None:
        self.sizes[stream_id] = len(self.inboxes[stream_id].take())


@pytest.mark.parametrize("answers", [False, True])
@pytest.mark.parametrize(
    ("count", "size"), [(4, 4 * MIB), (5, 4 * MIB), (40, 1_000_000), (16, 1_200_000), (1, 20 * MIB), (3, 20 * MIB)]
)
def test_messages_that_are_more_than_may_be_unread_all_arrive(count: int, size: int, answers: bool) -> None:
    limits = Limits(message_bytes_max=32 * MIB)
    two = Two(limits)
    streams = [two.open() for _ in range(count)]
    message = frame_message(bytes(size))
    if answers:
        for stream in streams:
            two.client.send_data(stream, b"", end_stream=True)
        two.pump()
    for stream in streams:
        if answers:
            two.server.send_headers(two.server.streams[stream.id], RESPONSE)
            two.server.send_data(two.server.streams[stream.id], message, end_stream=True)
        else:
            two.client.send_data(stream, message, end_stream=True)
    two.pump()
    assert two.sizes == {stream.id: size for stream in streams}
    assert two.client.unread_bytes == two.server.unread_bytes == 0
    assert two.client.unfinished_bytes == two.server.unfinished_bytes == 0
    room = limits.unread_bytes_max + size + limits.connection_window_bytes
    assert two.unread_most <= room + (count - 1) * limits.stream_window_bytes


def test_messages_go_on_one_by_one_in_the_order_of_asking_once_too_much_is_unread() -> None:
    two = Two(SMALL)
    streams = [two.open() for _ in range(8)]
    for stream in streams:
        two.client.send_data(stream, frame_message(bytes(300_000)), end_stream=True)
    two.pump()
    assert list(two.sizes.values()) == [300_000] * 8
    assert two.unread_most <= 200_000 + 300_000 + 8 * 65_535


def begun(two: Two, count: int, size: int = 300_000) -> list[Stream]:
    """So many messages that get as far as they may, and are never ended."""
    streams = [two.open() for _ in range(count)]
    for stream in streams:
        two.client.send_data(stream, frame_message(bytes(size))[:-1])
    two.pump()
    return streams


def test_a_message_that_ends_early_lets_the_next_one_go_on() -> None:
    for end in ("reset by the peer", "reset by us", "end of the stream", "discarded"):
        two = Two(SMALL)
        streams = begun(two, 6)
        ahead = next(stream for stream in streams if not stream.backlog_bytes)
        assert [stream for stream in streams if not stream.backlog_bytes] == [ahead], "one goes on"
        if end == "reset by the peer":
            two.client.reset(ahead, ErrorCode.CANCEL)
        elif end == "reset by us":
            two.server.reset(two.server.streams[ahead.id], ErrorCode.CANCEL)
        elif end == "end of the stream":
            two.client.send_data(ahead, b"", end_stream=True)
        else:
            two.inboxes[ahead.id].discard()
        two.pump()
        done = [stream for stream in streams if stream is not ahead and not stream.backlog_bytes]
        assert len(done) == (1 if end != "discarded" else len(done)) >= 1, end


def test_an_answer_that_ends_early_with_trailers_lets_the_next_one_go_on() -> None:
    two = Two(SMALL)
    for _ in range(6):
        two.client.send_data(two.open(), b"", end_stream=True)
    two.pump()
    answers = list(two.server.streams.values())
    for stream in answers:
        two.server.send_headers(stream, RESPONSE)
        two.server.send_data(stream, frame_message(bytes(300_000))[:-1])
    two.pump()
    [ahead] = [stream for stream in answers if not stream.backlog_bytes]
    two.server.send_headers(ahead, TRAILERS, end_stream=True)
    two.pump()
    assert sum(not stream.backlog_bytes for stream in answers) == 2


def test_room_that_comes_back_is_for_everyone_who_waits() -> None:
    two = Two(replace(SMALL, unread_bytes_max=400_000))
    streams = begun(two, 5, size=200_000)
    waiting = [stream for stream in streams if stream.backlog_bytes]
    assert len(waiting) == 4
    for stream in waiting[:3]:
        two.inboxes.pop(stream.id).discard()
        two.server.reset(two.server.streams[stream.id], ErrorCode.CANCEL)
    two.pump()
    assert not waiting[3].backlog_bytes


def test_a_client_takes_as_many_answers_as_it_has_asked_for() -> None:
    two = Two(SMALL)
    for _ in range(40):
        two.client.send_data(two.open(), b"", end_stream=True)
    two.pump()
    for stream in list(two.server.streams.values()):
        two.server.send_headers(stream, RESPONSE)
        two.server.send_data(stream, frame_message(bytes(100_000)), end_stream=True)
    two.pump()
    assert list(two.sizes.values()) == [100_000] * 40
    assert two.unread_most > SMALL.unfinished_bytes_max, "a server would have given some up"


def test_who_is_ahead_and_sends_nothing_lets_the_next_one() -> None:
    two = Two(SMALL)
    streams = begun(two, 6)
    assert sum(not stream.backlog_bytes for stream in streams) == 1
    assert two.server.nudge(), "it moved since the last look"
    two.pump()
    assert sum(not stream.backlog_bytes for stream in streams) == 1
    assert two.server.nudge()
    two.pump()
    assert sum(not stream.backlog_bytes for stream in streams) == 2


def test_a_message_that_waits_gets_a_little_window_so_that_its_sender_sees_life() -> None:
    two = Two(SMALL)
    waiting = [stream for stream in begun(two, 6) if stream.backlog_bytes]
    before = [stream.backlog_bytes for stream in waiting]
    two.server.nudge()
    two.pump()
    assert [was - stream.backlog_bytes for was, stream in zip(before, waiting, strict=True)] == [2048] * 5


def test_what_is_whole_and_not_taken_shuts_the_window_and_taking_opens_it() -> None:
    two = Two(SMALL, takes=False)
    streams = [two.open() for _ in range(10)]
    for stream in streams:
        two.client.send_data(stream, frame_message(bytes(50_000)), end_stream=True)
    two.pump()
    assert two.server.unread_bytes == 10 * 50_005
    for _ in range(5):
        two.client.send_data(two.open(), frame_message(bytes(50_000)), end_stream=True)
    two.pump()
    assert two.server.unread_bytes <= 10 * 50_005 + 65_535
    assert not two.refused, "they are held back"
    two.takes = True
    for stream_id in [stream_id for stream_id, inbox in two.inboxes.items() if inbox.ready]:
        two.take(stream_id)
        two.pump()
    assert len(two.sizes) == 15
    assert two.server.unread_bytes == 0


def test_a_large_message_behind_a_small_one_that_is_taken_late() -> None:
    two = Two(SMALL, takes=False)
    stream = two.open()
    two.client.send_data(stream, frame_message(b"small") + frame_message(bytes(300_000)), end_stream=True)
    two.pump()
    assert two.server.unread_bytes == 65_535, "the whole window"
    two.takes = True
    two.take(stream.id)
    two.pump()
    assert two.sizes == {stream.id: 300_000}


def test_messages_begun_and_never_ended_are_bounded_and_given_up_with_a_sentence() -> None:
    two = Two(SMALL)
    begun(two, 200)
    bound = SMALL.unfinished_bytes_max + SMALL.message_bytes_max + SMALL.connection_window_bytes
    assert two.unread_most <= bound
    for _ in range(400):  # none stays ahead for being silent; the bound holds however they take turns
        two.server.nudge()
        two.pump()
    assert two.unread_most <= bound
    assert {error.status for error in two.refused} == {StatusCode.RESOURCE_EXHAUSTED}
    assert "too many unfinished messages" in two.refused[0].message


def test_the_watch_of_a_connection_nudges_it() -> None:
    async def body() -> None:
        talk = Talk([ECHO], SMALL)
        for _ in range(6):
            talk.client.send_data(talk.open("Echo", end=False), frame_message(bytes(300_000))[:-1])
        await talk.turns(40)
        before = talk.client.backlog_bytes
        assert before
        talk.connection.check(talk.loop.time())
        await talk.turns()
        assert talk.client.backlog_bytes == before - 5 * 2048
        await talk.finish()

    asyncio.run(body())


def test_others_are_served_beside_messages_that_never_end() -> None:
    async def body() -> None:
        talk = Talk([ECHO], SMALL, client_limits=Limits(stream_window_bytes=MIB))
        for _ in range(100):
            stream = talk.open("Echo", end=False)
            talk.client.send_data(stream, frame_message(bytes(300_000))[:-1])
        await talk.turns(60)
        assert talk.connection.h2.unread_bytes <= SMALL.unfinished_bytes_max + SMALL.message_bytes_max + 65_535
        assert set(talk.status.values()) == {"8"}, "some were given up: RESOURCE_EXHAUSTED"
        small = talk.open("Echo", b"small")
        large = talk.open("Echo", bytes(150_000))
        for _ in range(40):
            await talk.turns(20)
            talk.connection.check(talk.loop.time())
            if {small.id, large.id} <= set(talk.messages):
                break
        assert talk.messages[small.id] == frame_message(b"small")
        assert large.id in talk.status
        await talk.finish()

    asyncio.run(body())
