"""One proposal, followed through three nodes from the client's call until every state machine has applied it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, final

from raftly.base.types import NodeId
from raftly.core.config import Config
from raftly.core.memory import MemoryStorage
from raftly.core.raw_node import RawNode
from raftly.core.ready import Ready
from raftly.demo.host import Command, Host, Journal
from raftly.demo.steps import Recorder, Step
from raftly.errors import ConfigError
from raftly.transport.codec import decode_messages, encode_messages

NODES: Final = 3
LEADER: Final = 1


@final
@dataclass(frozen=True, slots=True)
class Scene:
    """What happens between two exchanges of messages."""

    title: str
    steps: list[Step]


@final
class OneProposal:
    """Three nodes of which node 1 leads; a client proposes at node `at`.

    Raises:
        ConfigError: there is no such node.
    """

    __slots__ = ("_arriving", "_recorder", "at", "command", "hosts")

    def __init__(self, at: NodeId = LEADER) -> None:
        if not 1 <= at <= NODES:
            raise ConfigError("at", f"is {at}, it must be from 1 to {NODES}")
        self.at = at
        self.command = Command(at, 1, "greet the world")
        self._recorder = Recorder()
        self._arriving: list[tuple[NodeId, bytes]] = []  # (to, frame)
        self.hosts = {id_: Host(Config(id_), self._recorder) for id_ in range(1, NODES + 1)}
        self._elect()

    def _elect(self) -> None:
        """Until node 1 leads and all is quiet; no clock ticks here, so nothing happens that was not asked for."""
        for host in self.hosts.values():
            host.node.bootstrap([(id_, b"") for id_ in self.hosts])
            self._work(host)
        self.hosts[LEADER].node.campaign()
        self._work(self.hosts[LEADER])
        while self._arriving:
            self._exchange()

    def follow(self) -> list[Scene]:
        """Propose, and write down every step until nothing is left to do."""
        host = self.hosts[self.at]
        recorder = self._recorder
        recorder.recording = True
        recorder.note(host.id, RawNode.propose, "The client hands over its command.", self.command.text)
        host.node.propose(self.command.encode())
        self._work(host)
        role = "the leader" if self.at == LEADER else "a follower"
        scenes = [Scene(f"A client proposes at node {self.at}, {role}", recorder.take_steps())]
        while self._arriving:
            reached = sorted({to for to, _ in self._arriving})
            self._exchange()
            title = " and ".join(f"node {id_}" for id_ in reached)
            scenes.append(Scene(f"Messages reach {title}", recorder.take_steps()))
        return scenes

    def _exchange(self) -> None:
        """All that is on its way arrives, node by node, and each does what there is to do."""
        arriving, self._arriving = self._arriving, []
        for host in self.hosts.values():
            frames = [frame for to, frame in arriving if to == host.id]
            for frame in frames:
                self._receive(host, frame)
            if frames:
                self._work(host)

    def _receive(self, host: Host, frame: bytes) -> None:
        """As `Host.receive`, with a note beside each call."""
        messages = decode_messages(frame, 0, len(frame))
        for message in messages:
            what = f"{message.type.name} of node {message.from_}, {len(frame)} bytes"
            self._recorder.note(host.id, decode_messages, "Bytes become a message again.", what)
            self._recorder.expect_arrival()
            host.node.step(message)

    def _work(self, host: Host) -> None:
        """As `Host.work`, with a note beside each call."""
        note = self._recorder.note
        while host.node.has_ready():
            ready = host.node.ready()
            note(host.id, RawNode.ready, "All there is to do, in one batch.", contents(ready))
            host.save(ready)
            if ready.hard_state is not None:
                state = ready.hard_state
                seen = f"term {state.term}, vote {state.vote}, commit {state.commit}"
                sentence = "The term and the vote are saved, before any message speaks of them."
                if not ready.must_sync:
                    sentence = "The commit index is saved; losing it would do no harm, a leader tells it again."
                note(host.id, MemoryStorage.set_hard_state, sentence, seen)
            if ready.entries:
                sentence = "Entries are saved before any message leaves; a real storage syncs its disk here."
                note(host.id, MemoryStorage.append, sentence, f"up to entry {ready.entries[-1].index}")
            for message in ready.messages:
                frame = encode_messages([message])
                self._arriving.append((message.to, frame))
                seen = f"{message.type.name} for node {message.to}, {len(frame)} bytes"
                note(host.id, encode_messages, "A message becomes bytes and is sent.", seen)
            for entry in ready.committed_entries:
                host.apply(entry)
            for _, command in host.take_applied():
                note(host.id, Journal.apply, self._meaning_of_apply(host), command.text)
            note(host.id, RawNode.advance, "The batch is dealt with: what it saved and applied counts from now on.")
            host.node.advance()

    def _meaning_of_apply(self, host: Host) -> str:
        if host.id == self.at:
            return "The state machine applies the committed command, and only now the client is told that it is done."
        return "The state machine applies the committed command, like that of every other node."


def contents(ready: Ready) -> str:
    """What a Ready asks for."""
    return (
        f"entries to save: {len(ready.entries)}, messages to send: {len(ready.messages)}, "
        f"committed entries to apply: {len(ready.committed_entries)}"
    )
