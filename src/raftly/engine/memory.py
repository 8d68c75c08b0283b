"""MemoryEngine: an engine in memory, with a log on a disk that gives it RocksDB's manners in a crash.

Without a disk it forgets everything. With one, every batch is appended to a file and synced only by `sync`, so a crash
leaves a prefix of the batches. The whole content is read into memory at start: it is for tests and simulations.

    <directory>/<number>.log    8 digits; .tmp: being made
      0  8s  "raftlyME"                               record, one for each batch
      8  u16 version 1                                  0  u32 size of the body
     10  u16 0                                          4  u32 CRC-32 of the body, begun with that of the record before
     12  u32 CRC-32 of bytes 0-11                       8  changes: u8 kind (0 put, 1 delete, 2 delete range),
                                                            u8 family (its place in CFS), u32 size of the key (or lo),
                                                            u32 size of the value (or hi), both of them

Little-endian. The file ends at the first record that does not match. The checksum of the header begins the chain; each
checksum contains those before it, so a record that a former life of the file left behind the end never counts.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Iterator, Sequence
from itertools import islice
from struct import Struct
from typing import Final, Protocol, final
from zlib import crc32

from raftly.engine.base import (
    CFS,
    DATA_CFS,
    DELETE,
    DELETE_RANGE,
    PUT,
    Change,
    EngineStats,
    KeyValue,
    Snapshot,
    WriteBatch,
)
from raftly.engine.sorted_map import SortedMap, SortedView
from raftly.errors import Corruption, StorageError

_MAGIC: Final = b"raftlyME"
_VERSION: Final = 1
_HEADER: Final = Struct("<8sHH")
_CRC: Final = Struct("<I")
_HEADER_BYTES: Final = _HEADER.size + _CRC.size
_RECORD: Final = Struct("<II")
_CHANGE: Final = Struct("<BBII")
_NAME: Final = re.compile(r"([0-9]{8})\.log", re.ASCII)
_CF_NUMBERS: Final = {cf: number for number, cf in enumerate(CFS)}
_ROLL_BYTES: Final = 4 << 20  # a log shorter than this is not rewritten
_ROLL_RATIO: Final = 4  # nor one that is less than so many times what it tells
_BATCH_BYTES: Final = 256 << 10  # of the batches that a new log begins with


class DiskFile(Protocol):
    """What this engine needs of `storage.vfs.File`."""

    def read(self, offset: int, size: int) -> bytes: ...
    def write(self, offset: int, data: bytes) -> None: ...
    def sync(self) -> Awaitable[None]: ...
    def sync_now(self) -> None: ...
    def size(self) -> int: ...
    def close(self) -> None: ...


class Disk(Protocol):
    """What this engine needs of `storage.vfs.FileSystem`."""

    def open(self, path: str, *, create: bool = False) -> DiskFile: ...
    def list(self, path: str) -> list[str]: ...
    def make_dir(self, path: str) -> None: ...
    def rename(self, old: str, new: str) -> None: ...
    def remove(self, path: str) -> None: ...
    def sync_dir_now(self, path: str) -> None: ...


class _MemoryReader:
    """Reading, from whatever has a view for each family."""

    __slots__ = ("_views",)

    def __init__(self, views: dict[str, SortedView]) -> None:
        self._views = views  # empty once it is closed

    def _view(self, cf: str) -> SortedView:
        self._check_readable()
        return self._views[cf]

    def _check_readable(self) -> None:
        if not self._views:
            raise StorageError("it is closed")

    def get(self, cf: str, key: bytes) -> bytes | None:
        """See `Reader.get`."""
        return self._view(cf).get(key)

    def get_many(self, cf: str, keys: Sequence[bytes]) -> list[bytes | None]:
        """See `Reader.get_many`."""
        return list(map(self._view(cf).get, keys))

    def scan(
        self, cf: str, lo: bytes, hi: bytes, limit: int, *, reverse: bool = False, keys_only: bool = False
    ) -> list[KeyValue]:
        """See `Reader.scan`."""
        view = self._view(cf)
        found = list(islice(view.descending(lo, hi) if reverse else view.ascending(lo, hi), max(limit, 0)))
        return [(key, b"") for key, _ in found] if keys_only else found

    def iterate(self, cf: str, lo: bytes, hi: bytes) -> Iterator[KeyValue]:
        """See `Reader.iterate`."""
        return self._view(cf).ascending(lo, hi)


@final
class _MemorySnapshot(_MemoryReader):
    """All families, frozen together."""

    __slots__ = ()

    def close(self) -> None:
        """See `Snapshot.close`."""
        self._views = {}


@final
class MemoryEngine(_MemoryReader):
    """The engine; see the module.

    Raises:
        Corruption: the log in the directory is none of ours, or of a version that this release does not know.
        StorageError: the disk could not read or write.
    """

    __slots__ = ("_failed", "_log", "_maps")

    def __init__(self, disk: Disk | None = None, directory: str = "engine") -> None:
        self._maps = {cf: SortedMap() for cf in CFS}
        super().__init__(dict(self._maps))
        self._failed: StorageError | None = None
        self._log: _Log | None = None
        if disk is not None:
            self._log = _Log(disk, directory)
            for changes in self._log.replay():
                self._apply(changes)
            self._roll(self._log)

    def write(self, batch: WriteBatch) -> None:
        """See `Engine.write`. A write that failed is the last one."""
        self._check_writable()
        if batch.is_empty:
            return
        if self._log is not None:
            try:
                self._log.append(batch.changes)
            except StorageError as error:
                self._failed = error
                raise
        self._apply(batch.changes)

    async def sync(self) -> None:
        """See `Engine.sync`."""
        self._check_writable()
        if self._log is None:
            return
        if self._log.size > max(_ROLL_BYTES, _ROLL_RATIO * self._bytes()):
            self._roll(self._log)
            return
        try:
            await self._log.sync()
        except StorageError as error:
            self._failed = error
            raise

    def snapshot(self) -> Snapshot:
        """See `Engine.snapshot`."""
        self._check_readable()
        return _MemorySnapshot({cf: map_.freeze() for cf, map_ in self._maps.items()})

    def iterate(self, cf: str, lo: bytes, hi: bytes) -> Iterator[KeyValue]:
        """See `Reader.iterate`."""
        self._check_readable()
        return self._maps[cf].freeze().ascending(lo, hi)

    def approximate_bytes(self, lo: bytes, hi: bytes) -> int:
        """See `Engine.approximate_bytes`. Whole chunks are counted by a few of their keys."""
        return sum(self._maps[cf].approximate_bytes(lo, hi) for cf in DATA_CFS)

    def stats(self) -> EngineStats:
        """See `Engine.stats`."""
        return EngineStats(
            disk_bytes=self._log.size if self._log else 0,
            memory_bytes=self._bytes(),
            keys=sum(map(len, self._maps.values())),
        )

    def close(self) -> None:
        """See `Engine.close`."""
        if self._log is not None:
            self._log.close()
        self._views = {}
        self._failed = self._failed or StorageError("it is closed")

    def _check_writable(self) -> None:
        if self._failed is not None:
            raise self._failed

    def _bytes(self) -> int:
        return sum(map_.size for map_ in self._maps.values())

    def _apply(self, changes: Sequence[Change]) -> None:
        maps = self._maps
        for kind, cf, key, value in changes:
            if kind == PUT:
                maps[cf].put(key, value)
            elif kind == DELETE:
                maps[cf].delete(key)
            else:
                maps[cf].delete_range(key, value)

    def _roll(self, log: _Log) -> None:
        """Begin a new log with what is here, durable when this returns."""
        try:
            log.roll(self._content())
        except StorageError as error:
            self._failed = error
            raise

    def _content(self) -> Iterator[list[Change]]:
        changes: list[Change] = []
        size = 0
        for cf, map_ in self._maps.items():
            for key, value in map_.ascending(b"", b""):
                changes.append((PUT, cf, key, value))
                size += len(key) + len(value)
                if size >= _BATCH_BYTES:
                    yield changes
                    changes, size = [], 0
        yield changes


@final
class _Log:
    """The file of a MemoryEngine; see the module for its bytes."""

    __slots__ = ("_chain", "_directory", "_disk", "_file", "_number", "size")

    def __init__(self, disk: Disk, directory: str) -> None:
        self._disk = disk
        self._directory = directory
        disk.make_dir(directory)
        numbers = [int(match[1]) for match in map(_NAME.fullmatch, disk.list(directory)) if match]
        self._number = max(numbers, default=0)
        self._file: DiskFile | None = disk.open(self._path(self._number)) if numbers else None
        self._chain = 0
        self.size = 0

    def replay(self) -> Iterator[list[Change]]:
        """The batches that are there, oldest first."""
        if self._file is None:
            return
        content = self._file.read(0, self._file.size())
        head = content[: _HEADER.size]
        chain = crc32(head)
        if content[:_HEADER_BYTES] != head + _CRC.pack(chain) or _HEADER.unpack(head) != (_MAGIC, _VERSION, 0):
            path = self._path(self._number)
            raise Corruption(path, 0, "this is no log of a memory engine, or of a version unknown to this release")
        at = _HEADER_BYTES
        while at + _RECORD.size <= len(content):
            size, crc = _RECORD.unpack_from(content, at)
            body = content[at + _RECORD.size : at + _RECORD.size + size]
            chain = crc32(body, chain)
            if len(body) < size or chain != crc or not size:
                return
            yield _decode(body)
            at += _RECORD.size + size

    def append(self, changes: Sequence[Change]) -> None:
        """One more batch; not synced."""
        assert self._file is not None
        body = _encode(changes)
        self._chain = crc32(body, self._chain)
        record = _RECORD.pack(len(body), self._chain) + body
        self._file.write(self.size, record)
        self.size += len(record)

    def sync(self) -> Awaitable[None]:
        """Make all batches so far durable."""
        assert self._file is not None
        return self._file.sync()

    def roll(self, batches: Iterator[list[Change]]) -> None:
        """Put these batches into a new file, and that in the place of the old one."""
        unfinished = f"{self._directory}/next.tmp"
        self._disk.remove(unfinished)
        self.close()
        self._file = self._disk.open(unfinished, create=True)
        head = _HEADER.pack(_MAGIC, _VERSION, 0)
        self._chain = crc32(head)
        self._file.write(0, head + _CRC.pack(self._chain))
        self.size = _HEADER_BYTES
        for changes in batches:
            if changes:
                self.append(changes)
        self._file.sync_now()
        old = self._path(self._number)
        self._number += 1
        self._disk.rename(unfinished, self._path(self._number))
        for directory in (self._directory, self._directory.rpartition("/")[0]):
            self._disk.sync_dir_now(directory)
        self._disk.remove(old)

    def close(self) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None

    def _path(self, number: int) -> str:
        return f"{self._directory}/{number:08d}.log"


def _encode(changes: Sequence[Change]) -> bytes:
    parts: list[bytes] = []
    for kind, cf, key, value in changes:
        parts += (_CHANGE.pack(kind, _CF_NUMBERS[cf], len(key), len(value)), key, value)
    return b"".join(parts)


def _decode(body: bytes) -> list[Change]:
    """The changes of a body whose checksum was right."""
    changes: list[Change] = []
    at = 0
    while at < len(body):
        kind, cf, key_bytes, value_bytes = _CHANGE.unpack_from(body, at)
        assert kind in {PUT, DELETE, DELETE_RANGE}
        key_stop = at + _CHANGE.size + key_bytes
        stop = key_stop + value_bytes
        changes.append((kind, CFS[cf], body[at + _CHANGE.size : key_stop], body[key_stop:stop]))
        at = stop
    assert at == len(body)
    return changes
