"""Progress and Inflights against twins that keep everything in the open and recompute it each time."""

from __future__ import annotations

import random
from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st

from raftly.core.tracker import Inflights, Progress, ProgressState
from raftly.errors import InvariantError

PROBE, REPLICATE, SNAPSHOT = ProgressState.PROBE, ProgressState.REPLICATE, ProgressState.SNAPSHOT


@dataclass
class WindowTwin:
    """What is in flight, oldest first, and the sizes that were asked for."""

    size: int
    bytes_max: int
    flying: list[tuple[int, int]] = field(default_factory=list)
    wanted: int | None = None  # a smaller size that waits

    def bytes(self) -> int:
        return sum(size for _, size in self.flying)

    def full(self) -> bool:
        limit = self.size if self.wanted is None else min(self.size, self.wanted)
        return len(self.flying) >= limit or (self.bytes_max > 0 and self.bytes() >= self.bytes_max)

    def keep(self, flying: list[tuple[int, int]]) -> None:
        self.flying = flying
        if not flying and self.wanted is not None:
            self.size, self.wanted = self.wanted, None


class WindowWalk:
    """Additions, acknowledgements, resets and resizes in any order."""

    def __init__(self, seed: int) -> None:
        self.rng = random.Random(seed)
        size, bytes_max = self.rng.randint(0, 4), self.rng.choice([0, 0, 10, 25])
        self.real = Inflights(size, bytes_max)
        self.twin = WindowTwin(size, bytes_max)
        self.index = 0

    def step(self) -> None:
        moves = [self.add, self.free, self.free_first_one, self.resize, self.reset, self.free_buffer, self.copy]
        self.rng.choices(moves, weights=[12, 5, 3, 3, 1, 1, 1])[0]()
        twin = self.twin
        assert (self.real.count(), self.real.payload_bytes()) == (len(twin.flying), twin.bytes())
        assert (self.real.full(), self.real.size) == (twin.full(), twin.size)

    def add(self) -> None:
        index, size = self.index + self.rng.randint(1, 3), self.rng.randint(0, 12)
        if self.twin.full():
            with pytest.raises(InvariantError):
                self.real.add(index, size)
            return
        self.index = index
        self.real.add(index, size)
        self.twin.flying.append((index, size))

    def free(self) -> None:
        to = max(self.index - self.rng.randint(0, 12), 0)
        self.real.free_le(to)
        self.twin.keep([flying for flying in self.twin.flying if flying[0] > to])

    def free_first_one(self) -> None:
        self.real.free_first_one()
        if self.twin.flying:
            self.twin.keep(self.twin.flying[1:])

    def resize(self) -> None:
        size = self.rng.randint(0, 5)
        self.real.set_size(size)
        if size >= self.twin.size or not self.twin.flying:
            self.twin.size, self.twin.wanted = size, None
        else:
            self.twin.wanted = size

    def reset(self) -> None:
        self.real.reset()
        self.twin.keep([])

    def free_buffer(self) -> None:
        assert not (self.real.maybe_free_buffer() and self.twin.flying)

    def copy(self) -> None:
        """Go on with a copy; what happens to the original is nothing to it."""
        old, self.real = self.real, self.real.copy()
        old.reset()


@dataclass
class PeerTwin:
    """One peer's log as the leader may believe it to be."""

    state: ProgressState = PROBE
    match: int = 0
    sent: int = 0  # the last entry sent: next - 1
    pending: int = 0
    paused: bool = False
    commit_sent: int = 0
    flying: list[tuple[int, int]] = field(default_factory=list)

    def enter(self, state: ProgressState, sent: int) -> None:
        self.state, self.sent, self.pending, self.paused, self.flying = state, sent, 0, False, []


WINDOW = 3


class PeerWalk:
    """Sends, answers, reports and snapshots, in any order that a leader can see."""

    def __init__(self, seed: int) -> None:
        self.rng = random.Random(seed)
        self.real = Progress(1, Inflights(WINDOW))
        self.twin = PeerTwin()

    def step(self) -> None:
        moves = [self.send, self.acknowledge, self.reject, self.tell_commit, self.replicate, self.probe, self.snapshot]
        self.rng.choices(moves, weights=[12, 5, 4, 3, 2, 1, 1])[0]()
        real, twin = self.real, self.twin
        assert 0 <= real.match < real.next
        assert (real.state, real.match, real.next) == (twin.state, twin.match, twin.sent + 1)
        assert real.pending_snapshot == twin.pending
        assert real.is_paused() is (twin.paused or twin.state is SNAPSHOT)
        assert real.sent_commit == twin.commit_sent
        assert real.inflights.count() == len(twin.flying)
        assert real.is_snapshot_caught_up() is (twin.state is SNAPSHOT and twin.match >= twin.pending)

    def send(self) -> None:
        twin = self.twin
        if twin.paused or twin.state is SNAPSHOT:
            return
        room = twin.state is PROBE or len(twin.flying) < WINDOW
        count, size = self.rng.randint(0, 3) if room else 0, self.rng.randint(0, 9)
        self.real.sent_entries(count, size)
        if twin.state is PROBE:
            twin.paused = count > 0
            return
        if count:
            twin.sent += count
            twin.flying.append((twin.sent, size))
        twin.paused = len(twin.flying) >= WINDOW

    def tell_commit(self) -> None:
        twin, commit = self.twin, self.rng.randint(0, self.twin.sent + 3)
        worth = commit > twin.commit_sent and twin.commit_sent < twin.sent
        assert self.real.can_bump_commit(commit) is worth
        self.real.sent_commit = twin.commit_sent = commit

    def acknowledge(self) -> None:
        twin = self.twin
        index = max(twin.match + self.rng.randint(-3, 4), 0)
        news = index > twin.match
        assert self.real.maybe_update(index) is news
        if news:
            twin.match, twin.sent, twin.paused = index, max(twin.sent, index), False
            self.real.inflights.free_le(index)
            twin.flying = [flying for flying in twin.flying if flying[0] > index]

    def reject(self) -> None:
        twin = self.twin
        rejected, hint = max(twin.sent - self.rng.randint(-1, 3), 0), self.rng.randint(0, twin.sent + 2)
        if twin.state is REPLICATE:
            genuine, sent = rejected > twin.match, twin.match
        else:
            genuine, sent = rejected == twin.sent, max(min(rejected - 1, hint), twin.match)
        assert self.real.maybe_decr_to(rejected, hint) is genuine
        if genuine:
            twin.sent = sent
            twin.commit_sent = min(twin.commit_sent, sent)
            if twin.state is REPLICATE:
                self.probe()  # as a leader does, since what is in flight is lost
            twin.paused = False

    def probe(self) -> None:
        self.real.become_probe()
        self.twin.enter(PROBE, max(self.twin.match, self.twin.pending if self.twin.state is SNAPSHOT else 0))
        self.twin.commit_sent = min(self.twin.commit_sent, self.twin.sent)

    def replicate(self) -> None:
        self.real.become_replicate()
        self.twin.enter(REPLICATE, self.twin.match)

    def snapshot(self) -> None:
        index = self.twin.match + self.rng.randint(1, 5)
        self.real.become_snapshot(index)
        self.twin.enter(SNAPSHOT, index)
        self.twin.pending = self.twin.commit_sent = index


seeds = st.integers(0, (1 << 32) - 1)
lengths = st.integers(20, 120)


@pytest.mark.parametrize("walk", [WindowWalk, PeerWalk])
@given(seed=seeds, steps=lengths)
def test_progress_and_its_window_equal_their_twins_after_every_move(
    walk: type[WindowWalk | PeerWalk], seed: int, steps: int
) -> None:
    walking = walk(seed)
    for _ in range(steps):
        walking.step()
