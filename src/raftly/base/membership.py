"""Who is in a group, and how that changes: ConfState, ConfChange (one step) and ConfChangeV2 (joint consensus).

The payload of a configuration entry is the protobuf form of raftpb, the field numbers drawn here. Scalars are always
written, even when zero: a stored change is then bit-identical to what etcd's own tools write for it.

    ConfChange        1 id (only if not 0)   2 type   3 node_id   4 context (only if not empty)
    ConfChangeSingle  1 type   2 node_id
    ConfChangeV2      1 transition   2 changes (repeated ConfChangeSingle)   3 context (only if not empty)

Sources: Raft thesis §4.1 (one server at a time), §4.3 (joint consensus); etcd-io/raft raftpb/raft.proto.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import TypeAlias, final

from raftly.base.wire import BYTES, U64_MAX, VARINT, decode_fields, encode_bytes, encode_uint
from raftly.errors import ConfChangeError, DecodeError


@final
@dataclass(frozen=True, slots=True)
class ConfState:
    """The membership as of one index. Order within a tuple has no meaning; the core reports them ascending.

    While `voters_outgoing` is not empty the group is joint: a decision needs a majority of both voter sets.
    `learners_next` become learners when the joint state is left; `auto_leave` says the leader leaves it by itself.
    """

    voters: tuple[int, ...] = ()
    learners: tuple[int, ...] = ()
    voters_outgoing: tuple[int, ...] = ()
    learners_next: tuple[int, ...] = ()
    auto_leave: bool = False

    def equivalent(self, other: ConfState) -> bool:
        """Do both describe the same membership, whatever the order?"""
        return (
            sorted(self.voters) == sorted(other.voters)
            and sorted(self.learners) == sorted(other.learners)
            and sorted(self.voters_outgoing) == sorted(other.voters_outgoing)
            and sorted(self.learners_next) == sorted(other.learners_next)
            and self.auto_leave == other.auto_leave
        )


class ConfChangeType(IntEnum):
    """What one change does to one node. raftpb's values; eraftpb has no UPDATE_NODE and calls ADD_LEARNER_NODE 2."""

    ADD_NODE = 0
    REMOVE_NODE = 1
    UPDATE_NODE = 2
    ADD_LEARNER_NODE = 3


class ConfChangeTransition(IntEnum):
    """How a ConfChangeV2 takes effect.

    AUTO takes the simple path for a single change and otherwise a joint state that the leader leaves by itself;
    JOINT_IMPLICIT always takes such a joint state; JOINT_EXPLICIT stays joint until an empty change is proposed.
    """

    AUTO = 0
    JOINT_IMPLICIT = 1
    JOINT_EXPLICIT = 2


@final
@dataclass(frozen=True, slots=True)
class ConfChangeSingle:
    """One node, one change."""

    type: ConfChangeType = ConfChangeType.ADD_NODE
    node_id: int = 0

    def encode(self) -> bytes:
        return encode_uint(1, self.type) + encode_uint(2, self.node_id)


@final
@dataclass(frozen=True, slots=True)
class ConfChangeV2:
    """A list of changes and the way they take effect; an empty list with AUTO leaves a joint state."""

    changes: tuple[ConfChangeSingle, ...] = ()
    transition: ConfChangeTransition = ConfChangeTransition.AUTO
    context: bytes = b""

    def enters_joint(self) -> bool:
        """True when the change goes through a joint state and does not leave one."""
        return self.transition != ConfChangeTransition.AUTO or len(self.changes) > 1

    def auto_leave(self) -> bool:
        """Whether a joint state entered by this change is left by the leader itself."""
        return self.transition != ConfChangeTransition.JOINT_EXPLICIT

    def leaves_joint(self) -> bool:
        """True exactly for an empty change list with AUTO; the context does not count."""
        return self.transition == ConfChangeTransition.AUTO and not self.changes

    def as_v2(self) -> ConfChangeV2:
        return self

    def encode(self) -> bytes:
        out = encode_uint(1, self.transition)
        for change in self.changes:
            out += encode_bytes(2, change.encode())
        if self.context:
            out += encode_bytes(3, self.context)
        return out


@final
@dataclass(frozen=True, slots=True)
class ConfChange:
    """The one-node form (version 1). `id` and `context` are the application's own."""

    type: ConfChangeType = ConfChangeType.ADD_NODE
    node_id: int = 0
    context: bytes = b""
    id: int = 0

    def as_v2(self) -> ConfChangeV2:
        return ConfChangeV2((ConfChangeSingle(self.type, self.node_id),), context=self.context)

    def encode(self) -> bytes:
        out = encode_uint(1, self.id) if self.id else b""
        out += encode_uint(2, self.type) + encode_uint(3, self.node_id)
        if self.context:
            out += encode_bytes(4, self.context)
        return out


AnyConfChange: TypeAlias = ConfChange | ConfChangeV2


def _change_type(what: str, value: int, offset: int) -> ConfChangeType:
    if not 0 <= value <= 3:
        raise DecodeError(what, offset, f"change type {value} is unknown")
    return ConfChangeType(value)


def decode_conf_change(data: bytes) -> ConfChange:
    """The payload of a CONF_CHANGE entry; empty bytes are all defaults. Unknown fields are skipped.

    Raises:
        DecodeError: malformed, or a change type this version does not know.
    """
    what = "ConfChange"
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


def _decode_single(data: bytes, offset: int, end: int) -> ConfChangeSingle:
    what = "ConfChangeSingle"
    type_, node_id = ConfChangeType.ADD_NODE, 0
    for number, wire, value, start, _ in decode_fields(what, data, offset, end):
        if number == 1 and wire == VARINT:
            type_ = _change_type(what, value, start)
        elif number == 2 and wire == VARINT:
            node_id = value
    return ConfChangeSingle(type_, node_id)


def decode_conf_change_v2(data: bytes) -> ConfChangeV2:
    """The payload of a CONF_CHANGE_V2 entry; empty bytes are the change that leaves a joint state.

    Raises:
        DecodeError: malformed, or a transition or change type this version does not know.
    """
    what = "ConfChangeV2"
    transition, context = ConfChangeTransition.AUTO, b""
    changes: list[ConfChangeSingle] = []
    for number, wire, value, start, stop in decode_fields(what, data, 0, len(data)):
        if number == 1 and wire == VARINT:
            if not 0 <= value <= 2:
                raise DecodeError(what, start, f"transition {value} is unknown")
            transition = ConfChangeTransition(value)
        elif number == 2 and wire == BYTES:
            changes.append(_decode_single(data, start, stop))
        elif number == 3 and wire == BYTES:
            context = data[start:stop]
    return ConfChangeV2(tuple(changes), transition, context)


_LETTERS = {
    "v": ConfChangeType.ADD_NODE,
    "l": ConfChangeType.ADD_LEARNER_NODE,
    "r": ConfChangeType.REMOVE_NODE,
    "u": ConfChangeType.UPDATE_NODE,
}
_LETTER_OF = {type_: letter for letter, type_ in _LETTERS.items()}


def parse_changes(text: str) -> tuple[ConfChangeSingle, ...]:
    """Read the short notation of the golden scripts: `v1 l2 r3 u4` (voter, learner, remove, update).

    Raises:
        ConfChangeError: a token that is none of these.
    """
    changes: list[ConfChangeSingle] = []
    tokens = text.strip(" \t\n\r").split(" ")
    if tokens == [""]:
        return ()
    for token in tokens:
        if len(token) < 2:
            raise ConfChangeError(f"unknown token {token}")
        type_ = _LETTERS.get(token[0])
        if type_ is None:
            raise ConfChangeError(f"unknown input: {token}")
        digits = token[1:]
        if not digits.isascii() or not digits.isdigit() or len(digits) > 20 or int(digits) > U64_MAX:
            raise ConfChangeError(f"not a node id: {digits}")
        changes.append(ConfChangeSingle(type_, int(digits)))
    return tuple(changes)


def format_changes(changes: tuple[ConfChangeSingle, ...]) -> str:
    """The inverse of `parse_changes`."""
    return " ".join(f"{_LETTER_OF[change.type]}{change.node_id}" for change in changes)
