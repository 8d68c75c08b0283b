"""Counter, against an int."""

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from raftly.node.structures import Counter
from tests.support.machines import TWIN_SETTINGS, Machine

SMALL = st.integers(-2, 2)


class CounterTwin(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.machine = Machine(Counter)
        self.twin = 0

    @rule(amount=st.integers())
    def add(self, amount: int) -> None:
        self.twin += amount
        assert self.machine.call(Counter.add, amount) == self.twin

    @rule(expected=SMALL, value=SMALL)
    def compare_and_set(self, expected: int, value: int) -> None:
        swapped = self.machine.call(Counter.compare_and_set, expected, value)
        assert swapped is (self.twin == expected)
        if swapped:
            self.twin = value

    @rule()
    def restart(self) -> None:
        self.machine.restart()

    @invariant()
    def equal(self) -> None:
        assert self.machine.ask(Counter.get) == self.twin


TestCounterTwin = CounterTwin.TestCase
TestCounterTwin.settings = TWIN_SETTINGS
