"""The messages of Raft: one slotted class each, with etcd's names and numbers.

Every class is built as `Cls(to, from_, term, ...)` followed by its own fields in the order of `FIELDS`. A message is
immutable once it was handed to `send`, `step` or a Ready; the entry lists inside are never changed in place.

Sources: etcd-io/raft raftpb/raft.proto (types 0-23), tikv/raft-rs proto/eraftpb.proto (`request_snapshot`, `priority`,
`commit_term`).
"""

from __future__ import annotations

from enum import IntEnum
from typing import ClassVar, Final, final

from raftly.base.types import Entry, Snapshot

APPEND_THREAD: Final = (1 << 64) - 1  # who answers for the log on disk, with asynchronous storage writes
APPLY_THREAD: Final = (1 << 64) - 2  # who answers for the state machine
CAMPAIGN_TRANSFER: Final = b"CampaignTransfer"  # context of a vote request that may break a lease


class MessageType(IntEnum):
    """The numbers that raftpb gives them; eraftpb gives 0-18 the same numbers under longer names."""

    MsgHup = 0
    MsgBeat = 1
    MsgProp = 2
    MsgApp = 3
    MsgAppResp = 4
    MsgVote = 5
    MsgVoteResp = 6
    MsgSnap = 7
    MsgHeartbeat = 8
    MsgHeartbeatResp = 9
    MsgUnreachable = 10
    MsgSnapStatus = 11
    MsgCheckQuorum = 12
    MsgTransferLeader = 13
    MsgTimeoutNow = 14
    MsgReadIndex = 15
    MsgReadIndexResp = 16
    MsgPreVote = 17
    MsgPreVoteResp = 18
    MsgStorageAppend = 19
    MsgStorageAppendResp = 20
    MsgStorageApply = 21
    MsgStorageApplyResp = 22
    MsgForgetLeader = 23


class Message:
    """Base of all messages. `term` is 0 for what is local to a node and for what is only forwarded."""

    __slots__ = ("from_", "term", "to")
    type: ClassVar[MessageType]
    FIELDS: ClassVar[tuple[str, ...]] = ()

    def __init__(self, to: int = 0, from_: int = 0, term: int = 0) -> None:
        self.to = to
        self.from_ = from_
        self.term = term

    def __eq__(self, other: object) -> bool:
        if type(self) is not type(other) or not isinstance(other, Message):
            return False
        names = ("to", "from_", "term", *self.FIELDS)
        return all(getattr(self, name) == getattr(other, name) for name in names)

    def __hash__(self) -> int:
        return hash((self.type, self.to, self.from_, self.term))

    def __repr__(self) -> str:
        own = "".join(f", {name}={getattr(self, name)!r}" for name in self.FIELDS)
        return f"{self.type.name}(to={self.to}, from_={self.from_}, term={self.term}{own})"


# --- local to a node -------------------------------------------------------------------------------------------


@final
class MsgHup(Message):
    """The election time-out: campaign."""

    __slots__ = ()
    type: ClassVar[MessageType] = MessageType.MsgHup


@final
class MsgBeat(Message):
    """The heartbeat time-out of a leader."""

    __slots__ = ()
    type: ClassVar[MessageType] = MessageType.MsgBeat


@final
class MsgCheckQuorum(Message):
    """The election time-out of a leader: does it still hear from a quorum?"""

    __slots__ = ()
    type: ClassVar[MessageType] = MessageType.MsgCheckQuorum


@final
class MsgForgetLeader(Message):
    """Forget who leads, so that another candidate may be granted a vote without waiting."""

    __slots__ = ()
    type: ClassVar[MessageType] = MessageType.MsgForgetLeader


@final
class MsgUnreachable(Message):
    """The transport could not reach `from_`."""

    __slots__ = ()
    type: ClassVar[MessageType] = MessageType.MsgUnreachable


@final
class MsgSnapStatus(Message):
    """The transport's word on the snapshot sent to `from_`; `reject` when it failed."""

    __slots__ = ("reject",)
    type: ClassVar[MessageType] = MessageType.MsgSnapStatus
    FIELDS: ClassVar[tuple[str, ...]] = ("reject",)

    def __init__(self, to: int = 0, from_: int = 0, term: int = 0, reject: bool = False) -> None:
        self.to = to
        self.from_ = from_
        self.term = term
        self.reject = reject


@final
class MsgStorageAppend(Message):
    """To the append thread: make these durable, then deliver `responses`. term, vote, commit: 0 when unchanged."""

    __slots__ = ("commit", "entries", "responses", "snapshot", "vote")
    type: ClassVar[MessageType] = MessageType.MsgStorageAppend
    FIELDS: ClassVar[tuple[str, ...]] = ("vote", "commit", "entries", "snapshot", "responses")

    def __init__(
        self,
        to: int,
        from_: int,
        term: int,
        vote: int,
        commit: int,
        entries: list[Entry],
        snapshot: Snapshot | None,
        responses: list[Message],
    ) -> None:
        self.to = to
        self.from_ = from_
        self.term = term
        self.vote = vote
        self.commit = commit
        self.entries = entries
        self.snapshot = snapshot
        self.responses = responses


@final
class MsgStorageAppendResp(Message):
    """From the append thread: the log is durable up to (log_term, index); `snapshot` too, when there is one."""

    __slots__ = ("index", "log_term", "snapshot")
    type: ClassVar[MessageType] = MessageType.MsgStorageAppendResp
    FIELDS: ClassVar[tuple[str, ...]] = ("log_term", "index", "snapshot")

    def __init__(
        self, to: int, from_: int, term: int, log_term: int = 0, index: int = 0, snapshot: Snapshot | None = None
    ) -> None:
        self.to = to
        self.from_ = from_
        self.term = term
        self.log_term = log_term
        self.index = index
        self.snapshot = snapshot


@final
class MsgStorageApply(Message):
    """To the apply thread: apply these committed entries, then deliver `responses`."""

    __slots__ = ("entries", "responses")
    type: ClassVar[MessageType] = MessageType.MsgStorageApply
    FIELDS: ClassVar[tuple[str, ...]] = ("entries", "responses")

    def __init__(self, to: int, from_: int, term: int, entries: list[Entry], responses: list[Message]) -> None:
        self.to = to
        self.from_ = from_
        self.term = term
        self.entries = entries
        self.responses = responses


@final
class MsgStorageApplyResp(Message):
    """From the apply thread: these entries were applied."""

    __slots__ = ("entries",)
    type: ClassVar[MessageType] = MessageType.MsgStorageApplyResp
    FIELDS: ClassVar[tuple[str, ...]] = ("entries",)

    def __init__(self, to: int, from_: int, term: int, entries: list[Entry]) -> None:
        self.to = to
        self.from_ = from_
        self.term = term
        self.entries = entries


# --- requests that travel to the leader ------------------------------------------------------------------------


@final
class MsgProp(Message):
    """Append these entries. Carries no term: it is local, or forwarded to the leader."""

    __slots__ = ("entries",)
    type: ClassVar[MessageType] = MessageType.MsgProp
    FIELDS: ClassVar[tuple[str, ...]] = ("entries",)

    def __init__(self, to: int, from_: int, term: int, entries: list[Entry]) -> None:
        self.to = to
        self.from_ = from_
        self.term = term
        self.entries = entries


@final
class MsgReadIndex(Message):
    """What index must be applied before a read is linearizable? `context` comes back with the answer."""

    __slots__ = ("context",)
    type: ClassVar[MessageType] = MessageType.MsgReadIndex
    FIELDS: ClassVar[tuple[str, ...]] = ("context",)

    def __init__(self, to: int = 0, from_: int = 0, term: int = 0, context: bytes = b"") -> None:
        self.to = to
        self.from_ = from_
        self.term = term
        self.context = context


@final
class MsgReadIndexResp(Message):
    """The answer: reads with this `context` are linearizable once `index` is applied."""

    __slots__ = ("context", "index")
    type: ClassVar[MessageType] = MessageType.MsgReadIndexResp
    FIELDS: ClassVar[tuple[str, ...]] = ("index", "context")

    def __init__(self, to: int, from_: int, term: int, index: int, context: bytes = b"") -> None:
        self.to = to
        self.from_ = from_
        self.term = term
        self.index = index
        self.context = context


@final
class MsgTransferLeader(Message):
    """Hand leadership over to `from_`."""

    __slots__ = ()
    type: ClassVar[MessageType] = MessageType.MsgTransferLeader


# --- between peers: replication --------------------------------------------------------------------------------


@final
class MsgApp(Message):
    """Append `entries` behind the entry (log_term, index); `commit` is the leader's commit index."""

    __slots__ = ("commit", "entries", "index", "log_term")
    type: ClassVar[MessageType] = MessageType.MsgApp
    FIELDS: ClassVar[tuple[str, ...]] = ("log_term", "index", "entries", "commit")

    def __init__(
        self, to: int, from_: int, term: int, log_term: int, index: int, entries: list[Entry], commit: int
    ) -> None:
        self.to = to
        self.from_ = from_
        self.term = term
        self.log_term = log_term
        self.index = index
        self.entries = entries
        self.commit = commit


@final
class MsgAppResp(Message):
    """The log matches up to `index`; or, rejected, it does not contain the entry at `index` that was named.

    A rejection guesses with (reject_hint, log_term) where the logs may still match. `commit` and `request_snapshot`
    are raft-rs's: the follower's commit index, and the index it wants a snapshot of (0: none).
    """

    __slots__ = ("commit", "index", "log_term", "reject", "reject_hint", "request_snapshot")
    type: ClassVar[MessageType] = MessageType.MsgAppResp
    FIELDS: ClassVar[tuple[str, ...]] = ("index", "reject", "reject_hint", "log_term", "commit", "request_snapshot")

    def __init__(
        self,
        to: int,
        from_: int,
        term: int,
        index: int = 0,
        reject: bool = False,
        reject_hint: int = 0,
        log_term: int = 0,
        commit: int = 0,
        request_snapshot: int = 0,
    ) -> None:
        self.to = to
        self.from_ = from_
        self.term = term
        self.index = index
        self.reject = reject
        self.reject_hint = reject_hint
        self.log_term = log_term
        self.commit = commit
        self.request_snapshot = request_snapshot


@final
class MsgSnap(Message):
    """Replace the log by `snapshot`."""

    __slots__ = ("snapshot",)
    type: ClassVar[MessageType] = MessageType.MsgSnap
    FIELDS: ClassVar[tuple[str, ...]] = ("snapshot",)

    def __init__(self, to: int, from_: int, term: int, snapshot: Snapshot) -> None:
        self.to = to
        self.from_ = from_
        self.term = term
        self.snapshot = snapshot


@final
class MsgHeartbeat(Message):
    """The leader is alive; `commit` never exceeds what the peer is known to hold. `context` confirms reads."""

    __slots__ = ("commit", "context")
    type: ClassVar[MessageType] = MessageType.MsgHeartbeat
    FIELDS: ClassVar[tuple[str, ...]] = ("commit", "context")

    def __init__(self, to: int, from_: int, term: int, commit: int = 0, context: bytes = b"") -> None:
        self.to = to
        self.from_ = from_
        self.term = term
        self.commit = commit
        self.context = context


@final
class MsgHeartbeatResp(Message):
    """Heard, with the same `context`. `commit` is raft-rs's: the follower's commit index."""

    __slots__ = ("commit", "context")
    type: ClassVar[MessageType] = MessageType.MsgHeartbeatResp
    FIELDS: ClassVar[tuple[str, ...]] = ("context", "commit")

    def __init__(self, to: int, from_: int, term: int, context: bytes = b"", commit: int = 0) -> None:
        self.to = to
        self.from_ = from_
        self.term = term
        self.context = context
        self.commit = commit


# --- between peers: elections ----------------------------------------------------------------------------------


class VoteRequest(Message):
    """What both kinds of vote request carry: the candidate's last entry, and raft-rs's priority and commit point.

    `context` is `CAMPAIGN_TRANSFER` when the leader itself asked for this election.
    """

    __slots__ = ("commit", "commit_term", "context", "index", "log_term", "priority")
    FIELDS: ClassVar[tuple[str, ...]] = ("log_term", "index", "context", "commit", "commit_term", "priority")

    def __init__(
        self,
        to: int,
        from_: int,
        term: int,
        log_term: int = 0,
        index: int = 0,
        context: bytes = b"",
        commit: int = 0,
        commit_term: int = 0,
        priority: int = 0,
    ) -> None:
        self.to = to
        self.from_ = from_
        self.term = term
        self.log_term = log_term
        self.index = index
        self.context = context
        self.commit = commit
        self.commit_term = commit_term
        self.priority = priority


@final
class MsgVote(VoteRequest):
    """Vote for me in this term."""

    __slots__ = ()
    type: ClassVar[MessageType] = MessageType.MsgVote


@final
class MsgPreVote(VoteRequest):
    """Would you vote for me in this, the next, term?"""

    __slots__ = ()
    type: ClassVar[MessageType] = MessageType.MsgPreVote


class VoteResponse(Message):
    """What both kinds of vote answer carry; commit and commit_term are raft-rs's, sent with a refusal."""

    __slots__ = ("commit", "commit_term", "reject")
    FIELDS: ClassVar[tuple[str, ...]] = ("reject", "commit", "commit_term")

    def __init__(
        self, to: int, from_: int, term: int, reject: bool = False, commit: int = 0, commit_term: int = 0
    ) -> None:
        self.to = to
        self.from_ = from_
        self.term = term
        self.reject = reject
        self.commit = commit
        self.commit_term = commit_term


@final
class MsgVoteResp(VoteResponse):
    """The vote, or its refusal."""

    __slots__ = ()
    type: ClassVar[MessageType] = MessageType.MsgVoteResp


@final
class MsgPreVoteResp(VoteResponse):
    """The pre-vote, or its refusal."""

    __slots__ = ()
    type: ClassVar[MessageType] = MessageType.MsgPreVoteResp


@final
class MsgTimeoutNow(Message):
    """Campaign at once, without pre-vote: the leader hands over."""

    __slots__ = ()
    type: ClassVar[MessageType] = MessageType.MsgTimeoutNow


# --- all of them -----------------------------------------------------------------------------------------------

MESSAGE_CLASSES: Final[tuple[type[Message], ...]] = (
    MsgHup,
    MsgBeat,
    MsgProp,
    MsgApp,
    MsgAppResp,
    MsgVote,
    MsgVoteResp,
    MsgSnap,
    MsgHeartbeat,
    MsgHeartbeatResp,
    MsgUnreachable,
    MsgSnapStatus,
    MsgCheckQuorum,
    MsgTransferLeader,
    MsgTimeoutNow,
    MsgReadIndex,
    MsgReadIndexResp,
    MsgPreVote,
    MsgPreVoteResp,
    MsgStorageAppend,
    MsgStorageAppendResp,
    MsgStorageApply,
    MsgStorageApplyResp,
    MsgForgetLeader,
)  # the position is the number

LOCAL_MESSAGES: Final[frozenset[type[Message]]] = frozenset(
    {
        MsgHup,
        MsgBeat,
        MsgUnreachable,
        MsgSnapStatus,
        MsgCheckQuorum,
        MsgStorageAppend,
        MsgStorageAppendResp,
        MsgStorageApply,
        MsgStorageApplyResp,
    }
)  # never accepted from outside

RESPONSE_MESSAGES: Final[frozenset[type[Message]]] = frozenset(
    {
        MsgAppResp,
        MsgVoteResp,
        MsgHeartbeatResp,
        MsgUnreachable,
        MsgReadIndexResp,
        MsgPreVoteResp,
        MsgStorageAppendResp,
        MsgStorageApplyResp,
    }
)  # accepted only from a tracked peer


def is_storage_thread(node_id: int) -> bool:
    """Is this id one of the two that answer for local storage?"""
    return node_id in (APPEND_THREAD, APPLY_THREAD)
