"""Group: one Raft group as its driver holds it, its proposals, and what its owner has to answer to."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Final, Protocol, final

from raftly.base.types import NO_NODE, Entry, EntryType, HardState, Index, NodeId, Snapshot, Term
from raftly.core.config import Config
from raftly.core.messages import Message, MsgApp, MsgHeartbeat, MsgPreVote, MsgSnap, MsgVote
from raftly.core.raw_node import RawNode
from raftly.core.readindex import ReadState
from raftly.core.role import Role
from raftly.core.status import SoftState
from raftly.core.trace import Tracer
from raftly.errors import ProposalError
from raftly.node.errors import NodeStopped
from raftly.storage.group_log import GroupLog

if TYPE_CHECKING:
    from raftly.node.driver_options import GroupsOwner

_LEADER: Final = Role.LEADER
_REQUESTS: Final = frozenset((MsgApp, MsgHeartbeat, MsgPreVote, MsgVote))  # never passed on by another node
_NONE: Final[list[Message]] = []


class Waiter(Protocol):
    """Who waits for a result: a future, or what is as good as one to who brings the result."""

    def done(self) -> bool:
        """Does nobody wait any more?"""
        ...

    def set_result(self, result: object, /) -> None:
        """Once, while not done."""
        ...

    def set_exception(self, exception: Exception, /) -> None:
        """Once, while not done."""
        ...


@final
class Proposal:
    """A payload and who waits for it. Its driver gives it a place in the log, or ends `future` with the reason."""

    __slots__ = ("deadline", "future", "payload", "term")

    def __init__(self, payload: bytes, future: Waiter, deadline: float) -> None:
        self.payload = payload
        self.future = future
        self.deadline = deadline  # of the loop's time; the owner's business
        self.term: Term = 0  # in which it was placed

    def refuse(self, error: Exception) -> None:
        """It is not in the log and never will be, or nobody can tell: the error says which."""
        if not self.future.done():
            self.future.set_exception(error)


class GroupHandler(Protocol):
    """What the owner of a group does with what its driver brings. Called inside a round, so quick.

    An error from any of these stops the group, and `on_failed` is told.
    """

    def on_placed(self, first: Index, proposals: list[Proposal]) -> None:
        """These are in this leader's log, in order, from index `first` on."""
        ...

    def on_passed_on(self, payload: bytes) -> bytes | None:
        """A proposal was made at a node that did not lead: what this leader proposes for it; None: it is not fit."""
        ...

    def on_committed(self, entries: list[Entry]) -> None:
        """Apply these entries, in order; they are never given again."""
        ...

    def on_snapshot(self, snapshot: Snapshot) -> None:
        """Replace the state by a snapshot that arrived."""
        ...

    def on_send_snapshot(self, message: MsgSnap) -> None:
        """A snapshot is to be sent: do it, and tell `Driver.report_snapshot` once how it went."""
        ...

    def on_soft_state(self, state: SoftState) -> None:
        """Leader or role changed."""
        ...

    def on_read_states(self, states: list[ReadState]) -> None:
        """Reads were confirmed."""
        ...

    def on_tick(self, now: float) -> None:
        """A tick passed; `now` is the loop's time."""
        ...

    def on_failed(self, error: Exception) -> None:
        """The group stopped for good."""
        ...


@final
class Group:
    """One group of a driver."""

    __slots__ = (
        "_led",
        "_wake",
        "asleep",
        "committed",
        "config",
        "dirty",
        "handler",
        "id",
        "inbox",
        "log",
        "lost",
        "nodes",
        "offers",
        "pending_state",
        "proposals",
        "raw",
        "transfer_term",
    )

    def __init__(
        self,
        id_: int,
        config: Config,
        log: GroupLog,
        handler: GroupHandler,
        wake: Callable[[Group], None],
        tracer: Tracer | None,
        nodes: Mapping[NodeId, NodeId] | None = None,
    ) -> None:
        self._wake = wake
        self._led: Term = 0  # the newest term in which offers were proposed here
        self.id = id_
        self.config = config
        self.log = log
        self.handler = handler
        self.raw = RawNode(config, log, tracer)
        self.inbox: list[Message] = []
        self.proposals: list[Proposal] = []
        self.offers: list[bytes] = []  # payloads for whoever leads
        self.pending_state: HardState | None = None  # a commit index that rides with the next write
        self.dirty = False
        self.asleep = True  # not ticked
        self.nodes: dict[NodeId, NodeId] | None = None if nodes is None else dict(nodes)
        """On which node each raft id lives; None where raft ids are those of nodes. Ids may only be added."""
        self.committed: Index = 0  # when its driver last looked
        self.transfer_term: Term = 0  # the newest term in which somebody was told to take over
        self.lost: NodeId = NO_NODE  # a connection to or from it closed, behind what is in the inbox

    def hasten_alone(self, first_term: Term) -> None:
        """At the start: a lone voter has nobody to wait for, and campaigns as soon as no promise of its own forbids it.

        What it promised a leader before a crash binds it for the rest of a lease. One whose term is still the first,
        which no leader was of, has promised nothing.
        """
        raft = self.raw.raft
        if raft.tracker.config.voters.ids() == (raft.id,):
            if raft.term <= first_term:
                raft.heard_elapsed = raft.lease_tick
            raft.hurry_at = max(raft.lease_tick, 1)

    def node_of(self, id_: NodeId) -> NodeId:
        """Where a raft id lives; NO_NODE: that is not known."""
        return id_ if self.nodes is None else self.nodes.get(id_, NO_NODE)

    def ids_on(self, node: NodeId) -> list[NodeId]:
        """The members that live on a node."""
        progress = self.raw.raft.tracker.progress
        ids = (node,) if self.nodes is None else [id_ for id_, home in self.nodes.items() if home == node]
        return [id_ for id_ in ids if id_ in progress]

    def take(self, from_: NodeId, messages: list[Message], owner: GroupsOwner | None) -> list[Message]:
        """Queue what came from a node; what is for another raft id comes back."""
        nodes = self.nodes
        if nodes is None:
            self.inbox += messages
            return _NONE
        id_ = self.config.id
        progress = self.raw.raft.tracker.progress
        astray = _NONE
        for message in messages:
            if message.to != id_:
                astray = [*astray, message]
                continue
            if message.from_ not in progress and type(message) in _REQUESTS:
                nodes.setdefault(message.from_, from_)  # a member that this one has not heard of needs its answers
                if owner is not None:
                    owner.on_stranger(self, from_, message)
            self.inbox.append(message)
        return astray

    def propose(self, proposal: Proposal) -> None:
        """Propose in the next round, if this node leads then."""
        self.proposals.append(proposal)
        if not self.dirty:
            self._wake(self)

    def offer(self, payload: bytes) -> None:
        """Pass a payload to whoever leads. It may be lost, and after a second try it may be in the log twice."""
        self.offers.append(payload)
        self._wake(self)

    def pass_on(self, offers: list[bytes]) -> None:
        """Propose them, here or at whoever leads."""
        raft = self.raw.raft
        begins = raft.role is _LEADER and raft.term != self._led
        if begins:
            self._led = raft.term
        for payload in offers:
            # What was offered before this node led lacks what a leader puts in.
            ready = self.handler.on_passed_on(payload) if begins else payload
            if ready is not None:
                with suppress(ProposalError):  # as if lost: its proposer asks again
                    self.raw.propose(ready)

    def admit(self, entry: Entry) -> bool:
        """Ready an entry that another node passed on; False when it is not fit for the log."""
        if entry.type == EntryType.NORMAL:
            payload = self.handler.on_passed_on(entry.data)
            if payload is None:
                return False
            entry.data = payload
        return True  # the core looks at configuration changes

    def refuse_queued(self) -> None:
        """Whoever waits to propose is told that this node does not do it any more."""
        proposals, self.proposals = self.proposals, []
        for proposal in proposals:
            proposal.refuse(NodeStopped("this node stopped before it took the call"))

    def act(self, action: Callable[[RawNode], None]) -> None:
        """Do something with the core now, and let the driver see what follows.

        Raises:
            RaftlyError: whatever the action raises.
        """
        try:
            action(self.raw)
        finally:
            self._wake(self)

    def successor(self, unreachable: Collection[NodeId] = ()) -> tuple[NodeId, Index]:
        """The voter that has most of the log, and how much, on another node than these; nobody if there is no other."""
        raft = self.raw.raft
        voters = raft.tracker.config.voters.ids()
        others = [
            (peer.match, id_)
            for id_, peer in raft.tracker.peers
            if id_ != raft.id and id_ in voters and self.node_of(id_) not in unreachable
        ]
        match, target = max(others, default=(0, NO_NODE))
        return target, match
