from dataclasses import replace

from raftly.base.heartbeats import RegionReport, StoreStats
from raftly.base.region import Peer, Region, RegionEpoch, encode_region
from raftly.base.store_meta import StoreMeta
from raftly.pd.leader import Leader
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
