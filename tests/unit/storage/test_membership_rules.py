"""Which membership a log says is in force: that of the highest index, whatever was written last."""

import pytest

from raftly.base.membership import ConfState
from raftly.base.types import Entry, Snapshot, SnapshotMeta
from raftly.storage.group_log import GroupLog
from raftly.storage.items import EntriesItem, Item, MembershipItem, SnapshotItem
from raftly.storage.log_store import LogStore
from raftly.testing.memfs import MemFs
from tests.unit.storage.kit import run

OLD, NEW = ConfState((1, 2, 3)), ConfState((1, 2, 3, 4))


def opened(fs: MemFs) -> LogStore:
    store = LogStore(fs, 1, 2)
    store.open()
    return store


def in_force(log: GroupLog) -> tuple[int, ConfState]:
    return log.conf_index, log.conf_state


@pytest.mark.parametrize(
    ("snapshot_at", "expected"),
    [(3, (5, NEW)), (5, (5, OLD)), (6, (6, OLD))],
    ids=["an older snapshot", "one of the same index", "a newer one"],
)
def test_a_snapshot_brings_no_membership_of_before(snapshot_at: int, expected: tuple[int, ConfState]) -> None:
    async def work() -> None:
        fs = MemFs()
        store = opened(fs)
        snapshot = Snapshot(SnapshotMeta(snapshot_at, 1, OLD))
        items: list[Item] = [
            EntriesItem(1, [Entry(1, index, data=b"x") for index in range(1, 8)]),
            MembershipItem(1, 5, NEW),
            SnapshotItem(1, snapshot, keeps_entries=True),
        ]
        for item in items:
            await store.commit([item])
        assert in_force(store.group(1)) == expected
        assert (store.group(1).first_index(), store.group(1).last_index()) == (snapshot_at + 1, 7)
        store.close()
        again = opened(fs).group(1)
        assert in_force(again) == expected
        assert (again.first_index(), again.last_index()) == (snapshot_at + 1, 7)

    run(work())
