"""What the owner of a driver decides: its timing, and, where it has many groups, what the driver asks it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol, final

from raftly.base.types import NodeId
from raftly.core.messages import Message
from raftly.errors import RaftlyError
from raftly.node.group import Group
from raftly.node.lease_clock import LeaseClock
from raftly.node.telling import TELL_S


@final
@dataclass(frozen=True, slots=True)
class DriverOptions:
    """Timing of a driver. Seconds."""

    tick_interval: float = 0.1
    clock: LeaseClock | None = None
    """Two ticks are never closer by it than the interval; by default that of `lease_clock_of`."""
    disk_full_retry: float = 0.5
    """Between two attempts to write to a full disk."""
    stop_timeout: float = 5.0
    """A disk that does not answer is not waited for any longer."""
    tell: float = TELL_S
    """A commit that no append has told followers of for so long is told to them alone."""


class GroupsOwner(Protocol):
    """Who has many groups that come and go. Called inside rounds, so quick."""

    def on_unknown(self, from_: NodeId, group: int, messages: list[Message]) -> None:
        """Messages came for a group, or for a raft id in it, that is not here."""
        ...

    def on_stranger(self, group: Group, from_: NodeId, message: Message) -> None:
        """A request came from a raft id that is no member as far as is known here; the core gets it too."""
        ...

    def on_round(self) -> RaftlyError | None:
        """Every group that had something to do was visited. An error ends everything, as that of a broken disk."""
        ...
