"""The leader's side of replication: appends, heartbeats, snapshots, and what their answers change.

Sources: thesis §3.5 (log replication), §5 (snapshots), §10.2 (pipelining and flow control); compare etcd-io/raft
raft.go, tikv/raft-rs src/raft.rs (batched appends, requested snapshots, asynchronous log reads).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from raftly.base.types import NO_LIMIT, Entry, NodeId, Term
from raftly.core import election, readindex
from raftly.core.messages import (
    MsgApp,
    MsgAppResp,
    MsgBeat,
    MsgHeartbeat,
    MsgHeartbeatResp,
    MsgSnap,
    MsgSnapStatus,
    MsgUnreachable,
)
from raftly.core.sizes import entries_bytes, payload_bytes
from raftly.core.storage import FetchContext
from raftly.core.trace import (
    AppendRejectionReceived,
    MessageSent,
    PeerUnreachable,
    ProgressDecreased,
    ProgressMissing,
    ProgressRecovered,
    ReplicationPaused,
    SnapshotReported,
    SnapshotSent,
    SnapshotSkipped,
    TransferTargetReady,
)
from raftly.core.tracker import Progress, ProgressState
from raftly.errors import Compacted, InvariantError, LogNotReady, SnapshotNotReady

if TYPE_CHECKING:
    from raftly.core.raft import Raft

_PROBE = ProgressState.PROBE
_REPLICATE = ProgressState.REPLICATE
_SNAPSHOT = ProgressState.SNAPSHOT


# --- sending ---------------------------------------------------------------------------------------------------


def bcast_append(raft: Raft) -> None:
    """Send every peer what it lacks, or at least the commit index."""
    own = raft.id
    for id_, progress in raft.tracker.peers:
        if id_ != own:
            maybe_send_append(raft, id_, progress, allow_empty=True)


def maybe_tell_commit(raft: Raft) -> bool:
    """Send the commit index to peers that could use it and were not sent it; whether there were any."""
    told = False
    for id_, progress in raft.tracker.peers:
        if id_ != raft.id and progress.can_bump_commit(raft.log.committed):
            told |= maybe_send_append(raft, id_, progress, allow_empty=True)
    return told


def maybe_send_append(raft: Raft, to: NodeId, progress: Progress, *, allow_empty: bool) -> bool:
    """Send an append to a peer if it makes sense; True when a message was queued.

    An append without entries only tells the commit index, hence `allow_empty`. When the log no longer reaches back to
    what the peer needs, a snapshot goes instead.
    """
    if progress.flow_paused or progress.state is _SNAPSHOT:
        return False
    if progress.pending_request_snapshot:
        return _maybe_send_snapshot(raft, to, progress)
    log = raft.log
    prev = progress.next - 1
    prev_term = log.term_or_none(prev)
    if prev_term is None:
        return _maybe_send_snapshot(raft, to, progress)
    entries: list[Entry] = []
    # With a full window only an empty append goes out: it is enough to be acknowledged or rejected, and either frees
    # the window if everything that filled it was lost.
    if prev < log.last_index and (progress.state is not _REPLICATE or not progress.inflights.full()):
        context = FetchContext(to, raft.term) if prev + 1 < log.unstable.offset else None
        try:
            entries = log.entries(prev + 1, raft.max_size_per_msg, context)
        except Compacted:
            return _maybe_send_snapshot(raft, to, progress)
        except LogNotReady:
            return False  # `RawNode.on_entries_fetched` comes back here
    if not entries and (not allow_empty or progress.is_disabled()):
        return False
    _send_entries(raft, to, progress, prev_term, entries)
    return True


def _send_entries(raft: Raft, to: NodeId, progress: Progress, prev_term: Term, entries: list[Entry]) -> None:
    commit = raft.log.committed
    if not (raft.batch_append and _merge(raft, to, progress, entries)):
        message = MsgApp(to, raft.id, raft.term, prev_term, progress.next - 1, entries, commit)
        raft.messages.append(message)
        if raft.trace is not None:
            raft.trace.emit(MessageSent(message))
        if raft.batch_append:
            raft.waiting_appends[to] = message
    # Only a byte window looks at the bytes.
    in_flight_bytes = payload_bytes(entries) if raft.tracker.inflight_bytes_max else 0
    progress.sent_entries(len(entries), in_flight_bytes)
    progress.sent_commit = commit


def _merge(raft: Raft, to: NodeId, progress: Progress, entries: list[Entry]) -> bool:
    """raft-rs: let an append that still waits to be handed out take up these entries, if they follow its own."""
    waiting = raft.waiting_appends.get(to)
    if waiting is None or waiting.term != raft.term:
        return False
    if waiting.index + len(waiting.entries) != progress.next - 1:
        return False
    if entries:
        merged = waiting.entries + entries
        limit = raft.max_size_per_msg
        if limit < NO_LIMIT and entries_bytes(merged) > limit:
            return False
        waiting.entries = merged
    waiting.commit = raft.log.committed
    return True


def _maybe_send_snapshot(raft: Raft, to: NodeId, progress: Progress) -> bool:
    """Send a snapshot to an active peer; True when a message was queued."""
    if not progress.recent_active:
        if raft.trace is not None:
            raft.trace.emit(SnapshotSkipped(to, not_ready=False))
        return False
    try:
        snapshot = raft.log.snapshot(progress.pending_request_snapshot, to)
    except SnapshotNotReady:
        if raft.trace is not None:
            raft.trace.emit(SnapshotSkipped(to, not_ready=True))
        return False
    if snapshot.is_empty():
        raise InvariantError("need non-empty snapshot")
    if raft.trace is not None:
        raft.trace.emit(SnapshotSent(to, snapshot, progress))
    progress.become_snapshot(snapshot.meta.index)
    if raft.trace is not None:
        raft.trace.emit(ReplicationPaused(to, progress))
    raft.send(MsgSnap(to, raft.id, raft.term, snapshot))
    return True


def bcast_heartbeat(raft: Raft) -> None:
    """Tell every peer that the leader lives."""
    context = raft.read_only.heartbeat_context()
    own = raft.id
    for id_, progress in raft.tracker.peers:
        if id_ != own:
            # Never more than the peer is known to hold: it could commit an entry that it must still replace.
            commit = min(progress.match, raft.log.committed)
            raft.send(MsgHeartbeat(id_, own, raft.term, commit, context))
            progress.sent_commit = commit


def on_beat(raft: Raft, _: MsgBeat) -> None:
    """Leader: the heartbeat interval is over."""
    bcast_heartbeat(raft)


# --- answers ---------------------------------------------------------------------------------------------------


def on_app_resp(raft: Raft, message: MsgAppResp) -> None:
    """Leader: a peer, or this node's own disk, answers an append."""
    from_ = message.from_
    progress = raft.tracker.progress.get(from_)
    if progress is None:
        _missing(raft, from_)
        return
    progress.recent_active = True
    if message.commit:
        progress.update_committed(message.commit)
    if message.reject:
        _on_rejection(raft, progress, message)
        return
    index = message.index
    # The second case is a peer that was only thought unreachable, and lacks nothing.
    if not progress.maybe_update(index) and not (progress.state is _PROBE and progress.match == index):
        return
    if progress.state is _PROBE:
        progress.become_replicate()
    elif progress.state is _SNAPSHOT:
        _maybe_recover(raft, from_, progress)
    else:
        progress.inflights.free_le(index)
    _commit_and_send(raft, from_, progress, index)
    if from_ == raft.lead_transferee and progress.match == raft.log.last_index:
        if raft.trace is not None:
            raft.trace.emit(TransferTargetReady(from_, caught_up=True))
        election.send_timeout_now(raft, from_)


def _commit_and_send(raft: Raft, from_: NodeId, progress: Progress, acked: int) -> None:
    """What an acknowledgement up to `acked` allows: commit, tell of it, send more."""
    log = raft.log
    # An index at or below the commit index cannot move it; the attempt is made only for those who watch.
    if (acked > log.committed or raft.trace is not None or raft.group_commit) and raft.maybe_commit():
        readindex.release_pending_reads(raft)
        # A membership change must reach those it concerns even if commits are not broadcast.
        if not raft.skip_bcast_commit or raft.pending_conf_index > log.applied:
            bcast_append(raft)
    elif from_ != raft.id and not raft.skip_bcast_commit and progress.can_bump_commit(log.committed):
        maybe_send_append(raft, from_, progress, allow_empty=True)
    if from_ != raft.id:
        # Behind the end of the log there is nothing to send; beyond it, another log, there is a snapshot.
        while progress.next != log.last_index + 1 and maybe_send_append(raft, from_, progress, allow_empty=False):
            pass


def _maybe_recover(raft: Raft, from_: NodeId, progress: Progress) -> None:
    """A peer in Snapshot acknowledged something: can the log serve it again?"""
    if progress.pending_request_snapshot:
        return  # it asked for the snapshot because its log does not help; only the report on it ends this
    if raft.config.snapshot_must_reach_pending:
        recovered = progress.is_snapshot_caught_up()
    else:
        # Whatever brought the peer here, a snapshot of ours or another's, the log takes over from its match.
        recovered = progress.match + 1 >= raft.log.first_index()
    if recovered:
        if raft.trace is not None:
            raft.trace.emit(ProgressRecovered(from_, progress))
        progress.become_probe()
        progress.become_replicate()


def _on_rejection(raft: Raft, progress: Progress, message: MsgAppResp) -> None:
    """The append did not fit behind the peer's log: step back, at most once a term (thesis §3.5)."""
    if raft.trace is not None:
        raft.trace.emit(AppendRejectionReceived(message))
    hint = message.reject_hint
    if message.log_term > 0:
        # Where our own term is above the peer's term at its hint the logs cannot match, so skip all of that.
        hint = raft.log.find_conflict_by_term(hint, message.log_term)[0]
    if message.request_snapshot:
        decreased = progress.maybe_request_snapshot(message.index, message.request_snapshot)
    else:
        decreased = progress.maybe_decr_to(message.index, hint)
    if not decreased:
        return
    if raft.trace is not None:
        raft.trace.emit(ProgressDecreased(message.from_, progress))
    if progress.state is _REPLICATE:
        progress.become_probe()
    maybe_send_append(raft, message.from_, progress, allow_empty=True)


def on_heartbeat_resp(raft: Raft, message: MsgHeartbeatResp) -> None:
    """Leader: a peer lives; send it what it lacks, and see which reads it confirms."""
    from_ = message.from_
    progress = raft.tracker.progress.get(from_)
    if progress is None:
        _missing(raft, from_)
        return
    progress.recent_active = True
    progress.flow_paused = False
    if message.commit:
        progress.update_committed(message.commit)
    if raft.config.free_inflight_on_heartbeat and progress.state is _REPLICATE and progress.inflights.full():
        progress.inflights.free_first_one()
    if progress.match < raft.log.last_index or progress.state is _PROBE or progress.pending_request_snapshot:
        maybe_send_append(raft, from_, progress, allow_empty=True)
    readindex.on_ack(raft, from_, message.context)


def on_unreachable(raft: Raft, message: MsgUnreachable) -> None:
    """Leader: the transport could not reach a peer, so what was sent on trust is probably lost."""
    progress = raft.tracker.progress.get(message.from_)
    if progress is None:
        _missing(raft, message.from_)
        return
    if progress.state is _REPLICATE:
        progress.become_probe()
    if raft.trace is not None:
        raft.trace.emit(PeerUnreachable(message.from_, progress))


def on_snap_status(raft: Raft, message: MsgSnapStatus) -> None:
    """Leader: the transport's word on a snapshot. Either way wait for the peer's next sign before sending more."""
    progress = raft.tracker.progress.get(message.from_)
    if progress is None:
        _missing(raft, message.from_)
        return
    if progress.state is not _SNAPSHOT:
        return
    if message.reject:
        progress.pending_snapshot = 0  # it did not arrive: probe from behind match, not from behind it
    progress.become_probe()
    progress.pending_request_snapshot = 0
    if raft.trace is not None:
        raft.trace.emit(SnapshotReported(message.from_, message.reject, progress))
    progress.flow_paused = True


def _missing(raft: Raft, from_: NodeId) -> None:
    if raft.trace is not None:
        raft.trace.emit(ProgressMissing(from_))


def on_entries_fetched(raft: Raft, context: FetchContext) -> None:
    """raft-rs: entries that were not ready are; send them if the leadership is the same and the peer a member."""
    progress = raft.tracker.progress.get(context.to)
    if raft.leader != raft.id or raft.term != context.term or progress is None:
        return
    while maybe_send_append(raft, context.to, progress, allow_empty=False):
        pass
