"""Levels: the newest to every reader, nothing queued; waiting for what is applied."""

import asyncio
from contextlib import suppress

import pytest

from raftly.base.membership import ConfState
from raftly.node import FOLLOWER
from raftly.node.errors import NodeStopped, ReadTimeout
from raftly.node.events import Applied, Leadership, Level, Members, members_of
from tests.support.nodes import Nodes, Register
from tests.support.virtual import run


def test_a_reader_gets_what_is_first_then_the_newest_only() -> None:
    async def main() -> None:
        level = Level("a")
        got = []

        async def read() -> None:
            async for value in level:
                got.append(value)
                await asyncio.sleep(1)

        reader = asyncio.create_task(read())
        await asyncio.sleep(0.5)
        for value in "bcd":
            assert level.set(value)
        assert not level.set("d")
        await asyncio.sleep(1)
        level.set("e")
        level.close()
        assert not level.set("f")
        await reader
        assert got == ["a", "d", "e"]

    run(main())


def test_a_reader_that_waits_when_the_level_closes_ends_and_a_late_one_gets_the_last_value() -> None:
    async def main() -> None:
        level = Level(1)
        waiting = asyncio.create_task(_all(level))
        await asyncio.sleep(0)
        level.close()
        assert await waiting == [1]
        assert await _all(level) == [1]

    run(main())


async def _all(level: Level[int]) -> list[int]:
    return [value async for value in level]


def test_a_reader_that_is_cancelled_takes_nobody_with_it_and_leaves_nothing() -> None:
    async def main() -> None:
        applied = Applied(0)
        tasks = [asyncio.create_task(applied.next_change(0)) for _ in range(3)]
        await asyncio.sleep(0)
        tasks[1].cancel()
        with suppress(asyncio.CancelledError):
            await tasks[1]
        assert len(applied._bell.waiters) == 2
        applied.advance(5)
        assert [await tasks[0], await tasks[2]] == [5, 5]
        assert not applied._bell.waiters

    run(main())


def test_what_is_applied_already_is_not_waited_for() -> None:
    async def main() -> None:
        applied = Applied(7)
        assert await applied.next_change(6) == 7
        waiting = asyncio.create_task(applied.next_change(7))
        await asyncio.sleep(1)
        assert not waiting.done()
        applied.close(NodeStopped("gone"))
        with pytest.raises(NodeStopped):
            await waiting
        assert await applied.next_change(6) == 7  # what is there can still be looked at

    run(main())


def test_members_are_what_the_configuration_says_ascending() -> None:
    members = members_of(ConfState((3, 1), (5,), (2, 1), (4,)))
    assert members == Members((1, 3), (5,), (1, 2), (4,))
    assert members.is_joint
    assert members.all() == (1, 2, 3, 4, 5)
    assert str(members) == "voters 1 3, leaving 1 2, learners 4 5"
    assert not Members((1,)).is_joint


# --- at a node ---


def test_leadership_is_told_by_every_node_and_ends_with_it() -> None:
    async def main() -> None:
        async with Nodes() as nodes:
            told: dict[int, list[Leadership]] = {}

            async def read(id_: int) -> None:
                async for leadership in nodes.nodes[id_].leadership():
                    told.setdefault(id_, []).append(leadership)

            readers = [asyncio.create_task(read(id_)) for id_ in nodes.ids]
            await asyncio.sleep(0)
            assert all([level.leader for level in levels] == [0] for levels in told.values())
            first = await nodes.leader()
            old = first.config.id
            await first.stop()
            second = await nodes.leader(but=old)
            new, term = second.config.id, second.status().basic.hard_state.term
            await asyncio.sleep(1)
            for id_ in nodes.ids:
                assert told[id_][-1].leader == new, told[id_]
                if id_ != old:
                    assert told[id_][-1] == Leadership(new, term, is_self=id_ == new)
                    assert second.leadership().value.term == term
            assert readers[old - 1].done()
            for node in nodes.nodes.values():
                await node.stop()
            await asyncio.gather(*readers)

    run(main())


def test_a_watch_sees_each_state_that_it_was_quick_enough_for() -> None:
    async def main() -> None:
        async with Nodes() as nodes:
            leader = await nodes.leader()
            follower = nodes.others(leader)[0]
            seen: list[int] = []

            async def watch() -> None:
                at = 0
                with suppress(NodeStopped):
                    while True:
                        at = await follower.next_change(at)
                        value = follower.look(Register.get, "a")
                        if not seen or seen[-1] != value:
                            seen.append(value)

            watcher = asyncio.create_task(watch())
            for value in range(1, 6):
                await leader.call(Register.set, "a", value)
                await asyncio.sleep(1)
            await follower.stop()
            await watcher
            assert seen == [0, 1, 2, 3, 4, 5]

    run(main())


def test_waiting_for_an_index_and_for_a_state() -> None:
    async def main() -> None:
        async with Nodes() as nodes:
            leader = await nodes.leader()
            follower = nodes.others(leader)[0]
            waiting = asyncio.create_task(follower.wait_until(lambda: follower.look(Register.get, "a")))
            await leader.call(Register.set, "a", 9)
            assert await waiting == 9
            index = leader.machine.applied
            assert await follower.wait_applied(index) >= index
            with pytest.raises(ReadTimeout, match=f"entry {index + 10} did not happen within 0.5 s"):
                await follower.wait_applied(index + 10, within=0.5)
            with pytest.raises(ReadTimeout):
                await follower.wait_until(lambda: follower.look(Register.get, "b"), within=0.5)
            assert not follower._observer.applied._bell.waiters

    run(main())


def test_members_are_told_as_they_change() -> None:
    async def main() -> None:
        async with Nodes() as nodes:
            leader = await nodes.leader()
            gone, kept = nodes.others(leader)
            told: list[Members] = []

            async def read() -> None:
                async for members in kept.membership():
                    told.append(members)  # noqa: PERF401 - one by one is what is looked at

            reader = asyncio.create_task(read())
            await asyncio.sleep(0)
            assert told == [Members((1, 2, 3))]
            await leader.remove(gone.config.id)
            await asyncio.sleep(5)
            rest = tuple(sorted((leader.config.id, kept.config.id)))
            assert told[-1] == Members(rest)
            assert kept.metrics().value("raftly_members", role="voter") == 2
            assert gone.failure is not None
            assert gone.membership().closed
            assert "does not serve" in str(gone.health().value)
            await kept.stop()
            await reader

    run(main())


def test_a_snapshot_that_arrives_is_a_change_too() -> None:
    async def main() -> None:
        async with Nodes(snapshot_entries=10) as nodes:
            leader = await nodes.leader()
            late = nodes.others(leader)[0]
            nodes.network.isolate(late.config.id)
            before = late.machine.applied
            for value in range(60):
                await leader.call(Register.set, "a", value)
            waiting = asyncio.create_task(late.next_change(before))
            await asyncio.sleep(0.1)
            assert not waiting.done()
            nodes.network.heal()
            assert await waiting > before
            await late.fresh(FOLLOWER)
            assert late.look(Register.get, "a") == 59

    run(main())
