"""The real file system. How a sync is waited for is decided here and nowhere else.

aio      Linux AIO (storage.aio): the loop goes on, no thread is involved
thread   an executor thread: works everywhere, slow under a busy loop
inline   the loop waits: the shortest way when the disk is fast, and it must not stall
"""

from __future__ import annotations

import asyncio
import errno
import fcntl
import os
import shutil
import stat
from collections.abc import Awaitable
from enum import Enum
from pathlib import Path
from typing import final

from raftly.errors import DirectoryInUse, DiskFull, StorageError, SyncFailed
from raftly.storage.aio import AioSync

_fdatasync = getattr(os, "fdatasync", os.fsync)  # macOS has none


class SyncMode(Enum):
    """How `File.sync` waits."""

    AIO = "aio"
    THREAD = "thread"
    INLINE = "inline"


def _failed(what: str, path: str, error: OSError) -> StorageError:
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return DiskFull(f"cannot {what} {path}: no space left on the disk")
    return StorageError(f"cannot {what} {path}: {error.strerror or error}")


def _open_directory(path: Path) -> int:
    return os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_DIRECTORY)


def _sync_directory(path: Path) -> None:
    fd = _open_directory(path)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


@final
class OsFile:
    """One open file."""

    __slots__ = ("_fd", "_fs", "_path")

    def __init__(self, fs: OsFs, path: str, fd: int) -> None:
        self._fs = fs
        self._path = path
        self._fd = fd

    def read(self, offset: int, size: int) -> bytes:
        """See `File.read`."""
        try:
            return os.pread(self._fd, size, offset)
        except OSError as error:
            raise _failed("read", self._path, error) from error

    def write(self, offset: int, data: bytes) -> None:
        """See `File.write`."""
        view = memoryview(data)
        try:
            while view:
                written = os.pwrite(self._fd, view, offset)
                view = view[written:]
                offset += written
        except OSError as error:
            raise _failed("write", self._path, error) from error

    def sync(self) -> Awaitable[None]:
        """See `File.sync`."""
        return self._sync()

    async def _sync(self) -> None:
        try:
            await self._fs.wait_sync(self._fd)
        except OSError as error:
            raise SyncFailed(f"cannot sync {self._path}: {error.strerror or error}") from error

    def sync_now(self) -> None:
        """See `File.sync_now`."""
        try:
            _fdatasync(self._fd)
        except OSError as error:
            raise SyncFailed(f"cannot sync {self._path}: {error.strerror or error}") from error

    def size(self) -> int:
        """See `File.size`."""
        return os.fstat(self._fd).st_size

    def inode(self) -> int:
        """See `File.inode`."""
        return os.fstat(self._fd).st_ino

    def truncate(self, size: int) -> None:
        """See `File.truncate`."""
        try:
            os.ftruncate(self._fd, size)
        except OSError as error:
            raise _failed("truncate", self._path, error) from error

    def close(self) -> None:
        """See `File.close`."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1


@final
class OsLock:
    """A lock file held open: the kernel releases it when the process dies."""

    __slots__ = ("_fd",)

    def __init__(self, fd: int) -> None:
        self._fd = fd

    def release(self) -> None:
        """See `Lock.release`."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1


@final
class OsFs:
    """Files below `root`. One instance serves one event loop."""

    __slots__ = ("_aio", "_mode", "_root")

    def __init__(self, root: str | Path, mode: SyncMode = SyncMode.AIO) -> None:
        self._root = Path(root)
        self._mode = mode
        self._aio: AioSync | None = None

    @property
    def mode(self) -> SyncMode:
        """How syncs are waited for; AIO turns into THREAD where the system has none."""
        return self._mode

    async def wait_sync(self, fd: int) -> None:
        """Sync a descriptor the way this file system does."""
        if self._mode is SyncMode.AIO and self._aio is None:
            try:
                self._aio = AioSync(asyncio.get_running_loop())
            except (OSError, NotImplementedError):
                self._mode = SyncMode.THREAD
        if self._aio is not None:
            await self._aio.sync(fd)
        elif self._mode is SyncMode.INLINE:
            _fdatasync(fd)
        else:
            await asyncio.get_running_loop().run_in_executor(None, _fdatasync, fd)

    def close(self) -> None:
        """Give back what the file system itself holds; files are closed one by one."""
        if self._aio is not None:
            self._aio.close()
            self._aio = None

    def open(self, path: str, *, create: bool = False) -> OsFile:
        """See `FileSystem.open`. Links and special files are refused: nobody else decides where our log goes."""
        flags = os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK
        if create:
            flags |= os.O_CREAT | os.O_EXCL
        try:
            fd = os.open(self._root / path, flags, 0o600)
        except OSError as error:
            raise _failed("create" if create else "open", path, error) from error
        if not stat.S_ISREG(os.fstat(fd).st_mode):
            os.close(fd)
            raise StorageError(f"cannot open {path}: it is not a regular file")
        return OsFile(self, path, fd)

    def exists(self, path: str) -> bool:
        """See `FileSystem.exists`."""
        return (self._root / path).exists()

    def list(self, path: str) -> list[str]:
        """See `FileSystem.list`."""
        try:
            return sorted(entry.name for entry in (self._root / path).iterdir())
        except OSError as error:
            raise _failed("list", path, error) from error

    def make_dir(self, path: str) -> None:
        """See `FileSystem.make_dir`. Directories above the root are made durable here: nobody else can name them."""
        try:
            outer = self._root
            while not outer.exists():
                outer = outer.parent
            (self._root / path).mkdir(mode=0o700, parents=True, exist_ok=True)
            for directory in self._root.parents:
                if not directory.is_relative_to(outer):
                    break
                _sync_directory(directory)
        except OSError as error:
            raise _failed("create", path, error) from error

    def rename(self, old: str, new: str) -> None:
        """See `FileSystem.rename`."""
        try:
            (self._root / old).replace(self._root / new)
        except OSError as error:
            raise _failed("rename", old, error) from error

    def remove(self, path: str) -> None:
        """See `FileSystem.remove`."""
        try:
            (self._root / path).unlink(missing_ok=True)
        except OSError as error:
            raise _failed("remove", path, error) from error

    def sync_dir(self, path: str) -> Awaitable[None]:
        """See `FileSystem.sync_dir`."""
        return self._sync_dir(path)

    async def _sync_dir(self, path: str) -> None:
        try:
            fd = _open_directory(self._root / path)
            try:
                await self.wait_sync(fd)
            finally:
                os.close(fd)
        except OSError as error:
            raise SyncFailed(f"cannot sync directory {path}: {error.strerror or error}") from error

    def sync_dir_now(self, path: str) -> None:
        """See `FileSystem.sync_dir_now`."""
        try:
            _sync_directory(self._root / path)
        except OSError as error:
            raise SyncFailed(f"cannot sync directory {path}: {error.strerror or error}") from error

    def lock(self, path: str) -> OsLock:
        """See `FileSystem.lock`."""
        name = self._root / path / "LOCK"
        try:
            fd = os.open(name, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        except OSError as error:
            raise _failed("lock", path, error) from error
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            os.close(fd)
            raise DirectoryInUse(
                f"{self._root / path} is in use by another process; give every node a directory of its own"
            ) from error
        return OsLock(fd)

    def free_bytes(self, path: str) -> int:
        """See `FileSystem.free_bytes`."""
        return shutil.disk_usage(self._root / path).free
