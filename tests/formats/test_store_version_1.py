"""What version 1 of the store wrote, in its engine, its log and to other stores, kept as it was.

Fields stand apart, in the order in which docs/formats-store.md draws them.
"""

import asyncio

import pytest

from raftly.base.heartbeats import NewRegionIds
from raftly.base.membership import (
    ConfChangeSingle,
    ConfChangeTransition,
    ConfChangeType,
    ConfChangeV2,
    decode_conf_change_v2,
)
from raftly.base.record import record_of
from raftly.base.region import Peer, PeerRole, Region, RegionEpoch, decode_region, encode_region
from raftly.base.store_meta import StoreMeta
from raftly.base.types import Entry
from raftly.engine import CF_DEFAULT, CF_LOCK, CF_RAFT, CF_WRITE, DATA_CFS, Engine, MemoryEngine, WriteBatch
from raftly.pd.errors import Refused
from raftly.pd.local import LocalPlacement
from raftly.pd.placement import TOMBSTONE, StoreRow
from raftly.server import ttl
from raftly.store.command import (
    Commit,
    NewRegion,
    Prepare,
    Rollback,
    Split,
    Write,
    decode_change,
    decode_command,
    encode_change,
    encode_commit,
    encode_prepare,
    encode_rollback,
    encode_split,
    encode_write,
)
from raftly.store.founding import found
from raftly.store.keys import PREPARED_KEY, apply_state_key, data_end_key, data_key, region_state_key
from raftly.store.merge import Merging
from raftly.store.messages import STORE_GROUP, Kind, StoreMessage, from_wire, to_wire
from raftly.store.ops import Cas, Delete, DeleteRange, Expire, Put
from raftly.store.region_snapshot import RegionSize, check_region, ingest_region, write_region
from raftly.store.region_state import (
    ApplyState,
    MergeState,
    PeerState,
    RegionState,
    StoreIdent,
    all_region_states,
    get_apply_state,
    get_ident,
    get_merge_state,
    get_region_state,
    put_apply_state,
    put_ident,
    put_merge_state,
    put_region_state,
)
from raftly.transport.codec import decode_messages, encode_messages


def packed(*fields: str) -> bytes:
    """Fields as they stand here, without the spaces between them."""
    return bytes.fromhex("".join(fields))


# --- a region ---

REGION = Region(
    7,
    b"a",
    b"mm",
    RegionEpoch(3, 2),
    (
        Peer(70, 1),
        Peer(71, 2, PeerRole.LEARNER),
        Peer(72, 3, PeerRole.INCOMING_VOTER),
        Peer(73, 1 << 40, PeerRole.DEMOTING_VOTER),
    ),
)
REGION_BYTES = packed(
    "01 0700000000000000 0300000000000000 0200000000000000",
    "01000000 61 02000000 6d6d",
    "04000000",
    "4600000000000000 0100000000000000 00",
    "4700000000000000 0200000000000000 01",
    "4800000000000000 0300000000000000 02",
    "4900000000000000 0000000000010000 03",
)
FIRST = Region(2, peers=(Peer(3, 1),))
FIRST_BYTES = packed(
    "01 0200000000000000 0100000000000000 0100000000000000",
    "00000000 00000000",
    "01000000",
    "0300000000000000 0100000000000000 00",
)


@pytest.mark.parametrize("region,written", [(REGION, REGION_BYTES), (FIRST, FIRST_BYTES)], ids=["all", "first"])
def test_a_region(region: Region, written: bytes) -> None:
    assert encode_region(region) == written
    assert decode_region(written) == (region, len(written))


# --- entries of a region's log ---

COMMANDS: list[tuple[Write | Split, bytes]] = [
    (
        Write(
            7,
            [
                Put(CF_DEFAULT, b"k", b"vv"),
                Put(CF_LOCK, b"", b""),
                Delete(CF_WRITE, b"k"),
                DeleteRange(CF_DEFAULT, b"a", b"mm"),
            ],
        ),
        packed(
            "01 01 0700000000000000",
            "01 00 01000000 6b 02000000 7676",
            "01 01 00000000 00000000",
            "02 02 01000000 6b",
            "03 00 01000000 61 02000000 6d6d",
        ),
    ),
    (
        Write(
            1 << 40,
            [
                Cas(CF_DEFAULT, b"k", None, b"n"),
                Cas(CF_LOCK, b"k", b"", b"n"),
                Cas(CF_WRITE, b"k", None, b"n", 258, has_ttl=True),
                Cas(CF_DEFAULT, b"k", b"ee", b"n", 3, has_ttl=True),
            ],
        ),
        packed(
            "01 01 0000000000010000",
            "04 00 01000000 6b 01000000 6e 00 0000000000000000 00000000",
            "04 01 01000000 6b 01000000 6e 01 0000000000000000 00000000",
            "04 02 01000000 6b 01000000 6e 02 0201000000000000 00000000",
            "04 00 01000000 6b 01000000 6e 03 0300000000000000 02000000 6565",
        ),
    ),
    (
        Write(1, [Cas(CF_DEFAULT, b"k", b"ee", None, 3, has_ttl=True), Cas(CF_WRITE, b"k", b"", None)]),
        packed(
            "01 01 0100000000000000",
            "05 00 01000000 6b 03 0300000000000000 02000000 6565",
            "05 02 01000000 6b 01 0000000000000000 00000000",
        ),
    ),
    (
        Write(1, [Expire(CF_LOCK, b"kk", 258)]),
        packed("01 01 0100000000000000", "06 01 02000000 6b6b 0201000000000000"),
    ),
    (Write(1, []), packed("01 01 0100000000000000")),
    (
        Split(2, [NewRegion(b"g", NewRegionIds(9, (10, 11))), NewRegion(b"mm", NewRegionIds(12, (13,)))]),
        packed(
            "01 02 0200000000000000",
            "01000000 67 0900000000000000 02000000 0a00000000000000 0b00000000000000",
            "02000000 6d6d 0c00000000000000 01000000 0d00000000000000",
        ),
    ),
]


@pytest.mark.parametrize("command,written", COMMANDS, ids=["ops", "cas", "cas-delete", "expire", "nothing", "split"])
def test_a_command(command: Write | Split, written: bytes) -> None:
    encoded = (
        encode_write(command.version, command.ops)
        if isinstance(command, Write)
        else encode_split(command.version, command.regions)
    )
    assert encoded == written
    assert decode_command(written) == command


PREPARE = Prepare(2, 5, 258, FIRST)
PREPARE_BYTES = packed("01 03 0200000000000000", "0500000000000000 0201000000000000", FIRST_BYTES.hex())
COMMIT = Commit(2, 5, 9, FIRST, [Entry(6, 8), Entry(1 << 16, 9, data=PREPARE_BYTES[:3])])
COMMIT_BYTES = packed(
    "01 04 0200000000000000",
    "0500000000000000 0900000000000000",
    FIRST_BYTES.hex(),
    "0600000000000000 00000000",
    "0000010000000000 03000000 010302",
)
ROLLBACK = Rollback(2, 258)
ROLLBACK_BYTES = packed("01 05 0200000000000000", "0201000000000000")


def test_the_commands_of_a_merge() -> None:
    assert encode_prepare(PREPARE) == PREPARE_BYTES
    assert decode_command(PREPARE_BYTES) == PREPARE
    assert encode_commit(COMMIT) == COMMIT_BYTES
    assert decode_command(COMMIT_BYTES) == COMMIT
    assert encode_rollback(ROLLBACK) == ROLLBACK_BYTES
    assert decode_command(ROLLBACK_BYTES) == ROLLBACK


CONTEXT = packed("01 0500000000000000", "4a00000000000000 0200000000000000", "4b00000000000000 0300000000000000")
CHANGE = packed("08 00", "12 04 08 00 10 4a", "12 04 08 03 10 4b", "12 04 08 01 10 46", "1a 29", CONTEXT.hex())


def test_a_change_of_peers() -> None:
    newcomers = [Peer(74, 2), Peer(75, 3, PeerRole.LEARNER)]
    assert encode_change(5, newcomers) == CONTEXT
    assert decode_change(CONTEXT) == (5, {74: 2, 75: 3})
    singles = (
        ConfChangeSingle(ConfChangeType.ADD_NODE, 74),
        ConfChangeSingle(ConfChangeType.ADD_LEARNER_NODE, 75),
        ConfChangeSingle(ConfChangeType.REMOVE_NODE, 70),
    )
    change = ConfChangeV2(singles, ConfChangeTransition.AUTO, CONTEXT)
    assert change.encode() == CHANGE
    assert decode_conf_change_v2(CHANGE) == change


# --- the engine ---

STATES = [
    RegionState(PeerState.APPLYING, 3, FIRST),
    RegionState(PeerState.NORMAL, 70, REGION),
    RegionState(PeerState.TOMBSTONE, 90, Region(1 << 16)),
]
RAFT_FAMILY = [
    (packed("01"), packed("01 c100000000000000 0100000000000000 4d00000000000000")),
    (packed("02 0000000000000002"), packed("01 01 0300000000000000", FIRST_BYTES.hex())),
    (packed("02 0000000000000007"), packed("01 00 4600000000000000", REGION_BYTES.hex())),
    (
        packed("02 0000000000010000"),
        packed(
            "01 02 5a00000000000000",
            "01 0000010000000000 0100000000000000 0100000000000000 00000000 00000000 00000000",
        ),
    ),
    (packed("03 0000000000000007"), packed("01 6400000000000000 0600000000000000")),
]


def test_what_a_store_keeps_of_itself_is_written_as_then() -> None:
    engine, batch = MemoryEngine(), WriteBatch()
    put_ident(batch, StoreIdent(0xC1, 1, 77))
    put_apply_state(batch, 7, 100, 6)
    for state in STATES:
        put_region_state(batch, state)
    engine.write(batch)
    assert list(engine.iterate(CF_RAFT, b"", b"")) == RAFT_FAMILY


def test_what_a_store_kept_of_itself_is_read() -> None:
    engine = engine_with(RAFT_FAMILY)
    assert get_ident(engine) == StoreIdent(0xC1, 1, 77)
    assert get_apply_state(engine, 7) == ApplyState(100, 6)
    assert get_region_state(engine, 7) == STATES[1]
    assert all_region_states(engine) == STATES


MERGE_STATES = [
    (
        MergeState(RegionEpoch(4, 5)),
        packed("01 0400000000000000 0500000000000000"),
    ),
    (
        MergeState(RegionEpoch(0, 0), Merging(258, 6, FIRST)),
        packed("01 0000000000000000 0000000000000000", "0201000000000000 0600000000000000", FIRST_BYTES.hex()),
    ),
]


@pytest.mark.parametrize("state,written", MERGE_STATES, ids=["began", "merging"])
def test_a_merge_state(state: MergeState, written: bytes) -> None:
    engine, batch = MemoryEngine(), WriteBatch()
    put_merge_state(batch, 258, state)
    engine.write(batch)
    kept = [(packed("06 0000000000000102"), written)]
    assert list(engine.iterate(CF_RAFT, b"", b"")) == kept
    assert get_merge_state(engine_with(kept), 258) == state


def test_a_region_that_is_part_of_another_one() -> None:
    written = packed("01 40 0300000000000000", FIRST_BYTES.hex())
    state = RegionState(PeerState.MERGED, 3, FIRST)
    engine, batch = MemoryEngine(), WriteBatch()
    put_region_state(batch, state)
    engine.write(batch)
    kept = [(packed("02 0000000000000002"), written)]
    assert list(engine.iterate(CF_RAFT, b"", b"")) == kept
    assert get_region_state(engine_with(kept), 2) == state


def engine_with(pairs: list[tuple[bytes, bytes]]) -> Engine:
    """An engine with these in the family of stores."""
    engine, batch = MemoryEngine(), WriteBatch()
    for key, value in pairs:
        batch.put(CF_RAFT, key, value)
    engine.write(batch)
    return engine


def test_the_first_region_until_the_cluster_begins() -> None:
    async def work() -> None:
        placement = LocalPlacement(lambda: 0.0)
        meta = StoreMeta(await placement.alloc_id(), "a:1")
        placement.placement.stores[meta.id] = StoreRow(meta.id, state=TOMBSTONE)
        engine = MemoryEngine()
        with pytest.raises(Refused):
            await found(engine, placement, meta)
        assert engine.get(CF_RAFT, PREPARED_KEY) == FIRST_BYTES
        placement = LocalPlacement(lambda: 0.0)
        await found(engine_with([(packed("04"), FIRST_BYTES)]), placement, meta)
        assert placement.placement.regions[2].region == FIRST_BYTES

    asyncio.run(work())


def test_keys() -> None:
    assert packed("04") == PREPARED_KEY
    assert (data_key(b""), data_key(b"k")) == (packed("7a"), packed("7a 6b"))
    assert (data_end_key(b""), data_end_key(b"k")) == (packed("7b"), packed("7a 6b"))
    assert region_state_key(258) == packed("02 0000000000000102")
    assert apply_state_key(258) == packed("03 0000000000000102")


# --- a region's snapshot ---

SNAPSHOT_REGION = Region(1, b"d", b"", RegionEpoch(2, 3), (Peer(4, 5),))
SNAPSHOT_PAIRS = [(CF_DEFAULT, b"zd", b"one"), (CF_WRITE, b"ze", b"")]
SNAPSHOT = packed(
    # version, size of the region, the region
    "0100 37000000 01 0100000000000000 0200000000000000 0300000000000000",
    "01000000 64 00000000 01000000 0400000000000000 0500000000000000 00",
    # a block of the default family
    "01 0d000000 02000000 03000000 7a64 6f6e65",
    # a block of the write family
    "03 0a000000 02000000 00000000 7a65",
    # the end: 2 records, 7 bytes
    "00 0200000000000000 0700000000000000",
)


def test_a_region_snapshot() -> None:
    async def work() -> None:
        engine, batch = MemoryEngine(), WriteBatch()
        for pair in SNAPSHOT_PAIRS:
            batch.put(*pair)
        engine.write(batch)
        parts: list[bytes] = []

        async def write(data: bytes) -> None:
            parts.append(data)

        await write_region(engine.snapshot(), SNAPSHOT_REGION, write)
        assert b"".join(parts) == SNAPSHOT
        assert await check_region([SNAPSHOT]) == (SNAPSHOT_REGION, RegionSize(7, 2))
        other = MemoryEngine()
        await ingest_region(other, [SNAPSHOT])
        assert [(cf, *pair) for cf in DATA_CFS for pair in other.iterate(cf, b"", b"")] == SNAPSHOT_PAIRS

    asyncio.run(work())


# --- what stores say to each other ---

MESSAGES = [
    (StoreMessage(Kind.GONE, 7, 70), packed("01 01 0700000000000000 4600000000000000 0000000000000000")),
    (StoreMessage(Kind.SLEEP, 7, 70, 258), packed("01 02 0700000000000000 4600000000000000 0201000000000000")),
    (StoreMessage(Kind.ASLEEP, 7, 70, 258), packed("01 03 0700000000000000 4600000000000000 0201000000000000")),
    (StoreMessage(Kind.MERGED, 7, 2, 258), packed("01 04 0700000000000000 0200000000000000 0201000000000000")),
    (StoreMessage(Kind.REFUSED, 7, 70, 258), packed("01 05 0700000000000000 4600000000000000 0201000000000000")),
]


@pytest.mark.parametrize("message,written", MESSAGES, ids=[message.kind.name for message, _ in MESSAGES])
def test_a_message(message: StoreMessage, written: bytes) -> None:
    record = record_of(Entry(data=written))
    wire = packed("02", bytes(24).hex(), "01000000", record.hex())
    assert encode_messages([to_wire(message)]) == wire
    assert from_wire(decode_messages(wire, 0, len(wire))) == [message]
    assert STORE_GROUP == 0


# --- values that expire ---


def test_a_value_with_an_expiry() -> None:
    never, later = packed("76 0000000000000000"), packed("0000000000000102")
    assert (ttl.encode(b"v", 0), ttl.encode(b"", 258)) == (never, later)
    assert (ttl.split(never, 250), ttl.split(later, 250)) == ((b"v", 0), (b"", 8))
