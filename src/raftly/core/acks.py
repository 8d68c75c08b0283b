"""What the append and apply threads acknowledge. The same in both Ready styles: `advance` steps these too.

Compare: etcd-io/raft raft.go, doc.go (asynchronous storage writes).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from raftly.base.types import NO_LIMIT
from raftly.core.election import applied_snapshot
from raftly.core.messages import MsgStorageAppendResp, MsgStorageApplyResp
from raftly.core.sizes import entries_bytes

if TYPE_CHECKING:
    from raftly.core.raft import Raft


def on_storage_append_resp(raft: Raft, message: MsgStorageAppendResp) -> None:
    """Any role, own term: entries and perhaps a snapshot are durable."""
    if message.index != 0:
        raft.log.stable_to(message.log_term, message.index)
    if message.snapshot is not None:
        applied_snapshot(raft, message.snapshot.meta.index)


def on_storage_apply_resp(raft: Raft, message: MsgStorageApplyResp) -> None:
    """Any role: entries were applied."""
    entries = message.entries
    if entries:
        raft.caught_up(entries[-1].index)
        limited = raft.log.applying_bytes_max < NO_LIMIT
        raft.applied_to(entries[-1].index, entries_bytes(entries) if limited else 0)
        raft.reduce_uncommitted(entries)
