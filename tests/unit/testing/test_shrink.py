"""Delta debugging: what is left fails, and is minimal when there was time."""

from itertools import count

from hypothesis import given
from hypothesis import strategies as st

from raftly.testing.shrink import shrink_list


def for_ever() -> bool:
    return True


@given(st.integers(0, 60), st.sets(st.integers(0, 59)))
def test_what_is_needed_is_left_and_nothing_else(size: int, chosen: set[int]) -> None:
    needed = {item for item in chosen if item < size}
    assert shrink_list(range(size), needed.issubset, for_ever) == tuple(sorted(needed))


def test_what_only_fails_together_or_in_even_numbers_is_minimal_too() -> None:
    left = shrink_list(range(100), lambda items: len(items) >= 2 and len(items) % 2 == 0, for_ever)
    assert len(left) in {2, 4}
    assert all(len(left) - 1 != size or size % 2 for size in range(len(left)))


def test_it_stops_when_its_time_is_over() -> None:
    tries = count()
    left = shrink_list(range(1000), lambda items: 999 in items, lambda: next(tries) < 3)
    assert 999 in left
    assert 1 < len(left) < 1000


def test_a_thousand_events_take_few_tries() -> None:
    tried = 0

    def fails(items: tuple[int, ...]) -> bool:
        nonlocal tried
        tried += 1
        return {17, 500, 501, 899} <= set(items)

    assert shrink_list(range(1000), fails, for_ever) == (17, 500, 501, 899)
    assert tried < 150
