"""Hibernation: a region in which nothing happens is not ticked, and nobody sends anything for it.

    leader                                   follower
      nothing for `hibernate_ticks`,
      all logs end where its own does
      ── SLEEP, last index ────────────────► its log ends there too, applied: not ticked any more
      ◄───────────────────── ASLEEP, index ──
      all have answered before the next
      heartbeat: not ticked any more

A message for the region, a proposal, a read or a lost connection to a member's store wakes a peer. A follower that
wakes alone asks for a vote in the end, and that wakes the others. SLEEP comes between two heartbeats, when the answers
to the last one are in, so that none of them wakes the leader again.

A lease is not touched by this: it is counted by a clock, and a sleeping voter keeps its promise longer, not shorter.

Source: the idea is TiKV's hibernate regions; there every heartbeat of an idle leader asks for votes to sleep.
"""

from __future__ import annotations

from typing import Final, final

from raftly.base.region import PeerId, Region, StoreId
from raftly.base.types import NO_NODE, Index
from raftly.core.raft import Raft
from raftly.core.role import Role

_ASK_AT: Final = 1  # ticks after a heartbeat


def may_lead_to_sleep(raft: Raft) -> bool:
    """Does every member of this leader's group have all of its log, with nothing under way, and is it time to ask?"""
    log = raft.log
    last = log.last_index
    return (
        raft.role is Role.LEADER
        and raft.heartbeat_elapsed == _ASK_AT
        and log.applied == log.committed == last == log.persisted_index()
        and raft.lead_transferee == NO_NODE
        and not raft.tracker.config.voters.outgoing.ids
        and raft.read_only.waiting() == 0
        and all(progress.match == last for _, progress in raft.tracker.peers)
    )


def may_follow_to_sleep(raft: Raft, last: Index) -> bool:
    """Is this a follower whose log ends at `last`, all applied, so that it may do as its leader asks?"""
    log = raft.log
    return (
        raft.role is Role.FOLLOWER
        and raft.leader != NO_NODE
        and log.applied == log.committed == log.last_index == last == log.persisted_index()
    )


@final
class SleepRound:
    """The answers to a leader's SLEEP; a new one is begun after every heartbeat."""

    __slots__ = ("_missing", "index")

    def __init__(self, region: Region, own: PeerId, index: Index) -> None:
        self.index = index
        self._missing = {peer.id for peer in region.peers if peer.id != own}

    def on_asleep(self, peer_id: PeerId, index: Index) -> bool:
        """A member sleeps; do all?"""
        if index == self.index:
            self._missing.discard(peer_id)
        return not self._missing

    @property
    def is_over(self) -> bool:
        """Do all sleep? So from the beginning where a leader is alone."""
        return not self._missing


def others_of(region: Region, own: PeerId) -> list[tuple[StoreId, PeerId]]:
    """Whom to ask."""
    return [(peer.store_id, peer.id) for peer in region.peers if peer.id != own]
