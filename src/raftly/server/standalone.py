"""StandaloneKv: one engine as a store of one region over all keys, without Raft: one copy, on one disk.

A write is answered, and seen, once it is durable; all that arrive while a sync runs share the next one.

    write ──► engine.write ──► _waiting ─┐
    write ──► engine.write ──► _waiting ─┴─► engine.sync ──► answered, and reads that waited for it
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import Final, final

from raftly.base.region import Peer, Region, RegionId
from raftly.base.region_errors import ReadIndexNotReady, RegionNotFound, ServerIsBusy
from raftly.engine.base import DELETE, DELETE_RANGE, PUT, Engine, WriteBatch
from raftly.errors import DiskFull, OutcomeUnknown, StorageError
from raftly.node.group import Waiter
from raftly.rpc import RpcError, StatusCode
from raftly.store.checks import Standing, check_epoch, check_request, check_store
from raftly.store.expiry import Sweeper
from raftly.store.keys import data_end_key, data_key
from raftly.store.kv import RequestContext
from raftly.store.ops import Cas, Delete, DeleteRange, Expire, Op, Put, compare, has_expired
from raftly.store.reader import EngineReader

__all__ = ["PEER", "REGION", "StandaloneKv"]

PEER: Final = Peer(id=1, store_id=1)
REGION: Final = Region(id=1, peers=(PEER,))
_STANDING: Final = Standing(REGION, PEER.id, PEER, term=0)


@final
class StandaloneKv:
    """A KvBackend over one engine, which it does not close. `stop` waits for what is being written.

    `on_failure` hears, once, that the engine cannot be trusted any more: stop, and recover from disk. `wall_clock`
    gives seconds since 1970 where values expire: those that did are taken away while `sweep` runs.
    """

    term: Final = 0
    knows_all: Final = True
    region: Region = REGION

    def __init__(
        self,
        engine: Engine,
        on_failure: Callable[[StorageError], None],
        wall_clock: Callable[[], float] | None = None,
        sweep_interval: float = 60.0,
    ) -> None:
        self._engine = engine
        self._on_failure = on_failure
        self._tasks: set[asyncio.Future[list[object]]] = set()  # of writes; nobody else holds them
        self._waiting: list[asyncio.Future[bool]] = []  # for what is written to be durable: is it?
        self._syncing: asyncio.Task[None] | None = None
        self._failure: StorageError | None = None
        self.sweeper: Sweeper | None = None
        if wall_clock is not None:
            self.sweeper = Sweeper(engine, self.write, wall_clock, lambda: (self,), interval=sweep_interval, margin=0.0)

    def own(self) -> Peer:
        """The only peer of the only region."""
        return PEER

    def will_expire(self, region_id: RegionId, second: int) -> None:
        """As KvBackend says."""
        if self.sweeper is not None and region_id == REGION.id:
            self.sweeper.will_expire(region_id, second)

    def read_now(self, ctx: RequestContext) -> EngineReader | None:
        """As KvBackend says; None while something that a reader would see is not durable yet."""
        self._check(ctx)
        return None if self._syncing is not None else EngineReader(self._engine, REGION)

    async def read(self, ctx: RequestContext, deadline: float) -> EngineReader:
        """As KvBackend says."""
        self._check(ctx)
        reader = EngineReader(self._engine, REGION)
        if self._syncing is not None:
            reader.pin()  # what is written from now on is not durable when this is
            try:
                await self._durable(self._sync_after(), deadline)
            except OutcomeUnknown:
                reader.close()
                raise ReadIndexNotReady(REGION.id, "the disk takes too long") from None
        return reader

    def write(self, ctx: RequestContext, ops: Sequence[Op], deadline: float) -> Awaitable[list[object]]:
        """As KvBackend says."""
        self._check(ctx)
        batch = WriteBatch()
        results = [self._add(op, batch) for op in ops]
        try:
            self._engine.write(batch)
        except DiskFull:
            raise
        except StorageError as error:
            self._fail(error)
            raise OutcomeUnknown from error
        return self._written(results, self._sync_after(), deadline)

    def submit(self, ctx: RequestContext, ops: Sequence[Op], deadline: float, waiter: Waiter) -> None:
        """As KvBackend says."""
        task = asyncio.ensure_future(self.write(ctx, ops, deadline))
        self._tasks.add(task)
        task.add_done_callback(partial(self._on_written, waiter))

    def _on_written(self, waiter: Waiter, task: asyncio.Future[list[object]]) -> None:
        self._tasks.discard(task)
        error = OutcomeUnknown() if task.cancelled() else task.exception()
        if isinstance(error, Exception):
            waiter.set_exception(error)
        else:
            waiter.set_result(task.result())

    async def split(self, ctx: RequestContext, keys: Sequence[bytes], deadline: float) -> list[Region]:
        """Its only region stays whole."""
        self._check(ctx)
        raise RpcError(StatusCode.UNIMPLEMENTED, "a store that stands alone has one region, which is not split")

    async def stop(self) -> None:
        """Wait until all that was written is durable, or will never be."""
        if self._syncing is not None:
            await asyncio.wait([self._syncing])

    # --- durability --------------------------------------------------------------------------------------------------

    async def _written(self, results: list[object], durable: asyncio.Future[bool], deadline: float) -> list[object]:
        await self._durable(durable, deadline)
        return results

    def _sync_after(self) -> asyncio.Future[bool]:
        """Is what was written by now durable? Comes of a sync that begins after now.

        Called in the turn of the write: a read in the same one must know that there is something to wait for.
        """
        loop = asyncio.get_running_loop()
        waiter: asyncio.Future[bool] = loop.create_future()
        self._waiting.append(waiter)
        if self._syncing is None:
            self._syncing = loop.create_task(self._sync())
        return waiter

    async def _durable(self, waiter: asyncio.Future[bool], deadline: float) -> None:
        """Wait for a sync; OutcomeUnknown when it does not come, or fails."""
        try:
            async with asyncio.timeout_at(deadline):
                is_durable = await waiter
        except TimeoutError:
            raise OutcomeUnknown from None
        if not is_durable:
            raise OutcomeUnknown from self._failure

    async def _sync(self) -> None:
        while self._waiting and self._failure is None:
            waiting, self._waiting = self._waiting, []
            try:
                await self._engine.sync()
            except StorageError as error:
                self._fail(error)
                waiting += self._waiting
            for waiter in waiting:
                if not waiter.done():
                    waiter.set_result(self._failure is None)
        self._syncing = None

    def _fail(self, error: StorageError) -> None:
        if self._failure is None:
            self._failure = error
            self._on_failure(error)

    # --- checks and ops ----------------------------------------------------------------------------------------------

    def _check(self, ctx: RequestContext) -> None:
        if self._failure is not None:
            raise ServerIsBusy(f"it is about to stop: {self._failure}")
        check_store(ctx, PEER.store_id)
        if ctx.region_id != REGION.id:
            raise RegionNotFound(ctx.region_id)
        check_request(ctx, _STANDING, needs_leader=True)
        check_epoch(ctx, REGION, ())

    def _add(self, op: Op, batch: WriteBatch) -> object:
        if isinstance(op, Put):
            batch.put(op.cf, data_key(op.key), op.value)
        elif isinstance(op, Delete):
            batch.delete(op.cf, data_key(op.key))
        elif isinstance(op, DeleteRange):
            batch.delete_range(op.cf, data_key(op.lo), data_end_key(op.hi))
        elif isinstance(op, Expire):
            return self._expire(op, batch)
        else:
            return self._compare(op, batch)
        return None

    def _expire(self, op: Expire, batch: WriteBatch) -> bool:
        key = data_key(op.key)
        stored = self._value_after(batch, op.cf, key)
        if stored is None or not has_expired(stored, op.now_s):
            return False
        batch.delete(op.cf, key)
        return True

    def _compare(self, op: Cas, batch: WriteBatch) -> object:
        key = data_key(op.key)
        result = compare(op, self._value_after(batch, op.cf, key))
        if result.succeeded:
            if op.value is None:
                batch.delete(op.cf, key)
            else:
                batch.put(op.cf, key, op.value)
        return result

    def _value_after(self, batch: WriteBatch, cf: str, key: bytes) -> bytes | None:
        for kind, changed_cf, lo, other in reversed(batch.changes):
            if changed_cf != cf:
                continue
            if kind == PUT and lo == key:
                return other
            if (kind == DELETE and lo == key) or (kind == DELETE_RANGE and lo <= key and (not other or key < other)):
                return None
        return self._engine.get(cf, key)
