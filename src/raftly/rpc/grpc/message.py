"""Messages in the bytes of a stream, plain or gzip.

    +----------------+----------------+------------------+
    | compressed (8) | length (32)    | length bytes     |   compressed: 0 or 1, the encoding is in the head
    +----------------+----------------+------------------+

Source: grpc/grpc doc/PROTOCOL-HTTP2.md, "Length-Prefixed-Message"; doc/compression.md.
"""

from __future__ import annotations

import gzip
import zlib
from typing import Final, final

from raftly.rpc.grpc.status import RpcError, StatusCode

__all__ = ["PREFIX_BYTES", "MessageReader", "decompress", "frame_message"]

PREFIX_BYTES: Final = 5
_GZIP_WBITS: Final = 31
_GZIP_LEVEL: Final = 1


def frame_message(payload: bytes, *, compressed: bool = False) -> bytes:
    """`payload` with its prefix, gzip-compressed when asked. It must be shorter than 4 GiB."""
    if compressed:
        payload = gzip.compress(payload, _GZIP_LEVEL, mtime=0)
        return b"\x01" + len(payload).to_bytes(4, "big") + payload
    return b"\x00" + len(payload).to_bytes(4, "big") + payload


def decompress(data: bytes, bytes_max: int) -> bytes:
    """Undo gzip. Raises RpcError: RESOURCE_EXHAUSTED past `bytes_max`, INTERNAL if damaged.

    Nothing larger than `bytes_max` is ever made.
    """
    decoder = zlib.decompressobj(_GZIP_WBITS)
    try:
        out = decoder.decompress(data, bytes_max + 1)
    except zlib.error as error:
        raise RpcError(StatusCode.INTERNAL, f"compressed message is damaged: {error}") from error
    if len(out) > bytes_max:
        raise RpcError(StatusCode.RESOURCE_EXHAUSTED, f"message decompresses to more than {bytes_max} bytes")
    if not decoder.eof or decoder.unused_data:
        raise RpcError(StatusCode.INTERNAL, "compressed message is cut short or followed by other bytes")
    return out


@final
class MessageReader:
    """Cuts a stream's bytes into messages, one at a time and only when asked, so what waits is bytes, not objects.

    Invariant: memory is the bytes fed and not yet taken; a peer's window and `message_bytes_max` bound those.
    """

    __slots__ = ("_buffer", "_bytes_max", "_compressed", "_need", "_problem", "encoding")

    def __init__(self, bytes_max: int, encoding: bytes) -> None:
        self.encoding = encoding  # of compressed messages; b"" or b"identity": there must be none
        self._buffer = bytearray()
        self._bytes_max = bytes_max
        self._need = -1  # length of the message in front; -1: its prefix is not whole
        self._compressed = False
        self._problem: RpcError | None = None  # of the prefix in front, found behind a message that is whole

    def feed(self, data: bytes) -> None:
        """Add bytes. Raises RpcError as soon as the prefix in front is wrong or over the limit."""
        self._buffer += data
        if self._need < 0 and self._problem is None:
            self._read_prefix()

    @property
    def ready(self) -> bool:
        """Whether `take` would give a message, or say what is wrong with the next one."""
        return self._problem is not None or 0 <= self._need <= len(self._buffer) - PREFIX_BYTES

    @property
    def buffered_bytes(self) -> int:
        """Fed and not taken; not 0 at the end of a stream means that its last message was cut."""
        return len(self._buffer)

    def take(self) -> bytes:
        """The next message, decompressed; only when `ready`. Raises RpcError for one that is wrong, in its turn."""
        if self._problem is not None:
            raise self._problem
        end = PREFIX_BYTES + self._need
        payload = bytes(memoryview(self._buffer)[PREFIX_BYTES:end])
        del self._buffer[:end]
        compressed = self._compressed
        self._need = -1
        try:
            self._read_prefix()
        except RpcError as problem:  # of the next message: this one is whole
            self._problem = problem
        return decompress(payload, self._bytes_max) if compressed else payload

    def _read_prefix(self) -> None:
        buffer = self._buffer
        if len(buffer) < PREFIX_BYTES:
            return
        flag = buffer[0]
        need = int.from_bytes(buffer[1:PREFIX_BYTES], "big")
        if need > self._bytes_max:
            raise RpcError(StatusCode.RESOURCE_EXHAUSTED, f"message of {need} bytes, the limit is {self._bytes_max}")
        if flag > 1:
            raise RpcError(StatusCode.INTERNAL, f"message flag {flag}, not 0 or 1")
        if flag and self.encoding != b"gzip":
            raise RpcError(StatusCode.INTERNAL, "compressed message without a message encoding")
        self._compressed = flag == 1
        self._need = need
