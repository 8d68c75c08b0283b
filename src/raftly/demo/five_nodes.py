"""Five nodes: one starts a group of its own, four join it, then clients propose commands until all are confirmed."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Final, final

from raftly.base.membership import ConfChange, ConfChangeType, ConfState
from raftly.base.types import NodeId
from raftly.core.raft import Raft
from raftly.demo.cluster import Cluster
from raftly.demo.host import Command, Host
from raftly.errors import ConfigError, ProposalDropped

NODES_MAX: Final = 25
PROPOSALS_MAX: Final = 100_000
SEED_MAX: Final = (1 << 64) - 1
RETRY_ROUNDS: Final = 20  # a client that waited so long proposes again; without loss it waits about five
PATIENCE_ROUNDS: Final = 2_000  # so long without a join or a confirmation, and the demonstration gives up


@final
@dataclass(frozen=True, slots=True)
class Options:
    """What may be asked for."""

    nodes: int = 5
    proposals: int = 100
    seed: int = 1
    drop: float = 0.0  # percent of messages lost

    def validate(self) -> None:
        """Check all of them.

        Raises:
            ConfigError: names the option.
        """
        for option, value, most in (("nodes", self.nodes, NODES_MAX), ("proposals", self.proposals, PROPOSALS_MAX)):
            if not 1 <= value <= most:
                raise ConfigError(option, f"is {value}, it must be from 1 to {most}")
        if not 0 <= self.seed <= SEED_MAX:
            raise ConfigError("seed", f"is {self.seed}, it must be from 0 to 2**64 - 1")
        if not 0 <= self.drop < 100:  # refuses nan too
            raise ConfigError("drop", f"is {self.drop:g}, it must be at least 0 and below 100: something must arrive")


class Phase(Enum):
    """What the demonstration is about just now; the value is shown."""

    ELECT = "node 1 campaigns"
    JOIN = "the others join"
    PROPOSE = "clients propose"
    SETTLE = "the last commits spread"
    DONE = "done"
    FAILED = "gave up"


@final
@dataclass(frozen=True, slots=True)
class Result:
    """How it went; what `--json` prints."""

    nodes: int
    proposals: int
    committed: int  # distinct proposals confirmed to their proposers
    equal: bool
    leader: NodeId | None
    term: int
    messages: int  # sent, lost ones included


@final
@dataclass(frozen=True, slots=True)
class Event:
    """Something worth telling. node 0: the demonstration itself."""

    round: int
    node: NodeId
    text: str
    detail: bool = False  # one of very many


@final
class Client:
    """Proposes its commands at one node, one after the other, each again and again until it is confirmed."""

    __slots__ = ("_proposed", "_rounds_to_retry", "commands", "confirmed", "host")

    def __init__(self, host: Host, commands: int) -> None:
        self.host = host
        self.commands = commands
        self.confirmed = 0
        self._proposed = 0  # the sequence that is waited for, or the last one confirmed
        self._rounds_to_retry = 0

    def act(self) -> str:
        """One round: propose when there is something to propose and nothing to wait for. What it did, if anything."""
        if self.confirmed == self.commands:
            return ""
        if self._rounds_to_retry > 0:
            self._rounds_to_retry -= 1
            return ""
        sequence = self.confirmed + 1
        command = Command(self.host.id, sequence, f"command {sequence} of client {self.host.id}")
        try:
            self.host.node.propose(command.encode())
        except ProposalDropped as error:
            return str(error)  # the next round is soon enough to try again
        again = " again" if sequence == self._proposed else ""
        self._proposed = sequence
        self._rounds_to_retry = RETRY_ROUNDS
        return f"proposes command {sequence} of its client{again}"

    def hear(self, command: Command) -> bool:
        """The node beside this client applied a command; True when it is the one waited for, now confirmed."""
        if (command.client, command.sequence) != (self.host.id, self.confirmed + 1):
            return False
        self.confirmed += 1
        self._rounds_to_retry = 0
        return True


@final
class FiveNodes:
    """The demonstration, a round at a time: `while demo.step(): look at it`.

    Raises:
        ConfigError: an option is wrong.
    """

    __slots__ = ("_achieved", "_patience", "clients", "cluster", "events", "options", "phase")

    def __init__(self, options: Options) -> None:
        options.validate()
        self.options = options
        self.cluster = Cluster(range(1, options.nodes + 1), options.seed, options.drop)
        share, rest = divmod(options.proposals, options.nodes)
        self.clients = {id_: Client(host, share + (id_ <= rest)) for id_, host in self.cluster.hosts.items()}
        self.events: list[Event] = []
        self.phase = Phase.ELECT
        self._achieved = 0
        self._patience = PATIENCE_ROUNDS
        first = self.cluster.hosts[1].node
        first.bootstrap([(1, b"")])  # the only node that is told who belongs to the group; the others learn it
        self.cluster.work()  # a node campaigns only when it has applied what it knows of the members
        first.campaign()
        self.cluster.work()
        self._listen()

    def step(self) -> bool:
        """One round; False when there is nothing left to do."""
        if self.phase in (Phase.DONE, Phase.FAILED):
            return False
        self.cluster.receive()
        if self.phase is Phase.JOIN:
            self._grow()
        elif self.phase is Phase.PROPOSE:
            for id_, client in self.clients.items():
                if did := client.act():
                    self._tell(id_, did, detail=True)
        self.cluster.work()
        self._listen()
        self._advance()
        return True

    def confirmed(self) -> int:
        """How many distinct proposals were confirmed to their proposers."""
        return sum(client.confirmed for client in self.clients.values())

    def result(self) -> Result:
        """How it stands, or how it went."""
        leader = self.cluster.leader()
        return Result(
            self.options.nodes,
            self.options.proposals,
            self.confirmed(),
            self.cluster.is_equal(),
            leader.id if leader is not None else None,
            self.cluster.term(),
            self.cluster.sent,
        )

    def is_success(self) -> bool:
        """Was everything confirmed, and are all state machines equal?"""
        result = self.result()
        return self.phase is Phase.DONE and result.equal and result.committed == result.proposals

    # --- joining ---

    def _grow(self) -> None:
        """Propose the next change of members at the leader, one at a time."""
        leader = self.cluster.leader()
        if leader is None:
            return
        raft = leader.node.raft
        change = None if raft.pending_conf_index > raft.log.applied else next_change(raft, self.options.nodes)
        if change is None:
            return
        try:
            leader.node.propose_conf_change(change)
        except ProposalDropped:
            return  # the leader is on its way out; another will be asked
        what = "a learner" if change.type is ConfChangeType.ADD_LEARNER_NODE else "a voter"
        self._tell(leader.id, f"proposes that node {change.node_id} becomes {what}")

    def _is_grown(self) -> bool:
        everyone = tuple(sorted(self.cluster.hosts))
        return all(host.conf_state.voters == everyone for host in self.cluster.hosts.values())

    # --- after each round ---

    def _listen(self) -> None:
        """Collect what the hosts have to tell, and confirm to each client what its node applied."""
        for id_, host in self.cluster.hosts.items():
            for text in host.take_news():
                self._tell(id_, text)
            for index, command in host.take_applied():
                if self.clients[id_].hear(command):
                    self._tell(id_, f"applies entry {index}: confirms command {command.sequence}", detail=True)

    def _advance(self) -> None:
        """Go on to the next phase, or give up."""
        achieved = self.confirmed() + max(_membership(host.conf_state) for host in self.cluster.hosts.values())
        self._patience = PATIENCE_ROUNDS if achieved > self._achieved else self._patience - 1
        self._achieved = achieved
        if self.phase is Phase.ELECT and self.cluster.leader() is not None:
            self._enter(Phase.JOIN)
        elif self.phase is Phase.JOIN and self._is_grown():
            self._enter(Phase.PROPOSE)
        elif self.phase is Phase.PROPOSE and self.confirmed() == self.options.proposals:
            self._enter(Phase.SETTLE)
        elif self.phase is Phase.SETTLE and self.cluster.is_equal():
            self._enter(Phase.DONE)
        elif self._patience == 0:
            self._tell(0, f"nothing was achieved in {PATIENCE_ROUNDS} rounds while {self.phase.value}")
            self.phase = Phase.FAILED

    def _enter(self, phase: Phase) -> None:
        self.phase = phase
        self._patience = PATIENCE_ROUNDS
        self._tell(0, phase.value)

    def _tell(self, node: NodeId, text: str, *, detail: bool = False) -> None:
        self.events.append(Event(self.cluster.rounds, node, text, detail))


def _membership(members: ConfState) -> int:
    """How far a group has grown: it only rises here, so it shows whether anything is still achieved."""
    return 2 * len(members.voters) + len(members.learners)


def next_change(raft: Raft, nodes: int) -> ConfChange | None:
    """The change that brings the group of this leader nearer to 1..nodes; None when it has to wait, or is complete.

    A newcomer is a learner first: it gets the log without a vote, so that the group never waits for an empty node to
    make up a majority. Once it holds all that is committed it becomes a voter.
    """
    config = raft.tracker.config.conf_state()
    for id_ in range(1, nodes + 1):
        if id_ in config.voters:
            continue
        if id_ not in config.learners:
            return ConfChange(ConfChangeType.ADD_LEARNER_NODE, id_)
        if raft.tracker.progress[id_].match < raft.log.committed:
            return None
        return ConfChange(ConfChangeType.ADD_NODE, id_)
    return None
