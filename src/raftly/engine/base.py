"""Engine: sorted keys in a few families, written in atomic batches, read as of now or as of a snapshot.

A key and a value are bytes. A range is half-open, [lo, hi); an empty `hi` has nothing above it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Protocol, TypeAlias, TypeVar, final

CF_DEFAULT: Final = "default"
CF_LOCK: Final = "lock"
CF_WRITE: Final = "write"
CF_RAFT: Final = "raft"  # a store's own state, never users' data
DATA_CFS: Final = (CF_DEFAULT, CF_LOCK, CF_WRITE)
CFS: Final = (*DATA_CFS, CF_RAFT)

PUT: Final = 0
DELETE: Final = 1
DELETE_RANGE: Final = 2

Change: TypeAlias = tuple[int, str, bytes, bytes]  # PUT cf key value | DELETE cf key b"" | DELETE_RANGE cf lo hi
KeyValue: TypeAlias = tuple[bytes, bytes]
F = TypeVar("F")

_CHANGE_BYTES: Final = 12  # what a change takes beside its key and value, about


@final
class WriteBatch:
    """Changes that happen together or not at all, in the order they were added."""

    __slots__ = ("changes", "has_ranges", "size")

    def __init__(self) -> None:
        self.changes: list[Change] = []
        self.has_ranges = False
        self.size = 0
        """Bytes of keys and values, and a little for each change."""

    def put(self, cf: str, key: bytes, value: bytes) -> None:
        """Give a key a value, whatever it had."""
        self.changes.append((PUT, cf, key, value))
        self.size += len(key) + len(value) + _CHANGE_BYTES

    def delete(self, cf: str, key: bytes) -> None:
        """Take a key away; one that is not there is fine."""
        self.changes.append((DELETE, cf, key, b""))
        self.size += len(key) + _CHANGE_BYTES

    def delete_range(self, cf: str, lo: bytes, hi: bytes) -> None:
        """Take all keys in [lo, hi) away, those that this batch put there before too."""
        if not hi or lo < hi:
            self.changes.append((DELETE_RANGE, cf, lo, hi))
            self.has_ranges = True
            self.size += len(lo) + len(hi) + _CHANGE_BYTES

    def clear(self) -> None:
        """Forget all of it."""
        self.changes.clear()
        self.has_ranges = False
        self.size = 0

    def hand_out(
        self,
        put: Callable[[bytes, bytes, F], None],
        delete: Callable[[bytes, F], None],
        delete_range: Callable[[str, bytes, bytes], None],
        families: Mapping[str, F],
    ) -> None:
        """Call these with every change, in order; the first two with a family as its engine knows it."""
        for kind, cf, key, value in self.changes:
            if kind == PUT:
                put(key, value, families[cf])
            elif kind == DELETE:
                delete(key, families[cf])
            else:
                delete_range(cf, key, value)

    @property
    def is_empty(self) -> bool:
        """Is there nothing to do?"""
        return not self.changes

    def __len__(self) -> int:
        """How many changes."""
        return len(self.changes)


class Reader(Protocol):
    """What can be read: an engine as it is now, or a snapshot of it.

    Every method raises Corruption when it meets damage, and StorageError when the disk cannot read.
    """

    def get(self, cf: str, key: bytes) -> bytes | None:
        """The value of a key; None where there is none."""
        ...

    def get_many(self, cf: str, keys: Sequence[bytes]) -> list[bytes | None]:
        """The values of many keys, in their order: cheaper than one by one."""
        ...

    def scan(
        self, cf: str, lo: bytes, hi: bytes, limit: int, *, reverse: bool = False, keys_only: bool = False
    ) -> list[KeyValue]:
        """The first `limit` keys in [lo, hi) and their values, ascending; with `reverse` the last ones, descending.

        With `keys_only` every value is empty.
        """
        ...

    def iterate(self, cf: str, lo: bytes, hi: bytes) -> Iterator[KeyValue]:
        """All keys in [lo, hi) and their values, ascending, read as they are asked for, all as of this call."""
        ...


class Snapshot(Reader, Protocol):
    """The engine as it was at one moment. It holds back what it shows from being given back, so close it."""

    def close(self) -> None:
        """Done with it. Nothing may be read from it after."""
        ...


@final
@dataclass(frozen=True, slots=True)
class EngineStats:
    """How an engine does. What an engine does not know is 0."""

    disk_bytes: int = 0  # of tables on the disk
    memory_bytes: int = 0  # of write buffers, caches and indexes
    keys: int = 0  # an estimate
    level0_files: int = 0  # tables that no compaction has taken up yet
    compaction_bytes: int = 0  # that compactions have still to rewrite
    is_busy: bool = False  # compactions are behind: take fewer writes, or one of them will stop everything for a while


class Engine(Reader, Protocol):
    """A store of keys on one disk, used by one thread."""

    def write(self, batch: WriteBatch) -> None:
        """Carry out a batch: all of it is seen from now on.

        Not durable until `sync`. A crash loses batches from the end only: if one is there, so are all before it, and
        each is there whole, in all families, or not at all.

        Raises:
            DiskFull: no space.
            StorageError: the disk could not; what is in memory may differ from it, so stop.
        """
        ...

    async def sync(self) -> None:
        """Make all that was written before durable, without stopping the loop for long.

        Raises:
            SyncFailed: it may be lost. Stop, and recover from disk.
        """
        ...

    def snapshot(self) -> Snapshot:
        """All of it as it is now."""
        ...

    def approximate_bytes(self, lo: bytes, hi: bytes) -> int:
        """About how many bytes of keys and values the data families hold in [lo, hi); quick, and never exact."""
        ...

    def stats(self) -> EngineStats:
        """How it does; cheap enough for once a second."""
        ...

    def close(self) -> None:
        """Give the directory back. Twice is fine."""
        ...
