"""What can go wrong with a replicated class, besides what `raftly.errors` names for all layers."""

from __future__ import annotations

from typing import ClassVar, Final

from raftly.errors import ConfChangeError, LimitExceeded, RaftlyError, Retry


class ValueTypeError(RaftlyError):
    """A value that commands cannot carry, or that is not of the annotated type."""

    code: ClassVar[str] = "value_type"


class UnknownCommand(RaftlyError):
    """No method of this name is a command (or a query). Nothing was proposed."""

    code: ClassVar[str] = "unknown_command"


class SessionExpired(RaftlyError):
    """The session was closed or expired by log time: whether calls of it still in flight were applied is unknown."""

    code: ClassVar[str] = "session_expired"


class MachineFailed(RaftlyError):
    """This replica could not go on as the others do: a bug of the class, or an older version of it. It stopped."""

    code: ClassVar[str] = "machine_failed"


class Diverged(RaftlyError):
    """The state here is not what other replicas had at the same index. This one does not serve."""

    code: ClassVar[str] = "diverged"
    retry: ClassVar[Retry] = Retry.REFRESH_ROUTE

    def __init__(self, index: int, own: int, other: int, witness: int, verdict: str = "") -> None:
        super().__init__(index, own, other, witness, verdict)
        self.index: Final = index  # at which they were compared
        self.own: Final = own  # digests
        self.other: Final = other
        self.witness: Final = witness  # who has the other
        self.verdict: Final = verdict  # empty as long as it is open which is right

    def final(self, verdict: str) -> Diverged:
        """The same, and known to be this replica's fault."""
        return Diverged(self.index, self.own, self.other, self.witness, verdict)

    def __str__(self) -> str:
        known = f"the state at entry {self.index} is {self.own:08x} here and {self.other:08x} at node {self.witness}"
        if not self.verdict:
            return f"{known}; this replica does not serve until the others have said what they have"
        return (
            f"{known}, {self.verdict}: this replica parted from the others and stopped; remove its node from the "
            "group, add a new one with another id, and look for what in the class is not deterministic"
        )


class SnapshotFailed(RaftlyError):
    """The class's own `snapshot` or `restore` failed. The node goes on; its log grows until a snapshot can be made."""

    code: ClassVar[str] = "snapshot_failed"


class Busy(LimitExceeded):
    """As many calls are in flight as this node takes; nothing was proposed. Wait a little, then call again."""

    code: ClassVar[str] = "busy"
    retry: ClassVar[Retry] = Retry.BACKOFF


class ReadTimeout(RaftlyError):
    """No leader confirmed a read in time, so the freshness that was asked for cannot be given."""

    code: ClassVar[str] = "read_timeout"
    retry: ClassVar[Retry] = Retry.BACKOFF


class LeaseNotHeld(RaftlyError):
    """This leader holds no lease now; a strong read would ask the others."""

    code: ClassVar[str] = "lease_not_held"
    retry: ClassVar[Retry] = Retry.BACKOFF


class RemoteFailed(RaftlyError):
    """A node answered with an error that has no form for callers elsewhere; it says what that node said."""

    code: ClassVar[str] = "remote_failed"


class NoNodeReached(RaftlyError):
    """No node could be connected to in time. Nothing was sent."""

    code: ClassVar[str] = "no_node_reached"
    retry: ClassVar[Retry] = Retry.BACKOFF


class NodeStopped(RaftlyError):
    """This node was stopped, or is stopping; another one may answer."""

    code: ClassVar[str] = "node_stopped"
    retry: ClassVar[Retry] = Retry.REFRESH_ROUTE


class ChangePending(ConfChangeError):
    """Another change of members is under way; nothing was proposed. Wait until it is through, then call again."""

    code: ClassVar[str] = "change_pending"
    retry: ClassVar[Retry] = Retry.BACKOFF


class QuorumAtRisk(ConfChangeError):
    """The change would leave a group whose majority cannot be reached; nothing was proposed. `force` does it anyway."""

    code: ClassVar[str] = "quorum_at_risk"
    retry: ClassVar[Retry] = Retry.BACKOFF


class LearnerBehind(ConfChangeError):
    """A learner did not catch up in time; it remains a learner. Once it does, call again."""

    code: ClassVar[str] = "learner_behind"
    retry: ClassVar[Retry] = Retry.BACKOFF


class IdRetired(ConfChangeError):
    """A node of this id was removed. Ids are not used again: give the new node another one."""

    code: ClassVar[str] = "id_retired"


class Removed(RaftlyError):
    """This node was removed from its group; the others answer. Its directory is of no more use."""

    code: ClassVar[str] = "removed"
    retry: ClassVar[Retry] = Retry.REFRESH_ROUTE
    sentence: ClassVar[str] = "this node was removed from its group: stop it, and delete its directory"
