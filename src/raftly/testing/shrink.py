"""Shrinking: of a list that makes something fail, a small part that still does. Delta debugging, as pure decisions.

Source: Zeller and Hildebrandt, "Simplifying and Isolating Failure-Inducing Input", 2002.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

T = TypeVar("T")


def shrink_list(
    items: Sequence[T], fails: Callable[[tuple[T, ...]], bool], has_time: Callable[[], bool]
) -> tuple[T, ...]:
    """Leave out halves, quarters, ... and single ones in the end, as long as the rest `fails`.

    What comes back fails, if all of `items` do. When there was time enough it is minimal: without any one of them it
    would not fail. `has_time` is asked before each try.
    """
    kept = tuple(items)
    size = max(len(kept) // 2, 1)
    while kept and has_time():
        smaller = False
        at = 0
        while at < len(kept) and has_time():
            fewer = kept[:at] + kept[at + size :]
            if fails(fewer):
                kept, smaller = fewer, True
            else:
                at += size
        if size == 1 and not smaller:
            break
        size = max(size // 2, 1)
    return kept
