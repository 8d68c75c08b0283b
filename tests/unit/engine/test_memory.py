"""The engine in memory: what a crash leaves of it, on a disk that tears and forgets."""

import asyncio
import random

import pytest

from raftly.base.rand import SplitMix64
from raftly.engine import CF_DEFAULT, CFS, KeyValue, MemoryEngine
from raftly.engine import memory as module
from raftly.errors import Corruption, DiskFull, StorageError
from raftly.testing.memfs import MemFs
from tests.unit.engine.kit import Twin, batch_of, content, random_batch

State = dict[str, list[KeyValue]]


def state_of(twin: Twin) -> State:
    return {cf: twin.scan(cf, b"", b"") for cf in CFS}


class Life:
    """An engine on a disk, with all the states it went through since the last one known to be durable."""

    def __init__(self, fs: MemFs, seed: int) -> None:
        self.engine = MemoryEngine(fs)
        self.source = random.Random(seed)
        self.twin = Twin()
        self.states = [state_of(self.twin)]

    def write(self, count: int) -> None:
        for _ in range(count):
            batch = random_batch(self.source)
            self.engine.write(batch)
            self.twin.write(batch)
            self.states.append(state_of(self.twin))

    def sync(self) -> None:
        asyncio.run(self.engine.sync())
        self.states = self.states[-1:]


@pytest.mark.parametrize("seed", range(4))
def test_a_crash_leaves_a_prefix_of_the_batches_and_never_less_than_was_synced(seed: int) -> None:
    fs = MemFs()
    life = Life(fs, seed)
    life.write(6)
    life.sync()
    life.write(8)
    found = []
    for after in fs.outcomes(SplitMix64(seed), 60):
        recovered = content(MemoryEngine(after))
        assert recovered in life.states
        found.append(life.states.index(recovered))
    assert {min(found), max(found)} == {0, 8}
    assert len(set(found)) > 2


class Crash(Exception):
    pass


def crash_after(fs: MemFs, steps: int) -> None:
    """Let so many more steps of the disk happen."""
    last = fs.steps + steps

    def on_step(_operation: str, _path: str) -> None:
        if fs.steps > last:
            raise Crash

    fs.on_step = on_step


def test_a_crash_at_each_step_leaves_a_prefix_also_while_a_new_log_begins() -> None:
    steps = 0
    crashed = True
    while crashed:
        fs = MemFs()
        life = Life(fs, 5)
        crash_after(fs, steps)
        try:
            life.write(3)
            life.sync()
            life.write(3)
            life.engine.close()
            MemoryEngine(fs)
            crashed = False
        except Crash:
            pass
        fs.on_step = None
        for after in fs.outcomes(SplitMix64(steps), 12):
            assert content(MemoryEngine(after)) in (life.states if crashed else life.states[-1:])
        steps += 1
    assert steps > 12


def test_what_a_former_life_left_behind_the_end_never_comes_back() -> None:
    """Equal batches in equal places: only the chain of checksums tells the old ones from the new."""
    fs = MemFs()
    engine = MemoryEngine(fs)
    for value in (b"1", b"2", b"3"):
        engine.write(batch_of([(CF_DEFAULT, value, value)]))
    engine.close()
    (path,) = [path for path in fs.paths() if path.endswith(".log")]
    whole = fs.content(path)
    second = (len(whole) - 16) // 3 + 16
    engine = MemoryEngine(fs := MemFs())
    engine.write(batch_of([(CF_DEFAULT, b"9", b"9")]))
    engine.close()
    (path,) = [path for path in fs.paths() if path.endswith(".log")]
    fs.put(path, fs.content(path) + whole[second:])
    assert MemoryEngine(fs).scan(CF_DEFAULT, b"", b"", 9) == [(b"9", b"9")]


def test_a_log_that_tells_much_more_than_there_is_is_written_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_ROLL_BYTES", 2000)
    fs = MemFs()
    engine = MemoryEngine(fs)
    for number in range(300):
        engine.write(batch_of([(CF_DEFAULT, b"k", b"%d" % number)]))
    before = engine.stats().disk_bytes
    asyncio.run(engine.sync())
    assert engine.stats().disk_bytes < before // 10
    assert len(fs.paths()) == 1
    engine.write(batch_of([(CF_DEFAULT, b"l", b"")]))
    for after in fs.outcomes(SplitMix64(1), 20):
        recovered = MemoryEngine(after).scan(CF_DEFAULT, b"", b"", 9)
        assert recovered in ([(b"k", b"299")], [(b"k", b"299"), (b"l", b"")])


def test_much_content_survives_the_new_log_of_a_start() -> None:
    fs = MemFs()
    engine = MemoryEngine(fs)
    keys = [b"%05d" % number for number in range(3000)]
    engine.write(batch_of((CF_DEFAULT, key, key * 40) for key in keys))
    engine.close()
    again = MemoryEngine(MemFs.copy(fs))
    assert [key for key, _ in again.iterate(CF_DEFAULT, b"", b"")] == keys


def test_without_a_disk_it_forgets() -> None:
    engine = MemoryEngine()
    engine.write(batch_of([(CF_DEFAULT, b"k", b"v")]))
    asyncio.run(engine.sync())
    assert engine.get(CF_DEFAULT, b"k") == b"v"
    assert engine.stats().disk_bytes == 0


def test_a_full_disk_refuses_the_batch_whole_and_all_after_it() -> None:
    fs = MemFs()
    engine = MemoryEngine(fs)
    engine.write(batch_of([(CF_DEFAULT, b"k", b"v")]))
    fs.capacity_bytes = 200
    with pytest.raises(DiskFull):
        engine.write(batch_of([(CF_DEFAULT, b"l", bytes(300)), (CF_DEFAULT, b"k")]))
    fs.capacity_bytes = None
    with pytest.raises(DiskFull):
        engine.write(batch_of([(CF_DEFAULT, b"m", b"v")]))
    assert engine.scan(CF_DEFAULT, b"", b"", 9) == [(b"k", b"v")]
    engine.close()
    assert MemoryEngine(fs).scan(CF_DEFAULT, b"", b"", 9) == [(b"k", b"v")]


def test_a_sync_that_failed_is_the_end() -> None:
    fs = MemFs()
    engine = MemoryEngine(fs)

    async def refuse(_path: str) -> None:
        raise StorageError("the disk is gone")

    fs.on_sync = refuse
    with pytest.raises(StorageError, match="gone"):
        asyncio.run(engine.sync())
    fs.on_sync = None
    with pytest.raises(StorageError, match="gone"):
        asyncio.run(engine.sync())


@pytest.mark.parametrize("at", [0, 8, 12])
def test_a_log_that_is_not_ours_is_refused(at: int) -> None:
    fs = MemFs()
    MemoryEngine(fs).close()
    (path,) = fs.paths()
    damaged = bytearray(fs.content(path))
    damaged[at] ^= 1
    fs.put(path, bytes(damaged))
    with pytest.raises(Corruption, match="no log of a memory engine"):
        MemoryEngine(fs)
