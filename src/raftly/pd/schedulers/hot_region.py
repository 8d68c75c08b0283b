"""Hot-region: regions that are read or written much are spread, by what they cost and not by their number.

Reads cost the leader, so leadership moves. Writes cost every replica, and the leader most: a replica moves, or else
leadership does. A move is worth it only if the store that takes is less busy afterwards than the one that gives was.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

from raftly.base.heartbeats import RegionReport
from raftly.base.rand import SplitMix64
from raftly.base.region import Peer, PeerRole, StoreId
from raftly.pd.cluster import Cluster
from raftly.pd.moves import HandOver, Move

Hot: TypeAlias = tuple[RegionReport, float]  # bytes a second
Loads: TypeAlias = dict[StoreId, float]


def schedule(cluster: Cluster, rand: SplitMix64) -> Move | HandOver | None:
    """What to move away from the busiest store."""
    hot = [(report, flow) for id_, flow in cluster.hot.hot() if (report := cluster.regions.by_id(id_)) is not None]
    if not hot:
        return None
    up = [store.id for store in cluster.up_stores()]
    reads: list[Hot] = [(report, flow.read) for report, flow in hot if flow.read >= cluster.config.hot_read_bytes_s]
    writes: list[Hot] = [(report, flow.write) for report, flow in hot if flow.write >= cluster.config.hot_write_bytes_s]
    ways: list[Callable[[], Move | HandOver | None]] = [
        lambda: _hand_over(cluster, reads, up),
        lambda: _move(cluster, writes, up),
        lambda: _hand_over(cluster, writes, up),
    ]
    first = rand.below(2)  # neither kind starves the other
    for way in (*ways[first:], *ways[:first]):
        found = way()
        if found is not None:
            return found
    return None


def _hand_over(cluster: Cluster, hot: list[Hot], up: list[StoreId]) -> HandOver | None:
    loads: Loads = dict.fromkeys(up, 0.0)
    for report, rate in hot:
        if report.leader.store_id in loads:
            loads[report.leader.store_id] += rate
    for report, rate in _dearest_first(hot, loads):
        source = report.leader.store_id
        unwell = {down.peer.id for down in report.down_peers} | {peer.id for peer in report.pending_peers}
        able = [
            peer.store_id
            for peer in report.region.peers
            if peer.store_id != source and peer.store_id in loads and _votes(peer) and peer.id not in unwell
        ]
        target = min(able, key=lambda store_id: (loads[store_id], store_id), default=None)
        if target is not None and source in loads and loads[target] + rate < loads[source]:
            return HandOver(report, target)
    return None


def _move(cluster: Cluster, hot: list[Hot], up: list[StoreId]) -> Move | None:
    loads: Loads = dict.fromkeys(up, 0.0)
    for report, rate in hot:
        for peer in report.region.peers:
            if peer.store_id in loads:
                loads[peer.store_id] += rate
    busiest_first = sorted(loads, key=lambda store_id: (-loads[store_id], store_id))
    for source in busiest_first:
        for report, rate in hot:
            old = report.region.peer_on(source)
            if old is None or not cluster.is_complete(report) or not cluster.may_go(source):
                continue
            target = cluster.best_target(report, old, lambda store_id: loads.get(store_id, 0.0))
            if target is None or loads.get(target, 0.0) + rate >= loads[source]:
                continue
            if cluster.apartness(report, target, old) >= cluster.apartness(report, source, old):
                return Move(report, old, target)
    return None


def _dearest_first(hot: list[Hot], loads: Loads) -> list[Hot]:
    """From the busiest leader's, its smallest first: the fewest bytes that help."""
    return sorted(hot, key=lambda item: (-loads.get(item[0].leader.store_id, 0.0), item[1], item[0].region.id))


def _votes(peer: Peer) -> bool:
    return peer.role is PeerRole.VOTER
