"""Inflights: the window of appends sent and not acknowledged, limited by count and bytes, resized and freed."""

from __future__ import annotations

import pytest

from raftly.core.tracker import Inflights
from raftly.errors import InvariantError


def window(size: int = 10, *indexes: int, bytes_max: int = 0) -> Inflights:
    """A window with these messages in flight; message i has 10 * i bytes."""
    made = Inflights(size, bytes_max)
    for index in indexes:
        made.add(index, 10 * index)
    return made


def load(held: Inflights) -> tuple[int, int]:
    return held.count(), held.payload_bytes()


@pytest.mark.behaviour("TR09")
def test_adding_counts_messages_and_sums_bytes() -> None:
    held = window(10)
    for index in range(1, 6):
        held.add(index, 10 * index)
    assert load(held) == (5, 150)
    for index in range(6, 11):
        held.add(index, 10 * index)
    assert load(held) == (10, 550)
    assert held.full()


@pytest.mark.behaviour("TR09")
def test_the_window_moves_on_for_ever() -> None:
    held = window(3, 1, 2, 3)
    for index in range(4, 50):  # many times around any ring that could be behind it
        held.free_le(index - 3)
        assert load(held) == (2, 10 * (2 * index - 3))
        held.add(index, 10 * index)
        assert load(held) == (3, 10 * (3 * index - 3))
        assert held.full()


@pytest.mark.behaviour("TR10")
def test_freeing_gives_back_everything_up_to_an_index() -> None:
    held = window(10, *range(1, 11))
    for to, count in ((0, 10), (1, 9), (5, 5), (4, 5), (9, 1), (9, 1), (15, 0), (20, 0)):
        held.free_le(to)
        assert load(held) == (count, sum(10 * index for index in range(11 - count, 11)))
    held.add(30, 7)
    assert load(held) == (1, 7)
    held.free_le(29)
    assert load(held) == (1, 7)
    held.free_le(30)
    assert load(held) == (0, 0)


@pytest.mark.behaviour("TR10")
def test_freeing_between_two_messages_frees_the_first_only() -> None:
    held = window(10, 2, 5, 9)
    held.free_le(7)
    assert load(held) == (1, 90)


@pytest.mark.behaviour("TR11")
@pytest.mark.parametrize(
    "size, bytes_max, indexes, full",
    [
        (3, 0, (1, 2), False),
        (3, 0, (1, 2, 3), True),
        (1, 0, (1,), True),
        (1, 0, (), False),
        (100, 60, (1, 2), False),  # 30 bytes
        (100, 60, (1, 2, 3), True),  # just reached
        (100, 59, (1, 2, 3), True),  # overshot by one message
        (100, 61, (1, 2, 3), False),
        (3, 1000, (1, 2, 3), True),  # whichever comes first
    ],
)
def test_full_by_count_or_by_bytes(size: int, bytes_max: int, indexes: tuple[int, ...], full: bool) -> None:
    held = window(size, *indexes, bytes_max=bytes_max)
    assert held.full() is full
    if full:
        with pytest.raises(InvariantError, match="cannot add into a Full inflights"):
            held.add(100, 1)
        assert load(held) == (len(indexes), sum(10 * index for index in indexes))
        held.free_le(indexes[-1])
        assert not held.full()


@pytest.mark.behaviour("TR12")
def test_a_reset_forgets_everything_round_after_round() -> None:
    held = window(3, bytes_max=1000)
    index = 0
    for _ in range(100):
        while not held.full():
            index += 1
            held.add(index, 16)
        assert load(held) == (3, 48)
        held.free_le(index - 1)
        held.reset()
        assert load(held) == (0, 0)


# --- raft-rs ---------------------------------------------------------------------------------------------------


@pytest.mark.behaviour("X80")
def test_exactly_one_slot_is_released() -> None:
    held = window(3, 1, 2, 3)
    held.free_first_one()
    assert load(held) == (2, 50)
    assert not held.full()
    for left in (1, 0, 0):
        held.free_first_one()
        assert held.count() == left
    window().free_first_one()


@pytest.mark.behaviour("X81")
def test_the_capacity_is_raised_at_once() -> None:
    for freed in range(4):
        held = window(3, 1, 2, 3)
        held.free_le(freed)
        held.set_size(5)
        assert held.size == 5
        for index in range(4, 6 + freed):
            assert not held.full()
            held.add(index, 10 * index)
        assert held.full()
        assert load(held) == (5, sum(10 * index for index in range(1 + freed, 6 + freed)))


@pytest.mark.behaviour("X81")
def test_the_capacity_is_lowered_once_the_window_drained() -> None:
    held = window(5, 1, 2, 3)
    held.set_size(2)
    assert held.full()  # no more is added meanwhile
    assert held.size == 5
    held.free_le(1)
    assert held.full()
    held.free_le(2)
    assert (held.full(), held.size) == (False, 5)
    held.free_le(3)
    assert held.size == 2
    held.add(4, 1)
    held.add(5, 1)
    assert held.full()


@pytest.mark.behaviour("X81")
def test_an_idle_window_is_lowered_at_once_and_the_last_word_counts() -> None:
    held = window(5)
    held.set_size(2)
    assert held.size == 2
    held = window(5, 1, 2, 3)
    held.set_size(2)
    held.set_size(5)  # taken back
    held.free_le(3)
    assert held.size == 5
    held = window(5, 1, 2, 3)
    held.set_size(1)
    held.set_size(4)
    assert not held.full()
    held.reset()
    assert held.size == 4
    held = window(5, 1)
    held.set_size(2)
    held.set_size(8)
    held.free_le(1)
    assert held.size == 8


@pytest.mark.behaviour("X82")
def test_a_window_of_size_zero_is_always_full() -> None:
    held = window(5)
    held.set_size(0)
    assert held.full()
    assert held.disabled()
    held.free_first_one()
    held.free_le(9)
    held.reset()
    assert held.full()
    held.set_size(1)
    assert not held.full()
    assert not held.disabled()


@pytest.mark.behaviour("X83")
def test_the_buffer_is_made_on_first_use_and_given_back_when_idle() -> None:
    held = window(5)
    assert held.buffer_bytes() == 0
    assert not held.maybe_free_buffer()  # there is none
    held.free_le(3)
    assert held.buffer_bytes() == 0
    held.add(1, 10)
    assert held.buffer_bytes() > 0
    assert not held.maybe_free_buffer()  # in use
    assert load(held) == (1, 10)
    held.free_le(1)
    assert held.buffer_bytes() > 0
    assert held.maybe_free_buffer()
    assert held.buffer_bytes() == 0
    assert load(held) == (0, 0)
    held.add(2, 20)
    assert load(held) == (1, 20)


def test_a_copy_has_its_own_content() -> None:
    held = window(2, 1, 2)
    twin = held.copy()
    held.free_le(2)
    assert load(twin) == (2, 30)
    assert twin.full()
    held.set_size(9)
    assert twin.size == 2
