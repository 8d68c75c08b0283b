"""Cluster: all that rules look at: stores, regions, options, the time, and what plans under way will change.

Nothing here decides; it answers questions that several rules have.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias, final

from raftly.base.heartbeats import RegionReport
from raftly.base.region import Peer, PeerRole, StoreId
from raftly.pd import isolation
from raftly.pd.config import MIB, ScheduleConfig
from raftly.pd.hot import HotRegions
from raftly.pd.region_tree import RegionTree
from raftly.pd.stores import Liveness, StoreInfo, Stores

REGION_BYTES_MIN = MIB
"""A region counts at least as much for balance, so that empty ones are spread too."""

Score: TypeAlias = Callable[[StoreId], float]


@final
@dataclass(slots=True)
class Inflow:
    """What plans under way will add to a store, or take from it."""

    leaders: int = 0
    bytes: int = 0
    coming: int = 0  # peers
    going: int = 0


@final
class Cluster:
    """See the module. Whoever owns it sets `now_s` before rules run."""

    def __init__(self, config: ScheduleConfig) -> None:
        self.config = config
        self.now_s = 0.0
        self.stores = Stores()
        self.regions = RegionTree()
        self.hot = HotRegions()
        self.inflow: dict[StoreId, Inflow] = {}

    # --- stores ---

    def liveness(self, store_id: StoreId) -> Liveness:
        """How a store fares; one that nobody knows is gone."""
        store = self.stores.get(store_id)
        return Liveness.TOMBSTONE if store is None else store.liveness(self.config, self.now_s)

    def is_up(self, store_id: StoreId) -> bool:
        """Is it in service and heard?"""
        return self.liveness(store_id) is Liveness.UP

    def up_stores(self) -> list[StoreInfo]:
        """Those, ids ascending."""
        return [store for store in self.stores if self.is_up(store.id)]

    def is_gone(self, store_id: StoreId) -> bool:
        """Is what lies there to be copied elsewhere, because nobody answers from there?"""
        return self.liveness(store_id) in (Liveness.DOWN, Liveness.TOMBSTONE)

    def inflow_of(self, store_id: StoreId) -> Inflow:
        """What is on its way there, to be changed."""
        return self.inflow.setdefault(store_id, Inflow())

    def region_score(self, store_id: StoreId) -> float:
        """How much lies there, with what is on its way."""
        load = self.regions.load(store_id)
        inflow = self.inflow.get(store_id)
        floor = REGION_BYTES_MIN * load.region_count
        return max(load.region_bytes, floor) + (inflow.bytes if inflow else 0)

    def leader_score(self, store_id: StoreId) -> int:
        """How many regions are led from there, with those on their way."""
        inflow = self.inflow.get(store_id)
        return self.regions.load(store_id).leader_count + (inflow.leaders if inflow else 0)

    def may_come(self, store_id: StoreId) -> bool:
        """May one more peer be added there now?"""
        store = self.stores.get(store_id)
        inflow = self.inflow.get(store_id)
        return (
            store is not None
            and self.is_up(store_id)
            and not store.stats.is_busy
            and not store.is_low_on_space(self.config)
            and (inflow is None or inflow.coming < self.config.store_limit)
        )

    def may_go(self, store_id: StoreId) -> bool:
        """May one more peer be taken from there now?"""
        inflow = self.inflow.get(store_id)
        return inflow is None or inflow.going < self.config.store_limit

    # --- regions ---

    def voters(self, report: RegionReport) -> list[Peer]:
        """Peers that vote, now or once the joint state is left."""
        return [p for p in report.region.peers if p.role in (PeerRole.VOTER, PeerRole.INCOMING_VOTER)]

    def is_complete(self, report: RegionReport, *, pending_on: StoreId | None = None) -> bool:
        """Has it all its replicas, no more, and all of them well? A pending peer on that store does not matter."""
        peers = report.region.peers
        return (
            len(peers) == self.config.max_replicas
            and all(peer.role is PeerRole.VOTER for peer in peers)
            and not report.down_peers
            and all(peer.store_id == pending_on for peer in report.pending_peers)
        )

    def successor(self, report: RegionReport, old: Peer) -> StoreId | None:
        """Who should lead if this peer no longer does: a voter that is well, where the fewest leaders are."""
        unwell = {down.peer.id for down in report.down_peers} | {peer.id for peer in report.pending_peers}
        able = [
            peer.store_id
            for peer in report.region.peers
            if peer.id != old.id
            and peer.role is PeerRole.VOTER
            and peer.id not in unwell
            and self.liveness(peer.store_id) is Liveness.UP
        ]
        return min(able, key=lambda store_id: (self.leader_score(store_id), store_id), default=None)

    def best_target(self, report: RegionReport, old: Peer | None, score: Score) -> StoreId | None:
        """Where a new peer is best placed, in place of `old` if there is one: apart from the others, then by score."""
        best: tuple[int, float, StoreId] | None = None
        others = self._others(report, old)
        for store in self.stores:
            if self.is_allowed(report, old, store.id):
                apart = isolation.apartness(self.config.location_labels, store, others)
                rank = (-apart, score(store.id), store.id)
                best = rank if best is None else min(best, rank)
        return None if best is None else best[2]

    def is_allowed(self, report: RegionReport, old: Peer | None, store_id: StoreId) -> bool:
        """May a peer be added on this store, in place of `old` if there is one?"""
        store = self.stores.get(store_id)
        if store is None or report.region.peer_on(store_id) is not None or not self.may_come(store_id):
            return False
        level = self.config.isolation_level
        return not level or not isolation.shares(self.config.location_labels, level, store, self._others(report, old))

    def apartness(self, report: RegionReport, store_id: StoreId, old: Peer | None) -> int:
        """How well a peer on that store keeps apart from the others; `old` is not one of them."""
        store = self.stores.get(store_id)
        others = self._others(report, old)
        return 0 if store is None else isolation.apartness(self.config.location_labels, store, others)

    def _others(self, report: RegionReport, old: Peer | None) -> list[StoreInfo]:
        found = [self.stores.get(peer.store_id) for peer in report.region.peers if peer != old]
        return [store for store in found if store is not None]
