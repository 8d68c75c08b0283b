"""More in large messages at once than a connection may hold unread: all arrive, with grpcio on either side too."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import grpc.aio
import pytest

from raftly.rpc.channel import Channel
from raftly.rpc.limits import MIB, Limits
from tests.rpc.parties import PATH, Seen, grpcio_server, raftly_server, run
from tests.rpc.protos import echo_rpc
from tests.rpc.protos.echo_pb2 import EchoReply, EchoRequest

LIMITS = Limits(message_bytes_max=32 * MIB)
Unary = Callable[[EchoRequest], Awaitable[EchoReply]]


@asynccontextmanager
async def raftly_client(port: int) -> AsyncIterator[Unary]:
    async with Channel("127.0.0.1", port, limits=LIMITS) as channel:
        yield echo_rpc.EchoClient(channel).unary


@asynccontextmanager
async def grpcio_client(port: int) -> AsyncIterator[Unary]:
    options = [("grpc.max_receive_message_length", -1)]
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}", options=options) as channel:
        yield channel.unary_unary(PATH + "Unary", EchoRequest.SerializeToString, EchoReply.FromString)


SIDES = {"raftly": (True, True), "grpcio calls raftly": (True, False), "raftly calls grpcio": (False, True)}


@pytest.mark.parametrize("sides", SIDES)
@pytest.mark.parametrize(
    ("count", "asked", "answered"),
    [(5, 4_000_000, 1), (40, 1_000_000, 1), (16, 1, 1_200_000), (3, 1, 20_000_000), (12, 2_000_000, 2_000_000)],
)
def test_all_arrive(sides: str, count: int, asked: int, answered: int) -> None:
    ours_serves, ours_calls = SIDES[sides]

    async def body() -> None:
        serve = raftly_server(Seen(), LIMITS) if ours_serves else grpcio_server(Seen())
        connect = raftly_client if ours_calls else grpcio_client
        async with serve as port, connect(port) as unary:
            request = EchoRequest(payload=bytes(asked), reply_bytes=answered)
            replies = await asyncio.gather(*(unary(request) for _ in range(count)))
            assert [len(reply.payload) for reply in replies] == [answered] * count

    run(body())
