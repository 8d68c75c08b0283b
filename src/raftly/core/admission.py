"""What may enter the core from outside: every message is looked at before it can change anything.

A message that no correct peer sends is refused whole with a PeerError; etcd's core panics on most of these. Whether the
sender is who it says it is, only the transport can tell: the core trusts `from_`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final, NoReturn

from raftly.base.limits import PAYLOAD_BYTES_MAX, TERM_MAX
from raftly.base.types import NO_NODE, Entry, EntryType
from raftly.core import confchange
from raftly.core.messages import (
    APPLY_THREAD,
    Message,
    MsgApp,
    MsgAppResp,
    MsgBeat,
    MsgCheckQuorum,
    MsgHeartbeat,
    MsgHeartbeatResp,
    MsgHup,
    MsgPreVote,
    MsgPreVoteResp,
    MsgProp,
    MsgReadIndexResp,
    MsgSnap,
    MsgSnapStatus,
    MsgStorageAppend,
    MsgStorageAppendResp,
    MsgStorageApply,
    MsgStorageApplyResp,
    MsgTimeoutNow,
    MsgUnreachable,
    MsgVote,
    MsgVoteResp,
    VoteRequest,
    is_storage_thread,
)
from raftly.core.proposals import decode_change
from raftly.core.role import Role
from raftly.errors import ConfChangeError, DamagedMessage, DecodeError, LimitExceeded, PeerNotFound, StepLocalMessage

if TYPE_CHECKING:
    from raftly.core.raft import Raft


def admit(raft: Raft, message: Message) -> None:
    """Refuse a message that would do damage; anything that passes may be stepped.

    Raises:
        StepLocalMessage: only the node itself raises such messages.
        PeerNotFound: a response from a node that is not a member.
        DamagedMessage: no correct peer sends this.
        LimitExceeded: a proposal larger than a payload may be.
    """
    if message.term > TERM_MAX:
        _refuse(message, f"term {message.term} is beyond any that a group can reach")
    if message.to != raft.id and message.to != NO_NODE:
        _refuse(message, f"it is addressed to node {message.to}, this is node {raft.id}")
    check = _CHECKS.get(type(message))
    if check is not None:
        check(raft, message)


def _refuse(message: Message, problem: str) -> NoReturn:
    raise DamagedMessage(message.type.name, message.from_, problem)


def _check_local(_: Raft, message: Message) -> None:
    raise StepLocalMessage(message.type.name)


def _check_storage_answer(_: Raft, message: Message) -> None:
    if not is_storage_thread(message.from_):
        raise StepLocalMessage(message.type.name)


def _check_response(raft: Raft, message: Message) -> None:
    if message.from_ not in raft.tracker.progress:
        raise PeerNotFound(message.from_)


def _check_peer(raft: Raft, message: Message) -> None:
    """A request that only another member sends, and only in a term."""
    if message.from_ == raft.id:
        _refuse(message, "it claims to come from this node itself")
    if message.from_ == NO_NODE or is_storage_thread(message.from_):
        _refuse(message, "it names no sender")
    if message.term == 0:
        _refuse(message, "it carries no term")


def _check_app(raft: Raft, message: MsgApp) -> None:
    if message.term == 0 or message.from_ == raft.id or not NO_NODE < message.from_ < APPLY_THREAD:
        _check_peer(raft, message)
    index = message.index
    if index + len(message.entries) > TERM_MAX:
        _refuse(message, f"index {index} is beyond any that a log can reach")
    term = message.log_term or 1  # no entry is of term 0
    for entry in message.entries:
        index += 1
        if entry.index != index:
            _refuse(message, f"entry {entry.index} stands where entry {index} belongs")
        if entry.term != term:
            if entry.term < term:
                _refuse(message, f"the term falls from {term} to {entry.term} at entry {index}")
            term = entry.term
    if term > message.term:
        _refuse(message, f"it names an entry of term {term}, later than its own {message.term}")
    if message.index < raft.log.committed and message.term >= raft.term:
        _check_committed(raft, message)


def _check_committed(raft: Raft, message: MsgApp) -> None:
    """What is committed here no leader of this or a later term can contradict (thesis §3.6.3)."""
    log = raft.log
    for entry in message.entries:
        if entry.index > log.committed:
            break
        own_term = log.term_or_none(entry.index)
        if own_term is not None and own_term != entry.term:
            _refuse(message, f"entry {entry.index} of term {entry.term} contradicts a committed one of term {own_term}")


def _check_heartbeat(raft: Raft, message: MsgHeartbeat) -> None:
    _check_peer(raft, message)
    if message.commit > raft.log.last_index and message.term >= raft.term:
        # As when this node lost its log, or another lives under its id.
        _refuse(message, f"it commits entry {message.commit}, this log ends at {raft.log.last_index}")


def _check_snap(raft: Raft, message: MsgSnap) -> None:
    _check_peer(raft, message)
    meta = message.snapshot.meta
    if meta.index > TERM_MAX:
        _refuse(message, f"index {meta.index} is beyond any that a log can reach")
    if meta.term > message.term:
        _refuse(message, f"its snapshot is of term {meta.term}, later than its own {message.term}")
    if meta.term == 0 and meta.index != 0:
        _refuse(message, f"its snapshot at index {meta.index} is of no term")
    if meta.index < raft.log.committed or (meta.index == raft.log.committed and not raft.pending_request_snapshot):
        return
    try:
        confchange.restore(1, 0, meta.conf_state, meta.index)
    except ConfChangeError as error:
        _refuse(message, f"the membership of its snapshot is impossible: {error}")


def _check_app_resp(raft: Raft, message: MsgAppResp) -> None:
    if message.from_ not in raft.tracker.progress:
        raise PeerNotFound(message.from_)
    if (
        message.index > raft.log.last_index
        and not message.reject
        and message.term == raft.term
        and raft.role is Role.LEADER
    ):
        _refuse(message, f"it acknowledges entry {message.index}, this log ends at {raft.log.last_index}")


def _check_heartbeat_resp(raft: Raft, message: MsgHeartbeatResp) -> None:
    _check_response(raft, message)
    context = message.context
    if not context or message.term != raft.term or raft.role is not Role.LEADER:
        return
    if len(context) != 8 or int.from_bytes(context, "little") > raft.read_only.last_position():
        _refuse(message, "it confirms reads that were never asked for")


def _check_vote_request(raft: Raft, message: VoteRequest) -> None:
    _check_peer(raft, message)
    if message.log_term > message.term or message.index > TERM_MAX:
        _refuse(message, f"no log ends in entry {message.log_term}/{message.index} at term {message.term}")


def _check_prop(_: Raft, message: MsgProp) -> None:
    if not message.entries:
        _refuse(message, "it carries no entries")
    try:
        check_entries(message.entries)
    except DecodeError as error:
        _refuse(message, f"a configuration change does not decode: {error}")


def check_entries(entries: list[Entry]) -> None:
    """What a proposal must satisfy wherever it comes from.

    Raises:
        LimitExceeded: a payload is too large.
        DecodeError: a configuration change is malformed.
    """
    for entry in entries:
        size = len(entry.data) + len(entry.context)
        if size > PAYLOAD_BYTES_MAX:
            raise LimitExceeded("payload_bytes", size, PAYLOAD_BYTES_MAX)
        if entry.type != EntryType.NORMAL:
            decode_change(entry)


_CHECKS: Final[dict[type[Message], Callable[[Any, Any], None]]] = {
    MsgHup: _check_local,
    MsgBeat: _check_local,
    MsgCheckQuorum: _check_local,
    MsgUnreachable: _check_local,
    MsgSnapStatus: _check_local,
    MsgStorageAppend: _check_local,
    MsgStorageApply: _check_local,
    MsgStorageAppendResp: _check_storage_answer,
    MsgStorageApplyResp: _check_storage_answer,
    MsgProp: _check_prop,
    MsgApp: _check_app,
    MsgAppResp: _check_app_resp,
    MsgHeartbeat: _check_heartbeat,
    MsgHeartbeatResp: _check_heartbeat_resp,
    MsgSnap: _check_snap,
    MsgVote: _check_vote_request,
    MsgPreVote: _check_vote_request,
    MsgVoteResp: _check_response,
    MsgPreVoteResp: _check_response,
    MsgReadIndexResp: _check_response,
    MsgTimeoutNow: _check_peer,
}  # MsgReadIndex, MsgTransferLeader, MsgForgetLeader: anyone may ask
