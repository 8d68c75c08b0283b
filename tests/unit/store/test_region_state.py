"""What a store keeps of itself and of its regions; messages between stores; how a log is brought into line."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from raftly.base.region import Peer, PeerRole, Region, RegionEpoch
from raftly.base.types import Entry, HardState, Snapshot, SnapshotMeta
from raftly.core.messages import MsgHeartbeat, MsgProp
from raftly.engine.base import CF_RAFT, WriteBatch
from raftly.engine.memory import MemoryEngine
from raftly.errors import DecodeError
from raftly.storage.items import EntriesItem, HardStateItem, MembershipItem, SnapshotItem
from raftly.storage.log_store import LogStore
from raftly.store.keys import IDENT_KEY, region_state_key
from raftly.store.messages import Kind, StoreMessage, from_wire, to_wire
from raftly.store.recovery import is_begun, recovery_items, restart_items
from raftly.store.region_state import (
    ApplyState,
    PeerState,
    RegionState,
    StoreIdent,
    all_region_states,
    conf_state_of,
    get_apply_state,
    get_ident,
    get_region_state,
    put_apply_state,
    put_ident,
    put_region_state,
)
from raftly.testing.memfs import MemFs
from tests.support.virtual import run

REGION = Region(7, b"a", b"m", RegionEpoch(3, 2), (Peer(70, 1), Peer(71, 2), Peer(72, 3, PeerRole.LEARNER)))


def test_what_is_kept_comes_back() -> None:
    engine = MemoryEngine()
    assert get_ident(engine) is None
    assert get_region_state(engine, 7) is None
    states = [RegionState(PeerState(number), number + 1, Region(number + 1)) for number in range(3)]
    batch = WriteBatch()
    put_ident(batch, StoreIdent(1, 2, 3))
    for state in (*states, RegionState(PeerState.APPLYING, 70, REGION)):
        put_region_state(batch, state)
    put_apply_state(batch, 7, 100, 6)
    engine.write(batch)
    assert get_ident(engine) == StoreIdent(1, 2, 3)
    assert get_region_state(engine, 7) == RegionState(PeerState.APPLYING, 70, REGION)
    assert all_region_states(engine) == [*states, RegionState(PeerState.APPLYING, 70, REGION)]
    assert get_apply_state(engine, 7) == ApplyState(100, 6)


@pytest.mark.parametrize("data", [b"", b"\x09" + bytes(24), b"\x01"])
def test_what_another_release_kept_is_refused(data: bytes) -> None:
    engine = MemoryEngine()
    batch = WriteBatch()
    batch.put(CF_RAFT, IDENT_KEY, data)
    batch.put(CF_RAFT, region_state_key(1), data)
    engine.write(batch)
    with pytest.raises(DecodeError):
        get_ident(engine)
    with pytest.raises(DecodeError):
        get_region_state(engine, 1)
    with pytest.raises(DecodeError):
        get_apply_state(engine, 1)


@given(
    st.sampled_from(Kind), st.integers(0, (1 << 64) - 1), st.integers(0, (1 << 64) - 1), st.integers(0, (1 << 64) - 1)
)
def test_messages_between_stores_come_back(kind: Kind, region_id: int, peer_id: int, index: int) -> None:
    message = StoreMessage(kind, region_id, peer_id, index)
    assert from_wire([to_wire(message), MsgHeartbeat(1, 2, 3), to_wire(message)]) == [message, message]


@given(st.binary(max_size=30))
def test_messages_that_are_not_understood_are_left_out(data: bytes) -> None:
    found = from_wire([MsgProp(0, 0, 0, [Entry(data=data)])])
    assert not found or (len(data) == 26 and data[0] == 1)


class Disk:
    """The log of a region as a crash may leave it."""

    def __init__(self) -> None:
        self.logs = LogStore(MemFs(), 1, 1)
        self.logs.open()

    async def begin(self, last: int = 5, term: int = 5, hard: HardState | None = None) -> None:
        """It begins behind entry 5 of term 5, and ends with `last`."""
        await self.logs.commit(restart_items(self.logs.group(7), REGION, ApplyState(), 5, 0))
        if last > 5:
            entries = [Entry(term, index) for index in range(6, last + 1)]
            await self.logs.commit([EntriesItem(7, entries)])
        if hard is not None:
            await self.logs.commit([HardStateItem(7, hard)])


def test_a_log_that_is_in_line_stays_as_it_is() -> None:
    async def main() -> None:
        disk = Disk()
        await disk.begin(9, hard=HardState(5, 71, 8))
        assert recovery_items(disk.logs.group(7), REGION, ApplyState(8, 5)) == []

    run(main())


def test_a_commit_index_that_was_not_written_follows_what_is_applied() -> None:
    async def main() -> None:
        disk = Disk()
        await disk.begin(9, hard=HardState(6, 71, 6))
        items = recovery_items(disk.logs.group(7), REGION, ApplyState(8, 5))
        assert items == [HardStateItem(7, HardState(6, 71, 8))]

    run(main())


def test_a_log_that_a_snapshot_overtook_begins_behind_it_and_keeps_its_promises() -> None:
    async def main() -> None:
        for last, term in ((9, 5), (30, 5)):  # too short; or with entries that the snapshot contradicts
            disk = Disk()
            await disk.begin(last, term, HardState(8, 71, 6))
            items = recovery_items(disk.logs.group(7), REGION, ApplyState(20, 7))
            assert items == [
                SnapshotItem(7, Snapshot(SnapshotMeta(20, 7, conf_state_of(REGION))), keeps_entries=False),
                HardStateItem(7, HardState(8, 71, 20)),
                MembershipItem(7, 20, conf_state_of(REGION)),
            ]
            await disk.logs.commit(items)
            assert recovery_items(disk.logs.group(7), REGION, ApplyState(20, 7)) == []

    run(main())


def test_a_vote_of_an_older_term_is_no_vote_of_the_new_one() -> None:
    async def main() -> None:
        disk = Disk()
        items = restart_items(disk.logs.group(7), REGION, ApplyState(20, 7), 6, 71)
        assert HardStateItem(7, HardState(7, 0, 20)) in items
        assert not is_begun(disk.logs.group(7))
        await disk.logs.commit(items)
        assert is_begun(disk.logs.group(7))

    run(main())


def test_members_are_those_of_what_is_applied() -> None:
    async def main() -> None:
        disk = Disk()
        await disk.begin(9)
        fewer = Region(7, b"a", b"m", RegionEpoch(4, 2), REGION.peers[:2])
        items = recovery_items(disk.logs.group(7), fewer, ApplyState(5, 5))
        assert items == [MembershipItem(7, 5, conf_state_of(fewer))]

    run(main())
