"""Counter: a number that many may change."""

from __future__ import annotations

from dataclasses import dataclass

from raftly.node.commands import command, query


@dataclass(slots=True)
class Counter:
    """An int of any size.

    `add` counts once for every time that it is applied: after `OutcomeUnknown` nobody knows whether that was once or
    never, so whoever retries does it in a session. `compare_and_set` may be retried without one where a second time
    does no harm.
    """

    value: int = 0

    @command
    def add(self, amount: int = 1) -> int:
        """The value after the addition."""
        self.value += amount
        return self.value

    @command
    def compare_and_set(self, expected: int, value: int) -> bool:
        """Set it if it is what is expected; whether it was."""
        if self.value != expected:
            return False
        self.value = value
        return True

    @query
    def get(self) -> int:
        """The value."""
        return self.value
