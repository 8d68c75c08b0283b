"""Followers hear of commits soon, and of many at once."""

import asyncio
from typing import cast

from raftly.core.messages import Message, MsgApp
from raftly.node.telling import TELL_S
from raftly.transport.base import Transport
from tests.support.nodes import Nodes, Register
from tests.support.virtual import run


class Noting:
    """A transport that notes what is sent."""

    def __init__(self, inner: Transport, sent: list[Message]) -> None:
        self.inner = inner
        self.sent = sent

    def send(self, to: int, batch: list[tuple[int, list[Message]]]) -> None:
        for _, messages in batch:
            self.sent += messages
        self.inner.send(to, batch)

    async def close(self) -> None:
        await self.inner.close()


def test_followers_hear_of_a_commit_long_before_the_next_heartbeat() -> None:
    async def main() -> None:
        async with Nodes() as nodes:
            leader = await nodes.leader()
            await asyncio.sleep(1)
            await leader.call(Register.set, "a", 1)
            await asyncio.sleep(3 * TELL_S)
            assert [other.look(Register.get, "a") for other in nodes.others(leader)] == [1, 1]

    run(main())


def test_the_next_append_tells_of_the_commit_before_it() -> None:
    async def main() -> None:
        async with Nodes() as nodes:
            leader = await nodes.leader()
            await asyncio.sleep(1)
            sent: list[Message] = []
            leader._driver._transport = cast("Transport", Noting(leader._driver._transport, sent))
            for value in range(10):
                await leader.call(Register.set, "a", value)
            assert [type(message) for message in sent] == [MsgApp] * 10 * 2, "none only tells of a commit"
            await asyncio.sleep(3 * TELL_S)
            assert len(sent) == 11 * 2

    run(main())
