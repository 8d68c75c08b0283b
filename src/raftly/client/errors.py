"""What a client raises besides OutcomeUnknown, LimitExceeded and ConfigError."""

from __future__ import annotations

from typing import ClassVar, Final, final

from raftly.base.region_errors import RegionError
from raftly.errors import RaftlyError, Retry

__all__ = ["ClientClosed", "ClientError", "NotDone", "PlacementRefused", "RequestRefused", "UndeterminedResult"]


class ClientError(RaftlyError):
    """A request that a client was given was not done."""

    code: ClassVar[str] = "client"


@final
class NotDone(ClientError):
    """The time for a request is over, and it certainly changed nothing. `cause` is what stood in its way at last."""

    code: ClassVar[str] = "client_not_done"
    retry: ClassVar[Retry] = Retry.BACKOFF

    def __init__(self, what: str, cause: str) -> None:
        super().__init__(what, cause)
        self.what: Final = what
        self.cause: Final = cause

    def __str__(self) -> str:
        return f"{self.what} was not done in time: {self.cause}"


@final
class RequestRefused(ClientError):
    """A store understood the request and does not do it; again it would refuse it again."""

    code: ClassVar[str] = "client_refused"

    def __init__(self, what: str, problem: str) -> None:
        super().__init__(what, problem)
        self.what: Final = what
        self.problem: Final = problem

    def __str__(self) -> str:
        return f"{self.what} was refused: {self.problem}"


@final
class PlacementRefused(ClientError):
    """The placement driver answered with an error; `kind` is its name in pdpb.ErrorType."""

    code: ClassVar[str] = "placement_refused"

    def __init__(self, kind: str, problem: str) -> None:
        super().__init__(kind, problem)
        self.kind: Final = kind
        self.problem: Final = problem

    def __str__(self) -> str:
        return f"the placement driver says {self.kind}: {self.problem}"


@final
class ClientClosed(ClientError):
    """The client was closed."""

    code: ClassVar[str] = "client_closed"
    sentence: ClassVar[str] = "this client is closed"


@final
class UndeterminedResult(RegionError):
    """A store lost sight of the command: it may or may not have been applied."""

    code: ClassVar[str] = "undetermined_result"
    retry: ClassVar[Retry] = Retry.BACKOFF
    sentence: ClassVar[str] = "the store does not know whether the command was applied"
