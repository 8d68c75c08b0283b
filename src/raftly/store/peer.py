"""RegionPeer: one replica of one region: what it proposes, what it applies, and who waits for it.

It decides for itself and touches the world through its store's `Shared`. What concerns other peers too, a split or its
own removal, it leaves in `Shared` for the store, which carries it out when the round has been written.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from typing import Any, Final, final

from raftly.base.membership import ConfChangeTransition, ConfChangeV2
from raftly.base.operators import ChangeKind, PeerChange
from raftly.base.region import Peer, PeerId, Region, RegionId
from raftly.base.region_errors import (
    NotRegionLeader,
    ProposalInMergingMode,
    RaftEntryTooLarge,
    ReadIndexNotReady,
    RegionNotFound,
    ServerIsBusy,
)
from raftly.base.types import NO_NODE, Entry, EntryType, Index, Snapshot, Term
from raftly.core.messages import MsgSnap
from raftly.core.raw_node import RawNode
from raftly.core.readindex import ReadState
from raftly.core.role import Role
from raftly.core.status import SoftState
from raftly.errors import ConfChangeError, NotLeader, OutcomeUnknown, RaftlyError
from raftly.node.errors import ChangePending
from raftly.node.group import Group, Proposal, Waiter
from raftly.node.reads import FOLLOWER, STRONG, Reads
from raftly.node.waiting import Waiting
from raftly.store.apply import apply_change, apply_split, apply_write
from raftly.store.changes import problem_with_changes, singles_of
from raftly.store.checks import Standing, check_epoch, check_keys, check_request
from raftly.store.command import (
    Commit,
    NewRegion,
    Prepare,
    Rollback,
    Write,
    decode_command,
    encode_change,
    encode_split,
    encode_write,
)
from raftly.store.hibernation import SleepRound
from raftly.store.kv import RequestContext
from raftly.store.merge import FROM_BIRTH, Heir, Merging
from raftly.store.merging import (
    SourceMissing,
    apply_commit,
    apply_prepare,
    apply_rollback,
    refuse_while_merging,
)
from raftly.store.ops import Op
from raftly.store.reader import EngineReader, Meter
from raftly.store.region_state import PeerState, RegionState, put_region_state
from raftly.store.shared import OVERTAKEN, Answer, Shared, explain

_log: Final = logging.getLogger("raftly.store")
_NORMAL: Final = EntryType.NORMAL
_LEADER: Final = Role.LEADER


@final
class RegionPeer:
    """See `GroupHandler`. `start` puts it into the driver; before, it has no group and serves nothing."""

    __slots__ = (
        "_gone",
        "_held",
        "_leading",
        "_reads",
        "_results",
        "applied",
        "applied_term",
        "began",
        "checked_bytes",
        "failure",
        "group",
        "heir",
        "idle_ticks",
        "is_absorbed",
        "is_expelled",
        "keys",
        "leaderless_ticks",
        "log_floor",
        "merging",
        "meter",
        "peer_id",
        "region",
        "shared",
        "sleep_round",
        "stalled_by",
        "waiting",
        "written_bytes",
    )

    def __init__(self, shared: Shared, region: Region, peer_id: PeerId, applied: Index = 0, term: Term = 0) -> None:
        self.region = region
        self.peer_id = peer_id
        self.applied = applied
        self.applied_term = term
        self.group: Group | None = None
        self.failure: Exception | None = None
        self.waiting = Waiting()
        self.idle_ticks = 0
        self.sleep_round: SleepRound | None = None
        self.leaderless_ticks = 0
        self.is_expelled = bool(region.peers) and region.peer(peer_id) is None
        """It applied its own removal. It stays, and votes, until it hears that nobody can need it any more."""
        self.meter = Meter()
        self.written_bytes = 0
        self.checked_bytes = 0  # of them, when it was last looked at for a split
        self.keys = 0
        """About how many there are: as many as were counted when it was last walked over, and one a write since."""
        self.shared = shared
        self.began = FROM_BIRTH  # the region's epoch when a snapshot gave this peer its keys
        self.merging: Merging | None = None
        self.log_floor: Index | None = None  # it proposed to merge: the log behind this entry stays
        self.is_absorbed = False  # it ended in a merge, this round: nothing is applied any more
        self.heir: Heir | None = None  # somebody has said that its region is part of this one
        self.stalled_by: RegionId | None = None  # a region without whose peer it cannot apply its next entry
        self._reads: Reads | None = None
        self._results: list[tuple[Entry, object]] = []  # of entries applied and not written yet
        self._leading = False
        self._held: list[Proposal] = []  # writes that wait at the brake
        self._gone = 0  # how many have waited there and do no more

    def start(self, seed: int, *, new: bool = False) -> Group:
        """Take part, from what the log and the engine hold. `new`: this peer never took part before."""
        shared = self.shared
        config = shared.options.core(self.peer_id, self.applied, seed)
        homes = {peer.id: peer.store_id for peer in self.region.peers}
        group = self.group = shared.driver.add_group(self.region.id, config, self, homes)
        group.log.latest_snapshot = lambda to: shared.sender.latest(self, to)
        if new:  # it has promised no leader anything that it might have forgotten
            group.raw.raft.heard_elapsed = config.lease_tick
        return group

    # --- standing ---

    @property
    def is_initialized(self) -> bool:
        """Does it have a region? One that a message created waits for a snapshot."""
        return bool(self.region.peers)

    @property
    def is_leader(self) -> bool:
        """Does it lead, as far as it knows?"""
        return self.group is not None and self.group.raw.raft.role is _LEADER

    @property
    def knows_all(self) -> bool:
        """Does it lead, with all applied that was committed before? Its region is no older than any other's."""
        return self.is_leader and self.group is not None and self.group.raw.raft.applied_in_term()

    @property
    def is_leased(self) -> bool:
        """Does it lead for certain, with all that is committed applied?"""
        return self._reads is not None and self._reads.is_leased()

    @property
    def term(self) -> Term:
        """The term it is in."""
        return 0 if self.group is None else self.group.raw.raft.term

    @property
    def leader(self) -> Peer | None:
        """Who leads, as far as it knows."""
        if self.group is None or self.group.raw.raft.leader == NO_NODE:
            return None
        return self.region.peer(self.group.raw.raft.leader)

    def own(self) -> Peer:
        """Itself, as the region has it."""
        return self.region.peer(self.peer_id) or Peer(self.peer_id, self.shared.store_id)

    def standing(self) -> Standing:
        """For the checks."""
        return Standing(self.region, self.peer_id, self.leader, self.term)

    def _check(self, ctx: RequestContext, *, needs_leader: bool) -> None:
        if self.failure is not None or self.group is None:  # a snapshot may be taking the place of its keys
            raise RegionNotFound(self.region.id)
        check_request(ctx, self.standing(), needs_leader=needs_leader)
        if ctx.epoch.version != self.region.epoch.version:
            check_epoch(ctx, self.region, self.shared.regions.next_to(self.region))
        if self.merging is not None:  # whatever lease or read index says: another region may have its keys by now
            refuse_while_merging(self)

    def check_admin(self, ctx: RequestContext) -> None:
        """May this peer be asked to change its region?

        Raises:
            RegionError: no.
        """
        self._check(ctx, needs_leader=True)

    # --- what callers do ---

    def submit(self, ctx: RequestContext, ops: Sequence[Op], deadline: float, waiter: Waiter) -> None:
        """See `KvBackend.submit`."""
        self._check(ctx, needs_leader=True)
        region = self.region
        check_keys(region, ops)
        payload = encode_write(region.epoch.version, ops)
        if len(payload) > self.shared.options.entry_bytes_max:
            raise RaftEntryTooLarge(region.id, len(payload))
        now = asyncio.get_running_loop().time()
        delay = self.shared.brake.delay(now)
        self._propose(payload, deadline, waiter, min(delay, max(deadline - now, 0.0) / 2))

    def split(self, news: Sequence[NewRegion], deadline: float) -> asyncio.Future[list[object]]:
        """Cut the region at these keys; the result is the parts, this region first.

        Raises:
            NotRegionLeader, ServerIsBusy: see there.
        """
        if not self.is_leader:
            raise NotRegionLeader(self.region.id, self.leader)
        refuse_while_merging(self)
        future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self._propose(encode_split(self.region.epoch.version, news), deadline, future)
        return future

    def _propose(self, payload: bytes, deadline: float, waiter: Waiter, delay: float = 0.0) -> None:
        group = self.group
        assert group is not None
        brake = self.shared.brake
        count = len(self.waiting.places) + len(group.proposals) + brake.waiting
        if count >= self.shared.options.calls_max:
            raise ServerIsBusy(f"{count} writes of region {self.region.id} are in flight")
        self.idle_ticks = 0
        proposal = Proposal(payload, Answer(self, waiter), deadline)
        if delay:
            brake.waiting += 1
            self._held.append(proposal)
            asyncio.get_running_loop().call_later(delay, self._let_go, self._last_held)
        else:
            if self._held:  # a write that is sent again must not come behind one that was sent after it
                self._let_go(self._last_held)
            group.propose(proposal)

    @property
    def _last_held(self) -> int:
        return self._gone + len(self._held)

    def _let_go(self, number: int) -> None:
        """Propose what waited at the brake, in the order in which it came, up to this one of all that ever did."""
        count = number - self._gone
        if count <= 0:
            return  # it went with one behind it
        going, self._held = self._held[:count], self._held[count:]
        self._gone = number
        self.shared.brake.waiting -= count
        for proposal in going:
            if self.group is None or not self.is_leader:
                proposal.refuse(NotRegionLeader(self.region.id, self.leader))
            elif not proposal.future.done():
                self.group.propose(proposal)

    def read_now(self, ctx: RequestContext) -> EngineReader | None:
        """See `KvBackend.read_now`."""
        self._check(ctx, needs_leader=not ctx.replica_read)
        if self._reads is not None and self._reads.by_lease():
            self.idle_ticks = 0
            return EngineReader(self.shared.round.engine, self.region, self.meter)
        return None

    async def read(self, ctx: RequestContext, deadline: float) -> EngineReader:
        """See `KvBackend.read`."""
        self._check(ctx, needs_leader=not ctx.replica_read)
        self.idle_ticks = 0
        within = deadline - asyncio.get_running_loop().time()
        try:
            await self.reads().wait(FOLLOWER if ctx.replica_read else STRONG, within)
        except RaftlyError as error:
            raise explain(error, self.region) from error
        self._check(ctx, needs_leader=False)  # the region may have changed meanwhile
        return EngineReader(self.shared.round.engine, self.region, self.meter)

    def reads(self) -> Reads:
        """Made when the first read comes: most regions of a store have none."""
        if self._reads is None:
            assert self.group is not None
            options = self.shared.options
            retry = 2 * options.heartbeat_tick * options.tick
            number = self.group.config.seed  # drawn anew at every start
            self._reads = Reads(self.group, options.lease, retry, options.calls_max, self.shared.clock, number)
            self._reads.on_applied(self.applied)
        return self._reads

    # --- what the placement driver asks ---

    def transfer_leader(self, to: Peer) -> bool:
        """Hand leadership to a voter; False: that is not possible now."""
        group = self.group
        if group is None or not self.is_leader or to.id == self.peer_id:
            return False
        if to.id not in group.raw.raft.tracker.config.voters.ids():
            return False
        if to.store_id in self.shared.driver.contacts.lost:  # nothing would be written until the transfer is given up
            self.shared.driver.wake(group)  # so that it is heard, should it be there again
            return False
        group.act(lambda raw: raw.transfer_leader(to.id))
        return True

    def change_peers(self, changes: Sequence[PeerChange], deadline: float) -> asyncio.Future[list[object]] | None:
        """Change members; done when that is applied here. None: nothing is left to be done.

        Raises:
            NotRegionLeader: this peer does not lead.
            ConfChangeError: it must not be done.
        """
        group = self.group
        if group is None or not self.is_leader:
            raise NotRegionLeader(self.region.id, self.leader)
        refuse_while_merging(self)
        if not changes:
            return None  # the leader leaves a joint state by itself
        singles = singles_of(self.region, changes)
        if not singles:
            return None
        problem = problem_with_changes(self.region, self.peer_id, changes)
        if problem:
            raise ConfChangeError(problem)
        newcomers = [change.peer for change in changes if change.kind is not ChangeKind.REMOVE]
        context = encode_change(self.region.epoch.conf_ver, newcomers)
        return self.propose_now(ConfChangeV2(singles, ConfChangeTransition.AUTO, context), deadline)

    def propose_now(self, what: bytes | ConfChangeV2, deadline: float) -> asyncio.Future[list[object]]:
        """Give a command, or a change of members, its place in the log of this leader at once: behind what is there."""
        group = self.group
        assert group is not None
        future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        proposal = Proposal(b"", Answer(self, future), deadline)
        self.idle_ticks = 0
        try:
            group.act(lambda raw: self._propose_now(raw, what, proposal))
        except RaftlyError as error:
            future.set_exception(explain(error, self.region))
        return future

    def _propose_now(self, raw: RawNode, what: bytes | ConfChangeV2, proposal: Proposal) -> None:
        if raw.raft.role is not _LEADER:
            raise NotLeader(raw.raft.leader)
        if isinstance(what, bytes):
            index = raw.propose(what)
        else:
            index = raw.propose_conf_change(what)
            if raw.raft.pending_conf_index != index:
                raise ChangePending("another change of peers is under way")
        proposal.term = raw.raft.term
        self.waiting.place(index, [proposal])

    # --- what the driver brings ---

    def on_placed(self, first: Index, proposals: list[Proposal]) -> None:
        """See `GroupHandler.on_placed`."""
        self.waiting.place(first, proposals)

    def on_passed_on(self, payload: bytes) -> bytes | None:
        """See `GroupHandler.on_passed_on`: commands are proposed where their region is led, and nowhere else."""
        return None

    def on_committed(self, entries: list[Entry]) -> None:
        """See `GroupHandler.on_committed`."""
        if self.is_absorbed or self.stalled_by is not None:
            return
        self.shared.round.begin(self)
        results = self._results
        for entry in entries:
            if self.is_expelled:
                break  # what follows its removal does not concern it
            result: object = None
            if entry.type is not _NORMAL:
                result = apply_change(self, entry)
            elif data := entry.data:
                try:
                    result = self._apply(data, entry.index)
                except SourceMissing as missing:
                    self.stalled_by = missing.region_id
                    self.shared.stalled.append(self)
                    break
            self.applied, self.applied_term = entry.index, entry.term
            results.append((entry, result))

    def on_written(self) -> None:
        """See `Applier.on_written`."""
        results, self._results = self._results, []
        waiting = self.waiting
        if waiting.places:
            for entry, result in results:
                waiting.resolve(entry, result, OVERTAKEN)
        if self._reads is not None:
            self._reads.on_applied(self.applied)

    def _apply(self, data: bytes, index: Index) -> object:
        command = decode_command(data)
        if isinstance(command, Rollback):
            return apply_rollback(self, command)
        if self.merging is not None:  # on every replica alike
            return ProposalInMergingMode(self.region.id)
        if isinstance(command, Write):
            result = apply_write(self.shared.round, self.region, command)
            self.written_bytes += len(data)
            self.keys += len(command.ops)
            return result
        if isinstance(command, Prepare):
            return apply_prepare(self, command, index)
        if isinstance(command, Commit):
            return apply_commit(self, command, index)
        return apply_split(self, command)

    def take_region(self, region: Region) -> None:
        """The region is another one now: in memory at once, in the engine with the round."""
        self.region = region
        self.is_expelled = region.peer(self.peer_id) is None
        self.shared.regions.put(region)
        put_region_state(self.shared.round.batch, RegionState(PeerState.NORMAL, self.peer_id, region))
        self.shared.changed.append(self)

    def on_snapshot(self, snapshot: Snapshot) -> None:
        """See `GroupHandler.on_snapshot`: snapshots come as streams, and a peer begins anew behind one."""
        raise AssertionError(f"a snapshot at {snapshot.meta.index} was stepped")

    def on_send_snapshot(self, message: MsgSnap) -> None:
        """See `GroupHandler.on_send_snapshot`."""
        self.shared.sender.send(self, message)

    def on_soft_state(self, state: SoftState) -> None:
        """See `GroupHandler.on_soft_state`."""
        self.idle_ticks = 0
        if state.role is not _LEADER:
            self._let_go(self._last_held)  # should it lead again, others have led in between
            self.log_floor = None  # whoever leads now keeps the log, if the proposal is in it
        elif not self._leading:
            self.shared.changed.append(self)
        self._leading = state.role is _LEADER
        if self._reads is not None:
            self._reads.on_leader(state.leader)

    def on_read_states(self, states: list[ReadState]) -> None:
        """See `GroupHandler.on_read_states`."""
        if self._reads is not None:
            self._reads.on_read_states(states)

    def on_tick(self, now: float) -> None:
        """See `GroupHandler.on_tick`."""
        self.idle_ticks += 1
        assert self.group is not None
        raft = self.group.raw.raft
        is_deaf = not self._leading and raft.heard_elapsed > 2 * raft.config.election_tick  # a learner waits for ever
        is_lonely = self.is_expelled or raft.leader == NO_NODE or is_deaf
        self.leaderless_ticks = self.leaderless_ticks + 1 if is_lonely else 0
        if self.waiting.places:
            self.waiting.on_tick(now)
        if self._reads is not None:
            self._reads.on_tick(now)
        if 0 < self.shared.options.hibernate_ticks <= self.idle_ticks and self._leading:
            self.shared.drowsy.append(self)

    @property
    def is_quiet(self) -> bool:
        """Does nobody wait for anything here, and is nothing under way?"""
        group = self.group
        if group is None or group.dirty or self.waiting.places or self.failure is not None or self.merging is not None:
            return False
        return self._reads is None or self._reads.is_idle

    def on_failed(self, error: Exception) -> None:
        """See `GroupHandler.on_failed`."""
        if self.shared.driver.failure is None:  # else the whole store has failed, and says so
            _log.error("peer %d of region %d stopped: %s", self.peer_id, self.region.id, error)
        self.close(error)

    def close(self, error: Exception) -> None:
        """Nobody who waits will be answered any more."""
        if self.failure is None:
            self.failure = error
        self.rest(str(error))

    def rest(self, why: str) -> None:
        """Leave the group; those who wait are told that nobody will answer. `start` begins anew."""
        self.group = None
        self._leading = False
        self._let_go(self._last_held)
        self.waiting.give_up(OutcomeUnknown(f"the peer left its group before it knew whether this is applied: {why}"))
        reads, self._reads = self._reads, None
        if reads is not None:
            reads.give_up(ReadIndexNotReady(self.region.id, why))
