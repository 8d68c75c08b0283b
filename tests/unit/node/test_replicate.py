"""The short way: over TCP on loopback."""

import asyncio
from pathlib import Path

import pytest

from raftly.errors import ConfigError
from raftly.node import replicate
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


def test_what_cannot_be_meant_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no node 1"):
        asyncio.run(replicate(Register, 1, {2: ("127.0.0.1", 0)}, str(tmp_path)))
    with pytest.raises(ConfigError):
        asyncio.run(replicate(Register, 1, {1: ("0.0.0.0", 0)}, str(tmp_path)))
