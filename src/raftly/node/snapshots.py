"""Snapshots: the state of a replica as files: made, sent, taken in, read at start; the log begins behind one of them.

    make    capture at an applied index ─► file, piece by piece ─► synced, named ─► later: SnapshotItem, the log is cut
    take    file from the leader ─► synced, named ─► a new instance from it ─► MsgSnap to the core ─► SnapshotItem
    start   the file that the log begins behind ─► the instance; entries behind it follow

1. The log is cut only behind a file that is complete and durable; that file is needed and stays. So a crash between the
   two leaves a file too many, never one too few.
2. A snapshot that arrives becomes an instance beside the one that serves; they change places when the core accepts it.
3. A class that keeps its state on disk (`state.OnDisk`) is saved behind the log: only what the log holds durably is
   applied, so its state is never ahead of its log; and the log is cut no further than that state is durable.
4. A damaged file that is needed stops the start, with path and offset. Nothing older takes its place.

Making, sending and reading go piece by piece, a slice of them in a turn of the loop.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import suppress
from typing import Final, Generic, TypeVar, cast, final

from raftly.base.rand import SplitMix64
from raftly.base.types import Index, NodeId, Snapshot, SnapshotMeta, Term
from raftly.core.messages import MsgSnap
from raftly.errors import (
    Compacted,
    Corruption,
    RaftlyError,
    SnapshotNotReady,
    SnapshotOutOfDate,
    StorageError,
    TransferFailed,
    Unavailable,
)
from raftly.node.config import NodeConfig
from raftly.node.driver import Driver
from raftly.node.errors import MachineFailed, NodeStopped
from raftly.node.group import Group
from raftly.node.machine import StateMachine
from raftly.node.metrics import SnapshotCounts
from raftly.node.roster import Roster, ids_of
from raftly.node.snapshot_files import SLICE_BYTES, FileSource, Pace, read_state, slices
from raftly.node.snapshot_taker import SnapshotTaker
from raftly.node.state import OnDisk, decode_kept, encode_kept, kept_head
from raftly.storage.group_log import GroupLog
from raftly.storage.items import (
    MembershipItem,
    SnapshotItem,
)
from raftly.storage.log_store import LogStore
from raftly.storage.snapshot import RateLimit, SnapshotReader, SnapshotStore
from raftly.storage.vfs import FileSystem
from raftly.transport.base import Transport

T = TypeVar("T")

_ADVICE: Final = (
    "; the log begins behind this snapshot, so this node cannot be restored from its disk: remove it from the group, "
    "delete its directory, and add a new one with another id"
)


@final
class Snapshots(Generic[T]):
    """All about the snapshots of one group. `recover`, then `attach`, then the hooks; `close` at the end."""

    def __init__(
        self, group: int, machine: StateMachine[T], config: NodeConfig, store: LogStore, fs: FileSystem
    ) -> None:
        self.failure: RaftlyError | None = None  # why the newest attempt to make one failed, and the log is not cut
        self.counts = SnapshotCounts()
        self._id = group
        self._machine = machine
        self._config = config
        self._store = store
        self._log: GroupLog = store.group(group)
        random = SplitMix64(config.seed ^ 0x5EED << 40 ^ config.id)
        self._files = SnapshotStore(fs, config.cluster_id, group, random)
        self._newest = SnapshotMeta()  # complete, and what is sent
        self._pending: SnapshotMeta | None = None  # complete, and the log is not cut behind it yet
        self._tried: Index = 0  # the last attempt was made here
        self._making: asyncio.Task[None] | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._counted: Index = 0
        self._log_bytes = 0  # of entries behind the newest snapshot, up to `_counted`
        self._collected: Index = 0
        self._closed = False
        self._limit: RateLimit | None = None
        if config.snapshot_rate:
            self._limit = RateLimit(config.snapshot_rate, max(SLICE_BYTES, config.snapshot_rate // 10))

    # --- start and end ---

    async def recover(self) -> None:
        """Bring the machine to where its disk says it was, before the group is taken under way.

        Raises:
            Corruption: the snapshot that the log begins behind is damaged or missing.
            StorageError: a state on disk does not belong to this log; or the disk could not be read or written.
            RaftlyError: the class cannot read its state.
        """
        self._files.open_dir()
        begin = self._log.snapshot_meta.meta
        if not await self._adopt_kept(begin) and begin.index:
            before = self._machine.instance
            try:
                self._machine.adopt(await read_state(self._files, begin.index, self._machine.codec))
                self._machine.codec.close(before)
            except SnapshotOutOfDate as error:
                path = self._files.path_of(begin)
                raise Corruption(path, 0, "it is missing" + _ADVICE) from error
            except Corruption as error:
                raise Corruption(error.path, error.offset, error.problem + _ADVICE) from error
        self._newest = begin
        self._tried = self._counted = self._collected = begin.index
        self._find_uncut(begin)
        self._log.latest_snapshot = self._to_send

    async def _adopt_kept(self, begin: SnapshotMeta) -> bool:
        """Go on with the state that the class kept on disk, if it reaches as far as the log begins."""
        if not self._machine.codec.on_disk:
            return False
        kept = kept_head(cast("OnDisk", self._machine.instance))
        if kept is None or kept[0] < begin.index:
            return False
        index, term, conf_state, head = decode_kept(kept)
        if self._term_of(index) != term:
            raise StorageError(
                f"the state on disk is at entry {term}/{index}, which this node's log does not hold: the two do not "
                "belong together, or one of them was put back from a copy; remove this node from the group, delete "
                "its directory and its state, and add a new one with another id"
            )
        self._machine.adopt(self._machine.codec.decode_head(head, self._machine.instance))
        if self._log.conf_index < index:  # what was in force there is not learned from the log again, nor that commit
            await self._store.commit([MembershipItem(self._id, index, conf_state)])
        return True

    def _find_uncut(self, begin: SnapshotMeta) -> None:
        """A crash may have come between a snapshot of our own and cutting the log behind it."""
        for name in reversed(self._files.names()):
            if name.index > begin.index and self._term_of(name.index) == name.term:
                try:
                    reader = self._files.open(name.index)
                except Corruption as error:
                    self.failure = error  # the log has all that is in it
                    self._files.remove(name.index)
                    continue
                reader.close()
                self._newest = self._pending = reader.header.meta
                self._tried = self._counted = name.index
                return

    def _term_of(self, index: Index) -> Term | None:
        try:
            return self._log.term(index)
        except (Compacted, Unavailable):
            return None

    def attach(self, driver: Driver, group: Group, transport: Transport, roster: Roster) -> None:
        """What snapshots go through from now on."""
        self._driver = driver
        self._group = group
        self._roster = roster
        self._transport = transport
        self._taker = SnapshotTaker(self._files, self._machine.codec, driver, group)
        transport.take_snapshot = self._taker.take

    async def close(self) -> None:
        """Give up what is under way; the driver has stopped."""
        self._closed = True
        tasks = [*self._tasks, *([self._making] if self._making is not None else [])]
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)
        self._taker.close()
        self._machine.codec.close(self._machine.instance)

    # --- hooks ---

    def on_applied(self) -> None:
        """A batch was applied."""
        machine = self._machine
        if machine.codec.on_disk:
            self._save()
        if self._pending is not None:
            self._maybe_cut()
        elif machine.applied - self._tried >= self._config.snapshot_entries:
            self._begin()

    def on_tick(self) -> None:
        """A tick passed."""
        self._count_bytes()
        if self._pending is not None:
            self._maybe_cut()
        elif self._log_bytes >= self._config.snapshot_bytes:
            self._begin()
        begin = self._log.snapshot_meta.meta.index
        if begin != self._collected:
            self._collected = begin
            with suppress(StorageError, OSError):  # tried again behind the next one
                self._files.collect(self._config.snapshots_keep, begin)

    def on_snapshot(self, snapshot: Snapshot) -> None:
        """The core accepted a snapshot: its instance takes the place of the one that served.

        Raises:
            MachineFailed: it is not the one that was taken in.
        """
        meta = snapshot.meta
        state = self._taker.claim(meta)
        self._machine.codec.close(self._machine.instance)
        self._machine.adopt(state)
        self._newest = meta
        self._pending = None
        self._tried = self._counted = meta.index
        self._log_bytes = 0

    def on_send(self, message: MsgSnap) -> None:
        """The core wants a snapshot sent; how it went is reported to it, once."""
        self._spawn(self._send(message))

    def _spawn(self, work: asyncio._CoroutineLike[None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    # --- making ---

    async def make(self) -> Index:
        """Make a snapshot of all that is applied now, unless there is one; its index.

        Raises:
            RaftlyError: why it cannot be made.
        """
        wanted = self._machine.applied
        while self._newest.index < wanted:
            if self._is_over():
                raise NodeStopped("this node does nothing any more")
            if self._making is None:
                self.failure = None
                self._begin()
            if self._making is not None:
                await asyncio.wait([self._making])
            elif self.failure is None:
                raise SnapshotNotReady
            if self.failure is not None:
                raise self.failure
        return self._newest.index

    def _begin(self, *, again: bool = False) -> None:
        """Capture the state of now; a task writes it into a file. `again`: also where there is one."""
        index = self._machine.applied
        if self._is_over() or self._making is not None or not 0 < index <= self._log.last_index():
            return
        if index <= self._newest.index and not again:
            return
        self._count_bytes()
        self._tried = index  # also when it fails: not at every entry from now on
        self._log_bytes = 0
        try:
            meta = SnapshotMeta(index, self._log.term(index), self._roster.conf)
            pieces = self._machine.stream()
        except RaftlyError as error:
            self.failure = error
            self.counts.make_failed += 1
            return
        self._making = asyncio.get_running_loop().create_task(self._make(meta, pieces))

    def _is_over(self) -> bool:
        """Did this node stop, or fail? Then its state may be where a command ended halfway, and no replica ever was."""
        return self._closed or self._driver.groups.get(self._id) is not self._group

    async def _make(self, meta: SnapshotMeta, pieces: Iterator[bytes]) -> None:
        try:
            await self._write(meta, pieces)
        except RaftlyError as error:
            self.failure = error
            self.counts.make_failed += 1
        except OSError as error:
            self.failure = StorageError(f"the snapshot at {meta.index} could not be written: {error}")
            self.counts.make_failed += 1
        else:
            self.failure = None
            self.counts.made += 1
            if meta.index >= self._newest.index:  # else one arrived meanwhile
                self._newest = self._pending = meta
        finally:
            self._making = None

    async def _write(self, meta: SnapshotMeta, pieces: Iterator[bytes]) -> None:
        writer = self._files.create(meta)
        try:
            pace = Pace()
            for piece in pieces:
                for at in range(0, len(piece), SLICE_BYTES):
                    part = piece[at : at + SLICE_BYTES]
                    await writer.write(part)
                    await pace.after(len(part))
            await writer.commit()
        except BaseException:
            writer.abort()
            raise

    def _maybe_cut(self) -> None:
        """Cut the log behind the newest snapshot when entries enough follow it.

        So a follower that is a little behind finds the entries it needs, and no snapshot is sent to it.
        """
        pending = self._pending
        assert pending is not None
        follow = self._machine.applied - pending.index
        if follow < 0:
            return  # after a restart: it has not got there again
        if follow < self._config.snapshot_entries // 2 and self._log_bytes < self._config.snapshot_bytes // 2:
            return
        if self._machine.codec.on_disk:
            kept = kept_head(cast("OnDisk", self._machine.instance))
            if kept is None or kept[0] < pending.index:
                return  # a crash now would need the entries
        self._pending = None
        self._driver.write(SnapshotItem(self._id, Snapshot(pending), keeps_entries=True))

    def _count_bytes(self) -> None:
        """Count the bytes of the entries that were applied since last time."""
        stop = min(self._machine.applied, self._log.last_index()) + 1
        start = max(self._counted + 1, self._log.first_index())
        if start < stop:
            self._log_bytes += sum(size for _, _, _, size in self._log.places.segments(start, stop))
            self._counted = stop - 1

    # --- a state on disk ---

    def _save(self) -> None:
        """Have the class keep what it did so far, with all that belongs to it.

        Raises:
            MachineFailed: it could not.
        """
        index = self._machine.applied
        term = self._log.term(index)
        kept = encode_kept(term, self._roster.conf, self._machine.head())
        try:
            cast("OnDisk", self._machine.instance).save(index, kept)
        except Exception as error:
            raise MachineFailed(f"{type(self._machine.instance).__qualname__}.save raised {error!r}") from error

    # --- sending ---

    def _to_send(self, to: NodeId) -> Snapshot | None:
        """The newest, by its name; None while there is none in which `to` is a member, and then one is made.

        A node would not take one of before it was added: it would not know what it is in the group.
        """
        if self._newest.index == 0 or to not in ids_of(self._newest.conf_state):
            self._begin()
            return None
        return Snapshot(self._newest)

    async def _send(self, message: MsgSnap) -> None:
        index = message.snapshot.meta.index
        failed = True
        try:
            reader = self._files.open(index)
            try:
                named = Snapshot(reader.header.meta, reader.header_bytes)
                offer = MsgSnap(message.to, message.from_, message.term, named)
                await self._transport.send_snapshot(message.to, self._id, offer, FileSource(reader, self._limit))
                failed = False
                self.counts.sent += 1
            except TransferFailed:
                await self._check(reader)
            finally:
                reader.close()
        except Corruption as error:
            self.failure = error
            if self._newest.index == index:
                self._begin(again=True)  # the state is sound, so another file can be made, and sent next time
        except (RaftlyError, OSError):
            pass  # reported, and sent again
        finally:
            self.counts.send_failed += failed
            if not self._closed:
                self._driver.report_snapshot(self._id, message.to, failed=failed)

    async def _check(self, reader: SnapshotReader) -> None:
        """Was it refused because it is damaged here?

        Raises:
            Corruption: it is.
        """
        async for _ in slices(reader):
            pass
