"""RaftLog: what the disk acknowledged, and the persisted index that follows from it."""

from __future__ import annotations

import pytest

from raftly.base.types import NO_LIMIT, Snapshot, SnapshotMeta
from raftly.core.log import RaftLog
from raftly.errors import InvariantError, SnapshotNotReady
from tests.support.lone import entries, indexes, terms_of
from tests.support.network import storage_with


def log_with_unstable(stored: tuple[int, ...], *terms: int, snapshot: tuple[int, int] = (0, 0)) -> RaftLog:
    log = RaftLog(storage_with(snapshot=snapshot, terms=stored))
    log.append(entries(snapshot[0] + 1 + len(stored), *terms))
    return log


def restored(index: int, term: int, *terms: int, committed: int = 0) -> RaftLog:
    """Stored entries 1 to 4 of term 1, replaced by a snapshot that is not durable; behind it entries of `terms`."""
    log = RaftLog(storage_with(terms=[1] * 4))
    log.commit_to(committed)
    log.restore(Snapshot(SnapshotMeta(index, term)))
    log.append(entries(index + 1, *terms))
    return log


@pytest.mark.behaviour("LG11")
@pytest.mark.parametrize("stable", [0, 1, 2, 3])
def test_the_unstable_entries_are_those_behind_what_is_durable(stable: int) -> None:
    log = log_with_unstable((1, 2), 2, 2, 3)
    if stable:
        log.stable_to((2, 2, 3)[stable - 1], 2 + stable)
    assert indexes(log.unstable.next_entries()) == [3, 4, 5][stable:]
    assert log.unstable.offset == 3 + stable
    assert log.persisted_index() == 2 + stable
    log.unstable.accept_in_progress()
    assert log.unstable.next_entries() == []


@pytest.mark.behaviour("LG13")
@pytest.mark.parametrize(
    "term, index, offset",
    [(1, 1, 2), (2, 2, 3), (1, 2, 1), (2, 1, 1), (3, 1, 1), (3, 2, 1), (2, 3, 1), (0, 0, 1)],
)
def test_only_an_entry_that_is_held_with_its_term_becomes_stable(term: int, index: int, offset: int) -> None:
    log = log_with_unstable((), 1, 2)
    log.stable_to(term, index)
    assert log.unstable.offset == offset
    assert log.persisted_index() == offset - 1


@pytest.mark.behaviour("LG14")
@pytest.mark.parametrize(
    "term, index, terms, offset",
    [
        (1, 6, (), 6),  # behind the end
        (2, 5, (), 6),  # the snapshot itself is no entry
        (2, 4, (), 6),
        (3, 6, (), 6),
        (3, 6, (3,), 7),
        (2, 6, (3,), 6),
        (2, 5, (3,), 6),
        (3, 7, (3,), 6),
        (1, 4, (3,), 6),
        (3, 7, (3, 3), 8),
    ],
)
def test_stability_around_a_snapshot(term: int, index: int, terms: tuple[int, ...], offset: int) -> None:
    for durable_snapshot in (True, False):
        log = log_with_unstable((), *terms, snapshot=(5, 2)) if durable_snapshot else restored(5, 2, *terms)
        log.stable_to(term, index)
        assert log.unstable.offset == offset
        assert (log.unstable.snapshot is None) is durable_snapshot


@pytest.mark.behaviour("X71")
def test_the_persisted_index_moves_only_for_a_matching_term() -> None:
    log = log_with_unstable((1, 1), 2, 2)
    for term, index, persisted in ((1, 3, 2), (2, 5, 2), (2, 1, 2), (2, 3, 3), (1, 4, 3), (2, 4, 4)):
        log.stable_to(term, index)
        assert log.persisted_index() == persisted, (term, index)


@pytest.mark.behaviour("X71")
def test_the_persisted_index_falls_with_what_is_overwritten() -> None:
    log = log_with_unstable((1, 1, 1), 1)
    assert log.persisted_index() == 3
    log.append(entries(2, 2, 2))
    assert log.persisted_index() == 1
    # The late word on an overwritten entry moves nothing, that on the new ones does.
    log.stable_to(1, 3)
    assert log.persisted_index() == 1
    log.stable_to(2, 3)
    assert log.persisted_index() == 3


@pytest.mark.behaviour("X71")
def test_the_persisted_index_does_not_move_into_or_past_a_pending_snapshot() -> None:
    log = restored(10, 2, 3, 3, committed=2)
    assert log.persisted_index() == 2
    for term, index in ((1, 4), (1, 9), (2, 10), (3, 11)):
        log.stable_to(term, index)
        assert log.persisted_index() == 2, (term, index)
    log.stable_snap_to(9)
    assert log.persisted_index() == 2
    log.stable_snap_to(10)
    assert log.persisted_index() == 11


@pytest.mark.behaviour("X74")
@pytest.mark.parametrize("committed", [0, 2, 4])
def test_restoring_sets_the_persisted_index_back_to_the_old_commit_index(committed: int) -> None:
    log = restored(10, 2, committed=committed)
    assert log.persisted_index() == committed
    assert (log.committed, log.last_index, log.last_term) == (10, 10, 2)
    log.stable_snap_to(10)
    assert log.persisted_index() == 10


@pytest.mark.behaviour("X74")
def test_what_was_committed_and_not_durable_stays_not_durable() -> None:
    log = log_with_unstable((1, 1), 1, 1)
    log.commit_to(4)
    log.restore(Snapshot(SnapshotMeta(10, 2)))
    assert log.persisted_index() == 2
    # And a second snapshot before the first is durable does not raise it.
    log.restore(Snapshot(SnapshotMeta(20, 2)))
    assert log.persisted_index() == 2
    log.stable_snap_to(10)
    assert log.persisted_index() == 2
    log.stable_snap_to(20)
    assert log.persisted_index() == 20


@pytest.mark.behaviour("X41")
def test_a_snapshot_that_is_not_durable_yet_is_sent_only_where_it_is_new_enough() -> None:
    log = RaftLog(storage_with(terms=[1] * 4))
    held = Snapshot(SnapshotMeta(10, 2))
    log.restore(held)
    for at_least in (0, 9, 10):
        assert log.snapshot(at_least, 2) is held
    with pytest.raises(SnapshotNotReady):
        log.snapshot(11, 2)


@pytest.mark.behaviour("X74")
def test_restoring_a_snapshot_below_the_commit_index_aborts() -> None:
    log = log_with_unstable((1, 1, 1, 1))
    log.commit_to(3)
    with pytest.raises(InvariantError, match=r"snapshot 2 lies before committed\(3\)"):
        log.restore(Snapshot(SnapshotMeta(2, 1)))
    assert terms_of(log.entries(1, NO_LIMIT)) == [1, 1, 1, 1]
