"""FaultFs: any FileSystem, failing by rule.

    fs = FaultFs(MemFs())
    fault = fs.add(Fault("sync", Effect.IO_ERROR, after=3))        the fourth sync fails, once
    fs.add(Fault("write", Effect.DISK_FULL, path="wal/", times=None))   until removed: `fs.faults.remove(fault)`
    fs.add(Fault("read", Effect.FLIP_BIT, chance=(1, 100)))             one read in a hundred, drawn from `random`

Operations are `open` (creating a file), `write`, `read`, `sync`, `sync_dir`, `truncate`, `rename`, `remove`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from dataclasses import dataclass, field
from enum import Enum
from typing import Final, final

from raftly.base.rand import RandomSource, SplitMix64
from raftly.errors import DiskFull, StorageError, SyncFailed
from raftly.storage.vfs import File, FileSystem, Lock
from raftly.testing.memfs import MemFile

_SECTOR_BYTES: Final = 512
_MISPLACED_SECTORS: Final = 8


class Effect(Enum):
    """What goes wrong."""

    IO_ERROR = "i/o error"  # nothing happens but an error; of a sync, a SyncFailed, and see `MemFs`
    DISK_FULL = "no space"  # nothing happens but a DiskFull
    SHORT = "short"  # a write: half of it happens, then DiskFull
    TORN = "torn"  # a write: every other sector of it happens, and no error
    FLIP_BIT = "flipped bit"  # a read or write: one bit is wrong, and no error
    MISPLACED = "misplaced"  # a write: it lands some sectors further on, and no error
    LOST = "lost"  # a write or sync: nothing happens, and no error
    STALL = "stall"  # a sync: it waits until `Fault.go_on`


@final
@dataclass(slots=True)
class Fault:
    """A rule: of the operations it fits, `after` pass, then it strikes `times` times (None: always)."""

    operation: str
    effect: Effect
    path: str = ""  # fits paths that contain it
    after: int = 0
    times: int | None = 1
    chance: tuple[int, int] = (1, 1)  # strikes in so many of so many cases, drawn
    struck: int = 0  # how often it did
    go_on: asyncio.Event = field(default_factory=asyncio.Event)

    def fits(self, operation: str, path: str, random: RandomSource) -> bool:
        """Does it strike this operation? Counts it."""
        if (
            operation != self.operation
            or self.path not in path
            or (self.times is not None and self.struck >= self.times)
        ):
            return False
        if self.after > 0:
            self.after -= 1
            return False
        if self.chance != (1, 1) and random.below(self.chance[1]) >= self.chance[0]:
            return False
        self.struck += 1
        return True


@final
class FaultFs:
    """The file system behind, with faults. Without any it is transparent."""

    __slots__ = ("_inner", "_random", "faults")

    def __init__(self, inner: FileSystem, random: RandomSource | None = None) -> None:
        self._inner = inner
        self._random = random or SplitMix64(0)
        self.faults: list[Fault] = []

    def add(self, fault: Fault) -> Fault:
        """Put a rule in force."""
        self.faults.append(fault)
        return fault

    def strike(self, operation: str, path: str) -> Fault | None:
        """The first rule that strikes this operation.

        Raises:
            DiskFull: its effect is that.
            StorageError: its effect is an i/o error.
            SyncFailed: its effect is an i/o error of a sync.
        """
        for fault in self.faults:
            if not fault.fits(operation, path, self._random):
                continue
            if fault.effect is Effect.DISK_FULL:
                raise DiskFull(f"cannot {operation} {path}: no space left on the disk")
            if fault.effect is Effect.IO_ERROR:
                kind = SyncFailed if operation in {"sync", "sync_dir"} else StorageError
                raise kind(f"cannot {operation} {path}: input/output error")
            return fault
        return None

    def flip_bit(self, data: bytes) -> bytes:
        """One bit of `data` turned over."""
        if not data:
            return data
        at = self._random.below(len(data) * 8)
        flipped = bytearray(data)
        flipped[at // 8] ^= 1 << at % 8
        return bytes(flipped)

    # --- FileSystem ---

    def open(self, path: str, *, create: bool = False) -> FaultFile:
        """See `FileSystem.open`."""
        if create:
            self.strike("open", path)
        return FaultFile(self, path, self._inner.open(path, create=create))

    def exists(self, path: str) -> bool:
        """See `FileSystem.exists`."""
        return self._inner.exists(path)

    def list(self, path: str) -> list[str]:
        """See `FileSystem.list`."""
        return self._inner.list(path)

    def make_dir(self, path: str) -> None:
        """See `FileSystem.make_dir`."""
        self._inner.make_dir(path)

    def rename(self, old: str, new: str) -> None:
        """See `FileSystem.rename`."""
        self.strike("rename", old)
        self._inner.rename(old, new)

    def remove(self, path: str) -> None:
        """See `FileSystem.remove`."""
        self.strike("remove", path)
        self._inner.remove(path)

    async def sync_dir(self, path: str) -> None:
        """See `FileSystem.sync_dir`."""
        fault = self.strike("sync_dir", path)
        if fault is not None and fault.effect is Effect.LOST:
            return
        if fault is not None and fault.effect is Effect.STALL:
            await fault.go_on.wait()
        await self._inner.sync_dir(path)

    def sync_dir_now(self, path: str) -> None:
        """See `FileSystem.sync_dir_now`."""
        fault = self.strike("sync_dir", path)
        if fault is None or fault.effect is not Effect.LOST:
            self._inner.sync_dir_now(path)

    def lock(self, path: str) -> Lock:
        """See `FileSystem.lock`."""
        return self._inner.lock(path)

    def free_bytes(self, path: str) -> int:
        """See `FileSystem.free_bytes`."""
        return self._inner.free_bytes(path)


@final
class FaultFile:
    """One open file of a FaultFs."""

    __slots__ = ("_file", "_fs", "_path")

    def __init__(self, fs: FaultFs, path: str, file: File) -> None:
        self._fs = fs
        self._path = path
        self._file = file

    def read(self, offset: int, size: int) -> bytes:
        """See `File.read`."""
        fault = self._fs.strike("read", self._path)
        data = self._file.read(offset, size)
        return self._fs.flip_bit(data) if fault is not None and fault.effect is Effect.FLIP_BIT else data

    def write(self, offset: int, data: bytes) -> None:
        """See `File.write`."""
        fault = self._fs.strike("write", self._path)
        effect = None if fault is None else fault.effect
        if effect is Effect.SHORT:
            self._file.write(offset, data[: len(data) // 2])
            raise DiskFull(f"cannot write {self._path}: no space left on the disk")
        if effect is Effect.TORN:
            self._write_torn(offset, data)
        elif effect is Effect.MISPLACED:
            self._file.write(offset + _MISPLACED_SECTORS * _SECTOR_BYTES, data)
        elif effect is not Effect.LOST:
            self._file.write(offset, self._fs.flip_bit(data) if effect is Effect.FLIP_BIT else data)

    def _write_torn(self, offset: int, data: bytes) -> None:
        at = 0
        while at < len(data):
            stop = min(at + _SECTOR_BYTES - (offset + at) % _SECTOR_BYTES, len(data))
            if (offset + at) // _SECTOR_BYTES % 2 == 0:
                self._file.write(offset + at, data[at:stop])
            at = stop

    def sync(self) -> Awaitable[None]:
        """See `File.sync`."""
        return self._sync()

    async def _sync(self) -> None:
        fault = self._strike_sync()
        if fault is not None and fault.effect is Effect.LOST:
            return
        if fault is not None and fault.effect is Effect.STALL:
            await fault.go_on.wait()
        await self._file.sync()

    def sync_now(self) -> None:
        """See `File.sync_now`."""
        fault = self._strike_sync()
        if fault is None or fault.effect is not Effect.LOST:
            self._file.sync_now()

    def _strike_sync(self) -> Fault | None:
        try:
            return self._fs.strike("sync", self._path)
        except SyncFailed:
            if isinstance(self._file, MemFile):
                self._file.lose()
            raise

    def size(self) -> int:
        """See `File.size`."""
        return self._file.size()

    def inode(self) -> int:
        """See `File.inode`."""
        return self._file.inode()

    def truncate(self, size: int) -> None:
        """See `File.truncate`."""
        self._fs.strike("truncate", self._path)
        self._file.truncate(size)

    def close(self) -> None:
        """See `File.close`."""
        self._file.close()
