"""The framed record of an entry: its bytes, every damage to them, and what a batch of them refuses."""

import struct
import tracemalloc
from zlib import crc32

import pytest
from hypothesis import given
from hypothesis import strategies as st

from raftly.base.record import (
    RECORD_BYTES_MIN,
    decode_record,
    decode_records,
    frame_entry,
    read_records,
    record_of,
    verify_record,
)
from raftly.base.types import DATA_SET, TYPE_SET, Entry, EntryType
from raftly.errors import DecodeError

U64_MAX = (1 << 64) - 1

u64 = st.integers(0, U64_MAX)
entries = st.builds(
    Entry, u64, u64, st.sampled_from(EntryType), st.binary(max_size=60), st.binary(max_size=20), st.integers(0, 3)
)
SAMPLES = [
    Entry(),
    Entry(1, 2, EntryType.NORMAL, b"payload"),
    Entry(U64_MAX, U64_MAX, EntryType.CONF_CHANGE, b"change", b"context", TYPE_SET | DATA_SET),
    Entry(3, 4, EntryType.CONF_CHANGE_V2, b"", b"context"),
]


def sealed(body: bytes) -> bytes:
    """A record with any body and a checksum that matches."""
    return body + struct.pack("<I", crc32(body))


def head(size: int, kind: int = 0, version: int = 1) -> bytes:
    return struct.pack("<IBBQQ", size, kind, version, 5, 6)


# --- the form --------------------------------------------------------------------------------------------------


def test_the_bytes_of_a_record() -> None:
    body = bytes.fromhex("1d000000 00 01 0200000000000000 0300000000000000") + b"abc"
    assert record_of(Entry(2, 3, EntryType.NORMAL, b"abc")) == sealed(body)
    body = bytes.fromhex("21000000 61 01 0200000000000000 0300000000000000 02000000") + b"xyc"
    assert record_of(Entry(2, 3, EntryType.CONF_CHANGE, b"c", b"xy", DATA_SET)) == sealed(body)


@given(entries)
def test_the_size_of_a_record(entry: Entry) -> None:
    context = 4 + len(entry.context) if entry.context else 0
    record = record_of(entry)
    assert len(record) == RECORD_BYTES_MIN + context + len(entry.data)
    assert struct.unpack_from("<I", record) == (len(record),)


@given(entries)
def test_an_entry_comes_back_with_its_record_and_flags(entry: Entry) -> None:
    record = record_of(entry)
    back, stop = decode_record(b"before" + record + b"after", 6, 6 + len(record) + 5)
    assert stop == 6 + len(record)
    assert (back, back.flags, back.record) == (entry, entry.flags, record)


def test_a_record_is_made_once_and_kept() -> None:
    entry = Entry(1, 2, EntryType.NORMAL, b"payload")
    record = record_of(entry)
    assert record_of(entry) is record
    assert entry.record is record


def test_framing_keeps_nothing() -> None:
    entry = Entry(1, 2, EntryType.NORMAL, b"payload")
    assert frame_entry(entry) == record_of(Entry(1, 2, EntryType.NORMAL, b"payload"))
    assert entry.record == b""
    entry.index = 3
    assert decode_record(frame_entry(entry), 0, 100)[0].index == 3


# --- many ------------------------------------------------------------------------------------------------------


@given(st.lists(entries, max_size=6), st.binary(max_size=9), st.binary(max_size=40))
def test_records_back_to_back(found: list[Entry], before: bytes, after: bytes) -> None:
    body = b"".join(record_of(entry) for entry in found)
    buf, start, stop = before + body + after, len(before), len(before) + len(body)
    back = decode_records(buf, start, stop, len(found))
    assert back == found
    assert [entry.record for entry in back] == [entry.record for entry in found]
    more: list[Entry] = [Entry(9, 9)]
    assert read_records(buf, start, len(buf), len(found), more) == stop
    assert more == [Entry(9, 9), *found]


def test_the_count_must_be_right() -> None:
    body = b"".join(record_of(entry) for entry in SAMPLES)
    for count in (0, 1, len(SAMPLES) - 1, len(SAMPLES) + 1, 1 << 32):
        with pytest.raises(DecodeError):
            decode_records(body, 0, len(body), count)
    assert decode_records(b"", 0, 0, 0) == []


def test_a_large_count_allocates_nothing() -> None:
    record = record_of(SAMPLES[1])
    tracemalloc.start()
    try:
        with pytest.raises(DecodeError):
            decode_records(record, 0, len(record), (1 << 32) - 1)
        assert tracemalloc.get_traced_memory()[1] < 10_000
    finally:
        tracemalloc.stop()


# --- damage ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("entry", SAMPLES, ids=repr)
def test_every_flipped_bit_is_noticed(entry: Entry) -> None:
    record = frame_entry(entry)
    assert verify_record(record)
    for bit in range(len(record) * 8):
        damaged = bytearray(record)
        damaged[bit // 8] ^= 1 << bit % 8
        assert not verify_record(bytes(damaged))
        with pytest.raises(DecodeError):
            decode_record(bytes(damaged), 0, len(damaged))


@given(entries, st.data())
def test_every_changed_byte_is_noticed(entry: Entry, data: st.DataObject) -> None:
    record = bytearray(frame_entry(entry))
    record[data.draw(st.integers(0, len(record) - 1))] ^= data.draw(st.integers(1, 255))
    assert not verify_record(bytes(record))


@pytest.mark.parametrize("entry", SAMPLES, ids=repr)
def test_every_truncation_is_refused(entry: Entry) -> None:
    record = frame_entry(entry)
    for stop in range(len(record)):
        for buf in (record[:stop], record):  # the rest is missing, or there but not ours
            with pytest.raises(DecodeError):
                decode_records(buf, 0, stop, 1)
            with pytest.raises(DecodeError):
                decode_record(buf, 0, stop)
        assert not verify_record(record[:stop])


@pytest.mark.parametrize(
    ("record", "problem"),
    [
        (sealed(head(25)), "claims 25 bytes"),
        (sealed(head(0)), "claims 0 bytes"),
        (sealed(head(27)), "claims 27 bytes"),
        (sealed(head((1 << 32) - 1)), "claims 4294967295 bytes"),
        (sealed(head(26, version=0)), "version 0"),
        (sealed(head(26, version=2)), "version 2"),
        (sealed(head(26, kind=3)), "kind 0x03"),
        (sealed(head(26, kind=0x0F)), "kind 0x0f"),
        (sealed(head(26, kind=0x80)), "kind 0x80"),
        (sealed(head(29, kind=0x40) + b"\0\0\0"), "inside its context size"),
        (sealed(head(30, kind=0x40) + b"\1\0\0\0"), "context of 1 bytes"),
        (sealed(head(30, kind=0x40) + b"\xff\xff\xff\xff"), "context of 4294967295 bytes"),
    ],
)
def test_what_no_writer_writes_is_refused_with_its_place(record: bytes, problem: str) -> None:
    with pytest.raises(DecodeError, match=problem) as caught:
        decode_record(b"12345" + record, 5, 5 + len(record))
    assert caught.value.offset == 5
    before = record_of(SAMPLES[1])
    with pytest.raises(DecodeError, match=problem) as caught:
        decode_records(before + record, 0, len(before + record), 2)
    assert caught.value.offset == len(before)


def test_structure_is_all_that_a_batch_is_checked_for() -> None:
    record = bytearray(record_of(Entry(1, 2, EntryType.NORMAL, b"payload")))
    record[-5] ^= 1
    (entry,) = decode_records(bytes(record), 0, len(record), 1)
    assert not verify_record(entry.record)


@given(st.binary(max_size=120), st.integers(0, 5))
def test_noise_gives_a_typed_error_or_entries(noise: bytes, count: int) -> None:
    try:
        found = decode_records(noise, 0, len(noise), count)
    except DecodeError:
        return
    assert b"".join(entry.record for entry in found) == noise
