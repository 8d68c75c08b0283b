"""A region's data as a stream of bytes: what the chunks of its snapshot file hold (`storage.snapshot`).

    head     u16 version 1   region (base.region)
    block    u8 family: 1 default, 2 lock, 3 write   u32 size of what follows, at least 1
             records: u32 size of the key   u32 size of the value   key   value
    end      u8 0   u64 records   u64 bytes of their keys and values

Little-endian. Keys as in the engine, with their prefix; ascending in a family, the families in their order.

Taking one in is made of two steps that may be done again from the beginning after any crash: what the range held is
deleted, then everything is put, in slices. The caller says in the region's state, before, that it is being done
(APPLYING), and after, in the batch with the applied index, that it is over; an engine loses batches from the end only,
so whoever finds the latter finds the data too.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Iterator
from dataclasses import dataclass
from struct import Struct
from typing import Final, final

from raftly.base.limits import FRAME_BYTES_MAX
from raftly.base.region import Region, decode_region, encode_region
from raftly.engine import DATA_CFS, Engine, KeyValue, Reader, WriteBatch
from raftly.errors import DecodeError
from raftly.node.snapshot_files import Pace
from raftly.storage.snapshot import RateLimit
from raftly.store.keys import data_end_key, data_key

_VERSION: Final = 1
_WHAT: Final = "region snapshot"
_HEAD: Final = Struct("<HI")  # version, size of the region
_BLOCK: Final = Struct("<BI")
_BLOCK_SIZE: Final = Struct("<I")
_RECORD: Final = Struct("<II")
_END: Final = Struct("<QQ")
_BLOCK_BYTES: Final = 64 << 10  # a block ends when it has so many
_BLOCK_KEYS: Final = 512  # or so many keys: about a millisecond of work
_BUSY_S: Final = 0.05  # until an engine whose compactions are behind is looked at again


@final
@dataclass(frozen=True, slots=True)
class RegionSize:
    """How much a region holds, all data families together: bytes of keys (with prefix) and values, and how many."""

    bytes: int = 0
    keys: int = 0


@final
@dataclass(frozen=True, slots=True)
class _Block:
    cf: str
    items: list[KeyValue]
    size: int


# --- writing ---------------------------------------------------------------------------------------------------


async def write_region(
    reader: Reader,
    region: Region,
    write: Callable[[bytes], Awaitable[None]],
    limit: RateLimit | None = None,
) -> RegionSize:
    """Hand the data of a region to `write`, a block at a time, with turns of the loop between them.

    `reader` is a snapshot of the engine: it is read long after this began. `write` is that of a SnapshotWriter.

    Raises:
        StorageError: the engine could not read, or the disk could not write; the file is to be aborted.
    """
    pace = _Pace(limit)
    encoded = encode_region(region)
    await write(_HEAD.pack(_VERSION, len(encoded)) + encoded)
    keys = size = 0
    for block in _blocks_of(reader, region):
        parts: list[bytes] = []
        for key, value in block.items:
            parts += (_RECORD.pack(len(key), len(value)), key, value)
        records = b"".join(parts)
        await write(_BLOCK.pack(DATA_CFS.index(block.cf) + 1, len(records)) + records)
        keys += len(block.items)
        size += block.size
        await pace.after(len(records))
    await write(b"\0" + _END.pack(keys, size))
    return RegionSize(size, keys)


def _blocks_of(reader: Reader, region: Region) -> Iterator[_Block]:
    lo, hi = data_key(region.start_key), data_end_key(region.end_key)
    for cf in DATA_CFS:
        items: list[KeyValue] = []
        size = 0
        for item in reader.iterate(cf, lo, hi):
            items.append(item)
            size += len(item[0]) + len(item[1])
            if size >= _BLOCK_BYTES or len(items) >= _BLOCK_KEYS:
                yield _Block(cf, items, size)
                items, size = [], 0
        if items:
            yield _Block(cf, items, size)


# --- reading ---------------------------------------------------------------------------------------------------


def region_of(chunks: Iterable[bytes]) -> Region:
    """The region that a snapshot is of; only its head is read.

    Raises:
        DecodeError: it is no snapshot of a region, or of a version unknown to this release.
    """
    return _read_head(_Source(iter(chunks)))


async def check_region(chunks: Iterable[bytes]) -> tuple[Region, RegionSize]:
    """Read a snapshot to its end, with turns of the loop: one that was checked can be taken in whole.

    Raises:
        DecodeError: some of it is not what it claims to be, or is missing.
        Corruption: the file is damaged (`SnapshotReader.chunks`).
    """
    source = _Source(iter(chunks))
    region = _read_head(source)
    pace = _Pace(None)
    keys = size = 0
    for block in _read_blocks(source, region):
        keys += len(block.items)
        size += block.size
        await pace.after(block.size)
    return region, RegionSize(size, keys)


def clear_region(region: Region, batch: WriteBatch) -> None:
    """Add to `batch` that all data of the region goes."""
    for cf in DATA_CFS:
        batch.delete_range(cf, data_key(region.start_key), data_end_key(region.end_key))


async def ingest_region(
    engine: Engine, chunks: Iterable[bytes], limit: RateLimit | None = None
) -> tuple[Region, RegionSize]:
    """Replace what the engine has in the region's range by a snapshot, in slices. Not synced.

    Cancelled or broken off anywhere, it is done again from the beginning, with the same outcome. The range holds a part
    of the data meanwhile, so nobody may read or write there.

    Raises:
        DecodeError, Corruption: as `check_region`; a part of it is there.
        StorageError: the disk could not write.
    """
    source = _Source(iter(chunks))
    region = _read_head(source)
    batch = WriteBatch()
    clear_region(region, batch)
    engine.write(batch)
    pace = _Pace(limit)
    keys = size = 0
    for block in _read_blocks(source, region):
        batch = WriteBatch()
        for key, value in block.items:
            batch.put(block.cf, key, value)
        while engine.stats().is_busy:  # noqa: ASYNC110 - RocksDB tells nobody when it is done
            await asyncio.sleep(_BUSY_S)
        engine.write(batch)
        keys += len(block.items)
        size += block.size
        await pace.after(block.size)
    return region, RegionSize(size, keys)


def _read_head(source: _Source) -> Region:
    version, size = _HEAD.unpack(source.take(_HEAD.size))
    if version != _VERSION:
        raise DecodeError(_WHAT, 0, f"version {version} is unknown to this release")
    encoded = source.take(size)
    region, stop = decode_region(encoded)
    if stop != size:
        raise DecodeError(_WHAT, source.offset, f"{size - stop} bytes follow the region")
    return region


def _read_blocks(source: _Source, region: Region) -> Iterator[_Block]:
    """The blocks up to the end, each checked."""
    lo, hi = data_key(region.start_key), data_end_key(region.end_key)
    keys = size = family = 0
    last = b""
    while number := source.take(1)[0]:
        at = source.offset
        (block_bytes,) = _BLOCK_SIZE.unpack(source.take(_BLOCK_SIZE.size))
        if not family <= number <= len(DATA_CFS):
            raise DecodeError(_WHAT, at - 1, f"family {number} cannot follow family {family}")
        if number != family:
            family, last = number, b""
        items = _decode_records(source.take(block_bytes), at + _BLOCK_SIZE.size)
        for key, _ in items:
            if not (last < key and lo <= key < hi):
                raise DecodeError(_WHAT, at, "a key is out of order, or not of the region")
            last = key
        bytes_ = sum(len(key) + len(value) for key, value in items)
        keys += len(items)
        size += bytes_
        yield _Block(DATA_CFS[number - 1], items, bytes_)
    if _END.unpack(source.take(_END.size)) != (keys, size):
        raise DecodeError(_WHAT, source.offset, f"the end does not tell of {keys} keys with {size} bytes")
    if not source.is_at_end():
        raise DecodeError(_WHAT, source.offset, "bytes follow the end")


def _decode_records(buf: bytes, offset: int) -> list[KeyValue]:
    items: list[KeyValue] = []
    at = 0
    while at < len(buf):
        key_at = at + _RECORD.size
        if key_at > len(buf):
            raise DecodeError(_WHAT, offset + at, "a block ends inside a record")
        key_bytes, value_bytes = _RECORD.unpack_from(buf, at)
        value_at = key_at + key_bytes
        stop = value_at + value_bytes
        if stop > len(buf):
            raise DecodeError(_WHAT, offset + at, "a record does not fit its block")
        items.append((buf[key_at:value_at], buf[value_at:stop]))
        at = stop
    if not items:
        raise DecodeError(_WHAT, offset, "a block is empty")
    return items


@final
class _Source:
    """Bytes that come in chunks, taken in pieces of another size."""

    __slots__ = ("_at", "_chunks", "_data", "offset")

    def __init__(self, chunks: Iterator[bytes]) -> None:
        self._chunks = chunks
        self._data = b""
        self._at = 0
        self.offset = 0  # of the next byte

    def take(self, size: int) -> bytes:
        """The next `size` bytes.

        Raises:
            DecodeError: there are fewer, or no snapshot of ours has so many in a piece.
        """
        if size > FRAME_BYTES_MAX:
            raise DecodeError(_WHAT, self.offset, f"a piece of {size} bytes, the limit is {FRAME_BYTES_MAX}")
        if len(self._data) - self._at < size:
            self._gather(size)
        taken = self._data[self._at : self._at + size]
        self._at += size
        self.offset += size
        return taken

    def is_at_end(self) -> bool:
        """Does nothing follow? The chunks end by themselves only when all of their file was right."""
        return self._at == len(self._data) and not any(self._chunks)

    def _gather(self, size: int) -> None:
        parts = [self._data[self._at :]]
        have = len(parts[0])
        while have < size:
            chunk = next(self._chunks, None)
            if chunk is None:
                raise DecodeError(_WHAT, self.offset, "it ends before its end")
            parts.append(chunk)
            have += len(chunk)
        self._data = b"".join(parts)
        self._at = 0


@final
class _Pace:
    """Turns of the loop between slices, and no more bytes a second than the limit."""

    __slots__ = ("_limit", "_pace")

    def __init__(self, limit: RateLimit | None) -> None:
        self._pace = Pace()
        self._limit = limit

    async def after(self, size: int) -> None:
        """So many more bytes were dealt with."""
        if self._limit is not None:
            delay = self._limit.delay(size, asyncio.get_running_loop().time())
            if delay > 0:
                await asyncio.sleep(delay)
        await self._pace.after(size)
