"""Messages and what they are made of, drawn by Hypothesis; every field the class has, over its whole range."""

from collections.abc import Callable
from typing import TypeVar

from hypothesis import strategies as st

from raftly.base.membership import (
    AnyConfChange,
    ConfChange,
    ConfChangeSingle,
    ConfChangeTransition,
    ConfChangeType,
    ConfChangeV2,
    ConfState,
)
from raftly.base.types import DATA_SET, TYPE_SET, Entry, EntryType, HardState, Snapshot, SnapshotMeta
from raftly.core.fields import Fields, from_fields
from raftly.core.messages import LOCAL_MESSAGES, MESSAGE_CLASSES, Message, MsgStorageAppend, MsgStorageApply
from raftly.errors import DecodeError

T = TypeVar("T")

U64_MAX = (1 << 64) - 1
LOCAL = [cls for cls in MESSAGE_CLASSES if cls in LOCAL_MESSAGES]
TRAVELLING = [cls for cls in MESSAGE_CLASSES if cls not in LOCAL_MESSAGES]

u64 = st.one_of(st.integers(0, 300), st.integers(0, U64_MAX), st.sampled_from([U64_MAX, U64_MAX - 1, 1 << 63, 1 << 62]))
i64 = st.integers(-(1 << 63), (1 << 63) - 1)
payload = st.binary(max_size=40)
flags = st.integers(0, TYPE_SET | DATA_SET)

conf_states = st.builds(
    ConfState,
    *[st.lists(u64, max_size=4).map(tuple) for _ in range(4)],
    st.booleans(),
)
snapshots = st.builds(Snapshot, st.builds(SnapshotMeta, u64, u64, conf_states), payload)
hard_states = st.builds(HardState, u64, u64, u64)
singles = st.builds(ConfChangeSingle, st.sampled_from(ConfChangeType), u64)
conf_changes_v1 = st.builds(ConfChange, st.sampled_from(ConfChangeType), u64, payload, u64)
conf_changes_v2 = st.builds(
    ConfChangeV2, st.lists(singles, max_size=4).map(tuple), st.sampled_from(ConfChangeTransition), payload
)
conf_changes: st.SearchStrategy[AnyConfChange] = st.one_of(conf_changes_v1, conf_changes_v2)


def has_update(change: AnyConfChange) -> bool:
    """Whether raft-rs has no word for this change."""
    return any(single.type == ConfChangeType.UPDATE_NODE for single in change.as_v2().changes)


@st.composite
def entries(draw: st.DrawFn, *, update_node: bool = True) -> Entry:
    """An entry with its place; a configuration entry has the payload it must have, or none."""
    type_ = draw(st.sampled_from(EntryType))
    data = b""
    if type_ == EntryType.NORMAL:
        data = draw(payload)
    elif draw(st.booleans()):
        joint = type_ == EntryType.CONF_CHANGE_V2
        change: AnyConfChange = draw(conf_changes_v2) if joint else draw(conf_changes_v1)
        if update_node or not has_update(change):
            data = change.encode()
    return Entry(draw(u64), draw(u64), type_, data, draw(payload), draw(flags))


@st.composite
def messages(
    draw: st.DrawFn, classes: list[type[Message]], *, update_node: bool = True, responses: bool = True
) -> Message:
    """A message of one of the classes."""
    cls = draw(st.sampled_from(classes))
    fields = Fields(cls.type)
    for name in ("to", "from_", "term", "log_term", "index", "commit", "commit_term", "vote", "reject_hint"):
        setattr(fields, name, draw(u64))
    fields.request_snapshot = draw(u64)
    fields.priority = draw(i64)
    fields.reject = draw(st.booleans())
    fields.context = draw(payload)
    if "entries" in cls.FIELDS:
        fields.entries = draw(st.lists(entries(update_node=update_node), max_size=4))
    if "snapshot" in cls.FIELDS:
        fields.snapshot = draw(snapshots | st.none())
    if responses and cls in {MsgStorageAppend, MsgStorageApply}:
        fields.responses = draw(st.lists(messages(list(MESSAGE_CLASSES), responses=False), max_size=3))
    return from_fields(fields)


def kept(message: Message) -> tuple[object, ...]:
    """What a codec must keep: equality, and the presence flags that equality does not see."""
    found = getattr(message, "entries", [])
    return message, [entry.flags for entry in found]


@st.composite
def damaged(draw: st.DrawFn, sound: st.SearchStrategy[bytes]) -> bytes:
    """Sound bytes after one to four cuts, flips, insertions, repetitions or length fields gone wild."""
    data = bytearray(draw(sound))
    for _ in range(draw(st.integers(1, 4))):
        at = draw(st.integers(0, len(data)))
        how = draw(st.integers(0, 4))
        if how == 0:
            del data[at:]
        elif how == 1 and at < len(data):
            data[at] ^= 1 << draw(st.integers(0, 7))
        elif how == 2:
            data[at:at] = draw(st.binary(min_size=1, max_size=9))
        elif how == 3:
            data[at : at + 4] = draw(st.sampled_from([b"\xff\xff\xff\xff", b"\xff\xff\xff\x7f", b"\0\0\0\0"]))
        else:
            data[at:at] = data[: draw(st.integers(0, 32))]
    return bytes(data)


def outcome(decode: Callable[[bytes], T], data: bytes) -> T | DecodeError:
    """What a decoder makes of the bytes; any other exception is the test's failure."""
    try:
        return decode(data)
    except DecodeError as error:
        return error
