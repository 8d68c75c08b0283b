"""What a client's first bytes are: an HTTP/2 preface, HTTP/1, TLS, or something else.

A person with the wrong tool, or a probe, gets an answer that says what this port is.
"""

from __future__ import annotations

from enum import Enum
from typing import Final

from raftly.rpc.h2.frames import PREFACE

__all__ = ["HTTP1_ANSWER", "Opening", "classify"]

_METHODS: Final = (b"GET ", b"HEAD ", b"POST ", b"PUT ", b"DELETE ", b"CONNECT ", b"OPTIONS ", b"TRACE ", b"PATCH ")

_BODY: Final = b"This port speaks gRPC over HTTP/2. Use a gRPC client, or HTTP/2 with prior knowledge.\n"
HTTP1_ANSWER: Final = (
    b"HTTP/1.1 426 Upgrade Required\r\n"
    b"Upgrade: h2c\r\nConnection: Upgrade, close\r\nContent-Type: text/plain; charset=utf-8\r\n"
    b"Content-Length: %d\r\n\r\n%s" % (len(_BODY), _BODY)
)


class Opening(Enum):
    """The protocol a client opened with."""

    UNDECIDED = "too few bytes"
    HTTP2 = "HTTP/2"
    HTTP1 = "HTTP/1"
    TLS = "TLS on a plain-text port"
    UNKNOWN = "neither HTTP nor TLS"


def classify(data: bytes) -> Opening:
    """Decide by the bytes a connection starts with; more bytes never change a decision."""
    if data[: len(PREFACE)] == PREFACE[: len(data)]:
        return Opening.HTTP2 if len(data) >= len(PREFACE) else Opening.UNDECIDED
    if data[0] == 0x16:  # TLS record, handshake
        return Opening.TLS
    if data.startswith(_METHODS):
        return Opening.HTTP1
    if any(method.startswith(data) for method in _METHODS):
        return Opening.UNDECIDED
    return Opening.UNKNOWN
