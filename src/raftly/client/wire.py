"""Wire: kvproto's messages about regions, stores and refusals, and our own values for them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from raftly.base.region import Peer, PeerRole, Region, RegionEpoch
from raftly.base.region_errors import (
    DataIsNotReady,
    EpochNotMatch,
    KeyNotInRegion,
    MismatchPeerId,
    NotRegionLeader,
    ProposalInMergingMode,
    RaftEntryTooLarge,
    ReadIndexNotReady,
    RegionError,
    RegionNotFound,
    ServerIsBusy,
    StaleCommand,
    StoreNotMatch,
)
from raftly.base.store_meta import StoreMeta, StoreState
from raftly.client.errors import UndeterminedResult
from raftly.errors import DecodeError
from raftly.proto import errorpb_pb2, metapb_pb2

__all__ = [
    "epoch_message",
    "peer_message",
    "peer_of",
    "region_error_of",
    "region_message",
    "region_of",
    "store_message",
    "store_of",
]


def peer_of(message: metapb_pb2.Peer) -> Peer:
    """Raises DecodeError for a role that does not exist."""
    try:
        return Peer(message.id, message.store_id, PeerRole(int(message.role)))
    except ValueError as error:
        raise DecodeError("metapb.Peer", 0, str(error)) from None


def peer_message(peer: Peer) -> metapb_pb2.Peer:
    """As metapb has it."""
    return metapb_pb2.Peer(id=peer.id, store_id=peer.store_id, role=metapb_pb2.PeerRole.Name(peer.role))


def epoch_message(epoch: RegionEpoch) -> metapb_pb2.RegionEpoch:
    """As metapb has it."""
    return metapb_pb2.RegionEpoch(conf_ver=epoch.conf_ver, version=epoch.version)


def region_of(message: metapb_pb2.Region) -> Region:
    """Raises DecodeError for a role that does not exist."""
    epoch = RegionEpoch(message.region_epoch.conf_ver, message.region_epoch.version)
    return Region(message.id, message.start_key, message.end_key, epoch, tuple(map(peer_of, message.peers)))


def region_message(region: Region) -> metapb_pb2.Region:
    """As metapb has it."""
    return metapb_pb2.Region(
        id=region.id,
        start_key=region.start_key,
        end_key=region.end_key,
        region_epoch=epoch_message(region.epoch),
        peers=map(peer_message, region.peers),
    )


def store_of(message: metapb_pb2.Store) -> StoreMeta:
    """Raises DecodeError for a state that does not exist."""
    try:
        state = StoreState(int(message.state))
    except ValueError as error:
        raise DecodeError("metapb.Store", 0, str(error)) from None
    labels = {label.key: label.value for label in message.labels}
    return StoreMeta(
        message.id, message.address, message.peer_address, message.status_address, labels, state, message.version
    )


def store_message(store: StoreMeta) -> metapb_pb2.Store:
    """As metapb has it."""
    return metapb_pb2.Store(
        id=store.id,
        address=store.address,
        peer_address=store.peer_address,
        status_address=store.status_address,
        labels=(metapb_pb2.StoreLabel(key=key, value=value) for key, value in sorted(store.labels.items())),
        state=metapb_pb2.StoreState.Name(store.state),
        version=store.version,
    )


# --- refusals --------------------------------------------------------------------------------------------------


def _not_leader(error: errorpb_pb2.Error) -> RegionError:
    told = error.not_leader
    return NotRegionLeader(told.region_id, peer_of(told.leader) if told.HasField("leader") else None)


def _key_not_in_region(error: errorpb_pb2.Error) -> RegionError:
    told = error.key_not_in_region
    return KeyNotInRegion(told.key, Region(told.region_id, told.start_key, told.end_key))


def _data_is_not_ready(error: errorpb_pb2.Error) -> RegionError:
    told = error.data_is_not_ready
    return DataIsNotReady(told.region_id, told.peer_id, told.safe_ts)


_REFUSALS: Final[Mapping[str, Callable[[errorpb_pb2.Error], RegionError]]] = {
    "not_leader": _not_leader,
    "region_not_found": lambda e: RegionNotFound(e.region_not_found.region_id),
    "key_not_in_region": _key_not_in_region,
    "epoch_not_match": lambda e: EpochNotMatch(tuple(map(region_of, e.epoch_not_match.current_regions))),
    "server_is_busy": lambda e: ServerIsBusy(e.server_is_busy.reason, e.server_is_busy.backoff_ms),
    "stale_command": lambda _: StaleCommand(),
    "store_not_match": lambda e: StoreNotMatch(e.store_not_match.request_store_id, e.store_not_match.actual_store_id),
    "raft_entry_too_large": lambda e: RaftEntryTooLarge(
        e.raft_entry_too_large.region_id, e.raft_entry_too_large.entry_size
    ),
    "read_index_not_ready": lambda e: ReadIndexNotReady(
        e.read_index_not_ready.region_id, e.read_index_not_ready.reason
    ),
    "proposal_in_merging_mode": lambda e: ProposalInMergingMode(e.proposal_in_merging_mode.region_id),
    "data_is_not_ready": _data_is_not_ready,
    "mismatch_peer_id": lambda e: MismatchPeerId(e.mismatch_peer_id.request_peer_id, e.mismatch_peer_id.store_peer_id),
    "undetermined_result": lambda _: UndeterminedResult(),
    "disk_full": lambda e: ServerIsBusy(f"its disk is full: {e.disk_full.reason}"),
    "max_timestamp_not_synced": lambda _: ServerIsBusy("its timestamps are not settled yet"),
}


def region_error_of(message: errorpb_pb2.Error) -> RegionError:
    """The refusal that a store sent. One that is not known here is a plain RegionError with its words.

    Raises:
        DecodeError: it names a role that does not exist.
    """
    for field, _ in message.ListFields():
        if (made := _REFUSALS.get(field.name)) is not None:
            return made(message)
    return RegionError(message.message or "the store refused the request and did not say why")
