"""A store that stops lets go of all it holds, whoever waits for that."""

from __future__ import annotations

import asyncio

import pytest

from raftly.engine.base import CF_DEFAULT
from raftly.errors import StorageError
from raftly.store.ops import Put
from tests.support.virtual import run
from tests.unit.store.cluster import Cluster, soon


def test_a_stop_that_is_cancelled_lets_go_of_everything_before_it_raises() -> None:
    async def main() -> None:
        cluster = Cluster(3)
        await cluster.start()
        store, peer = await cluster.leader()
        number = cluster.stores.index(store)
        await store.write(cluster.context(peer), [Put(CF_DEFAULT, b"k", b"v")], soon())
        cluster.network.isolate(store.id)  # so nobody takes its leadership, for which it waits
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.01):
                await store.stop()
        assert isinstance(peer.failure, StorageError)
        assert store.id not in cluster.network.nodes
        await store.stop()
        cluster.network.heal()
        again = await cluster.boot(number)  # nobody has its directory
        assert again.id == store.id
        await cluster.stop()

    run(main())


def test_who_stops_what_is_stopping_waits_for_its_end() -> None:
    async def main() -> None:
        cluster = Cluster(3)
        await cluster.start()
        store, peer = await cluster.leader()
        first = asyncio.ensure_future(store.stop())
        await asyncio.sleep(0)
        await store.stop()
        assert isinstance(peer.failure, StorageError)
        await first
        await cluster.stop()

    run(main())
