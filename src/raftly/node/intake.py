"""Intake: calls on their way into the log of the replica that leads, taken or refused at once."""

from __future__ import annotations

from collections.abc import Callable, Sized
from typing import Final, Generic, TypeAlias, TypeVar, final

from raftly.core.role import Role
from raftly.errors import NotLeader
from raftly.node.commands import call_payload
from raftly.node.errors import Busy
from raftly.node.group import Group, Proposal, Waiter
from raftly.node.machine import StateMachine
from raftly.node.waiting import Waiting

T = TypeVar("T")
Make: TypeAlias = Callable[[int], bytes]  # a payload with this stamp

_LEADER: Final = Role.LEADER


@final
class Intake(Generic[T]):
    """Of one replica. `clock` is the log's, `now` the loop's time; `check` raises why no calls are taken any more."""

    __slots__ = ("_calls_max", "_check", "_clock", "_group", "_machine", "_now", "_waiting", "in_sessions")

    def __init__(
        self,
        group: Group,
        waiting: Waiting,
        machine: StateMachine[T],
        clock: Callable[[], float],
        now: Callable[[], float],
        check: Callable[[], None],
        calls_max: int,
    ) -> None:
        self._group = group
        self._waiting = waiting
        self._machine = machine
        self._clock = clock
        self._now = now
        self._check = check
        self._calls_max = calls_max
        self.in_sessions: Sized = ()  # calls of sessions that wait, which are counted too

    def count(self) -> int:
        """Calls that wait for their result here."""
        return len(self._waiting.places) + len(self._group.proposals) + len(self.in_sessions)

    def admit(self) -> None:
        """May another call come in?

        Raises:
            Busy: too many are in flight.
            RaftlyError: what `check` raises.
        """
        self._check()
        count = self.count()
        if count >= self._calls_max:
            raise Busy("calls_in_flight", count + 1, self._calls_max)

    def stamp(self) -> int:
        """Log time for an entry proposed here; 0 unless this node leads: the leader puts its own in."""
        if self._group.raw.raft.role is not _LEADER:
            return 0
        return max(int(self._clock() * 1e6), self._machine.now_us)

    def take(self, call: bytes, waiter: Waiter, within: float) -> None:
        """Propose a call that the machine encoded; otherwise as `submit`."""
        self._admit_at_leader()
        payload = call_payload(self.stamp(), 0, 0, 0, call)
        self._group.propose(Proposal(payload, waiter, self._now() + within))

    def submit(self, make: Make, waiter: Waiter, within: float) -> None:
        """Propose what `make` makes of a stamp; `waiter` gets the result, or an error, once it is taken.

        Raises:
            NotLeader: this node does not lead.
            Busy: too many calls are in flight.
            RaftlyError: what `check` raises.
        """
        self._admit_at_leader()
        self._group.propose(Proposal(make(self.stamp()), waiter, self._now() + within))

    def _admit_at_leader(self) -> None:
        self.admit()
        raft = self._group.raw.raft
        if raft.role is not _LEADER:
            raise NotLeader(raft.leader)
