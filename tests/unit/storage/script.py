"""Random but sensible work for a log: what Raft groups do, drawn from a seed."""

import random
from collections.abc import Iterator

from raftly.base.membership import ConfState
from raftly.base.types import HardState
from raftly.storage.items import EntriesItem, HardStateItem, Item, MembershipItem, RemovedItem, SnapshotItem
from tests.unit.storage.kit import Group, Model, apply, entries, snapshot


def commits(seed: int, count: int, groups: int = 3) -> Iterator[list[Item]]:
    """The items of each commit; every one fits the log as the ones before left it."""
    source = random.Random(seed)
    model: Model = {}
    for _ in range(count):
        items: list[Item] = []
        for _ in range(source.choice((1, 1, 1, 2, 3))):
            items += draw(source, apply(model, items), source.randrange(1, groups + 1))
        model = apply(model, items)
        yield items


def draw(source: random.Random, model: Model, id_: int) -> list[Item]:
    group = model.get(id_, Group())
    term = max([group.hard.term, group.snapshot.meta.term, *(item.term for item in group.entries[-1:])], default=0)
    kind = source.randrange(100)
    size = source.choice((0, 5, 40, 200, 700))
    if kind < 50 or not group.entries:
        return [EntriesItem(id_, entries(group.last + 1, source.randrange(1, 6), max(term, 1), size))]
    if kind < 65:  # a new leader overwrites the tail
        first = source.randrange(group.snapshot.meta.index + 1, group.last + 1)
        state = HardState(term + 1, source.randrange(4), group.snapshot.meta.index)
        return [HardStateItem(id_, state), EntriesItem(id_, entries(first, source.randrange(1, 4), term + 1, size))]
    if kind < 72:
        return [HardStateItem(id_, HardState(max(term, group.hard.term), source.randrange(4), group.hard.commit))]
    if kind < 90:  # compaction
        at = source.randrange(len(group.entries))
        upto = group.entries[at]
        return [SnapshotItem(id_, snapshot(upto.index, upto.term, b"s" * source.randrange(20)), keeps_entries=True)]
    if kind < 94:  # a snapshot arrives
        return [SnapshotItem(id_, snapshot(group.last + source.randrange(1, 9), term, b"r"), keeps_entries=False)]
    if kind < 98:
        conf = ConfState((1, 2, source.randrange(3, 9)), (11,), (1, 2), (12,), auto_leave=True)
        return [MembershipItem(id_, max(group.conf[0], group.snapshot.meta.index), conf)]
    return [RemovedItem(id_)]
