"""Snapshots: the keys of a region, sent to a peer that lacks what the log no longer has, and taken in.

    leader                                            the peer's store
      a file of the engine's keys as of now, made
      in slices, at the index applied then
      ── streamed, no faster than the limit ────────► a file, checked chunk by chunk, synced
                                                      APPLYING: the peer leaves its group; its keys are replaced
                                                      NORMAL at that index, in the engine, synced
                                                      the log begins there; the peer joins its group again

A peer behind a snapshot begins as after a restart: with the promises that its log knows, and the members of that index.
A crash at any point leaves the file, and so does a stop or an error while keys are replaced: what was begun is done
again at the next start (`resume`). Behind an error the peer has failed until then, as with a damaged log: it is asked
after, and replaced.

What a file holds is in `region_snapshot`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Coroutine, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, final

from raftly.base.rand import RandomSource
from raftly.base.region import Region, RegionId
from raftly.base.types import NO_NODE, NodeId, Snapshot, SnapshotMeta
from raftly.core.messages import MsgSnap
from raftly.engine.base import Engine, WriteBatch
from raftly.errors import Corruption, DecodeError, RaftlyError, SnapshotOutOfDate, StorageError, TransferFailed
from raftly.node.snapshot_files import SLICE_BYTES, FileSource
from raftly.storage.items import Item
from raftly.storage.log_store import LogStore
from raftly.storage.snapshot import SNAPSHOT_DIR, RateLimit, SnapshotReader, SnapshotStore
from raftly.storage.vfs import FileSystem
from raftly.store.merging import put_merged
from raftly.store.options import StoreOptions
from raftly.store.peer import RegionPeer
from raftly.store.recovery import restart_items
from raftly.store.region_snapshot import check_region, clear_region, ingest_region, write_region
from raftly.store.region_state import (
    ApplyState,
    MergeState,
    PeerState,
    RegionState,
    meta_of,
    put_apply_state,
    put_merge_state,
    put_region_state,
)
from raftly.store.shared import Shared
from raftly.transport.base import Transport
from raftly.transport.transfer import Incoming

if TYPE_CHECKING:
    from raftly.store.peers import Peers


@final
class Snapshots:
    """Of all regions of one store. `attach` before the driver starts."""

    def __init__(
        self,
        fs: FileSystem,
        engine: Engine,
        cluster_id: int,
        transport: Transport,
        random: RandomSource,
        options: StoreOptions,
    ) -> None:
        self.sending = 0
        self.receiving = 0
        self._fs = fs
        self._engine = engine
        self._cluster_id = cluster_id
        self._transport = transport
        self._random = random
        self._slots = asyncio.Semaphore(options.snapshots_sending_max)
        self._making = asyncio.Lock()
        self._made: set[RegionId] = set()  # regions whose directory is there
        self._receiving_max = options.snapshots_receiving_max
        self._taking: set[RegionId] = set()
        self._limit: RateLimit | None = None
        if options.snapshot_rate:
            self._limit = RateLimit(options.snapshot_rate, max(SLICE_BYTES, options.snapshot_rate // 10))

    def attach(
        self,
        shared: Shared,
        peers: Peers,
        logs: LogStore,
        spawn: Callable[[Coroutine[object, object, None]], None],
    ) -> None:
        """What snapshots go through from now on."""
        self._shared = shared
        self._peers = peers
        self._logs = logs
        self._spawn = spawn
        self._transport.take_snapshot = self.take

    async def _files(self, region_id: RegionId) -> SnapshotStore:
        files = SnapshotStore(self._fs, self._cluster_id, region_id, self._random)
        if region_id not in self._made:
            await files.make_dir()
            self._made.add(region_id)
        return files

    def tidy(self) -> None:
        """At the start, when all that was begun is done again: a crash may have left files that nobody needs."""
        names = self._fs.list(SNAPSHOT_DIR) if self._fs.exists(SNAPSHOT_DIR) else []
        for region_id in map(int, filter(str.isdecimal, names)):
            peer = self._peers.all.get(region_id)
            if peer is None or peer.failure is None:  # else it may be read another time
                files = SnapshotStore(self._fs, self._cluster_id, region_id, self._random)
                files.clear(parts=peer is None)  # a peer may be sent the rest of one

    def forget(self, region_id: RegionId) -> None:
        """See `SnapshotSender.forget`."""
        with suppress(StorageError):  # there are none, or what stays goes at the next start
            SnapshotStore(self._fs, self._cluster_id, region_id, self._random).clear(parts=True)

    # --- sending ---

    def latest(self, peer: RegionPeer, to: NodeId) -> Snapshot | None:
        """What could be sent to a member now: see `GroupLog.latest_snapshot`."""
        if peer.region.peer(to) is None or peer.merging is not None:
            return None  # whoever lacks entries of a source is given them with the commit
        return Snapshot(meta_of(peer.region, ApplyState(peer.applied, peer.applied_term)))

    def send(self, peer: RegionPeer, message: MsgSnap) -> None:
        """See `SnapshotSender.send`."""
        self._spawn(self._send(peer, message))

    async def _send(self, peer: RegionPeer, message: MsgSnap) -> None:
        failed = True
        try:
            async with self._slots:
                self.sending += 1
                try:
                    await self._make_and_send(peer, message)
                    failed = False
                finally:
                    self.sending -= 1
        except (RaftlyError, OSError):
            pass  # reported, and sent again
        finally:
            self._shared.driver.report_snapshot(peer.region.id, message.to, failed=failed)

    async def _make_and_send(self, peer: RegionPeer, message: MsgSnap) -> None:
        async with self._making:  # two of one region would meet in its directory
            home = peer.region.peer(message.to)
            if home is None or not peer.is_leader:
                raise TransferFailed(message.to, "it is no member any more, or this peer does not lead")
            if peer.merging is not None:
                raise TransferFailed(message.to, "the region is being merged")
            region = peer.region
            meta = meta_of(region, ApplyState(peer.applied, peer.applied_term))
            reader = await self._make(meta, region)
        try:
            offer = MsgSnap(message.to, message.from_, message.term, Snapshot(meta, reader.header_bytes))
            source = FileSource(reader, self._limit)
            await self._transport.send_snapshot(home.store_id, region.id, offer, source)
        finally:
            reader.close()

    async def _make(self, meta: SnapshotMeta, region: Region) -> SnapshotReader:
        """The region's keys as of now, in a file without a name: it goes when it is closed, or with the process."""
        keys = self._engine.snapshot()
        try:
            files = await self._files(region.id)
            files.remove(meta.index)
            writer = files.create(meta)
            try:
                await write_region(keys, region, writer.write)
                await writer.commit()
                return files.open(meta.index)
            except BaseException:
                writer.abort()
                raise
            finally:
                files.remove(meta.index)
        finally:
            keys.close()

    # --- taking ---

    async def take(self, incoming: Incoming) -> None:
        """See `SnapshotTaker`."""
        message = incoming.begin.message
        region_id = incoming.begin.group
        peer = self._peers.all.get(region_id)
        if peer is None or peer.group is None or region_id in self._peers.busy or peer.peer_id != message.to:
            raise TransferFailed(incoming.from_, f"peer {message.to} of region {region_id} is not here")
        if region_id in self._taking or len(self._taking) >= self._receiving_max:
            raise TransferFailed(incoming.from_, "this store takes in other snapshots now")
        self._taking.add(region_id)
        self.receiving += 1
        try:
            if self._is_wanted(peer, message):
                await self._receive(incoming, peer)
        finally:
            self.receiving -= 1
            self._taking.discard(region_id)

    def _is_wanted(self, peer: RegionPeer, message: MsgSnap) -> bool:
        group = peer.group
        assert group is not None
        raft, meta = group.raw.raft, message.snapshot.meta
        if message.term < raft.term:
            raise TransferFailed(message.from_, f"term {message.term} is over")
        return meta.index > raft.log.committed and not raft.log.match_term(meta.term, meta.index)

    async def _receive(self, incoming: Incoming, peer: RegionPeer) -> None:
        begin = incoming.begin
        message = begin.message
        files = await self._files(begin.group)
        meta = message.snapshot.meta
        try:
            receiver = await files.receive(message.snapshot.data)
        except SnapshotOutOfDate:
            for name in files.names():
                files.remove(name.index)  # left by a transfer whose end was not needed any more
            receiver = await files.receive(message.snapshot.data)
        try:
            if receiver.meta != meta:
                raise DecodeError("snapshot", 0, "the file is not the one that was announced")
            offset = receiver.offset if incoming.resumable else 0
            if receiver.offset != offset:
                raise TransferFailed(incoming.from_, "it cannot begin where this store wants it to")
            async for chunk in incoming.chunks(offset):
                await receiver.write(receiver.offset, chunk)
            if not receiver.is_complete:
                raise DecodeError("snapshot", receiver.offset, "the file ends before its end")
        except BaseException:
            receiver.close()
            raise
        await receiver.commit()
        reader = files.open(meta.index)
        try:
            try:
                region, merged = await self._check(incoming, peer, reader)
            except BaseException:
                files.remove(meta.index)
                raise
            await self._adopt(incoming, peer, region, merged, files, reader)
        finally:
            reader.close()

    async def _check(
        self, incoming: Incoming, peer: RegionPeer, reader: SnapshotReader
    ) -> tuple[Region, list[RegionPeer]]:
        """The region in the file, and the peers here whose regions are part of it: for `_adopt`, at once.

        Raises:
            DecodeError, Corruption: the file is damaged.
            TransferFailed: the peer does not want it any more, or cannot have it now.
        """
        region, _ = await check_region(reader.chunks())
        from_, message = incoming.from_, incoming.begin.message
        group = peer.group
        region_id = region.id
        still_here = self._peers.all.get(region_id) is peer and region_id not in self._peers.busy
        if region_id != peer.region.id or not still_here or group is None or not self._is_wanted(peer, message):
            raise TransferFailed(from_, "the peer has changed meanwhile")
        overlapping = self._shared.regions.overlapping(region)
        own = region.peer(peer.peer_id)
        heirless = [self._peers.all[other.id] for other in overlapping]
        takers = {region_id, *(other.region.id for other in heirless)}
        if own is not None and heirless and all(self._is_free(other, takers) for other in heirless):
            overlapping = []  # they are part of this region, or were of one that is
        else:
            for other in heirless:
                if other.group is not None:  # it asks the others, and is told if it is merged
                    self._shared.driver.wake(other.group)
        if overlapping or own is None or own.store_id != self._shared.store_id:
            problem = f"region {overlapping[0].id} has its keys" if overlapping else "the peer is not in the snapshot"
            raise TransferFailed(from_, problem)
        return region, heirless

    async def _adopt(
        self,
        incoming: Incoming,
        peer: RegionPeer,
        region: Region,
        merged: Sequence[RegionPeer],
        files: SnapshotStore,
        reader: SnapshotReader,
    ) -> None:
        """Have a peer begin anew with what the file holds. When that is broken off, `resume` wants the file.

        Raises:
            RaftlyError: the file cannot be read, or the engine broke: the peer has failed.
        """
        from_, message = incoming.from_, incoming.begin.message
        meta = message.snapshot.meta
        group = peer.group
        assert group is not None
        region_id = region.id
        raft = group.raw.raft
        promised = (max(raft.term, message.term), raft.vote if raft.term >= message.term else NO_NODE)
        self._peers.busy.add(region_id)
        self._shared.driver.remove_group(region_id)
        group.refuse_queued()
        peer.rest("a snapshot takes the place of the entries")
        old = peer.region
        peer.region = region
        peer.began, peer.merging = region.epoch, None
        self._shared.merging.pop(region_id, None)
        applied = ApplyState(meta.index, meta.term)
        state = RegionState(PeerState.APPLYING, peer.peer_id, region)
        try:
            await self._ingest(state, old, applied, reader, merged)
        except RaftlyError as error:
            peer.on_failed(error)
            self._peers.busy.discard(region_id)
            raise
        begun: asyncio.Future[None] = asyncio.get_running_loop().create_future()

        def begin() -> None:
            self._peers.busy.discard(region_id)
            peer.applied, peer.applied_term = applied.index, applied.term
            new = self._peers.start(peer)
            assert new.nodes is not None
            new.nodes[message.from_] = from_
            if not begun.done():
                begun.set_result(None)

        try:
            items = restart_items(self._logs.group(region_id), region, applied, *promised)
            self._shared.driver.write(*items, then=begin)
            await begun
        finally:
            files.remove(meta.index)  # the engine has its keys, durably
        # The core has it already, and tells the leader so, whatever became of the transfer: else all would come again.
        if peer.group is not None:
            peer.group.act(lambda raw: raw.step(message))

    def _is_free(self, other: RegionPeer, takers: Collection[RegionId]) -> bool:
        """May its keys be taken from it? Its region is part of another one, which does not need them any more."""
        is_idle = other.region.id not in self._peers.busy
        return is_idle and other.heir is not None and not self._peers.is_needed(other, takers)

    async def _ingest(
        self,
        state: RegionState,
        old: Region,
        applied: ApplyState,
        reader: SnapshotReader,
        merged: Sequence[RegionPeer] = (),
    ) -> None:
        """Replace the keys. The file is durable; before the first key changes so is the word that it is being applied.

        `merged`: peers of regions that are part of this one; with that word they are no more.

        Raises:
            Corruption: the file is damaged; the peer cannot go on.
            StorageError: the engine broke.
        """
        region = state.region
        batch = WriteBatch()
        put_region_state(batch, state)
        put_apply_state(batch, region.id, applied.index, applied.term)
        put_merge_state(batch, region.id, MergeState(region.epoch))
        for gone in merged:
            clear_region(gone.region, batch)
            put_merged(batch, gone)
            gone.is_absorbed = True
            self._shared.merging.pop(gone.region.id, None)
            self._shared.regions.remove(gone.region.id)
            self._shared.round.leave(gone)
        if old.peers:
            clear_region(old, batch)  # it may have held more, which others may get from now on
        self._engine.write(batch)
        for gone in merged:
            self._peers.forget_absorbed(gone)
        self._shared.regions.put(region)
        await self._engine.sync()
        await ingest_region(self._engine, reader.chunks())
        batch = WriteBatch()
        put_region_state(batch, RegionState(PeerState.NORMAL, state.peer_id, region))
        self._engine.write(batch)
        await self._engine.sync()

    async def resume(self, state: RegionState, applied: ApplyState) -> list[Item]:
        """Do again what a crash interrupted; what the log needs before the peer can start.

        A peer whose file cannot be read has failed: it is to be replaced, and the store goes on with the others.
        """
        region = state.region
        peer = self._peers.take(region, state.peer_id, applied)
        peer.began = region.epoch
        log = self._logs.group(region.id)
        try:
            files = await self._files(region.id)
            reader = self._open_again(files, meta_of(region, applied))
            try:
                await self._ingest(state, Region(region.id), applied, reader)
            finally:
                reader.close()
            files.remove(applied.index)
        except RaftlyError as error:
            peer.on_failed(error)
            return []
        hard = log.hard_state
        return restart_items(log, region, applied, hard.term, hard.vote)

    @staticmethod
    def _open_again(files: SnapshotStore, meta: SnapshotMeta) -> SnapshotReader:
        try:
            return files.open(meta.index)
        except SnapshotOutOfDate as error:
            problem = "the snapshot that was being applied is missing"
            raise Corruption(files.path_of(meta), 0, problem) from error
