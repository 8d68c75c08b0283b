"""NodeConfig: what one replica of a class must know."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import final

from raftly.base.types import Index, NodeId
from raftly.core.config import Config
from raftly.errors import ConfigError
from raftly.node.commands import ttl_in_us
from raftly.storage.log_store import LogOptions
from raftly.transport.options import Address


@final
@dataclass(frozen=True, slots=True)
class NodeConfig:
    """Options of a node. Times are seconds.

    Raises:
        ConfigError: an option is wrong.
    """

    id: NodeId
    members: tuple[NodeId, ...] = ()
    """The first voters of a new group, this node among them; the same on each. A node that finds a log ignores it."""
    join: bool = False
    """Instead of `members`: wait until the leader of a group adds this node. A node that finds a log ignores it."""
    addresses: Mapping[NodeId, Address] = field(default_factory=dict)
    """Where members are, as far as is known; what the group itself knows counts more."""
    address: Address | None = None
    """Where the others reach this node; None: where its transport listens."""
    moved: bool = False
    """The data directory was moved or restored to here, and the one that it is a copy of is gone for good."""
    cluster_id: int = 1
    tick: float = 0.025
    """Time is counted in ticks: the finer, the sooner a lost leader is replaced once its lease is over."""
    heartbeat_tick: int = 4
    election_tick: int = 40
    seed: int = field(default_factory=time.time_ns)
    """Source of randomised time-outs and nonces; different at every start."""
    lease: float = 0.4
    """How long a leader may answer reads alone after a majority answered it."""
    clock_drift: float = 0.1
    """How far two clocks may part within a lease. lease + clock_drift <= (election_tick - 1) * tick."""
    call_timeout: float = 10.0
    """A call or read that was given no other time ends after so long; checked once a tick."""
    calls_max: int = 4096
    """Calls in flight before the next one is refused."""
    change_timeout: float = 60.0
    """A change of members that was given no other time ends after so long."""
    catch_up_stall: float = 10.0
    """A learner that comes no further for so long is not waited for."""
    session_ttl: float = 60.0
    """A session that is silent for so long, by log time, expires."""
    clock_interval: float = 5.0
    """While there are sessions, log time is at most so far behind a leader's clock."""
    digest_interval: float = 60.0
    """Seconds of work between two comparisons of the replicas' states (`raftly.node.digests`); 0: none."""
    snapshot_entries: int = 10_000
    """Entries applied between two snapshots."""
    snapshot_bytes: int = 256 << 20
    """Bytes of log between two snapshots, if that comes first; looked at once a tick."""
    snapshot_rate: int = 64 << 20
    """Bytes a second, at most, that this node sends of all its snapshots together; 0: as fast as it goes."""
    snapshots_keep: int = 1
    """Snapshots that stay on disk. What the log, or somebody who reads one, needs stays anyway."""
    log: LogOptions = field(default_factory=LogOptions)

    def __post_init__(self) -> None:
        """Check every option and their relations."""
        self._check_members()
        for name in ("tick", "call_timeout", "change_timeout", "catch_up_stall", "clock_interval"):
            if getattr(self, name) <= 0:
                raise ConfigError(name, f"is {getattr(self, name)}, it must be above 0")
        ttl_in_us("session_ttl", self.session_ttl)
        if not 0 <= self.digest_interval < math.inf:
            raise ConfigError("digest_interval", f"is {self.digest_interval}, it must be at least 0")
        for name in ("calls_max", "snapshot_entries", "snapshot_bytes", "snapshots_keep"):
            if getattr(self, name) < 1:
                raise ConfigError(name, f"is {getattr(self, name)}, it must be at least 1")
        if self.snapshot_rate < 0:
            raise ConfigError("snapshot_rate", f"is {self.snapshot_rate}, it must not be negative")
        # A tick may come right after the leader was heard, so the last one of an election time-out does not count.
        bound = (self.election_tick - 1) * self.tick
        if self.lease < 0 or self.clock_drift < 0 or self.lease + self.clock_drift > bound + 1e-9:
            raise ConfigError("lease", f"and clock_drift are {self.lease} and {self.clock_drift}, their sum must lie "
                              f"in [0, {bound:g}]: (election_tick - 1) * tick")  # fmt: skip
        self.core(0).validate()

    def lease_tick(self) -> int:
        """Ticks for which a follower keeps its promise to a leader: n of them are more than n - 1 intervals."""
        needed = math.ceil((self.lease + self.clock_drift) / self.tick - 1e-9) + 1
        # At least two heartbeats, so that one that is late does not free anybody.
        return min(max(needed, 2 * self.heartbeat_tick + 1), self.election_tick)

    def _check_members(self) -> None:
        if self.join and self.members:
            raise ConfigError("join", "and members exclude each other: a node founds a group or joins one")
        if not self.join and self.id not in self.members:
            raise ConfigError(
                "members", f"lack node {self.id}: a node that is not among the first is started with join"
            )

    def core(self, applied: Index) -> Config:
        """The options of the core."""
        return Config(
            self.id,
            election_tick=self.election_tick,
            heartbeat_tick=self.heartbeat_tick,
            seed=self.seed,
            applied=applied,
            async_storage_writes=True,
            own_vote_first=True,
            skip_bcast_commit=True,
            max_size_per_msg=1 << 20,
            max_committed_size_per_ready=4 << 20,
            max_uncommitted_entries_size=256 << 20,
            check_quorum=True,
            pre_vote=True,
            lease_tick=self.lease_tick(),
        )
