"""What the protobuf forms of etcd/raft and raft-rs share: one codec, told by a `Form` how they differ.

    Message           1 type  2 to  3 from  4 term  5 log_term  6 index  7 entries  8 commit  9 snapshot  10 reject
                      11 reject_hint  12 context, then by form
    Entry             1 type  2 term  3 index  4 data, then by form
    Snapshot          1 data  2 metadata
    SnapshotMetadata  1 conf_state  2 index  3 term
    ConfState         1 voters  2 learners  3 voters_outgoing  4 learners_next  5 auto_leave
    HardState         1 term  2 vote  3 commit

A read index request and its answer carry their context as the payload of a single entry. Fields are written in the
order of their numbers. A reader skips fields it does not know, and takes repeated numbers packed or not; groups, an
unknown message or entry type, and a message field that occurs twice are refused.

Source: etcd-io/raft raftpb/raft.proto, tikv/raft-rs proto/eraftpb.proto; Protocol Buffers documentation, "Encoding".
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final, final

from raftly.base.membership import ConfState
from raftly.base.types import DATA_SET, TYPE_SET, Entry, EntryType, HardState, Snapshot, SnapshotMeta
from raftly.base.wire import BYTES, VARINT, decode_fields, decode_varint, encode_bytes, encode_uint, encode_varint
from raftly.core.fields import Fields, from_fields, to_fields
from raftly.core.messages import Message, MessageType
from raftly.errors import DecodeError, InvariantError

RESPONSE_DEPTH_MAX: Final = 4  # responses inside responses; the core's own have none inside

COMMON_FIELDS: Final = {
    1: "type",
    2: "to",
    3: "from_",
    4: "term",
    5: "log_term",
    6: "index",
    7: "entries",
    8: "commit",
    9: "snapshot",
    10: "reject",
    11: "reject_hint",
    12: "context",
}
_NESTED: Final = frozenset({"entries", "snapshot", "context", "responses"})
_SCALARS: Final = (
    *("type", "to", "from_", "term", "log_term", "index", "commit", "commit_term", "vote", "reject", "reject_hint"),
    *("request_snapshot", "priority"),
)
_READS: Final = frozenset({MessageType.MsgReadIndex, MessageType.MsgReadIndexResp})

_U64: Final = (1 << 64) - 1
_I64_MAX: Final = (1 << 63) - 1


def no_fields(_: Fields) -> frozenset[str]:
    """Presence of proto3: what is zero is not written."""
    return frozenset()


@final
@dataclass(frozen=True, slots=True)
class Form:
    """One of the two protobuf forms. All `decode_` methods take a whole buffer and raise DecodeError."""

    name: str
    fields: dict[int, str]  # Message: number -> attribute of `Fields`, or deprecated_priority
    type_max: int  # the largest message type that has a number in this form
    explicit: Callable[[Fields], frozenset[str]] = no_fields  # scalars of a message that are written even when zero
    proto2: bool = False  # zero scalars of the other messages are written, repeated numbers are not packed
    context_field: int = 0  # of Entry; 0: it has none
    payload_out: Callable[[EntryType, bytes], bytes] | None = None  # the payload of a configuration entry, to this form
    payload_in: Callable[[EntryType, bytes], bytes] | None = None  # and back

    # --- messages --------------------------------------------------------------------------------------------

    def encode_message(self, message: Message) -> bytes:
        """The message in this form. Fields that the form does not have are left out.

        Raises:
            InvariantError: a type that this form has no number for.
            ConfChangeError: a membership change that this form cannot say.
        """
        fields = to_fields(message)
        if fields.type > self.type_max:
            raise InvariantError(f"{fields.type.name} has no form in {self.name}")
        if fields.type in _READS:
            fields.entries = [Entry(data=fields.context)]
            fields.context = b""
        scalars = {name: int(getattr(fields, name)) for name in _SCALARS}
        scalars["deprecated_priority"] = max(0, fields.priority)
        scalars["priority"] &= _U64
        explicit = self.explicit(fields)
        out: list[bytes] = []
        for number, name in self.fields.items():
            if name in _NESTED:
                out += [encode_bytes(number, part) for part in self._nested(fields, name)]
            elif scalars[name] or name in explicit:
                out.append(encode_uint(number, scalars[name]))
        return b"".join(out)

    def _nested(self, fields: Fields, name: str) -> Iterable[bytes]:
        """The encoded values of a field that is not a number."""
        if name == "entries":
            return map(self.encode_entry, fields.entries)
        if name == "responses":
            return map(self.encode_message, fields.responses)
        if name == "snapshot":
            return () if fields.snapshot is None else (self.encode_snapshot(fields.snapshot),)
        return (fields.context,) if fields.context else ()

    def decode_message(self, buf: bytes) -> Message:
        """The message that fills the buffer."""
        return self._decode_message(buf, 0, len(buf), 0)

    def _decode_message(self, buf: bytes, offset: int, end: int, depth: int) -> Message:
        what = f"{self.name} message"
        if depth > RESPONSE_DEPTH_MAX:
            raise DecodeError(what, offset, f"responses are nested deeper than {RESPONSE_DEPTH_MAX}")
        fields = Fields(MessageType.MsgHup)
        scalars: dict[str, int] = {}
        for number, wire, value, start, stop in decode_fields(what, buf, offset, end):
            name = self.fields.get(number)
            if name in _NESTED:
                if wire != BYTES:
                    continue
                if name == "entries":
                    fields.entries.append(self._decode_entry(buf, start, stop))
                elif name == "responses":
                    fields.responses.append(self._decode_message(buf, start, stop, depth + 1))
                elif name == "context":
                    fields.context = buf[start:stop]
                elif fields.snapshot is None:
                    fields.snapshot = self._decode_snapshot(buf, start, stop)
                else:
                    raise DecodeError(what, start, "it has two snapshots")
            elif name is not None and wire == VARINT:
                scalars[name] = value
        self._set_scalars(what, fields, scalars, offset)
        if fields.type in _READS:
            if len(fields.entries) != 1:
                raise DecodeError(what, offset, f"{fields.type.name} has {len(fields.entries)} entries, not one")
            fields.context = fields.entries[0].data
        return from_fields(fields)

    def _set_scalars(self, what: str, fields: Fields, scalars: dict[str, int], offset: int) -> None:
        type_ = scalars.pop("type", 0)
        if type_ > self.type_max:
            raise DecodeError(what, offset, f"message type {type_} is unknown")
        fields.type = MessageType(type_)
        fields.reject = bool(scalars.pop("reject", 0))
        deprecated = min(scalars.pop("deprecated_priority", 0), _I64_MAX)
        priority = scalars.pop("priority", 0)
        fields.priority = (priority if priority <= _I64_MAX else priority - _U64 - 1) or deprecated
        for name, value in scalars.items():
            setattr(fields, name, value)

    # --- entries ---------------------------------------------------------------------------------------------

    def encode_entry(self, entry: Entry) -> bytes:
        """The entry in this form; a configuration entry's payload is transcoded where the forms of it differ.

        Raises:
            ConfChangeError: a membership change that this form cannot say.
            DecodeError: the payload of a configuration entry is malformed.
        """
        data = entry.data
        if data and entry.type != 0 and self.payload_out is not None:
            data = self.payload_out(entry.type, data)
        out = b""
        if entry.type != 0 or (self.proto2 and entry.flags & TYPE_SET):
            out += encode_uint(1, entry.type)
        if entry.term:
            out += encode_uint(2, entry.term)
        if entry.index:
            out += encode_uint(3, entry.index)
        if data or (self.proto2 and (entry.data or entry.flags & DATA_SET)):
            out += encode_bytes(4, data)
        if self.context_field and entry.context:
            out += encode_bytes(self.context_field, entry.context)
        return out

    def decode_entry(self, buf: bytes) -> Entry:
        """The entry that fills the buffer."""
        return self._decode_entry(buf, 0, len(buf))

    def _decode_entry(self, buf: bytes, offset: int, end: int) -> Entry:
        what = f"{self.name} entry"
        entry = Entry()
        type_ = 0
        for number, wire, value, start, stop in decode_fields(what, buf, offset, end):
            if number == 1 and wire == VARINT:
                if value > EntryType.CONF_CHANGE_V2:
                    raise DecodeError(what, start, f"entry type {value} is unknown")
                type_ = value
                entry.flags |= TYPE_SET
            elif number == 2 and wire == VARINT:
                entry.term = value
            elif number == 3 and wire == VARINT:
                entry.index = value
            elif number == 4 and wire == BYTES:
                entry.data = buf[start:stop]
                entry.flags |= DATA_SET
            elif number == self.context_field and wire == BYTES:
                entry.context = buf[start:stop]
        entry.type = EntryType(type_)
        if not self.proto2 or type_:
            entry.flags &= ~TYPE_SET  # says nothing that the type does not say
        if not self.proto2 or entry.data:
            entry.flags &= ~DATA_SET
        if entry.data and type_ and self.payload_in is not None:
            entry.data = self.payload_in(entry.type, entry.data)
        return entry

    # --- snapshots, hard state, membership -------------------------------------------------------------------

    def _uint(self, number: int, value: int) -> bytes:
        return encode_uint(number, value) if value or self.proto2 else b""

    def encode_snapshot(self, snapshot: Snapshot) -> bytes:
        meta = snapshot.meta
        metadata = encode_bytes(1, self.encode_conf_state(meta.conf_state))
        metadata += self._uint(2, meta.index) + self._uint(3, meta.term)
        return (encode_bytes(1, snapshot.data) if snapshot.data else b"") + encode_bytes(2, metadata)

    def decode_snapshot(self, buf: bytes) -> Snapshot:
        """The snapshot that fills the buffer."""
        return self._decode_snapshot(buf, 0, len(buf))

    def _decode_snapshot(self, buf: bytes, offset: int, end: int) -> Snapshot:
        what = f"{self.name} snapshot"
        data = b""
        meta: SnapshotMeta | None = None
        for number, wire, _, start, stop in decode_fields(what, buf, offset, end):
            if number == 1 and wire == BYTES:
                data = buf[start:stop]
            elif number == 2 and wire == BYTES:
                if meta is not None:
                    raise DecodeError(what, start, "it has two metadata")
                meta = self._decode_meta(buf, start, stop)
        return Snapshot(meta or SnapshotMeta(), data)

    def _decode_meta(self, buf: bytes, offset: int, end: int) -> SnapshotMeta:
        what = f"{self.name} snapshot metadata"
        index = term = 0
        conf: ConfState | None = None
        for number, wire, value, start, stop in decode_fields(what, buf, offset, end):
            if number == 1 and wire == BYTES:
                if conf is not None:
                    raise DecodeError(what, start, "it has two configurations")
                conf = self._decode_conf_state(buf, start, stop)
            elif number == 2 and wire == VARINT:
                index = value
            elif number == 3 and wire == VARINT:
                term = value
        return SnapshotMeta(index, term, conf or ConfState())

    def encode_conf_state(self, conf: ConfState) -> bytes:
        out: list[bytes] = []
        for number, ids in enumerate((conf.voters, conf.learners, conf.voters_outgoing, conf.learners_next), 1):
            if self.proto2:
                out += [encode_uint(number, id_) for id_ in ids]
            elif ids:
                out.append(encode_bytes(number, b"".join(map(encode_varint, ids))))
        out.append(self._uint(5, conf.auto_leave))
        return b"".join(out)

    def decode_conf_state(self, buf: bytes) -> ConfState:
        """The configuration that fills the buffer."""
        return self._decode_conf_state(buf, 0, len(buf))

    def _decode_conf_state(self, buf: bytes, offset: int, end: int) -> ConfState:
        what = f"{self.name} configuration"
        lists: tuple[list[int], list[int], list[int], list[int]] = ([], [], [], [])
        auto_leave = False
        for number, wire, value, start, stop in decode_fields(what, buf, offset, end):
            if number == 5 and wire == VARINT:
                auto_leave = value != 0
            elif number <= 4 and wire == VARINT:
                lists[number - 1].append(value)
            elif number <= 4 and wire == BYTES:
                at = start
                while at < stop:
                    id_, at = decode_varint(what, buf, at, stop)
                    lists[number - 1].append(id_)
        return ConfState(tuple(lists[0]), tuple(lists[1]), tuple(lists[2]), tuple(lists[3]), auto_leave)

    def encode_hard_state(self, state: HardState) -> bytes:
        return self._uint(1, state.term) + self._uint(2, state.vote) + self._uint(3, state.commit)

    def decode_hard_state(self, buf: bytes) -> HardState:
        """The hard state that fills the buffer."""
        values = [0, 0, 0]
        for number, wire, value, _, _ in decode_fields(f"{self.name} hard state", buf, 0, len(buf)):
            if number <= 3 and wire == VARINT:
                values[number - 1] = value
        return HardState(values[0], values[1], values[2])
