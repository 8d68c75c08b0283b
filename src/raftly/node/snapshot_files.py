"""Snapshot files a slice at a time: read for a state, read to be sent, with turns of the loop between."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from typing import Final, TypeVar, final

from raftly.base.types import Index
from raftly.node.errors import SnapshotFailed
from raftly.node.state import State, StateCodec
from raftly.storage.snapshot import RateLimit, SnapshotReader, SnapshotStore

T = TypeVar("T")

SLICE_BYTES: Final = 256 << 10
_SLICE_S: Final = 0.002


async def read_state(files: SnapshotStore, index: Index, codec: StateCodec[T]) -> State[T]:
    """The state in the file at `index`, checked to its end.

    Raises:
        SnapshotOutOfDate: there is no such file.
        Corruption: it is damaged.
        RaftlyError: the class cannot read it.
    """
    reader = files.open(index)
    try:
        return await codec.read(slices(reader))
    finally:
        reader.close()


@final
class FileSource:
    """See `SnapshotSource`: a snapshot file as it stands."""

    __slots__ = ("_limit", "_reader", "id", "size")

    def __init__(self, reader: SnapshotReader, limit: RateLimit | None) -> None:
        header = reader.header
        self.id = b"%016x%016x%016x" % (header.meta.index, header.meta.term, header.file_id)
        self.size = reader.size
        self._reader = reader
        self._limit = limit

    async def chunks(self, offset: int, chunk_bytes: int) -> AsyncGenerator[bytes, None]:
        """See `SnapshotSource.chunks`; no faster than the limit."""
        loop = asyncio.get_running_loop()
        while offset < self.size:
            chunk = self._reader.read(offset, min(chunk_bytes, SLICE_BYTES))
            if not chunk:
                raise SnapshotFailed("the file became shorter while it was sent")
            if self._limit is not None:
                delay = self._limit.delay(len(chunk), loop.time())
                if delay > 0:
                    await asyncio.sleep(delay)
            yield chunk
            offset += len(chunk)


@final
class Pace:
    """Lets the loop turn when a slice of work is done."""

    __slots__ = ("_bytes", "_loop", "_since")

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._bytes = 0
        self._since = self._loop.time()

    async def after(self, size: int) -> None:
        """So many more bytes were dealt with."""
        self._bytes += size
        if self._bytes >= SLICE_BYTES or self._loop.time() - self._since >= _SLICE_S:
            await asyncio.sleep(0)
            self._bytes = 0
            self._since = self._loop.time()


async def slices(reader: SnapshotReader) -> AsyncIterator[bytes]:
    """The chunks of a file, with turns of the loop between them."""
    pace = Pace()
    for chunk in reader.chunks():
        yield chunk
        await pace.after(len(chunk))
