"""Recovery of the groups from the items of the log, oldest first.

Entries that were moved out of a reclaimed segment (REWRITTEN) stand later in the log than entries that follow them. So
a group is put together from two parts: `tail`, what was appended in order, and `moved`, what lies before it.
"""

from __future__ import annotations

from array import array
from itertools import accumulate
from typing import final

from raftly.base.membership import ConfState
from raftly.base.types import HardState, Index, Snapshot
from raftly.errors import Corruption
from raftly.storage.group_log import GroupLog
from raftly.storage.items import (
    HardStateItem,
    MembershipItem,
    ReclaimedItem,
    RemovedItem,
    SnapshotItem,
    StateItem,
    StoredEntries,
    StoredItem,
)
from raftly.storage.places import Places, Runs, add_run, place_of


@final
class _Moved:
    """A run of entries that stand back to back, before the tail."""

    __slots__ = ("item", "place", "stop")

    def __init__(self, item: StoredEntries, place: int) -> None:
        self.item = item
        self.place = place
        self.stop = item.stop  # lowered when entries are cut


def _first_of(moved: _Moved) -> Index:
    return moved.item.first


@final
class _Group:
    """One group in the making."""

    __slots__ = ("conf", "hard", "moved", "snapshot", "state_segments", "tail")

    def __init__(self) -> None:
        self.hard = HardState()
        self.conf: tuple[Index, ConfState] = (0, ConfState())
        self.snapshot = Snapshot()
        self.state_segments = [0, 0, 0]
        self.tail = Places(1)
        self.moved: list[_Moved] = []

    def append(self, item: StoredEntries, place: int) -> str | None:
        """Take entries appended in order; what is wrong with them, if anything."""
        if not self.tail:
            self.tail.clear(item.first)
        if item.first > self.tail.stop:
            return f"entry {self.tail.stop} of group {item.group} is missing before entry {item.first}"
        if item.first < self.tail.stop:
            self.tail.cut(item.first)
        if item.first == self.tail.first:  # the tail begins here, so nothing that was moved reaches further
            for moved in self.moved:
                moved.stop = min(moved.stop, item.first)
            self.moved = [moved for moved in self.moved if moved.item.first < moved.stop]
        self.tail.append(item.sizes, item.terms, place)
        return None

    def move(self, item: StoredEntries, place: int) -> str | None:
        """Take entries that were moved; what is wrong with them, if anything."""
        if not self.tail or item.first < self.tail.first:
            moved = _Moved(item, place)
            moved.stop = min(item.stop, self.tail.first) if self.tail else item.stop
            self.moved.append(moved)
            if moved.stop == item.stop:
                return None
        if item.stop > self.tail.stop:
            return f"entries up to {item.stop - 1} of group {item.group} were moved, but it had none of them"
        skip = max(self.tail.first - item.first, 0)
        self.tail.move(item.first + skip, item.sizes[skip:], place + sum(item.sizes[:skip]))
        return None

    def restart_at(self, snapshot: Snapshot, keeps_entries: bool) -> None:
        """The log begins behind a snapshot."""
        self.snapshot = snapshot
        if keeps_entries:
            self.tail.drop(snapshot.meta.index + 1)
        else:
            self.tail.clear(snapshot.meta.index + 1)
            self.moved = []

    def finish(self, path: str, log: GroupLog) -> None:
        """Put the parts together."""
        log.hard_state = self.hard
        log.conf_index, log.conf_state = self.conf
        log.snapshot_meta = self.snapshot
        log.state_segments = self.state_segments
        log.places = self.tail
        begin = self.snapshot.meta.index + 1
        if not self.tail:
            self.tail.clear(max([begin, *(moved.stop for moved in self.moved)]))
        if self.tail.first > begin:
            self._prepend_moved(path, begin, log.group)
        self.tail.drop(begin)

    def _prepend_moved(self, path: str, begin: Index, group: int) -> None:
        reached = begin
        for moved in sorted(self.moved, key=_first_of):
            if moved.item.first <= reached:
                reached = max(reached, moved.stop)
        if reached < self.tail.first:
            raise Corruption(path, 0, f"entry {reached} of group {group} is nowhere in the log")
        places = array("Q", bytes(8 * (self.tail.first - begin)))
        sizes = array("I", bytes(4 * (self.tail.first - begin)))
        terms = array("Q", bytes(8 * (self.tail.first - begin)))
        for moved in self.moved:  # one that was moved twice stands where it was moved last
            self._overlay(moved, begin, places, sizes, terms)
        runs: Runs = []
        for at, term in enumerate(terms):
            add_run(runs, begin + at, term)
        self.tail.prepend(places, sizes, runs)

    def _overlay(self, moved: _Moved, begin: Index, places: array[int], sizes: array[int], terms: array[int]) -> None:
        item = moved.item
        skip = max(begin - item.first, 0)
        count = moved.stop - item.first
        if skip >= count:
            return
        at = item.first + skip - begin
        stop = at + count - skip
        places[at:stop] = array("Q", list(accumulate(item.sizes[:-1], initial=moved.place))[skip:count])
        sizes[at:stop] = array("I", item.sizes[skip:count])
        for position, (first, term) in enumerate(item.terms):
            end = item.terms[position + 1][0] if position + 1 < len(item.terms) else item.stop
            lo, hi = max(first, begin) - begin, min(end, moved.stop) - begin
            if lo < hi:
                terms[lo:hi] = array("Q", [term]) * (hi - lo)


@final
class Replay:
    """Takes every item of the log in order, then gives the groups."""

    __slots__ = ("_groups", "_path", "reclaimed")

    def __init__(self, path: str) -> None:
        self.reclaimed = 0  # segments up to this one are not needed
        self._path = path
        self._groups: dict[int, _Group] = {}

    def take(self, item: StoredItem, segment: int, payload_offset: int) -> None:
        """The next item; its batch's payload stands at `payload_offset` of `segment`.

        Raises:
            Corruption: it does not follow from what came before.
        """
        if isinstance(item, ReclaimedItem):
            self.reclaimed = item.through
            return
        if isinstance(item, RemovedItem):
            self._groups.pop(item.group, None)
            return
        group = self._groups.get(item.group)
        if group is None:
            group = self._groups[item.group] = _Group()
        if isinstance(item, StoredEntries):
            place = place_of(segment, payload_offset + item.offset)
            problem = group.move(item, place) if item.rewritten else group.append(item, place)
            if problem is not None:
                raise Corruption(self._path, 0, problem)
            return
        if isinstance(item, SnapshotItem):
            group.restart_at(item.snapshot, item.keeps_entries)
            group.state_segments[2] = segment
            if item.snapshot.meta.index >= group.conf[0]:
                group.conf = (item.snapshot.meta.index, item.snapshot.meta.conf_state)
                group.state_segments[1] = segment
        if isinstance(item, HardStateItem | StateItem):
            group.hard = item.hard_state
            group.state_segments[0] = segment
        if isinstance(item, MembershipItem | StateItem):
            group.conf = (item.index, item.conf_state)
            group.state_segments[1] = segment

    def groups(self) -> list[int]:
        """All groups found, ascending."""
        return sorted(self._groups)

    def finish(self, log: GroupLog) -> None:
        """Put one group together.

        Raises:
            Corruption: an entry between the first and the last is missing.
        """
        self._groups[log.group].finish(self._path, log)
