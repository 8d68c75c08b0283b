"""What the core asks of a storage: to read the log. It never writes.

Writing is the application's: it persists what a Ready (or a MsgStorageAppend) holds before it acknowledges it.
"""

from __future__ import annotations

from typing import Protocol

from raftly.base.membership import ConfState
from raftly.base.types import Entry, HardState, Index, NodeId, Snapshot, Term


class LogReader(Protocol):
    """The stored log: a snapshot up to `first_index() - 1`, then entries up to `last_index()`.

    The core calls these between the application's own writes, never at the same time. A storage that fails raises
    its own error, which passes through the core unchanged; the group must then stop, because the core may have
    acted on half of what it was asked. Only the errors named here are part of the conversation.

    Compare: etcd-io/raft storage.go (Storage); tikv/raft-rs src/storage.rs.
    """

    def initial_state(self) -> tuple[HardState, ConfState]:
        """What was durable when the node stopped; defaults for a new one."""
        ...

    def entries(self, lo: Index, hi: Index, bytes_max: int, context: FetchContext | None = None) -> list[Entry]:
        """The longest prefix of [lo, hi) whose encoded size is at most `bytes_max`, at least one entry.

        With a `context` the storage may refuse for now and fetch in the background: it then raises LogNotReady and,
        when the entries are at hand, the application calls `RawNode.on_entries_fetched(context)`.

        Raises:
            Compacted: lo lies at or below the snapshot.
            Unavailable: hi lies beyond the last entry.
            LogNotReady: only with a context.
        """
        ...

    def term(self, index: Index) -> Term:
        """The term of an entry in [first_index() - 1, last_index()].

        Raises:
            Compacted: below that range.
            Unavailable: above it.
        """
        ...

    def first_index(self) -> Index:
        """The first entry that is not compacted."""
        ...

    def last_index(self) -> Index:
        """The last entry; first_index() - 1 when there is none."""
        ...

    def snapshot(self, at_least: Index, to: NodeId) -> Snapshot:
        """A snapshot to send to `to`, at index `at_least` or newer (0: any).

        Raises:
            SnapshotNotReady: it is being made.
        """
        ...


class FetchContext:
    """For whom entries are being fetched; given to the storage, and back to `RawNode.on_entries_fetched`."""

    __slots__ = ("term", "to")

    def __init__(self, to: NodeId, term: Term) -> None:
        self.to = to
        self.term = term
