"""Dict, against a dict, a count and a list of all changes."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from raftly.errors import ConfigError, LimitExceeded
from raftly.node import command, query
from raftly.node.errors import ValueTypeError
from raftly.node.structures import Change, Dict, HistoryGone, Item, Page
from tests.support.machines import TWIN_SETTINGS, Machine

KEYS = st.sampled_from(["", "a", "aa", "ab", "b", "ä"])
VALUES = st.integers(0, 2)
HISTORY = 5


def small() -> Dict[str, int]:
    return Dict(history_max=HISTORY)


class DictTwin(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.machine = Machine(small)
        self.items: dict[str, tuple[int, int]] = {}  # value, revision
        self.log: list[Change[str, int]] = []

    def _expect_put(self, given: int | None, key: str, value: int, *, done: bool) -> None:
        assert given == (len(self.log) + 1 if done else None)
        if done:
            self.log.append(Change(len(self.log) + 1, key, value, deleted=False))
            self.items[key] = value, len(self.log)

    def _expect_delete(self, given: int | None, key: str, *, done: bool) -> None:
        assert given == (len(self.log) + 1 if done else None)
        if done:
            self.log.append(Change(len(self.log) + 1, key, None, deleted=True))
            del self.items[key]

    @rule(key=KEYS, value=VALUES)
    def put(self, key: str, value: int) -> None:
        self._expect_put(self.machine.call(Dict.put, key, value), key, value, done=True)

    @rule(key=KEYS, expected=st.none() | VALUES, value=VALUES)
    def compare_and_set(self, key: str, expected: int | None, value: int) -> None:
        done = self.items.get(key, (None, 0))[0] == expected
        self._expect_put(self.machine.call(Dict.compare_and_set, key, expected, value), key, value, done=done)

    @rule(key=KEYS, back=st.integers(0, 3), value=VALUES)
    def put_at(self, key: str, back: int, value: int) -> None:
        present = self.items.get(key, (0, 0))[1]
        revision = max(present - back, 0)
        done = revision == present
        self._expect_put(self.machine.call(Dict.put_at, key, revision, value), key, value, done=done)

    @rule(key=KEYS)
    def delete(self, key: str) -> None:
        self._expect_delete(self.machine.call(Dict.delete, key), key, done=key in self.items)

    @rule(key=KEYS, revision=st.integers(0, 20))
    def delete_at(self, key: str, revision: int) -> None:
        done = key in self.items and self.items[key][1] == revision
        self._expect_delete(self.machine.call(Dict.delete_at, key, revision), key, done=done)

    @rule(key=KEYS)
    def get(self, key: str) -> None:
        value, revision = self.items.get(key, (None, 0))
        assert self.machine.ask(Dict.get, key) == value
        assert self.machine.ask(Dict.item, key) == (None if value is None else Item(key, value, revision))

    @rule(prefix=st.none() | KEYS, after=st.none() | KEYS, limit=st.integers(1, 4))
    def scan(self, prefix: str | None, after: str | None, limit: int) -> None:
        keys = [key for key in sorted(self.items) if after is None or key > after]
        keys = [key for key in keys if key.startswith(prefix or "")][:limit]
        wanted = Page(len(self.log), [Item(key, *self.items[key]) for key in keys])
        assert self.machine.ask(Dict.scan, prefix, after, limit) == wanted

    @rule(after=st.integers(-1, 30), limit=st.integers(1, 4))
    def changes(self, after: int, limit: int) -> None:
        first = max(len(self.log) - HISTORY, 0) + 1
        if after + 1 < first:
            with pytest.raises(HistoryGone) as caught:
                self.machine.ask(Dict.changes, after, limit)
            assert caught.value.first == first
        else:
            assert self.machine.ask(Dict.changes, after, limit) == self.log[after : after + limit]

    @rule()
    def restart(self) -> None:
        self.machine.restart()

    @invariant()
    def equal(self) -> None:
        assert self.machine.ask(Dict.size) == len(self.items)
        assert len(self.machine.machine.instance.history) <= HISTORY


TestDictTwin = DictTwin.TestCase
TestDictTwin.settings = TWIN_SETTINGS


@dataclass
class Point:
    x: int
    y: int


class Stock(Dict[str, Point]):
    pass


@pytest.mark.parametrize("factory", [Dict[str, Point], Stock])
def test_values_are_of_any_type_that_the_class_names(factory: type[Dict[str, Point]]) -> None:
    machine = Machine(factory)
    machine.call(Dict.put, "a", Point(1, 2))
    machine.restart()
    assert machine.ask(Dict.get, "a") == Point(1, 2)
    assert machine.ask(Dict.changes, 0) == [Change(1, "a", Point(1, 2), deleted=False)]
    with pytest.raises(ValueTypeError):
        machine.call(Dict.put, "a", 1)  # type: ignore[arg-type]
    with pytest.raises(ValueTypeError):
        machine.call(Dict.put, 1, Point(1, 2))  # type: ignore[arg-type]


class Warehouse:
    """Holds structures of its own."""

    errors = Dict.errors
    stock: Dict[str, Point]
    names: Dict[int, str]

    def __init__(self) -> None:
        self.stock = Dict(history_max=2)
        self.names = Dict()

    @command
    def move(self, name: str, to: Point) -> int:
        self.names.put(to.x, name)
        return self.stock.put(name, to)

    @query
    def where(self, name: str) -> Point | None:
        return self.stock.get(name)

    @query
    def moves(self, after: int, limit: int) -> list[Change[str, Point]]:
        return self.stock.changes(after, limit)


def test_a_class_may_have_structures_as_fields() -> None:
    machine = Machine(Warehouse)
    for x in range(3):
        machine.call(Warehouse.move, "a", Point(x, 0))
    machine.restart()
    assert machine.ask(Warehouse.where, "a") == Point(2, 0)
    assert machine.ask(Warehouse.moves, 2, 10) == [Change(3, "a", Point(2, 0), deleted=False)]
    with pytest.raises(HistoryGone):
        machine.ask(Warehouse.moves, 0, 10)
    assert machine.call(Warehouse.move, "b", Point(9, 0)) == 4
    assert machine.machine.instance.names.get(9) == "b"


class Lists:
    """Changes a value where it lies."""

    lists: Dict[str, list[int]]

    def __init__(self) -> None:
        self.lists = Dict()

    @command
    def start(self) -> None:
        self.lists.put("a", [])

    @command
    def grow(self) -> None:
        found = self.lists.get("a")
        assert found is not None
        found.append(1)


def test_a_value_that_is_changed_where_it_lies_is_the_same_with_and_without_a_snapshot() -> None:
    machines = [Machine(Lists), Machine(Lists)]
    for machine in machines:
        machine.call(Lists.start)
    machines[0].restart()
    for machine in machines:
        machine.call(Lists.grow)
    assert machines[0].machine.digest() == machines[1].machine.digest()


def test_what_cannot_be_is_told_to_the_caller_and_stops_nobody() -> None:
    machine: Machine[Dict[object, object]] = Machine(Dict)
    bad: list[object] = [[], {}, float("nan")]
    for key in bad:
        attempts: list[Callable[[], object]] = [
            partial(machine.call, Dict.put, key, 1),
            partial(machine.call, Dict.compare_and_set, key, None, 1),
            partial(machine.call, Dict.put_at, key, 0, 1),
            partial(machine.call, Dict.delete, key),
            partial(machine.call, Dict.delete_at, key, 1),
            partial(machine.ask, Dict.get, key),
            partial(machine.ask, Dict.item, key),
        ]
        for attempt in attempts:
            with pytest.raises(ValueTypeError, match="is no key"):
                attempt()
    with pytest.raises(LimitExceeded):
        machine.ask(Dict.changes, 0, 1001)
    assert machine.ask(Dict.size) == 0
    assert machine.machine.instance.revision == 0


def test_a_history_has_at_least_one_change() -> None:
    with pytest.raises(ConfigError, match="history_max"):
        Dict(history_max=0)


def test_history_gone_says_what_to_do() -> None:
    assert "changes before revision 7 are forgotten" in str(HistoryGone(7))
