"""What the core did, as typed events: the one place that replaces a logger.

A tracer gets (node, event) at the moment of the event and must read what it needs at once, since the node goes on
changing. With no tracer an event site costs one `is None` test. `core.logtext` renders events as log lines and
`core.tlatrace` as the NDJSON of etcd-io/raft's trace validation; a simulator or a metric reads them as they are.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, final

from raftly.base.membership import AnyConfChange, ConfState
from raftly.base.types import EntryType, Index, NodeId, Snapshot, Term
from raftly.core.messages import Message, MsgAppResp, VoteRequest
from raftly.core.role import Role
from raftly.core.tracker import Progress

if TYPE_CHECKING:
    from raftly.core.raft import Raft


class TraceEvent:
    """Base of all events."""

    __slots__ = ()


class Tracer(Protocol):
    """Who wants to know. Called synchronously from inside the core: must not call back into it."""

    def on_event(self, node: Raft, event: TraceEvent) -> None:
        """`event` happens now at `node`."""
        ...


@final
class TraceSink:
    """A tracer bound to its node; the log and the unstable log report through it too."""

    __slots__ = ("_node", "_tracer")

    def __init__(self, node: Raft, tracer: Tracer) -> None:
        self._node = node
        self._tracer = tracer

    def emit(self, event: TraceEvent) -> None:
        self._tracer.on_event(self._node, event)


# --- life of a node --------------------------------------------------------------------------------------------


@dataclass(slots=True)
class NodeCreated(TraceEvent):
    """The node has taken up its stored state and is ready to be stepped."""


@dataclass(slots=True)
class RoleChanged(TraceEvent):
    """The node is `role` now. A leader says so after it appended its empty entry."""

    role: Role


@dataclass(slots=True)
class LeaderElected(TraceEvent):
    """The node leads, and has not yet appended its empty entry."""


@dataclass(slots=True)
class ReadyAccepted(TraceEvent):
    """A Ready was handed out."""


# --- elections -------------------------------------------------------------------------------------------------


@dataclass(slots=True)
class CampaignStarted(TraceEvent):
    """An election begins."""


@dataclass(slots=True)
class VoteRequested(TraceEvent):
    """A vote request is about to be queued."""

    request: VoteRequest


@dataclass(slots=True)
class VoteReceived(TraceEvent):
    """A vote answer arrived at a (pre-)candidate and is about to be counted."""

    kind: str
    from_: NodeId
    reject: bool


@dataclass(slots=True)
class VotesTallied(TraceEvent):
    """The count after it."""

    kind: str
    granted: int
    rejected: int


@dataclass(slots=True)
class VoteCast(TraceEvent):
    """A vote is granted; the node's `vote` is still the one before."""

    request: VoteRequest


@dataclass(slots=True)
class VoteRefused(TraceEvent):
    """A vote is refused."""

    request: VoteRequest


@dataclass(slots=True)
class VoteIgnoredInLease(TraceEvent):
    """A vote request came while the leader's lease runs."""

    request: VoteRequest


@dataclass(slots=True)
class HupIgnored(TraceEvent):
    """A leader was told to campaign, or a node whose promise to a leader still stands (`Config.lease_tick`)."""


@dataclass(slots=True)
class Unpromotable(TraceEvent):
    """Not a voter, or a snapshot is pending: cannot campaign. `late`: found out only inside the campaign."""

    late: bool


@dataclass(slots=True)
class CampaignBlocked(TraceEvent):
    """A committed configuration change waits to be applied: cannot campaign."""


@dataclass(slots=True)
class QuorumLost(TraceEvent):
    """A leader did not hear from a quorum for an election time-out."""


@dataclass(slots=True)
class LeaderForgotten(TraceEvent):
    """The node is about to forget its leader."""


@dataclass(slots=True)
class ForgetLeaderRefused(TraceEvent):
    """Lease-based reads forbid forgetting a leader."""


@dataclass(slots=True)
class HigherTermSeen(TraceEvent):
    """A message of a higher term; the node is about to step down to it."""

    message: Message


@dataclass(slots=True)
class LowerTermIgnored(TraceEvent):
    """A message of a lower term had no effect."""

    message: Message


# --- leadership transfer ---------------------------------------------------------------------------------------


@dataclass(slots=True)
class TransferStarted(TraceEvent):
    """Leadership is going to `to`."""

    to: NodeId


@dataclass(slots=True)
class TransferTargetReady(TraceEvent):
    """`to` was told to campaign: at once, or (`caught_up`) after it caught up."""

    to: NodeId
    caught_up: bool


@dataclass(slots=True)
class TransferRepeated(TraceEvent):
    """The same transfer is already under way."""

    to: NodeId


@dataclass(slots=True)
class TransferReplaced(TraceEvent):
    """The transfer to `to` gives way to another."""

    to: NodeId


@dataclass(slots=True)
class TransferIgnored(TraceEvent):
    """The target is a learner, or (`to_self`) this leader."""

    to_self: bool


@dataclass(slots=True)
class TransferHasNoLeader(TraceEvent):
    """A follower without a leader cannot pass the request on."""


@dataclass(slots=True)
class TimeoutNowReceived(TraceEvent):
    """The leader hands over to this node."""

    from_: NodeId


@dataclass(slots=True)
class TimeoutNowIgnored(TraceEvent):
    """It does, but this node campaigns already."""

    from_: NodeId


# --- proposals and reads ---------------------------------------------------------------------------------------


@dataclass(slots=True)
class ProposalHasNoLeader(TraceEvent):
    """A proposal is dropped: no leader is known."""


@dataclass(slots=True)
class ProposalNotForwarded(TraceEvent):
    """A proposal is dropped: forwarding is off."""


@dataclass(slots=True)
class ProposalDuringTransfer(TraceEvent):
    """A proposal is dropped: leadership is on its way to another node."""


@dataclass(slots=True)
class UncommittedLimitReached(TraceEvent):
    """A proposal is dropped: the uncommitted tail is too large."""


@dataclass(slots=True)
class ReadHasNoLeader(TraceEvent):
    """A read request is dropped: no leader is known."""


@dataclass(slots=True)
class EntryReplicated(TraceEvent):
    """A leader is about to append an entry of its own."""

    type: EntryType


@dataclass(slots=True)
class ReadsReleasedEarly(TraceEvent):
    """Waiting reads were released before the first commit of the term: our own bug."""


# --- configuration ---------------------------------------------------------------------------------------------


@dataclass(slots=True)
class ConfChangeAccepted(TraceEvent):
    """A leader is about to append a proposed change."""

    change: AnyConfChange


@dataclass(slots=True)
class ConfChangeRefused(TraceEvent):
    """A proposed change is replaced by an empty entry."""

    change: AnyConfChange
    reason: str


@dataclass(slots=True)
class ConfigSwitching(TraceEvent):
    """The configuration is about to be switched to these incoming voters."""

    voters: tuple[int, ...]


@dataclass(slots=True)
class ConfigSwitched(TraceEvent):
    """A configuration is in force."""


@dataclass(slots=True)
class AutoLeaveProposed(TraceEvent):
    """A leader proposed to leave the joint configuration."""


@dataclass(slots=True)
class AutoLeaveFailed(TraceEvent):
    """It tried to, and the proposal was dropped."""


# --- replication -----------------------------------------------------------------------------------------------


@dataclass(slots=True)
class CommitAttempted(TraceEvent):
    """A leader tried to advance its commit index, whether it moved or not."""


@dataclass(slots=True)
class LogConflictFound(TraceEvent):
    """An append contradicts an entry of the own log."""

    index: Index
    existing_term: Term
    conflicting_term: Term


@dataclass(slots=True)
class UnstableReplaced(TraceEvent):
    """The whole unstable log is replaced from `index`."""

    index: Index


@dataclass(slots=True)
class UnstableTruncated(TraceEvent):
    """The unstable log is cut before `index`."""

    index: Index


@dataclass(slots=True)
class AppendRejected(TraceEvent):
    """An append does not fit behind the own log; `own_term` is the own term there, 0 when unknown."""

    from_: NodeId
    index: Index
    log_term: Term
    own_term: Term


@dataclass(slots=True)
class AppendRejectionReceived(TraceEvent):
    """A leader hears that an append did not fit."""

    answer: MsgAppResp


@dataclass(slots=True)
class ProgressDecreased(TraceEvent):
    """And it was news."""

    from_: NodeId
    progress: Progress


@dataclass(slots=True)
class ProgressMissing(TraceEvent):
    """A message from a node that this leader does not track."""

    from_: NodeId


@dataclass(slots=True)
class PeerUnreachable(TraceEvent):
    """The transport could not reach a peer."""

    from_: NodeId
    progress: Progress


# --- snapshots -------------------------------------------------------------------------------------------------


@dataclass(slots=True)
class SnapshotSent(TraceEvent):
    """A snapshot is about to be queued; `progress` is still as before."""

    to: NodeId
    snapshot: Snapshot
    progress: Progress


@dataclass(slots=True)
class ReplicationPaused(TraceEvent):
    """The peer gets nothing else until the snapshot was dealt with."""

    to: NodeId
    progress: Progress


@dataclass(slots=True)
class SnapshotSkipped(TraceEvent):
    """No snapshot for a peer: it is silent, or (`not_ready`) the storage has none yet."""

    to: NodeId
    not_ready: bool


@dataclass(slots=True)
class ProgressRecovered(TraceEvent):
    """A peer can be served from the log again; `progress` is still as before."""

    from_: NodeId
    progress: Progress


@dataclass(slots=True)
class SnapshotReported(TraceEvent):
    """The transport's word on a snapshot."""

    from_: NodeId
    failed: bool
    progress: Progress


@dataclass(slots=True)
class SnapshotRestoreStarted(TraceEvent):
    """The log is about to be replaced by a snapshot."""

    snapshot: Snapshot


@dataclass(slots=True)
class SnapshotRestored(TraceEvent):
    """Log and configuration are those of the snapshot."""

    snapshot: Snapshot


@dataclass(slots=True)
class SnapshotFastForwarded(TraceEvent):
    """The log holds what the snapshot covers; only the commit index is about to move."""

    snapshot: Snapshot


@dataclass(slots=True)
class SnapshotHandled(TraceEvent):
    """A snapshot message was dealt with: restored or ignored."""

    snapshot: Snapshot
    restored: bool


@dataclass(slots=True)
class SnapshotForeign(TraceEvent):
    """A snapshot whose membership does not name this node."""

    conf_state: ConfState


@dataclass(slots=True)
class SnapshotWhileLeading(TraceEvent):
    """A snapshot reached a node that is not a follower: our own bug."""


# --- storage acknowledgements ----------------------------------------------------------------------------------


@dataclass(slots=True)
class StaleAppendAck(TraceEvent):
    """The disk acknowledges entries of an older term, which may have been overwritten since."""

    term: Term


@dataclass(slots=True)
class AppendAckUnusable(TraceEvent):
    """The disk acknowledges an entry that the unstable log does not hold, or holds only as a snapshot."""

    index: Index
    matched_snapshot: bool


@dataclass(slots=True)
class AppendAckMismatched(TraceEvent):
    """The disk acknowledges an entry that was overwritten since."""

    index: Index
    term: Term
    own_term: Term


# --- messages --------------------------------------------------------------------------------------------------


@dataclass(slots=True)
class MessageSent(TraceEvent):
    """A message was queued."""

    message: Message


@dataclass(slots=True)
class MessageReceived(TraceEvent):
    """A message is about to be stepped."""

    message: Message
