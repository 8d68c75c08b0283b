"""Keys: what may be one, how they compare, and pages of them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from raftly.errors import LimitExceeded
from raftly.node.errors import ValueTypeError
from raftly.node.structures.order import PAGE_MAX, find, has_prefix, insert, order_key, page, remove

SCALARS = (
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=3) | st.binary(max_size=3)
)
KEYS = st.recursive(SCALARS, lambda keys: st.tuples(keys) | st.tuples(keys, keys), max_leaves=4)
PREFIXES = st.text(max_size=1) | st.binary(max_size=1) | st.tuples() | st.tuples(SCALARS)


@given(KEYS, KEYS)
def test_keys_are_equal_when_python_says_so(one: object, other: object) -> None:
    assert (order_key(one) == order_key(other)) is (one == other)


@given(st.lists(st.text()) | st.lists(st.binary()) | st.lists(st.integers() | st.floats(allow_nan=False)))
def test_keys_of_one_kind_are_ordered_as_python_does(keys: list[object]) -> None:
    assert sorted(keys, key=order_key) == sorted(keys)  # type: ignore[type-var]


@given(st.lists(KEYS), st.lists(KEYS))
def test_a_sorted_list_is_a_set(put: list[object], taken: list[object]) -> None:
    order: list[object] = []
    twin: set[object] = set()
    for key in put:
        assert insert(order, key) is (key not in twin)
        twin.add(key)
    for key in taken:
        assert (find(order, key) is not None) is (key in twin)
        assert remove(order, key) is (key in twin)
        twin.discard(key)
    assert order == sorted(twin, key=order_key)


@given(st.lists(KEYS), st.none() | PREFIXES, st.none() | KEYS, st.integers(1, 5))
def test_a_page_is_what_a_look_at_every_key_finds(
    keys: list[object], prefix: object, after: object, limit: int
) -> None:
    order: list[object] = []
    for key in keys:
        insert(order, key)
    wanted = [key for key in order if has_prefix(key, prefix)]
    if after is not None:
        wanted = [key for key in wanted if order_key(key) > order_key(after)]
    assert page(order, prefix, after, limit) == wanted[:limit]


@pytest.mark.parametrize("key", [float("nan"), [], {}, {1}, frozenset((1,)), (1, [2])])
def test_what_is_no_key_is_refused(key: object) -> None:
    for attempt in (insert, find, remove):
        with pytest.raises(ValueTypeError, match="is no key"):
            attempt([], key)


def test_a_prefix_is_of_what_has_a_beginning() -> None:
    with pytest.raises(ValueTypeError, match="is no prefix"):
        page([], 1, None, 1)


def test_a_page_has_bounds() -> None:
    assert page(list(range(2000)), None, None, PAGE_MAX) == list(range(PAGE_MAX))
    for limit in (0, -1, PAGE_MAX + 1):
        with pytest.raises(LimitExceeded):
            page([], None, None, limit)
