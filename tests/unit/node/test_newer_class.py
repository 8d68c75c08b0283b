"""A class that changed: calls and states of before meet the newer one."""

import pytest

from raftly.base.types import Entry
from raftly.node.commands import call_payload, command, schema
from raftly.node.errors import MachineFailed, ValueTypeError
from raftly.node.machine import StateMachine


class Account:
    value: int = 0

    @command
    def add(self, amount: int) -> int:
        self.value += amount
        return self.value


class Repeated:
    value: int = 0
    notes: list[object]

    def __init__(self) -> None:
        self.notes = []

    @schema(2)
    @command
    def add(self, amount: int, times: float = 1, notes: object = []) -> int:
        assert isinstance(notes, list)
        notes.append("seen")
        self.notes.append(notes)
        self.value += amount * int(times)
        return self.value


class Elsewhere:
    value: int = 0

    @schema(2)
    @command
    def add(self, amount: int, account: str) -> int:
        return 0


class Unplaced:
    value: int = 0

    @schema(2)
    @command
    def add(self, amount: int, account: str = object()) -> int:  # type: ignore[assignment]
        return 0


def old_call(amount: int = 5, session: int = 0, number: int = 0) -> bytes:
    return call_payload(1, session, number, 0, StateMachine(Account).encode("add", (amount,), {}))


def test_a_call_from_before_a_parameter_was_added_is_applied_with_its_default() -> None:
    machine = StateMachine(Repeated)
    assert machine.apply(Entry(1, 1, data=old_call(5))) == 5
    assert machine.apply(Entry(1, 2, data=old_call(2))) == 7
    assert machine.instance.notes == [["seen"], ["seen"]]
    machine.check(old_call())


@pytest.mark.parametrize("cls", [Elsewhere, Unplaced])
def test_a_replica_stops_at_one_that_the_newer_class_cannot_take(cls: type) -> None:
    machine: StateMachine[object] = StateMachine(cls)
    with pytest.raises(MachineFailed, match="does not take a call of schema 1"):
        machine.apply(Entry(1, 1, data=old_call()))
    with pytest.raises(ValueTypeError):  # so no leader puts another into the log
        machine.check(old_call())
