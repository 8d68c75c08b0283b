"""Keys in order: what may be a key, how keys compare, and sorted lists of them.

A key is None, a bool, an int, a float that is a number, str, bytes, or a tuple of these. Keys are equal when Python
says so (1 and True are one key); None comes first, then numbers, str by code points, bytes, tuples item by item.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from itertools import islice, takewhile
from math import isnan
from typing import Any, Final, TypeVar

from raftly.errors import LimitExceeded
from raftly.node.errors import ValueTypeError

K = TypeVar("K")

PAGE_MAX: Final = 1000
"""The largest page that a query gives."""


def order_key(key: object) -> tuple[int, Any]:
    """What Python compares as the keys are to be compared.

    Raises:
        ValueTypeError: it is no key.
    """
    if key is None:
        return 0, 0
    kind = type(key)
    if kind is bool or kind is int or (isinstance(key, float) and not isnan(key)):
        return 1, key
    if kind is str:
        return 2, key
    if kind is bytes:
        return 3, key
    if isinstance(key, tuple):
        return 4, tuple([order_key(item) for item in key])
    raise ValueTypeError(f"{key!r:.40} is no key: use None, bool, int, float, str, bytes or tuples of them")


def find(order: list[K], key: K) -> int | None:
    """Where a key is in a sorted list; None if it is not.

    Raises:
        ValueTypeError: it is no key.
    """
    wanted = order_key(key)
    at = bisect_left(order, wanted, key=order_key)
    return at if at < len(order) and order_key(order[at]) == wanted else None


def insert(order: list[K], key: K) -> bool:
    """Put a key where it belongs, unless it is there; whether it was put.

    Raises:
        ValueTypeError: it is no key.
    """
    wanted = order_key(key)
    at = bisect_left(order, wanted, key=order_key)
    if at < len(order) and order_key(order[at]) == wanted:
        return False
    order.insert(at, key)
    return True


def remove(order: list[K], key: K) -> bool:
    """Take a key out; whether it was there.

    Raises:
        ValueTypeError: it is no key.
    """
    at = find(order, key)
    if at is None:
        return False
    del order[at]
    return True


def has_prefix(key: object, prefix: object) -> bool:
    """Does the key begin like this? Of str, bytes and tuples; every key begins with None.

    Raises:
        ValueTypeError: nothing can begin with that.
    """
    if prefix is None:
        return True
    if isinstance(prefix, str):
        return isinstance(key, str) and key.startswith(prefix)
    if isinstance(prefix, bytes):
        return isinstance(key, bytes) and key.startswith(prefix)
    if isinstance(prefix, tuple):
        return isinstance(key, tuple) and key[: len(prefix)] == prefix
    raise ValueTypeError(f"{prefix!r:.40} is no prefix: use str, bytes or a tuple")


def check_limit(limit: int) -> None:
    """Refuse a page that is too large, or none.

    Raises:
        LimitExceeded: it is not in [1, PAGE_MAX].
    """
    if not 1 <= limit <= PAGE_MAX:
        raise LimitExceeded("page", limit, PAGE_MAX)


def page(order: list[K], prefix: K | None, after: K | None, limit: int) -> list[K]:
    """The first keys with this prefix that come after that one.

    Raises:
        LimitExceeded: `limit` is not in [1, PAGE_MAX].
        ValueTypeError: not a prefix, or not a key.
    """
    check_limit(limit)
    has_prefix(None, prefix)
    at = 0 if prefix is None else bisect_left(order, order_key(prefix), key=order_key)
    if after is not None:
        at = max(at, bisect_right(order, order_key(after), key=order_key))
    return list(takewhile(lambda key: has_prefix(key, prefix), islice(order, at, at + limit)))
