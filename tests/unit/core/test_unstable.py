"""UnstableLog: the tail of the log that is not known to be durable, and the marks on what was handed out of it."""

from __future__ import annotations

import pytest

from raftly.base.types import Snapshot, SnapshotMeta
from raftly.core.unstable import UnstableLog
from raftly.errors import InvariantError
from tests.support.lone import entries, indexes, terms_of


def unstable(offset: int = 5, *terms: int, snapshot: tuple[int, int] | None = None, handed: int = 0) -> UnstableLog:
    """Entries of these terms from `offset` on, perhaps on a snapshot (index, term); the first `handed` in progress."""
    log = UnstableLog(offset)
    if snapshot is not None:
        log.restore(Snapshot(SnapshotMeta(*snapshot)))
    if terms[:handed]:
        log.truncate_and_append(entries(offset, *terms[:handed]))
        log.accept_in_progress()
    if terms[handed:]:
        log.truncate_and_append(entries(offset + handed, *terms[handed:]))
    assert log.offset == offset
    return log


def shape(log: UnstableLog) -> tuple[int, int, list[int], list[int]]:
    return log.offset, log.offset_in_progress, indexes(log.entries), terms_of(log.entries)


@pytest.mark.behaviour("UN01")
def test_the_first_index_is_known_only_from_a_snapshot() -> None:
    assert unstable(5).maybe_first_index() is None
    assert unstable(5, 1).maybe_first_index() is None
    assert unstable(0).maybe_first_index() is None
    assert unstable(5, snapshot=(4, 1)).maybe_first_index() == 5
    assert unstable(5, 1, snapshot=(4, 1)).maybe_first_index() == 5


@pytest.mark.behaviour("UN02")
def test_the_last_index_is_that_of_the_entries_else_of_the_snapshot() -> None:
    assert unstable(5, 1, 1).maybe_last_index() == 6
    assert unstable(5, 1, snapshot=(4, 1)).maybe_last_index() == 5
    assert unstable(5, snapshot=(4, 1)).maybe_last_index() == 4
    assert unstable(0).maybe_last_index() is None


@pytest.mark.behaviour("UN03")
def test_terms_are_known_of_entries_and_exactly_at_the_snapshot() -> None:
    log = unstable(5, 2, 3)
    assert [log.maybe_term(index) for index in (3, 4, 5, 6, 7)] == [None, None, 2, 3, None]
    log = unstable(5, 2, 3, snapshot=(4, 1))
    assert [log.maybe_term(index) for index in (3, 4, 5, 6, 7)] == [None, 1, 2, 3, None]
    log = unstable(5, snapshot=(4, 1))
    assert [log.maybe_term(index) for index in (3, 4, 5)] == [None, 1, None]
    assert unstable(0).maybe_term(5) is None


@pytest.mark.behaviour("UN04")
def test_restoring_drops_the_entries_and_clears_both_marks() -> None:
    log = unstable(5, 1, 1, snapshot=(4, 1), handed=2)
    assert log.next_snapshot() is None
    snapshot = Snapshot(SnapshotMeta(6, 2))
    log.restore(snapshot)
    assert shape(log) == (7, 7, [], [])
    assert log.snapshot is snapshot
    assert log.next_snapshot() is snapshot


@pytest.mark.behaviour("UN05")
def test_the_next_entries_are_those_not_handed_out() -> None:
    for handed, wanted in ((0, [5, 6]), (1, [6]), (2, [])):
        log = unstable(5, 1, 1, handed=handed)
        assert indexes(log.next_entries()) == wanted
        assert log.has_next_entries() is bool(wanted)
    assert unstable(5).next_entries() == []
    log = unstable(5, snapshot=(4, 1))
    log.accept_in_progress()
    log.truncate_and_append(entries(5, 1))
    assert indexes(log.next_entries()) == [5]


@pytest.mark.behaviour("UN06")
def test_the_snapshot_is_handed_out_once() -> None:
    assert unstable(5).next_snapshot() is None
    log = unstable(5, snapshot=(4, 1))
    snapshot = log.next_snapshot()
    assert snapshot is not None
    assert snapshot.meta.index == 4
    log.accept_in_progress()
    assert log.next_snapshot() is None
    log.stable_snap_to(3)  # another one
    assert log.maybe_first_index() == 5
    log.stable_snap_to(4)
    assert log.snapshot is None
    assert not log.snapshot_in_progress
    # The mark went with it: the next snapshot is handed out again.
    log.restore(Snapshot(SnapshotMeta(9, 1)))
    assert log.next_snapshot() is not None


@pytest.mark.behaviour("UN07")
@pytest.mark.parametrize("terms", [(), (1,), (1, 1)])
@pytest.mark.parametrize("handed", [0, 1])
@pytest.mark.parametrize("snapshot", [None, (4, 1)])
def test_accepting_marks_everything(terms: tuple[int, ...], handed: int, snapshot: tuple[int, int] | None) -> None:
    log = unstable(5, *terms, snapshot=snapshot, handed=handed)
    before = shape(log)
    log.accept_in_progress()
    assert log.offset_in_progress == 5 + len(terms)
    assert log.snapshot_in_progress is (snapshot is not None)
    assert log.next_entries() == []
    assert log.next_snapshot() is None
    assert (log.offset, indexes(log.entries)) == (before[0], before[2])


@pytest.mark.behaviour("UN08")
@pytest.mark.parametrize(
    "terms, handed, snapshot, term, index, expected",
    [
        # expected: offset, mark, and the indexes that are left
        ((), 0, None, 1, 5, (5, 5, [])),
        ((1,), 1, None, 1, 5, (6, 6, [])),
        ((1, 1), 2, None, 1, 5, (6, 7, [6])),  # the mark stays where it is
        ((1, 1), 0, None, 1, 5, (6, 6, [6])),  # and never lies below the offset
        ((1, 1), 1, None, 1, 6, (7, 7, [])),
        ((2,), 1, None, 1, 5, (5, 6, [5])),  # another term: overwritten since
        ((1, 3), 2, None, 2, 6, (5, 7, [5, 6])),
        ((1,), 1, None, 1, 4, (5, 6, [5])),  # durable before
        ((1,), 1, None, 2, 4, (5, 6, [5])),
        ((1,), 1, None, 1, 6, (5, 6, [5])),  # never held
        ((1,), 1, (4, 1), 1, 5, (6, 6, [])),
        ((1, 1), 2, (4, 1), 1, 5, (6, 7, [6])),
        ((2,), 1, (4, 1), 1, 5, (5, 6, [5])),
        ((1,), 1, (4, 1), 1, 4, (5, 6, [5])),  # the snapshot is not an entry
    ],
)
def test_stable_to(
    terms: tuple[int, ...],
    handed: int,
    snapshot: tuple[int, int] | None,
    term: int,
    index: int,
    expected: tuple[int, int, list[int]],
) -> None:
    log = unstable(5, *terms, snapshot=snapshot, handed=handed)
    log.stable_to(term, index)
    assert (log.offset, log.offset_in_progress, indexes(log.entries)) == expected
    assert (log.snapshot is not None) is (snapshot is not None)


@pytest.mark.behaviour("UN09")
@pytest.mark.parametrize(
    "handed, first, new, expected",
    [
        # held: entries 5 6 7 of term 1
        (0, 8, (2, 2), (5, 5, [5, 6, 7, 8, 9], [1, 1, 1, 2, 2])),
        (2, 8, (2, 2), (5, 7, [5, 6, 7, 8, 9], [1, 1, 1, 2, 2])),
        (3, 8, (2,), (5, 8, [5, 6, 7, 8], [1, 1, 1, 2])),
        (0, 5, (2, 2), (5, 5, [5, 6], [2, 2])),  # replaced
        (2, 5, (2, 2), (5, 5, [5, 6], [2, 2])),
        (3, 4, (2, 2, 2), (4, 4, [4, 5, 6], [2, 2, 2])),  # stored entries are overwritten too
        (0, 6, (2,), (5, 5, [5, 6], [1, 2])),  # truncated
        (1, 6, (2,), (5, 6, [5, 6], [1, 2])),
        (2, 6, (2,), (5, 6, [5, 6], [1, 2])),
        (3, 7, (2, 2), (5, 7, [5, 6, 7, 8], [1, 1, 2, 2])),
        (1, 7, (2, 2), (5, 6, [5, 6, 7, 8], [1, 1, 2, 2])),
    ],
)
def test_truncate_and_append(
    handed: int, first: int, new: tuple[int, ...], expected: tuple[int, int, list[int], list[int]]
) -> None:
    log = unstable(5, 1, 1, 1, handed=handed)
    given = log.slice(5, 8)
    log.truncate_and_append(entries(first, *new))
    assert shape(log) == expected
    assert (indexes(given), terms_of(given)) == ([5, 6, 7], [1, 1, 1])  # what a caller holds does not change


def test_slices_outside_are_refused() -> None:
    log = unstable(5, 1, 1)
    assert indexes(log.slice(5, 7)) == [5, 6]
    assert log.slice(7, 7) == []
    with pytest.raises(InvariantError, match=r"invalid unstable\.slice 7 > 6"):
        log.slice(7, 6)
    for lo, hi in ((4, 6), (5, 8), (4, 8)):
        with pytest.raises(InvariantError, match=rf"unstable\.slice\[{lo},{hi}\) out of bound \[5,7\]"):
            log.slice(lo, hi)
