"""What people and clients ask for by hand: plans for one region, checked before they begin.

All raise Refused when it is not possible, or when something else is under way for the region.
"""

from __future__ import annotations

from raftly.base.heartbeats import RegionReport
from raftly.base.operators import SplitPolicy
from raftly.base.region import Peer, RegionId, StoreId
from raftly.pd.errors import Refused
from raftly.pd.leader import Leader
from raftly.pd.moves import Add, HandOver, Move, Proposal, Remove, Unite
from raftly.pd.operators import Plan, PlanKind, Split
from raftly.pd.schedulers.scatter import scatter


def transfer_leader(leader: Leader, region_id: RegionId, store_id: StoreId) -> Plan:
    """Let the peer on that store lead."""
    report = _region(leader, region_id)
    _peer(report, store_id)
    return _propose(leader, HandOver(report, store_id))


def add_peer(leader: Leader, region_id: RegionId, store_id: StoreId) -> Plan:
    """One voter more."""
    return _propose(leader, Add(_vacant(leader, region_id, store_id), store_id))


def remove_peer(leader: Leader, region_id: RegionId, store_id: StoreId) -> Plan:
    """One peer less."""
    report = _region(leader, region_id)
    return _propose(leader, Remove(report, _peer(report, store_id)))


def move_peer(leader: Leader, region_id: RegionId, from_store: StoreId, to_store: StoreId) -> Plan:
    """A new peer in the place of an old one."""
    report = _vacant(leader, region_id, to_store)
    return _propose(leader, Move(report, _peer(report, from_store), to_store))


def merge_region(leader: Leader, source_id: RegionId, target_id: RegionId) -> Plan:
    """Let a region become part of its neighbour."""
    source, target = _region(leader, source_id), _region(leader, target_id)
    neighbours = leader.cluster.regions.neighbours(source.region)
    if all(other is None or other.region.id != target_id for other in neighbours):
        raise Refused("INVALID_VALUE", f"regions {source_id} and {target_id} do not touch")
    for report in (source, target):
        if not leader.cluster.is_complete(report):
            raise Refused("UNKNOWN", f"region {report.region.id} lacks replicas, or has one that is unwell")
    return _propose(leader, Unite(source, target))


def split_region(
    leader: Leader,
    region_id: RegionId,
    keys: tuple[bytes, ...] = (),
    policy: SplitPolicy = SplitPolicy.APPROXIMATE,
) -> Plan:
    """Cut a region at keys inside it, or in the middle."""
    report = _region(leader, region_id)
    for key in keys:
        if not report.region.contains(key) or key == report.region.start_key:
            raise Refused("INVALID_VALUE", f"key {key.hex()} does not lie inside region {region_id}")
    step = Split(report.region.epoch.version, tuple(sorted(set(keys))), SplitPolicy.USE_KEYS if keys else policy)
    plan = Plan(PlanKind.SPLIT, report.region, (step,))
    if not leader.coordinator.add(plan):
        raise _busy(leader, region_id)
    return plan


def scatter_region(leader: Leader, region_id: RegionId, group: str) -> Plan | None:
    """Spread a region of a group; None: it is fine where it is."""
    report = _region(leader, region_id)
    if region_id in leader.coordinator.plans:
        raise _busy(leader, region_id)
    spread = scatter(leader.cluster, report, leader.chosen_for(group))
    if spread is None:
        raise Refused("UNKNOWN", f"region {region_id} cannot be moved now, it lacks replicas or has one that is unwell")
    if not spread.replaced and spread.leader_to == report.leader.store_id:
        return None
    plan = leader.coordinator.propose(PlanKind.SCATTER, spread)
    if plan is None:
        raise _busy(leader, region_id)
    return plan


def cancel(leader: Leader, region_id: RegionId) -> None:
    """Give up what is under way for a region."""
    if not leader.coordinator.cancel(region_id):
        raise Refused("INVALID_VALUE", f"nothing is under way for region {region_id}")


def _propose(leader: Leader, proposal: Proposal) -> Plan:
    plan = leader.coordinator.propose(PlanKind.ADMIN, proposal)
    if plan is None:
        raise _busy(leader, proposal.report.region.id)
    return plan


def _region(leader: Leader, region_id: RegionId) -> RegionReport:
    report = leader.cluster.regions.by_id(region_id)
    if report is None:
        raise Refused("REGION_NOT_FOUND", f"region {region_id} is not known")
    return report


def _vacant(leader: Leader, region_id: RegionId, store_id: StoreId) -> RegionReport:
    report = _region(leader, region_id)
    if not leader.cluster.is_up(store_id):
        raise Refused("INVALID_VALUE", f"store {store_id} is not up")
    if report.region.peer_on(store_id) is not None:
        raise Refused("INVALID_VALUE", f"region {region_id} has a peer on store {store_id} already")
    return report


def _peer(report: RegionReport, store_id: StoreId) -> Peer:
    peer = report.region.peer_on(store_id)
    if peer is None:
        raise Refused("INVALID_VALUE", f"region {report.region.id} has no peer on store {store_id}")
    return peer


def _busy(leader: Leader, region_id: RegionId) -> Refused:
    plan = leader.coordinator.plans.get(region_id)
    return Refused("UNKNOWN", f"{plan} is under way" if plan else f"region {region_id} cannot be changed now")
