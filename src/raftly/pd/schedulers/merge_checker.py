"""Merge checker: a small region becomes part of a neighbour."""

from __future__ import annotations

from collections.abc import Callable

from raftly.base.heartbeats import RegionReport
from raftly.base.region import RegionId
from raftly.pd.cluster import Cluster
from raftly.pd.moves import Unite


def check(
    cluster: Cluster,
    report: RegionReport,
    is_free: Callable[[RegionId], bool],
    split_at_s: Callable[[RegionId], float],
) -> Unite | None:
    """Merge this region into its smaller neighbour that may take it, or leave it.

    `is_free`: nothing is planned with that region; `split_at_s`: when it was made, or when this began to be noted.
    """
    config = cluster.config
    if not config.merge or not _is_small(cluster, report) or not cluster.is_complete(report):
        return None
    if cluster.now_s - split_at_s(report.region.id) < config.split_merge_interval_s:
        return None
    able = [
        other
        for other in cluster.regions.neighbours(report.region)
        if other is not None
        and is_free(other.region.id)
        and cluster.is_complete(other)
        and cluster.now_s - split_at_s(other.region.id) >= config.split_merge_interval_s
        and report.approximate_bytes + other.approximate_bytes <= config.region_bytes_max
        and any(other.region.peer_on(peer.store_id) for peer in report.region.peers)
    ]
    target = min(able, key=lambda other: (other.approximate_bytes, other.region.id), default=None)
    return None if target is None else Unite(report, target)


def _is_small(cluster: Cluster, report: RegionReport) -> bool:
    config = cluster.config
    return report.approximate_bytes < config.merge_bytes_max and report.approximate_keys <= config.merge_keys_max
