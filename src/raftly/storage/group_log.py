"""GroupLog: the log of one group as the core reads it, entries in a cache or on disk.

The cache holds the newest entries; older ones are read back, each checked against its own checksum. What is appended
shows at once, before it is durable: the core itself keeps what is durable apart.
"""

from __future__ import annotations

from array import array
from bisect import bisect_right
from collections.abc import Callable
from typing import final

from raftly.base.membership import ConfState
from raftly.base.record import decode_record
from raftly.base.types import NO_LIMIT, Entry, HardState, Index, NodeId, Snapshot, Term
from raftly.errors import Compacted, Corruption, DecodeError, SnapshotNotReady, Unavailable

Reader = Callable[[int, int, int], bytes]  # (segment, offset, size)

_SEGMENT_SHIFT = 32
_OFFSET_MASK = (1 << _SEGMENT_SHIFT) - 1


@final
class GroupLog:
    """One group. Implements the core's LogReader; only the LogStore changes it."""

    __slots__ = (
        "_cache",
        "_cache_bytes",
        "_cache_bytes_max",
        "_places",
        "_read",
        "_runs",
        "_sizes",
        "conf_index",
        "conf_state",
        "group",
        "hard_state",
        "latest_snapshot",
        "segments",
        "snapshot_meta",
    )

    def __init__(self, group: int, read: Reader, cache_bytes_max: int) -> None:
        self.group = group
        self.hard_state = HardState()
        self.conf_state = ConfState()
        self.conf_index: Index = 0
        self.snapshot_meta = Snapshot()  # the log begins behind it
        self.latest_snapshot: Callable[[], Snapshot | None] | None = None  # who makes snapshots to send
        self.segments = [0, 0, 0]  # where hard state, membership and snapshot_meta stand
        self._read = read
        self._places = array("Q")  # segment << 32 | offset of each record, from first_index on
        self._sizes = array("I")
        self._runs: list[tuple[Index, Term]] = []  # (first index, term) of each run of equal terms
        self._cache: list[Entry] = []  # the newest entries
        self._cache_bytes = 0
        self._cache_bytes_max = cache_bytes_max

    # --- what the core reads ---

    def initial_state(self) -> tuple[HardState, ConfState]:
        return self.hard_state, self.conf_state

    def first_index(self) -> Index:
        return self.snapshot_meta.meta.index + 1

    def last_index(self) -> Index:
        return self.snapshot_meta.meta.index + len(self._places)

    def term(self, index: Index) -> Term:
        meta = self.snapshot_meta.meta
        if index == meta.index:
            return meta.term
        if index < meta.index:
            raise Compacted
        if index > self.last_index():
            raise Unavailable
        return self._runs[bisect_right(self._runs, (index, NO_LIMIT)) - 1][1]

    def entries(self, lo: Index, hi: Index, bytes_max: int, context: object = None) -> list[Entry]:
        if lo < self.first_index():
            raise Compacted
        if hi > self.last_index() + 1:
            raise Unavailable
        cached_from = self.last_index() + 1 - len(self._cache)
        if lo >= cached_from:
            found = self._cache[lo - cached_from : hi - cached_from]
        else:
            found = self._from_disk(lo, min(hi, cached_from), bytes_max)
            if len(found) == cached_from - lo:
                found += self._cache[: hi - cached_from]
        return _limit(found, bytes_max)

    def snapshot(self, at_least: Index, to: NodeId) -> Snapshot:
        made = self.latest_snapshot() if self.latest_snapshot is not None else self.snapshot_meta
        if made is None or made.meta.index < max(at_least, self.first_index() - 1) or made.is_empty():
            raise SnapshotNotReady
        return made

    def _from_disk(self, lo: Index, hi: Index, bytes_max: int) -> list[Entry]:
        """Records read back one run of neighbours at a time, no more than needed for `bytes_max`."""
        base = self.first_index()
        found: list[Entry] = []
        total = 0
        at = lo - base
        stop = hi - base
        while at < stop and (not found or total < bytes_max):
            place = self._places[at]
            end = at
            size = 0
            while end < stop and self._places[end] == place + size and (end == at or total + size < bytes_max):
                size += self._sizes[end]
                end += 1
            found += self._decode(place, size, end - at)
            total += size
            at = end
        return found

    def _decode(self, place: int, size: int, count: int) -> list[Entry]:
        segment, offset = place >> _SEGMENT_SHIFT, place & _OFFSET_MASK
        data = self._read(segment, offset, size)
        entries: list[Entry] = []
        at = 0
        try:
            for _ in range(count):
                entry, at = decode_record(data, at, len(data))
                entries.append(entry)
        except DecodeError as error:
            raise Corruption(f"segment {segment}", offset + error.offset, error.problem) from error
        return entries

    # --- what the store changes ---

    def load(self, places: array[int], sizes: array[int], runs: list[tuple[Index, Term]], cache: list[Entry]) -> None:
        """Take over what recovery found behind `snapshot_meta`."""
        self._places = places
        self._sizes = sizes
        self._runs = runs
        self._cache = cache
        self._cache_bytes = sum(len(entry.record) for entry in cache)
        self._trim_cache()

    def append(self, entries: list[Entry], segment: int, offset: int) -> None:
        """Entries now stand in `segment` from `offset` on, back to back; what they overwrite is gone."""
        self.cut(entries[0].index)
        place = segment << _SEGMENT_SHIFT | offset
        for entry in entries:
            size = len(entry.record)
            self._places.append(place)
            self._sizes.append(size)
            place += size
            self._cache_bytes += size
            if not self._runs or self._runs[-1][1] != entry.term:
                self._runs.append((entry.index, entry.term))
        self._cache += entries
        self._trim_cache()

    def cut(self, first: Index) -> None:
        """Forget entries from `first` on."""
        keep = first - self.first_index()
        gone = len(self._places) - keep
        if gone <= 0:
            return
        del self._places[keep:]
        del self._sizes[keep:]
        while self._runs and self._runs[-1][0] >= first:
            self._runs.pop()
        for entry in self._cache[max(len(self._cache) - gone, 0) :]:
            self._cache_bytes -= len(entry.record)
        del self._cache[max(len(self._cache) - gone, 0) :]

    def move(self, index: Index, segment: int, offset: int) -> None:
        """The entry at `index` stands elsewhere now."""
        self._places[index - self.first_index()] = segment << _SEGMENT_SHIFT | offset

    def place(self, index: Index) -> tuple[int, int]:
        """(segment, size) of the record at `index`."""
        at = index - self.first_index()
        return self._places[at] >> _SEGMENT_SHIFT, self._sizes[at]

    def in_segment(self, number: int) -> list[Index]:
        """The entries that stand in a segment, ascending."""
        base = self.first_index()
        return [base + at for at, place in enumerate(self._places) if place >> _SEGMENT_SHIFT == number]

    def compact(self, snapshot: Snapshot, keeps_entries: bool) -> list[tuple[int, int]]:
        """The log begins behind `snapshot`; (segment, size) of every record that is not needed any more."""
        index = snapshot.meta.index
        count = len(self._places)
        if keeps_entries and index <= self.last_index():
            count = index - (self.first_index() - 1)
        gone = [(self._places[at] >> _SEGMENT_SHIFT, self._sizes[at]) for at in range(count)]
        cached_from = self.last_index() + 1 - len(self._cache)
        drop = max(min(self.first_index() + count - cached_from, len(self._cache)), 0)
        for entry in self._cache[:drop]:
            self._cache_bytes -= len(entry.record)
        del self._cache[:drop]
        del self._places[:count]
        del self._sizes[:count]
        at = bisect_right(self._runs, (index + 1, NO_LIMIT)) - 1
        self._runs = [(max(first, index + 1), term) for first, term in self._runs[max(at, 0) :]] if self._places else []
        self.snapshot_meta = snapshot
        return gone

    def _trim_cache(self) -> None:
        """Keep the cache within its bound, in large steps: cutting a list from the front costs its length."""
        if self._cache_bytes <= self._cache_bytes_max * 2:
            return
        drop = 0
        while drop < len(self._cache) and self._cache_bytes > self._cache_bytes_max:
            self._cache_bytes -= len(self._cache[drop].record)
            drop += 1
        del self._cache[:drop]


def _limit(entries: list[Entry], bytes_max: int) -> list[Entry]:
    """As many entries as fit by the size of their records, at least one."""
    if bytes_max >= NO_LIMIT:
        return entries
    total = 0
    for position, entry in enumerate(entries):
        total += len(entry.record) or len(entry.data)
        if total > bytes_max and position:
            return entries[:position]
    return entries
