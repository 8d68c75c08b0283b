"""The same bytes give the same events and output, however they are cut; and two cores piped together agree."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from raftly.rpc.h2.connection import Connection
from raftly.rpc.h2.events import DataReceived, HeadersReceived, StreamReset
from raftly.rpc.h2.frames import PREFACE, SETTINGS, ErrorCode, frame
from raftly.rpc.h2.headers import encode_block
from raftly.rpc.h2.stream import Stream, StreamState
from raftly.rpc.limits import Limits
from tests.rpc.fuzz import BLOCKS, HELLO, one_input, pieces, run_core
from tests.unit.rpc.wire import RESPONSE, TRAILERS, Clock, block

REQUEST_BLOCK = [(b":method", b"POST"), (b":scheme", b"http"), (b":path", b"/a.B/C")]

a_frame = st.builds(
    frame,
    st.integers(0, 10),
    st.sampled_from([0, 1, 4, 5, 8, 9, 0x20, 0x2D, 0xFF]),
    st.sampled_from([0, 1, 1, 1, 3, 5, 7, 2, 9, 2**31 + 1]),
    st.one_of(st.binary(max_size=30), st.sampled_from(BLOCKS), st.sampled_from([bytes(4), bytes(8), b"\0\0\x10\0"])),
)
conversation = st.builds(
    lambda hello, frames, tail: hello + b"".join(frames) + tail,
    st.sampled_from([HELLO, HELLO, HELLO, PREFACE, b""]),
    st.lists(a_frame, max_size=12),
    st.binary(max_size=12),
)


@given(conversation, st.integers(0, 2**31), st.booleans())
def test_any_split_gives_the_same_events_and_output(received: bytes, seed: int, client: bool) -> None:
    whole = run_core([received], client=client)
    assert run_core(pieces(received, seed), client=client) == whole
    assert run_core([received[at : at + 1] for at in range(len(received))], client=client) == whole


@given(st.binary(min_size=3, max_size=300))
def test_the_fuzzer_s_checks_hold_for_drawn_inputs(data: bytes) -> None:
    one_input(data)


# --- two cores -------------------------------------------------------------------------------------------------------


class Pair:
    """A client and a server core; `pump` carries bytes until both are quiet, cut to pieces of `step` bytes."""

    def __init__(self, limits: Limits | None = None, step: int = 16_384, *, auto_release: bool = True) -> None:
        clock = Clock()
        self.client = Connection(limits or Limits(), client=True, clock=clock)
        self.server = Connection(limits or Limits(), client=False, clock=clock)
        self.step = step
        self.auto_release = auto_release
        self.got: dict[str, dict[int, bytearray]] = {"client": {}, "server": {}}
        self.ended: set[tuple[str, int]] = set()
        self.blocks: list[tuple[str, int, tuple[tuple[bytes, bytes], ...]]] = []
        self.resets: list[tuple[str, int, ErrorCode]] = []
        self.pump()

    def pump(self) -> None:
        while self.client.has_output or self.server.has_output:
            self._carry(self.client, self.server, "server")
            self._carry(self.server, self.client, "client")

    def _carry(self, source: Connection, target: Connection, name: str) -> None:
        output = source.take_output()
        for at in range(0, len(output), self.step):
            for event in target.receive(output[at : at + self.step]):
                if isinstance(event, HeadersReceived):
                    self.blocks.append((name, event.stream.id, tuple(event.block.fields)))
                elif isinstance(event, DataReceived):
                    self.got[name].setdefault(event.stream.id, bytearray()).extend(event.data)
                    if self.auto_release:
                        target.release(event.stream, len(event.data))
                elif isinstance(event, StreamReset):
                    self.resets.append((name, event.stream.id, event.code))
                if getattr(event, "end_stream", False):
                    self.ended.add((name, event.stream.id))  # type: ignore[attr-defined]

    def open(self) -> Stream:
        stream = self.client.open_stream()
        self.client.send_headers(stream, encode_block(REQUEST_BLOCK))
        self.pump()
        return stream


@pytest.fixture(params=[1, 7, 16_384])
def pair(request: pytest.FixtureRequest) -> Iterator[Pair]:
    made = Pair(step=request.param)
    yield made
    assert not made.client.ended
    assert not made.server.ended


def test_unary_both_ways(pair: Pair) -> None:
    stream = pair.client.open_stream()
    pair.client.send_all(stream, encode_block(REQUEST_BLOCK), b"question", None)
    pair.pump()
    assert pair.got["server"] == {1: bytearray(b"question")}
    peer = pair.server.streams[1]
    assert (stream.state, peer.state) == (StreamState.HALF_CLOSED_LOCAL, StreamState.HALF_CLOSED_REMOTE)
    pair.server.send_all(peer, RESPONSE, b"answer", TRAILERS)
    pair.pump()
    assert pair.got["client"] == {1: bytearray(b"answer")}
    assert (stream.state, peer.state) == (StreamState.CLOSED, StreamState.CLOSED)
    assert pair.client.streams == pair.server.streams == {}
    assert pair.blocks[-1] == ("client", 1, ((b"grpc-status", b"0"),))


@pytest.mark.parametrize("size", [0, 1, 65_535, 65_536, 262_144, 262_145, 3_000_001])
def test_data_of_any_size_arrives_whole_both_ways(size: int) -> None:
    pair = Pair()
    payload = bytes(range(251)) * (size // 251 + 1)
    payload = payload[:size]
    stream = pair.open()
    pair.client.send_data(stream, payload, end_stream=True)
    pair.pump()
    assert bytes(pair.got["server"].get(1, b"")) == payload
    assert ("server", 1) in pair.ended
    peer = pair.server.streams[1]
    pair.server.send_headers(peer, RESPONSE)
    pair.server.send_data(peer, payload)
    pair.server.send_headers(peer, TRAILERS, end_stream=True)
    pair.pump()
    assert bytes(pair.got["client"].get(1, b"")) == payload
    assert ("client", 1) in pair.ended
    assert pair.client.streams == pair.server.streams == {}
    assert pair.client.unread_bytes == pair.server.unread_bytes == 0


def test_what_is_not_released_holds_the_sender_back_and_only_on_its_stream() -> None:
    pair = Pair(auto_release=False)
    window = Limits().stream_window_bytes
    slow, quick = pair.open(), pair.open()
    pair.client.send_data(slow, bytes(window + 1000))
    pair.pump()
    assert len(pair.got["server"][1]) == window
    assert slow.backlog_bytes == 1000
    pair.client.send_data(quick, b"still goes", end_stream=True)
    pair.pump()
    assert pair.got["server"][3] == b"still goes"
    pair.server.release(pair.server.streams[1], window)
    pair.pump()
    assert len(pair.got["server"][1]) == window + 1000
    assert pair.client.take_writable() == [slow]


def test_unread_bytes_shut_the_connection_window() -> None:
    limits = Limits(unread_bytes_max=300_000, connection_window_bytes=65_535, stream_window_bytes=2**20)
    pair = Pair(limits, auto_release=False)
    streams = [pair.open() for _ in range(4)]
    for stream in streams:
        pair.client.send_data(stream, bytes(200_000))
    pair.pump()
    received = sum(len(got) for got in pair.got["server"].values())
    assert 300_000 <= received <= 300_000 + 65_535
    assert pair.server.unread_bytes == received
    while (unread := pair.server.unread_bytes) > 0:
        pair.server.release(None, unread)
        pair.pump()
    assert sum(len(got) for got in pair.got["server"].values()) == 800_000


def test_streams_share_the_output_in_turn() -> None:
    pair = Pair()
    one, two = pair.open(), pair.open()
    pair.client.send_data(one, bytes(200_000), end_stream=True)
    pair.client.send_data(two, bytes(200_000), end_stream=True)
    sent = []
    while pair.client.has_output:
        output = pair.client.take_output()
        while output:
            sent.append(int.from_bytes(output[5:9], "big"))
            output = output[9 + int.from_bytes(output[:3], "big") :]
    assert sent[:2] == [one.id, one.id] or sent.index(two.id) < sent.index(one.id) + 24
    assert {one.id, two.id} == set(sent)
    assert sent != sorted(sent), "one stream went before the other"


def test_reset_by_either_side_ends_the_stream_at_both(pair: Pair) -> None:
    first, second = pair.open(), pair.open()
    pair.client.reset(first, ErrorCode.CANCEL)
    pair.server.reset(pair.server.streams[3], ErrorCode.INTERNAL_ERROR)
    pair.client.send_data(second, b"crosses the reset")
    pair.pump()
    assert pair.client.streams == pair.server.streams == {}
    assert pair.resets == [("server", 1, ErrorCode.CANCEL), ("client", 3, ErrorCode.INTERNAL_ERROR)]
    assert (first.state, second.state) == (StreamState.CLOSED, StreamState.CLOSED)


def test_sending_on_a_reset_stream_does_nothing(pair: Pair) -> None:
    stream = pair.open()
    peer = pair.server.streams[1]
    pair.client.reset(stream, ErrorCode.CANCEL)
    pair.pump()
    pair.server.send_headers(peer, RESPONSE)
    pair.server.send_data(peer, b"nobody listens", end_stream=True)
    pair.server.send_all(peer, RESPONSE, b"", TRAILERS)
    assert not pair.server.has_output


def test_drain_serves_what_was_under_way_and_refuses_the_rest() -> None:
    pair = Pair()
    pair.open()
    pair.server.begin_drain()
    crossing = pair.client.open_stream()  # on its way when the first GOAWAY comes
    pair.client.send_headers(crossing, encode_block(REQUEST_BLOCK))
    pair.pump()
    assert not pair.client.can_open
    assert set(pair.server.streams) == {1, 3}, "a stream that crossed the first GOAWAY is served"
    for stream in list(pair.server.streams.values()):
        pair.server.send_all(stream, RESPONSE, b"", TRAILERS)
    pair.pump()
    assert pair.server.drained or pair.client.streams  # the client's halves are still open
    for stream in list(pair.client.streams.values()):
        pair.client.send_data(stream, b"", end_stream=True)
    pair.pump()
    assert pair.server.drained


def test_goaway_gives_back_streams_above_its_last_as_unprocessed() -> None:
    pair = Pair()
    pair.open()
    late = pair.client.open_stream()
    pair.client.send_headers(late, encode_block(REQUEST_BLOCK))
    events = pair.client.receive(frame(7, 0, 0, (1).to_bytes(4, "big") + bytes(4)))
    assert [event.describe() for event in events] == [
        ("StreamReset", ErrorCode.NO_ERROR, "", True, 3, True),
        ("GoAwayReceived", ErrorCode.NO_ERROR, b"", 1),
    ]
    assert set(pair.client.streams) == {1}


def test_client_refuses_what_only_a_client_may_send() -> None:
    for received in (
        frame(5, 4, 1, b"\0\0\0\x02" + block([(":status", "200")])),  # PUSH_PROMISE
        frame(1, 5, 2, block([(":status", "200")])),  # a response to a stream it never opened
        frame(0, 1, 1, b"x"),  # data likewise
    ):
        client = Connection(Limits(), client=True, clock=Clock())
        client.receive(frame(SETTINGS, 0, 0) + received)
        assert client.ended


def test_client_resets_a_response_that_is_none() -> None:
    for fields, more in (
        ([(":method", "GET"), (":path", "/"), (":scheme", "http")], b""),
        ([("grpc-status", "0")], b""),
        ([(":status", "20")], b""),
        ([(":status", "200"), (":status", "200")], b""),
    ):
        pair = Pair()
        pair.open()
        pair.client.receive(frame(1, 5, 1, block(fields)) + more)
        assert pair.client.streams == {}
        assert not pair.client.ended


def test_informational_responses_are_passed_over() -> None:
    pair = Pair()
    pair.open()
    events = pair.client.receive(
        frame(1, 4, 1, block([(":status", "103")])) + frame(1, 5, 1, block([(":status", "200")]))
    )
    assert [event.describe()[1] for event in events] == [((b":status", b"200"),)]
