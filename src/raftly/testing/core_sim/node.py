"""One node: the core, its log on a disk that takes its time, and a state machine that is a hash of what it applied.

The loop is that of `raftly.node.driver` in small: what is to be durable gathers while the disk works, answers follow
the write they belong to, a commit index alone waits for the next write. With synchronous storage writes a Ready is
finished before the next one is taken.
"""

from __future__ import annotations

from collections.abc import Generator
from contextlib import suppress
from dataclasses import replace
from random import Random
from typing import TYPE_CHECKING, Final, final

from raftly.base.membership import ConfState
from raftly.base.rand import SplitMix64
from raftly.base.types import HardState, Index, NodeId, Snapshot, SnapshotMeta, Term
from raftly.core.config import Config, ReadOnlyOption
from raftly.core.messages import (
    Message,
    MsgAppResp,
    MsgSnap,
    MsgStorageAppend,
    MsgStorageApply,
    MsgTimeoutNow,
    MsgVoteResp,
)
from raftly.core.raw_node import RawNode
from raftly.core.readindex import ReadState
from raftly.core.ready import Ready
from raftly.core.role import Role
from raftly.errors import DiskFull, PeerNotFound, ProposalError, StorageError, SyncFailed
from raftly.storage.group_log import GroupLog
from raftly.storage.items import EntriesItem, HardStateItem, Item, SnapshotItem
from raftly.storage.log_store import LogOptions, LogStore
from raftly.testing.core_sim.application import EMPTY, GROUP, Application
from raftly.testing.core_sim.disk import PAUSE, PowerLost, fill, start_commit
from raftly.testing.memfs import MemFs

if TYPE_CHECKING:
    from raftly.testing.core_sim.world import World

_CLUSTER: Final = 1
_LEADER: Final = Role.LEADER
_RETRY_US: Final = 100_000  # between two attempts to write to a full disk
_RESTART_US: Final = 50_000  # a supervisor starts a process that ended by itself so much later


@final
class Node:
    """One host of a world, with its disk and the process on it, if any."""

    def __init__(self, world: World, id_: NodeId, config: Config, founders: tuple[NodeId, ...]) -> None:
        self.id = id_
        self.alive = False
        self.starts = 0
        self.disk_slow = 1.0
        self.disk_stalled_until = 0
        self.sync_errors = 0
        self.fuse = 0  # power is lost before this many-th change of the disk
        self.rate = 1.0  # of the clock
        self.paused_until = 0
        self.retired = False  # switched off for good: healing found it to be no member
        self._world = world
        self._config = config
        self._modelled = world.options.modelled
        self._founders = founders
        self._random = Random(f"{world.seed}/node/{id_}")
        self._source = SplitMix64(self._random.getrandbits(64))
        self._fs = MemFs()
        self._writing: Generator[None, None, None] | None = None
        self._found()

    def _found(self) -> None:
        """A founder begins with the membership on its disk, anybody else with nothing."""
        founders = self._founders
        if self.id in founders and not self._modelled:
            store = self._open()
            begin = SnapshotItem(GROUP, Snapshot(SnapshotMeta(1, 1, ConfState(founders)), EMPTY), False)
            for _ in start_commit(store.commit([begin, HardStateItem(GROUP, HardState(1, 0, 1))])):
                raise AssertionError("nothing makes this disk wait")
            store.close()

    def _open(self) -> LogStore:
        store = LogStore(self._fs, _CLUSTER, self.id, LogOptions(self._world.drawn.segment_bytes))
        store.open()
        return store

    # --- life ---

    def boot(self) -> None:
        """Start a process that recovers from the disk."""
        if self.alive or self.retired:
            return
        world = self._world
        self.alive = True
        self.starts += 1
        self._fs.on_step = self._on_step
        self._fs.on_sync = self._on_sync
        self._recovering = True
        self._found_log = ("", b"")  # what recovery writes over
        try:
            self._store = self._open()
        except PowerLost:
            world.rare["power lost in recovery"] += 1
            self.power_off()
            return
        except DiskFull:
            self._fail("the disk is full")
            return
        self._recovering = False
        path, content = self._found_log
        world.rare["torn ends cut"] += path != "" and self._fs.content(path) != content
        self.log: GroupLog = self._store.group(GROUP)
        self._items: list[Item] = []
        self._answers: list[Message] = []
        self._in_flight: tuple[list[Item], list[Message]] = ([], [])
        self._pending_state: HardState | None = None
        self._ready: Ready | None = None  # synchronous style: waits for the disk,
        self._ready_in_flight = False  # and it is in the write under way
        self._held: list[Message] = []  # arrived while paused
        self.disk_full = False
        self.transfer_term: Term = 0
        self.questions: dict[bytes, tuple[int, Term]] = {}  # reads: asked when, while leading in which term
        self.application = Application(self, world)
        self.log.latest_snapshot = self.application.to_send
        config = replace(self._config, id=self.id, seed=self._random.getrandbits(32), applied=self.applied)
        self.raw = RawNode(config, self.log, world.tracer)
        self.raft = self.raw.raft
        world.checker.started(self.raft)
        if self._modelled:
            self._bootstrap()
        world.after(int(world.tick_us / self.rate * self._random.random()), self._tick, self.starts)
        self._pump()

    def _bootstrap(self) -> None:
        """The members are in the log, and there is no snapshot that would tell of them; they stay the same."""
        self.application.conf = ConfState(self._founders)
        if self.raft.term == 0:
            self.raw.bootstrap([(id_, b"") for id_ in self._founders])
            self._world.checker.look(self.raft)

    def crash(self) -> None:
        """Power is lost: of what was not synced anything may be left."""
        self.exit()
        self._fs = self._fs.crash(self._source)
        self.fuse = 0

    def exit(self) -> None:
        """The process ends here and now; what it wrote stays."""
        if self.alive:
            self.alive = False
            writing, self._writing = self._writing, None
            if writing is not None:
                self._fs.on_step = None
                writing.close()
            self._fs.locked.clear()

    def tell_commits_in_votes(self) -> None:
        """From the next start on."""
        self._config = replace(self._config, commit_in_votes=True)

    def _fail(self, problem: str) -> None:
        """The process ends by itself."""
        self._world.note(self.id, "ends", problem)
        self.exit()
        self._world.after(_RESTART_US, lambda _: self.boot(), None)

    # --- disk ---

    def _on_step(self, operation: str, path: str) -> None:
        if self._recovering and operation == "write" and not path.endswith(".tmp"):
            self._found_log = path, self._fs.content(path)
        if self.fuse:
            self.fuse -= 1
            if not self.fuse:
                self._world.note(self.id, "loses power", f"{operation} {path}")
                raise PowerLost

    async def _on_sync(self, path: str) -> None:
        if self._modelled:
            return
        await PAUSE
        if self.sync_errors:
            self.sync_errors -= 1
            self._world.rare["failed syncs"] += 1
            raise SyncFailed(f"cannot sync {path}: input/output error")

    def fill_disk(self, slack_bytes: int | None) -> None:
        """From now on there is room for this much more; None: for as much as one likes."""
        fill(self._fs, slack_bytes)

    def _start_write(self) -> None:
        items, answers = self._items, self._answers
        self._items, self._answers = [], []
        self._in_flight = (items, answers)
        self._ready_in_flight = self._ready is not None
        if items:
            self._writing = start_commit(self._store.commit(items))
            self._go_on(self.starts)
        else:
            self._on_written()

    def _go_on(self, incarnation: int) -> None:
        """The disk did the next step of a commit."""
        if incarnation != self.starts or not self.alive or self._writing is None:
            return
        world = self._world
        wait = max(self.disk_stalled_until, self.paused_until) - world.now
        if wait > 0:
            world.after(wait, self._go_on, incarnation)
            return
        try:
            next(self._writing)
        except StopIteration:
            self._writing = None
            self.disk_full = False
            self._on_written()
            self._pump()
        except DiskFull:
            self._on_disk_full()
        except StorageError as error:
            self._fail(str(error))
        except PowerLost:
            world.rare["power lost in a write"] += 1
            self.power_off()
        else:
            draw = world.random.random()
            world.after(int(world.drawn.sync_us * (0.5 + draw * draw) * self.disk_slow), self._go_on, incarnation)

    def power_off(self) -> None:
        """Power was lost in the middle of something."""
        self.crash()
        self._world.after(_RESTART_US, lambda _: self.boot(), None)

    def _on_disk_full(self) -> None:
        self._world.rare["writes on a full disk"] += 1
        self._writing = None
        if self._store.is_broken:
            self._fail("the disk is full, and the log broken by it")
            return
        self.disk_full = True
        world, raft = self._world, self.raft
        items, _ = self._in_flight
        if raft.role is _LEADER and not raft.lead_transferee:
            others = [(peer.match, id_) for id_, peer in raft.tracker.peers if id_ != self.id]
            match, target = max(others, default=(0, 0))
            if match > raft.log.persisted_index():
                self.raw.transfer_leader(target)
        starts = self.starts

        def again(_: object) -> None:
            if self.alive and self.starts == starts:
                self._writing = start_commit(self._store.commit(items))
                self._go_on(starts)

        world.after(_RETRY_US, again, None)
        self._pump()

    def _on_written(self) -> None:
        """All of the write is durable: what it was to be answered with may leave."""
        world, log = self._world, self.log
        world.checker.synced(self.raft, log.hard_state)
        _, answers = self._in_flight
        self._in_flight = ([], [])
        for message in answers:
            if message.to == self.id:
                world.checker.sent(self.raft, message, log.hard_state, log.last_index())
                self._step(message)
            else:
                self._post(message)
        ready = self._ready
        if ready is not None and self._ready_in_flight:
            self._ready = None
            self._finish(ready)
        world.checker.look(self.raft, world.now)

    # --- input ---

    def receive(self, message: Message) -> None:
        """A message arrives."""
        if not self.alive:
            return
        if self.paused_until > self._world.now:
            if not self._held:
                self._world.after(self.paused_until - self._world.now, self._release, self.starts)
            self._held.append(message)
            return
        self._world.reached(self.raft, message)
        self._step(message)
        self.acted()

    def _release(self, incarnation: int) -> None:
        if self.alive and incarnation == self.starts:
            held, self._held = self._held, []
            for message in held:
                self.receive(message)

    def _step(self, message: Message) -> None:
        # From a node that has left, or a forwarded proposal that comes at a bad moment.
        with suppress(PeerNotFound, ProposalError):
            self.raw.step(message)

    def acted(self) -> None:
        """Something happened to the core: look, then do what there is to do."""
        self._world.checker.look(self.raft, self._world.now)
        self._pump()

    def _tick(self, incarnation: int) -> None:
        if incarnation != self.starts or not self.alive:
            return
        world = self._world
        wait = self.paused_until - world.now
        if wait > 0:
            world.after(wait, self._tick, incarnation)
            return
        world.after(int(world.tick_us / self.rate) + 1, self._tick, incarnation)
        self.raw.tick()
        self.acted()

    def act(self) -> bool:
        """Can somebody do something with this node's core now? Then `acted` afterwards."""
        return self.alive and self.paused_until <= self._world.now

    # --- output ---

    def _pump(self) -> None:
        raw = self.raw
        if self._config.async_storage_writes:
            while raw.has_ready():
                ready = raw.ready()
                if ready.read_states:
                    self._on_reads(ready.read_states)
                for message in ready.messages:
                    if isinstance(message, MsgStorageAppend):
                        self._plan_write(message)
                    elif isinstance(message, MsgStorageApply):
                        self.application.hand_over(message)
                    else:
                        self._post(message)
                self._world.checker.look(self.raft, self._world.now)
        else:
            while self._ready is None and self.alive and raw.has_ready():
                self._take(raw.ready())
                if self._writing is None and not self.disk_full:
                    self._start_write()
        if (
            self._writing is None
            and not self.disk_full
            and self.alive
            and (self._items or self._answers or self._ready)
        ):
            self._start_write()

    def _take(self, ready: Ready) -> None:
        """Synchronous style: save what must be saved; the rest follows when that is durable."""
        if ready.read_states:
            self._on_reads(ready.read_states)
        if ready.snapshot is not None:
            self.application.restore(ready.snapshot)
            self._items.append(SnapshotItem(GROUP, ready.snapshot, keeps_entries=False))
        if ready.hard_state is not None:
            self._plan_state(ready.hard_state, ready.must_sync or ready.snapshot is not None)
        if ready.entries:
            self._items.append(EntriesItem(GROUP, ready.entries))
        self._ready = ready

    def _finish(self, ready: Ready) -> None:
        for message in ready.messages:
            self._post(message)
        self.application.apply(ready.committed_entries)
        self.raw.advance()
        self._world.checker.look(self.raft, self._world.now)

    def _plan_write(self, message: MsgStorageAppend) -> None:
        if message.snapshot is not None:
            self.application.restore(message.snapshot)
            self._items.append(SnapshotItem(GROUP, message.snapshot, keeps_entries=False))
        if message.term or message.vote or message.commit:
            state = HardState(message.term, message.vote, message.commit)
            self._plan_state(state, bool(message.entries) or message.snapshot is not None)
        elif self._pending_state is not None and message.entries:
            self._plan_state(self._pending_state, must_write=True)
        if message.entries:
            self._items.append(EntriesItem(GROUP, message.entries))
        if message.responses:
            self._answers += message.responses

    def _plan_state(self, state: HardState, must_write: bool) -> None:
        known = self._pending_state or self.log.hard_state
        if must_write or self._modelled or (state.term, state.vote) != (known.term, known.vote):
            self._items.append(HardStateItem(GROUP, state))
            self._pending_state = None
        else:
            self._pending_state = state

    def _post(self, message: Message) -> None:
        kind = type(message)
        world = self._world
        if kind is MsgAppResp or kind is MsgVoteResp:
            world.checker.sent(self.raft, message, self.log.hard_state, self.log.last_index())
        elif kind is MsgTimeoutNow:
            world.rare["leaders that hand over"] += 1
            self.transfer_term = message.term
            world.checker.released(self.raft)
        arrives = world.send(self.id, message)
        if kind is MsgSnap:
            world.rare["snapshots lost"] += not arrives
            world.after(world.tick_us, self._report_snapshot, (self.starts, message.to, not arrives))

    def _report_snapshot(self, report: tuple[int, NodeId, bool]) -> None:
        starts, to, failed = report
        if self.alive and starts == self.starts:
            self.raw.report_snapshot(to, failed=failed)
            self.acted()

    # --- the application ---

    @property
    def applied(self) -> Index:
        """The newest entry that was applied."""
        return self.application.applied

    @property
    def state(self) -> int:
        """A hash of all that was applied."""
        return self.application.state

    @property
    def conf(self) -> ConfState:
        """The members, as of the newest entry that was applied."""
        return self.application.conf

    def write(self, item: Item) -> None:
        """Add something to the next write."""
        self._items.append(item)

    # --- reads ---

    def _on_reads(self, states: list[ReadState]) -> None:
        world, raft = self._world, self.raft
        for state in states:
            if self._config.read_only_option is ReadOnlyOption.SAFE:
                world.checker.answered(raft, state.context, state.index)
            asked_at, term = self.questions.pop(state.context, (0, 0))
            lease = world.lease_us
            if lease and term == raft.term and raft.role is _LEADER and self.transfer_term != term:
                world.checker.leased(raft, asked_at + lease, world.now)

    def holds_lease(self) -> bool:
        """Could a read be answered here and now, without asking anybody? As `raftly.node.reads` has it."""
        raft = self.raft
        return (
            self._world.checker.holds_lease(raft, self._world.now)
            and raft.lead_transferee == 0
            and self.transfer_term != raft.term
            and self.applied >= raft.log.committed
        )
