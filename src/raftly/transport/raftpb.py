"""etcd/raft's protobuf form (package raftpb, proto2): `RAFTPB`.

    Message   as in `raftly.transport.protobuf`, then 13 vote  14 responses
    Entry     nothing more: an entry's context is left out, and so are a message's commit_term, priority and
              request_snapshot, which are raft-rs's

Proto2 tells a zero that was set from one that was not, and so do etcd's bytes. Written even when zero:

    every message             type
    sent to a peer            to, from, term (not: MsgProp and MsgReadIndex, which carry no term)
    MsgApp                    log_term, index, commit
    MsgAppResp                a rejection: index, reject, reject_hint, log_term
    MsgVote, MsgPreVote       log_term, index
    MsgHeartbeat              commit
    MsgReadIndexResp          index
    MsgSnapStatus             reject
    MsgStorageAppend          to, from; term, vote and commit together when one of them is not zero
    MsgStorageAppendResp      to, from, term; index and log_term together when one of them is not zero
    MsgStorageApply, -Resp    to, from, term
    Entry                     its type and payload when `Entry.flags` says so; term and index only when not zero
    HardState, ConfState, SnapshotMetadata    all numbers

One case cannot be told: etcd writes index 0 when an empty log acknowledges an empty append, and leaves the index out
of the MsgAppResp that answers a leader of an older term. It is left out here. Readers see no difference.

The payload of a configuration entry is the form of `raftly.base.membership`, as it is.

Source: etcd-io/raft raftpb/raft.proto, raft.go (`send` and its callers), rawnode.go.
"""

from __future__ import annotations

from typing import Final

from raftly.core.fields import Fields
from raftly.core.messages import MessageType
from raftly.transport.protobuf import COMMON_FIELDS, Form

_LOCAL: Final = frozenset({"type"})
_FORWARDED: Final = frozenset({"type", "to", "from_"})
_SENT: Final = _FORWARDED | {"term"}

_EXPLICIT: Final = {
    MessageType.MsgHup: _LOCAL,
    MessageType.MsgBeat: _LOCAL,
    MessageType.MsgCheckQuorum: _LOCAL,
    MessageType.MsgUnreachable: _LOCAL,
    MessageType.MsgForgetLeader: _LOCAL,
    MessageType.MsgTransferLeader: _LOCAL,
    MessageType.MsgSnapStatus: _LOCAL | {"reject"},
    MessageType.MsgProp: _FORWARDED,
    MessageType.MsgReadIndex: _FORWARDED,
    MessageType.MsgReadIndexResp: _SENT | {"index"},
    MessageType.MsgApp: _SENT | {"log_term", "index", "commit"},
    MessageType.MsgAppResp: _SENT,
    MessageType.MsgVote: _SENT | {"log_term", "index"},
    MessageType.MsgVoteResp: _SENT,
    MessageType.MsgPreVote: _SENT | {"log_term", "index"},
    MessageType.MsgPreVoteResp: _SENT,
    MessageType.MsgSnap: _SENT,
    MessageType.MsgHeartbeat: _SENT | {"commit"},
    MessageType.MsgHeartbeatResp: _SENT,
    MessageType.MsgTimeoutNow: _SENT,
    MessageType.MsgStorageAppend: _FORWARDED,
    MessageType.MsgStorageAppendResp: _SENT,
    MessageType.MsgStorageApply: _SENT,
    MessageType.MsgStorageApplyResp: _SENT,
}


def _explicit(fields: Fields) -> frozenset[str]:
    names = _EXPLICIT[fields.type]
    if fields.type == MessageType.MsgAppResp and fields.reject:
        return names | {"index", "reject_hint", "log_term"}
    if fields.type == MessageType.MsgStorageAppend and (fields.term or fields.vote or fields.commit):
        return names | {"term", "vote", "commit"}
    if fields.type == MessageType.MsgStorageAppendResp and (fields.index or fields.log_term):
        return names | {"index", "log_term"}
    return names


RAFTPB: Final = Form(
    name="raftpb",
    fields={**COMMON_FIELDS, 13: "vote", 14: "responses"},
    type_max=MessageType.MsgForgetLeader,
    explicit=_explicit,
    proto2=True,
)
