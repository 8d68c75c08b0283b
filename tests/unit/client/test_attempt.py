"""An attempt of a client: what it says when its time is over."""

from __future__ import annotations

import asyncio
from random import Random

import pytest

from raftly.base.region_errors import ServerIsBusy
from raftly.client import NotDone
from raftly.client.backoff import Cause
from raftly.client.regions import Attempt, Kind
from raftly.rpc import RpcError, StatusCode

LATE = RpcError(StatusCode.DEADLINE_EXCEEDED, "the deadline passed")


def test_what_stood_in_the_way_is_told_and_not_that_the_last_try_was_cut_short() -> None:
    async def body() -> None:
        attempt = Attempt("get", Kind.READ, asyncio.get_running_loop().time(), Random(1), 1.0)
        with pytest.raises(NotDone, match="the deadline passed"):
            await attempt.wait(Cause.CONNECTION, LATE)  # there is nothing better to say
        for problem in (ServerIsBusy("its disk is slow"), LATE):
            with pytest.raises(NotDone, match="its disk is slow"):
                await attempt.wait(Cause.BUSY, problem)

    asyncio.run(body())


def test_what_is_too_late_for_an_answer_is_not_sent() -> None:
    """It slept for longer than it was to."""

    async def body() -> None:
        loop = asyncio.get_running_loop()
        attempt = Attempt("put", Kind.WRITE, loop.time() + 3600.0, Random(1), 1.0)
        waiting = asyncio.create_task(attempt.wait(Cause.LEADER_MOVED, LATE))
        await asyncio.sleep(0)
        attempt.backoff.deadline = loop.time()  # type: ignore[misc]
        with pytest.raises(NotDone, match="the deadline passed"):
            await waiting

    asyncio.run(body())


def test_parts_of_a_read_that_are_late_together_double_its_time_once() -> None:
    async def body() -> None:
        for kind, longest_s in ((Kind.READ, 4.0), (Kind.WRITE, 1.0)):
            attempt = Attempt("batch_get", kind, asyncio.get_running_loop().time(), Random(1), 1.0)
            for late_s in (1.0, 1.0, 2.0, 1.0):
                attempt.on_late(late_s)
            assert attempt.longest_s == longest_s

    asyncio.run(body())
