"""Wal: one append-only log of batches, in segments, for everything that a process must not forget.

    wal/00000001.seg   wal/00000002.seg   ...   each written ahead with zeros (storage.segment has the bytes)

A batch is appended and synced before the next one is appended, so at most one batch, the last, can be torn. Segments go
away from the front only: what is still needed there is appended again first. Their numbers and the sequence of their
batches run on without a gap, so a lost segment is noticed.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, final

from raftly.errors import Corruption, StorageError
from raftly.storage.segment import HEADER_BYTES, Batch, SegmentHeader, decode_header, encode_batch, scan
from raftly.storage.vfs import File, FileSystem

SEGMENT_BYTES: Final = 64 << 20
AHEAD_BYTES: Final = 1 << 20
_ZEROS: Final = bytes(AHEAD_BYTES)
_SUFFIX: Final = ".seg"


@final
@dataclass(slots=True)
class Segment:
    """One file of the log."""

    number: int
    file: File
    first_sequence: int
    end: int  # where the next batch belongs; written ahead with zeros beyond
    filled: int  # up to here the file exists


@final
class Wal:
    """The log in one directory. `open` recovers it; then append, sync, append, sync.

    Any error while appending or syncing breaks the log for good (`broken`): what reached the disk is unknown, so stop
    and recover from it. Only DiskFull leaves it usable: nothing of that batch counts.
    """

    def __init__(
        self, fs: FileSystem, path: str, cluster_id: int, node_id: int, segment_bytes: int = SEGMENT_BYTES
    ) -> None:
        self._fs = fs
        self._path = path
        self._cluster_id = cluster_id
        self._node_id = node_id
        self._segment_bytes = segment_bytes
        self._sequence = 1  # of the next batch
        self.segments: dict[int, Segment] = {}
        self.broken: StorageError | None = None

    # --- opening ---

    def open(self, replay: Callable[[int, Batch], None]) -> None:
        """Recover: hand every durable batch to `replay` with its segment's number, in order, and cut a torn end.

        Raises:
            Corruption: damage to what had been synced, a segment missing, or another node's log.
            StorageError: the disk could not be read or written.
        """
        self._fs.make_dir(self._path)
        numbers = self._numbers()
        for position, number in enumerate(numbers):
            self._open_segment(number, numbers, position, replay)
        if not self.segments:
            self._create_now(1)
        self._fs.sync_dir_now(self._path)

    def _numbers(self) -> list[int]:
        names = [name for name in self._fs.list(self._path) if name.endswith(_SUFFIX)]
        for name in names:
            if not name[: -len(_SUFFIX)].isdigit():
                raise Corruption(f"{self._path}/{name}", 0, "this is no name of a segment")
        return sorted(int(name[: -len(_SUFFIX)]) for name in names)

    def _open_segment(
        self, number: int, numbers: list[int], position: int, replay: Callable[[int, Batch], None]
    ) -> None:
        path = self._name(number)
        last = position == len(numbers) - 1
        file = self._fs.open(path)
        data = file.read(0, file.size())
        if last and not data.strip(b"\0"):
            # Created, but its header never reached the disk: nothing can have been appended.
            file.close()
            self._fs.remove(path)
            return
        header = decode_header(path, data)
        if (header.cluster_id, header.node_id) != (self._cluster_id, self._node_id):
            raise Corruption(
                path,
                16,
                f"it belongs to node {header.node_id} of cluster {header.cluster_id:#x}, this is node {self._node_id} "
                f"of cluster {self._cluster_id:#x}; a copied directory must not be started",
            )
        if header.number != number or (position and numbers[position - 1] != number - 1):
            raise Corruption(path, 32, f"segment {number} does not follow the one before it")
        if position and header.first_sequence != self._sequence:
            raise Corruption(path, 40, f"it begins with batch {header.first_sequence}, batch {self._sequence} is next")
        batches, end = scan(path, data, header.first_sequence, last=last)
        for batch in batches:
            replay(number, batch)
        self._sequence = header.first_sequence + len(batches)
        if data[end:].strip(b"\0"):
            file.write(end, bytes(len(data) - end))  # the torn batch: what follows the log must be zero again
            file.sync_now()
        self.segments[number] = Segment(number, file, header.first_sequence, end, len(data))

    def _create_now(self, number: int) -> None:
        segment = self._new_segment(number)
        segment.file.sync_now()
        self.segments[number] = segment

    def _new_segment(self, number: int) -> Segment:
        path = self._name(number)
        file = self._fs.open(path, create=True)
        try:
            header = SegmentHeader(self._cluster_id, self._node_id, number, self._sequence).encode()
            file.write(0, header + _ZEROS[: -HEADER_BYTES % AHEAD_BYTES])
        except StorageError:
            file.close()
            self._fs.remove(path)
            raise
        return Segment(number, file, self._sequence, HEADER_BYTES, AHEAD_BYTES)

    def _name(self, number: int) -> str:
        return f"{self._path}/{number:08d}{_SUFFIX}"

    # --- appending ---

    async def append(self, payload: bytes) -> tuple[int, int]:
        """Write a batch and make it durable; (segment, offset of the payload in it).

        Call it again only when it has returned.

        Raises:
            DiskFull: nothing of it counts; try again when there is space.
            StorageError: the log is broken, now or since before.
        """
        if self.broken is not None:
            raise StorageError("the log is broken by an earlier error; recover from disk") from self.broken
        segment = await self._room_for(len(payload))
        data = encode_batch(self._sequence, payload, segment.end)
        self._fill_ahead(segment, segment.end + len(data))
        try:
            segment.file.write(segment.end, data)
            await segment.file.sync()
        except StorageError as error:
            self.broken = error
            raise
        place = (segment.number, segment.end + len(data) - len(payload))
        segment.end += len(data)
        self._sequence += 1
        return place

    async def _room_for(self, payload_bytes: int) -> Segment:
        """The segment that takes the next batch; a new one when the last is full."""
        last = self.segments[max(self.segments)]
        if last.end == HEADER_BYTES or last.end + payload_bytes <= self._segment_bytes:
            return last
        segment = self._new_segment(last.number + 1)
        try:
            await segment.file.sync()
            await self._fs.sync_dir(self._path)
        except StorageError as error:
            self.broken = error
            raise
        self.segments[segment.number] = segment
        return segment

    def _fill_ahead(self, segment: Segment, end: int) -> None:
        """Zeros well beyond `end`, so that syncs need not update the file's length each time.

        A full disk shows here, before anything of the batch was written.
        """
        while segment.filled < end + AHEAD_BYTES // 4:
            segment.file.write(segment.filled, _ZEROS)
            segment.filled += AHEAD_BYTES

    # --- reading and reclaiming ---

    def read(self, number: int, offset: int, size: int) -> bytes:
        """Bytes of a segment.

        Raises:
            StorageError: the disk could not read.
        """
        return self.segments[number].file.read(offset, size)

    def remove_first(self) -> None:
        """Delete the oldest segment, whose content is no longer needed."""
        number = min(self.segments)
        segment = self.segments.pop(number)
        segment.file.close()
        self._fs.remove(self._name(number))

    def close(self) -> None:
        """Close all files."""
        for segment in self.segments.values():
            segment.file.close()
        self.segments.clear()
