"""Watching from elsewhere: every change once, in order, whoever leads and whatever breaks; and no state goes back."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from typing import Any, TypeVar

import pytest

from raftly.node import FOLLOWER, LEASE, LOCAL, STRONG, Read, Remote, bounded
from raftly.node.errors import Busy, NoNodeReached, ReadTimeout
from raftly.node.requests import NotLeading, Query, Response, decode_response, encode_request
from raftly.node.service import Service, ServiceLimits
from raftly.node.structures import Change, Dict, Election, HistoryGone, Lease, Watch, observe, watch
from raftly.transport import memory_client
from raftly.transport.base import Caller
from tests.support.nodes import Nodes, Register, Replicas
from tests.support.remote import CALLER, caller, caller_of, serve
from tests.support.virtual import run

Words = Dict[str, int]
T = TypeVar("T")


async def take(watching: Watch[Words, str, int], count: int) -> list[Change[str, int]]:
    async with asyncio.timeout(200):
        return [await anext(watching) for _ in range(count)]


async def soon(waiting: Awaitable[T]) -> T:
    """Virtual time runs on for ever, so nothing may wait without an end."""
    async with asyncio.timeout(200):
        return await waiting


def revisions(changes: list[Change[str, int]]) -> list[int]:
    return [change.revision for change in changes]


@pytest.mark.parametrize("read", [STRONG, LEASE, FOLLOWER, bounded(1.0), LOCAL], ids=lambda read: read.mode.value)
def test_every_change_comes_once_and_in_order_while_leaders_go(read: Read) -> None:
    async def main() -> None:
        async with Replicas(Words, call_timeout=60.0) as nodes:
            serve(nodes)
            session = await nodes.nodes[1].open_session()
            remotes = [caller_of(Words, nodes, id_=CALLER - number) for number in range(3)]
            told = [asyncio.ensure_future(take(watch(remote.reading(read), Dict.changes), 60)) for remote in remotes]
            for count in range(60):
                if count % 20 == 10:
                    leader = await nodes.leader()
                    nodes.network.isolate(leader.config.id)
                    asyncio.get_running_loop().call_later(5, nodes.network.heal)
                await session.call(Dict.put, f"k{count % 7}", count)
            nodes.network.heal()
            wanted = [Change(count + 1, f"k{count % 7}", count, deleted=False) for count in range(60)]
            for task in told:
                assert await task == wanted
            for remote in remotes:
                await remote.close()

    run(main())


@pytest.mark.parametrize("read", [STRONG, FOLLOWER], ids=lambda read: read.mode.value)
def test_members_are_lost_one_way_and_the_other(read: Read) -> None:
    async def main() -> None:
        async with Replicas(Words, 5, call_timeout=60.0) as nodes:
            serve(nodes)
            async with caller_of(Words, nodes) as remote:
                told = asyncio.ensure_future(take(watch(remote.reading(read), Dict.changes), 30))
                writer = caller_of(Words, nodes, id_=CALLER - 1, call_timeout=60.0)
                session = await writer.open_session()
                for count in range(30):
                    if count == 10:
                        nodes.crash((await nodes.leader()).config.id)
                    if count == 20:
                        await nodes.stop((await nodes.leader()).config.id)
                    await session.call(Dict.put, "k", count)
                assert revisions(await told) == list(range(1, 31))
                await writer.close()

    run(main())


def test_a_watch_that_hears_nothing_for_long_hears_at_once_when_there_is_something(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def main() -> None:
        async with Replicas(Words) as nodes:
            serve(nodes)
            leader = await nodes.leader()
            async with caller_of(Words, nodes) as remote:
                watching = watch(remote, Dict.changes)
                next_ = asyncio.ensure_future(anext(watching))
                asked: list[float] = []
                real = Service._poll

                async def poll(service: Service, on: Caller, id_: int, within: float, query: Query, after: int) -> None:
                    asked.append(within)
                    await real(service, on, id_, within, query, after)

                monkeypatch.setattr(Service, "_poll", poll)
                await asyncio.sleep(60)
                assert not next_.done()
                assert 10 <= len(asked) <= 20  # one in four or five seconds, and one after entries of the node itself
                loop = asyncio.get_running_loop()
                await leader.call(Dict.put, "a", 1)
                began = loop.time()
                assert await soon(next_) == Change(1, "a", 1, deleted=False)
                assert loop.time() - began < 0.01

    run(main())


def polls_at(nodes: Replicas[Any], id_: int) -> int:
    """How many wait there."""
    service = nodes.network.handlers[id_]
    assert isinstance(service, Service)
    return sum(service._polls.values())


def only(nodes: Replicas[Words], id_: int) -> None:
    """From now on the caller reaches no other node."""
    nodes.network.cut |= {(CALLER, other) for other in nodes.ids if other != id_}


@pytest.mark.parametrize("read", [STRONG, FOLLOWER], ids=lambda read: read.mode.value)
def test_a_node_that_is_cut_off_holds_nobody(read: Read) -> None:
    """It cannot prove that nothing is new, so it says so, and the caller goes elsewhere; LOCAL asks for no proof."""

    async def main() -> None:
        async with Replicas(Words) as nodes:
            serve(nodes)
            leader = await nodes.leader()
            async with caller_of(Words, nodes, leader.config.id) as remote:
                watching = watch(remote.reading(read), Dict.changes)
                first = asyncio.ensure_future(anext(watching))
                await leader.call(Dict.put, "a", 1)
                await soon(first)
                next_ = asyncio.ensure_future(anext(watching))
                await asyncio.sleep(6)
                (asked,) = (id_ for id_ in nodes.ids if polls_at(nodes, id_))
                nodes.network.isolate(asked)  # from the other nodes; the caller still reaches it
                new = await nodes.leader(but=asked)
                await new.call(Dict.put, "b", 2)
                loop = asyncio.get_running_loop()
                began = loop.time()
                assert (await soon(next_)).revision == 2
                assert loop.time() - began < 10.0

    run(main())


def test_no_state_goes_back_whoever_answers() -> None:
    async def main() -> None:
        async with Replicas(Words) as nodes:
            serve(nodes)
            leader = await nodes.leader()
            behind = nodes.others(leader)[0].config.id
            await nodes.equal()
            nodes.network.isolate(behind)
            await leader.call(Dict.put, "a", 1)
            async with caller_of(Words, nodes) as remote:
                only(nodes, behind)
                stale = remote.reading(LOCAL).within(1.0)
                assert (await stale.poll(None, Dict.get, "a"))[0] is None
                with pytest.raises((ReadTimeout, NoNodeReached)):
                    await soon(stale.poll(leader.machine.applied + 5, Dict.get, "a"))
                poll = asyncio.ensure_future(stale.poll(leader.machine.applied, Dict.get, "a"))
                await asyncio.sleep(1)
                nodes.network.heal()
                value, applied = await soon(poll)
                assert value == 1
                assert applied >= leader.machine.applied

    run(main())


def test_a_poll_ends_in_its_time_and_the_watch_goes_on_afterwards() -> None:
    async def main() -> None:
        async with Replicas(Words) as nodes:
            serve(nodes)
            leader = await nodes.leader()
            async with caller_of(Words, nodes, call_timeout=2.0) as remote:
                await leader.call(Dict.put, "a", 1)
                watching = watch(remote, Dict.changes)
                assert (await soon(anext(watching))).revision == 1
                nodes.network.cut |= {(CALLER, id_) for id_ in nodes.ids}
                began = asyncio.get_running_loop().time()
                with pytest.raises((ReadTimeout, NoNodeReached)):
                    await soon(anext(watching))
                assert asyncio.get_running_loop().time() - began < 12.1  # one poll was under way, 2 s and 8 s
                nodes.network.heal()
                await leader.call(Dict.put, "a", 2)
                assert (await soon(anext(watching))).revision == 2

    run(main())


def test_only_so_many_polls_wait_for_one_connection() -> None:
    async def main() -> None:
        async with Nodes() as nodes:
            serve(nodes, limits=ServiceLimits(polls=2))
            leader = await nodes.leader()
            async with caller(nodes, leader.config.id) as remote:
                index = leader.machine.applied
                polls = [asyncio.ensure_future(remote.poll(index, Register.get, "a")) for _ in range(2)]
                await asyncio.sleep(0.1)
                busy = await raw_poll(remote, leader.config.id, index)
                assert isinstance(busy, Busy)
                assert str(busy) == "polls_waiting is 3, the limit is 2"
                async with caller(nodes, leader.config.id, id_=CALLER - 1) as other:  # has a connection of its own
                    polls.append(asyncio.ensure_future(other.poll(index, Register.get, "a")))
                    await asyncio.sleep(0.1)
                    await leader.call(Register.set, "a", 5)
                    assert [(await soon(poll))[0] for poll in polls] == [5, 5, 5]
                    value, _ = await remote.poll(index, Register.get, "a")  # there is room again
                    assert value == 5
            assert polls_at(nodes, leader.config.id) == 0

    run(main())


async def raw_poll(remote: Remote[Register], node: int, index: int) -> Response:
    """One attempt at one node, and what it answers."""
    route, address = remote._shared.route, memory_client.memory_address(node)
    channel = route._channels.get(address) or await route._dialer.dial(address)
    data = await soon(channel.request(encode_request(Query(STRONG, "get", ("a",), index), 5.0)))
    return decode_response(data, {})


def test_a_strong_poll_is_the_leaders() -> None:
    async def main() -> None:
        async with Nodes() as nodes:
            serve(nodes)
            leader = await nodes.leader()
            await nodes.equal()
            other = nodes.others(leader)[0].config.id
            async with caller(nodes) as remote:
                began = asyncio.get_running_loop().time()
                answer = await raw_poll(remote, other, leader.machine.applied)
                assert answer == NotLeading(leader.config.id, memory_client.memory_address(leader.config.id))
                assert asyncio.get_running_loop().time() - began < 0.1

    run(main())


def test_changes_that_do_not_fit_into_one_response_come_in_several(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory_client, "REQUEST_BYTES_MAX", 10_000)

    async def main() -> None:
        async with Replicas(Dict[str, bytes]) as nodes:
            serve(nodes)
            leader = await nodes.leader()
            async with caller_of(Dict[str, bytes], nodes) as remote:
                for count in range(20):
                    await leader.call(Dict.put, f"k{count}", bytes(1000))
                watching = watch(remote, Dict.changes)
                async with asyncio.timeout(10):
                    assert [(await anext(watching)).revision for _ in range(20)] == list(range(1, 21))

    run(main())


def test_what_is_forgotten_is_said_so() -> None:
    async def main() -> None:
        def small() -> Dict[str, int]:
            return Dict(history_max=3)

        async with Replicas(small) as nodes:
            serve(nodes)
            leader = await nodes.leader()
            async with caller_of(Dict, nodes) as remote:
                for count in range(9):
                    await leader.call(Dict.put, "k", count)
                with pytest.raises(HistoryGone) as gone:
                    await anext(watch(remote, Dict.changes, after=2))
                assert gone.value.first == 7
                assert (await anext(watch(remote, Dict.changes, after=6))).revision == 7

    run(main())


def test_an_election_is_observed_from_elsewhere() -> None:
    async def main() -> None:
        async with Replicas(Election, call_timeout=60.0) as nodes:
            serve(nodes)
            async with caller_of(Election, nodes) as remote:
                seen: list[Lease | None] = []

                async def follow() -> None:
                    async for leader in observe(remote, "office", Election.leader):
                        seen.append(leader)
                        if len(seen) == 4:
                            return

                following = asyncio.ensure_future(follow())
                session = await remote.open_session()
                await asyncio.sleep(0.1)
                first = await session.call(Election.campaign, "office", "one", 5.0)
                assert isinstance(first, Lease)
                await asyncio.sleep(0.1)
                leader = await nodes.leader()
                nodes.network.isolate(leader.config.id)
                await session.call(Election.renew, "office", first.token, 5.0)
                nodes.network.heal()
                await asyncio.sleep(12)  # the lease runs out
                second = await session.call(Election.campaign, "office", "two", 5.0)
                assert isinstance(second, Lease)
                await soon(following)
                known = [None if leader is None else (leader.owner, leader.token) for leader in seen]
                assert known == [None, ("one", first.token), None, ("two", second.token)]

    run(main())
