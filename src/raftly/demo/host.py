"""One node of a demonstration: the Raft core, a storage, a state machine, and the loop that joins them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import final
from zlib import crc32

from raftly.base.membership import ConfState
from raftly.base.types import Entry, EntryType, Index, NodeId, Term
from raftly.core.config import Config
from raftly.core.memory import MemoryStorage
from raftly.core.messages import Message
from raftly.core.proposals import decode_change
from raftly.core.raft import Raft
from raftly.core.raw_node import RawNode
from raftly.core.ready import Ready
from raftly.core.role import Role
from raftly.core.status import SoftState
from raftly.core.trace import Tracer
from raftly.errors import PeerError, ProposalError
from raftly.transport.codec import decode_messages


@final
@dataclass(frozen=True, slots=True)
class Command:
    """What a client proposes. (client, sequence) names it, however often it has to be sent."""

    client: NodeId
    sequence: int  # 1, 2, 3 ... for each client
    text: str

    def encode(self) -> bytes:
        return f"{self.client}/{self.sequence} {self.text}".encode()


def decode_command(data: bytes) -> Command:
    """The inverse of `Command.encode`."""
    name, _, text = data.decode().partition(" ")
    client, _, sequence = name.partition("/")
    return Command(int(client), int(sequence), text)


@final
class Journal:
    """A state machine: the commands in the order of the log, each exactly once.

    A proposer that hears nothing proposes again, so a command may stand in the log twice. A client has one command
    under way at a time; the largest sequence applied for each tells a repetition (thesis §6.3).
    """

    __slots__ = ("_applied_sequence", "commands", "repeated")

    def __init__(self) -> None:
        self.commands: list[Command] = []
        self.repeated = 0  # how many repetitions were recognised
        self._applied_sequence: dict[NodeId, int] = {}

    def apply(self, command: Command) -> bool:
        """Apply a committed command; False when it was applied before."""
        if command.sequence <= self._applied_sequence.get(command.client, 0):
            self.repeated += 1
            return False
        self._applied_sequence[command.client] = command.sequence
        self.commands.append(command)
        return True

    def digest(self) -> str:
        """Eight digits that differ, in all likelihood, when two journals do."""
        return f"{crc32(b'|'.join(command.encode() for command in self.commands)):08x}"


@final
class Host:
    """One node. Whoever owns it ticks it, hands it frames, and lets it `work`."""

    __slots__ = ("applied", "conf_state", "id", "journal", "news", "node", "storage")

    def __init__(self, config: Config, tracer: Tracer | None = None) -> None:
        self.id = config.id
        self.storage = MemoryStorage()
        self.node = RawNode(config, self.storage, tracer)
        self.journal = Journal()
        self.conf_state = ConfState()  # membership as this node has applied it
        self.applied: list[tuple[Index, Command]] = []  # applied for the first time, until `take_applied`
        self.news: list[str] = []  # sentences about this node, until `take_news`

    def receive(self, frame: bytes) -> None:
        """Step the messages of a frame. What the core refuses changed nothing, and a sender that cares sends again."""
        for message in decode_messages(frame, 0, len(frame)):
            try:
                self.node.step(message)
            except (PeerError, ProposalError) as error:
                self.news.append(f"refused {message.type.name} of node {message.from_}: {error}")

    def work(self) -> list[Message]:
        """Do all that the node wants done; returns the messages that may now be sent."""
        messages: list[Message] = []
        while self.node.has_ready():
            ready = self.node.ready()
            if ready.soft_state is not None:
                self.news.append(describe_role(ready.soft_state, self.node.raft.term))
            self.save(ready)
            messages += ready.messages
            for entry in ready.committed_entries:
                self.apply(entry)
            self.node.advance()
        return messages

    def save(self, ready: Ready) -> None:
        """Save what must not be forgotten, before any message leaves (a real storage syncs here)."""
        assert ready.snapshot is None, "nobody compacts a log here, so nobody needs a snapshot"
        if ready.hard_state is not None:
            self.storage.set_hard_state(ready.hard_state)
        if ready.entries:
            self.storage.append(ready.entries)

    def apply(self, entry: Entry) -> None:
        """Apply a committed entry: a change of members, a command, or nothing (a new leader's first entry)."""
        if entry.type != EntryType.NORMAL:
            self.conf_state = self.node.apply_conf_change(decode_change(entry))
            if self.node.raft.role is Role.LEADER:
                self.news.append(f"entry {entry.index} is in force: {describe_members(self.conf_state)}")
        elif entry.data:
            command = decode_command(entry.data)
            if self.journal.apply(command):
                self.applied.append((entry.index, command))

    def take_applied(self) -> list[tuple[Index, Command]]:
        """The commands applied for the first time since the last call, and where they stand in the log."""
        applied, self.applied = self.applied, []
        return applied

    def take_news(self) -> list[str]:
        """What happened since the last call."""
        news, self.news = self.news, []
        return news


def describe_role(state: SoftState, term: Term) -> str:
    """What a node does from now on, to be read after "node N"."""
    if state.role is Role.LEADER:
        return f"leads term {term}"
    if state.role is Role.CANDIDATE:
        return f"asks for votes in term {term}"
    if state.role is Role.PRE_CANDIDATE:
        return f"asks whether it could win term {term + 1}"
    return f"follows node {state.leader} in term {term}" if state.leader else f"knows no leader in term {term}"


def describe_members(members: ConfState) -> str:
    """Who votes, and who learns."""
    learners = f", learners {' '.join(map(str, members.learners))}" if members.learners else ""
    return f"voters {' '.join(map(str, members.voters))}{learners}"


def role_name(raft: Raft) -> str:
    """What a node is just now, in a word."""
    if raft.role is Role.FOLLOWER:
        if raft.is_learner:
            return "learner"
        return "follower" if raft.tracker.progress else "empty"
    return raft.role.name.lower().replace("_", "-")
