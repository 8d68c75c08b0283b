"""Region cache: which region a key is in and who leads it, as far as is known. Pure; wrong entries cost a detour only.

Invariants:
1. No two regions of the cache overlap.
2. What is known newer is never replaced by what is older: of two that overlap, the one with the higher version is newer
   (every split and merge raises it), of two with one id the one whose epoch is not older.
3. An entry's leader is one of its region's peers.
4. Only what a store said forgets a region. One whose peers were all asked in vain is doubted: it is looked up, and as
   long as nobody knows better its peers are asked again.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right, insort
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, final

from raftly.base.region import Peer, PeerId, Region, RegionId
from raftly.base.region_errors import (
    DataIsNotReady,
    EpochNotMatch,
    NotRegionLeader,
    ProposalInMergingMode,
    ReadIndexNotReady,
    RegionError,
    ServerIsBusy,
    StaleCommand,
)
from raftly.client.backoff import Cause
from raftly.client.errors import UndeterminedResult

__all__ = ["RegionCache", "Route"]


@final
@dataclass(frozen=True, slots=True)
class Route:
    """Where a request goes."""

    region: Region
    leader: Peer


@final
class _Entry:
    __slots__ = ("asked", "is_doubted", "route")

    def __init__(self, route: Route) -> None:
        self.route = route
        self.asked: frozenset[PeerId] = frozenset()  # peers, since one served; who names the leader was asked too
        self.is_doubted = False  # all of them were


_NOT_NOW: Final = (StaleCommand, ReadIndexNotReady, ProposalInMergingMode, DataIsNotReady, UndeterminedResult)


@final
class RegionCache:
    """Regions by key. Its size is bounded by the number of regions of the cluster."""

    def __init__(self) -> None:
        self._starts: list[bytes] = []  # sorted; the keys of `_by_start`
        self._by_start: dict[bytes, _Entry] = {}
        self._by_id: dict[RegionId, _Entry] = {}

    def __len__(self) -> int:
        return len(self._starts)

    # --- looking up -------------------------------------------------------------------------------------------------

    def find(self, key: bytes) -> Route | None:
        """The route to the region that holds `key`, unless it is doubted."""
        entry = self._holding(key)
        return entry.route if entry is not None and not entry.is_doubted else None

    def find_below(self, key: bytes) -> Route | None:
        """The same for what lies just below `key`; an empty key is above all others."""
        entry = self._holding_below(key)
        return entry.route if entry is not None and not entry.is_doubted else None

    def believe(self, key: bytes, *, below: bool = False) -> bool:
        """Nobody knows better: let the peers of the region there be asked again. Is one known?"""
        entry = self._holding_below(key) if below else self._holding(key)
        if entry is not None:
            entry.is_doubted = False
        return entry is not None

    def _holding(self, key: bytes) -> _Entry | None:
        place = bisect_right(self._starts, key)
        if place == 0:
            return None
        entry = self._by_start[self._starts[place - 1]]
        return entry if entry.route.region.contains(key) else None

    def _holding_below(self, key: bytes) -> _Entry | None:
        place = bisect_left(self._starts, key) if key else len(self._starts)
        if place == 0:
            return None
        entry = self._by_start[self._starts[place - 1]]
        return entry if entry.route.region.contains_end(key) else None

    def route(self, region_id: RegionId) -> Route | None:
        """The route to a region."""
        entry = self._by_id.get(region_id)
        return entry.route if entry is not None else None

    # --- learning ---------------------------------------------------------------------------------------------------

    def add(self, region: Region, leader: Peer | None = None) -> bool:
        """Take in what was heard of a region, unless something newer is known; was it taken?

        Without a leader the one that was known leads on if it is still a peer, else the first peer that may.
        """
        overlapping = self._overlapping(region)
        known = self._by_id.get(region.id)
        if known is not None and region.epoch.is_older_than(known.route.region.epoch):
            return False
        if any(entry.route.region.epoch.version > region.epoch.version for entry in overlapping):
            return False
        leader = self._leader_of(region, leader)
        if leader is None:
            return False
        for entry in overlapping:
            self._remove(entry)
        if known is not None:
            self._remove(known)
        self._by_id[region.id] = self._by_start[region.start_key] = _Entry(Route(region, leader))
        insort(self._starts, region.start_key)
        return True

    def _leader_of(self, region: Region, leader: Peer | None) -> Peer | None:
        known = self._by_id.get(region.id)
        candidates = [] if leader is None else [leader]
        if leader is None and known is not None:
            candidates.append(known.route.leader)
        for candidate in candidates:
            if (peer := region.peer(candidate.id)) is not None:
                return peer
        return next((peer for peer in region.peers if not peer.is_learner), None)

    def _overlapping(self, region: Region) -> list[_Entry]:
        first = max(bisect_right(self._starts, region.start_key) - 1, 0)
        found = []
        for start in self._starts[first:]:
            if region.end_key and start >= region.end_key:
                break
            entry = self._by_start[start]
            if entry.route.region.overlaps(region):
                found.append(entry)
        return found

    def _remove(self, entry: _Entry) -> None:
        region = entry.route.region
        if self._by_id.get(region.id) is entry:
            del self._by_id[region.id]
            del self._by_start[region.start_key]
            del self._starts[bisect_left(self._starts, region.start_key)]

    def drop(self, region_id: RegionId) -> None:
        """Forget a region: the next request looks it up."""
        entry = self._by_id.get(region_id)
        if entry is not None:
            self._remove(entry)

    def clear(self) -> None:
        """Forget all."""
        self._starts.clear()
        self._by_start.clear()
        self._by_id.clear()

    def on_served(self, route: Route) -> None:
        """The peer that was asked leads."""
        entry = self._by_id.get(route.region.id)
        if entry is not None and entry.route is route:
            entry.asked, entry.is_doubted = frozenset(), False

    # --- errors -----------------------------------------------------------------------------------------------------

    def on_error(self, route: Route, error: RegionError) -> Cause:
        """Learn from a store's refusal of a request that took `route`; what to wait for before the next attempt.

        Compare: tikv/client-go, internal/locate/region_request.go (onRegionError).
        """
        if isinstance(error, NotRegionLeader):
            return self._on_not_leader(route, error.leader)
        if isinstance(error, EpochNotMatch):
            return self._on_epoch(route, error.current)
        if isinstance(error, ServerIsBusy):
            return Cause.BUSY
        if isinstance(error, _NOT_NOW):
            return Cause.NOT_READY
        self._forget(route)  # not on that store, not that peer, not that key, or something new: look it up again
        return Cause.ROUTE

    def on_connection_lost(self, route: Route) -> Cause:
        """The leader's store cannot be reached: another peer may lead by now."""
        self._try_next(route)
        return Cause.CONNECTION

    def _on_not_leader(self, route: Route, leader: Peer | None) -> Cause:
        if leader is None:
            self._try_next(route)
            return Cause.NO_LEADER
        peer = route.region.peer(leader.id)
        if peer is None:  # the peers have changed since
            self._forget(route)
            return Cause.ROUTE
        self._lead(route, peer)
        return Cause.LEADER_MOVED

    def _on_epoch(self, route: Route, current: Iterable[Region]) -> Cause:
        regions = list(current)
        own = next((region for region in regions if region.id == route.region.id), None)
        if own is not None and own.epoch.is_older_than(route.region.epoch):
            return Cause.NOT_READY  # the store has yet to learn what is known here
        self._forget(route)
        for region in regions:  # the halves of a split begin with their leader where the whole had it
            self.add(region, region.peer_on(route.leader.store_id))
        return Cause.ROUTE

    def _forget(self, route: Route) -> None:
        """Drop it, unless something else was learned while the request was under way."""
        entry = self._by_id.get(route.region.id)
        if entry is not None and entry.route.region.epoch == route.region.epoch:
            self._remove(entry)

    def _lead(self, route: Route, leader: Peer) -> None:
        """Ask the one that was named. Whether it is there an answer of its own tells, so nothing is taken back."""
        entry = self._by_id.get(route.region.id)
        if entry is not None and entry.route == route:
            entry.asked |= {route.leader.id}
            entry.route, entry.is_doubted = Route(route.region, leader), False

    def _try_next(self, route: Route) -> None:
        """Ask the next peer that was not asked yet; when all were, doubt the region and begin anew."""
        entry = self._by_id.get(route.region.id)
        if entry is None or entry.route != route:
            return  # somebody else's request found it out already
        voters = [peer for peer in route.region.peers if not peer.is_learner] or [route.leader]
        place = voters.index(route.leader) + 1 if route.leader in voters else 0
        others = voters[place:] + voters[:place]
        entry.asked |= {route.leader.id}
        fresh = [peer for peer in others if peer.id not in entry.asked]
        entry.route, entry.is_doubted = Route(route.region, (fresh or others)[0]), not fresh
        if not fresh:
            entry.asked = frozenset()
