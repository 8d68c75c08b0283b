"""Callers elsewhere over real sockets: three nodes on loopback, a leader that stops, another that takes over."""

from __future__ import annotations

import asyncio
import socket
from contextlib import ExitStack
from pathlib import Path

import pytest

from raftly.errors import PeerRefused
from raftly.node import NodeConfig, Replicated, connect, replicate
from raftly.node.structures import Dict, watch
from raftly.transport.options import Address
from tests.support.nodes import Register


def free_addresses(count: int) -> dict[int, Address]:
    with ExitStack() as held:
        sockets = [held.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(count)]
        return {id_: ("127.0.0.1", one.getsockname()[1]) for id_, one in enumerate(sockets, start=1)}


def test_a_session_goes_on_over_a_change_of_leader(tmp_path: Path) -> None:
    async def main() -> None:
        addresses = free_addresses(3)

        async def start(id_: int) -> Replicated[Register]:
            (tmp_path / str(id_)).mkdir(exist_ok=True)
            config = NodeConfig(id_, (1, 2, 3), tick=0.02, lease=0.08, clock_drift=0.02)
            return await replicate(Register, id_, addresses, str(tmp_path / str(id_)), config=config)

        nodes = {id_: await start(id_) for id_ in (1, 2, 3)}
        async with connect(Register, [addresses[2]]) as caller:
            session = await caller.open_session()
            assert await session.call(Register.add, "a", 1) == 1
            leader = await nodes[1].wait_leader()
            calls = [asyncio.ensure_future(session.call(Register.add, "a", 1)) for _ in range(100)]
            stopping = asyncio.ensure_future(nodes.pop(leader).stop())
            later = [asyncio.ensure_future(session.call(Register.add, "a", 1)) for _ in range(100)]
            assert sorted(await asyncio.gather(*calls, *later)) == list(range(2, 202))
            await stopping
            assert await caller.ask(Register.get, "a") == 201
            status = await caller.members()
            assert status.leader != leader
            assert sorted((member.host, member.port) for member in status.members) == sorted(addresses.values())
        async with connect(Register, list(addresses.values()), cluster_id=2) as stranger:
            with pytest.raises(PeerRefused, match="cluster 2"):
                await stranger.call(Register.add, "a", 1)
        for node in nodes.values():
            await node.stop()

    asyncio.run(main())


def test_a_watch_goes_on_over_a_change_of_leader(tmp_path: Path) -> None:
    async def main() -> None:
        addresses = free_addresses(3)

        async def start(id_: int) -> Replicated[Dict[str, int]]:
            (tmp_path / str(id_)).mkdir(exist_ok=True)
            config = NodeConfig(id_, (1, 2, 3), tick=0.02, lease=0.08, clock_drift=0.02)
            return await replicate(Dict[str, int], id_, addresses, str(tmp_path / str(id_)), config=config)

        nodes = {id_: await start(id_) for id_ in (1, 2, 3)}
        async with connect(Dict[str, int], [addresses[2]]) as caller, asyncio.timeout(60):
            watching = watch(caller, Dict.changes)

            async def take(count: int) -> list[int]:
                return [(await anext(watching)).revision for _ in range(count)]

            told = asyncio.ensure_future(take(40))
            session = await caller.open_session()
            for count in range(20):
                await session.call(Dict.put, "a", count)
            leader = await nodes[1].wait_leader()
            stopping = asyncio.ensure_future(nodes.pop(leader).stop())
            for count in range(20):
                await session.call(Dict.put, "a", count)
            assert await told == list(range(1, 41))
            await stopping
        for node in nodes.values():
            await node.stop()

    asyncio.run(main())
