"""Every limit of the HTTP/2 core at its bound, where all is well, and past it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hpack import Encoder

from raftly.errors import ConfigError
from raftly.rpc.h2.budget import Budget
from raftly.rpc.h2.events import HeadersReceived, HeadersTooLarge
from raftly.rpc.h2.frames import (
    ACK,
    CONTINUATION,
    DATA,
    END_HEADERS,
    END_STREAM,
    HEADERS,
    PING,
    PRIORITY,
    SETTINGS,
    frame,
)
from raftly.rpc.limits import Limits
from tests.unit.rpc.wire import (
    REQUEST,
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

CALM, REFUSED, FLOW, SIZE = 11, 7, 3, 6


def fields_of(list_bytes: int) -> list[tuple[str, str]]:
    """A request whose header list has exactly that size."""
    used = sum(len(name) + len(value) + 32 for name, value in REQUEST)
    return [*REQUEST, ("x", "v" * (list_bytes - used - 33))]


def in_frames(encoded: bytes, size: int = 16_384) -> bytes:
    parts = [encoded[at : at + size] for at in range(0, len(encoded), size)] or [b""]
    out = frame(HEADERS, END_STREAM | (END_HEADERS if len(parts) == 1 else 0), 1, parts[0])
    for number, part in enumerate(parts[1:], 2):
        out += frame(CONTINUATION, END_HEADERS if number == len(parts) else 0, 1, part)
    return out


def test_header_list_at_the_limit_is_served_and_past_it_answered_without_a_handler() -> None:
    limits = Limits(header_list_bytes_max=4096)
    for list_bytes, kind in ((4096, HeadersReceived), (4097, HeadersTooLarge)):
        site = Site(limits)
        site.feed(headers(1, fields_of(list_bytes)))
        assert [type(event) for event in site.events[1:]] == [kind]
        assert site.alive()


def test_header_list_past_four_times_the_limit_ends_the_connection() -> None:
    limits = Limits(header_list_bytes_max=4096)
    site = Site(limits)
    site.feed(headers(1, fields_of(4 * 4096)))
    assert [type(event) for event in site.events[1:]] == [HeadersTooLarge]
    site = Site(limits)
    assert goaway_code(site.feed(headers(1, fields_of(4 * 4096 + 1)))) == CALM


def test_indexed_fields_that_unfold_to_a_large_list_end_the_connection() -> None:
    """One 4 kB entry in the table, named a hundred times by one byte each."""
    encoder = Encoder()
    site = Site()
    site.feed(headers(1, [*REQUEST, ("x", "v" * 3900)], encoder=encoder))
    bomb = encoder.encode([*REQUEST, *[("x", "v" * 3900)] * 100])
    assert len(bomb) < 200
    assert goaway_code(site.feed(frame(HEADERS, END_STREAM | END_HEADERS, 3, bomb))) == CALM


def test_continuation_flood_ends_at_a_bound_of_bytes_and_of_frames() -> None:
    site = Site()
    site.feed(frame(HEADERS, END_STREAM, 1, block(REQUEST)))
    hard = site.core.limits.header_list_bytes_hard
    frames: list[Any] = []
    sent = 0
    while not frames:
        frames = site.feed(frame(CONTINUATION, 0, 1, bytes(16_384)))
        sent += 16_384
        assert sent <= hard + 16_384
    assert goaway_code(frames) == CALM
    site = Site()
    site.feed(frame(HEADERS, END_STREAM, 1, block(REQUEST)))
    answers = [site.feed(frame(CONTINUATION, 0, 1)) for _ in range(40)]
    assert CALM in [goaway_code(answer) for answer in answers]


def test_frame_at_the_limit_is_taken_and_past_it_ends_the_connection_before_it_is_whole() -> None:
    limits = Limits(frame_bytes_max=20_000)
    site = Site(limits)
    site.feed(headers(1, end=False))
    assert goaway_code(site.feed(data(1, bytes(20_000)))) is None
    assert goaway_code(site.feed(data(1, bytes(20_001))[:9])) == SIZE


def test_streams_at_the_limit_are_open_and_one_more_is_refused() -> None:
    site = Site(Limits(streams_max=3))
    encoder = Encoder()
    frames = site.feed(b"".join(headers(n, end=False, encoder=encoder) for n in (1, 3, 5, 7)))
    assert reset_codes(frames) == {7: REFUSED}
    assert set(site.core.streams) == {1, 3, 5}
    site.feed(rst(1))
    assert reset_codes(site.feed(headers(9, end=False, encoder=encoder))) == {}


def test_handlers_that_wind_down_count_as_streams() -> None:
    site = Site(Limits(streams_max=3))
    site.core.winding_down = 2
    encoder = Encoder()
    frames = site.feed(b"".join(headers(n, end=False, encoder=encoder) for n in (1, 3)))
    assert reset_codes(frames) == {3: REFUSED}


def test_stream_window_at_the_limit_and_past_it() -> None:
    limits = Limits(stream_window_bytes=65_535, connection_window_bytes=2**20)
    site = Site(limits, release=False)
    site.feed(headers(1, end=False))
    frames = [f for at in range(0, 65_535, 13_107) for f in site.feed(data(1, bytes(13_107)))]
    assert reset_codes(frames) == {}
    assert reset_codes(site.feed(data(1, b"x"))) == {1: FLOW}
    assert site.alive()


def test_connection_window_at_the_limit_and_past_it() -> None:
    limits = Limits(stream_window_bytes=2**20, connection_window_bytes=65_535, unread_bytes_max=1)
    site = Site(limits, release=False)
    site.feed(headers(1, end=False))
    frames = [f for at in range(0, 65_535, 13_107) for f in site.feed(data(1, bytes(13_107)))]
    assert goaway_code(frames) is None
    assert goaway_code(site.feed(data(1, b"x"))) == FLOW


# --- floods ----------------------------------------------------------------------------------------------------------

FLOODS: dict[str, Callable[[int], bytes]] = {
    "ping": lambda _: frame(PING, 0, 0, bytes(8)),
    "ping answers": lambda _: frame(PING, ACK, 0, bytes(8)),
    "settings": lambda n: settings((4, 65_535 + n % 2)),
    "settings answers": lambda _: frame(SETTINGS, ACK, 0),
    "priority": lambda n: frame(PRIORITY, 0, 1 + 2 * n, b"\0\0\0\0\x10"),
    "empty data": lambda _: frame(DATA, 0, 1),
    "unknown frames": lambda _: frame(0x42, 0, 0),
    "goaway": lambda _: frame(7, 0, 0, bytes(8)),
}


@pytest.mark.parametrize("name", FLOODS)
def test_flood_of_frames(name: str) -> None:
    limits = Limits(control_burst=100, control_per_s=10.0)
    site = Site(limits)
    site.feed(headers(1, end=False))
    quiet = [goaway_code(site.feed(FLOODS[name](n))) for n in range(98)]
    assert set(quiet) == {None}
    codes = [goaway_code(site.feed(FLOODS[name](n))) for n in range(5)]
    assert CALM in codes


@pytest.mark.parametrize("name", FLOODS)
def test_the_same_frames_at_a_slow_pace_are_fine(name: str) -> None:
    site = Site(Limits(control_burst=100, control_per_s=10.0))
    site.feed(headers(1, end=False))
    for n in range(400):
        site.clock.now += 0.11
        assert goaway_code(site.feed(FLOODS[name](n))) is None


def test_pings_are_earned_by_data_that_we_send() -> None:
    """grpc-go and C-core measure bandwidth with a ping for what they receive."""
    site = Site(Limits(control_burst=100, control_per_s=0.001))
    encoder = Encoder()
    for n in range(500):
        assert goaway_code(site.feed(headers(2 * n + 1, encoder=encoder) + frame(PING, 0, 0, bytes(8)))) is None


def test_rapid_reset_ends_the_connection() -> None:
    """CVE-2023-44487: open and reset, a hundred thousand times."""
    site = Site(Limits(reset_burst=100, reset_per_s=10.0))
    encoder = Encoder()
    opened = 0
    for n in range(100_000):
        opened += 1
        if goaway_code(site.feed(headers(2 * n + 1, end=False, encoder=encoder) + rst(2 * n + 1))) == CALM:
            break
    assert opened == 101


def test_streams_that_we_must_reset_count_as_well() -> None:
    """A client may also provoke resets by its mistakes, CVE-2025-8671."""
    site = Site(Limits(reset_burst=100, reset_per_s=10.0))
    encoder = Encoder()
    codes = [
        goaway_code(site.feed(headers(2 * n + 1, end=False, encoder=encoder) + window_update(2 * n + 1, 0)))
        for n in range(101)
    ]
    assert codes.index(CALM) == 100


def test_refused_streams_count_as_well() -> None:
    site = Site(Limits(reset_burst=100, reset_per_s=10.0, streams_max=1))
    encoder = Encoder()
    codes = [goaway_code(site.feed(headers(2 * n + 1, end=False, encoder=encoder))) for n in range(102)]
    assert codes.index(CALM) == 101


def test_cancelling_half_of_many_calls_is_fine() -> None:
    site = Site(Limits(reset_burst=100, reset_per_s=0.001))
    encoder = Encoder()
    for n in range(0, 4000, 2):
        served, cancelled = 2 * n + 1, 2 * n + 3
        frames = site.feed(
            headers(served, encoder=encoder) + headers(cancelled, end=False, encoder=encoder) + rst(cancelled)
        )
        assert goaway_code(frames) is None


def test_windows_opened_by_crumbs() -> None:
    """A byte of window at a time makes us send a byte at a time."""
    site = Site(Limits(control_burst=100, control_per_s=10.0))
    site.feed(settings((4, 0)))
    encoder = Encoder()
    codes: list[int | None] = []
    for n in range(200):
        site.feed(headers(2 * n + 1, encoder=encoder))
        codes.append(goaway_code(site.feed(window_update(2 * n + 1, 1))))
        if codes[-1] is not None:
            break
    assert codes[-1] == CALM
    assert 90 <= len(codes) <= 101


def test_small_window_updates_with_nothing_held_back_are_fine() -> None:
    site = Site(Limits(control_burst=100, control_per_s=0.001))
    site.feed(headers(1, end=False))
    for _ in range(1000):
        assert goaway_code(site.feed(window_update(0, 5) + window_update(1, 5))) is None


def test_settings_with_thousands_of_entries() -> None:
    assert goaway_code(Site().feed(settings(*[(4, 65_535)] * 64))) is None
    assert goaway_code(Site().feed(settings(*[(4, 65_535)] * 65))) == CALM


def test_output_that_floods_provoke_is_bounded() -> None:
    site = Site()
    for _ in range(2000):
        site.core.receive(frame(PING, 0, 0, bytes(8)))
    assert len(parse(site.core.take_output())) <= site.core.limits.control_burst + 1


# --- the values themselves -------------------------------------------------------------------------------------------


def test_budget_is_refilled_by_time_and_work_up_to_its_burst() -> None:
    budget = Budget(2, 10.0, now=0.0)
    assert [budget.take(0.0, 0) for _ in range(3)] == [True, True, False]
    assert budget.take(0.1, 0)
    assert not budget.take(0.1, 0)
    assert budget.take(0.1, 1)
    assert [budget.take(100.0, 100) for _ in range(3)] == [True, True, False]


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("header_list_bytes_max", 0),
        ("frame_bytes_max", 16_383),
        ("frame_bytes_max", 2**24),
        ("stream_window_bytes", 65_534),
        ("connection_window_bytes", 2**31),
        ("message_bytes_max", 2**32),
        ("handshake_s", 0.0),
        ("stall_s", -1.0),
    ],
)
def test_limits_that_make_no_sense_are_refused(option: str, value: float) -> None:
    with pytest.raises(ConfigError, match=option):
        Limits(**{option: value})  # type: ignore[arg-type]
