"""Recovery: how the log of a region is brought into line with the engine, which holds the truth about what is applied.

A crash may come between the engine and the log in three ways. A new region's state is in the engine, and its log is not
begun; keys of a snapshot are in the engine, and the log still ends before it or holds what that snapshot replaced; a
peer is destroyed in the engine, and its log is still there. And the engine may have lost changes of members that the
log had taken for applied: they are applied again, from the members as of then.
"""

from __future__ import annotations

from raftly.base.region import Region
from raftly.base.types import NO_NODE, HardState, Index, NodeId, Snapshot, Term
from raftly.errors import Compacted, Corruption, Unavailable
from raftly.storage.group_log import GroupLog
from raftly.storage.items import HardStateItem, Item, MembershipItem, SnapshotItem
from raftly.store.region_state import ApplyState, conf_state_of, meta_of


def is_begun(log: GroupLog) -> bool:
    """Does the log belong to a region that has, or had, keys here? A peer that waits for a snapshot has none."""
    return log.snapshot_meta.meta.index > 0


def restart_items(log: GroupLog, region: Region, applied: ApplyState, term: Term, vote: NodeId) -> list[Item]:
    """The log begins behind what is applied; `term` and `vote` are what the peer has promised so far."""
    state = (
        HardState(term, vote, applied.index)
        if term >= applied.term
        else HardState(applied.term, NO_NODE, applied.index)
    )
    return [
        SnapshotItem(region.id, Snapshot(meta_of(region, applied)), keeps_entries=False),
        HardStateItem(region.id, state),
        MembershipItem(region.id, applied.index, conf_state_of(region)),
    ]


def recovery_items(log: GroupLog, region: Region, applied: ApplyState) -> list[Item]:
    """What is to be written before the region can be taken under way; nothing when all is in line.

    Raises:
        Corruption: entries are missing between what is applied and where the log begins.
    """
    hard = log.hard_state
    begin = log.first_index() - 1
    if is_begun(log) and applied.index < begin:
        raise Corruption("the engine", 0, _gap(region, applied.index, begin))
    if _term_of(log, applied.index) != applied.term:
        return restart_items(log, region, applied, hard.term, hard.vote)
    items: list[Item] = []
    if hard.commit < applied.index:
        items.append(HardStateItem(region.id, HardState(hard.term, hard.vote, applied.index)))
    conf = conf_state_of(region)
    if not log.conf_state.equivalent(conf) or log.conf_index > applied.index:
        items.append(MembershipItem(region.id, applied.index, conf))
    return items


def _gap(region: Region, applied: Index, begin: Index) -> str:
    """The engine is synced before a log is cut, so it lost what it had promised, or is an old copy."""
    return (
        f"it has region {region.id} up to entry {applied}, and the log begins behind entry {begin}, so what lies"
        " between is lost here. Nothing was changed. If the engine's files are an older copy, put back those that"
        " belong to this log. Else let the other replicas repair it: `raftly ctl store remove STORE` with this store's"
        " id, and once it is drained start a store on an empty directory"
    )


def _term_of(log: GroupLog, index: Index) -> Term | None:
    try:
        return log.term(index) if is_begun(log) else None
    except (Compacted, Unavailable):
        return None
