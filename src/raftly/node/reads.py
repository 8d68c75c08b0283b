"""Reads: how fresh the state at this replica is known to be, and how to make it fresh enough.

    STRONG       linearizable, at the leader: by its lease while it holds one, else by asking the others (read index)
    LEASE        linearizable, at the leader, without asking anybody: LeaseNotHeld when there is no lease
    FOLLOWER     linearizable, at any replica: asks the leader
    bounded(s)   no staler than s seconds, at any replica: asks only when it does not know
    LOCAL        what is here

All reads of one turn of the loop share one question, and while questions are under way those that come share the next.
An answer says: whatever was committed when I was asked is at or
below this index. So the state here, once it has applied that, is no older than the moment of asking, and a leader whose
question a majority answered cannot have been replaced for an election time-out from that moment on: that is its lease.

A lease ends with the term, and once anybody was told to take over there is no other in that term: such an order breaks
the voters' promise, however late it arrives.

Source: Raft thesis §6.4.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from enum import Enum
from typing import Final, TypeAlias, final

from raftly.base.types import NO_NODE, Index, NodeId, Term
from raftly.core.readindex import ReadState
from raftly.core.role import Role
from raftly.errors import ConfigError, NotLeader
from raftly.node.errors import Busy, LeaseNotHeld, ReadTimeout
from raftly.node.group import Group
from raftly.node.lease_clock import LeaseClock
from raftly.node.metrics import ReadCounts


class Mode(Enum):
    """Ways to read; see the module."""

    STRONG = "strong"
    LEASE = "lease"
    FOLLOWER = "follower"
    BOUNDED = "bounded"
    LOCAL = "local"


@final
@dataclass(frozen=True, slots=True)
class Read:
    """A mode with its bound."""

    mode: Mode
    bound_s: float = 0.0


STRONG: Final = Read(Mode.STRONG)
LEASE: Final = Read(Mode.LEASE)
FOLLOWER: Final = Read(Mode.FOLLOWER)
LOCAL: Final = Read(Mode.LOCAL)


def bounded(seconds: float) -> Read:
    """No staler than so many seconds.

    Raises:
        ConfigError: they are negative.
    """
    if not seconds >= 0:
        raise ConfigError("bounded", f"is given {seconds} seconds, it must be at least 0")
    return Read(Mode.BOUNDED, seconds)


class Proof(Enum):
    """Why a state is as fresh as it is said to be."""

    LEASE = "lease"
    READ_INDEX = "read index"
    EARLIER = "an earlier read index"
    NONE = "none"


@final
@dataclass(frozen=True, slots=True)
class Freshness:
    """What a read was given: everything committed `age_s` seconds before it is in the state, and more perhaps."""

    proof: Proof
    applied: Index
    age_s: float | None  # 0: linearizable; None: unknown


_QUESTIONS_MAX: Final = 1  # under way at once: more of them cost more than they save
_Waiter: TypeAlias = tuple[float, "asyncio.Future[float]"]  # deadline; the moment of asking


@final
@dataclass(slots=True)
class _Question:
    """A read index that was asked for."""

    asked_at: float
    term: Term  # in which this node led when it asked; 0: it did not
    waiters: list[_Waiter]
    index: Index = 0  # the answer


@final
class Reads:
    """The reads of one group at one replica. Deadlines are of the loop's time, all else is measured by `clock`.

    Questions are numbered behind `number`. Where a replica leaves its group and joins again, its next Reads must not
    use a number of the one before: a late answer to an old question would be taken for one to a new.
    """

    def __init__(
        self, group: Group, lease: float, retry: float, waiting_max: int, clock: LeaseClock, number: int = 0
    ) -> None:
        self._group = group
        self._clock = clock
        self._lease = lease
        self._retry = retry  # a question without an answer is asked again after so long
        self._waiting_max = waiting_max
        self._waiting = 0
        self._number = number
        self._gathering: list[_Waiter] | None = None  # ask at the end of this turn
        self._asked: dict[bytes, _Question] = {}
        self._answered: list[_Question] = []  # answered, not applied yet
        self._known_at: float | None = None  # all that was committed then is applied here
        self._lease_until = 0.0
        self._lease_term: Term = 0
        self._applied: Index = 0
        self.counts = ReadCounts()

    # --- what readers do ---

    def holds_lease(self, now: float) -> bool:
        """Does this node lead for certain, and is all that is committed applied?"""
        raft = self._group.raw.raft
        return (
            now < self._lease_until
            and raft.term == self._lease_term
            and raft.role is Role.LEADER
            and raft.lead_transferee == NO_NODE
            and self._group.transfer_term != raft.term
            and self._applied >= raft.log.committed
        )

    def is_leased(self) -> bool:
        """Does this node hold a lease as of now?"""
        return self.holds_lease(self._clock())

    @property
    def is_idle(self) -> bool:
        """Does nobody wait, and is no question open?"""
        return not (self._asked or self._answered or self._gathering)

    def by_lease(self) -> bool:
        """Can a strong read go on at once? Renews a lease that ends soon, without waiting."""
        now = self._clock()
        if not self.holds_lease(now):
            return False
        self.counts.lease += 1
        if self._lease_until - now < self._lease / 2 and not self._asked:
            self._ask([])
        return True

    async def wait(self, read: Read, within: float) -> Freshness:
        """Wait until the state here is as fresh as `read` wants it.

        Raises:
            NotLeader: STRONG and LEASE are for leaders.
            LeaseNotHeld: LEASE without one; it was asked for, so try again.
            ReadTimeout: nobody confirmed it in time.
            Busy: too many reads wait.
        """
        loop = asyncio.get_running_loop()
        deadline = loop.time() + within
        if read.mode is Mode.LOCAL:
            self.counts.none += 1
            return Freshness(Proof.NONE, self._applied, self._age())
        if read.mode in (Mode.STRONG, Mode.LEASE) and self._group.raw.raft.role is not Role.LEADER:
            raise NotLeader(self._group.raw.raft.leader)
        if self.by_lease():
            return Freshness(Proof.LEASE, self._applied, 0.0)
        if read.mode is Mode.LEASE:
            if not self._asked:
                self._ask([])
            raise LeaseNotHeld("this leader holds no lease now")
        if read.mode is not Mode.BOUNDED:
            await self._confirmed(deadline)
            self.counts.read_index += 1
            return Freshness(Proof.READ_INDEX, self._applied, 0.0)
        age = self._age()
        proof = Proof.EARLIER
        while age is None or age > read.bound_s:
            asked_at = await self._confirmed(deadline)
            proof, age = Proof.READ_INDEX, self._clock() - asked_at
            if age > read.bound_s and loop.time() >= deadline:
                raise ReadTimeout(f"an answer took {age:.3f} s, more than the bound of {read.bound_s} s")
        if proof is Proof.EARLIER:
            self.counts.earlier += 1
        else:
            self.counts.read_index += 1
        return Freshness(proof, self._applied, age)

    def _age(self) -> float | None:
        return None if self._known_at is None else self._clock() - self._known_at

    async def _confirmed(self, deadline: float) -> float:
        """Ask, wait for the answer, wait until that is applied; the moment of asking."""
        if self._waiting >= self._waiting_max:
            raise Busy("reads_waiting", self._waiting + 1, self._waiting_max)
        loop = asyncio.get_running_loop()
        future: asyncio.Future[float] = loop.create_future()
        if self._gathering is None:
            self._gathering = []
            if len(self._asked) < _QUESTIONS_MAX:
                loop.call_soon(self._ask_gathered)
        self._gathering.append((deadline, future))
        self._waiting += 1
        try:
            return await future
        finally:
            self._waiting -= 1

    # --- questions and answers ---

    def _ask_gathered(self) -> None:
        waiters, self._gathering = self._gathering, None
        if waiters:
            self._ask(waiters)

    def _ask(self, waiters: list[_Waiter]) -> None:
        self._number += 1
        context = self._number.to_bytes(8, "little")
        raft = self._group.raw.raft
        term = raft.term if raft.role is Role.LEADER else 0
        self._asked[context] = _Question(self._clock(), term, waiters)
        self._group.act(lambda raw: raw.read_index(context))

    def on_read_states(self, states: list[ReadState]) -> None:
        """Answers came."""
        for state in states:
            question = self._asked.pop(state.context, None)
            if question is None:
                continue  # asked again since
            question.index = state.index
            if question.term and question.term == self._group.raw.raft.term:
                self._lease_term = question.term
                self._lease_until = max(self._lease_until, question.asked_at + self._lease)
            self._answered.append(question)
        self.on_applied(self._applied)
        if len(self._asked) < _QUESTIONS_MAX:
            self._ask_gathered()

    def on_leader(self, leader: NodeId) -> None:
        """Who leads is another one now. What was asked of nobody, or of who led before, is not waited for."""
        if leader != NO_NODE and self._asked:
            asyncio.get_running_loop().call_soon(self._ask_again)

    def _ask_again(self) -> None:
        lost = [waiter for question in self._asked.values() for waiter in question.waiters]
        self._asked.clear()
        if lost:
            self._ask(lost)

    def on_applied(self, applied: Index) -> None:
        """All up to `applied` is in the state."""
        self._applied = applied
        if not self._answered:
            return
        waiting: list[_Question] = []
        for question in self._answered:
            if question.index > applied:
                waiting.append(question)
                continue
            self._known_at = max(question.asked_at, self._known_at or question.asked_at)
            for _, future in question.waiters:
                if not future.done():
                    future.set_result(question.asked_at)
        self._answered = waiting

    def on_tick(self, now: float) -> None:
        """End what waited too long, ask again what may be lost."""
        for question in self._answered:
            question.waiters = _still_waiting(question.waiters, now)
        if self._gathering is not None:
            self._gathering = _still_waiting(self._gathering, now)
        lost: list[_Waiter] = []
        for context, question in list(self._asked.items()):
            question.waiters = _still_waiting(question.waiters, now)
            if self._clock() - question.asked_at >= self._retry:
                del self._asked[context]
                lost += question.waiters
        if self._gathering and len(self._asked) < _QUESTIONS_MAX:
            lost += self._gathering
            self._gathering = None
        if lost:
            self._ask(lost)

    def give_up(self, error: Exception) -> None:
        """Nobody will answer any more."""
        waiters = self._gathering or []
        self._gathering = None
        for question in [*self._asked.values(), *self._answered]:
            waiters += question.waiters
        self._asked.clear()
        self._answered.clear()
        self._lease_until = 0.0
        for _, future in waiters:
            if not future.done():
                future.set_exception(error)


def _still_waiting(waiters: list[_Waiter], now: float) -> list[_Waiter]:
    """Those whose deadline has not passed; the others are told."""
    still: list[_Waiter] = []
    for deadline, future in waiters:
        if future.done():
            continue
        if now >= deadline:
            future.set_exception(ReadTimeout("no leader confirmed the read in time"))
        else:
            still.append((deadline, future))
    return still
