"""Replicated: your class on several machines.

    node = await Replicated.start(Counter, NodeConfig(id=1, members={1: ..., 2: ..., 3: ...}, directory="data/1"))
    await node.call(Counter.add, 5)        through the log; the result is the method's
    await node.ask(Counter.get)            linearizable, from this replica

One group on a Driver. A call gives its result, or raises the exception that the class registered as a result; or
`NotLeader` (ask the node it names), `ProposalDropped` (not taken, call again), `OutcomeUnknown` (perhaps applied).
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Concatenate, Generic, ParamSpec, TypeVar, cast, final

from raftly.base.membership import ConfState, decode_conf_change, decode_conf_change_v2
from raftly.base.types import Entry, EntryType, Index, NodeId, Snapshot, SnapshotMeta, Term
from raftly.core.config import Config
from raftly.core.raw_node import RawNode
from raftly.core.readindex import ReadState
from raftly.core.role import Role
from raftly.core.status import SoftState, Status
from raftly.errors import ConfChangeError, DropReason, NotLeader, OutcomeUnknown, ProposalDropped, RaftlyError
from raftly.node.commands import Call, Kind, stamp
from raftly.node.driver import Driver, DriverOptions, Group
from raftly.node.machine import MachineFailed, StateMachine
from raftly.storage.items import MembershipItem, SnapshotItem
from raftly.storage.log_store import LogOptions, LogStore
from raftly.storage.osfs import OsFs
from raftly.storage.vfs import FileSystem
from raftly.transport.base import Transport

T = TypeVar("T")
P = ParamSpec("P")
R = TypeVar("R")

GROUP = 1


@final
@dataclass(frozen=True, slots=True)
class NodeConfig:
    """What a node must know. Times are seconds."""

    id: NodeId
    members: tuple[NodeId, ...]
    """The first voters of a new group; the same on each of them. A node that finds a log ignores it."""
    cluster_id: int = 1
    tick: float = 0.1
    heartbeat_tick: int = 1
    election_tick: int = 10
    seed: int = field(default_factory=time.time_ns)
    snapshot_entries: int = 10_000
    """Entries applied between two snapshots."""
    log: LogOptions = field(default_factory=LogOptions)

    def core(self, applied: Index) -> Config:
        """The options of the core."""
        return Config(
            self.id,
            election_tick=self.election_tick,
            heartbeat_tick=self.heartbeat_tick,
            seed=self.seed,
            applied=applied,
            async_storage_writes=True,
            max_size_per_msg=1 << 20,
            max_committed_size_per_ready=4 << 20,
            max_uncommitted_entries_size=256 << 20,
            check_quorum=True,
            pre_vote=True,
            disable_proposal_forwarding=True,
        )


@final
@dataclass(slots=True)
class _Waiter:
    """Somebody who waits for the entry at an index."""

    term: Term
    future: asyncio.Future[object]


@final
class Replicated(Generic[T]):
    """One replica. Made by `start`; everything on one event loop."""

    def __init__(
        self,
        factory: Callable[[], T],
        config: NodeConfig,
        store: LogStore,
        transport: Transport,
        clock: Callable[[], float],
    ) -> None:
        self.config = config
        self.machine: StateMachine[T] = StateMachine(factory)
        self.failure: RaftlyError | None = None
        self._store = store
        self._clock = clock
        self._driver = Driver(config.id, store, transport, DriverOptions(config.tick))
        self._group: Group | None = None
        self._waiters: dict[Index, _Waiter] = {}
        self._reads: dict[bytes, asyncio.Future[Index]] = {}
        self._read_number = 0
        self._applied_waiters: list[tuple[Index, asyncio.Future[None]]] = []
        self._leader_changed = asyncio.Event()
        self._compacted: Index = 0

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
    ) -> Replicated[T]:
        """Recover from `directory` (or `fs`), or begin a new group, and run.

        Raises:
            StorageError: the directory is in use, damaged, or another node's.
            ConfigError: an option is wrong.
        """
        store = LogStore(fs or OsFs(directory), config.cluster_id, config.id, config.log)
        store.open()
        try:
            if GROUP not in store.groups():
                first = Snapshot(SnapshotMeta(0, 0, ConfState(tuple(sorted(config.members)))))
                await store.commit([SnapshotItem(GROUP, first, keeps_entries=False)])
            node = cls(factory, config, store, transport, clock)
            await node._run()
        except BaseException:
            store.close()
            raise
        return node

    async def _run(self) -> None:
        log = self._store.group(GROUP)
        stored = log.snapshot_meta
        if stored.data:
            self.machine.restore(stored.data)
        self._compacted = stored.meta.index
        log.latest_snapshot = self._snapshot_to_send
        self._group = self._driver.add_group(GROUP, self.config.core(stored.meta.index), self)
        await self._driver.start()

    async def stop(self) -> None:
        """Hand leadership over if there is somebody to take it, finish what is being written, stop."""
        raft = self._raw.raft
        if raft.role is Role.LEADER and self.failure is None:
            await self._hand_over()
        await self._driver.stop()
        self._give_up(OutcomeUnknown("the node was stopped"))
        self._store.close()

    async def _hand_over(self) -> None:
        raft = self._raw.raft
        followers = [(peer.match, id_) for id_, peer in raft.tracker.peers if id_ != raft.id and not peer.is_learner]
        if not followers:
            return
        self._act(lambda raw: raw.transfer_leader(max(followers)[1]))
        deadline = asyncio.get_running_loop().time() + self.config.tick * self.config.election_tick
        while raft.role is Role.LEADER and asyncio.get_running_loop().time() < deadline:
            self._leader_changed.clear()
            try:
                await asyncio.wait_for(self._leader_changed.wait(), self.config.tick)
            except TimeoutError:
                continue

    @property
    def _raw(self) -> RawNode:
        assert self._group is not None
        return self._group.raw

    def _act(self, action: Callable[[RawNode], None]) -> None:
        assert self._group is not None
        self._group.act(action)

    # --- what callers do ---

    async def call(self, method: Callable[Concatenate[T, P], R], /, *args: P.args, **kwargs: P.kwargs) -> R:
        """Call a command on every replica; the result of this one, after it is committed and applied.

        Raises:
            NotLeader: this node does not lead; its `leader_id` may.
            ProposalDropped: not taken, and never will be.
            OutcomeUnknown: it may or may not be applied.
            Exception: whatever the class registered as a result.
        """
        name = method.__name__
        schema, arguments = self.machine.bind(name, args, kwargs)
        result = await self._propose(Kind.COMMAND, Call(0, 0, 0, schema, name, arguments).encode())
        if isinstance(result, Exception):
            raise result
        return cast("R", result)

    async def ask(self, method: Callable[Concatenate[T, P], R], /, *args: P.args, **kwargs: P.kwargs) -> R:
        """Call a query on this replica's state, no older than the moment of asking (read index, thesis §6.4).

        Raises:
            NotLeader: no leader is known to confirm the read.
        """
        await self.read_barrier()
        return cast("R", self.machine.query(method.__name__, args, kwargs))

    async def read_barrier(self) -> Index:
        """Wait until this replica has applied all that was committed when this was called; that index."""
        if self._raw.raft.leader == 0:
            raise NotLeader(0)
        future: asyncio.Future[Index] = asyncio.get_running_loop().create_future()
        self._read_number += 1
        context = self._read_number.to_bytes(8, "little")
        self._reads[context] = future
        try:
            self._act(lambda raw: raw.read_index(context))
            index = await future
        finally:
            self._reads.pop(context, None)
        await self._wait_applied(index)
        return index

    async def _wait_applied(self, index: Index) -> None:
        if self.machine.applied >= index:
            return
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._applied_waiters.append((index, future))
        await future

    async def _propose(self, kind: Kind, body: bytes) -> object:
        if self.failure is not None:
            raise self.failure
        raft = self._raw.raft
        if raft.role is not Role.LEADER:
            raise NotLeader(raft.leader)
        payload = stamp(kind, self._stamp(), body)
        future: asyncio.Future[object] = asyncio.get_running_loop().create_future()

        def placed(term: Term, index: Index) -> None:
            self._waiters[index] = _Waiter(term, future)

        def refused(error: RaftlyError) -> None:
            if not future.done():
                future.set_exception(self._explain(error))

        assert self._group is not None
        self._group.propose(payload, placed, refused)
        return await future

    def _stamp(self) -> int:
        """Log time for a new entry; applying it takes the maximum, so a clock that went back does no harm."""
        return max(int(self._clock() * 1e6), self.machine.now_us)

    def _explain(self, error: RaftlyError) -> RaftlyError:
        if isinstance(error, ProposalDropped) and error.reason in (
            DropReason.NO_LEADER,
            DropReason.FORWARDING_DISABLED,
        ):
            return NotLeader(self._raw.raft.leader)
        return error

    def status(self) -> Status:
        """What the core tells of itself."""
        return self._raw.status()

    async def wait_leader(self) -> NodeId:
        """Wait until a leader is known; its id."""
        while self._raw.raft.leader == 0:
            self._leader_changed.clear()
            await self._leader_changed.wait()
        return self._raw.raft.leader

    # --- what the driver brings ---

    def on_committed(self, entries: list[Entry]) -> None:
        """See `GroupHandler.on_committed`."""
        for entry in entries:
            try:
                result = self._apply(entry)
            except MachineFailed as error:
                self._fail(error)
                return
            waiter = self._waiters.pop(entry.index, None)
            if waiter is not None and not waiter.future.done():
                if waiter.term == entry.term:
                    waiter.future.set_result(result)
                else:
                    # Another leader's entry took the place: this call will never be applied.
                    waiter.future.set_exception(ProposalDropped(DropReason.NO_LEADER))
        self._wake_applied()
        if self.machine.applied - self._compacted >= self.config.snapshot_entries:
            self._compact()

    def _apply(self, entry: Entry) -> object:
        if entry.type == EntryType.NORMAL:
            return self.machine.apply(entry)
        self.machine.applied = entry.index
        change = (
            decode_conf_change(entry.data) if entry.type == EntryType.CONF_CHANGE else decode_conf_change_v2(entry.data)
        )
        try:
            conf_state = self._raw.apply_conf_change(change)
        except ConfChangeError as error:
            return error
        self._driver.write(MembershipItem(GROUP, entry.index, conf_state))
        return conf_state

    def _wake_applied(self) -> None:
        if not self._applied_waiters:
            return
        still: list[tuple[Index, asyncio.Future[None]]] = []
        for index, future in self._applied_waiters:
            if index <= self.machine.applied:
                if not future.done():
                    future.set_result(None)
            else:
                still.append((index, future))
        self._applied_waiters = still

    def on_snapshot(self, snapshot: Snapshot) -> None:
        """See `GroupHandler.on_snapshot`."""
        self.machine.restore(snapshot.data)
        self._compacted = snapshot.meta.index
        unknown = [index for index in self._waiters if index <= snapshot.meta.index]
        for index in unknown:
            future = self._waiters.pop(index).future
            if not future.done():
                future.set_exception(OutcomeUnknown("a snapshot covers the entry; whether it was this call is unknown"))
        self._wake_applied()

    def on_soft_state(self, state: SoftState) -> None:
        """See `GroupHandler.on_soft_state`."""
        self._leader_changed.set()
        if state.leader == 0:
            for future in self._reads.values():
                if not future.done():
                    future.set_exception(NotLeader(0))

    def on_read_states(self, states: list[ReadState]) -> None:
        """See `GroupHandler.on_read_states`."""
        for state in states:
            future = self._reads.get(state.context)
            if future is not None and not future.done():
                future.set_result(state.index)

    def on_failed(self, error: RaftlyError) -> None:
        """See `GroupHandler.on_failed`."""
        self._fail(error)

    def _fail(self, error: RaftlyError) -> None:
        if self.failure is None:
            self.failure = error
            self._give_up(OutcomeUnknown(f"the node failed: {error}"))

    def _give_up(self, error: RaftlyError) -> None:
        """Nobody will answer those who still wait."""
        waiters, self._waiters = self._waiters, {}
        for waiter in waiters.values():
            if not waiter.future.done():
                waiter.future.set_exception(error)
        for future in self._reads.values():
            if not future.done():
                future.set_exception(error)
        for _, applied in self._applied_waiters:
            if not applied.done():
                applied.set_exception(error)
        self._applied_waiters = []

    # --- snapshots ---

    def _snapshot_now(self) -> Snapshot:
        index = self.machine.applied
        term = self._store.group(GROUP).term(index)
        return Snapshot(SnapshotMeta(index, term, self._driver.conf_state(GROUP)), self.machine.snapshot())

    def _snapshot_to_send(self) -> Snapshot | None:
        """The state as of now, if the log holds the entry it ends with."""
        log = self._store.group(GROUP)
        if not log.first_index() - 1 <= self.machine.applied <= log.last_index():
            return log.snapshot_meta
        return self._snapshot_now()

    def _compact(self) -> None:
        """Let the log begin behind the state as of now."""
        log = self._store.group(GROUP)
        if self.machine.applied > log.last_index():
            return  # applied ahead of the own disk; next time
        self._compacted = self.machine.applied
        self._driver.write(SnapshotItem(GROUP, self._snapshot_now(), keeps_entries=True))
