"""What a leader knows of each peer: Progress and its window of in-flight appends, under one ProgressTracker.

    Probe ──acknowledged──► Replicate          Probe:     one append at a time, until it is known where the logs meet
      ▲  ◄──rejected, unreachable──┘           Replicate: appends stream, `next` runs ahead of `match`
      └──── reported, or caught up ── Snapshot Snapshot:  nothing is sent until the snapshot has been dealt with

Only Progress changes Progress. Invariant: 0 <= match < next.

Source: Raft thesis §3.5, §10.2; compare etcd-io/raft tracker/, tikv/raft-rs src/tracker/ (commit groups, tracked
commit, requested snapshots, resizable windows).
"""

from __future__ import annotations

from collections import deque
from enum import Enum
from typing import final

from raftly.base.membership import ConfState
from raftly.base.types import Index, NodeId
from raftly.core.quorum import JointConfig, VoteResult, majority_index
from raftly.errors import InvariantError


class ProgressState(Enum):
    """How a leader sends to a peer; the value is the printed name."""

    PROBE = "StateProbe"
    REPLICATE = "StateReplicate"
    SNAPSHOT = "StateSnapshot"


_PROBE = ProgressState.PROBE
_REPLICATE = ProgressState.REPLICATE
_SNAPSHOT = ProgressState.SNAPSHOT


@final
class Inflights:
    """Appends sent and not yet acknowledged: the last index and the payload bytes of each, oldest first.

    Full when `size` messages are in flight, or `bytes_max` bytes or more (0: no such limit); the byte limit may be
    overshot by one message. `size` 0 disables the peer.
    """

    __slots__ = ("_bytes", "_count", "_items", "_limit", "bytes_max", "size")

    def __init__(self, size: int, bytes_max: int = 0) -> None:
        self.size = size
        self.bytes_max = bytes_max
        self._bytes = 0
        self._count = 0
        self._limit = size  # below `size` while a smaller one waits for the window to drain
        self._items: deque[tuple[int, int]] | None = None  # made on first use: most peers are idle

    def add(self, index: Index, payload_bytes: int) -> None:
        """A message whose last entry is `index` was sent; the window is not full."""
        if self._count >= self._limit or (self.bytes_max != 0 and self._bytes >= self.bytes_max):
            raise InvariantError("cannot add into a Full inflights")
        items = self._items
        if items is None:
            items = self._items = deque()
        items.append((index, payload_bytes))
        self._count += 1
        self._bytes += payload_bytes

    def free_le(self, to: Index) -> None:
        """Messages up to index `to` were acknowledged."""
        items = self._items
        if items is None:
            return
        while items and items[0][0] <= to:
            self._bytes -= items.popleft()[1]
            self._count -= 1
        if not items:
            self.size = self._limit

    def free_first_one(self) -> None:
        """Release exactly one slot: how raft-rs keeps a full window alive on a heartbeat answer."""
        items = self._items
        if items:
            self.free_le(items[0][0])

    def disabled(self) -> bool:
        """Was the capacity set to 0, so that nothing may ever be added?"""
        return self._limit == 0

    def full(self) -> bool:
        return self._count >= self._limit or (self.bytes_max != 0 and self._bytes >= self.bytes_max)

    def count(self) -> int:
        """Messages in flight."""
        return self._count

    def payload_bytes(self) -> int:
        """Payload bytes in flight."""
        return self._bytes

    def reset(self) -> None:
        """Forget all messages, as after a rejection or a change of state."""
        if self._items:
            self._items.clear()
        self._bytes = 0
        self._count = 0
        self.size = self._limit

    def set_size(self, size: int) -> None:
        """Raise the capacity at once, or lower it as soon as what is in flight fits below it. raft-rs: set_cap."""
        self._limit = size
        if size >= self.size or self._count == 0:
            self.size = size

    def maybe_free_buffer(self) -> bool:
        """Give back the buffer of an idle window; true when there was one to give. raft-rs: maybe_free_buffer."""
        if self._items is None or self._items:
            return False
        self._items = None
        return True

    def buffer_bytes(self) -> int:
        """Memory that the buffer takes; 0 until it is used."""
        return 0 if self._items is None else self._items.__sizeof__()

    def copy(self) -> Inflights:
        """An independent window with the same content."""
        twin = Inflights(self.size, self.bytes_max)
        twin._bytes = self._bytes
        twin._count = self._count
        twin._limit = self._limit
        twin._items = None if self._items is None else deque(self._items)
        return twin


@final
class Progress:
    """One peer as its leader sees it."""

    __slots__ = (
        "commit_group_id",
        "committed_index",
        "flow_paused",
        "inflights",
        "is_learner",
        "match",
        "next",
        "pending_request_snapshot",
        "pending_snapshot",
        "recent_active",
        "sent_commit",
        "state",
    )

    def __init__(
        self, next_: Index, inflights: Inflights, *, match: Index = 0, is_learner: bool = False, active: bool = False
    ) -> None:
        self.match = match  # the peer's log is known to equal ours up to here
        self.next = next_  # the first entry to send next; match < next
        self.sent_commit: Index = 0  # the last commit index sent, so that it is not sent twice for nothing
        self.state = _PROBE
        self.pending_snapshot: Index = 0  # index of the snapshot on its way, in Snapshot
        self.recent_active = active  # heard from since the last quorum check
        self.flow_paused = False  # no appends until an answer comes (Probe), or the window opens (Replicate)
        self.inflights = inflights
        self.is_learner = is_learner
        self.committed_index: Index = 0  # raft-rs: what the peer itself reported committed
        self.commit_group_id = 0  # raft-rs: group commit; 0 is no group
        self.pending_request_snapshot: Index = 0  # raft-rs: the peer asked for a snapshot at least this new

    def become_probe(self) -> None:
        """Find out where the logs meet: one append at a time, from behind `match` or a finished snapshot."""
        if self.state is _SNAPSHOT:
            pending = self.pending_snapshot
            self._reset_state(_PROBE)
            self.next = max(self.match, pending) + 1
        else:
            self._reset_state(_PROBE)
            self.next = self.match + 1
        self.sent_commit = min(self.sent_commit, self.next - 1)

    def become_replicate(self) -> None:
        """Stream appends from behind `match`."""
        self._reset_state(_REPLICATE)
        self.next = self.match + 1

    def become_snapshot(self, index: Index) -> None:
        """A snapshot at `index` is on its way; nothing else is sent."""
        self._reset_state(_SNAPSHOT)
        self.pending_snapshot = index
        self.next = index + 1
        self.sent_commit = index

    def sent_entries(self, count: int, payload_bytes: int) -> None:
        """An append with `count` entries was sent."""
        if self.state is _REPLICATE:
            inflights = self.inflights
            if count > 0:
                self.next += count
                inflights.add(self.next - 1, payload_bytes)
            self.flow_paused = inflights.full()
        elif self.state is _PROBE:
            # An empty probe does not pause: it may only have carried the commit index.
            if count > 0:
                self.flow_paused = True
        else:
            raise InvariantError(f"sending append in unhandled state {self.state.value}")

    def can_bump_commit(self, commit: Index) -> bool:
        """Would sending `commit` tell the peer something about entries it has been sent?"""
        return commit > self.sent_commit and self.sent_commit < self.next - 1

    def maybe_update(self, index: Index) -> bool:
        """The peer holds our log up to `index`; false when that was known."""
        if index <= self.match:
            return False
        self.match = index
        if self.next <= index:
            self.next = index + 1
        self.flow_paused = False
        return True

    def maybe_decr_to(self, rejected: Index, hint: Index) -> bool:
        """The append behind `rejected` did not fit; the logs may meet at `hint`. False when the answer is stale."""
        if self.state is _REPLICATE:
            if rejected <= self.match:
                return False
            self.next = self.match + 1
        else:
            if self.next - 1 != rejected:
                return False
            self.next = max(min(rejected, hint + 1), self.match + 1)
            self.flow_paused = False
        self.sent_commit = min(self.sent_commit, self.next - 1)
        return True

    def maybe_request_snapshot(self, rejected: Index, requested: Index) -> bool:
        """The peer asks for a snapshot at `requested` or newer; false when the request is out of date."""
        if self.state is _REPLICATE:
            if rejected < self.match:
                return False
            self.pending_request_snapshot = requested
            return True
        if self.pending_request_snapshot == 0:
            self.pending_request_snapshot = requested
        self.flow_paused = False
        return True

    def update_committed(self, commit: Index) -> None:
        """The peer reported its commit index; it never falls."""
        self.committed_index = max(self.committed_index, commit)

    def is_paused(self) -> bool:
        """Is sending entries pointless now?"""
        return self.flow_paused or self.state is _SNAPSHOT

    def is_disabled(self) -> bool:
        """Is replication to the peer switched off by a window of size 0? A probe still finds its log, as in raft-rs."""
        return self.state is _REPLICATE and self.inflights.disabled()

    def is_snapshot_caught_up(self) -> bool:
        """In Snapshot, and the peer holds what the snapshot covers."""
        return self.state is _SNAPSHOT and self.match >= self.pending_snapshot

    def copy(self) -> Progress:
        """A copy that shares the window: configuration changes work on these."""
        twin = Progress(self.next, self.inflights)
        twin.match = self.match
        twin.sent_commit = self.sent_commit
        twin.state = self.state
        twin.pending_snapshot = self.pending_snapshot
        twin.recent_active = self.recent_active
        twin.flow_paused = self.flow_paused
        twin.is_learner = self.is_learner
        twin.committed_index = self.committed_index
        twin.commit_group_id = self.commit_group_id
        twin.pending_request_snapshot = self.pending_request_snapshot
        return twin

    def __str__(self) -> str:
        text = f"{self.state.value} match={self.match} next={self.next}"
        if self.is_learner:
            text += " learner"
        if self.is_paused():
            text += " paused"
        if self.pending_snapshot > 0:
            text += f" pendingSnap={self.pending_snapshot}"
        if not self.recent_active:
            text += " inactive"
        count = self.inflights.count()
        if count > 0:
            text += f" inflight={count}"
            if self.inflights.full():
                text += "[full]"
        return text

    def _reset_state(self, state: ProgressState) -> None:
        self.flow_paused = False
        self.pending_snapshot = 0
        self.state = state
        self.inflights.reset()


@final
class TrackerConfig:
    """Who votes and who learns, as the core works with it. Invariants: `core.confchange.check_invariants`."""

    __slots__ = ("auto_leave", "learners", "learners_next", "voters")

    def __init__(
        self,
        voters: JointConfig | None = None,
        learners: tuple[int, ...] = (),
        learners_next: tuple[int, ...] = (),
        auto_leave: bool = False,
    ) -> None:
        self.voters = voters if voters is not None else JointConfig()
        self.learners: tuple[int, ...] = tuple(sorted(learners))
        self.learners_next: tuple[int, ...] = tuple(sorted(learners_next))
        self.auto_leave = auto_leave

    def is_joint(self) -> bool:
        return bool(self.voters.outgoing.ids)

    def conf_state(self) -> ConfState:
        """The same as a value, every list ascending."""
        return ConfState(
            self.voters.incoming.ids, self.learners, self.voters.outgoing.ids, self.learners_next, self.auto_leave
        )

    def __str__(self) -> str:
        text = f"voters={self.voters}"
        if self.learners:
            text += f" learners={_id_set(self.learners)}"
        if self.learners_next:
            text += f" learners_next={_id_set(self.learners_next)}"
        return text + " autoleave" if self.auto_leave else text


def _id_set(ids: tuple[int, ...]) -> str:
    return "(" + " ".join(f"{id_:x}" for id_ in ids) + ")"


@final
class ProgressTracker:
    """The configuration in force, a Progress for every member, and the votes of the running election."""

    __slots__ = ("_incoming", "_outgoing", "config", "inflight_bytes_max", "inflight_max", "peers", "progress", "votes")

    def __init__(self, inflight_max: int, inflight_bytes_max: int = 0) -> None:
        self.inflight_max = inflight_max
        self.inflight_bytes_max = inflight_bytes_max
        self.config = TrackerConfig()
        self.progress: dict[int, Progress] = {}
        self.votes: dict[int, bool] = {}
        self.peers: list[tuple[int, Progress]] = []  # all members, ascending: the order of every visit
        self._incoming: list[Progress] = []  # voters with a Progress; those without one count as index 0
        self._outgoing: list[Progress] = []

    def copy(self) -> ProgressTracker:
        """Another one with the same configuration and members."""
        other = ProgressTracker(self.inflight_max, self.inflight_bytes_max)
        other.switch(self.config, self.progress)
        return other

    def switch(self, config: TrackerConfig, progress: dict[int, Progress]) -> None:
        """Put another configuration in force."""
        self.config = config
        self.progress = progress
        self.peers = [(id_, progress[id_]) for id_ in sorted(progress)]
        voters = config.voters
        self._incoming = [progress[id_] for id_ in voters.incoming.ids if id_ in progress]
        self._outgoing = [progress[id_] for id_ in voters.outgoing.ids if id_ in progress]

    def new_inflights(self) -> Inflights:
        return Inflights(self.inflight_max, self.inflight_bytes_max)

    def reset_progress(self, self_id: NodeId, last_index: Index) -> None:
        """Start over for a new term: every peer in Probe behind `last_index`, nothing known but the own log."""
        progress: dict[int, Progress] = {}
        for id_, old in self.peers:
            fresh = Progress(last_index + 1, self.new_inflights(), is_learner=old.is_learner)
            fresh.commit_group_id = old.commit_group_id
            fresh.committed_index = old.committed_index
            if id_ == self_id:
                fresh.match = last_index
            progress[id_] = fresh
        self.switch(self.config, progress)

    def committed_index(self) -> Index:
        """Largest index that a majority of each half of the voters holds."""
        voters = self.config.voters
        # A voter without progress is 0; confchange never makes one, a hand-made configuration may.
        incoming = [progress.match for progress in self._incoming]
        if len(incoming) < len(voters.incoming.ids):
            incoming += [0] * (len(voters.incoming.ids) - len(incoming))
        index = majority_index(incoming)
        if voters.outgoing.ids:
            outgoing = [progress.match for progress in self._outgoing]
            if len(outgoing) < len(voters.outgoing.ids):
                outgoing += [0] * (len(voters.outgoing.ids) - len(outgoing))
            index = min(index, majority_index(outgoing))
        return index

    def group_committed_index(self) -> tuple[Index, bool]:
        """As `committed_index` under group commit; the flag says whether groups limited it."""
        acked = {id_: (progress.match, progress.commit_group_id) for id_, progress in self.peers}
        return self.config.voters.group_committed_index(acked)

    def is_only_voter(self, id_: NodeId) -> bool:
        """Is this node a quorum all by itself? A leader that left the voters is not, however few they are."""
        return self.config.voters.ids() == (id_,)

    def quorum_active(self) -> bool:
        """Was a quorum of voters heard from since the flags were last cleared?"""
        votes = {id_: progress.recent_active for id_, progress in self.peers if not progress.is_learner}
        return self.config.voters.vote_result(votes) is VoteResult.WON

    def record_vote(self, id_: NodeId, granted: bool) -> None:
        """The first answer of a node counts."""
        self.votes.setdefault(id_, granted)

    def tally_votes(self) -> tuple[int, int, VoteResult]:
        """(granted, rejected, result); the numbers leave learners out."""
        granted = rejected = 0
        for id_, progress in self.peers:
            if progress.is_learner or id_ not in self.votes:
                continue
            if self.votes[id_]:
                granted += 1
            else:
                rejected += 1
        return granted, rejected, self.config.voters.vote_result(self.votes)
