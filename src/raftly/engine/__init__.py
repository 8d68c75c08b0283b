"""A store of sorted keys below everything that keeps data: RocksDB, or memory with the same manners.

1. A batch is seen whole or not at all, also after a crash, and in all families.
2. What `sync` returned for is durable. A crash before loses batches from the end only.
3. A snapshot shows one moment, whatever is written after.

Reading order: `base` (the protocol), `sorted_map` and `memory` (in memory, on a file system that may crash), `rocks`
(RocksDB; imported from there, since it is an extra), `size_estimate` and `sync_mark`, which make up for what RocksDB
cannot be asked.
"""

from raftly.engine.base import (
    CF_DEFAULT,
    CF_LOCK,
    CF_RAFT,
    CF_WRITE,
    CFS,
    DATA_CFS,
    Engine,
    EngineStats,
    KeyValue,
    Reader,
    Snapshot,
    WriteBatch,
)
from raftly.engine.memory import MemoryEngine
from raftly.engine.rocks_options import RocksOptions

__all__ = [
    "CFS",
    "CF_DEFAULT",
    "CF_LOCK",
    "CF_RAFT",
    "CF_WRITE",
    "DATA_CFS",
    "Engine",
    "EngineStats",
    "KeyValue",
    "MemoryEngine",
    "Reader",
    "RocksOptions",
    "Snapshot",
    "WriteBatch",
]
