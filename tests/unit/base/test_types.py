"""The values that all layers pass around."""

from typing import Any

import pytest

from raftly.base.membership import ConfState
from raftly.base.types import (
    DATA_SET,
    INDEX_MAX,
    NO_LIMIT,
    NO_NODE,
    TYPE_SET,
    Entry,
    EntryType,
    HardState,
    Snapshot,
    SnapshotMeta,
)


def test_the_numbers_that_formats_depend_on() -> None:
    assert [(type_.name, type_.value) for type_ in EntryType] == [
        ("NORMAL", 0),
        ("CONF_CHANGE", 1),
        ("CONF_CHANGE_V2", 2),
    ]
    assert (NO_NODE, INDEX_MAX, TYPE_SET, DATA_SET) == (0, 2**64 - 1, 1, 2)
    assert NO_LIMIT < 2**62  # a tagged machine word once compiled


def test_an_entry_is_what_was_proposed_and_where_it_stands() -> None:
    entry = Entry(1, 2, EntryType.CONF_CHANGE, b"data", b"context", TYPE_SET, b"record")
    same = Entry(1, 2, EntryType.CONF_CHANGE, b"data", b"context")
    assert entry == same
    assert hash(entry) == hash(same)


@pytest.mark.parametrize(
    "other",
    [
        Entry(9, 2, EntryType.CONF_CHANGE, b"data", b"context"),
        Entry(1, 9, EntryType.CONF_CHANGE, b"data", b"context"),
        Entry(1, 2, EntryType.NORMAL, b"data", b"context"),
        Entry(1, 2, EntryType.CONF_CHANGE, b"other", b"context"),
        Entry(1, 2, EntryType.CONF_CHANGE, b"data", b"other"),
        (1, 2, EntryType.CONF_CHANGE, b"data", b"context"),
        None,
    ],
)
def test_every_part_of_an_entry_counts(other: object) -> None:
    assert Entry(1, 2, EntryType.CONF_CHANGE, b"data", b"context") != other


def test_an_entry_in_print() -> None:
    assert repr(Entry(1, 2, EntryType.NORMAL, b"x")) == "Entry(1/2 NORMAL b'x')"
    assert repr(Entry(1, 2, EntryType.CONF_CHANGE, b"", b"c")) == "Entry(1/2 CONF_CHANGE b'', context=b'c')"


def test_a_new_entry_has_nothing() -> None:
    entry = Entry()
    parts = (entry.term, entry.index, entry.type, entry.data, entry.context, entry.flags, entry.record)
    assert parts == (0, 0, EntryType.NORMAL, b"", b"", 0, b"")


def test_an_entry_takes_no_other_attribute() -> None:
    entry: Any = Entry()
    with pytest.raises(AttributeError):
        entry.terms = 1


@pytest.mark.parametrize("state", [HardState(1, 0, 0), HardState(0, 1, 0), HardState(0, 0, 1)])
def test_a_hard_state_with_anything_in_it_is_not_empty(state: HardState) -> None:
    assert not state.is_empty()
    assert state != HardState()
    assert state == HardState(state.term, state.vote, state.commit)
    assert hash(state) == hash(HardState(state.term, state.vote, state.commit))


def test_a_new_hard_state_is_empty() -> None:
    assert HardState().is_empty()
    assert repr(HardState(1, 2, 3)) == "HardState(term=1, vote=2, commit=3)"


def test_a_snapshot_is_empty_without_an_index() -> None:
    assert Snapshot().is_empty()
    assert Snapshot(SnapshotMeta(0, 5, ConfState((1,))), b"data").is_empty()
    assert not Snapshot(SnapshotMeta(1)).is_empty()


def test_a_snapshot_does_not_change() -> None:
    meta: Any = SnapshotMeta(1, 2)
    with pytest.raises((AttributeError, TypeError)):
        meta.index = 3
    assert SnapshotMeta(1, 2) == meta
