"""Election: one leader for each of many offices, of processes that need not be nodes of the group.

    async with lead(session, "scheduler", candidate=me, ttl=10.0) as term:
        ...                                                           this process leads; term is its fencing token

    async for leader in observe(node, "scheduler", Election.leader):
        ...                                                           who leads now, None for nobody

A leader leads while it holds the lease of its office, so everything that `lock` says of leases holds here, above all
this: two may believe that they lead, and only whoever looks at the term can tell them apart.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from typing import ClassVar, Final, TypeVar

from raftly.base.types import Index
from raftly.errors import LimitExceeded
from raftly.node.commands import command, query
from raftly.node.structures.deadlines import BadTimeToLive
from raftly.node.structures.hold import Caller, LockCalls, hold
from raftly.node.structures.lock import HeldBy, Lease, LeaseLost, Locks
from raftly.node.structures.watch import Watched

T = TypeVar("T")


@dataclass(slots=True)
class Election:
    """Offices by name. The term of a leader is the token of its lease: a later leader has a higher one.

    A candidate's id says where it is to be found, if it likes, and is used by one candidate only.
    """

    errors: ClassVar[tuple[type[Exception], ...]] = (BadTimeToLive, LeaseLost, LimitExceeded)

    offices: Locks = field(default_factory=Locks)

    @command
    def campaign(self, office: str, candidate: str, ttl: float) -> Lease | HeldBy:
        """Become leader for `ttl` seconds of log time, or be told who is.

        Raises:
            BadTimeToLive: `ttl` is not between a millisecond and a year.
            LimitExceeded: there are too many leaders.
        """
        return self.offices.acquire(office, candidate, ttl)

    @command
    def renew(self, office: str, term: int, ttl: float) -> Lease:
        """Stay leader for `ttl` seconds from now.

        Raises:
            LeaseLost: whoever had this term does not lead any more.
            BadTimeToLive: `ttl` is not between a millisecond and a year.
        """
        return self.offices.renew(office, term, ttl)

    @command
    def resign(self, office: str, term: int) -> bool:
        """Lead no more. False: whoever had this term did not lead any more."""
        return self.offices.release(office, term)

    @query
    def leader(self, office: str) -> Lease | None:
        """Who leads: `owner` is the candidate, `token` the term."""
        return self.offices.holder(office)

    # --- time ---

    def due_us(self) -> int | None:
        """See `Timed.due_us`."""
        return self.offices.due_us()

    def on_time(self) -> None:
        """See `Timed.on_time`."""
        self.offices.on_time()


ELECTION: Final[LockCalls[Election]] = LockCalls(Election.campaign, Election.renew, Election.resign)


def lead(
    caller: Caller[Election], office: str, candidate: str, ttl: float, *, retry: float = 0.5
) -> AbstractAsyncContextManager[int]:
    """Campaign until elected, and lead while the block runs; gives the term. Errors are those of `hold`."""
    return hold(caller, ELECTION, office, candidate, ttl, retry=retry)


async def observe(
    node: Watched[T], office: str, leader: Callable[[T, str], Lease | None]
) -> AsyncIterator[Lease | None]:
    """Who leads, as far as this replica knows: at once, and whenever leader or term changes; renewals are no change.

    Changes that come at once may be seen as one. Through a `Remote` it is what the newest of the replicas that were
    asked knows. `leader` is the query, `Election.leader` or one of a class with an Election inside.

    Raises:
        RaftlyError: the node stopped or failed; through a `Remote`, what `Remote.poll` raises. Observe again.
    """
    seen: Index | None = None
    term = -1
    while True:
        lease, seen = await node.poll(seen, leader, office)
        if (lease.token if lease is not None else 0) != term:
            term = lease.token if lease is not None else 0
            yield lease
