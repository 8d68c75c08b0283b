from dataclasses import replace

from raftly.base.heartbeats import RegionReport
from raftly.base.rand import SplitMix64
from raftly.base.store_meta import StoreState
from raftly.pd.cluster import Cluster
from raftly.pd.config import ScheduleConfig
from raftly.pd.moves import HandOver, Move
from raftly.pd.schedulers import balance_leader, balance_region, hot_region
from tests.unit.pd.clusters import MIB, cluster_of, hear, key, region, report, set_state


def fill(cluster: Cluster, counts: dict[int, int], replicas: int = 1) -> None:
    """So many regions of 10 MiB on each store, as its only replicas."""
    made = len(cluster.regions)
    for store_id, count in counts.items():
        for _ in range(count):
            cluster.regions.put(report(region(1000 + made, b"f" + key(made), b"f" + key(made + 1), [store_id])))
            made += 1


def moved(move: Move | HandOver | None) -> tuple[int, int] | None:
    if move is None:
        return None
    return (move.old.store_id if isinstance(move, Move) else move.report.leader.store_id), move.to


RAND = SplitMix64(1)


def test_a_region_moves_from_the_fullest_store_to_the_emptiest() -> None:
    cluster = cluster_of(4, ScheduleConfig(max_replicas=1))
    fill(cluster, {1: 6, 2: 8, 3: 8, 4: 16})
    assert moved(balance_region.schedule(cluster, RAND)) == (4, 1)
    set_state(cluster, 1, StoreState.OFFLINE)
    assert moved(balance_region.schedule(cluster, RAND)) == (4, 2)
    hear(cluster, 50.0, 4)
    assert balance_region.schedule(cluster, RAND) is None, "the fullest was not heard, the others are alike"


def test_a_region_stays_unless_both_stores_are_closer_afterwards() -> None:
    for difference, expected in ((2, None), (3, (1, 2))):
        cluster = cluster_of(2, ScheduleConfig(max_replicas=1))
        fill(cluster, {1: 5 + difference, 2: 5})
        assert moved(balance_region.schedule(cluster, RAND)) == expected


def test_empty_regions_are_spread_too() -> None:
    cluster = cluster_of(2, ScheduleConfig(max_replicas=1))
    for n in range(3):
        cluster.regions.put(report(region(n + 1, key(n), key(n + 1), [1]), size=0))
    assert moved(balance_region.schedule(cluster, RAND)) == (1, 2)


def test_what_is_on_its_way_counts() -> None:
    cluster = cluster_of(2, ScheduleConfig(max_replicas=1))
    fill(cluster, {1: 8, 2: 5})
    cluster.inflow_of(2).bytes += 10 * MIB
    assert balance_region.schedule(cluster, RAND) is None


def test_a_region_that_lacks_a_replica_is_not_moved() -> None:
    cluster = cluster_of(4)
    fill(cluster, {1: 9})
    assert balance_region.schedule(cluster, RAND) is None


def test_moving_keeps_replicas_apart() -> None:
    cluster = cluster_of(4, ScheduleConfig(max_replicas=2), zone=["a", "b", "a", "b"])
    for n in range(9):
        cluster.regions.put(report(region(n + 1, key(n), key(n + 1), [1, 2])))
    for seed in range(20):
        found = moved(balance_region.schedule(cluster, SplitMix64(seed)))
        assert found in {(1, 3), (2, 4)}


def test_leaders_are_handed_over_until_counts_differ_by_one() -> None:
    cluster = cluster_of(3)
    for n in range(7):
        cluster.regions.put(report(region(n + 1, key(n), key(n + 1), [1, 2, 3]), 1))
    seen: list[tuple[int, int] | None] = []
    while len(seen) < 20 and (found := balance_leader.schedule(cluster, RAND)) is not None:
        seen.append(moved(found))
        leader = found.report.region.peer_on(found.to)
        assert leader is not None
        cluster.regions.put(replace(found.report, leader=leader))
    counts = [cluster.regions.load(store_id).leader_count for store_id in (1, 2, 3)]
    assert sorted(counts) == [2, 2, 3]
    assert len(seen) == 4
    hear(cluster, 50.0, 2)
    assert balance_leader.schedule(cluster, RAND) is None


def test_nobody_leads_who_waits_for_data() -> None:
    cluster = cluster_of(3)
    for n in range(6):
        at = region(n + 1, key(n), key(n + 1), [1, 2, 3])
        cluster.regions.put(report(at, 1, pending_peers=(at.peers[1],)))
    assert moved(balance_leader.schedule(cluster, RAND)) == (1, 3)


def busy(cluster: Cluster, id_: int, stores: list[int], *, read: int = 0, write: int = 0) -> RegionReport:
    at = report(
        region(id_, key(id_), key(id_ + 1), stores), bytes_read=read * MIB, bytes_written=write * MIB, interval_s=1
    )
    cluster.regions.put(at)
    for _ in range(3):
        cluster.hot.on_report(at, cluster.config)
    return at


def test_hot_reads_are_led_from_different_stores() -> None:
    cluster = cluster_of(3)
    one, two = busy(cluster, 1, [1, 2, 3], read=20), busy(cluster, 2, [1, 2, 3], read=10)
    found = hot_region.schedule(cluster, RAND)
    assert isinstance(found, HandOver)
    assert (found.report, found.to) == (two, 2), "the smaller one is enough"
    cluster.regions.put(replace(two, leader=two.region.peers[1]))
    assert hot_region.schedule(cluster, RAND) is None, "one hot region a store is as good as it gets"
    assert one.leader.store_id == 1


def test_hot_writes_move_to_stores_that_write_less() -> None:
    cluster = cluster_of(6)
    for id_ in (1, 2):
        busy(cluster, id_, [1, 2, 3], write=5)
    found = hot_region.schedule(cluster, SplitMix64(0))
    assert found is not None
    for seed in range(10):
        again = hot_region.schedule(cluster, SplitMix64(seed))
        if isinstance(again, Move):
            assert again.old.store_id in (1, 2, 3)
            assert again.to in (4, 5, 6)
    assert any(isinstance(hot_region.schedule(cluster, SplitMix64(seed)), Move) for seed in range(10))


def test_what_cools_down_is_hot_no_more() -> None:
    cluster = cluster_of(3)
    at = busy(cluster, 1, [1, 2, 3], read=20)
    assert [id_ for id_, _ in cluster.hot.hot()] == [1]
    cold = replace(at, bytes_read=0)
    cluster.hot.on_report(cold, cluster.config)
    assert not cluster.hot.hot()
    for _ in range(5):
        cluster.hot.on_report(cold, cluster.config)
    assert len(cluster.hot) == 0
