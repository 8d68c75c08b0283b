from dataclasses import replace

import pytest

from raftly.base.heartbeats import RegionReport
from raftly.base.operators import MergeInto, TransferLeader
from raftly.base.rand import SplitMix64
from raftly.base.region import Peer, Region, RegionEpoch
from raftly.base.store_meta import StoreMeta, StoreState
from raftly.pd.cluster import Cluster
from raftly.pd.config import ScheduleConfig
from raftly.pd.coordinator import Coordinator
from raftly.pd.moves import Add, HandOver, Move, Remove, Unite
from raftly.pd.operators import Plan, PlanEnd, PlanKind, Split
from raftly.pd.schedulers.scatter import Chosen, scatter
from tests.unit.pd.clusters import MIB, RunningRegion, cluster_of, drawn, hear, key, region, report, set_state

THREE = region(1, b"", b"", [1, 2, 3])


class World:
    """A cluster whose regions do what they are asked to, until nothing more is asked."""

    def __init__(self, cluster: Cluster, regions: list[RunningRegion], seed: int = 1) -> None:
        self.cluster = cluster
        self.regions = regions
        ids = iter(range(10**6, 10**7))
        self.coordinator = Coordinator(cluster, lambda: next(ids), seed)
        self.dead: set[int] = set()
        self.now_s = cluster.now_s

    def turn(self, seconds: float = 1.0) -> None:
        self.now_s += seconds
        hear(self.cluster, self.now_s, *self.dead)
        for each in self.regions:
            each.dead = self.dead
            at = each.report()
            self.cluster.regions.put(at)
            each.do(self.coordinator.on_report(at))
        self.coordinator.on_time()

    def settle(self, turns: int = 3000) -> None:
        quiet = 0
        for _ in range(turns):
            self.turn()
            quiet = 0 if self.coordinator.plans else quiet + 1
            if quiet > 12:  # longer than any scheduler pauses
                return
        pytest.fail(f"there is always something to do: {list(map(str, self.coordinator.plans.values()))[:5]}")

    def check(self) -> None:
        """Every region has its replicas, on stores that are up."""
        for each in self.regions:
            assert len(each.region.peers) == self.cluster.config.max_replicas
            assert all(self.cluster.is_up(peer.store_id) for peer in each.region.peers)
            assert not any(peer.is_learner for peer in each.region.peers)
        for inflow in self.cluster.inflow.values():
            assert (inflow.bytes, inflow.coming, inflow.going, inflow.leaders) == (0, 0, 0, 0)


def spread(world: World) -> tuple[int, int]:
    """How far stores lie apart: in bytes, and in leaders."""
    up = [store.id for store in world.cluster.up_stores()]
    loads = [world.cluster.regions.load(store_id) for store_id in up]
    sizes, leaders = [load.region_bytes for load in loads], [load.leader_count for load in loads]
    return max(sizes) - min(sizes), max(leaders) - min(leaders)


@pytest.mark.parametrize("seed", range(4))
def test_a_drawn_cluster_comes_to_rest_balanced(seed: int) -> None:
    rand = SplitMix64(seed)
    stores = 4 + rand.below(6)
    world = World(cluster_of(stores), drawn(rand, stores - 1, 40), seed)  # one store is empty
    world.settle()
    world.check()
    bytes_apart, leaders_apart = spread(world)
    largest = max(each.size for each in world.regions)
    assert bytes_apart <= 4 * largest
    assert leaders_apart <= 2


@pytest.mark.parametrize("seed", range(3))
def test_what_lay_on_a_dead_store_is_elsewhere_in_the_end(seed: int) -> None:
    rand = SplitMix64(seed)
    world = World(cluster_of(6, ScheduleConfig(down_after_s=60.0)), drawn(rand, 6, 30), seed)
    world.settle()
    victim = 1 + rand.below(6)
    world.dead = {victim}
    for each in world.regions:  # their leaders are elsewhere soon
        if each.region.peer(each.leader) == each.region.peer_on(victim):
            each.leader = next(peer.id for peer in each.region.peers if peer.store_id != victim)
    for _ in range(62):
        world.turn()
    world.settle()
    world.check()
    assert world.cluster.regions.load(victim).region_count == 0


@pytest.mark.parametrize("turns", range(8))
def test_a_peer_that_comes_to_lead_in_the_middle_of_its_own_replacement_hands_over_first(turns: int) -> None:
    running = RunningRegion(THREE, THREE.peers[0].id)
    world = World(cluster_of(4, ScheduleConfig(balance_regions=False, balance_leaders=False)), [running])
    world.turn()
    made = world.coordinator.propose(PlanKind.ADMIN, Move(running.report(), THREE.peers[1], 4))
    assert made is not None
    for _ in range(turns):
        world.turn()
    if running.region.peer(THREE.peers[1].id) is not None:
        running.leader = THREE.peers[1].id  # elected, or handed over to by hand; it may be a learner that leads on
    world.settle(turns=60)
    assert made.end is PlanEnd.SUCCESS
    assert {peer.store_id for peer in running.region.peers} == {1, 3, 4}


def test_a_leader_that_nobody_can_succeed_is_not_asked_to_go() -> None:
    cluster = cluster_of(4)
    cluster.stores.keep({id_: StoreMeta(id_, f"s{id_}:1") for id_ in (2, 4)}, 0.0)  # who was on 1 and 3 is gone
    running = RunningRegion(THREE, THREE.peers[0].id)
    coordinator = Coordinator(cluster, lambda: 500, 1)
    made = coordinator.propose(PlanKind.ADMIN, Remove(running.report(), THREE.peers[1]))
    assert made is not None
    running.leader = THREE.peers[1].id
    assert made.unseats_leader(running.report())
    assert coordinator.ask(made, running.report()) is None


def test_a_store_that_is_offline_is_emptied() -> None:
    world = World(cluster_of(5), drawn(SplitMix64(7), 5, 30))
    world.settle()
    set_state(world.cluster, 2, StoreState.OFFLINE)
    world.settle()
    world.check()
    assert world.cluster.regions.load(2).region_count == 0


def test_replicas_come_to_stand_apart() -> None:
    zones = ["a", "a", "a", "b", "b", "c", "c"]
    world = World(cluster_of(7, zone=zones), drawn(SplitMix64(3), 7, 20))
    world.settle()
    world.check()
    for each in world.regions:
        assert {zones[peer.store_id - 1] for peer in each.region.peers} == {"a", "b", "c"}


def test_a_thousand_stores() -> None:
    cluster = cluster_of(1000)
    world = World(cluster, drawn(SplitMix64(5), 500, 300))
    hear(cluster, 1.0)
    for each in world.regions:
        cluster.regions.put(each.report())
    made = []
    for n in range(40):
        hear(cluster, 1.0 + n)
        made += world.coordinator.on_time()
    assert len({plan.region_id for plan in made}) == len(made) > 20
    for plan in made:
        assert all(not cluster.regions.load(store_id).region_count for store_id in plan.stores_in())


def coordinator(stores: int = 5, config: ScheduleConfig | None = None) -> Coordinator:
    numbers = iter(range(500, 10_000))
    made = Coordinator(cluster_of(stores, config), lambda: next(numbers), 1)
    made.cluster.regions.put(report(THREE))
    return made


def test_one_plan_a_region_and_urgent_ones_first() -> None:
    made = coordinator()
    balance = made.propose(PlanKind.REGION, Move(report(THREE), THREE.peers[1], 4))
    assert balance is not None
    assert made.propose(PlanKind.LEADER, HandOver(report(THREE), 2)) is None
    urgent = made.propose(PlanKind.ADMIN, Add(report(THREE), 5))
    assert urgent is not None
    assert balance.end is PlanEnd.REPLACE
    assert made.plan_of(1) is urgent
    assert made.propose(PlanKind.REPAIR, Add(report(THREE), 4)) is None
    assert made.cancel(1)
    assert not made.cancel(1)
    assert urgent.end is PlanEnd.CANCEL


def test_kinds_have_limits() -> None:
    made = coordinator(config=ScheduleConfig(leader_limit=1))
    other = report(region(2, b"m", b"", [1, 2, 3], version=2))
    made.cluster.regions.put(report(region(1, b"", b"m", [1, 2, 3], version=2)))
    made.cluster.regions.put(other)
    first = made.cluster.regions.by_id(1)
    assert first is not None
    assert made.propose(PlanKind.LEADER, HandOver(first, 2))
    assert made.propose(PlanKind.LEADER, HandOver(other, 2)) is None
    assert made.propose(PlanKind.REGION, Move(other, other.region.peers[1], 4))


def test_a_step_is_asked_for_again_until_it_is_seen_done() -> None:
    made = coordinator()
    assert made.propose(PlanKind.ADMIN, HandOver(report(THREE), 2))
    for _ in range(3):
        operator = made.on_report(report(THREE))
        assert operator is not None
        assert operator.step == TransferLeader(THREE.peers[1])
    assert made.on_report(report(THREE, 2)) is None
    assert [plan.end for plan in made.ended] == [PlanEnd.SUCCESS]


def test_a_plan_nobody_reports_on_ends_by_time() -> None:
    made = coordinator()
    plan = made.propose(PlanKind.ADMIN, HandOver(report(THREE), 2))
    assert plan is not None
    made.cluster.now_s = made.cluster.config.transfer_timeout_s + 1
    made.on_time()
    assert plan.end is PlanEnd.TIMEOUT
    assert not made.plans


def test_a_plan_whose_target_died_makes_room() -> None:
    made = coordinator(config=ScheduleConfig(down_after_s=100.0))
    plan = made.propose(PlanKind.REGION, Move(report(THREE), THREE.peers[1], 4))
    assert plan is not None
    hear(made.cluster, 101.0, 4)
    assert made.on_report(report(THREE)) is None, "what has ended is not asked for"
    assert plan.end is PlanEnd.CANCEL


def test_a_merge_locks_its_target_and_ends_when_the_target_has_the_range() -> None:
    made = coordinator()
    source = report(region(1, b"", b"m", [1, 2, 3], version=2), size=MIB)
    target = report(region(2, b"m", b"", [1, 2, 3], version=2))
    for each in (source, target):
        made.cluster.regions.put(each)
    plan = made.propose(PlanKind.MERGE, Unite(source, target))
    assert plan is not None
    assert made.propose(PlanKind.REGION, Move(target, target.region.peers[1], 4)) is None
    whole = report(region(2, b"", b"", [1, 2, 3], version=3))
    for displaced in made.cluster.regions.put(whole):
        made.on_displaced(displaced, whole)
    assert plan.end is PlanEnd.SUCCESS
    assert made.propose(PlanKind.REGION, Move(whole, whole.region.peers[1], 4))


def merging() -> tuple[Coordinator, RegionReport, Plan]:
    """Region 1 is to be merged into region 2, above it."""
    made = coordinator()
    source = report(region(1, b"", b"m", [1, 2, 3], version=2), size=MIB)
    for each in (source, report(region(2, b"m", b"", [1, 2, 3], version=2))):
        made.cluster.regions.put(each)
    plan = made.propose(PlanKind.MERGE, Unite(source, each))
    assert plan is not None
    return made, source, plan


@pytest.mark.parametrize("change", [{"conf_ver": 7}, {"version": 3}])
def test_a_merge_is_asked_for_with_the_neighbour_as_it_is_by_now(change: dict[str, int]) -> None:
    made, source, _ = merging()
    now = region(2, b"m", b"t" if "version" in change else b"", [1, 2, 3], **{"version": 2, **change})
    made.cluster.regions.put(report(now))
    operator = made.on_report(source)
    assert operator is not None
    assert operator.step == MergeInto(now), "stores refuse one that names it otherwise"


@pytest.mark.parametrize(
    "neighbour",
    [
        region(2, b"p", b"", [1, 2, 3], version=3),  # it split, and lies apart
        region(3, b"m", b"", [1, 2, 3], version=3),  # another one has its range
        region(2, b"m", b"", [1, 2, 4], version=2, conf_ver=5),  # it moved
    ],
)
def test_a_merge_with_a_neighbour_that_is_none_any_more_is_given_up_unless_it_is_prepared(neighbour: Region) -> None:
    for version, end in ((2, PlanEnd.CANCEL), (3, PlanEnd.RUNNING)):
        made, source, plan = merging()
        made.cluster.regions.put(report(neighbour))
        at = replace(source, region=replace(source.region, epoch=RegionEpoch(1, version)))
        made.cluster.regions.put(at)
        made.on_report(at)
        assert plan.end is end
        assert made._is_free(2) is (end is PlanEnd.CANCEL)


def test_small_regions_are_merged_once_they_are_old_enough() -> None:
    made = coordinator(config=ScheduleConfig(split_merge_interval_s=100.0))
    small = report(region(1, b"", b"m", [1, 2, 3], version=2), size=MIB)
    for each in (small, report(region(2, b"m", b"", [1, 2, 3], version=2))):
        made.cluster.regions.put(each)
    hear(made.cluster, 50.0)
    assert made.on_report(small) is None
    hear(made.cluster, 101.0)
    made.on_split([2])
    assert made.on_report(small) is None
    hear(made.cluster, 202.0)
    operator = made.on_report(small)
    assert operator is not None
    assert operator.step.target.id == 2  # type: ignore[union-attr]


def test_scatter_spreads_a_group() -> None:
    cluster = cluster_of(9)
    chosen = Chosen()
    leaders, peers = [], []
    for n in range(9):
        at = report(region(n + 1, key(n), key(n + 1), [1, 2, 3]))
        cluster.regions.put(at)
        found = scatter(cluster, at, chosen)
        assert found is not None
        now = {peer.store_id for peer in at.region.peers} - {old.store_id for old, _ in found.replaced}
        now |= {to for _, to in found.replaced}
        assert len(now) == 3
        peers += sorted(now)
        leaders.append(found.leader_to)
    assert max(leaders.count(store_id) for store_id in range(1, 10)) <= 3
    assert {store_id for store_id in range(1, 10) if peers.count(store_id)} == set(range(1, 10))
    lacking = report(region(20, b"zz", b"", [1, 2]))
    assert scatter(cluster, lacking, chosen) is None
    assert isinstance(lacking.leader, Peer)


def test_splits_are_noted_for_as_long_as_they_matter() -> None:
    cluster = cluster_of(3)
    interval_s = cluster.config.split_merge_interval_s
    coordinator = Coordinator(cluster, lambda: 1, 1)
    for n in range(1000):
        cluster.now_s = float(n)
        coordinator.on_split([n, 5000])
    assert len(coordinator._split_at_s) == 1001
    cluster.now_s = interval_s + 998.5
    coordinator.on_split([6000])
    assert sorted(coordinator._split_at_s) == [999, 5000, 6000], "5000 was split again and again"


def test_clients_may_ask_for_so_much_at_once() -> None:
    cluster = cluster_of(3)
    coordinator = Coordinator(cluster, lambda: 1, 1)
    plans = [Plan(PlanKind.SPLIT, region(n, key(n), key(n + 1), [1, 2, 3]), (Split(1),)) for n in range(1, 1026)]
    assert [coordinator.add(plan) for plan in plans] == [True] * 1024 + [False]
    assert not coordinator.add(plans[3]), "one a region"
    assert coordinator.cancel(5)
    assert coordinator.add(plans[-1])
