"""LogStore: the logs of any number of groups in one Wal, one append and one sync for all that a round brings.

    store.open()                                    recover
    log = store.group(1)                            what the core of group 1 reads
    await store.commit([EntriesItem(1, entries), HardStateItem(1, state), ...])     durable when it returns
    while store.reclaim_pending: await store.commit([])                             when there is nothing else to do

Compacting a group leaves holes. When little of the log is needed, or of its oldest segment, what is needed there is
appended again with the next commits, a bounded amount each, and the segment is deleted. A step visits only groups that
have something in that segment.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, final

from raftly.base.types import Index
from raftly.errors import ConfigError, Corruption, DecodeError, StorageError
from raftly.storage.group_log import GroupLog
from raftly.storage.items import (
    EntriesItem,
    HardStateItem,
    Item,
    MembershipItem,
    ReclaimedItem,
    RemovedItem,
    SnapshotItem,
    StateItem,
    decode_items,
    encode_items,
)
from raftly.storage.places import SEGMENT_SHIFT, place_of
from raftly.storage.replay import Replay
from raftly.storage.segment import Batch
from raftly.storage.vfs import FileSystem, Lock
from raftly.storage.wal import SEGMENT_BYTES, Wal, segment_path

WAL_DIR: Final = "wal"
_REWRITE_BYTES: Final = 64 << 10  # moved with a commit of something else, at most about; few against a sync
_REWRITE_BYTES_IDLE: Final = 1 << 20  # moved with a commit of nothing
_STATE_BYTES: Final = 128  # about
_LIVE_SHARE: Final = 0.5  # with less of it needed, a segment is moved


@final
@dataclass(frozen=True, slots=True)
class LogOptions:
    """Sizes of the log."""

    segment_bytes: int = SEGMENT_BYTES
    """A segment takes batches until it is this large. 4 KiB to 1 GiB."""
    cache_bytes_max: int = 64 << 20
    """Newest entries kept in memory, all groups together."""

    def __post_init__(self) -> None:
        """Check the bounds; the Wal checks its own.

        Raises:
            ConfigError: a bound is not kept.
        """
        if self.cache_bytes_max < 0:
            raise ConfigError("cache_bytes_max", "must not be negative")


@final
@dataclass(frozen=True, slots=True)
class LogStats:
    """How a log stands."""

    size_bytes: int  # on disk, with what is written ahead
    live_bytes: int  # entries and snapshots that are still needed
    segments: int
    cache_bytes: int
    written_bytes: int  # in batches, since the start


@final
class LogStore:
    """All logs of one node or store, in one directory that belongs to this process alone."""

    def __init__(self, fs: FileSystem, cluster_id: int, node_id: int, options: LogOptions | None = None) -> None:
        self._options = options or LogOptions()
        self._fs = fs
        self._wal = Wal(fs, WAL_DIR, cluster_id, node_id, self._options.segment_bytes)
        self._groups: dict[int, GroupLog] = {}
        self._live: dict[int, int] = {}  # bytes of entries and snapshots in each segment that are still needed
        self._holders: dict[int, set[int]] = {}  # groups that may have something in a segment, and all that have
        self._victim = 0  # the segment that is being reclaimed
        self._cached: dict[int, GroupLog] = {}  # groups with cached entries, that appended last at the end
        self._cached_bytes = 0
        self._written_bytes = 0  # since the start
        self._lock: Lock | None = None
        self.damage: StorageError | None = None
        """An entry to be moved is damaged, or cannot be read: reclaiming stopped there; repair the node from peers."""

    # --- opening and closing ---

    def open(self) -> None:
        """Take the directory and recover.

        Raises:
            DirectoryInUse: another process has it.
            Corruption: damage to what had been synced; it is left as it is.
            StorageError: it belongs to another node, or the disk could not be read or written.
        """
        self._fs.make_dir(WAL_DIR)
        self._lock = self._fs.lock("")
        replay = Replay(WAL_DIR)

        def take(number: int, batch: Batch) -> None:
            take_batch(replay, number, batch)

        try:
            self._wal.open(take)
            first = min(self._wal.segments)
            if first > replay.reclaimed + 1:
                raise Corruption(self._wal.path(first - 1), 0, "this segment is missing")
            for number in replay.groups():
                log = self._groups[number] = GroupLog(number, self._wal)
                replay.finish(log)
        except BaseException:
            self.close()
            raise
        self._count_live()
        self._choose_victim()

    def _count_live(self) -> None:
        self._live = dict.fromkeys(self._wal.segments, 0)
        self._holders = {number: set() for number in self._wal.segments}
        for number, log in self._groups.items():
            for segment, _, _, size in log.places.segments(log.first_index(), log.last_index() + 1):
                self._live[segment] += size
                self._holders[segment].add(number)
            for segment in filter(None, log.state_segments):
                self._holders[segment].add(number)
            if log.state_segments[2]:
                self._live[log.state_segments[2]] += len(log.snapshot_meta.data)

    def close(self) -> None:
        """Close the files and let the directory go."""
        self._wal.close()
        if self._lock is not None:
            self._lock.release()
            self._lock = None

    # --- reading ---

    def groups(self) -> list[int]:
        """The groups with a log, ascending."""
        return sorted(self._groups)

    def group(self, group: int) -> GroupLog:
        """The log of a group; a new group's is empty."""
        log = self._groups.get(group)
        if log is None:
            log = self._groups[group] = GroupLog(group, self._wal)
        return log

    @property
    def is_broken(self) -> bool:
        """Did an append or a sync fail, so that only recovery from disk helps?"""
        return self._wal.broken is not None

    @property
    def reclaim_pending(self) -> bool:
        """Would a commit, even of nothing, bring space back?"""
        return self._victim != 0

    def size_bytes(self) -> int:
        """Bytes of log on disk."""
        return self._wal.size_bytes()

    def live_bytes(self) -> int:
        """Bytes of entries and snapshots that are still needed."""
        return sum(self._live.values())

    def stats(self) -> LogStats:
        """As of now."""
        segments = len(self._wal.segments)
        return LogStats(self.size_bytes(), self.live_bytes(), segments, self._cached_bytes, self._written_bytes)

    # --- writing ---

    async def commit(self, items: Sequence[Item]) -> None:
        """Append and sync all items; when it returns they are durable and visible. One commit at a time.

        Raises:
            DiskFull: nothing of it counts; try again when there is space, unless `is_broken`.
            LimitExceeded: more than 1 GiB at once; nothing was done.
            StorageError: the log is broken; stop, and recover from disk.
        """
        self._check(items)
        batch = [*self._plan_reclaim(_REWRITE_BYTES if items else _REWRITE_BYTES_IDLE), *items]
        if not batch:
            return
        payload, layout = encode_items(batch)
        segment, offset = await self._wal.append(payload)
        self._written_bytes += len(payload)
        if segment not in self._live:
            self._live[segment] = 0
            self._holders[segment] = set()
        for item, (at, sizes) in zip(batch, layout, strict=True):
            if isinstance(item, EntriesItem):
                self._apply_entries(item, sizes, place_of(segment, offset + at))
            else:
                self._apply(item, segment)
        self._bound_cache()
        if isinstance(batch[0], ReclaimedItem):
            await self._remove_victim()
        self._choose_victim()

    def _check(self, items: Sequence[Item]) -> None:
        """What would make the log unreadable is refused before anything is written: a bug of the caller."""
        bounds: dict[int, tuple[Index, Index]] = {}  # of each group: first and stop, as the items go by
        for item in items:
            if isinstance(item, EntriesItem):
                lo, stop = bounds.get(item.group) or self._bounds(item.group)
                first, last = item.entries[0].index, item.entries[-1].index
                assert lo <= first <= stop, f"group {item.group} has [{lo}, {stop}), entry {first} does not fit"
                assert last - first == len(item.entries) - 1, f"entries {first} to {last} of {item.group} have a gap"
                bounds[item.group] = (lo, last + 1)
            elif isinstance(item, SnapshotItem):
                lo, stop = bounds.get(item.group) or self._bounds(item.group)
                index = item.snapshot.meta.index
                assert index >= lo - 1, f"group {item.group} begins at {lo} and cannot go back to {index}"
                bounds[item.group] = (index + 1, max(stop, index + 1) if item.keeps_entries else index + 1)
            elif isinstance(item, RemovedItem):
                bounds[item.group] = (1, 1)

    def _bounds(self, group: int) -> tuple[Index, Index]:
        log = self._groups.get(group)
        return (log.places.first, log.places.stop) if log is not None else (1, 1)

    def _apply_entries(self, item: EntriesItem, sizes: list[int], place: int) -> None:
        log = self.group(item.group)
        segment = place >> SEGMENT_SHIFT
        self._holders[segment].add(item.group)
        self._live[segment] += sum(sizes)
        first = item.entries[0].index
        if item.rewritten:
            self._forget(log, first, first + len(sizes))
            log.places.move(first, sizes, place)
            return
        self._forget(log, first, log.places.stop)
        before = log.cache_bytes
        log.append(item.entries, sizes, place)
        self._cached_bytes += log.cache_bytes - before
        self._cached.pop(item.group, None)
        self._cached[item.group] = log

    def _apply(self, item: Item, segment: int) -> None:
        if isinstance(item, RemovedItem):
            self._remove_group(item.group)
            return
        if isinstance(item, EntriesItem | ReclaimedItem):
            return
        log = self.group(item.group)
        self._holders[segment].add(item.group)
        if isinstance(item, SnapshotItem):
            self._apply_snapshot(log, item, segment)
        if isinstance(item, HardStateItem | StateItem):
            log.hard_state = item.hard_state
            log.state_segments[0] = segment
        if isinstance(item, MembershipItem | StateItem):
            log.conf_index, log.conf_state = item.index, item.conf_state
            log.state_segments[1] = segment

    def _apply_snapshot(self, log: GroupLog, item: SnapshotItem, segment: int) -> None:
        meta = item.snapshot.meta
        stop = min(meta.index + 1, log.places.stop) if item.keeps_entries else log.places.stop
        self._forget(log, log.places.first, stop)
        self._forget_snapshot(log)
        self._live[segment] += len(item.snapshot.data)
        before = log.cache_bytes
        log.restart_at(item.snapshot, item.keeps_entries)
        self._cached_bytes += log.cache_bytes - before
        log.state_segments[2] = segment
        if meta.index >= log.conf_index:
            log.conf_index, log.conf_state = meta.index, meta.conf_state
            log.state_segments[1] = segment

    def _remove_group(self, group: int) -> None:
        log = self._groups.pop(group, None)
        if log is not None:
            self._forget(log, log.places.first, log.places.stop)
            self._forget_snapshot(log)
            self._cached_bytes -= log.cache_bytes
            self._cached.pop(group, None)

    def _forget(self, log: GroupLog, lo: Index, hi: Index) -> None:
        """The records of [lo, hi) are not needed where they stand."""
        if lo >= hi:
            return
        for segment, _, _, size in log.places.segments(lo, hi):
            self._live[segment] -= size

    def _forget_snapshot(self, log: GroupLog) -> None:
        """Its data is not needed where it stands."""
        if log.state_segments[2]:
            self._live[log.state_segments[2]] -= len(log.snapshot_meta.data)

    def _bound_cache(self) -> None:
        """Cut the caches of the groups that appended longest ago; in large steps, since cutting in front costs."""
        if self._cached_bytes <= self._options.cache_bytes_max:
            return
        goal = self._options.cache_bytes_max * 3 // 4
        for number, log in list(self._cached.items()):
            before = log.cache_bytes
            log.shrink_cache(max(before - (self._cached_bytes - goal), 0))
            self._cached_bytes += log.cache_bytes - before
            if log.cache_bytes == 0:
                del self._cached[number]
            if self._cached_bytes <= goal:
                return

    # --- reclaiming ---

    def _choose_victim(self) -> None:
        """Reclaim the oldest segment when less than a share of it, or of the whole log, is needed."""
        segments = self._wal.segments
        if self._victim in segments or len(segments) < 2 or self.damage is not None:
            return
        oldest = min(segments)
        total = sum([segment.end for segment in segments.values()])
        wanted = self._live[oldest] <= _LIVE_SHARE * segments[oldest].end or self.live_bytes() <= _LIVE_SHARE * total
        self._victim = oldest if wanted else 0

    def _plan_reclaim(self, budget: int) -> list[Item]:
        """What to append again from the victim with the next commit; a ReclaimedItem first when that is all."""
        if self._victim == 0:
            return []
        moved: list[Item] = []
        holders = self._holders[self._victim]
        try:
            for number in sorted(holders):
                before = len(moved)
                if number in self._groups:
                    budget = self._move_group(self._groups[number], budget, moved)
                if len(moved) == before:
                    holders.discard(number)
                if budget <= 0:
                    return moved
        except StorageError as error:
            self.damage = error
            self._victim = 0
            return []
        return [ReclaimedItem(self._victim), *moved]

    def _move_group(self, log: GroupLog, budget: int, moved: list[Item]) -> int:
        """Take what one group has in the victim, as far as the budget goes; what is left of the budget."""
        for first, stop in log.places.in_segment(self._victim):
            lo = first
            while lo < stop:
                if budget <= 0:
                    return budget
                entries = log.entries(lo, stop, budget)
                moved.append(EntriesItem(log.group, entries, rewritten=True))
                budget -= sum([len(entry.record) for entry in entries])
                lo += len(entries)
        if self._victim in log.state_segments:
            if log.state_segments[2] == self._victim:
                moved.append(SnapshotItem(log.group, log.snapshot_meta, keeps_entries=True))
                budget -= len(log.snapshot_meta.data)
            # Last, since replay takes the membership of a snapshot too.
            moved.append(StateItem(log.group, log.hard_state, log.conf_index, log.conf_state))
            budget -= _STATE_BYTES
        return budget

    async def _remove_victim(self) -> None:
        victim, self._victim = self._victim, 0
        await self._wal.remove_first()
        del self._live[victim], self._holders[victim]


def take_batch(replay: Replay, number: int, batch: Batch) -> None:
    """Hand the items of a batch of segment `number` to a Replay.

    Raises:
        Corruption: they do not decode, or do not follow from those before.
    """
    try:
        for item in decode_items(batch.payload):
            replay.take(item, number, batch.payload_offset)
    except DecodeError as error:
        raise Corruption(segment_path(WAL_DIR, number), batch.payload_offset + error.offset, str(error)) from error
    except Corruption as error:
        raise Corruption(segment_path(WAL_DIR, number), batch.offset, error.problem) from error
