"""RawNode: the handle on one member of a group, for an application that brings its own loop, disk and network.

    while True:
        node.tick(), node.step(message), node.propose(data) ...      input, as it comes
        if node.has_ready():
            ready = node.ready()                                    all there is to do, in one batch
            storage.append(ready.entries), send(ready.messages), apply(ready.committed_entries)
            node.advance()                                          it is done

Compare: etcd-io/raft rawnode.go; tikv/raft-rs src/raw_node.rs. `docs/core.md` maps the names of both.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, final

from raftly.base.limits import PAYLOAD_BYTES_MAX
from raftly.base.membership import AnyConfChange, ConfChange, ConfChangeType, ConfState
from raftly.base.types import NO_NODE, Entry, EntryType, HardState, Index, NodeId
from raftly.core import election, following, proposals, readindex, replication
from raftly.core.admission import admit, check_entries
from raftly.core.config import Config, check_priority
from raftly.core.messages import (
    APPEND_THREAD,
    APPLY_THREAD,
    Message,
    MsgForgetLeader,
    MsgHup,
    MsgProp,
    MsgReadIndex,
    MsgSnapStatus,
    MsgStorageAppend,
    MsgStorageAppendResp,
    MsgStorageApply,
    MsgStorageApplyResp,
    MsgTransferLeader,
    MsgUnreachable,
)
from raftly.core.raft import Raft
from raftly.core.ready import Ready
from raftly.core.role import Role
from raftly.core.status import BasicStatus, SoftState, Status, basic_status, status
from raftly.core.storage import FetchContext, LogReader
from raftly.core.trace import ReadyAccepted, Tracer
from raftly.errors import ConfigError, InvariantError, LimitExceeded

_LEADER: Final = Role.LEADER


@final
class RawNode:
    """One member of a group. Not thread-safe.

    Raises:
        ConfigError: an option is wrong.
        ConfChangeError: the stored membership contradicts itself.
    """

    __slots__ = (
        "_async_writes",
        "_prev_commit",
        "_prev_leader",
        "_prev_role",
        "_prev_term",
        "_prev_vote",
        "_steps_on_advance",
        "raft",
    )

    def __init__(self, config: Config, storage: LogReader, tracer: Tracer | None = None) -> None:
        self.raft = Raft(config, storage, tracer)
        self._async_writes = config.async_storage_writes
        self._prev_leader = self.raft.leader
        self._prev_role = self.raft.role
        self._prev_term = self.raft.term
        self._prev_vote = self.raft.vote
        self._prev_commit = self.raft.log.committed
        self._steps_on_advance: list[Message] = []

    # --- input ---

    def tick(self) -> None:
        """Let one tick pass."""
        self.raft.tick()

    def tick_quiesced(self) -> None:
        """Let one tick pass at a node whose group sleeps: nothing happens, but a later tick may time out."""
        self.raft.election_elapsed += 1
        self.raft.heard_elapsed += 1

    def step(self, message: Message) -> None:
        """Take a message from a peer or a storage thread.

        Raises:
            PeerError: it was refused and changed nothing; see `admission.admit`.
            LimitExceeded: a forwarded proposal is too large.
            ProposalDropped: a forwarded proposal cannot be taken now.
        """
        admit(self.raft, message)
        self.raft.step(message)

    def campaign(self) -> None:
        """Start an election now."""
        self.raft.step(MsgHup())

    def propose(self, data: bytes, context: bytes = b"") -> Index:
        """Append `data` to the replicated log, here or at the leader. `context` travels with it (raft-rs).

        Returns the index it got, 0 when it was passed on. It may still be lost with the leadership; it is safe only
        when it comes back among the committed entries.

        Raises:
            ProposalDropped: not taken, and never will be.
            LimitExceeded: larger than a payload may be.
        """
        if len(data) + len(context) > PAYLOAD_BYTES_MAX:
            raise LimitExceeded("payload_bytes", len(data) + len(context), PAYLOAD_BYTES_MAX)
        return self._propose_payloads([data], context)

    def propose_batch(self, payloads: Sequence[bytes]) -> Index:
        """As `propose` for several payloads at once, all or none; the index of the last one.

        Raises:
            ProposalDropped: not taken, and never will be.
            LimitExceeded: one is too large, or there are none.
        """
        if not payloads:
            raise LimitExceeded("payloads in a batch", 0, 1)
        largest = max(map(len, payloads))
        if largest > PAYLOAD_BYTES_MAX:
            raise LimitExceeded("payload_bytes", largest, PAYLOAD_BYTES_MAX)
        return self._propose_payloads(payloads, b"")

    def propose_conf_change(self, change: AnyConfChange | None) -> Index:
        """Propose a membership change; None leaves a joint configuration. Once committed, `apply_conf_change` it.

        A change that may not be proposed now (another is pending, joint or not joint) is replaced by an empty entry.

        Raises:
            ProposalDropped: not taken, and never will be.
        """
        if change is None:
            entry = Entry(type=EntryType.CONF_CHANGE_V2)
        elif isinstance(change, ConfChange):
            entry = Entry(type=EntryType.CONF_CHANGE, data=change.encode())
        else:
            entry = Entry(type=EntryType.CONF_CHANGE_V2, data=change.encode())
        check_entries([entry])
        raft = self.raft
        if raft.role is _LEADER:
            proposals.propose(raft, [entry])
            return raft.log.last_index
        raft.step(MsgProp(raft.id, raft.id, 0, [entry]))
        return 0

    def _propose_payloads(self, payloads: Sequence[bytes], context: bytes) -> Index:
        raft = self.raft
        if raft.role is _LEADER:
            proposals.propose_payloads(raft, payloads, context)
            return raft.log.last_index
        entries = [Entry(data=data, context=context) for data in payloads]
        raft.step(MsgProp(raft.id, raft.id, 0, entries))
        return 0

    def apply_conf_change(self, change: AnyConfChange) -> ConfState:
        """A committed change was applied by the application: put it in force. The membership to be stored comes back.

        Raises:
            ConfChangeError: it does not fit the configuration, which is as it was.
        """
        return self.raft.apply_conf_change(change.as_v2())

    def read_index(self, context: bytes) -> None:
        """Ask which index must be applied for reads to be linearizable; the answer comes as a ReadState.

        Without a leader the request is lost: ask again after a while.
        """
        self.raft.step(MsgReadIndex(0, NO_NODE, 0, context))

    def transfer_leader(self, to: NodeId) -> None:
        """Hand leadership over to `to`, if it can be done within an election time-out."""
        self.raft.step(MsgTransferLeader(self.raft.id, to))

    def forget_leader(self) -> None:
        """Forget who leads, so that another candidate can be elected without waiting for the lease to end."""
        self.raft.step(MsgForgetLeader())

    def report_unreachable(self, id_: NodeId) -> None:
        """The transport could not deliver to `id_`."""
        self.raft.step(MsgUnreachable(0, id_))

    def report_leader_lost(self, id_: NodeId) -> None:
        """The connection to `id_` closed: if that is whom this node follows, it is probably dead.

        A hint, and harmless when wrong: the follower asks for pre-votes as soon as `Config.lease_tick` has passed, not
        only after an election time-out. It forgets the hint when it hears a leader. Ignored without `lease_tick`.
        """
        election.leader_lost(self.raft, id_)

    def report_snapshot(self, id_: NodeId, *, failed: bool = False) -> None:
        """The snapshot to `id_` was delivered, or failed; must be called once for every MsgSnap."""
        self.raft.step(MsgSnapStatus(0, id_, reject=failed))

    # --- output ---

    def has_ready(self) -> bool:
        """Is there anything to do?"""
        raft = self.raft
        log = raft.log
        if raft.messages or raft.after_append or raft.read_states:
            return True
        if log.committed != self._prev_commit or raft.term != self._prev_term or raft.vote != self._prev_vote:
            return True
        if raft.leader != self._prev_leader or raft.role is not self._prev_role:
            return True
        if log.unstable.has_next_entries() or log.unstable.next_snapshot() is not None:
            return True
        return log.applying < log.committed and log.has_next_committed(not self._async_writes)

    def ready(self) -> Ready:
        """All there is to do, which now counts as being done."""
        ready = self.peek_ready()
        self._accept(ready)
        return ready

    def peek_ready(self) -> Ready:
        """What `ready` would give; nothing is consumed."""
        raft = self.raft
        log = raft.log
        unstable = log.unstable
        soft_state = None
        if raft.leader != self._prev_leader or raft.role is not self._prev_role:
            soft_state = SoftState(raft.leader, raft.role)
        term_or_vote = raft.term != self._prev_term or raft.vote != self._prev_vote
        hard_state = None
        if term_or_vote or log.committed != self._prev_commit:
            hard_state = HardState(raft.term, raft.vote, log.committed)
        entries = unstable.next_entries() if unstable.entries else []
        ready = Ready(
            soft_state,
            hard_state,
            raft.read_states,
            entries,
            None if unstable.snapshot_in_progress else unstable.snapshot,
            log.next_committed(not self._async_writes) if log.applying < log.committed else [],
            raft.messages,
            term_or_vote or bool(entries),
        )
        if self._async_writes:
            self._add_storage_messages(ready)
        elif raft.after_append:
            ready.messages = raft.messages + _for_others(raft.after_append, raft.id)
        return ready

    def advance(self) -> None:
        """The last Ready was dealt with: what it made durable and applied counts from now on.

        What advances in turn is in the next Ready. Not used with asynchronous storage writes.
        """
        if self._async_writes:
            raise InvariantError("Advance must not be called when using AsyncStorageWrites")
        steps, self._steps_on_advance = self._steps_on_advance, []
        raft = self.raft
        for message in steps:
            # Its own proposals are not among them, so nothing can be dropped; an own answer may come too late.
            raft.step(message)

    def _add_storage_messages(self, ready: Ready) -> None:
        """Asynchronous writes: what to save and to apply, as messages with their answers inside."""
        raft = self.raft
        hard_state = ready.hard_state
        ready.messages = list(raft.messages)
        if ready.entries or hard_state is not None or ready.snapshot is not None or raft.after_append:
            append = MsgStorageAppend(
                APPEND_THREAD, raft.id, 0, 0, 0, ready.entries, ready.snapshot, list(raft.after_append)
            )
            if hard_state is not None:
                append.term = hard_state.term
                append.vote = hard_state.vote
                append.commit = hard_state.commit
            if raft.log.unstable.entries or ready.snapshot is not None:
                append.responses.append(self._append_answer(ready))
            ready.messages.append(append)
        if ready.committed_entries:
            applied = MsgStorageApplyResp(raft.id, APPLY_THREAD, 0, ready.committed_entries)
            ready.messages.append(MsgStorageApply(APPLY_THREAD, raft.id, 0, ready.committed_entries, [applied]))

    def _append_answer(self, ready: Ready) -> MsgStorageAppendResp:
        """What the disk says when the Ready, and all before it, is durable.

        It speaks of the end of the whole log, and of the term of now: should the log be overwritten before the answer
        comes, a later term ignores it even if the entries look the same again.
        """
        raft = self.raft
        log = raft.log
        answer = MsgStorageAppendResp(raft.id, APPEND_THREAD, raft.term, 0, 0, ready.snapshot)
        if log.unstable.entries:
            answer.log_term = log.last_term
            answer.index = log.last_index
        return answer

    def _accept(self, ready: Ready) -> None:
        raft = self.raft
        log = raft.log
        if not self._async_writes:
            self._plan_advance(ready)
        if ready.soft_state is not None:
            self._prev_leader = ready.soft_state.leader
            self._prev_role = ready.soft_state.role
        if ready.hard_state is not None:
            self._prev_term = ready.hard_state.term
            self._prev_vote = ready.hard_state.vote
            self._prev_commit = ready.hard_state.commit
        # Replaced, never cleared: the Ready holds the old lists.
        if ready.read_states:
            raft.read_states = []
        raft.messages = []
        raft.after_append = []
        if raft.waiting_appends:
            raft.waiting_appends = {}
        if ready.entries or ready.snapshot is not None:
            log.unstable.accept_in_progress()
        if ready.committed_entries:
            log.accept_applying(ready.committed_entries, not self._async_writes)
        if raft.trace is not None:
            raft.trace.emit(ReadyAccepted())

    def _plan_advance(self, ready: Ready) -> None:
        """Synchronous style: the answers that `advance` will step."""
        raft = self.raft
        if self._steps_on_advance:
            raise InvariantError("two accepted Ready structs without call to Advance")
        steps = _for_self(raft.after_append, raft.id) if raft.after_append else []
        if raft.log.unstable.entries or ready.snapshot is not None:
            steps.append(self._append_answer(ready))
        if ready.committed_entries:
            steps.append(MsgStorageApplyResp(raft.id, APPLY_THREAD, 0, ready.committed_entries))
        self._steps_on_advance = steps

    # --- setting up and looking in ---

    def bootstrap(self, peers: Sequence[tuple[NodeId, bytes]]) -> None:
        """Start a new group of (id, context) on an empty storage: one configuration entry a peer, all committed.

        Every first member is given the same list. Joining nodes are not bootstrapped: they start empty.

        Raises:
            ConfigError: no peers, or the storage is not empty.
        """
        raft = self.raft
        if not peers:
            raise ConfigError("peers", "are none, bootstrap needs at least one")
        if raft.log.last_index != 0:
            raise ConfigError("storage", "is not empty, only a new node can be bootstrapped")
        changes = [ConfChange(ConfChangeType.ADD_NODE, id_, context) for id_, context in peers]
        # The first Ready must tell everything: as if nothing had been stored before.
        self._prev_term = self._prev_vote = self._prev_commit = 0
        raft.become_follower(1, NO_NODE)
        raft.log.append(
            [Entry(1, position + 1, EntryType.CONF_CHANGE, change.encode()) for position, change in enumerate(changes)]
        )
        raft.log.committed = len(changes)
        for change in changes:
            raft.apply_conf_change(change.as_v2())

    def status(self) -> Status:
        """The whole status; each peer's progress only at a leader."""
        return status(self.raft)

    def basic_status(self) -> BasicStatus:
        """The cheap part of the status."""
        return basic_status(self.raft)

    # --- raft-rs ---

    def ping(self) -> None:
        """Send a round of heartbeats now; at a leader only."""
        if self.raft.role is _LEADER:
            replication.bcast_heartbeat(self.raft)

    def maybe_tell_commit(self) -> bool:
        """Tell the commit index to peers that do not know it; at a leader only; whether there were any.

        For those who set `skip_bcast_commit` and have reason to believe that no append will carry it soon.
        """
        return self.raft.role is _LEADER and replication.maybe_tell_commit(self.raft)

    def request_snapshot(self) -> None:
        """Ask the leader for a snapshot, as when the own state machine is damaged.

        Raises:
            RequestSnapshotDropped: it makes no sense now.
        """
        following.request_snapshot(self.raft)

    def on_entries_fetched(self, context: FetchContext) -> None:
        """Entries that the storage had called not ready are at hand."""
        replication.on_entries_fetched(self.raft, context)

    def set_priority(self, priority: int) -> None:
        """Election priority from now on; see `Config.priority`.

        Raises:
            ConfigError: it does not fit a signed 64-bit number.
        """
        check_priority(priority)
        self.raft.priority = priority

    def set_check_quorum(self, check_quorum: bool) -> None:
        """Switch `Config.check_quorum`."""
        self.raft.check_quorum = check_quorum

    def set_skip_bcast_commit(self, skip: bool) -> None:
        """Switch `Config.skip_bcast_commit`."""
        self.raft.skip_bcast_commit = skip

    def set_batch_append(self, batch: bool) -> None:
        """Switch `Config.batch_append`."""
        self.raft.batch_append = batch

    def set_max_committed_size_per_ready(self, bytes_max: int) -> None:
        """Change the budget of entries handed out for application; 0 gives one entry at a time."""
        self.raft.log.set_applying_bytes_max(max(bytes_max, 1))

    def adjust_max_inflight_msgs(self, id_: NodeId, size: int) -> None:
        """Change the window of one peer, 0 to disable it; until the next election or change of members."""
        progress = self.raft.tracker.progress.get(id_)
        if progress is not None:
            progress.inflights.set_size(size)

    def inflight_buffers_size(self) -> int:
        """Bytes of memory that the windows of all peers take."""
        return sum(progress.inflights.buffer_bytes() for _, progress in self.raft.tracker.peers)

    def maybe_free_inflight_buffers(self) -> int:
        """Give back the buffers of idle windows; how many."""
        return sum(progress.inflights.maybe_free_buffer() for _, progress in self.raft.tracker.peers)

    def assign_commit_groups(self, groups: Sequence[tuple[NodeId, int]]) -> None:
        """Put peers into commit groups (numbers above 0); with `Config.group_commit` a commit needs two of them.

        Raises:
            ConfigError: a group is not above 0; nobody was moved.
        """
        raft = self.raft
        for id_, group in groups:
            if group <= 0:
                raise ConfigError("commit group", f"of node {id_} is {group}, it must be at least 1")
        for id_, group in groups:
            progress = raft.tracker.progress.get(id_)
            if progress is not None:
                progress.commit_group_id = group
        if raft.group_commit:
            self._commit_again()

    def clear_commit_groups(self) -> None:
        """Take every peer out of its commit group."""
        for _, progress in self.raft.tracker.peers:
            progress.commit_group_id = 0

    def enable_group_commit(self, enable: bool) -> None:
        """Switch `Config.group_commit`."""
        self.raft.group_commit = enable
        if not enable:
            self._commit_again()

    def _commit_again(self) -> None:
        raft = self.raft
        if raft.role is _LEADER and raft.maybe_commit():
            readindex.release_pending_reads(raft)
            replication.bcast_append(raft)

    def check_group_commit_consistent(self) -> bool | None:
        """Do two commit groups hold everything committed, by group commit? None unless leading, own term applied."""
        raft = self.raft
        if raft.role is not _LEADER or not raft.applied_in_term():
            return None
        index, by_groups = raft.tracker.group_committed_index()
        return raft.group_commit and by_groups and index == raft.log.committed

    def in_lease(self) -> bool:
        """Does this leader hold a lease by heartbeats, as raft-rs means it: leading, with check_quorum?"""
        return self.raft.role is _LEADER and self.raft.check_quorum


def _for_others(messages: list[Message], own: NodeId) -> list[Message]:
    """Those that leave the node; mostly all or none of them."""
    if len(messages) == 1:
        return messages if messages[0].to != own else []
    return [message for message in messages if message.to != own]


def _for_self(messages: list[Message], own: NodeId) -> list[Message]:
    """Those that the node answers to itself."""
    if len(messages) == 1:
        return [messages[0]] if messages[0].to == own else []
    return [message for message in messages if message.to == own]
