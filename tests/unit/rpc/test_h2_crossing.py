"""Frames that were on their way when their stream ended: a correct peer is neither charged nor ended for them.

Source: RFC 9113 §5.1, "closed": who has sent RST_STREAM ignores what the peer sent before it could know.
"""

from __future__ import annotations

import pytest
from hpack import Encoder

from raftly.rpc.h2.events import HeadersReceived
from raftly.rpc.h2.frames import DATA, END_HEADERS, END_STREAM, HEADERS, ErrorCode, frame
from raftly.rpc.h2.headers import encode_block
from raftly.rpc.h2.stream import Stream
from raftly.rpc.limits import Limits
from tests.unit.rpc.test_h2_splits import REQUEST_BLOCK, Pair
from tests.unit.rpc.wire import BODY, RESPONSE, TRAILERS, Site, block, data, goaway_code, headers, reset_codes, rst

CLOSED, CALM = 5, 11
SMALL = b"\0\0\0\0\x08" + b"x" * 8
ASK = encode_block(REQUEST_BLOCK)
ENDS = {
    "DATA": data(1, b"x", end=True),
    "empty DATA": data(1, b"", end=True),
    "trailers": frame(HEADERS, END_STREAM | END_HEADERS, 1, block([("x", "y")])),
}


def reset_site(limits: Limits | None = None) -> Site:
    """A server that has answered stream 1 before its request was whole, so that it has reset it."""
    site = Site(limits)
    (opened,) = site.core.receive(headers(1, end=False))
    assert isinstance(opened, HeadersReceived)
    site.core.send_all(opened.stream, RESPONSE, BODY, TRAILERS)
    assert reset_codes(site.output()) == {1: 0}
    return site


# --- on the server ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("end", ENDS)
def test_a_whole_window_of_small_messages_was_on_its_way_to_a_stream_that_the_server_ended(end: str) -> None:
    site = reset_site()
    window = site.core.limits.stream_window_bytes
    assert goaway_code(site.feed(data(1, SMALL) * (window // len(SMALL)) + ENDS[end])) is None
    assert site.core.unread_bytes == 0
    assert site.alive()


@pytest.mark.parametrize("end", ENDS)
def test_nothing_follows_the_end_that_was_on_its_way(end: str) -> None:
    assert goaway_code(reset_site().feed(ENDS[end] + data(1, b"x"))) == CLOSED


def test_empty_frames_for_a_stream_that_was_reset_are_a_flood_like_others() -> None:
    site = reset_site(Limits(control_burst=100, control_per_s=10.0))
    codes = [goaway_code(site.feed(frame(DATA, 0, 1))) for _ in range(101)]
    assert codes.index(CALM) == 100


def test_all_streams_that_a_client_may_open_are_ended_while_their_requests_are_on_their_way() -> None:
    site = Site(Limits(streams_max=3000))
    encoder = Encoder()
    opened = site.core.receive(b"".join(headers(2 * n + 1, end=False, encoder=encoder) for n in range(3000)))
    for event in opened:
        assert isinstance(event, HeadersReceived)
        site.core.send_all(event.stream, RESPONSE, BODY, TRAILERS)
    assert len(reset_codes(site.output())) == 3000
    assert goaway_code(site.feed(b"".join(data(2 * n + 1, SMALL) for n in range(3000)))) is None
    assert goaway_code(site.feed(b"".join(data(2 * n + 1, b"", end=True) for n in range(3000)))) is None
    assert site.alive()


def test_all_calls_that_a_connection_may_hold_are_given_up_at_once_and_once_more() -> None:
    site = Site()
    encoder = Encoder()
    limit = site.core.limits.streams_max
    for first in (0, limit):
        numbers = range(2 * first + 1, 2 * (first + limit), 2)
        assert reset_codes(site.feed(b"".join(headers(n, end=False, encoder=encoder) for n in numbers))) == {}
        assert goaway_code(site.feed(b"".join(rst(n) for n in numbers))) is None
    assert site.alive()


def test_calls_refused_for_handlers_that_wind_down_are_no_mistake_of_the_client() -> None:
    site = Site(Limits(reset_burst=100, reset_per_s=10.0))
    site.core.winding_down = site.core.limits.streams_max
    encoder = Encoder()
    frames = site.feed(b"".join(headers(2 * n + 1, encoder=encoder) for n in range(1000)))
    assert set(reset_codes(frames).values()) == {ErrorCode.REFUSED_STREAM}
    assert site.alive()


def test_a_reset_crosses_an_answer_once_for_each_call() -> None:
    site = Site(Limits(reset_burst=100, reset_per_s=10.0))
    encoder = Encoder()
    site.feed(b"".join(headers(2 * n + 1, encoder=encoder) for n in range(1000)))
    assert goaway_code(site.feed(b"".join(rst(2 * n + 1) for n in range(1000)))) is None
    codes = [goaway_code(site.feed(rst(1))) for _ in range(101)]
    assert codes.index(CALM) == 100


def test_a_reset_crosses_a_reset_once() -> None:
    site = Site(Limits(reset_burst=100, reset_per_s=10.0))
    encoder = Encoder()
    for event in site.core.receive(b"".join(headers(2 * n + 1, end=False, encoder=encoder) for n in range(1000))):
        assert isinstance(event, HeadersReceived)
        site.core.reset(event.stream, ErrorCode.INTERNAL_ERROR)
    assert len(reset_codes(site.output())) == 1000
    assert goaway_code(site.feed(b"".join(rst(2 * n + 1) for n in range(1000)))) is None
    codes = [goaway_code(site.feed(rst(1))) for _ in range(101)]
    assert codes.index(CALM) == 100


def test_nothing_follows_a_reset_that_crossed_ours() -> None:
    assert goaway_code(reset_site().feed(rst(1) + data(1, b"x"))) == CLOSED


def test_a_stream_that_crossed_the_last_goaway_is_passed_over_and_no_later_one_names_it() -> None:
    site = Site()
    encoder = Encoder()
    site.feed(headers(1, end=False, encoder=encoder))
    site.core.begin_drain()
    site.core.finish_drain()
    site.output()
    assert site.feed(headers(3, end=False, encoder=encoder) + data(3, SMALL) * 2000 + rst(3)) == []
    assert set(site.core.streams) == {1}
    site.core.close(ErrorCode.NO_ERROR)
    (goodbye,) = site.output()
    assert int.from_bytes(goodbye.payload[:4], "big") == 1


# --- on the client ---------------------------------------------------------------------------------------------------


class Held(Pair):
    """What the server sends is on its way until a test lets it arrive."""

    def ask(self, calls: int) -> tuple[list[Stream], bytes]:
        """So many calls, and the answers to them, which have not arrived."""
        asked = [self._ask() for _ in range(calls)]
        for event in self.server.receive(self.client.take_output()):
            if isinstance(event, HeadersReceived):
                self.server.send_all(event.stream, RESPONSE, SMALL, TRAILERS)
        late = b""
        while self.server.has_output:
            late += self.server.take_output()
        return asked, late

    def _ask(self) -> Stream:
        stream = self.client.open_stream()
        self.client.send_headers(stream, ASK, end_stream=True)
        return stream


def test_answers_come_after_all_calls_of_a_connection_were_given_up_and_again() -> None:
    pair = Held()
    late = b""
    for _ in range(3):
        asked, answers = pair.ask(1024)
        late += answers
        for stream in asked:
            pair.client.reset(stream, ErrorCode.CANCEL)
    (healthy,), answer = pair.ask(1)
    assert [event.describe() for event in pair.client.receive(late)] == []
    ends = [getattr(event, "end_stream", False) for event in pair.client.receive(answer)]
    assert ends == [False, False, True]
    assert not pair.client.ended
    assert not pair.server.ended, "the resets came after the answers were sent"
    assert healthy.remote_closed
    assert pair.client.unread_bytes == len(SMALL)


def test_a_whole_window_of_small_answers_was_on_its_way_to_a_stream_that_the_client_left() -> None:
    pair = Held()
    stream = pair.open()
    pair.client.reset(stream, ErrorCode.CANCEL)
    window = pair.client.limits.stream_window_bytes
    received = frame(HEADERS, END_HEADERS, stream.id, RESPONSE.block) + data(stream.id, SMALL) * (window // len(SMALL))
    assert pair.client.receive(received + frame(HEADERS, END_HEADERS | END_STREAM, stream.id, TRAILERS.block)) == []
    assert not pair.client.ended
    assert pair.client.unread_bytes == 0
