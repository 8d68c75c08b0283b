"""Writer: a caller that writes all the time, one write after the other, and measures how long it has to wait."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from typing import Final, final

from raftly.errors import RaftlyError

BETWEEN_S: Final = 0.01


@final
class Writer:
    """Runs between `start` and `stop`; `put` writes a key and a value, and returns once that is acknowledged."""

    def __init__(self, put: Callable[[str, str], Awaitable[int]]) -> None:
        self.acknowledged = 0
        self._put = put
        self._turn = asyncio.Lock()  # held while a write is under way
        self._told = asyncio.Event()  # something was acknowledged
        self._task: asyncio.Task[None] | None = None
        self._waited_s = 0.0  # the longest since `take_waited_s`

    @property
    def is_on(self) -> bool:
        """Does it write?"""
        return self._task is not None

    def start(self) -> None:
        """Begin."""
        if self._task is None:
            self._task = asyncio.get_running_loop().create_task(self._write())

    async def stop(self, within: float) -> None:
        """End behind the write that is under way, or give that up when it takes too long."""
        if self._task is None:
            return
        task, self._task = self._task, None
        with suppress(TimeoutError):
            async with asyncio.timeout(within):
                await self._turn.acquire()
                self._turn.release()
        task.cancel()
        await asyncio.wait([task])

    async def _write(self) -> None:
        loop = asyncio.get_running_loop()
        number = 0
        while True:
            async with self._turn:
                number += 1
                begun = loop.time()
                try:
                    await self._put(f"written/{number}", str(number))
                except RaftlyError:
                    pass  # noted by whoever was asked to put it
                else:
                    self.acknowledged += 1
                    self._told.set()
                self._waited_s = max(self._waited_s, loop.time() - begun)
            await asyncio.sleep(BETWEEN_S)

    def take_waited_s(self) -> float:
        """The longest that a write took since this was asked last."""
        waited_s, self._waited_s = self._waited_s, 0.0
        return waited_s

    async def wait_acknowledged(self, within: float) -> bool:
        """Wait until a write that is under way, or a later one, is acknowledged; was one, in time?"""
        self._told.clear()
        try:
            async with asyncio.timeout(within):
                await self._told.wait()
        except TimeoutError:
            return False
        return True

    @asynccontextmanager
    async def held(self) -> AsyncIterator[None]:
        """Nothing is written meanwhile."""
        async with self._turn:
            yield
