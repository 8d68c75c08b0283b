"""held: a lock for as long as a block runs.

    async with held(session, "reports", owner=me, ttl=10.0) as token:
        await storage.write(report, token)

It waits until it gets the lock, renews it in the background, and gives it back. The block is cancelled, and LeaseLost
raised, as soon as the log says that the lease is lost, and at the latest `ttl` seconds after the last renewal that
succeeded was asked for, by this machine's clock; after the machine slept, that is seen a third of `ttl` after it woke.
A block that does not await is not interrupted, and what it sent may still be under way: only the token protects against
that (`lock`).
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from dataclasses import dataclass
from typing import Concatenate, Final, Generic, ParamSpec, Protocol, TypeVar, final

from raftly.errors import OutcomeUnknown, RaftlyError
from raftly.node.lease_clock import lease_clock_of
from raftly.node.structures.lock import HeldBy, Lease, LeaseLost, Locks

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)
P = ParamSpec("P")
R = TypeVar("R")

_RENEWALS: Final = 3  # attempts in one time to live


class Caller(Protocol[T_co]):
    """Who calls commands: a session at any node, or the node that leads."""

    async def call(self, method: Callable[Concatenate[T_co, P], R], /, *args: P.args, **kwargs: P.kwargs) -> R:
        """Call a command; its result."""
        ...


@final
@dataclass(frozen=True, slots=True)
class LockCalls(Generic[T]):
    """The commands of a class that has Locks inside, with the arguments and results of those of `Locks`."""

    acquire: Callable[[T, str, str, float], Lease | HeldBy]
    renew: Callable[[T, str, int, float], Lease]
    release: Callable[[T, str, int], bool]


LOCKS: Final[LockCalls[Locks]] = LockCalls(Locks.acquire, Locks.renew, Locks.release)


def held(
    caller: Caller[Locks], name: str, owner: str, ttl: float, *, retry: float = 0.5
) -> AbstractAsyncContextManager[int]:
    """Hold a lock of a replicated `Locks` while the block runs; gives the fencing token. See `hold`."""
    return hold(caller, LOCKS, name, owner, ttl, retry=retry)


@asynccontextmanager
async def hold(
    caller: Caller[T], calls: LockCalls[T], name: str, owner: str, ttl: float, *, retry: float = 0.5
) -> AsyncIterator[int]:
    """Hold a lock while the block runs; gives the fencing token.

    Asks again after `retry` seconds while somebody else holds it, for as long as it takes: bound it with
    `asyncio.timeout`. If that, or a cancellation, ends the waiting, the lock may have been taken a moment before; then
    it is free again when `ttl` seconds have passed. An owner's id must not be used by two blocks at once.

    Raises:
        LeaseLost: from the block, which is cancelled: the lease is not sure any more.
        RaftlyError: whatever else than OutcomeUnknown the caller raises while waiting for the lock.
    """
    token, ends_at = await _acquire(caller, calls, name, owner, ttl, retry)
    lease = asyncio.timeout_at(_on_loop(ends_at))  # ends when this machine cannot be sure any more
    try:
        async with lease:
            renewing = asyncio.create_task(_renew(caller, calls, name, token, ttl, lease, ends_at))
            try:
                yield token
            finally:
                renewing.cancel()
                await asyncio.gather(renewing, return_exceptions=True)
    except TimeoutError as error:
        if lease.expired():
            raise LeaseLost(name, token) from error
        raise
    finally:
        if not lease.expired():
            with suppress(RaftlyError, TimeoutError):
                async with asyncio.timeout_at(lease.when()):
                    await caller.call(calls.release, name, token)


async def _acquire(
    caller: Caller[T], calls: LockCalls[T], name: str, owner: str, ttl: float, retry: float
) -> tuple[int, float]:
    """Ask until it is granted; the token, and until when it is sure, by the clock of leases."""
    clock = lease_clock_of(asyncio.get_running_loop())
    while True:
        asked_at = clock()
        try:
            answer = await caller.call(calls.acquire, name, owner, ttl)
        except OutcomeUnknown:
            continue  # asking again replaces what may have been granted
        if isinstance(answer, HeldBy):
            await asyncio.sleep(min(retry, answer.left_s))
        elif clock() < asked_at + ttl:
            return answer.token, asked_at + ttl


async def _renew(
    caller: Caller[T], calls: LockCalls[T], name: str, token: int, ttl: float, lease: asyncio.Timeout, ends_at: float
) -> None:
    """Renew until cancelled, or until the lease is lost; then end `lease`."""
    clock = lease_clock_of(asyncio.get_running_loop())
    pause = ttl / _RENEWALS
    while True:
        await asyncio.sleep(pause)
        _end_at(lease, ends_at)  # the loop's time may have stood still meanwhile
        asked_at = clock()
        try:
            async with asyncio.timeout(pause):
                await caller.call(calls.renew, name, token, ttl)
        except LeaseLost:
            _end_at(lease, clock())
            return
        except (RaftlyError, TimeoutError):
            _end_at(lease, ends_at)  # as above
            pause = ttl / _RENEWALS / _RENEWALS  # the lease still lasts a little: try harder
        else:
            pause = ttl / _RENEWALS
            ends_at = asked_at + ttl
            _end_at(lease, ends_at)


def _end_at(lease: asyncio.Timeout, ends_at: float) -> None:
    if not lease.expired():
        lease.reschedule(_on_loop(ends_at))


def _on_loop(moment: float) -> float:
    """A moment of the clock of leases as one of the loop's, if the machine does not sleep before."""
    loop = asyncio.get_running_loop()
    return loop.time() + moment - lease_clock_of(loop)()
