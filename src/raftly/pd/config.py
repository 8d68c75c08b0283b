"""What an operator of a cluster may tell the placement driver to do, and how fast. Part of the replicated state."""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

from raftly.errors import ConfigError

MIB = 1 << 20


@final
@dataclass(frozen=True, slots=True)
class ScheduleConfig:
    """Options of scheduling. Times are seconds.

    Raises:
        ConfigError: an option is out of its bounds.
    """

    max_replicas: int = 3
    location_labels: tuple[str, ...] = ("zone", "rack", "host")
    """Labels of stores from the widest place to the narrowest: copies of a region are kept apart by them."""
    isolation_level: str = ""
    """One of those labels: two copies never share such a place, few as they may be. Empty: they do if need be."""
    disconnected_after_s: float = 20.0
    """A store that was not heard for so long gets nothing new."""
    down_after_s: float = 1800.0
    """What lies on a store that was not heard for so long is copied elsewhere."""
    low_space_ratio: float = 0.8
    """A store fuller than this gets no more peers."""
    leader_limit: int = 4
    """Leaders on the move at once, for balance."""
    region_limit: int = 64
    """Peers on the move at once, for balance."""
    replica_limit: int = 64
    """Peers on the move at once, for repair and draining."""
    hot_limit: int = 4
    """Hot regions on the move at once."""
    merge_limit: int = 8
    """Merges at once."""
    store_limit: int = 8
    """Peers that are being added to one store at once, or taken from it."""
    merge_bytes_max: int = 20 * MIB
    """A region smaller than this may be merged into a neighbour; 0: none is."""
    merge_keys_max: int = 200_000
    """A region with more keys than this is not merged."""
    split_merge_interval_s: float = 3600.0
    """A region that was split is not merged for so long."""
    region_bytes_max: int = 144 * MIB
    """A merge that would make a larger region than this is not made."""
    hot_write_bytes_s: int = 1 * MIB
    """A region written faster than this may be hot."""
    hot_read_bytes_s: int = 8 * MIB
    """A region read faster than this may be hot."""
    balance_leaders: bool = True
    balance_regions: bool = True
    balance_hot: bool = True
    merge: bool = True
    step_timeout_s: float = 600.0
    """A step that moves data and takes longer is given up."""
    transfer_timeout_s: float = 60.0
    """A hand-over of leadership that takes longer is given up."""

    def __post_init__(self) -> None:
        if not 1 <= self.max_replicas <= 15:
            raise ConfigError("max_replicas", f"is {self.max_replicas}, it must lie in [1, 15]")
        if self.isolation_level and self.isolation_level not in self.location_labels:
            raise ConfigError("isolation_level", f"is {self.isolation_level!r}, it must be one of location_labels")
        if not 0 < self.low_space_ratio <= 1:
            raise ConfigError("low_space_ratio", f"is {self.low_space_ratio}, it must lie in (0, 1]")
        for name in ("disconnected_after_s", "down_after_s", "step_timeout_s", "transfer_timeout_s"):
            if getattr(self, name) <= 0:
                raise ConfigError(name, f"is {getattr(self, name)}, it must be above 0")
        for name in ("leader_limit", "region_limit", "replica_limit", "hot_limit", "merge_limit", "store_limit"):
            if getattr(self, name) < 0:
                raise ConfigError(name, f"is {getattr(self, name)}, it must be at least 0")
