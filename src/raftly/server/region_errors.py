"""Why a store did not serve a request, as errorpb tells it: exactly one field besides the message.

Clients test which field is there, and act on it; what is not the case stays unset. Source: kvproto errorpb.Error.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

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
from raftly.client.wire import peer_message, region_message
from raftly.errors import DiskFull, OutcomeUnknown
from raftly.proto import errorpb_pb2

__all__ = ["error_message"]


def error_message(error: RegionError | OutcomeUnknown | DiskFull, store_id: int = 0) -> errorpb_pb2.Error:
    """The message for an error; `store_id` is who says so. One of no known class has its words only."""
    message = errorpb_pb2.Error(message=str(error))
    fill = next((_FILL[kind] for kind in type(error).__mro__ if kind in _FILL), None)
    if fill is not None:
        fill(message, error)
    if isinstance(error, DiskFull):
        message.disk_full.store_id.append(store_id)
    return message


def _not_leader(message: errorpb_pb2.Error, error: NotRegionLeader) -> None:
    message.not_leader.region_id = error.region_id
    if error.leader is not None:
        message.not_leader.leader.CopyFrom(peer_message(error.leader))


def _region_not_found(message: errorpb_pb2.Error, error: RegionNotFound) -> None:
    message.region_not_found.region_id = error.region_id


def _key_not_in_region(message: errorpb_pb2.Error, error: KeyNotInRegion) -> None:
    message.key_not_in_region.key = error.key
    message.key_not_in_region.region_id = error.region.id
    message.key_not_in_region.start_key = error.region.start_key
    message.key_not_in_region.end_key = error.region.end_key


def _epoch_not_match(message: errorpb_pb2.Error, error: EpochNotMatch) -> None:
    message.epoch_not_match.SetInParent()
    message.epoch_not_match.current_regions.extend(map(region_message, error.current))


def _server_is_busy(message: errorpb_pb2.Error, error: ServerIsBusy) -> None:
    message.server_is_busy.reason = error.reason
    message.server_is_busy.backoff_ms = error.backoff_ms


def _store_not_match(message: errorpb_pb2.Error, error: StoreNotMatch) -> None:
    message.store_not_match.request_store_id = error.requested
    message.store_not_match.actual_store_id = error.actual


def _raft_entry_too_large(message: errorpb_pb2.Error, error: RaftEntryTooLarge) -> None:
    message.raft_entry_too_large.region_id = error.region_id
    message.raft_entry_too_large.entry_size = error.entry_bytes


def _read_index_not_ready(message: errorpb_pb2.Error, error: ReadIndexNotReady) -> None:
    message.read_index_not_ready.region_id = error.region_id
    message.read_index_not_ready.reason = error.reason


def _data_is_not_ready(message: errorpb_pb2.Error, error: DataIsNotReady) -> None:
    message.data_is_not_ready.region_id = error.region_id
    message.data_is_not_ready.peer_id = error.peer_id
    message.data_is_not_ready.safe_ts = error.safe_ts


def _mismatch_peer_id(message: errorpb_pb2.Error, error: MismatchPeerId) -> None:
    message.mismatch_peer_id.request_peer_id = error.requested
    message.mismatch_peer_id.store_peer_id = error.actual


def _proposal_in_merging_mode(message: errorpb_pb2.Error, error: ProposalInMergingMode) -> None:
    message.proposal_in_merging_mode.region_id = error.region_id


def _stale_command(message: errorpb_pb2.Error, _error: StaleCommand) -> None:
    message.stale_command.SetInParent()


def _undetermined_result(message: errorpb_pb2.Error, error: OutcomeUnknown) -> None:
    message.undetermined_result.message = str(error)


def _disk_full(message: errorpb_pb2.Error, error: DiskFull) -> None:
    message.disk_full.reason = str(error)


_FILL: Final[Mapping[type, Callable[[errorpb_pb2.Error, Any], None]]] = {
    NotRegionLeader: _not_leader,
    RegionNotFound: _region_not_found,
    KeyNotInRegion: _key_not_in_region,
    EpochNotMatch: _epoch_not_match,
    ServerIsBusy: _server_is_busy,
    StaleCommand: _stale_command,
    StoreNotMatch: _store_not_match,
    RaftEntryTooLarge: _raft_entry_too_large,
    ReadIndexNotReady: _read_index_not_ready,
    ProposalInMergingMode: _proposal_in_merging_mode,
    DataIsNotReady: _data_is_not_ready,
    MismatchPeerId: _mismatch_peer_id,
    OutcomeUnknown: _undetermined_result,
    DiskFull: _disk_full,
}
