"""The clusters that `bench/core.py` measures."""

from __future__ import annotations

from collections.abc import Callable

from raftly.base import ConfState, Entry, Snapshot, SnapshotMeta
from raftly.base.record import decode_records, record_of
from raftly.core.config import Config
from raftly.core.memory import MemoryStorage
from raftly.core.messages import Message, MsgStorageAppend, MsgStorageApply
from raftly.core.raw_node import RawNode
from raftly.transport.codec import decode_messages, encode_messages

PAYLOAD = b"x" * 128
BATCH = 64


class Cluster:
    """In-memory nodes that exchange encoded messages until nothing is left to do; node 1 leads."""

    def __init__(
        self,
        count: int,
        *,
        silent: int = 0,
        log: list[Entry] | None = None,
        batch_append: bool = False,
        skip_bcast_commit: bool = False,
        async_storage_writes: bool = False,
    ) -> None:
        self.async_writes = async_storage_writes
        self.nodes: dict[int, RawNode] = {}
        self.dirty: dict[int, RawNode] = {}
        self.storages: dict[int, MemoryStorage] = {}
        voters = tuple(range(1, count + silent + 1))
        for id_ in range(1, count + 1):
            storage = MemoryStorage()
            storage.apply_snapshot(Snapshot(SnapshotMeta(1, 1, ConfState(voters))))
            storage.append(log or [])
            config = Config(
                id_,
                batch_append=batch_append,
                skip_bcast_commit=skip_bcast_commit,
                async_storage_writes=async_storage_writes,
            )
            self.nodes[id_] = RawNode(config, storage)
            self.storages[id_] = storage
        self.leader = self.nodes[1]
        self.leader.campaign()
        self.exchange()
        if self.leader.raft.leader != 1:
            message = "node 1 was not elected"
            raise RuntimeError(message)

    def exchange(self) -> None:
        """Handle Readies and carry messages until all is quiet; only nodes that something reached are looked at."""
        handle = self._ready_async if self.async_writes else self._ready
        self.dirty[1] = self.leader
        while self.dirty:
            dirty, self.dirty = self.dirty, {}
            for id_, node in dirty.items():
                while node.has_ready():
                    handle(id_, node)

    def _ready(self, id_: int, node: RawNode) -> None:
        ready = node.ready()
        storage = self.storages[id_]
        if ready.hard_state is not None:
            storage.set_hard_state(ready.hard_state)
        if ready.entries:
            storage.append(ready.entries)
        node.advance()
        if ready.messages:
            self._carry(ready.messages)

    def _ready_async(self, id_: int, node: RawNode) -> None:
        storage = self.storages[id_]
        outside: list[Message] = []
        for message in node.ready().messages:
            if isinstance(message, MsgStorageAppend):
                storage.append(message.entries)
                for response in message.responses:
                    if response.to == id_:
                        node.step(response)
                    else:
                        outside.append(response)
            elif isinstance(message, MsgStorageApply):
                for response in message.responses:
                    node.step(response)
            else:
                outside.append(message)
        if outside:
            self._carry(outside)

    def _carry(self, messages: list[Message]) -> None:
        """One batch of bytes a peer, as a transport would."""
        frames: dict[int, list[Message]] = {}
        for message in messages:
            batch = frames.get(message.to)
            if batch is None:
                frames[message.to] = [message]
            else:
                batch.append(message)
        nodes = self.nodes
        for to, batch in frames.items():
            node = nodes.get(to)
            if node is None:
                continue
            self.dirty[to] = node
            frame = encode_messages(batch)
            step = node.step
            for message in decode_messages(frame, 0, len(frame)):
                step(message)

    def one_at_a_time(self, count: int) -> None:
        """Every proposal is committed before the next one is made."""
        for _ in range(count):
            self.leader.propose(PAYLOAD)
            self.exchange()

    def singles(self, count: int) -> None:
        """64 proposals, one by one, then an exchange."""
        for _ in range(count // BATCH):
            for _ in range(BATCH):
                self.leader.propose(PAYLOAD)
            self.exchange()

    def batches(self, count: int) -> None:
        """64 proposals in one call, then an exchange."""
        payloads = [PAYLOAD] * BATCH
        for _ in range(count // BATCH):
            self.leader.propose_batch(payloads)
            self.exchange()


class Floor:
    """What cannot be left out: frame the entry once, carry its bytes to two followers, append, acknowledge, count."""

    def __init__(self, count: int) -> None:
        self.logs: list[list[Entry]] = [[] for _ in range(count)]
        self.committed = 0

    def _round(self, payloads: list[bytes]) -> None:
        leader = self.logs[0]
        first = len(leader)
        entries = [Entry(1, first + position, data=data) for position, data in enumerate(payloads)]
        leader += entries
        frame = b"".join([record_of(entry) for entry in entries])
        for log in self.logs[1:]:
            log.extend(decode_records(frame, 0, len(frame), len(entries)))
            ack = len(log).to_bytes(8, "little")
            self.committed = max(self.committed, int.from_bytes(ack, "little"))

    def one_at_a_time(self, count: int) -> None:
        """One entry a round."""
        for _ in range(count):
            self._round([PAYLOAD])

    def singles(self, count: int) -> None:
        """64 rounds in a row are what 64 single proposals come to here."""
        self.one_at_a_time(count)

    def batches(self, count: int) -> None:
        """64 entries a round."""
        payloads = [PAYLOAD] * BATCH
        for _ in range(count // BATCH):
            self._round(payloads)


def with_long_log(length: int) -> Cluster:
    """A cluster that starts with `length` entries in every log."""
    return Cluster(3, log=[Entry(1, index, data=PAYLOAD) for index in range(2, length + 2)])


def idle_tick() -> Callable[[int], None]:
    """Ticks of a follower of a live leader; a heartbeat every hundred keeps it from campaigning."""
    follower = Cluster(3).nodes[2]
    raft = follower.raft

    def work(count: int) -> None:
        for number in range(count):
            follower.tick()
            if number % 8 == 0:
                raft.election_elapsed = 0

    return work
