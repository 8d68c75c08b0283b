"""When a lease holds and when a read may go on, with the core, the clock and the answers in the test's hands."""

import asyncio
import time
from types import SimpleNamespace
from typing import Any, cast

import pytest

from raftly.core.readindex import ReadState
from raftly.core.role import Role
from raftly.node.errors import ReadTimeout
from raftly.node.group import Group
from raftly.node.lease_clock import lease_clock_of
from raftly.node.reads import FOLLOWER, STRONG, Reads, bounded
from tests.support.virtual import run

LEASE_S = 0.4


class Desk:
    """Reads of node 1, which leads term 3 and has applied entry 5, and a clock that only the test moves."""

    def __init__(self) -> None:
        self.now = 100.0
        self.asked: list[bytes] = []
        log = SimpleNamespace(committed=5)
        self.raft = SimpleNamespace(term=3, role=Role.LEADER, leader=1, lead_transferee=0, log=log)
        self.group: Any = SimpleNamespace(
            raw=SimpleNamespace(raft=self.raft, read_index=self.asked.append),
            transfer_term=0,
            act=lambda action: action(self.group.raw),
        )
        self.reads = Reads(cast("Group", self.group), LEASE_S, 0.2, 10, lambda: self.now)
        self.reads.on_applied(5)

    def answer(self, context: bytes, index: int = 5) -> None:
        self.reads.on_read_states([ReadState(index, context)])

    def ask(self) -> bytes:
        """Ask at once; what the answer has to carry."""
        self.reads._ask([])
        return self.asked[-1]

    def lease(self) -> None:
        """Get one as of now."""
        self.answer(self.ask())
        assert self.holds()

    def holds(self) -> bool:
        return self.reads.holds_lease(self.now)


def test_a_lease_lasts_from_the_asking_however_late_the_answer() -> None:
    desk = Desk()
    context = desk.ask()
    desk.now += 0.3
    desk.answer(context)
    desk.now += LEASE_S - 0.3 - 0.001
    assert desk.holds()
    desk.now += 0.002
    assert not desk.holds()


def test_an_older_question_shortens_no_lease() -> None:
    desk = Desk()
    older = desk.ask()
    desk.now += 0.3
    desk.lease()
    desk.answer(older)
    desk.now += LEASE_S - 0.001
    assert desk.holds()


def test_a_lease_ends_with_its_term_and_with_the_leadership() -> None:
    desk = Desk()
    desk.lease()
    desk.raft.role = Role.FOLLOWER
    assert not desk.holds()
    desk.raft.role = Role.LEADER
    desk.raft.term = 4
    assert not desk.holds()


def test_an_answer_to_a_question_of_an_earlier_term_gives_none() -> None:
    desk = Desk()
    context = desk.ask()
    desk.raft.term = 4
    desk.answer(context)
    assert not desk.holds()


def test_an_answer_to_a_question_that_was_not_asked_as_leader_gives_none() -> None:
    desk = Desk()
    desk.raft.role = Role.CANDIDATE
    context = desk.ask()
    desk.raft.role = Role.LEADER
    desk.answer(context)
    assert not desk.holds()


def test_none_while_leadership_is_handed_over_and_none_in_a_term_in_which_it_was() -> None:
    desk = Desk()
    desk.lease()
    desk.raft.lead_transferee = 2
    assert not desk.holds()
    desk.raft.lead_transferee = 0
    assert desk.holds()
    desk.group.transfer_term = 3
    assert not desk.holds()


def test_none_while_something_committed_is_not_applied() -> None:
    desk = Desk()
    desk.lease()
    desk.raft.log.committed = 6
    assert not desk.holds()
    desk.reads.on_applied(6)
    assert desk.holds()


def test_a_read_waits_until_its_index_is_applied_though_it_is_committed() -> None:
    async def main() -> None:
        desk = Desk()
        desk.raft.log.committed = 9
        read = asyncio.ensure_future(desk.reads.wait(STRONG, 1.0))
        await asyncio.sleep(0.01)
        desk.answer(desk.asked[-1], 8)
        desk.reads.on_applied(7)
        await asyncio.sleep(0.01)
        assert not read.done()
        desk.reads.on_applied(8)
        assert (await read).applied == 8

    run(main())


def test_a_state_is_as_old_as_the_question_not_as_the_answer() -> None:
    async def main() -> None:
        desk = Desk()
        desk.raft.role = Role.FOLLOWER
        read = asyncio.ensure_future(desk.reads.wait(FOLLOWER, 1.0))
        await asyncio.sleep(0.01)
        desk.now += 0.15
        desk.answer(desk.asked[-1])
        await read
        desk.now += 0.05
        assert (await desk.reads.wait(bounded(1.0), 1.0)).age_s == pytest.approx(0.2)

    run(main())


def test_a_question_without_an_answer_is_asked_again_and_the_first_answer_comes_too_late() -> None:
    async def main() -> None:
        desk = Desk()
        read = asyncio.ensure_future(desk.reads.wait(STRONG, 1.0))
        await asyncio.sleep(0.01)
        desk.now += 0.21
        desk.reads.on_tick(0.3)
        assert len(desk.asked) == 2
        desk.answer(desk.asked[0])
        await asyncio.sleep(0.01)
        assert not read.done()
        desk.answer(desk.asked[1])
        await read

    run(main())


def test_reads_that_come_while_a_question_is_under_way_share_the_next() -> None:
    async def main() -> None:
        desk = Desk()
        first = asyncio.ensure_future(desk.reads.wait(STRONG, 1.0))
        await asyncio.sleep(0)
        later = []
        for _ in range(3):
            later.append(asyncio.ensure_future(desk.reads.wait(STRONG, 1.0)))
            await asyncio.sleep(0.01)
        assert len(desk.asked) == 1
        desk.now += LEASE_S  # so that the answer gives no lease
        desk.answer(desk.asked[0])
        await first
        assert len(desk.asked) == 2
        await asyncio.sleep(0.01)
        assert not any(read.done() for read in later), "they came after what was answered had been asked"
        desk.answer(desk.asked[1])
        await asyncio.gather(*later)

    run(main())


def test_reads_that_wait_behind_a_lost_question_are_asked_for_with_it() -> None:
    async def main() -> None:
        desk = Desk()
        reads = []
        for within in (1.0, 0.2, 1.0):
            reads.append(asyncio.ensure_future(desk.reads.wait(STRONG, within)))
            await asyncio.sleep(0.01)
        desk.now += 0.21
        desk.reads.on_tick(asyncio.get_running_loop().time() + 0.3)
        await asyncio.sleep(0.01)
        assert [read.done() for read in reads] == [False, True, False]
        assert isinstance(reads[1].exception(), ReadTimeout)
        assert len(desk.asked) == 2
        desk.answer(desk.asked[1])
        await reads[0]
        await reads[2]

    run(main())


# --- the clock -----------------------------------------------------------------------------------------------


class EarlyLoop(asyncio.SelectorEventLoop):
    """As uvloop: it has a `time` of its own, that of the turn's beginning."""

    def time(self) -> float:
        return 1.0


EarlyLoop.__module__ = "uvloop.loop"


@pytest.mark.skipif(not hasattr(time, "CLOCK_BOOTTIME"), reason="this system has no clock that counts a suspend")
@pytest.mark.parametrize("kind", [asyncio.SelectorEventLoop, EarlyLoop])
def test_leases_are_measured_by_a_clock_that_counts_a_suspend_and_is_read_anew(
    kind: type[asyncio.AbstractEventLoop], monkeypatch: pytest.MonkeyPatch
) -> None:
    loop = kind()
    try:
        clock = lease_clock_of(loop)
    finally:
        loop.close()
    monkeypatch.setattr(time, "clock_gettime", {time.CLOCK_BOOTTIME: 7.0}.__getitem__)
    assert clock() == 7.0


def test_a_loop_that_makes_its_own_time_is_the_clock() -> None:
    async def main() -> None:
        clock = lease_clock_of(asyncio.get_running_loop())
        before = clock()
        await asyncio.sleep(1000)
        assert clock() - before == pytest.approx(1000)

    run(main())
