"""The seeded source of randomness."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from raftly.base.rand import SplitMix64

seeds = st.integers(-(1 << 70), 1 << 70)


def test_the_published_sequence() -> None:
    source = SplitMix64(1234567)
    assert [source.next_u64() for _ in range(5)] == [
        6457827717110365317,
        3203168211198807973,
        9817491932198370423,
        4593380528125082431,
        16408922859458223821,
    ]


@given(seeds, st.integers(1, 1 << 64))
def test_draws_repeat_and_stay_below_their_bound(seed: int, bound: int) -> None:
    one, other = SplitMix64(seed), SplitMix64(seed)
    drawn = [one.below(bound) for _ in range(10)]
    assert drawn == [other.below(bound) for _ in range(10)]
    assert all(0 <= value < bound for value in drawn)


@given(seeds)
def test_every_draw_is_the_next_number_of_the_sequence(seed: int) -> None:
    source, twin = SplitMix64(seed), SplitMix64(seed)
    for bound in (1, 2, 10, 1 << 32):
        assert source.below(bound) == twin.next_u64() % bound


def test_small_ranges_are_covered_evenly() -> None:
    source = SplitMix64(1)
    counts = [0] * 10
    for _ in range(10_000):
        counts[source.below(10)] += 1
    assert sum((count - 1000) ** 2 / 1000 for count in counts) < 27.9  # chi-squared, 9 degrees, one in a thousand


def test_seeds_that_are_neighbours_do_not_resemble_each_other() -> None:
    first = [SplitMix64(seed).next_u64() for seed in range(100)]
    distances = [(one ^ other).bit_count() for one, other in pairwise(first)]
    assert min(distances) > 10


@pytest.mark.parametrize("bound", [0, -1])
def test_a_bound_that_leaves_nothing_is_our_own_fault(bound: int) -> None:
    with pytest.raises(AssertionError):
        SplitMix64(1).below(bound)
