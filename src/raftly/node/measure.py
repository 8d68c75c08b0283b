"""Measure: the snapshot of a node's metrics, read off its parts. `Gathering` serves a store of regions too."""

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
    from raftly.node.driver import Driver
    from raftly.node.observed import Observer, Parts
    from raftly.storage.log_store import LogStats
    from raftly.transport.base import Transport


@cache
def _version() -> str:
    from importlib.metadata import PackageNotFoundError, version  # noqa: PLC0415 - a tenth of a node's imports

    try:
        return version("raftly")
    except PackageNotFoundError:  # run from its sources
        return "unknown"


COMPILED: Final = "no" if str(raftly.core.raft.__file__).endswith(".py") else "yes"


@final
class Gathering:
    """Samples by family, as they come."""

    def __init__(self) -> None:
        self.samples: dict[str, list[Sample]] = {}

    def add(self, name: str, value: Value, *labels: str) -> None:
        """One more, of the family of this name without the prefix."""
        self.samples.setdefault(f"raftly_{name}", []).append(Sample(labels, value))

    def add_all(self, **values: float) -> None:
        """Families with one sample each."""
        for name, value in values.items():
            self.add(name, +value)  # booleans as numbers

    def add_process(self, driver: Driver, log: LogStats, transport: Transport, stall_s: float) -> None:
        """What there is once in a process, however many groups: build, driver, log, transport.

        A write that takes longer than `stall_s` says that the disk is not well.
        """
        counts = driver.counts
        stalled = driver.writing_s(asyncio.get_running_loop().time()) > stall_s
        self.add("build_info", 1, _version(), COMPILED)
        self.add_all(
            disk_ok=driver.disk_full is None and driver.failure is None and not stalled,
            log_size_bytes=log.size_bytes,
            log_live_bytes=log.live_bytes,
            log_segments=log.segments,
            log_cache_bytes=log.cache_bytes,
            written_bytes_total=log.written_bytes,
            writes_total=counts.writes,
            written_entries_total=counts.entries_written,
            disk_full_seconds_total=counts.disk_full_s,
            ticks_total=counts.ticks,
            ticks_missed_total=counts.ticks_missed,
            tick_late_seconds_total=counts.late_s,
            peer_errors_total=driver.peer_errors,
        )
        self.add("write_seconds", counts.write_s.value())
        self.add("write_entries", counts.write_entries.value())
        stats: object = getattr(transport, "stats", None)
        if isinstance(stats, TransportStats):
            for event in fields(stats):
                self.add("transport_total", getattr(stats, event.name), event.name)


def measure(parts: Parts, observer: Observer, calls_in_flight: int) -> Metrics:
    """All numbers of a node, as of now."""
    found = Gathering()
    _add_raft(found, parts, observer)
    found.add_process(parts.driver, parts.store.stats(), parts.transport, parts.election_s)
    _add_peers(found, parts, observer)
    counts = observer.counts
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
    )
    for code, count in sorted(counts.failed.items()):
        found.add("calls_failed_total", count, code)
    for event in fields(parts.snapshots):
        found.add("snapshots_total", getattr(parts.snapshots, event.name), event.name)
    for proof in fields(parts.reads.counts):
        found.add("reads_total", getattr(parts.reads.counts, proof.name), proof.name)
    found.add("commit_seconds", counts.commit_s.value())
    return Metrics({name: tuple(samples) for name, samples in found.samples.items()})


def _add_raft(found: Gathering, parts: Parts, observer: Observer) -> None:
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


def _add_peers(found: Gathering, parts: Parts, observer: Observer) -> None:
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
