"""Each refusal fills its own field of errorpb.Error, completely, and no other."""

import pytest

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
from raftly.client.wire import region_error_of
from raftly.errors import DiskFull, OutcomeUnknown
from raftly.server.region_errors import error_message

LEADER = Peer(7, 3, PeerRole.VOTER)
REGION = Region(5, b"a", b"m", RegionEpoch(2, 9), (LEADER, Peer(8, 4, PeerRole.LEARNER)))

ERRORS: list[tuple[RegionError, str, str]] = [
    (NotRegionLeader(5, LEADER), "not_leader", "region_id: 5 leader { id: 7 store_id: 3 }"),
    (NotRegionLeader(5), "not_leader", "region_id: 5"),
    (RegionNotFound(5), "region_not_found", "region_id: 5"),
    (KeyNotInRegion(b"z", REGION), "key_not_in_region", 'key: "z" region_id: 5 start_key: "a" end_key: "m"'),
    (
        EpochNotMatch((REGION,)),
        "epoch_not_match",
        (
            'current_regions { id: 5 start_key: "a" end_key: "m" region_epoch { conf_ver: 2 version: 9 }'
            " peers { id: 7 store_id: 3 } peers { id: 8 store_id: 4 role: Learner } }"
        ),
    ),
    (EpochNotMatch(()), "epoch_not_match", ""),
    (ServerIsBusy("full", 20), "server_is_busy", 'reason: "full" backoff_ms: 20'),
    (StaleCommand(), "stale_command", ""),
    (StoreNotMatch(1, 2), "store_not_match", "request_store_id: 1 actual_store_id: 2"),
    (RaftEntryTooLarge(5, 900), "raft_entry_too_large", "region_id: 5 entry_size: 900"),
    (ReadIndexNotReady(5, "alone"), "read_index_not_ready", 'reason: "alone" region_id: 5'),
    (ProposalInMergingMode(5), "proposal_in_merging_mode", "region_id: 5"),
    (DataIsNotReady(5, 7, 11), "data_is_not_ready", "region_id: 5 peer_id: 7 safe_ts: 11"),
    (MismatchPeerId(7, 8), "mismatch_peer_id", "request_peer_id: 7 store_peer_id: 8"),
]


@pytest.mark.parametrize("error,field,content", ERRORS, ids=lambda value: value if isinstance(value, str) else "")
def test_one_field_and_the_words(error: RegionError, field: str, content: str) -> None:
    message = error_message(error)
    assert message.message == str(error)
    assert {descriptor.name for descriptor, _ in message.ListFields()} == {"message", field}
    assert " ".join(str(getattr(message, field)).split()) == content


@pytest.mark.parametrize("error", [error for error, _, _ in ERRORS], ids=lambda error: str(error.code))
def test_our_client_reads_what_was_meant(error: RegionError) -> None:
    found = region_error_of(error_message(error))
    assert type(found) is type(error)
    assert error_message(found) == error_message(error) or isinstance(error, KeyNotInRegion)


def test_every_region_error_has_a_field() -> None:
    assert {type(error) for error, _, _ in ERRORS} == set(RegionError.__subclasses__()) - _of_clients()


def _of_clients() -> set[type]:
    """Errors that clients make of what other servers say."""
    return {kind for kind in RegionError.__subclasses__() if kind.__module__.startswith("raftly.client")}


def test_an_unknown_outcome_is_told_as_such() -> None:
    message = error_message(OutcomeUnknown())
    assert {descriptor.name for descriptor, _ in message.ListFields()} == {"message", "undetermined_result"}
    assert message.undetermined_result.message == str(OutcomeUnknown())


def test_a_full_disk_names_the_store() -> None:
    message = error_message(DiskFull(), store_id=6)
    assert {descriptor.name for descriptor, _ in message.ListFields()} == {"message", "disk_full"}
    assert list(message.disk_full.store_id) == [6]


def test_one_that_is_not_known_has_its_words() -> None:
    message = error_message(RegionError())
    assert {descriptor.name for descriptor, _ in message.ListFields()} == {"message"}
