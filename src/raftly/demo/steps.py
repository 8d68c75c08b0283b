"""What the core did, as steps that name the function which took them: told by its trace events, never by a script.

An event says what happened and the state of the node beside it says the rest, so every step is one that was taken.
`tests/unit/demo/test_one_proposal.py` compares the steps with the calls that Python itself saw.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, final

from raftly.base.types import Index, NodeId
from raftly.core import acks, following, proposals, replication
from raftly.core.admission import admit
from raftly.core.describe import describe_entry, describe_message
from raftly.core.dispatch import TABLES
from raftly.core.log import RaftLog
from raftly.core.messages import Message, MsgApp, MsgAppResp
from raftly.core.raft import Raft
from raftly.core.trace import CommitAttempted, EntryReplicated, MessageReceived, MessageSent, TraceEvent
from raftly.demo.source import AnyFunction

HANDLERS: Final[dict[AnyFunction, str]] = {
    proposals.on_prop_follower: "A follower cannot append on its own: it passes the proposal to the leader.",
    proposals.on_prop: "A proposal from a follower; the leader takes it as if it were its own.",
    following.on_app: "The leader was heard, so there is no reason to campaign; then comes what it sent.",
    replication.on_app_resp: "The leader notes how far the log of that node, which may be itself, is on disk.",
    acks.on_storage_append_resp: "What is on disk leaves the unstable part of the log.",
    acks.on_storage_apply_resp: "What was applied is never handed out again.",
}


@final
@dataclass(frozen=True, slots=True)
class Step:
    """One step: who took it, what it means, and what there was to see."""

    node: NodeId
    function: AnyFunction
    sentence: str
    seen: str = ""  # a message, an entry, a count


@final
class Recorder:
    """A tracer that writes down steps, while it is `recording`. Whoever drives the nodes adds its own by `note`."""

    __slots__ = ("_arrived", "_before", "_handler", "recording", "steps")

    def __init__(self) -> None:
        self.recording = False
        self.steps: list[Step] = []
        self._arrived = False  # the next message received comes from outside
        self._handler: AnyFunction | None = None  # what was called last for a message
        self._before: tuple[Index, Index] = (0, 0)  # log end and commit index when it was called

    def note(self, node: NodeId, function: AnyFunction, sentence: str, seen: str = "") -> None:
        """Write a step down."""
        if self.recording:
            self.steps.append(Step(node, function, sentence, seen))

    def take_steps(self) -> list[Step]:
        """What was written down since the last call."""
        steps, self.steps = self.steps, []
        return steps

    def expect_arrival(self) -> None:
        """The driver is about to call `RawNode.step`, which lets only admitted messages in."""
        self._arrived = True

    def on_event(self, node: Raft, event: TraceEvent) -> None:
        """Called by the core."""
        if isinstance(event, MessageReceived):
            self._received(node, event.message)
        elif isinstance(event, EntryReplicated):
            self._replicated(node)
        elif isinstance(event, MessageSent):
            self._sent(node, event.message)
        elif isinstance(event, CommitAttempted):
            self._counted(node)

    def _received(self, node: Raft, message: Message) -> None:
        kind = message.type.name
        self._handler = TABLES[node.role][type(message)]
        self._before = (node.log.last_index, node.log.committed)
        if self._arrived:
            self._arrived = False
            self.note(node.id, admit, "The message is looked at before it can change anything; this one does no harm.")
            term = "It is of this node's own term" if message.term else "It carries no term"
            role = node.role.value.removeprefix("State").lower()
            self.note(node.id, Raft.step, f"{term}, so the table of a {role} says at once who handles it.")
        sentence, seen = HANDLERS.get(self._handler, "The handler of this message."), kind
        if isinstance(message, MsgAppResp):
            seen = f"{kind} of node {message.from_} up to entry {message.index}"
            if node.tracker.progress[message.from_].match >= message.index:
                sentence = "The leader knew that already, so nothing follows from it."
        self.note(node.id, self._handler, sentence, seen)

    def _replicated(self, node: Raft) -> None:
        forwarded = self._handler is proposals.on_prop
        propose = proposals.propose if forwarded else proposals.propose_payloads
        self.note(node.id, propose, "Nothing speaks against it: the leader is a member and not about to hand over.")
        seen = f"term {node.term}, index {node.log.last_index + 1}"
        append = Raft.append_entries if forwarded else Raft.append_payloads
        self.note(node.id, append, "The proposal gets its place in the log and becomes an entry.", seen)

    def _sent(self, node: Raft, message: Message) -> None:
        text = describe_message(message)
        if isinstance(message, MsgApp):
            sentence = "What the peer lacks goes out, with the entry before it so that it can check the fit."
            if not message.entries:
                sentence = "The peer lacks nothing, but is told how far the log is committed."
            self.note(node.id, replication.maybe_send_append, sentence, text)
        elif isinstance(message, MsgAppResp):
            self._appended(node, message)
            sentence = "The answer waits in a queue of its own: it may leave only when the disk has what it promises."
            self.note(node.id, Raft.send_after_append, sentence, text)
            if message.to == node.id:
                sentence = "The leader need not wait for its own disk before it tells the others."
                self.note(node.id, replication.bcast_append, sentence)
        else:
            self.note(node.id, Raft.send, "Queued; it promises nothing about the disk, so it need not wait.", text)

    def _appended(self, node: Raft, answer: MsgAppResp) -> None:
        """Before a node answers an append it changed its log; what changed shows."""
        log = node.log
        last_before, committed_before = self._before
        if answer.to == node.id:
            seen = describe_entry(log.slice(log.last_index, log.last_index + 1, 0)[0])
            self.note(node.id, RaftLog.append, "The log is longer by one entry, in memory; nothing is on disk.", seen)
            return
        if not answer.reject and answer.index >= committed_before:
            sentence = "The entry before is the same in both logs, so the new one fits behind it."
            if log.last_index == last_before:
                sentence = "The logs match up to here, and there is nothing new to append."
            self.note(node.id, RaftLog.maybe_append, sentence, f"the log ends in entry {log.last_index}")
        if log.committed > committed_before:
            sentence = "The leader says so and this log holds it: committed here too."
            self.note(node.id, RaftLog.commit_to, sentence, f"committed up to entry {log.committed}")

    def _counted(self, node: Raft) -> None:
        index = node.log.last_index
        peers = node.tracker.peers
        holding = sum(progress.match >= index for _, progress in peers)
        majority = len(peers) // 2 + 1
        seen = f"{holding} of {len(peers)} nodes hold entry {index}, a majority is {majority}"
        sentence = "Too few nodes have it on disk."
        if node.log.committed == index:
            sentence = "A majority has it on disk, and no later leader can be elected without it: committed."
            if holding > majority:
                sentence = "One more node has it on disk; it is committed already."
        self.note(node.id, Raft.maybe_commit, sentence, seen)
        if node.log.committed > self._before[1]:
            seen = f"committed up to entry {node.log.committed}"
            self.note(node.id, RaftLog.commit_to, "From here on the entry can never be lost or replaced.", seen)
            self.note(node.id, replication.bcast_append, "Everyone is to know, so that everyone can apply it.")
