"""Set, against a set."""

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from raftly.errors import LimitExceeded
from raftly.node.errors import ValueTypeError
from raftly.node.structures import Set
from tests.support.machines import TWIN_SETTINGS, Machine

KEYS = st.sampled_from(["", "a", "aa", "ab", "b", "ä"])


class SetTwin(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.machine = Machine(Set[str])
        self.twin: set[str] = set()

    @rule(key=KEYS)
    def add(self, key: str) -> None:
        assert self.machine.call(Set.add, key) is (key not in self.twin)
        self.twin.add(key)

    @rule(key=KEYS)
    def discard(self, key: str) -> None:
        assert self.machine.call(Set.discard, key) is (key in self.twin)
        self.twin.discard(key)

    @rule(key=KEYS)
    def contains(self, key: str) -> None:
        assert self.machine.ask(Set.contains, key) is (key in self.twin)

    @rule(prefix=st.none() | KEYS, after=st.none() | KEYS, limit=st.integers(1, 4))
    def scan(self, prefix: str | None, after: str | None, limit: int) -> None:
        wanted = [key for key in sorted(self.twin) if after is None or key > after]
        wanted = [key for key in wanted if key.startswith(prefix or "")]
        assert self.machine.ask(Set.scan, prefix, after, limit) == wanted[:limit]

    @rule()
    def restart(self) -> None:
        self.machine.restart()

    @invariant()
    def equal(self) -> None:
        assert self.machine.ask(Set.size) == len(self.twin)


TestSetTwin = SetTwin.TestCase
TestSetTwin.settings = TWIN_SETTINGS


def test_members_are_of_the_type_that_the_set_was_made_with() -> None:
    machine = Machine(Set[str])
    with pytest.raises(ValueTypeError):
        machine.call(Set.add, 1)  # type: ignore[arg-type]


def test_what_is_no_key_is_told_to_the_caller_and_stops_nobody() -> None:
    machine: Machine[Set[object]] = Machine(Set)
    with pytest.raises(ValueTypeError, match="is no key"):
        machine.call(Set.add, [1])
    with pytest.raises(LimitExceeded):
        machine.ask(Set.scan, limit=0)
    assert machine.call(Set.add, (1, "a"))
