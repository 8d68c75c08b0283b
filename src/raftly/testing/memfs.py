"""MemFs: a file system in memory that can lose power.

What was synced is there after a crash. Of the rest anything may be, as on a real disk that writes sectors of 512 bytes
whole, in any order:

    bytes      each sector written since the last sync holds any of the versions it had since then
    length     any of the lengths the file had since then, or one on the way between two of them
    names      each create, rename, remove or make_dir without a sync of its directory happened or did not

A sync of a file that failed leaves what Linux does: bytes that can be read and count as written out, so no later sync
writes them and a crash loses them, all of them here. A later write takes the rest of its sector along. Names are kept
by the journal of a real disk, which goes on or stops as a whole: a later sync of the directory still saves them.

    fs = MemFs()                          run something on it
    for after in fs.outcomes(random, 500):     every disk that a crash now could leave, or 500 of very many
        recover from `after`
    after = fs.crash(random)              one of them; `fs` itself is dead from then on

Time is the caller's: `on_sync` is awaited before a sync counts, so a simulator delays or stalls it there; `on_step` is
called before anything changes, so a test can crash at every call.
"""

from __future__ import annotations

import itertools
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from math import prod
from typing import Final, TypeAlias, final

from raftly.base.rand import RandomSource
from raftly.errors import DirectoryInUse, DiskFull, StorageError, SyncFailed
from raftly.testing.mem_inode import SECTOR_BYTES, Inode, apply_write

_FREE_BYTES: Final = 1 << 40  # of a disk without a capacity


@final
@dataclass(slots=True, eq=False)
class _NameChange:
    """A change of names that its directory has not been synced for. `inode` None: a directory, or nothing."""

    kind: str  # "link", "unlink", "rename", "make_dir"
    path: str
    inode: Inode | None = None
    new: str = ""

    def apply(self, names: dict[str, Inode], directories: set[str]) -> None:
        if self.kind == "make_dir":
            directories.add(self.path)
        elif self.kind == "link" and self.inode is not None:
            names[self.path] = self.inode
        elif self.kind == "unlink":
            names.pop(self.path, None)
        elif self.inode is not None:
            if names.get(self.path) is self.inode:
                del names[self.path]
            names[self.new] = self.inode


# One thing that may turn out in several ways, and which way: a change of names happened or not, a length, a version.
_Way: TypeAlias = tuple[_NameChange | Inode | tuple[Inode, int], int]


@final
@dataclass(slots=True)
class _Choices:
    """All that a crash decides, and the versions of each changed sector of each file."""

    axes: list[list[_Way]]
    versions: dict[Inode, dict[int, list[bytes]]]


@final
class MemFile:
    """One open file."""

    __slots__ = ("_fs", "_inode", "_path")

    def __init__(self, fs: MemFs, path: str, inode: Inode) -> None:
        self._fs = fs
        self._path = path
        self._inode = inode

    def read(self, offset: int, size: int) -> bytes:
        """See `File.read`."""
        self._fs.check_alive()
        return bytes(self._inode.current[offset : offset + size])

    def write(self, offset: int, data: bytes) -> None:
        """See `File.write`. On a full disk a part is written."""
        self._fs.step("write", self._path)
        room = self._fs.free_bytes("") + len(self._inode.current) - offset
        if len(data) > room and offset + len(data) > len(self._inode.current):
            if room > 0:
                self._inode.change((offset, bytes(data[:room])))
            if self._fs.on_full is not None:
                self._fs.on_full()
            raise DiskFull(f"cannot write {self._path}: no space left on the disk")
        if data:
            self._inode.change((offset, bytes(data)))

    def sync(self) -> Awaitable[None]:
        """See `File.sync`."""
        self._fs.step("sync", self._path)
        return self._sync(self._inode.changes)

    async def _sync(self, changes: int) -> None:
        try:
            await self._fs.wait_sync(self._path)
        except SyncFailed:
            self._inode.lose(changes)
            raise
        self._inode.settle(changes)

    def lose(self) -> None:
        """A sync of all that was written so far failed."""
        self._inode.lose(self._inode.changes)

    def sync_now(self) -> None:
        """See `File.sync_now`."""
        self._fs.step("sync", self._path)
        self._inode.settle(self._inode.changes)

    def size(self) -> int:
        """See `File.size`."""
        self._fs.check_alive()
        return len(self._inode.current)

    def inode(self) -> int:
        """See `File.inode`. A disk that a crash left has the same files."""
        return self._inode.number

    def truncate(self, size: int) -> None:
        """See `File.truncate`."""
        self._fs.step("truncate", self._path)
        self._inode.change((size, None))

    def close(self) -> None:
        """See `File.close`."""


@final
class _MemLock:
    __slots__ = ("_fs", "_path")

    def __init__(self, fs: MemFs, path: str) -> None:
        self._fs = fs
        self._path = path

    def release(self) -> None:
        self._fs.locked.discard(self._path)


@final
@dataclass(slots=True)
class _State:
    """Names and directories, and per directory the changes that are not durable."""

    names: dict[str, Inode] = field(default_factory=dict)
    directories: set[str] = field(default_factory=lambda: {""})
    durable_names: dict[str, Inode] = field(default_factory=dict)
    durable_directories: set[str] = field(default_factory=lambda: {""})
    since: list[_NameChange] = field(default_factory=list)

    def change(self, change: _NameChange) -> None:
        change.apply(self.names, self.directories)
        self.since.append(change)

    def settle(self, directory: str) -> None:
        rest: list[_NameChange] = []
        for change in self.since:
            if _parent(change.new or change.path) == directory:
                change.apply(self.durable_names, self.durable_directories)
            else:
                rest.append(change)
        self.since = rest


def _parent(path: str) -> str:
    return path.rpartition("/")[0]


@final
class MemFs:
    """The file system; see the module."""

    __slots__ = ("_dead", "_state", "capacity_bytes", "locked", "on_full", "on_step", "on_sync", "steps")

    def __init__(self, capacity_bytes: int | None = None) -> None:
        self.capacity_bytes = capacity_bytes
        """A disk of this size; it may be changed at any time. None: as large as you like."""
        self.on_step: Callable[[str, str], None] | None = None
        """Called with (operation, path) before anything changes; may raise."""
        self.on_sync: Callable[[str], Awaitable[None]] | None = None
        """Awaited with the path before a sync counts; may raise. A SyncFailed loses what was to be synced."""
        self.on_full: Callable[[], None] | None = None
        """Called before a write is refused for want of room."""
        self.steps = 0
        self.locked: set[str] = set()
        self._state = _State()
        self._dead = False

    # --- what a test does to the disk ---

    def outcome_count(self) -> int:
        """How many disks a crash now could leave."""
        return prod(len(axis) for axis in self._choices().axes)

    def outcomes(self, random: RandomSource, count_max: int) -> Iterator[MemFs]:
        """Every disk that a crash now could leave; when there are more than `count_max`, that many, drawn.

        The one that lost everything and the one that lost nothing are always among them.
        """
        choices = self._choices()
        axes = choices.axes
        if prod(len(axis) for axis in axes) <= count_max:
            for choice in itertools.product(*axes):
                yield self._left(choices, list(choice))
            return
        yield self._left(choices, [axis[0] for axis in axes])
        yield self._left(choices, [axis[-1] for axis in axes])
        for _ in range(count_max - 2):
            yield self._left(choices, _draw(axes, random))

    def crash(self, random: RandomSource) -> MemFs:
        """The disk that a crash left, drawn; this file system refuses everything from now on."""
        choices = self._choices()
        after = self._left(choices, _draw(choices.axes, random))
        self._dead = True
        return after

    def put(self, path: str, content: bytes, number: int = 0) -> None:
        """A durable file with this content, whatever was there; a new one, unless it is given a number."""
        self.put_dir(_parent(path))
        inode = Inode(content, number)
        self._state.names[path] = self._state.durable_names[path] = inode

    def put_dir(self, path: str) -> None:
        """A durable directory, and those above it."""
        while path:
            self._state.directories.add(path)
            self._state.durable_directories.add(path)
            path = _parent(path)

    def content(self, path: str) -> bytes:
        """What a file holds now."""
        return bytes(self._state.names[path].current)

    def paths(self) -> list[str]:
        """Of all files, as they are named now."""
        return sorted(self._state.names)

    def copy(self) -> MemFs:
        """As the files are now, all of it durable."""
        twin = MemFs(self.capacity_bytes)
        for directory in sorted(self._state.directories):
            twin.put_dir(directory)
        for path, inode in self._state.names.items():
            twin.put(path, bytes(inode.current), inode.number)
        return twin

    def _choices(self) -> _Choices:
        choices = _Choices([[(change, 0), (change, 1)] for change in self._state.since], {})
        for inode in self._reachable():
            lengths, sectors = inode.axes()
            choices.axes.append([(inode, length) for length in lengths])
            choices.axes += [[((inode, sector), way) for way in range(len(ways))] for sector, ways in sectors.items()]
            choices.versions[inode] = sectors
        return choices

    def _reachable(self) -> list[Inode]:
        """Every file that some outcome has a name for."""
        found = list(self._state.durable_names.values())
        found += [change.inode for change in self._state.since if change.inode is not None]
        return list(dict.fromkeys(found))

    def _left(self, choices: _Choices, choice: list[_Way]) -> MemFs:
        after = MemFs(self.capacity_bytes)
        names = dict(self._state.durable_names)
        directories = set(self._state.durable_directories)
        lengths: dict[Inode, int] = {}
        contents = {inode: bytearray(inode.durable) for inode in choices.versions}
        for what, way in choice:
            if isinstance(what, _NameChange):
                if way:
                    what.apply(names, directories)
            elif isinstance(what, Inode):
                lengths[what] = way
            else:
                inode, sector = what
                data = choices.versions[inode][sector][way]
                if way and (any(data) or sector * SECTOR_BYTES < len(contents[inode])):
                    apply_write(contents[inode], (sector * SECTOR_BYTES, data))
        for directory in sorted(directories):
            if _has_parents(directory, directories):
                after.put_dir(directory)
        for path, inode in names.items():
            if _has_parents(path, directories):
                apply_write(contents[inode], (lengths[inode], None))
                after.put(path, bytes(contents[inode]), inode.number)
        return after

    # --- what files use ---

    def check_alive(self) -> None:
        """Refuse when the power is off.

        Raises:
            StorageError: it is.
        """
        if self._dead:
            raise StorageError("this file system crashed")

    def step(self, operation: str, path: str) -> None:
        """Something is about to change."""
        self.check_alive()
        self.steps += 1
        if self.on_step is not None:
            self.on_step(operation, path)

    async def wait_sync(self, path: str) -> None:
        """Wait as long as the disk takes."""
        if self.on_sync is not None:
            await self.on_sync(path)
        self.check_alive()

    # --- FileSystem ---

    def open(self, path: str, *, create: bool = False) -> MemFile:
        """See `FileSystem.open`."""
        self.check_alive()
        inode = self._state.names.get(path)
        if create:
            self.step("open", path)
            if inode is not None or path in self._state.directories or _parent(path) not in self._state.directories:
                raise StorageError(f"cannot create {path}: it exists, or its directory does not")
            inode = Inode()
            self._state.change(_NameChange("link", path, inode))
        if inode is None:
            raise StorageError(f"cannot open {path}: no such file")
        return MemFile(self, path, inode)

    def exists(self, path: str) -> bool:
        """See `FileSystem.exists`."""
        self.check_alive()
        return path in self._state.names or path in self._state.directories

    def list(self, path: str) -> list[str]:
        """See `FileSystem.list`."""
        self.check_alive()
        if path not in self._state.directories:
            raise StorageError(f"cannot list {path}: no such directory")
        everything = itertools.chain(self._state.names, self._state.directories - {""})
        return sorted(name.rpartition("/")[2] for name in everything if _parent(name) == path)

    def make_dir(self, path: str) -> None:
        """See `FileSystem.make_dir`."""
        self.check_alive()
        missing: list[str] = []
        while path and path not in self._state.directories:
            missing.append(path)
            path = _parent(path)
        for directory in reversed(missing):
            self.step("make_dir", directory)
            self._state.change(_NameChange("make_dir", directory))

    def rename(self, old: str, new: str) -> None:
        """See `FileSystem.rename`."""
        self.step("rename", old)
        inode = self._state.names.get(old)
        if inode is None or _parent(new) not in self._state.directories:
            raise StorageError(f"cannot rename {old}: no such file or directory")
        self._state.change(_NameChange("rename", old, inode, new))

    def remove(self, path: str) -> None:
        """See `FileSystem.remove`."""
        self.step("remove", path)
        if path in self._state.names:
            self._state.change(_NameChange("unlink", path))

    def sync_dir(self, path: str) -> Awaitable[None]:
        """See `FileSystem.sync_dir`."""
        self.step("sync_dir", path)
        return self._sync_dir(path)

    async def _sync_dir(self, path: str) -> None:
        await self.wait_sync(path)
        self._state.settle(path)

    def sync_dir_now(self, path: str) -> None:
        """See `FileSystem.sync_dir_now`."""
        self.step("sync_dir", path)
        self._state.settle(path)

    def lock(self, path: str) -> _MemLock:
        """See `FileSystem.lock`."""
        self.check_alive()
        if path in self.locked:
            raise DirectoryInUse(f"{path or '.'} is in use by another process; give every node a directory of its own")
        self.locked.add(path)
        return _MemLock(self, path)

    def free_bytes(self, path: str) -> int:
        """See `FileSystem.free_bytes`."""
        if self.capacity_bytes is None:
            return _FREE_BYTES
        return max(self.capacity_bytes - sum(len(inode.current) for inode in self._state.names.values()), 0)


def _has_parents(path: str, directories: set[str]) -> bool:
    parent = _parent(path)
    while parent:
        if parent not in directories:
            return False
        parent = _parent(parent)
    return True


def _draw(axes: list[list[_Way]], random: RandomSource) -> list[_Way]:
    """One way of each axis: of all old, all new, or mixed in some proportion, since extremes find most."""
    share = (0, 1, 4, 8, 12, 15, 16)[random.below(7)]
    return [
        axis[1 + random.below(len(axis) - 1)] if random.below(16) < share and axis[1:] else axis[0] for axis in axes
    ]
