"""RegionStore: one store of a cluster, from its directory to its regions. See the package's page."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any, Final, TypeAlias, final

from raftly.base.operators import Operator
from raftly.base.rand import RandomSource
from raftly.base.region import Region, RegionId, StoreId
from raftly.base.region_errors import DataIsNotReady, RegionNotFound, ServerIsBusy
from raftly.base.store_meta import StoreMeta
from raftly.base.types import NO_NODE
from raftly.engine.base import Engine
from raftly.errors import RaftlyError, StorageError
from raftly.node.driver import Driver, DriverOptions
from raftly.node.group import Waiter
from raftly.node.lease_clock import LeaseClock, lease_clock_of
from raftly.node.stopping import Stopping
from raftly.storage.log_store import LogStore
from raftly.storage.vfs import FileSystem
from raftly.store.apply import Round
from raftly.store.brake import Brake
from raftly.store.checks import check_key, check_store
from raftly.store.duties import Duties, Usage
from raftly.store.expiry import Sweeper
from raftly.store.founding import found, identify
from raftly.store.kv import RequestContext
from raftly.store.ops import Op
from raftly.store.options import StoreOptions
from raftly.store.peer import RegionPeer
from raftly.store.peers import Peers
from raftly.store.placement import PlacementClient
from raftly.store.reader import EngineReader
from raftly.store.regions import RegionMap
from raftly.store.shared import MergeCounts, Shared
from raftly.store.snapshots import Snapshots
from raftly.transport.base import Transport

_log: Final = logging.getLogger("raftly.store")
_TELL_S: Final = 0.01
"""Nobody waits for a follower to apply, and one who reads there asks the leader, whose answer tells it: so nearly every
commit may wait for the next append. One that comes alone costs all three stores a turn."""

_SPLITS_MAX: Final = 64  # regions that one entry of a log makes: the round that applies it makes a peer for each

MakeTransport: TypeAlias = Callable[[int, StoreId], Transport]
"""Given cluster id and store id: how the store's peers reach those of others. Over TCP with `bind_senders` off."""


@final
@dataclass(frozen=True, slots=True)
class StoreParts:
    """What a store is made of, for whoever measures it."""

    driver: Driver
    logs: LogStore
    transport: Transport
    brake: Brake
    usage: Usage


@final
class RegionStore:
    """See `KvBackend`. Made by `start`; everything on one event loop."""

    def __init__(
        self,
        meta: StoreMeta,
        logs: LogStore,
        engine: Engine,
        fs: FileSystem,
        transport: Transport,
        placement: PlacementClient,
        options: StoreOptions,
        cluster_id: int,
        random: RandomSource,
        clock: LeaseClock,
        usage: Usage,
        wall_clock: Callable[[], float] | None,
    ) -> None:
        self.meta = meta
        self.options = options
        self.engine = engine
        self.cluster_id = cluster_id
        self._logs = logs
        self._tasks: set[asyncio.Task[None]] = set()
        self._stopped = False
        self._stopping = Stopping()
        self._driver = Driver(meta.id, logs, transport, DriverOptions(options.tick, clock, tell=_TELL_S))
        self._snapshots = Snapshots(fs, engine, cluster_id, transport, random, options)
        brake = Brake(lambda: engine.stats().is_busy)
        self._shared = Shared(meta.id, options, self._driver, Round(engine), RegionMap(), clock, self._snapshots, brake)
        self._peers = Peers(self._shared, engine, logs, transport, random, self._spawn)
        self._snapshots.attach(self._shared, self._peers, logs, self._spawn)
        self._duties = Duties(self._shared, self._peers, placement, transport, meta, logs, engine, usage)
        self._driver.owner = self._peers
        self.parts = StoreParts(self._driver, logs, transport, brake, usage)
        self.sweeper: Sweeper | None = None
        if wall_clock is not None:
            every, margin = options.sweep_interval, options.sweep_margin
            self.sweeper = Sweeper(
                engine, self.write, wall_clock, self._peers.all.values, interval=every, margin=margin
            )

    # --- life ---

    @classmethod
    async def start(
        cls,
        fs: FileSystem,
        engine: Engine,
        make_transport: MakeTransport,
        placement: PlacementClient,
        meta: StoreMeta,
        options: StoreOptions,
        *,
        random: RandomSource,
        lease_clock: LeaseClock | None = None,
        usage: Usage = lambda: (0, 0),
        wall_clock: Callable[[], float] | None = None,
    ) -> RegionStore:
        """Recover from a directory (`fs` has the log and the snapshots), or join the cluster as a new store, and run.

        `meta` says where the store is; its id is the directory's, or a new one. The engine stays the caller's to close.
        `usage` tells the capacity of the disk and what is available of it, in bytes. `wall_clock` gives seconds since
        1970 where all values end with an expiry (`ops`), so that those that expired are taken away; None: none does.

        Raises:
            StorageError: the directory is in use, damaged, or another store's.
            RaftlyError: the placement driver cannot be reached, or does not take this store.
            OSError: the transport cannot listen.
        """
        ident = await identify(engine, placement, random)
        meta = replace(meta, id=ident.store_id)
        await found(engine, placement, meta)
        await placement.put_store(meta)
        logs = LogStore(fs, ident.cluster_id, ident.store_id, options.log)
        logs.open()
        try:
            transport = make_transport(ident.cluster_id, ident.store_id)
            transport.set_origin(ident.cluster_id, ident.directory)
            clock = lease_clock or lease_clock_of(asyncio.get_running_loop())
            store = cls(
                meta,
                logs,
                engine,
                fs,
                transport,
                placement,
                options,
                ident.cluster_id,
                random,
                clock,
                usage,
                wall_clock,
            )
            await store._begin()
        except BaseException:
            logs.close()
            raise
        return store

    async def _begin(self) -> None:
        items, applying = self._peers.load()
        for state, applied in applying:
            items += await self._snapshots.resume(state, applied)
        self._snapshots.tidy()
        if items:
            await self.engine.sync()  # after a kill the engine shows what a power cut may yet take back
            await self._logs.commit(items)
        self._peers.start_loaded()
        await self._duties.learn_stores()
        await self._driver.start()
        self._duties.start()
        if self.sweeper is not None:
            self._spawn(self.sweeper.run())

    async def stop(self) -> None:
        """Hand leaderships over as far as there is somebody to take them, finish writing, stop. Again is fine.

        Cancelled, it waits for nobody any more, and ends all the same: what it holds is let go before it raises.
        """
        self._stopped = True
        await self._stopping.run(self._before_end, self._end)

    async def _before_end(self) -> None:
        await self._duties.stop()
        if self._driver.failure is None:
            await self._hand_over()

    async def _end(self) -> None:
        try:
            await self._driver.stop()
            for task in list(self._tasks):
                task.cancel()
            if self._tasks:
                await asyncio.wait(self._tasks)
            stopped = StorageError("this store was stopped")
            for peer in self._peers.all.values():
                peer.close(stopped)
            if self.failure is None:
                with suppress(RaftlyError):
                    await self.engine.sync()
        finally:
            self._logs.close()

    async def leave(self) -> int:
        """Lead nothing any more, as far as there is somebody else, until `stop`: how many regions were led.

        What was asked before is answered, and who asks now hears who leads.
        """
        if self._stopped or self._driver.failure is not None:
            return 0
        count = await self._hand_over()
        self._spawn(self._stay_out())
        return count

    async def _stay_out(self) -> None:
        while True:
            await asyncio.sleep(self.options.tick)
            self._give_away([peer for id_ in self._driver.awake if (peer := self._peers.all.get(id_)) is not None])

    async def _hand_over(self) -> int:
        loop = asyncio.get_running_loop()
        until = loop.time() + self.options.stop_patience
        moving = self._give_away(self._peers.all.values())
        while any(peer.is_leader for peer in moving) and loop.time() < until:  # noqa: ASYNC110 - many, not one event
            await asyncio.sleep(self.options.tick / 4)
        return len(moving)

    def _give_away(self, peers: Iterable[RegionPeer]) -> list[RegionPeer]:
        """Leadership goes to whoever has most of the log; a region that has nobody else keeps it."""
        moving = []
        for peer in peers:
            if peer.is_leader and peer.group is not None and peer.group.raw.raft.lead_transferee == NO_NODE:
                target, _ = peer.group.successor(self._driver.contacts.lost)
                home = peer.region.peer(target)
                if home is not None and peer.transfer_leader(home):
                    moving.append(peer)
        return moving

    def _spawn(self, work: Coroutine[object, object, None]) -> None:
        if self._stopped:
            work.close()
            return
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._on_done)

    def _on_done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        error = None if task.cancelled() else task.exception()
        if isinstance(error, StorageError):
            self._driver.fail(error)
        elif error is not None:
            _log.error("store %d: a task ended with %r", self.meta.id, error, exc_info=error)

    # --- what the server asks ---

    @property
    def failure(self) -> RaftlyError | None:
        """Why this store serves nothing any more, and must be stopped."""
        return self._driver.failure

    @property
    def id(self) -> StoreId:
        """This store."""
        return self.meta.id

    @property
    def merges(self) -> MergeCounts:
        """What became of merges here since the start."""
        return self._shared.merges

    def waiting(self) -> list[tuple[RegionId, RegionId]]:
        """Regions whose peer here waits for the keys of another region, which is to be part of it, and that one."""
        return [(peer.region.id, peer.stalled_by) for peer in self._peers.stalled if peer.stalled_by is not None]

    def regions(self) -> list[Region]:
        """Those with keys here, in the order of their keys."""
        return self._shared.regions.all()

    def peer_of(self, region_id: RegionId) -> RegionPeer | None:
        """The peer of a region that is here."""
        return self._peers.all.get(region_id)

    def on_step(self, operator: Operator) -> None:
        """The placement driver asks something of a region, not in answer to a report: its leader here does it."""
        self._duties.on_step(operator)

    def report_all(self) -> None:
        """The placement driver has a new leader, which has not heard of what is here: report all of it."""
        self._duties.report_all()

    def read_now(self, ctx: RequestContext) -> EngineReader | None:
        """See `KvBackend.read_now`."""
        return self._find(ctx).read_now(ctx)

    async def read(self, ctx: RequestContext, deadline: float) -> EngineReader:
        """See `KvBackend.read`."""
        return await self._find(ctx).read(ctx, deadline)

    def will_expire(self, region_id: RegionId, second: int) -> None:
        """See `KvBackend.will_expire`."""
        if self.sweeper is not None and region_id in self._peers.all:
            self.sweeper.will_expire(region_id, second)

    def write(self, ctx: RequestContext, ops: Sequence[Op], deadline: float) -> asyncio.Future[list[object]]:
        """See `KvBackend.write`."""
        future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self._find(ctx).submit(ctx, ops, deadline, future)
        return future

    def submit(self, ctx: RequestContext, ops: Sequence[Op], deadline: float, waiter: Waiter) -> None:
        """See `KvBackend.submit`."""
        self._find(ctx).submit(ctx, ops, deadline, waiter)

    async def split(self, ctx: RequestContext, keys: Sequence[bytes], deadline: float) -> list[Region]:
        """See `KvBackend.split`."""
        peer = self._find(ctx)
        peer.check_admin(ctx)
        for key in keys:
            check_key(peer.region, key)
        wanted = sorted(set(keys))
        parts: list[Region] = []
        while wanted:  # from the right: the peer keeps what is on the left
            cuts = wanted[-_SPLITS_MAX:]
            del wanted[-_SPLITS_MAX:]
            parts[:1] = await self._duties.split_at(peer, cuts, deadline)
        return parts or [peer.region]

    def _find(self, ctx: RequestContext) -> RegionPeer:
        check_store(ctx, self.meta.id)
        failure = self._driver.failure
        if failure is not None:
            raise ServerIsBusy(f"this store has failed: {failure}")
        peer = self._peers.all.get(ctx.region_id)
        if peer is None or peer.group is None:
            raise RegionNotFound(ctx.region_id)
        if ctx.stale_read:
            raise DataIsNotReady(ctx.region_id, peer.peer_id)
        return peer
