"""Clients of `Registers` that write down what they did and what they were told."""

from __future__ import annotations

import asyncio
import itertools
import random
import time
from collections.abc import Awaitable, Callable, Coroutine, Hashable, Sequence
from typing import Any, final

from raftly.errors import OutcomeUnknown, RaftlyError
from raftly.node import FOLLOWER, LEASE, STRONG, Read, Remote, RemoteOptions, RemoteSession, connect
from raftly.node.commands import methods_of
from raftly.node.errors import SessionExpired
from raftly.node.requests import Query, Value, decode_response, encode_request
from raftly.testing.history import History
from raftly.transport.base import Channel, Dialer
from raftly.transport.client import TcpDialer
from raftly.transport.options import Address
from tests.cluster.support.registers import Registers

WITHIN_S = 3.0
PAUSE_S_MAX = 0.01
WATCH_EVERY_S = 0.05
WATCH_S_MAX = 8.0
_READS: Sequence[Read] = (STRONG, STRONG, LEASE, FOLLOWER)  # all of them linearizable


@final
class Book:
    """One chapter: its history, and the commands in it by what became of them. Each is named by its value."""

    def __init__(self, number: int, keys: int) -> None:
        self.number = number
        self.keys = [f"{number}.{key}" for key in range(keys)]  # no chapter's late call can meet another's registers
        self.history = History(time.monotonic)
        self.acknowledged: dict[int, float] = {}  # value -> when
        self.unknown: set[int] = set()
        self.refused: set[int] = set()
        self.reads_refused = 0


@final
class Clients:
    """`count` clients: those with even numbers call in sessions, the others plainly."""

    def __init__(self, addresses: Sequence[str], count: int, seed: int) -> None:
        self._addresses = addresses
        self._count = count
        self._random = random.Random(seed)
        self._values = itertools.count(1)
        self._stopping = False
        self._tasks: list[asyncio.Task[None]] = []

    def start(self, book: Book) -> None:
        self._stopping = False
        for number in range(self._count):
            self.also(self._client(book, number, random.Random(self._random.getrandbits(64))))

    def also(self, work: Coroutine[Any, Any, None]) -> None:
        """Something else that runs until `stop`, see `is_stopping`."""
        self._tasks.append(asyncio.create_task(work))

    @property
    def is_stopping(self) -> bool:
        return self._stopping

    async def stop(self) -> None:
        """Let each finish what it has begun."""
        self._stopping = True
        await asyncio.gather(*self._tasks)
        self._tasks.clear()

    async def _client(self, book: Book, number: int, rng: random.Random) -> None:
        options = RemoteOptions(call_timeout=WITHIN_S, seed=rng.getrandbits(63))
        async with connect(Registers, self._addresses, options=options) as remote:
            client = Client(book, number, remote, rng, self._values)
            while not self._stopping:
                await client.step(in_session=number % 2 == 0)
                await asyncio.sleep(rng.random() * PAUSE_S_MAX)


@final
class Client:
    """One caller, one call at a time."""

    def __init__(
        self, book: Book, number: int, remote: Remote[Registers], rng: random.Random, values: itertools.count[int]
    ) -> None:
        self._book = book
        self._number = number
        self._remote = remote
        self._session: RemoteSession[Registers] | None = None
        self._rng = rng
        self._values = values
        self._seen: dict[str, int | None] = {}

    async def step(self, *, in_session: bool) -> None:
        """One operation."""
        key = self._rng.choice(self._book.keys)
        kind = self._rng.choices(["read", "write", "cas"], [4, 4, 3])[0]
        if kind == "read":
            await self._read(key)
            return
        if in_session and self._session is None:
            try:
                self._session = await self._remote.open_session()
            except RaftlyError:
                return
        call = self._remote.call if self._session is None else self._session.call
        value = next(self._values)
        if kind == "write":
            done = await self._command("write", key, value, value, lambda: call(Registers.write, key, value))
            if done is not _NOT_DONE:
                self._seen[key] = value
        else:
            old = self._seen.get(key)
            await self._command("cas", key, (old, value), value, lambda: call(Registers.cas, key, old, value))

    async def _read(self, key: str) -> None:
        operation = self._book.history.invoke(self._number, "read", key)
        try:
            value = await self._remote.reading(self._rng.choice(_READS)).ask(Registers.get, key)
        except RaftlyError:
            operation.refused()
            self._book.reads_refused += 1
        else:
            operation.returned(value)
            self._seen[key] = value

    async def _command(
        self, name: str, key: str, argument: Hashable, value: int, call: Callable[[], Awaitable[bool | None]]
    ) -> object:
        book = self._book
        operation = book.history.invoke(self._number, name, key, argument)
        try:
            result = await call()
        except (OutcomeUnknown, SessionExpired):
            book.unknown.add(value)
            self._session = None
        except RaftlyError:  # all others say that it was not taken, and never will be
            operation.refused()
            book.refused.add(value)
        else:
            operation.returned(result)
            book.acknowledged[value] = operation.operation.start
            return result
        return _NOT_DONE


_NOT_DONE = object()


@final
class Only:
    """A Dialer that reaches one address and no other."""

    def __init__(self, address: Address, cluster_id: int = 1) -> None:
        self._dialer = TcpDialer(cluster_id)
        self._address = address

    @property
    def request_bytes_max(self) -> int:
        return self._dialer.request_bytes_max

    async def dial(self, address: Address) -> Channel:
        if address != self._address:
            raise OSError(f"{address} is not {self._address}")
        return await self._dialer.dial(address)

    async def close(self) -> None:
        await self._dialer.close()


def connect_only(address: Address, within: float) -> Remote[Registers]:
    """A caller of one node."""
    return connect(Registers, [address], dialer=Only(address), options=RemoteOptions(call_timeout=within))


async def watch(clients: Clients, book: Book, number: int, address: Address) -> None:
    """Ask one node for reads that may be answered by its lease, each on its way whatever became of those before.

    A node that is paused finds them when it goes on: they began when another led already.
    """
    dialer: Dialer = TcpDialer(1)
    channel: Channel | None = None
    running: set[asyncio.Task[None]] = set()
    rng = random.Random(number)
    while not clients.is_stopping:
        await asyncio.sleep(WATCH_EVERY_S)
        if channel is None or not channel.is_open:
            try:
                channel = await dialer.dial(address)
            except (RaftlyError, OSError):
                continue
        read = rng.choice([STRONG, LEASE])
        task = asyncio.create_task(_watch_once(channel, book, number, rng.choice(book.keys), read))
        running.add(task)
        task.add_done_callback(running.discard)
    if running:
        await asyncio.wait(running)
    await dialer.close()


async def _watch_once(channel: Channel, book: Book, number: int, key: str, read: Read) -> None:
    operation = book.history.invoke(number, "read", key)
    query = Query(read, "get", _GET.bind((key,), {}))
    try:
        async with asyncio.timeout(WATCH_S_MAX):
            response = decode_response(await channel.request(encode_request(query, WATCH_S_MAX)), {})
    except (RaftlyError, TimeoutError):
        operation.refused()
        return
    if isinstance(response, Value):
        assert isinstance(response.value, int | None)
        operation.returned(response.value)
    else:
        operation.refused()


_GET = methods_of(Registers)["get"]
