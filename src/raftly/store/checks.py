"""Checks: may this peer serve this request? Pure, in the order that clients expect."""

from __future__ import annotations

from collections.abc import Sequence
from typing import final

from raftly.base.region import Peer, PeerId, Region, StoreId
from raftly.base.region_errors import (
    EpochNotMatch,
    KeyNotInRegion,
    MismatchPeerId,
    NotRegionLeader,
    RegionNotFound,
    StaleCommand,
    StoreNotMatch,
)
from raftly.base.types import Term
from raftly.store.kv import RequestContext
from raftly.store.ops import DeleteRange, Op


@final
class Standing:
    """How it stands with a peer when a request comes."""

    __slots__ = ("is_leader", "leader", "peer_id", "region", "term")

    def __init__(self, region: Region, peer_id: PeerId, leader: Peer | None, term: Term) -> None:
        self.region = region
        self.peer_id = peer_id
        self.leader = leader
        self.is_leader = leader is not None and leader.id == peer_id
        self.term = term


def check_store(ctx: RequestContext, store_id: StoreId) -> None:
    """Is it for this store? A caller that names no store means the one it asked.

    Raises:
        StoreNotMatch: it is for another.
    """
    if ctx.peer.store_id not in (store_id, 0):
        raise StoreNotMatch(ctx.peer.store_id, store_id)


def check_request(ctx: RequestContext, standing: Standing, *, needs_leader: bool) -> None:
    """May this peer serve it? `check_store` came before, and `check_epoch` follows.

    Raises:
        RegionNotFound, MismatchPeerId, NotRegionLeader, StaleCommand: see there.
    """
    if not standing.region.peers:
        raise RegionNotFound(ctx.region_id)  # created by a message, and waiting for its first snapshot
    if ctx.peer.id not in (standing.peer_id, 0):
        raise MismatchPeerId(ctx.peer.id, standing.peer_id)
    if needs_leader and not standing.is_leader:
        raise NotRegionLeader(ctx.region_id, standing.leader)
    if ctx.term and standing.term > ctx.term + 1:  # one more is an election that the caller may have missed
        raise StaleCommand


def check_epoch(ctx: RequestContext, region: Region, neighbours: Sequence[Region]) -> None:
    """Does the caller know the range of the region? Changes of peers do not matter to reads and writes.

    Raises:
        EpochNotMatch: no; it says how the region is now, and what lies beside it.
    """
    if ctx.epoch.version != region.epoch.version:
        raise EpochNotMatch((region, *neighbours))


def check_keys(region: Region, ops: Sequence[Op]) -> None:
    """Are all keys in the region? Ranges are clipped to it, so only where they begin counts.

    Raises:
        KeyNotInRegion: one is not.
    """
    start, end = region.start_key, region.end_key
    for op in ops:
        key = op.lo if type(op) is DeleteRange else op.key
        if key < start or (end and key >= end):
            raise KeyNotInRegion(key, region)


def check_key(region: Region, key: bytes) -> None:
    """Is the key in the region?

    Raises:
        KeyNotInRegion: it is not.
    """
    if not region.contains(key):
        raise KeyNotInRegion(key, region)
