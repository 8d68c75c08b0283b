"""Replica checker: every region has as many replicas as it should, all of them well, and apart from each other.

In this order: leave a joint state that nobody ends; replace what is down; drain stores that are offline; add what is
missing; remove what is too much; move a replica to where it stands better apart.
"""

from __future__ import annotations

from raftly.base.heartbeats import RegionReport
from raftly.base.region import Peer, PeerRole
from raftly.pd import isolation
from raftly.pd.cluster import Cluster
from raftly.pd.moves import Add, Leave, Move, Proposal, Raise, Remove
from raftly.pd.operators import is_joint
from raftly.pd.stores import Liveness


def check(cluster: Cluster, report: RegionReport) -> Proposal | None:
    """What this region needs."""
    if is_joint(report.region):
        return Leave(report)
    return (
        _replace_down(cluster, report)
        or _drain(cluster, report)
        or _fill(cluster, report)
        or _thin(cluster, report)
        or _part(cluster, report)
    )


def _replace_down(cluster: Cluster, report: RegionReport) -> Proposal | None:
    """A store may be well, and a peer on it not: one that failed, or waits for keys, never comes back by itself."""
    limit_s = cluster.config.down_after_s
    down = {peer.peer.id for peer in report.down_peers if peer.down_s > limit_s}
    for peer in report.region.peers:
        if peer.id == report.leader.id:
            continue  # it has just spoken
        if peer.id in down or cluster.is_gone(peer.store_id):
            return _replace(cluster, report, peer)
    return None


def _drain(cluster: Cluster, report: RegionReport) -> Proposal | None:
    for peer in report.region.peers:
        if cluster.liveness(peer.store_id) is Liveness.OFFLINE and cluster.may_go(peer.store_id):
            found = _replace(cluster, report, peer)
            if found is not None:
                return found
    return None


def _replace(cluster: Cluster, report: RegionReport, peer: Peer) -> Proposal | None:
    """By a new one, or by nothing where there are enough without it."""
    if peer.is_learner or len(cluster.voters(report)) > cluster.config.max_replicas:
        return Remove(report, peer)
    target = cluster.best_target(report, peer, cluster.region_score)
    return None if target is None else Move(report, peer, target)


def _fill(cluster: Cluster, report: RegionReport) -> Proposal | None:
    if len(cluster.voters(report)) >= cluster.config.max_replicas:
        return None
    unwell = {peer.id for peer in report.pending_peers} | {down.peer.id for down in report.down_peers}
    for peer in report.region.peers:
        if peer.is_learner and peer.id not in unwell:
            return Raise(report, peer)  # left behind by a plan that was given up
    if len(report.region.peers) >= cluster.config.max_replicas:
        return None  # a learner is on its way
    target = cluster.best_target(report, None, cluster.region_score)
    return None if target is None else Add(report, target)


def _thin(cluster: Cluster, report: RegionReport) -> Proposal | None:
    voters = cluster.voters(report)
    if len(voters) < cluster.config.max_replicas:
        return None
    for peer in report.region.peers:
        if peer.role is PeerRole.LEARNER:
            return Remove(report, peer)
    if len(voters) == cluster.config.max_replicas:
        return None
    unwell = {peer.id for peer in report.pending_peers} | {down.peer.id for down in report.down_peers}
    healthy = sum(voter.id not in unwell for voter in voters)
    able = [peer for peer in voters if peer.id in unwell or healthy > cluster.config.max_replicas // 2 + 1]
    worst = min(
        able or voters,
        key=lambda peer: (
            peer.id not in unwell,
            cluster.apartness(report, peer.store_id, peer),
            peer.id == report.leader.id,
            -cluster.region_score(peer.store_id),
            peer.id,
        ),
    )
    return Remove(report, worst)


def _part(cluster: Cluster, report: RegionReport) -> Proposal | None:
    labels = cluster.config.location_labels
    if not cluster.stores.has_labels or not labels or not cluster.is_complete(report):
        return None
    peers = report.region.peers
    apart = {peer.id: cluster.apartness(report, peer.store_id, peer) for peer in peers}
    if min(apart.values()) >= isolation.most(labels, len(peers) - 1):
        return None
    worst = min(peers, key=lambda peer: (apart[peer.id], -cluster.region_score(peer.store_id), peer.id))
    target = cluster.best_target(report, worst, cluster.region_score)
    if target is None or not cluster.may_go(worst.store_id):
        return None
    return Move(report, worst, target) if cluster.apartness(report, target, worst) > apart[worst.id] else None
