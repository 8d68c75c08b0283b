"""Config: every option of a node, with its relations to the others.

etcd's behaviour is the default; where raft-rs differs its behaviour is an option with raft-rs's name. Sizes are bytes
of the encoded form (`core.sizes`) unless a name says payload; ticks are whatever unit the driver ticks in.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import final

from raftly.base.types import NO_LIMIT, Index, NodeId
from raftly.core.messages import is_storage_thread
from raftly.errors import ConfigError


class ReadOnlyOption(Enum):
    """How a leader convinces itself that it still leads before it answers a read."""

    SAFE = "safe"  # a round of heartbeats to a quorum (thesis §6.4)
    LEASE_BASED = "lease-based"  # its clock, which is not enough in a transfer (docs/core.md); needs check_quorum


def check_priority(priority: int) -> None:
    """Does an election priority fit its field on the wire?

    Raises:
        ConfigError: it does not.
    """
    if not -(1 << 63) <= priority < 1 << 63:
        raise ConfigError("priority", f"is {priority}, it must fit a signed 64-bit number")


@final
@dataclass(frozen=True, slots=True)
class Config:
    """Options of one node."""

    id: NodeId
    """This node, 1 to 2**64 - 3; 0 means nobody and the two largest ids are the storage threads."""
    election_tick: int = 10
    """Ticks without a leader before a follower campaigns, at least; more than `heartbeat_tick`."""
    heartbeat_tick: int = 1
    """Ticks between a leader's heartbeats, at least 1."""
    seed: int = 0
    """Source of the randomised time-outs, together with the id: one seed for a whole group is fine."""
    applied: Index = 0
    """The last entry the application has applied, when it restarts; entries up to it are not handed out again."""
    async_storage_writes: bool = False
    """Writes go out as messages to the append and apply threads instead of waiting for `advance`."""
    max_size_per_msg: int = NO_LIMIT
    """Bytes of entries in one append; 0 sends one entry at a time."""
    max_committed_size_per_ready: int = 0
    """Bytes handed out for application and not acknowledged; 0 takes `max_size_per_msg`."""
    max_uncommitted_entries_size: int = NO_LIMIT
    """Payload bytes in the uncommitted tail of a leader's log before proposals are dropped; 0 is no limit."""
    max_inflight_msgs: int = 256
    """Appends on their way to one peer; at least 1."""
    max_inflight_bytes: int = 0
    """Payload bytes on their way to one peer, overshot by one append; 0 is no limit, else >= max_size_per_msg."""
    check_quorum: bool = False
    """A leader that hears from no quorum for an election time-out steps down; followers protect a live leader."""
    pre_vote: bool = False
    """Ask whether an election could be won before raising the term (thesis §9.6)."""
    lease_tick: int = 0
    """Ticks after a leader was heard in which a voter helps to elect no other, whatever it learns meanwhile.

    0 is as in etcd: `election_tick`, and only while the leader is still known. Above 0 it makes a promise that a lease
    can be built on, and `RawNode.report_leader_lost` a reason to campaign once it is over; it needs `check_quorum`,
    `pre_vote` and reads that are `SAFE`, and lies in (heartbeat_tick, election_tick]. See docs/design/0007-failover.md.
    """
    read_only_option: ReadOnlyOption = ReadOnlyOption.SAFE
    """How reads are confirmed."""
    disable_proposal_forwarding: bool = False
    """A follower drops proposals instead of passing them to the leader."""
    disable_conf_change_validation: bool = False
    """A leader appends configuration changes that it would refuse; the application then checks them itself."""
    step_down_on_removal: bool = False
    """A leader steps down when it applies its own removal or demotion."""
    own_vote_first: bool = False
    """A candidate asks for votes once its own is durable. Otherwise, with asynchronous writes, the others may elect a
    leader that knows nothing of it after a crash, and elect it again in the same term, with other entries."""
    # --- raft-rs ---
    min_election_tick: int = 0
    """Smallest time-out drawn; 0 takes `election_tick`, else at least that."""
    max_election_tick: int = 0
    """Time-outs drawn are below this; 0 takes twice `election_tick`, else above `min_election_tick`."""
    priority: int = 0
    """A voter refuses a candidate of lower priority than its own unless that one's log is newer."""
    skip_bcast_commit: bool = False
    """Followers learn the commit index from the next append or heartbeat only; membership changes are still told."""
    batch_append: bool = False
    """An append still waiting to be sent takes up the entries that follow it."""
    max_apply_unpersisted_log_limit: int = 0
    """How many committed entries a leader hands out beyond what it made durable itself, with asynchronous writes."""
    commit_in_votes: bool = False
    """Vote messages tell the commit index, so that a hidden configuration change becomes known."""
    report_commit: bool = False
    """Followers tell their commit index in answers; the leader tracks it, and a read answer raises the commit."""
    drop_early_reads: bool = False
    """Reads before the first commit of a term are dropped; by default they wait for it."""
    free_inflight_on_heartbeat: bool = False
    """A heartbeat answer releases one slot of a full window; by default it prompts an empty append."""
    snapshot_must_reach_pending: bool = False
    """Only an acknowledgement at or above the snapshot sent ends the snapshot state; by default any helpful one."""
    count_own_uncommitted: bool = False
    """Entries from before the own leadership do not count against `max_uncommitted_entries_size`."""
    group_commit: bool = False
    """Commit needs two commit groups; see `RawNode.assign_commit_groups`."""

    def validate(self) -> None:
        """Check every option and every relation between options.

        Raises:
            ConfigError: names the option.
        """
        if self.id <= 0:
            raise ConfigError("id", f"is {self.id}, it must be at least 1")
        if self.id >= 1 << 64 or is_storage_thread(self.id):
            raise ConfigError("id", f"is {self.id}, it must be below the two ids of the storage threads, 2**64 - 2")
        if self.heartbeat_tick < 1:
            raise ConfigError("heartbeat_tick", f"is {self.heartbeat_tick}, it must be at least 1")
        if self.election_tick <= self.heartbeat_tick:
            raise ConfigError(
                "election_tick", f"is {self.election_tick}, it must be more than heartbeat_tick {self.heartbeat_tick}"
            )
        self._validate_election_range()
        self._validate_lease()
        self._validate_sizes()
        if self.read_only_option is ReadOnlyOption.LEASE_BASED and not self.check_quorum:
            raise ConfigError("read_only_option", "is LEASE_BASED, which needs check_quorum")
        if self.max_apply_unpersisted_log_limit > 0 and not self.async_storage_writes:
            raise ConfigError("max_apply_unpersisted_log_limit", "is set, which needs async_storage_writes")

    def _validate_election_range(self) -> None:
        low, high = self.election_range()
        if low < self.election_tick:
            raise ConfigError("min_election_tick", f"is {low}, it must be at least election_tick {self.election_tick}")
        if high <= low:
            raise ConfigError("max_election_tick", f"is {high}, it must be more than min_election_tick {low}")

    def _validate_lease(self) -> None:
        if self.lease_tick == 0:
            return
        if not self.heartbeat_tick < self.lease_tick <= self.election_tick:
            bounds = f"({self.heartbeat_tick}, {self.election_tick}]"
            raise ConfigError("lease_tick", f"is {self.lease_tick}, it must be 0 or in {bounds}")
        if not (self.check_quorum and self.pre_vote and self.read_only_option is ReadOnlyOption.SAFE):
            raise ConfigError("lease_tick", "needs check_quorum, pre_vote, and read_only_option SAFE")

    def _validate_sizes(self) -> None:
        for option, value in (
            ("applied", self.applied),
            ("max_size_per_msg", self.max_size_per_msg),
            ("max_committed_size_per_ready", self.max_committed_size_per_ready),
            ("max_uncommitted_entries_size", self.max_uncommitted_entries_size),
            ("max_inflight_bytes", self.max_inflight_bytes),
            ("min_election_tick", self.min_election_tick),
            ("max_election_tick", self.max_election_tick),
            ("max_apply_unpersisted_log_limit", self.max_apply_unpersisted_log_limit),
        ):
            if value < 0:
                raise ConfigError(option, f"is {value}, it must not be negative")
        if self.max_inflight_msgs < 1:
            raise ConfigError("max_inflight_msgs", f"is {self.max_inflight_msgs}, it must be at least 1")
        if 0 < self.max_inflight_bytes < self.max_size_per_msg:
            raise ConfigError(
                "max_inflight_bytes",
                f"is {self.max_inflight_bytes}, it must be 0 or at least max_size_per_msg {self.max_size_per_msg}",
            )
        check_priority(self.priority)

    def election_range(self) -> tuple[int, int]:
        """Election time-outs are drawn from [low, high) ticks."""
        return self.min_election_tick or self.election_tick, self.max_election_tick or 2 * self.election_tick

    def committed_bytes_max(self) -> int:
        """The budget of entries handed out for application."""
        return self.max_committed_size_per_ready or self.max_size_per_msg
