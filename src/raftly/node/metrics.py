"""Metrics: counts kept where things happen, and the snapshot of all of them that `node.metrics()` gives.

Counting costs an addition a batch, a write or a tick, never a lock; what can be read off the objects is read when it is
asked for. Names are those of Prometheus: a unit at the end, `_total` on what only rises. FAMILIES is the list.

    metrics = node.metrics()
    metrics.value("raftly_term")                        5
    metrics.value("raftly_reads_total", proof="lease")  1234
    metrics.flat()                                      {'raftly_term': 5, ...}
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Final, TypeAlias, final

from raftly.node.histogram import Histogram, HistogramValue
from raftly.storage.items import EntriesItem, Item

SECONDS: Final = (0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0)
SIZES: Final = (1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0, 512.0, 1024.0, 4096.0)

# --- counting ----------------------------------------------------------------------------------------------------


@final
@dataclass(slots=True)
class DriverCounts:
    """What a driver counts, for all its groups."""

    writes: int = 0
    entries_written: int = 0
    disk_full_s: float = 0.0
    ticks: int = 0
    ticks_missed: int = 0  # the loop came so late that a tick did not happen
    late_s: float = 0.0  # sum over all ticks
    write_s: Histogram = field(default_factory=lambda: Histogram(SECONDS))
    write_entries: Histogram = field(default_factory=lambda: Histogram(SIZES))

    def on_write(self, items: list[Item], seconds: float) -> None:
        """A batch is durable."""
        entries = 0
        for item in items:
            if isinstance(item, EntriesItem):
                entries += len(item.entries)
        self.writes += 1
        self.entries_written += entries
        self.write_s.observe(seconds)
        self.write_entries.observe(entries)

    def on_tick(self, late_s: float, interval_s: float) -> None:
        """A tick came, so late."""
        self.ticks += 1
        if late_s > 0:
            self.late_s += late_s
            self.ticks_missed += int(late_s / interval_s)


@final
@dataclass(slots=True)
class ReadCounts:
    """Reads that were confirmed at a node, by their proof."""

    lease: int = 0
    read_index: int = 0
    earlier: int = 0
    none: int = 0


@final
@dataclass(slots=True)
class SnapshotCounts:
    """What happened to snapshots at a node."""

    made: int = 0
    make_failed: int = 0
    sent: int = 0
    send_failed: int = 0
    restored: int = 0  # became the state


@final
@dataclass(slots=True)
class NodeCounts:
    """What a node counts."""

    proposals: int = 0  # placed in this leader's log
    applied: int = 0  # entries
    batches: int = 0  # of applied entries
    failed: dict[str, int] = field(default_factory=dict)  # calls, by the code of their error
    leader_changes: int = 0
    elections: int = 0
    elections_won: int = 0
    checks: int = 0  # digests made
    check_s: float = 0.0
    differences: int = 0  # digests of other replicas that were not this one's
    commit_s: Histogram = field(default_factory=lambda: Histogram(SECONDS))

    def on_failed_call(self, code: str) -> None:
        """A call ended in an error of ours."""
        self.failed[code] = self.failed.get(code, 0) + 1


# --- the snapshot ------------------------------------------------------------------------------------------------


class Kind(Enum):
    """What a number means."""

    COUNTER = "counter"  # since the start of the node; only rises
    GAUGE = "gauge"  # as of now
    HISTOGRAM = "histogram"


Value: TypeAlias = float | HistogramValue


@final
@dataclass(frozen=True, slots=True)
class Family:
    """A name and what it means; `labels` tell its samples apart."""

    name: str
    kind: Kind
    help: str
    labels: tuple[str, ...] = ()


@final
@dataclass(frozen=True, slots=True)
class Sample:
    """One number of a family."""

    labels: tuple[str, ...]  # values, in the order of the family's labels
    value: Value


@final
@dataclass(frozen=True, slots=True)
class Metrics:
    """All numbers of a node at one moment. Iterating gives families and their samples, in the order of FAMILIES."""

    samples: Mapping[str, tuple[Sample, ...]]

    def __iter__(self) -> Iterator[tuple[Family, tuple[Sample, ...]]]:
        for family in FAMILIES:
            if family.name in self.samples:
                yield family, self.samples[family.name]

    def get(self, name: str, **labels: str) -> Value:
        """One number, or histogram.

        Raises:
            KeyError: there is none of this name with these labels.
        """
        values = tuple(labels[label] for label in _BY_NAME[name].labels)
        for sample in self.samples.get(name, ()):
            if sample.labels == values:
                return sample.value
        raise KeyError(name, labels)

    def value(self, name: str, **labels: str) -> float:
        """One number; of a histogram how many values there were.

        Raises:
            KeyError: there is none of this name with these labels.
        """
        value = self.get(name, **labels)
        return value.count if isinstance(value, HistogramValue) else value

    def flat(self) -> dict[str, float]:
        """Every number under one key, `name{label="value"}`; of a histogram `_count` and `_sum`."""
        flat: dict[str, float] = {}
        for family, samples in self:
            for sample in samples:
                pairs = zip(family.labels, sample.labels, strict=True)
                labels = ",".join(f'{label}="{value}"' for label, value in pairs)
                suffix = f"{{{labels}}}" if labels else ""
                if isinstance(sample.value, HistogramValue):
                    flat[f"{family.name}_count{suffix}"] = sample.value.count
                    flat[f"{family.name}_sum{suffix}"] = sample.value.sum
                else:
                    flat[f"{family.name}{suffix}"] = sample.value
        return flat


def _families(kind: Kind, rows: Iterable[tuple[str, ...]]) -> list[Family]:
    return [Family(f"raftly_{name}", kind, text, tuple(labels)) for name, text, *labels in rows]


FAMILIES: Final = [
    *_families(
        Kind.GAUGE,
        [
            ("build_info", "1; the version, and whether the core is compiled.", "version", "compiled"),
            ("uptime_seconds", "Since the node started."),
            ("healthy", "1 when the node has no problem to tell of."),
            ("term", "The term of this node."),
            ("leader_id", "Who leads, as far as this node knows; 0 when nobody does."),
            ("is_leader", "1 when this node leads."),
            ("lease_held", "1 when this node leads and may answer strong reads alone."),
            ("members", "Members of the group, by what they are.", "role"),
            ("commit_index", "The last entry that is known to be committed."),
            ("applied_index", "The last entry that is in the state."),
            ("last_index", "The last entry of the log."),
            ("snapshot_index", "The log begins behind the snapshot of this entry."),
            ("peer_reachable", "1 when a member can be reached from here.", "peer"),
            ("peer_behind_entries", "At a leader: committed entries that a member is not known to hold.", "peer"),
            ("peer_rtt_seconds", "Round-trip time of the last ping.", "peer"),
            ("peer_queue_bytes", "Bytes that wait to be sent.", "peer"),
            ("sessions", "Sessions that are open, at every replica the same."),
            ("calls_in_flight", "Calls that wait for their result at this node."),
            ("disk_ok", "1 when the log's disk works, 0 when it is full, stalls or failed."),
            ("log_size_bytes", "What the log takes on disk, with what is written ahead."),
            ("log_live_bytes", "Entries and snapshots in it that are still needed."),
            ("log_segments", "Files of the log."),
            ("log_cache_bytes", "Entries of the log that are kept in memory."),
        ],
    ),
    *_families(
        Kind.COUNTER,
        [
            ("leader_changes_total", "How often another leader became known."),
            ("elections_total", "Elections that this node started."),
            ("elections_won_total", "Elections that this node won."),
            ("proposals_total", "Proposals that this node placed in its log as the leader."),
            ("calls_failed_total", "Calls that ended in an error of raftly, by its code.", "code"),
            ("applied_total", "Entries that were applied."),
            ("applied_batches_total", "Batches of them."),
            ("reads_total", "Reads that were confirmed here, by what proved them fresh.", "proof"),
            ("writes_total", "Batches that were written to the log and synced."),
            ("written_entries_total", "Entries in them."),
            ("written_bytes_total", "Bytes in them, moved ones included."),
            ("snapshots_total", "Snapshots, by what was done with them.", "event"),
            ("disk_full_seconds_total", "Time during which the disk was full."),
            ("ticks_total", "Ticks of the node's clock."),
            ("ticks_missed_total", "Ticks that did not happen because the event loop was late."),
            ("tick_late_seconds_total", "By how much ticks were late."),
            ("peer_errors_total", "Messages that were refused because no correct peer sends them."),
            ("digests_total", "Digests of the state that were made to be compared."),
            ("digest_seconds_total", "Time that took."),
            (
                "digests_differ_total",
                "Digests of another replica that were not this one's. Anything but 0 is an alarm.",
            ),
            ("transport_total", "What the transport counts, by its names; see docs/transport.md.", "event"),
        ],
    ),
    *_families(
        Kind.HISTOGRAM,
        [
            ("commit_seconds", "From placing a proposal in the leader's log to having applied it."),
            ("write_seconds", "Writing and syncing one batch."),
            ("write_entries", "Entries in one batch."),
        ],
    ),
]
_BY_NAME: Final = {family.name: family for family in FAMILIES}
