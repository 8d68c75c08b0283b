"""Replicated: your class on several machines.

    node = await Replicated.start(Counter, NodeConfig(id=1, members=(1, 2, 3)), transport, directory="data/1")
    await node.call(Counter.add, 5)        through the log, at the leader; the result is the method's
    await node.ask(Counter.get)            linearizable, at the leader
    session = await node.open_session()
    await session.call(Counter.add, 5)     from any node, retried, exactly once

One group on a Driver. A call gives its result, or raises the exception that the class registered as a result; or
`NotLeader` (ask the node it names), `ProposalDropped` or `Busy` (not taken, call again), `OutcomeUnknown` (perhaps
applied). A call that is cancelled has an unknown outcome too.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from contextlib import ExitStack, suppress
from typing import Concatenate, Final, ParamSpec, TypeVar, cast, final

from raftly.base.membership import ConfState
from raftly.base.rand import SplitMix64
from raftly.base.types import NO_NODE, Entry, EntryType, HardState, Index, NodeId, Snapshot
from raftly.core.messages import MsgSnap
from raftly.core.readindex import ReadState
from raftly.core.status import BasicStatus, SoftState, Status
from raftly.errors import ConfChangeError, NotLeader, OutcomeUnknown, RaftlyError
from raftly.node.changing import Changing
from raftly.node.clock import Clock
from raftly.node.commands import clock_payload, open_payload, ttl_in_us, with_stamp
from raftly.node.config import NodeConfig
from raftly.node.driver import Driver, DriverOptions
from raftly.node.errors import Diverged, MachineFailed, NodeStopped, ReadTimeout, Removed
from raftly.node.founding import FOUNDING_TERM, Directory
from raftly.node.group import Group, Proposal, Waiter
from raftly.node.handing_over import HandingOver
from raftly.node.intake import Intake, Make
from raftly.node.lease_clock import LeaseClock, lease_clock_of
from raftly.node.machine import StateMachine
from raftly.node.membership import Membership
from raftly.node.observed import Observed, Observer, Parts
from raftly.node.reads import STRONG, Freshness, Proof, Read, Reads
from raftly.node.roster import Roster
from raftly.node.session import Calls, Session
from raftly.node.snapshots import Snapshots
from raftly.node.stopping import Stopping
from raftly.node.successors import successors
from raftly.node.waiting import Waiting
from raftly.storage.items import MembershipItem
from raftly.storage.log_store import LogStore
from raftly.storage.osfs import OsFs
from raftly.storage.vfs import FileSystem
from raftly.transport.base import Transport

T = TypeVar("T")
P = ParamSpec("P")
R = TypeVar("R")

GROUP: Final = 1
NORMAL: Final = EntryType.NORMAL


@final
class Replicated(Observed[T], Changing, HandingOver):
    """One replica. Made by `start`; everything on one event loop."""

    def __init__(
        self,
        machine: StateMachine[T],
        snapshots: Snapshots[T],
        config: NodeConfig,
        directory: Directory,
        store: LogStore,
        transport: Transport,
        clock: Callable[[], float],
        lease_clock: LeaseClock,
    ) -> None:
        self.config = config
        self.machine = machine
        self.failure: RaftlyError | None = None  # why this node answers nothing any more
        self._directory = directory
        self._store = store
        self._driver = Driver(config.id, store, transport, DriverOptions(config.tick, lease_clock))
        self._log = store.group(GROUP)
        self._conf_index = self._log.conf_index  # membership changes up to it are in force already
        self._group: Group = self._driver.add_group(GROUP, config.core(self.machine.applied), self)
        self._group.hasten_alone(FOUNDING_TERM)
        self._snapshots = snapshots
        roster = Roster(machine, self._log.snapshot_meta.meta.conf_state)
        snapshots.attach(self._driver, self._group, transport, roster)
        self._reads = Reads(
            self._group, config.lease, 2 * config.heartbeat_tick * config.tick, config.calls_max, lease_clock
        )
        self._reads.on_applied(self.machine.applied)
        parts = Parts(config, self._group, self._driver, store, transport, self._reads, self.machine, snapshots.counts)
        self._observer = Observer(parts, self.machine.applied, self._on_suspicion)
        on_failed = self._observer.counts.on_failed_call
        self._nonces = SplitMix64(config.seed ^ config.id << 32)
        self._waiting = Waiting()
        self._intake = Intake(
            self._group, self._waiting, machine, clock, asyncio.get_running_loop().time, self._check, config.calls_max
        )
        self._calls = Calls(self._group.offer, config.tick * config.election_tick, self._intake.stamp, on_failed)
        self._intake.in_sessions = self._calls.waiting
        self._membership = Membership(
            self._group,
            roster,
            transport,
            config,
            place=self._waiting.place,
            check=self._check,
            on_removed=self._on_removed,
        )
        self._membership.recover(self._log, machine.applied, self._conf_index)
        transport.on_expelled = lambda _: self._on_removed()
        self._log_clock = Clock(config.clock_interval, config.tick * config.election_tick)
        self._leader_changed = asyncio.Event()
        self._idle = asyncio.Event()
        self._stopped = False
        self._stopping = Stopping()
        self._successors: list[NodeId] = []  # of a leader that stops
        self._own_fs: OsFs | None = None  # made by `start`

    # --- life ---

    @classmethod
    async def start(
        cls,
        factory: Callable[[], T],
        config: NodeConfig,
        transport: Transport,
        *,
        directory: str = "",
        fs: FileSystem | None = None,
        clock: Callable[[], float] = time.time,
        lease_clock: LeaseClock | None = None,
    ) -> Replicated[T]:
        """Recover from `directory` (or `fs`), or begin a new group, and run.

        `clock` is the log's time; `lease_clock` that of leases, by default one that goes on while the machine sleeps.

        Raises:
            StorageError: the directory is in use, damaged, or another node's.
            ConfigError: the class cannot be replicated.
            OSError: the transport cannot listen.
        """
        lease_clock = lease_clock or lease_clock_of(asyncio.get_running_loop())
        with ExitStack() as undo:
            machine: StateMachine[T] = StateMachine(factory)
            undo.callback(lambda: machine.codec.close(machine.instance))
            own: OsFs | None = None
            if fs is None:
                fs = own = OsFs(directory)
                undo.callback(own.close)
            store = LogStore(fs, config.cluster_id, config.id, config.log)
            store.open()
            undo.callback(store.close)
            data = await Directory.open(fs, store, GROUP, config, transport)
            snapshots = Snapshots(GROUP, machine, config, store, fs)
            await snapshots.recover()
            node = cls(machine, snapshots, config, data, store, transport, clock, lease_clock)
            node._own_fs = own
            await node._driver.start()
            node._observer.on_started()
            undo.pop_all()
        return node

    async def stop(self) -> None:
        """Answer who still waits, hand leadership over if there is somebody to take it, finish writing, stop.

        Takes no new calls from the beginning: it names the node to ask instead, as long as it knows one. Calls in
        flight have an election time-out to end, and as long again if leadership moves. Again is fine.

        Cancelled, it waits for nobody any more, and ends all the same: what it holds is let go before it raises.
        """
        self._stopped = True
        await self._stopping.run(self._leave, self._end)

    async def _leave(self) -> None:
        if self.failure is not None or self._driver.disk_full is not None:
            return
        patience = self.config.tick * self.config.election_tick
        self._successors = successors(self._group.raw.raft, self._driver.contacts)
        await self._wait_idle(patience)
        for to in self._successors:
            with suppress(RaftlyError):  # NotLeader among them: it has happened
                await self.transfer_leader(to, within=patience / len(self._successors))
                await self._wait_idle(patience)
                break

    async def _end(self) -> None:
        try:
            await self._driver.stop()
            await self._snapshots.close()
            await self._directory.close()
        finally:
            if self.failure is None:
                self.failure = NodeStopped("this node was stopped")
            self._give_up("the node was stopped")
            self._store.close()
            waits_s = self._driver.writing_s(asyncio.get_running_loop().time())
            waits = self._directory.is_writing or (waits_s > 0 and self._driver.failure is None)
            if self._own_fs is not None and not waits:
                self._own_fs.close()  # it waits for what is under way: not for a disk that never answers

    async def _wait_idle(self, patience: float) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(patience):
                while self.calls_in_flight() and self.failure is None:
                    self._idle.clear()
                    await self._idle.wait()

    # --- what callers do ---

    async def call(self, method: Callable[Concatenate[T, P], R], /, *args: P.args, **kwargs: P.kwargs) -> R:
        """Call a command on every replica; the result of this one, after it is committed and applied.

        Raises:
            NotLeader: this node does not lead; its `leader_id` may. Not applied.
            ProposalDropped: not taken, and never will be.
            Busy: `calls_max` calls are in flight; not taken.
            DiskFull: not taken.
            OutcomeUnknown: it may or may not be applied; `call_timeout` passed, or the node failed.
            NodeStopped: not taken.
            ValueTypeError: an argument is not of its type; not taken.
            Exception: whatever the class registered as a result.
        """
        call = self.machine.encode(method.__name__, args, kwargs)
        future: asyncio.Future[object] = asyncio.get_running_loop().create_future()
        try:
            self._intake.take(call, future, self.config.call_timeout)
            result = await future
        except RaftlyError as error:
            self._observer.counts.on_failed_call(error.code)
            raise
        if isinstance(result, Exception):
            raise result
        return cast("R", result)

    def submit(self, make: Make, waiter: Waiter, within: float) -> None:
        """Propose what `make` makes of a stamp; `waiter` gets what `call` returns or raises, once it is taken.

        Raises:
            NotLeader: this node does not lead.
            Busy: `calls_max` calls are in flight.
            NodeStopped: this node takes no calls any more.
        """
        self._intake.submit(make, waiter, within)

    async def open_session(self, *, ttl: float | None = None, within: float | None = None) -> Session[T]:
        """Register a session through the log, from any node. Opening it, and each of its calls, may take `within` s.

        Raises:
            Busy: `calls_max` calls are in flight.
            ConfigError: `ttl` is no time to live.
            OutcomeUnknown: nobody answered in time; what may have been opened expires by itself.
            NodeStopped: this node takes no calls any more.
        """
        self._intake.admit()
        ttl_us = ttl_in_us("ttl", self.config.session_ttl if ttl is None else ttl)
        patience = within or self.config.call_timeout
        nonce = self._nonces.next_u64() | 1
        id_ = await self._calls.make((0, nonce), lambda stamp_us: open_payload(stamp_us, ttl_us, nonce), patience)
        return Session(cast("int", id_), self.machine, self._calls, self._intake.admit, patience)

    async def ask(self, method: Callable[Concatenate[T, P], R], /, *args: P.args, **kwargs: P.kwargs) -> R:
        """Call a query on the leader's state, no older than the moment of asking.

        Raises:
            NotLeader: this node does not lead; another mode of `fresh` reads anywhere.
            ReadTimeout: nobody confirmed it within `call_timeout`.
        """
        if not self._reads.by_lease():
            await self.fresh(STRONG)
        return cast("R", self.machine.query(method.__name__, args, kwargs))

    async def fresh(self, read: Read = STRONG, *, within: float | None = None) -> Freshness:
        """Wait until the state at this replica is as fresh as `read` says; then `look` at it.

        Raises:
            NotLeader: STRONG and LEASE are for leaders.
            LeaseNotHeld: LEASE, and this leader holds none.
            ReadTimeout: it was not to be had in time.
            Busy: `calls_max` reads wait.
        """
        if self.failure is not None:
            raise self.failure
        return await self._reads.wait(read, within or self.config.call_timeout)

    def fresh_nowait(self) -> Freshness | None:
        """STRONG without waiting: its freshness when the lease gives it at once."""
        if self.failure is not None or not self._reads.by_lease():
            return None
        return Freshness(Proof.LEASE, self.machine.applied, 0.0)

    def look(self, method: Callable[Concatenate[T, P], R], /, *args: P.args, **kwargs: P.kwargs) -> R:
        """Call a query on the state as it is here and now."""
        return cast("R", self.machine.query(method.__name__, args, kwargs))

    async def poll(
        self, after: Index | None, method: Callable[Concatenate[T, P], R], /, *args: P.args, **kwargs: P.kwargs
    ) -> tuple[R, Index]:
        """Call a query once something beyond `after` is applied here, and the index that is applied then; None: now.

        Raises:
            RaftlyError: the node stopped or failed (its `failure`).
        """
        applied = self.machine.applied if after is None else await self.next_change(after)
        return self.look(method, *args, **kwargs), applied

    def status(self) -> Status:
        """What the core tells of itself; nothing once stopped."""
        if self._stopped and self.failure is not None:
            return Status(BasicStatus(NO_NODE, HardState(), SoftState(), 0, 0, NO_NODE), ConfState())
        return self._group.raw.status()

    async def wait_leader(self, *, within: float | None = None) -> NodeId:
        """Wait until a leader is known; its id.

        Raises:
            ReadTimeout: none was, within so many seconds (`call_timeout`).
        """
        raft = self._group.raw.raft
        try:
            async with asyncio.timeout(within or self.config.call_timeout):
                while raft.leader == NO_NODE:
                    self._leader_changed.clear()
                    await self._leader_changed.wait()
                    if self.failure is not None:
                        raise self.failure
        except TimeoutError as error:
            raise ReadTimeout("no leader became known in time") from error
        return raft.leader

    @property
    def snapshot_failure(self) -> RaftlyError | None:
        """Why no snapshot can be made, and the log is not cut; None while all is well."""
        return self._snapshots.failure

    async def take_snapshot(self) -> Index:
        """Make a snapshot of what is applied here, unless there is one; its index. The log is cut when entries follow.

        Raises:
            NodeStopped: this node does nothing any more.
            RaftlyError: why it cannot be made.
        """
        if self.failure is not None:
            raise self.failure
        return await self._snapshots.make()

    def _check(self) -> None:
        if self.failure is not None:
            raise self.failure
        if self._stopped:
            leader = self._group.raw.raft.leader
            if leader == self.config.id:
                leader = self._successors[0] if self._successors else NO_NODE
            raise NotLeader(leader) if leader != NO_NODE else NodeStopped("this node is stopping")

    # --- what the driver brings ---

    def on_placed(self, first: Index, proposals: list[Proposal]) -> None:
        """See `GroupHandler.on_placed`."""
        self._waiting.place(first, proposals)
        self._observer.on_placed(first, len(proposals))

    def on_passed_on(self, payload: bytes) -> bytes | None:
        """See `GroupHandler.on_passed_on`: the clock that counts is the leader's."""
        try:
            self.machine.check(payload)
        except RaftlyError:
            return None
        return with_stamp(payload, self._intake.stamp())

    def on_committed(self, entries: list[Entry]) -> None:
        """See `GroupHandler.on_committed`."""
        waiting = self._waiting
        calls = self._calls.waiting
        apply = self.machine.apply
        leader = self._group.raw.raft.leader
        for entry in entries:
            result = apply(entry) if entry.type is NORMAL else self._apply_change(entry)
            if calls:
                self._calls.answer(entry.data, result)
            if waiting.places:
                waiting.resolve(entry, result, leader)
        if not waiting.places:
            self._idle.set()
        self._reads.on_applied(self.machine.applied)
        self._observer.on_applied(self.machine.applied, len(entries))
        self._snapshots.on_applied()

    def _apply_change(self, entry: Entry) -> object:
        self.machine.applied = entry.index
        try:
            conf_state = self._membership.apply(entry, self._conf_index)
        except ConfChangeError as error:
            return error
        if conf_state is not None:
            self._driver.write(MembershipItem(GROUP, entry.index, conf_state))
        return None

    def on_snapshot(self, snapshot: Snapshot) -> None:
        """See `GroupHandler.on_snapshot`."""
        self._snapshots.on_snapshot(snapshot)
        self._conf_index = snapshot.meta.index
        self._membership.on_snapshot(snapshot.meta.conf_state)
        self._waiting.cover(snapshot.meta.index)
        self._reads.on_applied(self.machine.applied)
        self._observer.on_restored(self.machine.applied)

    def on_send_snapshot(self, message: MsgSnap) -> None:
        """See `GroupHandler.on_send_snapshot`."""
        self._snapshots.on_send(message)

    def on_soft_state(self, state: SoftState) -> None:
        """See `GroupHandler.on_soft_state`."""
        self._leader_changed.set()
        self._membership.on_soft_state()
        self._observer.on_soft_state()
        self._reads.on_leader(state.leader)
        if state.leader != NO_NODE:
            self._calls.offer_all(asyncio.get_running_loop().time())

    def on_read_states(self, states: list[ReadState]) -> None:
        """See `GroupHandler.on_read_states`."""
        self._reads.on_read_states(states)

    def on_tick(self, now: float) -> None:
        """See `GroupHandler.on_tick`."""
        self._waiting.on_tick(now)
        self._membership.on_tick(now)
        self._directory.on_tick()
        self._reads.on_tick(now)
        self._calls.on_tick(now)
        self._observer.on_tick(now, self.snapshot_failure)
        self._let_time_pass(now)
        self._snapshots.on_tick()

    def _let_time_pass(self, now: float) -> None:
        """A leader puts the clock into the log when something waits for time to pass."""
        machine = self.machine
        stamp_us = self._intake.stamp()
        due_us = machine.due_us()
        if stamp_us and self._log_clock.wants_entry(
            now, stamp_us, machine.now_us, due_us, sessions=bool(machine.sessions)
        ):
            self._group.offer(clock_payload(stamp_us))

    def _on_suspicion(self, suspicion: Diverged | None) -> None:
        """The state here may have parted from the others': nobody is answered from it until that is settled."""
        if self.failure is None or isinstance(self.failure, Diverged):
            self.failure = suspicion
        if suspicion is not None:
            self._refuse_all("whether this replica's state is right is in doubt")

    def on_failed(self, error: Exception) -> None:
        """See `GroupHandler.on_failed`."""
        if self.failure is None or isinstance(self.failure, Diverged):
            if isinstance(error, RaftlyError):
                self.failure = error
            else:
                self.failure = MachineFailed(f"this node cannot go on: {error!r}")
                self.failure.__cause__ = error
            self._give_up(f"the node failed: {error}")

    def _on_removed(self) -> None:
        """This node is no member any more, and disturbs nobody from now on."""
        if self.failure is None and not self._stopped:
            self._driver.remove_group(GROUP)
            self._group.refuse_queued()
            self.on_failed(Removed())

    def _give_up(self, why: str) -> None:
        """Nobody will answer those who still wait, ever."""
        self._observer.close(self.failure or OutcomeUnknown(why))
        self._refuse_all(why)

    def _refuse_all(self, why: str) -> None:
        unknown = OutcomeUnknown(why)
        self._waiting.give_up(unknown)
        self._calls.give_up(unknown)
        self._reads.give_up(self.failure or unknown)
        self._idle.set()
        self._leader_changed.set()
        self._membership.ring()
