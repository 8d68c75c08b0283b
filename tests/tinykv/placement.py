"""Placement: a placement driver in memory that does what a test tells it, and nothing by itself.

Stores reach it without a network, so no fault touches it. A step that a test asks for is in the answer to every report
of its region until a report shows it done.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

from raftly.base.heartbeats import NewRegionIds, RegionReport, StoreStats
from raftly.base.operators import ChangeKind, ChangePeers, Operator, PeerChange, Step, TransferLeader
from raftly.base.region import Peer, Region, RegionId, StoreId
from raftly.base.store_meta import StoreMeta
from raftly.pd.region_tree import RegionTree, StaleRegion

CLUSTER_ID = 7
Plan = Callable[[RegionReport], Step]
_POLL_S = 0.02
_ID_MIN = 1000  # above what tests choose themselves


class Placement:
    """A `PlacementClient` for all stores of a simulation."""

    def __init__(self) -> None:
        self.metas: dict[StoreId, StoreMeta] = {}
        self.regions = RegionTree()
        self.bootstrapped = False
        self.next_ids: list[int] = []
        """Given out before any other."""
        self._last_id = _ID_MIN
        self._plans: dict[RegionId, Plan] = {}

    # --- what stores ask and tell ---

    async def cluster_id(self) -> int:
        return CLUSTER_ID

    async def is_bootstrapped(self) -> bool:
        return self.bootstrapped

    async def bootstrap(self, store: StoreMeta, region: Region) -> bool:
        if self.bootstrapped:
            return False
        self.bootstrapped = True
        self.metas[store.id] = store
        return True

    async def alloc_id(self) -> int:
        if self.next_ids:
            return self.next_ids.pop(0)
        self._last_id += 1
        return self._last_id

    async def put_store(self, store: StoreMeta) -> None:
        self.metas[store.id] = store

    async def store_of(self, store_id: StoreId) -> StoreMeta | None:
        return self.metas.get(store_id)

    async def stores(self) -> list[StoreMeta]:
        return [self.metas[id_] for id_ in sorted(self.metas)]

    async def store_heartbeat(self, stats: StoreStats) -> None:
        pass

    async def region_heartbeat(self, report: RegionReport) -> Operator | None:
        try:
            self.regions.put(report)
        except StaleRegion:
            return None
        plan = self._plans.get(report.region.id)
        if plan is None:
            return None
        return Operator(report.region.id, report.region.epoch, report.leader, plan(report))

    async def ask_batch_split(self, region: Region, count: int) -> list[NewRegionIds]:
        return [
            NewRegionIds(await self.alloc_id(), tuple([await self.alloc_id() for _ in region.peers]))
            for _ in range(count)
        ]

    async def report_batch_split(self, regions: Sequence[Region]) -> None:
        pass

    async def region_by_key(self, key: bytes) -> tuple[Region, Peer | None] | None:
        found = self.regions.by_key(key)
        return None if found is None else (found.region, found.leader)

    async def region_by_id(self, region_id: RegionId) -> tuple[Region, Peer | None] | None:
        found = self.regions.by_id(region_id)
        return None if found is None else (found.region, found.leader)

    # --- what tests want; on the director's loop ---

    def report_of(self, key: bytes) -> RegionReport:
        """The region that holds a key, as it was reported last."""
        found = self.regions.by_key(key)
        assert found is not None, f"nobody reported a region that holds {key!r}"
        return found

    async def transfer_leader(self, region_id: RegionId, store_id: StoreId, within: float = 10.0) -> bool:
        """Have the peer on a store lead; did it come about in time?"""
        report = self.regions.by_id(region_id)
        peer = None if report is None else report.region.peer_on(store_id)
        if peer is None:
            return False
        step = TransferLeader(peer)
        return await self._do(region_id, lambda _: step, lambda now: now.leader.id == peer.id, within)

    async def add_peer(self, region_id: RegionId, peer: Peer, within: float = 10.0) -> bool:
        """Give a region a peer that votes, and wait until it is not pending; did it come about in time?"""

        def is_done(now: RegionReport) -> bool:
            waiting = {pending.id for pending in now.pending_peers}
            return now.region.peer(peer.id) is not None and peer.id not in waiting

        change = ChangePeers((PeerChange(ChangeKind.ADD_VOTER, peer),))
        return await self._do(region_id, lambda _: change, is_done, within)

    async def remove_peer(self, region_id: RegionId, peer: Peer, within: float = 10.0) -> bool:
        """Take a peer from a region, which hands leadership over first; did it come about in time?"""
        change = ChangePeers((PeerChange(ChangeKind.REMOVE, peer),))

        def plan(now: RegionReport) -> Step:
            others = [other for other in now.region.peers if other.id != peer.id and not other.is_learner]
            return TransferLeader(others[0]) if now.leader.id == peer.id and others else change

        return await self._do(region_id, plan, lambda now: now.region.peer(peer.id) is None, within)

    async def _do(
        self, region_id: RegionId, plan: Plan, is_done: Callable[[RegionReport], bool], within: float
    ) -> bool:
        loop = asyncio.get_running_loop()
        deadline = loop.time() + within
        self._plans[region_id] = plan
        try:
            while loop.time() < deadline:
                report = self.regions.by_id(region_id)
                if report is not None and is_done(report):
                    return True
                await asyncio.sleep(_POLL_S)
            return False
        finally:
            if self._plans.get(region_id) is plan:
                del self._plans[region_id]
