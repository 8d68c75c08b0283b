"""Duties: what a store tells of its regions, and when it looks at them."""

import asyncio
from collections import Counter
from dataclasses import replace

import pytest

from raftly.base.heartbeats import DownPeer, RegionReport
from raftly.base.operators import ChangeKind, ChangePeers, Operator, PeerChange, TransferLeader
from raftly.base.region import Peer
from raftly.base.store_meta import StoreMeta
from raftly.engine.base import CF_DEFAULT
from raftly.pd.config import ScheduleConfig
from raftly.pd.local import LocalPlacement
from raftly.store.duties import next_turn
from raftly.store.ops import Put
from tests.support.virtual import run
from tests.unit.store.cluster import OPTIONS, Cluster, soon


def test_keys_written_again_count_once_when_a_region_was_walked_over() -> None:
    async def main() -> None:
        options = replace(
            OPTIONS, region_max_keys=100, region_split_keys=50, region_split_bytes=1 << 10, split_check_interval=1.0
        )
        cluster = Cluster(1, options=options)
        await cluster.start()
        store, peer = await cluster.leader()
        for _ in range(2):
            for number in range(60):
                await store.write(cluster.context(peer), [Put(CF_DEFAULT, b"%03d" % number, b"v")], soon())
        reports = cluster.placement.leader.cluster.regions

        def told() -> int:
            report = reports.by_id(peer.region.id)
            return 0 if report is None else report.approximate_keys

        await cluster.until(lambda: told() == 60)
        assert peer.keys == 60
        parts = await store.split(cluster.context(peer), [b"030"], soon())
        await cluster.until(lambda: len(store.regions()) == 2)
        cut_off = store.peer_of(parts[1].id)
        assert cut_off is not None
        assert (peer.keys, cut_off.keys) == (30, 30)
        await cluster.stop()

    run(main())


def test_regions_have_their_own_places_in_a_turn() -> None:
    turns = [next_turn(region_id, 1000.0, 60.0) for region_id in range(1, 6001)]
    assert all(1000.0 < turn <= 1060.0 for turn in turns)
    by_second = Counter(int(turn) for turn in turns)
    assert len(by_second) == 60
    assert max(by_second.values()) <= 110
    assert next_turn(7, next_turn(7, 1000.0, 60.0), 60.0) == pytest.approx(next_turn(7, 1000.0, 60.0) + 60.0)


def test_a_region_that_sleeps_is_seldom_reported_and_as_often_as_before_once_it_wakes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    told = 0
    take = LocalPlacement.region_heartbeat

    async def count(placement: LocalPlacement, report: RegionReport) -> Operator | None:
        nonlocal told
        told += 1
        return await take(placement, report)

    monkeypatch.setattr(LocalPlacement, "region_heartbeat", count)

    async def main() -> None:
        nonlocal told
        cluster = Cluster(1, options=replace(OPTIONS, hibernate_ticks=5, region_heartbeat_interval=2.0))
        await cluster.start()
        store, peer = await cluster.leader()
        await cluster.until(lambda: peer.group is not None and peer.group.asleep)
        await asyncio.sleep(5.0)
        told = 0
        await asyncio.sleep(100.0)
        assert 5 <= told <= 6
        told = 0
        for _ in range(100):
            await store.write(cluster.context(peer), [Put(CF_DEFAULT, b"k", b"v")], soon())
            await asyncio.sleep(0.2)
        assert told >= 8
        await cluster.stop()

    run(main())


def test_a_new_leader_of_the_driver_soon_knows_all_regions_that_sleep_and_never_too_many_at_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    told: list[float] = []
    take = LocalPlacement.region_heartbeat

    async def note(placement: LocalPlacement, report: RegionReport) -> Operator | None:
        told.append(asyncio.get_running_loop().time())
        return await take(placement, report)

    monkeypatch.setattr(LocalPlacement, "region_heartbeat", note)

    async def main() -> None:
        slow = replace(OPTIONS, hibernate_ticks=5, region_heartbeat_interval=60.0, store_heartbeat_interval=60.0)
        cluster = Cluster(1, options=slow)
        await cluster.start()
        store, peer = await cluster.leader()
        await store.split(cluster.context(peer), [b"%03d" % number for number in range(1, 200)], soon())
        peers = [store.peer_of(region.id) for region in store.regions()]
        await cluster.until(lambda: all(peer and peer.group and peer.group.asleep for peer in peers))
        cluster.placement.restart()
        await asyncio.sleep(20.0)
        leader = cluster.placement.leader
        assert not leader.is_settled, "without a word most are heard in ten minutes"
        told.clear()
        store.report_all()
        await cluster.until(lambda: len(told) >= 150)
        store.report_all()  # those that are told already are told again, the others once
        await cluster.until(lambda: leader.is_settled, within=3.0)
        assert max(Counter(int(at / 0.03) for at in told).values()) <= 2 * 64
        await asyncio.sleep(20.0)
        assert 200 <= len(told) < 450
        assert all(peer and peer.group and peer.group.asleep for peer in peers), "it wakes none"
        await cluster.stop()

    run(main())


def test_what_is_written_and_read_is_told_and_makes_a_region_hot_only_when_it_lasts() -> None:
    async def main() -> None:
        cluster = Cluster(1)
        await cluster.start()
        cluster.placement.placement.configure(ScheduleConfig(hot_write_bytes_s=200, hot_read_bytes_s=3000))
        driver = cluster.placement.leader
        driver.on_placement(cluster.placement.placement, 0.0)
        store, peer = await cluster.leader()
        hot = driver.cluster.hot

        async def work(seconds: float) -> None:
            until = asyncio.get_running_loop().time() + seconds
            while asyncio.get_running_loop().time() < until:
                await store.write(cluster.context(peer), [Put(CF_DEFAULT, b"k", b"v" * 500)], soon())
                for _ in range(5):
                    (await store.read(cluster.context(peer), soon())).get_many(CF_DEFAULT, [b"k", b"l"])
                    at_once = store.read_now(cluster.context(peer))
                    assert at_once is not None
                    at_once.get(CF_DEFAULT, b"k")
                await asyncio.sleep(1.0)

        await work(25.0)
        assert len(hot) == 1
        assert hot.hot() == [], "reports come every second, and it was busy for too short a time"
        await work(20.0)
        ((region_id, flow),) = hot.hot()
        assert region_id == peer.region.id
        assert 500 < flow.write < 700
        assert 4000 < flow.read < 6000
        await asyncio.sleep(80.0)
        assert hot.hot() == []
        await cluster.stop()

    run(main())


def test_a_store_that_says_it_is_elsewhere_is_looked_up_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[float] = []
    stores = LocalPlacement.stores

    async def note(placement: LocalPlacement) -> list[StoreMeta]:
        asked.append(asyncio.get_running_loop().time())
        return await stores(placement)

    monkeypatch.setattr(LocalPlacement, "stores", note)

    async def main() -> None:
        cluster = Cluster(1, options=replace(OPTIONS, store_heartbeat_interval=60.0))
        await cluster.start()
        store, _ = await cluster.leader()
        await asyncio.sleep(5.0)
        asked.clear()
        now = asyncio.get_running_loop().time()
        store.parts.transport.on_moved(2)
        await asyncio.sleep(1.0)
        assert asked == [pytest.approx(now, abs=0.1)]
        await cluster.stop()

    run(main())


def test_a_step_that_the_driver_sends_by_itself_is_done_once_and_reported_as_any_change(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    told: list[Peer] = []
    take = LocalPlacement.region_heartbeat

    async def note(placement: LocalPlacement, report: RegionReport) -> Operator | None:
        told.append(report.leader)
        return await take(placement, report)

    monkeypatch.setattr(LocalPlacement, "region_heartbeat", note)

    async def main() -> None:
        cluster = Cluster(options=replace(OPTIONS, region_heartbeat_interval=60.0))
        await cluster.start()
        store, peer = await cluster.leader()
        region, own = peer.region, peer.own()
        heir = next(member for member in region.peers if member != own)
        gone = PeerChange(ChangeKind.REMOVE, heir)
        older = replace(region.epoch, conf_ver=region.epoch.conf_ver - 1)
        await asyncio.sleep(5.0)
        told.clear()
        store.on_step(Operator(region.id, older, own, ChangePeers((gone,))))
        store.on_step(Operator(region.id + 1, region.epoch, own, TransferLeader(heir)))
        store.on_step(Operator(region.id, region.epoch, own, TransferLeader(replace(heir, id=4711))))
        await asyncio.sleep(5.0)
        assert (peer.is_leader, peer.region, told) == (True, region, [])
        store.on_step(Operator(region.id, region.epoch, own, TransferLeader(heir)))
        await asyncio.sleep(5.0)
        assert not peer.is_leader
        assert told == [heir]
        await cluster.stop()

    run(main())


def test_the_driver_hears_that_a_member_is_removed_when_no_crash_can_undo_it(monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[RegionReport] = []
    take = LocalPlacement.region_heartbeat

    async def note(placement: LocalPlacement, report: RegionReport) -> Operator | None:
        told.append(report)
        return await take(placement, report)

    async def main() -> None:
        cluster = Cluster(2, options=replace(OPTIONS, hibernate_ticks=0))
        await cluster.start()
        store, peer = await cluster.leader()
        other = next(member for member in peer.region.peers if member.id != peer.peer_id)
        goes_on = asyncio.Event()

        async def on_sync(path: str) -> None:
            if "engine" in path:
                await goes_on.wait()

        await asyncio.sleep(5.0)
        cluster.disks[cluster.stores.index(store)].on_sync = on_sync
        monkeypatch.setattr(LocalPlacement, "region_heartbeat", note)
        await asyncio.sleep(2.0)
        assert told, "nothing has changed that would have to be on disk first"
        told.clear()
        removal = peer.change_peers([PeerChange(ChangeKind.REMOVE, other)], soon())
        assert removal is not None
        await removal
        alone = peer.region
        assert alone.peers == (peer.own(),)
        await asyncio.sleep(5.0)
        assert told == []
        goes_on.set()
        await cluster.until(lambda: bool(told), within=1.0)
        assert told[0].region == alone
        await cluster.stop()

    run(main())


def test_a_peer_is_silent_since_its_leader_led_and_not_since_it_led_before() -> None:
    """What another leader heard in between is not known here: told as down for an hour it would be replaced."""

    async def main() -> None:
        cluster = Cluster(options=replace(OPTIONS, hibernate_ticks=0))
        await cluster.start()
        store, peer = await cluster.leader()
        away = next(other for other in cluster.running() if other is not store)
        gone = peer.region.peer_on(away.id)
        group, duties = peer.group, store._duties
        assert gone is not None
        assert group is not None
        cluster.network.isolate(away.id)
        await cluster.until(lambda: not group.raw.raft.tracker.progress[gone.id].recent_active)
        hour_ago = asyncio.get_running_loop().time() - 3600
        for term, expected in ((peer.term - 1, ()), (peer.term, (DownPeer(gone, 3600),))):
            duties._heard[peer.region.id] = (term, {gone.id: hour_ago, 4711: hour_ago})
            assert duties._make_report(peer).down_peers == expected
            assert 4711 not in duties._heard[peer.region.id][1], "it is no member"
        await cluster.stop()

    run(main())
