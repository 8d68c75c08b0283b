"""Histories of queues judged by their pairs: the same as a brute force says, and no search for the long ones."""

from __future__ import annotations

import itertools
import random
from collections.abc import Hashable, Sequence

import pytest

from raftly.testing.history import UNKNOWN, Operation, to_lines
from raftly.testing.html import counterexample_page
from raftly.testing.linearizability import check
from raftly.testing.models import Queue
from raftly.testing.queue_order import queue_conflict

U = UNKNOWN


def op(name: str, argument: Hashable, result: Hashable, start: float, end: float, client: int = 0) -> Operation:
    return Operation(client, name, None, argument, result, start, end)


def has_order(operations: Sequence[Operation]) -> bool:
    """Every subset of the unknown ones, in every order that respects time."""
    known = [operation for operation in operations if not operation.is_unknown]
    unknown = [operation for operation in operations if operation.is_unknown]
    subsets = itertools.chain.from_iterable(itertools.combinations(unknown, n) for n in range(len(unknown) + 1))
    return any(_some_order([*known, *used], ()) for used in subsets)


def _some_order(left: list[Operation], state: Hashable) -> bool:
    soonest = min((operation.end for operation in left), default=U)
    return not left or any(
        _some_order(left[:position] + left[position + 1 :], after)
        for position, operation in enumerate(left)
        if operation.start <= soonest  # nothing that is left ended before it began
        for after in Queue().steps(state, operation)
    )


def queue_history(rng: random.Random, size: int, unknown: float, longest: float) -> list[Operation]:
    """A linearizable one: no value is put twice, each call has its effect at a moment of its own, if it has one."""
    effects: list[tuple[float, Operation]] = []
    for number in range(size):
        start = rng.random() * size
        at = start + rng.random() * longest
        end = at + rng.random() * longest
        is_lost = rng.random() < unknown
        put = rng.random() < 0.5
        made = op("put" if put else "take", number if put else None, None, start, U if is_lost else end, number)
        effects.append((U if is_lost and rng.random() < 0.5 else at, made))
    standing: list[Hashable] = []
    for at, operation in sorted(effects, key=lambda effect: effect[0]):
        if at == U:
            continue
        if operation.name == "put":
            standing.append(operation.argument)
        elif standing:
            operation.result = standing.pop(0)
    for _, operation in effects:
        if operation.is_unknown:
            operation.result = None
    return [operation for _, operation in effects]


def spoil(rng: random.Random, operations: Sequence[Operation]) -> None:
    """Swap what two takes were given that had something."""
    takes = [op for op in operations if op.name == "take" and op.result is not None]
    if len(takes) > 1:
        one, other = rng.sample(takes, 2)
        one.result, other.result = other.result, one.result


def any_history(rng: random.Random, size: int) -> list[Operation]:
    """Whatever comes, at times of which many are the same."""
    operations = []
    for number in range(size):
        start = float(rng.randrange(8))
        end = U if rng.random() < 0.25 else start + rng.randrange(5)
        if rng.random() < 0.5:
            operations.append(op("put", number, None, start, end, number))
        else:
            result = None if end == U else rng.choice((None, None, *range(size)))
            operations.append(op("take", None, result, start, end, number))
    return operations


def test_agrees_with_brute_force() -> None:
    rng = random.Random(17)
    counts = {True: 0, False: 0}
    for number in range(9000):
        operations = any_history(rng, 6) if number % 2 else queue_history(rng, 7, 0.3, 0.8)
        if number % 4 == 0:
            spoil(rng, operations)
        expected = has_order(operations)
        assert (queue_conflict(operations) is None) is expected, to_lines(operations)
        counts[expected] += 1
    assert min(counts.values()) > 1000


@pytest.mark.parametrize(
    ("operations", "shows"),
    [
        ([op("put", 1, None, 0, 1), op("put", 2, None, 2, 3), op("take", None, 2, 4, 5)], "take() -> 2"),
        ([op("put", 1, None, 0, 1), op("take", None, None, 2, 3)], "take() -> None"),
        ([op("put", 1, None, 0, 1), op("take", None, None, 2, 3), op("take", None, 1, 4, 5)], "take() -> None"),
        (
            [
                op("put", 1, None, 0, 1),
                op("take", None, None, 2, 3),
                op("take", None, 1, 4, 5),
                op("take", None, None, 0, U),
            ],
            "take() -> None",
        ),
        ([op("take", None, 1, 0, 1), op("put", 1, None, 2, 3)], "take() -> 1"),
        ([op("take", None, 1, 0, 1)], "take() -> 1"),
    ],
)
def test_what_is_in_the_way_is_told(operations: list[Operation], shows: str) -> None:
    conflict = queue_conflict(operations)
    assert conflict
    assert str(conflict[-1]) == shows


@pytest.mark.parametrize(
    "operations",
    [
        [op("put", 1, None, 0, 1), op("put", 1, None, 0, 1)],
        [op("put", 1, None, 0, 1), op("take", None, 1, 2, 9), op("take", None, 1, 3, 9), op("put", 1, None, 5, 6)],
        [op("size", None, 0, 0, 1)],
    ],
)
def test_what_pairs_do_not_tell_is_left_to_a_search(operations: list[Operation]) -> None:
    assert queue_conflict(operations) == ()
    assert check(operations, Queue()).holds


def test_a_conflict_is_told_by_those_that_have_no_order() -> None:
    operations = [op("put", n, None, 2 * n, 2 * n + 1) for n in range(9)]
    operations += [op("take", None, 5, 20, 21, 7), op("take", None, 4, 22, 23, 8)]
    verdict = check(operations, Queue())
    assert str(verdict).splitlines()[:3] == [
        "not linearizable: no order of the operations explains",
        "    take() -> 4   client 8, 22 to 23",
        "",
    ]
    assert len(str(verdict).splitlines()) == 3 + 4, "both puts, and both takes"
    page = counterexample_page(verdict.violations[0])
    assert "take() -&gt; 4" in page
    assert "could only have been" not in page


def test_queues_of_many_unknown_calls_are_decided() -> None:
    """What a minority that leads leaves behind: a search of twenty million steps was not enough."""
    rng = random.Random(23)
    for _ in range(10):
        operations = queue_history(rng, 400, 0.3, 6.0)
        assert check(operations, Queue(), steps_max=0).holds
        puts = {operation.argument: operation for operation in operations if operation.name == "put"}
        takes = [op for op in operations if op.name == "take" and op.result is not None]
        pairs = itertools.permutations(takes, 2)
        apart = [
            (one, two) for one, two in pairs if one.end < two.start and puts[one.result].end < puts[two.result].start
        ]
        one, two = rng.choice(apart)
        one.result, two.result = two.result, one.result
        assert len(check(operations, Queue(), steps_max=0).violations) == 1
