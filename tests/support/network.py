"""A cluster in memory: RawNodes, each with a storage and a small application, and a network that misbehaves on order.

    network = cluster(3)                      three voters that know each other, nothing in their logs
    network.campaign(1)                       ... and deliver until nothing moves
    network.isolate(3)                        recover() undoes it
    network.propose(1, b"x")
    network.raft(2).log.committed             state is read where it lives

Both storage styles work, after `Config.async_storage_writes`. Nothing here asserts a rule of Raft.
"""

from __future__ import annotations

import hashlib
import random
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace

from raftly.base.membership import ConfState
from raftly.base.types import NO_LIMIT, Entry, EntryType, HardState, Snapshot, SnapshotMeta
from raftly.core.config import Config
from raftly.core.memory import MemoryStorage
from raftly.core.messages import Message, MsgSnap, MsgStorageAppend, MsgStorageApply
from raftly.core.proposals import decode_change
from raftly.core.raft import Raft
from raftly.core.raw_node import RawNode
from raftly.core.readindex import ReadState
from raftly.core.ready import Ready
from raftly.core.role import Role
from raftly.errors import PeerNotFound, ProposalDropped, RaftlyError

DEFAULTS = Config(id=1)  # template: `replace(DEFAULTS, id=2)`


def storage_with(
    *,
    voters: Sequence[int] = (),
    learners: Sequence[int] = (),
    terms: Sequence[int] = (),
    term: int = 0,
    vote: int = 0,
    commit: int = 0,
    snapshot: tuple[int, int] = (0, 0),
    conf_state: ConfState | None = None,
) -> MemoryStorage:
    """A storage with a membership, one entry for each of `terms` behind the `snapshot` (index, term), and a hard state.

    The hard state's term is the last entry's unless given, its commit at least the snapshot's index.
    """
    storage = MemoryStorage()
    index, snapshot_term = snapshot
    members = conf_state if conf_state is not None else ConfState(tuple(voters), tuple(learners))
    storage.apply_snapshot(Snapshot(SnapshotMeta(index, snapshot_term, members)))
    entries = [Entry(entry_term, index + 1 + at) for at, entry_term in enumerate(terms)]
    storage.append(entries)
    last_term = terms[-1] if terms else snapshot_term
    storage.set_hard_state(HardState(term or last_term, vote, max(commit, index)))
    return storage


class Host:
    """One node, its storage, and an application whose state is a digest of all it applied.

    Two applications that applied the same commands in the same order have the same `state`.
    """

    def __init__(self, config: Config, storage: MemoryStorage | None = None) -> None:
        self.config = config
        self.storage = MemoryStorage() if storage is None else storage
        self.synced = self.storage.initial_state()[0]  # the hard state that a crash leaves at least
        self._start()

    def _start(self) -> None:
        _, self.conf_state = self.storage.initial_state()
        stored = self.storage.snapshot()
        self.state = stored.data
        self.applied_index = stored.meta.index
        self.applied: list[Entry] = []  # by this incarnation, since its last snapshot was restored
        self.read_states: list[ReadState] = []
        self.append_queue: deque[MsgStorageAppend] = deque()
        self.apply_queue: deque[MsgStorageApply] = deque()
        self.node = RawNode(self.config, self.storage)

    @property
    def id(self) -> int:
        return self.config.id

    @property
    def raft(self) -> Raft:
        return self.node.raft

    # --- the application's loop ---

    def run_ready(self) -> list[Message]:
        """Take one Ready and do all of it; the messages that leave the node.

        With asynchronous writes the storage work is queued, for `run_append` and `run_apply`.
        """
        ready = self.node.ready()
        self.read_states += ready.read_states
        if self.config.async_storage_writes:
            return self._queue_storage_work(ready.messages)
        self.save(ready)
        self.apply(ready.committed_entries)
        self.node.advance()
        return ready.messages

    def settle(self) -> list[Message]:
        """Synchronous style: run Readies until there is none; the messages that leave the node."""
        leaving: list[Message] = []
        while self.node.has_ready():
            leaving += self.run_ready()
        return leaving

    def _queue_storage_work(self, messages: Iterable[Message]) -> list[Message]:
        leaving: list[Message] = []
        for message in messages:
            if isinstance(message, MsgStorageAppend):
                self.append_queue.append(message)
            elif isinstance(message, MsgStorageApply):
                self.apply_queue.append(message)
            else:
                leaving.append(message)
        return leaving

    def accept_ready(self) -> tuple[Ready, list[Message]]:
        """Only take a Ready, for a test that does the rest itself: (ready, messages that leave at the right time)."""
        ready = self.node.ready()
        self.read_states += ready.read_states
        if self.config.async_storage_writes:
            return ready, self._queue_storage_work(ready.messages)
        return ready, ready.messages

    def save(self, ready: Ready) -> None:
        """Synchronous style: write what the Ready says; only with `must_sync` it survives a crash for certain."""
        if ready.snapshot is not None:
            self._restore(ready.snapshot)
        self.storage.append(ready.entries)
        if ready.hard_state is not None:
            self.storage.set_hard_state(ready.hard_state)
        if ready.must_sync or ready.snapshot is not None:
            self.synced = self.storage.initial_state()[0]

    def run_append(self) -> list[Message]:
        """Asynchronous style: the append thread does the oldest of its jobs; its answers."""
        work = self.append_queue.popleft()
        if work.snapshot is not None:
            self._restore(work.snapshot)
        self.storage.append(work.entries)
        if work.term or work.vote or work.commit:
            self.storage.set_hard_state(HardState(work.term, work.vote, work.commit))
        self.synced = self.storage.initial_state()[0]
        return work.responses

    def run_apply(self) -> list[Message]:
        """Asynchronous style: the apply thread does the oldest of its jobs; its answers."""
        work = self.apply_queue.popleft()
        # The append thread may have restored a snapshot since that covers them.
        self.apply(entry for entry in work.entries if entry.index > self.applied_index)
        return work.responses

    def apply(self, entries: Iterable[Entry]) -> None:
        """Apply committed entries in order."""
        for entry in entries:
            assert entry.index == self.applied_index + 1, (entry, self.applied_index)
            self.applied_index = entry.index
            self.applied.append(entry)
            if entry.type == EntryType.NORMAL:
                if entry.data:
                    self.state = hashlib.blake2b(self.state + entry.data, digest_size=16).digest()
            else:
                self.conf_state = self.node.apply_conf_change(decode_change(entry))

    def _restore(self, snapshot: Snapshot) -> None:
        self.storage.apply_snapshot(snapshot)
        self.state = snapshot.data
        self.applied_index = snapshot.meta.index
        self.applied = []
        self.conf_state = snapshot.meta.conf_state

    # --- what tests do to it ---

    def payloads(self) -> list[bytes]:
        """The commands applied, in order."""
        return [entry.data for entry in self.applied if entry.data and entry.type == EntryType.NORMAL]

    def compact(self) -> Snapshot:
        """Make a snapshot of all that was applied, and forget the log up to it."""
        snapshot = self.storage.create_snapshot(self.applied_index, self.conf_state, self.state)
        self.storage.compact(self.applied_index)
        # A log that begins behind the stored commit index could not be loaded.
        hard_state = self.storage.initial_state()[0]
        commit = max(hard_state.commit, self.applied_index)
        self.synced = HardState(hard_state.term, hard_state.vote, commit)
        self.storage.set_hard_state(self.synced)
        return snapshot

    def restart(self, *, lose_unsynced: bool = False) -> None:
        """Crash and start again from the storage; the application rebuilds its state from snapshot and log."""
        if lose_unsynced:
            self.storage.set_hard_state(self.synced)
        self._start()

    def log(self) -> list[Entry]:
        """All entries that are not compacted, durable or not."""
        log = self.raft.log
        return log.slice(log.first_index(), log.last_index + 1, NO_LIMIT)

    def log_terms(self) -> list[int]:
        """The terms of `log`."""
        return [entry.term for entry in self.log()]


@dataclass(frozen=True, slots=True)
class Faults:
    """How often a message between two nodes meets misfortune; chances are in [0, 1]."""

    loss: float = 0.0
    duplicate: float = 0.0
    delay: float = 0.0
    delay_ticks: int = 0  # a delayed message arrives 1 to so many ticks later, perhaps behind younger ones


@dataclass(slots=True)
class _InFlight:
    due: int
    message: Message


class Network:
    """Carries messages between hosts, in order of sending unless told otherwise.

    What a node says to itself always arrives; what goes to an id without a host is lost.
    """

    def __init__(self, hosts: Iterable[Host], seed: int = 0) -> None:
        self.hosts = {host.id: host for host in sorted(hosts, key=lambda host: host.id)}
        self.rng = random.Random(seed)
        self.faults = Faults()
        self.now = 0  # ticks
        self.lost: list[Message] = []  # by filters, faults, or for want of a host
        self.held: list[Message] = []
        self.refused: list[tuple[Message, RaftlyError]] = []  # delivered, but not taken by the core
        self._flying: list[_InFlight] = []
        self._drops: list[Callable[[Message], bool]] = []
        self._holds: list[Callable[[Message], bool]] = []

    def host(self, id_: int) -> Host:
        return self.hosts[id_]

    def raft(self, id_: int) -> Raft:
        return self.hosts[id_].raft

    def leader(self) -> int:
        """The leader of the highest term that has one; 0 for none."""
        leading = [host.raft for host in self.hosts.values() if host.raft.role is Role.LEADER]
        return max(leading, key=lambda raft: raft.term).id if leading else 0

    # --- misfortune ---

    def drop(self, matches: Callable[[Message], bool]) -> None:
        """Lose messages that match, from now on."""
        self._drops.append(matches)

    def ignore(self, *kinds: type[Message]) -> None:
        """Lose messages of these classes."""
        self.drop(lambda message: isinstance(message, kinds))

    def cut(self, a: int, b: int) -> None:
        """Lose what goes between two nodes, both ways."""
        self.drop(lambda message: {message.from_, message.to} == {a, b})

    def isolate(self, *ids: int) -> None:
        """Lose what goes to or comes from each of these."""
        self.drop(lambda message: message.from_ in ids or message.to in ids)

    def partition(self, *sides: Sequence[int]) -> None:
        """Lose what goes from one side to another."""
        side_of = {id_: number for number, side in enumerate(sides) for id_ in side}
        self.drop(lambda message: side_of.get(message.from_) != side_of.get(message.to))

    def hold(self, matches: Callable[[Message], bool]) -> None:
        """Put messages that match into `held`, from now on."""
        self._holds.append(matches)

    def release(self) -> None:
        """Stop holding, send on what was held, and settle."""
        self._holds.clear()
        held, self.held = self.held, []
        self.post(held)
        self.stabilise()

    def recover(self) -> None:
        """Undo `drop`, `ignore`, `cut`, `isolate`, `partition` and the faults."""
        self._drops.clear()
        self.faults = Faults()

    # --- carrying ---

    def post(self, messages: Iterable[Message]) -> None:
        """Take messages that a node sends."""
        for message in messages:
            if message.to == message.from_ or message.to not in self.hosts:
                self._post_certain(message)
            elif any(matches(message) for matches in self._holds):
                self.held.append(message)
            elif any(matches(message) for matches in self._drops) or self.rng.random() < self.faults.loss:
                self._lose(message)
            else:
                copies = 2 if self.rng.random() < self.faults.duplicate else 1
                for _ in range(copies):
                    self._flying.append(_InFlight(self.now + self._draw_delay(), message))

    def _post_certain(self, message: Message) -> None:
        if message.to in self.hosts:
            self._flying.append(_InFlight(self.now, message))
        else:
            self.lost.append(message)

    def _lose(self, message: Message) -> None:
        self.lost.append(message)
        sender = self.hosts.get(message.from_)
        if isinstance(message, MsgSnap) and sender is not None:
            sender.node.report_snapshot(message.to, failed=True)  # the transport owes a word on every snapshot

    def _draw_delay(self) -> int:
        if self.faults.delay and self.rng.random() < self.faults.delay:
            return self.rng.randint(1, self.faults.delay_ticks)
        return 0

    def in_flight(self) -> list[Message]:
        """Messages on their way, oldest first."""
        return [flying.message for flying in self._flying]

    def deliver(self, position: int = 0) -> None:
        """Deliver the message at this position of `in_flight`, due or not."""
        self.step(self._flying.pop(position).message)

    def step(self, message: Message) -> None:
        """Hand a message to its node now; a refusal that correct peers may meet is noted in `refused`."""
        host = self.hosts[message.to]
        try:
            host.node.step(message)
        except (PeerNotFound, ProposalDropped) as error:
            self.refused.append((message, error))

    def run_host(self, host: Host) -> bool:
        """Let a host do all there is to do right now; False when there was nothing."""
        busy = False
        while host.node.has_ready():
            self.post(host.run_ready())
            busy = True
        while host.append_queue:
            self.post(self._from(host, host.run_append()))
            busy = True
        while host.apply_queue:
            self.post(self._from(host, host.run_apply()))
            busy = True
        return busy

    def _from(self, host: Host, answers: Iterable[Message]) -> list[Message]:
        """Answers of the storage threads: those to the own node are stepped at once."""
        leaving: list[Message] = []
        for answer in answers:
            if answer.to == host.id:
                self.step(answer)
            else:
                leaving.append(answer)
        return leaving

    def stabilise(self) -> None:
        """Run every host and deliver what is due, until nothing moves."""
        for _ in range(100_000):
            busy = False
            for host in self.hosts.values():
                busy |= self.run_host(host)
            due = [flying for flying in self._flying if flying.due <= self.now]
            if not due and not busy:
                return
            self._flying = [flying for flying in self._flying if flying.due > self.now]
            for flying in due:
                self.step(flying.message)
        raise AssertionError("the cluster never comes to rest")

    # --- what tests say ---

    def send(self, *messages: Message) -> None:
        """Hand over messages as if they had just arrived, then settle."""
        for message in messages:
            self.step(message)
        self.stabilise()

    def campaign(self, id_: int) -> None:
        self.hosts[id_].node.campaign()
        self.stabilise()

    def propose(self, id_: int, data: bytes = b"x") -> None:
        self.hosts[id_].node.propose(data)
        self.stabilise()

    def tick(self, ticks: int = 1, *, only: Sequence[int] = ()) -> None:
        """Let time pass, settling after every tick; `only` some hosts' clocks may run."""
        for _ in range(ticks):
            self.now += 1
            for host in self.hosts.values():
                if not only or host.id in only:
                    host.node.tick()
            self.stabilise()

    def add(self, host: Host) -> Host:
        """Another host joins the network."""
        self.hosts[host.id] = host
        self.hosts = {id_: self.hosts[id_] for id_ in sorted(self.hosts)}
        return host


def host_with(id_: int, template: Config = DEFAULTS, storage: MemoryStorage | None = None) -> Host:
    """A host with the template's options and its own id; a storage without one means an empty log, no membership."""
    return Host(replace(template, id=id_), storage)


def cluster(size: int, template: Config = DEFAULTS, *, learners: Sequence[int] = (), seed: int = 0) -> Network:
    """Voters 1 to `size`, and learners, all with empty logs at term 0 who know each other."""
    voters = range(1, size + 1)
    ids = [*voters, *learners]
    return Network((host_with(id_, template, storage_with(voters=voters, learners=learners)) for id_ in ids), seed)


def cluster_with_logs(*logs: Sequence[int], template: Config = DEFAULTS) -> Network:
    """One voter for each log; a log is the terms of its entries, all uncommitted."""
    voters = range(1, len(logs) + 1)
    hosts = (host_with(id_, template, storage_with(voters=voters, terms=logs[id_ - 1])) for id_ in voters)
    return Network(hosts)
