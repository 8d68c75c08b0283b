"""Shared: what the peers of a store have in common, and what they leave for it to do."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Protocol, final

from raftly.base.region import Peer, PeerId, Region, RegionId, StoreId
from raftly.base.region_errors import NotRegionLeader, ReadIndexNotReady, ServerIsBusy, StaleCommand
from raftly.base.types import NodeId, Snapshot
from raftly.core.messages import MsgSnap
from raftly.errors import DropReason, NotLeader, ProposalDropped
from raftly.node.driver import Driver
from raftly.node.errors import Busy, NodeStopped, ReadTimeout
from raftly.node.group import Waiter
from raftly.node.lease_clock import LeaseClock
from raftly.store.apply import Round
from raftly.store.brake import Brake
from raftly.store.options import StoreOptions
from raftly.store.regions import RegionMap

if TYPE_CHECKING:
    from raftly.store.peer import RegionPeer

OVERTAKEN: Final = -1  # in place of a leader: the entry of another took the place of this one


class SnapshotSender(Protocol):
    """Who sends a region's keys to another store."""

    def send(self, peer: RegionPeer, message: MsgSnap) -> None:
        """Do it, and report to the driver."""
        ...

    def latest(self, peer: RegionPeer, to: NodeId) -> Snapshot | None:
        """What could be sent to a member now; None: nothing."""
        ...

    def forget(self, region_id: RegionId) -> None:
        """The region's peer is gone: so is what there is of snapshots for it."""
        ...


@final
@dataclass(slots=True)
class MergeCounts:
    """What peers here applied since the start."""

    prepared: int = 0
    committed: int = 0
    rolled_back: int = 0


@final
@dataclass(slots=True)
class Shared:
    """What the peers of a store have in common, and what they leave for it."""

    store_id: StoreId
    options: StoreOptions
    driver: Driver
    round: Round
    regions: RegionMap
    clock: LeaseClock
    sender: SnapshotSender
    brake: Brake
    peers: dict[RegionId, RegionPeer] = field(default_factory=dict)
    """Every peer of the store."""
    tombstones: dict[RegionId, PeerId] = field(default_factory=dict)
    """Of regions that had a peer here which is gone for good: the newest such."""
    merging: dict[RegionId, RegionPeer] = field(default_factory=dict)
    """Those whose region is a source."""
    merges: MergeCounts = field(default_factory=MergeCounts)
    absorbed: list[RegionPeer] = field(default_factory=list)
    """Peers that ended in a merge: their regions are part of others."""
    stalled: list[RegionPeer] = field(default_factory=list)
    """Peers that have met a commit whose source is not here."""
    splits: list[tuple[RegionPeer, list[Region]]] = field(default_factory=list)
    """A peer, and the regions that were cut off its own whose peers here come to life."""
    member_changes: int = 1
    """Grows when members of a region change here: what is in the engine may not be on its disk."""
    changed: list[RegionPeer] = field(default_factory=list)
    """Peers whose region is another one now, or that began to lead: the placement driver is to hear of it."""
    removed: list[RegionPeer] = field(default_factory=list)
    """Peers that are members no more."""
    drowsy: list[RegionPeer] = field(default_factory=list)
    """Peers in whose regions nothing has happened for long."""
    expelled: list[tuple[RegionId, Peer]] = field(default_factory=list)
    """Peers that leaders here have just removed: they stay until they are told."""


@final
class Answer:
    """Who waits, and hears of errors as a region's callers expect them. See `Waiter`."""

    __slots__ = ("_peer", "_waiter")

    def __init__(self, peer: RegionPeer, waiter: Waiter) -> None:
        self._peer = peer
        self._waiter = waiter

    def done(self) -> bool:
        """See `Waiter.done`."""
        return self._waiter.done()

    def set_result(self, result: object, /) -> None:
        """See `Waiter.set_result`; an exception is a result too."""
        if isinstance(result, Exception):
            self._waiter.set_exception(result)
        else:
            self._waiter.set_result(result)

    def set_exception(self, exception: Exception, /) -> None:
        """See `Waiter.set_exception`."""
        self._waiter.set_exception(explain(exception, self._peer.region))


def explain(error: Exception, region: Region) -> Exception:
    """An error of the layers below, as a region's callers expect it."""
    if isinstance(error, NotLeader):
        if error.leader_id == OVERTAKEN:
            return StaleCommand()
        return NotRegionLeader(region.id, region.peer(error.leader_id))
    if isinstance(error, ProposalDropped):
        if error.reason is DropReason.TRANSFERRING:
            return NotRegionLeader(region.id)
        return ServerIsBusy(str(error))
    if isinstance(error, ReadTimeout):
        return ReadIndexNotReady(region.id, str(error))
    if isinstance(error, Busy):
        return ServerIsBusy(str(error))
    if isinstance(error, NodeStopped):
        return NotRegionLeader(region.id)
    return error
