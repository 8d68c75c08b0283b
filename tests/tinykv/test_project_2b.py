"""TinyKV's project 2B: five stores, one region, clients, and trouble of every kind."""

from __future__ import annotations

import pytest

from tests.tinykv.client import Client
from tests.tinykv.scenario import Scenario, play
from tests.tinykv.stores import SimStores


@pytest.mark.tinykv("TestBasic2B")
def test_one_client() -> None:
    play(Scenario(), seed=1)


@pytest.mark.tinykv("TestConcurrent2B")
def test_many_clients() -> None:
    play(Scenario(clients=5), seed=2)


@pytest.mark.tinykv("TestUnreliable2B")
def test_lost_messages() -> None:
    stores = play(Scenario(clients=5, unreliable=True), seed=3)
    assert stores.world.net.lost > 0


@pytest.mark.tinykv("TestOnePartition2B")
def test_a_minority_with_the_old_leader_serves_nothing_and_catches_up() -> None:
    stores = SimStores(seed=4)

    async def script() -> None:
        await stores.start()
        client = Client(stores)
        await client.put(b"k0", b"v0")
        first = await stores.wait_leader(b"k0")
        others = [id_ for id_ in stores.hosts if id_ != first]

        with stores.partition([first, *others[:2]], others[2:]):
            await client.put(b"k1", b"v1")
            assert await client.get(b"k1") == b"v1"
            for id_ in others[2:]:
                assert stores.stored(id_, b"k1") is None

        await stores.wait_stored(b"k1", b"v1", stores.hosts)
        first = await stores.wait_leader(b"k1")
        others = [id_ for id_ in stores.hosts if id_ != first]
        with stores.partition([first, others[0]], others[1:]):
            assert await client.get(b"k1") == b"v1"
            await client.put(b"k1", b"changed")
            assert await client.get(b"k1") == b"changed"
            assert await stores.wait_leader(b"k1") not in (first, others[0])
            for id_ in (first, others[0]):
                assert stores.stored(id_, b"k1") == b"v1"

        await stores.wait_stored(b"k1", b"changed", stores.hosts)
        await client.put(b"k2", b"v2")
        await stores.wait_stored(b"k2", b"v2", stores.hosts)

    stores.run(script(), within=120)


@pytest.mark.tinykv("TestManyPartitionsOneClient2B")
def test_one_client_and_partitions() -> None:
    play(Scenario(partitions=True), seed=5)


@pytest.mark.tinykv("TestManyPartitionsManyClients2B")
def test_many_clients_and_partitions() -> None:
    play(Scenario(clients=5, partitions=True), seed=6)


@pytest.mark.tinykv("TestPersistOneClient2B")
def test_one_client_and_restarts() -> None:
    play(Scenario(restarts=True), seed=7)


@pytest.mark.tinykv("TestPersistConcurrent2B")
def test_many_clients_and_restarts() -> None:
    play(Scenario(clients=5, restarts=True), seed=8)


@pytest.mark.tinykv("TestPersistConcurrentUnreliable2B")
def test_lost_messages_and_restarts() -> None:
    play(Scenario(clients=5, unreliable=True, restarts=True), seed=9)


@pytest.mark.tinykv("TestPersistPartition2B")
def test_partitions_and_restarts() -> None:
    play(Scenario(clients=5, partitions=True, restarts=True), seed=10)


@pytest.mark.tinykv("TestPersistPartitionUnreliable2B")
def test_lost_messages_partitions_and_restarts() -> None:
    play(Scenario(clients=5, unreliable=True, partitions=True, restarts=True), seed=11)
