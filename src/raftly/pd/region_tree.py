"""RegionTree: every region as its leader reported it last, by key and by id; what lies on each store is counted along.

No two regions in it overlap; between them there may be gaps for a while, as when one half of a split has reported and
the other has not. A region is in it only together with its leader.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right, insort
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import ClassVar, Final, final

from raftly.base.heartbeats import RegionReport
from raftly.base.region import Region, RegionEpoch, RegionId, StoreId
from raftly.errors import RaftlyError
from raftly.pd.sampling import SampleSet

PEERS_MAX: Final = 64


def problem_with_report(report: RegionReport) -> str:
    """Why a report cannot be true; empty: it can. What is not so is not told of any region that works."""
    region = report.region
    if not region.id:
        return "its id is 0"
    if region.end_key and region.start_key >= region.end_key:
        return "it holds no key"
    if len(region.peers) > PEERS_MAX:
        return f"it has more than {PEERS_MAX} peers"
    if len({peer.id for peer in region.peers}) < len(region.peers):
        return "it has two peers of one id"
    if len({peer.store_id for peer in region.peers}) < len(region.peers):
        return "it has two peers on one store"
    leader = region.peer(report.leader.id)
    if leader is None or leader.store_id != report.leader.store_id:
        return "it is led by a peer that it does not have"
    return ""


@final
class StaleRegion(RaftlyError):
    """A report is older than what is known; whoever sent it no longer leads the region, or not yet knows that."""

    code: ClassVar[str] = "stale_region"

    def __init__(self, region: Region, known: Region) -> None:
        super().__init__(region, known)
        self.region: Final = region
        self.known: Final = known

    def __str__(self) -> str:
        return f"the report of {_name(self.region)} is older than {_name(self.known)}, which is known"


def _name(region: Region) -> str:
    return f"region {region.id} at {region.epoch.conf_ver}.{region.epoch.version}"


@final
@dataclass(slots=True)
class StoreLoad:
    """What lies on one store. A leader is counted among the regions too."""

    leaders: SampleSet = field(default_factory=SampleSet)
    followers: SampleSet = field(default_factory=SampleSet)  # voters that do not lead
    learners: SampleSet = field(default_factory=SampleSet)
    pending: SampleSet = field(default_factory=SampleSet)  # those of them that wait for a snapshot
    leader_bytes: int = 0
    region_bytes: int = 0

    @property
    def leader_count(self) -> int:
        """Regions that are led from here."""
        return len(self.leaders)

    @property
    def region_count(self) -> int:
        """Regions that have a peer here."""
        return len(self.leaders) + len(self.followers) + len(self.learners)

    def regions(self) -> Iterator[RegionId]:
        """Their ids."""
        yield from self.leaders
        yield from self.followers
        yield from self.learners


_NOTHING: Final = StoreLoad()


@final
class RegionTree:
    """See the module. A lookup costs O(log n); a report that changes a range moves pointers, O(n)."""

    def __init__(self) -> None:
        self._starts: list[bytes] = []  # ascending
        self._by_start: dict[bytes, RegionReport] = {}
        self._by_id: dict[RegionId, RegionReport] = {}
        self._loads: dict[StoreId, StoreLoad] = {}

    def __len__(self) -> int:
        return len(self._by_id)

    def __iter__(self) -> Iterator[RegionReport]:
        """All, in the order of their keys."""
        return (self._by_start[start] for start in self._starts)

    # --- lookups ---

    def by_key(self, key: bytes) -> RegionReport | None:
        """The region that holds this key."""
        found = self._at_or_before(key)
        return found if found is not None and found.region.contains(key) else None

    def before(self, key: bytes) -> RegionReport | None:
        """The region that ends where the one that holds this key begins."""
        here = self.by_key(key)
        if here is None or not here.region.start_key:
            return None
        place = bisect_left(self._starts, here.region.start_key)
        if place == 0:
            return None
        found = self._by_start[self._starts[place - 1]]
        return found if found.region.end_key == here.region.start_key else None

    def by_id(self, region_id: RegionId) -> RegionReport | None:
        """The region with this id."""
        return self._by_id.get(region_id)

    def scan(self, start_key: bytes, end_key: bytes = b"", limit: int = 0) -> list[RegionReport]:
        """Regions that hold keys of [start_key, end_key), in order; an empty end has nothing above it; 0: no limit."""
        found: list[RegionReport] = []
        here = self.by_key(start_key)
        place = bisect_left(self._starts, start_key if here is None else here.region.start_key)
        while place < len(self._starts) and (not limit or len(found) < limit):
            start = self._starts[place]
            if end_key and start >= end_key:
                break
            found.append(self._by_start[start])
            place += 1
        return found

    def neighbours(self, region: Region) -> tuple[RegionReport | None, RegionReport | None]:
        """The regions that touch it, below and above."""
        above = self._by_start.get(region.end_key) if region.end_key else None
        return self.before(region.start_key), above

    def load(self, store_id: StoreId) -> StoreLoad:
        """What lies on this store."""
        return self._loads.get(store_id, _NOTHING)

    def _at_or_before(self, key: bytes) -> RegionReport | None:
        place = bisect_right(self._starts, key)
        return self._by_start[self._starts[place - 1]] if place else None

    # --- changes ---

    def put(self, report: RegionReport) -> list[RegionReport]:
        """Take a report in place of the region's last one, and of regions it overlaps; those others, by key.

        Raises:
            StaleRegion: the region is known at a newer epoch or term, or an overlapping one at a newer version.
        """
        region = report.region
        known = self._by_id.get(region.id)
        if known is not None:
            if region.epoch.is_older_than(known.region.epoch) or (report.term and report.term < known.term):
                raise StaleRegion(region, known.region)
            if _same_range(known.region, region):  # nearly always
                self._discount(known)
                self._set(report)
                return []
        displaced = [other for other in self.overlapping(region) if other.region.id != region.id]
        for other in displaced:
            if _is_older(region.epoch, other.region.epoch):
                raise StaleRegion(region, other.region)
        for other in displaced:
            self.remove(other.region.id)
        if known is not None:
            self.remove(region.id)
        insort(self._starts, region.start_key)
        self._set(report)
        return displaced

    def remove(self, region_id: RegionId) -> None:
        """Forget a region."""
        known = self._by_id.pop(region_id, None)
        if known is None:
            return
        start = known.region.start_key
        del self._by_start[start]
        del self._starts[bisect_left(self._starts, start)]
        self._discount(known)

    def overlapping(self, region: Region) -> list[RegionReport]:
        """Regions that hold a key which this one holds too, itself included if it is known."""
        return self.scan(region.start_key, region.end_key)

    def _set(self, report: RegionReport) -> None:
        region = report.region
        self._by_start[region.start_key] = report
        self._by_id[region.id] = report
        for peer in region.peers:
            load = self._loads.get(peer.store_id)
            if load is None:
                load = self._loads[peer.store_id] = StoreLoad()
            load.region_bytes += report.approximate_bytes
            if peer.id == report.leader.id:
                load.leaders.add(region.id)
                load.leader_bytes += report.approximate_bytes
            elif peer.is_learner:
                load.learners.add(region.id)
            else:
                load.followers.add(region.id)
        for peer in report.pending_peers:
            if peer.store_id in self._loads:
                self._loads[peer.store_id].pending.add(region.id)

    def _discount(self, report: RegionReport) -> None:
        region = report.region
        for peer in region.peers:
            load = self._loads[peer.store_id]
            load.region_bytes -= report.approximate_bytes
            if peer.id == report.leader.id:
                load.leader_bytes -= report.approximate_bytes
            for members in (load.leaders, load.followers, load.learners):
                members.discard(region.id)
        for peer in report.pending_peers:
            if peer.store_id in self._loads:
                self._loads[peer.store_id].pending.discard(region.id)
        for peer in region.peers:
            if not self._loads[peer.store_id].region_count:
                del self._loads[peer.store_id]  # stores go, and their ids do not come again


def _same_range(a: Region, b: Region) -> bool:
    return a.start_key == b.start_key and a.end_key == b.end_key


def _is_older(epoch: RegionEpoch, other: RegionEpoch) -> bool:
    """Of regions with different ids: a merge brings ranges together whose peers changed apart, so versions decide."""
    return (epoch.version, epoch.conf_ver) < (other.version, other.conf_ver)
