"""PlacementClient: the placement driver, as a store asks and tells it.

Whoever implements it finds the leader, retries, and gives up in time: every call may raise a RaftlyError, and is made
again later. No call may take longer than a few seconds.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from raftly.base.heartbeats import NewRegionIds, RegionReport, StoreStats
from raftly.base.operators import Operator
from raftly.base.region import Peer, Region, RegionId, StoreId
from raftly.base.store_meta import StoreMeta


class PlacementClient(Protocol):
    """See the module."""

    async def cluster_id(self) -> int:
        """Which cluster this is; never 0."""
        ...

    async def is_bootstrapped(self) -> bool:
        """Does the cluster have its first region?"""
        ...

    async def bootstrap(self, store: StoreMeta, region: Region) -> bool:
        """Begin the cluster with this region on this store; False: somebody else did already."""
        ...

    async def alloc_id(self) -> int:
        """A number that nobody had before, above all that were given out."""
        ...

    async def put_store(self, store: StoreMeta) -> None:
        """Tell who and where this store is. Raises when the cluster does not take it, a tombstone above all."""
        ...

    async def store_of(self, store_id: StoreId) -> StoreMeta | None:
        """Where a store is; None: nobody has heard of it."""
        ...

    async def stores(self) -> list[StoreMeta]:
        """All stores that are no tombstones."""
        ...

    async def store_heartbeat(self, stats: StoreStats) -> None:
        """How this store does."""
        ...

    async def region_heartbeat(self, report: RegionReport) -> Operator | None:
        """How a region fares that is led from here; what is to be done with it."""
        ...

    async def ask_batch_split(self, region: Region, count: int) -> list[NewRegionIds]:
        """Ids for so many regions that a split of `region` is to make."""
        ...

    async def report_batch_split(self, regions: Sequence[Region]) -> None:
        """A split made these, in the order of their keys."""
        ...

    async def region_by_key(self, key: bytes) -> tuple[Region, Peer | None] | None:
        """The region that holds a key, and its leader, as the leaders told; None: not known."""
        ...

    async def region_by_id(self, region_id: RegionId) -> tuple[Region, Peer | None] | None:
        """A region, and its leader; None: not known."""
        ...
