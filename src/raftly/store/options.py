"""StoreOptions: every option of a store. Times are seconds, sizes bytes."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import final

from raftly.base.region import PeerId
from raftly.base.types import Index
from raftly.core.config import Config
from raftly.errors import ConfigError
from raftly.storage.log_store import LogOptions


@final
@dataclass(frozen=True, slots=True)
class StoreOptions:
    """Options of a store.

    Raises:
        ConfigError: an option is wrong.
    """

    tick: float = 0.1
    heartbeat_tick: int = 2
    election_tick: int = 10
    lease: float = 0.4
    """How long a leader may answer reads alone after a majority answered it."""
    clock_drift: float = 0.1
    """How far two clocks may part within a lease. lease + clock_drift <= (election_tick - 1) * tick."""
    hibernate_ticks: int = 50
    """A region in which nothing has happened for so many ticks goes to sleep; 0: none does."""
    calls_max: int = 1 << 16
    """Writes of a region in flight, and reads that wait, before the next one is refused."""
    entry_bytes_max: int = 8 << 20
    """A write may be so large."""
    region_max_bytes: int = 144 << 20
    """A region that holds more is split."""
    region_split_bytes: int = 96 << 20
    """About so much is in each part then."""
    region_max_keys: int = 1_440_000
    region_split_keys: int = 960_000
    split_check_interval: float = 10.0
    log_entries_max: int = 10_000
    """A log with more applied entries than this is cut, although a follower may need them."""
    log_bytes_max: int = 64 << 20
    """Likewise, in bytes."""
    log_entries_keep: int = 50
    """Entries that every replica has are cut once there are so many."""
    log_check_interval: float = 3.0
    region_heartbeat_interval: float = 60.0
    """A leader whose region has not changed tells so as often, one whose region sleeps ten times less often; one whose
    region has changed tells it at once."""
    store_heartbeat_interval: float = 10.0
    stale_peer_timeout: float = 60.0
    """A peer without a leader for so long asks the placement driver whether it is still a member."""
    snapshot_rate: int = 100 << 20
    """Bytes a second, at most, that this store sends of all its snapshots together; 0: as fast as it goes."""
    snapshots_sending_max: int = 4
    snapshots_receiving_max: int = 4
    sweep_interval: float = 60.0
    """How often values that expired are taken away, where values expire."""
    sweep_margin: float = 30.0
    """So long after they expired. Clocks further apart than this show in one store what is gone from another."""
    stop_patience: float = 1.0
    """A store that stops hands its leaderships over for so long."""
    log: LogOptions = field(default_factory=LogOptions)

    def __post_init__(self) -> None:
        """Check every option and their relations."""
        for name in (
            "tick",
            "split_check_interval",
            "log_check_interval",
            "region_heartbeat_interval",
            "store_heartbeat_interval",
            "stale_peer_timeout",
            "sweep_interval",
        ):
            if getattr(self, name) <= 0:
                raise ConfigError(name, f"is {getattr(self, name)}, it must be above 0")
        for name in ("calls_max", "entry_bytes_max", "log_entries_max", "log_bytes_max", "snapshots_sending_max"):
            if getattr(self, name) < 1:
                raise ConfigError(name, f"is {getattr(self, name)}, it must be at least 1")
        if self.region_split_bytes > self.region_max_bytes or self.region_split_keys > self.region_max_keys:
            raise ConfigError(
                "region_split_bytes", "and region_split_keys must not be above region_max_bytes and _keys"
            )
        if self.sweep_margin < 0:
            raise ConfigError("sweep_margin", f"is {self.sweep_margin}, it must not be below 0")
        bound = (self.election_tick - 1) * self.tick
        if self.lease < 0 or self.clock_drift < 0 or self.lease + self.clock_drift > bound + 1e-9:
            sum_ = f"{self.lease} and {self.clock_drift}, their sum must lie in [0, {bound:g}]"
            raise ConfigError("lease", f"and clock_drift are {sum_}: (election_tick - 1) * tick")
        self.core(1, 0, 0).validate()

    def lease_tick(self) -> int:
        """Ticks for which a follower keeps its promise to a leader: n of them are more than n - 1 intervals."""
        needed = math.ceil((self.lease + self.clock_drift) / self.tick - 1e-9) + 1
        return min(max(needed, 2 * self.heartbeat_tick + 1), self.election_tick)

    def core(self, peer_id: PeerId, applied: Index, seed: int) -> Config:
        """The options of one peer's core."""
        return Config(
            peer_id,
            election_tick=self.election_tick,
            heartbeat_tick=self.heartbeat_tick,
            seed=seed,
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
            step_down_on_removal=True,
        )
