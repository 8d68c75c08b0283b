"""NodeConfig: what one replica of a class must know."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import final

from raftly.base.types import Index, NodeId
from raftly.core.config import Config
from raftly.errors import ConfigError
from raftly.storage.log_store import LogOptions


@final
@dataclass(frozen=True, slots=True)
class NodeConfig:
    """Options of a node. Times are seconds.

    Raises:
        ConfigError: an option is wrong.
    """

    id: NodeId
    members: tuple[NodeId, ...]
    """The first voters of a new group; the same on each of them. A node that finds a log ignores it."""
    cluster_id: int = 1
    tick: float = 0.1
    heartbeat_tick: int = 1
    election_tick: int = 10
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
    session_ttl: float = 60.0
    """A session that is silent for so long, by log time, expires."""
    clock_interval: float = 5.0
    """While there are sessions, log time is at most so far behind a leader's clock."""
    snapshot_entries: int = 10_000
    """Entries applied between two snapshots."""
    log: LogOptions = field(default_factory=LogOptions)

    def __post_init__(self) -> None:
        """Check every option and their relations."""
        if not self.members:
            raise ConfigError("members", "are none, a new group needs at least one")
        for name in ("tick", "call_timeout", "session_ttl", "clock_interval"):
            if getattr(self, name) <= 0:
                raise ConfigError(name, f"is {getattr(self, name)}, it must be above 0")
        for name in ("calls_max", "snapshot_entries"):
            if getattr(self, name) < 1:
                raise ConfigError(name, f"is {getattr(self, name)}, it must be at least 1")
        # A tick may come right after the leader was heard, so the last one of an election time-out does not count.
        bound = (self.election_tick - 1) * self.tick
        if self.lease < 0 or self.clock_drift < 0 or self.lease + self.clock_drift > bound + 1e-9:
            raise ConfigError("lease", f"and clock_drift are {self.lease} and {self.clock_drift}, their sum must lie "
                              f"in [0, {bound:g}]: (election_tick - 1) * tick")  # fmt: skip
        self.core(0).validate()

    def core(self, applied: Index) -> Config:
        """The options of the core."""
        return Config(
            self.id,
            election_tick=self.election_tick,
            heartbeat_tick=self.heartbeat_tick,
            seed=self.seed,
            applied=applied,
            async_storage_writes=True,
            max_size_per_msg=1 << 20,
            max_committed_size_per_ready=4 << 20,
            max_uncommitted_entries_size=256 << 20,
            check_quorum=True,
            pre_vote=True,
        )
