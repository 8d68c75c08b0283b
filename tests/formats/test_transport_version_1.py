"""What crosses a connection for messages or for a snapshot, as version 1 wrote it (docs/formats-transport.md).

The handshake, and what clients ask, are kept in the tests of their modules.
"""

from raftly.base.membership import ConfState
from raftly.base.types import Snapshot, SnapshotMeta
from raftly.core.messages import MsgHeartbeat, MsgSnap
from raftly.transport.codec import encode_messages
from raftly.transport.frame import HEADER_BYTES, decode_frame
from raftly.transport.groups import decode_groups
from raftly.transport.send_queue import SendQueue
from raftly.transport.transfer import (
    Begin,
    decode_begin,
    decode_chunk,
    decode_taken,
    encode_chunk,
    encode_done,
    encode_failed,
    encode_taken,
)

# Behind each comment what it is about; the first line of a frame is its header: magic, version, kind, size, CRC-32.
HEARTBEAT = MsgHeartbeat(1, 2, 3, commit=4)
GROUPS = (
    "7266 01 02 62000000 61494d50"
    "0700000000000000 25000000"  # group, size
    "08 0100000000000000 0200000000000000 0300000000000000 0400000000000000 00000000"  # to, from, term, commit, context
    "0900000000000000 25000000"
    "08 0100000000000000 0200000000000000 0300000000000000 0400000000000000 00000000"
)
SNAPSHOT = MsgSnap(1, 2, 3, Snapshot(SnapshotMeta(8, 4, ConfState((1, 2), (3,)))))
BEGIN = (
    "7266 01 08 6a000000 6aa0707b"
    "0700000000000000 0500000000000000 01 02"  # group, size of the snapshot, flags, size of its id
    "6964"  # id
    "07 0100000000000000 0200000000000000 0300000000000000 0800000000000000 0400000000000000"  # one MsgSnap
    "00 02000000 01000000 00000000 00000000 00000000 0100000000000000 0200000000000000 0300000000000000"
)
CHUNK = "7266 01 09 0d000000 71a7b284 0500000000000000 7069656365"  # offset, bytes
TAKEN = "7266 01 0a 0c000000 56672026 0a00000000000000 00001000"  # offset, window
DONE = "7266 01 0b 00000000 efd2bddf"
FAILED = "7266 01 0c 02000000 fc34fe5e 6e6f"  # text


def body(written: str, kind: int) -> tuple[bytes, int, int]:
    """A frame, and where its body is."""
    data = bytes.fromhex(written)
    assert decode_frame(data, 0, len(data)) == (kind, HEADER_BYTES, len(data))
    return data, HEADER_BYTES, len(data)


def test_messages_of_groups() -> None:
    queue = SendQueue(1 << 20)
    for group in (7, 9):
        assert queue.push(group, encode_messages([HEARTBEAT]))
    assert queue.take() == bytes.fromhex(GROUPS)
    assert decode_groups(*body(GROUPS, 2)) == [(7, [HEARTBEAT]), (9, [HEARTBEAT])]


def test_what_begins_a_snapshot() -> None:
    begin = Begin(7, 5, inline=True, id=b"id", message=SNAPSHOT)
    assert begin.encode() == bytes.fromhex(BEGIN)
    assert decode_begin(*body(BEGIN, 8)) == begin


def test_a_piece_of_a_snapshot_and_how_far_it_has_come() -> None:
    assert encode_chunk(5, b"piece") == bytes.fromhex(CHUNK)
    assert decode_chunk(*body(CHUNK, 9)) == (5, b"piece")
    assert encode_taken(10, 1 << 20) == bytes.fromhex(TAKEN)
    assert decode_taken(*body(TAKEN, 10)) == (10, 1 << 20)


def test_how_a_snapshot_ends() -> None:
    assert encode_done() == bytes.fromhex(DONE)
    body(DONE, 11)
    assert encode_failed("no") == bytes.fromhex(FAILED)
    body(FAILED, 12)
