"""The follower's side of replication: appends, heartbeats and snapshots from the leader.

Sources: thesis §3.5, §5; compare etcd-io/raft raft.go, tikv/raft-rs src/raft.rs (requested snapshots).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from raftly.base.types import NO_NODE, Snapshot
from raftly.core import confchange
from raftly.core.messages import Message, MsgApp, MsgAppResp, MsgHeartbeat, MsgHeartbeatResp, MsgSnap
from raftly.core.role import Role
from raftly.core.trace import (
    AppendRejected,
    SnapshotFastForwarded,
    SnapshotForeign,
    SnapshotHandled,
    SnapshotRestored,
    SnapshotWhileLeading,
)
from raftly.errors import RequestSnapshotDropped

if TYPE_CHECKING:
    from raftly.core.raft import Raft


def _hear_leader(raft: Raft, message: Message) -> None:
    raft.election_elapsed = 0
    raft.heard_elapsed = 0
    raft.hurry_at = 0
    raft.leader = message.from_


def on_app(raft: Raft, message: MsgApp) -> None:
    """Follower: entries, or just the commit index, from the leader."""
    raft.election_elapsed = 0  # spelt out: this is what a follower does most
    raft.heard_elapsed = 0
    raft.hurry_at = 0
    raft.leader = message.from_
    _append(raft, message)


def on_app_candidate(raft: Raft, message: MsgApp) -> None:
    """(Pre-)candidate: somebody leads this term."""
    raft.become_follower(message.term, message.from_)
    _append(raft, message)


def _append(raft: Raft, message: MsgApp) -> None:
    log = raft.log
    if raft.pending_request_snapshot:
        _send_request_snapshot(raft)
        return
    prev = message.index
    if prev < log.committed:
        # Old news: everything up to the commit index matches whatever the message says.
        raft.send_after_append(_ack(raft, message.from_, log.committed))
        return
    last_new = log.maybe_append(message.log_term, prev, message.entries, message.commit)
    if last_new is not None:
        raft.send_after_append(_ack(raft, message.from_, last_new))
        return
    if raft.trace is not None:
        own_term = log.term_or_none(prev) or 0
        raft.trace.emit(AppendRejected(message.from_, prev, message.log_term, own_term))
    # Guess where the logs meet: above the leader's term nothing of ours can match.
    hint, hint_term = log.find_conflict_by_term(min(prev, log.last_index), message.log_term)
    raft.send_after_append(
        MsgAppResp(
            message.from_,
            raft.id,
            raft.term,
            prev,
            reject=True,
            reject_hint=hint,
            log_term=hint_term,
            commit=_reported_commit(raft),
        )
    )


def _ack(raft: Raft, to: int, index: int) -> MsgAppResp:
    answer = MsgAppResp(to, raft.id, raft.term, index)
    if raft.config.report_commit:
        answer.commit = raft.log.committed
    return answer


def _reported_commit(raft: Raft) -> int:
    """raft-rs: what answers tell of the commit index; 0 when they do not."""
    return raft.log.committed if raft.config.report_commit else 0


def on_heartbeat(raft: Raft, message: MsgHeartbeat) -> None:
    """Follower: the leader lives, and tells what is committed."""
    _hear_leader(raft, message)
    _heartbeat(raft, message)


def on_heartbeat_candidate(raft: Raft, message: MsgHeartbeat) -> None:
    """(Pre-)candidate: somebody leads this term."""
    raft.become_follower(message.term, message.from_)
    _heartbeat(raft, message)


def _heartbeat(raft: Raft, message: MsgHeartbeat) -> None:
    raft.log.commit_to(message.commit)
    if raft.pending_request_snapshot:
        _send_request_snapshot(raft)
        return
    raft.send(MsgHeartbeatResp(message.from_, raft.id, raft.term, message.context, _reported_commit(raft)))


def on_snap(raft: Raft, message: MsgSnap) -> None:
    """Follower: a snapshot from the leader."""
    _hear_leader(raft, message)
    _snapshot(raft, message)


def on_snap_candidate(raft: Raft, message: MsgSnap) -> None:
    """(Pre-)candidate: somebody leads this term."""
    raft.become_follower(message.term, message.from_)
    _snapshot(raft, message)


def _snapshot(raft: Raft, message: MsgSnap) -> None:
    restored = restore(raft, message.snapshot)
    if raft.trace is not None:
        raft.trace.emit(SnapshotHandled(message.snapshot, restored))
    index = raft.log.last_index if restored else raft.log.committed
    raft.send_after_append(_ack(raft, message.from_, index))


def restore(raft: Raft, snapshot: Snapshot) -> bool:
    """Replace log and configuration by a snapshot that brings news; False when it is ignored."""
    log = raft.log
    meta = snapshot.meta
    # An older one than asked for would cut away entries that this node has acknowledged.
    requested = 0 < raft.pending_request_snapshot <= meta.index
    if meta.index < log.committed or (meta.index == log.committed and not requested):
        return False
    if raft.role is not Role.FOLLOWER:
        if raft.trace is not None:
            raft.trace.emit(SnapshotWhileLeading())
        raft.become_follower(raft.term + 1, NO_NODE)
        return False
    conf_state = meta.conf_state
    # learners_next need no look: they are among the outgoing voters.
    if raft.id not in conf_state.voters + conf_state.learners + conf_state.voters_outgoing:
        if raft.trace is not None:
            raft.trace.emit(SnapshotForeign(conf_state))
        return False
    if not requested and log.match_term(meta.term, meta.index):
        if raft.trace is not None:
            raft.trace.emit(SnapshotFastForwarded(snapshot))
        log.commit_to(meta.index)
        return False
    config, progress = confchange.restore(
        raft.tracker.inflight_max, raft.tracker.inflight_bytes_max, conf_state, meta.index
    )
    raft.outpace()
    log.restore(snapshot)
    raft.switch_to_config(config, progress)
    raft.pending_request_snapshot = 0
    if raft.trace is not None:
        raft.trace.emit(SnapshotRestored(snapshot))
    return True


# --- raft-rs: a follower asks for a snapshot -------------------------------------------------------------------


def request_snapshot(raft: Raft) -> None:
    """Ask the leader for a snapshot at least as new as the own log; asked again until one comes.

    Raises:
        RequestSnapshotDropped: leading, without a leader, already waiting, or not caught up to this term.
    """
    if raft.role is Role.LEADER:
        raise RequestSnapshotDropped("a leader has nobody to ask")
    if raft.leader == NO_NODE:
        raise RequestSnapshotDropped("no leader is known")
    if raft.log.unstable.snapshot is not None or raft.pending_request_snapshot:
        raise RequestSnapshotDropped("a snapshot is already on its way")
    if raft.log.last_term != raft.term:
        raise RequestSnapshotDropped("the log holds no entry of this term yet")
    raft.pending_request_snapshot = raft.log.last_index
    _send_request_snapshot(raft)


def _send_request_snapshot(raft: Raft) -> None:
    log = raft.log
    raft.send_after_append(
        MsgAppResp(
            raft.leader,
            raft.id,
            raft.term,
            log.committed,
            reject=True,
            reject_hint=log.last_index,
            log_term=log.last_term,
            commit=_reported_commit(raft),
            request_snapshot=raft.pending_request_snapshot,
        )
    )
