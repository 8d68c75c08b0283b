"""Why a store that is to be drained stays as it is, in a sentence."""

from __future__ import annotations

from itertools import islice
from typing import Final

from raftly.base.heartbeats import RegionReport
from raftly.base.region import StoreId
from raftly.pd import isolation
from raftly.pd.cluster import Cluster

_LOOKED_AT: Final = 64  # regions of a store: what holds one up holds up most


def why_stuck(cluster: Cluster, store_id: StoreId) -> str:
    """What is missing for a region of the store to leave it; empty: nothing, though it may take its time."""
    for region_id in islice(cluster.regions.load(store_id).regions(), _LOOKED_AT):
        report = cluster.regions.by_id(region_id)
        why = "" if report is None else _why(cluster, report, store_id)
        if why:
            return f"region {region_id} cannot leave store {store_id}: {why}"
    return ""


def _why(cluster: Cluster, report: RegionReport, store_id: StoreId) -> str:
    old = report.region.peer_on(store_id)
    if old is None or old.is_learner or len(cluster.voters(report)) > cluster.config.max_replicas:
        return ""  # it is removed, with nothing in its place
    others = [store for store in cluster.up_stores() if store.id != store_id]
    vacant = [store for store in others if report.region.peer_on(store.id) is None]
    if not vacant:
        return f"its {len(report.region.peers)} copies need other stores, and {len(others)} are up: start one more"
    roomy = [store for store in vacant if not store.is_low_on_space(cluster.config)]
    if not roomy:
        return "every store that is up without a copy of it is low on space"
    level = cluster.config.isolation_level
    labels = cluster.config.location_labels
    beside = [cluster.stores.get(peer.store_id) for peer in report.region.peers if peer != old]
    held = [store for store in beside if store is not None]
    if level and all(isolation.shares(labels, level, store, held) for store in roomy):
        return f"every store that is up without a copy of it shares its {level} with one that has"
    return ""
