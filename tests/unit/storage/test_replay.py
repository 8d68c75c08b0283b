"""Recovery of a group from its items: what was moved goes before what was appended, and gaps are refused."""

import pytest

from raftly.base.types import NO_LIMIT
from raftly.errors import Corruption
from raftly.storage.group_log import GroupLog
from raftly.storage.items import EntriesItem, Item, RemovedItem, SnapshotItem, decode_items, encode_items
from raftly.storage.replay import Replay
from tests.unit.storage.kit import entries, snapshot


class Disk:
    """Batches in segments, one a segment, without files."""

    def __init__(self) -> None:
        self.payloads: dict[int, bytes] = {}

    def read(self, number: int, offset: int, size: int) -> bytes:
        return self.payloads[number][offset - 96 : offset - 96 + size]

    def path(self, number: int) -> str:
        return f"segment {number}"


def recovered(batches: dict[int, list[Item]], gone: tuple[int, ...] = ()) -> list[tuple[int, int]]:
    """(term, index) of the entries of group 1 after replay of these segments, read from where they stand."""
    disk = Disk()
    replay = Replay("wal")
    for number, items in batches.items():
        disk.payloads[number] = encode_items(items)[0]
        if number not in gone:
            for item in decode_items(disk.payloads[number]):
                replay.take(item, number, 96)
    log = GroupLog(1, disk)
    replay.finish(log)
    for number in gone:
        del disk.payloads[number]
    held = log.entries(log.first_index(), log.last_index() + 1, NO_LIMIT)
    assert [(item.term, item.index) for item in held] == [(log.term(item.index), item.index) for item in held]
    return [(item.term, item.index) for item in held]


def appended(first: int, count: int, term: int = 1) -> Item:
    return EntriesItem(1, entries(first, count, term))


def moved(first: int, count: int, term: int = 1) -> Item:
    return EntriesItem(1, entries(first, count, term), rewritten=True)


def compacted(index: int, term: int = 1) -> Item:
    return SnapshotItem(1, snapshot(index, term), keeps_entries=True)


def expect(first: int, count: int, term: int = 1) -> list[tuple[int, int]]:
    return [(term, index) for index in range(first, first + count)]


def test_moved_entries_go_before_what_was_appended() -> None:
    batches = {1: [appended(1, 3)], 2: [appended(4, 3)], 3: [moved(1, 3)]}
    assert recovered(batches) == recovered(batches, gone=(1,)) == expect(1, 6)


def test_what_was_moved_twice_stands_where_it_was_moved_last() -> None:
    batches = {
        1: [appended(1, 3)],
        2: [appended(4, 3)],
        3: [moved(1, 3), appended(7, 2)],
        4: [moved(4, 3)],
        5: [moved(1, 3), moved(7, 2)],
    }
    for gone in ((), (1,), (1, 2), (1, 2, 3)):
        assert recovered(batches, gone) == expect(1, 8)


def test_a_run_moved_from_both_sides_of_the_tails_beginning() -> None:
    """Segment 2 holds moved entries next to appended ones: they are moved on as one run."""
    batches = {1: [appended(1, 3)], 2: [moved(1, 3), appended(4, 3)], 3: [moved(1, 6), appended(7, 1)]}
    for gone in ((), (1,), (1, 2)):
        assert recovered(batches, gone) == expect(1, 7)


def test_entries_overwritten_after_they_were_moved_do_not_come_back() -> None:
    batches = {
        1: [appended(1, 6)],
        2: [appended(7, 2)],
        3: [moved(1, 6), appended(4, 1, term=2)],
        4: [appended(5, 1, term=2)],
    }
    for gone in ((), (1,), (1, 2)):
        assert recovered(batches, gone) == expect(1, 3) + expect(4, 2, term=2)


def test_all_of_a_group_may_have_been_moved() -> None:
    batches = {1: [appended(1, 2), appended(3, 2, term=3)], 2: [moved(1, 3)], 3: [moved(4, 1, term=3)]}
    batches[2] = [EntriesItem(1, [*entries(1, 2), *entries(3, 1, 3)], rewritten=True)]
    for gone in ((), (1,)):
        assert recovered(batches, gone) == expect(1, 2) + expect(3, 2, term=3)


def test_compaction_forgets_moved_entries_too() -> None:
    batches = {1: [appended(1, 5)], 2: [appended(6, 2)], 3: [moved(1, 5)], 4: [compacted(3)]}
    for gone in ((), (1,)):
        assert recovered(batches, gone) == expect(4, 4)
    batches[5] = [compacted(7)]
    assert recovered(batches, (1,)) == []
    batches[6] = [appended(8, 1)]
    assert recovered(batches, (1,)) == expect(8, 1)


def test_compaction_beyond_the_last_entry_goes_on_behind_it() -> None:
    assert recovered({1: [appended(1, 3)], 2: [compacted(9)], 3: [appended(10, 2)]}) == expect(10, 2)


def test_a_snapshot_that_arrived_replaces_all() -> None:
    arrived = SnapshotItem(1, snapshot(20, 4), keeps_entries=False)
    batches: dict[int, list[Item]] = {1: [appended(1, 30)], 2: [moved(1, 30)], 3: [arrived], 4: [appended(21, 1, 4)]}
    assert recovered(batches) == recovered(batches, (1,)) == expect(21, 1, term=4)


def test_a_removed_group_begins_anew() -> None:
    assert recovered({1: [appended(5, 3), RemovedItem(1)], 2: [appended(1, 1)]}) == expect(1, 1)


@pytest.mark.parametrize(
    "batches,problem",
    [
        ({1: [appended(1, 2)], 2: [appended(4, 1)]}, "entry 3 of group 1 is missing before entry 4"),
        ({1: [appended(2, 2)]}, "entry 1 of group 1 is nowhere"),
        ({1: [appended(1 << 60, 2)]}, "entry 1 of group 1 is nowhere"),
        ({1: [moved(1, 2), moved(1 << 60, 2)]}, "entry 3 of group 1 is nowhere"),
        ({1: [compacted(3)], 2: [appended(6, 1)]}, "entry 4 of group 1 is nowhere"),
        ({1: [appended(5, 2)], 2: [moved(1, 2)]}, "entry 3 of group 1 is nowhere"),
        ({1: [moved(1, 2), moved(4, 1)]}, "entry 3 of group 1 is nowhere"),
        ({1: [appended(1, 2)], 2: [moved(2, 2)]}, "entries up to 3 of group 1 were moved, but it had none of them"),
    ],
)
def test_gaps_are_refused(batches: dict[int, list[Item]], problem: str) -> None:
    with pytest.raises(Corruption, match=problem):
        recovered(batches)
