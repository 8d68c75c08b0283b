"""The short way: over TCP on loopback."""

import asyncio
import socket
from contextlib import ExitStack
from pathlib import Path

import pytest

from raftly.errors import ConfigError
from raftly.node import FOLLOWER, NodeConfig, Replicated, replicate
from tests.support.nodes import Register


def test_one_node_over_tcp_goes_on_where_its_log_ends(tmp_path: Path) -> None:
    async def main(before: int) -> None:
        node = await replicate(Register, 1, {1: ("127.0.0.1", 0)}, str(tmp_path))
        await node.wait_leader()
        session = await node.open_session()
        assert await session.call(Register.add, "a", 1) == before + 1
        await node.stop()

    asyncio.run(main(0))
    asyncio.run(main(1))


def test_a_follower_far_behind_gets_its_snapshot_over_tcp_and_goes_on(tmp_path: Path) -> None:
    async def main() -> None:
        with ExitStack() as held:
            sockets = [held.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(3)]
            addresses = {id_: ("127.0.0.1", s.getsockname()[1]) for id_, s in enumerate(sockets, start=1)}

        async def start(id_: int) -> Replicated[Register]:
            (tmp_path / str(id_)).mkdir(exist_ok=True)
            config = NodeConfig(id_, (1, 2, 3), snapshot_entries=20, tick=0.02, lease=0.08, clock_drift=0.02)
            return await replicate(Register, id_, addresses, str(tmp_path / str(id_)), config=config)

        nodes = {id_: await start(id_) for id_ in (1, 2, 3)}
        leader = await nodes[1].wait_leader()
        behind = 1 + leader % 3
        await nodes.pop(behind).stop()
        session = await nodes[leader].open_session()
        for _ in range(100):
            await session.call(Register.add, "a", 1)
        nodes[behind] = await start(behind)
        assert nodes[behind].machine.applied < nodes[leader]._log.first_index()
        await nodes[behind].fresh(FOLLOWER)
        assert nodes[behind].look(Register.get, "a") == 100
        assert await session.call(Register.add, "a", 1) == 101
        await nodes[behind].fresh(FOLLOWER)
        assert nodes[behind].look(Register.get, "a") == 101
        for node in nodes.values():
            await node.stop()

    asyncio.run(main())


def test_what_cannot_be_meant_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no node 1"):
        asyncio.run(replicate(Register, 1, {2: ("127.0.0.1", 0)}, str(tmp_path)))
    with pytest.raises(ConfigError):
        asyncio.run(replicate(Register, 1, {1: ("0.0.0.0", 0)}, str(tmp_path)))
