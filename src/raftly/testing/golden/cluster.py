"""The simulated cluster of interaction scripts: nodes with a storage each, and one queue of undelivered messages.

The application is an appender: applying an entry appends its payload to the data of a new snapshot, and the list of
all these snapshots is the node's history. A node that is asked for a snapshot hands out the last of them.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import final

from raftly.base.membership import ConfState
from raftly.base.types import Entry, EntryType, HardState, Index, NodeId, Snapshot, SnapshotMeta, Term
from raftly.core.config import Config
from raftly.core.describe import describe_error, describe_message, describe_ready
from raftly.core.memory import MemoryStorage
from raftly.core.messages import Message, MessageType, MsgSnap, MsgStorageAppend, MsgStorageApply, is_storage_thread
from raftly.core.proposals import decode_change
from raftly.core.raw_node import RawNode
from raftly.core.storage import FetchContext
from raftly.errors import ConfChangeError, DamagedMessage, InvariantError, RaftlyError
from raftly.testing.golden.console import Console
from raftly.testing.golden.script import CommandError, ScriptError


@final
class HistoryStorage:
    """A MemoryStorage whose snapshot is the application's newest."""

    def __init__(self, first: Snapshot) -> None:
        self.log = MemoryStorage()
        self.history = [first]
        if not first.is_empty():
            self.log.apply_snapshot(first)

    def initial_state(self) -> tuple[HardState, ConfState]:
        """As stored."""
        return self.log.initial_state()

    def entries(self, lo: Index, hi: Index, bytes_max: int, context: FetchContext | None = None) -> list[Entry]:
        """As stored."""
        return self.log.entries(lo, hi, bytes_max, context)

    def term(self, index: Index) -> Term:
        """As stored."""
        return self.log.term(index)

    def first_index(self) -> Index:
        """As stored."""
        return self.log.first_index()

    def last_index(self) -> Index:
        """As stored."""
        return self.log.last_index()

    def snapshot(self, at_least: Index = 0, to: NodeId = 0) -> Snapshot:
        """The newest snapshot of the application."""
        return self.history[-1]


@final
class SimulatedNode:
    """One member: its core, what it stored, and the work of its storage threads."""

    def __init__(self, config: Config, first: Snapshot, console: Console) -> None:
        self.id = config.id
        self.storage = HistoryStorage(first)
        self._console = console
        self._start(config)

    def _start(self, config: Config) -> None:
        self.config = config
        self.append_work: list[MsgStorageAppend] = []
        self.apply_work: list[MsgStorageApply] = []
        self.core = RawNode(config, self.storage, self._console)

    def restart(self) -> None:
        """Stop and start from what was stored and applied; work that was under way is lost."""
        self._start(replace(self.config, applied=self.storage.snapshot().meta.index))

    def save(self, hard_state: HardState | None, entries: list[Entry], snapshot: Snapshot | None) -> None:
        """What a Ready, or the append thread, writes.

        Raises:
            CommandError: a snapshot and entries at once.
            SnapshotOutOfDate: a newer one is stored.
        """
        log = self.storage.log
        if hard_state is not None and not hard_state.is_empty():
            log.set_hard_state(hard_state)
        if snapshot is None or snapshot.is_empty():
            log.append(entries)
        elif entries:
            raise CommandError("can't apply snapshot and entries at the same time")
        else:
            log.apply_snapshot(snapshot)

    def apply(self, entries: list[Entry]) -> None:
        """What the application does with committed entries."""
        history = self.storage.history
        for entry in entries:
            last = history[-1]
            conf_state, update = last.meta.conf_state, entry.data
            if entry.type != EntryType.NORMAL:
                change = decode_change(entry)
                update = change.context
                try:
                    conf_state = self.core.apply_conf_change(change)
                except ConfChangeError as error:
                    raise InvariantError(str(error)) from error  # a committed change that cannot be applied
            history.append(Snapshot(SnapshotMeta(entry.index, entry.term, conf_state), last.data + update))


@final
class Cluster:
    """All nodes, the messages between them in the order of sending, and the console they print to."""

    def __init__(self) -> None:
        self.console = Console()
        self.nodes: list[SimulatedNode] = []
        self.messages: list[Message] = []

    def node(self, id_: NodeId) -> SimulatedNode:
        """The node with this id.

        Raises:
            ScriptError: there is none.
        """
        if not 1 <= id_ <= len(self.nodes):
            raise ScriptError(f"there is no node {id_}, the cluster has {len(self.nodes)}")
        return self.nodes[id_ - 1]

    def add_node(self, config: Config, first: Snapshot) -> None:
        """A node under the next free id."""
        self.nodes.append(SimulatedNode(replace(config, id=len(self.nodes) + 1), first, self.console))

    # --- one step of one node ---

    def process_ready(self, node: SimulatedNode) -> None:
        """Take a Ready, print it, carry it out."""
        ready = node.core.ready()
        self.console.write(describe_ready(ready))
        waits = not node.config.async_storage_writes
        if waits:
            node.save(ready.hard_state, ready.entries, ready.snapshot)
            node.apply(ready.committed_entries)
        for message in ready.messages:
            if isinstance(message, MsgStorageAppend):
                node.append_work.append(message)
            elif isinstance(message, MsgStorageApply):
                node.apply_work.append(message)
            else:
                self.messages.append(message)
        if waits:
            node.core.advance()

    def process_append_thread(self, node: SimulatedNode) -> None:
        """Carry out the oldest write."""
        if not node.append_work:
            self.console.write("no append work to perform")
            return
        message = node.append_work.pop(0)
        self._print_work(message)
        node.save(HardState(message.term, message.vote, message.commit), message.entries, message.snapshot)
        self._answer(message.responses)

    def process_apply_thread(self, node: SimulatedNode) -> None:
        """Carry out the oldest application of entries."""
        if not node.apply_work:
            self.console.write("no apply work to perform")
            return
        message = node.apply_work.pop(0)
        self._print_work(message)
        node.apply(message.entries)
        self._answer(message.responses)

    def _print_work(self, message: Message) -> None:
        self.console.write(f"Processing:\n{describe_message(message, responses=False)}\n")

    def _answer(self, responses: list[Message]) -> None:
        self.console.write("Responses:\n")
        for response in responses:
            self.console.write(describe_message(response) + "\n")
        self.messages += responses

    def send_snapshot(self, from_: NodeId, to: NodeId) -> None:
        """Queue a snapshot behind the sender's back."""
        sender = self.node(from_)
        message = MsgSnap(to, from_, sender.core.raft.term, sender.storage.snapshot())
        self.messages.append(message)
        self.console.write(describe_message(message))

    # --- messages ---

    def deliver(self, to: NodeId, type_: MessageType | None = None, *, drop: bool = False) -> int:
        """Deliver, or drop, what waits for `to`; how many messages that were.

        Messages of a node to itself and to or from its storage threads are never dropped: no network carries them.
        """
        taken, self.messages = self._split(to, type_, drop=drop)
        for message in taken:
            text = describe_message(message) + "\n"
            if drop:
                self.console.write("dropped: " + text)
                continue
            self.console.write(text)
            try:
                self._step(self.node(to), message)
            except ScriptError:
                raise
            except RaftlyError as error:
                self.console.write(describe_error(error) + "\n")
        return len(taken)

    def _step(self, node: SimulatedNode, message: Message) -> None:
        try:
            node.core.step(message)
        except DamagedMessage:
            # A script may forge snapshots, and start nodes from logs that contradict each other. etcd's core takes
            # what ours refuses at its door, before any change: here it goes past the door.
            node.core.raft.step(message)

    def _split(self, to: NodeId, type_: MessageType | None, *, drop: bool) -> tuple[list[Message], list[Message]]:
        taken: list[Message] = []
        left: list[Message] = []
        for message in self.messages:
            matches = message.to == to and (type_ is None or message.type == type_)
            (taken if matches and not (drop and _is_local(message)) else left).append(message)
        return taken, left

    def has_messages(self, to: NodeId) -> bool:
        """Does any message wait for `to`?"""
        return any(message.to == to for message in self.messages)

    # --- until nothing is left to do ---

    def stabilize(self, nodes: Sequence[SimulatedNode]) -> None:
        """Rounds of Ready, delivery, append and apply work over `nodes`, until a round does nothing."""
        while self._stabilize_round(nodes):
            pass

    def _stabilize_round(self, nodes: Sequence[SimulatedNode]) -> bool:
        acted = False
        for node in nodes:
            if node.core.has_ready():
                acted = True
                self.console.write(f"> {node.id} handling Ready\n")
                with self.console.indented():
                    self.process_ready(node)
        for node in nodes:
            if self.has_messages(node.id):
                acted = True
                self.console.write(f"> {node.id} receiving messages\n")
                with self.console.indented():
                    self.deliver(node.id)
        for node in nodes:
            if node.append_work:
                acted = True
                self.console.write(f"> {node.id} processing append thread\n")
                for _ in range(len(node.append_work)):
                    with self.console.indented():
                        self.process_append_thread(node)
        for node in nodes:
            if node.apply_work:
                acted = True
                self.console.write(f"> {node.id} processing apply thread\n")
                for _ in range(len(node.apply_work)):
                    with self.console.indented():
                        self.process_apply_thread(node)
        return acted

    def nodes_of(self, ids: Iterable[NodeId]) -> list[SimulatedNode]:
        """The nodes with these ids, in this order."""
        return [self.node(id_) for id_ in ids]


def _is_local(message: Message) -> bool:
    return message.from_ == message.to or is_storage_thread(message.from_) or is_storage_thread(message.to)
