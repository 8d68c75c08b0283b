"""Driver: any number of Raft groups on one event loop, one log, one transport, handled in rounds.

    inbox, proposals, ticks, disk acknowledgements ──► step the groups they concern
                                                         │ every dirty group's Ready
             one frame a peer ◄──────────────────────────┤
             one append and one sync ◄───────────────────┤   the next round gathers while the disk works
             apply committed entries, resolve waiters ◄──┘

Messages to peers leave before this node's own sync is done; votes and acknowledgements are the answers that come with
the write, so they cannot leave earlier. A Ready that only moves the commit index waits for the next write and causes
none.

There is no second path: a replicated class is a driver with one group.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol, final

from raftly.base.membership import ConfState
from raftly.base.types import Entry, HardState, NodeId, Snapshot
from raftly.core.config import Config
from raftly.core.messages import Message, MsgStorageAppend, MsgStorageApply
from raftly.core.raw_node import RawNode
from raftly.core.readindex import ReadState
from raftly.core.status import SoftState
from raftly.core.trace import Tracer
from raftly.errors import PeerError, ProposalError, RaftlyError
from raftly.storage.group_log import GroupLog
from raftly.storage.items import EntriesItem, HardStateItem, Item, SnapshotItem
from raftly.storage.log_store import LogStore
from raftly.transport.base import Transport


class GroupHandler(Protocol):
    """What the owner of a group does with what its driver brings. Called inside a round: quick, and never raising."""

    def on_committed(self, entries: list[Entry]) -> None:
        """Apply these entries, in order; they are never given again."""
        ...

    def on_snapshot(self, snapshot: Snapshot) -> None:
        """Replace the state by a snapshot that arrived."""
        ...

    def on_soft_state(self, state: SoftState) -> None:
        """Leader or role changed."""
        ...

    def on_read_states(self, states: list[ReadState]) -> None:
        """Reads were confirmed."""
        ...

    def on_failed(self, error: RaftlyError) -> None:
        """The group stopped for good."""
        ...


@final
@dataclass(frozen=True, slots=True)
class DriverOptions:
    """Timing of a driver. Seconds."""

    tick_interval: float = 0.1


@final
class Group:
    """One group of a driver."""

    __slots__ = ("_driver", "config", "dirty", "handler", "id", "inbox", "log", "pending_state", "proposals", "raw")

    def __init__(self, driver: Driver, id_: int, config: Config, log: GroupLog, handler: GroupHandler) -> None:
        self._driver = driver
        self.id = id_
        self.config = config
        self.log = log
        self.handler = handler
        self.raw = RawNode(config, log, driver.tracer)
        self.inbox: list[Message] = []
        self.proposals: list[tuple[bytes, Callable[[int, int], None], Callable[[RaftlyError], None]]] = []
        self.pending_state: HardState | None = None  # a commit index that rides with the next write
        self.dirty = False

    def propose(
        self, payload: bytes, placed: Callable[[int, int], None], refused: Callable[[RaftlyError], None]
    ) -> None:
        """Propose in the next round: `placed(term, index)` when it is in this leader's log, else `refused(error)`."""
        self.proposals.append((payload, placed, refused))
        self._driver.wake(self)

    def act(self, action: Callable[[RawNode], None]) -> None:
        """Do something with the core now, and let the driver see what follows.

        Raises:
            RaftlyError: whatever the action raises.
        """
        try:
            action(self.raw)
        finally:
            self._driver.wake(self)


@final
class Driver:
    """Drives groups until `stop`. Single-threaded: everything runs on the loop that called `start`."""

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
        self.peer_errors = 0  # messages refused
        self._store = store
        self._transport = transport
        self._options = options or DriverOptions()
        self._dirty: list[Group] = []
        self._outbox: dict[NodeId, dict[int, list[Message]]] = {}
        self._items: list[Item] = []  # of the next write
        self._answers: list[tuple[Group, list[Message]]] = []  # to deliver when it is durable
        self._writing = False
        self._scheduled = False
        self._stopped = False
        self._write_wanted = asyncio.Event()
        self._failure: RaftlyError | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._ticker: asyncio.TimerHandle | None = None
        self._next_tick = 0.0
        self._writer: asyncio.Task[None] | None = None

    # --- life ---

    def add_group(self, id_: int, config: Config, handler: GroupHandler) -> Group:
        """Take a group under way, from what its log holds."""
        group = self.groups[id_] = Group(self, id_, config, self._store.group(id_), handler)
        self.wake(group)
        return group

    def remove_group(self, id_: int) -> None:
        """Let a group go; its log stays."""
        self.groups.pop(id_, None)

    async def start(self) -> None:
        """Begin to tick, to receive and to write."""
        self._loop = asyncio.get_running_loop()
        await self._transport.start(self._receive, self._unreachable)
        self._writer = asyncio.create_task(self._write_loop(), name=f"raftly-log-{self.node_id}")
        self._next_tick = self._loop.time() + self._options.tick_interval
        self._ticker = self._loop.call_at(self._next_tick, self._tick)
        self._schedule()

    async def stop(self) -> None:
        """Finish the write under way and stop. Handing leadership over is the owner's, before this."""
        self._stopped = True
        if self._ticker is not None:
            self._ticker.cancel()
        await self._transport.close()
        self._write_wanted.set()
        if self._writer is not None:
            await self._writer

    # --- input ---

    def wake(self, group: Group) -> None:
        """A group has something to do."""
        if not group.dirty:
            group.dirty = True
            self._dirty.append(group)
        if not self._scheduled:
            self._schedule()

    def _schedule(self) -> None:
        if self._loop is not None and not self._stopped and self._failure is None:
            self._scheduled = True
            self._loop.call_soon(self._round)

    def _receive(self, from_: NodeId, batch: list[tuple[int, list[Message]]]) -> None:
        for id_, messages in batch:
            group = self.groups.get(id_)
            if group is not None:
                group.inbox += messages
                self.wake(group)

    def _unreachable(self, peer: NodeId) -> None:
        for group in self.groups.values():
            if peer in group.raw.raft.tracker.progress:
                group.raw.report_unreachable(peer)
                self.wake(group)

    def _tick(self) -> None:
        """One tick for every group, however late the loop is: time that this process lost is not the leader's fault."""
        loop = self._loop
        if loop is None or self._stopped:
            return
        # What has arrived is looked at first, so a heartbeat that waited is not taken for a silent leader.
        self._loop_round()
        for group in self.groups.values():
            group.raw.tick()
            self.wake(group)
        now = loop.time()
        self._next_tick = max(self._next_tick + self._options.tick_interval, now)
        self._ticker = loop.call_at(self._next_tick, self._tick)

    # --- a round ---

    def _round(self) -> None:
        self._scheduled = False
        self._loop_round()

    def _loop_round(self) -> None:
        if self._failure is not None:
            return
        dirty, self._dirty = self._dirty, []
        for group in dirty:
            group.dirty = False
            self._feed(group)
            self._drain(group)
        if self._outbox:
            outbox, self._outbox = self._outbox, {}
            for peer, groups in outbox.items():
                self._transport.send(peer, list(groups.items()))
        if (self._items or self._answers) and not self._writing:
            if self._items:
                self._write_wanted.set()
            else:
                self._deliver_answers()

    def _feed(self, group: Group) -> None:
        """Give a group what arrived for it."""
        inbox, group.inbox = group.inbox, []
        for message in inbox:
            self._step(group, message)
        proposals, group.proposals = group.proposals, []
        if not proposals:
            return
        raw = group.raw
        try:
            last = raw.propose_batch([payload for payload, _, _ in proposals])
        except ProposalError as error:
            for _, _, refused in proposals:
                refused(error)
            return
        first = last - len(proposals) + 1
        term = raw.raft.term
        for position, (_, placed, _) in enumerate(proposals):
            placed(term, first + position)

    def _step(self, group: Group, message: Message) -> None:
        try:
            group.raw.step(message)
        except PeerError:
            self.peer_errors += 1
        except ProposalError:
            pass  # a forwarded proposal: its proposer will find out by its own deadline

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
                    self._plan_write(group, message)
                elif isinstance(message, MsgStorageApply):
                    group.handler.on_committed(message.entries)
                    for response in message.responses:
                        raw.step(response)
                else:
                    self._post(group, message)

    def _post(self, group: Group, message: Message) -> None:
        self._outbox.setdefault(message.to, {}).setdefault(group.id, []).append(message)

    def _plan_write(self, group: Group, message: MsgStorageAppend) -> None:
        """Add what must be durable to the next write, and the answers to what follows it."""
        if message.snapshot is not None:
            group.handler.on_snapshot(message.snapshot)
            self._items.append(SnapshotItem(group.id, message.snapshot, keeps_entries=False))
        if message.term or message.vote or message.commit:
            state = HardState(message.term, message.vote, message.commit)
            known = group.log.hard_state if group.pending_state is None else group.pending_state
            if message.entries or message.snapshot is not None or (state.term, state.vote) != (known.term, known.vote):
                self._items.append(HardStateItem(group.id, state))
                group.pending_state = None
            else:
                group.pending_state = state  # only the commit index: it can be learned again, so it can wait
        elif group.pending_state is not None and message.entries:
            self._items.append(HardStateItem(group.id, group.pending_state))
            group.pending_state = None
        if message.entries:
            self._items.append(EntriesItem(group.id, message.entries))
        if message.responses:
            self._answers.append((group, message.responses))

    # --- the disk ---

    async def _write_loop(self) -> None:
        """Write what has gathered, deliver its answers, again. One write at a time."""
        while True:
            await self._write_wanted.wait()
            self._write_wanted.clear()
            if not self._items:
                if self._stopped:
                    return
                continue
            items, self._items = self._items, []
            answers, self._answers = self._answers, []
            self._writing = True
            try:
                await self._store.commit(items)
            except RaftlyError as error:
                self._fail(error)
                return
            finally:
                self._writing = False
            self._deliver(answers)
            self._loop_round()
            if self._items or self._stopped:
                self._write_wanted.set()

    def _deliver_answers(self) -> None:
        """Nothing to write, and nothing being written: what is answered is durable already."""
        answers, self._answers = self._answers, []
        self._deliver(answers)

    def _deliver(self, answers: list[tuple[Group, list[Message]]]) -> None:
        for group, messages in answers:
            for message in messages:
                if message.to == self.node_id:
                    self._step(group, message)
                else:
                    self._post(group, message)
            self.wake(group)

    def _fail(self, error: RaftlyError) -> None:
        """The log is broken: nothing more may be promised."""
        self._failure = error
        for group in self.groups.values():
            group.handler.on_failed(error)

    def write(self, item: Item) -> None:
        """Add something of the owner's to the next write."""
        self._items.append(item)
        if self._writer is not None and not self._writing:
            self._write_wanted.set()

    def conf_state(self, id_: int) -> ConfState:
        """The membership in force."""
        return self.groups[id_].raw.raft.tracker.config.conf_state()
