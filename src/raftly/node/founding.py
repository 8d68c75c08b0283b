"""Founding: how a log and a data directory begin. Once, whoever starts how often.

A node that finds no log founds the group, when it is one of `members`, or waits to be added, when it is to join. One
that finds a log goes on from there, whatever it is told: who belongs to the group then is what the log says.

All first members begin with the same entries, so together they are one group. What they began with is its origin: by it
nodes tell a group from another that was founded with other members under the same cluster id, and do not talk to it. A
node that joins learns the origin from the first node that it meets. Source: etcd-io/raft bootstrap.go.
"""

from __future__ import annotations

import asyncio
import logging
from dataclasses import replace
from typing import Final, final

from raftly.base.membership import ConfState
from raftly.base.rand import SplitMix64
from raftly.base.types import NO_NODE, HardState, NodeId
from raftly.errors import StorageError
from raftly.node.config import NodeConfig
from raftly.node.roster import change_of, changes_in, founding_entries
from raftly.storage.group_log import GroupLog
from raftly.storage.identity import (
    DirectoryIdentity,
    new_identity,
    origin_of,
    read_identity,
    read_peers,
    write_identity,
    write_peers,
)
from raftly.storage.items import EntriesItem, HardStateItem, MembershipItem
from raftly.storage.log_store import LogStore
from raftly.storage.vfs import FileSystem
from raftly.transport.base import Transport

_log: Final = logging.getLogger("raftly.node")
_PATIENCE_S: Final = 5.0
FOUNDING_TERM: Final = 1  # no leader is of it


async def found(store: LogStore, group: int, config: NodeConfig) -> None:
    """Write the beginning of a new group's log, in one piece, unless there is a log, or the node is to join.

    Raises:
        StorageError: the disk could not.
    """
    if group in store.groups() or config.join:
        return
    entries = founding_entries(config.members)
    await store.commit(
        [
            EntriesItem(group, entries),
            HardStateItem(group, HardState(FOUNDING_TERM, NO_NODE, entries[-1].index)),
            MembershipItem(group, entries[-1].index, ConfState(tuple(sorted(config.members)))),
        ]
    )


def founders_of(log: GroupLog) -> list[NodeId]:
    """The first members, as long as the log reaches back to them; nobody otherwise."""
    if log.first_index() != 1:
        return []
    begin = [entry for entry in changes_in(log, 1, min(log.last_index(), 1 << 10) + 1) if entry.term == FOUNDING_TERM]
    return [change.node_id for entry in begin for change in change_of(entry).changes]


@final
class Directory:
    """The data directory of a running node."""

    __slots__ = ("_fs", "_kept", "_task", "_transport", "identity")

    def __init__(
        self, fs: FileSystem, identity: DirectoryIdentity, peers: dict[NodeId, int], transport: Transport
    ) -> None:
        self.identity = identity
        self._fs = fs
        self._transport = transport
        self._task: asyncio.Task[None] | None = None
        self._kept = len(peers)  # directories of others that are in the file
        transport.set_origin(identity.origin, identity.directory)
        transport.directories.update(peers)

    @classmethod
    async def open(
        cls, fs: FileSystem, store: LogStore, group: int, config: NodeConfig, transport: Transport
    ) -> Directory:
        """See whose directory it is, and found the group if that is to be done. The store has locked it.

        Raises:
            DirectoryCopied: it is a copy.
            StorageError: it is another node's, damaged, or lost its log; or the disk could not read or write.
        """
        identity = read_identity(fs, config.cluster_id, config.id, moved=config.moved)
        if identity is not None and identity.origin and not config.join and group not in store.groups():
            raise StorageError(
                f"the log of node {config.id} is gone from its data directory, and with it what the node promised: "
                "remove it from the group, and add a node with another id"
            )
        await found(store, group, config)
        founders = founders_of(store.group(group)) or config.members
        origin = origin_of(config.cluster_id, founders) if founders else 0
        if identity is None:
            random = SplitMix64(config.seed ^ config.id << 40 ^ 0x1DE17)
            identity = await write_identity(fs, new_identity(config.cluster_id, config.id, origin, random))
        elif identity.inode == 0:
            identity = await write_identity(fs, identity)
        return cls(fs, identity, read_peers(fs), transport)

    def on_tick(self) -> None:
        """Keep the origin, once it was learned, and the directories that others came with."""
        if self.is_writing:
            return
        learned = 0 if self.identity.origin else self._transport.origin
        directories = self._transport.directories
        if learned or len(directories) > self._kept:  # none is ever forgotten or changed
            self._task = asyncio.get_running_loop().create_task(self._keep(learned, dict(directories)))

    async def _keep(self, origin: int, directories: dict[NodeId, int]) -> None:
        try:
            if origin:
                self.identity = await write_identity(self._fs, replace(self.identity, origin=origin))
            if len(directories) > self._kept:
                self._kept = len(directories)
                await write_peers(self._fs, directories)
        except StorageError as error:  # it is learned again after the next start
            _log.warning("node %d could not keep what it learned of its peers: %s", self.identity.node_id, error)

    async def close(self) -> None:
        """Wait for what is being written, not for a disk that never answers."""
        if self._task is not None:
            await asyncio.wait([self._task], timeout=_PATIENCE_S)
            self._task.cancel()

    @property
    def is_writing(self) -> bool:
        """Is the disk asked for something?"""
        return self._task is not None and not self._task.done()
