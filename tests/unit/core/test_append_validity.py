"""Appends from the network: only a contiguous run of entries whose terms make sense may touch the log."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from raftly.base.types import Entry
from raftly.core.messages import MsgApp
from raftly.errors import DamagedMessage
from tests.support.lone import state_of, voter


def is_valid(prev: tuple[int, int], run: Sequence[tuple[int, int]], term: int) -> bool:
    """The rule by the letter: indexes follow each other, terms do not fall, and none is above the sender's term."""
    chain = [prev, *run]
    contiguous = all(after[1] == before[1] + 1 for before, after in pairwise(chain))
    rising = all(after[0] >= before[0] for before, after in pairwise(chain))
    return contiguous and rising and chain[-1][0] <= term


def append(prev: tuple[int, int], run: Sequence[tuple[int, int]], term: int) -> MsgApp:
    return MsgApp(1, 2, term, prev[0], prev[1], [Entry(*at) for at in run], 0)


@pytest.mark.behaviour("LG23")
@pytest.mark.parametrize(
    "prev, run, term, valid",
    [
        # each entry is its term and its index
        ((0, 0), [], 1, True),
        ((3, 7), [], 3, True),
        ((3, 7), [], 2, False),  # the previous entry is of a term the sender has not reached
        ((3, 7), [(3, 8), (3, 9), (5, 10)], 5, True),
        ((3, 7), [(3, 8), (5, 9)], 4, False),
        ((3, 7), [(3, 9)], 5, False),  # a gap behind the previous entry
        ((3, 7), [(3, 7)], 5, False),
        ((3, 7), [(3, 8), (3, 10)], 5, False),  # a gap inside
        ((3, 7), [(3, 8), (3, 8)], 5, False),
        ((3, 7), [(2, 8)], 5, False),  # the term falls behind the previous entry
        ((3, 7), [(4, 8), (3, 9)], 5, False),  # and inside
    ],
)
def test_which_appends_are_sound(prev: tuple[int, int], run: list[tuple[int, int]], term: int, valid: bool) -> None:
    assert is_valid(prev, run, term) is valid
    host = voter(terms=(1, 1, 2, 2, 3, 3, 3), term=1)
    before = state_of(host.raft)
    if valid:
        host.node.step(append(prev, run, term))
        assert state_of(host.raft) != before
    else:
        with pytest.raises(DamagedMessage):
            host.node.step(append(prev, run, term))
        assert state_of(host.raft) == before


@st.composite
def nearly_sound(draw: st.DrawFn) -> tuple[tuple[int, int], list[tuple[int, int]], int]:
    """A sound append with perhaps one number changed."""
    terms = sorted(draw(st.lists(st.integers(1, 4), min_size=1, max_size=5)))
    index = draw(st.integers(0, 9))
    chain = [(term, index + at) for at, term in enumerate(terms)]
    if draw(st.booleans()):
        at = draw(st.integers(0, len(chain) - 1))
        chain[at] = (max(chain[at][0] + draw(st.integers(-1, 1)), 0), max(chain[at][1] + draw(st.integers(-1, 1)), 0))
    return chain[0], chain[1:], max(terms[-1] + draw(st.integers(-1, 1)), 1)


@pytest.mark.behaviour("LG23")
@given(nearly_sound())
def test_refused_exactly_when_unsound(case: tuple[tuple[int, int], list[tuple[int, int]], int]) -> None:
    prev, run, term = case
    host = voter(terms=(), term=1)
    try:
        host.node.step(append(prev, run, term))
    except DamagedMessage:
        assert not is_valid(prev, run, term)
    else:
        assert is_valid(prev, run, term)
