"""RocksEngine: RocksDB through rocksdict, an extra (`pip install "raftly[store]"`).

    <path>/               RocksDB's own files
      families            those of `base.CFS`, and `format`
      format / "version"  u16, little-endian: 1. What families there are, and that keys and values are stored as given

The write-ahead log is on, so a batch is whole in all families or in none; it is synced only by `sync`. An end of that
log that a crash damaged is cut off, but never what was synced (`sync_mark`).

What the binding does is not always what it seems (0.3.29, measured; tests/unit/engine/test_rocks.py tries each again):

- its snapshots are right for single keys, but iterate over what was written later: an iterator opened at the time of
  the snapshot is the snapshot here;
- its ready-made iteration ends without a word where a block is damaged: only `status` of a bare iterator tells;
- a lower bound in its read options bounds from above;
- `write`, `get` and iterators hold the interpreter's lock, `flush_wal` does not: a sync may wait in a thread, and
  everything else is done in small pieces;
- as long as an iterator or the handle of a family lives, so does the lock of the directory.
"""

from __future__ import annotations

import asyncio
import struct
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from threading import Lock
from typing import Any, Final, ParamSpec, TypeVar, final
from weakref import WeakSet

from raftly.engine.base import CFS, DATA_CFS, PUT, EngineStats, KeyValue, Snapshot, WriteBatch
from raftly.engine.rocks_errors import storage_error
from raftly.engine.rocks_options import RocksOptions
from raftly.engine.size_estimate import SizeEstimate, Table
from raftly.engine.sync_mark import SyncMark
from raftly.errors import Corruption, StorageError, SyncFailed

try:
    from rocksdict import (
        BlockBasedOptions,
        Cache,
        ColumnFamily,
        DbClosedError,
        DBCompressionType,
        DBRecoveryMode,
        Options,
        Rdict,
        RdictIter,
    )
    from rocksdict import WriteBatch as DbBatch
except ModuleNotFoundError as error:
    raise ModuleNotFoundError('RocksDB is not installed: pip install "raftly[store]"', name="rocksdict") from error

P = ParamSpec("P")
T = TypeVar("T")

_CF_FORMAT: Final = "format"
_KEY_VERSION: Final = b"version"
_VERSION: Final = struct.pack("<H", 1)
_SLICE_KEYS: Final = 256  # that an iteration reads at once
_SLICE_BYTES: Final = 256 << 10
_NO_LIMIT: Final = 1 << 62
_LEVEL0_BUSY: Final = 20  # tables in level 0 of one family from which on the engine says that it is busy
_LEVEL0_SLOW: Final = 60  # RocksDB's own brakes: far behind ours, because a slow write() stops the whole process
_LEVEL0_STOP: Final = 100
_BLOOM_BITS: Final = 10
_TABLE_BYTES: Final = (
    8 << 20
)  # of a table from level 1 on; `SizeEstimate` knows no more than where tables begin and end
_WAL_SYNC_BYTES: Final = 512 << 10  # handed to the disk as it is written, so that a sync finds little left to do
_LOG_BYTES: Final = 4 << 20  # of RocksDB's own text log, two of them


@final
class RocksEngine:
    """The engine; see the module. `path` is a directory of its own, made when it does not exist.

    Raises:
        DirectoryInUse: another engine works there.
        Corruption: what is there is damaged.
        DiskFull: no space.
        StorageError: what is there is no engine of ours, or of a version that this release does not know, or the disk
            could not read or write.
    """

    __slots__ = (
        "_busy_buffers",
        "_busy_bytes",
        "_db",
        "_failed",
        "_families",
        "_handles",
        "_mark",
        "_open",
        "_path",
        "_sizes",
        "_sync",
        "_versions",
    )

    def __init__(self, path: str | Path, options: RocksOptions | None = None) -> None:
        options = options or RocksOptions()
        self._path = str(path)
        self._failed: StorageError | None = None
        self._busy_bytes = options.compaction_busy_bytes
        self._busy_buffers = options.write_buffers // 2
        self._open: WeakSet[_RocksSnapshot] = WeakSet()
        self._sizes = SizeEstimate()
        self._versions: tuple[int, ...] = ()  # of the sets of tables that the estimate knows
        self._mark = SyncMark(self._path)
        self._sync = Lock()  # of the database against being closed while a thread syncs it
        self._db = _open_db(self._path, options)
        self._families: dict[str, Rdict] = {cf: self._db.get_column_family(cf) for cf in (*CFS, _CF_FORMAT)}
        self._handles: dict[str, ColumnFamily] = {cf: self._db.get_column_family_handle(cf) for cf in CFS}
        try:
            self._check_format()
            self._check_mark()
        except OSError as error:
            self.close()
            raise StorageError(f"cannot read {self._path}: {error.strerror or error}") from error
        except BaseException:
            self.close()
            raise

    # --- reading ---

    def get(self, cf: str, key: bytes) -> bytes | None:
        """See `Reader.get`. As `_call`, without its microsecond: this is what a store does most."""
        try:
            value: bytes | None = self._families[cf].get(key)
        except Exception as error:
            self._raise_typed(error)
            raise
        return value

    def get_many(self, cf: str, keys: Sequence[bytes]) -> list[bytes | None]:
        """See `Reader.get_many`."""
        wanted: Any = list(keys)
        values: Any = self._call(self._family(cf).get, wanted)
        return list(values)

    def scan(
        self, cf: str, lo: bytes, hi: bytes, limit: int, *, reverse: bool = False, keys_only: bool = False
    ) -> list[KeyValue]:
        """See `Reader.scan`."""
        return self._call(_scan, self._iter(cf), lo, hi, limit, reverse, keys_only)

    def iterate(self, cf: str, lo: bytes, hi: bytes) -> Iterator[KeyValue]:
        """See `Reader.iterate`."""
        return self._snapshot((cf,)).iterate(cf, lo, hi)

    def snapshot(self) -> Snapshot:
        """See `Engine.snapshot`."""
        return self._snapshot(CFS)

    # --- writing ---

    def write(self, batch: WriteBatch) -> None:
        """See `Engine.write`. A write that failed is the last one."""
        self._check_writable()
        if batch.is_empty:
            return
        try:
            self._call(self._write, batch)
        except StorageError as error:
            self._failed = error
            raise
        self._sizes.on_write(batch)

    async def sync(self) -> None:
        """See `Engine.sync`. A thread waits for the disk; what is written meanwhile is not held up."""
        self._check_writable()
        try:
            await asyncio.get_running_loop().run_in_executor(None, self._sync_wal)
        except (StorageError, OSError) as error:
            self._failed = SyncFailed(f"cannot sync {self._path}: {error}")
            raise self._failed from error

    def close(self) -> None:
        """See `Engine.close`. Waits for a sync under way. Not synced before: what is in the log is found again.

        An engine that failed has said so; what it says again here is no news.
        """
        with self._sync:
            if not self._families:
                return
            for snapshot in list(self._open):
                snapshot.close()
            self._handles.clear()
            problem = None
            while self._families:
                problem = self._shut(self._families.popitem()[1]) or problem
            problem = self._shut(self._db) or problem
            if problem is not None and self._failed is None:
                self._failed = problem
                raise problem
            self._failed = self._failed or StorageError("it is closed")

    def _shut(self, database: Rdict) -> StorageError | None:
        try:
            database.close()
        except Exception as error:
            if type(error) is not Exception:
                raise
            return storage_error(error, self._path)
        return None

    # --- how it does ---

    def approximate_bytes(self, lo: bytes, hi: bytes) -> int:
        """See `Engine.approximate_bytes`, and `SizeEstimate`. What level 2 and those below hold is compressed."""
        versions = tuple(self._number(cf, "current-super-version-number") for cf in DATA_CFS)
        if versions != self._versions:
            self._versions = versions
            tables = [
                Table(table["level"], table["start_key"], table["end_key"], table["size"])
                for table in self._call(self._db.live_files)
            ]
            self._sizes.on_tables(tables, sum(self._number(cf, "cur-size-all-mem-tables") for cf in DATA_CFS))
        return self._sizes.bytes_in(lo, hi)

    def stats(self) -> EngineStats:
        """See `Engine.stats`."""
        level0 = [self._number(cf, "num-files-at-level0") for cf in CFS]
        buffers = max(self._number(cf, "num-immutable-mem-table") for cf in CFS)
        pending = sum(self._number(cf, "estimate-pending-compaction-bytes") for cf in CFS)
        memory = self._number(CFS[0], "block-cache-usage")
        memory += sum(self._number(cf, "size-all-mem-tables") for cf in CFS)
        is_late = buffers >= self._busy_buffers or pending >= self._busy_bytes
        return EngineStats(
            disk_bytes=sum(self._number(cf, "total-sst-files-size") for cf in CFS),
            memory_bytes=memory,
            keys=sum(self._number(cf, "estimate-num-keys") for cf in DATA_CFS),
            level0_files=sum(level0),
            compaction_bytes=pending,
            is_busy=is_late or max(level0) >= _LEVEL0_BUSY,
        )

    # --- inside ---

    def _family(self, cf: str) -> Rdict:
        if not self._families:
            raise StorageError("it is closed")
        return self._families[cf]

    def _check_writable(self) -> None:
        if self._failed is not None:
            raise self._failed

    def _call(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """What the function gives, the binding's complaints turned into ours."""
        try:
            return function(*args, **kwargs)
        except Exception as error:
            self._raise_typed(error)
            raise

    def _raise_typed(self, error: Exception) -> None:
        """Raise what the error means, unless it is no complaint of the binding: all of those are bare `Exception`s."""
        if not self._families:
            raise StorageError("it is closed") from error
        if type(error) is Exception or isinstance(error, DbClosedError):
            raise storage_error(error, self._path) from error

    def _iter(self, cf: str) -> RdictIter:
        return self._call(self._family(cf).iter)

    def _snapshot(self, cfs: Sequence[str]) -> _RocksSnapshot:
        snapshot = _RocksSnapshot(self._path, {cf: self._iter(cf) for cf in cfs})
        self._open.add(snapshot)
        return snapshot

    def _write(self, batch: WriteBatch) -> None:
        handles = self._handles
        db_batch = DbBatch(raw_mode=True)

        def delete_range(cf: str, lo: bytes, hi: bytes) -> None:
            db_batch.delete_range(lo, hi or self._end(cf, lo, batch), handles[cf])

        batch.hand_out(db_batch.put, db_batch.delete, delete_range, handles)
        self._db.write(db_batch)

    def _end(self, cf: str, lo: bytes, batch: WriteBatch) -> bytes:
        """A key behind `lo` and all that this family has or that the batch gives it: RocksDB wants one."""
        last = _scan(self._iter(cf), b"", b"", 1, reverse=True, keys_only=True)
        keys = [key for kind, other, key, _ in batch.changes if kind == PUT and other == cf]
        return max([lo, *keys, *(key for key, _ in last)]) + b"\0"

    def _sync_wal(self) -> None:
        with self._sync:
            if self._families:
                sequence = self._call(self._db.latest_sequence_number)
                self._call(self._db.flush_wal, sync=True)
                self._mark.write(sequence)

    def _number(self, cf: str, name: str) -> int:
        return int(self._call(self._family(cf).property_value, f"rocksdb.{name}") or 0)

    def _check_mark(self) -> None:
        """Is all there that was synced?"""
        marked, found = self._mark.read(), self._call(self._db.latest_sequence_number)
        if found < marked:
            problem = f"it ends at change {found}, and was synced up to {marked}: its log is damaged in between"
            raise Corruption(self._path, 0, problem)

    def _check_format(self) -> None:
        """Is it ours? A new one is made so."""
        formats = self._families[_CF_FORMAT]
        version = self._call(formats.get, _KEY_VERSION)
        if version == _VERSION:
            return
        if version is not None:
            known = int.from_bytes(_VERSION, "little")
            found = int.from_bytes(version, "little")
            raise StorageError(
                f"{self._path} has format {found}; this release reads {known}: use the one that wrote it"
            )
        if any(self.scan(cf, b"", b"", 1) for cf in CFS):
            raise Corruption(self._path, 0, "there are keys, but not the version of their format")
        self._call(formats.put, _KEY_VERSION, _VERSION)
        self._sync_wal()


@final
class _RocksSnapshot:
    """An iterator for each family, all opened at one moment."""

    __slots__ = ("__weakref__", "_iters", "_path")

    def __init__(self, path: str, iters: dict[str, RdictIter]) -> None:
        self._path = path
        self._iters = iters

    def get(self, cf: str, key: bytes) -> bytes | None:
        """See `Reader.get`."""
        found = self.scan(cf, key, key + b"\0", 1)
        return found[0][1] if found else None

    def get_many(self, cf: str, keys: Sequence[bytes]) -> list[bytes | None]:
        """See `Reader.get_many`."""
        return [self.get(cf, key) for key in keys]

    def scan(
        self, cf: str, lo: bytes, hi: bytes, limit: int, *, reverse: bool = False, keys_only: bool = False
    ) -> list[KeyValue]:
        """See `Reader.scan`."""
        return self._scan(cf, lo, hi, limit, _NO_LIMIT, reverse=reverse, keys_only=keys_only)

    def iterate(self, cf: str, lo: bytes, hi: bytes) -> Iterator[KeyValue]:
        """See `Reader.iterate`. In slices, so that several may go on at once."""
        while found := self._scan(cf, lo, hi, _SLICE_KEYS, _SLICE_BYTES):
            yield from found
            lo = found[-1][0] + b"\0"

    def close(self) -> None:
        """See `Snapshot.close`."""
        self._iters.clear()

    def _scan(
        self, cf: str, lo: bytes, hi: bytes, limit: int, size: int, *, reverse: bool = False, keys_only: bool = False
    ) -> list[KeyValue]:
        if not self._iters:
            raise StorageError("the snapshot is closed")
        try:
            return _scan(self._iters[cf], lo, hi, limit, reverse, keys_only, size)
        except Exception as error:
            if type(error) is Exception:
                raise storage_error(error, self._path) from error
            raise


def _scan(
    it: RdictIter,
    lo: bytes,
    hi: bytes,
    limit: int,
    reverse: bool = False,
    keys_only: bool = False,
    size: int = _NO_LIMIT,
) -> list[KeyValue]:
    """Up to `limit` keys of the range and their values, and no more once they have `size` bytes."""
    found: list[KeyValue] = []
    step = it.prev if reverse else it.next
    if reverse:
        _seek_before(it, hi)
    else:
        it.seek(lo)
    while len(found) < limit and size > 0:
        key: bytes | None = it.key()
        if key is None:
            it.status()  # the end, or a damaged block
            break
        if key < lo if reverse else hi and key >= hi:
            break
        value: bytes = b"" if keys_only else it.value()
        found.append((key, value))
        size -= len(key) + len(value)
        step()
    return found


def _seek_before(it: RdictIter, hi: bytes) -> None:
    """To the last key below `hi`."""
    if not hi:
        it.seek_to_last()
        return
    it.seek_for_prev(hi)
    if it.key() == hi:
        it.prev()


def _open_db(path: str, options: RocksOptions) -> Rdict:
    families = {*CFS, _CF_FORMAT}
    db_options = _db_options(options, Cache(options.block_cache_bytes))
    try:
        Path(path).mkdir(parents=True, exist_ok=True)
        if (Path(path) / "CURRENT").exists():
            strange = sorted(set(Rdict.list_cf(path, db_options)) - families)
            if strange:
                raise StorageError(f"{path} is a RocksDB of something else: it has the family {strange[0]}")
        return Rdict(path, db_options, dict.fromkeys(sorted(families), db_options))
    except OSError as error:
        raise StorageError(f"cannot make {path}: {error.strerror or error}") from error
    except Exception as error:
        if type(error) is Exception:
            raise storage_error(error, path) from error
        raise


def _db_options(options: RocksOptions, cache: Cache) -> Options:
    """How RocksDB is set up, and each of its families: bounded memory, and no brakes before those of the store."""
    table = BlockBasedOptions()
    table.set_block_cache(cache)
    table.set_bloom_filter(_BLOOM_BITS, block_based=False)
    table.set_cache_index_and_filter_blocks(True)
    table.set_pin_l0_filter_and_index_blocks_in_cache(True)

    db = Options(raw_mode=True)
    db.create_if_missing(True)
    db.create_missing_column_families(True)
    db.set_block_based_table_factory(table)
    db.set_compression_per_level([DBCompressionType.none()] * 2 + [DBCompressionType.lz4()] * 5)
    db.set_target_file_size_base(_TABLE_BYTES)
    db.set_write_buffer_size(options.write_buffer_bytes)
    db.set_max_write_buffer_number(options.write_buffers)
    db.set_max_total_wal_size(options.wal_bytes)
    db.set_max_background_jobs(options.background_jobs)
    db.set_level_zero_slowdown_writes_trigger(_LEVEL0_SLOW)
    db.set_level_zero_stop_writes_trigger(_LEVEL0_STOP)
    db.set_soft_pending_compaction_bytes_limit(8 * options.compaction_busy_bytes)
    db.set_hard_pending_compaction_bytes_limit(16 * options.compaction_busy_bytes)
    db.set_wal_bytes_per_sync(_WAL_SYNC_BYTES)
    db.set_bytes_per_sync(_WAL_SYNC_BYTES)
    # A crash leaves an end of the log that was never synced in any state: what is before it counts.
    db.set_wal_recovery_mode(DBRecoveryMode.point_in_time())
    db.set_max_log_file_size(_LOG_BYTES)
    db.set_keep_log_file_num(2)
    db.set_stats_dump_period_sec(0)
    return db
