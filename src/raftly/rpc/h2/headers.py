"""Header blocks: a decoder that remembers whole blocks, an encoder that keeps no state, and the rules of RFC 9113 §8.

Decoding goes through the `hpack` library. A client repeats itself: once its header fields are in the dynamic table, the
next call of the same method is the same block, byte for byte. Such a block means the same as long as the table stays as
it was, so the answer is kept and dropped the moment any block changes the table.

Encoding uses the static table and literals without indexing, so a block is the same bytes on every connection and
can be made once. The first block of a connection says so to the peer with a table size of 0 (RFC 7541 §4.2, §6.3).
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from enum import Enum
from typing import Final, final

from hpack import HPACKError, OversizedHeaderListError
from hpack.hpack import Decoder
from hpack.table import HeaderTable

from raftly.rpc.h2.errors import ConnectionFault
from raftly.rpc.h2.frames import END_HEADERS, END_STREAM, HEADERS, ErrorCode

__all__ = ["EMPTY_TABLE", "BlockDecoder", "Field", "HeaderBlock", "OutBlock", "Shape", "encode_block"]

Field = tuple[bytes, bytes]

EMPTY_TABLE: Final = b"\x20"  # "dynamic table size 0", sent before our first block
_CACHED_BLOCKS_MAX: Final = 256
_CACHED_BLOCK_BYTES_MAX: Final = 2048

_NAME: Final = re.compile(rb":?[!#$%&'*+\-.^_`|~0-9a-z]+")
_VALUE: Final = re.compile(rb"(?:[!-~\x80-\xff](?:[\t !-~\x80-\xff]*[!-~\x80-\xff])?)?")
_CONNECTION_SPECIFIC: Final = frozenset(
    {b"connection", b"proxy-connection", b"keep-alive", b"transfer-encoding", b"upgrade"}
)
_REQUEST_PSEUDO: Final = frozenset({b":method", b":scheme", b":path", b":authority"})


class Shape(Enum):
    """What a well-formed header block can be used as."""

    REQUEST = "request"
    RESPONSE = "response"
    TRAILERS = "trailers"
    MALFORMED = "malformed"


@final
class HeaderBlock:
    """One decoded header block. Shared between streams that sent the same bytes: never changed after decoding."""

    __slots__ = ("content_length", "fields", "list_bytes", "parsed", "problem", "shape")

    def __init__(self, fields: list[Field]) -> None:
        self.fields = fields
        self.list_bytes = sum(len(name) + len(value) + 32 for name, value in fields)  # RFC 9113 §6.5.2
        self.parsed: object = None  # what the layer above made of it, kept with it
        self.content_length = -1  # -1: not declared
        self.shape, self.problem = self._classify()

    def get(self, name: bytes) -> bytes | None:
        """First value of a field, None when absent."""
        for field_name, value in self.fields:
            if field_name == name:
                return value
        return None

    def _classify(self) -> tuple[Shape, str]:
        """Shape by the pseudo-header fields, or why the block is malformed. RFC 9113 §8.2, §8.3."""
        pseudo: set[bytes] = set()
        regular = False
        for name, value in self.fields:
            if not _NAME.fullmatch(name):
                return Shape.MALFORMED, f"field name {name[:40]!r} is not allowed"
            if not _VALUE.fullmatch(value):
                return Shape.MALFORMED, f"the value of field {name[:40]!r} has a forbidden byte"
            if name[0] == 0x3A:
                if regular:
                    return Shape.MALFORMED, f"pseudo-header field {name!r} after a regular one"
                if name in pseudo:
                    return Shape.MALFORMED, f"pseudo-header field {name!r} twice"
                pseudo.add(name)
                continue
            regular = True
            problem = self._regular_problem(name, value)
            if problem:
                return Shape.MALFORMED, problem
        return self._shape_of(pseudo)

    def _regular_problem(self, name: bytes, value: bytes) -> str:
        if name in _CONNECTION_SPECIFIC:
            return f"connection-specific field {name!r}"
        if name == b"te" and value != b"trailers":
            return "field b'te' is not 'trailers'"
        if name == b"content-length":
            if not value.isdigit() or len(value) > 18:
                return "field b'content-length' is not a length"
            if self.content_length not in (-1, int(value)):
                return "field b'content-length' twice, with different lengths"
            self.content_length = int(value)
        return ""

    def _shape_of(self, pseudo: set[bytes]) -> tuple[Shape, str]:
        if not pseudo:
            return Shape.TRAILERS, ""
        if pseudo == {b":status"}:
            status = self.fields[0][1]
            if len(status) != 3 or not status.isdigit():
                return Shape.MALFORMED, "field b':status' is not three digits"
            return Shape.RESPONSE, ""
        if not pseudo <= _REQUEST_PSEUDO:
            return Shape.MALFORMED, "unknown or misplaced pseudo-header field"
        if self.get(b":method") == b"CONNECT" and pseudo == {b":method", b":authority"}:
            return Shape.REQUEST, ""
        if not {b":method", b":scheme", b":path"} <= pseudo or not self.get(b":path"):
            return Shape.MALFORMED, "a request needs :method, :scheme and a :path that is not empty"
        return Shape.REQUEST, ""


class _WatchedTable(HeaderTable):
    """The dynamic table, counting its changes."""

    def __init__(self) -> None:
        super().__init__()
        self.changes = 0

    def add(self, name: bytes, value: bytes) -> None:
        self.changes += 1
        super().add(name, value)


@final
class BlockDecoder:
    """Decodes the header blocks of one connection, in order. A repeated block costs one look-up."""

    __slots__ = ("_cache", "_changes", "_decoder", "_table")

    def __init__(self, list_bytes_max: int) -> None:
        self._decoder = Decoder(max_header_list_size=list_bytes_max)
        self._table = _WatchedTable()
        self._decoder.header_table = self._table
        self._cache: dict[bytes, HeaderBlock] = {}
        self._changes = 0

    def decode(self, block: bytes) -> HeaderBlock:
        """The header list of `block`. Raises ConnectionFault: after an error the table, so the connection, is lost."""
        known = self._cache.get(block)
        if known is not None:
            return known
        try:
            fields = [(bytes(name), bytes(value)) for name, value in self._decoder.decode(block, raw=True)]
        except OversizedHeaderListError as error:
            raise ConnectionFault(
                ErrorCode.ENHANCE_YOUR_CALM, "header list larger than four times the limit"
            ) from error
        except (HPACKError, IndexError, ValueError) as error:
            # The library's text may show memory addresses, and this goes to the peer.
            problem = f"header block does not decode: {type(error).__name__}"
            raise ConnectionFault(ErrorCode.COMPRESSION_ERROR, problem) from error
        decoded = HeaderBlock(fields)
        resized = bool(block) and block[0] & 0xE0 == 0x20  # size updates stand only at the start of a block
        if resized or self._table.changes != self._changes:
            self._changes = self._table.changes
            self._cache.clear()
        elif len(block) <= _CACHED_BLOCK_BYTES_MAX:
            if len(self._cache) >= _CACHED_BLOCKS_MAX:
                self._cache.clear()
            self._cache[block] = decoded
        return decoded


@final
class OutBlock:
    """An encoded header block with the first five bytes of its HEADERS frame, made once and sent often."""

    __slots__ = ("block", "list_bytes", "start", "start_end")

    def __init__(self, block: bytes, list_bytes: int) -> None:
        self.block = block
        self.list_bytes = list_bytes
        size = len(block).to_bytes(3, "big")
        self.start = size + bytes((HEADERS, END_HEADERS))  # the stream goes on
        self.start_end = size + bytes((HEADERS, END_HEADERS | END_STREAM))  # and this ends our half


def _integer(value: int, prefix_bits: int, first: int) -> bytes:
    """RFC 7541 §5.1."""
    top = (1 << prefix_bits) - 1
    if value < top:
        return bytes((first | value,))
    out = bytearray((first | top,))
    value -= top
    while value >= 0x80:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def encode_block(fields: Iterable[Field]) -> OutBlock:
    """Encode without the dynamic table: static entries by index, everything else a literal without indexing.

    Bytes go as they are, not Huffman-coded: these blocks are short, and decoding them should be cheap too.
    """
    out: list[bytes] = []
    list_bytes = 0
    for name, value in fields:
        list_bytes += len(name) + len(value) + 32
        static = HeaderTable.STATIC_TABLE_MAPPING.get(name)
        if static is not None:
            exact = static[1].get(value)
            if exact is not None:
                out.append(_integer(exact, 7, 0x80))
                continue
            out.append(_integer(static[0], 4, 0x00))
        else:
            out.append(b"\x00" + _integer(len(name), 7, 0x00) + name)
        out.append(_integer(len(value), 7, 0x00) + value)
    return OutBlock(b"".join(out), list_bytes)
