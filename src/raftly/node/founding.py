"""Founding: how a log begins. Once, whoever starts how often.

A node that finds no log founds the group, when it is one of `members`, or waits to be added, when it is to join. One
that finds a log goes on from there, whatever it is told: who belongs to the group then is what the log says.

All first members begin with the same entries, so together they are one group; a node that was left out of `members`
founds nothing. Source: etcd-io/raft bootstrap.go.
"""

from __future__ import annotations

from raftly.base.membership import ConfState
from raftly.base.types import NO_NODE, HardState
from raftly.node.config import NodeConfig
from raftly.node.roster import founding_entries
from raftly.storage.items import EntriesItem, HardStateItem, MembershipItem
from raftly.storage.log_store import LogStore


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
            HardStateItem(group, HardState(entries[-1].term, NO_NODE, entries[-1].index)),
            MembershipItem(group, entries[-1].index, ConfState(tuple(sorted(config.members)))),
        ]
    )
