"""What clients did and what they were told: the record that a checker judges.

    history = History(clock)
    done = history.invoke(client=1, name="write", key="x", argument=5)
    ... the call ...
    done.returned(None)            it has this result
    done.refused()                 it was certainly not applied: forgotten
    (neither)                      nobody knows: it may take effect at any time from its start on, or never

On disk one JSON object a line: client, name, key, argument, result, start, end (null: unknown). Bytes and tuples do not
survive that; a history that is to be kept is made of JSON's own values.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Hashable, Iterable
from dataclasses import dataclass
from typing import Final, final

from raftly.errors import DecodeError

UNKNOWN: Final = math.inf
"""The end of an operation that has none."""


@final
@dataclass(slots=True)
class Operation:
    """One call. Times are any clock that is the same for all clients; `start <= end`."""

    client: int
    name: str
    key: Hashable
    argument: Hashable
    result: Hashable
    start: float
    end: float

    @property
    def is_unknown(self) -> bool:
        """Did nobody learn whether it took effect?"""
        return self.end == UNKNOWN

    def __str__(self) -> str:
        """As a call with its result."""
        argument = "" if self.argument is None else repr(self.argument)
        key = "" if self.key is None else f"{self.key}."
        return f"{key}{self.name}({argument}) -> {'?' if self.is_unknown else repr(self.result)}"


@final
class Invocation:
    """An operation that has begun; end it with `returned` or `refused`, or leave it."""

    __slots__ = ("_history", "_number", "operation")

    def __init__(self, history: History, number: int, operation: Operation) -> None:
        self.operation = operation
        self._history = history
        self._number = number

    def returned(self, result: Hashable) -> None:
        """It took effect, once, between its start and now."""
        assert self.operation.is_unknown
        self.operation.result = result
        self.operation.end = self._history.clock()

    def refused(self) -> None:
        """It took no effect and never will."""
        self._history.forget(self._number)


@final
class History:
    """Operations in the order of their starts."""

    __slots__ = ("_begun", "_operations", "clock")

    def __init__(self, clock: Callable[[], float]) -> None:
        self.clock = clock
        self._begun = 0
        self._operations: dict[int, Operation] = {}  # by number, so that forgetting is cheap

    def invoke(self, client: int, name: str, key: Hashable = None, argument: Hashable = None) -> Invocation:
        """A client calls."""
        operation = Operation(client, name, key, argument, None, self.clock(), UNKNOWN)
        self._begun += 1
        self._operations[self._begun] = operation
        return Invocation(self, self._begun, operation)

    def forget(self, number: int) -> None:
        """The operation that was begun as `number` never took effect."""
        del self._operations[number]

    @property
    def operations(self) -> list[Operation]:
        """All of them so far."""
        return list(self._operations.values())


def to_lines(operations: Iterable[Operation]) -> str:
    """As JSON, one operation a line."""
    return "".join(
        json.dumps(
            {
                "client": op.client,
                "name": op.name,
                "key": op.key,
                "argument": op.argument,
                "result": op.result,
                "start": op.start,
                "end": None if op.is_unknown else op.end,
            }
        )
        + "\n"
        for op in operations
    )


def from_lines(text: str) -> list[Operation]:
    """What `to_lines` wrote; lists become tuples, so that values can be compared and kept in sets.

    Raises:
        DecodeError: a line is not such an object.
    """
    operations: list[Operation] = []
    for number, line in enumerate(text.splitlines(), 1):
        try:
            raw = json.loads(line)
            end = UNKNOWN if raw["end"] is None else float(raw["end"])
            operations.append(
                Operation(
                    int(raw["client"]),
                    str(raw["name"]),
                    _frozen(raw["key"]),
                    _frozen(raw["argument"]),
                    _frozen(raw["result"]),
                    float(raw["start"]),
                    end,
                )
            )
        except (ValueError, TypeError, KeyError) as error:
            raise DecodeError("history", number, f"line {number} is not an operation: {error!r}") from error
    return operations


def _frozen(value: object) -> Hashable:
    if isinstance(value, list):
        return tuple([_frozen(item) for item in value])
    if isinstance(value, dict):
        return tuple([(name, _frozen(item)) for name, item in value.items()])
    assert isinstance(value, Hashable)
    return value
