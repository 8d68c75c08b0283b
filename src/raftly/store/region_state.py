"""What a store keeps of itself and of its regions in the family `raft` (`keys` says where).

    ident          u8 version 1   u64 cluster id   u64 store id   u64 number of this directory
    region state   u8 version 1   u8 state   u64 peer id, the newest that this store had   region (`base.region`)
    apply state    u8 version 1   u64 index   u64 term
    merge state    u8 version 1   u64 conf_ver, u64 version at which a snapshot gave the peer its keys (0, 0: none did)
                   while it is a source:  u64 index of the PREPARE   u64 index up to which all have the log
                   the target (`base.region`)

Little-endian.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from struct import Struct
from struct import error as struct_error
from typing import Final, final

from raftly.base.membership import ConfState
from raftly.base.region import PeerId, PeerRole, Region, RegionEpoch, StoreId, decode_region, encode_region
from raftly.base.types import Index, SnapshotMeta, Term
from raftly.engine.base import CF_RAFT, Reader, WriteBatch
from raftly.errors import DecodeError
from raftly.store.keys import (
    IDENT_KEY,
    REGION_STATE_HI,
    REGION_STATE_LO,
    apply_state_key,
    merge_state_key,
    region_state_key,
)
from raftly.store.merge import FROM_BIRTH, UNKNOWN_HEIR, Heir, Merging

_VERSION: Final = 1
_IDENT: Final = Struct("<BQQQ")
_STATE: Final = Struct("<BBQ")
_APPLY: Final = Struct("<BQQ")
_MERGE: Final = Struct("<BQQ")
_MERGING: Final = Struct("<QQ")

FIRST_INDEX: Final = 5
"""A region's log begins behind this index, so that index 0 always means: nothing yet. As in TiKV."""
FIRST_TERM: Final = 5


class PeerState(IntEnum):
    """How it stands with the peer on this store. Numbers are those of raft_serverpb."""

    NORMAL = 0
    APPLYING = 1  # its keys are being replaced by those of a snapshot that is complete on disk
    TOMBSTONE = 2  # it is gone for good
    MERGED = 64  # and its region too: it is part of another one (ours; raft_serverpb has no such state)


@final
@dataclass(frozen=True, slots=True)
class StoreIdent:
    """Whose directory this is."""

    cluster_id: int
    store_id: StoreId
    directory: int


@final
@dataclass(frozen=True, slots=True)
class RegionState:
    """A region as this store knows it."""

    state: PeerState
    peer_id: PeerId
    region: Region


@final
@dataclass(frozen=True, slots=True)
class ApplyState:
    """What is in the engine: everything up to this entry."""

    index: Index = FIRST_INDEX
    term: Term = FIRST_TERM


@final
@dataclass(frozen=True, slots=True)
class MergeState:
    """What a peer needs to know for merges. See `merge.is_refused`.

    Of a region that is MERGED `merging` says of what it is part: its `index` is the commit's, in the target's log.
    """

    began: RegionEpoch = FROM_BIRTH
    merging: Merging | None = None

    @property
    def heir(self) -> Heir:
        """Of a region that is MERGED."""
        return UNKNOWN_HEIR if self.merging is None else Heir(self.merging.target.id, self.merging.index)


def conf_state_of(region: Region) -> ConfState:
    """The membership as Raft has it."""
    by_role: dict[PeerRole, list[PeerId]] = {role: [] for role in PeerRole}
    for peer in region.peers:
        by_role[peer.role].append(peer.id)
    is_joint = bool(by_role[PeerRole.INCOMING_VOTER] or by_role[PeerRole.DEMOTING_VOTER])
    stays = by_role[PeerRole.VOTER]
    if not is_joint:
        return ConfState(tuple(stays), tuple(by_role[PeerRole.LEARNER]))
    demoting = by_role[PeerRole.DEMOTING_VOTER]
    return ConfState(
        tuple(sorted(stays + by_role[PeerRole.INCOMING_VOTER])),
        tuple(by_role[PeerRole.LEARNER]),
        tuple(sorted(stays + demoting)),
        tuple(demoting),
        auto_leave=True,
    )


def meta_of(region: Region, applied: ApplyState) -> SnapshotMeta:
    """A region at what is applied, as Raft names it."""
    return SnapshotMeta(applied.index, applied.term, conf_state_of(region))


# --- in and out of the engine ---


def put_ident(batch: WriteBatch, ident: StoreIdent) -> None:
    """Keep it."""
    batch.put(CF_RAFT, IDENT_KEY, _IDENT.pack(_VERSION, ident.cluster_id, ident.store_id, ident.directory))


def get_ident(reader: Reader) -> StoreIdent | None:
    """Whose directory this is; None: nobody's yet.

    Raises:
        DecodeError: of another version, or damaged.
    """
    data = reader.get(CF_RAFT, IDENT_KEY)
    if data is None:
        return None
    version, cluster_id, store_id, directory = _unpack(_IDENT, "store ident", data)
    _check_version("store ident", version)
    return StoreIdent(cluster_id, store_id, directory)


def put_region_state(batch: WriteBatch, state: RegionState) -> None:
    """Keep it."""
    head = _STATE.pack(_VERSION, state.state, state.peer_id)
    batch.put(CF_RAFT, region_state_key(state.region.id), head + encode_region(state.region))


def get_region_state(reader: Reader, region_id: int) -> RegionState | None:
    """What is known of a region; None: nothing.

    Raises:
        DecodeError: of another version, or damaged.
    """
    data = reader.get(CF_RAFT, region_state_key(region_id))
    return None if data is None else decode_region_state(data)


def decode_region_state(data: bytes) -> RegionState:
    """As drawn above.

    Raises:
        DecodeError: of another version, or damaged.
    """
    what = "region state"
    version, state, peer_id = _unpack(_STATE, what, data)
    _check_version(what, version)
    region, end = decode_region(data, _STATE.size)
    if end != len(data) or state not in PeerState.__members__.values():
        raise DecodeError(what, end, f"state {state} with {len(data) - end} bytes behind it cannot be")
    return RegionState(PeerState(state), peer_id, region)


def all_region_states(reader: Reader) -> list[RegionState]:
    """Of every region that this store has or had, by their ids.

    Raises:
        DecodeError: of another version, or damaged.
    """
    return [decode_region_state(value) for _, value in reader.iterate(CF_RAFT, REGION_STATE_LO, REGION_STATE_HI)]


def put_apply_state(batch: WriteBatch, region_id: int, index: Index, term: Term) -> None:
    """Keep it."""
    batch.put(CF_RAFT, apply_state_key(region_id), _APPLY.pack(_VERSION, index, term))


def get_apply_state(reader: Reader, region_id: int) -> ApplyState:
    """What of a region is in the engine.

    Raises:
        DecodeError: of another version, damaged, or missing.
    """
    data = reader.get(CF_RAFT, apply_state_key(region_id))
    version, index, term = _unpack(_APPLY, "apply state", data or b"")
    _check_version("apply state", version)
    return ApplyState(index, term)


def put_merge_state(batch: WriteBatch, region_id: int, state: MergeState) -> None:
    """Keep it; nothing is kept of what is as at the birth of a region."""
    if state == MergeState():
        batch.delete(CF_RAFT, merge_state_key(region_id))
        return
    data = _MERGE.pack(_VERSION, state.began.conf_ver, state.began.version)
    merging = state.merging
    if merging is not None:
        data += _MERGING.pack(merging.index, merging.min_index) + encode_region(merging.target)
    batch.put(CF_RAFT, merge_state_key(region_id), data)


def get_merge_state(reader: Reader, region_id: int) -> MergeState:
    """What a peer knows for merges.

    Raises:
        DecodeError: of another version, or damaged.
    """
    data = reader.get(CF_RAFT, merge_state_key(region_id))
    if data is None:
        return MergeState()
    what = "merge state"
    version, conf_ver, range_version = _unpack(_MERGE, what, data)
    _check_version(what, version)
    began = RegionEpoch(conf_ver, range_version)
    if len(data) == _MERGE.size:
        return MergeState(began)
    index, min_index = _unpack(_MERGING, what, data[_MERGE.size :])
    target, end = decode_region(data, _MERGE.size + _MERGING.size)
    if end != len(data):
        raise DecodeError(what, end, f"{len(data) - end} bytes behind its end")
    return MergeState(began, Merging(index, min_index, target))


def _unpack(struct: Struct, what: str, data: bytes) -> tuple[int, ...]:
    try:
        return struct.unpack_from(data)
    except struct_error as error:
        raise DecodeError(what, 0, str(error)) from None


def _check_version(what: str, version: int) -> None:
    if version != _VERSION:
        raise DecodeError(what, 0, f"version {version} is unknown to this release")
