"""The checker, checked: known histories, and a brute force on small random ones."""

from __future__ import annotations

import itertools
import random
from collections.abc import Hashable, Sequence

import pytest

from raftly.errors import DecodeError
from raftly.testing.history import UNKNOWN, History, Operation, from_lines, to_lines
from raftly.testing.linearizability import check
from raftly.testing.models import Lock, Model, Queue, Register

U = UNKNOWN


def op(
    name: str, argument: Hashable, result: Hashable, start: float, end: float, client: int = 0, key: Hashable = None
) -> Operation:
    return Operation(client, name, key, argument, result, start, end)


def brute_force(operations: Sequence[Operation], model: Model) -> bool:
    """Every subset of the unknown ones, in every order that respects time."""
    known = [operation for operation in operations if not operation.is_unknown]
    unknown = [operation for operation in operations if operation.is_unknown]
    for count in range(len(unknown) + 1):
        for used in itertools.combinations(unknown, count):
            if _some_order([*known, *used], model.initial, model):
                return True
    return False


def _some_order(left: list[Operation], state: Hashable, model: Model) -> bool:
    if not left:
        return True
    soonest = min(operation.end for operation in left)
    for position, operation in enumerate(left):
        if operation.start <= soonest:  # nothing that is left ended before it began
            rest = left[:position] + left[position + 1 :]
            for after in model.steps(state, operation):
                if _some_order(rest, after, model):
                    return True
    return False


@pytest.mark.parametrize(
    ("operations", "holds"),
    [
        ([], True),
        ([op("write", 1, None, 0, 1), op("read", None, 1, 2, 3)], True),
        ([op("write", 1, None, 0, 1), op("read", None, None, 2, 3)], False),  # stale
        ([op("write", 1, None, 0, 2), op("read", None, None, 1, 3)], True),  # overlaps
        ([op("write", 1, None, 0, 9), op("read", None, 1, 1, 2), op("read", None, None, 3, 4)], False),  # goes back
        ([op("write", 1, None, 0, U), op("read", None, 1, 1, 2)], True),  # unknown, and took effect
        ([op("write", 1, None, 0, U), op("read", None, None, 1, 2), op("read", None, 1, 8, 9)], True),  # late
        ([op("write", 1, None, 0, U), op("read", None, 1, 1, 2), op("read", None, None, 8, 9)], False),
        ([op("write", 1, None, 5, U), op("read", None, 1, 1, 2)], False),  # before it was begun
        ([op("cas", (None, 1), True, 0, 5), op("cas", (None, 2), True, 0, 5)], False),  # both won
        ([op("cas", (None, 1), True, 0, 5), op("cas", (None, 2), False, 0, 5)], True),
        ([op("write", 1, None, 0, 1), op("delete", None, None, 0, 1), op("read", None, None, 2, 3)], True),
        ([op("write", 5, None, 0, 9), op("write", 6, None, 1, 2), op("read", None, 5, 3, 4)], True),  # 5 after 6
    ],
)
def test_registers(operations: list[Operation], holds: bool) -> None:
    assert brute_force(operations, Register()) is holds
    assert check(operations).holds is holds


@pytest.mark.parametrize("swapped", [False, True])
def test_which_unknown_one_explains_a_read_is_left_open(swapped: bool) -> None:
    """Both explain the first 1, only the write explains the second."""
    unknown = [op("write", 1, None, 2, U), op("cas", (0, 1), None, 2, U)]
    known = [op("read", None, 1, 3, 4), op("write", 5, None, 5, 6), op("read", None, 1, 7, 8)]
    operations = [op("write", 0, None, 0, 1), *(reversed(unknown) if swapped else unknown), *known]
    assert brute_force(operations, Register())
    assert check(operations).holds


def test_many_writes_at_once_are_little_work() -> None:
    writes = [op("write", value, None, 0, 10, value) for value in range(16)]
    assert check([*writes, op("read", None, 7, 11, 12)], steps_max=10_000).holds
    assert not check([*writes, op("read", None, 99, 11, 12)], steps_max=10_000).undecided


def test_keys_are_apart() -> None:
    operations = [op("write", 1, None, 0, 1, key="a"), op("read", None, None, 2, 3, key="b")]
    assert check(operations).holds
    verdict = check([*operations, op("read", None, None, 4, 5, key="a", client=7)])
    assert [violation.key for violation in verdict.violations] == ["a"]
    assert verdict.violations[0].operation.client == 7
    assert verdict.violations[0].states == (1,)


def test_queue() -> None:
    put = [op("put", "x", None, 0, 1), op("put", "y", None, 2, 3)]
    assert check([*put, op("take", None, "x", 4, 5), op("size", None, 1, 6, 7)], Queue()).holds
    assert not check([*put, op("take", None, "y", 4, 5)], Queue()).holds
    assert not check([*put, op("take", None, "x", 4, 6), op("take", None, "x", 5, 7)], Queue()).holds  # twice
    assert check([*put, op("take", None, None, 4, U), op("take", None, "y", 5, 7)], Queue()).holds


def test_lock() -> None:
    first = op("acquire", "a", 1, 0, 1)
    assert check([first, op("acquire", "b", None, 2, 3)], Lock()).holds
    assert not check([first, op("acquire", "b", 2, 2, 3)], Lock()).holds
    assert check([first, op("acquire", "b", 2, 2, 3)], Lock(expires=True)).holds
    assert not check([first, op("acquire", "b", 1, 2, 3)], Lock(expires=True)).holds  # a token twice
    assert check([first, op("release", 1, True, 2, 3), op("acquire", "b", 2, 4, 5)], Lock()).holds
    assert not check([first, op("release", 1, False, 2, 3)], Lock()).holds
    foreign = op("release", 2, False, 2, 3)
    assert check([first, foreign, op("acquire", "b", None, 4, 5)], Lock()).holds
    assert not check([first, foreign, op("acquire", "b", 2, 4, 5)], Lock()).holds
    expired = op("release", 1, False, 2, 3)  # it was the holder's once, so nobody holds it any more
    assert not check([first, expired, op("acquire", "b", None, 4, 5)], Lock(expires=True)).holds


def random_history(rng: random.Random, model: Model, size: int) -> list[Operation]:
    """Mostly plausible: results of some order, then spoilt a little."""
    operations: list[Operation] = []
    for client in range(size):
        start = rng.randrange(8)
        end = U if rng.random() < 0.25 else float(start + rng.randrange(5))
        operations.append(_random_operation(rng, model, client, float(start), end))
    return operations


def _random_operation(rng: random.Random, model: Model, client: int, start: float, end: float) -> Operation:
    value = rng.randrange(3)
    if isinstance(model, Queue):
        name = rng.choice(["put", "take", "size"])
        result: Hashable = {"put": None, "take": rng.choice([None, 0, 1, 2]), "size": rng.randrange(3)}[name]
        return op(name, value if name == "put" else None, result, start, end, client)
    if isinstance(model, Lock):
        name = rng.choice(["acquire", "release"])
        result = rng.choice([None, 1, 2, 3]) if name == "acquire" else rng.random() < 0.5
        return op(name, rng.choice([1, 2]), result, start, end, client)
    name = rng.choice(["read", "write", "cas", "delete"])
    arguments: dict[str, Hashable] = {"write": value, "cas": (rng.choice([None, 0, 1]), value)}
    results: dict[str, Hashable] = {"read": rng.choice([None, 0, 1, 2]), "cas": rng.random() < 0.5}
    return op(name, arguments.get(name), results.get(name), start, end, client)


@pytest.mark.parametrize("model", [Register(), Queue(), Lock(), Lock(expires=True)], ids=lambda m: type(m).__name__)
def test_agrees_with_brute_force(model: Model) -> None:
    rng = random.Random(11)
    counts = {True: 0, False: 0}
    for _ in range(3000):
        operations = random_history(rng, model, rng.randrange(1, 6))
        expected = brute_force(operations, model)
        assert check(operations, model).holds is expected, to_lines(operations)
        counts[expected] += 1
    assert min(counts.values()) > 100


def simulated(rng: random.Random, size: int, clients: int, keys: int, unknown: float) -> list[Operation]:
    """A linearizable history: each operation takes effect at a moment of its own."""
    effects: list[tuple[float, Operation]] = []
    free = [0.0] * clients
    for number in range(size):
        client = min(range(clients), key=free.__getitem__)
        start = free[client] + rng.random()
        at = start + rng.random()
        end = at + rng.random()
        free[client] = end
        name = rng.choice(["read", "write", "cas"])
        guess = max(0, number - rng.randrange(12 * keys))
        argument = {"read": None, "write": number, "cas": (guess, number)}[name]
        if rng.random() < unknown:
            end = U
        effects.append((at, op(name, argument, None, start, end, client, rng.randrange(keys))))
    states: dict[Hashable, Hashable] = {}
    for _, operation in sorted(effects, key=lambda effect: effect[0]):
        state = states.get(operation.key)
        if operation.name == "read":
            operation.result = state
        elif operation.name == "write":
            states[operation.key] = operation.argument
        else:
            assert isinstance(operation.argument, tuple)
            old, new = operation.argument
            operation.result = state == old
            states[operation.key] = new if state == old else state
    return [operation for _, operation in effects]


def test_long_histories_are_decided_and_one_wrong_read_is_found() -> None:
    rng = random.Random(5)
    operations = simulated(rng, 3000, 10, 3, 0.02)
    assert check(operations, steps_max=100_000).holds  # a key takes 30,000: what keeps the ways few is at work
    reads = [operation for operation in operations if operation.name == "read" and not operation.is_unknown]
    rng.choice(reads).result = -1
    verdict = check(operations, steps_max=100_000)
    assert len(verdict.violations) == 1
    assert verdict.violations[0].operation.result == -1


def test_too_much_is_undecided() -> None:
    operations = [op("put", value, None, 0, 100, value) for value in range(12)]
    operations.append(op("size", None, 99, 101, 102))
    verdict = check(operations, Queue(), steps_max=1000)
    assert not verdict.holds
    assert verdict.undecided == (None,)
    assert "undecided" in str(verdict)


def test_a_violation_is_told_in_words() -> None:
    verdict = check([op("write", 1, None, 0, 1, 3, "k"), op("read", None, None, 2, 3, 4, "k")])
    assert str(verdict).splitlines()[:3] == [
        "not linearizable: no order of the operations of key 'k' explains",
        "    k.read() -> None   client 4, 2 to 3",
        "before it the state could only have been 1",
    ]
    assert "<--" in str(verdict)


def test_a_history_is_recorded_and_survives_a_file() -> None:
    now = iter(range(10))
    history = History(lambda: float(next(now)))
    write = history.invoke(1, "write", "x", 5)
    lost = history.invoke(2, "cas", "x", (5, 6))
    refused = history.invoke(3, "write", "x", 7)
    write.returned(None)
    refused.refused()
    assert history.operations == [write.operation, lost.operation]
    assert (write.operation.start, write.operation.end, lost.operation.end) == (0, 3, U)
    read = history.invoke(4, "read", "x")
    read.returned(5)
    assert history.operations[-1] == op("read", None, 5, 4, 5, 4, "x")
    assert from_lines(to_lines(history.operations)) == history.operations
    with pytest.raises(DecodeError, match="line 1"):
        from_lines("{}\n")
