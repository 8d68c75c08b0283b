"""Progress and Inflights against twins that keep everything in the open and recompute it each time."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

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


class WindowMachine(RuleBasedStateMachine):
    """Any order of additions, acknowledgements, resets and resizes."""

    @initialize(size=st.integers(0, 4), bytes_max=st.sampled_from([0, 0, 10, 25]))
    def start(self, size: int, bytes_max: int) -> None:
        self.real = Inflights(size, bytes_max)
        self.twin = WindowTwin(size, bytes_max)
        self.index = 0

    @rule(step=st.integers(1, 3), size=st.integers(0, 12))
    def add(self, step: int, size: int) -> None:
        if self.twin.full():
            with pytest.raises(InvariantError):
                self.real.add(self.index + step, size)
            return
        self.index += step
        self.real.add(self.index, size)
        self.twin.flying.append((self.index, size))

    @rule(behind=st.integers(0, 12))
    def free(self, behind: int) -> None:
        to = max(self.index - behind, 0)
        self.real.free_le(to)
        self.twin.keep([flying for flying in self.twin.flying if flying[0] > to])

    @precondition(lambda self: self.twin.flying)
    @rule()
    def free_first_one(self) -> None:
        self.real.free_first_one()
        self.twin.keep(self.twin.flying[1:])

    @rule()
    def reset(self) -> None:
        self.real.reset()
        self.twin.keep([])

    @rule(size=st.integers(0, 5))
    def resize(self, size: int) -> None:
        self.real.set_size(size)
        if size >= self.twin.size or not self.twin.flying:
            self.twin.size, self.twin.wanted = size, None
        else:
            self.twin.wanted = size

    @rule()
    def free_buffer(self) -> None:
        assert not (self.real.maybe_free_buffer() and self.twin.flying)

    @rule()
    def continue_with_a_copy(self) -> None:
        old, self.real = self.real, self.real.copy()
        old.reset()

    @invariant()
    def same(self) -> None:
        if not hasattr(self, "twin"):
            return
        twin = self.twin
        assert (self.real.count(), self.real.payload_bytes()) == (len(twin.flying), twin.bytes())
        assert (self.real.full(), self.real.size) == (twin.full(), twin.size)


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


class PeerMachine(RuleBasedStateMachine):
    """Any order of sends, answers, reports and snapshots that a leader can see."""

    def __init__(self) -> None:
        super().__init__()
        self.real = Progress(1, Inflights(WINDOW))
        self.twin = PeerTwin()

    @precondition(lambda self: self.twin.state is not SNAPSHOT and not self.twin.paused)
    @rule(count=st.integers(0, 3), size=st.integers(0, 9))
    def send(self, count: int, size: int) -> None:
        twin = self.twin
        if twin.state is REPLICATE and len(twin.flying) >= WINDOW:
            count = 0
        self.real.sent_entries(count, size)
        if twin.state is PROBE:
            twin.paused = count > 0
            return
        if count:
            twin.sent += count
            twin.flying.append((twin.sent, size))
        twin.paused = len(twin.flying) >= WINDOW

    @rule(commit=st.integers(0, 20))
    def tell_commit(self, commit: int) -> None:
        worth = commit > self.twin.commit_sent and self.twin.commit_sent < self.twin.sent
        assert self.real.can_bump_commit(commit) is worth
        self.real.sent_commit = self.twin.commit_sent = commit

    @rule(ahead=st.integers(-3, 4))
    def acknowledge(self, ahead: int) -> None:
        twin = self.twin
        index = max(twin.match + ahead, 0)
        news = index > twin.match
        assert self.real.maybe_update(index) is news
        if news:
            twin.match, twin.sent, twin.paused = index, max(twin.sent, index), False
            self.real.inflights.free_le(index)
            twin.flying = [flying for flying in twin.flying if flying[0] > index]

    @rule(rejected_behind=st.integers(-1, 3), hint=st.integers(0, 12))
    def reject(self, rejected_behind: int, hint: int) -> None:
        twin = self.twin
        rejected = max(twin.sent - rejected_behind, 0)
        if twin.state is REPLICATE:
            genuine = rejected > twin.match
            sent = twin.match
        else:
            genuine = rejected == twin.sent
            sent = max(min(rejected - 1, hint), twin.match)
        assert self.real.maybe_decr_to(rejected, hint) is genuine
        if genuine:
            twin.sent = sent
            twin.commit_sent = min(twin.commit_sent, sent)
            if twin.state is not REPLICATE:
                twin.paused = False

    @rule()
    def probe(self) -> None:
        self.real.become_probe()
        self.twin.enter(PROBE, max(self.twin.match, self.twin.pending if self.twin.state is SNAPSHOT else 0))
        self.twin.commit_sent = min(self.twin.commit_sent, self.twin.sent)

    @rule()
    def replicate(self) -> None:
        self.real.become_replicate()
        self.twin.enter(REPLICATE, self.twin.match)

    @rule(ahead=st.integers(1, 5))
    def snapshot(self, ahead: int) -> None:
        index = self.twin.match + ahead
        self.real.become_snapshot(index)
        self.twin.enter(SNAPSHOT, index)
        self.twin.pending = self.twin.commit_sent = index

    @invariant()
    def same(self) -> None:
        real, twin = self.real, self.twin
        assert 0 <= real.match < real.next
        assert (real.state, real.match, real.next) == (twin.state, twin.match, twin.sent + 1)
        assert real.pending_snapshot == twin.pending
        assert real.is_paused() is (twin.paused or twin.state is SNAPSHOT)
        assert real.sent_commit == twin.commit_sent
        assert real.inflights.count() == len(twin.flying)
        assert real.is_snapshot_caught_up() is (twin.state is SNAPSHOT and twin.match >= twin.pending)


TestWindow = WindowMachine.TestCase
TestWindow.settings = settings(max_examples=60, stateful_step_count=30)
TestPeer = PeerMachine.TestCase
TestPeer.settings = settings(max_examples=60, stateful_step_count=30)
