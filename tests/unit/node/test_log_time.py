"""Log time: what commands may know of the time, plans that it carries out, and when a leader writes it down."""

import pytest

from raftly.node import command, query
from raftly.node.clock import Clock
from raftly.node.errors import MachineFailed
from raftly.node.log_time import Timed, at, log_time_us
from tests.support.machines import Machine


class Alarm:
    """Rings once at each time that was asked for."""

    errors = (KeyError,)

    def __init__(self) -> None:
        self.plans: list[int] = []
        self.rung: list[tuple[int, int]] = []

    @command
    def plan(self, in_us: int) -> int:
        self.plans = sorted([*self.plans, log_time_us() + in_us])
        return len(self.rung)

    @command
    def refuse(self) -> None:
        raise KeyError(log_time_us())

    @query
    def now(self) -> int:
        return log_time_us()

    def due_us(self) -> int | None:
        return self.plans[0] if self.plans else None

    def on_time(self) -> None:
        while self.plans and self.plans[0] <= log_time_us():
            self.rung.append((self.plans.pop(0), log_time_us()))


def test_commands_and_queries_see_the_stamp_of_the_newest_entry() -> None:
    machine = Machine(Alarm)
    assert machine.ask(Alarm.now) == 0
    with pytest.raises(KeyError) as caught:
        machine.call(Alarm.refuse)
    assert caught.value.args == (1_000_000,)
    machine.now_us += 5
    assert machine.ask(Alarm.now) == 1_000_000
    machine.clock()
    assert machine.ask(Alarm.now) == 1_000_005
    machine.now_us -= 3  # a leader with a clock that is behind
    machine.clock()
    assert machine.ask(Alarm.now) == 1_000_005
    machine.restart()
    assert machine.ask(Alarm.now) == 1_000_005


def test_nobody_else_sees_it() -> None:
    machine = Machine(Alarm)
    machine.call(Alarm.plan, 1)
    machine.ask(Alarm.now)
    with pytest.raises(KeyError):
        machine.call(Alarm.refuse)
    machine.now_us += 1
    machine.clock()
    with pytest.raises(RuntimeError, match="commands and queries"):
        log_time_us()


def test_a_test_gives_a_time_of_its_own() -> None:
    alarm = Alarm()
    with at(7):
        alarm.plan(1)
        with at(9):
            assert alarm.now() == 9
        assert alarm.now() == 7
    assert alarm.plans == [8]
    with pytest.raises(RuntimeError):
        alarm.now()


def test_the_first_entry_that_reaches_a_plan_carries_it_out_before_its_own_command() -> None:
    machine = Machine(Alarm)
    assert isinstance(machine.machine.instance, Timed)
    machine.call(Alarm.plan, 10)
    machine.call(Alarm.plan, 20)
    assert machine.machine.due_us() == 1_000_010
    machine.now_us += 9
    assert machine.call(Alarm.plan, 1000) == 0
    machine.now_us += 1
    assert machine.call(Alarm.plan, 1000) == 1
    assert machine.machine.instance.rung == [(1_000_010, 1_000_010)]
    assert machine.machine.due_us() == 1_000_020
    machine.now_us += 500
    machine.clock()
    assert machine.machine.instance.rung == [(1_000_010, 1_000_010), (1_000_020, 1_000_510)]


def test_a_plan_for_the_past_waits_for_time_to_pass_and_is_not_asked_for() -> None:
    machine = Machine(Alarm)
    machine.call(Alarm.plan, 0)
    assert machine.machine.due_us() is None  # so no leader writes its clock again and again
    machine.clock()
    assert machine.machine.instance.rung == []
    machine.now_us += 1
    machine.clock()
    assert machine.machine.instance.rung == [(1_000_000, 1_000_001)]


class Broken(Alarm):
    def on_time(self) -> None:
        raise KeyError


def test_a_plan_that_fails_is_a_bug_also_with_a_registered_exception() -> None:
    machine = Machine(Broken)
    machine.call(Alarm.plan, 1)
    machine.now_us += 1
    with pytest.raises(MachineFailed, match=r"Broken\.on_time raised KeyError"):
        machine.clock()


def test_a_class_without_plans_has_none() -> None:
    class Plain:
        @command
        def nothing(self) -> None:
            pass

    assert Machine(Plain).machine.due_us() is None


def test_a_leader_writes_its_clock_when_a_plan_is_due_and_again_when_that_was_lost() -> None:
    clock = Clock(interval=5.0, retry=1.0)
    assert not clock.wants_entry(0.0, 99, 50, 100, sessions=False)
    assert clock.wants_entry(0.1, 100, 50, 100, sessions=False)
    assert not clock.wants_entry(0.2, 110, 50, 100, sessions=False)
    assert clock.wants_entry(0.3, 120, 50, 115, sessions=False)  # another plan
    assert not clock.wants_entry(1.2, 130, 50, 115, sessions=False)
    assert clock.wants_entry(1.4, 130, 50, 115, sessions=False)


def test_a_leader_with_sessions_writes_its_clock_every_interval() -> None:
    clock = Clock(interval=5.0, retry=1.0)
    assert not clock.wants_entry(0.0, 10_000_000, 1, None, sessions=False)
    assert not clock.wants_entry(0.0, 4_999_999, 0, None, sessions=True)
    assert clock.wants_entry(0.1, 5_000_000, 0, None, sessions=True)
    assert not clock.wants_entry(5.0, 10_000_000, 0, None, sessions=True)
    assert clock.wants_entry(5.1, 10_000_000, 0, None, sessions=True)
    assert clock.wants_entry(5.2, 10_100_000, 0, 10_050_000, sessions=True)
