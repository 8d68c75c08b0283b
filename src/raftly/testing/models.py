"""What single objects do, one operation at a time: the models that a history is checked against.

A model's state is a value that can be hashed. `steps` gives every state that an operation may lead to, none if its
result is impossible there; the operation's `result` counts only if it is known.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Sequence
from typing import Final, Protocol, final, runtime_checkable

from raftly.testing.history import Operation
from raftly.testing.queue_order import Conflict, queue_conflict


class Model(Protocol):
    """An object that clients call."""

    initial: Hashable

    def only_reads(self, operation: Operation) -> bool:
        """Can it not change the state, with its result? False is never wrong, it only costs time."""
        ...

    def only_writes(self, operation: Operation) -> bool:
        """Is the state after it one and the same whatever it was before, and any result right? As above."""
        ...

    def steps(self, state: Hashable, operation: Operation) -> Iterable[Hashable]:
        """The states that may follow."""
        ...


@runtime_checkable
class Decisive(Protocol):
    """A model of which most histories can be judged without a search."""

    def conflict(self, operations: Sequence[Operation]) -> Conflict | None:
        """What rules out every order of the operations of one object; None: there is one; (): it takes a search."""
        ...


@final
class Register:
    """read() -> value; write(value) -> anything; cas((old, new)) -> whether it was old; delete() is write(None)."""

    def __init__(self, initial: Hashable = None) -> None:
        self.initial = initial

    def only_reads(self, operation: Operation) -> bool:
        """See `Model.only_reads`."""
        if operation.name == "cas":
            return operation.result is False and not operation.is_unknown
        return operation.name == "read"

    def only_writes(self, operation: Operation) -> bool:
        """See `Model.only_writes`."""
        return operation.name in {"write", "delete"}

    def steps(self, state: Hashable, operation: Operation) -> Iterable[Hashable]:
        """See `Model.steps`."""
        name = operation.name
        if name == "read":
            return (state,) if operation.is_unknown or operation.result == state else ()
        if name == "write":
            return (operation.argument,)
        if name == "delete":
            return (None,)
        if name == "cas":
            old, new = _pair(operation.argument)
            if operation.is_unknown or operation.result is (state == old):
                return (new if state == old else state,)
            return ()
        raise ValueError(f"a register has no {name}")


@final
class Queue:
    """put(value), any but None -> anything; take() -> the oldest, None when empty; size() -> how many."""

    initial: Hashable = ()

    def only_reads(self, operation: Operation) -> bool:
        """See `Model.only_reads`."""
        return operation.name == "size" or (
            operation.name == "take" and not operation.is_unknown and operation.result is None
        )

    def only_writes(self, operation: Operation) -> bool:
        """See `Model.only_writes`."""
        return False

    def steps(self, state: Hashable, operation: Operation) -> Iterable[Hashable]:
        """See `Model.steps`."""
        assert isinstance(state, tuple)
        if operation.name == "put":
            return ((*state, operation.argument),)
        if operation.name == "take":
            taken = state[0] if state else None
            return (state[1:],) if operation.is_unknown or operation.result == taken else ()
        if operation.name == "size":
            return (state,) if operation.is_unknown or operation.result == len(state) else ()
        raise ValueError(f"a queue has no {operation.name}")

    def conflict(self, operations: Sequence[Operation]) -> Conflict | None:
        """See `Decisive.conflict`."""
        return queue_conflict(operations)


@final
class Lock:
    """acquire(owner) -> fencing token, None when held; release(token) -> whether it held it.

    With `expires` the holder may lose it at any moment, which nobody is told; tokens rise all the same.
    """

    initial: Hashable = (0, False)  # the last token given, and whether it is held still

    def __init__(self, *, expires: bool = False) -> None:
        self._expires = expires

    def only_reads(self, operation: Operation) -> bool:
        """See `Model.only_reads`."""
        if operation.is_unknown:  # where leases end unheard, a release that may have happened explains nothing
            return self._expires and operation.name == "release"
        return operation.result is None or (operation.result is False and not self._expires)

    def only_writes(self, operation: Operation) -> bool:
        """See `Model.only_writes`."""
        return False

    def steps(self, state: Hashable, operation: Operation) -> Iterable[Hashable]:
        """See `Model.steps`."""
        assert isinstance(state, tuple)
        last, held = state
        if operation.name == "acquire":
            return self._acquire(last, operation, held=held)
        if operation.name == "release":
            mine = held and operation.argument == last
            return self._release(last, operation, held=held, mine=mine)
        raise ValueError(f"a lock has no {operation.name}")

    def _acquire(self, last: int, operation: Operation, *, held: bool) -> Iterable[Hashable]:
        free = not held or self._expires
        if operation.is_unknown:
            return ((last + 1, True),) if free else ((last, held),)
        if operation.result is None:
            return ((last, held),) if held else ()
        return ((last + 1, True),) if free and operation.result == last + 1 else ()

    def _release(self, last: int, operation: Operation, *, held: bool, mine: bool) -> Iterable[Hashable]:
        if operation.is_unknown:
            return ((last, False),) if mine else ((last, held),)
        if operation.result is True:
            return ((last, False),) if mine else ()
        if not mine:
            return ((last, held),)
        return ((last, False),) if self._expires else ()


def _pair(argument: Hashable) -> tuple[Hashable, Hashable]:
    assert isinstance(argument, tuple)
    old, new = argument
    return old, new


REGISTER: Final = Register()
