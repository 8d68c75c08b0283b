"""The disk as the storage sees it: a narrow FileSystem, so that tests can hand in one that crashes, fails or stalls.

Nothing here is durable before it is synced: a file's bytes by `sync` on the file, a created, renamed or removed name by
`sync_dir` on its directory. Paths are strings below one root, with `/` between the parts.
"""

from __future__ import annotations

from collections.abc import Awaitable
from typing import Protocol


class File(Protocol):
    """An open file. Offsets are explicit; writing beyond the end fills the gap with zeros."""

    def read(self, offset: int, size: int) -> bytes:
        """Up to `size` bytes; fewer only at the end of the file.

        Raises:
            StorageError: the disk could not read.
        """
        ...

    def write(self, offset: int, data: bytes) -> None:
        """Write all of `data`.

        Raises:
            DiskFull: no space; part of it may have been written.
            StorageError: the disk could not write.
        """
        ...

    def sync(self) -> Awaitable[None]:
        """Make what was written before this call durable, without stopping the loop meanwhile.

        Raises:
            SyncFailed: it may be lost, and no later sync can tell. Never call it again.
        """
        ...

    def sync_now(self) -> None:
        """As `sync`, stopping everything: for start-up and tools.

        Raises:
            SyncFailed: as above.
        """
        ...

    def size(self) -> int:
        """Length in bytes."""
        ...

    def inode(self) -> int:
        """The number that the file system knows the file by; a copy of the file has another."""
        ...

    def truncate(self, size: int) -> None:
        """Cut the file, or extend it with zeros.

        Raises:
            StorageError: the disk could not.
        """
        ...

    def close(self) -> None:
        """Give the file back; what was not synced may be lost."""
        ...


class Lock(Protocol):
    """A directory that is ours until released."""

    def release(self) -> None:
        """Let another process have it."""
        ...


class FileSystem(Protocol):
    """Files and directories."""

    def open(self, path: str, *, create: bool = False) -> File:
        """Open for reading and writing; with `create` a new, empty file that must not exist yet.

        Raises:
            StorageError: it does not exist, or does already, or is no regular file.
        """
        ...

    def exists(self, path: str) -> bool:
        """Is there a file or directory of this name?"""
        ...

    def list(self, path: str) -> list[str]:
        """The names in a directory, ascending."""
        ...

    def make_dir(self, path: str) -> None:
        """Create a directory, and those above it; one that exists is fine."""
        ...

    def rename(self, old: str, new: str) -> None:
        """Give a file another name, atomically replacing what had it."""
        ...

    def remove(self, path: str) -> None:
        """Delete a file; one that does not exist is fine."""
        ...

    def sync_dir(self, path: str) -> Awaitable[None]:
        """Make the names in a directory durable, without stopping the loop meanwhile.

        Raises:
            SyncFailed: they may be lost.
        """
        ...

    def sync_dir_now(self, path: str) -> None:
        """As `sync_dir`, stopping everything: for start-up and tools.

        Raises:
            SyncFailed: as above.
        """
        ...

    def lock(self, path: str) -> Lock:
        """Take a directory for this process alone, by a lock file in it.

        Raises:
            DirectoryInUse: another process has it.
        """
        ...

    def free_bytes(self, path: str) -> int:
        """Space left for new data."""
        ...
