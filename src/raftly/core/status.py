"""What a node tells of itself, as values."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, final

from raftly.base.membership import ConfState
from raftly.base.types import NO_NODE, HardState, Index, NodeId
from raftly.core.role import Role
from raftly.core.tracker import Progress

if TYPE_CHECKING:
    from raftly.core.raft import Raft


@final
@dataclass(init=False, slots=True, unsafe_hash=True)
class SoftState:
    """What a node need not remember: who leads, and its own role."""

    leader: NodeId
    role: Role

    def __init__(self, leader: NodeId = NO_NODE, role: Role = Role.FOLLOWER) -> None:
        self.leader = leader
        self.role = role


@final
@dataclass(frozen=True, slots=True)
class BasicStatus:
    """The cheap part: no peer is visited."""

    id: NodeId
    hard_state: HardState
    soft_state: SoftState
    applied: Index
    persisted: Index
    lead_transferee: NodeId


@final
@dataclass(frozen=True, slots=True)
class Status:
    """Everything: the membership always, each peer's progress (copies) only at a leader."""

    basic: BasicStatus
    conf_state: ConfState
    progress: dict[NodeId, Progress] = field(default_factory=dict)


def basic_status(raft: Raft) -> BasicStatus:
    """The cheap part of the status, as of now."""
    log = raft.log
    return BasicStatus(
        raft.id,
        HardState(raft.term, raft.vote, log.committed),
        SoftState(raft.leader, raft.role),
        log.applied,
        log.persisted_index(),
        raft.lead_transferee,
    )


def status(raft: Raft) -> Status:
    """The whole status, as of now."""
    progress: dict[int, Progress] = {}
    if raft.role is Role.LEADER:
        for id_, peer in raft.tracker.peers:
            copy = peer.copy()
            copy.inflights = peer.inflights.copy()
            progress[id_] = copy
    return Status(basic_status(raft), raft.tracker.config.conf_state(), progress)
