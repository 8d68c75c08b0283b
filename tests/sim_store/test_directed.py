"""Crashes at the moments that a store must be ready for."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace

import pytest

from raftly.engine.base import CF_DEFAULT
from raftly.errors import DiskFull
from raftly.store import snapshots
from raftly.store.kv import RequestContext
from raftly.store.ops import Put
from raftly.store.region_snapshot import ingest_region
from raftly.store.region_state import PeerState, all_region_states
from raftly.testing.sim import Host
from tests.sim_store.world import OPTIONS, StoreWorld

KEYS = 200
"""More than stay in the log."""


class Ingests:
    """Counts how often stores begin to take in the keys of a snapshot; `then`: and does something before the next."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.begun = 0
        self.first: Callable[[], Awaitable[None]] | None = None
        monkeypatch.setattr(snapshots, "ingest_region", self._ingest)

    def then(self, first: Callable[[], Awaitable[None]]) -> None:
        self.begun, self.first = 0, first

    async def _ingest(self, *args: object) -> object:
        self.begun += 1
        if self.first is not None and self.begun == 1:
            await self.first()
        return await ingest_region(*args)  # type: ignore[arg-type]


async def stand_still() -> None:
    await asyncio.sleep(60)


async def put_keys(world: StoreWorld, number: int) -> None:
    """At the store on this host, which leads the first region."""
    store = world.running[number]

    async def write() -> None:
        region = next(iter(store.regions()))
        peer = store.peer_of(region.id)
        assert peer is not None
        ctx = RequestContext(peer.region.id, peer.region.epoch, peer.own())
        for key in range(KEYS):
            await store.write(ctx, [Put(CF_DEFAULT, b"%03d" % key, b"v")], asyncio.get_running_loop().time() + 5.0)

    await world.hosts[number].run(write())


async def while_keys_are_replaced(
    world: StoreWorld, ingests: Ingests, first: Callable[[Host], Awaitable[None]], end: Callable[[int], Awaitable[None]]
) -> None:
    """A store that was away gets a snapshot; `first` comes before its keys, then `end`. It must recover."""
    await world.start()
    region = world.placement.leader.cluster.regions.by_key(b"")
    assert region is not None
    away = next(number for number, store in world.running.items() if store.id != region.leader.store_id)
    leader = next(number for number, store in world.running.items() if store.id == region.leader.store_id)
    world.hosts[away].kill()
    await put_keys(world, leader)
    await asyncio.sleep(1.0)
    ingests.then(lambda: first(world.hosts[away]))
    await world.boot(away)
    await world.until(lambda: ingests.begun == 1, "no snapshot came")
    states = all_region_states(world.running[away].engine)
    assert [state.state for state in states] == [PeerState.APPLYING]
    await end(away)
    await world.boot(away)
    assert ingests.begun == 2
    assert len(world.running[away].engine.scan(CF_DEFAULT, b"z", b"{", 1000)) == KEYS
    await world.settle()


def small_world() -> StoreWorld:
    return StoreWorld(seed=5, size=3, options=replace(OPTIONS, region_max_bytes=1 << 30, region_split_bytes=1 << 29))


def test_a_snapshot_that_was_half_applied_is_applied_again(monkeypatch: pytest.MonkeyPatch) -> None:
    world = small_world()

    async def end(number: int) -> None:
        world.hosts[number].kill()

    world.run(while_keys_are_replaced(world, Ingests(monkeypatch), lambda _: stand_still(), end), within=300)


def test_a_store_that_was_stopped_while_a_snapshot_was_applied_applies_it_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    world = small_world()

    async def end(number: int) -> None:
        await world.hosts[number].run(world.running[number].stop())
        world.hosts[number].kill(power=False)

    world.run(while_keys_are_replaced(world, Ingests(monkeypatch), lambda _: stand_still(), end), within=300)


def test_a_snapshot_for_which_the_disk_had_no_room_is_applied_again(monkeypatch: pytest.MonkeyPatch) -> None:
    world = small_world()

    async def fill(host: Host) -> None:
        host.disk.fill()

    async def end(number: int) -> None:
        host, store = world.hosts[number], world.running[number]
        await asyncio.sleep(1.0)
        with pytest.raises(DiskFull):
            await host.run(store.engine.sync())  # it has met the full disk
        host.kill(power=False)
        host.disk.free()

    world.run(while_keys_are_replaced(world, Ingests(monkeypatch), fill, end), within=300)
