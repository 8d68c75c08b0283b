"""EngineReader: the keys of a region as its reader sees them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, final

from raftly.base.region import Region
from raftly.engine.base import Engine, KeyValue, Reader, Snapshot
from raftly.store.checks import check_key
from raftly.store.keys import DATA_PREFIX, data_end_key, data_key


@final
class Meter:
    """What was read of a region; keys not counted."""

    __slots__ = ("read_bytes",)

    def __init__(self) -> None:
        self.read_bytes = 0


_NOBODYS: Final = Meter()


@final
class EngineReader:
    """See `kv.RegionReader`. What is read is counted by `meter`."""

    __slots__ = ("_engine", "_meter", "_pinned", "_reader", "region")

    def __init__(self, engine: Engine, region: Region, meter: Meter = _NOBODYS) -> None:
        self.region = region
        self._meter = meter
        self._engine = engine
        self._reader: Reader = engine
        self._pinned: Snapshot | None = None

    def get(self, cf: str, key: bytes) -> bytes | None:
        """See `RegionReader.get`."""
        check_key(self.region, key)
        value = self._reader.get(cf, DATA_PREFIX + key)
        if value is not None:
            self._meter.read_bytes += len(value)
        return value

    def get_many(self, cf: str, keys: Sequence[bytes]) -> list[bytes | None]:
        """See `RegionReader.get_many`."""
        for key in keys:
            check_key(self.region, key)
        values = self._reader.get_many(cf, [DATA_PREFIX + key for key in keys])
        self._meter.read_bytes += sum([len(value) for value in values if value is not None])
        return values

    def scan(
        self, cf: str, lo: bytes, hi: bytes, limit: int, *, reverse: bool = False, keys_only: bool = False
    ) -> list[KeyValue]:
        """See `RegionReader.scan`."""
        region = self.region
        lo = max(lo, region.start_key)
        hi = min([key for key in (hi, region.end_key) if key], default=b"")
        if hi and lo >= hi:
            return []
        found = self._reader.scan(cf, data_key(lo), data_end_key(hi), limit, reverse=reverse, keys_only=keys_only)
        self._meter.read_bytes += sum([len(key) + len(value) for key, value in found])
        return [(key[1:], value) for key, value in found]

    def pin(self) -> None:
        """See `RegionReader.pin`."""
        if self._pinned is None:
            self._reader = self._pinned = self._engine.snapshot()

    def close(self) -> None:
        """See `RegionReader.close`."""
        if self._pinned is not None:
            self._pinned.close()
            self._pinned = None
            self._reader = self._engine
