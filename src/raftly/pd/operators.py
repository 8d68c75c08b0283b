"""Plans: what the placement driver wants done with a region, step by step.

A plan is what TiKV's placement driver calls an operator. Each step says whether a report shows it done, and what to ask
the region's leader for until then. A step is asked for again with every heartbeat, so nothing depends on an answer that
is not lost; and a plan is given up when the region changed otherwise than the plan would have it, or time is over.
`moves` has the ways from here to there.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from typing import ClassVar, TypeAlias, final

from raftly.base.heartbeats import RegionReport
from raftly.base.operators import (
    ChangeKind,
    ChangePeers,
    MergeInto,
    Operator,
    PeerChange,
    SplitPolicy,
    SplitRegion,
    Step,
    TransferLeader,
)
from raftly.base.region import Peer, PeerRole, Region, RegionId, StoreId
from raftly.pd.config import ScheduleConfig


class PlanKind(Enum):
    """Why a plan is made; each kind has a limit of its own."""

    REPAIR = "replica"
    LEADER = "balance-leader"
    REGION = "balance-region"
    HOT = "hot-region"
    MERGE = "merge"
    SCATTER = "scatter"
    SPLIT = "split"
    ADMIN = "admin"

    @property
    def is_urgent(self) -> bool:
        """May it take the place of a plan that is not?"""
        return self in (PlanKind.REPAIR, PlanKind.ADMIN)


class PlanEnd(Enum):
    """How a plan ended, or that it has not. pdpb.OperatorStatus has the same."""

    SUCCESS = 0
    TIMEOUT = 1
    CANCEL = 2
    REPLACE = 3
    RUNNING = 4


# --- steps -----------------------------------------------------------------------------------------------------


@final
@dataclass(frozen=True, slots=True)
class AddLearner:
    """Make an empty replica, and wait until it has what it lacks."""

    peer: Peer  # a learner

    moves_data: ClassVar[bool] = True

    def is_done(self, report: RegionReport) -> bool:
        return report.region.peer(self.peer.id) is not None and not _is_pending(report, self.peer)

    def ask(self, report: RegionReport) -> Step | None:
        if report.region.peer(self.peer.id) is not None:
            return None  # it is catching up
        return ChangePeers((PeerChange(ChangeKind.ADD_LEARNER, self.peer),))

    def __str__(self) -> str:
        return f"add learner {self.peer.id} on store {self.peer.store_id}"


@final
@dataclass(frozen=True, slots=True)
class Promote:
    """Give a learner its vote."""

    peer: Peer

    moves_data: ClassVar[bool] = False

    def is_done(self, report: RegionReport) -> bool:
        peer = report.region.peer(self.peer.id)
        return peer is not None and peer.role is PeerRole.VOTER

    def ask(self, report: RegionReport) -> Step | None:
        return ChangePeers((PeerChange(ChangeKind.ADD_VOTER, _as_voter(self.peer)),))

    def __str__(self) -> str:
        return f"promote peer {self.peer.id} on store {self.peer.store_id}"


@final
@dataclass(frozen=True, slots=True)
class Swap:
    """Give a learner its vote and take another peer's in the same step, through the joint state."""

    promoted: Peer
    demoted: Peer

    moves_data: ClassVar[bool] = False

    def is_done(self, report: RegionReport) -> bool:
        new, old = report.region.peer(self.promoted.id), report.region.peer(self.demoted.id)
        return new is not None and new.role is PeerRole.VOTER and (old is None or old.is_learner)

    def ask(self, report: RegionReport) -> Step | None:
        if is_joint(report.region):
            return ChangePeers()
        if report.leader.id == self.demoted.id:
            return None  # it hands over first: `Plan.ask`
        return ChangePeers(
            (
                PeerChange(ChangeKind.ADD_VOTER, _as_voter(self.promoted)),
                PeerChange(ChangeKind.ADD_LEARNER, Peer(self.demoted.id, self.demoted.store_id, PeerRole.LEARNER)),
            )
        )

    def __str__(self) -> str:
        return f"promote peer {self.promoted.id}, demote peer {self.demoted.id}"


@final
@dataclass(frozen=True, slots=True)
class LeaveJoint:
    """End a change of peers that somebody began."""

    moves_data: ClassVar[bool] = False

    def is_done(self, report: RegionReport) -> bool:
        return not is_joint(report.region)

    def ask(self, report: RegionReport) -> Step | None:
        return ChangePeers()

    def __str__(self) -> str:
        return "leave the joint state"


@final
@dataclass(frozen=True, slots=True)
class RemovePeer:
    """Let a replica go."""

    peer: Peer

    moves_data: ClassVar[bool] = False

    def is_done(self, report: RegionReport) -> bool:
        return report.region.peer(self.peer.id) is None

    def ask(self, report: RegionReport) -> Step | None:
        if report.leader.id == self.peer.id:
            return None  # it hands over first: `Plan.ask`
        return ChangePeers((PeerChange(ChangeKind.REMOVE, self.peer),))

    def __str__(self) -> str:
        return f"remove peer {self.peer.id} from store {self.peer.store_id}"


@final
@dataclass(frozen=True, slots=True)
class Transfer:
    """Hand leadership to the peer on a store."""

    store_id: StoreId

    moves_data: ClassVar[bool] = False

    def is_done(self, report: RegionReport) -> bool:
        return report.leader.store_id == self.store_id

    def ask(self, report: RegionReport) -> Step | None:
        peer = report.region.peer_on(self.store_id)
        return None if peer is None or peer.role is not PeerRole.VOTER else TransferLeader(peer)

    def __str__(self) -> str:
        return f"transfer leadership to store {self.store_id}"


@final
@dataclass(frozen=True, slots=True)
class Split:
    """Cut the region, at these keys or in the middle."""

    version: int  # the region's, before
    keys: tuple[bytes, ...] = ()
    policy: SplitPolicy = SplitPolicy.APPROXIMATE

    moves_data: ClassVar[bool] = False

    def is_done(self, report: RegionReport) -> bool:
        return report.region.epoch.version > self.version

    def ask(self, report: RegionReport) -> Step | None:
        return SplitRegion(self.keys, self.policy)

    def __str__(self) -> str:
        return f"split at {len(self.keys)} keys" if self.keys else "split in the middle"


@final
@dataclass(frozen=True, slots=True)
class Merge:
    """Become part of a neighbour. Done when the neighbour reports a range that covers this one."""

    target: Region

    moves_data: ClassVar[bool] = True

    def is_done(self, report: RegionReport) -> bool:
        return False  # a region that was merged reports no more; `Coordinator.on_displaced`

    def ask(self, report: RegionReport) -> Step | None:
        return MergeInto(self.target)

    def __str__(self) -> str:
        return f"merge into region {self.target.id}"


PlanStep: TypeAlias = AddLearner | Promote | Swap | LeaveJoint | RemovePeer | Transfer | Split | Merge


# --- plans -----------------------------------------------------------------------------------------------------


@final
@dataclass(slots=True)
class Plan:
    """Steps for one region, in their order."""

    kind: PlanKind
    region: Region  # as it was when the plan was made
    steps: tuple[PlanStep, ...]
    locked: tuple[RegionId, ...] = ()  # other regions that must not be planned with meanwhile
    current: int = 0
    step_began_s: float = 0.0
    end: PlanEnd = PlanEnd.RUNNING
    counted_bytes: int = 0  # what it was taken for while it is under way, and whose leader
    counted_leader: StoreId = 0
    added: frozenset[int] = field(init=False)  # peers that it brings

    def __post_init__(self) -> None:
        assert self.steps, "a plan has something to do"
        self.added = frozenset(step.peer.id for step in self.steps if isinstance(step, AddLearner))

    @property
    def region_id(self) -> RegionId:
        """The region that it is for."""
        return self.region.id

    def stores_in(self) -> tuple[StoreId, ...]:
        """Stores that get a peer."""
        return tuple(step.peer.store_id for step in self.steps if isinstance(step, AddLearner))

    def stores_out(self) -> tuple[StoreId, ...]:
        """Stores that lose one."""
        return tuple(step.peer.store_id for step in self.steps if isinstance(step, RemovePeer))

    def advance(self, report: RegionReport, now_s: float) -> bool:
        """Pass over steps that are done; is the plan complete?"""
        while self.current < len(self.steps) and self.steps[self.current].is_done(report):
            self.current += 1
            self.step_began_s = now_s
        return self.current == len(self.steps)

    def is_overtaken(self, report: RegionReport) -> bool:
        """Did the region change otherwise than this plan would have it?"""
        region = report.region
        if region.epoch.version != self.region.epoch.version:
            if isinstance(self.steps[min(self.current, len(self.steps) - 1)], Merge):
                return region.epoch.version != self.region.epoch.version + 1  # it is prepared; one more: rolled back
            return not isinstance(self.steps[min(self.current, len(self.steps) - 1)], Split)
        known = {peer.id for peer in self.region.peers} | self.added
        if any(peer.id not in known for peer in region.peers):
            return True
        step = self.steps[self.current] if self.current < len(self.steps) else None
        gone = step.promoted if isinstance(step, Swap) else step.peer if isinstance(step, Promote) else None
        if isinstance(step, Transfer):
            return region.peer_on(step.store_id) is None
        return gone is not None and region.peer(gone.id) is None

    def unseats_leader(self, report: RegionReport) -> bool:
        """Does its step take the vote of who leads now? Leadership may come to any voter in the middle of a plan."""
        step = self.steps[self.current]
        going = step.demoted if isinstance(step, Swap) else step.peer if isinstance(step, RemovePeer) else None
        return going is not None and going.id == report.leader.id and not is_joint(report.region)

    def is_late(self, config: ScheduleConfig, now_s: float) -> bool:
        """Does its step take too long?"""
        step = self.steps[min(self.current, len(self.steps) - 1)]
        bound_s = config.step_timeout_s if step.moves_data else config.transfer_timeout_s
        return now_s - self.step_began_s > bound_s

    def ask(self, report: RegionReport, successor: StoreId | None = None) -> Operator | None:
        """What to ask the region's leader for now; None: wait.

        `successor`: the store to hand over to if the step `unseats_leader`; None: there is none, so it waits.
        """
        first = None if successor is None or not self.unseats_leader(report) else Transfer(successor)
        step = (first or self.steps[self.current]).ask(report)
        return None if step is None else Operator(report.region.id, report.region.epoch, report.leader, step)

    def __str__(self) -> str:
        return f"{self.kind.value} region {self.region_id}: " + ", ".join(map(str, self.steps))


def is_joint(region: Region) -> bool:
    """Is a change of its peers under way, so that two majorities decide?"""
    return any(peer.role in (PeerRole.INCOMING_VOTER, PeerRole.DEMOTING_VOTER) for peer in region.peers)


def _is_pending(report: RegionReport, peer: Peer) -> bool:
    return any(pending.id == peer.id for pending in report.pending_peers)


def _as_voter(peer: Peer) -> Peer:
    return Peer(peer.id, peer.store_id, PeerRole.VOTER)
