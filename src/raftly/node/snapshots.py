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
from collections.abc import AsyncGenerator, AsyncIterator, Iterator
from contextlib import suppress
from typing import Final, Generic, TypeVar, cast, final

from raftly.base.membership import ConfState
from raftly.base.rand import SplitMix64
from raftly.base.types import NO_NODE, HardState, Index, NodeId, Snapshot, SnapshotMeta, Term
from raftly.core.messages import MsgSnap
from raftly.errors import (
    Compacted,
    Corruption,
    DecodeError,
    RaftlyError,
    SnapshotNotReady,
    SnapshotOutOfDate,
    StorageError,
    TransferFailed,
    Unavailable,
)
from raftly.node.config import NodeConfig
from raftly.node.driver import Driver
from raftly.node.errors import MachineFailed, NodeStopped, SnapshotFailed
from raftly.node.group import Group
from raftly.node.machine import StateMachine
from raftly.node.metrics import SnapshotCounts
from raftly.node.roster import Roster, ids_of
from raftly.node.state import OnDisk, State, kept_head
from raftly.node.values import decode_raw, encode_value
from raftly.storage.group_log import GroupLog
from raftly.storage.items import (
    HardStateItem,
    Item,
    MembershipItem,
    SnapshotItem,
    decode_membership,
    encode_membership,
)
from raftly.storage.log_store import LogStore
from raftly.storage.snapshot import RateLimit, SnapshotReader, SnapshotStore
from raftly.storage.vfs import FileSystem
from raftly.transport.base import Transport
from raftly.transport.transfer import Incoming

T = TypeVar("T")

_SLICE_BYTES: Final = 256 << 10
_SLICE_S: Final = 0.002
_ADVICE: Final = (
    "; the log begins behind this snapshot, so this node cannot be restored from its disk: remove it from the group, "
    "delete its directory, and add it again"
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
        self._prepared: tuple[SnapshotMeta, State[T]] | None = None  # waits for the core's word
        self._taking = asyncio.Lock()
        self._taking_from: NodeId = NO_NODE
        self._tasks: set[asyncio.Task[None]] = set()
        self._counted: Index = 0
        self._log_bytes = 0  # of entries behind the newest snapshot, up to `_counted`
        self._collected: Index = 0
        self._closed = False
        self._limit: RateLimit | None = None
        if config.snapshot_rate:
            self._limit = RateLimit(config.snapshot_rate, max(_SLICE_BYTES, config.snapshot_rate // 10))

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
                self._machine.adopt(await self._read(begin.index))
                self._close_instance(before)
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
        index, term, conf_state, head = _decode_kept(kept)
        if self._term_of(index) != term:
            raise StorageError(
                f"the state on disk is at entry {term}/{index}, which this node's log does not hold: the two do not "
                "belong together, or one of them was put back from a copy; remove this node from the group, delete "
                "its directory and its state, and add it again"
            )
        self._machine.adopt(self._machine.codec.decode_head(head, self._machine.instance))
        items: list[Item] = []
        hard = self._log.hard_state
        if hard.commit < index:  # it was applied, so it is committed
            items.append(HardStateItem(self._id, HardState(hard.term, hard.vote, index)))
        if self._log.conf_index < index:  # what was in force there is not learned from the log again
            items.append(MembershipItem(self._id, index, conf_state))
        if items:
            await self._store.commit(items)
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
                self._tried = name.index
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
        transport.take_snapshot = self._take

    async def close(self) -> None:
        """Give up what is under way; the driver has stopped."""
        self._closed = True
        tasks = [*self._tasks, *([self._making] if self._making is not None else [])]
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)
        self._discard_prepared()
        self._close_instance(self._machine.instance)

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
        prepared, self._prepared = self._prepared, None
        if prepared is None or prepared[0] != snapshot.meta:
            raise MachineFailed(f"the snapshot at {snapshot.meta.index} did not come as a stream")
        self._close_instance(self._machine.instance)
        meta, state = prepared
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
            if self._closed:
                raise NodeStopped("this node was stopped")
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
        if self._making is not None or not 0 < index <= self._log.last_index():
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
            pace = _Pace()
            for piece in pieces:
                for at in range(0, len(piece), _SLICE_BYTES):
                    part = piece[at : at + _SLICE_BYTES]
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
        kept = _encode_kept(term, self._roster.conf, self._machine.head())
        try:
            cast("OnDisk", self._machine.instance).save(index, kept)
        except Exception as error:
            raise MachineFailed(f"{type(self._machine.instance).__qualname__}.save raised {error!r}") from error

    def _close_instance(self, instance: T) -> None:
        if self._machine.codec.closes:
            cast("OnDisk", instance).close()

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
        async for _ in _slices(reader):
            pass

    # --- taking in ---

    async def _take(self, incoming: Incoming) -> None:
        """See `SnapshotTaker`."""
        message = incoming.begin.message
        if incoming.begin.group != self._id:
            raise TransferFailed(incoming.from_, f"there is no group {incoming.begin.group} here")
        if self._taking.locked() and incoming.from_ != self._taking_from:
            raise TransferFailed(incoming.from_, "a snapshot from another node is being taken in")
        async with self._taking:
            self._taking_from = incoming.from_
            raft = self._group.raw.raft
            if message.term < raft.term:
                raise TransferFailed(incoming.from_, f"term {message.term} is over")
            if message.snapshot.meta.index > raft.log.committed:
                index = await self._keep(incoming)
                message = await self._prepare(incoming, message, index)
            if self._closed:
                self._discard_prepared()
                raise TransferFailed(incoming.from_, "this node stops")
            try:
                self._group.act(lambda raw: raw.step(message))
            finally:
                held = raft.log.unstable.snapshot
                if self._prepared is not None and (held is None or held.meta != self._prepared[0]):
                    self._discard_prepared()  # the core did not want it
            await asyncio.sleep(0)  # the driver's round: `on_snapshot` comes before another one is taken in

    async def _keep(self, incoming: Incoming) -> Index:
        """Have the file, this one or one as new from before; its index."""
        offered = incoming.begin.message.snapshot
        names = self._files.names()
        if names and names[-1].index >= offered.meta.index:
            return names[-1].index
        if not incoming.resumable:
            raise TransferFailed(incoming.from_, "it cannot begin where this node wants it to")
        receiver = await self._files.receive(offered.data)
        try:
            if receiver.meta != offered.meta:
                raise DecodeError("snapshot", 0, "the file is not the one that was announced")
            async for chunk in incoming.chunks(receiver.offset):
                await receiver.write(receiver.offset, chunk)
            if not receiver.is_complete:
                raise DecodeError("snapshot", receiver.offset, "the file ends before its end")
        except BaseException:
            receiver.close()  # what is there is good, and will be gone on with
            raise
        await receiver.commit()
        return offered.meta.index

    async def _prepare(self, incoming: Incoming, message: MsgSnap, index: Index) -> MsgSnap:
        """Make an instance of a file that is here; the message for the core."""
        try:
            reader = self._files.open(index)
            reader.close()
            meta = reader.header.meta
            state = await self._read(index)
        except (Corruption, DecodeError) as error:
            self._files.remove(index)  # so that it is sent again
            raise TransferFailed(incoming.from_, str(error)) from error
        if state.applied != meta.index:
            self._files.remove(index)
            raise TransferFailed(incoming.from_, f"a snapshot at {meta.index} holds a state at {state.applied}")
        self._prepared = (meta, state)
        return MsgSnap(message.to, message.from_, message.term, Snapshot(meta))

    def _discard_prepared(self) -> None:
        if self._prepared is not None:
            self._close_instance(self._prepared[1].instance)
            self._prepared = None

    async def _read(self, index: Index) -> State[T]:
        """The state in the file at `index`, checked to its end.

        Raises:
            SnapshotOutOfDate: there is no such file.
            Corruption: it is damaged.
            RaftlyError: the class cannot read it.
        """
        reader = self._files.open(index)
        try:
            return await self._machine.codec.read(_slices(reader))
        finally:
            reader.close()


@final
class FileSource:
    """See `SnapshotSource`: a snapshot file as it stands."""

    __slots__ = ("_limit", "_reader", "id", "size")

    def __init__(self, reader: SnapshotReader, limit: RateLimit | None) -> None:
        header = reader.header
        self.id = b"%016x%016x%016x" % (header.meta.index, header.meta.term, header.file_id)
        self.size = reader.size
        self._reader = reader
        self._limit = limit

    async def chunks(self, offset: int, chunk_bytes: int) -> AsyncGenerator[bytes, None]:
        """See `SnapshotSource.chunks`; no faster than the limit."""
        loop = asyncio.get_running_loop()
        while offset < self.size:
            chunk = self._reader.read(offset, min(chunk_bytes, _SLICE_BYTES))
            if not chunk:
                raise SnapshotFailed("the file became shorter while it was sent")
            if self._limit is not None:
                delay = self._limit.delay(len(chunk), loop.time())
                if delay > 0:
                    await asyncio.sleep(delay)
            yield chunk
            offset += len(chunk)


@final
class _Pace:
    """Lets the loop turn when a slice of work is done."""

    __slots__ = ("_bytes", "_loop", "_since")

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._bytes = 0
        self._since = self._loop.time()

    async def after(self, size: int) -> None:
        """So many more bytes were dealt with."""
        self._bytes += size
        if self._bytes >= _SLICE_BYTES or self._loop.time() - self._since >= _SLICE_S:
            await asyncio.sleep(0)
            self._bytes = 0
            self._since = self._loop.time()


async def _slices(reader: SnapshotReader) -> AsyncIterator[bytes]:
    """The chunks of a file, with turns of the loop between them."""
    pace = _Pace()
    for chunk in reader.chunks():
        yield chunk
        await pace.after(len(chunk))


def _encode_kept(term: Term, conf_state: ConfState, head: bytes) -> bytes:
    """What a state on disk keeps beside it: a value (term, membership, head)."""
    return encode_value((term, encode_membership(conf_state), head))


def _decode_kept(kept: tuple[Index, bytes]) -> tuple[Index, Term, ConfState, bytes]:
    index, data = kept
    parts = decode_raw(data)
    if type(parts) is not tuple or [type(part) for part in parts] != [int, bytes, bytes]:
        raise DecodeError("state on disk", 0, "what it kept is not of its form")
    term, membership, head = cast("tuple[int, bytes, bytes]", parts)
    conf_state, _ = decode_membership(membership, 0)
    return index, term, conf_state, head
