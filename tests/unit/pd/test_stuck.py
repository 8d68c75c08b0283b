"""A drain that cannot end says what it lacks."""

from __future__ import annotations

from raftly.base.heartbeats import StoreStats
from raftly.base.store_meta import StoreState
from raftly.pd.cluster import Cluster
from raftly.pd.config import ScheduleConfig
from raftly.pd.stuck import why_stuck
from tests.unit.pd.clusters import cluster_of, hear, region, report, set_state

THREE = region(7, b"", b"", [1, 2, 3])


def drained(cluster: Cluster, store_id: int = 1) -> str:
    cluster.regions.put(report(THREE))
    set_state(cluster, store_id, StoreState.OFFLINE)
    return why_stuck(cluster, store_id)


def test_nothing_is_missing_where_there_is_a_spare_store() -> None:
    assert drained(cluster_of(4)) == ""
    assert why_stuck(cluster_of(4), 1) == "", "nothing lies there"


def test_without_a_spare_store_it_says_so() -> None:
    assert (
        drained(cluster_of(3))
        == "region 7 cannot leave store 1: its 3 copies need other stores, and 2 are up: start one more"
    )
    cluster = cluster_of(4)
    hear(cluster, 50.0, 4)
    assert "2 are up" in drained(cluster), "store 4 is not heard"


def test_a_copy_too_many_needs_no_other_store() -> None:
    assert drained(cluster_of(3, ScheduleConfig(max_replicas=2))) == ""


def test_full_stores_are_no_place_to_go() -> None:
    cluster = cluster_of(4)
    cluster.stores.on_heartbeat(StoreStats(4, capacity=100, available=1), 0.0)
    assert drained(cluster).endswith("every store that is up without a copy of it is low on space")
    cluster.stores.on_heartbeat(StoreStats(4, capacity=100, available=90), 0.0)
    assert why_stuck(cluster, 1) == ""


def test_copies_that_must_be_apart_need_a_place_apart() -> None:
    config = ScheduleConfig(location_labels=("zone",), isolation_level="zone")
    cluster = cluster_of(4, config, zone=["a", "b", "c", "b"])
    assert drained(cluster).endswith("every store that is up without a copy of it shares its zone with one that has")
    cluster = cluster_of(4, config, zone=["a", "b", "c", "a"])
    assert drained(cluster) == "", "the place of the copy that goes is free"


def test_a_busy_store_only_takes_its_time() -> None:
    cluster = cluster_of(4)
    cluster.stores.on_heartbeat(StoreStats(4, is_busy=True), 0.0)
    assert drained(cluster) == ""
