"""The log after a loss of power at every call that changes the disk: all that was acknowledged, nothing invented."""

import itertools

import pytest

from raftly.base.rand import SplitMix64
from raftly.base.types import HardState
from raftly.errors import Corruption, StorageError, SyncFailed
from raftly.storage.items import EntriesItem, HardStateItem, Item, SnapshotItem
from raftly.storage.log_store import LogStore
from raftly.testing.memfs import MemFs
from tests.unit.storage.kit import (
    CLUSTER,
    NODE,
    SMALL,
    Model,
    apply,
    drive,
    entries,
    holds,
    open_store,
    run,
    snapshot,
)
from tests.unit.storage.script import commits


class PowerCuts:
    """Loses power before every step of a run, in several ways, and opens what is left."""

    def __init__(self, seed: int, ways: int, ways_inside_recovery: int = 0) -> None:
        self.random = SplitMix64(seed)
        self.ways = ways
        self.ways_inside_recovery = ways_inside_recovery
        self.acknowledged: Model = {}
        self.pending: Model = {}
        self.opened = 0
        self.kept_pending = 0

    def check(self, fs: MemFs) -> None:
        for after in fs.outcomes(self.random, self.ways):
            if self.ways_inside_recovery:
                self.crash_inside_recovery(after.copy())
            self.open(after)

    def open(self, after: MemFs) -> None:
        allowed = [self.acknowledged, self.pending]
        before = after.copy()
        which = holds(after, allowed)
        self.opened += 1
        self.kept_pending += which
        # What was recovered once is there for good: it may have been acted on.
        for again in (after.copy(), *after.outcomes(self.random, 2)):
            assert holds(again, allowed[which : which + 1]) == 0, before
        self.append(after, allowed[which])

    def append(self, after: MemFs, model: Model) -> None:
        """What is appended to a recovered log is there the next time, and nothing of a torn batch behind it."""
        store = open_store(after)
        items: list[Item] = [HardStateItem(99, HardState(1, 2, 3))]
        drive(store.commit(items))
        store.close()
        for again in after.outcomes(self.random, 2):
            assert holds(again, [apply(model, items)]) == 0

    def crash_inside_recovery(self, after: MemFs) -> None:
        def step(operation: str, path: str) -> None:
            for twice in after.outcomes(self.random, self.ways_inside_recovery):
                self.open(twice)

        after.on_step = step
        open_store(after).close()

    async def run(self, work: list[list[Item]]) -> None:
        fs = MemFs()

        def step(operation: str, path: str) -> None:
            self.check(fs)

        fs.on_step = step
        store = open_store(fs)
        for items in work:
            self.pending = apply(self.acknowledged, items)
            await store.commit(items)
            self.acknowledged = self.pending
            self.check(fs)
        store.close()


SCRIPT: list[list[Item]] = [
    [HardStateItem(1, HardState(1, 1, 0)), EntriesItem(1, entries(1, 3, 1, 50))],
    [EntriesItem(1, entries(4, 4, 1, 400)), EntriesItem(2, entries(1, 2, 3))],
    [EntriesItem(1, entries(5, 1, 2, 1500)), HardStateItem(1, HardState(2, 3, 4))],
    [EntriesItem(2, entries(3, 5, 3, 600))],
    [SnapshotItem(1, snapshot(5, 2, b"state"), keeps_entries=True)],
    [EntriesItem(1, entries(6, 2, 2, 100))],
    [SnapshotItem(2, snapshot(20, 4), keeps_entries=False), HardStateItem(2, HardState(4, 0, 20))],
    [EntriesItem(2, entries(21, 1, 4))],
    [],
]


def test_every_way_of_losing_power_at_every_step_of_a_script() -> None:
    cuts = PowerCuts(1, ways=400)
    run(cuts.run(SCRIPT))
    assert cuts.opened > 400
    assert cuts.kept_pending > 20  # what was complete is not thrown away


def test_losing_power_again_inside_recovery() -> None:
    cuts = PowerCuts(2, ways=6, ways_inside_recovery=4)
    run(cuts.run(SCRIPT))
    assert cuts.opened > 200


@pytest.mark.parametrize("seed", range(3))
def test_losing_power_at_every_step_of_random_work(seed: int) -> None:
    cuts = PowerCuts(seed, ways=5)
    run(cuts.run(list(commits(seed, 25))))
    assert cuts.opened > 200


def test_a_killed_process_reads_its_last_write_and_keeps_it() -> None:
    """The page cache outlives the process, so recovery sees a batch that was never synced; it has to sync it then."""

    async def work() -> None:
        fs = MemFs()
        store = open_store(fs)
        await store.commit([EntriesItem(1, entries(1, 1))])

        async def never(path: str) -> None:
            raise StorageError("killed")

        fs.on_sync = never
        with pytest.raises(StorageError, match="killed"):
            await store.commit([EntriesItem(1, entries(2, 1))])
        store.close()
        fs.on_sync = None
        again = open_store(fs)
        assert again.group(1).last_index() == 2
        for after in fs.outcomes(SplitMix64(1), 100):
            recovered = open_store(after)
            assert recovered.group(1).last_index() == 2

    run(work())


@pytest.mark.parametrize(
    "size,syncs",
    [(2000, 1), (9000, 4)],  # a batch in its segment; one that needs a segment, its name, and more zeros first
)
def test_what_a_failed_sync_left_to_be_read_counts_only_when_it_was_written_again(size: int, syncs: int) -> None:
    """Its pages are clean, so a later sync succeeds and writes nothing: neither the batch nor the zeros behind it."""

    async def work(failing: int) -> None:
        fs = MemFs()
        store = open_store(fs)
        items: list[Item] = [EntriesItem(1, entries(1, 1)), HardStateItem(1, HardState(1, 2, 0))]
        await store.commit(items)
        model = apply({}, items)
        passing = failing - 1

        async def sync(path: str) -> None:
            nonlocal passing
            passing -= 1
            if passing < 0:
                raise SyncFailed(path)

        fs.on_sync = sync
        items = [HardStateItem(1, HardState(2, 3, 1)), EntriesItem(1, entries(2, 1, 2, size))]
        with pytest.raises(SyncFailed):
            await store.commit(items)
        assert passing == -1, "a sync that failed is not tried again"
        store.close()
        fs.on_sync = None
        if failing == syncs:
            model = apply(model, items)
        assert holds(fs, [model]) == 0
        for after in fs.outcomes(SplitMix64(1), 100):
            assert holds(after, [model]) == 0
        store = open_store(fs)
        items = [EntriesItem(1, entries(model[1].last + 1, 2, 2, 3000))]
        await store.commit(items)
        store.close()
        for after in fs.outcomes(SplitMix64(1), 100):
            assert holds(after, [apply(model, items)]) == 0

    for failing in range(1, syncs + 1):
        run(work(failing))


def built() -> tuple[MemFs, Model]:
    """A log of several segments, durable, and what it holds."""
    fs = MemFs()
    model: Model = {}

    async def work() -> None:
        nonlocal model
        store = open_store(fs)
        more: list[list[Item]] = [[EntriesItem(2, entries(8, 4, 3, 500))], [EntriesItem(3, entries(1, 3, 1, 30))]]
        for items in SCRIPT[:4] + more:
            await store.commit(items)
            model = apply(model, items)
        store.close()

    run(work())
    assert len(fs.list("wal")) == 3
    return fs, model


def judge(fs: MemFs, model: Model) -> bool:
    """Does the log open, holding what it held, or is it refused with path and offset? Nothing else may happen."""
    store = LogStore(fs, CLUSTER, NODE, SMALL)
    problem = refusal(store)
    store.close()
    if problem is None:
        assert holds(fs, [model]) == 0
        return True
    if isinstance(problem, Corruption):
        assert problem.path.startswith("wal")
        assert problem.offset >= 0
    else:
        assert "belongs to node" in str(problem)
    return False


def refusal(store: LogStore) -> StorageError | None:
    try:
        store.open()
    except StorageError as error:
        return error
    return None


def test_every_flipped_byte_of_every_segment() -> None:
    fs, model = built()
    opened = refused = 0
    for name in fs.list("wal"):
        path = f"wal/{name}"
        content = fs.content(path)
        used = len(content.rstrip(b"\0")) + 40
        for at in range(used):
            broken = bytearray(content)
            broken[at] ^= (1, 255, 16)[at % 3]
            fs.put(path, bytes(broken))
            if judge(fs, model):
                opened += 1
            else:
                refused += 1
        fs.put(path, content)
    assert judge(fs, model)
    assert refused > opened


def test_every_segment_cut_at_every_byte() -> None:
    fs, model = built()
    for name in fs.list("wal"):
        path = f"wal/{name}"
        content = fs.content(path)
        used = len(content.rstrip(b"\0"))
        for size in itertools.chain(range(used + 600), range(used + 600, len(content), 97)):
            fs.put(path, content[:size])
            assert not (judge(fs, model) and size < used)
        fs.put(path, content)


def test_the_first_segment_is_missed_even_if_only_votes_were_in_it() -> None:
    async def work() -> None:
        fs = MemFs()
        store = open_store(fs)
        await store.commit([HardStateItem(group, HardState(5, 1, 0)) for group in range(1, 100)])
        await store.commit([EntriesItem(200, entries(1, 2, 1, 1500))])
        store.close()
        assert len(fs.list("wal")) == 2
        fs.remove("wal/00000001.seg")
        with pytest.raises(Corruption, match="missing") as caught:
            open_store(fs)
        assert caught.value.path == "wal/00000001.seg"

    run(work())


def test_a_missing_segment_is_noticed() -> None:
    fs, model = built()
    for name in fs.list("wal")[:-1]:
        twin = fs.copy()
        twin.remove(f"wal/{name}")
        assert not judge(twin, model)


def test_segments_exchanged_or_renamed_are_noticed() -> None:
    fs, model = built()
    first, second = fs.content("wal/00000001.seg"), fs.content("wal/00000002.seg")
    fs.put("wal/00000001.seg", second)
    fs.put("wal/00000002.seg", first)
    assert not judge(fs, model)
    fs.put("wal/00000001.seg", first)
    fs.put("wal/00000002.seg", first)
    assert not judge(fs, model)
    fs.put("wal/00000002.seg", second)
    assert judge(fs, model)
    fs.put("wal/0x.seg", second)
    assert not judge(fs, model)
