"""A loop in a thread: how it ends when nobody has the patience to wait, and that a forked process has none of it."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Iterable
from concurrent.futures import Future

import pytest

from raftly import loop_thread
from raftly.loop_thread import Forked, LoopStopped, LoopThread


def test_a_stop_that_is_interrupted_is_finished_by_the_thread_and_may_be_waited_for() -> None:
    thread = LoopThread("test")
    go_on = threading.Event()
    done: list[str] = []

    async def last() -> None:
        while not go_on.is_set():  # noqa: ASYNC110 - of another thread
            await asyncio.sleep(0)
        done.append("in order")

    def interrupted(_: Iterable[Future[None]]) -> None:
        raise KeyboardInterrupt

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(loop_thread, "wait", interrupted)
        with pytest.raises(KeyboardInterrupt):
            thread.stop(last())
    assert thread.do(lambda: 1) == 1
    go_on.set()
    thread.stop(last())
    assert done == ["in order"]
    assert not any(other.name == "test" for other in threading.enumerate())
    with pytest.raises(LoopStopped):
        thread.do(lambda: 1)


def test_a_stop_tells_what_went_wrong_and_ends_the_thread() -> None:
    thread = LoopThread("test")

    async def last() -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        thread.stop(last())
    thread.stop()
    assert not any(other.name == "test" for other in threading.enumerate())


def test_a_forked_process_hears_that_the_thread_is_not_there(monkeypatch: pytest.MonkeyPatch) -> None:
    thread = LoopThread("test")
    begun: list[str] = []

    async def work() -> None:
        begun.append("it")

    with monkeypatch.context() as child:
        child.setattr(os, "getpid", lambda: -1)
        with thread._lock:  # it was held while the process was forked, and nobody lets it go
            with pytest.raises(Forked, match="make another one in the child"):
                thread.run(work())
            with pytest.raises(Forked):
                thread.do(lambda: begun.append("it"))
            thread.stop(work())
    assert begun == []
    assert thread.do(lambda: 1) == 1
    thread.stop()
