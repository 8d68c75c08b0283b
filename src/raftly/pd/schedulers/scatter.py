"""Scatter: regions of one group, such as those a client has just split, are spread over all stores.

Balance looks at all regions of a store together; a group that lies on one store may be balanced in that sense. What was
chosen for a group before is counted, so it does not matter that the moves take time.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import final

from raftly.base.heartbeats import RegionReport
from raftly.base.region import StoreId
from raftly.pd.cluster import Cluster
from raftly.pd.moves import Spread


@final
@dataclass(slots=True)
class Chosen:
    """How often each store was chosen for a group: for a peer, and for a leader."""

    peers: Counter[StoreId] = field(default_factory=Counter)
    leaders: Counter[StoreId] = field(default_factory=Counter)


def scatter(cluster: Cluster, report: RegionReport, chosen: Chosen) -> Spread | None:
    """Where this region's peers and its leader go; None: it cannot be moved now. Counts what it chose."""
    if not cluster.is_complete(report):
        return None
    stores = {peer.store_id for peer in report.region.peers}
    replaced = []
    for peer in report.region.peers:
        if peer.id == report.leader.id:
            continue  # leadership moves instead
        able = [
            store.id
            for store in cluster.up_stores()
            if store.id not in stores
            and cluster.is_allowed(report, peer, store.id)
            and cluster.apartness(report, store.id, peer) >= cluster.apartness(report, peer.store_id, peer)
        ]
        to = min(able, key=lambda store_id: (chosen.peers[store_id], store_id), default=None)
        if to is not None and chosen.peers[to] < chosen.peers[peer.store_id]:
            replaced.append((peer, to))
            stores = stores - {peer.store_id} | {to}
    leader_to = min(
        (store_id for store_id in stores if cluster.is_up(store_id)),
        key=lambda store_id: (chosen.leaders[store_id], store_id != report.leader.store_id, store_id),
        default=report.leader.store_id,
    )
    chosen.peers.update(sorted(stores))
    chosen.leaders[leader_to] += 1
    return Spread(report, tuple(replaced), leader_to)
