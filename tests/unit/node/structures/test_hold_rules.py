"""From when a holder counts its lease."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from raftly.errors import OutcomeUnknown
from raftly.node.structures.hold import held
from raftly.node.structures.lock import Lease, LeaseLost, Locks
from raftly.testing.sim import World
from tests.support.virtual import run


class SlowCaller:
    """Gets the lock after three seconds, and nothing else ever."""

    async def call(self, method: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Any:
        if method is Locks.acquire:
            await asyncio.sleep(3)
            return Lease("me", 1, 0)
        raise OutcomeUnknown("cut off")


def test_a_holder_whose_machine_slept_is_told_soon_after_it_woke() -> None:
    world = World(1)
    host = world.host("holder")
    host.start()
    ended: list[float] = []

    async def holding() -> None:
        try:
            async with held(SlowCaller(), "it", "me", 9.0):
                await asyncio.sleep(100)
        except LeaseLost:
            ended.append(world.now)

    async def main() -> None:
        task = host.run(holding())
        await asyncio.sleep(4)
        host.suspend(60)
        await task

    world.run(main())
    assert ended[0] == pytest.approx(64, abs=9.0 / 3)


def test_so_is_one_whose_machine_slept_in_a_renewal_that_hangs() -> None:
    world = World(1)
    host = world.host("holder")
    host.start()
    ended: list[float] = []

    class HangingCaller:
        async def call(self, method: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Any:
            if method is not Locks.acquire:
                await asyncio.sleep(1000)
            return Lease("me", 1, 0)

    async def holding() -> None:
        try:
            async with held(HangingCaller(), "it", "me", 9.0):
                await asyncio.sleep(100)
        except LeaseLost:
            ended.append(world.now)

    async def main() -> None:
        task = host.run(holding())
        await asyncio.sleep(3.1)
        host.suspend(60)
        await task

    world.run(main())
    assert 63.1 <= ended[0] <= 63.1 + 9.0 / 3


def test_the_first_lease_lasts_from_the_asking_however_late_the_answer() -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        began = loop.time()
        with pytest.raises(LeaseLost):  # noqa: PT012 - the block is what is tested
            async with held(SlowCaller(), "it", "me", 10.0):
                assert loop.time() - began == pytest.approx(3)
                await asyncio.sleep(100)
        assert loop.time() - began == pytest.approx(10)

    run(main())
