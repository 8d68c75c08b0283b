"""Balance-region: from the fullest store that can give a region away to the emptiest that may take it.

Worth it only if the difference is more than twice the region's size: then both are closer afterwards, and it is not
moved back. Requirement R3C.4 of TinyKV's scheduler project says the same.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from raftly.base.heartbeats import RegionReport
from raftly.base.rand import SplitMix64
from raftly.base.region import StoreId
from raftly.pd.cluster import REGION_BYTES_MIN, Cluster
from raftly.pd.moves import Move

_TRIES: Final = 10


def schedule(cluster: Cluster, rand: SplitMix64) -> Move | None:
    """A region to move from a full store to an emptier one."""
    up = [store.id for store in cluster.up_stores()]
    by_score = sorted(up, key=lambda store_id: (cluster.region_score(store_id), store_id))
    for source in reversed(by_score):
        if not cluster.may_go(source):
            continue
        for report in _candidates(cluster, source, rand):
            move = _move(cluster, report, source, by_score)
            if move is not None:
                return move
    return None


def _candidates(cluster: Cluster, source: StoreId, rand: SplitMix64) -> Iterator[RegionReport]:
    """Regions of a store that it may give away: those that wait for their data here, then followers, then leaders."""
    load = cluster.regions.load(source)
    for members in (load.pending, load.followers, load.leaders):
        for region_id in members.draw(rand, _TRIES):
            report = cluster.regions.by_id(region_id)
            if report is not None and cluster.is_complete(report, pending_on=source):
                yield report


def _move(cluster: Cluster, report: RegionReport, source: StoreId, by_score: list[StoreId]) -> Move | None:
    old = report.region.peer_on(source)
    if old is None:
        return None
    size = max(report.approximate_bytes, REGION_BYTES_MIN)
    apart = cluster.apartness(report, source, old)
    for target in by_score:
        if cluster.region_score(source) - cluster.region_score(target) <= 2 * size:
            return None  # nor will any that follows do
        if cluster.is_allowed(report, old, target) and cluster.apartness(report, target, old) >= apart:
            return Move(report, old, target)
    return None
