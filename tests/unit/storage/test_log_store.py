"""The store of all groups: it holds what a plain model holds, brings space back, and fails in words."""

import asyncio

import pytest

from raftly.base.membership import ConfState
from raftly.base.rand import SplitMix64
from raftly.base.types import NO_LIMIT, HardState
from raftly.core.config import Config
from raftly.core.raw_node import RawNode
from raftly.errors import (
    ConfigError,
    Corruption,
    DirectoryInUse,
    DiskFull,
    StorageError,
    SyncFailed,
)
from raftly.storage.items import EntriesItem, HardStateItem, Item, MembershipItem, RemovedItem, SnapshotItem
from raftly.storage.log_store import LogOptions, LogStore
from raftly.testing.faultfs import Effect, Fault, FaultFs
from raftly.testing.memfs import MemFs
from tests.unit.storage.kit import CLUSTER, NODE, Model, apply, entries, open_store, read_back, run, snapshot
from tests.unit.storage.script import commits


@pytest.mark.parametrize("seed", range(8))
def test_it_holds_what_a_plain_model_holds(seed: int) -> None:
    async def work() -> None:
        fs = MemFs()
        store = open_store(fs)
        model: Model = {}
        for number, items in enumerate(commits(seed, 250, groups=4)):
            await store.commit(items)
            model = apply(model, items)
            if number % 40 == 17:
                store.close()
                store = open_store(fs)
            if number % 5 == 0:
                assert read_back(store) == model, number
                counted = dict(store._live)
                assert counted == recount(store)
        while store.reclaim_pending:
            await store.commit([])
        assert read_back(store) == model
        store.close()
        again = open_store(fs)
        assert read_back(again) == model
        assert recount(again) == again._live == {**dict.fromkeys(again._wal.segments, 0), **store._live}

    run(work())


def recount(store: LogStore) -> dict[int, int]:
    live = dict.fromkeys(store._wal.segments, 0)
    for number in store.groups():
        log = store.group(number)
        for segment, _, _, size in log.places.segments(log.first_index(), log.last_index() + 1):
            live[segment] += size
            assert number in store._holders[segment]
        if log.state_segments[2]:
            live[log.state_segments[2]] += len(log.snapshot_meta.data)
            assert number in store._holders[log.state_segments[2]]
    return live


def test_a_large_snapshot_in_the_log_is_not_moved_again_and_again() -> None:
    async def work() -> None:
        fs = MemFs()
        store = open_store(fs)
        await store.commit([SnapshotItem(1, snapshot(5, 1, b"s" * 50_000), keeps_entries=False)])
        sequence = store._wal._sequence
        written = 0
        for first in range(6, 40):
            before = store.size_bytes()
            await store.commit([EntriesItem(1, entries(first, 1, 1, 500))])
            written += max(store.size_bytes() - before, 0)
        assert store._wal._sequence == sequence + 34
        assert written < 50_000  # moved once, it would be more than that alone
        assert store.group(1).snapshot_meta.data == b"s" * 50_000

    run(work())


def test_the_cache_is_bounded_for_all_groups_together() -> None:
    async def work() -> None:
        options = LogOptions(segment_bytes=1 << 20, cache_bytes_max=50_000)
        store = open_store(MemFs(), options)
        cached = 0
        for first in range(1, 200, 2):
            await store.commit([EntriesItem(group, entries(first, 2, 1, 100)) for group in range(1, 11)])
            cached = sum(store.group(group).cache_bytes for group in store.groups())
            assert cached == store._cached_bytes <= 50_000
        assert cached > 25_000
        for group in store.groups():
            assert len(store.group(group).entries(1, 201, NO_LIMIT)) == 200
            assert [entry.index for entry in store.group(group).entries(150, 199, 1000)] == list(range(150, 157))
            assert len(store.group(group).entries(1, 201, 0)) == 1

    run(work())


def test_space_comes_back_while_a_group_idles() -> None:
    async def work() -> None:
        fs = MemFs()
        store = open_store(fs)
        await store.commit([EntriesItem(9, entries(1, 3, 7, 300)), HardStateItem(9, HardState(7, 2, 3))])
        idle = read_back(store)[9]
        for first in range(1, 400, 4):
            await store.commit([EntriesItem(1, entries(first, 4, 1, 200))])
            if first % 40 == 1 and first > 1:
                await store.commit([SnapshotItem(1, snapshot(first), keeps_entries=True)])
        assert store.size_bytes() < 40_000  # of more than 80,000 written
        await store.commit([SnapshotItem(1, snapshot(400), keeps_entries=True)])
        while store.reclaim_pending:
            await store.commit([])
        assert len(fs.list("wal")) <= 2
        assert read_back(store)[9] == idle
        store.close()
        assert read_back(open_store(fs))[9] == idle

    run(work())


def test_a_log_cut_ahead_of_the_written_commit_index_can_be_started_from() -> None:
    """A commit index alone waits for the next entries, so a snapshot of our own may be newer than the one on disk."""

    async def work() -> None:
        fs = MemFs()
        store = open_store(fs)
        await store.commit([HardStateItem(1, HardState(1, 2, 3)), EntriesItem(1, entries(1, 10))])
        await store.commit([SnapshotItem(1, snapshot(8), keeps_entries=True)])
        store.close()
        log = open_store(fs).group(1)
        assert log.initial_state()[0] == HardState(1, 2, 8)
        raft = RawNode(Config(id=3, applied=8), log).raft
        assert (raft.term, raft.log.committed, raft.log.last_index) == (1, 8, 10)

    run(work())


def test_a_membership_in_force_says_that_its_entry_was_committed() -> None:
    """A state behind its own membership would make snapshots that a member of today is not in, and refuses for ever."""

    async def work() -> None:
        fs = MemFs()
        store = open_store(fs)
        await store.commit([HardStateItem(1, HardState(1, 2, 3)), EntriesItem(1, entries(1, 10))])
        await store.commit([MembershipItem(1, 8, ConfState((1, 2)))])
        store.close()
        assert open_store(fs).group(1).initial_state() == (HardState(1, 2, 8), ConfState((1, 2)))

    run(work())


def test_removed_groups_leave_nothing() -> None:
    async def work() -> None:
        fs = MemFs()
        store = open_store(fs)
        for group in range(1, 40):
            await store.commit([EntriesItem(group, entries(1, 3, 1, 200)), HardStateItem(group, HardState(1, 1, 1))])
        await store.commit([RemovedItem(group) for group in range(1, 40)])
        assert store.groups() == []
        assert store._cached_bytes == 0
        while store.reclaim_pending:
            await store.commit([])
        assert len(fs.list("wal")) == 1
        store.close()
        again = open_store(fs)
        assert again.groups() == []
        await again.commit([EntriesItem(5, entries(1, 1))])  # it may come back
        assert again.group(5).last_index() == 1

    run(work())


def test_a_step_of_reclaiming_is_bounded_and_many_groups_of_states_move() -> None:
    async def work() -> None:
        options = LogOptions(segment_bytes=400_000)
        fs = MemFs()
        store = open_store(fs, options)
        await store.commit([HardStateItem(group, HardState(1, group, 0)) for group in range(1, 3001)])
        await store.commit([EntriesItem(1, entries(1, 3000, 1, 100))])
        await store.commit([SnapshotItem(1, snapshot(3000), keeps_entries=True)])
        before = store._wal._sequence
        while store.reclaim_pending:
            end = store.size_bytes()
            await store.commit([HardStateItem(2, HardState(1, 2, store._wal._sequence))])
            assert store.size_bytes() <= end + 400_000
        assert store._wal._sequence > before + 3
        assert [log.hard_state.vote for log in map(store.group, range(3, 3001))] == list(range(3, 3001))
        store.close()
        again = open_store(fs, options)
        assert [log.hard_state.vote for log in map(again.group, range(3, 3001))] == list(range(3, 3001))

    run(work())


def test_two_may_not_use_one_directory() -> None:
    fs = MemFs()
    store = open_store(fs)
    with pytest.raises(DirectoryInUse, match="a directory of its own"):
        open_store(fs)
    store.close()
    open_store(fs).close()


@pytest.mark.parametrize("cluster,node", [(CLUSTER + 1, NODE), (CLUSTER, NODE + 1)])
def test_the_log_of_another_node_or_cluster_is_refused(cluster: int, node: int) -> None:
    fs = MemFs()
    open_store(fs).close()
    fs.put("wal/00000002.tmp", b"unfinished")
    before = {name: fs.content(f"wal/{name}") for name in fs.list("wal")}
    with pytest.raises(StorageError, match=r"belongs to node 3 of cluster 0xc1, and this is node .*copied"):
        LogStore(fs, cluster, node).open()
    assert {name: fs.content(f"wal/{name}") for name in fs.list("wal")} == before
    open_store(fs).close()


def test_options_have_bounds() -> None:
    with pytest.raises(ConfigError, match="cache_bytes_max must not be negative"):
        LogOptions(cache_bytes_max=-1)
    for size in (4095, (1 << 30) + 1):
        with pytest.raises(ConfigError, match="segment_bytes must lie in"):
            LogStore(MemFs(), CLUSTER, NODE, LogOptions(segment_bytes=size))


@pytest.mark.parametrize(
    "items",
    [
        [EntriesItem(1, entries(5, 1))],
        [EntriesItem(1, [*entries(4, 1), *entries(6, 1)])],
        [EntriesItem(1, entries(2, 1))],
        [SnapshotItem(1, snapshot(1), keeps_entries=True)],
        [SnapshotItem(1, snapshot(9), keeps_entries=False), EntriesItem(1, entries(4, 1))],
        [RemovedItem(1), EntriesItem(1, entries(4, 1))],
    ],
    ids=["gap", "gap inside", "below the snapshot", "back", "below a received one", "of a removed group"],
)
def test_what_would_make_the_log_unreadable_is_not_written(items: list[Item]) -> None:
    async def work() -> None:
        fs = MemFs()
        store = open_store(fs)
        await store.commit([EntriesItem(1, entries(1, 3)), SnapshotItem(1, snapshot(2), keeps_entries=True)])
        before = fs.steps
        with pytest.raises(AssertionError):
            await store.commit(items)
        assert fs.steps == before
        await store.commit([EntriesItem(1, entries(4, 1))])

    run(work())


async def fits(store: LogStore, items: list[Item]) -> bool:
    try:
        await store.commit(items)
    except DiskFull:
        return False
    return True


def test_a_full_disk_refuses_and_takes_again_when_space_returns() -> None:
    async def work() -> None:
        fs = MemFs(capacity_bytes=10_000)
        store = open_store(fs)
        model: Model = {}
        first = 1
        items: list[Item] = []
        while await fits(store, items):
            model = apply(model, items)
            items = [EntriesItem(1, entries(first, 2, 1, 300))]
            first += 2
        assert first > 10
        assert not store.is_broken
        assert read_back(store) == model  # reads go on
        with pytest.raises(DiskFull):
            await store.commit(items)
        for after in fs.outcomes(SplitMix64(1), 50):
            assert read_back(open_store(after)) == model
        fs.capacity_bytes = 100_000
        await store.commit(items)
        model = apply(model, items)
        assert read_back(store) == model
        store.close()
        assert read_back(open_store(fs)) == model

    run(work())


def test_a_full_disk_is_left_by_compaction_alone() -> None:
    async def work() -> None:
        fs = MemFs(capacity_bytes=16_384)
        store = open_store(fs)
        first = 1
        while await fits(store, [EntriesItem(1, entries(first, 1, 1, 900))]):
            first += 1
        await store.commit([SnapshotItem(1, snapshot(first - 1), keeps_entries=True)])
        while store.reclaim_pending:
            await store.commit([])
        await store.commit([EntriesItem(1, entries(first, 3, 1, 900))])

    run(work())


@pytest.mark.parametrize("effect", [Effect.IO_ERROR, Effect.DISK_FULL, Effect.SHORT])
def test_a_failed_write_of_a_batch_breaks_the_log(effect: Effect) -> None:
    async def work() -> None:
        inner = MemFs()
        fs = FaultFs(inner)
        store = open_store(fs)
        await store.commit([EntriesItem(1, entries(1, 2))])
        held = read_back(store)
        fs.add(Fault("write", effect, path="wal/"))
        with pytest.raises(StorageError):
            await store.commit([EntriesItem(1, entries(3, 2, 1, 700))])
        assert store.is_broken
        with pytest.raises(StorageError, match="broken by an earlier error"):
            await store.commit([EntriesItem(1, entries(3, 2))])
        assert read_back(store) == held
        store.close()
        assert read_back(open_store(inner)) == held

    run(work())


def test_a_failed_sync_is_never_tried_again() -> None:
    async def work() -> None:
        inner = MemFs()
        fs = FaultFs(inner)
        store = open_store(fs)
        await store.commit([EntriesItem(1, entries(1, 2))])
        fault = fs.add(Fault("sync", Effect.IO_ERROR, times=None))
        with pytest.raises(SyncFailed):
            await store.commit([EntriesItem(1, entries(3, 1))])
        assert (fault.struck, store.group(1).last_index()) == (1, 2)
        for _ in range(3):
            with pytest.raises(StorageError, match="recover from disk"):
                await store.commit([EntriesItem(1, entries(3, 1))])
        assert fault.struck == 1
        assert store.is_broken

    run(work())


def test_an_interrupted_commit_breaks_the_log() -> None:
    async def work() -> None:
        inner = MemFs()
        fs = FaultFs(inner)
        store = open_store(fs)
        fs.add(Fault("sync", Effect.STALL))
        commit = asyncio.ensure_future(store.commit([EntriesItem(1, entries(1, 1))]))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        commit.cancel()
        with pytest.raises(asyncio.CancelledError):
            await commit
        with pytest.raises(StorageError, match="recover from disk"):
            await store.commit([EntriesItem(1, entries(1, 1))])

    run(work())


def test_an_interrupted_removal_of_a_segment_breaks_the_log() -> None:
    async def work() -> None:
        inner = MemFs()
        fs = FaultFs(inner)
        store = open_store(fs)
        for first in range(1, 25, 4):
            await store.commit([EntriesItem(1, entries(first, 4, 1, 500))])
        await store.commit([SnapshotItem(1, snapshot(24), keeps_entries=True)])
        fs.add(Fault("sync_dir", Effect.STALL))
        reclaim = asyncio.ensure_future(reclaim_all(store))
        for _ in range(10):
            await asyncio.sleep(0)
        reclaim.cancel()
        with pytest.raises(asyncio.CancelledError):
            await reclaim
        assert store.is_broken
        store.close()
        assert open_store(inner).group(1).first_index() == 25

    run(work())


async def reclaim_all(store: LogStore) -> None:
    while store.reclaim_pending:
        await store.commit([])


def test_nothing_shows_before_it_is_durable() -> None:
    async def work() -> None:
        inner = MemFs()
        fs = FaultFs(inner)
        store = open_store(fs)
        stall = fs.add(Fault("sync", Effect.STALL))
        commit = asyncio.ensure_future(store.commit([EntriesItem(1, entries(1, 1))]))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert store.group(1).last_index() == 0
        stall.go_on.set()
        await commit
        assert store.group(1).last_index() == 1

    run(work())


def test_damage_to_an_entry_at_rest_is_told_with_its_place_when_read() -> None:
    async def work() -> None:
        fs = MemFs()
        store = open_store(fs, LogOptions(segment_bytes=4096, cache_bytes_max=0))
        await store.commit([EntriesItem(1, entries(1, 3, 1, 200))])
        at = fs.content("wal/00000001.seg").index(b"\x03" * 200)
        fs.open("wal/00000001.seg").write(at + 7, b"\x04")
        assert len(store.group(1).entries(1, 2, NO_LIMIT)) == 1
        with pytest.raises(Corruption, match="checksum") as caught:
            store.group(1).entries(1, 4, NO_LIMIT)
        assert caught.value.path == "wal/00000001.seg"
        assert at - 30 < caught.value.offset <= at
        # Found while reclaiming it must not stop the log: the group's owner decides.
        for first in range(1, 60, 3):
            await store.commit([EntriesItem(2, entries(first, 3, 1, 200))])
            await store.commit([SnapshotItem(2, snapshot(first + 2), keeps_entries=True)])
        assert store.damage is not None
        assert not store.reclaim_pending
        assert "wal/00000001.seg" in fs.list("wal") or fs.exists("wal/00000001.seg")

    run(work())


def test_a_disk_that_cannot_read_stops_reclaiming_and_not_the_log() -> None:
    async def work() -> None:
        fs = FaultFs(MemFs())
        store = open_store(fs, LogOptions(segment_bytes=4096, cache_bytes_max=0))
        await store.commit([EntriesItem(1, entries(1, 3, 1, 200))])
        fault = fs.add(Fault("read", Effect.IO_ERROR, path="wal/", times=None))
        for first in range(1, 60, 3):
            await store.commit([EntriesItem(2, entries(first, 3, 1, 200))])
            await store.commit([SnapshotItem(2, snapshot(first + 2), keeps_entries=True)])
        assert fault.struck == 1
        assert "input/output error" in str(store.damage)
        assert not store.reclaim_pending
        assert not store.is_broken
        fs.faults.remove(fault)
        assert len(store.group(1).entries(1, 4, NO_LIMIT)) == 3

    run(work())


def test_an_entry_written_to_another_place_is_told_when_read() -> None:
    async def work() -> None:
        fs = MemFs()
        store = open_store(fs, LogOptions(cache_bytes_max=0))
        await store.commit([EntriesItem(1, entries(1, 3, 1, 200))])
        content = fs.content("wal/00000001.seg")
        size = 226
        first = content.index(b"\x02" * 200) - 22
        fs.open("wal/00000001.seg").write(first, content[first + size : first + 2 * size])
        with pytest.raises(Corruption, match="entry 1 was put here, not 1/2"):
            store.group(1).entries(1, 4, NO_LIMIT)

    run(work())
