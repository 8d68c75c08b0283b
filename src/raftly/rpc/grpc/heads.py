"""Heads and trailers of calls as header blocks, both ways, each parsed or built once and kept.

A request is POST, `application/grpc`, with path `/package.Service/Method`. A response is a head with `:status` 200, its
messages, and trailers with `grpc-status`; when there is nothing but a status, head and trailers are one block
("trailers-only"). Source: grpc/grpc doc/PROTOCOL-HTTP2.md.
"""

from __future__ import annotations

from binascii import Error as Base64Error
from collections.abc import Iterable
from functools import lru_cache
from typing import Final, final
from urllib.parse import quote_from_bytes, unquote_to_bytes

from raftly.rpc.grpc.metadata import Metadata, decode_binary, decode_metadata, encode_metadata
from raftly.rpc.grpc.status import RpcError, StatusCode, status_of_http
from raftly.rpc.grpc.timeout import decode_timeout, encode_timeout
from raftly.rpc.h2.headers import Field, HeaderBlock, OutBlock, encode_block

__all__ = [
    "OK_TRAILERS",
    "RESPONSE_HEAD",
    "Outcome",
    "RequestHead",
    "http_response",
    "outcome_of",
    "request_block",
    "response_block",
    "response_encoding",
    "trailers_block",
    "trailers_only",
]

_ENCODINGS: Final = frozenset((b"", b"identity", b"gzip"))  # that we take; empty: none is named
_ACCEPT: Final = (b"grpc-accept-encoding", b"identity,gzip")
_CONTENT_TYPE: Final = (b"content-type", b"application/grpc")
_STATUS_OK: Final = (b":status", b"200")
_MESSAGE_SAFE: Final = "".join(chr(c) for c in range(0x20, 0x7F) if c != 0x25)  # grpc-message escapes the rest
_MESSAGE_BYTES_MAX: Final = 2048


@final
class RequestHead:
    """What a server needs of a request's head. Shared between calls that sent the same block; never changed.

    `problem` is not None for a call that is answered without a handler; `http_status` is 200 unless it is not gRPC.
    """

    __slots__ = (
        "_fields",
        "_metadata",
        "accepts_gzip",
        "authority",
        "encoding",
        "http_status",
        "path",
        "problem",
        "refused",
        "timeout_s",
    )

    def __init__(self, block: HeaderBlock) -> None:
        self.path = b""
        self.authority = b""
        self.encoding = b""
        self.accepts_gzip = False
        self.timeout_s: float | None = None
        self.http_status = 200
        self.problem: RpcError | None = None
        self._fields = block.fields
        self._metadata: Metadata | None = None
        content_type = b""
        method = b""
        for name, value in block.fields:
            if name == b":path":
                self.path = value
            elif name == b":method":
                method = value
            elif name == b":authority":
                self.authority = value
            elif name == b"content-type":
                content_type = value
            elif name == b"grpc-encoding":
                self.encoding = value
            elif name == b"grpc-accept-encoding":
                self.accepts_gzip = b"gzip" in [part.strip() for part in value.split(b",")]
            elif name == b"grpc-timeout":
                try:
                    self.timeout_s = decode_timeout(value)
                except ValueError as error:
                    self.problem = RpcError(StatusCode.INTERNAL, str(error))
        if content_type != b"application/grpc" and not content_type.startswith(
            (b"application/grpc+", b"application/grpc;")
        ):
            self.http_status = 415
        elif method != b"POST":
            self.http_status = 405
        elif self.encoding not in _ENCODINGS and self.problem is None:
            self.problem = RpcError(StatusCode.UNIMPLEMENTED, f"grpc-encoding {self.encoding[:40]!r} is not supported")
        self.refused = self.problem is not None or self.http_status != 200  # answered without a handler

    @property
    def metadata(self) -> Metadata:
        """Custom metadata, decoded when first asked for."""
        if self._metadata is None:
            self._metadata = decode_metadata(self._fields)
        return self._metadata


# --- server: responses -----------------------------------------------------------------------------------------------


def response_block(metadata: Iterable[tuple[str, str | bytes]] = (), *, gzip: bool = False) -> OutBlock:
    """Head of a response that will carry messages. Raises ConfigError on metadata that cannot be sent."""
    fields: list[Field] = [_STATUS_OK, _CONTENT_TYPE, _ACCEPT]
    if gzip:
        fields.append((b"grpc-encoding", b"gzip"))
    return encode_block(fields + encode_metadata(metadata))


RESPONSE_HEAD: Final = encode_block([_STATUS_OK, _CONTENT_TYPE])
_ok_fields: Final[list[Field]] = [(b"grpc-status", b"0")]
OK_TRAILERS: Final = encode_block(_ok_fields)


def trailers_block(error: RpcError | None, metadata: Iterable[tuple[str, str | bytes]] = ()) -> OutBlock:
    """Trailers with the status of `error`, OK for None. Raises ConfigError on metadata that cannot be sent."""
    return encode_block(_status_fields(error) + encode_metadata(metadata))


def trailers_only(error: RpcError, metadata: Iterable[tuple[str, str | bytes]] = ()) -> OutBlock:
    """A whole response without messages."""
    return encode_block([_STATUS_OK, _CONTENT_TYPE, _ACCEPT, *_status_fields(error), *encode_metadata(metadata)])


def http_response(status: int, body: bytes) -> OutBlock:
    """Head of an answer to something that is not gRPC; `body` follows as text."""
    return encode_block(
        [
            (b":status", b"%d" % status),
            (b"content-type", b"text/plain; charset=utf-8"),
            (b"content-length", b"%d" % len(body)),
        ]
    )


def _status_fields(error: RpcError | None) -> list[Field]:
    if error is None:
        return _ok_fields
    fields: list[Field] = [(b"grpc-status", b"%d" % error.status)]
    if error.message:
        fields.append((b"grpc-message", _escape(error.message.encode("utf-8", "replace")[:_MESSAGE_BYTES_MAX])))
    if error.details is not None:
        fields += [(b"grpc-status-details-bin", _binary(error.details))]
    return fields


def _escape(message: bytes) -> bytes:
    """Percent-encoding of what a header field cannot hold; spaces at its ends would be cut off on the way."""
    core = message.strip(b" ")
    before = message.index(core)
    escaped = quote_from_bytes(core, safe=_MESSAGE_SAFE).encode()
    return b"%20" * before + escaped + b"%20" * (len(message) - before - len(core))


def _binary(value: bytes) -> bytes:
    return encode_metadata([("x-bin", value)])[0][1]


# --- client: requests ------------------------------------------------------------------------------------------------


@lru_cache(maxsize=1024)
def _request_prefix(path: bytes, authority: bytes, scheme: bytes, user_agent: bytes, encoding: bytes) -> OutBlock:
    fields: list[Field] = [
        (b":method", b"POST"),
        (b":scheme", scheme),
        (b":path", path),
        (b":authority", authority),
        (b"te", b"trailers"),
        _CONTENT_TYPE,
        (b"user-agent", user_agent),
        _ACCEPT,
    ]
    if encoding:
        fields.append((b"grpc-encoding", encoding))
    return encode_block(fields)


def request_block(
    path: bytes,
    authority: bytes,
    scheme: bytes,
    user_agent: bytes,
    encoding: bytes = b"",
    timeout_s: float | None = None,
    metadata: Metadata = (),
) -> OutBlock:
    """Head of a request. Raises ConfigError on metadata that cannot be sent."""
    prefix = _request_prefix(path, authority, scheme, user_agent, encoding)
    fields: list[Field] = []
    if timeout_s is not None:
        fields.append((b"grpc-timeout", encode_timeout(timeout_s)))
    fields += encode_metadata(metadata)
    if not fields:
        return prefix
    rest = encode_block(fields)
    return OutBlock(prefix.block + rest.block, prefix.list_bytes + rest.list_bytes)


def response_encoding(block: HeaderBlock) -> bytes:
    """Message encoding of a response head, kept with the block.

    Raises RpcError when the response is not gRPC or its encoding is unknown.
    """
    if isinstance(block.parsed, bytes):
        return block.parsed
    status = int(block.get(b":status") or b"0")
    content_type = block.get(b"content-type") or b""
    if status != 200:
        raise RpcError(status_of_http(status), f"HTTP status {status}, not a gRPC response")
    if not content_type.startswith(b"application/grpc"):
        raise RpcError(StatusCode.UNKNOWN, f"content-type {content_type[:60]!r}, not a gRPC response")
    encoding = block.get(b"grpc-encoding") or b""
    if encoding not in _ENCODINGS:
        raise RpcError(StatusCode.INTERNAL, f"grpc-encoding {encoding[:40]!r} is not supported")
    block.parsed = encoding
    return encoding


@final
class Outcome:
    """Status and metadata in trailers. `error` builds a new exception each time, for each call raises its own."""

    __slots__ = ("details", "message", "metadata", "status")

    def __init__(self, status: StatusCode, message: str, details: bytes | None, metadata: Metadata) -> None:
        self.status = status
        self.message = message
        self.details = details
        self.metadata = metadata

    def error(self) -> RpcError | None:
        """None for OK."""
        if self.status is StatusCode.OK:
            return None
        return RpcError(self.status, self.message, details=self.details, trailers=self.metadata)


def outcome_of(block: HeaderBlock) -> Outcome:
    """What trailers say, kept with the block."""
    parsed = block.parsed
    if parsed.__class__ is not Outcome:
        parsed = block.parsed = _read_outcome(block)
    assert isinstance(parsed, Outcome)
    return parsed


def _read_outcome(block: HeaderBlock) -> Outcome:
    metadata = decode_metadata(block.fields)
    status = block.get(b"grpc-status")
    if status is None or not status.isdigit() or len(status) > 6:
        return Outcome(StatusCode.UNKNOWN, "the response ended without a status", None, metadata)
    details: bytes | None = None
    raw_details = block.get(b"grpc-status-details-bin")
    if raw_details is not None:
        try:
            details = decode_binary(raw_details)
        except Base64Error:
            details = None
    message = unquote_to_bytes(block.get(b"grpc-message") or b"").decode("utf-8", "replace")
    return Outcome(StatusCode.of(int(status)), message, details, metadata)
