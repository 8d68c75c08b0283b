"""RegionMap: the regions that hold keys on one store, by the keys where they begin."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from typing import final

from raftly.base.region import Region, RegionId


@final
class RegionMap:
    """None overlaps another."""

    __slots__ = ("_ids", "_regions", "_starts")

    def __init__(self) -> None:
        self._starts: list[bytes] = []
        self._ids: list[RegionId] = []
        self._regions: dict[RegionId, Region] = {}

    def __len__(self) -> int:
        return len(self._ids)

    def put(self, region: Region) -> None:
        """Take a region in, or as it is now."""
        self.remove(region.id)
        at = bisect_left(self._starts, region.start_key)
        self._starts.insert(at, region.start_key)
        self._ids.insert(at, region.id)
        self._regions[region.id] = region

    def remove(self, region_id: RegionId) -> None:
        """It is not here any more."""
        region = self._regions.pop(region_id, None)
        if region is not None:
            at = bisect_left(self._starts, region.start_key)
            assert self._ids[at] == region_id, f"regions {self._ids[at]} and {region_id} begin at the same key"
            del self._starts[at], self._ids[at]

    def overlapping(self, region: Region) -> list[Region]:
        """The others that hold some key of this one."""
        at = max(bisect_right(self._starts, region.start_key) - 1, 0)
        found: list[Region] = []
        while at < len(self._ids) and (not region.end_key or self._starts[at] < region.end_key):
            other = self._regions[self._ids[at]]
            if other.id != region.id and other.overlaps(region):
                found.append(other)
            at += 1
        return found

    def next_to(self, region: Region) -> list[Region]:
        """Those that begin where this one ends, or end where it begins."""
        found: list[Region] = []
        at = bisect_left(self._starts, region.start_key) - 1
        if at >= 0 and self._regions[self._ids[at]].end_key == region.start_key:
            found.append(self._regions[self._ids[at]])
        if region.end_key:
            at = bisect_left(self._starts, region.end_key)
            if at < len(self._ids) and self._starts[at] == region.end_key:
                found.append(self._regions[self._ids[at]])
        return found

    def all(self) -> list[Region]:
        """In the order of their keys."""
        return [self._regions[id_] for id_ in self._ids]
