"""From when a holder counts its lease."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from raftly.errors import OutcomeUnknown
from raftly.node.structures.hold import held
from raftly.node.structures.lock import Lease, LeaseLost, Locks
from tests.support.virtual import run


class SlowCaller:
    """Gets the lock after three seconds, and nothing else ever."""

    async def call(self, method: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Any:
        if method is Locks.acquire:
            await asyncio.sleep(3)
            return Lease("me", 1, 0)
        raise OutcomeUnknown("cut off")


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
