"""The options of a RocksEngine, to be read and checked where RocksDB is not installed too."""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

from raftly.errors import ConfigError


@final
@dataclass(frozen=True, slots=True)
class RocksOptions:
    """Bounds of a RocksEngine.

    Raises:
        ConfigError: a bound is too small to work with.
    """

    block_cache_bytes: int = 64 << 20
    """Of blocks, indexes and filters read from tables, all families together."""
    write_buffer_bytes: int = 16 << 20
    """Of one write buffer; a full one becomes a table."""
    write_buffers: int = 6
    """How many a family may have before writes wait for the disk; half as many make the engine busy."""
    wal_bytes: int = 128 << 20
    """Of all logs together: beyond, the family that holds back the oldest one is written out."""
    background_jobs: int = 2
    """Threads that write tables out and compact them."""
    compaction_busy_bytes: int = 16 << 30
    """Bytes that compactions have still to rewrite from which on the engine says that it is busy."""

    def __post_init__(self) -> None:
        bounds = {
            "block_cache_bytes": 1 << 16,
            "write_buffer_bytes": 1 << 16,
            "write_buffers": 2,
            "wal_bytes": 1 << 16,
            "background_jobs": 1,
            "compaction_busy_bytes": 1 << 20,
        }
        for option, smallest in bounds.items():
            if getattr(self, option) < smallest:
                raise ConfigError(option, f"must be at least {smallest}")
