"""Who handles what: for every role, every message has a named answer.

`ignore` is for messages that mean nothing in a role (a vote that comes too late); `reject` for messages that the core
only sends and never receives. Term rules come before these tables (`election.settle_term`), and what comes from outside
has passed `admission` before that.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from raftly.core import acks, election, following, proposals, readindex, replication
from raftly.core.messages import (
    Message,
    MsgApp,
    MsgAppResp,
    MsgBeat,
    MsgCheckQuorum,
    MsgForgetLeader,
    MsgHeartbeat,
    MsgHeartbeatResp,
    MsgHup,
    MsgPreVote,
    MsgPreVoteResp,
    MsgProp,
    MsgReadIndex,
    MsgReadIndexResp,
    MsgSnap,
    MsgSnapStatus,
    MsgStorageAppend,
    MsgStorageAppendResp,
    MsgStorageApply,
    MsgStorageApplyResp,
    MsgTimeoutNow,
    MsgTransferLeader,
    MsgUnreachable,
    MsgVote,
    MsgVoteResp,
)
from raftly.core.role import Role
from raftly.core.trace import ProgressMissing
from raftly.errors import InvariantError

if TYPE_CHECKING:
    from raftly.core.raft import Raft

Handler: TypeAlias = Callable[[Any, Any], None]  # (raft, message); the tables pair each with its own class


def ignore(raft: Raft, message: Message) -> None:
    """Means nothing to this role."""


def ignore_peer(raft: Raft, message: Message) -> None:
    """Means nothing to a leader, who still notes a sender that it does not track."""
    if message.from_ not in raft.tracker.progress and raft.trace is not None:
        raft.trace.emit(ProgressMissing(message.from_))


def reject(raft: Raft, message: Message) -> None:
    """Never stepped: the core sends it to a storage thread."""
    raise InvariantError(f"{message.type.name} was stepped into node {raft.id:x}")


_ALWAYS: Final[dict[type[Message], Handler]] = {
    MsgVote: election.on_vote_request,
    MsgPreVote: election.on_vote_request,
    MsgStorageAppendResp: acks.on_storage_append_resp,
    MsgStorageApplyResp: acks.on_storage_apply_resp,
    MsgStorageAppend: reject,
    MsgStorageApply: reject,
}

_NOT_LEADING: Final[dict[type[Message], Handler]] = {
    **_ALWAYS,
    MsgHup: election.on_hup,
    MsgBeat: ignore,
    MsgCheckQuorum: ignore,
    MsgAppResp: ignore,
    MsgHeartbeatResp: ignore,
    MsgUnreachable: ignore,
    MsgSnapStatus: ignore,
}

_CAMPAIGNING: Final[dict[type[Message], Handler]] = {
    **_NOT_LEADING,
    MsgProp: proposals.on_prop_candidate,
    MsgApp: following.on_app_candidate,
    MsgHeartbeat: following.on_heartbeat_candidate,
    MsgSnap: following.on_snap_candidate,
    MsgTimeoutNow: election.on_timeout_now_candidate,
    MsgTransferLeader: ignore,
    MsgForgetLeader: ignore,
    MsgReadIndex: ignore,
    MsgReadIndexResp: ignore,
}

TABLES: Final[dict[Role, dict[type[Message], Handler]]] = {
    Role.FOLLOWER: {
        **_NOT_LEADING,
        MsgProp: proposals.on_prop_follower,
        MsgApp: following.on_app,
        MsgHeartbeat: following.on_heartbeat,
        MsgSnap: following.on_snap,
        MsgTimeoutNow: election.on_timeout_now,
        MsgTransferLeader: election.on_transfer_leader_follower,
        MsgForgetLeader: election.on_forget_leader,
        MsgReadIndex: readindex.on_read_index_follower,
        MsgReadIndexResp: readindex.on_read_index_resp,
        MsgVoteResp: ignore,
        MsgPreVoteResp: ignore,
    },
    Role.PRE_CANDIDATE: {
        **_CAMPAIGNING,
        MsgPreVoteResp: election.on_vote_response,
        MsgVoteResp: ignore,
    },
    Role.CANDIDATE: {
        **_CAMPAIGNING,
        MsgVoteResp: election.on_vote_response,
        MsgPreVoteResp: ignore,
    },
    Role.LEADER: {
        **_ALWAYS,
        MsgHup: election.on_hup_leader,
        MsgBeat: replication.on_beat,
        MsgCheckQuorum: election.on_check_quorum,
        MsgProp: proposals.on_prop,
        MsgApp: ignore_peer,
        MsgAppResp: replication.on_app_resp,
        MsgSnap: ignore_peer,
        MsgHeartbeat: ignore_peer,
        MsgHeartbeatResp: replication.on_heartbeat_resp,
        MsgUnreachable: replication.on_unreachable,
        MsgSnapStatus: replication.on_snap_status,
        MsgTransferLeader: election.on_transfer_leader,
        MsgTimeoutNow: ignore_peer,
        MsgReadIndex: readindex.on_read_index,
        MsgReadIndexResp: ignore_peer,
        MsgVoteResp: ignore_peer,
        MsgPreVoteResp: ignore_peer,
        MsgForgetLeader: ignore,
    },
}
