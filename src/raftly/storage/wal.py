"""Wal: one append-only log of batches, in segments, for everything that a process must not forget.

    wal/00000001.seg   wal/00000002.seg   ...   each written ahead with zeros (storage.segment has the bytes)

A batch is appended and synced before the next one is appended, so at most one batch, the last, can be torn. A segment
is made under another name (.tmp), synced and renamed, so one that has its name has its header. Segments go away from
the front only: what is still needed there is appended again first. Their numbers and the sequence of their batches run
on without a gap, so a lost segment is noticed.

`append` writes into the page cache and does not wait for it; a kernel that throttles writers, because too much is
waiting for the disk, stops the loop for that long. Syncing every batch keeps that backlog at one batch.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from itertools import pairwise
from typing import Final, final

from raftly.errors import ConfigError, Corruption, DiskFull, LimitExceeded, StorageError
from raftly.storage.segment import (
    BATCH_HEADER_BYTES,
    HEADER_BYTES,
    PAYLOAD_BYTES_MAX,
    RESERVE_BYTES,
    Batch,
    SegmentHeader,
    batch_bytes,
    decode_header,
    encode_batch,
    scan,
    zeros_from,
)
from raftly.storage.vfs import File, FileSystem

SEGMENT_BYTES: Final = 64 << 20
_SEGMENT_BYTES_MIN: Final = 4096
_SEGMENT_BYTES_MAX: Final = 1 << 30
_AHEAD_BYTES: Final = 1 << 20
_FILE_BYTES_MAX: Final = _SEGMENT_BYTES_MAX + PAYLOAD_BYTES_MAX + 4 * _AHEAD_BYTES
_SUFFIX: Final = ".seg"
_UNFINISHED: Final = ".tmp"

Take = Callable[[int, Batch], None]  # (number of the segment, batch)


@final
@dataclass(frozen=True, slots=True)
class SegmentFound:
    """What reading a segment found."""

    header: SegmentHeader
    batches: int
    end: int  # where the next batch belongs
    torn_end: int  # up to here the remains of a torn batch reach; `end` when there are none
    size: int


def segment_path(directory: str, number: int) -> str:
    """The file of a segment."""
    return f"{directory}/{number:08d}{_SUFFIX}"


def segment_numbers(fs: FileSystem, directory: str) -> list[int]:
    """The segments of a log, ascending.

    Raises:
        Corruption: one is missing, or a name is none of ours.
    """
    numbers: list[int] = []
    for name in fs.list(directory):
        digits = name.removesuffix(_SUFFIX)
        if digits == name:
            continue
        if not (digits.isascii() and digits.isdigit()) or segment_path(directory, int(digits)) != f"{directory}/{name}":
            raise Corruption(f"{directory}/{name}", 0, "this is no name of a segment")
        numbers.append(int(digits))
    numbers.sort()
    for before, number in pairwise(numbers):
        if number != before + 1:
            raise Corruption(segment_path(directory, before + 1), 0, "this segment is missing")
    return numbers


def read_segment(
    fs: FileSystem, directory: str, number: int, sequence: int | None, take: Take, *, last: bool
) -> SegmentFound:
    """Read a segment and hand its batches to `take`; changes nothing. `sequence` is that of its first batch, if known.

    Raises:
        Corruption: damage to what had been synced.
        StorageError: the disk could not read.
    """
    path = segment_path(directory, number)
    file = fs.open(path)
    try:
        size = file.size()
        if size > _FILE_BYTES_MAX:
            raise Corruption(path, size, "no segment is as large")
        data = file.read(0, size)
    finally:
        file.close()
    header = decode_header(path, data)
    if header.number != number:
        raise Corruption(path, 32, f"this is segment {header.number} under another name")
    if sequence is not None and header.first_sequence != sequence:
        raise Corruption(path, 40, f"it begins with batch {header.first_sequence}, but batch {sequence} is next")
    count = 0

    def counted(batch: Batch) -> None:
        nonlocal count
        count += 1
        take(number, batch)

    end = scan(path, data, header.first_sequence, counted, last=last)
    return SegmentFound(header, count, end, zeros_from(data, end), len(data))


@final
@dataclass(slots=True)
class Segment:
    """One file of the log, open. end < durable <= filled."""

    number: int
    file: File
    end: int  # where the next batch belongs
    filled: int  # zeros were written up to here
    durable: int  # the file is as long as this, whatever happens


@final
class Wal:
    """The log in one directory. `open` recovers it; then append, one at a time.

    Any error while appending or syncing breaks the log for good (`broken`): what reached the disk is unknown, so stop
    and recover from it. Only a disk that is full before anything of a batch was written leaves it usable.
    """

    def __init__(
        self, fs: FileSystem, directory: str, cluster_id: int, node_id: int, segment_bytes: int = SEGMENT_BYTES
    ) -> None:
        if not _SEGMENT_BYTES_MIN <= segment_bytes <= _SEGMENT_BYTES_MAX:
            raise ConfigError("segment_bytes", f"must lie in [{_SEGMENT_BYTES_MIN}, {_SEGMENT_BYTES_MAX}]")
        self._fs = fs
        self._directory = directory
        self._cluster_id = cluster_id
        self._node_id = node_id
        self._segment_bytes = segment_bytes
        self._zeros = bytes(min(_AHEAD_BYTES, segment_bytes))
        self._sequence = 1  # of the next batch
        self._appending = False
        self._names_changed = False  # a segment was removed since the directory was synced
        self.segments: dict[int, Segment] = {}
        self.broken: StorageError | None = None

    # --- opening ---

    def open(self, take: Take) -> None:
        """Recover: hand every durable batch to `take` with its segment's number, in order, and cut a torn end.

        Raises:
            Corruption: damage to what had been synced, or a segment missing.
            StorageError: another node's log, or the disk could not be read or written.
        """
        self._fs.make_dir(self._directory)
        numbers = segment_numbers(self._fs, self._directory)
        sequence: int | None = None
        newest: Batch | None = None

        def kept(number: int, batch: Batch) -> None:
            nonlocal newest
            newest = batch
            take(number, batch)

        for number in numbers:
            found = read_segment(self._fs, self._directory, number, sequence, kept, last=number == numbers[-1])
            self._check_identity(number, found.header)
            sequence = found.header.first_sequence + found.batches
            file = self._fs.open(segment_path(self._directory, number))
            self.segments[number] = Segment(number, file, found.end, found.size, found.size)
            if number == numbers[-1]:
                # What is read may be in the page cache alone: of a process that was killed, or behind a sync that
                # failed, whose pages count as clean, so that no later sync writes them. It is written once more.
                again = b""
                if newest is not None and found.batches:
                    again = encode_batch(newest.sequence, newest.payload, newest.offset)
                file.write(found.end - len(again), again + bytes(found.size - found.end))
                file.sync_now()
        self._sequence = sequence or 1
        for name in self._fs.list(self._directory):
            if name.endswith(_UNFINISHED):
                self._fs.remove(f"{self._directory}/{name}")
        if not self.segments:
            segment = self._new_segment(1)
            segment.file.sync_now()
            self._publish(segment)
        self._fs.sync_dir_now(self._directory)
        self._fs.sync_dir_now(self._directory.rpartition("/")[0])

    def _check_identity(self, number: int, header: SegmentHeader) -> None:
        if (header.cluster_id, header.node_id) != (self._cluster_id, self._node_id):
            raise StorageError(
                f"{self.path(number)} belongs to node {header.node_id} of cluster {header.cluster_id:#x}, and this is "
                f"node {self._node_id} of cluster {self._cluster_id:#x}: give this node its own directory; one that "
                "was copied must not be started"
            )

    def path(self, number: int) -> str:
        """The file of a segment."""
        return segment_path(self._directory, number)

    # --- appending ---

    async def append(self, payload: bytes) -> tuple[int, int]:
        """Write a batch and make it durable; (segment, offset of the payload in it).

        Call it again only when it has returned.

        Raises:
            DiskFull: nothing of it counts, and unless the log is `broken` it can be tried again when there is space.
            LimitExceeded: it is larger than PAYLOAD_BYTES_MAX.
            StorageError: the log is broken, now or since before.
        """
        if self.broken is not None:
            raise StorageError("the log is broken by an earlier error; recover from disk") from self.broken
        if len(payload) > PAYLOAD_BYTES_MAX:
            raise LimitExceeded("batch_bytes", len(payload), PAYLOAD_BYTES_MAX)
        assert payload, "an empty batch cannot be told from zeros"
        assert not self._appending, "one append at a time"
        self._appending = True
        try:
            segment = await self._room_for(batch_bytes(len(payload)))
            offset = segment.end
            data = encode_batch(self._sequence, payload, offset)
            self._write(segment, data)
            filled = segment.filled
            await segment.file.sync()
            segment.durable = filled
        except DiskFull:
            raise
        except StorageError as error:
            self.broken = error
            raise
        except BaseException:
            # The task was cancelled: the batch may become durable or not, so nothing else may be written in its place.
            self.broken = StorageError("an append was interrupted")
            raise
        finally:
            self._appending = False
        segment.end += len(data)
        self._sequence += 1
        return segment.number, offset + BATCH_HEADER_BYTES

    def _write(self, segment: Segment, data: bytes) -> None:
        try:
            segment.file.write(segment.end, data)
        except DiskFull as error:  # a file system that copies on write; a part of the batch may be there
            self.broken = error
            raise
        if segment.filled < segment.end + len(data) + len(self._zeros) // 4 + RESERVE_BYTES:
            # For the next batches, so that they find a file that is long enough, and written ahead.
            with suppress(DiskFull):
                self._fill(segment)

    async def _room_for(self, size: int) -> Segment:
        """The segment that takes the next batch, durably long enough; a new one when the last is full.

        A full disk shows here, before anything of the batch was written. What was written ahead is then used up first:
        it takes the few bytes of a compaction, by which space comes back.
        """
        segment = self.segments[max(self.segments)]
        if segment.end > HEADER_BYTES and segment.end + size > self._segment_bytes:
            try:
                fresh = self._new_segment(segment.number + 1)
            except DiskFull:
                if segment.durable < segment.end + size + RESERVE_BYTES:
                    raise
            else:
                await self._start_segment(fresh)
                segment = fresh
        if segment.durable < segment.end + size + RESERVE_BYTES:
            while segment.filled < segment.end + size + RESERVE_BYTES:
                self._fill(segment)
            filled = segment.filled
            await segment.file.sync()
            segment.durable = filled
        return segment

    async def _start_segment(self, segment: Segment) -> None:
        await segment.file.sync()
        self._publish(segment)
        await self._fs.sync_dir(self._directory)
        self._names_changed = False

    def _fill(self, segment: Segment) -> None:
        segment.file.write(segment.filled, self._zeros)
        segment.filled += len(self._zeros)

    def _new_segment(self, number: int) -> Segment:
        """A segment under its unfinished name, not synced yet."""
        path = self.path(number).removesuffix(_SUFFIX) + _UNFINISHED
        self._fs.remove(path)  # of an earlier attempt on a full disk
        file = self._fs.open(path, create=True)
        size = len(self._zeros)
        try:
            file.write(HEADER_BYTES, self._zeros[HEADER_BYTES:])
            file.write(0, SegmentHeader(self._cluster_id, self._node_id, number, self._sequence).encode())
        except StorageError:
            file.close()
            self._fs.remove(path)
            raise
        return Segment(number, file, HEADER_BYTES, size, size)

    def _publish(self, segment: Segment) -> None:
        path = self.path(segment.number)
        self._fs.rename(path.removesuffix(_SUFFIX) + _UNFINISHED, path)
        self.segments[segment.number] = segment

    # --- reading and reclaiming ---

    def read(self, number: int, offset: int, size: int) -> bytes:
        """Bytes of a segment.

        Raises:
            StorageError: the disk could not read.
        """
        return self.segments[number].file.read(offset, size)

    async def remove_first(self) -> None:
        """Delete the oldest segment, whose content is no longer needed.

        Removals become durable one after the other, so that no crash leaves a gap.

        Raises:
            StorageError: the log is broken.
        """
        assert len(self.segments) > 1, "the last segment stays"
        try:
            if self._names_changed:
                await self._fs.sync_dir(self._directory)
            segment = self.segments.pop(min(self.segments))
            segment.file.close()
            self._fs.remove(self.path(segment.number))
            self._names_changed = True
        except StorageError as error:
            self.broken = error
            raise
        except BaseException:
            self.broken = StorageError("removing a segment was interrupted")
            raise

    def size_bytes(self) -> int:
        """What the log takes on disk."""
        return sum(segment.filled for segment in self.segments.values())

    def close(self) -> None:
        """Close all files."""
        for segment in self.segments.values():
            segment.file.close()
        self.segments.clear()
