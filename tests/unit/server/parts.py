"""A backend that does as it is told, a store in memory, and requests for its region."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Sequence
from contextlib import asynccontextmanager
from typing import Any

from raftly.base.region import Region, RegionEpoch
from raftly.engine import MemoryEngine
from raftly.errors import RaftlyError, StorageError
from raftly.node.group import Waiter
from raftly.proto import kvrpcpb_pb2 as pb
from raftly.proto import metapb_pb2
from raftly.proto.tikvpb_rpc import TikvClient
from raftly.rpc import Channel, Service
from raftly.rpc.later import settled
from raftly.server.commands import Write
from raftly.server.contexts import Contexts
from raftly.server.kv_server import KvServer, KvServerOptions
from raftly.server.raw import RawKv, RawOptions
from raftly.server.standalone import PEER, REGION, StandaloneKv
from raftly.store.kv import KvBackend, RegionReader, RequestContext
from raftly.store.ops import Op
from raftly.store.reader import EngineReader

NOW_S = 1_000_000
FAR = 1e12  # a deadline

CONTEXT = pb.Context(
    region_id=REGION.id,
    region_epoch=metapb_pb2.RegionEpoch(conf_ver=REGION.epoch.conf_ver, version=REGION.epoch.version),
    peer=metapb_pb2.Peer(id=PEER.id, store_id=PEER.store_id),
)


def run(coro: Coroutine[Any, Any, Any], timeout_s: float = 60.0) -> Any:
    async def bounded() -> Any:
        async with asyncio.timeout(timeout_s):
            return await coro

    return asyncio.run(bounded())


async def until(condition: Callable[[], bool]) -> None:
    """Let the loop turn until it holds."""
    while not condition():  # noqa: ASYNC110 - many different things are waited for
        await asyncio.sleep(0)


class Clock:
    """A wall clock that stands still until it is moved."""

    def __init__(self) -> None:
        self.now_s = float(NOW_S)

    def __call__(self) -> float:
        return self.now_s


def ignore(_error: StorageError) -> None:
    """For stores that are not to fail."""


class Fake:
    """Reads from an engine, and forgets writes: at once if `is_leased` and `is_prompt`; or fails with `error`."""

    def __init__(self) -> None:
        self.engine = MemoryEngine()
        self.error: RaftlyError | None = None
        self.is_leased = True
        self.is_prompt = True
        self.writing: list[Waiter] = []
        self.asked: list[RequestContext] = []
        self.deadlines: list[float] = []
        self.written: list[Sequence[Op]] = []
        self.cut: list[bytes] = []
        self.expiring: list[tuple[int, int]] = []

    def read_now(self, ctx: RequestContext) -> RegionReader | None:
        self.asked.append(ctx)
        if self.error is not None:
            raise self.error
        return EngineReader(self.engine, REGION) if self.is_leased else None

    async def read(self, ctx: RequestContext, deadline: float) -> RegionReader:
        self.deadlines.append(deadline)
        return EngineReader(self.engine, REGION)

    def write(self, ctx: RequestContext, ops: Sequence[Op], deadline: float) -> Awaitable[list[object]]:
        results: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self.submit(ctx, ops, deadline, results)
        return results

    def submit(self, ctx: RequestContext, ops: Sequence[Op], deadline: float, waiter: Waiter) -> None:
        self.asked.append(ctx)
        self.deadlines.append(deadline)
        if self.error is not None:
            raise self.error
        self.written.append(ops)
        self.writing.append(waiter)
        if self.is_prompt:
            waiter.set_result([None for _ in ops])

    async def split(self, ctx: RequestContext, keys: Sequence[bytes], deadline: float) -> list[Region]:
        self.asked.append(ctx)
        self.deadlines.append(deadline)
        self.cut += keys
        if self.error is not None:
            raise self.error
        bounds = [b"", *sorted(keys), b""]
        return [Region(REGION.id + at, bounds[at], bounds[at + 1]) for at in range(len(keys) + 1)]

    def will_expire(self, region_id: int, second: int) -> None:
        self.expiring.append((region_id, second))

    def finish(self) -> None:
        """Let the writes end that wait."""
        for results in self.writing:
            if not results.done():
                results.set_result([None])


class Store:
    """The raw commands over an engine in memory, called without a network."""

    def __init__(self, **options: Any) -> None:
        self.engine = MemoryEngine()
        self.clock = Clock()
        self.kv = StandaloneKv(self.engine, ignore)
        self.raw = RawKv(self.kv, Contexts(), self.clock, RawOptions(**options))

    async def do(self, write: Write) -> Any:
        results = await self.kv.write(write.ctx, write.ops, FAR)
        return None if write.answer is None else write.answer(results)

    async def put(self, key: bytes, value: bytes, **fields: Any) -> None:
        await self.do(self.raw.put(pb.RawPutRequest(context=CONTEXT, key=key, value=value, **fields)))

    async def get(self, key: bytes, **fields: Any) -> bytes | None:
        response = await settled(self.raw.get(pb.RawGetRequest(context=CONTEXT, key=key, **fields), FAR))
        assert not response.value or not response.not_found
        return None if response.not_found else response.value

    async def scan(self, start_key: bytes = b"", end_key: bytes = b"", limit: int = 10, **fields: Any) -> Any:
        request = pb.RawScanRequest(context=CONTEXT, start_key=start_key, end_key=end_key, limit=limit, **fields)
        return [(pair.key, pair.value) for pair in (await self.raw.scan(request, FAR)).kvs]


@asynccontextmanager
async def served(
    backend: KvBackend,
    options: KvServerOptions | None = None,
    more: Sequence[Service] = (),
) -> AsyncIterator[tuple[KvServer, Channel, TikvClient]]:
    """A server on loopback, a channel to it, and its client."""
    server = KvServer(backend, Clock(), options, more)
    port = await server.start("127.0.0.1", 0)
    try:
        async with Channel("127.0.0.1", port) as channel:
            yield server, channel, TikvClient(channel)
    finally:
        await server.stop(1.0)


def context(**fields: Any) -> pb.Context:
    """A context for the region, with more in it."""
    made = pb.Context(**fields)
    made.MergeFrom(CONTEXT)
    return made


def as_asked(ctx: RequestContext) -> tuple[int, RegionEpoch, int, int]:
    """What of a context says where it goes."""
    return ctx.region_id, ctx.epoch, ctx.peer.id, ctx.peer.store_id
