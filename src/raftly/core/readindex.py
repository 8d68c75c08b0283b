"""Linearizable reads without a log entry: read index and lease.

A leader notes its commit index, makes sure that it still leads (by a heartbeat round, or by its lease), and answers
with the index; the reader waits until that is applied. Heartbeats carry the position of the newest waiting read, so one
answer confirms all reads up to it, and equal contexts of different reads cannot be confused.

Source: thesis §6.4; compare etcd-io/raft read_only.go (positions instead of contexts).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, final

from raftly.base.types import NO_NODE, Index, NodeId
from raftly.core import replication
from raftly.core.config import ReadOnlyOption
from raftly.core.messages import MsgReadIndex, MsgReadIndexResp
from raftly.core.quorum import JointConfig
from raftly.core.trace import ReadHasNoLeader, ReadsReleasedEarly

if TYPE_CHECKING:
    from raftly.core.raft import Raft


@final
@dataclass(frozen=True, slots=True)
class ReadState:
    """Reads asked for with `context` are linearizable once `index` is applied."""

    index: Index
    context: bytes


@final
class ReadOnly:
    """Reads of a leader that wait to be confirmed, oldest first, numbered from 1 within the leadership."""

    __slots__ = ("_acks", "_confirmed", "_waiting", "option")

    def __init__(self, option: ReadOnlyOption) -> None:
        self.option = option
        self._acks: dict[int, int] = {}  # the newest position that each node confirmed
        self._waiting: list[tuple[NodeId, bytes, Index]] = []  # (who asked, its context, commit index then)
        self._confirmed = 0  # reads confirmed and gone

    def add(self, from_: NodeId, context: bytes, index: Index) -> None:
        """A read was asked for while `index` was committed."""
        self._waiting.append((from_, context, index))

    def waiting(self) -> int:
        """Reads not confirmed yet."""
        return len(self._waiting)

    def last_position(self) -> int:
        """Number of the newest read."""
        return self._confirmed + len(self._waiting)

    def heartbeat_context(self) -> bytes:
        """What a heartbeat must carry to confirm all waiting reads: eight bytes, little-endian; empty for none."""
        return self.last_position().to_bytes(8, "little") if self._waiting else b""

    def receive_ack(self, from_: NodeId, position: int) -> None:
        """`from_` answered the heartbeat that carried `position`."""
        self._acks[from_] = max(self._acks.get(from_, 0), position)

    def take_confirmed(self, voters: JointConfig) -> list[tuple[NodeId, bytes, Index]]:
        """The reads that a quorum has confirmed by now."""
        if not self._waiting:
            return []
        count = min(voters.committed_index(self._acks), self.last_position()) - self._confirmed
        if count <= 0:
            return []
        confirmed = self._waiting[:count]
        self._waiting = self._waiting[count:]
        self._confirmed += count
        return confirmed


def on_read_index(raft: Raft, message: MsgReadIndex) -> None:
    """Leader: confirm leadership, once an entry of its term is committed.

    The only voter must wait for that too, unlike in etcd: a commit index is not synced, so after a crash it may lie
    before entries that were committed, applied and answered.
    """
    if raft.committed_in_term():
        _confirm(raft, message.from_, message.context)
    elif not raft.config.drop_early_reads:
        raft.pending_reads.append((message.from_, message.context))


def on_read_index_follower(raft: Raft, message: MsgReadIndex) -> None:
    """Follower: pass it on to the leader, with no term: an old leader passes it on again."""
    if raft.leader == NO_NODE:
        if raft.trace is not None:
            raft.trace.emit(ReadHasNoLeader())
        return
    raft.send(MsgReadIndex(raft.leader, message.from_ or raft.id, 0, message.context))


def on_read_index_resp(raft: Raft, message: MsgReadIndexResp) -> None:
    """Follower: the leader's answer."""
    if raft.config.report_commit:
        raft.log.maybe_commit(message.term, message.index)
    raft.read_states.append(ReadState(message.index, message.context))


def release_pending_reads(raft: Raft) -> None:
    """The first entry of the term was committed: reads that waited for it may go on."""
    if not raft.pending_reads:
        return
    if not raft.committed_in_term():
        if raft.trace is not None:
            raft.trace.emit(ReadsReleasedEarly())
        return
    pending, raft.pending_reads = raft.pending_reads, []
    for from_, context in pending:
        _confirm(raft, from_, context)


def on_ack(raft: Raft, from_: NodeId, context: bytes) -> None:
    """Leader: a heartbeat answer that may confirm reads."""
    if raft.read_only.option is not ReadOnlyOption.SAFE or not context:
        return
    raft.read_only.receive_ack(from_, int.from_bytes(context, "little"))
    advance_reads(raft)


def advance_reads(raft: Raft) -> None:
    """Leader: answer the reads that the present configuration confirms."""
    for from_, context, index in raft.read_only.take_confirmed(raft.tracker.config.voters):
        _answer(raft, from_, context, index)


def _confirm(raft: Raft, from_: NodeId, context: bytes) -> None:
    """Make sure that this node leads, then answer."""
    if raft.read_only.option is ReadOnlyOption.LEASE_BASED or raft.tracker.is_only_voter(raft.id):
        _answer(raft, from_, context, raft.log.committed)
        return
    raft.read_only.add(from_, context, raft.log.committed)
    raft.read_only.receive_ack(raft.id, raft.read_only.last_position())
    replication.bcast_heartbeat(raft)


def _answer(raft: Raft, from_: NodeId, context: bytes, index: Index) -> None:
    if from_ in (NO_NODE, raft.id):
        raft.read_states.append(ReadState(index, context))
    else:
        raft.send(MsgReadIndexResp(from_, raft.id, raft.term, index, context))
