"""The part of the log that is not known to be durable: a snapshot, entries, or both.

              offset        offset_in_progress
                ▼                   ▼
    ─ stored ──►│ being written     │ not handed out yet ──►

Entries before `offset_in_progress` were handed out in a Ready and not acknowledged; the same flag exists for the
snapshot. The lists that callers get are never changed afterwards.
"""

from __future__ import annotations

from typing import final

from raftly.base.types import Entry, Index, Snapshot, Term
from raftly.core.trace import AppendAckMismatched, AppendAckUnusable, TraceSink, UnstableReplaced, UnstableTruncated
from raftly.errors import InvariantError


@final
class UnstableLog:
    """Entries from `offset` on, and the snapshot they stand on if that is not durable either."""

    __slots__ = ("entries", "offset", "offset_in_progress", "snapshot", "snapshot_in_progress", "trace")

    def __init__(self, offset: Index) -> None:
        self.snapshot: Snapshot | None = None
        self.snapshot_in_progress = False
        self.entries: list[Entry] = []
        self.offset = offset  # index of entries[0], or of the next entry
        self.offset_in_progress = offset  # offset <= offset_in_progress <= offset + len(entries)
        self.trace: TraceSink | None = None

    def maybe_first_index(self) -> Index | None:
        """The index behind the snapshot; None without one."""
        return None if self.snapshot is None else self.snapshot.meta.index + 1

    def maybe_last_index(self) -> Index | None:
        """The last entry, else the snapshot, else None."""
        if self.entries:
            return self.offset + len(self.entries) - 1
        return None if self.snapshot is None else self.snapshot.meta.index

    def maybe_term(self, index: Index) -> Term | None:
        """The term at an index held here; None elsewhere."""
        at = index - self.offset
        if at < 0:
            if self.snapshot is not None and self.snapshot.meta.index == index:
                return self.snapshot.meta.term
            return None
        if at >= len(self.entries):
            return None
        return self.entries[at].term

    def next_entries(self) -> list[Entry]:
        """Entries not handed out yet."""
        start = self.offset_in_progress - self.offset
        return self.entries[start:] if start < len(self.entries) else []

    def has_next_entries(self) -> bool:
        return self.offset_in_progress - self.offset < len(self.entries)

    def next_snapshot(self) -> Snapshot | None:
        """The snapshot, unless it was handed out."""
        return None if self.snapshot_in_progress else self.snapshot

    def accept_in_progress(self) -> None:
        """All of it was handed out."""
        self.offset_in_progress = self.offset + len(self.entries)
        if self.snapshot is not None:
            self.snapshot_in_progress = True

    def stable_to(self, term: Term, index: Index) -> None:
        """Entries up to (term, index) are durable, if that is still the entry held at the index."""
        held = self.maybe_term(index)
        if held is None or index < self.offset:
            if self.trace is not None:
                self.trace.emit(AppendAckUnusable(index, matched_snapshot=held is not None))
            return
        if held != term:
            if self.trace is not None:
                self.trace.emit(AppendAckMismatched(index, term, held))
            return
        self.entries = self.entries[index + 1 - self.offset :]
        self.offset = index + 1
        self.offset_in_progress = max(self.offset_in_progress, self.offset)

    def stable_snap_to(self, index: Index) -> None:
        """The snapshot at `index` is durable, if it is still the one held."""
        if self.snapshot is not None and self.snapshot.meta.index == index:
            self.snapshot = None
            self.snapshot_in_progress = False

    def restore(self, snapshot: Snapshot) -> None:
        """Everything is replaced by a snapshot."""
        self.offset = snapshot.meta.index + 1
        self.offset_in_progress = self.offset
        self.entries = []
        self.snapshot = snapshot
        self.snapshot_in_progress = False

    def truncate_and_append(self, entries: list[Entry]) -> None:
        """Append `entries` (contiguous, at least one), first cutting away what they overwrite."""
        first = entries[0].index
        end = self.offset + len(self.entries)
        if first == end:
            self.entries += entries
        elif first <= self.offset:
            if self.trace is not None:
                self.trace.emit(UnstableReplaced(first))
            self.entries = list(entries)
            self.offset = first
            self.offset_in_progress = first
        else:
            if self.trace is not None:
                self.trace.emit(UnstableTruncated(first))
            self.entries = self.slice(self.offset, first) + entries
            self.offset_in_progress = min(self.offset_in_progress, first)

    def slice(self, lo: Index, hi: Index) -> list[Entry]:
        """The entries [lo, hi), all held here."""
        upper = self.offset + len(self.entries)
        if lo > hi:
            raise InvariantError(f"invalid unstable.slice {lo} > {hi}")
        if lo < self.offset or hi > upper:
            raise InvariantError(f"unstable.slice[{lo},{hi}) out of bound [{self.offset},{upper}]")
        return self.entries[lo - self.offset : hi - self.offset]
