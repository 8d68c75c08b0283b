"""What every layer shares: ids, entries, membership values, and the bytes of an entry.

Nothing here decides anything, and nothing here imports another raftly package. Reading order: `types` (the values),
`membership` (configuration changes and their bytes), `wire` (protobuf primitives), `record` (the framed entry),
`rand` (a seeded source), `limits`. What stores and the placement driver share: `region`, `region_errors`, `store_meta`,
`heartbeats`, `operators`, `memcomparable` (keys as TiKV's tools write them).
"""

from raftly.base.membership import (
    ConfChange,
    ConfChangeSingle,
    ConfChangeTransition,
    ConfChangeType,
    ConfChangeV2,
    ConfState,
)
from raftly.base.rand import RandomSource, SplitMix64
from raftly.base.types import (
    INDEX_MAX,
    NO_LIMIT,
    NO_NODE,
    Entry,
    EntryType,
    HardState,
    Index,
    NodeId,
    Snapshot,
    SnapshotMeta,
    Term,
)

__all__ = [
    "INDEX_MAX",
    "NO_LIMIT",
    "NO_NODE",
    "ConfChange",
    "ConfChangeSingle",
    "ConfChangeTransition",
    "ConfChangeType",
    "ConfChangeV2",
    "ConfState",
    "Entry",
    "EntryType",
    "HardState",
    "Index",
    "NodeId",
    "RandomSource",
    "Snapshot",
    "SnapshotMeta",
    "SplitMix64",
    "Term",
]
