"""Balance-leader: every store that is up leads about as many regions as the next."""

from __future__ import annotations

from typing import Final

from raftly.base.rand import SplitMix64
from raftly.base.region import PeerRole, StoreId
from raftly.pd.cluster import Cluster
from raftly.pd.moves import HandOver

_TRIES: Final = 10


def schedule(cluster: Cluster, rand: SplitMix64) -> HandOver | None:
    """A leader to hand over: from the store with most, or else to the store with fewest."""
    up = [store.id for store in cluster.up_stores()]
    by_score = sorted(up, key=lambda store_id: (cluster.leader_score(store_id), store_id))
    for source in reversed(by_score):
        for region_id in cluster.regions.load(source).leaders.draw(rand, _TRIES):
            found = _hand_over(cluster, region_id, None)
            if found is not None:
                return found
    for target in by_score:
        for region_id in cluster.regions.load(target).followers.draw(rand, _TRIES):
            found = _hand_over(cluster, region_id, target)
            if found is not None:
                return found
    return None


def _hand_over(cluster: Cluster, region_id: int, target: StoreId | None) -> HandOver | None:
    report = cluster.regions.by_id(region_id)
    if report is None:
        return None
    to = cluster.successor(report, report.leader)
    if to is None or (target is not None and to != target):
        return None
    if any(peer.role is not PeerRole.VOTER for peer in report.region.peers):
        return None  # it is being changed
    gain = cluster.leader_score(report.leader.store_id) - cluster.leader_score(to)
    return HandOver(report, to) if gain >= 2 else None  # at 1 it would only change sides
