"""What admin commands make of a region. Pure: the same on every replica.

Source: Raft thesis §4.3 (joint consensus); epochs as in TiKV: `conf_ver` counts changes of peers, `version` of ranges.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import pairwise
from typing import Final

from raftly.base.membership import ConfChangeSingle, ConfChangeType, ConfState
from raftly.base.operators import ChangeKind, PeerChange
from raftly.base.region import Peer, PeerId, PeerRole, Region, RegionEpoch, StoreId
from raftly.store.command import NewRegion

_TYPES: Final = {
    ChangeKind.ADD_VOTER: ConfChangeType.ADD_NODE,
    ChangeKind.ADD_LEARNER: ConfChangeType.ADD_LEARNER_NODE,
    ChangeKind.REMOVE: ConfChangeType.REMOVE_NODE,
}


def with_members(region: Region, conf: ConfState, changes: int, stores: Mapping[PeerId, StoreId]) -> Region:
    """The region with the members of `conf` behind so many changes; `stores` says where new ones live.

    Source: the roles of a joint state are those of metapb.PeerRole.
    """
    homes = {peer.id: peer.store_id for peer in region.peers} | dict(stores)
    voters, outgoing = set(conf.voters), set(conf.voters_outgoing)
    roles: dict[PeerId, PeerRole] = dict.fromkeys(conf.learners, PeerRole.LEARNER)
    for id_ in outgoing - voters:
        roles[id_] = PeerRole.DEMOTING_VOTER
    for id_ in voters:
        roles[id_] = PeerRole.INCOMING_VOTER if outgoing and id_ not in outgoing else PeerRole.VOTER
    kept = [peer.id for peer in region.peers if peer.id in roles]  # in their order
    added = sorted(set(roles) - set(kept))
    peers = tuple(Peer(id_, homes[id_], roles[id_]) for id_ in (*kept, *added))
    epoch = RegionEpoch(region.epoch.conf_ver + max(changes, 1), region.epoch.version)
    return replace(region, peers=peers, epoch=epoch)


def singles_of(region: Region, changes: Sequence[PeerChange]) -> tuple[ConfChangeSingle, ...]:
    """What is left to be done of these changes, as Raft says it; nothing: they are done already."""
    singles = []
    for change in changes:
        current = region.peer(change.peer.id)
        if change.kind is ChangeKind.REMOVE:
            is_done = current is None
        elif change.kind is ChangeKind.ADD_VOTER:
            is_done = current is not None and current.role is PeerRole.VOTER
        else:
            is_done = current is not None and current.role is PeerRole.LEARNER
        if not is_done:
            singles.append(ConfChangeSingle(_TYPES[change.kind], change.peer.id))
    return tuple(singles)


def problem_with_changes(region: Region, leader: PeerId, changes: Sequence[PeerChange]) -> str:
    """Why these changes must not be made; empty: they may.

    The roles of a joint state, which every snapshot carries, tell who is being demoted, and not who is being removed.
    """
    ids = {change.peer.id for change in changes}
    if len(ids) < len(changes):
        return "a peer is named twice"
    if any(peer.role in (PeerRole.INCOMING_VOTER, PeerRole.DEMOTING_VOTER) for peer in region.peers):
        return "the region is in a joint state"
    voters = {peer.id for peer in region.peers if peer.role is PeerRole.VOTER}
    homes = {peer.store_id: peer.id for peer in region.peers}
    for change in changes:
        peer = change.peer
        known = homes.get(peer.store_id)
        if change.kind is ChangeKind.REMOVE:
            if len(changes) > 1 and peer.id in voters:
                return f"voter {peer.id} must be demoted before it is removed, when others change with it"
            voters.discard(peer.id)
        elif known not in (None, peer.id):
            return f"store {peer.store_id} has peer {known} of the region already"
        elif change.kind is ChangeKind.ADD_VOTER:
            voters.add(peer.id)
        else:
            voters.discard(peer.id)
    if not voters:
        return "no voter would be left"
    if leader not in voters:
        return "the leader would be no voter any more: hand leadership over first"
    return ""


def split_region(region: Region, news: Sequence[NewRegion]) -> list[Region] | None:
    """The region cut at the keys, itself first; None: these keys or ids do not fit it.

    Each part has a version that no region of this range had: higher by the number of cuts.
    """
    keys = [new.key for new in news]
    fits = bool(keys) and all(region.contains(key) and key != region.start_key for key in keys)
    if not fits or any(lo >= hi for lo, hi in pairwise(keys)):
        return None
    if any(len(new.ids.peer_ids) != len(region.peers) for new in news):
        return None
    epoch = RegionEpoch(region.epoch.conf_ver, region.epoch.version + len(news))
    parts = [replace(region, end_key=keys[0], epoch=epoch)]
    ends = [*keys[1:], region.end_key]
    for new, end_key in zip(news, ends, strict=True):
        peers = tuple(
            Peer(id_, peer.store_id, peer.role) for id_, peer in zip(new.ids.peer_ids, region.peers, strict=True)
        )
        parts.append(Region(new.ids.region_id, new.key, end_key, epoch, peers))
    return parts
