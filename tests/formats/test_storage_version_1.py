"""What version 1 of the storage wrote, kept as it was. A change of these bytes is a new version of the format."""

import pytest

from raftly.base.membership import ConfState
from raftly.base.types import Entry, HardState, Snapshot, SnapshotMeta
from raftly.storage.items import (
    EntriesItem,
    HardStateItem,
    Item,
    MembershipItem,
    ReclaimedItem,
    RemovedItem,
    SnapshotItem,
    StateItem,
    StoredEntries,
    decode_items,
    encode_items,
)
from raftly.storage.segment import SegmentHeader, decode_header, encode_batch, scan
from raftly.storage.snapshot_file import SnapshotHeader, encode_chunk, encode_end
from raftly.storage.snapshot_file import decode_header as decode_snapshot_header

CONF = ConfState((1, 2), (4,), (1, 3), (3,), auto_leave=True)

SEGMENT = (
    # header
    "726166746c79574c0100400000000000c100000000000000030000000000000007000000000000006400000000000000"
    "000000000000000000000000754498af"
    # batch 100, b"payload"
    "070000000000000064000000000000009fd18f0c0000000000000000701430c47061796c6f6164a5a5a5a5a5a5a5a5a5"
    "a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5"
)
SPARSE = "d10700000200000065000000000000004371f40501000000000000006eb9b0c5"

ITEMS: list[tuple[Item, str]] = [
    (
        EntriesItem(7, [Entry(5, 1000, data=b"payload")]),
        ("01070000000000000001000000210000002100000000010500000000000000e8030000000000007061796c6f616446c7a8c4"),
    ),
    (
        EntriesItem(7, [Entry(5, 1000, data=b"payload")], rewritten=True),
        ("02070000000000000001000000210000002100000000010500000000000000e8030000000000007061796c6f616446c7a8c4"),
    ),
    (
        HardStateItem(7, HardState(5, 2, 9)),
        "030700000000000000050000000000000002000000000000000900000000000000",
    ),
    (
        SnapshotItem(7, Snapshot(SnapshotMeta(8, 4, CONF), b"state"), keeps_entries=True),
        (
            "040700000000000000010800000000000000040000000000000001020000000100000002000000010000000100000000"
            "000000020000000000000004000000000000000100000000000000030000000000000003000000000000000500000073"
            "74617465"
        ),
    ),
    (
        MembershipItem(7, 8, CONF),
        (
            "050700000000000000080000000000000001020000000100000002000000010000000100000000000000020000000000"
            "00000400000000000000010000000000000003000000000000000300000000000000"
        ),
    ),
    (
        RemovedItem(7),
        "060700000000000000",
    ),
    (
        StateItem(7, HardState(5, 2, 9), 8, CONF),
        (
            "070700000000000000050000000000000002000000000000000900000000000000080000000000000001020000000100"
            "000002000000010000000100000000000000020000000000000004000000000000000100000000000000030000000000"
            "00000300000000000000"
        ),
    ),
    (
        ReclaimedItem(6),
        "0800000000000000000600000000000000",
    ),
]
SNAPSHOT = (
    "726166746c79534e010000007d000000c100000000000000070000000000000008000000000000000400000000000000"
    "050000000000000001020000000100000002000000010000000100000000000000020000000000000004000000000000"
    "00010000000000000003000000000000000300000000000000fc7fdb9003000000d98ad64c737461020000006d2ac37a"
    "7465000000005260fb2302000000000000000500000000000000"
)


def test_a_segment_is_read_and_written() -> None:
    header = SegmentHeader(0xC1, 3, 7, 100)
    assert (header.encode() + encode_batch(100, b"payload", 64)).hex() == SEGMENT
    data = bytes.fromhex(SEGMENT).ljust(4096, b"\0")
    assert decode_header("wal/00000007.seg", data) == header
    found: list[bytes] = []
    assert scan("wal/00000007.seg", data, 100, lambda batch: found.append(batch.payload), last=True) == 128
    assert found == [b"payload"]


def test_empty_and_thin_sectors_are_counted() -> None:
    assert encode_batch(101, bytes(1000) + b"\1" + bytes(1000), 128)[:32].hex() == SPARSE


@pytest.mark.parametrize("item,written", ITEMS, ids=lambda value: type(value).__name__)
def test_an_item_is_read_and_written(item: Item, written: str) -> None:
    assert encode_items([item])[0].hex() == written
    (found,) = decode_items(bytes.fromhex(written))
    if isinstance(item, EntriesItem):
        assert found == StoredEntries(7, 1000, [33], [(1000, 5)], item.rewritten, 17)
    else:
        assert found == item


def test_a_snapshot_is_read_and_written() -> None:
    header = SnapshotHeader(0xC1, 7, SnapshotMeta(8, 4, CONF), 5)
    whole = header.encode() + encode_chunk(0, b"sta") + encode_chunk(1, b"te") + encode_end(2, 5)
    assert whole.hex() == SNAPSHOT
    assert decode_snapshot_header(bytes.fromhex(SNAPSHOT)[: len(header.encode())]) == header
