"""Status codes and the one error a call can end with.

Source: grpc/grpc doc/statuscodes.md; the mapping of HTTP/2 errors and HTTP statuses: doc/PROTOCOL-HTTP2.md and
doc/http-grpc-status-mapping.md.
"""

from __future__ import annotations

from enum import IntEnum
from typing import ClassVar, Final

from raftly.errors import RaftlyError, Retry
from raftly.rpc.grpc.metadata import Metadata
from raftly.rpc.h2.frames import ErrorCode

__all__ = ["RpcError", "StatusCode", "status_of_http", "status_of_reset"]


class StatusCode(IntEnum):
    """How a call ended."""

    OK = 0
    CANCELLED = 1
    UNKNOWN = 2
    INVALID_ARGUMENT = 3
    DEADLINE_EXCEEDED = 4
    NOT_FOUND = 5
    ALREADY_EXISTS = 6
    PERMISSION_DENIED = 7
    RESOURCE_EXHAUSTED = 8
    FAILED_PRECONDITION = 9
    ABORTED = 10
    OUT_OF_RANGE = 11
    UNIMPLEMENTED = 12
    INTERNAL = 13
    UNAVAILABLE = 14
    DATA_LOSS = 15
    UNAUTHENTICATED = 16

    @classmethod
    def of(cls, number: int) -> StatusCode:
        """The code for a number from the wire; an unknown one is UNKNOWN."""
        return cls(number) if 0 <= number <= 16 else cls.UNKNOWN


class RpcError(RaftlyError):
    """A call that did not end with OK. A handler raises it to choose the status; a client gets it.

    `details` is a serialized google.rpc.Status, or None. `trailers` is the metadata that came or goes with the status.
    `maybe_processed` is False only when the server certainly did nothing: such a call is safe to repeat.
    """

    code: ClassVar[str] = "rpc"

    def __init__(
        self,
        status: StatusCode,
        message: str = "",
        *,
        details: bytes | None = None,
        trailers: Metadata = (),
        maybe_processed: bool = True,
    ) -> None:
        super().__init__(status, message)
        self.status: Final = status
        self.message: Final = message
        self.details: Final = details
        self.trailers: Final = trailers
        self.maybe_processed: Final = maybe_processed

    @property
    def retry(self) -> Retry:  # type: ignore[override]  # by status here, by class elsewhere
        """BACKOFF for the statuses that gRPC calls transient, NEVER otherwise."""
        transient = self.status in (StatusCode.UNAVAILABLE, StatusCode.RESOURCE_EXHAUSTED, StatusCode.ABORTED)
        return Retry.BACKOFF if transient or not self.maybe_processed else Retry.NEVER

    def __str__(self) -> str:
        return f"{self.status.name}: {self.message}" if self.message else self.status.name


_OF_RESET: Final = {
    ErrorCode.REFUSED_STREAM: StatusCode.UNAVAILABLE,
    ErrorCode.CANCEL: StatusCode.CANCELLED,
    ErrorCode.ENHANCE_YOUR_CALM: StatusCode.RESOURCE_EXHAUSTED,
    ErrorCode.INADEQUATE_SECURITY: StatusCode.PERMISSION_DENIED,
}


def status_of_reset(code: ErrorCode) -> StatusCode:
    """Status of a stream that was reset with `code`."""
    return _OF_RESET.get(code, StatusCode.INTERNAL)


_OF_HTTP: Final = {
    400: StatusCode.INTERNAL,
    401: StatusCode.UNAUTHENTICATED,
    403: StatusCode.PERMISSION_DENIED,
    404: StatusCode.UNIMPLEMENTED,
    429: StatusCode.UNAVAILABLE,
    502: StatusCode.UNAVAILABLE,
    503: StatusCode.UNAVAILABLE,
    504: StatusCode.UNAVAILABLE,
}


def status_of_http(status: int) -> StatusCode:
    """Status of a response that is not gRPC at all."""
    return _OF_HTTP.get(status, StatusCode.UNKNOWN)
