from dataclasses import replace

from raftly.base.heartbeats import DownPeer
from raftly.base.region import Peer, PeerRole, RegionEpoch
from raftly.base.store_meta import StoreState
from raftly.pd.config import ScheduleConfig
from raftly.pd.moves import Add, Leave, Move, Raise, Remove
from raftly.pd.schedulers.replica_checker import check
from tests.unit.pd.clusters import cluster_of, hear, region, report, set_state

THREE = region(1, b"", b"", [1, 2, 3])


def test_a_region_that_is_well_is_left_alone() -> None:
    cluster = cluster_of(4)
    assert check(cluster, report(THREE)) is None


def test_what_is_missing_is_added_where_least_lies() -> None:
    cluster = cluster_of(4)
    cluster.regions.put(report(region(9, b"a", b"b", [3])))
    two = region(1, b"", b"a", [1, 2])
    assert check(cluster, report(two)) == Add(report(two), 4)
    hear(cluster, 50.0, 4)
    assert check(cluster, report(two)) == Add(report(two), 3), "store 4 was not heard for a while"
    hear(cluster, 100.0, 3, 4)
    assert check(cluster, report(two)) is None


def test_a_learner_that_was_left_behind_gets_its_vote_or_goes() -> None:
    cluster = cluster_of(4)
    learner = Peer(77, 4, PeerRole.LEARNER)
    two = region(1, b"", b"", [1, 2])
    short = report(replace(two, peers=(*two.peers, learner)))
    assert check(cluster, short) == Raise(short, learner)
    catching_up = replace(short, pending_peers=(learner,))
    assert check(cluster, catching_up) is None
    full = report(replace(THREE, peers=(*THREE.peers, learner)))
    assert check(cluster, full) == Remove(full, learner)


def test_what_is_down_is_replaced_only_after_long() -> None:
    cluster = cluster_of(4, ScheduleConfig(down_after_s=100.0))
    hear(cluster, 50.0, 3)
    silent = report(THREE, down_peers=(DownPeer(THREE.peers[2], 50),))
    assert check(cluster, silent) is None
    hear(cluster, 101.0, 3)
    assert check(cluster, report(THREE)) == Move(report(THREE), THREE.peers[2], 4), "the store is silent"
    hear(cluster, 50.0)
    almost = report(THREE, down_peers=(DownPeer(THREE.peers[2], 100),))
    assert check(cluster, almost) is None
    dead = report(THREE, down_peers=(DownPeer(THREE.peers[2], 101),))
    assert check(cluster, dead) == Move(dead, THREE.peers[2], 4), "the store is well, and the peer on it is not"
    hear(cluster, 300.0, 3, 4)
    assert check(cluster, dead) is None, "there is nowhere to go"


def test_what_is_down_and_too_much_goes() -> None:
    cluster = cluster_of(4, ScheduleConfig(down_after_s=100.0))
    hear(cluster, 101.0, 3)
    four = report(region(1, b"", b"", [1, 2, 3, 4]))
    assert check(cluster, four) == Remove(four, four.region.peers[2])


def test_a_store_that_is_offline_is_drained() -> None:
    cluster = cluster_of(4)
    set_state(cluster, 1, StoreState.OFFLINE)
    assert check(cluster, report(THREE)) == Move(report(THREE), THREE.peers[0], 4)
    set_state(cluster, 4, StoreState.OFFLINE)
    assert check(cluster, report(THREE)) is None


def test_too_many_replicas_lose_the_one_that_is_missed_least() -> None:
    cluster = cluster_of(5)
    five = region(1, b"", b"", [1, 2, 3, 4, 5])
    cluster.regions.put(report(region(9, b"x", b"", [4])))
    assert check(cluster, report(five)) == Remove(report(five), five.peers[3]), "the fullest, and not the leader"
    pending = report(five, pending_peers=(five.peers[1],))
    assert check(cluster, pending) == Remove(pending, five.peers[1])


def test_a_joint_state_that_nobody_ends_is_left() -> None:
    joint = replace(THREE, peers=(*THREE.peers[:2], Peer(5, 3, PeerRole.DEMOTING_VOTER)), epoch=RegionEpoch(2, 1))
    assert check(cluster_of(3), report(joint)) == Leave(report(joint))


def test_replicas_are_kept_apart() -> None:
    zones = ["a", "a", "b", "b", "c"]
    cluster = cluster_of(5, zone=zones)
    together = region(1, b"", b"", [1, 2, 3])
    assert check(cluster, report(together)) == Move(report(together), together.peers[0], 5)
    apart = report(region(1, b"", b"", [1, 3, 5]))
    assert check(cluster, apart) is None
    two = region(1, b"", b"", [1, 3])
    assert check(cluster, report(two)) == Add(report(two), 5)


def test_two_copies_never_share_a_place_where_that_is_forbidden() -> None:
    config = ScheduleConfig(location_labels=("zone", "host"), isolation_level="zone")
    two = region(1, b"", b"", [1, 2])
    cluster = cluster_of(3, config, zone=["a", "b", "b"], host=["1", "2", "3"])
    assert check(cluster, report(two)) is None
    cluster = cluster_of(3, config, zone=["a", "b", "c"], host=["1", "2", "3"])
    assert check(cluster, report(two)) == Add(report(two), 3)
    lax = cluster_of(3, ScheduleConfig(), zone=["a", "b", "b"])
    assert check(lax, report(two)) == Add(report(two), 3)


def test_a_store_that_is_busy_full_or_at_its_limit_gets_nothing() -> None:
    two = report(region(1, b"", b"", [1, 2]))
    cluster = cluster_of(3)
    info = cluster.stores.get(3)
    assert info is not None
    info.stats = replace(info.stats, is_busy=True)
    assert check(cluster, two) is None
    info.stats = replace(info.stats, is_busy=False, capacity=100, available=5)
    assert check(cluster, two) is None
    info.stats = replace(info.stats, available=50)
    assert check(cluster, two) == Add(two, 3)
    for _ in range(cluster.config.store_limit):
        cluster.inflow_of(3).coming += 1
    assert check(cluster, two) is None
