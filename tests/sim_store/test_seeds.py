"""Regions under faults: what was acknowledged stays, replicas agree, regions cover all keys, epochs never go back."""

import asyncio

import pytest

from tests.sim_store.clients import Client, check_all, stream
from tests.sim_store.world import StoreWorld


def play(seed: int, seconds: float, size: int = 4) -> StoreWorld:
    world = StoreWorld(seed, size)

    async def script() -> None:
        await world.start()
        clients = [Client(world, number) for number in range(4)]
        over = asyncio.Event()
        watch = asyncio.get_running_loop().create_task(world.watch())
        async with asyncio.TaskGroup() as tasks:
            for client in clients:
                tasks.create_task(client.work(over))
            await world.trouble(stream(world, "trouble"), seconds)
            over.set()
        await world.settle()
        await check_all(clients)
        watch.cancel()
        assert not watch.done() or watch.cancelled() or watch.exception() is None
        assert sum(client.writes for client in clients) > 10 * seconds

    world.run(script(), within=300)
    return world


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_a_cluster_under_all_faults(seed: int) -> None:
    world = play(seed, seconds=6.0)
    assert len(list(world.placement.leader.cluster.regions)) > 3
