"""Locks: leases by name, each with a fencing token.

A lease is held until a moment of log time, unless it is renewed. What that is worth:

- In the log it is exact. At most one lease of a name is in force at any index, and tokens rise: a lease that is given
  later has a higher token, of whatever name.
- Outside of the log a holder knows only that it held the lease a moment ago. It may be paused, its clock may run
  slower, its last write may still be on its way while another holds the lease. So a lease alone makes it unlikely that
  two work at once; it does not exclude it.
- With fencing it is excluded: whoever is written to remembers the highest token it has seen, and refuses lower ones.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar, final

from raftly.errors import LimitExceeded, RaftlyError
from raftly.node.commands import command, query
from raftly.node.log_time import log_time_us
from raftly.node.structures.deadlines import BadTimeToLive, earliest, ended, sooner, until_us


class LeaseLost(RaftlyError):
    """The lease of `name` is not held with `token`, perhaps not any more."""

    code: ClassVar[str] = "lease_lost"

    def __init__(self, name: str, token: int) -> None:
        super().__init__(name, token)
        self.name = name
        self.token = token

    def __str__(self) -> str:
        return f"the lease of {self.name!r} with token {self.token} is lost"


@final
@dataclass(frozen=True, slots=True)
class Lease:
    """In force until `until_us`, in log time. `token` is higher than that of every lease before it."""

    owner: str
    token: int
    until_us: int


@final
@dataclass(frozen=True, slots=True)
class HeldBy:
    """Somebody else has it, for another `left_s` seconds of log time unless it is renewed or released."""

    owner: str
    until_us: int
    left_s: float


@dataclass(slots=True)
class Locks:
    """Locks by name, at most `leases_max` held at once (which is state). None of the commands waits.

    An owner's id names one holder, not one machine: who asks again with the id that holds the lease gets a new one,
    with a new token, and its old token is worth nothing from then on. So `acquire` may be repeated after
    `OutcomeUnknown`, with or without a session, and a holder that starts again with its old id does not lock itself
    out.
    """

    errors: ClassVar[tuple[type[Exception], ...]] = (BadTimeToLive, LeaseLost, LimitExceeded)

    leases_max: int = 100_000
    last_token: int = 0
    leases: dict[str, Lease] = field(default_factory=dict)
    sweep_us: int | None = None  # no lease ends before; None: there is none

    @command
    def acquire(self, name: str, owner: str, ttl: float) -> Lease | HeldBy:
        """Take the lock for `ttl` seconds of log time, or tell who holds it.

        Raises:
            BadTimeToLive: `ttl` is not between a millisecond and a year.
            LimitExceeded: too many locks are held.
        """
        ends_us = until_us(ttl)
        self.on_time()
        held = self.leases.get(name)
        if held is None:
            if len(self.leases) >= self.leases_max:
                raise LimitExceeded("leases", len(self.leases) + 1, self.leases_max)
        elif held.owner != owner:
            return HeldBy(held.owner, held.until_us, (held.until_us - log_time_us()) / 1e6)
        self.last_token += 1
        lease = self.leases[name] = Lease(owner, self.last_token, ends_us)
        self.sweep_us = sooner(self.sweep_us, ends_us)
        return lease

    @command
    def renew(self, name: str, token: int, ttl: float) -> Lease:
        """Let the lease last for `ttl` seconds from now, or for as long as it does already.

        Raises:
            LeaseLost: it is not held with this token.
            BadTimeToLive: `ttl` is not between a millisecond and a year.
        """
        ends_us = until_us(ttl)
        self.on_time()
        held = self.leases.get(name)
        if held is None or held.token != token:
            raise LeaseLost(name, token)
        lease = self.leases[name] = Lease(held.owner, token, max(held.until_us, ends_us))
        return lease

    @command
    def release(self, name: str, token: int) -> bool:
        """Give the lock back. False: it was not held with this token."""
        self.on_time()
        held = self.leases.get(name)
        if held is None or held.token != token:
            return False
        del self.leases[name]
        return True

    @query
    def holder(self, name: str) -> Lease | None:
        """The lease in force; None if there is none."""
        lease = self.leases.get(name)
        return lease if lease is not None and lease.until_us > log_time_us() else None

    # --- time ---

    def due_us(self) -> int | None:
        """See `Timed.due_us`."""
        return self.sweep_us

    def on_time(self) -> None:
        """See `Timed.on_time`: leases end."""
        if self.sweep_us is None or log_time_us() < self.sweep_us:
            return
        for name in ended(self.leases.items()):
            del self.leases[name]
        self.sweep_us = earliest(self.leases.values())
