"""raft-rs's protobuf form (package eraftpb, proto3): `ERAFTPB`.

    Message        as in `raftly.transport.protobuf`, then 13 request_snapshot  14 deprecated_priority  15 commit_term
                   16 priority (signed); there is no vote and there are no responses
    Entry          6 context (5, sync_log, is skipped)
    ConfChangeType 0 add node  1 remove node  2 add learner: not raftpb's numbers, and no update node

Zero numbers and empty bytes are not written. Message types end with MsgPreVoteResp (18); raft-rs has no storage
messages and no MsgForgetLeader. A positive priority is written to both fields, and the newer one wins when it is read.

The payload of a configuration entry is transcoded both ways, so that on our side it is always the form of
`raftly.base.membership`. A change that is all zeros has no bytes in eraftpb, and none here when it comes from there.
Fields of the payload that we do not know do not survive.

Source: tikv/raft-rs proto/eraftpb.proto, src/raft.rs (priority).
"""

from __future__ import annotations

from typing import Final

from raftly.base.membership import (
    AnyConfChange,
    ConfChange,
    ConfChangeSingle,
    ConfChangeTransition,
    ConfChangeType,
    ConfChangeV2,
)
from raftly.base.membership import decode_conf_change as decode_ours
from raftly.base.membership import decode_conf_change_v2 as decode_ours_v2
from raftly.base.types import EntryType
from raftly.base.wire import BYTES, VARINT, decode_fields, encode_bytes, encode_uint
from raftly.core.messages import MessageType
from raftly.errors import ConfChangeError, DecodeError
from raftly.transport.protobuf import COMMON_FIELDS, Form

_TYPES: Final = (ConfChangeType.ADD_NODE, ConfChangeType.REMOVE_NODE, ConfChangeType.ADD_LEARNER_NODE)
_NUMBER_OF: Final = {type_: number for number, type_ in enumerate(_TYPES)}


def _uint(number: int, value: int) -> bytes:
    return encode_uint(number, value) if value else b""


def _bytes(number: int, value: bytes) -> bytes:
    return encode_bytes(number, value) if value else b""


def _change_number(type_: ConfChangeType) -> int:
    number = _NUMBER_OF.get(type_)
    if number is None:
        raise ConfChangeError(f"eraftpb has no {type_.name}")
    return number


def _change_type(what: str, value: int, offset: int) -> ConfChangeType:
    if value >= len(_TYPES):
        raise DecodeError(what, offset, f"change type {value} is unknown")
    return _TYPES[value]


def encode_conf_change(change: AnyConfChange) -> bytes:
    """The change in eraftpb's form.

    Raises:
        ConfChangeError: UPDATE_NODE, which raft-rs does not have.
    """
    if isinstance(change, ConfChange):
        out = _uint(1, change.id) + _uint(2, _change_number(change.type)) + _uint(3, change.node_id)
        return out + _bytes(4, change.context)
    out = _uint(1, change.transition)
    for single in change.changes:
        out += encode_bytes(2, _uint(1, _change_number(single.type)) + _uint(2, single.node_id))
    return out + _bytes(3, change.context)


def decode_conf_change(data: bytes) -> ConfChange:
    """A ConfChange in eraftpb's form.

    Raises:
        DecodeError: malformed, or an unknown change type.
    """
    what = "eraftpb ConfChange"
    type_, node_id, context, id_ = ConfChangeType.ADD_NODE, 0, b"", 0
    for number, wire, value, start, stop in decode_fields(what, data, 0, len(data)):
        if number == 1 and wire == VARINT:
            id_ = value
        elif number == 2 and wire == VARINT:
            type_ = _change_type(what, value, start)
        elif number == 3 and wire == VARINT:
            node_id = value
        elif number == 4 and wire == BYTES:
            context = data[start:stop]
    return ConfChange(type_, node_id, context, id_)


def decode_conf_change_v2(data: bytes) -> ConfChangeV2:
    """A ConfChangeV2 in eraftpb's form.

    Raises:
        DecodeError: malformed, or an unknown transition or change type.
    """
    what = "eraftpb ConfChangeV2"
    transition, context = ConfChangeTransition.AUTO, b""
    changes: list[ConfChangeSingle] = []
    for number, wire, value, start, stop in decode_fields(what, data, 0, len(data)):
        if number == 1 and wire == VARINT:
            if value > ConfChangeTransition.JOINT_EXPLICIT:
                raise DecodeError(what, start, f"transition {value} is unknown")
            transition = ConfChangeTransition(value)
        elif number == 2 and wire == BYTES:
            changes.append(_decode_single(what, data, start, stop))
        elif number == 3 and wire == BYTES:
            context = data[start:stop]
    return ConfChangeV2(tuple(changes), transition, context)


def _decode_single(what: str, data: bytes, offset: int, end: int) -> ConfChangeSingle:
    type_, node_id = ConfChangeType.ADD_NODE, 0
    for number, wire, value, start, _ in decode_fields(what, data, offset, end):
        if number == 1 and wire == VARINT:
            type_ = _change_type(what, value, start)
        elif number == 2 and wire == VARINT:
            node_id = value
    return ConfChangeSingle(type_, node_id)


def _payload_out(type_: EntryType, data: bytes) -> bytes:
    return encode_conf_change(decode_ours(data) if type_ == EntryType.CONF_CHANGE else decode_ours_v2(data))


def _payload_in(type_: EntryType, data: bytes) -> bytes:
    change = decode_conf_change(data) if type_ == EntryType.CONF_CHANGE else decode_conf_change_v2(data)
    return change.encode() if encode_conf_change(change) else b""  # all zeros: no bytes there, so none here


ERAFTPB: Final = Form(
    name="eraftpb",
    fields={**COMMON_FIELDS, 13: "request_snapshot", 14: "deprecated_priority", 15: "commit_term", 16: "priority"},
    type_max=MessageType.MsgPreVoteResp,
    context_field=6,
    payload_out=_payload_out,
    payload_in=_payload_in,
)
