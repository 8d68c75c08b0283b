"""SnapshotTaker: a snapshot that arrives becomes a file, then an instance beside the one that serves, then a MsgSnap.

The core says whether it is wanted; `Snapshots.on_snapshot` claims it then. What arrived before a connection broke, or
before a restart, is gone on with. One at a time.
"""

from __future__ import annotations

import asyncio
from typing import Generic, TypeVar, final

from raftly.base.types import NO_NODE, Index, NodeId, Snapshot, SnapshotMeta
from raftly.core.messages import MsgSnap
from raftly.errors import Corruption, DecodeError, TransferFailed
from raftly.node.driver import Driver
from raftly.node.errors import MachineFailed
from raftly.node.group import Group
from raftly.node.snapshot_files import read_state
from raftly.node.state import State, StateCodec
from raftly.storage.snapshot import SnapshotStore
from raftly.transport.transfer import Incoming

T = TypeVar("T")


@final
class SnapshotTaker(Generic[T]):
    """Takes the snapshots that come for one group; `take` is what the transport calls."""

    def __init__(self, files: SnapshotStore, codec: StateCodec[T], driver: Driver, group: Group) -> None:
        self._files = files
        self._codec = codec
        self._driver = driver
        self._group = group
        self._prepared: tuple[SnapshotMeta, State[T]] | None = None  # waits for the core's word
        self._taking = asyncio.Lock()
        self._from: NodeId = NO_NODE
        self._closed = False

    def close(self) -> None:
        """Take no more."""
        self._closed = True
        self.discard()

    async def take(self, incoming: Incoming) -> None:
        """See `SnapshotTaker`."""
        message = incoming.begin.message
        if incoming.begin.group != self._group.id:
            raise TransferFailed(incoming.from_, f"there is no group {incoming.begin.group} here")
        if self._taking.locked() and incoming.from_ != self._from:
            raise TransferFailed(incoming.from_, "a snapshot from another node is being taken in")
        async with self._taking:
            self._from = incoming.from_
            raft = self._group.raw.raft
            if message.term < raft.term:
                raise TransferFailed(incoming.from_, f"term {message.term} is over")
            if message.snapshot.meta.index > raft.log.committed:
                index = await self._keep(incoming)
                message = await self._prepare(incoming, message, index)
            if self._driver.groups.get(self._group.id) is not self._group or self._closed:
                self.discard()
                raise TransferFailed(incoming.from_, "this node has stopped")
            try:
                self._group.act(lambda raw: raw.step(message))
            finally:
                held = raft.log.unstable.snapshot
                if self._prepared is not None and (held is None or held.meta != self._prepared[0]):
                    self.discard()  # the core did not want it
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
            state = await read_state(self._files, index, self._codec)
        except Corruption as error:
            self._files.remove(index)  # so that it is sent again
            raise TransferFailed(incoming.from_, str(error)) from error
        meta = reader.header.meta
        if state.applied != meta.index:
            self._codec.close(state.instance)
            raise TransferFailed(incoming.from_, f"a snapshot at {meta.index} holds a state at {state.applied}")
        self._prepared = (meta, state)
        return MsgSnap(message.to, message.from_, message.term, Snapshot(meta))

    def claim(self, meta: SnapshotMeta) -> State[T]:
        """The state of the snapshot that the core accepted.

        Raises:
            MachineFailed: it is not the one that was taken in.
        """
        prepared, self._prepared = self._prepared, None
        if prepared is None or prepared[0] != meta:
            raise MachineFailed(f"the snapshot at {meta.index} did not come as a stream")
        return prepared[1]

    def discard(self) -> None:
        """Nobody wants what was prepared."""
        if self._prepared is not None:
            self._codec.close(self._prepared[1].instance)
            self._prepared = None
