"""Watch: the checks that a run of whole nodes has on, after every turn of every host.

What Raft promises is judged by `raftly.testing.checks`, from the cores of the nodes. Here is what only whole nodes
have: states of the machines, leases by clocks that run wrong, and reads, all held against the world's true time.

    states       replicas that applied as many entries have the same digest; looked at every few entries
    leases       a node that would answer by its lease leads the newest term there is
    reads        STRONG, LEASE and FOLLOWER see all that was committed anywhere before they were asked; `bounded(s)`
                 all that was committed s seconds before; and a `Freshness` is true, whatever the mode
    durability   what a node votes and acknowledges is on its disk by then, and it still knows it when it has lost its
                 power and is back; not on a disk that a fault damaged
    the end      everything that was ever committed is applied everywhere
"""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from dataclasses import dataclass
from typing import Any, Final, TypeAlias, final

from raftly.base.membership import ConfState
from raftly.base.types import Entry, HardState, Index, NodeId, Term
from raftly.core.messages import Message, MsgApp, MsgAppResp, MsgTimeoutNow, MsgVoteResp
from raftly.core.raft import Raft
from raftly.core.role import Role
from raftly.errors import RaftlyError
from raftly.node import Replicated
from raftly.node.membership import Membership
from raftly.node.reads import Freshness, Mode, Read
from raftly.storage.group_log import GroupLog
from raftly.testing.checks import Checker, SafetyViolation
from raftly.testing.sim.cluster import SimCluster
from raftly.testing.sim.host import Host

Node: TypeAlias = Replicated[Any]

_DIGEST_MASK: Final = 7  # states are compared at every eighth index: reading all of a state is what costs here
_LEADER: Final = Role.LEADER
_SLACK_S: Final = 1e-6
_LINEARIZABLE: Final = (Mode.STRONG, Mode.LEASE, Mode.FOLLOWER)


@final
@dataclass(frozen=True, slots=True)
class Asked:
    """A read that has begun."""

    at: float
    committed: Index


@final
class Watch:
    """The checks of one cluster; raises SafetyViolation out of the turn in which something is wrong."""

    def __init__(self, cluster: SimCluster[Any]) -> None:
        self.cluster = cluster
        self.checker = Checker()
        self.counts: Counter[str] = Counter()
        """How much was judged, by kind: checks that saw nothing prove nothing."""
        self.coverage: dict[tuple[str, str], int] = {}
        """How often a message of a type was handled in a role."""
        self._world = cluster.world
        self._nodes: dict[NodeId, Node] = {}  # that were seen since their start
        self._logs: dict[NodeId, GroupLog] = {}  # of those, and what was last seen to be on their disks
        self._durable: dict[NodeId, HardState | None] = {}
        self._marks: dict[NodeId, tuple[object, ...]] = {}
        self._ends: dict[NodeId, Index] = {}  # of the logs of those
        self._conf: dict[NodeId, object] = {}
        self._applied: dict[NodeId, Index] = {}
        self._digests: dict[Index, tuple[NodeId, int]] = {}
        self._newest: Term = 0
        self._rates: dict[str, float] = {}  # the slowest at which a host's clock ever ran
        self._times: list[float] = []  # at these the commit index rose
        self._commits: list[Index] = []
        self._world.after_turn.append(self.after_turn)
        cluster.on_send.append(self.on_send)
        cluster.on_receive.append(self.on_receive)

    # --- after every turn ---

    def after_turn(self, host: Host) -> None:
        """Look at the node of a host."""
        id_ = self.cluster.id_of.get(host.name)
        if id_ is None:
            return
        node = self.cluster.nodes.get(id_)
        if node is None:
            return
        raft = core_of(node)
        if self._nodes.get(id_) is not node:
            self._nodes[id_] = node
            self._logs[id_] = log_of(node)
            self._durable[id_] = None
            self._marks[id_] = ()
            self._ends[id_] = 1 << 62
            self._conf[id_] = None
            self._judge_changes(node, raft)
            self._guarded(id_, raft, starts=True)
        if self._logs[id_].hard_state is not self._durable[id_]:
            self._note_durable(id_, raft)
        log = raft.log
        mark = (raft.term, raft.role, log.last_index, log.last_term, log.committed, log.applied)
        if mark != self._marks[id_]:
            self._marks[id_] = mark
            self._guarded(id_, raft, starts=False)
            self._note_commits()
            self._note_rare(id_, raft)
            if raft.role is _LEADER:
                self._check_own(id_, raft)
        applied = node.machine.applied
        if applied != self._applied.get(id_):
            self._applied[id_] = applied
            if not applied & _DIGEST_MASK:
                self._compare(id_, node, applied)
        rate = host.clock.rate
        if rate < self._rates.get(host.name, 1.0):
            self._rates[host.name] = rate
        if raft.role is _LEADER:
            if raft.term > self._newest:
                self._newest = raft.term
                self._check_leases()
            elif raft.term < self._newest:
                self._check_lease(id_, node)

    def _guarded(self, id_: NodeId, raft: Raft, *, starts: bool) -> None:
        """Let the checker look; a log that cannot be read, since its disk is broken, is the node's affair."""
        try:
            if starts:
                self.counts["starts"] += 1
                self.checker.started(raft, remembers=id_ not in self.cluster.damaged)
            else:
                self.checker.look(raft)
        except RaftlyError as error:
            self._world.note(self.cluster.hosts[id_].name, "unreadable", repr(error))

    def _judge_changes(self, node: Node, raft: Raft) -> None:
        """Every change of members from now on: two of them may be put in force in one turn."""
        membership = membership_of(node)
        apply, roster = membership.apply, membership.roster

        def judged(entry: Entry, in_force: Index) -> ConfState | None:
            before = roster.conf
            new = apply(entry, in_force)
            if new is not None and before.voters:  # who knows nothing yet begins with anything
                try:
                    self.checker.configured(raft, entry.index, before, new)
                except SafetyViolation as error:  # the node might take it for an error of its own
                    self._world.errors.append(error)
            return new

        membership.apply = judged  # type: ignore[method-assign]  # a change has no observer

    def _note_durable(self, id_: NodeId, raft: Raft) -> HardState:
        durable = self._durable[id_] = self._logs[id_].hard_state
        self.checker.synced(raft, durable)
        return durable

    def _check_own(self, id_: NodeId, raft: Raft) -> None:
        """A leader acknowledges to itself, over no network. It counts from its first entry on."""
        own, log = raft.tracker.progress.get(id_), self._logs[id_]
        if own is not None and raft.log.term_or_none(own.match) == raft.term:
            self.checker.sent(raft, MsgAppResp(id_, id_, raft.term, own.match), log.hard_state, log.last_index())

    def _note_rare(self, id_: NodeId, raft: Raft) -> None:
        log, rare = raft.log, self._world.rare
        if log.first_index() - 1 > self._ends[id_]:
            rare["snapshots installed"] += 1
            self._reached(raft, "MsgSnap")  # it came as a stream
        self._ends[id_] = log.last_index
        conf = raft.tracker.config
        known, self._conf[id_] = self._conf[id_], conf
        if known is not conf and known is not None and self._world.net.is_cut:
            rare["changes of members in a partition"] += 1

    def _note_commits(self) -> None:
        commit = self.checker.commit_max
        if not self._commits or commit > self._commits[-1]:
            self._times.append(self._world.now)
            self._commits.append(commit)

    def _compare(self, id_: NodeId, node: Node, applied: Index) -> None:
        self.counts["digests"] += 1
        digest = node.machine.digest()
        other, known = self._digests.setdefault(applied, (id_, digest))
        if known != digest:
            raise SafetyViolation(f"nodes {other} and {id_} have applied {applied} entries and differ")

    def on_send(self, id_: NodeId, _: NodeId, message: Message) -> None:
        """A node sends: what it promises so must be on its disk, and there when it comes back from a crash."""
        try:
            self._on_send(id_, message)
        except SafetyViolation as error:  # who sends might take it for an error of its own
            self._world.errors.append(error)

    def _on_send(self, id_: NodeId, message: Message) -> None:
        kind = type(message)
        if kind is MsgTimeoutNow:
            self._world.rare["leaders that hand over"] += 1
        elif kind is MsgVoteResp or kind is MsgAppResp:
            node = self.cluster.nodes.get(id_)
            if node is not None and self._nodes.get(id_) is node:
                log, raft = self._logs[id_], core_of(node)
                self.checker.sent(raft, message, self._note_durable(id_, raft), log.last_index())
        elif kind is MsgApp and self.checker.leaders.get(message.term) != id_:
            node = self.cluster.nodes.get(id_)
            if node is not None:
                self.checker.leads(core_of(node), message.term)  # it may be dead by the end of this turn

    def on_receive(self, _: NodeId, id_: NodeId, message: Message) -> None:
        """A node is about to take a message."""
        node = self.cluster.nodes.get(id_)
        if node is not None:
            self._reached(core_of(node), message.type._name_)

    def _reached(self, raft: Raft, message: str) -> None:
        key = (raft.role._value_, message)
        self.coverage[key] = self.coverage.get(key, 0) + 1

    # --- leases ---

    def _check_leases(self) -> None:
        for id_, node in sorted(self.cluster.nodes.items()):
            raft = core_of(node)
            if raft.role is _LEADER and raft.term < self._newest:
                self._check_lease(id_, node)

    def _check_lease(self, id_: NodeId, node: Node) -> None:
        """A leader that was replaced: would it answer a read by its lease, here and now?"""
        self.counts["old leaders"] += 1
        if reads_of(node).is_leased():
            raise SafetyViolation(
                f"node {id_} holds the lease of term {core_of(node).term} at {self._world.now:.6f} s, and node "
                f"{self.checker.leaders.get(self._newest)} leads in term {self._newest}"
            )

    # --- reads ---

    def asked(self) -> Asked:
        """A read begins now."""
        return Asked(self._world.now, self.checker.commit_max)

    def answered(self, asked: Asked, read: Read, fresh: Freshness, id_: NodeId | None = None) -> None:
        """A read was given so much; `id_`, and at this moment. None: by whom, and when since `asked`, is not known.

        Raises:
            SafetyViolation: it is older than it may be, or than it says.
        """
        self.counts[f"reads {read.mode.value}"] += 1
        if read.mode in _LINEARIZABLE and fresh.applied < asked.committed:
            raise SafetyViolation(
                f"a {read.mode.value} read saw {fresh.applied} entries, {asked.committed} were committed before it"
            )
        if fresh.age_s is None:
            return
        if read.mode is Mode.BOUNDED and fresh.age_s > read.bound_s:
            raise SafetyViolation(f"a read bounded by {read.bound_s} s is {fresh.age_s} s old")
        if id_ is None:
            looked_at, rate = asked.at, min(self._rates.values(), default=1.0)
        else:
            looked_at, rate = self._world.now, self._rates.get(self.cluster.hosts[id_].name, 1.0)
        if fresh.age_s == 0.0:
            looked_at = asked.at  # linearizable: from the moment of asking on
        since = looked_at - fresh.age_s / rate - _SLACK_S
        least = self.committed_before(since)
        if fresh.applied < least:
            raise SafetyViolation(
                f"a {read.mode.value} read at {looked_at:.6f} s says it is {fresh.age_s} s old and saw {fresh.applied} "
                f"entries; {least} were committed by {since:.6f} s"
            )

    def committed_before(self, when: float) -> Index:
        """All that any node knew to be committed before a moment."""
        position = bisect_left(self._times, when)
        return self._commits[position - 1] if position else 0

    # --- the end ---

    def is_applied(self) -> bool:
        """Has every node applied all that was committed?"""
        return all(node.machine.applied >= self.checker.commit_max for node in self.cluster.nodes.values())

    def finish(self) -> None:
        """All is healed and the replicas are equal.

        Raises:
            SafetyViolation: something that was committed is nowhere.
        """
        for id_, node in sorted(self.cluster.nodes.items()):
            if node.machine.applied < self.checker.commit_max:
                raise SafetyViolation(
                    f"{self.checker.commit_max} entries were committed, node {id_} ends at {node.machine.applied}"
                )


def core_of(node: Node) -> Raft:
    """The core of a node, which the simulator alone may look at."""
    return node._group.raw.raft  # noqa: SLF001


def log_of(node: Node) -> GroupLog:
    """The log of a node, which tells what is on its disk: it changes when that was synced."""
    return node._group.log  # noqa: SLF001


def membership_of(node: Node) -> Membership:
    """The membership of a node."""
    return node._membership  # noqa: SLF001


def reads_of(node: Node) -> Any:  # noqa: ANN401 - as core_of
    """The reads of a node."""
    return node._reads  # noqa: SLF001
