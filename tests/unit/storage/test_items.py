"""Items of a batch: what goes in comes out, and hostile bytes are a DecodeError."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from raftly.base.membership import ConfState
from raftly.base.record import decode_record
from raftly.base.types import HardState, Snapshot, SnapshotMeta
from raftly.errors import DecodeError
from raftly.storage.items import (
    EntriesItem,
    HardStateItem,
    Item,
    MembershipItem,
    ReclaimedItem,
    RemovedItem,
    SnapshotItem,
    StateItem,
    StoredEntries,
    StoredItem,
    decode_items,
    decode_membership,
    encode_items,
    encode_membership,
)
from tests.unit.storage.kit import entries, entry

U64 = st.integers(0, 2**64 - 1)
IDS = st.lists(U64, max_size=4).map(tuple)
CONF = st.builds(ConfState, IDS, IDS, IDS, IDS, st.booleans())
HARD = st.builds(HardState, U64, U64, U64)
PLAIN: st.SearchStrategy[Item] = st.one_of(
    st.builds(HardStateItem, U64, HARD),
    st.builds(
        SnapshotItem, U64, st.builds(Snapshot, st.builds(SnapshotMeta, U64, U64, CONF), st.binary()), st.booleans()
    ),
    st.builds(MembershipItem, U64, U64, CONF),
    st.builds(RemovedItem, U64),
    st.builds(StateItem, U64, HARD, U64, CONF),
    st.builds(ReclaimedItem, U64),
)
ENTRIES: st.SearchStrategy[Item] = st.builds(
    lambda group, first, count, rewritten: EntriesItem(group, entries(first, count), rewritten),
    U64,
    st.integers(1, 2**50),
    st.integers(1, 5),
    st.booleans(),
)


@given(st.lists(st.one_of(PLAIN, ENTRIES), max_size=6))
def test_what_goes_in_comes_out(items: list[Item]) -> None:
    payload, layout = encode_items(items)
    for item, (offset, sizes), found in zip(items, layout, decode_items(payload), strict=True):
        if not isinstance(item, EntriesItem):
            assert found == item
            continue
        assert isinstance(found, StoredEntries)
        assert (found.group, found.rewritten, found.offset) == (item.group, item.rewritten, offset)
        assert found.sizes == sizes
        assert (found.first, found.stop) == (item.entries[0].index, item.entries[-1].index + 1)
        for wanted in item.entries:
            read, offset = decode_record(payload, offset, len(payload))  # noqa: PLW2901 - walks the records
            assert read == wanted


def test_runs_of_terms_are_told() -> None:
    mixed = [entry(5, 1), entry(6, 1), entry(7, 4), entry(8, 9)]
    (item,) = decode_items(encode_items([EntriesItem(1, mixed)])[0])
    assert isinstance(item, StoredEntries)
    assert item.terms == [(5, 1), (7, 4), (8, 9)]
    assert item.sizes == [len(part.record) for part in mixed]


def decoded(payload: bytes) -> list[StoredItem] | None:
    try:
        return list(decode_items(payload))
    except DecodeError:
        return None


def test_cut_anywhere_it_is_refused() -> None:
    conf = ConfState((1, 2), (3,), (4,), (5,), auto_leave=True)
    snapshot = Snapshot(SnapshotMeta(7, 2, conf), b"data")
    for item in (
        EntriesItem(1, entries(1, 3)),
        HardStateItem(1, HardState(1, 2, 3)),
        SnapshotItem(1, snapshot, keeps_entries=True),
        MembershipItem(1, 4, conf),
        RemovedItem(1),
        StateItem(1, HardState(1, 2, 3), 4, conf),
        ReclaimedItem(8),
    ):
        payload, _ = encode_items([item])
        for size in range(1, len(payload)):
            assert decoded(payload[:size]) is None, (item, size)


@pytest.mark.parametrize(
    "broken",
    [
        [entry(1), entry(3)],
        [entry(2), entry(2)],
        [entry(1, 5), entry(2, 4)],
        [],
    ],
    ids=["gap", "twice", "term falls", "none"],
)
def test_entries_that_cannot_follow_each_other_are_refused(broken: list[object]) -> None:
    payload, _ = encode_items([EntriesItem(1, broken)])  # type: ignore[arg-type]
    assert decoded(payload) is None


def test_hostile_bytes_are_refused_quickly() -> None:
    source = random.Random(5)
    base, _ = encode_items([EntriesItem(1, entries(1, 4)), MembershipItem(1, 2, ConfState((1, 2)))])
    for _ in range(4000):
        hostile = bytearray(base)
        for _ in range(source.randrange(1, 4)):
            hostile[source.randrange(len(hostile))] = source.randrange(256)
        decoded(bytes(hostile))
    with pytest.raises(DecodeError, match="4294967295 entries"):
        list(decode_items(b"\x01" + bytes(8) + b"\xff" * 4 + b"\x1a\0\0\0" + bytes(26)))
    with pytest.raises(DecodeError, match="4294967295 ids do not fit"):
        decode_membership(b"\0" + b"\xff" * 16, 0)
    with pytest.raises(DecodeError, match="kind 9 is unknown"):
        list(decode_items(b"\x09" + bytes(8)))


@given(CONF)
def test_membership_comes_back(conf: ConfState) -> None:
    encoded = encode_membership(conf)
    assert decode_membership(b"x" + encoded + b"y", 1) == (conf, 1 + len(encoded))
