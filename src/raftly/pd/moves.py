"""What rules propose, and the steps it takes.

    Move       AddLearner, Swap, RemovePeer; a leader hands over first    the number of voters never changes
    Add        AddLearner, Promote
    Remove     (Transfer), RemovePeer
    HandOver   Transfer
    Unite      what brings the source's peers to the target's stores, then Merge

A rule knows regions and stores; the ids of new peers, and who leads meanwhile, are settled here.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias, final

from raftly.base.heartbeats import RegionReport
from raftly.base.region import Peer, PeerRole, StoreId
from raftly.pd.cluster import Cluster
from raftly.pd.operators import (
    AddLearner,
    LeaveJoint,
    Merge,
    Plan,
    PlanKind,
    PlanStep,
    Promote,
    RemovePeer,
    Swap,
    Transfer,
)

NewId: TypeAlias = Callable[[], int | None]  # None: there is none now


@final
@dataclass(frozen=True, slots=True)
class Move:
    """Replace the peer `old` by one on another store."""

    report: RegionReport
    old: Peer
    to: StoreId

    def __str__(self) -> str:
        return f"region {self.report.region.id}: {self.old.store_id} -> {self.to}"


@final
@dataclass(frozen=True, slots=True)
class Add:
    """One voter more."""

    report: RegionReport
    to: StoreId


@final
@dataclass(frozen=True, slots=True)
class Raise:
    """Let a learner vote."""

    report: RegionReport
    learner: Peer


@final
@dataclass(frozen=True, slots=True)
class Remove:
    """One peer less."""

    report: RegionReport
    old: Peer


@final
@dataclass(frozen=True, slots=True)
class HandOver:
    """Let the peer on another store lead."""

    report: RegionReport
    to: StoreId


@final
@dataclass(frozen=True, slots=True)
class Leave:
    """End the joint state."""

    report: RegionReport


@final
@dataclass(frozen=True, slots=True)
class Unite:
    """Merge the first into the second, its neighbour."""

    report: RegionReport
    target: RegionReport


@final
@dataclass(frozen=True, slots=True)
class Spread:
    """Replace followers, each by one on another store, and let another store lead."""

    report: RegionReport
    replaced: tuple[tuple[Peer, StoreId], ...]
    leader_to: StoreId


Proposal: TypeAlias = Move | Add | Raise | Remove | HandOver | Leave | Unite | Spread


def plan_of(kind: PlanKind, proposal: Proposal, cluster: Cluster, new_id: NewId) -> Plan | None:
    """The plan that carries a proposal out; None when there is no way now."""
    region = proposal.report.region
    steps: tuple[PlanStep, ...] | None
    if isinstance(proposal, Move):
        steps = move_replica(cluster, proposal.report, proposal.old, proposal.to, new_id)
    elif isinstance(proposal, Add):
        new = _new_peer(proposal.to, new_id)
        steps = None if new is None else (AddLearner(new), Promote(new))
    elif isinstance(proposal, Remove):
        steps = _remove(cluster, proposal.report, proposal.old)
    elif isinstance(proposal, Raise):
        steps = (Promote(proposal.learner),)
    elif isinstance(proposal, HandOver):
        steps = (Transfer(proposal.to),)
    elif isinstance(proposal, Leave):
        steps = (LeaveJoint(),)
    elif isinstance(proposal, Spread):
        steps = _spread(proposal, new_id)
    else:
        steps = _unite(proposal, new_id)
        return None if steps is None else Plan(kind, region, steps, locked=(proposal.target.region.id,))
    return Plan(kind, region, steps) if steps else None


def move_replica(
    cluster: Cluster, report: RegionReport, old: Peer, to: StoreId, new_id: NewId
) -> tuple[PlanStep, ...] | None:
    """A new peer in the place of an old one."""
    new = _new_peer(to, new_id)
    if new is None:
        return None
    if old.is_learner:
        return AddLearner(new), RemovePeer(old)
    if report.leader.id != old.id:
        return AddLearner(new), Swap(new, old), RemovePeer(old)
    successor = cluster.successor(report, old)
    if successor is None:  # nobody but the new one can
        return AddLearner(new), Promote(new), Transfer(to), RemovePeer(old)
    return AddLearner(new), Transfer(successor), Swap(new, old), RemovePeer(old)


def _remove(cluster: Cluster, report: RegionReport, old: Peer) -> tuple[PlanStep, ...] | None:
    if report.leader.id != old.id:
        return (RemovePeer(old),)
    successor = cluster.successor(report, old)
    return None if successor is None else (Transfer(successor), RemovePeer(old))


def _spread(proposal: Spread, new_id: NewId) -> tuple[PlanStep, ...] | None:
    steps: list[PlanStep] = []
    for old, to in proposal.replaced:
        new = _new_peer(to, new_id)
        if new is None:
            return None
        steps += (AddLearner(new), Swap(new, old), RemovePeer(old))
    if proposal.leader_to != proposal.report.leader.store_id:
        steps.append(Transfer(proposal.leader_to))
    return tuple(steps)


def _unite(proposal: Unite, new_id: NewId) -> tuple[PlanStep, ...] | None:
    """The source's leader stays where the target has a peer; all others come to the target's stores one by one."""
    source, target = proposal.report.region, proposal.target.region
    wanted = [peer.store_id for peer in target.peers]
    common = [peer.store_id for peer in source.peers if peer.store_id in wanted]
    if not common or len(source.peers) != len(target.peers):
        return None
    steps: list[PlanStep] = []
    if proposal.report.leader.store_id not in wanted:
        steps.append(Transfer(common[0]))
    leaving = [peer for peer in source.peers if peer.store_id not in wanted]
    missing = [store_id for store_id in wanted if source.peer_on(store_id) is None]
    for old, to in zip(leaving, missing, strict=True):
        new = _new_peer(to, new_id)
        if new is None:
            return None
        steps += (AddLearner(new), Swap(new, old), RemovePeer(old))
    return (*steps, Merge(target))


def _new_peer(store_id: StoreId, new_id: NewId) -> Peer | None:
    id_ = new_id()
    return None if id_ is None else Peer(id_, store_id, PeerRole.LEARNER)
