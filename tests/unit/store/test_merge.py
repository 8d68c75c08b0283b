"""What a merge makes of regions, who may say that it failed, and its bytes."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from raftly.base.heartbeats import NewRegionIds
from raftly.base.region import Peer, PeerRole, Region, RegionEpoch
from raftly.base.types import Entry, EntryType
from raftly.engine.base import CF_RAFT, WriteBatch
from raftly.engine.memory import MemoryEngine
from raftly.errors import DecodeError
from raftly.store.command import (
    Commit,
    NewRegion,
    Prepare,
    Rollback,
    decode_command,
    encode_commit,
    encode_prepare,
    encode_rollback,
    encode_split,
    encode_write,
)
from raftly.store.keys import merge_state_key
from raftly.store.merge import (
    ENTRIES_BYTES_MAX,
    ENTRIES_MAX,
    FROM_BIRTH,
    Merging,
    is_refused,
    merged,
    prepared,
    problem_with_merge,
    problem_with_tail,
)
from raftly.store.ops import Put
from raftly.store.region_state import MergeState, get_merge_state, put_merge_state

PEERS = (Peer(11, 1), Peer(12, 2), Peer(13, 3))
LOW = Region(1, b"a", b"m", RegionEpoch(4, 2), PEERS)
HIGH = Region(2, b"m", b"z", RegionEpoch(3, 7), (Peer(22, 2), Peer(21, 1), Peer(23, 3)))


@pytest.mark.parametrize("source,target", [(LOW, HIGH), (HIGH, LOW)])
def test_a_merge_covers_both_ranges_at_a_version_above_both(source: Region, target: Region) -> None:
    whole = merged(target, prepared(source))
    assert whole is not None
    assert (whole.id, whole.start_key, whole.end_key, whole.peers) == (target.id, b"a", b"z", target.peers)
    assert whole.epoch.conf_ver == target.epoch.conf_ver
    assert whole.epoch.version > max(prepared(source).epoch.version, target.epoch.version)


def test_the_ends_of_the_key_space_are_no_neighbours() -> None:
    first, last = replace(LOW, start_key=b""), replace(HIGH, end_key=b"")
    apart = replace(first, end_key=b"c")
    assert merged(last, apart) is None
    assert merged(apart, last) is None
    assert "touch" in problem_with_merge(apart, last)
    whole = merged(last, first)
    assert whole is not None
    assert (whole.start_key, whole.end_key) == (b"", b"")


@pytest.mark.parametrize(
    "source,target,problem",
    [
        (LOW, HIGH, ""),
        (HIGH, LOW, ""),
        (LOW, LOW, "itself"),
        (LOW, replace(HIGH, peers=HIGH.peers[:2]), "different stores"),
        (LOW, replace(HIGH, peers=(*HIGH.peers[:2], Peer(24, 4))), "different stores"),
        (LOW, replace(HIGH, peers=(*HIGH.peers[:2], Peer(23, 3, PeerRole.LEARNER))), "different stores"),
        (replace(LOW, peers=(*PEERS[:2], Peer(13, 3, PeerRole.DEMOTING_VOTER))), HIGH, "under way"),
        (LOW, replace(HIGH, start_key=b"n"), "touch"),
    ],
)
def test_what_may_be_merged(source: Region, target: Region, problem: str) -> None:
    found = problem_with_merge(source, target)
    assert (problem in found) if problem else not found


def test_only_few_small_writes_travel_in_a_commit() -> None:
    write = Entry(5, 6, data=encode_write(2, [Put("default", b"k", b"v")]))
    assert not problem_with_tail([Entry(5, 5), write])
    split = Entry(5, 6, data=encode_split(2, [NewRegion(b"g", NewRegionIds(9, (10,)))]))
    change = Entry(5, 6, EntryType.CONF_CHANGE_V2)
    large = Entry(5, 6, data=encode_write(2, [Put("default", b"k", bytes(ENTRIES_BYTES_MAX))]))
    for tail in ([write, split], [change], [large], [write] * (ENTRIES_MAX + 1)):
        assert problem_with_tail(tail)


@pytest.mark.parametrize(
    "target,began,refused",
    [
        (HIGH.epoch, FROM_BIRTH, False),  # it may count yet
        (RegionEpoch(3, 6), FROM_BIRTH, False),  # this store lags
        (RegionEpoch(3, 8), FROM_BIRTH, True),
        (RegionEpoch(4, 7), FROM_BIRTH, True),
        (RegionEpoch(3, 8), RegionEpoch(3, 7), True),  # a snapshot of the very epoch, then the log
        (RegionEpoch(3, 8), RegionEpoch(3, 8), False),  # it jumped
        (RegionEpoch(5, 8), RegionEpoch(4, 7), False),
    ],
)
def test_proof_is_only_what_was_passed_by_the_log(target: RegionEpoch, began: RegionEpoch, refused: bool) -> None:
    assert is_refused(Merging(9, 8, HIGH), target, began) is refused


numbers = st.integers(0, (1 << 64) - 1)
terms = st.lists(st.tuples(st.integers(1, 1 << 40), st.binary(max_size=9)), min_size=1, max_size=4)


@given(numbers, numbers, numbers)
def test_prepare_and_rollback_come_back(version: int, conf_ver: int, index: int) -> None:
    prepare = Prepare(version, conf_ver, index, HIGH)
    assert decode_command(encode_prepare(prepare)) == prepare
    rollback = Rollback(version, index)
    assert decode_command(encode_rollback(rollback)) == rollback


@given(numbers, numbers, st.integers(4, 1 << 60), terms)
def test_a_commit_comes_back(version: int, conf_ver: int, index: int, carried: list[tuple[int, bytes]]) -> None:
    first = index + 1 - len(carried)
    entries = [Entry(term, first + place, data=data) for place, (term, data) in enumerate(carried)]
    commit = Commit(version, conf_ver, index, LOW, entries)
    assert decode_command(encode_commit(commit)) == commit


def test_the_bytes_are_those_that_are_drawn() -> None:
    bare = Region(1, b"", b"m", RegionEpoch(4, 2))
    region = (
        "01" + "0100000000000000" + "0400000000000000" + "0200000000000000" + "00000000" + "010000006d" + "00000000"
    )
    assert encode_prepare(Prepare(7, 3, 8, bare)).hex() == (
        "0103" + "0700000000000000" + "0300000000000000" + "0800000000000000" + region
    )
    assert encode_commit(Commit(7, 3, 9, bare, [Entry(5, 9, data=b"xy")])).hex() == (
        "0104" + "0700000000000000" + "0300000000000000" + "0900000000000000" + region
        + "0500000000000000" + "02000000" + "7879"
    )  # fmt: skip
    assert encode_rollback(Rollback(7, 9)).hex() == "0105" + "0700000000000000" + "0900000000000000"


@pytest.mark.parametrize("cut", range(1, 20))
def test_truncated_commands_are_refused(cut: int) -> None:
    for whole in (
        encode_prepare(Prepare(7, 3, 8, LOW)),
        encode_commit(Commit(7, 3, 9, LOW, [Entry(5, 9, data=b"a payload of some length")])),
        encode_rollback(Rollback(7, 9))[: 10 + 8],
    ):
        with pytest.raises(DecodeError):
            decode_command(whole[: max(len(whole) - cut, 1)])


@pytest.mark.parametrize(
    "state", [MergeState(), MergeState(RegionEpoch(3, 4)), MergeState(RegionEpoch(0, 0), Merging(9, 8, HIGH))]
)
def test_a_merge_state_comes_back_from_the_engine(state: MergeState) -> None:
    engine = MemoryEngine()
    batch = WriteBatch()
    put_merge_state(batch, 7, state)
    engine.write(batch)
    assert get_merge_state(engine, 7) == state
    assert (engine.get(CF_RAFT, merge_state_key(7)) is None) == (state == MergeState())
    if state.merging is not None:
        batch = WriteBatch()
        batch.put(CF_RAFT, merge_state_key(7), (engine.get(CF_RAFT, merge_state_key(7)) or b"") + b"x")
        engine.write(batch)
        with pytest.raises(DecodeError):
            get_merge_state(engine, 7)
