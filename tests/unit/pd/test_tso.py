import pytest
from hypothesis import given
from hypothesis import strategies as st

from raftly.errors import LimitExceeded
from raftly.pd.tso import LOGICAL_MAX, WINDOW_MS, Oracle, Timestamp, timestamp_of


def leading(saved_ms: int, now_ms: int) -> Oracle:
    oracle = Oracle()
    oracle.begin(saved_ms, now_ms)
    save(oracle, now_ms)
    return oracle


def save(oracle: Oracle, now_ms: int) -> int:
    bound_ms = oracle.bound_to_save(now_ms)
    assert bound_ms is not None
    oracle.on_saved(bound_ms)
    return bound_ms


def test_a_number_and_its_parts() -> None:
    assert Timestamp(5, 7).as_int() == (5 << 18) + 7
    assert timestamp_of((5 << 18) + 7) == Timestamp(5, 7)


def test_nothing_is_given_before_a_bound_is_saved() -> None:
    oracle = Oracle()
    oracle.begin(0, 1000)
    assert oracle.take(1, 1000) is None
    save(oracle, 1000)
    assert oracle.take(1, 1000) == Timestamp(1000, 1)
    assert oracle.take(10, 1000) == Timestamp(1000, 11)
    assert oracle.take(1, 1001) == Timestamp(1001, 1)


def test_a_new_leader_starts_at_the_saved_bound_whatever_its_clock_says() -> None:
    old = leading(0, 1000)
    assert old.take(1, 1000 + WINDOW_MS - 1) == Timestamp(1000 + WINDOW_MS - 1, 1)
    new = leading(1000 + WINDOW_MS, 500)
    assert new.take(1, 500) == Timestamp(1000 + WINDOW_MS, 1)


def test_a_millisecond_that_is_used_up_is_waited_for_unless_the_clock_lags() -> None:
    oracle = leading(0, 1000)
    assert oracle.take(LOGICAL_MAX, 1000) == Timestamp(1000, LOGICAL_MAX)
    assert oracle.take(1, 1000) is None
    assert oracle.take(1, 999) == Timestamp(1001, 1)
    assert oracle.take(1, 1000) == Timestamp(1001, 2)


@pytest.mark.parametrize("count", [0, -1, LOGICAL_MAX + 1])
def test_a_batch_has_bounds(count: int) -> None:
    with pytest.raises(LimitExceeded):
        leading(0, 1000).take(count, 1000)


def test_the_bound_is_saved_when_half_is_used() -> None:
    oracle = leading(0, 1000)
    assert oracle.bound_to_save(1000 + WINDOW_MS // 2 - 1) is None
    assert oracle.bound_to_save(1000 + WINDOW_MS // 2) == 1000 + WINDOW_MS // 2 + WINDOW_MS
    assert oracle.take(1, 1000 + WINDOW_MS) is None, "beyond the bound"


@given(
    st.lists(
        st.one_of(
            st.tuples(st.just("take"), st.integers(1, LOGICAL_MAX)),
            st.tuples(st.just("save"), st.just(0)),
            st.tuples(st.just("lead"), st.just(0)),
            st.tuples(st.just("lose the save"), st.just(0)),
            st.tuples(st.just("clock"), st.integers(-5000, 5000)),
        ),
        max_size=60,
    )
)
def test_never_backwards_over_leaders_restarts_and_clocks(acts: list[tuple[str, int]]) -> None:
    saved_ms, now_ms, last = 0, 10_000, 0
    oracle = leading(saved_ms, now_ms)
    saved_ms = 10_000 + WINDOW_MS
    for act, number in acts:
        if act == "take":
            found = oracle.take(number, now_ms)
            if found is not None:
                assert found.as_int() - number >= last
                assert found.logical <= LOGICAL_MAX
                assert found.physical_ms < saved_ms
                last = found.as_int()
        elif act == "save":
            bound_ms = oracle.bound_to_save(now_ms)
            if bound_ms is not None:
                saved_ms = max(saved_ms, bound_ms)
                oracle.on_saved(bound_ms)
        elif act == "lose the save":  # it is in the log, and who asked for it does not know
            saved_ms = max(saved_ms, oracle.bound_to_save(now_ms) or 0)
        elif act == "lead":
            oracle = Oracle()
            oracle.begin(saved_ms, now_ms)
        else:
            now_ms = max(0, now_ms + number)
