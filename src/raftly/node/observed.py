"""Observed: what a node tells about itself, while it runs and to whoever asks.

`Observer` sits beside one replica. The hooks that its owner calls keep levels, counts and the log of events; each costs
next to nothing while nothing changes. `Observed` is the part of a node that is for looking at it.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final, Generic, Protocol, TypeVar, final

from raftly.base.types import NO_NODE, Entry, Index, NodeId
from raftly.core.raft import Raft
from raftly.core.role import Role
from raftly.core.tracker import ProgressState
from raftly.errors import RaftlyError, StorageError
from raftly.node.config import NodeConfig
from raftly.node.digests import Comparable, Digests, digest_of
from raftly.node.driver import Driver
from raftly.node.errors import Diverged, NodeStopped
from raftly.node.events import Applied, Leadership, Level, Members, members_of
from raftly.node.group import Group
from raftly.node.health import Disk, Follower, Health, Verdict, View, health, safe_to_stop
from raftly.node.intake import Intake
from raftly.node.logs import (
    DiskRecovered,
    DiskTrouble,
    ElectionStarted,
    Failed,
    LeaderChanged,
    LoopLate,
    MembersChanged,
    NodeEvent,
    NodeLog,
    SnapshotFailed,
    SnapshotMade,
    SnapshotRestored,
    Started,
    StateDiffers,
    Stopped,
    TooCostly,
    printable,
)
from raftly.node.measure import measure
from raftly.node.metrics import Metrics, NodeCounts, SnapshotCounts
from raftly.node.reads import Reads
from raftly.storage.log_store import LogStore
from raftly.transport.base import Transport
from raftly.transport.events import PeerStatus

T = TypeVar("T")
V = TypeVar("V")


class Machine(Comparable, Protocol):
    """The state machine, as far as it is looked at here."""

    on_comparison: Callable[[Entry], None]

    @property
    def sessions(self) -> Mapping[int, object]:
        """Those that are open."""
        ...


@final
@dataclass(frozen=True, slots=True)
class Parts:
    """What an Observer looks at."""

    config: NodeConfig
    group: Group
    driver: Driver
    store: LogStore
    transport: Transport
    reads: Reads
    machine: Machine
    snapshots: SnapshotCounts

    @property
    def raft(self) -> Raft:
        """The core of the group."""
        return self.group.raw.raft

    @property
    def election_s(self) -> float:
        """An election time-out, without its random part."""
        return self.config.tick * self.config.election_tick

    def peers(self) -> list[PeerStatus]:
        """What the transport knows of each node, if it is one that knows."""
        peers: object = getattr(self.transport, "peers", None)
        found: object = peers() if callable(peers) else []
        return [peer for peer in found if isinstance(peer, PeerStatus)] if isinstance(found, list) else []


@final
class Observer:
    """Watches one replica."""

    def __init__(self, parts: Parts, applied: Index, on_suspicion: Callable[[Diverged | None], None]) -> None:
        raft = parts.raft
        self.parts: Final = parts
        self.counts: Final = NodeCounts()
        self.applied: Final = Applied(applied)
        self.leadership: Final = Level(_leadership_of(raft))
        self.members: Final = Level(members_of(raft.tracker.config.conf_state()))
        self.started_at = 0.0  # of the loop's time
        self._log = NodeLog(parts.config.id, parts.group.id)
        self._raft = raft
        self._conf = raft.tracker.config
        self._role = raft.role
        self._leader: tuple[NodeId, int] = (NO_NODE, 0)  # told last, with its term
        self._placed: deque[tuple[Index, int, float]] = deque()  # proposals in this leader's log: last, count, when
        self._tick_at = 0.0
        self._snapshot_failure = ""
        self._snapshots_made = parts.snapshots.made
        self._failure: RaftlyError | None = None
        self.digests: Final = Digests(
            parts.config.id,
            lambda: digest_of(parts.machine),
            parts.config.digest_interval,
            self.counts,
            now=lambda: asyncio.get_running_loop().time(),
            members=lambda: members_of(raft.tracker.config.conf_state()),
            leads=lambda: raft.role is Role.LEADER,
            offer=parts.group.offer,
            on_differs=lambda *what: self._tell(StateDiffers(*what)),
            on_suspicion=on_suspicion,
            on_too_costly=lambda cost_s: self._tell(TooCostly(cost_s)),
            cost_max_s=parts.election_s / 4,
            skip_to=raft.log.committed,
        )
        parts.machine.on_comparison = self.digests.on_entry
        self._view = self.view(0.0)
        self.health: Final = Level(health(self._view))

    # --- hooks ---

    def on_started(self) -> None:
        """The node runs."""
        self.started_at = self._tick_at = asyncio.get_running_loop().time()
        self._tell(Started(self.applied.index, self.parts.group.log.last_index()))

    def on_placed(self, first: Index, count: int) -> None:
        """Proposals have a place in this leader's log."""
        self.counts.proposals += count
        self._placed.append((first + count - 1, count, asyncio.get_running_loop().time()))

    def on_applied(self, applied: Index, count: int) -> None:
        """A batch of entries was applied."""
        counts = self.counts
        counts.applied += count
        counts.batches += 1
        placed = self._placed
        if placed and placed[0][0] <= applied:
            now = asyncio.get_running_loop().time()
            while placed and placed[0][0] <= applied:
                _, entries, since = placed.popleft()
                counts.commit_s.observe(now - since, entries)
        self.applied.advance(applied)
        if self._raft.tracker.config is not self._conf:
            self._on_members()

    def on_restored(self, applied: Index) -> None:
        """The state was replaced by a snapshot."""
        self.parts.snapshots.restored += 1
        self._tell(SnapshotRestored(applied))
        self._placed.clear()
        self.digests.on_restored()
        self.applied.advance(applied)
        self._on_members()

    def on_soft_state(self) -> None:
        """Leader or role changed."""
        raft = self._raft
        if raft.role is not self._role:
            if self._role is Role.FOLLOWER and raft.role is not Role.LEADER:
                self.counts.elections += 1
                self._tell(ElectionStarted(raft.term))
            elif raft.role is Role.LEADER:
                self.counts.elections += self._role is Role.FOLLOWER  # a single voter needs no time for it
                self.counts.elections_won += 1
            self._role = raft.role
            self._placed.clear()
        if not self.leadership.set(_leadership_of(raft)):
            return
        self._look(asyncio.get_running_loop().time())
        known = (raft.leader, raft.term)
        if known[0] == NO_NODE == self._leader[0]:
            return  # still nobody, in a later term
        self._leader = known
        self.counts.leader_changes += raft.leader != NO_NODE
        self._tell(LeaderChanged(raft.term, raft.leader, raft.leader == raft.id))

    def on_tick(self, now: float, snapshot_failure: RaftlyError | None) -> None:
        """A tick passed. The term may rise under the same leader, which is no change of the soft state."""
        late = now - self._tick_at
        self._tick_at = now
        if late > self.parts.election_s:
            self._tell(LoopLate(late))
        self.on_soft_state()
        problem = "" if snapshot_failure is None else printable(str(snapshot_failure))
        if problem != self._snapshot_failure:
            self._snapshot_failure = problem
            if problem:
                self._tell(SnapshotFailed(problem))
        if self.parts.snapshots.made != self._snapshots_made:
            self._snapshots_made = self.parts.snapshots.made
            self._tell(SnapshotMade(self.applied.index))
        self.digests.on_tick(self.applied.index)
        self._look(now)

    def close(self, failure: RaftlyError) -> None:
        """The node stopped or failed: all streams end, once they gave that."""
        if self._failure is not None:
            return
        self._failure = failure
        loop = asyncio.get_running_loop()
        self._look(loop.time())
        is_stop = isinstance(failure, NodeStopped)
        self._tell(Stopped() if is_stop else Failed(failure.code, printable(str(failure))))
        self.applied.close(failure)
        for level in (self.leadership, self.members, self.health):
            level.close()

    # --- what follows from them ---

    def view(self, now: float) -> View:
        """What this node knows now."""
        raft = self._raft
        followers: dict[NodeId, Follower] = {}
        if raft.role is Role.LEADER:
            for id_, peer in raft.tracker.peers:
                if id_ != raft.id:
                    followers[id_] = Follower(peer.match, peer.state is ProgressState.SNAPSHOT)
        return View(
            raft.id,
            raft.role,
            raft.leader,
            raft.term,
            self.members.value,
            raft.log.committed,
            followers,
            self._unreachable(),
            self._disk(now),
            self.parts.reads.is_leased(),
            "" if self._failure is None else printable(str(self._failure)),
            self._snapshot_failure,
            "" if self.digests.suspicion is None else str(self.digests.suspicion),
        )

    def _unreachable(self) -> frozenset[NodeId]:
        """Who the transport cannot reach; at a leader, also who has been silent for an election time-out."""
        contacts = self.parts.driver.contacts
        lost = {peer.node_id for peer in self.parts.peers() if not peer.connected} | contacts.lost
        if self._raft.role is Role.LEADER:
            patience = self.parts.config.election_tick
            lost |= {id_ for id_ in self.members.value.all() if (contacts.silent_ticks(id_) or 0) > patience}
        lost.discard(self._raft.id)
        return frozenset(lost)

    def _disk(self, now: float) -> Disk:
        driver = self.parts.driver
        if isinstance(driver.failure, StorageError):
            return Disk.FAILED
        if driver.disk_full is not None:
            return Disk.FULL
        return Disk.STALLED if driver.writing_s(now) > self.parts.election_s else Disk.OK

    def _look(self, now: float) -> None:
        view = self.view(now)
        if view == self._view:
            return
        self._view = view
        before = self.health.value.disk
        self.health.set(health(view))
        disk = self.health.value.disk
        if disk is not before and disk is not Disk.FAILED:  # Failed tells of that
            self._tell(DiskRecovered() if disk is Disk.OK else DiskTrouble(disk.name, disk.value))

    def _on_members(self) -> None:
        self._conf = self._raft.tracker.config
        members = members_of(self._conf.conf_state())
        if self.members.set(members):
            learners = tuple(sorted({*members.learners, *members.coming_learners}))
            self._tell(MembersChanged(members.voters, members.outgoing, learners))

    def _tell(self, event: NodeEvent) -> None:
        self._log.tell(event, self._raft.term)


def _leadership_of(raft: Raft) -> Leadership:
    return Leadership(raft.leader, raft.term, raft.leader == raft.id)


class Observed(Generic[T]):
    """The part of a node that is for looking at it."""

    _observer: Observer
    _intake: Intake[T]

    def calls_in_flight(self) -> int:
        """Calls that wait for their result here."""
        return self._intake.count()

    def leadership(self) -> Level[Leadership]:
        """Who leads: `async for` gives it now and after each change, until the node stops; `.value` now."""
        return self._observer.leadership

    def membership(self) -> Level[Members]:
        """Voters, learners, and whether a change is under way; as `leadership`."""
        return self._observer.members

    def health(self) -> Level[Health]:
        """Is there a leader, and if not, why; what is wrong; in words. As `leadership`; looked at once a tick."""
        return self._observer.health

    def safe_to_stop(self, id: NodeId) -> Verdict:
        """May node `id` be stopped, so that the others go on at once? True or not, and why. Only the leader knows."""
        observer = self._observer
        return safe_to_stop(observer.view(asyncio.get_running_loop().time()), id)

    def metrics(self) -> Metrics:
        """All numbers, as of now (`raftly.node.metrics`)."""
        return measure(self._observer.parts, self._observer, self.calls_in_flight())

    async def next_change(self, after: Index) -> Index:
        """Wait until an entry beyond `after` is applied here; the index that is applied then.

        At once when that is so already, and several changes at once are one: look at the state after each return.
        0 returns when anything is applied at all.

        Raises:
            RaftlyError: the node stopped or failed (its `failure`).
        """
        return await self._observer.applied.next_change(after)

    async def wait_applied(self, index: Index, *, within: float | None = None) -> Index:
        """Wait until `index` is applied here; the index that is applied then.

        Raises:
            ReadTimeout: it was not, within so many seconds (`call_timeout`).
            RaftlyError: the node stopped or failed.
        """
        applied = self._observer.applied
        patience = within or self._observer.parts.config.call_timeout
        await applied.wait_until(lambda: applied.index >= index, patience, f"applying entry {index}")
        return applied.index

    async def wait_until(self, predicate: Callable[[], V], *, within: float | None = None) -> V:
        """Evaluate `predicate`, most often a `look`, now and after each batch of entries; its first true value.

        Raises:
            ReadTimeout: it did not become true within so many seconds (`call_timeout`).
            RaftlyError: the node stopped or failed.
            Exception: whatever `predicate` raises.
        """
        patience = within or self._observer.parts.config.call_timeout
        return await self._observer.applied.wait_until(predicate, patience, "what was waited for")
