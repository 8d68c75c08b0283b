"""Metadata: pairs of name and value; names that end in `-bin` carry bytes, all others printable ASCII text.

Source: grpc/grpc doc/PROTOCOL-HTTP2.md, "Custom-Metadata".
"""

from __future__ import annotations

import re
from base64 import b64decode, b64encode
from binascii import Error as Base64Error
from collections.abc import Iterable
from typing import Final

from raftly.errors import ConfigError
from raftly.rpc.h2.headers import Field

__all__ = ["Metadata", "decode_metadata", "encode_metadata"]

Metadata = tuple[tuple[str, str | bytes], ...]

_NAME: Final = re.compile(r"[0-9a-z_.\-]+")
_TEXT: Final = re.compile(r"[ -~]*")
_RESERVED: Final = frozenset({b"content-type", b"te", b"user-agent"})


def encode_metadata(metadata: Iterable[tuple[str, str | bytes]]) -> list[Field]:
    """Header fields for `metadata`. Raises ConfigError for a name or value that the wire cannot carry.

    Names are lower case and do not start with `grpc-`; a `-bin` name takes bytes, any other a printable ASCII str
    without space at either end.
    """
    fields: list[Field] = []
    for name, value in metadata:
        if not _NAME.fullmatch(name) or name.startswith("grpc-") or name.encode() in _RESERVED:
            raise ConfigError(f"metadata name {name!r}", "is not lower case, or is reserved")
        if name.endswith("-bin"):
            if not isinstance(value, bytes):
                raise ConfigError(f"metadata {name!r}", "ends in -bin and needs bytes")
            fields.append((name.encode(), b64encode(value).rstrip(b"=")))
        else:
            if not isinstance(value, str) or not _TEXT.fullmatch(value) or value != value.strip(" "):
                raise ConfigError(f"metadata {name!r}", "needs printable ASCII text without space at the ends")
            fields.append((name.encode(), value.encode()))
    return fields


def decode_metadata(fields: Iterable[Field]) -> Metadata:
    """Custom metadata of a header block, in order; what belongs to HTTP or gRPC itself is left out.

    A `-bin` value may hold several, separated by commas (RFC 9110 §5.3). One that is not base64 is left out.
    """
    metadata: list[tuple[str, str | bytes]] = []
    for name, value in fields:
        if name[:1] == b":" or name in _RESERVED or name.startswith(b"grpc-"):
            continue
        if not name.endswith(b"-bin"):
            metadata.append((name.decode("ascii"), value.decode("latin-1")))
            continue
        for part in value.split(b","):
            try:
                metadata.append((name.decode("ascii"), decode_binary(part)))
            except Base64Error:
                continue
    return tuple(metadata)


def decode_binary(value: bytes) -> bytes:
    """Base64 with or without its padding. Raises binascii.Error."""
    value = value.strip()
    return b64decode(value + b"=" * (-len(value) % 4), validate=True)
