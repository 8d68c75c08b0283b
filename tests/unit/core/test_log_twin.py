"""RaftLog over MemoryStorage against a twin that is one list: any order of appends, disk answers and snapshots."""

from __future__ import annotations

import random
from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st

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


class LogWalk:
    """A follower's log: a leader appends and overwrites, the disk answers late, the application applies."""

    def __init__(self, seed: int) -> None:
        self.rng = random.Random(seed)
        self.storage = MemoryStorage()
        self.log = RaftLog(self.storage)
        self.twin = Twin()
        self.term = 1
        self.shared = 0  # up to here this log is known to equal that of the leader, who has one log a term
        self.jobs: list[Job] = []

    def step(self) -> None:
        moves = [self.append, self.hand_out, self.disk_answers, self.apply, self.acknowledge, self.compact, self.read]
        moves += [self.write_all, self.restore, self.new_term]
        self.rng.choices(moves, weights=[20, 10, 10, 10, 6, 4, 8, 6, 3, 6])[0]()
        self.compare()

    # --- moves ---

    def new_term(self) -> None:
        self.term += 1
        self.shared = self.twin.committed

    def append(self) -> None:
        """An append from a leader that keeps what is committed."""
        twin, rng = self.twin, self.rng
        prev = max(twin.last() - rng.randint(0, 4), twin.committed)
        prev_term = twin.term(prev)
        assert prev_term is not None
        if rng.random() < 0.1:  # a leader whose log is another
            assert self.log.maybe_append(prev_term + 1, prev, [], 0) is None
            assert self.log.maybe_append(self.term, twin.last() + rng.randint(1, 3), [], 0) is None
            return
        same_to = twin.last() if rng.random() < 0.5 else self.shared
        held = [entry.term for entry in twin.entries(prev + 1, same_to + 1)]
        terms = (held + [self.term] * 4)[: rng.randint(0, 4)]
        new = [Entry(term, prev + 1 + at, data=bytes(rng.randint(0, 40))) for at, term in enumerate(terms)]
        commit = max(prev + rng.randint(-2, 6), 0)
        last_new = prev + len(new)
        assert self.log.maybe_append(prev_term, prev, new, commit) == last_new
        fresh = [at for at, entry in enumerate(new) if twin.term(entry.index) != entry.term]
        if fresh:
            twin.overwrite(new[fresh[0] :])
        twin.committed = max(twin.committed, min(commit, last_new))
        self.shared = max(self.shared, last_new)

    def restore(self) -> None:
        """A snapshot from the leader: past all that this log is known to share with it, or none were needed."""
        twin = self.twin
        index = max(twin.committed, self.shared) + self.rng.randint(1, 6)
        self.shared = index
        self.log.restore(Snapshot(SnapshotMeta(index, self.term)))
        self.twin = Twin(
            (self.term, index),
            durable=index,
            handed=index,
            committed=index,
            applying=twin.applying,
            applied=twin.applied,
            waiting_snapshot=True,
        )

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

    def disk_answers(self) -> None:
        if not self.jobs:
            return
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
                twin.handed = max(twin.handed, index)
            self.log.stable_to(term, index)
        if job.snapshot is not None:
            at = job.snapshot.meta.index
            self.log.stable_snap_to(at)
            twin.applied = max(at, self.log.applied)
            twin.applying = max(twin.applying, twin.applied)
            self.log.applied_to(twin.applied, 0)
            if at == twin.boundary[1]:
                twin.waiting_snapshot = twin.handed_snapshot = False

    def write_all(self) -> None:
        """The disk catches up; it then holds what a restart needs, and nothing else."""
        self.hand_out()
        while self.jobs:
            self.disk_answers()
        assert self.storage.last_index() == self.twin.last()
        first = self.storage.first_index()
        if first <= self.twin.last():
            stored = self.storage.entries(first, self.twin.last() + 1, NO_LIMIT)
            assert stored == self.twin.entries(first, self.twin.last() + 1)

    def apply(self) -> None:
        twin = self.twin
        allow_unstable = self.rng.random() < 0.5
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

    def acknowledge(self) -> None:
        """The application is done with some of what it was given."""
        if self.twin.applied < self.twin.applying and not self.twin.waiting_snapshot:
            self.twin.applied = self.rng.randint(self.twin.applied + 1, self.twin.applying)
            self.log.applied_to(self.twin.applied, 0)

    def compact(self) -> None:
        twin = self.twin
        index = min(twin.applied, twin.durable)
        if twin.waiting_snapshot or self.jobs or not twin.boundary[1] < index <= self.storage.last_index():
            return
        self.storage.compact(index)
        cut = index - twin.boundary[1]
        twin.boundary = (twin.terms[cut - 1], index)
        del twin.terms[:cut], twin.sizes[:cut]

    def read(self) -> None:
        twin, rng = self.twin, self.rng
        first, last = twin.boundary[1] + 1, twin.last()
        lo = rng.randint(first, last + 1)
        hi = rng.randint(lo, last + 1)
        wanted = twin.entries(lo, hi)
        limit = rng.choice([NO_LIMIT, rng.randint(0, entries_bytes(wanted) + 1)])
        assert self.log.slice(lo, hi, limit) == limit_bytes(wanted, limit)
        assert self.log.entries(lo, limit) == limit_bytes(twin.entries(lo, last + 1), limit)
        if first > 1:
            with pytest.raises(Compacted):
                self.log.slice(first - 1, hi, limit)
        with pytest.raises(InvariantError):
            self.log.slice(lo, last + 2, limit)

    # --- after every move ---

    def compare(self) -> None:
        twin, log = self.twin, self.log
        assert (log.first_index(), log.last_index) == (twin.boundary[1] + 1, twin.last())
        assert log.last_term == twin.term(twin.last())
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


@given(seed=st.integers(0, (1 << 32) - 1), steps=st.integers(20, 120))
def test_the_log_equals_its_twin_after_every_move(seed: int, steps: int) -> None:
    walk = LogWalk(seed)
    for _ in range(steps):
        walk.step()
