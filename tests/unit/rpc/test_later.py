"""Answers that come at once, later, or by a future or coroutine, are all told."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Generator
from typing import Any

import pytest

from raftly.rpc import Later, RpcError, StatusCode
from raftly.rpc.h2.frames import ErrorCode
from raftly.rpc.later import begin, settled
from raftly.rpc.service import bind
from tests.unit.rpc.memory import Talk, method

Outcome = tuple[Any, BaseException | None]


@pytest.mark.parametrize("before", [True, False])
@pytest.mark.parametrize("error", [None, KeyError("x")])
def test_an_answer_is_told_in_the_turn_that_knows_it(before: bool, error: Exception | None) -> None:
    later: Later[int] = Later()
    outcomes: list[Outcome] = []

    def settle() -> None:
        later.set_result(7) if error is None else later.set_exception(error)

    if before:
        settle()
    later.then(lambda *outcome: outcomes.append(outcome))
    assert len(outcomes) == before
    if not before:
        settle()
    assert outcomes == [(7, None) if error is None else (None, error)]


def test_an_answer_is_given_once_and_told_to_one() -> None:
    later: Later[int] = Later()
    later.then(lambda *_: None)
    with pytest.raises(AssertionError):
        later.then(lambda *_: None)
    later.set_result(1)
    with pytest.raises(AssertionError):
        later.set_result(2)


def test_who_fails_to_hear_it_does_not_harm_who_tells(caplog: pytest.LogCaptureFixture) -> None:
    def fails(*_: object) -> None:
        raise ValueError("deaf")

    later: Later[int] = Later()
    later.then(fails)
    later.set_result(1)
    assert "deaf" in caplog.text


def test_it_may_be_awaited() -> None:
    async def body() -> None:
        loop = asyncio.get_running_loop()
        for error in (None, KeyError("x")):
            later: Later[int] = Later()
            loop.call_soon(*((later.set_result, 7) if error is None else (later.set_exception, error)))
            if error is None:
                assert await later == 7
            else:
                with pytest.raises(KeyError):
                    await later
        gone: Later[int] = Later()
        task = asyncio.ensure_future(settled(gone))
        await asyncio.sleep(0)
        task.cancel()
        await asyncio.wait([task])
        gone.set_result(1)

    asyncio.run(body())


class Now:
    """Something to await that is neither a coroutine nor a future."""

    def __await__(self) -> Generator[None, None, str]:
        yield
        return "awaited"


@pytest.mark.parametrize("form", ["answer", "later", "future", "coroutine", "awaitable"])
def test_all_forms_are_heard_of(form: str) -> None:
    async def coroutine() -> str:
        await asyncio.sleep(0)
        return form

    async def body() -> None:
        loop = asyncio.get_running_loop()
        later: Later[str] = Later()
        future = loop.create_future()
        forms: dict[str, Any] = {"answer": form, "later": later, "future": future, "awaitable": Now()}
        outcomes: list[Outcome] = []
        begun = forms[form] if form in forms else coroutine()
        task = begin(loop, begun, lambda *outcome: outcomes.append(outcome))
        assert len(outcomes) == (form == "answer")
        assert (task is None) == (form in ("answer", "later"))
        later.set_result(form)
        future.set_result(form)
        for _ in range(5):
            await asyncio.sleep(0)
        assert outcomes == [("awaited" if form == "awaitable" else form, None)]

    asyncio.run(body())


def test_answers_told_in_one_turn_leave_in_one_write() -> None:
    async def body() -> None:
        waiting: list[Later[bytes]] = []

        def waits(_request: bytes) -> Later[bytes]:
            waiting.append(Later())
            return waiting[-1]

        talk = Talk([bind(method("Waits"), waits), bind(method("Now"), lambda request: request)])
        for _ in range(4):
            talk.open("Waits", b"x")
        talk.open("Now", b"x")
        await talk.turns()
        assert talk.status == {9: "0"}
        waiting[0].set_result(b"y")
        waiting[1].set_exception(RpcError(StatusCode.NOT_FOUND, "no"))
        waiting[2].set_result(b"y")
        assert not talk.transport.writes
        await asyncio.sleep(0)
        assert len(talk.transport.writes) == 1
        talk.client.reset(talk.client.streams[7], ErrorCode.CANCEL)
        talk.open("Waits", b"x", timeout_s=0.01)
        await until(lambda: 11 in talk.status, talk)
        for later in waiting[3:]:
            later.set_result(b"too late")
        await talk.turns()
        assert talk.status == {1: "0", 3: "5", 5: "0", 9: "0", 11: "4"}
        await talk.finish()

    asyncio.run(body())


async def until(condition: Callable[[], bool], talk: Talk) -> None:
    while not condition():
        await talk.turns(1)
        await asyncio.sleep(0.001)


def test_a_plain_handler_and_an_interceptor() -> None:
    seen: list[str] = []

    async def interceptor(_call: object, proceed: Callable[[], Awaitable[None]]) -> None:
        await proceed()
        seen.append("after")

    async def body() -> None:
        def soon(_request: bytes) -> Later[bytes]:
            later: Later[bytes] = Later()
            asyncio.get_running_loop().call_soon(later.set_result, b"y")
            return later

        bound = [bind(method("Soon"), soon), bind(method("Now"), lambda request: request)]
        talk = Talk(bound, interceptors=[interceptor])
        talk.open("Soon", b"x")
        talk.open("Now", b"x")
        await talk.turns()
        assert talk.status == {1: "0", 3: "0"}
        assert seen == ["after", "after"]
        await talk.finish()

    asyncio.run(body())
