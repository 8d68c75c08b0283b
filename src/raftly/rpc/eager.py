"""Run a coroutine's first step at once, and make a task only of one that waits.

Most handlers answer from memory and never wait; a task for each would cost more than the rest of the request. Python
3.12 has eager tasks for this; here the same is done for 3.11, and what a handler may rely on is kept:

- It runs in a copy of the caller's context, the same one before and after its first wait.
- `asyncio.current_task()` is never None. During the first step it is a stand-in that turns into the real task as soon
  as someone uses it, so `asyncio.timeout` and `TaskGroup` work from the first line on.
- Cancelling the task before its first own step reaches the coroutine where it waits, and what it waits for.

A handler that only waits for one thing may give a future instead of a coroutine: then there is no task at all.
"""

from __future__ import annotations

import asyncio
from asyncio.tasks import _enter_task, _leave_task  # the documented way to run code as a task
from collections.abc import Callable, Coroutine, Generator
from contextvars import Context, copy_context
from types import coroutine
from typing import Any, TypeVar

__all__ = ["start"]

T = TypeVar("T")
OnDone = Callable[[T | None, BaseException | None], None]


class _FirstStep:
    """Stands for the task that the coroutine will be if it waits. Made for every call: defaults are the class's."""

    finished: bool = False
    yielded: asyncio.Future[Any] | None = None
    _task: asyncio.Task[Any] | None = None

    def __init__(self, loop: asyncio.AbstractEventLoop, coro: Coroutine[Any, Any, Any], context: Context) -> None:
        self.coro = coro
        self.context = context
        self._loop = loop

    def task(self) -> asyncio.Task[Any]:
        """The real task, made when first asked for."""
        if self._task is None:
            driver = _drive(self)
            driver.send(None)  # up to the yield that waits for the task's own first step
            self._task = asyncio.Task(driver, loop=self._loop, context=self.context)
        return self._task

    def __getattr__(self, name: str) -> object:
        attribute: object = getattr(self.task(), name)
        return attribute


async def _drive(step: _FirstStep) -> object:
    outcome: object = await _continue(step)
    return outcome


@coroutine
def _continue(step: _FirstStep) -> Generator[Any, Any, Any]:
    """Everything after the first step, as the body of a task."""
    error: BaseException | None = None
    sent: Any = None
    try:
        yield
    except BaseException as thrown:  # noqa: BLE001  # handed on to the coroutine
        error = thrown
        if step.yielded is not None:
            step.yielded.cancel()  # as a task does with the future it waits for
    if step.finished:
        return None
    if error is None and step.yielded is not None:
        try:
            sent = yield step.yielded
        except BaseException as thrown:  # noqa: BLE001
            error = thrown
    coro = step.coro
    while True:
        try:
            if error is None:
                yielded = coro.send(sent)
            else:
                pending, error = error, None
                yielded = coro.throw(pending)
        except StopIteration as stop:
            return stop.value
        sent = None
        try:
            sent = yield yielded
        except BaseException as thrown:  # noqa: BLE001
            error = thrown


def start(
    loop: asyncio.AbstractEventLoop, coro: Coroutine[Any, Any, T] | asyncio.Future[T], on_done: OnDone[T]
) -> asyncio.Future[T] | None:
    """Run `coro` up to its first wait; then `on_done(result, error)`, or, if it waits, a task that ends in `on_done`.

    Returns the task, None when the coroutine has finished; a future is its own task. May be called inside another task
    (a transport in memory does): that one is put aside meanwhile.
    """
    if isinstance(coro, asyncio.Future):
        if not coro.done():
            return _watched(coro, on_done)
        _tell(coro, on_done)
        return None
    step = _FirstStep(loop, coro, copy_context())
    outer = asyncio.current_task(loop)
    if outer is not None:
        _leave_task(loop, outer)
    _enter_task(loop, step)  # type: ignore[arg-type]
    result: T | None = None
    failure: BaseException | None = None
    try:
        step.yielded = step.context.run(coro.send, None)
    except StopIteration as stop:
        step.finished = True
        result = stop.value
    except (KeyboardInterrupt, SystemExit):
        raise
    except BaseException as error:  # noqa: BLE001  # an outcome like any other
        step.finished = True
        failure = error
    finally:
        _leave_task(loop, step)  # type: ignore[arg-type]
        if outer is not None:
            _enter_task(loop, outer)
    if step.finished:
        on_done(result, failure)
        return None
    return _watched(step.task(), on_done)


def _watched(future: asyncio.Future[T], on_done: OnDone[T]) -> asyncio.Future[T]:
    future.add_done_callback(lambda future: _tell(future, on_done))
    return future


def _tell(future: asyncio.Future[T], on_done: OnDone[T]) -> None:
    if future.cancelled():
        on_done(None, asyncio.CancelledError())
    elif (error := future.exception()) is not None:
        on_done(None, error)
    else:
        on_done(future.result(), None)
