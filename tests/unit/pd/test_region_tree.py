from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from raftly.base.heartbeats import RegionReport
from raftly.base.region import Peer, PeerRole, Region, RegionEpoch
from raftly.pd.region_tree import RegionTree, StaleRegion
from tests.unit.pd.clusters import MIB, key, region, report


def tree_of(*reports: RegionReport) -> RegionTree:
    tree = RegionTree()
    for each in reports:
        tree.put(each)
    return tree


def ids(found: list[RegionReport]) -> list[int]:
    return [each.region.id for each in found]


THREE = (
    report(region(1, b"", b"g", [1, 2, 3])),
    report(region(2, b"g", b"p", [1, 2, 3])),
    report(region(3, b"p", b"", [1, 2, 3])),
)


def test_by_key_by_id_and_before() -> None:
    tree = tree_of(*THREE)
    found = [tree.by_key(at) for at in (b"", b"f\xff", b"g", b"o", b"p", b"zzz")]
    assert ids([each for each in found if each]) == [1, 1, 2, 2, 3, 3]
    assert tree.by_id(2) is THREE[1]
    assert tree.by_id(4) is None
    assert tree.before(b"a") is None
    assert tree.before(b"h") is THREE[0]
    assert tree.neighbours(THREE[1].region) == (THREE[0], THREE[2])
    assert tree.neighbours(THREE[0].region) == (None, THREE[1])
    assert tree.neighbours(THREE[2].region) == (THREE[1], None)


def test_scan() -> None:
    tree = tree_of(*THREE)
    assert ids(tree.scan(b"")) == [1, 2, 3]
    assert ids(tree.scan(b"h")) == [2, 3]
    assert ids(tree.scan(b"", b"g")) == [1]
    assert ids(tree.scan(b"", b"g\x00")) == [1, 2]
    assert ids(tree.scan(b"", b"", 2)) == [1, 2]
    tree.remove(2)
    assert ids(tree.scan(b"h")) == [3]
    assert tree.by_key(b"h") is None
    assert tree.before(b"q") is None, "there is a gap before it"
    assert tree.neighbours(THREE[2].region) == (None, None)


def test_nothing_is_kept_of_stores_that_have_nothing() -> None:
    tree = tree_of(*THREE)
    for store_id in range(4, 100):
        tree.put(report(region(2, b"g", b"p", [1, 2, store_id], conf_ver=store_id)))
    assert sorted(tree._loads) == [1, 2, 3, 99]
    for each in THREE:
        tree.remove(each.region.id)
    assert not tree._loads
    assert tree.load(1).region_count == 0


def test_older_epochs_and_terms_are_refused() -> None:
    at = region(1, b"", b"", [1, 2, 3], conf_ver=3, version=3)
    tree = tree_of(report(at, term=7))
    for conf_ver, version in ((2, 3), (3, 2), (2, 9), (9, 2)):
        with pytest.raises(StaleRegion, match=r"region 1 at \d.\d is older than region 1 at 3.3"):
            tree.put(report(replace(at, epoch=RegionEpoch(conf_ver, version)), term=9))
    with pytest.raises(StaleRegion):
        tree.put(report(at, leader=2, term=6))
    assert tree.by_id(1) == report(at, term=7)
    tree.put(report(at, leader=2, term=8))
    assert tree.by_id(1) == report(at, leader=2, term=8)


def test_a_split_leaves_a_gap_until_the_other_half_reports() -> None:
    tree = tree_of(report(region(1, b"", b"", [1, 2, 3])))
    assert tree.put(report(region(2, b"", b"m", [1, 2, 3], version=2))) == [report(region(1, b"", b"", [1, 2, 3]))]
    assert tree.by_key(b"n") is None
    assert tree.by_id(1) is None
    with pytest.raises(StaleRegion):
        tree.put(report(region(1, b"", b"", [1, 2, 3])))
    assert tree.put(report(region(1, b"m", b"", [1, 2, 3], version=2))) == []
    assert ids(list(tree)) == [2, 1]


def test_a_merge_displaces_although_the_peers_of_the_other_changed_more_often() -> None:
    source = report(region(1, b"", b"m", [1, 2, 3], conf_ver=9, version=2))
    tree = tree_of(source, report(region(2, b"m", b"", [1, 2, 3], version=2)))
    assert tree.put(report(region(2, b"", b"", [1, 2, 3], version=3))) == [source]
    assert ids(list(tree)) == [2]


def test_what_lies_on_a_store_is_counted() -> None:
    at = region(1, b"", b"", [1, 2, 3])
    learner = replace(at, peers=(*at.peers, Peer(99, 4, PeerRole.LEARNER)), epoch=RegionEpoch(2, 1))
    tree = tree_of(report(at, size=5 * MIB))
    tree.put(report(learner, leader=2, size=7 * MIB, pending_peers=(learner.peers[3],)))
    loads = [tree.load(store_id) for store_id in range(1, 6)]
    assert [load.leader_count for load in loads] == [0, 1, 0, 0, 0]
    assert [load.region_count for load in loads] == [1, 1, 1, 1, 0]
    assert [len(load.pending) for load in loads] == [0, 0, 0, 1, 0]
    assert [load.region_bytes for load in loads] == [7 * MIB] * 4 + [0]
    assert [load.leader_bytes for load in loads] == [0, 7 * MIB, 0, 0, 0]
    assert list(loads[3].learners) == [1]
    tree.remove(1)
    assert [tree.load(store_id).region_count for store_id in range(1, 6)] == [0] * 5
    assert [tree.load(store_id).region_bytes for store_id in range(1, 6)] == [0] * 5


class Twin:
    """What a tree does, with nothing but a list."""

    def __init__(self) -> None:
        self.known: list[RegionReport] = []

    def put(self, new: RegionReport) -> None:
        old = [each for each in self.known if each.region.id == new.region.id]
        over = [each for each in self.known if each not in old and each.region.overlaps(new.region)]
        if any(new.region.epoch.is_older_than(each.region.epoch) for each in old):
            raise StaleRegion(new.region, old[0].region)
        epoch = new.region.epoch
        for each in over:
            other = each.region.epoch
            if (epoch.version, epoch.conf_ver) < (other.version, other.conf_ver):
                raise StaleRegion(new.region, each.region)
        self.known = [each for each in self.known if each not in old and each not in over]
        self.known.append(new)
        self.known.sort(key=lambda each: each.region.start_key)


heartbeats = st.builds(
    lambda id_, lo, width, conf_ver, version, store, leader: report(
        region(id_, key(lo), key(lo + width), [store, store + 1, store + 2], conf_ver=conf_ver, version=version),
        store + leader,
    ),
    st.integers(1, 6),
    st.integers(0, 8),
    st.integers(1, 5),
    st.integers(1, 3),
    st.integers(1, 4),
    st.integers(1, 3),
    st.integers(0, 2),
)


@given(st.lists(heartbeats, max_size=40))
def test_it_does_what_a_list_does(reports: list[RegionReport]) -> None:
    tree, twin = RegionTree(), Twin()
    for each in reports:
        outcomes = []
        for known in (tree, twin):
            try:
                known.put(each)
                outcomes.append("taken")
            except StaleRegion:
                outcomes.append("stale")
        assert outcomes[0] == outcomes[1]
    assert list(tree) == twin.known
    for number in range(14):
        holder = [each for each in twin.known if each.region.contains(key(number))]
        assert tree.by_key(key(number)) == (holder[0] if holder else None)
    lo, hi = key(3), key(9)
    assert tree.scan(lo, hi) == [r for r in twin.known if r.region.overlaps(Region(0, lo, hi))]
    for store_id in range(1, 6):
        load = tree.load(store_id)
        here = [each for each in twin.known if each.region.peer_on(store_id)]
        assert load.region_count == len(here)
        assert load.region_bytes == sum(each.approximate_bytes for each in here)
        assert sorted(load.leaders) == sorted(r.region.id for r in here if r.leader.store_id == store_id)
        assert sorted(load.followers) == sorted(r.region.id for r in here if r.leader.store_id != store_id)
