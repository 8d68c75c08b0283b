import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import replace

import pytest

from raftly.base.heartbeats import RegionReport, StoreStats
from raftly.base.operators import ChangeKind, ChangePeers, PeerChange
from raftly.base.region import Peer, PeerRole, Region, RegionEpoch
from raftly.base.store_meta import StoreMeta, StoreState
from raftly.pd import admin
from raftly.pd.errors import Refused
from raftly.pd.leader import SETTLE_S
from raftly.pd.local import LocalPlacement
from raftly.pd.region_tree import StaleRegion
from raftly.store.placement import PlacementClient
from tests.unit.pd.clusters import RunningRegion

FIRST = Region(2, b"", b"", RegionEpoch(1, 1), (Peer(3, 1),))


class Clock:
    def __init__(self) -> None:
        self.now_s = 100.0

    def __call__(self) -> float:
        return self.now_s


def run(main: Callable[[LocalPlacement, Clock], Awaitable[None]]) -> None:
    clock = Clock()
    asyncio.run(_run(main, LocalPlacement(clock), clock))


async def _run(main: Callable[[LocalPlacement, Clock], Awaitable[None]], pd: LocalPlacement, clock: Clock) -> None:
    await main(pd, clock)


def store(id_: int) -> StoreMeta:
    return StoreMeta(id_, f"s{id_}:1")


async def hear(pd: LocalPlacement, *ids: int) -> None:
    for id_ in ids:
        await pd.store_heartbeat(StoreStats(id_))


async def begin(pd: LocalPlacement, stores: int) -> None:
    assert await pd.bootstrap(store(1), FIRST)
    for id_ in range(2, stores + 1):
        await pd.put_store(store(id_))
    await hear(pd, *range(1, stores + 1))


def test_it_is_what_stores_ask() -> None:
    async def main(pd: LocalPlacement, clock: Clock) -> None:
        client: PlacementClient = pd
        assert await client.cluster_id() == 1
        assert not await client.is_bootstrapped()
        assert [await client.alloc_id(), await client.alloc_id()] == [1, 2]
        assert await client.bootstrap(store(1), FIRST)
        assert not await client.bootstrap(store(1), FIRST)
        assert await client.is_bootstrapped()
        assert await client.region_by_key(b"x") == (FIRST, Peer(3, 1))
        assert await client.region_by_id(2) == (FIRST, Peer(3, 1))
        assert await client.region_by_id(3) is None
        assert await client.store_of(1) == store(1)
        assert await client.store_of(2) is None
        with pytest.raises(Refused):
            await client.store_heartbeat(StoreStats(2))

    run(main)


def test_a_region_comes_to_its_three_replicas_and_leaves_a_store_that_is_removed() -> None:
    async def main(pd: LocalPlacement, clock: Clock) -> None:
        await begin(pd, 4)
        region = RunningRegion(FIRST, 3)

        async def turns(count: int) -> None:
            for _ in range(count):
                clock.now_s += 1.0
                await hear(pd, 2, 3, 4)
                with suppress(Refused):  # it is gone in the end
                    await hear(pd, 1)
                region.do(await pd.region_heartbeat(region.report()))

        await turns(20)
        assert len(region.region.peers) == 3
        assert all(peer.role is PeerRole.VOTER for peer in region.region.peers)
        pd.remove_store(1)
        await turns(20)
        assert {peer.store_id for peer in region.region.peers} == {2, 3, 4}
        assert [meta.id for meta in await pd.stores()] == [2, 3, 4], "it is empty, so it is gone"
        removed = await pd.store_of(1)
        assert removed is not None
        assert removed.state is StoreState.TOMBSTONE

    run(main)


def test_a_new_leader_begins_with_what_was_written_down() -> None:
    async def main(pd: LocalPlacement, clock: Clock) -> None:
        await begin(pd, 3)
        epoch = RegionEpoch(1, 2)
        ids = await pd.ask_batch_split(FIRST, 1)
        left = Region(ids[0].region_id, b"", b"m", epoch, (Peer(ids[0].peer_ids[0], 1),))
        right = replace(FIRST, start_key=b"m", epoch=epoch)
        assert len({2, 3, ids[0].region_id, *ids[0].peer_ids}) == 4
        for half in (left, right):
            await pd.region_heartbeat(RegionReport(half, half.peers[0], term=6))
        await pd.report_batch_split([left, right])
        before = await pd.alloc_id()
        pd.restart()
        assert await pd.region_by_key(b"a") == (left, left.peers[0])
        assert await pd.region_by_key(b"z") == (right, right.peers[0])
        assert await pd.alloc_id() > before
        assert await pd.region_heartbeat(RegionReport(FIRST, FIRST.peers[0], term=9)) is None, (
            "a stale one is not heard"
        )
        assert await pd.region_by_key(b"a") == (left, left.peers[0])
        with pytest.raises(StaleRegion):
            await pd.ask_batch_split(FIRST, 1)

    run(main)


def test_schedulers_wait_until_stores_and_regions_were_heard_or_long_enough() -> None:
    async def main(pd: LocalPlacement, clock: Clock) -> None:
        assert await pd.bootstrap(store(1), FIRST)
        await pd.put_store(store(2))
        settled = [pd.leader.is_settled]
        for store_id in (1, 2):
            await hear(pd, store_id)
            settled.append(pd.leader.is_settled)
        await pd.region_heartbeat(RegionReport(FIRST, FIRST.peers[0]))
        settled.append(pd.leader.is_settled)
        pd.restart()
        for seconds in (SETTLE_S, 1.0):
            clock.now_s += seconds
            await hear(pd, 1)
            settled.append(pd.leader.is_settled)
        assert settled == [False, False, False, True, False, True]

    run(main)


def test_what_people_ask_for_comes_with_the_next_heartbeat() -> None:
    async def main(pd: LocalPlacement, clock: Clock) -> None:
        await begin(pd, 3)
        plan = admin.add_peer(pd.leader, 2, 3)
        operator = await pd.region_heartbeat(RegionReport(FIRST, FIRST.peers[0]))
        assert operator is not None
        (added,) = plan.added
        learner = Peer(added, 3, PeerRole.LEARNER)
        assert operator.step == ChangePeers((PeerChange(ChangeKind.ADD_LEARNER, learner),))
        with pytest.raises(Refused, match="led by a peer that it does not have"):
            await pd.region_heartbeat(RegionReport(FIRST, Peer(9, 9)))

    run(main)
