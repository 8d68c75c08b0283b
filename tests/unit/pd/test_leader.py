from dataclasses import replace

import pytest

from raftly.base.heartbeats import RegionReport, StoreStats
from raftly.base.operators import ChangePeers
from raftly.base.region import Peer, Region, RegionEpoch, encode_region
from raftly.base.store_meta import StoreMeta
from raftly.pd.config import ScheduleConfig
from raftly.pd.errors import Refused
from raftly.pd.leader import Leader
from raftly.pd.operators import Plan
from raftly.pd.placement import Placement, SavedRegion, row_of
from raftly.pd.tso import Timestamp

FIRST = Region(2, b"", b"", RegionEpoch(1, 1), (Peer(3, 1), Peer(4, 2)))


def begun(stores: int = 3) -> Placement:
    placement = Placement()
    placement.bootstrap(row_of(StoreMeta(1, "s1:1")), encode_region(FIRST))
    for id_ in range(2, stores + 1):
        placement.put_store(row_of(StoreMeta(id_, f"s{id_}:1")))
    return placement


def lead(placement: Placement) -> Leader:
    leader = Leader(placement, 100.0, 1000, seed=1)
    for _ in leader.remember(placement):
        pass
    leader.ids.add(placement.reserve_ids(100), 100)
    return leader


def test_timestamps_start_at_the_saved_bound_although_the_clock_lags() -> None:
    placement = begun()
    placement.save_tso_bound(5000)
    leader = lead(placement)
    leader.oracle.on_saved(9000)
    assert leader.oracle.take(1, 1000) == Timestamp(5000, 1)


def test_what_changed_is_written_down_once() -> None:
    leader = lead(begun())
    assert leader.take_changes(10) == ({}, []), "it was written down when the cluster began"
    report = RegionReport(FIRST, FIRST.peers[0], term=5, approximate_bytes=1)
    leader.region_heartbeat(report, 101.0)
    assert leader.take_changes(10) == ({}, []), "size and term are not worth an entry"
    leader.region_heartbeat(replace(report, leader=FIRST.peers[1]), 102.0)
    changed, gone = leader.take_changes(10)
    assert (changed, gone) == ({2: SavedRegion(encode_region(FIRST), 4, 5)}, [])
    leader.give_back(changed, gone)
    assert leader.take_changes(10) == (changed, [])
    whole = replace(FIRST, id=9, epoch=RegionEpoch(1, 2))
    leader.region_heartbeat(RegionReport(whole, whole.peers[0], term=5), 103.0)
    changed, gone = leader.take_changes(10)
    assert (list(changed), gone) == ([9], [2])


def test_a_store_is_empty_only_when_everything_was_heard() -> None:
    placement = begun()
    placement.remove_store(3)
    leader = lead(placement)
    for id_ in (1, 2, 3):
        leader.store_heartbeat(StoreStats(id_), 101.0)
    assert leader.drained() == [], "the region may have a peer there by now"
    leader.region_heartbeat(RegionReport(FIRST, FIRST.peers[0]), 101.0)
    assert leader.drained() == [3]


def test_no_store_counts_as_empty_while_half_of_a_split_has_not_reported() -> None:
    placement = begun()
    placement.remove_store(3)
    leader = lead(placement)
    for id_ in (1, 2, 3):
        leader.store_heartbeat(StoreStats(id_), 101.0)
    leader.region_heartbeat(RegionReport(FIRST, FIRST.peers[0]), 101.0)
    upper = replace(FIRST, start_key=b"m", epoch=RegionEpoch(1, 2))
    leader.region_heartbeat(RegionReport(upper, upper.peers[0]), 102.0)
    assert leader.drained() == []
    low = Region(9, b"", b"c", RegionEpoch(1, 2), (Peer(91, 1), Peer(92, 2)))
    leader.region_heartbeat(RegionReport(low, low.peers[0]), 102.0)
    assert leader.drained() == [], "nobody told of c to m"
    middle = Region(8, b"c", b"m", RegionEpoch(1, 2), (Peer(81, 1), Peer(82, 3)))
    leader.region_heartbeat(RegionReport(middle, middle.peers[0]), 103.0)
    assert leader.drained() == []
    moved = replace(middle, epoch=RegionEpoch(3, 2), peers=(Peer(81, 1), Peer(83, 2)))
    leader.region_heartbeat(RegionReport(moved, moved.peers[0]), 104.0)
    assert leader.drained() == [3]


def at_rest(placement: Placement, regions: int) -> Leader:
    """Region n + 10 has peers on stores 1 to 3; all of it was heard, and speaks no more."""
    placement.configure(ScheduleConfig(balance_leaders=False, balance_regions=False))
    leader = lead(placement)
    for n in range(regions):
        lo, hi = b"%04d" % n if n else b"", b"%04d" % (n + 1) if n + 1 < regions else b""
        peers = tuple(Peer(10_000 * (n + 1) + store_id, store_id) for store_id in (1, 2, 3))
        leader.region_heartbeat(RegionReport(Region(n + 10, lo, hi, RegionEpoch(1, 2), peers), peers[n % 3]), 100.0)
    for id_ in placement.stores:
        leader.store_heartbeat(StoreStats(id_), 100.0)
    return leader


def test_a_store_is_drained_although_its_regions_sleep() -> None:
    placement = begun(stores=4)
    leader = at_rest(placement, 6)
    assert leader.on_time(100.1) == []
    placement.remove_store(3)
    leader.on_placement(placement, 100.1)
    steps = [step for tick in range(2, 12) for step in leader.on_time(100.0 + tick / 10)]
    assert sorted(step.region_id for step in steps) == [10, 11, 12, 13, 14, 15], "each is asked for its first step"
    assert all(isinstance(step.step, ChangePeers) for step in steps)


def test_the_patrol_sees_every_region_in_its_time_and_few_at_once() -> None:
    placement = begun(stores=3)
    leader = at_rest(placement, 3000)
    looked: list[int] = []
    check = leader.coordinator.look_at

    def look_at(report: RegionReport) -> Plan | None:
        looked.append(report.region.id)
        return check(report)

    leader.coordinator.look_at = look_at  # type: ignore[method-assign]
    ticks = 0
    while len(looked) < 3000:
        before = len(looked)
        ticks += 1
        leader.on_time(100.0 + ticks / 10)
        assert len(looked) - before <= 11
    assert sorted(looked) == list(range(10, 3010))
    assert ticks <= 310
    leader.on_time(10_000.0)
    assert len(looked) <= 3000 + 128, "it was away: it does not catch up at once"


def test_a_region_that_was_not_heard_is_not_looked_at() -> None:
    placement = begun(stores=4)
    placement.remove_store(2)
    leader = lead(placement)
    assert [leader.on_time(100.0 + tick) for tick in range(15)] == [[]] * 15
    leader.region_heartbeat(RegionReport(FIRST, FIRST.peers[0]), 115.0)
    assert leader.coordinator.plans


def test_a_store_that_is_silent_holds_schedulers_up_only_until_it_counts_as_gone() -> None:
    placement = begun(stores=3)
    leader = lead(placement)
    leader.region_heartbeat(RegionReport(FIRST, FIRST.peers[0]), 101.0)
    for id_ in (1, 2):
        leader.store_heartbeat(StoreStats(id_), 101.0)
    assert not leader.is_settled
    leader.on_time(119.9)
    assert not leader.is_settled
    for id_ in (1, 2):
        leader.store_heartbeat(StoreStats(id_), 120.5)
    assert leader.is_settled


def test_many_regions_are_remembered_a_few_at_a_time() -> None:
    placement = begun()
    before = at_rest(placement, 1000)
    placement.save_regions(*before.take_changes(2000))
    leader = Leader(placement, 100.0, 1000, seed=1)
    known = [len(leader.cluster.regions) for _ in leader.remember(placement)]
    assert known == [256, 512, 768]
    assert [each.region for each in leader.cluster.regions] == [each.region for each in before.cluster.regions]


SENSE = Region(9, b"a", b"m", RegionEpoch(1, 5), (Peer(91, 1), Peer(92, 2)))


@pytest.mark.parametrize(
    ("region", "leader", "why"),
    [
        (replace(SENSE, id=0), SENSE.peers[0], "its id is 0"),
        (replace(SENSE, start_key=b"m"), SENSE.peers[0], "it holds no key"),
        (replace(SENSE, start_key=b"n"), SENSE.peers[0], "it holds no key"),
        (SENSE, Peer(93, 1), "led by a peer that it does not have"),
        (SENSE, Peer(91, 2), "led by a peer that it does not have"),
        (replace(SENSE, peers=()), Peer(91, 1), "led by a peer that it does not have"),
        (replace(SENSE, peers=(Peer(91, 1), Peer(91, 2))), Peer(91, 1), "two peers of one id"),
        (replace(SENSE, peers=(Peer(91, 1), Peer(92, 1))), Peer(91, 1), "two peers on one store"),
        (replace(SENSE, peers=tuple(Peer(n, n) for n in range(1, 66))), Peer(1, 1), "more than 64 peers"),
    ],
)
def test_a_report_that_cannot_be_true_changes_nothing(region: Region, leader: Peer, why: str) -> None:
    driver = lead(begun())
    driver.region_heartbeat(RegionReport(FIRST, FIRST.peers[0]), 101.0)
    before = list(driver.cluster.regions)
    with pytest.raises(Refused, match=why):
        driver.region_heartbeat(RegionReport(region, leader), 102.0)
    assert list(driver.cluster.regions) == before
    if len(region.peers) > 64:
        with pytest.raises(Refused, match="65 peers are too many"):
            driver.split_ids(region, 1)


@pytest.mark.parametrize("ids", [(5, 6), (6, 5)])
def test_what_was_merged_when_the_leader_changed_does_not_hold_up_a_drain_for_ever(ids: tuple[int, int]) -> None:
    """The heir was written down, and that the other is gone was not."""
    merged, heir = ids
    placement = begun()
    peers = tuple(Peer(100 + store_id, store_id) for store_id in (1, 2))
    old = Region(merged, b"m", b"", RegionEpoch(1, 2), tuple(Peer(200 + store_id, store_id) for store_id in (1, 2)))
    new = Region(heir, b"", b"", RegionEpoch(1, 4), peers)
    saved = {each.id: SavedRegion(encode_region(each), each.peers[0].id) for each in (old, new)}
    placement.save_regions(saved, [FIRST.id])
    placement.remove_store(3)
    leader = lead(placement)
    for id_ in (1, 2, 3):
        leader.store_heartbeat(StoreStats(id_), 101.0)
    leader.region_heartbeat(RegionReport(new, peers[0]), 101.0)
    assert leader.is_settled
    assert leader.drained() == [3]
    assert leader.take_changes(10) == ({}, [merged]), "it is not written down any more"
