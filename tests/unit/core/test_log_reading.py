"""RaftLog: reading ranges across the stored and the unstable part, over compactions and restarts."""

from __future__ import annotations

import pytest

from raftly.base.types import NO_LIMIT, Entry, HardState, Snapshot, SnapshotMeta
from raftly.core.log import RaftLog
from raftly.core.memory import MemoryStorage
from raftly.core.sizes import entries_bytes
from raftly.errors import Compacted, InvariantError, Unavailable
from tests.support.lone import entries, indexes, terms_of
from tests.support.network import storage_with


def storage_and_log(first: int, stable: int, unstable: int, term: int = 1) -> tuple[MemoryStorage, RaftLog]:
    """A log of entries `first`, first+1, ...: `stable` of them durable, then `unstable` that are not."""
    storage = storage_with(snapshot=(first - 1, term), terms=[term] * stable)
    log = RaftLog(storage)
    log.append(entries(first + stable, *[term] * unstable))
    return storage, log


# --- compaction ------------------------------------------------------------------------------------------------


@pytest.mark.behaviour("LG06")
def test_compacting_the_storage_leaves_the_rest_of_the_log_as_it_was() -> None:
    storage = storage_with(terms=range(1, 751))
    log = RaftLog(storage)
    log.append(entries(751, *range(751, 1001)))
    log.commit_to(750)
    log.applied_to(750, 0)
    storage.compact(500)

    assert (log.first_index(), log.last_index) == (501, 1000)
    for index in range(500, 1001):
        assert log.term(index) == index
        assert log.match_term(index, index)
        assert not log.match_term(index + 1, index)
    assert not log.match_term(499, 499)
    assert indexes(log.unstable.next_entries()) == list(range(751, 1001))

    log.append(entries(1001, 1000))
    assert (log.last_index, log.last_term) == (1001, 1000)
    assert indexes(log.entries(1001, NO_LIMIT)) == [1001]


@pytest.mark.behaviour("LG15")
def test_compactions_leave_the_entries_above_them() -> None:
    storage, log = storage_and_log(1, 1000, 0)
    for compacted in (300, 500, 800, 900):
        storage.compact(compacted)
        assert len(log.entries(log.first_index(), NO_LIMIT)) == 1000 - compacted
        assert log.first_index() == compacted + 1
    for again in (900, 899, 300):
        with pytest.raises(Compacted):
            storage.compact(again)
    with pytest.raises(InvariantError, match="compact 1001 is out of bound lastindex"):
        storage.compact(1001)
    assert len(log.entries(log.first_index(), NO_LIMIT)) == 100
    storage.compact(1000)
    assert log.entries(log.first_index(), NO_LIMIT) == []


@pytest.mark.behaviour("LG16")
def test_a_log_over_nothing_but_a_snapshot() -> None:
    storage = MemoryStorage()
    storage.apply_snapshot(Snapshot(SnapshotMeta(1000, 1000)))
    storage.set_hard_state(HardState(1000, 0, 1000))
    log = RaftLog(storage)
    assert log.entries(log.first_index(), NO_LIMIT) == []
    assert (log.first_index(), log.last_index, log.last_term) == (1001, 1000, 1000)
    assert (log.committed, log.applied, log.applying) == (1000, 1000, 1000)
    assert (log.unstable.offset, log.unstable.offset_in_progress) == (1001, 1001)
    assert log.term(1000) == 1000


# --- slices ----------------------------------------------------------------------------------------------------


@pytest.mark.behaviour("LG17")
def test_a_slice_from_before_the_first_entry_is_compacted_and_one_past_the_end_aborts() -> None:
    _, log = storage_and_log(101, 50, 50)
    for lo, hi in ((99, 101), (100, 101), (99, 180), (100, 201)):
        with pytest.raises(Compacted):
            log.slice(lo, hi, NO_LIMIT)
    for lo, hi in ((101, 202), (150, 202), (200, 202), (202, 202), (250, 260)):
        with pytest.raises(InvariantError, match=r"out of bound"):
            log.slice(lo, hi, NO_LIMIT)
    with pytest.raises(InvariantError, match="invalid slice 151 > 150"):
        log.slice(151, 150, NO_LIMIT)
    for at in (101, 150, 151, 200, 201):
        assert log.slice(at, at, NO_LIMIT) == []
    assert indexes(log.slice(101, 201, NO_LIMIT)) == list(range(101, 201))
    # Reading on from the end asks for nothing; reading on from behind it as well.
    assert log.entries(201, NO_LIMIT) == []
    assert log.entries(300, NO_LIMIT) == []
    with pytest.raises(Compacted):
        log.entries(100, NO_LIMIT)


@pytest.mark.behaviour("LG20")
def test_slices_cross_the_seam_and_obey_the_byte_limit() -> None:
    _, log = storage_and_log(100, 100, 100)  # the seam lies between 199 and 200
    size = entries_bytes(log.slice(100, 101, NO_LIMIT))
    for lo, hi in ((100, 105), (198, 202), (199, 201), (198, 200), (200, 202), (201, 299), (199, 200)):
        assert indexes(log.slice(lo, hi, NO_LIMIT)) == list(range(lo, hi))
        for fits in range(hi - lo + 2):
            limit = entries_bytes(log.slice(lo, min(lo + fits, hi), NO_LIMIT))
            wanted = max(1, min(fits, hi - lo))
            assert indexes(log.slice(lo, hi, limit)) == list(range(lo, lo + wanted)), (lo, hi, fits)
            if 0 < fits < hi - lo:
                assert indexes(log.slice(lo, hi, limit + size - 1)) == list(range(lo, lo + wanted)), (lo, hi, fits)
        assert indexes(log.slice(lo, hi, 0)) == [lo]


@pytest.mark.behaviour("LG20")
def test_an_entry_too_large_for_what_is_left_is_not_smuggled_in_at_the_seam() -> None:
    storage, log = storage_with(terms=(1, 1)), None
    log = RaftLog(storage)
    log.append([Entry(1, 3, data=b"x" * 100), Entry(1, 4)])
    stored = entries_bytes(log.slice(1, 3, NO_LIMIT))
    assert indexes(log.slice(1, 5, stored)) == [1, 2]
    assert indexes(log.slice(1, 5, stored + 20)) == [1, 2]  # room is left, but not for the first unstable one
    assert indexes(log.slice(1, 5, stored + 200)) == [1, 2, 3, 4]
    assert indexes(log.slice(3, 5, 20)) == [3]  # where it comes first it is taken whatever its size


class ShortReader:
    """A storage that gives one entry at a time, as a storage may."""

    def __init__(self, inner: MemoryStorage) -> None:
        self.inner = inner
        self.initial_state = inner.initial_state
        self.term = inner.term
        self.first_index = inner.first_index
        self.last_index = inner.last_index
        self.snapshot = inner.snapshot

    def entries(self, lo: int, hi: int, bytes_max: int, context: object = None) -> list[Entry]:
        return self.inner.entries(lo, min(hi, lo + 1), bytes_max)


@pytest.mark.behaviour("LG20")
def test_a_storage_that_gives_less_than_asked_leaves_no_hole_before_the_unstable_part() -> None:
    log = RaftLog(ShortReader(storage_with(terms=(1, 1, 1))))
    log.append(entries(4, 1, 1))
    assert indexes(log.slice(1, 6, NO_LIMIT)) == [1]
    assert indexes(log.slice(3, 6, NO_LIMIT)) == [3, 4, 5]


class LyingReader(ShortReader):
    """A storage that lost its entries, but claims to have them."""

    def entries(self, lo: int, hi: int, bytes_max: int, context: object = None) -> list[Entry]:
        raise Unavailable


@pytest.mark.behaviour("LG20")
def test_a_storage_without_the_entries_it_claimed_is_a_broken_invariant() -> None:
    log = RaftLog(LyingReader(storage_with(terms=(1, 1, 1))))
    with pytest.raises(InvariantError, match=r"entries\[1:4\) is unavailable from storage"):
        log.slice(1, 4, NO_LIMIT)


# --- scans -----------------------------------------------------------------------------------------------------


@pytest.mark.behaviour("LG21")
@pytest.mark.parametrize("page_entries", [1, 2, 3, 7, 1000])
def test_a_scan_gives_what_a_slice_gives_page_by_page(page_entries: int) -> None:
    _, log = storage_and_log(48, 5, 6, term=2)
    page_bytes = entries_bytes(log.slice(48, 49, NO_LIMIT)) * page_entries
    for lo in range(48, 60):
        for hi in range(lo, 60):
            pages: list[list[Entry]] = []

            def visit(page: list[Entry], pages: list[list[Entry]] = pages) -> bool:
                pages.append(page)
                return True

            log.scan(lo, hi, page_bytes, visit)
            assert [entry for page in pages for entry in page] == log.slice(lo, hi, NO_LIMIT)
            assert all(1 <= len(page) <= page_entries for page in pages)


@pytest.mark.behaviour("LG21")
def test_a_scan_stops_when_told_and_when_the_visitor_fails() -> None:
    _, log = storage_and_log(48, 5, 6)
    seen: list[int] = []

    def first_two(page: list[Entry]) -> bool:
        seen.extend(indexes(page))
        return len(seen) < 2

    log.scan(48, 58, 0, first_two)
    assert seen == [48, 49]

    def fail(page: list[Entry]) -> bool:
        seen.extend(indexes(page))
        raise LookupError

    with pytest.raises(LookupError):
        log.scan(50, 58, 0, fail)
    assert seen == [48, 49, 50]
    with pytest.raises(Compacted):
        log.scan(40, 58, 0, first_two)


def test_slices_do_not_change_when_the_log_does() -> None:
    _, log = storage_and_log(1, 2, 2)
    given = log.slice(2, 5, NO_LIMIT)
    log.append(entries(3, 7))
    assert (indexes(given), terms_of(given)) == ([2, 3, 4], [1, 1, 1])
