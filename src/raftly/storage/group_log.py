"""GroupLog: the log of one group as the core reads it, entries in a cache or on disk.

The cache holds the newest entries; older ones are read back, each checked against its own checksum, its index and its
term.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol, final

from raftly.base.membership import ConfState
from raftly.base.record import decode_record
from raftly.base.types import NO_LIMIT, Entry, HardState, Index, NodeId, Snapshot, Term
from raftly.errors import Compacted, Corruption, DecodeError, SnapshotNotReady, Unavailable
from raftly.storage.places import Places, Runs, add_run


class SegmentReader(Protocol):
    """The segments of the log, to read from."""

    def read(self, number: int, offset: int, size: int) -> bytes:
        """Bytes of a segment."""
        ...

    def path(self, number: int) -> str:
        """Its file, for errors."""
        ...


@final
class GroupLog:
    """One group. Implements the core's LogReader; only the LogStore changes it."""

    __slots__ = (
        "_cache",
        "_segments",
        "cache_bytes",
        "conf_index",
        "conf_state",
        "group",
        "hard_state",
        "latest_snapshot",
        "places",
        "snapshot_meta",
        "state_segments",
    )

    def __init__(self, group: int, segments: SegmentReader) -> None:
        self.group = group
        self.hard_state = HardState()
        self.conf_state = ConfState()
        self.conf_index: Index = 0
        self.snapshot_meta = Snapshot()  # the log begins behind it
        self.latest_snapshot: Callable[[NodeId], Snapshot | None] | None = None  # who makes snapshots for a node
        self.state_segments = [0, 0, 0]  # where hard state, membership and snapshot_meta stand; 0: nowhere
        self.places = Places(1)
        self.cache_bytes = 0
        self._segments = segments
        self._cache: list[Entry] = []  # the newest entries

    # --- what the core reads ---

    def initial_state(self) -> tuple[HardState, ConfState]:
        """See `LogReader.initial_state`.

        What a snapshot holds was committed, and so was the entry that the membership in force came with. The commit
        index that says so may not have been written, since a commit index alone waits for the next entries. A state
        behind its own membership would make snapshots that a member of today is not in, and refuses.
        """
        state = self.hard_state
        known = max(self.snapshot_meta.meta.index, min(self.conf_index, self.last_index()))
        if state.commit < known:
            state = HardState(state.term, state.vote, known)
        return state, self.conf_state

    def first_index(self) -> Index:
        """See `LogReader.first_index`."""
        return self.places.first

    def last_index(self) -> Index:
        """See `LogReader.last_index`."""
        return self.places.stop - 1

    def term(self, index: Index) -> Term:
        """See `LogReader.term`."""
        meta = self.snapshot_meta.meta
        if index == meta.index:
            return meta.term
        if index < meta.index:
            raise Compacted
        if index >= self.places.stop:
            raise Unavailable
        return self.places.term(index)

    def entries(self, lo: Index, hi: Index, bytes_max: int, context: object = None) -> list[Entry]:
        """See `LogReader.entries`.

        Raises:
            Corruption: a record on disk does not match its checksum, or is not the one that was put there.
            StorageError: the disk could not read.
        """
        if lo < self.places.first:
            raise Compacted
        if hi > self.places.stop:
            raise Unavailable
        cached_from = self.places.stop - len(self._cache)
        if lo >= cached_from:
            found = self._cache[lo - cached_from : hi - cached_from]
        else:
            found = self._from_disk(lo, min(hi, cached_from), bytes_max)
            if len(found) == cached_from - lo:
                found += self._cache[: max(hi - cached_from, 0)]
        return _limit(found, bytes_max)

    def snapshot(self, at_least: Index, to: NodeId) -> Snapshot:
        """See `LogReader.snapshot`."""
        made = self.latest_snapshot(to) if self.latest_snapshot is not None else self.snapshot_meta
        if made is None or made.meta.index < max(at_least, self.first_index() - 1) or made.is_empty():
            raise SnapshotNotReady
        return made

    def _from_disk(self, lo: Index, hi: Index, bytes_max: int) -> list[Entry]:
        """Records read back one stretch of neighbours at a time, no more than needed for `bytes_max`."""
        found: list[Entry] = []
        left = max(bytes_max, 1)
        while lo < hi and left > 0:
            segment, offset, size, stop = self.places.stretch(lo, hi, left)
            self._decode(segment, offset, size, range(lo, stop), found)
            left -= size
            lo = stop
        return found

    def _decode(self, segment: int, offset: int, size: int, indexes: range, found: list[Entry]) -> None:
        data = self._segments.read(segment, offset, size)
        at = 0
        try:
            for index in indexes:
                entry, end = decode_record(data, at, len(data))
                if entry.index != index or entry.term != self.places.term(index):
                    raise DecodeError("entry record", at, f"entry {index} was put here, not {entry.term}/{entry.index}")
                found.append(entry)
                at = end
        except DecodeError as error:
            raise Corruption(self._segments.path(segment), offset + error.offset, error.problem) from error

    # --- what the store changes ---

    def append(self, entries: list[Entry], sizes: list[int], place: int) -> None:
        """Entries with records of these sizes now stand back to back from `place` on; what they overwrite is gone."""
        first = entries[0].index
        if first < self.places.stop:
            self._cut(first)
        self.places.append(sizes, _term_runs(entries), place)
        self._cache += entries
        self.cache_bytes += sum(sizes)

    def _cut(self, first: Index) -> None:
        cached_from = self.places.stop - len(self._cache)
        keep = max(first - cached_from, 0)
        self.cache_bytes -= sum([len(entry.record) for entry in self._cache[keep:]])
        del self._cache[keep:]
        self.places.cut(first)

    def restart_at(self, snapshot: Snapshot, keeps_entries: bool) -> None:
        """The log begins behind `snapshot`."""
        first = snapshot.meta.index + 1
        if keeps_entries:
            self.places.drop(first)
        else:
            self.places.clear(first)
        self.trim_cache(len(self._cache) - len(self.places))
        self.snapshot_meta = snapshot

    def trim_cache(self, count: int) -> None:
        """Let the oldest `count` cached entries go; they are on disk."""
        if count > 0:
            self.cache_bytes -= sum([len(entry.record) for entry in self._cache[:count]])
            del self._cache[:count]

    def shrink_cache(self, bytes_max: int) -> None:
        """Let the oldest go until no more than `bytes_max` are cached."""
        left = self.cache_bytes
        count = 0
        while left > bytes_max:
            left -= len(self._cache[count].record)
            count += 1
        self.trim_cache(count)


def _term_runs(entries: list[Entry]) -> Runs:
    """Terms never fall along a log, so two equal ends mean that all are equal."""
    first, term = entries[0].index, entries[0].term
    if entries[-1].term == term:
        return [(first, term)]
    runs: Runs = []
    for entry in entries:
        add_run(runs, entry.index, entry.term)
    return runs


def _limit(entries: list[Entry], bytes_max: int) -> list[Entry]:
    """As many entries as fit by the size of their records, at least one."""
    if bytes_max >= NO_LIMIT:
        return entries
    total = 0
    for position, entry in enumerate(entries):
        total += len(entry.record)
        if total > bytes_max and position:
            return entries[:position]
    return entries
