"""What the placement driver asks of a region's leader: one step at a time, in the answer to its heartbeat.

A step may come more than once, and late: it names the region's epoch as the driver knew it, and whoever is asked to do
what is already done, or is no longer possible, does nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import TypeAlias, final

from raftly.base.region import Peer, Region, RegionEpoch, RegionId


class ChangeKind(IntEnum):
    """A change of one peer. Numbers are those of eraftpb.ConfChangeType."""

    ADD_VOTER = 0  # promotes it if it is a learner
    REMOVE = 1
    ADD_LEARNER = 2  # demotes it if it is a voter


@final
@dataclass(frozen=True, slots=True)
class PeerChange:
    """What is to become of a peer."""

    kind: ChangeKind
    peer: Peer


@final
@dataclass(frozen=True, slots=True)
class TransferLeader:
    """Hand leadership to this peer."""

    peer: Peer


@final
@dataclass(frozen=True, slots=True)
class ChangePeers:
    """Make these changes at once: one alone simply, several by joint consensus. None: leave the joint state."""

    changes: tuple[PeerChange, ...] = ()


class SplitPolicy(IntEnum):
    """How to find where to split. Numbers are those of pdpb.CheckPolicy."""

    SCAN = 0  # read the keys
    APPROXIMATE = 1  # ask the engine
    USE_KEYS = 2  # at the keys given


@final
@dataclass(frozen=True, slots=True)
class SplitRegion:
    """Split at these keys, or in the middle when there are none."""

    keys: tuple[bytes, ...] = ()
    policy: SplitPolicy = SplitPolicy.APPROXIMATE


@final
@dataclass(frozen=True, slots=True)
class MergeInto:
    """Become part of this neighbour, which has its peers on the same stores."""

    target: Region


Step: TypeAlias = TransferLeader | ChangePeers | SplitRegion | MergeInto


@final
@dataclass(frozen=True, slots=True)
class Operator:
    """A step for one region. It is meant for the region at `epoch` and led by `leader`."""

    region_id: RegionId
    epoch: RegionEpoch
    leader: Peer
    step: Step
