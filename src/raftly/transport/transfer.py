"""A snapshot on a connection of its own: what crosses, drawn, and what both ends hand in.

    sender                                          taker
      BEGIN  group, size, id, the MsgSnap  ───────►
                                           ◄───────  TAKEN offset, window      the offset is where to start: 0, or more
      CHUNK  offset, bytes                 ───────►                            when an earlier connection broke
      CHUNK  offset, bytes                 ───────►
                                           ◄───────  TAKEN offset, window      the taker has dealt with what is before
      ...                                                                      the offset
                                           ◄───────  DONE, or FAILED text

At most `window` bytes are under way that the taker has not dealt with; that bounds its memory, and pings keep passing.

Little-endian, bodies of frames (`raftly.transport.frame`):

    BEGIN                             CHUNK              TAKEN               DONE       FAILED
     0  u64  group                     0  u64  offset     0  u64  offset     nothing     0  text, UTF-8,
     8  u64  size of the snapshot      8  bytes           8  u32  window                    at most 400 bytes
    16  u8   flags; bit 0: inline
    17  u8   size of the id
    18  id
     .  the MsgSnap (`raftly.transport.codec`)

Inline: the bytes are the `data` of the MsgSnap, which itself comes without them.
"""

from __future__ import annotations

import struct
from collections.abc import AsyncGenerator, Awaitable, Callable
from dataclasses import dataclass
from typing import Final, Protocol, TypeAlias, final

from raftly.base.types import NodeId
from raftly.core.messages import MsgSnap
from raftly.errors import DecodeError, LimitExceeded
from raftly.transport.codec import decode_messages, encode_messages
from raftly.transport.frame import (
    FRAME_BEGIN,
    FRAME_CHUNK,
    FRAME_DONE,
    FRAME_FAILED,
    FRAME_TAKEN,
    encode_frame,
    join_frame,
)
from raftly.transport.handshake import TEXT_BYTES_MAX

BEGIN_BYTES_MAX: Final = 1 << 20
CHUNK_HEADER_BYTES: Final = 8
ID_BYTES_MAX: Final = 64

_INLINE: Final = 1
_BEGIN: Final = struct.Struct("<QQBB")
_OFFSET: Final = struct.Struct("<Q")
_TAKEN: Final = struct.Struct("<QI")


class SnapshotSource(Protocol):
    """The bytes of a snapshot, to be read from any offset, more than once."""

    @property
    def id(self) -> bytes:
        """At most ID_BYTES_MAX bytes that no snapshot with other bytes has; a transfer goes on by it."""
        ...

    @property
    def size(self) -> int:
        """Bytes."""
        ...

    def chunks(self, offset: int, chunk_bytes: int) -> AsyncGenerator[bytes, None]:
        """What lies behind `offset`, in order, in pieces of 1 to `chunk_bytes` bytes.

        Raises:
            RaftlyError, OSError: it cannot be read; the transfer fails.
        """
        ...


@final
@dataclass(frozen=True, slots=True)
class Begin:
    """The head of a transfer."""

    group: int
    size: int
    inline: bool
    id: bytes
    message: MsgSnap

    def encode(self) -> bytes:
        """The whole frame.

        Raises:
            LimitExceeded: what the message carries does not fit: large state belongs into the chunks.
        """
        if len(self.id) > ID_BYTES_MAX:
            raise LimitExceeded("bytes of a snapshot's id", len(self.id), ID_BYTES_MAX)
        head = _BEGIN.pack(self.group, self.size, self.inline, len(self.id))
        body = b"".join((head, self.id, encode_messages([self.message])))
        if len(body) > BEGIN_BYTES_MAX:
            raise LimitExceeded("bytes of a snapshot's head", len(body), BEGIN_BYTES_MAX)
        return encode_frame(FRAME_BEGIN, body)


def decode_begin(buf: bytes, start: int, stop: int) -> Begin:
    """The body of a BEGIN.

    Raises:
        DecodeError: truncated, unknown flags, or not with one MsgSnap.
    """
    at = start + _BEGIN.size
    if at > stop:
        raise DecodeError("snapshot head", start, "it is too short")
    group, size, flags, id_bytes = _BEGIN.unpack_from(buf, start)
    if flags & ~_INLINE or id_bytes > min(ID_BYTES_MAX, stop - at):
        raise DecodeError("snapshot head", start, f"flags {flags:#x} or an id of {id_bytes} bytes cannot be")
    messages = decode_messages(buf, at + id_bytes, stop)
    if len(messages) != 1 or not isinstance(messages[0], MsgSnap):
        raise DecodeError("snapshot head", at, "it does not carry one MsgSnap")
    return Begin(group, size, bool(flags & _INLINE), buf[at : at + id_bytes], messages[0])


class Incoming(Protocol):
    """A snapshot that a node offers. Its taker reads `chunks`, once; or not at all if it has it already."""

    @property
    def from_(self) -> NodeId:
        """The node."""
        ...

    @property
    def begin(self) -> Begin:
        """Group, size, id, message."""
        ...

    @property
    def resumable(self) -> bool:
        """May `chunks` start anywhere but at 0?"""
        ...

    def chunks(self, offset: int = 0) -> AsyncGenerator[bytes, None]:
        """The bytes from `offset` to the end, in order. Asking for the next says that the last was dealt with.

        What is read is not checked as a whole: check it before it is used.

        Raises:
            TransferFailed: the connection broke; what was read stays good, and another transfer with the same
                `begin.id` may go on from there.
        """
        ...


SnapshotTaker: TypeAlias = Callable[[Incoming], Awaitable[None]]
"""Keeps a snapshot: returns when it is safe and its message has been handed on, or raises a RaftlyError or OSError,
whose text the sender is told."""


def encode_chunk(offset: int, data: bytes) -> bytes:
    """A CHUNK frame."""
    return join_frame(FRAME_CHUNK, [_OFFSET.pack(offset), data])


def decode_chunk(buf: bytes, start: int, stop: int) -> tuple[int, bytes]:
    """Offset and bytes of a CHUNK's body.

    Raises:
        DecodeError: no bytes in it.
    """
    if stop - start <= CHUNK_HEADER_BYTES:
        raise DecodeError("snapshot chunk", start, "it carries nothing")
    return int(_OFFSET.unpack_from(buf, start)[0]), buf[start + CHUNK_HEADER_BYTES : stop]


def encode_taken(offset: int, window: int) -> bytes:
    """A TAKEN frame."""
    return encode_frame(FRAME_TAKEN, _TAKEN.pack(offset, window))


def decode_taken(buf: bytes, start: int, stop: int) -> tuple[int, int]:
    """Offset and window of a TAKEN's body.

    Raises:
        DecodeError: not of its size, or no window.
    """
    if stop - start != _TAKEN.size:
        raise DecodeError("snapshot answer", start, f"{stop - start} bytes instead of {_TAKEN.size}")
    offset, window = _TAKEN.unpack_from(buf, start)
    if window == 0:
        raise DecodeError("snapshot answer", start, "a window of nothing")
    return offset, window


def encode_done() -> bytes:
    """A DONE frame."""
    return encode_frame(FRAME_DONE, b"")


def encode_failed(text: str) -> bytes:
    """A FAILED frame."""
    return encode_frame(FRAME_FAILED, text.encode()[:TEXT_BYTES_MAX])
