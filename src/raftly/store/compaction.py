"""Where the log of a region is cut. A pure rule."""

from __future__ import annotations

from raftly.base.types import Index
from raftly.store.options import StoreOptions


def cut_at(options: StoreOptions, begin: Index, applied: Index, log_bytes: int, slowest: Index | None) -> Index | None:
    """Up to where a log that begins behind `begin` is to be cut; None: not now.

    `slowest` is the end of the shortest log among the members, as their leader knows it; None at a follower. Whoever
    lacks entries that are cut needs a snapshot, so they stay for a while; but never so many that they do harm.
    """
    count = applied - begin
    if count > options.log_entries_max or log_bytes > options.log_bytes_max:
        return applied - min(options.log_entries_max, count) // 2
    if slowest is None or min(slowest, applied) - begin < options.log_entries_keep:
        return None
    return min(slowest, applied)
