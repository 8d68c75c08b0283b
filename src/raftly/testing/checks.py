"""What must hold of a Raft group after every step, whatever happens to it.

    election safety         at most one leader a term
    one vote                no node gives two votes in one term, not even across crashes
    leader append-only      a leader never cuts its own log
    log matching            an (index, term) is the same entry behind the same predecessors in every log
    leader completeness     what was committed before a term is in the log of that term's leader
    state-machine safety    everyone applies the same entries in the same order, and reaches the same states
    monotonic progress      term, commit and applied index only rise; across a restart not below what was durable
    durability              no vote and no acknowledgement leaves before what it promises is on disk
    quorums overlap         every quorum of a configuration meets every quorum of the one before it
    acknowledged writes     what a client was told is in the log for good
    reads                   an answer is at least as new as everything committed when the question was asked
    leases                  while a lease counts nobody leads a later term

One `Checker` watches all nodes of a group from its birth on: tell it what happens and let it `look` at a node after
whatever may have changed that node. It reads and changes nothing, and a step costs as much as it brought new entries:
a log is known by the chained hash of its entries, so equal (index, term) means equal logs up to there. `sweep` looks at
a whole log again, for what changed behind its end.

The simulator of the core and the one of whole nodes use the same checks. Time is whatever unit the caller counts in.

Source: Raft thesis, figure 3.2 and §3.8, §4.1, §6.4.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from dataclasses import dataclass, field
from typing import Final, final
from zlib import crc32

from raftly.base.membership import ConfState
from raftly.base.types import NO_LIMIT, Entry, EntryType, HardState, Index, NodeId, Term
from raftly.core.messages import Message, MsgAppResp, MsgVoteResp
from raftly.core.raft import Raft
from raftly.core.role import Role

_LEADER: Final = Role.LEADER
_MASK: Final = (1 << 64) - 1
_STRIDE: Final = 1 << 40  # (index, term) in one number: terms of a test stay below


class SafetyViolation(AssertionError):
    """A property of Raft does not hold."""


def mix(chain: int, data: bytes) -> int:
    """The next link of a chain of hashes, 64 bits, the same in every process."""
    return (chain * 0x5851F42D4C957F2D + crc32(data) + 1) & _MASK


def quorums_overlap(old: ConfState, new: ConfState) -> bool:
    """Does every quorum of one configuration share a voter with every quorum of the other?

    A quorum has a majority of both halves, so it is enough that two halves, one of each, cannot be parted.
    """
    return any(
        len(a) // 2 + len(b) // 2 + 2 > len(set(a) | set(b))
        for a in (old.voters, old.voters_outgoing)
        for b in (new.voters, new.voters_outgoing)
        if a and b
    )


@final
@dataclass(slots=True)
class _Seen:
    """A node as it was when last looked at."""

    term: Term = 0
    role: Role = Role.FOLLOWER
    commit: Index = 0
    applied: Index = 0
    first: Index = 1  # of the log
    last: Index = 0
    last_term: Term = 0
    base: Index = 0  # terms[0] is the term of this entry, or of the snapshot that ends there
    terms: list[Term] = field(default_factory=lambda: [0])
    durable: HardState = field(default_factory=HardState)
    acknowledged: list[tuple[Term, Index, Term]] = field(default_factory=list)
    """Appends answered: in which term, up to where, and the term of the entry there (0: unknown). Indices fall."""


@final
class Checker:
    """All properties of one group; each method raises SafetyViolation when one does not hold."""

    def __init__(self) -> None:
        self.leaders: dict[Term, NodeId] = {}
        self.commits: dict[Index, Term] = {}
        self.commit_max: Index = 0
        self.counts: Counter[str] = Counter()
        """How much of what there was to be judged: a run in which nothing happens proves nothing."""
        self.rare: Counter[str] = Counter()
        """What seldom happens, and is worth knowing that it did."""
        self._marks: list[tuple[Term, Index]] = []  # rising: by then so much was committed
        self._votes: dict[tuple[NodeId, Term], NodeId] = {}
        self._chains: dict[int, int] = {}  # index * _STRIDE + term -> hash of the log up to there
        self._states: dict[Index, int] = {}  # index -> state of a node that applied it
        self._configurations: dict[Index, ConfState] = {}
        self._written: dict[Index, Term] = {}  # told to clients
        self._seen: dict[NodeId, _Seen] = {}
        self._rafts: dict[NodeId, Raft] = {}
        self._reads: dict[bytes, Index] = {}
        self._leases: dict[NodeId, tuple[Term, int]] = {}

    # --- told: nodes and their disks ---

    def founded(self, index: Index, term: Term, state: int) -> None:
        """The group begins behind this entry, with a state machine in this state."""
        self._chains[index * _STRIDE + term] = mix(0, b"")
        self.commits[index] = term
        self.commit_max = index
        self._states[index] = state

    def started(self, raft: Raft, *, remembers: bool = True) -> None:
        """A node has taken up what its disk held; not `remembers`: somebody damaged it, so it may hold anything."""
        old = (self._seen.get(raft.id) if remembers else None) or _Seen()
        if not remembers:  # others must not count its votes; who leads is judged all the same
            self._votes = {cast: candidate for cast, candidate in self._votes.items() if cast[0] != raft.id}
        log, durable = raft.log, old.durable
        self._rafts[raft.id] = raft
        self._leases.pop(raft.id, None)
        if raft.term < durable.term:
            self._fail(raft, f"comes back in term {raft.term}, it had {durable.term} on disk")
        if raft.term == durable.term and durable.vote and raft.vote != durable.vote:
            self._fail(raft, f"comes back with vote {raft.vote}, it had {durable.vote} on disk")
        if log.committed < durable.commit:
            self._fail(raft, f"comes back with commit {log.committed}, it had {durable.commit} on disk")
        for term, index, entry_term in old.acknowledged:
            self._look_for_acknowledged(raft, term, index, entry_term)
        self._seen[raft.id] = _Seen(durable=durable, acknowledged=old.acknowledged)
        self.sweep(raft)
        self.look(raft)

    def _look_for_acknowledged(self, raft: Raft, term: Term, index: Index, entry_term: Term) -> None:
        """Only a leader of a later term may have cut it, and never what was committed by then."""
        log = raft.log
        kept = index
        if any(term < led <= raft.term for led in self.leaders):
            before = bisect_left(self._marks, (term + 1, 0))
            kept = min(index, self._marks[before - 1][1] if before else 0)
        if log.last_index < kept:
            self._fail(raft, f"comes back with {log.last_index} entries, it acknowledged {index} in term {term}")
        if kept == index and entry_term and (log.term_or_none(index) or entry_term) != entry_term:
            self._fail(raft, f"comes back without {entry_term}/{index}, which it acknowledged in term {term}")

    def synced(self, raft: Raft, durable: HardState) -> None:
        """This hard state is on the disk of a node for certain."""
        seen = self._seen[raft.id]
        if durable is not seen.durable:
            if durable.term < seen.durable.term:
                self._fail(raft, f"writes term {durable.term} over {seen.durable.term}")
            seen.durable = durable
            if durable.vote:
                self._voted(raft, durable.term, durable.vote)

    def sent(self, raft: Raft, message: Message, durable: HardState, durable_last: Index) -> None:
        """A message leaves a node, or its disk answers it, while so much of it is durable."""
        kind = type(message)
        if kind is MsgAppResp:
            assert isinstance(message, MsgAppResp)
            if message.reject:
                return
            if durable.term < message.term:
                self._fail(raft, f"acknowledges in term {message.term}, on disk it has {durable.term}")
            # A later term may have cut the log meanwhile; within one term nothing does.
            if durable.term == message.term and durable_last < message.index:
                self._fail(raft, f"acknowledges {message.index}, its disk ends at {durable_last}")
            self._acknowledged(raft, message.term, message.index)
        elif kind is MsgVoteResp:
            assert isinstance(message, MsgVoteResp)
            if message.reject:
                return
            self._voted(raft, message.term, message.to)
            if durable.term < message.term:
                self._fail(raft, f"votes in {message.term}, which is not on disk")
            if durable.term == message.term and durable.vote != message.to:
                self._fail(raft, f"votes for {message.to}, on disk for {durable.vote}")

    def _acknowledged(self, raft: Raft, term: Term, index: Index) -> None:
        promised = self._seen[raft.id].acknowledged
        while promised and promised[-1][1] <= index and promised[-1][0] <= term:
            if promised[-1][:2] == (term, index):
                return
            promised.pop()
        if not promised or promised[-1][0] < term:
            entry_term = (raft.log.term_or_none(index) or 0) if raft.term == term else 0
            promised.append((term, index, entry_term))

    def leads(self, raft: Raft, term: Term) -> None:
        """A node speaks as the leader of a term."""
        first = self.leaders.setdefault(term, raft.id)
        if first != raft.id:
            self._fail(raft, f"leads term {term}, and so does {first}")

    def _voted(self, raft: Raft, term: Term, candidate: NodeId) -> None:
        first = self._votes.setdefault((raft.id, term), candidate)
        if first != candidate:
            self._fail(raft, f"votes for {first} and {candidate} in term {term}")

    # --- told: state machines and clients ---

    def applied(self, raft: Raft, entry: Entry, state: int) -> None:
        """The application of a node applied an entry and is in a state with this hash."""
        index = entry.index
        if self.commits.get(index) != entry.term:
            self._fail(raft, f"applies {entry!r}, committed there is term {self.commits.get(index)}")
        if self._states.setdefault(index, state) != state:
            self._fail(raft, f"is in another state than others were at entry {index}")

    def restored(self, raft: Raft, index: Index, state: int) -> None:
        """The application of a node took over a snapshot."""
        self.rare["snapshots installed"] += 1
        if self._states.get(index) != state:
            self._fail(raft, f"took a snapshot of {index} that nobody made")

    def configured(self, raft: Raft, index: Index, before: ConfState, after: ConfState) -> None:
        """The application of a node applied the change at `index`."""
        self.counts["configurations"] += 1
        if self._configurations.setdefault(index, after) != after:
            self._fail(raft, f"puts {after} in force at {index}, others {self._configurations[index]}")
        if not quorums_overlap(before, after):
            self._fail(raft, f"goes from {before} to {after}, whose quorums need not meet")

    def acknowledged(self, raft: Raft, index: Index, term: Term) -> None:
        """A client was told that its write is the entry (index, term)."""
        self.counts["writes"] += 1
        if self.commits.get(index) != term or self._written.setdefault(index, term) != term:
            self._fail(raft, f"acknowledges a write at {term}/{index}, which is not what is committed there")

    def asked(self, context: bytes) -> None:
        """A linearizable read begins."""
        self._reads[context] = self.commit_max

    def answered(self, raft: Raft, context: bytes, index: Index) -> None:
        """It may be read at `index`. A question may be answered more than once."""
        self.counts["reads"] += 1
        least = self._reads[context]
        if index < least:
            self._fail(raft, f"answers a read with {index}, {least} was committed before it was asked")
        if index > self.commit_max:
            self._fail(raft, f"answers a read with {index}, no more than {self.commit_max} is committed")

    def leased(self, raft: Raft, until: int, now: int) -> None:
        """A leader may count on its lease until then."""
        if until <= now:
            return
        self.counts["leases"] += 1
        held = self._leases.get(raft.id, (0, 0))
        self._leases[raft.id] = (raft.term, max(until, held[1] if held[0] == raft.term else 0))
        newest = max(self.leaders, default=0)
        if newest > raft.term:
            self._fail(raft, f"holds a lease until {until}, it is {now}, and {self.leaders[newest]} leads {newest}")

    def holds_lease(self, raft: Raft, now: int) -> bool:
        """Does a lease of this node count?"""
        term, until = self._leases.get(raft.id, (0, 0))
        return now < until and raft.term == term and raft.role is _LEADER

    def released(self, raft: Raft) -> None:
        """The node gave up its lease: it told somebody to take over, say."""
        self._leases.pop(raft.id, None)

    # --- after every step ---

    def look(self, raft: Raft, now: int = 0) -> None:
        """Check one node that may have changed. `now` is for leases."""
        seen = self._seen[raft.id]
        log = raft.log
        if log.last_index != seen.last or log.last_term != seen.last_term:
            self._look_at_log(raft, seen)
        if log.committed != seen.commit:
            self._look_at_commits(raft, seen)
        if log.applied != seen.applied:
            if not seen.applied < log.applied <= log.applying <= log.committed:
                self._fail(raft, f"has applied {seen.applied} and then {log.applied}")
            seen.applied = log.applied
        if raft.term != seen.term or raft.role is not seen.role:
            if raft.term < seen.term:
                self._fail(raft, f"falls from term {seen.term}")
            was, seen.term, seen.role = (seen.term, seen.role), raft.term, raft.role
            if raft.role is _LEADER:
                self._look_at_leader(raft, now)
                if was == (raft.term, _LEADER):
                    self._fail(raft, "was elected twice")

    def sweep(self, raft: Raft) -> None:
        """Check the whole log of a node, not only what is new at its end. O(entries that are not compacted)."""
        seen = self._seen[raft.id]
        seen.base = raft.log.first_index() - 1
        seen.terms = [raft.log.term_or_none(seen.base) or 0]
        self._take_entries(raft, seen, seen.base)

    def _look_at_log(self, raft: Raft, seen: _Seen) -> None:
        log, terms = raft.log, seen.terms
        stands = raft.role is _LEADER and seen.role is _LEADER and raft.term == seen.term
        if log.term_or_none(seen.last) == seen.last_term:
            keep = min(seen.last, seen.base + len(terms) - 1)
        else:
            if stands:
                self._fail(raft, f"leads, and cuts its log, which ended at {seen.last_term}/{seen.last}")
            self.rare["conflicting entries cut"] += 1
            keep = min(seen.last, log.last_index)
            while keep > seen.base and log.term_or_none(keep) != terms[keep - seen.base]:
                keep -= 1
        first = log.first_index()
        if keep < first - 1 or first - 1 - seen.base > 512:
            self.sweep(raft)
            return
        del terms[keep - seen.base + 1 :]
        self._take_entries(raft, seen, keep)

    def _take_entries(self, raft: Raft, seen: _Seen, keep: Index) -> None:
        """Everything behind `keep` is to be checked; up to there the mirror is right."""
        log, terms, chains = raft.log, seen.terms, self._chains
        term = terms[keep - seen.base]
        chain = chains.get(keep * _STRIDE + term, 0)
        if chain == 0 and keep:
            self._fail(raft, f"stands on {term}/{keep}, which nobody ever had")
        commits, commit = self.commits, log.committed
        for entry in log.slice(keep + 1, log.last_index + 1, NO_LIMIT) if log.last_index > keep else ():
            if entry.term < term:
                self._fail(raft, f"has falling terms at {entry!r}")
            index, term = entry.index, entry.term
            chain = mix(chain + entry.type + (term << 8), entry.data)
            if chains.setdefault(index * _STRIDE + term, chain) != chain:
                self._fail(raft, f"has another entry, or others before it, at {term}/{index} than others: {entry!r}")
            if index <= commit and commits.get(index, term) != term:
                self._fail(raft, f"has {entry!r} where an entry of term {commits[index]} is committed")
            terms.append(term)
        if term > raft.term:
            self._fail(raft, f"has an entry of the future term {term}")
        seen.last, seen.last_term = log.last_index, log.last_term

    def _look_at_commits(self, raft: Raft, seen: _Seen) -> None:
        log = raft.log
        if log.committed < seen.commit:
            self._fail(raft, f"falls from commit {seen.commit}")
        if log.committed > log.last_index:
            self._fail(raft, f"commits {log.committed}, beyond its log")
        terms, base, commits = seen.terms, seen.base, self.commits
        for index in range(max(seen.commit, base) + 1, log.committed + 1):
            term = terms[index - base]
            if commits.setdefault(index, term) != term:
                self._fail(raft, f"commits {term}/{index}, others {commits[index]}/{index}")
        if log.committed > self.commit_max:
            self.commit_max = log.committed
            self._marks.append((max(raft.term, self._marks[-1][0] if self._marks else 0), log.committed))
        seen.commit = log.committed

    def _look_at_leader(self, raft: Raft, now: int) -> None:
        self.counts["leaders"] += 1
        self.leads(raft, raft.term)
        if any(other is not raft and other.role is _LEADER for other in self._rafts.values()):
            self.rare["two that believe to lead"] += 1
        if raft.log.last_index - raft.log.committed > 1:
            self.rare["leaders with entries of older terms"] += 1
        before = bisect_left(self._marks, (raft.term, 0))
        if before:
            index = self._marks[before - 1][1]
            if index >= raft.log.first_index() and raft.log.term_or_none(index) != self.commits[index]:
                self._fail(raft, f"leads without {self.commits[index]}/{index}, which was committed before")
        for id_, (term, until) in self._leases.items():
            if now < until and term < raft.term and self.holds_lease(self._rafts[id_], now):
                self._fail(raft, f"leads while node {id_} holds the lease of term {term} until {until}, it is {now}")

    # --- at the end ---

    def check_written(self, raft: Raft) -> None:
        """The log and state of this node, which all agree with, have everything that clients were told."""
        last = max(self._written, default=0)
        if raft.log.applied < last:
            self._fail(raft, f"has applied {raft.log.applied}, a write at {last} was acknowledged")
        for index, term in self._written.items():
            if self.commits.get(index) != term:
                self._fail(raft, f"lost the acknowledged write {term}/{index}")

    def _fail(self, raft: Raft, problem: str) -> None:
        raise SafetyViolation(f"node {raft.id} ({raft.role.value}, term {raft.term}, {raft.log}) {problem}")


def is_command(entry: Entry) -> bool:
    """Is this an entry that a state machine sees?"""
    return entry.type == EntryType.NORMAL and entry.data_bytes() > 0
