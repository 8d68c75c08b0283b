"""RaftLog: terms, conflicts, appends and the commit index. See also test_log_reading, _applying, _durable and _twin."""

from __future__ import annotations

import pytest

from raftly.base.types import Entry, EntryType, Snapshot, SnapshotMeta
from raftly.core.log import RaftLog
from raftly.core.raft import Raft
from raftly.core.trace import LogConflictFound, TraceEvent, TraceSink
from raftly.errors import Compacted, InvariantError, Unavailable
from tests.support.lone import entries, terms_of, voter
from tests.support.network import storage_with


def log_of(*terms: int, stored: int = 0, snapshot: tuple[int, int] = (0, 0)) -> RaftLog:
    """A log behind a stored snapshot (index, term); the first `stored` entries are durable, the others unstable."""
    log = RaftLog(storage_with(snapshot=snapshot, terms=terms[:stored]))
    log.append(entries(snapshot[0] + 1 + stored, *terms[stored:]))
    return log


def all_terms(log: RaftLog) -> list[int]:
    return terms_of(log.entries(log.first_index(), 1 << 40))


# --- conflicts -------------------------------------------------------------------------------------------------

FITS = [(1, ()), (1, (1, 2, 3)), (2, (2, 3)), (3, (3,))]
NEW = [(1, (1, 2, 3, 4, 4), 4), (2, (2, 3, 4), 4), (3, (3, 3), 4), (4, (4,), 4), (4, (3, 5), 4)]
CONFLICTING = [(1, (2, 2), 1), (1, (1, 1, 3), 2), (2, (2, 4, 5), 3), (3, (9,), 3)]


@pytest.mark.behaviour("LG01")
@pytest.mark.parametrize("stored", [0, 2, 3])
def test_the_first_conflicting_or_new_index_is_found(stored: int) -> None:
    log = log_of(1, 2, 3, stored=stored)
    for first, terms in FITS:
        assert log.find_conflict(entries(first, *terms)) == 0
    for first, terms, index in NEW + CONFLICTING:
        assert log.find_conflict(entries(first, *terms)) == index, (first, terms)


class Recorder:
    """A tracer that keeps what it hears."""

    def __init__(self) -> None:
        self.events: list[TraceEvent] = []

    def on_event(self, _: Raft, event: TraceEvent) -> None:
        self.events.append(event)


@pytest.mark.behaviour("LG01")
def test_only_a_real_conflict_is_reported_not_what_is_merely_new() -> None:
    recorder = Recorder()
    log = log_of(1, 2, 3)
    log.set_trace(TraceSink(voter().raft, recorder))
    log.find_conflict(entries(3, 3, 4))
    assert recorder.events == []
    log.find_conflict(entries(2, 2, 4))
    assert recorder.events == [LogConflictFound(3, 3, 4)]


@pytest.mark.behaviour("LG02")
@pytest.mark.parametrize("stored", [0, 3, 6])
def test_the_search_by_term_stops_at_the_largest_index_that_may_match(stored: int) -> None:
    #                index 11 12 13 14 15 16
    log = log_of(2, 2, 5, 5, 5, 7, stored=stored, snapshot=(10, 1))
    for index in range(10, 17):
        for term in range(1, 9):
            below = [(i, t) for i, t in zip(range(10, 17), (1, 2, 2, 5, 5, 5, 7), strict=True) if i <= index]
            assert log.find_conflict_by_term(index, term) == max(pair for pair in below if pair[1] <= term)


@pytest.mark.behaviour("LG02")
def test_the_search_by_term_ends_where_the_term_is_unknown() -> None:
    log = log_of(2, 2, snapshot=(10, 4))
    assert log.find_conflict_by_term(13, 9) == (13, 0)  # beyond the end
    assert log.find_conflict_by_term(40, 9) == (40, 0)
    assert log.find_conflict_by_term(9, 9) == (9, 0)  # compacted
    assert log.find_conflict_by_term(11, 1) == (9, 0)  # falls through the boundary, whose term is too high
    assert log_of(3).find_conflict_by_term(1, 2) == (0, 0)  # the empty log precedes everything
    assert log_of().find_conflict_by_term(0, 1) == (0, 0)


@pytest.mark.behaviour("LG03")
@pytest.mark.parametrize("stored", [0, 3])
def test_up_to_date_compares_the_last_term_then_the_length(stored: int) -> None:
    log = log_of(1, 2, 3, stored=stored)
    for index in (1, 2, 3, 4, 9):
        assert log.is_up_to_date(4, index)
        assert log.is_up_to_date(3, index) is (index >= 3)
        assert not log.is_up_to_date(2, index)


@pytest.mark.behaviour("LG22")
def test_an_entry_is_identified_by_term_and_index_alone() -> None:
    log = log_of(1, 2)
    assert [(term, index) for index in range(4) for term in range(4) if log.match_term(term, index)] == [
        (0, 0),
        (1, 1),
        (2, 2),
    ]
    # Another payload, type or context at the same place is the same entry; another term or index is not.
    twin = Entry(2, 2, EntryType.CONF_CHANGE, b"data", b"context")
    assert log.find_conflict([twin]) == 0
    assert hash(twin) == hash(Entry(2, 2))
    assert log.find_conflict([Entry(3, 2, EntryType.CONF_CHANGE, b"data", b"context")]) == 2


# --- appending -------------------------------------------------------------------------------------------------


@pytest.mark.behaviour("LG04")
def test_append_extends_truncates_and_moves_the_unstable_offset() -> None:
    cases: list[tuple[int, tuple[int, ...], tuple[int, ...], int]] = [
        (3, (), (1, 2), 3),
        (3, (2,), (1, 2, 2), 3),
        (1, (2,), (2,), 1),  # replaces everything, stored entries too
        (2, (3, 3), (1, 3, 3), 2),
    ]
    for first, new, terms, offset in cases:
        log = log_of(1, 2, stored=2)
        log.append(entries(first, *new))
        assert all_terms(log) == list(terms)
        assert log.last_index == len(terms)
        assert log.last_term == terms[-1]
        assert log.unstable.offset == offset


@pytest.mark.behaviour("LG04")
def test_append_truncates_conflicting_unstable_entries() -> None:
    log = log_of(1, 1, 1, 1, stored=1)
    log.append(entries(3, 2))
    assert all_terms(log) == [1, 1, 2]
    assert (log.last_index, log.unstable.offset) == (3, 2)


@pytest.mark.behaviour("LG04")
def test_append_below_the_commit_index_aborts_and_changes_nothing() -> None:
    log = log_of(1, 2, stored=2)
    log.commit_to(1)
    with pytest.raises(InvariantError, match=r"after\(0\) is out of range \[committed\(1\)\]"):
        log.append(entries(1, 3))
    assert all_terms(log) == [1, 2]
    log.append([])
    assert all_terms(log) == [1, 2]


@pytest.mark.behaviour("LG05")
@pytest.mark.parametrize("stored", [0, 1, 3])
@pytest.mark.parametrize(
    "prev_term, prev_index, new, commit, expected",
    [
        # (last new, commit index, terms); the log is 1 2 3, committed to 1
        (2, 3, (4,), 3, (None, 1, (1, 2, 3))),  # other term
        (3, 4, (4,), 4, (None, 1, (1, 2, 3))),  # beyond the end
        (3, 3, (), 3, (3, 3, (1, 2, 3))),
        (3, 3, (), 4, (3, 3, (1, 2, 3))),  # not past the last new entry
        (3, 3, (), 2, (3, 2, (1, 2, 3))),
        (3, 3, (), 0, (3, 1, (1, 2, 3))),  # never falls
        (0, 0, (), 3, (0, 1, (1, 2, 3))),
        (3, 3, (4,), 3, (4, 3, (1, 2, 3, 4))),
        (3, 3, (4,), 4, (4, 4, (1, 2, 3, 4))),
        (3, 3, (4,), 5, (4, 4, (1, 2, 3, 4))),
        (3, 3, (4, 4), 5, (5, 5, (1, 2, 3, 4, 4))),
        (2, 2, (4,), 3, (3, 3, (1, 2, 4))),  # a conflict cuts the tail
        (1, 1, (4,), 3, (2, 2, (1, 4))),
        (1, 1, (4, 4), 3, (3, 3, (1, 4, 4))),
        (1, 1, (2,), 3, (2, 2, (1, 2, 3))),  # an old append leaves a matching tail alone
        (0, 0, (1, 2), 3, (2, 2, (1, 2, 3))),
    ],
)
def test_maybe_append(
    stored: int,
    prev_term: int,
    prev_index: int,
    new: tuple[int, ...],
    commit: int,
    expected: tuple[int | None, int, tuple[int, ...]],
) -> None:
    log = log_of(1, 2, 3, stored=stored)
    log.commit_to(1)
    last_new = log.maybe_append(prev_term, prev_index, entries(prev_index + 1, *new), commit)
    assert (last_new, log.committed, tuple(all_terms(log))) == expected


@pytest.mark.behaviour("LG05")
def test_a_conflict_with_what_is_committed_aborts() -> None:
    for committed, prev in ((1, 0), (2, 0), (2, 1), (3, 2)):
        log = log_of(1, 2, 3)
        log.commit_to(committed)
        with pytest.raises(InvariantError, match="conflict with committed entry"):
            log.maybe_append(prev, prev, entries(prev + 1, 4), 0)
        assert all_terms(log) == [1, 2, 3]


@pytest.mark.behaviour("LG12")
def test_the_commit_index_never_falls_and_never_passes_the_end() -> None:
    log = log_of(1, 2, 3)
    log.commit_to(2)
    log.commit_to(1)
    assert log.committed == 2
    log.commit_to(3)
    assert log.committed == 3
    with pytest.raises(InvariantError, match=r"tocommit\(4\) is out of range \[lastIndex\(3\)\]"):
        log.commit_to(4)
    assert log.committed == 3


@pytest.mark.behaviour("LG12")
def test_a_leader_commits_only_where_the_entry_is_of_its_term() -> None:
    log = log_of(1, 1, 2)
    assert not log.maybe_commit(2, 2)  # an older term's entry is not counted (thesis §3.6.2)
    assert not log.maybe_commit(0, 0)
    assert not log.maybe_commit(2, 4)
    assert log.committed == 0
    assert log.maybe_commit(2, 3)
    assert not log.maybe_commit(2, 3)
    assert log.committed == 3


# --- terms -----------------------------------------------------------------------------------------------------


@pytest.mark.behaviour("LG18")
@pytest.mark.parametrize("stored", [0, 2, 4])
def test_terms_are_known_from_the_boundary_to_the_end(stored: int) -> None:
    log = log_of(5, 5, 6, 7, stored=stored, snapshot=(100, 4))
    for index in (0, 1, 99):
        with pytest.raises(Compacted):
            log.term(index)
    assert [log.term(index) for index in range(100, 105)] == [4, 5, 5, 6, 7]
    for index in (105, 200):
        with pytest.raises(Unavailable):
            log.term(index)
    assert [log.term_or_none(index) for index in (99, 100, 104, 105)] == [None, 4, 7, None]


@pytest.mark.behaviour("LG19")
def test_below_an_unstable_snapshot_every_stored_term_is_compacted() -> None:
    log = RaftLog(storage_with(snapshot=(100, 1)))
    log.restore(Snapshot(SnapshotMeta(105, 3)))
    for index in (99, 100, 101, 104):
        with pytest.raises(Compacted):
            log.term(index)
    assert log.term(105) == 3
    with pytest.raises(Unavailable):
        log.term(106)
    log.append(entries(106, 4))
    assert [log.term(105), log.term(106)] == [3, 4]


def test_an_entry_that_was_handed_out_is_never_changed_by_a_later_append() -> None:
    log = log_of(1, 1, 1, stored=1)
    handed = log.unstable.next_entries()
    log.append(entries(2, 2))
    assert terms_of(handed) == [1, 1]
    assert all_terms(log) == [1, 2]
