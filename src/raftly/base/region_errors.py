"""Why a store does not serve a request for a region: one class for each field of errorpb.Error that clients act on."""

from __future__ import annotations

from typing import ClassVar, final

from raftly.base.region import Peer, PeerId, Region, RegionId, StoreId
from raftly.errors import RaftlyError, Retry


class RegionError(RaftlyError):
    """The request did nothing here. Looked up again and sent elsewhere, or later, it may."""

    code: ClassVar[str] = "region"
    retry: ClassVar[Retry] = Retry.REFRESH_ROUTE


@final
class NotRegionLeader(RegionError):
    """This peer does not lead the region; `leader` does, if anybody is known to."""

    code: ClassVar[str] = "not_leader"

    def __init__(self, region_id: RegionId, leader: Peer | None = None) -> None:
        self.region_id = region_id
        self.leader = leader
        super().__init__()

    def __str__(self) -> str:
        known = f"peer {self.leader.id} on store {self.leader.store_id} does" if self.leader else "nobody is known to"
        return f"this peer does not lead region {self.region_id}; {known}"


@final
class RegionNotFound(RegionError):
    """This store has no peer of the region."""

    code: ClassVar[str] = "region_not_found"

    def __init__(self, region_id: RegionId) -> None:
        self.region_id = region_id
        super().__init__()

    def __str__(self) -> str:
        return f"region {self.region_id} is not on this store"


@final
class KeyNotInRegion(RegionError):
    """A key of the request lies outside the region."""

    code: ClassVar[str] = "key_not_in_region"

    def __init__(self, key: bytes, region: Region) -> None:
        self.key = key
        self.region = region
        super().__init__()

    def __str__(self) -> str:
        return f"key {self.key.hex()} is not in region {self.region.id}"


@final
class EpochNotMatch(RegionError):
    """The region has changed since the caller looked it up; `current` is what the store knows now, this one first."""

    code: ClassVar[str] = "epoch_not_match"

    def __init__(self, current: tuple[Region, ...]) -> None:
        self.current = current
        super().__init__()

    def __str__(self) -> str:
        known = ", ".join(f"{r.id} at {r.epoch.conf_ver}.{r.epoch.version}" for r in self.current)
        return f"the region has changed since it was looked up; now: {known}"


@final
class StoreNotMatch(RegionError):
    """The request is for another store."""

    code: ClassVar[str] = "store_not_match"

    def __init__(self, requested: StoreId, actual: StoreId) -> None:
        self.requested = requested
        self.actual = actual
        super().__init__()

    def __str__(self) -> str:
        return f"this is store {self.actual}, not {self.requested}"


@final
class MismatchPeerId(RegionError):
    """The store has another peer of the region than the one asked."""

    code: ClassVar[str] = "mismatch_peer_id"

    def __init__(self, requested: PeerId, actual: PeerId) -> None:
        self.requested = requested
        self.actual = actual
        super().__init__()

    def __str__(self) -> str:
        return f"the peer here is {self.actual}, not {self.requested}"


@final
class StaleCommand(RegionError):
    """Leadership or term changed under the request: it was not applied, and never will be."""

    code: ClassVar[str] = "stale_command"
    retry: ClassVar[Retry] = Retry.BACKOFF
    sentence: ClassVar[str] = "the term changed before the command was applied, and it never will be"


@final
class ServerIsBusy(RegionError):
    """The store has too much to do; `backoff_ms` is its advice (0: none)."""

    code: ClassVar[str] = "server_is_busy"
    retry: ClassVar[Retry] = Retry.BACKOFF

    def __init__(self, reason: str, backoff_ms: int = 0) -> None:
        self.reason = reason
        self.backoff_ms = backoff_ms
        super().__init__()

    def __str__(self) -> str:
        return f"the store is busy: {self.reason}"


@final
class RaftEntryTooLarge(RegionError):
    """The command would make an entry that no log takes."""

    code: ClassVar[str] = "raft_entry_too_large"
    retry: ClassVar[Retry] = Retry.NEVER

    def __init__(self, region_id: RegionId, entry_bytes: int) -> None:
        self.region_id = region_id
        self.entry_bytes = entry_bytes
        super().__init__()

    def __str__(self) -> str:
        return f"an entry of {self.entry_bytes} bytes is too large for region {self.region_id}"


@final
class ReadIndexNotReady(RegionError):
    """This replica cannot confirm a read now: an election, a merge, or no word from the leader."""

    code: ClassVar[str] = "read_index_not_ready"
    retry: ClassVar[Retry] = Retry.BACKOFF

    def __init__(self, region_id: RegionId, reason: str) -> None:
        self.region_id = region_id
        self.reason = reason
        super().__init__()

    def __str__(self) -> str:
        return f"region {self.region_id} cannot confirm a read now: {self.reason}"


@final
class DataIsNotReady(RegionError):
    """A stale read at a replica that has not resolved its timestamps so far."""

    code: ClassVar[str] = "data_is_not_ready"
    retry: ClassVar[Retry] = Retry.BACKOFF

    def __init__(self, region_id: RegionId, peer_id: PeerId, safe_ts: int = 0) -> None:
        self.region_id = region_id
        self.peer_id = peer_id
        self.safe_ts = safe_ts
        super().__init__()

    def __str__(self) -> str:
        return f"peer {self.peer_id} of region {self.region_id} serves stale reads up to {self.safe_ts} only"


@final
class ProposalInMergingMode(RegionError):
    """The region is being merged and takes no writes until that is done or rolled back."""

    code: ClassVar[str] = "proposal_in_merging_mode"
    retry: ClassVar[Retry] = Retry.BACKOFF

    def __init__(self, region_id: RegionId) -> None:
        self.region_id = region_id
        super().__init__()

    def __str__(self) -> str:
        return f"region {self.region_id} is being merged and takes no writes now"
