"""MemoryStorage: what a storage must answer, in the simplest form there is."""

from __future__ import annotations

import pytest

from raftly.base.membership import ConfState
from raftly.base.types import NO_LIMIT, Entry, Snapshot, SnapshotMeta
from raftly.core.memory import MemoryStorage
from raftly.core.sizes import entries_bytes
from raftly.core.storage import FetchContext
from raftly.errors import Compacted, InvariantError, LogNotReady, SnapshotNotReady, SnapshotOutOfDate, Unavailable
from tests.support.lone import entries, indexes, terms_of
from tests.support.network import storage_with


def storage(*terms: int) -> MemoryStorage:
    """Entries from index 4 on, behind a snapshot at 3 of term 3."""
    return storage_with(snapshot=(3, 3), terms=terms)


def all_of(held: MemoryStorage) -> tuple[list[int], list[int]]:
    if held.last_index() < held.first_index():
        return [], []
    read = held.entries(held.first_index(), held.last_index() + 1, NO_LIMIT)
    return indexes(read), terms_of(read)


@pytest.mark.behaviour("ST01")
def test_terms_from_the_dummy_to_the_end() -> None:
    held = storage(4, 5)
    for index in (0, 2):
        with pytest.raises(Compacted):
            held.term(index)
    assert [held.term(index) for index in (3, 4, 5)] == [3, 4, 5]
    for index in (6, 100):
        with pytest.raises(Unavailable):
            held.term(index)


@pytest.mark.behaviour("ST02")
def test_entries_honour_their_bounds() -> None:
    held = storage(4, 5, 6)
    for lo, hi in ((2, 6), (3, 4), (0, 0)):
        with pytest.raises(Compacted):
            held.entries(lo, hi, NO_LIMIT)
    assert indexes(held.entries(4, 5, NO_LIMIT)) == [4]
    assert indexes(held.entries(4, 6, NO_LIMIT)) == [4, 5]
    assert indexes(held.entries(4, 7, NO_LIMIT)) == [4, 5, 6]
    assert held.entries(5, 5, NO_LIMIT) == []
    with pytest.raises(InvariantError, match=r"entries' hi\(8\) is out of bound lastindex\(6\)"):
        held.entries(4, 8, NO_LIMIT)
    with pytest.raises(Unavailable):
        storage().entries(4, 4, NO_LIMIT)


@pytest.mark.behaviour("ST02")
def test_entries_honour_the_byte_limit_and_give_at_least_one() -> None:
    held = storage(4, 5, 6)
    sizes = [entries_bytes(held.entries(index, index + 1, NO_LIMIT)) for index in (4, 5, 6)]
    for count in (1, 2, 3):
        assert indexes(held.entries(4, 7, sum(sizes[:count]))) == [4, 5, 6][:count]
        assert indexes(held.entries(4, 7, sum(sizes[:count]) - 1)) == [4, 5, 6][: max(count - 1, 1)]
    assert indexes(held.entries(4, 7, 0)) == [4]


@pytest.mark.behaviour("ST03")
def test_the_last_index_follows_appends() -> None:
    held = storage(4, 5)
    assert held.last_index() == 5
    held.append(entries(6, 5))
    assert held.last_index() == 6
    held.append(entries(5, 6))
    assert held.last_index() == 5
    assert storage().last_index() == 3
    assert MemoryStorage().last_index() == 0


@pytest.mark.behaviour("ST04")
def test_the_first_index_follows_compaction() -> None:
    held = storage(4, 5)
    assert held.first_index() == 4
    held.compact(4)
    assert held.first_index() == 5
    held.compact(5)
    assert held.first_index() == 6
    assert MemoryStorage().first_index() == 1


@pytest.mark.behaviour("ST05")
def test_the_compacted_entry_becomes_the_dummy() -> None:
    for index in (4, 5, 6):
        held = storage(4, 5, 6)
        held.compact(index)
        assert held.term(index) == index
        assert all_of(held)[0] == list(range(index + 1, 7))
        for again in (index, index - 1, 2):
            with pytest.raises(Compacted):
                held.compact(again)
        with pytest.raises(InvariantError, match="compact 7 is out of bound"):
            held.compact(7)
    assert storage(4, 5, 6).last_index() == 6
    # The payload of the compacted entry is not kept.
    held = MemoryStorage()
    held.append([Entry(1, 1, data=b"secret"), Entry(1, 2)])
    held.compact(1)
    assert held.entries(2, 3, NO_LIMIT) == [Entry(1, 2)]


@pytest.mark.behaviour("ST06")
@pytest.mark.parametrize("index", [4, 5])
def test_a_created_snapshot_says_where_it_stands_and_who_is_in(index: int) -> None:
    held = storage(4, 5)
    members = ConfState((1, 2, 3), (4,))
    snapshot = held.create_snapshot(index, members, b"data")
    assert snapshot == Snapshot(SnapshotMeta(index, index, members), b"data")
    assert held.snapshot() is snapshot
    assert all_of(held)[0] == [4, 5]  # it compacts nothing


@pytest.mark.behaviour("ST06")
def test_a_snapshot_keeps_the_membership_unless_given_and_never_goes_back() -> None:
    held = storage_with(voters=(1, 2), terms=(1, 1, 1))
    assert held.create_snapshot(2, None, b"").meta.conf_state == ConfState((1, 2))
    for index in (1, 2):
        with pytest.raises(SnapshotOutOfDate):
            held.create_snapshot(index, None, b"")
    with pytest.raises(InvariantError, match="snapshot 4 is out of bound"):
        held.create_snapshot(4, None, b"")


@pytest.mark.behaviour("ST07")
@pytest.mark.parametrize(
    "first, new, expected",
    [
        # held: 4 5 of terms 4 5 behind a dummy at 3
        (1, (1, 2), ([4, 5], [4, 5])),  # all compacted
        (3, (3, 4, 5), ([4, 5], [4, 5])),
        (3, (3, 6, 6), ([4, 5], [6, 6])),  # the compacted part is dropped, the rest overwrites
        (3, (3, 4, 5, 5), ([4, 5, 6], [4, 5, 5])),
        (2, (3, 3, 5), ([4], [5])),  # and cuts everything behind it
        (4, (5,), ([4], [5])),
        (5, (6, 6), ([4, 5, 6], [4, 6, 6])),
        (6, (5, 6), ([4, 5, 6, 7], [4, 5, 5, 6])),
    ],
)
def test_appending(first: int, new: tuple[int, ...], expected: tuple[list[int], list[int]]) -> None:
    held = storage(4, 5)
    before = held.entries(4, 6, NO_LIMIT)
    held.append(entries(first, *new))
    assert all_of(held) == expected
    assert terms_of(before) == [4, 5]
    held.append([])
    assert all_of(held) == expected


@pytest.mark.behaviour("ST07")
def test_a_gap_is_refused() -> None:
    held = storage(4, 5)
    with pytest.raises(InvariantError, match=r"missing log entry \[last: 5, append at: 7\]"):
        held.append(entries(7, 5))
    assert all_of(held) == ([4, 5], [4, 5])


@pytest.mark.behaviour("ST08")
def test_an_older_snapshot_is_refused_and_a_newer_one_replaces_everything() -> None:
    held = storage(4, 5)
    newer = Snapshot(SnapshotMeta(4, 4, ConfState((1,))), b"data")
    held.apply_snapshot(newer)
    assert held.snapshot() is newer
    assert (held.first_index(), held.last_index(), held.term(4)) == (5, 4, 4)
    assert held.initial_state()[1] == ConfState((1,))
    for index in (4, 3):
        with pytest.raises(SnapshotOutOfDate):
            held.apply_snapshot(Snapshot(SnapshotMeta(index, 9)))
    assert held.snapshot() is newer


@pytest.mark.behaviour("ST08")
def test_a_snapshot_with_membership_only_sets_up_a_new_group() -> None:
    held = MemoryStorage()
    held.apply_snapshot(Snapshot(SnapshotMeta(0, 0, ConfState((1, 2)))))
    assert held.initial_state()[1] == ConfState((1, 2))
    assert (held.first_index(), held.last_index()) == (1, 0)
    held.apply_snapshot(Snapshot(SnapshotMeta(0, 0, ConfState((1,)))))
    assert held.initial_state()[1] == ConfState((1,))


# --- what it pretends when told --------------------------------------------------------------------------------


def test_a_snapshot_may_be_in_the_making_or_too_old() -> None:
    held = storage(4, 5)
    held.set_snapshot_not_ready(True)
    with pytest.raises(SnapshotNotReady):
        held.snapshot()
    held.set_snapshot_not_ready(False)
    assert held.snapshot(3).meta.index == 3
    with pytest.raises(SnapshotNotReady):
        held.snapshot(4)


def test_a_log_may_not_be_at_hand_for_those_who_can_wait() -> None:
    held = storage(4, 5)
    held.set_log_not_ready(True)
    context = FetchContext(2, 1)
    with pytest.raises(LogNotReady):
        held.entries(4, 6, NO_LIMIT, context)
    assert indexes(held.entries(4, 6, NO_LIMIT)) == [4, 5]  # who cannot wait is served
    assert held.take_fetches() == [context]
    assert held.take_fetches() == []
    held.set_log_not_ready(False)
    assert indexes(held.entries(4, 6, NO_LIMIT, context)) == [4, 5]
