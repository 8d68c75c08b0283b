"""LocalPlacement: the placement driver in the process of those who ask, without a node: for simulators and tests.

The same rules on the same state as a member that leads, so a store sees no difference but that nothing ever fails. It
is what stores know as `PlacementClient`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import final

from raftly.base.heartbeats import NewRegionIds, RegionReport, StoreStats
from raftly.base.operators import Operator
from raftly.base.region import Peer, Region, RegionId, StoreId, encode_region
from raftly.base.store_meta import StoreMeta, StoreState
from raftly.pd.coordinator import PAUSE_MIN_S
from raftly.pd.errors import Refused
from raftly.pd.id_alloc import IDS_BATCH
from raftly.pd.leader import Leader
from raftly.pd.placement import Placement, row_of
from raftly.pd.region_tree import StaleRegion


@final
class LocalPlacement:
    """`clock` gives seconds that go on steadily; `seed` decides what rules choose among equals."""

    def __init__(self, clock: Callable[[], float], *, seed: int = 1, cluster_id: int = 1) -> None:
        self._clock = clock
        self._seed = seed
        self._timed_s = clock()
        self.placement = Placement()
        self.placement.found(cluster_id)
        self.leader = self._lead()

    def _lead(self) -> Leader:
        now_s = self._clock()
        leader = Leader(self.placement, now_s, int(now_s * 1000), self._seed)
        for _ in leader.remember(self.placement):
            pass  # nobody else is to run
        leader.ids.add(self.placement.reserve_ids(IDS_BATCH), IDS_BATCH)
        return leader

    def restart(self) -> None:
        """Forget what only a leader's memory holds, as another leader would begin."""
        self._save()
        self.leader = self._lead()

    def _save(self) -> None:
        self.placement.save_regions(*self.leader.take_changes(1 << 30))

    def _now(self) -> float:
        """The time; rules that are due run first."""
        now_s = self._clock()
        if now_s - self._timed_s >= PAUSE_MIN_S:
            self._timed_s = now_s
            self._fill_ids(IDS_BATCH // 2)
            self.leader.on_time(now_s)  # steps come with the next heartbeat
            self._save()
            for store_id in self.leader.drained():
                self.placement.bury_store(store_id)
                self.leader.on_placement(self.placement, now_s)
        return now_s

    def _fill_ids(self, count: int) -> None:
        if len(self.leader.ids) < count:
            batch = max(count, IDS_BATCH)
            self.leader.ids.add(self.placement.reserve_ids(batch), batch)

    # --- PlacementClient ---

    async def cluster_id(self) -> int:
        return self.placement.cluster_id

    async def is_bootstrapped(self) -> bool:
        return self.placement.is_bootstrapped

    async def bootstrap(self, store: StoreMeta, region: Region) -> bool:
        """Begin the cluster; False: somebody else did already.

        Raises:
            Refused: the region is not one that a cluster begins with.
        """
        try:
            self.placement.bootstrap(row_of(store), encode_region(region))
        except Refused as refused:
            if refused.kind == "ALREADY_BOOTSTRAPPED":
                return False
            raise
        self.leader.on_placement(self.placement, self._clock())
        self.leader.on_bootstrap(self.placement)
        return True

    async def alloc_id(self) -> int:
        self._fill_ids(1)
        found = self.leader.ids.take()
        assert found is not None
        return found

    async def put_store(self, store: StoreMeta) -> None:
        """Raises Refused when the cluster does not take it."""
        self.placement.put_store(row_of(store))
        self.leader.ids.skip_past(store.id)
        self.leader.on_placement(self.placement, self._clock())

    async def store_of(self, store_id: StoreId) -> StoreMeta | None:
        row = self.placement.stores.get(store_id)
        return None if row is None else row.meta()

    async def stores(self) -> list[StoreMeta]:
        metas = [row.meta() for _, row in sorted(self.placement.stores.items())]
        return [meta for meta in metas if meta.state is not StoreState.TOMBSTONE]

    async def store_heartbeat(self, stats: StoreStats) -> None:
        """Raises Refused when the store does not belong here."""
        self.leader.store_heartbeat(stats, self._now())

    async def region_heartbeat(self, report: RegionReport) -> Operator | None:
        self._fill_ids(IDS_BATCH // 2)
        try:
            return self.leader.region_heartbeat(report, self._now())
        except StaleRegion:
            return None

    async def ask_batch_split(self, region: Region, count: int) -> list[NewRegionIds]:
        """Raises StaleRegion when the region is known at a newer epoch."""
        self._fill_ids(count * (1 + len(region.peers)))
        return self.leader.split_ids(region, count)

    async def report_batch_split(self, regions: Sequence[Region]) -> None:
        self.leader.coordinator.on_split([region.id for region in regions])

    async def region_by_key(self, key: bytes) -> tuple[Region, Peer | None] | None:
        report = self.leader.cluster.regions.by_key(key)
        return None if report is None else (report.region, report.leader)

    async def region_by_id(self, region_id: RegionId) -> tuple[Region, Peer | None] | None:
        report = self.leader.cluster.regions.by_id(region_id)
        return None if report is None else (report.region, report.leader)

    # --- what people ask for ---

    def remove_store(self, store_id: StoreId) -> None:
        """Begin to drain a store. Raises Refused."""
        self.placement.remove_store(store_id)
        self.leader.on_placement(self.placement, self._clock())
