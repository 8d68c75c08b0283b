from raftly.base.heartbeats import StoreStats
from raftly.base.store_meta import StoreMeta, StoreState
from raftly.pd.config import ScheduleConfig
from raftly.pd.stores import Liveness, Stores

CONFIG = ScheduleConfig(disconnected_after_s=20.0, down_after_s=1800.0)


def test_a_store_that_falls_silent() -> None:
    stores = Stores()
    stores.put(StoreMeta(1, "a:1"), 100.0)
    store = stores.get(1)
    assert store is not None
    seen = [store.liveness(CONFIG, 100.0 + silent) for silent in (0, 20, 20.1, 1800, 1800.1)]
    assert seen == [Liveness.UP, Liveness.UP, Liveness.DISCONNECTED, Liveness.DISCONNECTED, Liveness.DOWN]
    assert stores.on_heartbeat(StoreStats(1), 5000.0)
    assert store.liveness(CONFIG, 5000.0) is Liveness.UP


def test_what_the_cluster_decided_counts_more() -> None:
    stores = Stores()
    stores.put(StoreMeta(1, "a:1", state=StoreState.OFFLINE), 0.0)
    stores.put(StoreMeta(2, "b:1", state=StoreState.TOMBSTONE), 0.0)
    found = [store.liveness(CONFIG, 1e6) for store in stores]
    assert found == [Liveness.OFFLINE, Liveness.TOMBSTONE]
    assert stores.on_heartbeat(StoreStats(1), 1.0)
    assert not stores.on_heartbeat(StoreStats(2), 1.0), "a tombstone has nothing to say"
    assert not stores.on_heartbeat(StoreStats(3), 1.0)


def test_stats_outlive_what_is_decided() -> None:
    stores = Stores()
    stores.put(StoreMeta(1, "a:1"), 0.0)
    stores.on_heartbeat(StoreStats(1, capacity=100, available=10), 7.0)
    stores.keep({1: StoreMeta(1, "a:2"), 2: StoreMeta(2, "b:1")}, 9.0)
    store = stores.get(1)
    assert store is not None
    assert (store.meta.address, store.heard_s, store.stats.available) == ("a:2", 7.0, 10)
    assert store.is_low_on_space(CONFIG)
    assert [each.id for each in stores] == [1, 2]
    stores.keep({2: StoreMeta(2, "b:1")}, 9.0)
    assert [each.id for each in stores] == [2]


def test_space() -> None:
    stores = Stores()
    stores.put(StoreMeta(1, "a:1"), 0.0)
    store = stores.get(1)
    assert store is not None
    assert not store.is_low_on_space(CONFIG), "nothing is known of it"
    for available, is_low in ((20, False), (19, True)):
        store.stats = StoreStats(1, capacity=100, available=available)
        assert store.is_low_on_space(CONFIG) is is_low
