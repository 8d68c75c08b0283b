"""Queue, against lists, on log time."""

import asyncio
from dataclasses import dataclass

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from raftly.errors import LimitExceeded
from raftly.node import Session, command, query
from raftly.node.errors import ValueTypeError
from raftly.node.structures import BadTimeToLive, Queue, QueueFull, Reservation
from tests.support.machines import TWIN_SETTINGS, Machine
from tests.support.nodes import Replicas
from tests.support.remote import caller_of, serve
from tests.support.virtual import run

BOUND = 4


def small() -> Queue[str]:
    return Queue(items_max=BOUND)


class QueueTwin(RuleBasedStateMachine):
    """The twin has numbered values, those to take and those reserved apart."""

    def __init__(self) -> None:
        super().__init__()
        self.machine = Machine(small)
        self.count = 0
        self.ready: dict[int, str] = {}
        self.reserved: dict[int, tuple[int, str, int]] = {}  # receipt: number, value, until
        self.receipts: list[int] = []

    def _let_end(self) -> None:
        for receipt, (number, value, until_us) in list(self.reserved.items()):
            if until_us <= self.machine.now_us:
                del self.reserved[receipt]
                self.ready[number] = value

    @rule(value=st.text(max_size=2))
    def put(self, value: str) -> None:
        if len(self.ready) + len(self.reserved) == BOUND:
            with pytest.raises(QueueFull) as caught:
                self.machine.call(Queue.put, value)
            assert caught.value.bound == BOUND
            return
        self.count += 1
        self.ready[self.count] = value
        assert self.machine.call(Queue.put, value) == self.count

    @rule(limit=st.integers(1, 3))
    def take(self, limit: int) -> None:
        self._let_end()
        numbers = sorted(self.ready)[:limit]
        assert self.machine.call(Queue.take, limit) == [self.ready.pop(number) for number in numbers]

    @rule(ttl_s=st.integers(1, 5))
    def reserve(self, ttl_s: int) -> None:
        self._let_end()
        reservation = self.machine.call(Queue.reserve, ttl_s)
        if not self.ready:
            assert reservation is None
            return
        assert reservation is not None
        number = min(self.ready)
        until_us = self.machine.now_us + ttl_s * 1_000_000
        assert (reservation.value, reservation.until_us) == (self.ready[number], until_us)
        assert reservation.receipt not in self.receipts
        self.receipts.append(reservation.receipt)
        self.reserved[reservation.receipt] = number, self.ready.pop(number), until_us

    @rule(index=st.integers(0, 5))
    def ack(self, index: int) -> None:
        self._let_end()
        receipt = self.receipts[-index] if index < len(self.receipts) else 99
        assert self.machine.call(Queue.ack, receipt) is (self.reserved.pop(receipt, None) is not None)

    @rule(index=st.integers(0, 5))
    def give_back(self, index: int) -> None:
        self._let_end()
        receipt = self.receipts[-index] if index < len(self.receipts) else 99
        outstanding = self.reserved.pop(receipt, None)
        assert self.machine.call(Queue.give_back, receipt) is (outstanding is not None)
        if outstanding is not None:
            self.ready[outstanding[0]] = outstanding[1]

    @rule(seconds=st.integers(1, 3), told=st.booleans())
    def pass_time(self, seconds: int, told: bool) -> None:
        self.machine.now_us += seconds * 1_000_000
        if told:
            self.machine.clock()
            self._let_end()
            due_us = self.machine.machine.due_us()
            if self.reserved:  # it may be planned too early, never too late
                assert due_us is not None
                assert self.machine.now_us < due_us <= min(until_us for _, _, until_us in self.reserved.values())

    @rule()
    def restart(self) -> None:
        self.machine.restart()

    @rule()
    def waiting(self) -> None:
        self.machine.clock()
        self._let_end()
        assert self.machine.ask(Queue.waiting) == len(self.ready)

    @invariant()
    def equal(self) -> None:
        assert self.machine.ask(Queue.size) == len(self.ready) + len(self.reserved)


TestQueueTwin = QueueTwin.TestCase
TestQueueTwin.settings = TWIN_SETTINGS


def test_a_late_receipt_removes_nothing() -> None:
    machine = Machine(small)
    machine.call(Queue.put, "a")
    slow = machine.call(Queue.reserve, 1.0)
    machine.now_us += 1_000_000
    quick = machine.call(Queue.reserve, 1.0)
    assert slow is not None
    assert quick is not None
    assert quick.value == "a"
    assert not machine.call(Queue.ack, slow.receipt)
    assert machine.call(Queue.ack, quick.receipt)
    assert machine.ask(Queue.size) == 0


def test_what_went_back_comes_before_what_is_younger() -> None:
    machine = Machine(small)
    for value in "abc":
        machine.call(Queue.put, value)
    machine.call(Queue.reserve, 1.0)
    assert machine.call(Queue.take) == ["b"]
    machine.now_us += 1_000_000
    assert machine.call(Queue.take, 2) == ["a", "c"]


def test_what_is_taken_at_once_fits_into_an_answer() -> None:
    machine: Machine[Queue[object]] = Machine(Queue)
    mebi = 1 << 20
    values = [bytes(3 * mebi), "x" * (3 * mebi), [b"1"], (bytes(3 * mebi),), bytes(9 * mebi), bytes(8 * mebi), None]
    for value in values:
        machine.call(Queue.put, value)
    machine.restart()  # the same wherever the state came from
    taken = []
    while got := machine.call(Queue.take, 1000):
        taken.append(len(got))
        for one in got:
            assert one == values.pop(0)
    assert taken == [3, 1, 1, 1, 1]  # 8 MiB and what the codec adds is more than the bound
    assert not values


def test_a_caller_elsewhere_gets_all_of_a_queue_with_large_values() -> None:
    async def main() -> None:
        async with Replicas(Queue[bytes], 1) as nodes:
            serve(nodes)
            async with caller_of(Queue[bytes], nodes) as remote:
                session = await remote.open_session()
                for size in (4, 4, 9):
                    await session.call(Queue.put, bytes(size << 20))
                taken: list[int] = []
                while values := await session.call(Queue.take, 1000):
                    taken += [len(value) >> 20 for value in values]
                assert taken == [4, 4, 9]

    run(main())


@dataclass
class Job:
    name: str


class Jobs(Queue[Job]):
    """Says by its base what it holds."""


@pytest.mark.parametrize("cls", [Queue[Job], Jobs])
def test_dataclasses_come_and_go_by_callers_elsewhere(cls: type[Queue[Job]]) -> None:
    async def main() -> None:
        async with Replicas(cls, 1) as nodes:
            await nodes.leader()
            serve(nodes)
            async with caller_of(cls, nodes) as remote, await remote.open_session() as session:
                for name in "abc":
                    await session.call(Queue.put, Job(name))
                with pytest.raises(ValueTypeError):
                    await session.call(Queue.put, "d")  # type: ignore[arg-type]
                assert await session.call(Queue.take, 2) == [Job("a"), Job("b")]
                reserved = await session.call(Queue.reserve, 1.0)
                assert reserved is not None
                assert reserved.value == Job("c")

    run(main())


class Unsaid:
    """What cannot travel."""


class Hidden:
    """Keeps in its queue what nobody is told."""

    errors = Queue.errors
    queue: Queue[object]

    def __init__(self) -> None:
        self.queue = Queue()

    @command
    def move(self, count: int) -> int:
        for _ in range(count):
            self.queue.put(Unsaid())
        return len(self.queue.take(count))


def test_values_that_no_answer_has_are_not_measured() -> None:
    assert Machine(Hidden).call(Hidden.move, 5) == 5


class Depot:
    """Does not pass time on to its queue."""

    errors = Queue.errors
    queue: Queue[str]

    def __init__(self) -> None:
        self.queue = Queue()

    @command
    def put(self, value: str) -> int:
        return self.queue.put(value)

    @command
    def reserve(self) -> Reservation[str] | None:
        return self.queue.reserve(1.0)

    @query
    def waiting(self) -> int:
        return self.queue.waiting()


def test_a_queue_that_is_told_nothing_looks_at_the_clock_itself() -> None:
    machine = Machine(Depot)
    machine.call(Depot.put, "a")
    assert machine.call(Depot.reserve) is not None
    assert machine.ask(Depot.waiting) == 0
    assert machine.call(Depot.reserve) is None
    machine.now_us += 1_000_000
    machine.clock()
    assert machine.machine.due_us() is None
    assert machine.ask(Depot.waiting) == 1
    assert machine.call(Depot.reserve) is not None


def test_bounds_are_told() -> None:
    machine = Machine(small)
    for ttl in (0.0, -1.0, float("nan"), float("inf"), 1e12):
        with pytest.raises(BadTimeToLive, match="does not lie in"):
            machine.call(Queue.reserve, ttl)
    with pytest.raises(LimitExceeded):
        machine.call(Queue.take, 0)
    assert "holds 4 values" in str(QueueFull(BOUND))


@pytest.mark.parametrize("seed", range(3))
def test_each_value_is_taken_exactly_once_while_leaders_come_and_go(seed: int) -> None:
    async def main() -> None:
        async with Replicas(Queue[int], seed=seed, call_timeout=60.0) as nodes:
            await nodes.leader()
            filling = await nodes.nodes[1].open_session()
            sessions = [await node.open_session() for node in nodes.nodes.values()]
            for value in range(60):
                await filling.call(Queue.put, value)
            taken: list[int] = []

            async def consume(session: Session[Queue[int]]) -> None:
                while values := await session.call(Queue.take):
                    taken.extend(values)
                    await asyncio.sleep(0.1)

            async def disturb() -> None:
                while True:
                    leader = await nodes.leader()
                    for deaf in nodes.others(leader):  # what it asks for is done, but it hears of it only afterwards
                        nodes.network.cut = {(id_, deaf.config.id) for id_ in nodes.ids}
                        await asyncio.sleep(1.5)
                        nodes.network.heal()
                        await asyncio.sleep(0.5)
                    nodes.network.isolate((await nodes.leader()).config.id)
                    await asyncio.sleep(4)
                    nodes.network.heal()
                    await asyncio.sleep(0.5)

            disturbing = asyncio.ensure_future(disturb())
            await asyncio.gather(*map(consume, sessions))
            disturbing.cancel()
            nodes.network.heal()
            assert sorted(taken) == list(range(60))
            await nodes.equal()

    run(main())
