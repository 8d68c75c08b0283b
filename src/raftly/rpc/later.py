"""Answers of handlers, as they come: at once, by a coroutine, a future, or a `Later`; one way to hear of each.

A future tells through the loop, a turn later. Where a round of a log answers hundreds of calls together, that costs
more than the rest of them; a `Later` tells in the turn, and in the place, where the answer becomes known.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Coroutine, Generator
from typing import Any, Final, Generic, TypeAlias, TypeVar, final

from raftly.rpc import eager

__all__ = ["Begun", "Later", "OnDone", "begin", "settled"]

T = TypeVar("T")
Begun: TypeAlias = Any
"""An answer, or something that leads to it."""
OnDone: TypeAlias = Callable[[Any, BaseException | None], None]
"""`on_done(result, error)`; the result counts only where there is no error."""

_log: Final = logging.getLogger("raftly.rpc")

_ANSWER: Final = 1
_LATER: Final = 2
_WAITS: Final = 3  # a future or a coroutine
_AWAITABLE: Final = 4
_forms: Final[dict[type, int]] = {}


@final
class Later(Generic[T]):
    """An answer that is not there yet. It is set once, and told to one."""

    __slots__ = ("_error", "_is_set", "_on_done", "_result")

    def __init__(self) -> None:
        self._is_set = False
        self._result: Any = None
        self._error: BaseException | None = None
        self._on_done: OnDone | None = None

    def set_result(self, result: T) -> None:
        """Here it is."""
        self._set(result, None)

    def set_exception(self, error: BaseException) -> None:
        """There is none, but this."""
        self._set(None, error)

    def _set(self, result: object, error: BaseException | None) -> None:
        assert not self._is_set, "an answer is given once"
        self._is_set = True
        on_done = self._on_done
        if on_done is None:
            self._result = result
            self._error = error
            return
        self._on_done = None
        try:
            on_done(result, error)
        except Exception:  # noqa: BLE001
            _log.exception("whoever waited for an answer failed")  # it is no business of who gave it

    def then(self, on_done: OnDone) -> None:
        """Tell this one: now, or as soon as it is set."""
        assert self._on_done is None, "an answer is told to one"
        if self._is_set:
            on_done(self._result, self._error)
        else:
            self._on_done = on_done

    def __await__(self) -> Generator[Any, None, T]:
        future: asyncio.Future[T] = asyncio.get_running_loop().create_future()

        def on_done(result: Begun, error: BaseException | None) -> None:
            if future.done():
                return
            if error is not None:
                future.set_exception(error)
            else:
                future.set_result(result)

        self.then(on_done)
        return future.__await__()


def begin(loop: asyncio.AbstractEventLoop, begun: Begun, on_done: OnDone) -> asyncio.Future[Any] | None:
    """Tell of what a handler gave: the answer itself, or something that leads to it.

    Returns what can be cancelled while it waits: a coroutine's task, or the future; None when there is no such thing.
    """
    kind = type(begun)
    form = _forms.get(kind)
    if form is None:
        form = _forms[kind] = _form_of(kind)
    if form == _ANSWER:
        on_done(begun, None)
        return None
    if form == _LATER:
        waiting: Later[Any] = begun
        waiting.then(on_done)
        return None
    return eager.start(loop, settled(begun) if form == _AWAITABLE else begun, on_done)


def _form_of(kind: type) -> int:
    if issubclass(kind, Later):
        return _LATER
    if issubclass(kind, (asyncio.Future, Coroutine)):
        return _WAITS
    return _AWAITABLE if issubclass(kind, Awaitable) else _ANSWER


async def settled(begun: Begun) -> Begun:
    """The answer of a handler, for who can wait."""
    return await begun if isinstance(begun, Awaitable) else begun
