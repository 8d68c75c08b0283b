"""Messages as bytes between our own nodes: a fixed little-endian header a message, entries spliced as they are.

A batch is messages back to back; the frame around it (`raftly.transport.frame`) says where it ends and carries the
checksum. The first byte of a message is its number in raftpb and says what follows; docs/formats.md draws it all.

     1  u8 number   8  to   8  from   8  term, then by number

     2 MsgProp             u32 count, that many records with term and index 0
     3 MsgApp              log_term, index, commit, u32 count, that many records
     4 MsgAppResp          index, u8 reject, reject_hint, log_term, commit, request_snapshot
     5 MsgVote             log_term, index, commit, commit_term, i64 priority, u32 size, context    also 17
     6 MsgVoteResp         u8 reject, commit, commit_term                                           also 18
     7 MsgSnap             index, term, u8 auto_leave, u32 sizes of voters, learners, voters_outgoing, learners_next
                           and data, then these
     8 MsgHeartbeat        commit, u32 size, context                                                also 9, 16 (index)
    15 MsgReadIndex        u32 size, context
    13 MsgTransferLeader   nothing                                                                  also 14, 23

All numbers are u64 where no width is given. Messages that are local to a node have no form: they never travel.

The records of a batch are not checked against their own checksums here: the frame's covers them.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import Any, Final, TypeAlias

from raftly.base.membership import ConfState
from raftly.base.record import frame_entry, read_records, record_of
from raftly.base.types import Entry, Snapshot, SnapshotMeta
from raftly.core.messages import (
    Message,
    MsgApp,
    MsgAppResp,
    MsgForgetLeader,
    MsgHeartbeat,
    MsgHeartbeatResp,
    MsgPreVote,
    MsgPreVoteResp,
    MsgProp,
    MsgReadIndex,
    MsgReadIndexResp,
    MsgSnap,
    MsgTimeoutNow,
    MsgTransferLeader,
    MsgVote,
    MsgVoteResp,
)
from raftly.errors import DecodeError, InvariantError

_Encoder: TypeAlias = Callable[[Any, list[bytes]], None]  # appends the message's bytes
_Decoder: TypeAlias = Callable[[bytes, int, int, list[Message]], int]  # appends the message; the offset behind it

_WHAT: Final = "message"

_APP: Final = struct.Struct("<BQQQQQQI")
_APP_BYTES: Final = 53
_APP_RESP: Final = struct.Struct("<BQQQQ?QQQQ")
_APP_RESP_BYTES: Final = 66
_VOTE: Final = struct.Struct("<BQQQQQQQqI")
_VOTE_BYTES: Final = 69
_VOTE_RESP: Final = struct.Struct("<BQQQ?QQ")
_VOTE_RESP_BYTES: Final = 42
_SNAP: Final = struct.Struct("<BQQQQQ?IIIII")
_SNAP_BYTES: Final = 62
_NUMBER: Final = struct.Struct("<BQQQQI")  # one number and a context
_NUMBER_BYTES: Final = 37
_BARE: Final = struct.Struct("<BQQQI")  # only a context, or only a count
_BARE_BYTES: Final = 29
_SIGNAL: Final = struct.Struct("<BQQQ")  # nothing of its own
_SIGNAL_BYTES: Final = 25

_pack_app: Final = _APP.pack
_unpack_app: Final = _APP.unpack_from
_pack_app_resp: Final = _APP_RESP.pack
_unpack_app_resp: Final = _APP_RESP.unpack_from
_pack_vote: Final = _VOTE.pack
_unpack_vote: Final = _VOTE.unpack_from
_pack_vote_resp: Final = _VOTE_RESP.pack
_unpack_vote_resp: Final = _VOTE_RESP.unpack_from
_pack_snap: Final = _SNAP.pack
_unpack_snap: Final = _SNAP.unpack_from
_pack_number: Final = _NUMBER.pack
_unpack_number: Final = _NUMBER.unpack_from
_pack_bare: Final = _BARE.pack
_unpack_bare: Final = _BARE.unpack_from
_pack_signal: Final = _SIGNAL.pack
_unpack_signal: Final = _SIGNAL.unpack_from


def encode_messages(messages: list[Message]) -> bytes:
    """The bytes of a batch. Makes and keeps the record of each entry that has none yet, but not those of a proposal.

    Raises:
        InvariantError: a message that is local to a node, or a number out of range: neither can come from outside.
    """
    out: list[bytes] = []
    try:
        for message in messages:
            _ENCODERS[type(message)](message, out)
    except KeyError as error:
        raise InvariantError(f"{error} has no form on the wire") from None
    except struct.error as error:
        raise InvariantError(f"a message does not fit its form: {error}") from error
    return b"".join(out)


def decode_messages(buf: bytes, offset: int, end: int) -> list[Message]:
    """The batch that fills `buf[offset:end]`. Allocates nothing that is not there in bytes.

    Raises:
        DecodeError: truncated, oversized, or a message that is unknown or local to a node.
    """
    messages: list[Message] = []
    try:
        while offset < end:
            offset = _DECODERS[buf[offset]](buf, offset, end, messages)
    except struct.error:
        raise DecodeError(_WHAT, offset, "the bytes end inside a message") from None
    if offset != end:
        raise DecodeError(_WHAT, end, f"the last message claims {offset - end} bytes more than there are")
    return messages


# --- replication -----------------------------------------------------------------------------------------------


def _encode_app(message: MsgApp, out: list[bytes]) -> None:
    entries = message.entries
    out.append(
        _pack_app(
            3,
            message.to,
            message.from_,
            message.term,
            message.log_term,
            message.index,
            message.commit,
            len(entries),
        )
    )
    out += [entry.record or record_of(entry) for entry in entries]


def _decode_app(buf: bytes, offset: int, end: int, messages: list[Message]) -> int:
    head: tuple[int, int, int, int, int, int, int, int] = _unpack_app(buf, offset)
    _, to, from_, term, log_term, index, commit, count = head
    entries: list[Entry] = []
    messages.append(MsgApp(to, from_, term, log_term, index, entries, commit))
    return read_records(buf, offset + _APP_BYTES, end, count, entries)


def _encode_app_resp(message: MsgAppResp, out: list[bytes]) -> None:
    out.append(
        _pack_app_resp(
            4,
            message.to,
            message.from_,
            message.term,
            message.index,
            message.reject,
            message.reject_hint,
            message.log_term,
            message.commit,
            message.request_snapshot,
        )
    )


def _decode_app_resp(buf: bytes, offset: int, end: int, messages: list[Message]) -> int:
    head: tuple[int, int, int, int, int, bool, int, int, int, int] = _unpack_app_resp(buf, offset)
    _, to, from_, term, index, reject, reject_hint, log_term, commit, request_snapshot = head
    messages.append(MsgAppResp(to, from_, term, index, reject, reject_hint, log_term, commit, request_snapshot))
    return offset + _APP_RESP_BYTES


def _encode_prop(message: MsgProp, out: list[bytes]) -> None:
    out.append(_pack_bare(2, message.to, message.from_, message.term, len(message.entries)))
    out += [frame_entry(entry) for entry in message.entries]  # the leader will say where they stand


def _decode_prop(buf: bytes, offset: int, end: int, messages: list[Message]) -> int:
    head: tuple[int, int, int, int, int] = _unpack_bare(buf, offset)
    _, to, from_, term, count = head
    entries: list[Entry] = []
    stop = read_records(buf, offset + _BARE_BYTES, end, count, entries)
    for entry in entries:
        entry.data = entry.data  # its own copy: the record, which has no place in a log yet, goes
        entry.record = b""
    messages.append(MsgProp(to, from_, term, entries))
    return stop


def _encode_snap(message: MsgSnap, out: list[bytes]) -> None:
    meta = message.snapshot.meta
    conf = meta.conf_state
    ids = conf.voters + conf.learners + conf.voters_outgoing + conf.learners_next
    out.append(
        _pack_snap(
            7,
            message.to,
            message.from_,
            message.term,
            meta.index,
            meta.term,
            conf.auto_leave,
            len(conf.voters),
            len(conf.learners),
            len(conf.voters_outgoing),
            len(conf.learners_next),
            len(message.snapshot.data),
        )
    )
    out.append(struct.pack(f"<{len(ids)}Q", *ids))
    out.append(message.snapshot.data)


def _decode_snap(buf: bytes, offset: int, end: int, messages: list[Message]) -> int:
    head: tuple[int, int, int, int, int, int, bool, int, int, int, int, int] = _unpack_snap(buf, offset)
    _, to, from_, term, index, snapshot_term, auto_leave, voters, learners, outgoing, next_, data_bytes = head
    at = offset + _SNAP_BYTES
    count = voters + learners + outgoing + next_
    stop = at + 8 * count + data_bytes
    if stop > end:
        raise DecodeError(_WHAT, offset, f"a snapshot claims {stop - at} bytes, {end - at} are left")
    ids: tuple[int, ...] = struct.unpack_from(f"<{count}Q", buf, at)
    conf = ConfState(
        ids[:voters],
        ids[voters : voters + learners],
        ids[voters + learners : count - next_],
        ids[count - next_ :],
        auto_leave,
    )
    data = buf[stop - data_bytes : stop]
    messages.append(MsgSnap(to, from_, term, Snapshot(SnapshotMeta(index, snapshot_term, conf), data)))
    return stop


def _encode_heartbeat(message: MsgHeartbeat, out: list[bytes]) -> None:
    context = message.context
    out.append(_pack_number(8, message.to, message.from_, message.term, message.commit, len(context)) + context)


def _decode_heartbeat(buf: bytes, offset: int, end: int, messages: list[Message]) -> int:
    head: tuple[int, int, int, int, int, int] = _unpack_number(buf, offset)
    _, to, from_, term, commit, size = head
    at = offset + _NUMBER_BYTES
    messages.append(MsgHeartbeat(to, from_, term, commit, buf[at : at + size]))
    return at + size


def _encode_heartbeat_resp(message: MsgHeartbeatResp, out: list[bytes]) -> None:
    context = message.context
    out.append(_pack_number(9, message.to, message.from_, message.term, message.commit, len(context)) + context)


def _decode_heartbeat_resp(buf: bytes, offset: int, end: int, messages: list[Message]) -> int:
    head: tuple[int, int, int, int, int, int] = _unpack_number(buf, offset)
    _, to, from_, term, commit, size = head
    at = offset + _NUMBER_BYTES
    messages.append(MsgHeartbeatResp(to, from_, term, buf[at : at + size], commit))
    return at + size


# --- elections -------------------------------------------------------------------------------------------------


def _encode_vote(message: MsgVote | MsgPreVote, out: list[bytes]) -> None:
    out.append(
        _pack_vote(
            message.type,
            message.to,
            message.from_,
            message.term,
            message.log_term,
            message.index,
            message.commit,
            message.commit_term,
            message.priority,
            len(message.context),
        )
        + message.context
    )


def _decode_vote(buf: bytes, offset: int, end: int, messages: list[Message]) -> int:
    head: tuple[int, int, int, int, int, int, int, int, int, int] = _unpack_vote(buf, offset)
    number, to, from_, term, log_term, index, commit, commit_term, priority, size = head
    at = offset + _VOTE_BYTES
    context = buf[at : at + size]
    if number == 5:
        messages.append(MsgVote(to, from_, term, log_term, index, context, commit, commit_term, priority))
    else:
        messages.append(MsgPreVote(to, from_, term, log_term, index, context, commit, commit_term, priority))
    return at + size


def _encode_vote_resp(message: MsgVoteResp | MsgPreVoteResp, out: list[bytes]) -> None:
    out.append(
        _pack_vote_resp(
            message.type,
            message.to,
            message.from_,
            message.term,
            message.reject,
            message.commit,
            message.commit_term,
        )
    )


def _decode_vote_resp(buf: bytes, offset: int, end: int, messages: list[Message]) -> int:
    head: tuple[int, int, int, int, bool, int, int] = _unpack_vote_resp(buf, offset)
    number, to, from_, term, reject, commit, commit_term = head
    if number == 6:
        messages.append(MsgVoteResp(to, from_, term, reject, commit, commit_term))
    else:
        messages.append(MsgPreVoteResp(to, from_, term, reject, commit, commit_term))
    return offset + _VOTE_RESP_BYTES


# --- reads and signals -----------------------------------------------------------------------------------------


def _encode_read_index(message: MsgReadIndex, out: list[bytes]) -> None:
    context = message.context
    out.append(_pack_bare(15, message.to, message.from_, message.term, len(context)) + context)


def _decode_read_index(buf: bytes, offset: int, end: int, messages: list[Message]) -> int:
    head: tuple[int, int, int, int, int] = _unpack_bare(buf, offset)
    _, to, from_, term, size = head
    at = offset + _BARE_BYTES
    messages.append(MsgReadIndex(to, from_, term, buf[at : at + size]))
    return at + size


def _encode_read_index_resp(message: MsgReadIndexResp, out: list[bytes]) -> None:
    context = message.context
    out.append(_pack_number(16, message.to, message.from_, message.term, message.index, len(context)) + context)


def _decode_read_index_resp(buf: bytes, offset: int, end: int, messages: list[Message]) -> int:
    head: tuple[int, int, int, int, int, int] = _unpack_number(buf, offset)
    _, to, from_, term, index, size = head
    at = offset + _NUMBER_BYTES
    messages.append(MsgReadIndexResp(to, from_, term, index, buf[at : at + size]))
    return at + size


def _encode_signal(message: Message, out: list[bytes]) -> None:
    out.append(_pack_signal(message.type, message.to, message.from_, message.term))


def _decode_signal(buf: bytes, offset: int, end: int, messages: list[Message]) -> int:
    head: tuple[int, int, int, int] = _unpack_signal(buf, offset)
    number, to, from_, term = head
    messages.append(_SIGNALS[number](to, from_, term))
    return offset + _SIGNAL_BYTES


def _refuse(buf: bytes, offset: int, end: int, messages: list[Message]) -> int:
    raise DecodeError(_WHAT, offset, f"no message of number {buf[offset]} travels between nodes")


# --- dispatch --------------------------------------------------------------------------------------------------

_SIGNALS: Final[dict[int, type[Message]]] = {13: MsgTransferLeader, 14: MsgTimeoutNow, 23: MsgForgetLeader}

_ENCODERS: Final[dict[type[Message], _Encoder]] = {
    MsgProp: _encode_prop,
    MsgApp: _encode_app,
    MsgAppResp: _encode_app_resp,
    MsgVote: _encode_vote,
    MsgVoteResp: _encode_vote_resp,
    MsgSnap: _encode_snap,
    MsgHeartbeat: _encode_heartbeat,
    MsgHeartbeatResp: _encode_heartbeat_resp,
    MsgTransferLeader: _encode_signal,
    MsgTimeoutNow: _encode_signal,
    MsgReadIndex: _encode_read_index,
    MsgReadIndexResp: _encode_read_index_resp,
    MsgPreVote: _encode_vote,
    MsgPreVoteResp: _encode_vote_resp,
    MsgForgetLeader: _encode_signal,
}

_DECODER_OF: Final[dict[int, _Decoder]] = {
    2: _decode_prop,
    3: _decode_app,
    4: _decode_app_resp,
    5: _decode_vote,
    6: _decode_vote_resp,
    7: _decode_snap,
    8: _decode_heartbeat,
    9: _decode_heartbeat_resp,
    13: _decode_signal,
    14: _decode_signal,
    15: _decode_read_index,
    16: _decode_read_index_resp,
    17: _decode_vote,
    18: _decode_vote_resp,
    23: _decode_signal,
}
_DECODERS: Final = [_DECODER_OF.get(number, _refuse) for number in range(256)]
