"""Brake: when writes wait, and when they are refused."""

import asyncio
from dataclasses import replace

import pytest

from raftly.base.region_errors import ServerIsBusy
from raftly.engine.base import CF_DEFAULT
from raftly.engine.memory import MemoryEngine
from raftly.store.brake import FIRST_S, LONGEST_S, LOOK_S, REFUSE_AFTER_S, Brake
from raftly.store.ops import Put
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
