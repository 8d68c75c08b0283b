"""Messages as bytes between our own nodes."""

import struct
import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st

from raftly.base.record import record_of, verify_record
from raftly.base.types import Entry, EntryType, Snapshot
from raftly.core.fields import Fields, from_fields
from raftly.core.messages import (
    LOCAL_MESSAGES,
    MESSAGE_CLASSES,
    Message,
    MsgApp,
    MsgAppResp,
    MsgHeartbeat,
    MsgProp,
    MsgSnap,
    MsgTimeoutNow,
    MsgVote,
)
from raftly.errors import DecodeError, InvariantError
from raftly.transport.codec import decode_messages, encode_messages
from tests.unit.transport.strategies import LOCAL, TRAVELLING, damaged, kept, messages, outcome

U64_MAX = (1 << 64) - 1
batches = st.lists(messages(TRAVELLING), max_size=4)


def decode(data: bytes) -> list[Message]:
    return decode_messages(data, 0, len(data))


def one_of_each() -> list[Message]:
    """Every travelling message with a distinct value in each field."""
    entries = [Entry(3, 6, EntryType.NORMAL, b"data", b"own")]
    return [
        from_fields(Fields(cls.type, 1, 2, 3, 4, 5, entries, 6, 7, 8, Snapshot(), True, 9, b"ctx", [], 10, -11))
        for cls in TRAVELLING
    ]


@given(batches)
def test_a_batch_comes_back_as_it_was(batch: list[Message]) -> None:
    back = decode(encode_messages(batch))
    assert [kept(message) for message in back] == [kept(message) for message in batch]


def test_every_travelling_message_has_a_form() -> None:
    batch = one_of_each()
    assert {type(message) for message in batch} == set(MESSAGE_CLASSES) - LOCAL_MESSAGES
    assert decode(encode_messages(batch)) == batch


@given(batches, st.binary(max_size=9), st.binary(max_size=99))
def test_only_the_named_range_is_read(batch: list[Message], before: bytes, after: bytes) -> None:
    data = encode_messages(batch)
    assert decode_messages(before + data + after, len(before), len(before) + len(data)) == batch


@pytest.mark.parametrize("cls", LOCAL)
def test_a_local_message_has_no_form(cls: type[Message]) -> None:
    with pytest.raises(InvariantError, match=cls.__name__):
        encode_messages([from_fields(Fields(cls.type))])


@pytest.mark.parametrize("number", sorted({cls.type for cls in LOCAL} | {24, 127, 128, 255}))
def test_a_number_that_does_not_travel_is_refused(number: int) -> None:
    sound = encode_messages([MsgTimeoutNow(1, 2, 3)])
    with pytest.raises(DecodeError, match=f"number {number} ") as caught:
        decode(sound + bytes([number]) + bytes(100))
    assert caught.value.offset == len(sound)


@pytest.mark.parametrize("value", [-1, U64_MAX + 1])
def test_a_number_out_of_range_is_our_own_fault(value: int) -> None:
    with pytest.raises(InvariantError):
        encode_messages([MsgHeartbeat(1, 2, value)])


# --- records ---------------------------------------------------------------------------------------------------


def test_an_append_splices_the_records_and_its_reader_keeps_them() -> None:
    sent = [Entry(7, index, EntryType.NORMAL, b"x" * index) for index in range(1, 9)]
    data = encode_messages([MsgApp(1, 2, 7, 6, 0, sent, 4)])
    records = [record_of(entry) for entry in sent]
    assert data.endswith(b"".join(records))
    (message,) = decode(data)
    assert isinstance(message, MsgApp)
    assert [entry.record for entry in message.entries] == records
    assert all(verify_record(entry.record) for entry in message.entries)
    assert encode_messages([message]) == data


def test_the_record_that_an_entry_carries_is_what_is_sent() -> None:
    entry = Entry(7, 1, EntryType.NORMAL, b"new")
    entry.record = record_of(Entry(7, 1, EntryType.NORMAL, b"old"))
    (message,) = decode(encode_messages([MsgApp(1, 2, 7, 0, 0, [entry], 0)]))
    assert isinstance(message, MsgApp)
    assert message.entries[0].data == b"old"


def test_a_proposal_gets_no_record_before_it_has_a_place() -> None:
    entry = Entry(0, 0, EntryType.CONF_CHANGE, b"change", b"context", 3)
    (message,) = decode(encode_messages([MsgProp(1, 2, 0, [entry])]))
    assert isinstance(message, MsgProp)
    assert message.entries == [entry]
    assert (entry.record, message.entries[0].record) == (b"", b"")


# --- damage ----------------------------------------------------------------------------------------------------


def test_every_truncation_is_refused() -> None:
    for message in one_of_each():
        data = encode_messages([message])
        for stop in range(1, len(data)):
            with pytest.raises(DecodeError):
                decode(data[:stop])
            with pytest.raises(DecodeError):  # the missing bytes are in the buffer, but they are not ours
                decode_messages(data, 0, stop)
        with pytest.raises(DecodeError):
            decode(data + data[:1])


@pytest.mark.parametrize(
    "message",
    [MsgHeartbeat(1, 2, 3, 4, b"ctx"), MsgVote(1, 2, 3, 4, 5, b"ctx"), MsgSnap(1, 2, 3, Snapshot(data=b"snap"))],
)
def test_a_length_beyond_the_end_is_refused(message: Message) -> None:
    data = bytearray(encode_messages([message]))
    tail = 3 if not isinstance(message, MsgSnap) else 4
    at = len(data) - tail - 4
    assert struct.unpack_from("<I", data, at)[0] == tail
    for claim in (tail + 1, 1 << 31, (1 << 32) - 1):
        struct.pack_into("<I", data, at, claim)
        with pytest.raises(DecodeError):
            decode(bytes(data))


def test_a_small_frame_with_large_claims_allocates_little() -> None:
    count = b"\xff\xff\xff\xff"
    hostile = [
        encode_messages([MsgApp(1, 2, 3, 4, 5, [], 6)])[:-4] + count,
        encode_messages([MsgProp(1, 2, 0, [])])[:-4] + count,
        encode_messages([MsgHeartbeat(1, 2, 3)])[:-4] + count,
        encode_messages([MsgSnap(1, 2, 3, Snapshot())])[:-20] + count * 5,
    ]
    tracemalloc.start()
    try:
        for data in hostile:
            with pytest.raises(DecodeError):
                decode(data)
        assert tracemalloc.get_traced_memory()[1] < 100_000
    finally:
        tracemalloc.stop()


@given(damaged(batches.map(encode_messages)))
def test_damage_gives_a_typed_error_or_messages_that_can_be_sent_again(data: bytes) -> None:
    found = outcome(decode, data)
    if isinstance(found, DecodeError):
        assert 0 <= found.offset <= len(data)
    else:
        assert decode(encode_messages(found)) == found


@given(st.binary(max_size=300))
def test_noise_gives_a_typed_error_or_messages(data: bytes) -> None:
    found = outcome(decode, data)
    assert isinstance(found, DecodeError) or decode(encode_messages(found)) == found


def test_an_acknowledgement_keeps_every_field_apart() -> None:
    (back,) = decode(encode_messages([MsgAppResp(1, 2, 3, 4, True, 5, 6, 7, 8)]))
    assert isinstance(back, MsgAppResp)
    assert (back.to, back.from_, back.term, back.index, back.reject) == (1, 2, 3, 4, True)
    assert (back.reject_hint, back.log_term, back.commit, back.request_snapshot) == (5, 6, 7, 8)
