"""Has a history of a queue an order? Its pairs tell, without a search.

A search doubles its ways with each call of unknown outcome and each two puts that overlap, and a queue keeps what it
was not told for as long as its values stand. But where no value is put twice, a history of calls that all ended has an
order if and only if none of these is in it (`a` before `b`: it ended before `b` began):

    a value taken that was never put, or before it was put, or twice
    `x` put before `y`, `y` taken, and `x` not taken, or only after `y`
    nothing was found by a take that all the same could not come at a moment when the queue was empty

Calls of unknown outcome are first made into calls that ended. A put whose value nobody was given is left out, and who
may have taken its value: whoever has an order with them has one without. Any other had its effect, at some time. Values
that were put, that nobody was given, and that must be gone, are given to takes of unknown outcome, by the time at which
they must be gone; that may be one way of several, so where nothing but this is in the way, nothing is said.

Source: Henzinger, Sezgin and Vafeiadis (2013), aspect-oriented linearizability proofs.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import TypeAlias, final

from raftly.testing.history import UNKNOWN, Operation

Conflict: TypeAlias = tuple[Operation, ...]
"""Where it shows that there is no order, the last operation the one that is wrong; empty: it cannot be told."""

_CANNOT_TELL: Conflict = ()


def queue_conflict(operations: Sequence[Operation]) -> Conflict | None:
    """What rules out every order; None: there is one. Sizes and values put twice cannot be told."""
    puts: dict[Hashable, Operation] = {}
    for operation in operations:
        if operation.name == "put":
            if operation.argument in puts:
                return _CANNOT_TELL
            puts[operation.argument] = operation
        elif operation.name != "take":
            return _CANNOT_TELL
    takes: dict[Hashable, Operation] = {}
    empty: list[Operation] = []
    unheard: list[Operation] = []
    for operation in operations:
        if operation.name == "put":
            continue
        if operation.is_unknown:
            unheard.append(operation)
        elif operation.result is None:
            empty.append(operation)
        elif operation.result in takes:
            return takes[operation.result], operation
        else:
            takes[operation.result] = operation
    for value, take in takes.items():
        put = puts.get(value)
        if put is None:
            return (take,)
        if take.end < put.start:
            return put, take
    taken = [_Stay(puts[value], take.start, take.end, take) for value, take in takes.items()]
    left = [_Stay(put, UNKNOWN, UNKNOWN) for value, put in puts.items() if value not in takes]
    found = _out_of_turn(taken) or _never_empty(taken, empty)
    if found is not None:
        return found
    return _with_unheard(taken, left, empty, sorted(take.start for take in unheard))


@final
@dataclass(slots=True)
class _Stay:
    """A value in the queue: its put, and between which times it was taken; unknown: never."""

    put: Operation
    out_start: float
    out_end: float
    take: Operation | None = None


def _last_out(one: _Stay, other: _Stay) -> _Stay:
    return one if one.out_start >= other.out_start else other


def _first_out(one: _Stay, other: _Stay) -> _Stay:
    return one if one.out_end <= other.out_end else other


def _out_of_turn(taken: Sequence[_Stay]) -> Conflict | None:
    """Two of which the one put before the other was taken after it."""
    by_end = sorted(taken, key=lambda stay: stay.put.end)
    ends = [stay.put.end for stay in by_end]
    last = list(accumulate(by_end, _last_out))
    for stay in taken:
        before = bisect_left(ends, stay.put.start)
        if before and stay.out_end < last[before - 1].out_start:
            first = last[before - 1]
            assert first.take is not None
            assert stay.take is not None
            return first.put, stay.put, stay.take, first.take
    return None


def _never_empty(stays: Sequence[_Stay], empty: Sequence[Operation]) -> Conflict | None:
    """A value that a take that found nothing must have found; that take comes last.

    What was put before it must be gone at its moment; what was put before the start of such a take, too; and so on.
    """
    by_end = sorted(stays, key=lambda stay: stay.put.end)
    ends = [stay.put.end for stay in by_end]
    last = list(accumulate(by_end, _last_out))
    for operation in empty:
        earliest = operation.start
        while before := bisect_left(ends, earliest):
            latest = last[before - 1]
            if latest.out_start > operation.end:
                return latest.put, operation
            if latest.out_start <= earliest:
                break
            earliest = latest.out_start
    return None


def _with_unheard(
    taken: Sequence[_Stay], left: Sequence[_Stay], empty: Sequence[Operation], unheard: Sequence[float]
) -> Conflict | None:
    """Give what is left, and must be gone by some time, to takes that nobody heard of, which began at `unheard`."""
    by_start = sorted(taken, key=lambda stay: stay.put.start, reverse=True)
    starts = [-stay.put.start for stay in by_start]
    first = list(accumulate(by_start, _first_out))
    for stay in left:
        if behind := bisect_left(starts, -stay.put.end):
            stay.take, stay.out_end = first[behind - 1].take, first[behind - 1].out_end
    late = _give(left, unheard)
    if late is not None:
        assert late.take is not None
        return late.put, late.take
    of_put = {id(stay.put): stay for stay in left}
    while found := _never_empty([*taken, *left], empty):
        if not unheard:
            return found
        put, nothing_found = found
        due = of_put.get(id(put))
        if due is None:
            return _CANNOT_TELL
        due.out_end = nothing_found.end
        if _give(left, unheard) is not None:
            return _CANNOT_TELL
    return None


def _give(left: Sequence[_Stay], unheard: Sequence[float]) -> _Stay | None:
    """The first take to what must be gone first; what comes too late for that."""
    due = sorted((stay for stay in left if stay.out_end != UNKNOWN), key=lambda stay: stay.out_end)
    for number, stay in enumerate(due):
        if number >= len(unheard) or unheard[number] > stay.out_end:
            return stay
        stay.out_start = unheard[number]
    return None
