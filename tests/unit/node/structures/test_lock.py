"""Locks and elections, against one dict and a count, on log time."""

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from raftly.errors import LimitExceeded
from raftly.node.structures import BadTimeToLive, Election, HeldBy, Lease, LeaseLost, Locks
from tests.support.machines import TWIN_SETTINGS, Machine

NAMES = st.sampled_from(["a", "b", "c"])
OWNERS = st.sampled_from(["x", "y"])
TTLS = st.integers(1, 5)
SECOND = 1_000_000
BOUND = 2


def small() -> Locks:
    return Locks(leases_max=BOUND)


class LocksTwin(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.machine = Machine(small)
        self.count = 0
        self.leases: dict[str, Lease] = {}

    def _let_end(self) -> None:
        self.leases = {name: lease for name, lease in self.leases.items() if lease.until_us > self.machine.now_us}

    @rule(name=NAMES, owner=OWNERS, ttl=TTLS)
    def acquire(self, name: str, owner: str, ttl: int) -> None:
        self._let_end()
        held = self.leases.get(name)
        if held is None and len(self.leases) == BOUND:
            with pytest.raises(LimitExceeded):
                self.machine.call(Locks.acquire, name, owner, ttl)
            return
        result = self.machine.call(Locks.acquire, name, owner, ttl)
        if held is not None and held.owner != owner:
            left_s = (held.until_us - self.machine.now_us) / SECOND
            assert result == HeldBy(held.owner, held.until_us, left_s)
            return
        self.count += 1
        self.leases[name] = Lease(owner, self.count, self.machine.now_us + ttl * SECOND)
        assert result == self.leases[name]

    @rule(name=NAMES, back=st.integers(0, 1), ttl=TTLS)
    def renew(self, name: str, back: int, ttl: int) -> None:
        self._let_end()
        held = self.leases.get(name)
        token = (held.token if held is not None else self.count) - back
        if held is None or back:
            with pytest.raises(LeaseLost) as caught:
                self.machine.call(Locks.renew, name, token, ttl)
            assert (caught.value.name, caught.value.token) == (name, token)
            return
        until_us = max(held.until_us, self.machine.now_us + ttl * SECOND)
        self.leases[name] = Lease(held.owner, token, until_us)
        assert self.machine.call(Locks.renew, name, token, ttl) == self.leases[name]

    @rule(name=NAMES, back=st.integers(0, 1))
    def release(self, name: str, back: int) -> None:
        self._let_end()
        held = self.leases.get(name)
        token = (held.token if held is not None else self.count) - back
        released = held is not None and not back
        assert self.machine.call(Locks.release, name, token) is released
        if released:
            del self.leases[name]

    @rule(seconds=st.integers(1, 3))
    def pass_time(self, seconds: int) -> None:
        self.machine.now_us += seconds * SECOND

    @rule()
    def restart(self) -> None:
        self.machine.restart()

    @rule()
    def clock(self) -> None:
        self.machine.clock()
        self._let_end()
        for name in ("a", "b", "c"):
            assert self.machine.ask(Locks.holder, name) == self.leases.get(name)
        due_us = self.machine.machine.due_us()
        if self.leases:  # it may be planned too early, never too late
            assert due_us is not None
            assert self.machine.now_us < due_us <= min(lease.until_us for lease in self.leases.values())

    @invariant()
    def no_more_than_there_may_be(self) -> None:
        assert len(self.machine.machine.instance.leases) <= BOUND


TestLocksTwin = LocksTwin.TestCase
TestLocksTwin.settings = TWIN_SETTINGS


def test_time_alone_ends_leases_and_what_was_planned_for_them() -> None:
    machine = Machine(Locks)
    machine.call(Locks.acquire, "a", "x", 1.0)
    machine.call(Locks.acquire, "b", "x", 2.0)
    assert machine.machine.due_us() == machine.now_us + SECOND
    machine.now_us += SECOND
    machine.clock()
    assert list(machine.machine.instance.leases) == ["b"]
    assert machine.machine.due_us() == machine.now_us + SECOND
    machine.now_us += SECOND
    machine.clock()
    assert machine.machine.instance.leases == {}
    assert machine.machine.due_us() is None


def test_an_owner_that_asks_again_gets_another_token() -> None:
    machine = Machine(Locks)
    first = machine.call(Locks.acquire, "a", "x", 10.0)
    second = machine.call(Locks.acquire, "a", "x", 10.0)
    assert isinstance(first, Lease)
    assert isinstance(second, Lease)
    assert second.token > first.token
    with pytest.raises(LeaseLost):
        machine.call(Locks.renew, "a", first.token, 10.0)
    assert not machine.call(Locks.release, "a", first.token)
    assert machine.ask(Locks.holder, "a") == second


def test_a_renewal_makes_no_lease_shorter() -> None:
    machine = Machine(Locks)
    lease = machine.call(Locks.acquire, "a", "x", 10.0)
    assert isinstance(lease, Lease)
    assert machine.call(Locks.renew, "a", lease.token, 1.0) == lease
    assert machine.ask(Locks.holder, "a") == lease


def test_a_bad_time_to_live_changes_nothing() -> None:
    machine = Machine(Locks)
    for ttl in (0.0, -1.0, float("nan"), float("inf")):
        with pytest.raises(BadTimeToLive):
            machine.call(Locks.acquire, "a", "x", ttl)
    assert machine.ask(Locks.holder, "a") is None
    assert machine.machine.instance.last_token == 0


def test_an_election_is_a_lock_on_an_office() -> None:
    machine = Machine(Election)
    lease = machine.call(Election.campaign, "o", "x", 1.0)
    assert isinstance(lease, Lease)
    assert isinstance(machine.call(Election.campaign, "o", "y", 1.0), HeldBy)
    assert machine.ask(Election.leader, "o") == lease
    machine.restart()
    machine.now_us += SECOND // 2
    machine.call(Election.renew, "o", lease.token, 1.0)
    machine.now_us += SECOND // 2
    machine.clock()
    renewed = machine.ask(Election.leader, "o")
    assert renewed is not None
    assert renewed.token == lease.token
    machine.now_us += SECOND // 2
    machine.clock()
    assert machine.ask(Election.leader, "o") is None
    assert machine.machine.instance.offices.leases == {}
    with pytest.raises(LeaseLost, match="'o' with token 1 is lost"):
        machine.call(Election.renew, "o", lease.token, 1.0)
    later = machine.call(Election.campaign, "o", "y", 1.0)
    assert isinstance(later, Lease)
    assert later.token > lease.token
    assert machine.call(Election.resign, "o", later.token)
    assert not machine.call(Election.resign, "o", later.token)
