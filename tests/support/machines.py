"""One machine without a node: calls are entries, time passes when the test says so, snapshots can be started from."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from typing import Concatenate, Generic, ParamSpec, TypeVar, cast

from hypothesis import settings

from raftly.base.types import Entry
from raftly.node.commands import call_payload, clock_payload
from raftly.node.machine import StateMachine

T = TypeVar("T")
P = ParamSpec("P")
R = TypeVar("R")

TWIN_SETTINGS = settings(max_examples=settings().max_examples // 3)  # each example is up to fifty calls


class Machine(Generic[T]):
    """As a node with a single member, and with a clock that stands still."""

    def __init__(self, factory: Callable[[], T]) -> None:
        self.factory = factory
        self.machine = StateMachine(factory)
        self.now_us = 1_000_000

    def call(self, method: Callable[Concatenate[T, P], R], /, *args: P.args, **kwargs: P.kwargs) -> R:
        """Its result; raises what is registered."""
        result = self._apply(call_payload(self.now_us, 0, 0, 0, self.machine.encode(method.__name__, args, kwargs)))
        if isinstance(result, Exception):
            raise result
        return cast("R", result)

    def ask(self, method: Callable[Concatenate[T, P], R], /, *args: P.args, **kwargs: P.kwargs) -> R:
        return cast("R", self.machine.query(method.__name__, args, kwargs))

    def clock(self) -> None:
        """Let the log know what time it is."""
        self._apply(clock_payload(self.now_us))

    def restart(self) -> None:
        """Go on from a snapshot."""
        pieces = list(self.machine.stream())
        self.machine = StateMachine(self.factory)
        reading = self.machine.codec.read(_each(pieces))
        try:
            reading.send(None)
        except StopIteration as done:  # it has nothing to wait for
            self.machine.adopt(done.value)
        assert list(self.machine.stream()) == pieces

    def _apply(self, payload: bytes) -> object:
        return self.machine.apply(Entry(1, self.machine.applied + 1, data=payload))


async def _each(pieces: list[bytes]) -> AsyncIterator[bytes]:
    for piece in pieces:
        yield piece
