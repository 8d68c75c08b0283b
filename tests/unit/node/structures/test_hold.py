"""Holding a lock while a block runs: renewed, given back, and told when it is lost, on nodes with partitions."""

import asyncio

import pytest

from raftly.errors import NotLeader
from raftly.node import Replicated, command
from raftly.node.log_time import Timed
from raftly.node.structures import (
    Election,
    HeldBy,
    Lease,
    LeaseLost,
    LockCalls,
    Locks,
    held,
    hold,
    lead,
    observe,
)
from tests.support.nodes import Replicas
from tests.support.virtual import run

TTL = 6.0


def now() -> float:
    return asyncio.get_running_loop().time()


@pytest.mark.parametrize("cut", ["the leader", "a follower"])
def test_a_holder_that_is_cut_off_is_told_before_another_gets_the_lock(cut: str) -> None:
    async def main() -> None:
        async with Replicas(Locks) as nodes:
            leader = await nodes.leader()
            mine = leader if cut == "the leader" else nodes.others(leader)[0]
            session = await mine.open_session()
            theirs = await nodes.others(mine)[0].open_session(within=60.0)
            tokens: list[int] = []

            async def first() -> None:
                async with held(session, "a", "x", TTL) as token:
                    tokens.append(token)
                    await asyncio.sleep(1000)

            async def second() -> float:
                async with held(theirs, "a", "y", TTL) as token:
                    tokens.append(token)
                    return now()

            holding = asyncio.ensure_future(first())
            await asyncio.sleep(3 * TTL)
            assert not holding.done()  # it was renewed
            lease = mine.look(Locks.holder, "a")
            assert lease is not None
            assert (lease.owner, lease.token) == ("x", tokens[0])
            renewed_at = lease.until_us / 1e6 - 1_000_000 - TTL
            nodes.network.isolate(mine.config.id)
            waiting = asyncio.ensure_future(second())
            with pytest.raises(LeaseLost):
                await holding
            lost_at = now()
            assert renewed_at + TTL - 0.2 < lost_at <= renewed_at + TTL + 1e-5  # log time is whole microseconds
            assert lost_at <= await waiting < lost_at + 3.0
            assert tokens[1] > tokens[0]
            nodes.network.heal()
            await nodes.equal()

    run(main())


def test_a_lock_is_held_as_long_as_the_block_runs_and_given_back_at_once() -> None:
    async def main() -> None:
        async with Replicas(Locks) as nodes:
            leader = await nodes.leader()
            one, other = [await node.open_session() for node in nodes.others(leader)]
            async with held(one, "a", "x", TTL):
                with pytest.raises(TimeoutError):
                    async with asyncio.timeout(4 * TTL), held(other, "a", "y", TTL):
                        pass
                async with asyncio.timeout(1.0), held(other, "b", "y", TTL):
                    pass  # another name, another lock
            async with asyncio.timeout(1.0), held(other, "a", "y", TTL):
                assert isinstance(await one.call(Locks.acquire, "a", "x", TTL), HeldBy)

    run(main())


def test_the_lock_outlives_leaders() -> None:
    async def main() -> None:
        async with Replicas(Locks, call_timeout=60.0) as nodes:
            leader = await nodes.leader()
            mine = nodes.others(leader)[0]
            session = await mine.open_session()
            async with held(session, "a", "x", 3 * TTL) as token:
                for _ in range(3):
                    leader = await nodes.leader()
                    if leader is not mine:
                        nodes.network.isolate(leader.config.id)
                    await asyncio.sleep(TTL)
                    nodes.network.heal()
                    lease = mine.look(Locks.holder, "a")
                    assert lease is not None
                    assert lease.token == token

    run(main())


async def lose(node: Replicated[Locks]) -> None:
    """Another with the same id takes the lock away."""
    await node.call(Locks.acquire, "a", "x", 10 * TTL)
    await asyncio.sleep(1000)


def test_a_holder_whose_lock_the_log_gave_away_is_told_at_its_next_renewal() -> None:
    async def main() -> None:
        async with Replicas(Locks, count=1) as nodes:
            node = await nodes.leader()
            begun = now()
            with pytest.raises(LeaseLost, match="'a' with token 1"):
                async with held(node, "a", "x", TTL):
                    await lose(node)
            assert now() < begun + TTL / 2
            lease = node.look(Locks.holder, "a")
            assert lease is not None
            assert lease.token == 2  # what it lost it did not give back

    run(main())


@pytest.mark.parametrize("error", [ValueError, TimeoutError, asyncio.CancelledError])
def test_an_error_of_the_block_passes_and_the_lock_is_given_back(error: type[BaseException]) -> None:
    async def main() -> None:
        async with Replicas(Locks, count=1) as nodes:
            node = await nodes.leader()
            with pytest.raises(error, match="mine"):
                async with held(node, "a", "x", TTL):
                    raise error("mine")
            assert node.look(Locks.holder, "a") is None

    run(main())


def test_a_node_that_does_not_lead_says_so() -> None:
    async def main() -> None:
        async with Replicas(Locks) as nodes:
            other = nodes.others(await nodes.leader())[0]
            with pytest.raises(NotLeader):
                async with held(other, "a", "x", TTL):
                    pass

    run(main())


class Press:
    """Has its own commands around the locks."""

    errors = Locks.errors
    locks: Locks

    def __init__(self) -> None:
        self.locks = Locks()
        self.taken = 0

    @command
    def begin(self, name: str, owner: str, ttl: float) -> Lease | HeldBy:
        self.taken += 1
        return self.locks.acquire(name, owner, ttl)

    @command
    def go_on(self, name: str, token: int, ttl: float) -> Lease:
        return self.locks.renew(name, token, ttl)

    @command
    def end(self, name: str, token: int) -> bool:
        return self.locks.release(name, token)


def test_locks_inside_of_a_class_are_held_through_its_commands() -> None:
    async def main() -> None:
        async with Replicas(Press, count=1) as nodes:
            node = await nodes.leader()
            async with hold(node, LockCalls(Press.begin, Press.go_on, Press.end), "a", "x", TTL) as token:
                await asyncio.sleep(2 * TTL)
                assert node.machine.instance.locks.leases["a"].token == token
            assert node.machine.instance.locks.leases == {}
            assert node.machine.instance.taken == 1

    run(main())


def test_leaders_are_observed_everywhere_also_when_one_goes_silent() -> None:
    async def main() -> None:
        async with Replicas(Election) as nodes:
            leader = await nodes.leader()
            seen: dict[int, list[tuple[str, int] | None]] = {id_: [] for id_ in nodes.ids}

            async def look_on(id_: int) -> None:
                async for lease in observe(nodes.nodes[id_], "o", Election.leader):
                    seen[id_].append(None if lease is None else (lease.owner, lease.token))

            tasks = [asyncio.ensure_future(look_on(id_)) for id_ in nodes.ids]
            await asyncio.sleep(1)
            await leader.call(Election.campaign, "o", "x", 2.0)
            await asyncio.sleep(1)
            assert all(what == [None, ("x", 1)] for what in seen.values())
            await asyncio.sleep(2)  # nobody calls anything: the leader's clock ends it
            assert all(what == [None, ("x", 1), None] for what in seen.values())
            session = await nodes.others(leader)[0].open_session()
            async with lead(session, "o", "y", TTL) as term:
                await asyncio.sleep(2 * TTL)
                assert term == 2
            await asyncio.sleep(1)
            assert all(what == [None, ("x", 1), None, ("y", 2), None] for what in seen.values())
            for task in tasks:
                task.cancel()

    run(main())


def test_the_clock_is_put_into_the_log_only_while_something_waits_for_it() -> None:
    async def main() -> None:
        async with Replicas(Locks) as nodes:
            leader = await nodes.leader()
            await leader.call(Locks.acquire, "a", "x", 5.0)
            called_us = leader.machine.now_us
            await asyncio.sleep(100)
            assert called_us + 5_000_000 <= leader.machine.now_us < called_us + 5_500_000
            assert leader.machine.instance.leases == {}
            assert isinstance(leader.machine.instance, Timed)

    run(main())
