"""What must survive a crash: one log for many groups, all of it through a narrow FileSystem.

1. When `LogStore.commit` returns, its items are durable; what it did not return for may be there or not, never in part.
2. Recovery gives a prefix that holds all that was acknowledged, or refuses with a path and an offset; it never invents.
3. A sync that failed is never tried again: the log is broken from then on, and only recovery from disk helps.

Reading order: `vfs` (the disk as seen from here), `segment` (the bytes), `wal` (batches in segments), `items` (what a
batch holds), `places` and `group_log` (one group's log, as the core reads it), `replay` and `log_store` (all groups).
`snapshot_file` and `snapshot`: state as files. `identity`: whose the directory is. `survey`: what `raftly log` shows
and cuts. `osfs` and `aio` are the real disk.
"""

from raftly.storage.group_log import GroupLog
from raftly.storage.items import EntriesItem, HardStateItem, Item, MembershipItem, RemovedItem, SnapshotItem
from raftly.storage.log_store import LogOptions, LogStore
from raftly.storage.osfs import OsFs, SyncMode
from raftly.storage.snapshot import RateLimit, SnapshotReader, SnapshotReceiver, SnapshotStore, SnapshotWriter
from raftly.storage.vfs import File, FileSystem, Lock

__all__ = [
    "EntriesItem",
    "File",
    "FileSystem",
    "GroupLog",
    "HardStateItem",
    "Item",
    "Lock",
    "LogOptions",
    "LogStore",
    "MembershipItem",
    "OsFs",
    "RateLimit",
    "RemovedItem",
    "SnapshotItem",
    "SnapshotReader",
    "SnapshotReceiver",
    "SnapshotStore",
    "SnapshotWriter",
    "SyncMode",
]
