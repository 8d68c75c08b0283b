"""A coroutine started by hand behaves as it would in a task."""

from __future__ import annotations

import asyncio
import contextvars
import gc
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from raftly.rpc import eager

Outcome = tuple[Any, BaseException | None]


def play(
    body: Callable[[], Awaitable[Any]], *, inside_task: bool = False
) -> tuple[list[Outcome], list[asyncio.Future[Any] | None]]:
    """Start `body` from a callback of the loop, as a protocol does, and wait until it is done."""
    outcomes: list[Outcome] = []
    tasks: list[asyncio.Future[Any] | None] = []

    async def main() -> None:
        loop = asyncio.get_running_loop()
        done = asyncio.Event()

        def on_done(result: Any, error: BaseException | None) -> None:
            outcomes.append((result, error))
            done.set()

        def start() -> None:
            tasks.append(eager.start(loop, body(), on_done))  # type: ignore[arg-type]

        if inside_task:
            start()
            assert asyncio.current_task() is not None
        else:
            loop.call_soon(start)
        await asyncio.wait_for(done.wait(), 10)

    asyncio.run(main())
    return outcomes, tasks


@pytest.mark.parametrize("inside_task", [False, True])
def test_what_does_not_wait_needs_no_task(inside_task: bool) -> None:
    async def body() -> int:
        return 7

    assert play(body, inside_task=inside_task) == ([(7, None)], [None])


@pytest.mark.parametrize("inside_task", [False, True])
def test_what_waits_becomes_a_task(inside_task: bool) -> None:
    async def body() -> int:
        await asyncio.sleep(0)
        loop = asyncio.get_running_loop()
        future = loop.create_future()
        loop.call_soon(future.set_result, 5)
        number: int = await future
        return number + 1

    outcomes, tasks = play(body, inside_task=inside_task)
    assert outcomes == [(6, None)]
    assert isinstance(tasks[0], asyncio.Task)


@pytest.mark.parametrize("waits", [False, True])
def test_errors_are_outcomes(waits: bool) -> None:
    async def body() -> None:
        if waits:
            await asyncio.sleep(0)
        raise KeyError("x")

    ((_, error),), _ = play(body)
    assert isinstance(error, KeyError)


def test_an_error_thrown_by_what_it_waits_for_can_be_caught() -> None:
    async def body() -> str:
        future = asyncio.get_running_loop().create_future()
        asyncio.get_running_loop().call_soon(future.set_exception, KeyError("x"))
        try:
            await future
        except KeyError:
            return "caught"
        return "missed"

    assert play(body)[0] == [("caught", None)]


variable: contextvars.ContextVar[int] = contextvars.ContextVar("variable", default=0)


def test_context_is_its_own_and_the_same_after_a_wait() -> None:
    async def body() -> list[int]:
        seen = [variable.get()]
        variable.set(seen[0] + 1)
        await asyncio.sleep(0)
        seen.append(variable.get())
        return seen

    variable.set(10)
    assert play(body)[0] == [([10, 11], None)]
    assert variable.get() == 10


def test_timeout_and_task_group_work_from_the_first_line() -> None:
    async def body() -> str:
        async with asyncio.TaskGroup() as group:
            child = group.create_task(asyncio.sleep(0, "child"))
        try:
            async with asyncio.timeout(0.001):
                await asyncio.Event().wait()
        except TimeoutError:
            return child.result()
        return "no time-out"

    assert play(body)[0] == [("child", None)]


def test_timeout_around_what_does_not_wait() -> None:
    async def body() -> int:
        async with asyncio.timeout(10):  # noqa: ASYNC100  # nothing waits: that is the case
            return 1

    outcomes, tasks = play(body)
    assert (outcomes, tasks) == ([(1, None)], [None])


def test_failing_task_group_cancels_its_parent_which_began_by_hand() -> None:
    async def fails() -> None:
        raise KeyError("child")

    async def body() -> str:
        outcome = "missed"
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(fails())
                await asyncio.Event().wait()
        except* KeyError:
            outcome = "grouped"
        return outcome

    assert play(body)[0] == [("grouped", None)]


def test_current_task_is_never_none_and_can_be_cancelled() -> None:
    async def body() -> None:
        task = asyncio.current_task()
        assert task is not None
        task.cancel()
        await asyncio.sleep(10)

    ((_, error),), _ = play(body)
    assert isinstance(error, asyncio.CancelledError)


def test_cancel_before_the_task_s_own_first_step_reaches_the_coroutine_and_what_it_waits_for() -> None:
    seen: list[str] = []

    async def main() -> None:
        loop = asyncio.get_running_loop()
        inner: asyncio.Future[None] = loop.create_future()

        async def body() -> None:
            try:
                await inner
            except asyncio.CancelledError:
                seen.append("cancelled where it waits")
                raise

        def on_done(_result: object, error: BaseException | None) -> None:
            seen.append(type(error).__name__)

        def start() -> None:
            task = eager.start(loop, body(), on_done)
            assert task is not None
            task.cancel()  # at once: the task has not run yet

        loop.call_soon(start)
        for _ in range(5):
            await asyncio.sleep(0)
        assert inner.cancelled()

    asyncio.run(main())
    assert seen == ["cancelled where it waits", "CancelledError"]


def test_cancel_that_is_swallowed_lets_it_go_on() -> None:
    async def main() -> list[Outcome]:
        outcomes: list[Outcome] = []
        loop = asyncio.get_running_loop()

        async def body() -> str:
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                await asyncio.sleep(0)
            return "went on"

        def start() -> None:
            task = eager.start(loop, body(), lambda result, error: outcomes.append((result, error)))
            assert task is not None
            task.cancel()

        loop.call_soon(start)
        for _ in range(8):
            await asyncio.sleep(0)
        return outcomes

    assert asyncio.run(main()) == [("went on", None)]


def test_system_exit_is_not_swallowed() -> None:
    async def body() -> None:
        raise SystemExit(3)

    loop = asyncio.new_event_loop()
    try:
        with pytest.raises(SystemExit):
            eager.start(loop, body(), lambda *_: None)
    finally:
        loop.close()


def test_nothing_is_left_for_the_collector() -> None:
    async def body() -> int:
        return 1

    async def main() -> int:
        loop = asyncio.get_running_loop()
        gc.collect()
        gc.disable()
        try:
            for _ in range(100):
                eager.start(loop, body(), lambda *_: None)
            return gc.collect()
        finally:
            gc.enable()

    assert asyncio.run(main()) < 50


@pytest.mark.parametrize("how", ["result", "error", "cancel"])
@pytest.mark.parametrize("before", [True, False])
def test_a_future_is_its_own_task(how: str, before: bool) -> None:
    made: list[asyncio.Future[Any]] = []
    error = ValueError()

    def settle() -> None:
        if how == "result":
            made[0].set_result(5)
        elif how == "error":
            made[0].set_exception(error)
        else:
            made[0].cancel()

    def body() -> asyncio.Future[Any]:
        loop = asyncio.get_running_loop()
        made.append(loop.create_future())
        settle() if before else loop.call_soon(settle)
        return made[0]

    ((result, failure),), tasks = play(body)
    assert tasks == [None if before else made[0]]
    if how == "cancel":
        assert isinstance(failure, asyncio.CancelledError)
    else:
        assert (result, failure) == ((5, None) if how == "result" else (None, error))
