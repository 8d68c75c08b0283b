"""A remote that broke HTTP/2: on one stream, or for the whole connection."""

from __future__ import annotations

from typing import ClassVar, Final

from raftly.errors import PeerError
from raftly.rpc.h2.frames import ErrorCode

__all__ = ["ConnectionFault", "StreamFault"]


class ConnectionFault(PeerError):
    """The connection cannot go on: GOAWAY is queued with `error_code`, then it closes. RFC 9113 §5.4.1."""

    code: ClassVar[str] = "http2_connection"

    def __init__(self, error_code: ErrorCode, problem: str) -> None:
        super().__init__(error_code, problem)
        self.error_code: Final = error_code
        self.problem: Final = problem

    def __str__(self) -> str:
        return f"{self.error_code.name}: {self.problem}"


class StreamFault(PeerError):
    """One stream is reset with `error_code`; the others go on. RFC 9113 §5.4.2."""

    code: ClassVar[str] = "http2_stream"

    def __init__(self, stream_id: int, error_code: ErrorCode, problem: str) -> None:
        super().__init__(stream_id, error_code, problem)
        self.stream_id: Final = stream_id
        self.error_code: Final = error_code
        self.problem: Final = problem

    def __str__(self) -> str:
        return f"stream {self.stream_id}: {self.error_code.name}: {self.problem}"
