"""What is etcd's own: which zeros are written, and which bytes its code makes."""

from typing import Any

import pytest
from hypothesis import given

from raftly.base.membership import AnyConfChange
from raftly.base.types import DATA_SET, TYPE_SET, Entry, EntryType, HardState, Snapshot, SnapshotMeta
from raftly.core.fields import Fields, from_fields
from raftly.core.messages import (
    APPEND_THREAD,
    MESSAGE_CLASSES,
    Message,
    MsgApp,
    MsgAppResp,
    MsgHeartbeat,
    MsgProp,
    MsgReadIndex,
    MsgSnapStatus,
    MsgStorageAppend,
    MsgStorageAppendResp,
    MsgVote,
    MsgVoteResp,
)
from raftly.transport.raftpb import RAFTPB
from tests.unit.transport import reference
from tests.unit.transport.strategies import conf_changes, entries

CLASSES = reference.raftpb()
SENT = ["type", "to", "from", "term"]


def present(pb: Any) -> list[str]:
    return [field.name for field, _ in pb.ListFields()]


@pytest.mark.parametrize(
    ("message", "names"),
    [
        (MsgProp(1, 2, 0, []), ["type", "to", "from"]),
        (MsgApp(1, 2, 3, 0, 0, [], 0), [*SENT, "log_term", "index", "commit"]),
        (MsgAppResp(1, 2, 3), SENT),
        (MsgAppResp(1, 2, 3, 4), [*SENT, "index"]),
        (MsgAppResp(1, 2, 3, 0, True), [*SENT, "log_term", "index", "reject", "reject_hint"]),
        (MsgVote(1, 2, 3), [*SENT, "log_term", "index"]),
        (MsgVote(1, 2, 3, context=b"x"), [*SENT, "log_term", "index", "context"]),
        (MsgVoteResp(1, 2, 3), SENT),
        (MsgVoteResp(1, 2, 3, True), [*SENT, "reject"]),
        (MsgHeartbeat(1, 2, 3), [*SENT, "commit"]),
        (MsgReadIndex(1, 2, 0, b"x"), ["type", "to", "from", "entries"]),
        (MsgSnapStatus(0, 2, 0), ["type", "from", "reject"]),
        (MsgStorageAppend(APPEND_THREAD, 2, 0, 0, 0, [], None, []), ["type", "to", "from"]),
        (MsgStorageAppend(APPEND_THREAD, 2, 3, 0, 0, [], None, []), [*SENT, "commit", "vote"]),
        (MsgStorageAppendResp(1, APPEND_THREAD, 3), SENT),
        (MsgStorageAppendResp(1, APPEND_THREAD, 3, 1, 0), [*SENT, "log_term", "index"]),
    ],
    ids=str,
)
def test_zeros_are_written_where_etcd_sets_them(message: Message, names: list[str]) -> None:
    assert present(CLASSES["Message"].FromString(RAFTPB.encode_message(message))) == names


def test_every_message_writes_its_type() -> None:
    for cls in MESSAGE_CLASSES:
        pb = CLASSES["Message"].FromString(RAFTPB.encode_message(from_fields(Fields(cls.type))))
        assert pb.HasField("type")


def test_states_write_all_their_numbers() -> None:
    assert RAFTPB.encode_hard_state(HardState()) == bytes.fromhex("0800 1000 1800")
    assert RAFTPB.encode_snapshot(Snapshot()) == bytes.fromhex("1208 0a02 2800 1000 1800")
    assert RAFTPB.encode_snapshot(Snapshot(SnapshotMeta(7, 2), b"s")) == bytes.fromhex(
        "0a0173 1208 0a02 2800 1007 1802"
    )


def test_an_entry_writes_what_its_flags_say() -> None:
    assert RAFTPB.encode_entry(Entry(1, 2)) == bytes.fromhex("1001 1802")
    assert RAFTPB.encode_entry(Entry(1, 2, flags=TYPE_SET)) == bytes.fromhex("0800 1001 1802")
    assert RAFTPB.encode_entry(Entry(1, 2, flags=DATA_SET)) == bytes.fromhex("1001 1802 2200")
    assert RAFTPB.encode_entry(Entry(1, 2, EntryType.CONF_CHANGE_V2)) == bytes.fromhex("0802 1001 1802")


@given(entries())
def test_an_entry_keeps_the_flags_that_count(entry: Entry) -> None:
    back = RAFTPB.decode_entry(RAFTPB.encode_entry(entry))
    counts = (TYPE_SET if entry.type == EntryType.NORMAL else 0) | (0 if entry.data else DATA_SET)
    assert back.flags == entry.flags & counts


@given(conf_changes)
def test_a_change_is_what_the_library_writes_with_all_numbers_set(change: AnyConfChange) -> None:
    encoded = change.encode()
    pb = CLASSES[type(change).__name__].FromString(encoded)
    assert pb.SerializeToString(deterministic=True) == encoded
    singles = [pb] if type(change).__name__ == "ConfChange" else pb.changes
    assert [(single.type, single.node_id) for single in singles] == [
        (single.type, single.node_id) for single in change.as_v2().changes
    ]
    assert all(single.HasField("type") and single.HasField("node_id") for single in singles)
    assert pb.context == change.context
