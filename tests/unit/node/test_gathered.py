"""What gathers for a write is committed at once, or in batches that end where a message ended."""

from raftly.base.types import Entry, HardState
from raftly.node.gathered import BATCH_BYTES, Gathered
from raftly.storage.items import EntriesItem, HardStateItem, Item

PART = b"x" * (BATCH_BYTES // 4)


def gathered(*items: Item) -> Gathered:
    made = Gathered()
    made.items += items
    return made


def appended(first: int, count: int) -> list[Item]:
    """As an append that brings a commit index is written."""
    entries = [Entry(1, index, data=PART) for index in range(first, first + count)]
    return [HardStateItem(1, HardState(1, 0, first)), EntriesItem(1, entries)]


def test_nothing_is_one_batch_of_nothing() -> None:
    assert gathered().batches() == [[]]


def test_little_is_one_batch() -> None:
    items = [*appended(1, 1), *appended(2, 1), *appended(3, 1)]
    assert gathered(*items).batches() == [items]


def test_much_is_cut_behind_the_entries_that_made_it_so_much() -> None:
    one, two, three = appended(1, 3), appended(4, 3), appended(7, 1)
    other: list[Item] = [HardStateItem(2, HardState(5, 1, 0))]
    assert gathered(*one, *two, *other, *three).batches() == [[*one, *two], [*other, *three]]


def test_what_just_fills_a_batch_leaves_no_empty_one() -> None:
    items = [*appended(1, 4)]
    assert gathered(*items).batches() == [items]
    assert gathered(*items, *items).batches() == [items, items]
