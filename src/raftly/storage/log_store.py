"""LogStore: the logs of any number of groups in one Wal, one append and one sync for all that a round brings.

    store.open()                                    recover
    log = store.group(1)                            what the core of group 1 reads
    await store.commit([EntriesItem(1, entries), HardStateItem(1, state), ...])     durable when it returns

Compacting a group leaves holes. When little of the oldest segment is needed, the rest of it is appended again with
the next commits, a bounded amount each, and the segment is deleted; so space comes back while groups idle, as long as
any works.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, final

from raftly.errors import Corruption, DecodeError
from raftly.storage.group_log import GroupLog
from raftly.storage.items import (
    EntriesItem,
    HardStateItem,
    Item,
    MembershipItem,
    RemovedItem,
    SnapshotItem,
    StateItem,
    decode_items,
    encode_items,
)
from raftly.storage.replay import Replay
from raftly.storage.segment import Batch
from raftly.storage.vfs import FileSystem, Lock
from raftly.storage.wal import SEGMENT_BYTES, Wal

_DIR: Final = "wal"
_REWRITE_BYTES: Final = 1 << 20  # moved with one commit at most
_LIVE_SHARE: Final = 0.5  # a segment with less is moved


@final
@dataclass(frozen=True, slots=True)
class LogOptions:
    """Sizes of the log."""

    segment_bytes: int = SEGMENT_BYTES
    cache_bytes_max: int = 16 << 20
    """Newest entries kept in memory for each group."""


@final
class LogStore:
    """All logs of one node or store, in one directory that belongs to this process alone."""

    def __init__(self, fs: FileSystem, cluster_id: int, node_id: int, options: LogOptions | None = None) -> None:
        self._options = options or LogOptions()
        self._fs = fs
        self._wal = Wal(fs, _DIR, cluster_id, node_id, self._options.segment_bytes)
        self._groups: dict[int, GroupLog] = {}
        self._live: dict[int, int] = {}  # bytes of entries in each segment that are still needed
        self._lock: Lock | None = None

    def open(self) -> None:
        """Take the directory and recover.

        Raises:
            DirectoryInUse: another process has it.
            Corruption: damage to what had been synced; nothing was changed.
            StorageError: the disk could not be read or written.
        """
        self._fs.make_dir(_DIR)
        self._lock = self._fs.lock("")
        replay = Replay(_DIR)

        def take(number: int, batch: Batch) -> None:
            try:
                for item in decode_items(batch.payload):
                    replay.take(item, number, batch.payload_offset)
            except DecodeError as error:
                raise Corruption(f"{_DIR}/{number:08d}.seg", batch.payload_offset, str(error)) from error

        try:
            self._wal.open(take)
            for group in replay.groups():
                log = self._new_log(group)
                replay.finish(log)
                self._groups[group] = log
        except BaseException:
            self.close()
            raise
        self._count_live()

    def _new_log(self, group: int) -> GroupLog:
        return GroupLog(group, self._wal.read, self._options.cache_bytes_max)

    def _count_live(self) -> None:
        self._live = dict.fromkeys(self._wal.segments, 0)
        for log in self._groups.values():
            for index in range(log.first_index(), log.last_index() + 1):
                segment, size = log.place(index)
                self._live[segment] += size

    def groups(self) -> list[int]:
        """The groups with a log, ascending."""
        return sorted(self._groups)

    def group(self, group: int) -> GroupLog:
        """The log of a group; a new group's is empty."""
        log = self._groups.get(group)
        if log is None:
            log = self._groups[group] = self._new_log(group)
        return log

    @property
    def is_broken(self) -> bool:
        """Did an append or a sync fail, so that only recovery from disk helps?"""
        return self._wal.broken is not None

    async def commit(self, items: list[Item]) -> None:
        """Append and sync all items; when it returns they are durable and visible. One commit at a time.

        Raises:
            DiskFull: nothing of it counts; try again when there is space.
            StorageError: the log is broken; stop, and recover from disk.
        """
        moved, victim_done = self._plan_reclaim()
        batch = [*moved, *items]
        if batch:
            segment, offset = await self._wal.append(encode_items(batch))
            self._live.setdefault(segment, 0)
            for item in batch:
                self._apply(item, segment, offset)
        if victim_done:
            self._live.pop(min(self._wal.segments), None)
            self._wal.remove_first()

    def _apply(self, item: Item, segment: int, offset: int) -> None:
        if isinstance(item, RemovedItem):
            log = self._groups.pop(item.group, None)
            if log is not None:
                self._forget(log.compact(log.snapshot_meta, keeps_entries=False))
            return
        log = self.group(item.group)
        if isinstance(item, EntriesItem):
            if item.rewritten:
                self._apply_rewritten(log, item, segment, offset + item.offset)
                return
            first = item.entries[0].index
            if first <= log.last_index():
                self._forget([log.place(index) for index in range(first, log.last_index() + 1)])
            log.append(item.entries, segment, offset + item.offset)
            self._live[segment] += sum(len(entry.record) for entry in item.entries)
        elif isinstance(item, HardStateItem):
            log.hard_state = item.hard_state
            log.segments[0] = segment
        elif isinstance(item, MembershipItem):
            log.conf_index, log.conf_state = item.index, item.conf_state
            log.segments[1] = segment
        elif isinstance(item, SnapshotItem):
            self._forget(log.compact(item.snapshot, item.keeps_entries))
            log.segments[2] = segment
            if item.snapshot.meta.index >= log.conf_index:
                log.conf_index, log.conf_state = item.snapshot.meta.index, item.snapshot.meta.conf_state
                log.segments[1] = segment
        elif isinstance(item, StateItem):
            log.segments[0] = log.segments[1] = segment

    def _apply_rewritten(self, log: GroupLog, item: EntriesItem, segment: int, offset: int) -> None:
        for entry in item.entries:
            old, size = log.place(entry.index)
            self._live[old] -= size
            self._live[segment] += size
            log.move(entry.index, segment, offset)
            offset += size

    def _forget(self, places: list[tuple[int, int]]) -> None:
        for segment, size in places:
            self._live[segment] -= size

    # --- reclaiming ---

    def _plan_reclaim(self) -> tuple[list[Item], bool]:
        """What to move out of the oldest segment now, and whether nothing of it is needed after that."""
        segments = self._wal.segments
        if len(segments) < 2:
            return [], False
        victim = min(segments)
        total = sum(segment.end for segment in segments.values())
        live = sum(self._live.values())
        if self._live[victim] > _LIVE_SHARE * segments[victim].end and live > _LIVE_SHARE * total:
            return [], False
        moved: list[Item] = []
        budget = _REWRITE_BYTES
        for number in sorted(self._groups):
            log = self._groups[number]
            budget = self._move_entries(log, victim, budget, moved)
            if budget <= 0:
                return moved, False
            if log.segments[2] == victim and not log.snapshot_meta.is_empty():
                moved.append(SnapshotItem(number, log.snapshot_meta, keeps_entries=True))
            if victim in log.segments[:2]:
                moved.append(StateItem(number, log.hard_state, log.conf_index, log.conf_state))
        return moved, True

    def _move_entries(self, log: GroupLog, victim: int, budget: int, moved: list[Item]) -> int:
        """Take entries of one group out of the victim; what is left of the budget."""
        run: list[int] = []
        for index in log.in_segment(victim):
            if budget <= 0:
                break
            budget -= log.place(index)[1]
            if run and index != run[-1] + 1:
                moved.append(EntriesItem(log.group, log.entries(run[0], run[-1] + 1, 1 << 62), rewritten=True))
                run = []
            run.append(index)
        if run:
            moved.append(EntriesItem(log.group, log.entries(run[0], run[-1] + 1, 1 << 62), rewritten=True))
        return budget

    def size_bytes(self) -> int:
        """Bytes of log on disk."""
        return sum(segment.filled for segment in self._wal.segments.values())

    def close(self) -> None:
        """Close the files and let the directory go."""
        self._wal.close()
        if self._lock is not None:
            self._lock.release()
            self._lock = None
