"""What stores tell the placement driver: how a region fares, from the leader of it, and how the store itself does.

Bytes are bytes and times are seconds. Counts of reads and writes are those of the `interval_s` seconds before.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

from raftly.base.region import Peer, PeerId, Region, RegionId, StoreId
from raftly.base.types import Term


@final
@dataclass(frozen=True, slots=True)
class DownPeer:
    """A peer that its leader has not heard for so long."""

    peer: Peer
    down_s: int = 0


@final
@dataclass(frozen=True, slots=True)
class RegionReport:
    """A region as its leader sees it."""

    region: Region
    leader: Peer
    term: Term = 0
    approximate_bytes: int = 0
    approximate_keys: int = 0
    bytes_written: int = 0
    keys_written: int = 0
    bytes_read: int = 0
    keys_read: int = 0
    interval_s: int = 0
    down_peers: tuple[DownPeer, ...] = ()
    pending_peers: tuple[Peer, ...] = ()
    """Peers that lack entries which the leader's log no longer has: they wait for a snapshot, or apply one."""


@final
@dataclass(frozen=True, slots=True)
class StoreStats:
    """A store as it sees itself."""

    store_id: StoreId
    capacity: int = 0
    available: int = 0
    used: int = 0
    region_count: int = 0
    snapshots_sending: int = 0
    snapshots_receiving: int = 0
    snapshots_applying: int = 0
    start_time_s: int = 0
    """Seconds since 1970."""
    is_busy: bool = False
    bytes_written: int = 0
    keys_written: int = 0
    bytes_read: int = 0
    keys_read: int = 0
    interval_s: int = 0


@final
@dataclass(frozen=True, slots=True)
class NewRegionIds:
    """Ids for a region that a split makes: its own, and one for a peer on each store, in the order of the parent's."""

    region_id: RegionId
    peer_ids: tuple[PeerId, ...]
