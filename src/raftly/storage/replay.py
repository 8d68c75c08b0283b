"""Recovery of the groups from the batches of the log, oldest first.

Entries that were moved out of a reclaimed segment (REWRITTEN) come later in the log than entries that follow them, so a
group is put together in two parts: what was appended in order, and what was moved from below it.
"""

from __future__ import annotations

from array import array
from typing import final

from raftly.base.membership import ConfState
from raftly.base.types import Entry, HardState, Index, Snapshot, Term
from raftly.errors import Corruption
from raftly.storage.group_log import GroupLog
from raftly.storage.items import EntriesItem, HardStateItem, Item, MembershipItem, RemovedItem, SnapshotItem, StateItem

_KEEP_CACHED = 4096  # entries a group keeps in memory while it is put together


@final
class _Group:
    """One group in the making."""

    __slots__ = ("_below", "_cache", "_first", "_places", "_sizes", "_terms", "conf", "hard", "segments", "snapshot")

    def __init__(self) -> None:
        self.hard = HardState()
        self.conf: tuple[Index, ConfState] = (0, ConfState())
        self.snapshot = Snapshot()
        self.segments = [0, 0, 0]
        self._first: Index = 0  # of what was appended in order
        self._places = array("Q")
        self._sizes = array("I")
        self._terms = array("Q")
        self._cache: list[Entry] = []
        self._below: dict[Index, tuple[int, int, Term]] = {}

    def add(self, item: EntriesItem, segment: int, payload_offset: int) -> None:
        place = segment << 32 | (payload_offset + item.offset)
        if not item.rewritten:
            self._cut(item.entries[0].index)
        for entry in item.entries:
            size = len(entry.record)
            if item.rewritten:
                self._move(entry, place, size)
            else:
                self._places.append(place)
                self._sizes.append(size)
                self._terms.append(entry.term)
            place += size
        if not item.rewritten:
            self._cache += item.entries
            if len(self._cache) > 2 * _KEEP_CACHED:
                del self._cache[:-_KEEP_CACHED]

    def _cut(self, first: Index) -> None:
        """Entries from `first` on are about to be appended."""
        for index in [index for index in self._below if index >= first]:
            del self._below[index]
        keep = first - self._first
        if keep <= 0 or not self._places:
            self._first = first
            keep = 0
        gone = len(self._places) - keep
        if gone > 0:
            del self._places[keep:], self._sizes[keep:], self._terms[keep:]
            del self._cache[max(len(self._cache) - gone, 0) :]

    def _move(self, entry: Entry, place: int, size: int) -> None:
        at = entry.index - self._first
        if self._places and 0 <= at < len(self._places):
            self._places[at] = place
        else:
            self._below[entry.index] = (place, size, entry.term)

    def restart_at(self, snapshot: Snapshot, keeps_entries: bool) -> None:
        """The log begins behind a snapshot."""
        index = snapshot.meta.index
        self.snapshot = snapshot
        if not keeps_entries:
            self._first = index + 1
            del self._places[:], self._sizes[:], self._terms[:]
            self._cache = []
            self._below = {}
            return
        drop = min(max(index + 1 - self._first, 0), len(self._places))
        if drop:
            del self._places[:drop], self._sizes[:drop], self._terms[:drop]
            self._first += drop
            if len(self._cache) > len(self._places):
                del self._cache[: len(self._cache) - len(self._places)]
        for below in [below for below in self._below if below <= index]:
            del self._below[below]

    def finish(self, path: str, log: GroupLog) -> None:
        log.hard_state = self.hard
        log.conf_index, log.conf_state = self.conf
        log.snapshot_meta = self.snapshot
        log.segments = self.segments
        begin = self.snapshot.meta.index + 1
        if (self._places and self._first > begin) or self._below:
            self._prepend(path, begin, log.group)
        runs: list[tuple[Index, Term]] = []
        for at, term in enumerate(self._terms):
            if not runs or runs[-1][1] != term:
                runs.append((begin + at, term))
        log.load(self._places, self._sizes, runs, self._cache)

    def _prepend(self, path: str, begin: Index, group: int) -> None:
        """Put what was moved before what was appended."""
        stop = self._first if self._places else max(self._below, default=begin - 1) + 1
        missing = [index for index in range(begin, stop) if index not in self._below]
        if missing:
            raise Corruption(path, 0, f"entry {missing[0]} of group {group} is nowhere in the log")
        moved = [self._below[index] for index in range(begin, stop)]
        self._places = array("Q", [place for place, _, _ in moved]) + self._places
        self._sizes = array("I", [size for _, size, _ in moved]) + self._sizes
        self._terms = array("Q", [term for _, _, term in moved]) + self._terms
        self._first = begin


@final
class Replay:
    """Takes every item of the log in order, then gives the groups."""

    __slots__ = ("_groups", "_path")

    def __init__(self, path: str) -> None:
        self._path = path
        self._groups: dict[int, _Group] = {}

    def take(self, item: Item, segment: int, payload_offset: int) -> None:
        """The next item; its batch's payload stands at `payload_offset` of `segment`."""
        if isinstance(item, RemovedItem):
            self._groups.pop(item.group, None)
            return
        group = self._groups.setdefault(item.group, _Group())
        if isinstance(item, EntriesItem):
            group.add(item, segment, payload_offset)
        elif isinstance(item, HardStateItem):
            group.hard = item.hard_state
            group.segments[0] = segment
        elif isinstance(item, MembershipItem):
            group.conf = (item.index, item.conf_state)
            group.segments[1] = segment
        elif isinstance(item, SnapshotItem):
            group.restart_at(item.snapshot, item.keeps_entries)
            group.segments[2] = segment
            if item.snapshot.meta.index >= group.conf[0]:
                group.conf = (item.snapshot.meta.index, item.snapshot.meta.conf_state)
                group.segments[1] = segment
        elif isinstance(item, StateItem):
            group.hard = item.hard_state
            group.conf = (item.index, item.conf_state)
            group.segments[0] = group.segments[1] = segment

    def groups(self) -> list[int]:
        """All groups found, ascending."""
        return sorted(self._groups)

    def finish(self, log: GroupLog) -> None:
        """Put one group together.

        Raises:
            Corruption: an entry between the first and the last is missing.
        """
        self._groups[log.group].finish(self._path, log)
