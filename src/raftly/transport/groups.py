"""The body of a FRAME_GROUPS frame: for each group the batch of its messages.

Little-endian, again and again until the body ends:

     0  u64  group
     8  u32  size      of the batch
    12  the batch      `raftly.transport.codec`
"""

from __future__ import annotations

import struct
from typing import Final

from raftly.core.messages import Message
from raftly.errors import DecodeError
from raftly.transport.codec import decode_messages

PART_HEADER_BYTES: Final = 12

_HEAD: Final = struct.Struct("<QI")
_unpack_head: Final = _HEAD.unpack_from
pack_part_header: Final = _HEAD.pack  # (group, size) -> bytes


def decode_groups(buf: bytes, offset: int, end: int) -> list[tuple[int, list[Message]]]:
    """What `buf[offset:end]` holds: (group, its messages) in the order of sending; a group may come twice.

    Raises:
        DecodeError: truncated, oversized, or a message that is unknown or local to a node.
    """
    batch: list[tuple[int, list[Message]]] = []
    while offset < end:
        start = offset + PART_HEADER_BYTES
        if start > end:
            raise DecodeError("groups", offset, "the bytes end inside a header")
        head: tuple[int, int] = _unpack_head(buf, offset)
        group, size = head
        offset = start + size
        if offset > end:
            raise DecodeError("groups", start, f"group {group} claims {size} bytes, {end - start} are left")
        batch.append((group, decode_messages(buf, start, offset)))
    return batch
