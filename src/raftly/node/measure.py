"""Measure: the snapshot of a node's metrics, read off its parts."""

from __future__ import annotations

import asyncio
from dataclasses import fields
from functools import cache
from typing import TYPE_CHECKING, Final, final

import raftly.core.raft
from raftly.core.role import Role
from raftly.node.metrics import Metrics, Sample, Value
from raftly.transport.events import TransportStats

if TYPE_CHECKING:
    from raftly.node.observed import Observer, Parts


@cache
def _version() -> str:
    from importlib.metadata import PackageNotFoundError, version  # noqa: PLC0415 - a tenth of a node's imports

    try:
        return version("raftly")
    except PackageNotFoundError:  # run from its sources
        return "unknown"


COMPILED: Final = "no" if str(raftly.core.raft.__file__).endswith(".py") else "yes"


@final
class _Gathering:
    """Samples by family, as they come."""

    def __init__(self) -> None:
        self.samples: dict[str, list[Sample]] = {}

    def add(self, name: str, value: Value, *labels: str) -> None:
        self.samples.setdefault(f"raftly_{name}", []).append(Sample(labels, value))

    def add_all(self, **values: float) -> None:
        for name, value in values.items():
            self.add(name, +value)  # booleans as numbers


def measure(parts: Parts, observer: Observer, calls_in_flight: int) -> Metrics:
    """All numbers of a node, as of now."""
    found = _Gathering()
    _add_raft(found, parts, observer)
    _add_log(found, parts)
    _add_peers(found, parts, observer)
    counts = observer.counts
    driver = parts.driver.counts
    found.add("build_info", 1, _version(), COMPILED)
    found.add_all(
        uptime_seconds=asyncio.get_running_loop().time() - observer.started_at,
        sessions=len(parts.machine.sessions),
        calls_in_flight=calls_in_flight,
        leader_changes_total=counts.leader_changes,
        elections_total=counts.elections,
        elections_won_total=counts.elections_won,
        proposals_total=counts.proposals,
        applied_total=counts.applied,
        applied_batches_total=counts.batches,
        digests_total=counts.checks,
        digest_seconds_total=counts.check_s,
        digests_differ_total=counts.differences,
        writes_total=driver.writes,
        written_entries_total=driver.entries_written,
        disk_full_seconds_total=driver.disk_full_s,
        ticks_total=driver.ticks,
        ticks_missed_total=driver.ticks_missed,
        tick_late_seconds_total=driver.late_s,
        peer_errors_total=parts.driver.peer_errors,
    )
    for code, count in sorted(counts.failed.items()):
        found.add("calls_failed_total", count, code)
    for event in fields(parts.snapshots):
        found.add("snapshots_total", getattr(parts.snapshots, event.name), event.name)
    for proof in fields(parts.reads.counts):
        found.add("reads_total", getattr(parts.reads.counts, proof.name), proof.name)
    found.add("commit_seconds", counts.commit_s.value())
    found.add("write_seconds", driver.write_s.value())
    found.add("write_entries", driver.write_entries.value())
    return Metrics({name: tuple(samples) for name, samples in found.samples.items()})


def _add_raft(found: _Gathering, parts: Parts, observer: Observer) -> None:
    raft = parts.raft
    members = observer.members.value
    health = observer.health.value
    found.add_all(
        healthy=not health.problems,
        term=raft.term,
        leader_id=raft.leader,
        is_leader=raft.role is Role.LEADER,
        lease_held=parts.reads.is_leased(),
        commit_index=raft.log.committed,
        applied_index=observer.applied.index,
        last_index=raft.log.last_index,
        snapshot_index=parts.group.log.snapshot_meta.meta.index,
    )
    found.add("members", len(members.voters), "voter")
    found.add("members", len(members.outgoing), "outgoing")
    found.add("members", len({*members.learners, *members.coming_learners}), "learner")


def _add_log(found: _Gathering, parts: Parts) -> None:
    log = parts.store.stats()
    driver = parts.driver
    stalled = driver.writing_s(asyncio.get_running_loop().time()) > parts.election_s
    found.add_all(
        disk_ok=driver.disk_full is None and driver.failure is None and not stalled,
        log_size_bytes=log.size_bytes,
        log_live_bytes=log.live_bytes,
        log_segments=log.segments,
        log_cache_bytes=log.cache_bytes,
        written_bytes_total=log.written_bytes,
    )


def _add_peers(found: _Gathering, parts: Parts, observer: Observer) -> None:
    """Labels are ids of members: a bounded set, whatever others claim to be."""
    health = observer.health.value
    members = [id_ for id_ in observer.members.value.all() if id_ != parts.config.id]
    for id_ in members:
        found.add("peer_reachable", int(id_ not in health.unreachable), str(id_))
    for id_, entries in health.behind.items():
        found.add("peer_behind_entries", entries, str(id_))
    for peer in parts.peers():
        if peer.node_id in members:
            found.add("peer_rtt_seconds", peer.rtt_s, str(peer.node_id))
            found.add("peer_queue_bytes", peer.queue_bytes, str(peer.node_id))
    stats: object = getattr(parts.transport, "stats", None)
    if isinstance(stats, TransportStats):
        for event in fields(stats):
            found.add("transport_total", getattr(stats, event.name), event.name)
