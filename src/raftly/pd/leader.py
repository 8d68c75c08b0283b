"""Leader: what the member that leads has in memory, beside the replicated state: all of it without I/O.

    store_heartbeat, region_heartbeat     what stores tell; a region's answer is what to do with it
    regions, by key and by id             `cluster.regions`
    split_ids, oracle, ids                numbers
    on_time                               schedulers; steps that should not wait for the next heartbeat
    take_changes                          what to write down, so that the next leader begins with it

Made anew with every term, from the replicated state and the clock; `remember` comes next. `now_s` is any clock that
goes on steadily.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Final, final

from raftly.base.heartbeats import NewRegionIds, RegionReport, StoreStats
from raftly.base.operators import Operator
from raftly.base.region import Region, RegionId, StoreId, encode_region
from raftly.base.store_meta import StoreState
from raftly.pd.cluster import Cluster
from raftly.pd.coordinator import Coordinator
from raftly.pd.errors import NotReady, Refused
from raftly.pd.id_alloc import IdPool
from raftly.pd.operators import Plan
from raftly.pd.placement import Placement, SavedRegion, report_of
from raftly.pd.region_tree import PEERS_MAX, StaleRegion, problem_with_report
from raftly.pd.schedulers.scatter import Chosen
from raftly.pd.tso import Oracle

SPLITS_MAX: Final = 1000
SETTLE_S: Final = 60.0
"""Schedulers wait so long for all stores and regions to be heard after a change of leader, no longer."""
GROUPS_MAX: Final = 1000
SLICE: Final = 256
"""Regions that are remembered in one step: a few milliseconds."""
PATROL_S: Final = 30.0
"""Checkers look at each of very many regions as often, at a few sooner; also at those that sleep and seldom report."""
PATROL_MAX: Final = 128
"""Regions that they look at in one turn."""


@final
class Leader:
    """See the module."""

    def __init__(self, placement: Placement, now_s: float, now_ms: int, seed: int) -> None:
        self.cluster: Final = Cluster(placement.config)
        self.cluster.now_s = now_s
        self.ids: Final = IdPool()
        self.oracle: Final = Oracle()
        self.oracle.begin(placement.tso_bound_ms, now_ms)
        self.coordinator: Final = Coordinator(self.cluster, self.ids.take, seed)
        self.ranges_version = 0  # counts changes of who holds which keys
        self._whole = -1, False  # at which version of the ranges: was there a region for every key?
        self.groups: Final[dict[str, Chosen]] = {}  # of scatter
        self._began_s = now_s
        self._patrol_key = b""  # from where on checkers look next
        self._patrol_s = now_s  # when they looked last
        self._heard: set[StoreId] = set()
        self._unsure: set[RegionId] = set()  # written down by another leader, not heard since
        self._dirty: dict[RegionId, None] = {}  # not written down as they are now
        self.on_placement(placement, now_s)
        self.coordinator.schedules_run = False

    def on_bootstrap(self, placement: Placement) -> None:
        """The cluster has its first region, and numbers were taken for it."""
        for _ in self.remember(placement):
            pass
        used = [*placement.stores, *placement.regions]
        used += [peer.id for report in self.cluster.regions for peer in report.region.peers]
        self.ids.skip_past(max(used))

    def remember(self, placement: Placement) -> Iterator[None]:
        """Take over the regions that were written down, before the first is heard; others may run at each step."""
        for count, region_id in enumerate(sorted(placement.regions), 1):
            self._remember(region_id, placement.regions[region_id])
            if count % SLICE == 0:
                yield

    def _remember(self, region_id: RegionId, saved: SavedRegion) -> None:
        report = report_of(saved)
        if report is None:
            return
        try:
            displaced = self.cluster.regions.put(report)
        except StaleRegion:  # a newer one has its range: if there is this one still, its own leader will tell
            self._dirty[region_id] = None
            return
        self._unsure.add(region_id)
        self._whole = -1, False
        for other in displaced:  # likewise; nobody waits to hear of it, since it may be part of this one
            self._unsure.discard(other.region.id)
            self._dirty[other.region.id] = None

    def on_placement(self, placement: Placement, now_s: float) -> None:
        """The replicated state changed: stores, what was decided about them, options."""
        self.cluster.config = placement.config
        self.cluster.stores.keep({store_id: row.meta() for store_id, row in placement.stores.items()}, now_s)

    @property
    def is_settled(self) -> bool:
        """Was every store and region heard that there is to hear, or was there time enough?"""
        if self.cluster.now_s - self._began_s > SETTLE_S:
            return True
        if self._unsure:  # how large they are is not written down
            return False
        return all(store.id in self._heard for store in self.cluster.up_stores())

    # --- heartbeats ---

    def store_heartbeat(self, stats: StoreStats, now_s: float) -> None:
        """A store tells how it does.

        Raises:
            Refused: it does not belong here, or no longer.
        """
        self.cluster.now_s = now_s
        if not self.cluster.stores.on_heartbeat(stats, now_s):
            store = self.cluster.stores.get(stats.store_id)
            if store is None:
                raise Refused("UNKNOWN", f"store {stats.store_id} is not known; it must be put first")
            raise Refused("STORE_TOMBSTONE", f"store {stats.store_id} was drained and removed")
        self._heard.add(stats.store_id)

    def region_heartbeat(self, report: RegionReport, now_s: float) -> Operator | None:
        """A region's leader tells how it fares: what to do with it, if anything.

        Raises:
            StaleRegion: it is known at a newer epoch.
            Refused: it makes no sense.
        """
        self.cluster.now_s = now_s
        region = report.region
        if problem := problem_with_report(report):
            raise Refused("INVALID_VALUE", f"the report of region {region.id} makes no sense: {problem}")
        known = self.cluster.regions.by_id(region.id)
        displaced = self.cluster.regions.put(report)
        if known is None or known.region != region or known.leader.id != report.leader.id:
            self._dirty[region.id] = None
            self.ranges_version += 1
        self._unsure.discard(region.id)
        self.cluster.hot.on_report(report, self.cluster.config)
        for other in displaced:
            self._dirty[other.region.id] = None
            self._unsure.discard(other.region.id)
            self.coordinator.on_displaced(other, report)
        return self.coordinator.on_report(report)

    def on_time(self, now_s: float) -> list[Operator]:
        """Let time pass: steps of plans just made, for their leaders."""
        self.cluster.now_s = now_s
        self.coordinator.schedules_run = self.is_settled
        made = [*self._patrol(now_s), *self.coordinator.on_time()]
        return [step for plan in made if (step := self.next_step(plan)) is not None]

    def _patrol(self, now_s: float) -> list[Plan]:
        """Let checkers look at the next few regions; plans that they made."""
        regions = self.cluster.regions
        count = min(math.ceil(len(regions) * (now_s - self._patrol_s) / PATROL_S), PATROL_MAX, len(regions))
        if count <= 0:
            return []
        self._patrol_s = now_s
        found = regions.scan(self._patrol_key, limit=count)
        self._patrol_key = found[-1].region.end_key if found else b""
        heard = [report for report in found if report.region.id not in self._unsure]
        return [plan for report in heard if (plan := self.coordinator.look_at(report)) is not None]

    def next_step(self, plan: Plan) -> Operator | None:
        """What to ask a region's leader for now, by what is known of it."""
        report = self.cluster.regions.by_id(plan.region_id)
        return None if report is None else self.coordinator.ask(plan, report)

    # --- what goes into the log ---

    def take_changes(self, limit: int) -> tuple[dict[RegionId, SavedRegion], list[RegionId]]:
        """Regions that changed since they were written down, at most so many, and those that are no more."""
        changed: dict[RegionId, SavedRegion] = {}
        gone: list[RegionId] = []
        for region_id in list(self._dirty)[:limit]:
            del self._dirty[region_id]
            report = self.cluster.regions.by_id(region_id)
            if report is None:
                gone.append(region_id)
            else:
                changed[region_id] = SavedRegion(encode_region(report.region), report.leader.id, report.term)
        return changed, gone

    def give_back(self, changed: dict[RegionId, SavedRegion], gone: list[RegionId]) -> None:
        """They were not written down after all."""
        self._dirty.update(dict.fromkeys([*changed, *gone]))

    def drained(self) -> list[StoreId]:
        """Stores that were to be drained and are empty, as far as every region was heard.

        None while there are keys whose region is not known: half of a split that has not reported may lie there.
        """
        if self._unsure or not self.is_settled:
            return []
        stores = [store.id for store in self.cluster.stores if store.meta.state is StoreState.OFFLINE]
        coming = {store_id for plan in self.coordinator.plans.values() for store_id in plan.stores_in()}
        empty = [id_ for id_ in stores if not self.cluster.regions.load(id_).region_count and id_ not in coming]
        return empty if empty and self._is_whole() else []

    def _is_whole(self) -> bool:
        """Is there a region for every key?"""
        version, whole = self._whole
        if version != self.ranges_version:
            regions = [report.region for report in self.cluster.regions]
            ends = [b"", *(region.end_key for region in regions)]
            whole = bool(regions) and [*(region.start_key for region in regions), b""] == ends
            self._whole = self.ranges_version, whole
        return whole

    # --- splits ---

    def split_ids(self, region: Region, count: int) -> list[NewRegionIds]:
        """Ids for so many regions that a split makes.

        Raises:
            StaleRegion: the region is known at a newer epoch.
            Refused: too many.
            NotReady: there are not so many ids at hand.
        """
        if not 1 <= count <= SPLITS_MAX:
            raise Refused("INVALID_VALUE", f"{count} splits at once are not to be had, 1 to {SPLITS_MAX} are")
        if len(region.peers) > PEERS_MAX:
            raise Refused("INVALID_VALUE", f"{len(region.peers)} peers are too many for a region, {PEERS_MAX} are not")
        known = self.cluster.regions.by_id(region.id)
        if known is not None and region.epoch.is_older_than(known.region.epoch):
            raise StaleRegion(region, known.region)
        each = 1 + len(region.peers)
        first = self.ids.take(count * each)
        if first is None:
            raise NotReady("ids are being reserved")
        found = [NewRegionIds(at, tuple(range(at + 1, at + each))) for at in range(first, first + count * each, each)]
        self.coordinator.on_split([region.id, *(ids.region_id for ids in found)])
        return found

    def chosen_for(self, group: str) -> Chosen:
        """What scatter chose for a group before."""
        chosen = self.groups.pop(group, None) or Chosen()
        self.groups[group] = chosen  # the newest last
        if len(self.groups) > GROUPS_MAX:
            del self.groups[next(iter(self.groups))]
        return chosen
