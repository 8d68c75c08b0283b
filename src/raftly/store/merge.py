"""What a merge makes of regions, and who may say that it failed. Pure: the same on every replica.

    prepare    the source: version + 1; it takes nothing until it is merged or rolled back
    commit     the target: both ranges, a version above both; the source is no more
    rollback   the source: version + 1, as it was

Whether a merge counts is decided in the target's log: at the epoch that the source named, or never.

Source: commands and epochs as in TiKV; what makes a rollback safe is raftly's own.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final, final

from raftly.base.region import PeerRole, Region, RegionEpoch, RegionId, StoreId
from raftly.base.types import Entry, EntryType, Index
from raftly.store.command import KIND_AT, WRITE

ENTRIES_MAX: Final = 1000
"""Of the source, in a commit: a member that lacks more than this has to catch up before a merge."""
ENTRIES_BYTES_MAX: Final = 1 << 20
_JOINT: Final = (PeerRole.INCOMING_VOTER, PeerRole.DEMOTING_VOTER)

FROM_BIRTH: Final = RegionEpoch(0, 0)
"""Where a peer began that never was given a snapshot: it has passed all epochs by its log."""


@final
@dataclass(frozen=True, slots=True)
class Merging:
    """A region is a source since the entry at `index`, and `target` is as it named it."""

    index: Index
    min_index: Index
    """Every member has acknowledged the log up to here."""
    target: Region


@final
@dataclass(frozen=True, slots=True)
class Heir:
    """What a region became part of, and the place in that one's log."""

    region_id: RegionId
    index: Index


UNKNOWN_HEIR: Final = Heir(0, 0)
"""It is known that a region is part of another one, and not of which."""


def problem_with_merge(source: Region, target: Region) -> str:
    """Why the source must not be merged into the target; empty: it may."""
    if source.id == target.id:
        return "a region cannot be merged into itself"
    is_below = bool(source.end_key) and source.end_key == target.start_key
    is_above = bool(target.end_key) and target.end_key == source.start_key
    if not (is_below or is_above):
        return f"regions {source.id} and {target.id} do not touch"
    if any(peer.role in _JOINT for region in (source, target) for peer in region.peers):
        return "a change of peers is under way"
    if _homes(source) != _homes(target):
        return f"regions {source.id} and {target.id} have their peers on different stores"
    return ""


def problem_with_tail(tail: Sequence[Entry]) -> str:
    """Why these entries, which a member may lack, cannot travel in a commit; empty: they can."""
    if len(tail) > ENTRIES_MAX or sum(len(entry.data) for entry in tail) > ENTRIES_BYTES_MAX:
        return f"a member lacks {len(tail)} entries, which is too much to be merged now"
    for entry in tail:
        if entry.type is not EntryType.NORMAL or (entry.data and entry.data[KIND_AT] != WRITE):
            return "a member lacks a change of the region: try again when it has it"
    return ""


def prepared(source: Region) -> Region:
    """The source when a merge is prepared, or rolled back: one version on."""
    return replace(source, epoch=RegionEpoch(source.epoch.conf_ver, source.epoch.version + 1))


def merged(target: Region, source: Region) -> Region | None:
    """The target with the range of a source that is prepared; None: they do not touch.

    The version is one that no region of either range had.
    """
    epoch = RegionEpoch(target.epoch.conf_ver, max(target.epoch.version, source.epoch.version) + 1)
    if source.end_key and source.end_key == target.start_key:
        return replace(target, start_key=source.start_key, epoch=epoch)
    if target.end_key and target.end_key == source.start_key:
        return replace(target, end_key=source.end_key, epoch=epoch)
    return None


def is_refused(merging: Merging, target: RegionEpoch, began: RegionEpoch) -> bool:
    """Is it certain that the merge will never count? For a store with peers of both; the target's is at `target`.

    The target's peer has passed the epoch at which it would have counted, and by its log: one that began behind a
    snapshot, at `began`, may have jumped over it. Had the merge counted, the source's peer would not be here.
    """
    named = merging.target.epoch
    return named.is_older_than(target) and not named.is_older_than(began)


def _homes(region: Region) -> dict[StoreId, PeerRole]:
    return {peer.store_id: peer.role for peer in region.peers}
