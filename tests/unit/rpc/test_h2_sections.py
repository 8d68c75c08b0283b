"""RFC 9113 and RFC 7541, section by section: the ground that h2spec covers, on the core itself.

Each case is a server that has seen preface and SETTINGS, the bytes it gets, and what it must do. Names carry h2spec's
sections, which count by RFC 7540.
"""

from __future__ import annotations

import time

import pytest
from hpack import Encoder

from raftly.rpc.h2.frames import (
    ACK,
    CONTINUATION,
    DATA,
    END_HEADERS,
    END_STREAM,
    GOAWAY,
    HEADERS,
    PADDED,
    PING,
    PREFACE,
    PRIORITY,
    PRIORITY_FLAG,
    PUSH_PROMISE,
    RST_STREAM,
    SETTINGS,
    WINDOW_UPDATE,
    frame,
)
from tests.unit.rpc.wire import (
    BODY,
    HELLO,
    REQUEST,
    RESPONSE,
    TRAILERS,
    Site,
    block,
    data,
    goaway_code,
    headers,
    parse,
    reset_codes,
    rst,
    settings,
    window_update,
)

PROTOCOL, FLOW, CLOSED, SIZE, COMPRESSION, CALM = 1, 3, 5, 6, 9, 11
B = block(REQUEST)
LONG = [*REQUEST, ("x-long", "0" * 20_000)]
WHOLE = END_STREAM | END_HEADERS


def connection_error(code: int, *received: bytes) -> tuple[str, int, tuple[bytes, ...]]:
    return ("connection", code, received)


def stream_error(code: int, *received: bytes) -> tuple[str, int, tuple[bytes, ...]]:
    return ("stream", code, received)


def served(*received: bytes) -> tuple[str, int, tuple[bytes, ...]]:
    """Stream 1 is answered in full."""
    return ("served", 0, received)


def ignored(*received: bytes) -> tuple[str, int, tuple[bytes, ...]]:
    """Nothing happens and the connection goes on."""
    return ("ignored", 0, received)


def with_field(name: str, value: str) -> list[tuple[str, str]]:
    return [*REQUEST, (name, value)]


def without(name: str) -> list[tuple[str, str]]:
    return [field for field in REQUEST if field[0] != name]


def chunks(encoded: bytes, size: int) -> list[bytes]:
    return [encoded[start : start + size] for start in range(0, len(encoded), size)]


long_block = block(LONG, huffman=False)
CASES = {
    # generic
    "generic/2 idle: PRIORITY": ignored(frame(PRIORITY, 0, 1, bytes(4) + b"\x10")),
    "generic/2 closed: WINDOW_UPDATE": served(headers(1), window_update(1, 100)),
    "generic/2 closed: RST_STREAM": served(headers(1), rst(1)),
    "generic/2 closed: PRIORITY": served(headers(1), frame(PRIORITY, 0, 1, bytes(5))),
    "generic/3.1 DATA with padding": served(
        headers(1, end=False), frame(DATA, PADDED | END_STREAM, 1, b"\x03abc\0\0\0")
    ),
    "generic/3.1 several DATA": served(headers(1, end=False), data(1, b"a"), data(1, b"b", end=True)),
    "generic/3.2 HEADERS with padding": served(frame(HEADERS, WHOLE | PADDED, 1, b"\x02" + B + b"\0\0")),
    "generic/3.2 HEADERS with priority": served(frame(HEADERS, WHOLE | PRIORITY_FLAG, 1, bytes(4) + b"\xff" + B)),
    "generic/3.10 CONTINUATION": served(
        frame(HEADERS, END_STREAM, 1, B[:5]),
        frame(CONTINUATION, 0, 1, B[5:9]),
        frame(CONTINUATION, END_HEADERS, 1, B[9:]),
    ),
    "generic/4 POST with trailers": served(
        headers(1, end=False), data(1, b"x"), frame(HEADERS, WHOLE, 1, block([("x-trailer", "y")]))
    ),
    # 3.5 preface
    "3.5 the first frame is not SETTINGS": ("bare", PROTOCOL, (PREFACE + frame(PING, 0, 0, bytes(8)),)),
    "3.5 the first SETTINGS is an ACK": ("bare", PROTOCOL, (PREFACE + frame(SETTINGS, ACK, 0),)),
    "3.5 invalid preface": ("bare", PROTOCOL, (b"INVALID CONNECTION PREFACE\r\n\r\n",)),
    # 4 frames
    "4.1 unknown type": ignored(frame(0xFF, 0xFF, 0, bytes(8))),
    "4.1 undefined flags": ("ping", 0, (frame(PING, 0xFE, 0, b"ABCDEFGH"),)),
    "4.1 reserved bit": ("ping", 0, (frame(PING, 0, 2**31, b"ABCDEFGH"),)),
    "4.2 DATA of 2^14": served(headers(1, end=False), data(1, bytes(16_384), end=True)),
    "4.2 DATA over the limit": connection_error(SIZE, headers(1, end=False), data(1, bytes(16_385))),
    "4.2 HEADERS over the limit": connection_error(SIZE, frame(HEADERS, END_HEADERS, 1, bytes(16_385))),
    "4.3 invalid block": connection_error(COMPRESSION, frame(HEADERS, WHOLE, 1, b"\x40")),
    "4.3 PRIORITY within a block": connection_error(
        PROTOCOL, headers(1, done=False), frame(PRIORITY, 0, 1, bytes(5)), frame(CONTINUATION, END_HEADERS, 1)
    ),
    "4.3 HEADERS of another stream within a block": connection_error(PROTOCOL, headers(1, done=False), headers(3)),
    # 5.1 states
    "5.1 idle: DATA": connection_error(PROTOCOL, data(1, b"x")),
    "5.1 idle: RST_STREAM": connection_error(PROTOCOL, rst(1)),
    "5.1 idle: WINDOW_UPDATE": connection_error(PROTOCOL, window_update(1, 100)),
    "5.1 idle: CONTINUATION": connection_error(PROTOCOL, frame(CONTINUATION, END_HEADERS, 1)),
    "5.1 half-closed (remote): DATA": ("held", CLOSED, (headers(1), data(1, b"x"))),
    "5.1 half-closed (remote): HEADERS": ("held", CLOSED, (headers(1), headers(1))),
    "5.1 half-closed (remote): CONTINUATION": connection_error(
        PROTOCOL, headers(1), frame(CONTINUATION, END_HEADERS, 1)
    ),
    "5.1 closed by RST_STREAM: DATA": connection_error(CLOSED, headers(1, end=False), rst(1), data(1, b"x")),
    "5.1 closed by RST_STREAM: HEADERS": connection_error(CLOSED, headers(1, end=False), rst(1), headers(1)),
    "5.1 closed: DATA": connection_error(CLOSED, headers(1), data(1, b"x")),
    "5.1 closed: HEADERS": connection_error(CLOSED, headers(1), headers(1)),
    "5.1.1 even stream": connection_error(PROTOCOL, headers(2)),
    "5.1.1 lower stream": connection_error(CLOSED, headers(5), headers(3)),
    "5.3.1 HEADERS that depends on itself": stream_error(
        PROTOCOL, frame(HEADERS, END_HEADERS | PRIORITY_FLAG, 1, b"\0\0\0\x01\0" + B)
    ),
    "5.3.1 PRIORITY that depends on itself": stream_error(PROTOCOL, frame(PRIORITY, 0, 1, b"\0\0\0\x01\0")),
    "5.5 unknown frame within a block": connection_error(PROTOCOL, headers(1, done=False), frame(0xFF, 0, 0)),
    # 6.1 to 6.10 frames
    "6.1 DATA on stream 0": connection_error(PROTOCOL, data(0, b"x")),
    "6.1 DATA with wrong padding": connection_error(
        PROTOCOL, headers(1, end=False), frame(DATA, PADDED | END_STREAM, 1, b"\x06Test")
    ),
    "6.2 HEADERS on stream 0": connection_error(PROTOCOL, headers(0)),
    "6.2 HEADERS with wrong padding": connection_error(PROTOCOL, frame(HEADERS, WHOLE | PADDED, 1, b"\xff" + B)),
    "6.2 HEADERS without its padding length": connection_error(SIZE, frame(HEADERS, WHOLE | PADDED, 1)),
    "6.2 HEADERS too short for its priority": connection_error(SIZE, frame(HEADERS, WHOLE | PRIORITY_FLAG, 1, b"abc")),
    "6.3 PRIORITY on stream 0": connection_error(PROTOCOL, frame(PRIORITY, 0, 0, bytes(5))),
    "6.3 PRIORITY of another length": stream_error(SIZE, headers(1, end=False), frame(PRIORITY, 0, 1, bytes(4))),
    "6.4 RST_STREAM on stream 0": connection_error(PROTOCOL, rst(0)),
    "6.4 RST_STREAM of another length": connection_error(
        SIZE, headers(1, end=False), frame(RST_STREAM, 0, 1, bytes(3))
    ),
    "6.5 SETTINGS ACK with payload": connection_error(SIZE, frame(SETTINGS, ACK, 0, b"\0")),
    "6.5 SETTINGS on a stream": connection_error(PROTOCOL, frame(SETTINGS, 0, 1)),
    "6.5 SETTINGS of another length": connection_error(SIZE, frame(SETTINGS, 0, 0, bytes(3))),
    "6.5.2 ENABLE_PUSH of 2": connection_error(PROTOCOL, settings((2, 2))),
    "6.5.2 INITIAL_WINDOW_SIZE too large": connection_error(FLOW, settings((4, 2**31))),
    "6.5.2 MAX_FRAME_SIZE too small": connection_error(PROTOCOL, settings((5, 16_383))),
    "6.5.2 MAX_FRAME_SIZE too large": connection_error(PROTOCOL, settings((5, 2**24))),
    "6.5.2 unknown setting": ignored(settings((0xFF, 1))),
    "6.5.3 the last of several values holds": ("windows", 0, (settings((4, 100), (4, 1)), headers(1))),
    "6.6 PUSH_PROMISE": connection_error(PROTOCOL, frame(PUSH_PROMISE, END_HEADERS, 1, b"\0\0\0\x02" + B)),
    "6.7 PING": ("ping", 0, (frame(PING, 0, 0, b"ABCDEFGH"),)),
    "6.7 PING ACK": ignored(frame(PING, ACK, 0, b"ABCDEFGH")),
    "6.7 PING on a stream": connection_error(PROTOCOL, frame(PING, 0, 1, bytes(8))),
    "6.7 PING of another length": connection_error(SIZE, frame(PING, 0, 0, bytes(6))),
    "6.8 GOAWAY on a stream": connection_error(PROTOCOL, frame(GOAWAY, 0, 1, bytes(8))),
    "6.8 GOAWAY too short": connection_error(SIZE, frame(GOAWAY, 0, 0, bytes(7))),
    "6.9 WINDOW_UPDATE of 0": connection_error(PROTOCOL, window_update(0, 0)),
    "6.9 WINDOW_UPDATE of 0 on a stream": stream_error(PROTOCOL, headers(1, end=False), window_update(1, 0)),
    "6.9 WINDOW_UPDATE of another length": connection_error(SIZE, frame(WINDOW_UPDATE, 0, 0, bytes(3))),
    "6.9.1 window over 2^31-1": connection_error(FLOW, window_update(0, 2**31 - 1), window_update(0, 2**31 - 1)),
    "6.9.1 stream window over 2^31-1": stream_error(
        FLOW, headers(1, end=False), window_update(1, 2**31 - 1), window_update(1, 2**31 - 1)
    ),
    "6.9.2 SETTINGS lift a window over 2^31-1": connection_error(
        FLOW, headers(1, end=False), window_update(1, 2**31 - 1 - 65_535), settings((4, 65_536))
    ),
    "6.10 CONTINUATION after END_HEADERS": connection_error(
        PROTOCOL, headers(1, end=False), frame(CONTINUATION, END_HEADERS, 1)
    ),
    "6.10 CONTINUATION on stream 0": connection_error(
        PROTOCOL, headers(1, done=False), frame(CONTINUATION, END_HEADERS, 0)
    ),
    "6.10 CONTINUATION after DATA": connection_error(
        PROTOCOL, headers(1, end=False), data(1, b"x"), frame(CONTINUATION, END_HEADERS, 1)
    ),
    "7 GOAWAY with an unknown code": ignored(frame(GOAWAY, 0, 0, bytes(4) + b"\0\0\0\xff")),
    "7 RST_STREAM with an unknown code": ignored(headers(1, end=False), rst(1, 0xFF)),
    # 8.1 messages
    "8.1 second HEADERS without END_STREAM": stream_error(
        PROTOCOL, headers(1, end=False), frame(HEADERS, END_HEADERS, 1, block([("x", "y")]))
    ),
    "8.1.2 upper-case name": stream_error(PROTOCOL, frame(HEADERS, WHOLE, 1, block(with_field("X-Test", "ok")))),
    "8.1.2 forbidden byte in a value": stream_error(PROTOCOL, headers(1, with_field("x", "a\r\nb"))),
    "8.1.2 space before a value": stream_error(PROTOCOL, headers(1, with_field("x", " a"))),
    "8.1.2.1 unknown pseudo-header": stream_error(PROTOCOL, headers(1, [*REQUEST, (":test", "ok")])),
    "8.1.2.1 response pseudo-header": stream_error(PROTOCOL, headers(1, [*REQUEST, (":status", "200")])),
    "8.1.2.1 pseudo-header in trailers": stream_error(
        PROTOCOL, headers(1, end=False), frame(HEADERS, WHOLE, 1, block([(":method", "GET")]))
    ),
    "8.1.2.1 pseudo-header after a regular one": stream_error(PROTOCOL, headers(1, [("x", "y"), *REQUEST])),
    "8.1.2.2 connection": stream_error(PROTOCOL, headers(1, with_field("connection", "keep-alive"))),
    "8.1.2.2 transfer-encoding": stream_error(PROTOCOL, headers(1, with_field("transfer-encoding", "chunked"))),
    "8.1.2.2 te other than trailers": stream_error(PROTOCOL, headers(1, with_field("te", "gzip"))),
    "8.1.2.2 te trailers": served(headers(1, with_field("te", "trailers"))),
    "8.1.2.3 empty path": stream_error(PROTOCOL, headers(1, [*without(":path"), (":path", "")])),
    "8.1.2.3 no method": stream_error(PROTOCOL, headers(1, without(":method"))),
    "8.1.2.3 no scheme": stream_error(PROTOCOL, headers(1, without(":scheme"))),
    "8.1.2.3 no path": stream_error(PROTOCOL, headers(1, without(":path"))),
    "8.1.2.3 method twice": stream_error(PROTOCOL, headers(1, [(":method", "POST"), *REQUEST])),
    "8.1.2.6 content-length too large": stream_error(
        PROTOCOL, headers(1, with_field("content-length", "2"), end=False), data(1, b"x", end=True)
    ),
    "8.1.2.6 content-length too small over two frames": stream_error(
        PROTOCOL, headers(1, with_field("content-length", "1"), end=False), data(1, b"te"), data(1, b"st", end=True)
    ),
    "8.1.2.6 content-length of a request without data": stream_error(
        PROTOCOL, headers(1, with_field("content-length", "1"))
    ),
    "8.1.2.6 content-length that holds": served(
        headers(1, with_field("content-length", "4"), end=False), data(1, b"te"), data(1, b"st", end=True)
    ),
    "8.1.2.6 content-length is no length": stream_error(PROTOCOL, headers(1, with_field("content-length", "-1"))),
    "8.2 PUSH_PROMISE": connection_error(PROTOCOL, frame(PUSH_PROMISE, END_HEADERS, 1, b"\0\0\0\x02" + B)),
    # hpack
    "hpack/2.3.3 index beyond the tables": connection_error(COMPRESSION, frame(HEADERS, WHOLE, 1, B + b"\xff\x7f")),
    "hpack/4.2 size update at the end": connection_error(COMPRESSION, frame(HEADERS, WHOLE, 1, B + b"\x20")),
    "hpack/5.2 padding longer than 7 bits": connection_error(
        COMPRESSION, frame(HEADERS, WHOLE, 1, B + b"\x00\x85\xf2\xb2\x4a\x84\xff\x84\x49\x50\x9f\xff")
    ),
    "hpack/5.2 padding of zeros": connection_error(
        COMPRESSION, frame(HEADERS, WHOLE, 1, B + b"\x00\x85\xf2\xb2\x4a\x84\xff\x83\x49\x50\x90")
    ),
    "hpack/5.2 the EOS symbol": connection_error(
        COMPRESSION, frame(HEADERS, WHOLE, 1, B + b"\x00\x85\xf2\xb2\x4a\x84\xff\x87\x49\x51\xff\xff\xff\xfa\x7f")
    ),
    "hpack/6.1 index 0": connection_error(COMPRESSION, frame(HEADERS, WHOLE, 1, B + b"\x80")),
    "hpack/6.3 size update over the setting": connection_error(
        COMPRESSION, frame(HEADERS, WHOLE, 1, b"\x3f\xe2\x1f" + B)
    ),
    "hpack/5.1 integer without end": connection_error(COMPRESSION, frame(HEADERS, WHOLE, 1, b"\x7f" + b"\xff" * 30)),
    "hpack literal cut short": connection_error(COMPRESSION, frame(HEADERS, WHOLE, 1, B + b"\x00\x0aabc")),
}


@pytest.mark.parametrize("name", CASES)
def test_section(name: str) -> None:
    kind, code, received = CASES[name]
    site = Site(hello=kind != "bare")
    if kind == "held":  # the request is whole, its answer is not
        assert site.core.receive(received[0])
        frames = parse(site.core.take_output()) + site.feed(b"".join(received[1:]))
        assert reset_codes(frames) == {1: code}
        assert site.alive()
        return
    frames = [answered for piece in received for answered in site.feed(piece)]
    if kind in ("connection", "bare"):
        assert goaway_code(frames) == code
        assert frames[-1].kind == GOAWAY, "GOAWAY is the last frame"
        assert site.core.ended
        assert site.feed(HELLO + headers(7)) == [], "nothing is accepted afterwards"
        return
    assert goaway_code(frames) is None
    assert reset_codes(frames) == ({1: code} if kind == "stream" else {})
    bodies = b"".join(answered.payload for answered in frames if answered.kind == DATA)
    if kind == "served":
        assert (
            bodies,
            [answered.kind for answered in frames if answered.stream == 1 and answered.kind != WINDOW_UPDATE],
        ) == (
            BODY,
            [HEADERS, DATA, HEADERS],
        )
    elif kind == "ping":
        assert [(answered.flags, answered.payload) for answered in frames] == [(ACK, b"ABCDEFGH")]
    elif kind == "windows":
        assert bodies == BODY[:1]
    elif kind == "ignored":
        assert [answered for answered in frames if answered.kind != SETTINGS] == []
    assert site.alive()


def test_settings_are_acknowledged() -> None:
    assert [(f.kind, f.flags) for f in Site().feed(settings((3, 100)))] == [(SETTINGS, ACK)]


def test_4_3_long_block_over_continuations_up_to_the_hard_limit() -> None:
    pieces = chunks(long_block, 16_384)
    site = Site()
    frames = site.feed(frame(HEADERS, END_STREAM, 1, pieces[0]) + frame(CONTINUATION, END_HEADERS, 1, pieces[1]))
    assert [answered.kind for answered in frames] == [
        HEADERS,
        DATA,
        HEADERS,
    ]  # over the soft limit: answered, not served


def test_hpack_5_1_integer_without_end_as_long_as_a_block_may_be_costs_no_time() -> None:
    """Summing it up takes time by the square of its length, most of a second here (CVE-2026-59980)."""
    first, *later = chunks(b"\x7f" + b"\xff" * 64_000, 16_384)
    frames = [frame(CONTINUATION, 0, 1, piece) for piece in later[:-1]]
    received = b"".join([frame(HEADERS, END_STREAM, 1, first), *frames, frame(CONTINUATION, END_HEADERS, 1, later[-1])])
    site = Site()
    before = time.process_time()
    assert goaway_code(site.feed(received)) == COMPRESSION
    assert time.process_time() - before < 0.2


def test_5_1_2_streams_over_the_limit_are_refused() -> None:
    site = Site()
    limit = site.core.limits.streams_max
    encoder = Encoder()
    frames = site.feed(b"".join(headers(2 * n + 1, end=False, encoder=encoder) for n in range(limit + 1)))
    assert reset_codes(frames) == {2 * limit + 1: 7}
    assert site.alive()


def test_6_9_1_data_never_exceeds_either_window() -> None:
    site = Site()
    frames = site.feed(settings((4, 3)) + headers(1))
    assert [f.payload for f in frames if f.kind == DATA] == [BODY[:3]]
    frames = site.feed(window_update(1, 2))
    assert [f.payload for f in frames if f.kind == DATA] == [BODY[3:5]]
    frames = site.feed(window_update(1, 100))
    assert [(f.kind, f.payload) for f in frames][:1] == [(DATA, BODY[5:])]
    assert frames[-1].flags & END_STREAM


def test_6_9_2_a_window_may_become_negative() -> None:
    site = Site()
    assert [f.payload for f in site.feed(settings((4, 3)) + headers(1)) if f.kind == DATA] == [BODY[:3]]
    assert [f for f in site.feed(settings((4, 0))) if f.kind == DATA] == []  # now at -3
    assert [f for f in site.feed(window_update(1, 3)) if f.kind == DATA] == []  # now at 0
    assert [f.payload for f in site.feed(window_update(1, 1)) if f.kind == DATA] == [BODY[3:4]]


def test_5_1_half_closed_local_still_receives() -> None:
    """The client has ended its half; the server answers in pieces."""
    site = Site()
    encoder = Encoder()
    frames = site.feed(headers(1, end=False, encoder=encoder) + data(1, b"x", end=True) + headers(3, encoder=encoder))
    assert {f.stream for f in frames if f.flags & END_STREAM and f.kind == HEADERS} == {1, 3}


def test_answer_before_the_request_is_whole_asks_for_no_more_of_it() -> None:
    site = Site()
    (stream,) = [event.stream for event in site.core.receive(headers(1, end=False))]  # type: ignore[attr-defined]
    site.core.send_all(stream, RESPONSE, BODY, TRAILERS)
    frames = site.output()
    assert reset_codes(frames) == {1: 0}
    assert [f for f in site.feed(data(1, b"late")) if f.kind != WINDOW_UPDATE] == []  # sent before it knew
    assert site.alive()
