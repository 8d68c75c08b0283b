"""ClassModel: a class that is replicated is its own model, when its methods are called one at a time."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable
from copy import deepcopy
from typing import Any, Final, final

from raftly.errors import ConfigError
from raftly.node.annotations import arguments_of
from raftly.node.commands import methods_of
from raftly.node.log_time import Timed
from raftly.node.machine import StateMachine
from raftly.testing.history import Operation

_REMEMBERED: Final = 100_000


def frozen(value: object) -> Hashable:
    """A result as something to compare and to keep in sets: lists become tuples, sets and dicts sorted tuples."""
    if isinstance(value, list | tuple):
        return tuple([frozen(item) for item in value])
    if isinstance(value, set | frozenset):
        return tuple(sorted([frozen(item) for item in value], key=repr))
    if isinstance(value, dict):
        return tuple(sorted([(frozen(name), frozen(item)) for name, item in value.items()], key=repr))
    return value if isinstance(value, Hashable) else repr(value)


@final
class ClassModel:
    """What any class of commands and queries does, as a `Model`: by calling it.

    An operation's `name` is the method's, its `argument` the tuple of arguments, its `result` what `frozen` makes of
    the method's, or the `repr` of an exception that the class registered. A class that reads log time needs another
    model: here is no clock.
    """

    def __init__(self, factory: Callable[[], Any]) -> None:
        """Make the first instance.

        Raises:
            ConfigError: the class has no commands, or lives by log time.
        """
        self._machine: StateMachine[Any] = StateMachine(factory)
        first = self._machine.instance
        cls = type(first)
        if issubclass(cls, Timed):
            raise ConfigError(cls.__qualname__, "lives by log time, so it cannot be its own model: give another")
        self._methods = methods_of(cls, arguments_of(cls, factory))
        self._errors = {error for error in getattr(cls, "errors", ()) if issubclass(error, Exception)}
        self._instances: dict[Hashable, Any] = {}
        self._known: dict[tuple[Hashable, str, Hashable], tuple[Hashable, Hashable]] = {}
        self.initial: Hashable = self._intern(first)

    def only_reads(self, operation: Operation) -> bool:
        """See `Model.only_reads`."""
        return not self._methods[operation.name].mark.is_command

    def only_writes(self, operation: Operation) -> bool:
        """See `Model.only_writes`."""
        return False

    def steps(self, state: Hashable, operation: Operation) -> Iterable[Hashable]:
        """See `Model.steps`."""
        call = (state, operation.name, operation.argument)
        known = self._known.get(call)
        if known is None:
            if len(self._known) >= _REMEMBERED:
                self._known.clear()
            known = self._known[call] = self._call(state, operation)
        result, after = known
        return (after,) if operation.is_unknown or operation.result == result else ()

    def _call(self, state: Hashable, operation: Operation) -> tuple[Hashable, Hashable]:
        instance = deepcopy(self._instances[state])
        assert isinstance(operation.argument, tuple)
        method = self._methods[operation.name]
        try:
            result = frozen(method.detach(method.function(instance, *deepcopy(operation.argument))))
        except Exception as error:
            if type(error) not in self._errors:
                raise
            result = repr(error)
        return result, self._intern(instance)

    def _intern(self, instance: Any) -> Hashable:  # noqa: ANN401 - of any class
        """The state of an instance as bytes; equal states are kept once."""
        self._machine.instance = instance
        state = b"".join(self._machine.stream())
        self._instances.setdefault(state, instance)
        return state
