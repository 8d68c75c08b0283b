"""Both protobuf forms against the protobuf library, in both directions, and against damage."""

import tracemalloc
from typing import Any, NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from raftly.base.membership import (
    AnyConfChange,
    ConfChange,
    ConfChangeSingle,
    ConfChangeTransition,
    ConfChangeType,
    ConfChangeV2,
    ConfState,
    decode_conf_change,
    decode_conf_change_v2,
)
from raftly.base.types import Entry, EntryType, HardState, Snapshot, SnapshotMeta
from raftly.base.wire import encode_bytes
from raftly.core.fields import Fields, from_fields, to_fields
from raftly.core.messages import MESSAGE_CLASSES, Message, MessageType
from raftly.errors import DecodeError
from raftly.transport.eraftpb import ERAFTPB
from raftly.transport.protobuf import RESPONSE_DEPTH_MAX, Form
from raftly.transport.raftpb import RAFTPB
from tests.unit.transport import reference
from tests.unit.transport.strategies import (
    conf_states,
    damaged,
    entries,
    hard_states,
    i64,
    messages,
    outcome,
    payload,
    snapshots,
    u64,
)

ALL = list(MESSAGE_CLASSES)
RAFT_RS = ALL[:19]
READS = {MessageType.MsgReadIndex, MessageType.MsgReadIndexResp}
LACKING = {
    "raftpb": ("commit_term", "priority", "request_snapshot"),
    "eraftpb": ("vote", "responses"),
}


class Side(NamedTuple):
    """A form of ours, and the library's classes for it."""

    form: Form
    classes: dict[str, Any]
    message_classes: list[type[Message]]


SIDES = {"raftpb": Side(RAFTPB, reference.raftpb(), ALL), "eraftpb": Side(ERAFTPB, reference.eraftpb(), RAFT_RS)}
both = pytest.mark.parametrize("side", SIDES.values(), ids=SIDES)


# --- the library's messages read into our values, by attribute --------------------------------------------------


def read_single(pb: Any) -> ConfChangeSingle:
    name = pb.DESCRIPTOR.fields_by_name["type"].enum_type.values_by_number[pb.type].name.rpartition("_")[2]
    types = {type_.name.replace("_", ""): type_ for type_ in ConfChangeType}
    return ConfChangeSingle(types[name.upper()], pb.node_id)


def read_change(pb: Any) -> AnyConfChange:
    if pb.DESCRIPTOR.name == "ConfChange":
        single = read_single(pb)
        return ConfChange(single.type, single.node_id, pb.context, pb.id)
    return ConfChangeV2(tuple(map(read_single, pb.changes)), ConfChangeTransition(pb.transition), pb.context)


def read_entry(pb: Any, classes: dict[str, Any]) -> Entry:
    """The entry with the payload it would have on our side."""
    if "context" not in pb.DESCRIPTOR.fields_by_name:
        return Entry(pb.term, pb.index, EntryType(pb.type), pb.data)
    data = pb.data
    if pb.type and data:
        change = classes["ConfChange" if pb.type == 1 else "ConfChangeV2"].FromString(data)
        data = read_change(change).encode() if change.SerializeToString() else b""
    return Entry(pb.term, pb.index, EntryType(pb.type), data, pb.context)


def read_conf_state(pb: Any) -> ConfState:
    return ConfState(
        tuple(pb.voters), tuple(pb.learners), tuple(pb.voters_outgoing), tuple(pb.learners_next), pb.auto_leave
    )


def read_snapshot(pb: Any) -> Snapshot:
    meta = pb.metadata
    return Snapshot(SnapshotMeta(meta.index, meta.term, read_conf_state(meta.conf_state)), pb.data)


def read_message(pb: Any, classes: dict[str, Any]) -> Message:
    fields = Fields(MessageType(pb.type))
    for name in ("to", "term", "log_term", "index", "commit", "reject", "reject_hint", "context"):
        setattr(fields, name, getattr(pb, name))
    fields.from_ = getattr(pb, "from")
    fields.entries = [read_entry(entry, classes) for entry in pb.entries]
    fields.snapshot = read_snapshot(pb.snapshot) if pb.HasField("snapshot") else None
    if "responses" in pb.DESCRIPTOR.fields_by_name:
        fields.vote = pb.vote
        fields.responses = [read_message(response, classes) for response in pb.responses]
    else:
        fields.request_snapshot = pb.request_snapshot
        fields.commit_term = pb.commit_term
        fields.priority = pb.priority or min(pb.deprecated_priority, (1 << 63) - 1)
    if fields.type in READS:
        fields.context = pb.entries[0].data
    return from_fields(fields)


def without(message: Message, lacking: tuple[str, ...]) -> Message:
    """The message as a form that lacks these fields can say it."""
    fields = to_fields(message)
    for name in lacking:
        setattr(fields, name, getattr(Fields(fields.type), name))
    fields.responses = [without(response, lacking) for response in fields.responses]
    if lacking == LACKING["raftpb"]:
        fields.entries = [Entry(e.term, e.index, e.type, e.data, b"", e.flags) for e in fields.entries]
    return from_fields(fields)


# --- ours to theirs ---------------------------------------------------------------------------------------------


@both
@given(st.data())
def test_the_library_reads_our_messages(side: Side, data: st.DataObject) -> None:
    message = data.draw(messages(side.message_classes, update_node=side.form is RAFTPB))
    encoded = side.form.encode_message(message)
    pb = side.classes["Message"].FromString(encoded)
    assert pb.IsInitialized()
    assert pb.SerializeToString(deterministic=True) == encoded
    expected = transcoded(without(message, LACKING[side.form.name]), side.form)
    assert read_message(pb, side.classes) == expected
    assert side.form.decode_message(encoded) == expected


def transcoded(message: Message, form: Form) -> Message:
    """The message after a round through the form: eraftpb says the change that is all zeros with no bytes at all."""
    fields = to_fields(message)
    fields.responses = [transcoded(response, form) for response in fields.responses]
    if form is ERAFTPB:
        zeros = {ConfChange(), ConfChangeV2()}
        fields.entries = [
            Entry(e.term, e.index, e.type, b"" if said(e) in zeros else e.data, e.context) for e in fields.entries
        ]
    return from_fields(fields)


@both
@given(st.data())
def test_the_library_reads_our_other_values(side: Side, data: st.DataObject) -> None:
    form, classes = side.form, side.classes
    entry = data.draw(entries(update_node=form is RAFTPB))
    pb = classes["Entry"].FromString(form.encode_entry(entry))
    if not form.context_field:
        entry.context = b""
    assert same_entry(read_entry(pb, classes), entry)
    assert pb.SerializeToString(deterministic=True) == form.encode_entry(entry)
    snapshot = data.draw(snapshots)
    pb = classes["Snapshot"].FromString(form.encode_snapshot(snapshot))
    assert read_snapshot(pb) == snapshot
    assert pb.SerializeToString(deterministic=True) == form.encode_snapshot(snapshot)
    conf = data.draw(conf_states)
    assert read_conf_state(classes["ConfState"].FromString(form.encode_conf_state(conf))) == conf
    state = data.draw(hard_states)
    pb = classes["HardState"].FromString(form.encode_hard_state(state))
    assert HardState(pb.term, pb.vote, pb.commit) == state


def same_entry(one: Entry, other: Entry) -> bool:
    """Equal, a configuration payload by what it says."""
    return (one.term, one.index, one.type, one.context) == (other.term, other.index, other.type, other.context) and (
        said(one) == said(other)
    )


def said(entry: Entry) -> object:
    if entry.type == EntryType.CONF_CHANGE:
        return decode_conf_change(entry.data)
    if entry.type == EntryType.CONF_CHANGE_V2:
        return decode_conf_change_v2(entry.data)
    return entry.data


# --- theirs to ours ---------------------------------------------------------------------------------------------


@st.composite
def library(draw: st.DrawFn, side: Side, name: str, depth: int = 0) -> Any:
    """One of the library's messages, each field there or not."""
    pb = side.classes[name]()
    for field in pb.DESCRIPTOR.fields:
        if not draw(st.booleans()) or (field.name == "responses" and depth == 2):
            continue
        values: st.SearchStrategy[Any]
        if field.message_type is not None:
            values = library(side, field.message_type.name, depth + (field.name == "responses"))
        elif field.enum_type is not None:
            values = st.sampled_from(range(len(field.enum_type.values)))
        else:
            values = {4: u64, 3: i64, 8: st.booleans(), 12: payload}[field.type]
        if field.is_repeated:
            getattr(pb, field.name).extend(draw(st.lists(values, max_size=3)))
        elif field.message_type is not None:
            getattr(pb, field.name).CopyFrom(draw(values))
        else:
            setattr(pb, field.name, draw(values))
    if name == "Entry" and pb.type:
        change = draw(library(side, "ConfChange" if pb.type == 1 else "ConfChangeV2"))
        pb.data = change.SerializeToString()
    if name == "Message" and pb.type in READS:
        del pb.entries[:]
        pb.entries.add(data=draw(payload))
    return pb


@both
@given(st.data())
def test_we_read_the_librarys_messages(side: Side, data: st.DataObject) -> None:
    pb = data.draw(library(side, "Message"))
    assert side.form.decode_message(pb.SerializeToString()) == read_message(pb, side.classes)


@both
@given(st.data())
def test_we_read_the_librarys_other_values(side: Side, data: st.DataObject) -> None:
    form = side.form
    pb = data.draw(library(side, "Entry"))
    assert same_entry(form.decode_entry(pb.SerializeToString()), read_entry(pb, side.classes))
    pb = data.draw(library(side, "Snapshot"))
    assert form.decode_snapshot(pb.SerializeToString()) == read_snapshot(pb)
    pb = data.draw(library(side, "ConfState"))
    assert form.decode_conf_state(pb.SerializeToString()) == read_conf_state(pb)
    pb = data.draw(library(side, "HardState"))
    assert form.decode_hard_state(pb.SerializeToString()) == HardState(pb.term, pb.vote, pb.commit)


@both
@given(st.data())
def test_unknown_fields_are_skipped(side: Side, data: st.DataObject) -> None:
    message = data.draw(messages(side.message_classes, update_node=False, responses=False))
    encoded = side.form.encode_message(message)
    unknown = bytes.fromhex("a00601 a9060102030405060708 aa0603616263 ad0601020304")  # number 100, each wire type
    assert side.form.decode_message(unknown + encoded + unknown) == side.form.decode_message(encoded)


@both
def test_repeated_numbers_are_read_packed_and_unpacked(side: Side) -> None:
    expected = ConfState(voters=(1, 300, 3))
    assert side.form.decode_conf_state(bytes.fromhex("0801 0a02ac02 0803")) == expected
    assert side.form.decode_conf_state(bytes.fromhex("0a04 01ac0203")) == expected


# --- damage -----------------------------------------------------------------------------------------------------

DECODERS = ("decode_message", "decode_entry", "decode_snapshot", "decode_conf_state", "decode_hard_state")


@both
@given(st.data())
def test_damage_gives_a_typed_error_or_a_message_that_can_be_said_again(side: Side, data: st.DataObject) -> None:
    sound = messages(side.message_classes, update_node=False).map(side.form.encode_message)
    encoded = data.draw(damaged(sound))
    found = outcome(side.form.decode_message, encoded)
    if isinstance(found, DecodeError):
        assert 0 <= found.offset <= len(encoded)
    else:
        assert side.form.decode_message(side.form.encode_message(found)) == found


@both
@pytest.mark.parametrize("decoder", DECODERS)
@given(noise=st.binary(max_size=100))
def test_noise_gives_a_typed_error_or_a_value(side: Side, decoder: str, noise: bytes) -> None:
    found = outcome(getattr(side.form, decoder), noise)
    assert not isinstance(found, DecodeError) or 0 <= found.offset <= len(noise)


@both
@pytest.mark.parametrize(
    ("hostile", "problem"),
    [
        ("08", "inside a varint"),
        ("0818", "type 24 is unknown"),
        ("08ffffffffffffffffff01", "unknown"),
        ("10ffffffffffffffffff02", "64 bits"),
        ("10ffffffffffffffffffff01", "ten bytes"),
        ("00", "number 0"),
        ("3affffffff0f", "claims"),
        ("4a021205", "claims"),
        ("3a020803", "entry type 3"),
        ("4a00 4a00", "two snapshots"),
        ("4a04 1200 1200", "two metadata"),
        ("4a06 1204 0a00 0a00", "two configurations"),
        ("0b 0c", "wire type 3"),
        ("0e", "wire type 6"),
        ("6d 010203", "claims"),
        ("080f", "0 entries"),
        ("0810 3a00 3a00", "2 entries"),
    ],
)
def test_hostile_bytes_are_refused_with_a_reason(side: Side, hostile: str, problem: str) -> None:
    with pytest.raises(DecodeError, match=problem):
        side.form.decode_message(bytes.fromhex(hostile))


def nested(depth: int) -> bytes:
    data = b""
    for _ in range(depth):
        data = encode_bytes(14, data)
    return data


def test_responses_nest_to_a_bound() -> None:
    RAFTPB.decode_message(nested(RESPONSE_DEPTH_MAX))
    with pytest.raises(DecodeError, match="nested deeper"):
        RAFTPB.decode_message(nested(RESPONSE_DEPTH_MAX + 1))
    with pytest.raises(DecodeError, match="nested deeper"):
        RAFTPB.decode_message(nested(5000))


@both
def test_a_small_message_with_large_claims_allocates_little(side: Side) -> None:
    tracemalloc.start()
    try:
        for tag in ("3a", "4a", "62", "0a"):
            with pytest.raises(DecodeError):
                side.form.decode_message(bytes.fromhex(tag + "ffffffff07") + bytes(20))
        assert tracemalloc.get_traced_memory()[1] < 100_000
    finally:
        tracemalloc.stop()
