"""Ending one stream early, by either side, leaves the other calls of its connection alone."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from typing import Any

import pytest

from raftly.rpc.channel import Channel
from raftly.rpc.grpc.status import RpcError, StatusCode
from raftly.rpc.server import Server
from raftly.rpc.service import Kind, Service, bind
from tests.rpc.parties import run
from tests.unit.rpc.memory import method

WATCH = method("Watch", Kind.UNARY_STREAM)
LOAD = method("Load", Kind.STREAM_UNARY)
SLOW = method("Slow")
SMALL = b"x" * 8
MANY = 15_000  # of them fit a stream's window, with what frames and prefixes add


async def watch(_request: bytes) -> AsyncIterator[bytes]:
    while True:
        yield SMALL


async def load(_requests: AsyncIterator[bytes]) -> bytes:
    raise RpcError(StatusCode.INVALID_ARGUMENT, "no")


async def take_one_answer(channel: Channel) -> None:
    async with await channel.open(WATCH) as call:
        await call.send(b"")
        call.done_sending()
        assert await call.recv() == SMALL


async def send_what_is_not_wanted(channel: Channel) -> None:
    with pytest.raises(RpcError, match="no") as caught:
        await load_many(channel)
    assert caught.value.status is StatusCode.INVALID_ARGUMENT


async def load_many(channel: Channel) -> None:
    async with await channel.open(LOAD) as call:
        for _ in range(MANY):
            await call.send(SMALL)
        call.done_sending()
        await call.recv()


@pytest.mark.parametrize("end", [take_one_answer, send_what_is_not_wanted])
def test_other_calls_go_on(end: Callable[[Channel], Coroutine[Any, Any, None]]) -> None:
    async def body() -> None:
        ended = asyncio.Event()

        async def slow(request: bytes) -> bytes:
            await ended.wait()
            return request

        server = Server([Service("t.T", [bind(WATCH, watch), bind(LOAD, load), bind(SLOW, slow)])])
        port = await server.start()
        async with Channel("127.0.0.1", port) as channel:
            other = asyncio.create_task(channel.unary(SLOW, b"done"))
            await end(channel)
            await asyncio.sleep(0.2)  # what was on its way arrives
            ended.set()
            assert await other == b"done"
        assert server.stats.faults == 0
        await server.stop(1.0)

    run(body())
