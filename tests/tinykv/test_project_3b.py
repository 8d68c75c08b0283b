"""TinyKV's project 3B: leadership, peers and regions that move while stores serve. docs/tinykv.md lists all.

A peer that was removed never comes back: whoever returns to a store is a new peer. And a leader hands over before it is
removed. The course leaves both open.
"""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import pytest

from raftly.base.region import Peer, StoreId
from raftly.base.region_errors import KeyNotInRegion
from tests.tinykv.client import Client, reading
from tests.tinykv.scenario import Scenario, play
from tests.tinykv.stores import OPTIONS, SimStores


@pytest.mark.tinykv("TestTransferLeader3B")
def test_leadership_goes_to_each_store_in_turn() -> None:
    stores = SimStores(seed=1)

    async def script() -> None:
        await stores.start()
        client = Client(stores)
        for id_ in (2, 3, 4, 5, 1):
            assert await stores.placement.transfer_leader(1, id_, within=5.0)
            await client.put(b"k", b"%d" % id_)
            assert stores.placement.report_of(b"k").leader.store_id == id_

    stores.run(script(), within=60)


class Moving:
    """Region 1 of five stores, whose peers a test moves; every peer is new."""

    def __init__(self, seed: int) -> None:
        self.stores = SimStores(seed)
        self.client = Client(self.stores)

    def holders(self) -> dict[StoreId, Peer]:
        """Where the region has its peers."""
        return {peer.store_id: peer for peer in self.stores.placement.report_of(b"").region.peers}

    def conf_ver(self) -> int:
        return self.stores.placement.report_of(b"").region.epoch.conf_ver

    async def remove(self, store_id: StoreId) -> None:
        """Take the region's peer from a store, which then has none of its keys."""
        before = self.conf_ver()
        assert await self.stores.placement.remove_peer(1, self.holders()[store_id])
        assert self.conf_ver() > before
        await self.expect(store_id, None)

    async def add(self, store_id: StoreId) -> None:
        """Give the region a new peer there."""
        before = self.conf_ver()
        peer = Peer(await self.stores.placement.alloc_id(), store_id)
        assert await self.stores.placement.add_peer(1, peer)
        assert self.conf_ver() > before

    async def expect(self, store_id: StoreId, value: bytes | None, *keys: bytes) -> None:
        """Wait until a store has this value for these keys; None: no keys at all."""
        for key in keys:
            await self.stores.wait_stored(key, value, [store_id])
        if value is None:
            await self.stores.until(
                lambda: self.stores.all_stored(store_id) == [], f"store {store_id} still has keys of the region"
            )

    async def put(self, *keys: bytes) -> None:
        for key in keys:
            await self.client.put(key, b"v")


@pytest.mark.tinykv("TestBasicConfChange3B")
def test_who_is_added_has_all_and_who_is_removed_has_nothing() -> None:
    moving = Moving(seed=2)

    async def script() -> None:
        await moving.stores.start()
        for id_ in (2, 3, 4, 5):
            await moving.remove(id_)
        assert list(moving.holders()) == [1]
        await moving.put(b"k1")
        for id_ in (2, 3, 4, 5):
            assert moving.stores.all_stored(id_) == []

        await moving.add(2)
        await moving.put(b"k2")
        await moving.expect(2, b"v", b"k1", b"k2")
        await moving.add(3)
        await moving.expect(3, b"v", b"k1", b"k2")

        await moving.remove(2)
        await moving.put(b"k3")
        assert moving.stores.all_stored(2) == []
        await moving.expect(3, b"v", b"k3")
        await moving.add(2)
        await moving.expect(2, b"v", b"k1", b"k2", b"k3")

        await moving.remove(3)
        await moving.add(3)
        await moving.put(b"k4")
        for id_ in (1, 2, 3):
            await moving.expect(id_, b"v", b"k1", b"k2", b"k3", b"k4")
        assert moving.stores.all_stored(5) == []

    moving.stores.run(script(), within=120)


@pytest.mark.tinykv("TestConfChangeRemoveLeader3B")
def test_the_leader_is_removed_also_as_one_of_two() -> None:
    moving = Moving(seed=3)

    async def script() -> None:
        stores = moving.stores
        await stores.start()
        assert await stores.placement.transfer_leader(1, 1)
        await moving.put(b"k1")
        await moving.remove(1)  # the leader
        await moving.put(b"k2")
        assert stores.all_stored(1) == []

        await moving.add(1)
        await moving.expect(1, b"v", b"k1", b"k2")
        assert await stores.placement.transfer_leader(1, 1)
        await moving.put(b"k3")

        for id_ in (3, 4, 5):
            await moving.remove(id_)
        assert sorted(moving.holders()) == [1, 2]
        assert await stores.placement.transfer_leader(1, 1)
        await moving.remove(1)  # the leader, and one of two
        assert list(moving.holders()) == [2]
        await moving.put(b"k4")
        assert stores.all_stored(1) == []
        await moving.add(1)
        await moving.expect(1, b"v", b"k1", b"k2", b"k3", b"k4")

    moving.stores.run(script(), within=120)


@pytest.mark.tinykv("TestOneSplit3B")
def test_a_region_splits_by_size_while_a_store_is_away() -> None:
    stores = SimStores(seed=4, options=replace(OPTIONS, region_max_bytes=800, region_split_bytes=500))

    async def script() -> None:
        await stores.start()
        client = Client(stores)
        if await stores.wait_leader(b"") == 5:
            assert await stores.placement.transfer_leader(1, 1)
        whole = stores.placement.report_of(b"").region
        with stores.partition([5], [1, 2, 3, 4]):
            for number in range(100, 200):
                await client.put(b"k%d" % number, b"v%d" % number)
            await stores.until(lambda: len(stores.placement.regions) > 1, "the region did not split")
        await stores.wait_stored(b"k100", b"v100", [5])

        left, right = stores.placement.report_of(b"k1"), stores.placement.report_of(b"k2")  # below and above all keys
        assert left.region.id != right.region.id
        regions = [report.region for report in stores.placement.regions]
        assert (regions[0].start_key, regions[-1].end_key) == (whole.start_key, whole.end_key)
        assert all(below.end_key == above.start_key for below, above in pairwise(regions))
        assert all(region.epoch.version > whole.epoch.version for region in (left.region, right.region))
        with pytest.raises(KeyNotInRegion):
            await client.ask_peer(left.region, left.leader, reading(lambda reader: reader.get("default", b"k2")))
        assert await client.get(b"k199") == b"v199"

    stores.run(script(), within=120)


@pytest.mark.tinykv("TestConfChangeRecover3B")
def test_peers_come_and_go_and_restarts() -> None:
    play(Scenario(moves=True, restarts=True), seed=5)


@pytest.mark.tinykv("TestConfChangeRecoverManyClients3B")
def test_peers_come_and_go_restarts_and_many_clients() -> None:
    play(Scenario(clients=20, moves=True, restarts=True), seed=6)


@pytest.mark.tinykv("TestConfChangeUnreliable3B")
def test_peers_come_and_go_and_lost_messages() -> None:
    play(Scenario(clients=5, moves=True, unreliable=True), seed=7)


@pytest.mark.tinykv("TestConfChangeUnreliableRecover3B")
def test_peers_come_and_go_lost_messages_and_restarts() -> None:
    play(Scenario(clients=5, moves=True, unreliable=True, restarts=True), seed=8)


@pytest.mark.tinykv("TestConfChangeSnapshotUnreliableRecover3B")
def test_peers_come_and_go_with_a_short_log() -> None:
    play(Scenario(clients=5, moves=True, unreliable=True, restarts=True, log_entries=100), seed=9)


@pytest.mark.tinykv("TestConfChangeSnapshotUnreliableRecoverConcurrentPartition3B")
def test_peers_come_and_go_with_a_short_log_and_partitions() -> None:
    play(
        Scenario(clients=5, moves=True, unreliable=True, partitions=True, restarts=True, log_entries=100),
        seed=10,
    )


@pytest.mark.tinykv("TestSplitRecover3B")
def test_splits_and_restarts() -> None:
    play(Scenario(splits=True, restarts=True), seed=11)


@pytest.mark.tinykv("TestSplitRecoverManyClients3B")
def test_splits_restarts_and_many_clients() -> None:
    play(Scenario(clients=20, splits=True, restarts=True), seed=12)


@pytest.mark.tinykv("TestSplitUnreliable3B")
def test_splits_and_lost_messages() -> None:
    play(Scenario(clients=5, splits=True, unreliable=True), seed=13)


@pytest.mark.tinykv("TestSplitUnreliableRecover3B")
def test_splits_lost_messages_and_restarts() -> None:
    play(Scenario(clients=5, splits=True, unreliable=True, restarts=True), seed=14)


@pytest.mark.tinykv("TestSplitConfChangeSnapshotUnreliableRecover3B")
def test_splits_while_peers_come_and_go() -> None:
    play(
        Scenario(clients=5, splits=True, moves=True, unreliable=True, restarts=True, log_entries=100),
        seed=15,
    )


@pytest.mark.tinykv("TestSplitConfChangeSnapshotUnreliableRecoverConcurrentPartition3B")
def test_all_of_it_at_once() -> None:
    play(
        Scenario(clients=5, splits=True, moves=True, unreliable=True, partitions=True, restarts=True, log_entries=100),
        seed=16,
    )
