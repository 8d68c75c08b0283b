"""The log lines of a node, rendered from its trace events: one table.

A line must be rendered the moment the event happens (`core.trace`). Node ids are lower-case hexadecimal. Texts are
those of etcd-io/raft, since operators and the golden scripts know them; an event that etcd says nothing about has
no row.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import IntEnum
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from raftly.base.membership import ConfState
from raftly.base.types import SnapshotMeta
from raftly.core.describe import ERROR_TEXTS, describe_conf_change
from raftly.core.messages import VoteRequest
from raftly.core.role import Role
from raftly.core.trace import (
    AppendAckMismatched,
    AppendAckUnusable,
    AppendRejected,
    AppendRejectionReceived,
    AutoLeaveFailed,
    AutoLeaveProposed,
    CampaignBlocked,
    CampaignStarted,
    ConfChangeRefused,
    ConfigSwitched,
    ForgetLeaderRefused,
    HigherTermSeen,
    HupIgnored,
    LeaderForgotten,
    LogConflictFound,
    LowerTermIgnored,
    NodeCreated,
    PeerUnreachable,
    ProgressDecreased,
    ProgressMissing,
    ProgressRecovered,
    ProposalDuringTransfer,
    ProposalHasNoLeader,
    ProposalNotForwarded,
    QuorumLost,
    ReadHasNoLeader,
    ReadsReleasedEarly,
    ReplicationPaused,
    RoleChanged,
    SnapshotFastForwarded,
    SnapshotForeign,
    SnapshotHandled,
    SnapshotReported,
    SnapshotRestored,
    SnapshotRestoreStarted,
    SnapshotSent,
    SnapshotSkipped,
    SnapshotWhileLeading,
    StaleAppendAck,
    TimeoutNowIgnored,
    TimeoutNowReceived,
    TraceEvent,
    TransferHasNoLeader,
    TransferIgnored,
    TransferRepeated,
    TransferReplaced,
    TransferStarted,
    TransferTargetReady,
    UncommittedLimitReached,
    Unpromotable,
    UnstableReplaced,
    UnstableTruncated,
    VoteCast,
    VoteIgnoredInLease,
    VoteReceived,
    VoteRefused,
    VoteRequested,
    VotesTallied,
)
from raftly.errors import InvariantError, ProposalDropped

if TYPE_CHECKING:
    from raftly.core.raft import Raft


class LogLevel(IntEnum):
    """How much a line matters. NONE is above all lines: the level of a reader that wants silence."""

    DEBUG = 0
    INFO = 1
    WARN = 2
    ERROR = 3
    FATAL = 4
    NONE = 5


LogLine: TypeAlias = tuple[LogLevel, str]
_Renderer: TypeAlias = Callable[["Raft", Any], str]  # (node, event); the table pairs each with its own event class

_DEBUG = LogLevel.DEBUG
_INFO = LogLevel.INFO
_WARN = LogLevel.WARN
_ERROR = LogLevel.ERROR

_ROLE_WORDS: Final = {
    Role.FOLLOWER: "follower",
    Role.CANDIDATE: "candidate",
    Role.LEADER: "leader",
    Role.PRE_CANDIDATE: "pre-candidate",
}


def log_line(node: Raft, event: TraceEvent) -> LogLine | None:
    """Level and text of an event that happens now at `node`; None for one that is not logged."""
    row = _LINES.get(type(event))
    return None if row is None else (row[0], row[1](node, event))


def fatal_line(error: InvariantError) -> LogLine:
    """The last line of a node: a broken invariant, after which its group must stop."""
    return LogLevel.FATAL, str(error)


# --- parts that several lines share ----------------------------------------------------------------------------


def _position(meta: SnapshotMeta) -> str:
    return f"[index: {meta.index}, term: {meta.term}]"


def _conf_state_fields(state: ConfState) -> str:
    """As protobuf's text form has it, a field for each id; between fields protobuf-go puts one space or two."""
    fields = [f"voters:{id_}" for id_ in state.voters]
    fields += [f"learners:{id_}" for id_ in state.learners]
    fields += [f"voters_outgoing:{id_}" for id_ in state.voters_outgoing]
    fields += [f"learners_next:{id_}" for id_ in state.learners_next]
    fields.append(f"auto_leave:{'true' if state.auto_leave else 'false'}")
    return " ".join(fields)


def _log_end(node: Raft) -> str:
    log = node.log
    return f"{node.id:x} [commit: {log.committed}, lastindex: {log.last_index}, lastterm: {log.last_term}]"


def _judged(node: Raft, verb: str, request: VoteRequest) -> str:
    """The own log end and vote against those of a candidate."""
    log = node.log
    return (
        f"{node.id:x} [logterm: {log.last_term}, index: {log.last_index}, vote: {node.vote:x}] {verb} "
        f"{request.type.name} {'for' if verb == 'cast' else 'from'} {request.from_:x} "
        f"[logterm: {request.log_term}, index: {request.index}] at term {node.term}"
    )


# --- one function for each line that takes more than an expression ----------------------------------------------


def _node_created(node: Raft, _: NodeCreated) -> str:
    log = node.log
    peers = ",".join([f"{id_:x}" for id_ in node.tracker.config.voters.ids()])
    return (
        f"newRaft {node.id:x} [peers: [{peers}], term: {node.term}, commit: {log.committed}, applied: {log.applied}, "
        f"lastindex: {log.last_index}, lastterm: {log.last_term}]"
    )


def _vote_requested(node: Raft, event: VoteRequested) -> str:
    request = event.request
    return (
        f"{node.id:x} [logterm: {request.log_term}, index: {request.index}] sent {request.type.name} request "
        f"to {request.to:x} at term {node.term}"
    )


def _vote_received(node: Raft, event: VoteReceived) -> str:
    refused = " rejection" if event.reject else ""
    return f"{node.id:x} received {event.kind}{refused} from {event.from_:x} at term {node.term}"


def _vote_ignored(node: Raft, event: VoteIgnoredInLease) -> str:
    remaining = (
        node.lease_tick - node.heard_elapsed if node.lease_tick else node.config.election_tick - node.election_elapsed
    )
    return f"{_judged(node, 'ignored', event.request)}: lease is not expired (remaining ticks: {remaining})"


def _higher_term(node: Raft, event: HigherTermSeen) -> str:
    message = event.message
    return (
        f"{node.id:x} [term: {node.term}] received a {message.type.name} message with higher term "
        f"from {message.from_:x} [term: {message.term}]"
    )


def _lower_term(node: Raft, event: LowerTermIgnored) -> str:
    message = event.message
    return (
        f"{node.id:x} [term: {node.term}] ignored a {message.type.name} message with lower term "
        f"from {message.from_:x} [term: {message.term}]"
    )


def _stale_append_ack(node: Raft, event: StaleAppendAck) -> str:
    return (
        f"{node.id:x} [term: {node.term}] ignored entry appends from a MsgStorageAppendResp message with lower term "
        f"[term: {event.term}]"
    )


def _target_ready(node: Raft, event: TransferTargetReady) -> str:
    if event.caught_up:
        return f"{node.id:x} sent MsgTimeoutNow to {event.to:x} after received MsgAppResp"
    return f"{node.id:x} sends MsgTimeoutNow to {event.to:x} immediately as {event.to:x} already has up-to-date log"


def _transfer_ignored(node: Raft, event: TransferIgnored) -> str:
    if event.to_self:
        return f"{node.id:x} is already leader. Ignored transferring leadership to self"
    return f"{node.id:x} is learner. Ignored transferring leadership"


def _conf_change_refused(node: Raft, event: ConfChangeRefused) -> str:
    change = describe_conf_change(event.change)
    return f"{node.id:x} ignoring conf change {change} at config {node.tracker.config}: {event.reason}"


def _ack_unusable(_: Raft, event: AppendAckUnusable) -> str:
    if event.matched_snapshot:
        return f"entry at index {event.index} matched unstable snapshot; ignoring"
    return f"entry at index {event.index} missing from unstable log; ignoring"


def _ack_mismatched(_: Raft, event: AppendAckMismatched) -> str:
    return (
        f"entry at (index,term)=({event.index},{event.term}) mismatched with entry at "
        f"({event.index},{event.own_term}) in unstable log; ignoring"
    )


def _append_rejected(node: Raft, event: AppendRejected) -> str:
    return (
        f"{node.id:x} [logterm: {event.own_term}, index: {event.index}] rejected MsgApp "
        f"[logterm: {event.log_term}, index: {event.index}] from {event.from_:x}"
    )


def _rejection_received(node: Raft, event: AppendRejectionReceived) -> str:
    answer = event.answer
    return (
        f"{node.id:x} received MsgAppResp(rejected, hint: (index {answer.reject_hint}, term {answer.log_term})) "
        f"from {answer.from_:x} for index {answer.index}"
    )


def _snapshot_sent(node: Raft, event: SnapshotSent) -> str:
    return (
        f"{node.id:x} [firstindex: {node.log.first_index()}, commit: {node.log.committed}] "
        f"sent snapshot{_position(event.snapshot.meta)} to {event.to:x} [{event.progress}]"
    )


def _snapshot_skipped(node: Raft, event: SnapshotSkipped) -> str:
    if event.not_ready:
        return f"{node.id:x} failed to send snapshot to {event.to:x} because snapshot is temporarily unavailable"
    return f"ignore sending snapshot to {event.to:x} since it is not recently active"


def _recovered(node: Raft, event: ProgressRecovered) -> str:
    return (
        f"{node.id:x} recovered from needing snapshot, resumed sending replication messages "
        f"to {event.from_:x} [{event.progress}]"
    )


def _snapshot_reported(node: Raft, event: SnapshotReported) -> str:
    outcome = "failed" if event.failed else "succeeded"
    return f"{node.id:x} snapshot {outcome}, resumed sending replication messages to {event.from_:x} [{event.progress}]"


def _snapshot_foreign(node: Raft, event: SnapshotForeign) -> str:
    return (
        f"{node.id:x} attempted to restore snapshot but it is not in the ConfState "
        f"{_conf_state_fields(event.conf_state)}; should never happen"
    )


def _snapshot_handled(node: Raft, event: SnapshotHandled) -> str:
    outcome = "restored" if event.restored else "ignored"
    return f"{node.id:x} [commit: {node.log.committed}] {outcome} snapshot {_position(event.snapshot.meta)}"


# --- the table -------------------------------------------------------------------------------------------------

_LINES: Final[dict[type[TraceEvent], tuple[LogLevel, _Renderer]]] = {
    # life of a node
    NodeCreated: (_INFO, _node_created),
    RoleChanged: (_INFO, lambda n, e: f"{n.id:x} became {_ROLE_WORDS[e.role]} at term {n.term}"),
    # elections
    CampaignStarted: (_INFO, lambda n, _: f"{n.id:x} is starting a new election at term {n.term}"),
    VoteRequested: (_INFO, _vote_requested),
    VoteReceived: (_INFO, _vote_received),
    VotesTallied: (
        _INFO,
        lambda n, e: f"{n.id:x} has received {e.granted} {e.kind} votes and {e.rejected} vote rejections",
    ),
    VoteCast: (_INFO, lambda n, e: _judged(n, "cast", e.request)),
    VoteRefused: (_INFO, lambda n, e: _judged(n, "rejected", e.request)),
    VoteIgnoredInLease: (_INFO, _vote_ignored),
    HupIgnored: (
        _DEBUG,
        lambda n, _: (
            f"{n.id:x} ignoring MsgHup because "
            + ("of a lease" if n.lease_tick and n.role is not Role.LEADER else "already leader")
        ),
    ),
    Unpromotable: (
        _WARN,
        lambda n, e: (
            f"{n.id:x} is unpromotable"
            + ("; campaign() should have been called" if e.late else " and can not campaign")
        ),
    ),
    CampaignBlocked: (
        _WARN,
        lambda n, _: (
            f"{n.id:x} cannot campaign at term {n.term} since there are still pending configuration changes to apply"
        ),
    ),
    QuorumLost: (_WARN, lambda n, _: f"{n.id:x} stepped down to follower since quorum is not active"),
    LeaderForgotten: (_INFO, lambda n, _: f"{n.id:x} forgetting leader {n.leader:x} at term {n.term}"),
    ForgetLeaderRefused: (_ERROR, lambda _n, _e: "ignoring MsgForgetLeader due to ReadOnlyLeaseBased"),
    HigherTermSeen: (_INFO, _higher_term),
    LowerTermIgnored: (_INFO, _lower_term),
    # leadership transfer
    TransferStarted: (_INFO, lambda n, e: f"{n.id:x} [term {n.term}] starts to transfer leadership to {e.to:x}"),
    TransferTargetReady: (_INFO, _target_ready),
    TransferRepeated: (
        _INFO,
        lambda n, e: (
            f"{n.id:x} [term {n.term}] transfer leadership to {e.to:x} is in progress, "
            f"ignores request to same node {e.to:x}"
        ),
    ),
    TransferReplaced: (
        _INFO,
        lambda n, e: f"{n.id:x} [term {n.term}] abort previous transferring leadership to {e.to:x}",
    ),
    TransferIgnored: (_DEBUG, _transfer_ignored),
    TransferHasNoLeader: (
        _INFO,
        lambda n, _: f"{n.id:x} no leader at term {n.term}; dropping leader transfer msg",
    ),
    TimeoutNowReceived: (
        _INFO,
        lambda n, e: (
            f"{n.id:x} [term {n.term}] received MsgTimeoutNow from {e.from_:x} "
            "and starts an election to get leadership."
        ),
    ),
    TimeoutNowIgnored: (
        _DEBUG,
        lambda n, e: f"{n.id:x} [term {n.term} state {n.role.value}] ignored MsgTimeoutNow from {e.from_:x}",
    ),
    # proposals and reads
    ProposalHasNoLeader: (_INFO, lambda n, _: f"{n.id:x} no leader at term {n.term}; dropping proposal"),
    ProposalNotForwarded: (
        _INFO,
        lambda n, _: f"{n.id:x} not forwarding to leader {n.leader:x} at term {n.term}; dropping proposal",
    ),
    ProposalDuringTransfer: (
        _DEBUG,
        lambda n, _: (
            f"{n.id:x} [term {n.term}] transfer leadership to {n.lead_transferee:x} is in progress; dropping proposal"
        ),
    ),
    UncommittedLimitReached: (
        _WARN,
        lambda n, _: (
            f"{n.id:x} appending new entries to log would exceed uncommitted entry size limit; dropping proposal"
        ),
    ),
    ReadHasNoLeader: (_INFO, lambda n, _: f"{n.id:x} no leader at term {n.term}; dropping index reading msg"),
    ReadsReleasedEarly: (
        _ERROR,
        lambda _n, _e: "pending MsgReadIndex should be released only after first commit in current term",
    ),
    # configuration
    ConfChangeRefused: (_INFO, _conf_change_refused),
    ConfigSwitched: (_INFO, lambda n, _: f"{n.id:x} switched to configuration {n.tracker.config}"),
    AutoLeaveProposed: (
        _INFO,
        lambda n, _: f"initiating automatic transition out of joint configuration {n.tracker.config}",
    ),
    AutoLeaveFailed: (
        _DEBUG,
        lambda n, _: (
            f"not initiating automatic transition out of joint configuration {n.tracker.config}: "
            + ERROR_TEXTS[ProposalDropped]
        ),
    ),
    # replication
    LogConflictFound: (
        _INFO,
        lambda _, e: (
            f"found conflict at index {e.index} "
            f"[existing term: {e.existing_term}, conflicting term: {e.conflicting_term}]"
        ),
    ),
    UnstableReplaced: (_INFO, lambda _, e: f"replace the unstable entries from index {e.index}"),
    UnstableTruncated: (_INFO, lambda _, e: f"truncate the unstable entries before index {e.index}"),
    AppendRejected: (_DEBUG, _append_rejected),
    AppendRejectionReceived: (_DEBUG, _rejection_received),
    ProgressDecreased: (_DEBUG, lambda n, e: f"{n.id:x} decreased progress of {e.from_:x} to [{e.progress}]"),
    ProgressMissing: (_DEBUG, lambda n, e: f"{n.id:x} no progress available for {e.from_:x}"),
    PeerUnreachable: (
        _DEBUG,
        lambda n, e: f"{n.id:x} failed to send message to {e.from_:x} because it is unreachable [{e.progress}]",
    ),
    # snapshots
    SnapshotSent: (_DEBUG, _snapshot_sent),
    ReplicationPaused: (
        _DEBUG,
        lambda n, e: f"{n.id:x} paused sending replication messages to {e.to:x} [{e.progress}]",
    ),
    SnapshotSkipped: (_DEBUG, _snapshot_skipped),
    ProgressRecovered: (_DEBUG, _recovered),
    SnapshotReported: (_DEBUG, _snapshot_reported),
    SnapshotRestoreStarted: (
        _INFO,
        lambda n, e: f"log [{n.log}] starts to restore snapshot {_position(e.snapshot.meta)}",
    ),
    SnapshotRestored: (_INFO, lambda n, e: f"{_log_end(n)} restored snapshot {_position(e.snapshot.meta)}"),
    SnapshotFastForwarded: (
        _INFO,
        lambda n, e: f"{_log_end(n)} fast-forwarded commit to snapshot {_position(e.snapshot.meta)}",
    ),
    SnapshotHandled: (_INFO, _snapshot_handled),
    SnapshotForeign: (_WARN, _snapshot_foreign),
    SnapshotWhileLeading: (
        _WARN,
        lambda n, _: f"{n.id:x} attempted to restore snapshot as leader; should never happen",
    ),
    # storage acknowledgements
    StaleAppendAck: (_INFO, _stale_append_ack),
    AppendAckUnusable: (_INFO, _ack_unusable),
    AppendAckMismatched: (_INFO, _ack_mismatched),
}
