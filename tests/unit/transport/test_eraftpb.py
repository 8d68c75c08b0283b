"""What is raft-rs's own: other numbers, an older priority, configuration payloads of its own."""

import pytest
from hypothesis import assume, given

from raftly.base.membership import AnyConfChange, ConfChange, ConfChangeSingle, ConfChangeType, ConfChangeV2
from raftly.base.types import Entry, EntryType
from raftly.core.fields import Fields, from_fields
from raftly.core.messages import MESSAGE_CLASSES, Message, MsgAppResp, MsgHup, MsgVote, MsgVoteResp
from raftly.errors import ConfChangeError, DecodeError, InvariantError
from raftly.transport.eraftpb import ERAFTPB, decode_conf_change, decode_conf_change_v2, encode_conf_change
from tests.unit.transport import reference
from tests.unit.transport.strategies import conf_changes, has_update
from tests.unit.transport.test_protobuf import read_change

CLASSES = reference.eraftpb()


def test_zeros_are_not_written() -> None:
    assert ERAFTPB.encode_message(MsgHup()) == b""
    assert ERAFTPB.decode_message(b"") == MsgHup()


def test_the_numbers_that_raft_rs_added() -> None:
    response = CLASSES["Message"].FromString(ERAFTPB.encode_message(MsgAppResp(1, 2, 3, request_snapshot=9)))
    assert response.request_snapshot == 9
    refusal = CLASSES["Message"].FromString(ERAFTPB.encode_message(MsgVoteResp(1, 2, 3, True, 4, 5)))
    assert (refusal.commit, refusal.commit_term) == (4, 5)


@pytest.mark.parametrize(("priority", "deprecated"), [(0, 0), (7, 7), (-7, 0), ((1 << 63) - 1, (1 << 63) - 1)])
def test_a_priority_is_written_for_old_readers_too(priority: int, deprecated: int) -> None:
    pb = CLASSES["Message"].FromString(ERAFTPB.encode_message(MsgVote(1, 2, 3, priority=priority)))
    assert (pb.priority, pb.deprecated_priority) == (priority, deprecated)


@pytest.mark.parametrize(
    ("priority", "deprecated", "read"), [(5, 4, 5), (-5, 4, -5), (0, 4, 4), (0, (1 << 64) - 1, (1 << 63) - 1)]
)
def test_the_newer_priority_wins(priority: int, deprecated: int, read: int) -> None:
    pb = CLASSES["Message"](type=5, priority=priority, deprecated_priority=deprecated)
    message = ERAFTPB.decode_message(pb.SerializeToString())
    assert isinstance(message, MsgVote)
    assert message.priority == read


@pytest.mark.parametrize("cls", MESSAGE_CLASSES[19:])
def test_messages_that_raft_rs_lacks_have_no_form(cls: type[Message]) -> None:
    with pytest.raises(InvariantError, match=cls.__name__):
        ERAFTPB.encode_message(from_fields(Fields(cls.type)))
    with pytest.raises(DecodeError, match=f"type {int(cls.type)} is unknown"):
        ERAFTPB.decode_message(bytes([8, cls.type]))


@given(conf_changes)
def test_changes_say_the_same_in_both_forms(change: AnyConfChange) -> None:
    assume(not has_update(change))
    encoded = encode_conf_change(change)
    pb = CLASSES[type(change).__name__].FromString(encoded)
    assert pb.SerializeToString(deterministic=True) == encoded
    assert read_change(pb) == change
    back = decode_conf_change(encoded) if isinstance(change, ConfChange) else decode_conf_change_v2(encoded)
    assert back == change


def test_a_configuration_entry_is_transcoded_both_ways() -> None:
    learner = ConfChange(ConfChangeType.ADD_LEARNER_NODE, 4, b"c", 9)
    joint = ConfChangeV2((ConfChangeSingle(ConfChangeType.ADD_LEARNER_NODE, 4),))
    for type_, change in ((EntryType.CONF_CHANGE, learner), (EntryType.CONF_CHANGE_V2, joint)):
        entry = Entry(1, 2, type_, change.encode())
        encoded = ERAFTPB.encode_entry(entry)
        pb = CLASSES["Entry"].FromString(encoded)
        assert pb.data == encode_conf_change(change)
        assert pb.data != entry.data  # add-learner is 2 there and 3 here
        assert ERAFTPB.decode_entry(encoded) == entry


def test_the_change_that_leaves_a_joint_state_stays_empty() -> None:
    entry = Entry(1, 2, EntryType.CONF_CHANGE_V2)
    assert CLASSES["Entry"].FromString(ERAFTPB.encode_entry(entry)).data == b""
    assert ERAFTPB.decode_entry(ERAFTPB.encode_entry(entry)) == entry


@pytest.mark.parametrize("payload", ["", "5001", "1000"])
def test_a_payload_that_says_nothing_is_empty_on_our_side(payload: str) -> None:
    for type_ in (1, 2):
        pb = CLASSES["Entry"](type=type_, data=bytes.fromhex(payload))
        assert ERAFTPB.decode_entry(pb.SerializeToString()).data == b""


def test_a_change_that_raft_rs_lacks_is_refused() -> None:
    update = ConfChange(ConfChangeType.UPDATE_NODE, 4)
    for change in (update, update.as_v2()):
        with pytest.raises(ConfChangeError, match="UPDATE_NODE"):
            encode_conf_change(change)
    with pytest.raises(ConfChangeError):
        ERAFTPB.encode_entry(Entry(1, 2, EntryType.CONF_CHANGE, update.encode()))


@pytest.mark.parametrize("payload", ["1003", "10", "1a05", "0b"])
def test_a_malformed_configuration_payload_is_refused(payload: str) -> None:
    data = bytes.fromhex(payload)
    with pytest.raises(DecodeError):
        decode_conf_change(data)
    entry = CLASSES["Entry"](type=1, data=data)
    with pytest.raises(DecodeError):
        ERAFTPB.decode_entry(entry.SerializeToString())


@pytest.mark.parametrize("payload", ["0803", "12020803", "1205", "0c"])
def test_a_malformed_joint_payload_is_refused(payload: str) -> None:
    data = bytes.fromhex(payload)
    with pytest.raises(DecodeError):
        decode_conf_change_v2(data)
    with pytest.raises(DecodeError):
        ERAFTPB.decode_entry(CLASSES["Entry"](type=2, data=data).SerializeToString())
