"""`/state` of the placement driver: all that it knows, as a value that JSON can hold; region keys in hex."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Final

from raftly.base.heartbeats import RegionReport
from raftly.base.store_meta import StoreState
from raftly.pd.leader import Leader
from raftly.pd.member import Member
from raftly.pd.operators import Plan
from raftly.pd.placement import Placement
from raftly.pd.stores import StoreInfo
from raftly.pd.stuck import why_stuck

REGIONS_MAX: Final = 4096
"""In one answer: no message is above 4 MiB, and nobody else is served while it is made."""
REGIONS_BYTES_MAX: Final = 3 << 20
"""The same where their keys are long; stores and plans are beside them."""


def pd_state(member: Member) -> dict[str, object]:
    """What a member knows; regions (the first of them, as many as fit), loads and plans only while it leads."""
    state = member.state
    leadership = member.node.leadership().value
    told: dict[str, object] = {
        "cluster_id": state.cluster_id,
        "bootstrapped": state.is_bootstrapped,
        "leader": leadership.leader,
        "term": leadership.term,
        "leads": member.leads,
        "members": _members(member),
        "max_id": state.next_id - 1,
        "tso": {"bound_ms": state.tso_bound_ms},
        "safe_points": {"gc": state.safe_points.gc, "txn": state.safe_points.txn},
        "config": _config(state),
    }
    if not member.leads:
        told["stores"] = {str(row.id): _row(row.id, state) for _, row in sorted(state.stores.items())}
        return told
    leader = member.leader()
    last = leader.oracle.last
    told["tso"] = {"bound_ms": state.tso_bound_ms, "physical_ms": last.physical_ms, "logical": last.logical}
    told["stores"] = {str(info.id): _row(info.id, state) | _store(info, leader) for info in leader.cluster.stores}
    told["region_count"] = len(leader.cluster.regions)
    told["regions"] = [_region(report) for report in _fitting(leader.cluster.regions)]
    told["operators"] = [_plan(plan, leader) for _, plan in sorted(leader.coordinator.plans.items())]
    told["operators_ended"] = len(leader.coordinator.ended)
    return told


def _members(member: Member) -> dict[str, object]:
    roles = {each.id: each.role.value for each in member.node.member_list()}
    return {
        str(row.id): {
            "name": row.name,
            "client_urls": row.client_urls,
            "peer_urls": row.peer_urls,
            "role": roles.get(row.id, "none"),
        }
        for _, row in sorted(member.state.members.items())
    }


def _config(state: Placement) -> dict[str, object]:
    names = type(state.config).__dataclass_fields__
    return {name: _plain(getattr(state.config, name)) for name in names}


def _plain(value: object) -> object:
    return list(value) if isinstance(value, tuple) else value


def _row(store_id: int, state: Placement) -> dict[str, object]:
    meta = state.stores[store_id].meta()
    return {
        "id": meta.id,
        "address": meta.address,
        "peer_address": meta.peer_address,
        "status_address": meta.status_address,
        "labels": dict(meta.labels),
        "state": meta.state.name.lower(),
        "version": meta.version,
    }


def _store(info: StoreInfo, leader: Leader) -> dict[str, object]:
    cluster = leader.cluster
    load = cluster.regions.load(info.id)
    return {
        "liveness": info.liveness(cluster.config, cluster.now_s).value,
        "silent_s": round(cluster.now_s - info.heard_s, 1),
        "regions": load.region_count,
        "leaders": load.leader_count,
        "pending": len(load.pending),
        "region_bytes": load.region_bytes,
        "leader_bytes": load.leader_bytes,
        "capacity": info.stats.capacity,
        "available": info.stats.available,
        "is_busy": info.stats.is_busy,
        "stuck": why_stuck(cluster, info.id) if info.meta.state is StoreState.OFFLINE else "",
    }


def _fitting(regions: Iterable[RegionReport]) -> Iterator[RegionReport]:
    left = REGIONS_BYTES_MAX
    for report in islice(regions, REGIONS_MAX):
        region = report.region
        left -= 2 * (len(region.start_key) + len(region.end_key)) + 100 * len(region.peers) + 256  # about
        if left < 0:
            return
        yield report


def _region(report: RegionReport) -> dict[str, object]:
    region = report.region
    return {
        "id": region.id,
        "start_key": region.start_key.hex(),
        "end_key": region.end_key.hex(),
        "conf_ver": region.epoch.conf_ver,
        "version": region.epoch.version,
        "leader": report.leader.store_id,
        "term": report.term,
        "peers": [{"id": peer.id, "store_id": peer.store_id, "role": peer.role.name.lower()} for peer in region.peers],
        "down": [down.peer.store_id for down in report.down_peers],
        "pending": [peer.store_id for peer in report.pending_peers],
        "approximate_bytes": report.approximate_bytes,
        "approximate_keys": report.approximate_keys,
    }


def _plan(plan: Plan, leader: Leader) -> dict[str, object]:
    return {
        "region": plan.region_id,
        "kind": plan.kind.value,
        "steps": [str(step) for step in plan.steps],
        "current": plan.current,
        "step_s": round(leader.cluster.now_s - plan.step_began_s, 1),
    }
