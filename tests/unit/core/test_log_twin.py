"""RaftLog over MemoryStorage against a twin that is one list: any order of appends, disk answers and snapshots."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from raftly.base.types import NO_LIMIT, Entry, Snapshot, SnapshotMeta
from raftly.core.log import RaftLog
from raftly.core.memory import MemoryStorage
from raftly.core.sizes import entries_bytes, limit_bytes
from raftly.errors import Compacted, InvariantError, Unavailable


@dataclass
class Job:
    """Something on its way to the disk."""

    entries: list[Entry]
    snapshot: Snapshot | None
    last: tuple[int, int] | None  # term and index that the answer will speak of
    clock: int  # the term of the node when it was handed out


@dataclass
class Twin:
    """Every entry above the boundary, and plain numbers."""

    boundary: tuple[int, int] = (0, 0)  # term and index of what was compacted or restored last
    terms: list[int] = field(default_factory=list)
    sizes: list[int] = field(default_factory=list)
    durable: int = 0  # up to here the disk is known to agree
    handed: int = 0
    committed: int = 0
    applying: int = 0
    applied: int = 0
    waiting_snapshot: bool = False
    handed_snapshot: bool = False

    def last(self) -> int:
        return self.boundary[1] + len(self.terms)

    def term(self, index: int) -> int | None:
        at = index - self.boundary[1]
        if at == 0:
            return self.boundary[0]
        return self.terms[at - 1] if 0 < at <= len(self.terms) else None

    def entries(self, lo: int, hi: int) -> list[Entry]:
        first = self.boundary[1] + 1
        return [Entry(self.terms[i - first], i, data=bytes(self.sizes[i - first])) for i in range(lo, hi)]

    def overwrite(self, new: list[Entry]) -> None:
        at = new[0].index - self.boundary[1] - 1
        if new[0].index <= self.last():
            self.durable = min(self.durable, new[0].index - 1)
            self.handed = min(self.handed, new[0].index - 1)
        self.terms[at:] = [entry.term for entry in new]
        self.sizes[at:] = [len(entry.data) for entry in new]


class LogMachine(RuleBasedStateMachine):
    """A follower's log: a leader appends and overwrites, the disk answers late, the application applies."""

    def __init__(self) -> None:
        super().__init__()
        self.storage = MemoryStorage()
        self.log = RaftLog(self.storage)
        self.twin = Twin()
        self.term = 1
        self.jobs: list[Job] = []

    @rule()
    def new_term(self) -> None:
        self.term += 1

    @rule(
        back=st.integers(0, 4),
        count=st.integers(0, 4),
        size=st.integers(0, 40),
        commit_ahead=st.integers(-2, 6),
        same=st.booleans(),
        matching=st.booleans(),
    )
    def append(self, back: int, count: int, size: int, commit_ahead: int, same: bool, matching: bool) -> None:
        """An append from a leader that keeps what is committed."""
        twin = self.twin
        prev = max(twin.last() - back, twin.committed)
        prev_term = twin.term(prev)
        assert prev_term is not None
        if not matching:
            assert self.log.maybe_append(prev_term + 1, prev, [], 0) is None
            assert self.log.maybe_append(self.term, twin.last() + 1 + back, [], 0) is None
            return
        held = [entry.term for entry in twin.entries(prev + 1, twin.last() + 1)] if same else []
        terms = (held + [self.term] * count)[:count]
        new = [Entry(term, prev + 1 + at, data=bytes(size)) for at, term in enumerate(terms)]
        commit = max(prev + commit_ahead, 0)
        assert self.log.maybe_append(prev_term, prev, new, commit) == prev + count
        fresh = [entry for entry in new if twin.term(entry.index) != entry.term]
        if fresh:
            twin.overwrite(new[new.index(fresh[0]) :])
        twin.committed = max(twin.committed, min(commit, prev + count))

    @rule(ahead=st.integers(1, 6))
    def restore(self, ahead: int) -> None:
        index = self.twin.committed + ahead
        self.log.restore(Snapshot(SnapshotMeta(index, self.term)))
        self.twin = Twin(
            (self.term, index),
            durable=index,
            handed=index,
            committed=index,
            applying=self.twin.applying,
            applied=self.twin.applied,
            waiting_snapshot=True,
        )

    @rule()
    def hand_out(self) -> None:
        twin = self.twin
        new = twin.entries(twin.handed + 1, twin.last() + 1)
        assert self.log.unstable.next_entries() == new
        snapshot = self.log.unstable.next_snapshot()
        assert (snapshot is not None) is (twin.waiting_snapshot and not twin.handed_snapshot)
        last = (self.log.last_term, self.log.last_index) if self.log.unstable.entries else None
        self.jobs.append(Job(new, snapshot, last, self.term))
        self.log.unstable.accept_in_progress()
        twin.handed = twin.last()
        twin.handed_snapshot = twin.waiting_snapshot

    @precondition(lambda self: self.jobs)
    @rule()
    def disk_answers(self) -> None:
        job = self.jobs.pop(0)
        twin = self.twin
        if job.snapshot is not None:
            self.storage.apply_snapshot(job.snapshot)
        self.storage.append(job.entries)
        # An answer of an older term says nothing of the entries, as in election.settle_term.
        if job.last is not None and job.clock == self.term:
            term, index = job.last
            if index > twin.durable and twin.term(index) == term:
                twin.durable = index
            self.log.stable_to(term, index)
        if job.snapshot is not None:
            at = job.snapshot.meta.index
            self.log.stable_snap_to(at)
            applied = max(at, self.log.applied)
            self.log.applied_to(applied, 0)
            twin.applied = applied
            twin.applying = max(twin.applying, applied)
            if at == twin.boundary[1]:
                twin.waiting_snapshot = twin.handed_snapshot = False

    @rule(allow_unstable=st.booleans())
    def apply(self, allow_unstable: bool) -> None:
        twin = self.twin
        bound = twin.committed if allow_unstable else min(twin.committed, twin.durable)
        batch = self.log.next_committed(allow_unstable)
        if twin.waiting_snapshot:
            assert batch == []
            return
        assert batch == twin.entries(twin.applying + 1, bound + 1)
        assert self.log.has_next_committed(allow_unstable) is bool(batch)
        if batch:
            self.log.accept_applying(batch, allow_unstable)
            twin.applying = batch[-1].index

    @precondition(lambda self: self.twin.applied < self.twin.applying)
    @rule()
    def applied(self) -> None:
        self.log.applied_to(self.twin.applying, 0)
        self.twin.applied = self.twin.applying

    @precondition(lambda self: not self.twin.waiting_snapshot and not self.jobs)
    @rule()
    def compact(self) -> None:
        index = min(self.twin.applied, self.twin.durable)
        if index <= self.twin.boundary[1] or index > self.storage.last_index():
            return
        self.storage.compact(index)
        cut = index - self.twin.boundary[1]
        self.twin.boundary = (self.twin.terms[cut - 1], index)
        del self.twin.terms[:cut], self.twin.sizes[:cut]

    @rule(data=st.data())
    def read(self, data: st.DataObject) -> None:
        twin = self.twin
        first, last = twin.boundary[1] + 1, twin.last()
        lo = data.draw(st.integers(first, last + 1))
        hi = data.draw(st.integers(lo, last + 1))
        wanted = twin.entries(lo, hi)
        limit = data.draw(st.one_of(st.just(NO_LIMIT), st.integers(0, entries_bytes(wanted) + 1)))
        assert self.log.slice(lo, hi, limit) == limit_bytes(wanted, limit)
        assert self.log.entries(lo, limit) == limit_bytes(twin.entries(lo, last + 1), limit)
        if first > 1:
            with pytest.raises(Compacted):
                self.log.slice(first - 1, hi, limit)
        with pytest.raises(InvariantError):
            self.log.slice(lo, last + 2, limit)

    @invariant()
    def same(self) -> None:
        twin, log = self.twin, self.log
        assert (log.first_index(), log.last_index, log.last_term) == (
            twin.boundary[1] + 1,
            twin.last(),
            twin.term(twin.last()),
        )
        assert (log.committed, log.applying, log.applied) == (twin.committed, twin.applying, twin.applied)
        assert log.applied <= log.applying <= log.committed <= log.last_index
        for index in range(max(twin.boundary[1] - 1, 0), twin.last() + 2):
            wanted = twin.term(index)
            if wanted is not None:
                assert log.term(index) == wanted
                assert log.match_term(wanted, index)
                continue
            with pytest.raises(Compacted if index <= twin.boundary[1] else Unavailable):
                log.term(index)
        if not twin.waiting_snapshot:
            assert log.persisted_index() == twin.durable


TestLog = LogMachine.TestCase
TestLog.settings = settings(max_examples=100, stateful_step_count=40)
