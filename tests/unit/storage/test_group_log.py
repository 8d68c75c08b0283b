"""What a log tells of entries that are gone, or were never there."""

import pytest

from raftly.base.membership import ConfState
from raftly.base.types import NO_LIMIT, Entry, Snapshot, SnapshotMeta
from raftly.errors import Compacted, Unavailable
from raftly.storage.items import EntriesItem, SnapshotItem
from raftly.storage.log_store import LogStore
from raftly.testing.memfs import MemFs
from tests.unit.storage.kit import run


def test_terms_and_entries_are_known_from_the_snapshot_to_the_end_and_nowhere_else() -> None:
    async def work() -> None:
        store = LogStore(MemFs(), 1, 2)
        store.open()
        await store.commit([EntriesItem(1, [Entry(1 + index // 4, index) for index in range(1, 10)])])
        snapshot = Snapshot(SnapshotMeta(5, 2, ConfState((1,))))
        await store.commit([SnapshotItem(1, snapshot, keeps_entries=True)])
        log = store.group(1)
        assert [log.term(index) for index in range(5, 10)] == [2, 2, 2, 3, 3]
        for index in (0, 1, 4):
            with pytest.raises(Compacted):
                log.term(index)
        with pytest.raises(Unavailable):
            log.term(10)
        for lo in (1, 5):
            with pytest.raises(Compacted):
                log.entries(lo, 10, NO_LIMIT)
        with pytest.raises(Unavailable):
            log.entries(6, 11, NO_LIMIT)
        assert [entry.index for entry in log.entries(6, 10, NO_LIMIT)] == [6, 7, 8, 9]

    run(work())
