"""Proposals: what enters a leader's log, what is passed on, and what is refused.

Source: thesis §3.5, §4.1 (one configuration change at a time), §4.3; compare etcd-io/raft raft.go.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from raftly.base.membership import AnyConfChange, decode_conf_change, decode_conf_change_v2
from raftly.base.types import NO_NODE, TYPE_SET, Entry, EntryType
from raftly.core import replication
from raftly.core.messages import MsgProp
from raftly.core.trace import (
    ConfChangeAccepted,
    ConfChangeRefused,
    ProposalDuringTransfer,
    ProposalHasNoLeader,
    ProposalNotForwarded,
)
from raftly.errors import DropReason, ProposalDropped

if TYPE_CHECKING:
    from raftly.core.raft import Raft


def on_prop(raft: Raft, message: MsgProp) -> None:
    """Leader: append. The message may be delivered again or printed later, so its entries are copied."""
    propose(raft, [Entry(0, 0, e.type, e.data, e.context, e.flags) for e in message.entries])


def propose(raft: Raft, entries: list[Entry]) -> None:
    """Leader: append `entries`, which become the log's own, and tell the others.

    Raises:
        ProposalDropped: not a member any more, handing over, or the uncommitted tail is too large.
    """
    _check_leading(raft)
    for position, entry in enumerate(entries):
        if entry.type != EntryType.NORMAL:
            _check_conf_change(raft, entries, position)
    if not raft.append_entries(entries):
        raise ProposalDropped(DropReason.UNCOMMITTED_LIMIT)
    replication.bcast_append(raft)


def propose_payloads(raft: Raft, payloads: Sequence[bytes], context: bytes) -> None:
    """As `propose`, for normal entries with these payloads, all with the same context.

    Raises:
        ProposalDropped: not a member any more, handing over, or the uncommitted tail is too large.
    """
    _check_leading(raft)
    if not raft.append_payloads(payloads, context):
        raise ProposalDropped(DropReason.UNCOMMITTED_LIMIT)
    replication.bcast_append(raft)


def _check_leading(raft: Raft) -> None:
    if raft.id not in raft.tracker.progress:
        raise ProposalDropped(DropReason.NOT_A_MEMBER)
    if raft.lead_transferee != NO_NODE:
        if raft.trace is not None:
            raft.trace.emit(ProposalDuringTransfer())
        raise ProposalDropped(DropReason.TRANSFERRING)


def _check_conf_change(raft: Raft, entries: list[Entry], position: int) -> None:
    """One change at a time: a change that may not be proposed now becomes an empty entry."""
    change = decode_change(entries[position])
    reason = "" if raft.config.disable_conf_change_validation else _refusal(raft, change)
    if reason:
        if raft.trace is not None:
            raft.trace.emit(ConfChangeRefused(change, reason))
        entries[position] = Entry(flags=TYPE_SET)
        return
    raft.pending_conf_index = raft.log.last_index + position + 1
    if raft.trace is not None:
        raft.trace.emit(ConfChangeAccepted(change))


def decode_change(entry: Entry) -> AnyConfChange:
    """The change that a configuration entry carries.

    Raises:
        DecodeError: its payload is malformed.
    """
    if entry.type == EntryType.CONF_CHANGE:
        return decode_conf_change(entry.data)
    return decode_conf_change_v2(entry.data)


def _refusal(raft: Raft, change: AnyConfChange) -> str:
    """Why a change may not be proposed now; empty when it may."""
    joint = raft.tracker.config.is_joint()
    leaves = not change.as_v2().changes
    if raft.pending_conf_index > raft.log.applied:
        return f"possible unapplied conf change at index {raft.pending_conf_index} (applied to {raft.log.applied})"
    if joint and not leaves:
        return "must transition out of joint config first"
    if not joint and leaves:
        return "not in joint state; refusing empty conf change"
    return ""


def on_prop_candidate(raft: Raft, _: MsgProp) -> None:
    """(Pre-)candidate: nobody to append it."""
    if raft.trace is not None:
        raft.trace.emit(ProposalHasNoLeader())
    raise ProposalDropped(DropReason.NO_LEADER)


def on_prop_follower(raft: Raft, message: MsgProp) -> None:
    """Follower: pass it on to the leader, unless told not to."""
    if raft.leader == NO_NODE:
        if raft.trace is not None:
            raft.trace.emit(ProposalHasNoLeader())
        raise ProposalDropped(DropReason.NO_LEADER)
    if raft.config.disable_proposal_forwarding:
        if raft.trace is not None:
            raft.trace.emit(ProposalNotForwarded())
        raise ProposalDropped(DropReason.FORWARDING_DISABLED)
    raft.send(MsgProp(raft.leader, message.from_ or raft.id, 0, message.entries))
