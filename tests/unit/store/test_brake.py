"""Brake: when writes wait, and when they are refused."""

import asyncio
from dataclasses import replace

import pytest

from raftly.base.region_errors import NotRegionLeader, ServerIsBusy
from raftly.core.messages import MsgHeartbeat
from raftly.engine.base import CF_DEFAULT
from raftly.engine.memory import MemoryEngine
from raftly.store.brake import FIRST_S, LONGEST_S, LOOK_S, REFUSE_AFTER_S, Brake
from raftly.store.ops import Cas, CasResult, Put
from raftly.store.peer import RegionPeer
from tests.support.virtual import run
from tests.unit.store.cluster import Cluster, soon


def test_writes_wait_longer_and_longer_then_are_refused_and_go_on_once_it_is_over() -> None:
    busy = [False]
    brake = Brake(lambda: busy[0])
    assert brake.delay(100.0) == 0.0
    busy[0] = True
    assert brake.delay(100.0 + LOOK_S / 2) == 0.0  # the engine is not asked for every write
    assert brake.delay(100.0 + LOOK_S) == FIRST_S
    delays = [brake.delay(101.0 + second) for second in range(20)]
    assert delays == sorted(delays)
    assert FIRST_S < delays[0] < delays[-1] == LONGEST_S
    with pytest.raises(ServerIsBusy, match="behind for 21 seconds") as caught:
        brake.delay(101.0 + REFUSE_AFTER_S + LOOK_S)
    assert caught.value.backoff_ms > 0
    busy[0] = False
    assert brake.delay(130.0) == 0.0


def test_a_store_that_nobody_wrote_to_for_long_begins_anew() -> None:
    brake = Brake(lambda: True)
    assert brake.delay(0.0) == FIRST_S
    assert brake.delay(2 * REFUSE_AFTER_S) == FIRST_S


async def held_back(cluster: Cluster, busy: list[bool]) -> tuple[RegionPeer, asyncio.Future[list[object]]]:
    """A write of `k` that waits at the brake for long, and the brake is off again."""
    await cluster.start()
    store, peer = await cluster.leader()
    busy[0] = True
    for _ in range(20):
        await store.write(cluster.context(peer), [Put(CF_DEFAULT, b"x", b"")], soon())
        await asyncio.sleep(LOOK_S)
    first = store.write(cluster.context(peer), [Put(CF_DEFAULT, b"k", b"1")], soon())
    await asyncio.sleep(LOOK_S)
    busy[0] = False
    assert not first.done()
    assert store.parts.brake.waiting == 1
    return peer, first


def test_a_write_that_waited_is_not_done_after_one_that_came_later(monkeypatch: pytest.MonkeyPatch) -> None:
    busy = [False]
    stats = MemoryEngine.stats
    monkeypatch.setattr(MemoryEngine, "stats", lambda engine: replace(stats(engine), is_busy=busy[0]))

    async def main() -> None:
        cluster = Cluster(1)
        peer, first = await held_back(cluster, busy)
        (store,) = cluster.running()
        assert await store.write(cluster.context(peer), [Cas(CF_DEFAULT, b"k", b"1", b"2")], soon()) == [
            CasResult(True, b"1")
        ]
        assert await first == [None]
        assert store.parts.brake.waiting == 0
        await asyncio.sleep(1.0)
        assert store.engine.get(CF_DEFAULT, b"zk") == b"2"
        await cluster.stop()

    run(main())


@pytest.mark.parametrize("leaves", [False, True], ids=["another leads", "it leaves its group"])
def test_a_write_that_waited_is_not_done_by_a_peer_that_led_no_more(
    monkeypatch: pytest.MonkeyPatch, leaves: bool
) -> None:
    busy = [False]
    stats = MemoryEngine.stats
    monkeypatch.setattr(MemoryEngine, "stats", lambda engine: replace(stats(engine), is_busy=busy[0]))

    async def main() -> None:
        cluster = Cluster(3)
        peer, first = await held_back(cluster, busy)
        if leaves:
            peer.rest("a test")
        else:
            assert peer.group is not None
            heir = next(member.id for member in peer.region.peers if member.id != peer.peer_id)
            peer.group.act(lambda raw: raw.step(MsgHeartbeat(peer.peer_id, heir, peer.term + 1)))
        await asyncio.sleep(0.001)
        assert first.done(), "before it may lead again"
        with pytest.raises(NotRegionLeader):
            await first
        assert peer.shared.brake.waiting == 0
        await cluster.stop()

    run(main())


def test_writes_of_a_store_wait_while_its_engine_is_busy(monkeypatch: pytest.MonkeyPatch) -> None:
    busy = [True]
    stats = MemoryEngine.stats
    monkeypatch.setattr(MemoryEngine, "stats", lambda engine: replace(stats(engine), is_busy=busy[0]))

    async def main() -> None:
        cluster = Cluster(1)
        await cluster.start()
        store, peer = await cluster.leader()
        put = [Put(CF_DEFAULT, b"k", b"v")]
        waiting = store.write(cluster.context(peer), put, soon())
        placed = peer.group
        assert placed is not None
        assert not placed.proposals
        assert await waiting == [None]
        refused = False
        while not refused:
            try:
                await store.write(cluster.context(peer), put, soon())
            except ServerIsBusy:
                refused = True
        busy[0] = False
        await asyncio.sleep(LOOK_S)
        again = store.write(cluster.context(peer), put, soon())
        assert len(placed.proposals) == 1
        assert await again == [None]
        await cluster.stop()

    run(main())
