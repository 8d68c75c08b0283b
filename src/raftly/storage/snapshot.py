"""SnapshotStore: the snapshots of one group as files, made, kept, sent and received, one chunk in memory at a time.

    snapshots/<group>/<index>-<term>.snap   complete: synced before it got this name
                      <index>-<term>.tmp    being made here; removed at start
                      <index>-<term>.part   being received; a later connection goes on where it ends

    writer = store.create(meta)           await writer.write(data) ..., await writer.commit()
    reader = store.open(meta.index)       for chunk in reader.chunks(): ...
    receiver = await store.receive(header)
                                          from receiver.offset on: await receiver.write(...), await receiver.commit()

Names are made of numbers only, here and nowhere else; nothing that comes from a peer becomes a part of a path. A
damaged snapshot is refused with its path and offset; an older one never takes its place by itself, because the log
behind the newer one begins where that one ends.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, final

from raftly.base.rand import RandomSource
from raftly.base.types import INDEX_MAX, Index, SnapshotMeta, Term
from raftly.errors import ConfigError, Corruption, DecodeError, SnapshotOutOfDate
from raftly.storage.snapshot_file import (
    CHUNK_BYTES_MAX,
    FRAME_BYTES,
    HEADER_BYTES_MAX,
    Frames,
    SnapshotHeader,
    decode_header,
    encode_chunk,
    encode_end,
    header_bytes,
)
from raftly.storage.vfs import File, FileSystem

SNAPSHOT_DIR: Final = "snapshots"
_NAME: Final = re.compile(r"([0-9]{20})-([0-9]{20})\.(snap|tmp|part)", re.ASCII)
_SYNC_BYTES: Final = 8 << 20  # synced every so often, so that the disk is never far behind


@final
@dataclass(frozen=True, slots=True, order=True)
class SnapshotName:
    """A snapshot in a directory."""

    index: Index
    term: Term


@final
class SnapshotStore:
    """The snapshots of one group. `open_dir` or `make_dir` first. `random` draws the ids of files."""

    def __init__(
        self,
        fs: FileSystem,
        cluster_id: int,
        group: int,
        random: RandomSource,
        chunk_bytes: int = CHUNK_BYTES_MAX,
    ) -> None:
        if not 1 <= chunk_bytes <= CHUNK_BYTES_MAX:
            raise ConfigError("chunk_bytes", f"must lie in [1, {CHUNK_BYTES_MAX}]")
        self._fs = fs
        self._cluster_id = cluster_id
        self._group = group
        self._random = random
        self._chunk_bytes = chunk_bytes
        self._directory = f"{SNAPSHOT_DIR}/{group}"

    def open_dir(self) -> None:
        """Make the directory if need be, and remove what a crash left unfinished.

        Raises:
            StorageError: the disk could not.
        """
        self._fs.make_dir(self._directory)
        for name in self._names("tmp"):
            self._fs.remove(self._path(name, "tmp"))
        for directory in (self._directory, SNAPSHOT_DIR, ""):
            self._fs.sync_dir_now(directory)

    async def make_dir(self) -> None:
        """Make the directory if need be, without stopping the loop, or whoever is making a snapshot here.

        Raises:
            StorageError: the disk could not.
        """
        self._fs.make_dir(self._directory)
        for directory in (SNAPSHOT_DIR, ""):
            await self._fs.sync_dir(directory)

    def clear(self, *, parts: bool) -> None:
        """Remove all snapshots, since nobody needs one; with `parts` also what was being received."""
        for kind in ("snap", "tmp", "part") if parts else ("snap", "tmp"):
            for name in self._names(kind):
                self._fs.remove(self._path(name, kind))

    # --- what is there ---

    def names(self) -> list[SnapshotName]:
        """The complete snapshots, oldest first."""
        return self._names("snap")

    def latest(self) -> SnapshotMeta | None:
        """The newest complete snapshot.

        Raises:
            Corruption: its header is damaged.
        """
        names = self.names()
        if not names:
            return None
        reader = self.open(names[-1].index)
        reader.close()
        return reader.header.meta

    def open(self, index: Index) -> SnapshotReader:
        """Read the snapshot at `index`.

        Raises:
            SnapshotOutOfDate: there is none at that index.
            Corruption: its header is damaged, or it is another group's.
        """
        for name in reversed(self.names()):
            if name.index == index:
                path = self._path(name, "snap")
                reader = SnapshotReader(path, self._fs.open(path))
                if not self._is_ours(reader.header) or reader.header.meta.index != index:
                    reader.close()
                    raise Corruption(path, 16, "it is a snapshot of another group, cluster or index")
                return reader
        raise SnapshotOutOfDate

    def collect(self, keep: int, needed: Index = INDEX_MAX) -> None:
        """Remove all but the newest `keep` snapshots, and what was being received and is older than the newest.

        Those at `needed` and behind it stay. A reader that is open reads on: the file goes when it is closed.
        """
        assert keep >= 1
        names = self.names()
        for name in names[:-keep]:
            if name.index < needed:
                self._fs.remove(self._path(name, "snap"))
        for name in self._names("part"):
            if names and name <= names[-1]:
                self._fs.remove(self._path(name, "part"))

    def remove(self, index: Index) -> None:
        """Remove the snapshot at `index`, if there is one."""
        for name in self.names():
            if name.index == index:
                self._fs.remove(self._path(name, "snap"))

    # --- making and receiving ---

    def create(self, meta: SnapshotMeta) -> SnapshotWriter:
        """Begin a snapshot; it is not there until it is committed.

        Raises:
            DiskFull: no space.
            StorageError: the disk could not.
        """
        header = SnapshotHeader(self._cluster_id, self._group, meta, self._random.below(1 << 64))
        name = SnapshotName(meta.index, meta.term)
        unfinished = self._path(name, "tmp")
        self._fs.remove(unfinished)
        return SnapshotWriter(self._fs, unfinished, self._path(name, "snap"), header, self._chunk_bytes)

    async def receive(self, header: bytes) -> SnapshotReceiver:
        """Take a snapshot from a peer; `header` is the first part of its file. Goes on with what is there of that file.

        What is there is read through first, a chunk for each turn of the loop.

        Raises:
            DecodeError: the header is damaged, or of another group or cluster.
            SnapshotOutOfDate: a complete snapshot here is as new.
            StorageError: the disk could not.
        """
        decoded = decode_header(header)
        if not self._is_ours(decoded):
            problem = f"it is of group {decoded.group} of cluster {decoded.cluster_id:#x}"
            raise DecodeError("snapshot", 16, problem)
        name = SnapshotName(decoded.meta.index, decoded.meta.term)
        complete = self.names()
        if complete and name <= complete[-1]:
            raise SnapshotOutOfDate
        for other in self._names("part"):
            if other != name:
                self._fs.remove(self._path(other, "part"))
        part = self._path(name, "part")
        receiver = SnapshotReceiver(self._fs, part, self._path(name, "snap"), header, decoded.meta)
        await receiver.begin(header)
        return receiver

    def _is_ours(self, header: SnapshotHeader) -> bool:
        return (header.cluster_id, header.group) == (self._cluster_id, self._group)

    def _names(self, kind: str) -> list[SnapshotName]:
        found = [_NAME.fullmatch(name) for name in self._fs.list(self._directory)]
        return sorted(SnapshotName(int(match[1]), int(match[2])) for match in found if match and match[3] == kind)

    def path_of(self, meta: SnapshotMeta) -> str:
        """Where the snapshot is, or would be."""
        return self._path(SnapshotName(meta.index, meta.term), "snap")

    def _path(self, name: SnapshotName, kind: str) -> str:
        return f"{self._directory}/{name.index:020d}-{name.term:020d}.{kind}"


async def _publish(fs: FileSystem, file: File, unfinished: str, path: str) -> None:
    """Give a complete file its name, so that it has it only if all of it is there."""
    try:
        await file.sync()
    finally:
        file.close()
    is_new = not fs.exists(path)
    fs.rename(unfinished, path)
    try:
        await fs.sync_dir(path.rpartition("/")[0])
    except BaseException:
        if is_new:
            fs.remove(path)  # or the log might be cut behind a name that the disk does not have
        raise


@final
class SnapshotWriter:
    """A snapshot being made. Memory: one chunk."""

    def __init__(self, fs: FileSystem, unfinished: str, path: str, header: SnapshotHeader, chunk_bytes: int) -> None:
        self._fs = fs
        self._chunk_bytes = chunk_bytes
        self._unfinished = unfinished
        self._path = path
        self._gathered = bytearray()
        self._chunks = 0
        self._total = 0
        self._file = fs.open(unfinished, create=True)
        self._offset = 0
        self._synced = 0
        try:
            self._put(header.encode())
        except BaseException:
            self.abort()
            raise

    async def write(self, data: bytes) -> None:
        """The next bytes of the state, as many as you like.

        Raises:
            DiskFull: no space; abort.
            StorageError: the disk could not; abort.
        """
        view = memoryview(data)
        while view:
            room = self._chunk_bytes - len(self._gathered)
            self._gathered += view[:room]
            view = view[room:]
            if len(self._gathered) == self._chunk_bytes:
                self._put_chunk()
                if self._offset - self._synced >= _SYNC_BYTES:
                    self._synced = self._offset
                    await self._file.sync()

    async def commit(self) -> None:
        """Make the snapshot durable, then visible.

        Raises:
            StorageError: the disk could not; whether it is there is unknown. Abort.
        """
        if self._gathered:
            self._put_chunk()
        self._put(encode_end(self._chunks, self._total))
        await _publish(self._fs, self._file, self._unfinished, self._path)

    def abort(self) -> None:
        """Forget it."""
        self._file.close()
        self._fs.remove(self._unfinished)

    def _put_chunk(self) -> None:
        self._put(encode_chunk(self._chunks, bytes(self._gathered)))
        self._chunks += 1
        self._total += len(self._gathered)
        self._gathered.clear()

    def _put(self, data: bytes) -> None:
        self._file.write(self._offset, data)
        self._offset += len(data)


@final
class SnapshotReader:
    """A complete snapshot, to restore from or to send. Memory: one chunk."""

    def __init__(self, path: str, file: File) -> None:
        self._path = path
        self._file = file
        try:
            self.size = file.size()
            self._head = file.read(0, header_bytes(file.read(0, 16)))
            self.header = decode_header(self._head)
        except DecodeError as error:
            file.close()
            raise Corruption(path, error.offset, error.problem) from error
        except BaseException:
            file.close()
            raise

    @property
    def header_bytes(self) -> bytes:
        """The header as it stands in the file: what `SnapshotStore.receive` wants first."""
        return self._head

    def chunks(self) -> Iterator[bytes]:
        """The state, chunk by chunk, each checked. The snapshot is complete only when this ends without an error.

        Raises:
            Corruption: a chunk is damaged, missing, or too many.
            StorageError: the disk could not read.
        """
        frames = Frames(len(self._head))
        while not frames.finished:
            data = self._take(frames)
            if data:
                yield data
        if frames.offset != self.size:
            raise Corruption(self._path, frames.offset, f"{self.size - frames.offset} bytes follow the end")

    def _take(self, frames: Frames) -> bytes:
        try:
            size = frames.size(self._file.read(frames.offset, FRAME_BYTES))
            return frames.take(self._file.read(frames.offset, size))
        except DecodeError as error:
            raise Corruption(self._path, error.offset, error.problem) from error

    def read(self, offset: int, size: int) -> bytes:
        """Bytes of the file, to send; the receiver checks them."""
        return self._file.read(offset, min(size, CHUNK_BYTES_MAX))

    def close(self) -> None:
        """Give the file back."""
        self._file.close()


@final
class SnapshotReceiver:
    """A snapshot arriving, as the bytes of its file. Only whole, checked chunks are kept. Memory: one chunk."""

    def __init__(self, fs: FileSystem, part: str, path: str, header: bytes, meta: SnapshotMeta) -> None:
        assert len(header) <= HEADER_BYTES_MAX
        self._fs = fs
        self._part = part
        self._path = path
        self._waiting = bytearray()
        self._frames = Frames(len(header))
        self.meta = meta
        self._file = fs.open(part, create=not fs.exists(part))
        self._synced = 0

    async def begin(self, header: bytes) -> None:
        """Find out what an earlier connection left. Part of `SnapshotStore.receive`.

        Raises:
            StorageError: the disk could not; this is closed then, and the file gone if nothing in it is of use.
        """
        try:
            if self._file.read(0, len(header)) == header:
                await self._find_end()
                self._file.truncate(self._frames.offset)
            else:
                self._begin_file(header)
        except BaseException:
            self.close()
            raise

    def _begin_file(self, header: bytes) -> None:
        try:
            if self._file.size():  # another file: a crash must not leave its chunks behind this header
                self.abort()
                self._file = self._fs.open(self._part, create=True)
            self._file.write(0, header)
        except BaseException:
            self.abort()
            raise

    @property
    def offset(self) -> int:
        """The byte of the file that is wanted next."""
        return self._frames.offset + len(self._waiting)

    @property
    def is_complete(self) -> bool:
        """Is all of it here, to be committed?"""
        return self._frames.finished

    async def write(self, offset: int, data: bytes) -> None:
        """The next bytes of the file, in order.

        Raises:
            DecodeError: not the bytes wanted next, or damaged; what was taken before stays good.
            StorageError: the disk could not; after a SyncFailed nothing is left of it.
        """
        if offset != self.offset or self.is_complete:
            raise DecodeError("snapshot", offset, f"bytes from {offset} on came, {self.offset} is next")
        self._waiting += data
        try:
            self._take_frames()
        except DecodeError:
            self._waiting.clear()
            raise
        if self._frames.offset - self._synced >= _SYNC_BYTES:
            self._synced = self._frames.offset
            try:
                await self._file.sync()
            except BaseException:
                self.abort()  # what this sync was for is read back well, and no later one writes it
                raise

    async def commit(self) -> None:
        """Make it durable, then visible.

        Raises:
            StorageError: the disk could not; nothing is left of it.
        """
        assert self.is_complete, "some of it is missing"
        try:
            await _publish(self._fs, self._file, self._part, self._path)
        except BaseException:
            self.abort()  # as above
            raise

    def close(self) -> None:
        """Stop for now; what is here waits for the next connection."""
        self._file.close()

    def abort(self) -> None:
        """Forget it."""
        self._file.close()
        self._fs.remove(self._part)

    def _take_frames(self) -> None:
        while len(self._waiting) >= FRAME_BYTES and not self._frames.finished:
            size = self._frames.size(bytes(self._waiting[:FRAME_BYTES]))
            if len(self._waiting) < size:
                return
            frame = bytes(self._waiting[:size])
            at = self._frames.offset
            self._frames.take(frame)
            self._file.write(at, frame)
            del self._waiting[:size]
        if self._frames.finished and self._waiting:
            raise DecodeError("snapshot", self._frames.offset, "bytes follow the end")

    async def _find_end(self) -> None:
        """Where the whole chunks of an earlier connection end."""
        try:
            while not self._frames.finished:
                await asyncio.sleep(0)
                size = self._frames.size(self._file.read(self._frames.offset, FRAME_BYTES))
                self._frames.take(self._file.read(self._frames.offset, size))
        except DecodeError:
            return  # the rest will be sent again


@final
class RateLimit:
    """How long to wait before sending so that no more than `bytes_per_second` go out, after a burst. Pure: you wait.

    Raises:
        ConfigError: a bound is not positive.
    """

    __slots__ = ("_burst", "_full_at", "_rate")

    def __init__(self, bytes_per_second: float, burst_bytes: int) -> None:
        if not bytes_per_second > 0:
            raise ConfigError("bytes_per_second", "must be positive")
        if burst_bytes <= 0:
            raise ConfigError("burst_bytes", "must be positive")
        self._rate = bytes_per_second
        self._burst = burst_bytes / bytes_per_second  # seconds
        self._full_at = float("-inf")  # when the burst is available whole again

    def delay(self, size: int, now: float) -> float:
        """Seconds to wait from `now` before `size` more bytes may go; they count as sent."""
        self._full_at = max(self._full_at, now) + size / self._rate
        return max(self._full_at - now - self._burst, 0.0)
