"""RocksDB: who may open it, what a killed process leaves, what damage is told, and the traps of its binding."""

import asyncio
import gc
import os
import random
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from rocksdict import Options, Rdict, ReadOptions

from raftly.engine import CF_DEFAULT, CF_LOCK, CF_RAFT, CFS, RocksOptions
from raftly.engine.rocks import RocksEngine
from raftly.engine.rocks_errors import storage_error
from raftly.errors import ConfigError, Corruption, DirectoryInUse, DiskFull, StorageError
from tests.unit.engine.kit import SMALL, batch_of

ROOT = Path(__file__).parents[3]


def test_a_second_engine_in_the_directory_is_refused(tmp_path: Path) -> None:
    engine = RocksEngine(tmp_path / "one", SMALL)
    with pytest.raises(DirectoryInUse, match="one is in use"):
        RocksEngine(tmp_path / "one", SMALL)
    engine.close()
    RocksEngine(tmp_path / "one", SMALL).close()


def test_closing_lets_go_of_snapshots_and_iterators_that_are_still_held(tmp_path: Path) -> None:
    engine = RocksEngine(tmp_path, SMALL)
    engine.write(batch_of((CF_DEFAULT, b"%04d" % number, b"") for number in range(1000)))
    snapshot, items = engine.snapshot(), engine.iterate(CF_DEFAULT, b"", b"")
    next(items)
    engine.close()
    with pytest.raises(StorageError, match="closed"):
        snapshot.get(CF_DEFAULT, b"0001")
    with pytest.raises(StorageError, match="closed"):
        list(items)
    RocksEngine(tmp_path, SMALL).close()


def test_closing_waits_for_a_sync_under_way(tmp_path: Path) -> None:
    async def work() -> None:
        engine = RocksEngine(tmp_path)
        for number in range(200):
            engine.write(batch_of([(CF_DEFAULT, b"%d" % number, bytes(10_000))]))
        sync = asyncio.ensure_future(engine.sync())
        await asyncio.sleep(0)
        engine.close()
        await sync

    asyncio.run(work())
    engine = RocksEngine(tmp_path)
    assert len(engine.scan(CF_DEFAULT, b"", b"", 999, keys_only=True)) == 200
    engine.close()


WRITER = """
import sys
from raftly.engine import CF_DEFAULT, CF_LOCK, CF_RAFT, RocksOptions, WriteBatch
from raftly.engine.rocks import RocksEngine

engine = RocksEngine(sys.argv[1], RocksOptions(write_buffer_bytes=1 << 16))
for number in range(1 << 30):
    batch = WriteBatch()
    key = b"%08d" % number
    batch.put(CF_DEFAULT, key, key * 50)
    batch.put(CF_LOCK, key, key)
    batch.delete(CF_LOCK, b"%08d" % (number - 10))
    batch.put(CF_RAFT, b"applied", key)
    engine.write(batch)
    print(number, flush=True)
"""


@pytest.mark.parametrize("count", [1, 400, 2500])
def test_a_killed_process_leaves_every_batch_it_said_it_wrote_whole(tmp_path: Path, count: int) -> None:
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "src")}
    with subprocess.Popen(
        [sys.executable, "-c", WRITER, str(tmp_path)], stdout=subprocess.PIPE, text=True, env=environment
    ) as process:
        assert process.stdout is not None
        last = -1
        for line in process.stdout:
            last = int(line)
            if last >= count:
                break
        process.kill()
    engine = RocksEngine(tmp_path, SMALL)
    applied = engine.get(CF_RAFT, b"applied")
    assert applied is not None
    assert int(applied) >= last
    keys = [b"%08d" % number for number in range(int(applied) + 1)]
    assert list(engine.iterate(CF_DEFAULT, b"", b"")) == [(key, key * 50) for key in keys]
    assert [key for key, _ in engine.iterate(CF_LOCK, b"", b"")] == keys[-10:]
    engine.close()


@pytest.mark.parametrize("cut", [1, 10, 500, 3000])
def test_a_torn_end_of_the_log_is_a_prefix_whole_in_all_families(tmp_path: Path, cut: int) -> None:
    living = RocksEngine(tmp_path / "living")
    for number in range(100):
        key = b"%03d" % number
        living.write(batch_of([(CF_DEFAULT, key, key * 10), (CF_LOCK, key, b""), (CF_RAFT, b"applied", key)]))
    shutil.copytree(tmp_path / "living", tmp_path / "left")
    living.close()
    log = max((tmp_path / "left").glob("*.log"))
    log.write_bytes(log.read_bytes()[:-cut])
    engine = RocksEngine(tmp_path / "left")
    applied = engine.get(CF_RAFT, b"applied")
    assert applied is not None
    left = int(applied) + 1
    assert 0 < left < 100
    for cf in (CF_DEFAULT, CF_LOCK):
        assert len(engine.scan(cf, b"", b"", 999)) == left
    engine.close()


def flip_in_log(path: Path, part: float) -> None:
    """Damage a bit of RocksDB's log."""
    log = max(path.glob("*.log"))
    content = bytearray(log.read_bytes())
    content[int(len(content) * part)] ^= 1
    log.write_bytes(content)


@pytest.mark.parametrize("part", [0.2, 0.45])
def test_damage_before_what_was_synced_is_told_and_behind_it_is_an_end(tmp_path: Path, part: float) -> None:
    living = RocksEngine(tmp_path / "living")
    for number in range(200):
        living.write(batch_of([(CF_DEFAULT, b"%03d" % number, bytes(100))]))
        if number == 99:
            asyncio.run(living.sync())
    for name in ("before", "behind"):
        shutil.copytree(tmp_path / "living", tmp_path / name)
    living.close()
    flip_in_log(tmp_path / "before", part)
    with pytest.raises(Corruption, match="was synced up to"):
        RocksEngine(tmp_path / "before")
    flip_in_log(tmp_path / "behind", part + 0.5)
    engine = RocksEngine(tmp_path / "behind")
    assert 100 <= len(engine.scan(CF_DEFAULT, b"", b"", 999)) < 200
    engine.close()


def test_the_mark_of_what_was_synced_never_runs_ahead(tmp_path: Path) -> None:
    """Through restarts, tables, compactions and syncs without a change between."""
    for round_ in range(4):
        engine = RocksEngine(tmp_path, SMALL)
        assert 0 < engine._mark.read() <= engine._db.latest_sequence_number()
        for number in range(300):
            engine.write(batch_of([(CF_DEFAULT, b"%d" % number, bytes(1000)), (CF_LOCK, b"%d" % round_)]))
            if number % 100 == 0:
                asyncio.run(engine.sync())
        asyncio.run(engine.sync())
        engine.close()
    mark = tmp_path / "SYNCED"
    mark.write_bytes(mark.read_bytes()[:-1])
    RocksEngine(tmp_path, SMALL).close()


def damaged(path: Path) -> RocksEngine:
    """An engine with a table in whose middle a block does not match its checksum."""
    engine = RocksEngine(path, SMALL)
    source = random.Random(1)
    for number in range(0, 4000, 100):
        engine.write(batch_of((CF_DEFAULT, b"%05d" % at, source.randbytes(100)) for at in range(number, number + 100)))
    engine._db.flush()
    engine._db.compact_range(None, None)
    engine.close()
    table = max(path.glob("*.sst"), key=lambda table: table.stat().st_size)
    content = bytearray(table.read_bytes())
    content[len(content) // 2] ^= 0xFF
    table.write_bytes(content)
    return RocksEngine(path, SMALL)


def test_damage_is_an_error_never_a_shorter_answer(tmp_path: Path) -> None:
    engine = damaged(tmp_path)
    with pytest.raises(Corruption, match="checksum mismatch") as refused:
        engine.scan(CF_DEFAULT, b"", b"", 9999)
    assert refused.value.path.endswith(".sst")
    assert refused.value.offset > 0
    with pytest.raises(Corruption):
        engine.scan(CF_DEFAULT, b"", b"", 9999, reverse=True)
    with pytest.raises(Corruption):
        list(engine.iterate(CF_DEFAULT, b"", b""))
    with pytest.raises(Corruption):
        list(engine.snapshot().iterate(CF_DEFAULT, b"", b""))
    with pytest.raises(Corruption):
        engine.get_many(CF_DEFAULT, [b"%05d" % number for number in range(0, 4000, 10)])
    assert len(engine.scan(CF_DEFAULT, b"", b"", 50)) == 50
    engine.close()


def test_a_damaged_manifest_is_corruption(tmp_path: Path) -> None:
    RocksEngine(tmp_path, SMALL).close()
    manifest = max(tmp_path.glob("MANIFEST-*"))
    manifest.write_bytes(b"\xff" * 100 + manifest.read_bytes()[100:])
    with pytest.raises(Corruption):
        RocksEngine(tmp_path, SMALL)


def test_a_rocksdb_of_something_else_is_refused(tmp_path: Path) -> None:
    options = Options(raw_mode=True)
    options.create_missing_column_families(True)
    Rdict(str(tmp_path / "a"), options, {"default": options, "theirs": options}).close()
    with pytest.raises(StorageError, match="something else: it has the family theirs"):
        RocksEngine(tmp_path / "a", SMALL)
    other = Rdict(str(tmp_path / "b"), options)
    other[b"k"] = b"v"
    other.close()
    with pytest.raises(Corruption, match="not the version of their format"):
        RocksEngine(tmp_path / "b", SMALL)


def test_another_format_is_refused_with_its_number(tmp_path: Path) -> None:
    engine = RocksEngine(tmp_path, SMALL)
    engine._families["format"][b"version"] = (2).to_bytes(2, "little")
    engine.close()
    with pytest.raises(StorageError, match="has format 2; this release reads 1"):
        RocksEngine(tmp_path, SMALL)


def test_a_path_that_is_a_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError, match="cannot make"):
        RocksEngine(tmp_path / "file")


@pytest.mark.parametrize("has_failed", [True, False])
def test_a_complaint_while_closing_is_told_by_an_engine_that_had_none_before(tmp_path: Path, has_failed: bool) -> None:
    class Complaining:
        def close(self) -> None:
            raise Exception("IO error: Writer has previous error.")  # noqa: TRY002 - as the binding does

    engine = RocksEngine(tmp_path, SMALL)
    engine._families["one more"] = Complaining()  # type: ignore[assignment]
    if has_failed:
        engine._failed = DiskFull("no space")
        engine.close()
    else:
        with pytest.raises(StorageError, match="previous error"):
            engine.close()
    engine.close()
    RocksEngine(tmp_path, SMALL).close()  # the rest was closed


def test_a_write_that_failed_is_the_last_one(tmp_path: Path) -> None:
    engine = RocksEngine(tmp_path, SMALL)
    engine.write(batch_of([(CF_DEFAULT, b"a", b"1")]))
    engine._handles[CF_DEFAULT] = engine._handles.pop(CF_LOCK)
    engine._db.close()
    for _ in range(2):
        with pytest.raises(StorageError, match="closed"):
            engine.write(batch_of([(CF_DEFAULT, b"a", b"2")]))
    with pytest.raises(StorageError, match="closed"):
        asyncio.run(engine.sync())


@pytest.mark.parametrize(
    "text,kind",
    [
        ("IO error: No space left on device: While appending to file: /d/000012.log: No space left", DiskFull),
        ("IO error: lock hold by current process, acquire time 1: /d/LOCK: No locks available", DirectoryInUse),
        ("IO error: While lock file: /d/LOCK: Resource temporarily unavailable", DirectoryInUse),
        ("Corruption: SST file is ahead of WALs in CF default", Corruption),
        ("IO error: While fsync: Input/output error", StorageError),
    ],
)
def test_complaints_become_what_they_mean(text: str, kind: type[StorageError]) -> None:
    assert type(storage_error(Exception(text), "/d")) is kind


@pytest.mark.parametrize("option", ["block_cache_bytes", "write_buffer_bytes", "write_buffers", "background_jobs"])
def test_an_option_out_of_bounds_is_named(option: str) -> None:
    with pytest.raises(ConfigError, match=option):
        RocksOptions(**{option: 0})


def test_many_tables_in_level_0_make_it_busy(tmp_path: Path) -> None:
    engine = RocksEngine(tmp_path, SMALL)
    engine._family(CF_DEFAULT).set_options({"disable_auto_compactions": "true"})
    assert not engine.stats().is_busy
    for number in range(20):
        engine.write(batch_of([(CF_DEFAULT, b"k", b"%d" % number)]))
        engine._family(CF_DEFAULT).flush()
    stats = engine.stats()
    assert (stats.level0_files, stats.is_busy) == (20, True)
    engine.close()


def test_without_rocksdict_it_says_what_to_install() -> None:
    program = "import sys; sys.modules['rocksdict'] = None\nimport raftly.engine\nimport raftly.engine.rocks"
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "src")}
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False, env=environment)
    assert 'pip install "raftly[store]"' in ran.stderr


class TestTheBinding:
    """What RocksEngine works around. One that fails here was mended, and so may be the engine."""

    @pytest.fixture
    def db(self, tmp_path: Path) -> Rdict:
        db = Rdict(str(tmp_path), Options(raw_mode=True))
        for number in range(10):
            db[b"%d" % number] = b"old"
        return db

    def test_a_snapshot_iterates_over_what_was_written_later(self, db: Rdict) -> None:
        snapshot, pinned = db.snapshot(), db.iter()
        db[b"5"] = b"new"
        items = snapshot.iter()
        items.seek(b"5")
        pinned.seek(b"5")
        assert (snapshot[b"5"], items.value(), pinned.value()) == (b"old", b"new", b"old")

    def test_a_lower_bound_bounds_from_above(self, db: Rdict) -> None:
        options = ReadOptions()
        options.set_iterate_lower_bound(b"3")
        assert [key for key, _ in db.items(read_opt=options)] == [b"0", b"1", b"2"]

    def test_ready_made_iteration_ends_at_damage_without_a_word(self, tmp_path: Path) -> None:
        engine = damaged(tmp_path)
        assert 0 < sum(1 for _ in engine._family(CF_DEFAULT).items()) < 4000
        engine.close()

    def test_a_forgotten_iterator_keeps_the_directory(self, tmp_path: Path) -> None:
        engine = RocksEngine(tmp_path, SMALL)
        held = engine._iter(CF_DEFAULT)
        engine.close()
        with pytest.raises(DirectoryInUse):
            RocksEngine(tmp_path, SMALL)
        del held
        gc.collect()
        RocksEngine(tmp_path, SMALL).close()


def test_every_family_can_be_read_after_a_flush(tmp_path: Path) -> None:
    engine = RocksEngine(tmp_path, SMALL)
    engine.write(batch_of((cf, b"k", b"v") for cf in CFS))
    for cf in CFS:
        engine._family(cf).flush()
    assert [engine.get(cf, b"k") for cf in CFS] == [b"v"] * len(CFS)
    engine.close()


def test_sizes_are_known_by_range_whether_in_buffers_or_in_tables(tmp_path: Path) -> None:
    engine = RocksEngine(tmp_path)
    source = random.Random(1)
    keys = [b"z%05d" % number for number in range(4000)]
    source.shuffle(keys)
    for at in range(0, len(keys), 40):
        engine.write(batch_of((CF_DEFAULT, key, source.randbytes(1000)) for key in keys[at : at + 40]))

    def check(engine: RocksEngine) -> None:
        assert 3_000_000 < engine.approximate_bytes(b"", b"") < 5_500_000
        assert 1_200_000 < engine.approximate_bytes(b"z00000", b"z02000") < 3_000_000
        assert engine.approximate_bytes(b"z04", b"") < 500_000

    check(engine)
    engine._family(CF_DEFAULT).flush()
    check(engine)
    engine._family(CF_DEFAULT).compact_range(None, None)
    check(engine)
    engine.close()
    again = RocksEngine(tmp_path)
    assert 3_000_000 < again.approximate_bytes(b"", b"") < 5_500_000
    again.close()
