"""What version 1 wrote, kept as it was: later versions must read it, and today's must still write it.

A change of these bytes is a new version of the format, with vectors of its own beside these.
"""

import pytest

from raftly.base.membership import ConfChange, ConfChangeType, ConfState
from raftly.base.record import decode_record, record_of
from raftly.base.types import DATA_SET, INDEX_MAX, TYPE_SET, Entry, EntryType, Snapshot, SnapshotMeta
from raftly.core.messages import (
    CAMPAIGN_TRANSFER,
    Message,
    MsgApp,
    MsgAppResp,
    MsgForgetLeader,
    MsgHeartbeat,
    MsgHeartbeatResp,
    MsgPreVote,
    MsgPreVoteResp,
    MsgProp,
    MsgReadIndex,
    MsgReadIndexResp,
    MsgSnap,
    MsgTimeoutNow,
    MsgTransferLeader,
    MsgVote,
    MsgVoteResp,
)
from raftly.transport.codec import decode_messages, encode_messages
from raftly.transport.frame import FRAME_MESSAGES, decode_frame, encode_frame

SNAPSHOT = Snapshot(SnapshotMeta(1000, 5, ConfState((1, 2), (4,), (1, 3), (3,), True)), b"state")

ENTRIES: list[tuple[Entry, str]] = [
    (Entry(), "1a00000000010000000000000000000000000000000062df6b11"),
    (
        Entry(5, 1000, EntryType.NORMAL, b"payload"),
        "2100000000010500000000000000e8030000000000007061796c6f616446c7a8c4",
    ),
    (
        Entry(5, 1001, EntryType.NORMAL, b"payload", b"context", DATA_SET),
        "2c00000060010500000000000000e90300000000000007000000636f6e746578747061796c6f61648e2cd580",
    ),
    (
        Entry(5, 1002, EntryType.CONF_CHANGE, ConfChange(ConfChangeType.REMOVE_NODE, 3, b"why", 9).encode()),
        "2500000001010500000000000000ea030000000000000809100118032203776879df953c7c",
    ),
    (
        Entry(5, 1003, EntryType.CONF_CHANGE_V2, b"", b"", TYPE_SET),
        "1a00000012010500000000000000eb03000000000000451617af",
    ),
]

MESSAGES: list[tuple[Message, str]] = [
    (
        MsgProp(1, 2, 0, [Entry(0, 0, EntryType.NORMAL, b"payload", b"context")]),
        (
            "02010000000000000002000000000000000000000000000000010000002c000000400100000000000000000000000000"
            "00000007000000636f6e746578747061796c6f616474d9beb1"
        ),
    ),
    (
        MsgApp(1, 2, 5, 4, 999, [Entry(5, 1000, EntryType.NORMAL, b"payload"), Entry(5, 1001)], 998),
        (
            "030100000000000000020000000000000005000000000000000400000000000000e703000000000000e6030000000000"
            "00020000002100000000010500000000000000e8030000000000007061796c6f616446c7a8c41a000000000105000000"
            "00000000e903000000000000a32645c6"
        ),
    ),
    (
        MsgAppResp(1, 2, 5, 1000, True, 900, 4, 899, 901),
        (
            "04010000000000000002000000000000000500000000000000e803000000000000018403000000000000040000000000"
            "000083030000000000008503000000000000"
        ),
    ),
    (
        MsgVote(1, 2, 5, 4, 999, CAMPAIGN_TRANSFER, 998, 3, -7),
        (
            "050100000000000000020000000000000005000000000000000400000000000000e703000000000000e6030000000000"
            "000300000000000000f9ffffffffffffff1000000043616d706169676e5472616e73666572"
        ),
    ),
    (
        MsgVoteResp(1, 2, 5, True, 998, 3),
        "0601000000000000000200000000000000050000000000000001e6030000000000000300000000000000",
    ),
    (
        MsgSnap(1, 2, 5, SNAPSHOT),
        (
            "07010000000000000002000000000000000500000000000000e803000000000000050000000000000001020000000100"
            "000002000000010000000500000001000000000000000200000000000000040000000000000001000000000000000300"
            "00000000000003000000000000007374617465"
        ),
    ),
    (
        MsgHeartbeat(1, 2, 5, 998, b"context"),
        "08010000000000000002000000000000000500000000000000e60300000000000007000000636f6e74657874",
    ),
    (
        MsgHeartbeatResp(1, 2, 5, b"context", 998),
        "09010000000000000002000000000000000500000000000000e60300000000000007000000636f6e74657874",
    ),
    (MsgTransferLeader(1, 2, 5), "0d010000000000000002000000000000000500000000000000"),
    (MsgTimeoutNow(1, 2, 5), "0e010000000000000002000000000000000500000000000000"),
    (MsgReadIndex(1, 2, 0, b"context"), "0f01000000000000000200000000000000000000000000000007000000636f6e74657874"),
    (
        MsgReadIndexResp(1, 2, 5, 998, b"context"),
        "10010000000000000002000000000000000500000000000000e60300000000000007000000636f6e74657874",
    ),
    (
        MsgPreVote(1, 2, INDEX_MAX, INDEX_MAX, INDEX_MAX),
        (
            "1101000000000000000200000000000000ffffffffffffffffffffffffffffffffffffffffffffffff00000000000000"
            "000000000000000000000000000000000000000000"
        ),
    ),
    (MsgPreVoteResp(1, 2, 5), "120100000000000000020000000000000005000000000000000000000000000000000000000000000000"),
    (MsgForgetLeader(1, 2, 0), "17010000000000000002000000000000000000000000000000"),
]

FRAME = "72660101190000009441c2010e010000000000000002000000000000000500000000000000"  # around MsgTimeoutNow(1, 2, 5)


@pytest.mark.parametrize(("entry", "written"), ENTRIES, ids=[repr(entry) for entry, _ in ENTRIES])
def test_records(entry: Entry, written: str) -> None:
    data = bytes.fromhex(written)
    back, stop = decode_record(data, 0, len(data))
    assert (back, back.flags, back.record, stop) == (entry, entry.flags, data, len(data))
    assert record_of(entry) == data


@pytest.mark.parametrize(("message", "written"), MESSAGES, ids=[message.type.name for message, _ in MESSAGES])
def test_messages(message: Message, written: str) -> None:
    data = bytes.fromhex(written)
    assert decode_messages(data, 0, len(data)) == [message]
    assert encode_messages([message]) == data


def test_a_batch_is_its_messages_back_to_back() -> None:
    data = bytes.fromhex("".join(written for _, written in MESSAGES))
    assert decode_messages(data, 0, len(data)) == [message for message, _ in MESSAGES]


def test_frame() -> None:
    data = bytes.fromhex(FRAME)
    body = encode_messages([MsgTimeoutNow(1, 2, 5)])
    assert decode_frame(data, 0, len(data)) == (FRAME_MESSAGES, len(data) - len(body), len(data))
    assert encode_frame(FRAME_MESSAGES, body) == data
