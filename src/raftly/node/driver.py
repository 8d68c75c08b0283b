"""Driver: any number of Raft groups on one event loop, one log, one transport, handled in rounds.

    inbox, proposals, ticks, disk acknowledgements ──► step the groups they concern
                                                         │ every dirty group's Ready
             one frame a peer ◄──────────────────────────┤
             one append and one sync ◄───────────────────┤   the next round gathers while the disk works
             apply committed entries, resolve waiters ◄──┘

Messages to peers leave before this node's own sync is done; votes and acknowledgements are the answers that come with
the write, so they cannot leave earlier. A Ready that only moves the commit index waits for the next write and causes
none.

When the disk does not do its part: a full one refuses proposals until there is space again, one that stalls for longer
than an election time-out or is full hands leadership to a follower that has proved that its own works, a broken one
ends everything. A group that breaks an invariant, or whose owner does, stops by itself.
There is no second path: a replicated class is a driver with one group. Of many, those with nothing to do may `sleep`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import Final, final

from raftly.base.types import NO_NODE, NodeId
from raftly.core.config import Config
from raftly.core.messages import Message, MsgProp, MsgSnap, MsgStorageAppend, MsgStorageApply, MsgTimeoutNow
from raftly.core.role import Role
from raftly.core.trace import Tracer
from raftly.errors import DiskFull, NotLeader, PeerError, ProposalError, RaftlyError, StorageError
from raftly.node.driver_options import DriverOptions, GroupsOwner
from raftly.node.eager import Eager
from raftly.node.gathered import Gathered
from raftly.node.group import Group, GroupHandler, Proposal
from raftly.node.health import Contacts
from raftly.node.lease_clock import LeaseClock, lease_clock_of
from raftly.node.metrics import DriverCounts
from raftly.node.telling import Teller, last_words
from raftly.storage.items import Item
from raftly.storage.log_store import LogStore
from raftly.transport.base import Transport

__all__ = ["Driver", "DriverOptions"]

_LEADER: Final = Role.LEADER
_TIMER_ERROR_S: Final = 1e-6  # loops round; a timer may be so much early


@final
class Driver:
    """Drives groups until `stop`. Everything runs on the loop that called `start`."""

    def __init__(
        self,
        node_id: NodeId,
        store: LogStore,
        transport: Transport,
        options: DriverOptions | None = None,
        tracer: Tracer | None = None,
    ) -> None:
        self.node_id = node_id
        self.tracer = tracer
        self.groups: dict[int, Group] = {}
        self.awake: dict[int, Group] = {}  # those that are ticked
        self.peer_errors = 0  # messages refused
        self.disk_full: DiskFull | None = None  # while the disk is full
        self.failure: RaftlyError | None = None  # the disk broke
        self.counts = DriverCounts()
        self.contacts = Contacts()
        self.owner: GroupsOwner | None = None  # who has many groups; set before `start`
        self._store = store
        self._transport = transport
        self._options = options or DriverOptions()
        self._dirty: list[Group] = []
        self._outbox: dict[NodeId, dict[int, list[Message]]] = {}
        self._gathered = Gathered()  # for the next write
        self._writing_since: float | None = None
        self._gave_way = False  # in this stall
        self._scheduled = False
        self._stopping = False
        self._write: Eager | None = None  # the one under way
        self._write_ended: asyncio.Future[None] | None = None  # for `stop`
        self._space_wanted = asyncio.Event()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._ticker: asyncio.TimerHandle | None = None
        self._next_tick = 0.0
        self._clock: LeaseClock = options.clock if options is not None and options.clock is not None else lambda: 0.0
        self._tick_from = 0.0  # by that clock: no tick before
        self._teller = Teller(self.wake, self._options.tell)

    # --- life ---

    def add_group(
        self, id_: int, config: Config, handler: GroupHandler, nodes: Mapping[NodeId, NodeId] | None = None
    ) -> Group:
        """Take a group under way, from what its log holds. See `Group.nodes`."""
        log = self._store.group(id_)
        group = self.groups[id_] = Group(id_, config, log, handler, self.wake, self.tracer, nodes)
        self.wake(group)
        return group

    def remove_group(self, id_: int) -> None:
        """Let a group go; its log stays."""
        self.groups.pop(id_, None)
        self.awake.pop(id_, None)

    async def start(self) -> None:
        """Begin to tick, to receive and to write.

        Raises:
            OSError: the transport cannot listen; nothing was begun.
        """
        loop = asyncio.get_running_loop()
        if self._options.clock is None:
            self._clock = lease_clock_of(loop)
        self._transport.on_lost = self._lost
        await self._transport.start(self._receive, self._unreachable)
        self._loop = loop
        self._plan_tick(loop)
        self._schedule()

    async def stop(self) -> None:
        """Finish the write under way, and stop; leaders hand over before. Again is fine; cancelled, it stops too."""
        loop, was_stopping, self._stopping = self._loop, self._stopping, True
        if was_stopping or loop is None:
            return
        if self._ticker is not None:
            self._ticker.cancel()
        self._teller.stop()
        self._space_wanted.set()
        until = loop.time() + self._options.stop_timeout
        cancelled: asyncio.CancelledError | None = None
        try:
            self._run_round()
            while self._write is not None and until - loop.time() > _TIMER_ERROR_S:
                ended = self._write_ended = loop.create_future()
                await asyncio.wait([ended], timeout=until - loop.time())
                self._run_round()
        except asyncio.CancelledError as error:
            cancelled = error
        if self._write is not None:  # it takes too long, or nobody waits for us any more
            ended = self._write_ended = loop.create_future()
            self.abandon_write()
            await ended
        self._loop = None  # no more rounds
        for group in self.groups.values():
            group.refuse_queued()
        self._flush()
        await self._transport.close()
        if cancelled is not None:
            raise cancelled

    def abandon_write(self) -> None:
        """The disk does not answer: do not wait for the write under way, nor begin another."""
        if self._write is not None:
            self._write.cancel()

    # --- input ---

    def wake(self, group: Group) -> None:
        """A group has something to do."""
        if group.asleep and self.groups.get(group.id) is group:
            group.asleep = False
            self.awake[group.id] = group
        self._mark(group)

    def sleep(self, group: Group) -> None:
        """Tick a group no more, until something comes for it, or a connection to a member closes."""
        group.asleep = True
        self.awake.pop(group.id, None)

    def _mark(self, group: Group) -> None:
        if not group.dirty:
            group.dirty = True
            self._dirty.append(group)
        self._schedule()

    def _schedule(self) -> None:
        if not self._scheduled and self._loop is not None and self.failure is None:
            self._scheduled = True
            self._loop.call_soon(self._round)

    def _receive(self, from_: NodeId, batch: list[tuple[int, list[Message]]]) -> None:
        self.contacts.heard.add(from_)
        for id_, messages in batch:
            group = self.groups.get(id_)
            if group is not None:
                astray = group.take(from_, messages, self.owner)
                self.wake(group)
            else:
                astray = messages
            if astray and self.owner is not None:
                self.owner.on_unknown(from_, id_, astray)

    def _lost(self, peer: NodeId) -> None:
        """A connection to or from a node closed; what came on it before may still wait in the inboxes."""
        for group in self.groups.values():
            leader = group.raw.raft.leader
            if leader != NO_NODE and group.node_of(leader) == peer:
                group.lost = leader
                self.wake(group)
            elif group.asleep and group.ids_on(peer):
                self.wake(group)

    def _unreachable(self, node: NodeId) -> None:
        self.contacts.on_lost(node)
        for group in self.awake.values():
            for peer in group.ids_on(node):
                group.raw.report_unreachable(peer)
                self._mark(group)

    def report_snapshot(self, id_: int, peer: NodeId, *, failed: bool) -> None:
        """A snapshot that was sent to a raft id arrived, or not; without this the peer may wait for it for ever."""
        group = self.groups.get(id_)
        if group is not None and self.failure is None:
            group.act(lambda raw: raw.report_snapshot(peer, failed=failed))

    def _tick(self) -> None:
        """One tick for every group, however late the loop is: time that this process lost is not the leader's fault."""
        loop = self._loop
        if loop is None or self._stopping or self.failure is not None:
            return
        now = loop.time()
        early = self._tick_from - self._clock()
        if early > _TIMER_ERROR_S:
            self._ticker = loop.call_later(early, self._tick)
            return
        self.counts.on_tick(now - self._next_tick, self._options.tick_interval)
        self.contacts.on_tick()
        # What has arrived is looked at first, so a heartbeat that waited is not taken for a silent leader.
        self._run_round()
        for group in list(self.awake.values()):
            try:
                group.raw.tick()
                group.handler.on_tick(now)
            except Exception as error:  # noqa: BLE001 - as in a round
                self._stop_group(group, error)
            self._mark(group)
        self._watch_disk(now)
        self._plan_tick(loop)

    def _plan_tick(self, loop: asyncio.AbstractEventLoop) -> None:
        """One interval from now, however late this one came.

        A follower counts its promises in ticks, so n of them must be n - 1 intervals at least.
        """
        self._tick_from = self._clock() + self._options.tick_interval
        self._next_tick = loop.time() + self._options.tick_interval
        self._ticker = loop.call_at(self._next_tick, self._tick)

    # --- a round ---

    def _round(self) -> None:
        self._scheduled = False
        self._run_round()

    def _run_round(self) -> None:
        if self.failure is not None or self._loop is None:
            return
        self._visit()
        if self._write is not None:
            return
        if self._wants_write():
            self._writing_since = self._loop.time()
            write = Eager(self._write_gathered(), self._loop)
            if not write.is_done:
                self._write = write
        elif self._gathered.answers:  # nothing to write, or being written: what is answered is durable already
            self._deliver(self._gathered.take_answers())
            self._visit()

    def _visit(self) -> None:
        """Let every group that has something to do take what came for it and say what follows."""
        dirty, self._dirty = self._dirty, []
        for group in dirty:
            group.dirty = False
            if self.groups.get(group.id) is group:
                try:
                    self._feed(group)
                    self._drain(group)
                except Exception as error:  # noqa: BLE001 - whatever it is, the other groups go on
                    self._stop_group(group, error)
        self._flush()
        if self.owner is not None and (problem := self.owner.on_round()) is not None:
            self.fail(problem)

    def _stop_group(self, group: Group, error: Exception) -> None:
        """A broken invariant, a log that cannot be read, an owner that cannot go on: this group says nothing more."""
        if self.groups.pop(group.id, None) is not None:
            for message in last_words(group):
                self._post(group, message)
            self.awake.pop(group.id, None)
            group.refuse_queued()
            group.handler.on_failed(error)

    def _flush(self) -> None:
        if self._outbox:
            outbox, self._outbox = self._outbox, {}
            for peer, groups in outbox.items():
                self._transport.send(peer, list(groups.items()))

    def _feed(self, group: Group) -> None:
        """Give a group what arrived for it."""
        if group.inbox:
            inbox, group.inbox = group.inbox, []
            for message in inbox:
                self._step(group, message)
        if group.lost != NO_NODE:
            lost, group.lost = group.lost, NO_NODE
            group.raw.report_leader_lost(lost)
        if group.proposals:
            proposals, group.proposals = group.proposals, []
            self._propose(group, proposals)
        if group.offers:
            offers, group.offers = group.offers, []
            if self.disk_full is None:
                group.pass_on(offers)

    def _propose(self, group: Group, proposals: list[Proposal]) -> None:
        raft = group.raw.raft
        try:
            if self.disk_full is not None:
                raise self.disk_full
            if raft.role is not _LEADER:
                raise NotLeader(raft.leader)
            last = group.raw.propose_batch([proposal.payload for proposal in proposals])
        except (ProposalError, DiskFull) as error:
            for proposal in proposals:
                proposal.refuse(error)
            return
        term = raft.term
        for proposal in proposals:
            proposal.term = term
        group.handler.on_placed(last - len(proposals) + 1, proposals)

    def _step(self, group: Group, message: Message) -> None:
        if isinstance(message, MsgProp):
            if self.disk_full is not None:
                return  # as if lost
            count = len(message.entries)
            message.entries = [entry for entry in message.entries if group.admit(entry)]
            self.peer_errors += count - len(message.entries)
            if not message.entries:
                return
        elif isinstance(message, MsgSnap):  # snapshots come as streams; their taker steps the core itself
            self.peer_errors += 1
            return
        try:
            group.raw.step(message)
        except PeerError:
            self.peer_errors += 1
        except ProposalError:
            pass  # a proposal that was passed on: as if lost

    def _drain(self, group: Group) -> None:
        """Carry out a group's Readies until it has no more."""
        raw = group.raw
        while raw.has_ready():
            ready = raw.ready()
            if ready.soft_state is not None:
                group.handler.on_soft_state(ready.soft_state)
            if ready.read_states:
                group.handler.on_read_states(ready.read_states)
            for message in ready.messages:
                if isinstance(message, MsgStorageAppend):
                    self._gathered.add(group, message)
                elif isinstance(message, MsgStorageApply):
                    group.handler.on_committed(message.entries)
                    for response in message.responses:
                        raw.step(response)
                else:
                    self._post(group, message)
        self._teller.look(group)

    def _post(self, group: Group, message: Message) -> None:
        if isinstance(message, MsgSnap):
            group.handler.on_send_snapshot(message)
            return
        if isinstance(message, MsgTimeoutNow):
            group.transfer_term = message.term
        node = message.to if group.nodes is None else group.nodes.get(message.to, NO_NODE)
        if node != NO_NODE:
            self._outbox.setdefault(node, {}).setdefault(group.id, []).append(message)

    # --- the disk ---

    async def _write_gathered(self) -> None:
        """Write what has gathered and deliver its answers; what has gathered meanwhile is the next round's."""
        gathered, self._gathered = self._gathered, Gathered()
        try:
            for items in gathered.batches():
                if not await self._commit(items):
                    return
        finally:
            self._write = None
            if self._write_ended is not None and not self._write_ended.done():
                self._write_ended.set_result(None)
        for written in gathered.written:
            written()
        self._writing_since = None
        self._gave_way = False
        self._deliver(gathered.answers)
        self._visit()
        if self._wants_write() or self._gathered.answers:
            self._schedule()

    def _wants_write(self) -> bool:
        return len(self._gathered.items) > 0 or (self._store.reclaim_pending and not self._stopping)

    async def _commit(self, items: list[Item]) -> bool:
        """Make the items durable, however long the disk is full; False: it is broken, or we stop."""
        assert self._loop is not None
        while True:
            started = self._loop.time()
            failure: Exception | None = None
            try:
                await self._store.commit(items)
            except Exception as error:  # noqa: BLE001 - sorted below, where compiled code may wait
                failure = error
            if failure is None:
                self.disk_full = None
                self.counts.on_write(items, self._loop.time() - started)
                return True
            if not isinstance(failure, DiskFull) or self._store.is_broken or self._stopping:
                if not isinstance(failure, RaftlyError):  # a bug; nothing may be promised any more
                    failure = StorageError(f"the log refused a batch: {failure!r}")
                self.fail(failure)
                return False
            if self.disk_full is None:
                self.disk_full = failure
                self._give_way()
            await self._wait_for_space()

    async def _wait_for_space(self) -> None:
        assert self._loop is not None
        started = self._loop.time()
        again = self._loop.call_later(self._options.disk_full_retry, self._space_wanted.set)
        await self._space_wanted.wait()  # earlier only when we stop
        self._space_wanted.clear()
        again.cancel()
        self.counts.disk_full_s += self._loop.time() - started

    def _deliver(self, answers: list[tuple[Group, list[Message]]]) -> None:
        for group, messages in answers:
            for message in messages:
                if message.to == group.config.id:
                    self._step(group, message)
                else:
                    self._post(group, message)
            if not group.dirty:  # whoever delivers visits it at once
                group.dirty = True
                self._dirty.append(group)

    def writing_s(self, now: float) -> float:
        """For how long the write under way has taken; 0.0 while there is none."""
        return 0.0 if self._writing_since is None else now - self._writing_since

    def _watch_disk(self, now: float) -> None:
        """A write that takes longer than an election time-out: the groups that lead here are better led elsewhere."""
        if self._writing_since is None or self._gave_way:
            return
        waited = now - self._writing_since
        if any(waited > group.config.election_tick * self._options.tick_interval for group in self.awake.values()):
            self._gave_way = True
            self._give_way()

    def _give_way(self) -> None:
        """Hand each group that leads here to the follower with the longest log, if it is longer than that on our disk.

        When all disks are full or slow nothing is gained by moving, and a candidate that cannot write its vote would
        leave the group without a leader.
        """
        for group in self.groups.values():
            raft = group.raw.raft
            target, match = group.successor()
            if raft.role is _LEADER and raft.lead_transferee == NO_NODE and match > raft.log.persisted_index():
                group.raw.transfer_leader(target)
                self.wake(group)

    def fail(self, error: RaftlyError) -> None:
        """The log is broken: nothing more may be promised. Somebody else should lead, at once."""
        for group in self.groups.values():
            raft = group.raw.raft
            target, _ = group.successor()
            if raft.role is _LEADER and target != NO_NODE:
                self._post(group, MsgTimeoutNow(target, raft.id, raft.term))
        self._flush()
        self.failure = error
        for group in self.groups.values():
            group.refuse_queued()
            group.handler.on_failed(error)

    def write(self, *items: Item, then: Callable[[], None] | None = None) -> None:
        """Add something of the owner's to the next write; `then` is called once it is durable."""
        self._gathered.items += items
        if then is not None:
            self._gathered.written.append(then)
        self._schedule()
