"""Raft: one node's state, and the transitions between its roles.

Three inputs (`step`, `tick`, the local requests that `RawNode` turns into messages) and two output lists: `messages`
may be sent at once, `after_append` only when everything appended before them is durable. The handlers live in
`election`, `proposals`, `replication`, `following`, `readindex` and `acks`; `dispatch` says who handles what.

Source: Ongaro, "Consensus: Bridging Theory and Practice" (the thesis), chapters 3, 4, 6, 9, 10.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import final

from raftly.base.membership import ConfChangeV2, ConfState
from raftly.base.rand import RandomSource, SplitMix64
from raftly.base.record import place_payloads
from raftly.base.types import NO_LIMIT, NO_NODE, Entry, EntryType, HardState, Index, NodeId, Term
from raftly.core import confchange, election, proposals, replication
from raftly.core.config import Config
from raftly.core.dispatch import TABLES
from raftly.core.log import RaftLog
from raftly.core.messages import Message, MsgApp, MsgAppResp
from raftly.core.readindex import ReadOnly, ReadState, advance_reads
from raftly.core.role import Role
from raftly.core.sizes import payload_bytes
from raftly.core.storage import LogReader
from raftly.core.trace import (
    AutoLeaveFailed,
    AutoLeaveProposed,
    CommitAttempted,
    ConfigSwitched,
    ConfigSwitching,
    EntryReplicated,
    LeaderElected,
    MessageReceived,
    MessageSent,
    NodeCreated,
    RoleChanged,
    Tracer,
    TraceSink,
    UncommittedLimitReached,
)
from raftly.core.tracker import Progress, ProgressTracker, TrackerConfig
from raftly.errors import InvariantError, ProposalDropped

_FOLLOWER = Role.FOLLOWER
_CANDIDATE = Role.CANDIDATE
_LEADER = Role.LEADER
_PRE_CANDIDATE = Role.PRE_CANDIDATE


@final
class Raft:
    """One member of a group. Use it through `RawNode`; its fields may be read at any time, and written by nobody else.

    Raises:
        ConfigError: an option is wrong.
        ConfChangeError: the stored membership contradicts itself.
    """

    __slots__ = (
        "_handlers",
        "_rng",
        "after_append",
        "batch_append",
        "behind",
        "check_quorum",
        "config",
        "election_elapsed",
        "group_commit",
        "heard_elapsed",
        "heartbeat_elapsed",
        "hurry_at",
        "id",
        "is_learner",
        "lead_transferee",
        "leader",
        "lease_tick",
        "log",
        "max_size_per_msg",
        "messages",
        "pending_conf_index",
        "pending_reads",
        "pending_request_snapshot",
        "priority",
        "randomized_election_timeout",
        "read_only",
        "read_states",
        "role",
        "skip_bcast_commit",
        "term",
        "trace",
        "tracker",
        "uncommitted_bytes",
        "uncommitted_bytes_max",
        "uncommitted_from",
        "vote",
        "waiting_appends",
    )

    def __init__(self, config: Config, reader: LogReader, tracer: Tracer | None = None) -> None:
        config.validate()
        self.config = config
        self.id: NodeId = config.id
        self.term: Term = 0
        self.vote: NodeId = NO_NODE  # whom this node voted for in its term
        self.role = _FOLLOWER
        self.leader: NodeId = NO_NODE
        self.log = RaftLog(reader, max(config.committed_bytes_max(), 1))
        self.tracker = ProgressTracker(config.max_inflight_msgs, config.max_inflight_bytes)
        self.behind: list[tuple[Index, ProgressTracker]] = []  # for changes up to there: `outpace`
        self.is_learner = False
        self.messages: list[Message] = []  # may be sent at once, none to this node
        self.after_append: list[Message] = []  # only when what was appended before is durable; also to this node
        self.waiting_appends: dict[int, MsgApp] = {}  # batch_append: appends in `messages` that may still grow
        self.read_states: list[ReadState] = []
        self.read_only = ReadOnly(config.read_only_option)
        self.pending_reads: list[tuple[NodeId, bytes]] = []  # reads that wait for the first commit of the term
        self.lead_transferee: NodeId = NO_NODE
        self.pending_conf_index: Index = 0  # no change may be proposed before this one is applied
        self.pending_request_snapshot: Index = 0  # raft-rs: this follower asked for a snapshot at least this new
        self.uncommitted_bytes = 0  # payload bytes proposed and not applied, kept by the leader
        self.uncommitted_from: Index = 0  # raft-rs: entries up to here are not counted
        self.uncommitted_bytes_max = config.max_uncommitted_entries_size or NO_LIMIT
        self.election_elapsed = 0  # ticks since the last election time-out, or since the leader was heard
        self.heartbeat_elapsed = 0  # ticks since the last heartbeat; leaders only
        self.heard_elapsed = 0  # ticks since any leader was heard, or since the start: what was before is forgotten
        self.hurry_at = 0  # campaign when `heard_elapsed` is there, for the leader was reported lost; 0: it was not
        self.randomized_election_timeout = 0
        self.max_size_per_msg = config.max_size_per_msg
        self.check_quorum = config.check_quorum
        self.lease_tick = config.lease_tick
        self.skip_bcast_commit = config.skip_bcast_commit
        self.batch_append = config.batch_append
        self.priority = config.priority
        self.group_commit = config.group_commit
        self._rng: RandomSource = SplitMix64(config.seed * 0x1_0000_0001 + config.id)
        self._handlers = TABLES[_FOLLOWER]
        self.trace: TraceSink | None = None
        if tracer is not None:
            self.trace = TraceSink(self, tracer)
            self.log.set_trace(self.trace)
        self._load(config, reader)

    def _load(self, config: Config, reader: LogReader) -> None:
        """Take up the stored state."""
        hard_state, conf_state = reader.initial_state()
        switched, progress = confchange.restore(
            config.max_inflight_msgs, config.max_inflight_bytes, conf_state, self.log.last_index
        )
        self.switch_to_config(switched, progress)
        if not hard_state.is_empty():
            self._load_hard_state(hard_state)
        if config.applied > 0:
            self.log.applied_to(config.applied, 0)
        self.become_follower(self.term, NO_NODE)
        if self.trace is not None:
            self.trace.emit(NodeCreated())

    def _load_hard_state(self, state: HardState) -> None:
        log = self.log
        if not log.committed <= state.commit <= log.last_index:
            raise InvariantError(
                f"{self.id:x} state.commit {state.commit} is out of range [{log.committed}, {log.last_index}]"
            )
        log.committed = state.commit
        self.term = state.term
        self.vote = state.vote

    # --- input ---

    def step(self, message: Message) -> None:
        """Take a message. What came from outside must have passed `admission.admit` first.

        Raises:
            ProposalDropped: a proposal that cannot be taken now.
        """
        if self.trace is not None:
            self.trace.emit(MessageReceived(message))
        term = message.term
        if term != self.term and term != 0 and not election.settle_term(self, message):
            return
        self._handlers[type(message)](self, message)

    def tick(self) -> None:
        """Let one tick pass."""
        self.heard_elapsed += 1
        if self.role is _LEADER:
            election.tick_leader(self)
        else:
            election.tick_follower(self)

    # --- output ---

    def send(self, message: Message) -> None:
        """Queue a message that promises nothing about this node's disk."""
        self.messages.append(message)
        if self.trace is not None:
            self.trace.emit(MessageSent(message))

    def send_after_append(self, message: Message) -> None:
        """Queue a vote or an acknowledgement: it must not leave before what it speaks of is durable (thesis §3.8)."""
        self.after_append.append(message)
        if self.trace is not None:
            self.trace.emit(MessageSent(message))

    # --- roles ---

    def reset(self, term: Term) -> None:
        """Forget all that belongs to a role or to an older term."""
        if self.term != term:
            self.term = term
            self.vote = NO_NODE
        self.leader = NO_NODE
        self.election_elapsed = 0
        self.heartbeat_elapsed = 0
        self.reset_election_timeout()
        self.lead_transferee = NO_NODE
        self.tracker.votes = {}
        self.tracker.reset_progress(self.id, self.log.last_index)
        self.pending_conf_index = 0
        self.pending_request_snapshot = 0
        self.uncommitted_bytes = 0
        self.read_only = ReadOnly(self.config.read_only_option)
        self.waiting_appends = {}

    def reset_election_timeout(self) -> None:
        """Draw a new time-out."""
        low, high = self.config.election_range()
        self.randomized_election_timeout = low + self._rng.below(high - low)

    def draw_below(self, bound: int) -> int:
        """A number in [0, bound), from the seed."""
        return self._rng.below(bound)

    def become_follower(self, term: Term, leader: NodeId) -> None:
        requested = self.pending_request_snapshot if term == self.term else 0
        self.reset(term)
        self._handlers = TABLES[_FOLLOWER]
        self.leader = leader
        if leader != NO_NODE:
            self.heard_elapsed = 0
            self.hurry_at = 0
        self.role = _FOLLOWER
        self.pending_request_snapshot = requested
        self.pending_reads = []  # whoever asked asks the next leader
        self.log.apply_ahead = 0
        if self.trace is not None:
            self.trace.emit(RoleChanged(_FOLLOWER))

    def become_candidate(self) -> None:
        if self.role is _LEADER:
            raise InvariantError("invalid transition [leader -> candidate]")
        self.reset(self.term + 1)
        self._handlers = TABLES[_CANDIDATE]
        self.vote = self.id
        self.role = _CANDIDATE
        if self.trace is not None:
            self.trace.emit(RoleChanged(_CANDIDATE))

    def become_pre_candidate(self) -> None:
        """Changes neither term nor vote nor timers: a pre-candidate only asks."""
        if self.role is _LEADER:
            raise InvariantError("invalid transition [leader -> pre-candidate]")
        self._handlers = TABLES[_PRE_CANDIDATE]
        self.tracker.votes = {}
        self.leader = NO_NODE
        self.role = _PRE_CANDIDATE
        if self.trace is not None:
            self.trace.emit(RoleChanged(_PRE_CANDIDATE))

    def become_leader(self) -> None:
        if self.role is _FOLLOWER:
            raise InvariantError("invalid transition [follower -> leader]")
        self.reset(self.term)
        self._handlers = TABLES[_LEADER]
        self.leader = self.id
        self.hurry_at = 0
        self.role = _LEADER
        own = self.tracker.progress.get(self.id)
        if own is None:
            raise InvariantError(f"{self.id:x} leads a group that it is not a member of")
        own.become_replicate()
        own.recent_active = True  # and stays so: the quorum check leaves the leader out
        # There may be an unapplied change anywhere in the log; waiting for all of it is cheaper than looking.
        self.pending_conf_index = self.log.last_index
        self.uncommitted_from = self.log.last_index
        if self.config.report_commit:
            self._note_own_commit()
        self.log.apply_ahead = self.config.max_apply_unpersisted_log_limit
        if self.trace is not None:
            self.trace.emit(LeaderElected())
        if not self.append_entries([Entry()]):
            raise InvariantError("empty entry was dropped")
        if self.trace is not None:
            self.trace.emit(RoleChanged(_LEADER))

    # --- the leader's log ---

    def append_entries(self, entries: list[Entry]) -> bool:
        """Give entries their place in this leader's log; False when the uncommitted tail is too large.

        The entries become the log's own. The acknowledgement to itself waits for the disk like any other.
        """
        if self.uncommitted_bytes_max < NO_LIMIT and not self._increase_uncommitted(payload_bytes(entries)):
            return False
        term = self.term
        index = self.log.last_index
        for entry in entries:
            index += 1
            entry.term = term
            entry.index = index
        self._append_placed(entries)
        return True

    def append_payloads(self, payloads: Sequence[bytes], context: bytes) -> bool:
        """As `append_entries`, for normal entries that do not exist yet."""
        if self.uncommitted_bytes_max < NO_LIMIT and not self._increase_uncommitted(sum(map(len, payloads))):
            return False
        self._append_placed(place_payloads(self.term, self.log.last_index + 1, payloads, context))
        return True

    def _append_placed(self, entries: list[Entry]) -> None:
        if self.trace is not None:
            for entry in entries:
                if entry.type == EntryType.NORMAL:
                    self.trace.emit(EntryReplicated(entry.type))
        self.log.append(entries)
        self.send_after_append(MsgAppResp(self.id, self.id, self.term, self.log.last_index))

    def _increase_uncommitted(self, size: int) -> bool:
        """Count proposed payload bytes. An empty tail takes anything, and empty entries are always taken."""
        if self.uncommitted_bytes > 0 and size > 0 and self.uncommitted_bytes + size > self.uncommitted_bytes_max:
            if self.trace is not None:
                self.trace.emit(UncommittedLimitReached())
            return False
        self.uncommitted_bytes += size
        return True

    def reduce_uncommitted(self, entries: list[Entry]) -> None:
        """These were applied. The count may fall short of the truth, never exceed it, so it stops at zero."""
        if self.uncommitted_bytes_max >= NO_LIMIT or self.uncommitted_bytes == 0:
            return
        if self.config.count_own_uncommitted:
            entries = [entry for entry in entries if entry.index > self.uncommitted_from]
        self.uncommitted_bytes = max(self.uncommitted_bytes - payload_bytes(entries), 0)

    def maybe_commit(self) -> bool:
        """Leader: advance the commit index as far as the quorum allows; True when it moved."""
        tracker = self.tracker
        index = tracker.group_committed_index()[0] if self.group_commit else tracker.committed_index()
        moved = self.log.maybe_commit(self.term, index)
        if moved and self.config.report_commit:
            self._note_own_commit()
        if self.trace is not None:
            self.trace.emit(CommitAttempted())
        return moved

    def _note_own_commit(self) -> None:
        own = self.tracker.progress.get(self.id)
        if own is not None:
            own.update_committed(self.log.committed)

    def committed_in_term(self) -> bool:
        """Has an entry of this term been committed? Until then a leader knows no safe read index (thesis §6.4)."""
        return self.log.match_term(self.term, self.log.committed)

    def applied_in_term(self) -> bool:
        """Has an entry of this term been applied?"""
        return self.log.match_term(self.term, self.log.applied)

    # --- applying ---

    def applied_to(self, index: Index, applied_bytes: int) -> None:
        """Everything up to `index` is applied; a leader then leaves a joint configuration that asks for it."""
        self.log.applied_to(max(index, self.log.applied), applied_bytes)
        self.auto_leave()

    def auto_leave(self) -> None:
        """A leader leaves a joint configuration that asks for it, once the change that made it is applied."""
        applied = self.log.applied
        if self.tracker.config.auto_leave and applied >= self.pending_conf_index and self.role is _LEADER:
            # An empty payload decodes to the change that leaves, and no size limit refuses it.
            try:
                proposals.propose(self, [Entry(type=EntryType.CONF_CHANGE_V2)])
            except ProposalDropped:
                # A transfer is pending; when it is given up, we come here again.
                if self.trace is not None:
                    self.trace.emit(AutoLeaveFailed())
            else:
                if self.trace is not None:
                    self.trace.emit(AutoLeaveProposed())

    def apply_conf_change(self, change: ConfChangeV2) -> ConfState:
        """Put a committed change in force, unless a snapshot has brought a later configuration; that behind the change.

        Raises:
            ConfChangeError: it does not fit the configuration, which is as it was.
        """
        tracker = self.behind[0][1] if self.behind else self.tracker
        config, progress = confchange.Changer(tracker, self.log.last_index).change(change)
        if tracker is self.tracker:
            return self.switch_to_config(config, progress)
        tracker.switch(config, progress)
        return config.conf_state()

    def outpace(self) -> None:
        """A snapshot comes while entries that were handed out are not known to be applied.

        The changes among them end in a configuration that is no longer in force.
        """
        last = self.log.applying
        if last > self.log.applied and (not self.behind or self.behind[-1][0] < last):
            self.behind.append((last, self.tracker.copy()))

    def caught_up(self, index: Index) -> None:
        """The application has acknowledged all up to `index`."""
        while self.behind and self.behind[0][0] <= index:
            del self.behind[0]

    def switch_to_config(self, config: TrackerConfig, progress: dict[int, Progress]) -> ConfState:
        """Put a configuration in force and react: step down, commit, or tell the newcomers."""
        if self.trace is not None:
            self.trace.emit(ConfigSwitching(config.voters.incoming.ids))
        self.tracker.switch(config, progress)
        if self.trace is not None:
            self.trace.emit(ConfigSwitched())
        conf_state = config.conf_state()
        own = progress.get(self.id)
        self.is_learner = own is not None and own.is_learner
        if self.role is not _LEADER:
            return conf_state
        if own is None or self.is_learner:
            # A leader outside the voters goes on until its successor is found, unless told otherwise (thesis §4.2.2).
            if self.config.step_down_on_removal:
                self.become_follower(self.term, NO_NODE)
            return conf_state
        if not config.voters.incoming.ids:
            return conf_state
        if self.maybe_commit():
            replication.bcast_append(self)
        else:
            for id_, peer in self.tracker.peers:
                if id_ != self.id:
                    replication.maybe_send_append(self, id_, peer, allow_empty=False)
        advance_reads(self)
        if self.lead_transferee != NO_NODE and self.lead_transferee not in config.voters.ids():
            self.lead_transferee = NO_NODE
        return conf_state

    def promotable(self) -> bool:
        """May this node campaign? It must be a voter, with no snapshot on its way to disk."""
        own = self.tracker.progress.get(self.id)
        return own is not None and not own.is_learner and self.log.unstable.snapshot is None
