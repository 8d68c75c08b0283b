"""Both engines behind one door: made, reopened, and compared with a twin of dicts."""

from __future__ import annotations

import random
from collections.abc import Iterable
from pathlib import Path
from typing import Protocol

from raftly.engine import CFS, Engine, KeyValue, MemoryEngine, Reader, RocksOptions, WriteBatch
from raftly.engine.base import DELETE, PUT
from raftly.engine.rocks import RocksEngine
from raftly.testing.memfs import MemFs

SMALL = RocksOptions(write_buffer_bytes=1 << 16, block_cache_bytes=1 << 20)


class Home(Protocol):
    """A place that one engine at a time lives in."""

    def open(self) -> Engine: ...


class MemoryHome:
    def __init__(self) -> None:
        self.fs = MemFs()

    def open(self) -> Engine:
        return MemoryEngine(self.fs)


class RocksHome:
    def __init__(self, path: Path) -> None:
        self.path = path

    def open(self) -> Engine:
        return RocksEngine(self.path, SMALL)


class Twin:
    """What an engine must show: a dict for each family."""

    def __init__(self) -> None:
        self.families: dict[str, dict[bytes, bytes]] = {cf: {} for cf in CFS}

    def write(self, batch: WriteBatch) -> None:
        for kind, cf, key, value in batch.changes:
            family = self.families[cf]
            if kind == PUT:
                family[key] = value
            elif kind == DELETE:
                family.pop(key, None)
            else:
                for other in [other for other in family if key <= other and (not value or other < value)]:
                    del family[other]

    def scan(self, cf: str, lo: bytes, hi: bytes) -> list[KeyValue]:
        return sorted(item for item in self.families[cf].items() if lo <= item[0] and (not hi or item[0] < hi))

    def copy(self) -> Twin:
        twin = Twin()
        twin.families = {cf: dict(family) for cf, family in self.families.items()}
        return twin


def batch_of(changes: Iterable[tuple[object, ...]]) -> WriteBatch:
    """From (cf, key, value): put; (cf, key): delete; (cf, lo, hi, "range"): delete_range."""
    batch = WriteBatch()
    for cf, key, *rest in changes:
        assert isinstance(cf, str)
        assert isinstance(key, bytes)
        if not rest:
            batch.delete(cf, key)
            continue
        assert isinstance(rest[0], bytes)
        if len(rest) == 1:
            batch.put(cf, key, rest[0])
        else:
            batch.delete_range(cf, key, rest[0])
    return batch


def content(reader: Reader) -> dict[str, list[KeyValue]]:
    """All of it."""
    return {cf: list(reader.iterate(cf, b"", b"")) for cf in CFS}


def random_batch(source: random.Random, keys: int = 30) -> WriteBatch:
    """A few changes over all families, on few keys."""

    def key() -> bytes:
        return b"%02d" % source.randrange(keys)

    batch = WriteBatch()
    for _ in range(source.randrange(1, 8)):
        cf = source.choice(CFS)
        draw = source.random()
        if draw < 0.75:
            batch.put(cf, key(), source.randbytes(source.randrange(40)))
        elif draw < 0.93:
            batch.delete(cf, key())
        else:
            batch.delete_range(cf, key(), source.choice([key(), b""]))
    return batch
