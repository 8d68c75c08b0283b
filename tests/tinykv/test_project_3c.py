"""TinyKV's project 3C: what heartbeats of regions do to the placement driver's index of them, and balance-region."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest

from raftly.base.heartbeats import RegionReport, StoreStats
from raftly.base.rand import SplitMix64
from raftly.base.region import Peer, Region, RegionEpoch, StoreId
from raftly.base.store_meta import StoreMeta, StoreState
from raftly.client.pd import PdClient
from raftly.pd.cluster import Cluster
from raftly.pd.config import ScheduleConfig
from raftly.pd.moves import Move
from raftly.pd.region_tree import RegionTree, StaleRegion
from raftly.pd.schedulers import balance_region
from raftly.server.pd_main import PdOptions, PdServer
from raftly.server.placement_client import GrpcPlacement

STORES: Sequence[StoreId] = (1, 2, 3)
BYTES = 10 << 20
ANYWHERE = ("127.0.0.1", 0)


def three_regions() -> list[RegionReport]:
    """Side by side over all keys, each with a peer on three stores and led on another of them."""
    bounds = (b"", b"h", b"p", b"")
    reports = []
    for id_, (start, end) in enumerate(pairwise(bounds), start=1):
        peers = tuple(Peer(10 * id_ + store, store) for store in STORES)
        reports.append(RegionReport(Region(id_, start, end, RegionEpoch(), peers), peers[id_ - 1], 1, BYTES * id_))
    return reports


@pytest.fixture
def reports() -> list[RegionReport]:
    """What the tree of the same test was told."""
    return three_regions()


@pytest.fixture
def tree(reports: list[RegionReport]) -> RegionTree:
    told = RegionTree()
    for report in reports:
        assert told.put(report) == []
    return told


def changed(
    report: RegionReport, *, conf_ver: int = 0, version: int = 0, peers: tuple[Peer, ...] | None = None
) -> RegionReport:
    """The same region, so many changes later."""
    region = report.region
    epoch = RegionEpoch(region.epoch.conf_ver + conf_ver, region.epoch.version + version)
    return replace(report, region=replace(region, epoch=epoch, peers=region.peers if peers is None else peers))


def assert_shows(tree: RegionTree, reports: Sequence[RegionReport]) -> None:
    """The tree has these and no others, and counts for each store what follows from them."""
    assert list(tree) == sorted(reports, key=lambda report: report.region.start_key)
    assert len(tree) == len(reports)
    for report in reports:
        assert tree.by_id(report.region.id) == report
        assert tree.by_key(report.region.start_key) == report
    for store in STORES:
        load = tree.load(store)
        here = [report for report in reports if report.region.peer_on(store) is not None]
        led = [report for report in here if report.leader.store_id == store]
        followed = [report for report in here if report not in led]
        assert sorted(load.regions()) == [report.region.id for report in here]
        assert sorted(load.leaders) == [report.region.id for report in led]
        assert sorted(load.followers) == [report.region.id for report in followed]
        assert load.region_count == len(here)
        assert load.leader_count == len(led)
        assert load.region_bytes == sum(report.approximate_bytes for report in here)
        assert load.leader_bytes == sum(report.approximate_bytes for report in led)
        assert sorted(load.pending) == [
            report.region.id for report in here if any(peer.store_id == store for peer in report.pending_peers)
        ]


@pytest.mark.tinykv("TestRegionNotUpdate3C")
def test_the_same_again_changes_nothing(tree: RegionTree, reports: list[RegionReport]) -> None:
    for report in three_regions():
        tree.put(report)
    assert_shows(tree, reports)


@pytest.mark.tinykv("TestRegionUpdateVersion3C")
def test_a_higher_version_is_stored(tree: RegionTree, reports: list[RegionReport]) -> None:
    reports[0] = changed(reports[0], version=1)
    tree.put(reports[0])
    assert_shows(tree, reports)


@pytest.mark.tinykv("TestRegionWithStaleVersion3C")
def test_a_lower_version_is_refused_whatever_its_conf_ver(tree: RegionTree, reports: list[RegionReport]) -> None:
    late = changed(reports[0], conf_ver=1)
    reports[0] = changed(reports[0], version=1)
    tree.put(reports[0])
    with pytest.raises(StaleRegion):
        tree.put(late)
    assert_shows(tree, reports)


@pytest.mark.tinykv("TestRegionUpdateVersionAndConfver3C")
def test_both_numbers_higher_are_stored(tree: RegionTree, reports: list[RegionReport]) -> None:
    reports[0] = changed(reports[0], conf_ver=1, version=1)
    tree.put(reports[0])
    assert_shows(tree, reports)


@pytest.mark.tinykv("TestRegionWithStaleConfVer3C")
def test_a_lower_conf_ver_is_refused(tree: RegionTree, reports: list[RegionReport]) -> None:
    late = reports[0]
    reports[0] = changed(late, conf_ver=1)
    tree.put(reports[0])
    with pytest.raises(StaleRegion):
        tree.put(late)
    assert_shows(tree, reports)


@pytest.mark.tinykv("TestRegionAddPendingPeer3C")
@pytest.mark.parametrize("store", STORES)
def test_a_pending_peer_is_noted(tree: RegionTree, reports: list[RegionReport], store: StoreId) -> None:
    pending = tuple(peer for peer in reports[1].region.peers if peer.store_id == store)
    reports[1] = replace(reports[1], pending_peers=pending)
    tree.put(reports[1])
    assert list(tree.load(store).pending) == [2]
    assert_shows(tree, reports)


@pytest.mark.tinykv("TestRegionRemovePendingPeer3C")
@pytest.mark.parametrize("store", STORES)
def test_a_peer_that_is_pending_no_longer_is_forgotten(
    tree: RegionTree, reports: list[RegionReport], store: StoreId
) -> None:
    pending = tuple(peer for peer in reports[1].region.peers if peer.store_id == store)
    tree.put(replace(reports[1], pending_peers=pending))
    tree.put(reports[1])
    assert [len(tree.load(id_).pending) for id_ in STORES] == [0, 0, 0]
    assert_shows(tree, reports)


@pytest.mark.tinykv("TestRegionRemovePeers3C")
def test_peers_that_are_gone_are_not_counted(tree: RegionTree, reports: list[RegionReport]) -> None:
    for at, report in enumerate(reports):
        reports[at] = changed(report, conf_ver=2, peers=(report.leader,))
        tree.put(reports[at])
    assert [tree.load(store).region_count for store in STORES] == [1, 1, 1]
    assert_shows(tree, reports)


@pytest.mark.tinykv("TestRegionAddBackPeers3C")
def test_peers_that_come_back_are_counted_again_even_at_the_same_epoch(
    tree: RegionTree, reports: list[RegionReport]
) -> None:
    for report in reports:
        tree.put(changed(report, conf_ver=2, peers=(report.leader,)))
    for at, report in enumerate(reports):
        reports[at] = changed(report, conf_ver=2)
        tree.put(reports[at])
    assert [tree.load(store).region_count for store in STORES] == [3, 3, 3]
    assert_shows(tree, reports)


@pytest.mark.tinykv("TestRegionChangeLeader3C")
def test_counts_of_leaders_follow_the_leader(tree: RegionTree, reports: list[RegionReport]) -> None:
    reports[0] = replace(reports[0], leader=reports[0].region.peers[1])
    tree.put(reports[0])
    assert [tree.load(store).leader_count for store in STORES] == [0, 2, 1]
    assert_shows(tree, reports)


@pytest.mark.tinykv("TestRegionChangeApproximateSize3C")
def test_a_new_size_is_stored(tree: RegionTree, reports: list[RegionReport]) -> None:
    reports[0] = replace(reports[0], approximate_bytes=144 << 20)
    tree.put(reports[0])
    assert_shows(tree, reports)


@pytest.mark.tinykv("TestRegionCounts3C")
def test_a_store_has_the_regions_with_a_peer_on_it(tree: RegionTree, reports: list[RegionReport]) -> None:
    reports[2] = changed(reports[2], conf_ver=1, peers=reports[2].region.peers[1:])
    tree.put(reports[2])
    assert [tree.load(store).region_count for store in STORES] == [2, 3, 3]
    assert tree.load(99).region_count == 0


@pytest.mark.tinykv("TestRegionGetRegions3C")
def test_the_regions_listed_are_those_that_reported(tree: RegionTree, reports: list[RegionReport]) -> None:
    assert list(tree) == reports
    assert tree.scan(b"") == reports
    assert tree.scan(b"i", limit=1) == reports[1:2]


@pytest.mark.tinykv("TestRegionGetStores3C")
def test_followers_are_the_peers_without_the_leader(tree: RegionTree, reports: list[RegionReport]) -> None:
    for report in reports:
        id_ = report.region.id
        assert [store for store in STORES if id_ in tree.load(store).regions()] == list(STORES)
        followed = [store for store in STORES if id_ in tree.load(store).followers]
        assert followed == [store for store in STORES if store != report.leader.store_id]


@pytest.mark.tinykv("TestRegionGetStoresInfo3C")
def test_counts_and_sizes_of_stores_are_those_of_the_index(tree: RegionTree, reports: list[RegionReport]) -> None:
    rng = random.Random(1)
    for round_ in range(100):
        at = rng.randrange(3)
        peers = reports[at].region.peers
        pending = tuple(peer for peer in peers if rng.random() < 0.3)
        reports[at] = replace(
            reports[at],
            leader=rng.choice(peers),
            term=round_ + 2,
            approximate_bytes=rng.randrange(200 << 20),
            pending_peers=pending,
        )
        tree.put(reports[at])
        assert_shows(tree, reports)


def halves(report: RegionReport, key: bytes, new_id: int) -> tuple[RegionReport, RegionReport]:
    """What a split makes of a region: a new one below the key, and the old one from it on."""
    old = changed(report, version=1)
    peers = tuple(Peer(10 * new_id + peer.store_id, peer.store_id) for peer in old.region.peers)
    below = replace(old.region, id=new_id, end_key=key, peers=peers)
    return replace(old, region=below, leader=peers[0]), replace(old, region=replace(old.region, start_key=key))


def region_of(tree: RegionTree, key: bytes) -> int:
    """The id of the region that the tree says a key is in; 0: it knows none."""
    found = tree.by_key(key)
    return 0 if found is None else found.region.id


@pytest.mark.tinykv("TestHeartbeatSplit3C")
def test_until_the_other_half_reports_its_keys_have_no_region() -> None:
    tree = RegionTree()
    peers = tuple(Peer(10 + store, store) for store in STORES)
    whole = RegionReport(Region(1, b"", b"", RegionEpoch(), peers), peers[0], 1)
    tree.put(whole)
    assert region_of(tree, b"foo") == 1

    below, above = halves(whole, b"m", 2)  # the new one reports first
    assert [report.region.id for report in tree.put(below)] == [1]
    assert (region_of(tree, b"a"), region_of(tree, b"z")) == (2, 0)
    tree.put(above)
    assert (region_of(tree, b"a"), region_of(tree, b"m"), region_of(tree, b"z")) == (2, 1, 1)

    below, above = halves(above, b"q", 3)  # the old one reports first
    tree.put(above)
    assert (region_of(tree, b"a"), region_of(tree, b"n"), region_of(tree, b"z")) == (2, 0, 1)
    tree.put(below)
    assert [region_of(tree, key) for key in (b"a", b"m", b"n", b"q", b"z")] == [2, 3, 3, 1, 1]


class Splitting:
    """Regions that split and merge, told to a tree in any order; `regions` are those that there are, by key."""

    def __init__(self, seed: int) -> None:
        self.rng = random.Random(seed)
        self.tree = RegionTree()
        peers = tuple(Peer(10 + store, store) for store in STORES)
        self.regions = [RegionReport(Region(1, b"", b"", RegionEpoch(), peers), peers[0], 1)]
        self.gone: list[RegionReport] = []
        self.last_id = 1
        self.tell(self.regions)

    def tell(self, reports: Sequence[RegionReport]) -> None:
        """Report in any order, and see that every key finds its region, and that those merged away stay away."""
        for report in self.rng.sample(list(reports), len(reports)):
            self.tree.put(report)
        assert list(self.tree) == self.regions
        for report in self.regions:
            first, end = report.region.start_key, report.region.end_key
            for key in (first, first + b"\x00", end[:-1] if len(end) > len(first) else first):
                if report.region.contains(key):
                    assert self.tree.by_key(key) == report
        for late in self.gone:
            with pytest.raises(StaleRegion):
                self.tree.put(late)
        self.gone.clear()

    def split(self, at: int) -> list[RegionReport]:
        """Cut a region in two, at a key about in its middle."""
        region = self.regions[at].region
        low, high = (int.from_bytes(key.ljust(4, b"\x00"), "big") for key in (region.start_key, region.end_key))
        self.last_id += 1
        key = ((low + (high or 1 << 32)) // 2).to_bytes(4, "big")
        self.regions[at : at + 1] = halves(self.regions[at], key, self.last_id)
        return self.regions[at : at + 2]

    def merge(self, at: int) -> list[RegionReport]:
        """Make a region and the next one into one, which keeps one of both ids."""
        left, right = self.regions[at : at + 2]
        kept = self.rng.choice((left, right))
        version = max(left.region.epoch.version, right.region.epoch.version) + 1
        epoch = RegionEpoch(kept.region.epoch.conf_ver, version)
        region = replace(kept.region, start_key=left.region.start_key, end_key=right.region.end_key, epoch=epoch)
        self.regions[at : at + 2] = [replace(kept, region=region)]
        self.gone.append(right if kept is left else left)
        return self.regions[at : at + 1]


@pytest.mark.tinykv("TestRegionSplitAndMerge3C")
def test_after_every_round_of_splits_and_merges_every_key_finds_its_region() -> None:
    splitting = Splitting(seed=7)
    for _ in range(7):
        splitting.tell([half for at in reversed(range(len(splitting.regions))) for half in splitting.split(at)])
    assert len(splitting.regions) == 128
    for _ in range(7):
        splitting.tell([whole for at in reversed(range(0, len(splitting.regions), 2)) for whole in splitting.merge(at)])
    assert len(splitting.regions) == 1
    for _ in range(100):
        count = len(splitting.regions)
        if count == 1 or splitting.rng.random() < 0.6:
            splitting.tell(splitting.split(splitting.rng.randrange(count)))
        else:
            splitting.tell(splitting.merge(splitting.rng.randrange(count - 1)))


REGIONS = 2000
WITHIN_S = 60.0


@pytest.mark.tinykv("TestConcurrentHandleRegion3C")
def test_thousands_of_regions_are_reported_at_once_over_three_streams(tmp_path: Path) -> None:
    def report(number: int) -> RegionReport:
        start, end = (b"%05d" % at if 0 < at < REGIONS else b"" for at in (number, number + 1))
        peers = tuple(Peer(10_000 + 3 * number + store, store) for store in STORES)
        region = Region(100_000 + number, start, end, RegionEpoch(1, 2), peers)
        return RegionReport(region, peers[number % 3], 6, BYTES)

    reports = [report(number) for number in range(REGIONS)]

    async def main() -> None:
        pd = await PdServer.start(PdOptions(directory=str(tmp_path), listen=ANYWHERE, peer_listen=ANYWHERE))
        streams = {store: GrpcPlacement(PdClient([pd.address])) for store in STORES}
        try:
            assert await streams[1].bootstrap(StoreMeta(1, "s1:1"), Region(1, peers=(Peer(2, 1),)))
            for store, stream in streams.items():
                await stream.put_store(StoreMeta(store, f"s{store}:1"))
                await stream.store_heartbeat(StoreStats(store))
            await asyncio.gather(*(streams[each.leader.store_id].region_heartbeat(each) for each in reports))
            held = pd.member.leader().cluster.regions
            assert [each.region for each in held] == [each.region for each in reports]
            assert [held.load(store).region_count for store in STORES] == [REGIONS] * 3
            for each in reports[::100]:
                assert await streams[1].region_by_key(each.region.start_key) == (each.region, each.leader)
        finally:
            for stream in streams.values():
                await stream.close()
            await pd.stop()

    async def bounded() -> None:
        async with asyncio.timeout(WITHIN_S):
            await main()

    asyncio.run(bounded())


class Balancing:
    """Stores with some load, and regions of SIZE that balance-region may move."""

    SIZE = 10 << 20

    def __init__(self, replicas: int) -> None:
        self.cluster = Cluster(ScheduleConfig(max_replicas=replicas))
        self.last_id = 0

    def stand_in(self, store: StoreId, load: int, state: StoreState = StoreState.UP) -> None:
        """A store that holds so many times SIZE, in a region that is no candidate: it has replicas too few or too many.

        Once more: as it is now.
        """
        self.cluster.stores.put(StoreMeta(store, state=state), self.cluster.now_s)
        others = (Peer(10_001, 1001), Peer(10_002, 1002)) if self.cluster.config.max_replicas == 1 else ()
        peers = (Peer(10_000 + store, store), *others)
        key = b"filler %04d" % store
        region = Region(1000 + store, key, key + b"\x00", RegionEpoch(), peers)
        self.cluster.regions.put(RegionReport(region, peers[0], approximate_bytes=load * self.SIZE))

    def region(self, id_: int, *stores: StoreId, pending: StoreId = 0) -> RegionReport:
        """A region with a peer on each of these, led from the first; one may be pending."""
        self.last_id += 1
        peers = tuple(Peer(100 * id_ + store, store) for store in stores)
        region = Region(id_, b"%04d" % id_, b"%04d\x00" % id_, RegionEpoch(self.last_id, 1), peers)
        waiting = tuple(peer for peer in peers if peer.store_id == pending)
        report = RegionReport(region, peers[0], approximate_bytes=self.SIZE, pending_peers=waiting)
        self.cluster.regions.put(report)
        return report

    def down(self, store: StoreId) -> None:
        """Nobody has heard of it for too long."""
        info = self.cluster.stores.get(store)
        assert info is not None
        info.heard_s = self.cluster.now_s - self.cluster.config.down_after_s - 1

    def proposed(self) -> list[Move]:
        """What is proposed, drawn in different ways; whether anything is does not depend on that."""
        drawn = [balance_region.schedule(self.cluster, SplitMix64(seed)) for seed in range(20)]
        moves = [move for move in drawn if move is not None]
        assert len(moves) in (0, len(drawn))
        return moves

    def moves(self) -> set[tuple[StoreId, StoreId]]:
        """From where to where."""
        return {(move.old.store_id, move.to) for move in self.proposed()}


@pytest.mark.tinykv("TestReplicas13C")
def test_one_copy_moves_to_the_emptiest_store_that_is_fit() -> None:
    balancing = Balancing(replicas=1)
    for store, load in ((1, 6), (2, 8), (3, 8), (4, 16)):
        balancing.stand_in(store, load)
    balancing.region(1, 4)
    assert balancing.moves() == {(4, 1)}
    balancing.stand_in(1, 6, StoreState.OFFLINE)
    assert balancing.moves() == {(4, 2)}
    balancing.cluster.config = replace(balancing.cluster.config, max_replicas=3)
    assert balancing.moves() == set()  # copies are missing, which comes first


@pytest.mark.tinykv("TestReplicas33C")
def test_three_copies_need_a_target_that_is_emptier_and_fit() -> None:
    balancing = Balancing(replicas=3)
    for store, load in ((1, 15), (2, 14), (3, 13)):  # and the region on each
        balancing.stand_in(store, load)
    balancing.region(1, 1, 2, 3)
    assert balancing.moves() == set()
    for store, load in ((4, 12), (5, 8), (6, 4)):
        balancing.stand_in(store, load)
        assert balancing.moves() == {(1, store)}
    balancing.down(6)
    assert balancing.moves() == {(1, 5)}
    for store in (4, 5):
        balancing.down(store)
    balancing.stand_in(7, 15)
    assert balancing.moves() == set()


@pytest.mark.tinykv("TestReplicas33C")
@pytest.mark.parametrize("difference, moves", [(1, False), (2, False), (3, True)])
def test_a_move_must_be_worth_more_than_twice_the_size(difference: int, moves: bool) -> None:
    balancing = Balancing(replicas=1)
    balancing.stand_in(1, 10)
    balancing.region(1, 1)
    balancing.stand_in(2, 11 - difference)
    assert balancing.moves() == ({(1, 2)} if moves else set())


@pytest.mark.tinykv("TestReplicas53C")
def test_five_copies_move_from_the_fullest_holder_to_the_emptiest_outsider() -> None:
    balancing = Balancing(replicas=5)
    for store, load in ((1, 4), (2, 5), (3, 6), (4, 7), (5, 28)):
        balancing.stand_in(store, load)
    balancing.region(1, 1, 2, 3, 4, 5)
    balancing.stand_in(6, 1)
    assert balancing.moves() == {(5, 6)}
    balancing.stand_in(7, 3)
    assert balancing.moves() == {(5, 6)}
    balancing.stand_in(1, 1)
    balancing.stand_in(6, 2)
    balancing.region(1, 2, 3, 4, 5, 6)
    assert balancing.moves() == {(5, 1)}
    balancing.stand_in(1, 9)
    balancing.stand_in(11, 40)
    balancing.region(1, 1, 2, 3, 5, 11)
    assert balancing.moves() == {(11, 6)}


@pytest.mark.tinykv("TestReplacePendingRegion3C")
def test_a_region_that_waits_for_its_data_on_the_fullest_store_goes_first() -> None:
    balancing = Balancing(replicas=3)
    for store, load in ((1, 16), (2, 7), (3, 15), (4, 10)):
        balancing.stand_in(store, load)
    for id_ in (1, 2, 3):  # store 1 follows in all of them
        balancing.region(id_, 2, 1, 3, pending=1 if id_ == 3 else 0)
    assert balancing.moves() == {(1, 4)}
    assert {move.report.region.id for move in balancing.proposed()} == {3}
