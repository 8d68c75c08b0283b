"""A client of an EdgeWorld: it calls `raftly.client` on its own host, and writes down what it did and was told."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Hashable
from typing import Final, TypeVar, final

from raftly.client.errors import NotDone
from raftly.client.pd import PdClient
from raftly.client.raw import RawClient, Swap
from raftly.client.regions import ClientOptions
from raftly.errors import OutcomeUnknown
from raftly.testing.history import History
from tests.sim_edge.world import EdgeWorld

T = TypeVar("T")

OPTIONS: Final = ClientOptions(timeout_s=3.0, attempt_s=0.5)
SHARED: Final = (b"all-0", b"all-1")
_SLOTS: Final = 4
_THINK_S: Final = 0.02
_RECOVERY_S: Final = 15.0  # when nothing is wrong any more


@final
class Client:
    """One client; `work` on its host. `keys` are those that were written to so far, by any client.

    A put or delete may be carried out twice, which differs from once if somebody writes in between: so they go to keys
    that nobody else writes to, and one whose outcome is unknown is the last to its key. What all write to is swapped.
    """

    def __init__(self, world: EdgeWorld, number: int, history: History, keys: list[bytes]) -> None:
        self.host = world.world.host(f"client{number}")
        self.ended: Counter[str] = Counter()  # calls, by how they ended
        self.timestamps: list[tuple[float, float, int]] = []  # asked at, told at, which
        self._number = number
        self._world = world
        self._history = history
        self._keys = keys
        self._random = world.world.stream(f"client/{number}")
        self._own = [self._fresh_key() for _ in range(_SLOTS)]
        self._seen: dict[bytes, bytes | None] = {}  # of shared keys
        self._values = 0

    async def work(self, over: Callable[[], bool]) -> None:
        """Call until it is over; then read everything."""
        async with self._world.client(self.host, OPTIONS) as client:
            while not over():
                await self._call(client)
                await asyncio.sleep(self._random.expovariate(1 / _THINK_S))
            for key in list(self._keys):
                assert await self._read(client, key, _RECOVERY_S), f"{key!r} cannot be read"

    async def _call(self, client: RawClient) -> None:
        random = self._random
        kind = random.random()
        if kind < 0.05:
            await self._timestamp(client.pd)
        elif kind < 0.1:
            await self._read_all(client)
        elif kind < 0.4:
            await self._read(client, random.choice(self._keys))
        elif kind < 0.6:
            await self._swap(client, random.choice(SHARED))
        else:
            await self._write(client, random.randrange(_SLOTS), is_put=kind < 0.9)

    def _fresh_key(self) -> bytes:
        self._keys.append(b"%d-%03d" % (self._number, len(self._keys)))
        return self._keys[-1]

    def _value(self) -> bytes:
        self._values += 1
        return b"%d:%d" % (self._number, self._values)

    async def _timestamp(self, pd: PdClient) -> None:
        asked_at = self._history.clock()
        try:
            timestamp = await pd.timestamp(timeout_s=1.0)
        except NotDone:
            self.ended["not done"] += 1
        else:
            self.ended["timestamp"] += 1
            self.timestamps.append((asked_at, self._history.clock(), timestamp))

    async def _read(self, client: RawClient, key: bytes, timeout_s: float | None = None) -> bool:
        return await self._record("read", key, None, client.get(key, timeout_s=timeout_s), lambda value: value)

    async def _read_all(self, client: RawClient) -> None:
        """In one call, which reads each key at some moment of its own."""
        calls = {key: self._history.invoke(self._number, "read", key) for key in self._keys}
        try:
            if self._random.random() < 0.5:
                found = await client.batch_get(calls)
            else:
                found = dict(await client.scan(limit=1000, reverse=self._random.random() < 0.5))
        except NotDone:
            self.ended["not done"] += 1
            for call in calls.values():
                call.refused()
        else:
            self.ended["read all"] += 1
            for key, call in calls.items():
                call.returned(found.get(key))

    async def _write(self, client: RawClient, slot: int, *, is_put: bool) -> None:
        key, value = self._own[slot], self._value()
        if is_put:
            is_done = await self._record("write", key, value, client.put(key, value), lambda _: None)
        else:
            is_done = await self._record("delete", key, None, client.delete(key), lambda _: None)
        if not is_done:
            self._own[slot] = self._fresh_key()

    async def _swap(self, client: RawClient, key: bytes) -> None:
        expected, value = self._seen.get(key), self._value()

        def done(swap: Swap) -> bool:
            self._seen[key] = value if swap.done else swap.previous
            return swap.done

        await self._record("cas", key, (expected, value), client.compare_and_swap(key, expected, value), done)

    async def _record(
        self, name: str, key: bytes, argument: Hashable, call: Awaitable[T], shape: Callable[[T], Hashable]
    ) -> bool:
        """Write a call down; was it done, as far as is known?"""
        invocation = self._history.invoke(self._number, name, key, argument)
        try:
            invocation.returned(shape(await call))
        except OutcomeUnknown:
            self.ended["unknown"] += 1
        except NotDone:
            self.ended["not done"] += 1
            invocation.refused()
        else:
            self.ended[name] += 1
            return True
        return False
