"""Why the placement driver refuses a request."""

from __future__ import annotations

from typing import ClassVar, final

from raftly.errors import RaftlyError, Retry


@final
class Refused(RaftlyError):
    """The request contradicts what the cluster has decided. `kind` is the name of a pdpb.ErrorType."""

    code: ClassVar[str] = "placement_refused"

    def __init__(self, kind: str, why: str) -> None:
        super().__init__(kind, why)

    @property
    def kind(self) -> str:
        """For programs."""
        return str(self.args[0])

    def __str__(self) -> str:
        return str(self.args[1])


@final
class NotReady(RaftlyError):
    """This leader cannot answer yet; it can a moment later."""

    code: ClassVar[str] = "placement_not_ready"
    retry: ClassVar[Retry] = Retry.BACKOFF
    sentence: ClassVar[str] = "the placement driver cannot answer yet"
