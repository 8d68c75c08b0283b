"""Sizes are what the protobuf library would write, computed without writing it."""

from __future__ import annotations

from typing import Any

import pytest
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from hypothesis import given
from hypothesis import strategies as st

from raftly.base.types import DATA_SET, NO_LIMIT, TYPE_SET, Entry, EntryType
from raftly.core.sizes import entries_bytes, entry_bytes, limit_bytes, limit_slice, payload_bytes


def entry_class() -> Any:
    """The Entry message of raftpb (proto2, so that presence counts), with eraftpb's context beside it."""
    field = descriptor_pb2.FieldDescriptorProto
    file = descriptor_pb2.FileDescriptorProto(name="entry_sizes.proto", package="entry_sizes", syntax="proto2")
    message = file.message_type.add(name="Entry")
    for number, name, kind in (
        (1, "type", field.TYPE_INT32),  # an enum is written as this is
        (2, "term", field.TYPE_UINT64),
        (3, "index", field.TYPE_UINT64),
        (4, "data", field.TYPE_BYTES),
        (6, "context", field.TYPE_BYTES),
    ):
        message.field.add(name=name, number=number, type=kind, label=field.LABEL_OPTIONAL)
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName("entry_sizes.Entry"))


ENTRY = entry_class()


def protobuf_bytes(entry: Entry) -> int:
    message = ENTRY(term=entry.term, index=entry.index)
    if entry.type != EntryType.NORMAL or entry.flags & TYPE_SET:
        message.type = int(entry.type)
    if entry.data or entry.flags & DATA_SET:
        message.data = entry.data
    if entry.context:
        message.context = entry.context
    return len(message.SerializeToString())


numbers = st.one_of(st.integers(0, 300), st.integers(0, (1 << 64) - 1), st.integers(0, 63).map(lambda bit: 1 << bit))
payloads = st.one_of(st.binary(max_size=20), st.integers(120, 140).map(bytes), st.integers(16_380, 16_390).map(bytes))
all_entries = st.builds(
    Entry,
    term=numbers,
    index=numbers,
    type=st.sampled_from(EntryType),
    data=payloads,
    context=payloads,
    flags=st.integers(0, TYPE_SET | DATA_SET),
)
lists_of_entries = st.lists(all_entries, max_size=6)


@given(all_entries)
def test_an_entry_has_the_size_of_its_protobuf_form(entry: Entry) -> None:
    assert entry_bytes(entry) == protobuf_bytes(entry)


@given(lists_of_entries)
def test_sums(entries: list[Entry]) -> None:
    assert entries_bytes(entries) == sum(protobuf_bytes(entry) for entry in entries)
    assert payload_bytes(entries) == sum(len(entry.data) for entry in entries)


def test_an_empty_entry_and_presence() -> None:
    assert entry_bytes(Entry()) == 4
    assert entry_bytes(Entry(flags=TYPE_SET)) == 6
    assert entry_bytes(Entry(flags=DATA_SET)) == 6
    assert entry_bytes(Entry(type=EntryType.CONF_CHANGE_V2)) == 6
    assert entry_bytes(Entry(term=1 << 63, index=(1 << 64) - 1)) == 22


@pytest.mark.behaviour("LG20")
@given(lists_of_entries, st.integers(0, 2), st.integers(0, 2))
def test_limiting_keeps_the_longest_prefix_that_fits_and_at_least_one(
    entries: list[Entry], before: int, behind: int
) -> None:
    around = [Entry(9, 9, data=b"around")]
    held = around * before + entries + around * behind
    sums = [entries_bytes(entries[:count]) for count in range(len(entries) + 1)]
    for limit in {0, NO_LIMIT} | {size + step for size in sums for step in (-1, 0, 1)}:
        longest = max((count for count, size in enumerate(sums) if size <= limit), default=0)
        wanted = entries[: max(longest, 1)]
        assert limit_slice(held, before, before + len(entries), limit) == wanted
        assert limit_bytes(entries, limit) == wanted
