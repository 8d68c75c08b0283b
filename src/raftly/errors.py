"""Every error that raftly raises on purpose, in one tree.

Callers branch on the type and on its fields, never on the text. Each class says through `retry` what a caller
may sensibly do next, and carries a stable `code` that logs, metrics and documents use.

    RaftlyError
      OutcomeUnknown           may or may not have been applied; never folded into another error
      ProposalError            NotLeader, ProposalDropped, RequestSnapshotDropped, LimitExceeded
      ConfigError              names the option and its bound
      ConfChangeError          a membership change that cannot be applied to this configuration
      PeerError                a remote broke the protocol: StepLocalMessage, PeerNotFound, DamagedMessage, PeerRefused,
                               RequestLost
      TransferFailed           a snapshot did not reach a peer
      DecodeError              bytes that are not what they claim to be
      LogError                 Compacted, Unavailable, SnapshotOutOfDate, SnapshotNotReady, LogNotReady
      StorageError             Corruption, DiskFull, SyncFailed, DirectoryInUse

Packages hang errors of their own below these: `rpc` has RpcError, `node` SessionExpired and others.

A broken invariant of our own is none of these: it is an `InvariantError`, an assertion, and the group must stop.
"""

from __future__ import annotations

from enum import Enum
from typing import ClassVar, Final

__all__ = [
    "Compacted",
    "ConfChangeError",
    "ConfigError",
    "Corruption",
    "DamagedMessage",
    "DecodeError",
    "DirectoryInUse",
    "DiskFull",
    "DropReason",
    "InvariantError",
    "LimitExceeded",
    "LogError",
    "LogNotReady",
    "NotLeader",
    "OutcomeUnknown",
    "PeerError",
    "PeerNotFound",
    "PeerRefused",
    "ProposalDropped",
    "ProposalError",
    "RaftlyError",
    "RequestLost",
    "RequestSnapshotDropped",
    "Retry",
    "SnapshotNotReady",
    "SnapshotOutOfDate",
    "StepLocalMessage",
    "StorageError",
    "SyncFailed",
    "TransferFailed",
    "Unavailable",
]


class Retry(Enum):
    """What a caller may do after an error."""

    NEVER = "never"  # the same request would fail again
    SAME_PLACE = "same place"  # the same node will answer a little later
    REFRESH_ROUTE = "refresh route"  # another node or region answers; look it up first
    BACKOFF = "backoff"  # overloaded or between leaders; wait, then retry
    NEW_TXN = "new transaction"  # start over with a new timestamp


class RaftlyError(Exception):
    """Base of all deliberate errors. `retry` says what next, `code` is stable across releases."""

    code: ClassVar[str] = "raftly"
    retry: ClassVar[Retry] = Retry.NEVER
    sentence: ClassVar[str] = "raftly refused the request"  # what it says when raised without words of its own

    def __str__(self) -> str:
        return super().__str__() or self.sentence

    def __eq__(self, other: object) -> bool:
        """Equal in kind and in everything they say; where they were raised does not count."""
        return isinstance(other, RaftlyError) and type(self) is type(other) and self.args == other.args

    def __hash__(self) -> int:
        return hash((type(self), self.args))


class InvariantError(AssertionError):
    """A rule that raftly itself must keep was broken: a bug here or in the storage handed in, never bad input.

    The state of the group can no longer be trusted; stop it and recover from disk.
    """


class OutcomeUnknown(RaftlyError):
    """The request was sent, then the leader, the link or the time was lost: it may or may not have been applied."""

    code: ClassVar[str] = "outcome_unknown"
    sentence: ClassVar[str] = "the request was sent, then its outcome was lost: it may or may not have been applied"
    retry: ClassVar[Retry] = Retry.BACKOFF


# --- proposals -------------------------------------------------------------------------------------------------


class ProposalError(RaftlyError):
    """A local request (proposal, membership change, read) that did not enter the log."""

    code: ClassVar[str] = "proposal"


class NotLeader(ProposalError):
    """This node does not lead. `leader_id` is the node to ask, 0 when none is known."""

    code: ClassVar[str] = "not_leader"
    retry: ClassVar[Retry] = Retry.REFRESH_ROUTE

    def __init__(self, leader_id: int = 0) -> None:
        super().__init__(leader_id)
        self.leader_id: Final = leader_id

    def __str__(self) -> str:
        if self.leader_id == 0:
            return "this node is not the leader, and no leader is known"
        return f"this node is not the leader; node {self.leader_id} is"


class DropReason(Enum):
    """Why a proposal was dropped."""

    NO_LEADER = "no leader is known"
    FORWARDING_DISABLED = "this node follows and does not forward proposals"
    NOT_A_MEMBER = "this leader is no longer a member of the group"
    TRANSFERRING = "leadership is being transferred"
    UNCOMMITTED_LIMIT = "the uncommitted tail of the log is at its size limit"


class ProposalDropped(ProposalError):
    """The proposal was not appended and never will be; it is safe to propose it again. etcd: ErrProposalDropped."""

    code: ClassVar[str] = "proposal_dropped"
    retry: ClassVar[Retry] = Retry.BACKOFF

    def __init__(self, reason: DropReason) -> None:
        super().__init__(reason)
        self.reason: Final = reason

    def __str__(self) -> str:
        return f"proposal dropped: {self.reason.value}"


class RequestSnapshotDropped(ProposalError):
    """A follower may not ask for a snapshot now: `reason` says why. raft-rs: RequestSnapshotDropped."""

    code: ClassVar[str] = "request_snapshot_dropped"
    retry: ClassVar[Retry] = Retry.BACKOFF

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason: Final = reason

    def __str__(self) -> str:
        return f"snapshot request dropped: {self.reason}"


class LimitExceeded(ProposalError):
    """Something is larger than a stated limit. `limit` names it, `value` and `bound` are in the limit's own unit."""

    code: ClassVar[str] = "limit_exceeded"

    def __init__(self, limit: str, value: int, bound: int) -> None:
        super().__init__(limit, value, bound)
        self.limit: Final = limit
        self.value: Final = value
        self.bound: Final = bound

    def __str__(self) -> str:
        return f"{self.limit} is {self.value}, the limit is {self.bound}"


# --- configuration ---------------------------------------------------------------------------------------------


class ConfigError(RaftlyError):
    """An option, or a relation between options, is wrong. `option` names it, `problem` says the bound."""

    code: ClassVar[str] = "config"

    def __init__(self, option: str, problem: str) -> None:
        super().__init__(option, problem)
        self.option: Final = option
        self.problem: Final = problem

    def __str__(self) -> str:
        return f"{self.option} {self.problem}"


class ConfChangeError(RaftlyError):
    """A membership change that this configuration does not allow; the configuration is as it was."""

    code: ClassVar[str] = "conf_change"

    def __init__(self, problem: str) -> None:
        super().__init__(problem)
        self.problem: Final = problem

    def __str__(self) -> str:
        return self.problem


# --- peers -----------------------------------------------------------------------------------------------------


class PeerError(RaftlyError):
    """A remote broke the protocol. Count it, drop the message, stay up; nothing was changed by it."""

    code: ClassVar[str] = "peer"


class StepLocalMessage(PeerError):
    """A message type that only the node itself may raise came from outside. etcd: ErrStepLocalMsg."""

    code: ClassVar[str] = "step_local_message"

    def __init__(self, message_type: str) -> None:
        super().__init__(message_type)
        self.message_type: Final = message_type

    def __str__(self) -> str:
        return f"{self.message_type} is local to a node and is not accepted from outside"


class PeerNotFound(PeerError):
    """A response came from a node that this node does not track. etcd: ErrStepPeerNotFound."""

    code: ClassVar[str] = "peer_not_found"

    def __init__(self, peer_id: int) -> None:
        super().__init__(peer_id)
        self.peer_id: Final = peer_id

    def __str__(self) -> str:
        return f"node {self.peer_id} is not a member of this group"


class DamagedMessage(PeerError):
    """A message that no correct peer sends: it would break the log or the term order. It was refused whole."""

    code: ClassVar[str] = "damaged_message"

    def __init__(self, message_type: str, from_: int, problem: str) -> None:
        super().__init__(message_type, from_, problem)
        self.message_type: Final = message_type
        self.from_: Final = from_
        self.problem: Final = problem

    def __str__(self) -> str:
        return f"refused {self.message_type} from node {self.from_}: {self.problem}"


class PeerRefused(PeerError):
    """Two nodes do not go together: `reason` is a stable name, `problem` a sentence about what to correct."""

    code: ClassVar[str] = "peer_refused"

    def __init__(self, node_id: int, reason: str, problem: str) -> None:
        super().__init__(node_id, reason, problem)
        self.node_id: Final = node_id
        self.reason: Final = reason
        self.problem: Final = problem

    def __str__(self) -> str:
        return f"no connection with node {self.node_id} ({self.reason}): {self.problem}"


class TransferFailed(RaftlyError):
    """A snapshot did not reach `node_id`, or did not come from it whole; another attempt may go on where it broke."""

    code: ClassVar[str] = "transfer_failed"
    retry: ClassVar[Retry] = Retry.BACKOFF

    def __init__(self, node_id: int, problem: str) -> None:
        super().__init__(node_id, problem)
        self.node_id: Final = node_id
        self.problem: Final = problem

    def __str__(self) -> str:
        return f"snapshot and node {self.node_id}: {self.problem}"


class RequestLost(PeerError):
    """A connection broke before the response came. `sent`: the request may have arrived, and been carried out."""

    code: ClassVar[str] = "request_lost"
    retry: ClassVar[Retry] = Retry.REFRESH_ROUTE

    def __init__(self, problem: str, *, sent: bool) -> None:
        super().__init__(problem, sent)
        self.problem: Final = problem
        self.sent: Final = sent

    def __str__(self) -> str:
        return f"no response to a request that was {'' if self.sent else 'not '}sent: {self.problem}"


class DecodeError(RaftlyError):
    """Bytes that do not decode. `what` names the form, `offset` is where it went wrong."""

    code: ClassVar[str] = "decode"

    def __init__(self, what: str, offset: int, problem: str) -> None:
        super().__init__(what, offset, problem)
        self.what: Final = what
        self.offset: Final = offset
        self.problem: Final = problem

    def __str__(self) -> str:
        return f"{self.what} at byte {self.offset}: {self.problem}"


# --- the log ---------------------------------------------------------------------------------------------------


class LogError(RaftlyError):
    """The log cannot give what was asked."""

    code: ClassVar[str] = "log"


class Compacted(LogError):
    """The index lies before the first one kept; a snapshot covers it. etcd: ErrCompacted."""

    code: ClassVar[str] = "compacted"
    sentence: ClassVar[str] = "the index lies before the first one kept; a snapshot covers it"


class Unavailable(LogError):
    """The index lies beyond the last one. etcd: ErrUnavailable."""

    code: ClassVar[str] = "unavailable"
    sentence: ClassVar[str] = "the index lies beyond the last entry"


class SnapshotOutOfDate(LogError):
    """The snapshot is older than the one already stored. etcd: ErrSnapOutOfDate."""

    code: ClassVar[str] = "snapshot_out_of_date"
    sentence: ClassVar[str] = "the snapshot is older than the one already stored"


class SnapshotNotReady(LogError):
    """The snapshot is being made; ask again. etcd: ErrSnapshotTemporarilyUnavailable."""

    code: ClassVar[str] = "snapshot_not_ready"
    sentence: ClassVar[str] = "the snapshot is being made; ask again"
    retry: ClassVar[Retry] = Retry.BACKOFF


class LogNotReady(LogError):
    """The entries are being read; `RawNode.on_entries_fetched` resumes. raft-rs: LogTemporarilyUnavailable."""

    code: ClassVar[str] = "log_not_ready"
    sentence: ClassVar[str] = "the entries are being read; the application is told when they are there"
    retry: ClassVar[Retry] = Retry.BACKOFF


# --- storage ---------------------------------------------------------------------------------------------------


class StorageError(RaftlyError):
    """What must survive a crash could not be read or written."""

    code: ClassVar[str] = "storage"


class Corruption(StorageError):
    """Damage to data that had been made durable. Nothing was skipped; repair it from peers."""

    code: ClassVar[str] = "corruption"

    def __init__(self, path: str, offset: int, problem: str) -> None:
        super().__init__(path, offset, problem)
        self.path: Final = path
        self.offset: Final = offset
        self.problem: Final = problem

    def __str__(self) -> str:
        return f"{self.path} is damaged at byte {self.offset}: {self.problem}"


class DiskFull(StorageError):
    """No space left. Nothing was acknowledged that is not on disk; reads go on."""

    code: ClassVar[str] = "disk_full"
    sentence: ClassVar[str] = "no space is left on the disk"
    retry: ClassVar[Retry] = Retry.BACKOFF


class SyncFailed(StorageError):
    """A sync failed, so what it covered may be lost. Never retried: stop, and recover from disk."""

    code: ClassVar[str] = "sync_failed"
    sentence: ClassVar[str] = "a sync failed, so what it covered may be lost"


class DirectoryInUse(StorageError):
    """Another process works in this directory; two would destroy each other's log."""

    code: ClassVar[str] = "directory_in_use"
    sentence: ClassVar[str] = "another process works in this directory"


class DirectoryCopied(StorageError):
    """A data directory is a copy of another one. Two nodes with one identity could vote twice and part the group."""

    code: ClassVar[str] = "directory_copied"

    def __init__(self, node_id: int) -> None:
        super().__init__(node_id)
        self.node_id: Final = node_id

    def __str__(self) -> str:
        return (
            f"this data directory is a copy of that of node {self.node_id}. If it was moved here, and the other one is "
            "gone for good and was not used since, start once with moved=True; otherwise delete it, and add a node "
            "with an id of its own"
        )
