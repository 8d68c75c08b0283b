"""Requests of clients and responses to them, as bytes: what crosses a connection of purpose CLIENT.

The body of a REQUESTS or a RESPONSES frame (`raftly.transport.frame`) is items back to back, one at least:

     0  u64  id      of the request, chosen by the client; the response carries the same
     8  u32  size    of what follows
    12  bytes        the request, or the response: `raftly.node.requests`

Responses come in any order, one for each request. What a client sends in one turn of its loop is one frame, and so are
the responses of one turn, while they are below 1 MiB; the CRC of the frame is taken once for all of them.
"""

from __future__ import annotations

from struct import Struct
from typing import Final, TypeAlias

from raftly.errors import DecodeError
from raftly.transport.frame import join_frame

Item: TypeAlias = tuple[int, bytes]
"""Id and bytes of a request or of a response."""

ITEM_HEADER_BYTES: Final = 12
FRAME_BYTES_TARGET: Final = 1 << 20  # a frame is closed when it has this much

_HEADER: Final = Struct("<QI")
_WHAT: Final = "requests"


def encode_items(kind: int, items: list[Item], limit: int) -> bytes:
    """Frames of this kind with all the items, none of which is larger than `limit` together with its header."""
    frames: list[bytes] = []
    parts: list[bytes] = []
    size = 0
    for id_, data in items:
        item_bytes = ITEM_HEADER_BYTES + len(data)
        assert item_bytes <= limit
        if parts and size + item_bytes > min(limit, FRAME_BYTES_TARGET):
            frames.append(join_frame(kind, parts))
            parts, size = [], 0
        parts += (_HEADER.pack(id_, len(data)), data)
        size += item_bytes
    frames.append(join_frame(kind, parts))
    return frames[0] if len(frames) == 1 else b"".join(frames)


def decode_items(buf: bytes, start: int, stop: int) -> list[Item]:
    """The items of a frame's body.

    Raises:
        DecodeError: none, or one that does not fit.
    """
    items: list[Item] = []
    at = start
    while at < stop:
        if stop - at < ITEM_HEADER_BYTES:
            raise DecodeError(_WHAT, at, "the frame ends inside the head of an item")
        id_, size = _HEADER.unpack_from(buf, at)
        at += ITEM_HEADER_BYTES
        if size > stop - at:
            raise DecodeError(_WHAT, at, f"an item of {size} bytes is claimed, {stop - at} bytes are left")
        items.append((id_, buf[at : at + size]))
        at += size
    if not items:
        raise DecodeError(_WHAT, start, "the frame is empty")
    return items
