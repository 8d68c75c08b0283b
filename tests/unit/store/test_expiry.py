"""Expiry: what is taken away, when it is looked for, and what it costs those who do not use it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import replace

import pytest

from raftly.base.region import Peer, Region, RegionEpoch
from raftly.base.region_errors import NotRegionLeader
from raftly.engine.base import CF_DEFAULT, CF_LOCK, CF_WRITE, WriteBatch
from raftly.engine.memory import MemoryEngine
from raftly.store.expiry import Sweeper
from raftly.store.keys import data_key
from raftly.store.kv import RequestContext
from raftly.store.ops import Expire, Op, Put, has_expired
from tests.support.virtual import run
from tests.unit.store.cluster import OPTIONS, Cluster, soon

NOW_S = 1000
MARGIN_S = 5


def stored(expires_s: int, value: bytes = b"v") -> bytes:
    return value + expires_s.to_bytes(8, "big")


class SomePeer:
    """A peer whose log is applied at once; `before_apply` may change the engine first."""

    def __init__(self, engine: MemoryEngine, region: Region) -> None:
        self.engine = engine
        self.region = region
        self.term = 7
        self.knows_all = True
        self.batches: list[int] = []
        self.before_apply: Callable[[], None] = lambda: None

    def own(self) -> Peer:
        return Peer(1, 1)

    def write(self, ops: Sequence[Op]) -> list[object]:
        self.batches.append(len(ops))
        self.before_apply()
        results: list[object] = []
        batch = WriteBatch()
        for op in ops:
            assert isinstance(op, Expire)
            value = self.engine.get(op.cf, data_key(op.key))
            results.append(value is not None and has_expired(value, op.now_s))
            if results[-1]:
                batch.delete(op.cf, data_key(op.key))
        self.engine.write(batch)
        return results


class Swept:
    """A sweeper over some regions of one engine, and a clock."""

    def __init__(self, *regions: Region) -> None:
        self.engine = MemoryEngine()
        self.now_s = float(NOW_S)
        self.peers = [SomePeer(self.engine, region) for region in regions or (Region(2),)]
        self.sweeper = Sweeper(
            self.engine, self.write, lambda: self.now_s, lambda: self.peers, interval=60, margin=MARGIN_S
        )

    async def write(self, ctx: RequestContext, ops: Sequence[Op], _: float) -> list[object]:
        return next(peer for peer in self.peers if peer.region.id == ctx.region_id).write(ops)

    def put(self, key: bytes, expires_s: int, cf: str = CF_DEFAULT, value: bytes = b"v") -> None:
        batch = WriteBatch()
        batch.put(cf, data_key(key), stored(expires_s, value))
        self.engine.write(batch)

    def keys(self, cf: str = CF_DEFAULT) -> list[bytes]:
        return [key[1:] for key, _ in self.engine.scan(cf, b"", b"", 1 << 20)]

    async def sweep(self) -> tuple[int, int]:
        """Regions walked over, and keys removed."""
        walks, removed = self.sweeper.walks, self.sweeper.keys_removed
        await self.sweeper.sweep()
        return self.sweeper.walks - walks, self.sweeper.keys_removed - removed


def test_what_expired_a_margin_ago_goes_from_every_family() -> None:
    async def main() -> None:
        swept = Swept()
        last = NOW_S - MARGIN_S
        for cf in (CF_DEFAULT, CF_LOCK, CF_WRITE):
            for name, expires_s in ((b"", last - 1), (b"a", last), (b"b", last + 1), (b"c", NOW_S + 9), (b"d", 0)):
                swept.put(name, expires_s, cf)
        assert await swept.sweep() == (1, 6)
        for cf in (CF_DEFAULT, CF_LOCK, CF_WRITE):
            assert swept.keys(cf) == [b"b", b"c", b"d"]

    run(main())


def test_a_value_that_was_put_again_meanwhile_stays() -> None:
    async def main() -> None:
        swept = Swept()
        swept.put(b"a", 1)
        swept.put(b"b", 1)
        swept.peers[0].before_apply = lambda: swept.put(b"a", NOW_S + 50)
        assert await swept.sweep() == (1, 1)
        assert swept.keys() == [b"a"]

    run(main())


def test_a_region_is_looked_at_again_when_something_is_due_and_not_before() -> None:
    async def main() -> None:
        swept = Swept()
        swept.put(b"a", NOW_S + 100)
        assert await swept.sweep() == (1, 0)
        swept.now_s += 100 + MARGIN_S - 1
        assert await swept.sweep() == (0, 0)
        swept.now_s += 1
        assert await swept.sweep() == (1, 1)
        swept.now_s += 1e9
        assert await swept.sweep() == (0, 0), "nothing is left that expires"

    run(main())


def test_a_write_that_is_told_of_is_due_even_if_the_walk_came_before_it() -> None:
    async def main() -> None:
        swept = Swept()
        await swept.sweep()
        swept.sweeper.will_expire(2, NOW_S + 10)
        swept.now_s += 10 + MARGIN_S
        assert await swept.sweep() == (1, 0)  # it is in the log, and not applied yet
        swept.put(b"a", NOW_S + 10)
        assert await swept.sweep() == (1, 1)
        assert await swept.sweep() == (0, 0)

    run(main())


def test_walks_that_fail_forget_nothing() -> None:
    async def main() -> None:
        swept = Swept()
        await swept.sweep()
        swept.sweeper.will_expire(2, NOW_S + 10)
        swept.put(b"a", NOW_S + 10)
        swept.now_s += 10 + MARGIN_S

        def refuse() -> None:
            raise NotRegionLeader(2)

        swept.peers[0].before_apply = refuse
        for _ in range(3):
            assert await swept.sweep() == (0, 0)
        swept.peers[0].before_apply = lambda: None
        assert await swept.sweep() == (1, 1)

    run(main())


@pytest.mark.parametrize("change", ["term", "version"])
def test_what_is_known_of_a_region_ends_with_its_leadership_and_its_range(change: str) -> None:
    async def main() -> None:
        swept = Swept()
        peer = swept.peers[0]
        assert await swept.sweep() == (1, 0)
        swept.put(b"a", 1)  # by another leader, or from another region: nobody told of it
        assert await swept.sweep() == (0, 0)
        if change == "term":
            peer.term += 1
        else:
            peer.region = replace(peer.region, epoch=RegionEpoch(1, 9))
        peer.knows_all = False
        assert await swept.sweep() == (0, 0)
        peer.knows_all = True
        assert await swept.sweep() == (1, 1)

    run(main())


def test_a_walk_ends_when_its_peer_leads_no_more() -> None:
    async def main() -> None:
        swept = Swept()
        for number in range(300):
            swept.put(b"%03d" % number, 1)
        peer = swept.peers[0]

        def depose() -> None:
            peer.knows_all = False

        peer.before_apply = depose
        assert await swept.sweep() == (0, 128)
        assert len(swept.keys()) == 172

    run(main())


def test_a_walk_is_made_of_small_slices_with_rests_between() -> None:
    async def main() -> None:
        swept = Swept()
        for number in range(1000):
            swept.put(b"%04d" % number, 1)
        for number in range(5):
            swept.put(b"large%d" % number, 1, value=bytes(200 << 10))
        began = asyncio.get_running_loop().time()
        assert await swept.sweep() == (1, 1005)
        batches = swept.peers[0].batches
        assert max(batches) == 128
        assert batches[-2:] == [2, 1]
        assert asyncio.get_running_loop().time() - began > 0.2

    run(main())


def test_regions_have_their_own_keys_and_many_of_them_take_their_time() -> None:
    async def main() -> None:
        count = 100
        bounds = [b"", *(b"%03d" % number for number in range(1, count)), b""]
        swept = Swept(*(Region(2 + at, bounds[at], bounds[at + 1]) for at in range(count)))
        for number in range(count):
            swept.put(b"%03d" % number, 1)
        began = asyncio.get_running_loop().time()
        assert await swept.sweep() == (count, count)
        assert [peer.batches for peer in swept.peers] == [[1]] * count
        assert asyncio.get_running_loop().time() - began > 0.1
        assert await swept.sweep() == (0, 0)

    run(main())


def test_a_store_sweeps_what_it_leads_on_all_replicas_and_wakes_no_region_for_nothing() -> None:
    async def main() -> None:
        cluster = Cluster(options=replace(OPTIONS, hibernate_ticks=5, sweep_interval=2.0, sweep_margin=5.0))
        cluster.wall_clock = lambda: NOW_S + asyncio.get_running_loop().time()
        await cluster.start()
        store, peer = await cluster.leader()
        expires_s = int(cluster.wall_clock()) + 60
        store.will_expire(peer.region.id, expires_s)
        ops = [Put(CF_DEFAULT, b"goes", stored(expires_s)), Put(CF_DEFAULT, b"stays", stored(0))]
        await store.write(cluster.context(peer), ops, soon())
        sweepers = [one.sweeper for one in cluster.running() if one.sweeper is not None]
        assert len(sweepers) == 3
        await cluster.until(lambda: all(one.group.asleep for _, one in cluster.peers(b"") if one.group is not None))
        woken = 0
        while cluster.wall_clock() < expires_s + 4:
            woken += any(one.group is not None and not one.group.asleep for _, one in cluster.peers(b""))
            await asyncio.sleep(0.1)
        assert woken == 0
        assert sum(sweeper.walks for sweeper in sweepers) == 1
        await cluster.until(lambda: all(len(held(one.engine)) == 1 for one in cluster.running()))
        assert sum(sweeper.keys_removed for sweeper in sweepers) == 1
        assert held(store.engine) == [b"zstays"]
        await cluster.stop()

    def held(engine: object) -> list[bytes]:
        assert isinstance(engine, MemoryEngine)
        return [key for key, _ in engine.scan(CF_DEFAULT, b"", b"", 9)]

    run(main())
