"""Crashes at the moments that a store must be ready for."""

import asyncio
from dataclasses import replace

import pytest

from raftly.engine.base import CF_DEFAULT
from raftly.store import snapshots
from raftly.store.kv import RequestContext
from raftly.store.ops import Put
from raftly.store.region_snapshot import ingest_region
from raftly.store.region_state import PeerState, all_region_states
from tests.sim_store.world import OPTIONS, StoreWorld


def test_a_snapshot_that_was_half_applied_is_applied_again(monkeypatch: pytest.MonkeyPatch) -> None:
    world = StoreWorld(seed=5, size=3, options=replace(OPTIONS, region_max_bytes=1 << 30, region_split_bytes=1 << 29))

    begun: list[float] = []

    async def slow_ingest(*args: object) -> object:
        begun.append(world.world.now)
        if len(begun) == 1:
            await asyncio.sleep(60)
        return await ingest_region(*args)  # type: ignore[arg-type]

    monkeypatch.setattr(snapshots, "ingest_region", slow_ingest)

    async def script() -> None:
        begun[:] = [-1.0]  # the first peers come by snapshots too
        await world.start()
        region = world.placement.leader.cluster.regions.by_key(b"")
        assert region is not None
        away = next(number for number, store in world.running.items() if store.id != region.leader.store_id)
        world.hosts[away].kill()
        leader = next((number, store) for number, store in world.running.items() if store.id == region.leader.store_id)

        async def write() -> None:
            peer = leader[1].peer_of(region.region.id)
            assert peer is not None
            ctx = RequestContext(peer.region.id, peer.region.epoch, peer.own())
            for number in range(200):
                deadline = asyncio.get_running_loop().time() + 5.0
                await leader[1].write(ctx, [Put(CF_DEFAULT, b"%03d" % number, b"v")], deadline)

        await world.hosts[leader[0]].run(write())
        await asyncio.sleep(1.0)
        begun.clear()
        await world.boot(away)
        await world.until(lambda: len(begun) == 1, "no snapshot came")
        states = all_region_states(world.running[away].engine)
        assert [state.state for state in states] == [PeerState.APPLYING]
        world.hosts[away].kill()
        await world.boot(away)
        assert len(begun) == 2
        assert len(world.running[away].engine.scan(CF_DEFAULT, b"z", b"{", 1000)) == 200
        await world.settle()

    world.run(script(), within=300)
