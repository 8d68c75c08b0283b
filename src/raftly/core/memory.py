"""MemoryStorage: the reference LogReader, a list of entries on a snapshot. For tests, simulators and examples."""

from __future__ import annotations

from typing import final

from raftly.base.membership import ConfState
from raftly.base.types import Entry, HardState, Index, NodeId, Snapshot, SnapshotMeta, Term
from raftly.core.sizes import limit_slice
from raftly.core.storage import FetchContext
from raftly.errors import Compacted, InvariantError, LogNotReady, SnapshotNotReady, SnapshotOutOfDate, Unavailable


@final
class MemoryStorage:
    """A log in memory. Element 0 is a dummy with index and term of the snapshot, so arithmetic needs no cases.

    Compare: etcd-io/raft storage.go (MemoryStorage); tikv/raft-rs src/storage.rs (MemStorage).
    """

    __slots__ = ("_entries", "_fetching", "_hard_state", "_log_not_ready", "_snapshot", "_snapshot_not_ready")

    def __init__(self) -> None:
        self._hard_state = HardState()
        self._snapshot = Snapshot()
        self._entries: list[Entry] = [Entry()]
        self._snapshot_not_ready = False
        self._log_not_ready = False
        self._fetching: list[FetchContext] = []

    # --- what the core reads ---

    def initial_state(self) -> tuple[HardState, ConfState]:
        return self._hard_state, self._snapshot.meta.conf_state

    def entries(self, lo: Index, hi: Index, bytes_max: int, context: FetchContext | None = None) -> list[Entry]:
        entries = self._entries
        offset = entries[0].index
        if lo <= offset:
            raise Compacted
        if hi > offset + len(entries):
            raise InvariantError(f"entries' hi({hi}) is out of bound lastindex({self.last_index()})")
        if len(entries) == 1:
            raise Unavailable
        if self._log_not_ready and context is not None:
            self._fetching.append(context)
            raise LogNotReady
        return limit_slice(entries, lo - offset, hi - offset, bytes_max)

    def term(self, index: Index) -> Term:
        at = index - self._entries[0].index
        if at < 0:
            raise Compacted
        if at >= len(self._entries):
            raise Unavailable
        return self._entries[at].term

    def first_index(self) -> Index:
        return self._entries[0].index + 1

    def last_index(self) -> Index:
        return self._entries[0].index + len(self._entries) - 1

    def snapshot(self, at_least: Index = 0, to: NodeId = 0) -> Snapshot:
        """The stored snapshot.

        Raises:
            SnapshotNotReady: told so by `set_snapshot_not_ready`, or older than `at_least`.
        """
        if self._snapshot_not_ready or self._snapshot.meta.index < at_least:
            raise SnapshotNotReady
        return self._snapshot

    # --- what the application writes ---

    def set_hard_state(self, hard_state: HardState) -> None:
        self._hard_state = hard_state

    def append(self, entries: list[Entry]) -> None:
        """Write entries: what is compacted is dropped, what overlaps is overwritten and everything behind it cut.

        A gap is an InvariantError.
        """
        if not entries:
            return
        held = self._entries
        first = held[0].index + 1
        if entries[-1].index < first:
            return
        if entries[0].index < first:
            entries = entries[first - entries[0].index :]
        at = entries[0].index - held[0].index
        if at > len(held):
            raise InvariantError(f"missing log entry [last: {self.last_index()}, append at: {entries[0].index}]")
        if at == len(held):
            held += entries
        else:
            self._entries = held[:at] + entries

    def compact(self, index: Index) -> None:
        """Forget entries up to `index`, which the core must know to be applied; it becomes the dummy.

        Raises:
            Compacted: that was done before.
        """
        offset = self._entries[0].index
        if index <= offset:
            raise Compacted
        if index > self.last_index():
            raise InvariantError(f"compact {index} is out of bound lastindex({self.last_index()})")
        boundary = self._entries[index - offset]
        self._entries = [Entry(boundary.term, index), *self._entries[index - offset + 1 :]]

    def create_snapshot(self, index: Index, conf_state: ConfState | None, data: bytes) -> Snapshot:
        """Store and return a snapshot of the application at `index`; membership as before unless given.

        Raises:
            SnapshotOutOfDate: the stored one is as new.
        """
        if index <= self._snapshot.meta.index:
            raise SnapshotOutOfDate
        if index > self.last_index():
            raise InvariantError(f"snapshot {index} is out of bound lastindex({self.last_index()})")
        kept = self._snapshot.meta.conf_state if conf_state is None else conf_state
        self._snapshot = Snapshot(SnapshotMeta(index, self.term(index), kept), data)
        return self._snapshot

    def apply_snapshot(self, snapshot: Snapshot) -> None:
        """Replace everything by a snapshot. One with membership only (index 0) sets up a new group.

        Raises:
            SnapshotOutOfDate: the stored one is as new.
        """
        stored = self._snapshot.meta.index
        if stored != 0 and stored >= snapshot.meta.index:
            raise SnapshotOutOfDate
        self._snapshot = snapshot
        self._entries = [Entry(snapshot.meta.term, snapshot.meta.index)]

    # --- what tests ask of it ---

    def set_snapshot_not_ready(self, not_ready: bool) -> None:
        """Pretend that a snapshot is being made."""
        self._snapshot_not_ready = not_ready

    def set_log_not_ready(self, not_ready: bool) -> None:
        """Pretend that entries must be fetched first; `take_fetches` then tells for whom."""
        self._log_not_ready = not_ready

    def take_fetches(self) -> list[FetchContext]:
        """The contexts of reads refused since the last call."""
        fetches, self._fetching = self._fetching, []
        return fetches
