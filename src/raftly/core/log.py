"""RaftLog: the stored log and the unstable one as one, with the indexes that move along it.

    first        applied      applying        committed      unstable.offset        last
      ▼             ▼             ▼               ▼                 ▼                 ▼
    ──┴── applied ──┴─ handed out ┴── to hand out ┴─────────────────┴── not durable ──┘

Invariant: applied <= applying <= committed <= last_index. The lists returned are never changed afterwards.

Source: Raft thesis §3.5-3.6; compare etcd-io/raft log.go.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import final

from raftly.base.types import NO_LIMIT, Entry, Index, NodeId, Snapshot, Term
from raftly.core.sizes import entries_bytes, limit_bytes, limit_slice
from raftly.core.storage import FetchContext, LogReader
from raftly.core.trace import LogConflictFound, SnapshotRestoreStarted, TraceSink
from raftly.core.unstable import UnstableLog
from raftly.errors import Compacted, InvariantError, LogError, Unavailable


@final
class RaftLog:
    """The log of one node. `applying_bytes_max` bounds what is handed out for application and not acknowledged."""

    __slots__ = (
        "applied",
        "apply_ahead",
        "applying",
        "applying_bytes",
        "applying_bytes_max",
        "applying_paused",
        "committed",
        "last_index",
        "last_term",
        "persisted_floor",
        "reader",
        "trace",
        "unstable",
    )

    def __init__(self, reader: LogReader, applying_bytes_max: int = NO_LIMIT) -> None:
        first_index = reader.first_index()
        last_index = reader.last_index()
        self.reader = reader
        self.unstable = UnstableLog(last_index + 1)
        self.last_index = last_index
        self.last_term = reader.term(last_index)
        self.committed = first_index - 1
        self.applying = first_index - 1  # the last entry handed out for application
        self.applied = first_index - 1  # the last one acknowledged as applied
        self.applying_bytes_max = applying_bytes_max
        self.applying_bytes = 0
        self.applying_paused = False
        self.apply_ahead = 0  # raft-rs: how far beyond what is durable a leader may apply
        self.persisted_floor: Index = 0  # what is durable at least, while a snapshot is not
        self.trace: TraceSink | None = None

    def set_trace(self, trace: TraceSink) -> None:
        self.trace = trace
        self.unstable.trace = trace

    # --- reading ---

    def first_index(self) -> Index:
        """The first entry that is not compacted."""
        first = self.unstable.maybe_first_index()
        return self.reader.first_index() if first is None else first

    def term(self, index: Index) -> Term:
        """The term of the entry at `index`, from the one before the first to the last.

        Raises:
            Compacted: below that range.
            Unavailable: above it.
        """
        if index == self.last_index:
            return self.last_term
        held = self.unstable.maybe_term(index)
        if held is not None:
            return held
        if index > self.last_index:
            raise Unavailable
        if self.unstable.snapshot is not None:
            raise Compacted  # it replaces whatever is stored below it
        return self.reader.term(index)

    def term_or_none(self, index: Index) -> Term | None:
        """As `term`; None where that is unknown."""
        if index == self.last_index:
            return self.last_term
        try:
            return self.term(index)
        except (Compacted, Unavailable):
            return None

    def match_term(self, term: Term, index: Index) -> bool:
        """Does the log hold exactly the entry (term, index)?"""
        return self.term_or_none(index) == term

    def is_up_to_date(self, term: Term, index: Index) -> bool:
        """Is a log that ends in (term, index) at least as good as this one (thesis §3.6.1)?"""
        return term > self.last_term or (term == self.last_term and index >= self.last_index)

    def entries(self, lo: Index, bytes_max: int, context: FetchContext | None = None) -> list[Entry]:
        """Entries from `lo` on, as many as fit, at least one unless there is none.

        Raises:
            Compacted: `lo` lies before the first entry.
            LogNotReady: only with a context.
        """
        unstable = self.unstable
        if lo >= unstable.offset:
            return limit_slice(unstable.entries, lo - unstable.offset, len(unstable.entries), bytes_max)
        if lo > self.last_index:
            return []
        return self.slice(lo, self.last_index + 1, bytes_max, context)

    def slice(self, lo: Index, hi: Index, bytes_max: int, context: FetchContext | None = None) -> list[Entry]:
        """The entries [lo, hi), as many as fit, at least one.

        Raises:
            Compacted: `lo` lies before the first entry.
            LogNotReady: only with a context.
        """
        if lo > hi:
            raise InvariantError(f"invalid slice {lo} > {hi}")
        unstable = self.unstable
        offset = unstable.offset
        if hi > self.last_index + 1:
            raise InvariantError(f"slice[{lo},{hi}) out of bound [{self.first_index()},{self.last_index}]")
        if lo >= offset:
            return limit_slice(unstable.entries, lo - offset, hi - offset, bytes_max)
        if unstable.snapshot is not None:
            raise Compacted  # it replaces whatever is stored below it
        if lo == hi:
            return []
        cut = min(hi, offset)
        try:
            stored = self.reader.entries(lo, cut, bytes_max, context)
        except Unavailable as error:
            raise InvariantError(f"entries[{lo}:{cut}) is unavailable from storage") from error
        if hi <= offset or len(stored) < cut - lo:
            return stored
        if bytes_max >= NO_LIMIT:
            return stored + unstable.slice(offset, hi)
        size = entries_bytes(stored)
        if size >= bytes_max:
            return stored
        more = limit_bytes(unstable.slice(offset, hi), bytes_max - size)
        if len(more) == 1 and size + entries_bytes(more) > bytes_max:
            return stored
        return stored + more

    def scan(self, lo: Index, hi: Index, page_bytes: int, visit: Callable[[list[Entry]], bool]) -> None:
        """Visit [lo, hi) page by page until `visit` returns False.

        Raises:
            Compacted: `lo` lies before the first entry.
        """
        while lo < hi:
            page = self.slice(lo, hi, page_bytes)
            if not page:
                raise InvariantError(f"got 0 entries in [{lo}, {hi})")
            if not visit(page):
                return
            lo += len(page)

    def snapshot(self, at_least: Index, to: NodeId) -> Snapshot:
        """A snapshot to send.

        Raises:
            SnapshotNotReady: it is being made.
        """
        held = self.unstable.snapshot
        if held is not None and held.meta.index >= at_least:
            return held
        return self.reader.snapshot(at_least, to)

    def persisted_index(self) -> Index:
        """The last index known to be durable. raft-rs: persisted."""
        if self.unstable.snapshot is not None:
            return self.persisted_floor
        return self.unstable.offset - 1

    # --- appending ---

    def append(self, entries: list[Entry]) -> None:
        """Append entries that stand behind the committed ones, cutting away what they overwrite."""
        if not entries:
            return
        before = entries[0].index - 1
        if before < self.committed:
            raise InvariantError(f"after({before}) is out of range [committed({self.committed})]")
        self.unstable.truncate_and_append(entries)
        last = entries[-1]
        self.last_index = last.index
        self.last_term = last.term

    def maybe_append(self, prev_term: Term, prev_index: Index, entries: list[Entry], commit: Index) -> Index | None:
        """Take entries from a leader if they fit behind (prev_term, prev_index): the last new index, else None.

        Entries already held are left alone, so a late or doubled append never cuts a matching tail. The commit index
        rises to `commit`, but not past what this append proves.
        """
        if prev_index == self.last_index:
            if prev_term != self.last_term:
                return None
            last_new = prev_index + len(entries)
            self.append(entries)
        else:
            if not self.match_term(prev_term, prev_index):
                return None
            last_new = prev_index + len(entries)
            conflict = self.find_conflict(entries)
            if conflict != 0:
                if conflict <= self.committed:
                    raise InvariantError(
                        f"entry {conflict} conflict with committed entry [committed({self.committed})]"
                    )
                self.append(entries[conflict - prev_index - 1 :])
        self.commit_to(min(commit, last_new))
        return last_new

    def find_conflict(self, entries: list[Entry]) -> Index:
        """The first of `entries` that the log lacks or contradicts; 0 when it holds them all."""
        for entry in entries:
            own_term = self.term_or_none(entry.index)
            if own_term != entry.term:
                if entry.index <= self.last_index and self.trace is not None:
                    self.trace.emit(LogConflictFound(entry.index, own_term or 0, entry.term))
                return entry.index
        return 0

    def find_conflict_by_term(self, index: Index, term: Term) -> tuple[Index, Term]:
        """The largest index up to `index` whose term is at most `term`, and that term.

        Where a term is unknown (compacted, missing) the search ends there with term 0. Entries above it cannot match a
        log in which the term at `index` is `term`, since terms never fall along a log (thesis §3.5, fast backup).
        """
        while index > 0:
            own_term = self.term_or_none(index)
            if own_term is None:
                return index, 0
            if own_term <= term:
                return index, own_term
            index -= 1
        return 0, 0

    def restore(self, snapshot: Snapshot) -> None:
        """Replace the log by a snapshot that is newer than the commit index."""
        if snapshot.meta.index < self.committed:
            raise InvariantError(f"snapshot {snapshot.meta.index} lies before committed({self.committed})")
        if self.trace is not None:
            self.trace.emit(SnapshotRestoreStarted(snapshot))
        self.persisted_floor = min(self.persisted_index(), self.committed)
        self.committed = snapshot.meta.index
        self.unstable.restore(snapshot)
        self.last_index = snapshot.meta.index
        self.last_term = snapshot.meta.term

    # --- what the disk acknowledged ---

    def stable_to(self, term: Term, index: Index) -> None:
        """Entries up to (term, index) are durable."""
        self.unstable.stable_to(term, index)

    def stable_snap_to(self, index: Index) -> None:
        """The snapshot at `index` is durable."""
        self.unstable.stable_snap_to(index)

    # --- committing and applying ---

    def commit_to(self, index: Index) -> None:
        """Raise the commit index; it never falls."""
        if index > self.committed:
            if index > self.last_index:
                raise InvariantError(
                    f"tocommit({index}) is out of range [lastIndex({self.last_index})]. "
                    "Was the raft log corrupted, truncated, or lost?"
                )
            self.committed = index

    def maybe_commit(self, term: Term, index: Index) -> bool:
        """Commit up to `index` if the entry there is of `term`: only own-term entries are counted (thesis §3.6.2)."""
        if index > self.committed and term != 0 and self.match_term(term, index):
            self.commit_to(index)
            return True
        return False

    def max_appliable(self, allow_unstable: bool) -> Index:
        """The last entry that may be applied: committed and, unless allowed otherwise, durable here."""
        if allow_unstable:
            return self.committed
        return min(self.committed, self.unstable.offset - 1 + self.apply_ahead)

    def has_next_committed(self, allow_unstable: bool) -> bool:
        """Would `next_committed` give any?"""
        if self.applying_paused or self.unstable.snapshot is not None:
            return False
        return self.applying < self.max_appliable(allow_unstable)

    def next_committed(self, allow_unstable: bool) -> list[Entry]:
        """Committed entries not handed out yet, within the byte budget."""
        if self.applying_paused or self.unstable.snapshot is not None:
            return []
        last = self.committed if allow_unstable else self.max_appliable(allow_unstable)
        if self.applying >= last:
            return []
        budget = self.applying_bytes_max
        if budget < NO_LIMIT:
            budget -= self.applying_bytes
            if budget <= 0:
                raise InvariantError(
                    f"applying entry size ({self.applying_bytes_max}-{self.applying_bytes})={budget} not positive"
                )
        try:
            return self.slice(self.applying + 1, last + 1, budget)
        except LogError as error:
            raise InvariantError(f"unexpected error when getting unapplied entries ({error!r})") from error

    def set_applying_bytes_max(self, bytes_max: int) -> None:
        """Change the byte budget; with one that is used up already nothing more is handed out for now."""
        self.applying_bytes_max = bytes_max
        if bytes_max >= NO_LIMIT:
            self.applying_bytes = 0  # without a limit nothing is counted, so what is outstanding is never given back
        self.applying_paused = self.applying_bytes >= bytes_max

    def accept_applying(self, entries: list[Entry], allow_unstable: bool) -> None:
        """These entries were handed out for application."""
        index = entries[-1].index
        if index > self.committed:
            raise InvariantError(
                f"applying({index}) is out of range [prevApplying({self.applying}), committed({self.committed})]"
            )
        self.applying = index
        if self.applying_bytes_max < NO_LIMIT:
            self.applying_bytes += entries_bytes(entries)
        # Paused also when something appliable was left behind: it is fetched again once there is room.
        self.applying_paused = self.applying_bytes >= self.applying_bytes_max or index < self.max_appliable(
            allow_unstable
        )

    def applied_to(self, index: Index, applied_bytes: int) -> None:
        """Everything up to `index` is applied; `applied_bytes` is the encoded size that this acknowledges."""
        if index > self.committed or index < self.applied:
            raise InvariantError(
                f"applied({index}) is out of range [prevApplied({self.applied}), committed({self.committed})]"
            )
        self.applied = index
        self.applying = max(self.applying, index)
        if self.applying_bytes != 0:
            self.applying_bytes = max(self.applying_bytes - applied_bytes, 0)
        self.applying_paused = self.applying_bytes >= self.applying_bytes_max

    def __str__(self) -> str:
        unstable = self.unstable
        return (
            f"committed={self.committed}, applied={self.applied}, applying={self.applying}, "
            f"unstable.offset={unstable.offset}, unstable.offsetInProgress={unstable.offset_in_progress}, "
            f"len(unstable.Entries)={len(unstable.entries)}"
        )
