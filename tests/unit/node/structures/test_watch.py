"""Watching: every change once, in order, at any replica, whoever leads; and an error when that is not to be had."""

import asyncio
from functools import partial

import pytest

from raftly.errors import RaftlyError
from raftly.node import command, query
from raftly.node.errors import NodeStopped, ValueTypeError
from raftly.node.structures import Change, Dict, HistoryGone, Watch, watch
from tests.support.nodes import Replicas
from tests.support.virtual import run

Words = Dict[str, int]
Watching = Watch[Words, str, int]


async def take(watching: Watching, count: int) -> list[Change[str, int]]:
    async with asyncio.timeout(100):
        return [await anext(watching) for _ in range(count)]


@pytest.mark.parametrize("seed", range(3))
def test_every_replica_tells_every_change_in_order_while_leaders_go(seed: int) -> None:
    async def main() -> None:
        async with Replicas(Dict[str, int], seed=seed, call_timeout=60.0) as nodes:
            session = await nodes.nodes[1].open_session()
            told = [asyncio.ensure_future(take(watch(node, Dict.changes), 60)) for node in nodes.nodes.values()]
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

    run(main())


def test_whoever_loses_its_replica_goes_on_at_another() -> None:
    async def main() -> None:
        async with Replicas(Dict[str, int]) as nodes:
            leader = await nodes.leader()
            mine, other = nodes.others(leader)
            session = await leader.open_session()
            watching = watch(mine, Dict.changes, prefix="a")
            for count in range(10):
                await session.call(Dict.put, "ab"[count % 2], count)
            assert [change.revision for change in await take(watching, 5)] == [1, 3, 5, 7, 9]
            await nodes.equal()
            nodes.crash(mine.config.id)
            with pytest.raises(RaftlyError, match="crashed"):
                await anext(watching)
            assert watching.revision == 10  # also what it had nothing to tell of
            await session.call(Dict.delete, "a")
            again = watch(other, Dict.changes, after=watching.revision, prefix="a")
            assert await take(again, 1) == [Change(11, "a", None, deleted=True)]

    run(main())


def test_a_replica_that_lags_behind_tells_nothing_twice() -> None:
    async def main() -> None:
        async with Replicas(Dict[str, int]) as nodes:
            leader = await nodes.leader()
            late = nodes.others(leader)[0]
            nodes.network.isolate(late.config.id)
            for count in range(5):
                await leader.call(Dict.put, "a", count)
            watching = asyncio.ensure_future(take(watch(late, Dict.changes, after=4), 1))
            await asyncio.sleep(5)
            assert not watching.done()
            nodes.network.heal()
            assert await watching == [Change(5, "a", 4, deleted=False)]

    run(main())


def test_a_history_that_is_gone_is_told_and_the_state_leads_back() -> None:
    async def main() -> None:
        async with Replicas(partial(Dict[str, int], history_max=3), snapshot_entries=10) as nodes:
            leader = await nodes.leader()
            late = nodes.others(leader)[0]
            await leader.call(Dict.put, "a", 0)
            watching = watch(late, Dict.changes)
            assert await take(watching, 1) == [Change(1, "a", 0, deleted=False)]
            nodes.network.isolate(late.config.id)
            for count in range(40):  # so many that a snapshot brings them
                await leader.call(Dict.put, "b", count)
            nodes.network.heal()
            await nodes.equal()
            with pytest.raises(HistoryGone) as caught:
                await take(watching, 1)
            assert caught.value.first == 39
            page = late.look(Dict.scan)
            assert [item.value for item in page.items] == [0, 39]
            watching = watch(late, Dict.changes, after=page.revision)
            await leader.call(Dict.put, "c", 1)
            assert await take(watching, 1) == [Change(42, "c", 1, deleted=False)]

    run(main())


def test_it_catches_up_over_many_pages_and_lets_others_run() -> None:
    async def main() -> None:
        async with Replicas(Dict[str, int], count=1) as nodes:
            node = await nodes.leader()
            await asyncio.gather(*(node.call(Dict.put, "a", count) for count in range(700)))
            turns = 0

            async def others() -> None:
                nonlocal turns
                while True:
                    turns += 1
                    await asyncio.sleep(0)

            other = asyncio.ensure_future(others())
            changes = await take(watch(node, Dict.changes), 700)
            other.cancel()
            assert [change.value for change in changes] == list(range(700))
            assert turns >= 2

    run(main())


def test_each_change_is_told_at_once() -> None:
    async def main() -> None:
        async with Replicas(Dict[str, int], count=1) as nodes:
            node = await nodes.leader()
            watching = watch(node, Dict.changes)
            for count in range(3):
                task = asyncio.ensure_future(take(watching, 1))
                await asyncio.sleep(1)
                assert not task.done()
                await node.call(Dict.put, "a", count)
                async with asyncio.timeout(0.1):
                    assert await task == [Change(count + 1, "a", count, deleted=False)]

    run(main())


def test_it_ends_with_its_node() -> None:
    async def main() -> None:
        async with Replicas(Dict[str, int], count=1) as nodes:
            node = await nodes.leader()
            task = asyncio.ensure_future(take(watch(node, Dict.changes), 1))
            await asyncio.sleep(1)
            await node.stop()
            with pytest.raises(NodeStopped):
                await task

    run(main())


class Shop:
    errors = Dict.errors
    stock: Dict[str, int]

    def __init__(self) -> None:
        self.stock = Dict()

    @command
    def deliver(self, name: str, count: int) -> int:
        return self.stock.put(name, (self.stock.get(name) or 0) + count)

    @query
    def changes(self, after: int, limit: int) -> list[Change[str, int]]:
        return self.stock.changes(after, limit)


def test_a_dict_inside_of_a_class_is_watched_through_its_query() -> None:
    async def main() -> None:
        async with Replicas(Shop, count=1) as nodes:
            node = await nodes.leader()
            await node.call(Shop.deliver, "a", 2)
            await node.call(Shop.deliver, "a", 3)
            watching = watch(node, Shop.changes, after=1)
            assert await anext(watching) == Change(2, "a", 5, deleted=False)
            with pytest.raises(ValueTypeError, match="no prefix"):
                watch(node, Shop.changes, prefix=1)  # type: ignore[arg-type]

    run(main())
