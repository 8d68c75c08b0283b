"""A class that changed: calls and states of before meet the newer one."""

import pytest

from raftly.base.types import Entry
from raftly.node.commands import call_payload, clock_payload, command, schema
from raftly.node.errors import MachineFailed, ValueTypeError
from raftly.node.machine import StateMachine
from tests.support.states import restore, saved


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


class Seen(Account):
    def __init__(self) -> None:
        self.seen = {"a": 1}

    @command
    def forget(self) -> None:
        del self.seen


def test_a_field_that_an_older_state_lacks_is_as_the_newer_class_makes_it() -> None:
    older = StateMachine(Account)
    older.apply(Entry(1, 1, data=old_call(5)))
    newer = StateMachine(Seen)
    restore(newer, saved(older))
    assert (newer.instance.value, newer.instance.seen) == (5, {"a": 1})


def test_one_that_a_command_deleted_stays_deleted_and_is_not_compared() -> None:
    older, newer = StateMachine(Account), StateMachine(Seen)
    call = call_payload(1, 0, 0, 0, newer.encode("forget", (), {}))
    newer.apply(Entry(1, 1, data=call))
    older.apply(Entry(1, 1, data=clock_payload(1)))
    assert newer.digest() == older.digest()
    restored = StateMachine(Seen)
    restore(restored, saved(newer))
    assert not hasattr(restored.instance, "seen")
    assert saved(restored) == saved(newer)


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
