"""A class as its own model."""

import math
from random import Random

import pytest

from raftly.errors import ConfigError
from raftly.node import command, query
from raftly.node.structures import Locks
from raftly.testing.class_model import ClassModel, frozen
from raftly.testing.history import Operation
from raftly.testing.linearizability import check
from tests.support.nodes import Register


class Stack:
    errors = (IndexError,)
    items: list[int]

    def __init__(self) -> None:
        self.items = []

    @command
    def put(self, value: int) -> list[int]:
        self.items.append(value)
        return self.items

    @command
    def pop(self) -> int:
        return self.items.pop()

    @query
    def all(self) -> list[int]:
        return self.items


def op(client: int, name: str, argument: tuple[object, ...], result: object, start: float, end: float) -> Operation:
    return Operation(client, name, None, argument, frozen(result), start, end)


def test_results_are_those_of_the_class_called_one_at_a_time() -> None:
    history = [
        op(1, "put", (1,), [1], 0, 1),
        op(1, "put", (2,), [1, 2], 2, 5),
        op(2, "all", (), [1], 3, 4),
        op(3, "all", (), [1, 2], 3, 4.5),
        op(1, "pop", (), 2, 6, 7),
        op(1, "pop", (), 1, 8, 9),
        op(1, "pop", (), "IndexError('pop from empty list')", 10, 11),
    ]
    assert check(history, ClassModel(Stack)).holds
    wrong = op(2, "all", (), [2], 3, 4)
    assert not check([*history[:2], wrong, *history[3:]], ClassModel(Stack)).holds
    assert not check([*history[:4], op(1, "pop", (), 1, 6, 7)], ClassModel(Stack)).holds


def test_an_unknown_call_may_have_happened_or_not() -> None:
    unknown = Operation(1, "put", None, (1,), None, 0, math.inf)
    for result in ([], [1]):
        assert check([unknown, op(2, "all", (), result, 1, 2)], ClassModel(Stack)).holds
    assert not check([unknown, op(2, "all", (), [1, 1], 1, 2)], ClassModel(Stack)).holds
    both = [op(2, "all", (), [1], 1, 2), op(2, "all", (), [], 3, 4)]
    assert not check([unknown, *both], ClassModel(Stack)).holds


def test_calls_do_not_change_what_is_remembered() -> None:
    model = ClassModel(Register)
    random = Random(1)
    values: dict[str, int] = {}
    history = []
    for at in range(200):
        key, value = random.choice("ab"), random.randrange(5)
        values[key] = values.get(key, 0) + value
        history.append(op(1, "add", (key, value), values[key], at, at + 0.5))
    assert check(history, model).holds
    assert check(history, model).holds, "the same model judges again"


def test_a_class_that_lives_by_log_time_needs_another_model() -> None:
    with pytest.raises(ConfigError, match="log time"):
        ClassModel(Locks)


def test_results_are_made_comparable() -> None:
    assert frozen([1, {"b": [2], "a": {3, 1}}]) == (1, (("a", (1, 3)), ("b", (2,))))
    assert frozen(bytearray(b"x")) == "bytearray(b'x')"
