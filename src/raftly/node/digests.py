"""Digests: replicas compare their states at the same index, so that one that parted stops instead of spreading.

    leader    proposes CHECK every `digest_interval` seconds in which something was applied
    everyone  notes the digest of its state when it applies that CHECK
    leader    offers a TESTIMONY: which CHECK, its own digest, that it leads
    follower  with another digest: serves nobody for now, and offers its own testimony
    everyone  that applies the testimonies of a majority for one digest, and has another: stops for good (Diverged)

So the one that is wrong stops, also when that is the leader: its followers agree with each other, serve again, and
elect another. A follower that no majority agreed with until the next CHECK is the odd one, and stops. When nobody
agrees with anybody, all but the leader stop, and a person has to look: two replicas cannot tell which of them is right.

What is compared is what a snapshot holds; of a class with a method `state_digest() -> int` what that returns instead of
the instance. A class with a `snapshot` of its own may write the same state in many ways, so without that method only
the sessions and members are compared.

A replica that did not apply a CHECK itself, because it started or took in a snapshot behind it, has nothing to compare.
Testimonies go through the log, so every replica counts the same ones, in the same order.
"""

from __future__ import annotations

import math
import zlib
from collections.abc import Callable
from typing import Final, Protocol, final

from raftly.base.types import Entry, Index, NodeId
from raftly.core.quorum import JointConfig, VoteResult
from raftly.errors import RaftlyError
from raftly.node.commands import Kind, Testimony, check_payload, decode_head, decode_testimony, testimony_payload
from raftly.node.errors import Diverged
from raftly.node.events import Members
from raftly.node.metrics import NodeCounts

COST_SHARE: Final = 0.005
"""A leader asks for digests so seldom that making its own takes no larger share of the time."""

_POINTS_MAX: Final = 4  # CHECKs whose testimonies may still be on their way
_AGAIN_S: Final = 1.0  # a testimony that was lost is offered again


class Comparable(Protocol):
    """A state machine, as far as it is compared."""

    @property
    def instance(self) -> object:
        """Of the class."""
        ...

    @property
    def is_streamed(self) -> bool:
        """Does the class write its own snapshots?"""
        ...

    def head(self) -> bytes:
        """All but the instance."""
        ...

    def digest(self) -> int:
        """A checksum of everything."""
        ...


def digest_of(machine: Comparable) -> int:
    """What two replicas that applied the same entries have in common, as the module says. 32 bits.

    Raises:
        RaftlyError: the state cannot be encoded.
    """
    own: object = getattr(machine.instance, "state_digest", None)
    if callable(own):
        return zlib.crc32(str(own()).encode(), zlib.crc32(machine.head()))
    return zlib.crc32(machine.head()) if machine.is_streamed else machine.digest()


@final
class Digests:
    """The digests of one replica. Told of every CHECK and TESTIMONY as it is applied."""

    def __init__(
        self,
        id_: NodeId,
        digest: Callable[[], int],
        interval_s: float,
        counts: NodeCounts,
        *,
        now: Callable[[], float],
        members: Callable[[], Members],
        leads: Callable[[], bool],
        offer: Callable[[bytes], None],
        on_differs: Callable[[Index, NodeId, int, int], None],
        on_suspicion: Callable[[Diverged | None], None],
        on_too_costly: Callable[[float], None],
        cost_max_s: float,
        skip_to: Index,
    ) -> None:
        self.suspicion: Diverged | None = None  # until others agree with this replica, or the next CHECK
        self._id = id_
        self._digest = digest
        self._interval_s = interval_s
        self._counts = counts
        self._now = now
        self._members = members
        self._leads = leads
        self._offer = offer
        self._on_differs = on_differs
        self._on_suspicion = on_suspicion
        self._on_too_costly = on_too_costly
        self._cost_max_s = cost_max_s  # of one digest: everything stands still meanwhile
        self._skip_to = skip_to  # entries up to it are applied again after a start: too late to compare
        self._own: dict[Index, int] = {}
        self._said: dict[Index, dict[NodeId, int]] = {}  # testimonies by CHECK and witness
        self._last: Index = 0  # behind it something else than CHECKs and testimonies was applied
        self._next_at: float | None = None  # the next CHECK, if this node leads then
        self._again_at = 0.0

    # --- entries ---

    def on_entry(self, entry: Entry) -> None:
        """A CHECK or TESTIMONY was reached, in the order of the log.

        Raises:
            Diverged: this replica is not what the others are.
            DecodeError: the payload is malformed; nothing was changed.
        """
        index = entry.index
        if decode_head(entry.data)[0] == Kind.CHECK:
            self._last = index
            if index > self._skip_to:
                self._on_check(index)
            return
        testimony = decode_testimony(entry.data)
        if index == self._last + 1:
            self._last = index
        if testimony.check in self._own:
            self._on_testimony(testimony)

    def _on_check(self, index: Index) -> None:
        if self.suspicion is not None:
            raise self.suspicion.final("and no majority agreed with this one until the next comparison")
        started = self._now()
        try:
            digest = self._digest()
        except RaftlyError:
            return  # the owner hears of that when a snapshot is made
        finally:
            cost_s = self._now() - started
            self._counts.checks += 1
            self._counts.check_s += cost_s
            self._plan(started, cost_s)
        self._own[index] = digest
        self._said[index] = {}
        while len(self._own) > _POINTS_MAX:
            oldest = next(iter(self._own))
            del self._own[oldest], self._said[oldest]
        if self._leads():
            self._offer(testimony_payload(Testimony(index, self._id, digest, leads=True)))

    def _plan(self, started: float, cost_s: float) -> None:
        """When this node, if it leads, asks for the next digests."""
        if cost_s <= self._cost_max_s:
            self._next_at = started + max(self._interval_s, cost_s / COST_SHARE)
        elif self._next_at != math.inf:
            self._next_at = math.inf
            self._on_too_costly(cost_s)

    def _on_testimony(self, testimony: Testimony) -> None:
        check, witness, digest = testimony.check, testimony.witness, testimony.digest
        own = self._own[check]
        if witness in self._said[check]:
            return
        self._said[check][witness] = digest
        if digest != own:
            self._counts.differences += 1
            self._on_differs(check, witness, digest, own)
        agreed = self._agreed(check)
        if agreed is not None and agreed != own:
            raise Diverged(check, own, agreed, witness).final("which a majority has: this is the odd one")
        if agreed is not None:
            if self.suspicion is not None and self.suspicion.index == check:
                self._suspect(None)
        elif digest != own and testimony.leads and self.suspicion is None:
            self._suspect(Diverged(check, own, digest, witness))
            self._testify()

    def _agreed(self, check: Index) -> int | None:
        """The digest that a majority of the voters testified; None as long as there is none."""
        members = self._members()
        voters = JointConfig(members.voters, members.outgoing)
        said = self._said[check]
        for digest in sorted(set(said.values())):
            votes = {id_: said[id_] == digest for id_ in said}
            if voters.vote_result(votes) is VoteResult.WON:
                return digest
        return None

    def _suspect(self, suspicion: Diverged | None) -> None:
        self.suspicion = suspicion
        self._on_suspicion(suspicion)

    def _testify(self) -> None:
        """Tell the others what this replica has, since somebody has something else."""
        assert self.suspicion is not None
        self._again_at = self._now() + _AGAIN_S
        check = self.suspicion.index
        if self._id not in self._said.get(check, {self._id}):
            self._offer(testimony_payload(Testimony(check, self._id, self._own[check], leads=False)))

    # --- what else happens ---

    def on_restored(self) -> None:
        """The state was replaced by a snapshot: what was known of it is no more, nor is what was wrong with it."""
        self._own.clear()
        self._said.clear()
        if self.suspicion is not None:
            self._suspect(None)

    def on_tick(self, applied: Index) -> None:
        """Propose the next CHECK when it is time, at the leader; offer a testimony again that may be lost."""
        if not self._interval_s:
            return
        now = self._now()
        if self._next_at is None:
            self._next_at = now + self._interval_s
        if self._leads() and now >= self._next_at and applied > self._last:
            self._next_at = now + self._interval_s
            self._offer(check_payload())
        if self.suspicion is not None and now >= self._again_at:
            self._testify()
