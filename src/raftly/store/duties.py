"""Duties: what a store does by the clock: heartbeats, the operators that come back, log cuts, splits, stale peers."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine, Sequence
from contextlib import suppress
from functools import partial
from heapq import heappop, heappush
from math import ceil
from typing import Final, TypeAlias, TypeVar, final

from raftly.base.heartbeats import DownPeer, RegionReport, StoreStats
from raftly.base.operators import ChangePeers, Operator, SplitPolicy, SplitRegion, TransferLeader
from raftly.base.region import PeerId, Region, RegionId, StoreId
from raftly.base.store_meta import StoreMeta
from raftly.base.types import Snapshot, SnapshotMeta, Term
from raftly.engine.base import Engine
from raftly.engine.base import Snapshot as EngineSnapshot
from raftly.errors import ConfigError, RaftlyError
from raftly.storage.items import SnapshotItem
from raftly.storage.log_store import LogStore
from raftly.store.command import NewRegion
from raftly.store.compaction import cut_at
from raftly.store.keys import data_end_key, data_key
from raftly.store.merge import UNKNOWN_HEIR
from raftly.store.merging import prepare_merge
from raftly.store.peer import RegionPeer
from raftly.store.peers import Peers
from raftly.store.placement import PlacementClient
from raftly.store.region_state import conf_state_of
from raftly.store.shared import Shared
from raftly.store.split_check import SplitLimits, check_split, middle_key
from raftly.transport.base import Transport

_log: Final = logging.getLogger("raftly.store")

_HEARTBEATS_MAX: Final = 64  # in flight
_SLICE: Final = 64  # reports, and then a pause: thousands that are due at once are no reason to serve nobody meanwhile
_SLICE_PAUSE_S: Final = 0.03
_SOON_S: Final = 1.0  # a region with peers that catch up is reported again after so long
_SLEEPERS: Final = 10  # times as long between reports of a region that sleeps: they would be most of what it costs
_TOGETHER_S: Final = 0.5  # reports of regions that sleep are made so far apart, with all that are due by then
_PHASE: Final = 0.6180339887498949  # of a turn between two regions' places in it, so that any number lies evenly
_FLOW_S: Final = 10.0  # what is read and written is told as often at most: it is hot by several reports in a row
_DOWN_S: Final = 2.0  # a peer that was heard since is not down
_ADMIN_S: Final = 10.0

T = TypeVar("T")

Usage: TypeAlias = Callable[[], tuple[int, int]]
"""Capacity of the disk, and what is available of it."""


def next_turn(region_id: RegionId, now: float, interval: float) -> float:
    """When a region is reported next if nothing happens to it, at most `interval` from now.

    Each has its own place in the turn, so that those that changed together are not reported together ever after.
    """
    place = region_id * _PHASE % 1.0 * interval
    return now + interval - (now - place) % interval


@final
class Duties:
    """Of one store. `start` and `stop` it."""

    def __init__(
        self,
        shared: Shared,
        peers: Peers,
        placement: PlacementClient,
        transport: Transport,
        meta: StoreMeta,
        logs: LogStore,
        engine: Engine,
        usage: Usage,
    ) -> None:
        self._shared = shared
        self._options = shared.options
        self._peers = peers
        self._placement = placement
        self._transport = transport
        self._meta = meta
        self._logs = logs
        self._engine = engine
        self._usage = usage
        self._tasks: list[asyncio.Task[None]] = []
        self._known: set[StoreId] = {meta.id}
        self._due: dict[RegionId, float] = {}  # when a region is reported next, of the loop's time
        self._order: list[tuple[float, RegionId]] = []  # a heap of them, and of some that are not so any more
        self._reporting: set[RegionId] = set()
        self._wanted = asyncio.Event()
        self._slots = asyncio.Semaphore(_HEARTBEATS_MAX)
        self._working: set[asyncio.Task[None]] = set()
        self._settled = 0  # as many changes of members are on disk: see `Shared`
        self._settling = asyncio.Lock()
        self._heard: dict[RegionId, tuple[Term, dict[PeerId, float]]] = {}  # when a leader of a term heard its peers
        self._weighed: dict[RegionId, tuple[int, int, int]] = {}  # written, version, and bytes as of them
        self._flowed: dict[RegionId, tuple[float, int, int]] = {}  # when it was told, written and read until then

    def start(self) -> None:
        """Begin."""
        loop = asyncio.get_running_loop()
        self._peers.on_round_end = self._on_round_end
        self._transport.on_moved = lambda _: self._do_soon(self.learn_stores)
        options = self._options
        for work, interval in (
            (self._store_heartbeat, options.store_heartbeat_interval),
            (self._cut_logs, options.log_check_interval),
            (self._check_splits, options.split_check_interval),
            (self._settle_stale, options.stale_peer_timeout / 2),
            (self._look_at_merges, 2 * options.tick),
            (self._hasten_reports, options.region_heartbeat_interval / 4),
        ):
            self._tasks.append(loop.create_task(self._repeat(work, interval)))
        self._tasks.append(loop.create_task(self._region_heartbeats()))

    async def stop(self) -> None:
        """End what is under way."""
        tasks = [*self._tasks, *self._working]
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)
        self._tasks.clear()

    async def _repeat(self, work: Callable[[], Coroutine[object, object, None]], interval: float) -> None:
        while True:
            await self._once(work)
            await asyncio.sleep(interval)

    async def _once(self, work: Callable[[], Coroutine[object, object, None]]) -> None:
        try:
            await work()
        except (RaftlyError, OSError) as error:
            _log.debug("store %d: %s, tried again", self._meta.id, error)

    def _do_soon(self, work: Callable[[], Coroutine[object, object, None]]) -> None:
        task = asyncio.get_running_loop().create_task(self._once(work))
        self._working.add(task)
        task.add_done_callback(self._working.discard)

    # --- the other stores ---

    async def learn_stores(self) -> None:
        """Where the others are.

        Raises:
            RaftlyError: the placement driver cannot be reached.
        """
        for store in await self._placement.stores():
            if store.id == self._meta.id or not store.peer_address:
                continue
            self._known.add(store.id)
            host, _, port = store.peer_address.rpartition(":")
            with suppress(ConfigError, ValueError):
                self._transport.set_address(store.id, (host.strip("[]"), int(port)))

    async def _store_heartbeat(self) -> None:
        capacity, available = self._usage()
        engine = self._engine.stats()
        stats = StoreStats(
            self._meta.id,
            capacity,
            available,
            engine.disk_bytes + self._logs.size_bytes(),
            len(self._shared.regions),
            is_busy=engine.is_busy,
            interval_s=int(self._options.store_heartbeat_interval),
        )
        await self._placement.store_heartbeat(stats)
        await self.learn_stores()

    # --- regions ---

    def _on_round_end(self) -> None:
        changed = self._shared.changed
        if not changed:
            return
        self._shared.changed = []
        for peer in changed:
            if peer.is_leader:
                self._plan(peer.region.id, 0.0)
        self._wanted.set()

    def on_step(self, operator: Operator) -> None:
        """The placement driver asks of its own accord; what comes of it is reported as every change is."""
        peer = self._peers.all.get(operator.region_id)
        if peer is not None:
            self._do_soon(partial(self._execute, peer, operator))

    def report_all(self) -> None:
        """Report every region and this store, since the placement driver has a leader that has not heard of them."""
        now = asyncio.get_running_loop().time()
        for region_id, when in list(self._due.items()):
            if when > now:
                self._plan(region_id, now)
        self._wanted.set()
        self._do_soon(self._store_heartbeat)

    def _plan(self, region_id: RegionId, when: float) -> None:
        self._due[region_id] = when
        heappush(self._order, (when, region_id))

    async def _region_heartbeats(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            self._wanted.clear()
            now = loop.time()
            begun = 0
            while self._order and self._order[0][0] <= now:
                when, region_id = heappop(self._order)
                if self._due.get(region_id) == when:
                    await self._begin_report(region_id)
                    begun += 1
                    if begun % _SLICE == 0:
                        await asyncio.sleep(_SLICE_PAUSE_S)
            pause = self._order[0][0] - loop.time() if self._order else self._options.region_heartbeat_interval
            with suppress(TimeoutError):
                async with asyncio.timeout(max(pause, self._options.tick)):
                    await self._wanted.wait()

    async def _begin_report(self, region_id: RegionId) -> None:
        peer = self._peers.all.get(region_id)
        if peer is None or not peer.is_leader:
            for known in (self._due, self._weighed, self._flowed, self._heard):
                known.pop(region_id, None)  # whoever leads reports
            return
        loop = asyncio.get_running_loop()
        if region_id in self._reporting or not peer.knows_all:
            self._plan(region_id, loop.time() + self._options.tick)
            return
        is_asleep = peer.group is not None and peer.group.asleep
        interval = self._options.region_heartbeat_interval * (_SLEEPERS if is_asleep else 1)
        turn = next_turn(region_id, loop.time(), interval)
        self._plan(region_id, ceil(turn / _TOGETHER_S) * _TOGETHER_S if is_asleep else turn)
        await self._slots.acquire()
        self._reporting.add(region_id)
        task = loop.create_task(self._report(peer))
        self._working.add(task)
        task.add_done_callback(self._working.discard)

    def _plan_soon(self, region_id: RegionId) -> None:
        soon = asyncio.get_running_loop().time() + _SOON_S
        if soon < self._due.get(region_id, 0.0):
            self._plan(region_id, soon)

    async def _hasten_reports(self) -> None:
        """A region that slept when its next report was planned, and does no more, does not wait so long."""
        interval = self._options.region_heartbeat_interval
        latest = asyncio.get_running_loop().time() + interval
        for region_id in list(self._shared.driver.awake):
            if self._due.get(region_id, 0.0) > latest:
                self._plan(region_id, next_turn(region_id, latest - interval, interval))
        self._wanted.set()

    async def _report(self, peer: RegionPeer) -> None:
        region_id = peer.region.id
        try:
            await self._settle_members()
            if peer.is_leader:
                report = self._make_report(peer)
                operator = await self._placement.region_heartbeat(report)
                if report.pending_peers or any(other.is_learner for other in report.region.peers):
                    self._plan_soon(region_id)
                if operator is not None:
                    await self._execute(peer, operator)
        except (RaftlyError, OSError) as error:
            _log.debug("region %d: %s", region_id, error)
            self._plan_soon(region_id)
        finally:
            self._reporting.discard(region_id)
            self._slots.release()

    async def _settle_members(self) -> None:
        """What the placement driver hears of members is on disk.

        On its word a peer that was removed ends, and one that forgot the removal in a crash would need its vote.
        """
        shared = self._shared
        while self._settled < shared.member_changes:
            async with self._settling:
                changes = shared.member_changes
                if self._settled < changes:
                    await self._engine.sync()
                    self._settled = changes

    def _make_report(self, peer: RegionPeer) -> RegionReport:
        now = asyncio.get_running_loop().time()
        region = peer.region
        group = peer.group
        assert group is not None
        down: list[DownPeer] = []
        pending = []
        begin = group.log.first_index() - 1
        term, before = self._heard.get(region.id, (0, {}))
        heard = before if term == peer.term else {}  # whoever led in between may have heard them
        self._heard[region.id] = (peer.term, {})
        for other in region.peers:
            progress = group.raw.raft.tracker.progress.get(other.id)
            if other.id == peer.peer_id or progress is None:
                continue
            if progress.match < begin:
                pending.append(other)
            last = now if progress.recent_active or group.asleep else heard.get(other.id, now)
            if not group.asleep:  # until it woke nobody was to be heard
                self._heard[region.id][1][other.id] = last
            if now - last > _DOWN_S:
                down.append(DownPeer(other, int(now - last)))
        weighed = self._weighed.get(region.id)
        if weighed is None or weighed[:2] != (peer.written_bytes, region.epoch.version):
            size = self._engine.approximate_bytes(data_key(region.start_key), data_end_key(region.end_key))
            weighed = self._weighed[region.id] = (peer.written_bytes, region.epoch.version, size)
        written, read, seconds = self._flow(peer, now)
        return RegionReport(
            region,
            peer.own(),
            peer.term,
            weighed[2],
            peer.keys,
            bytes_written=written,
            bytes_read=read,
            interval_s=seconds,
            down_peers=tuple(down),
            pending_peers=tuple(pending),
        )

    def _flow(self, peer: RegionPeer, now: float) -> tuple[int, int, int]:
        """Bytes written and read in so many seconds, since that was told last; nothing in none: it is not told yet."""
        region_id, counted = peer.region.id, (now, peer.written_bytes, peer.meter.read_bytes)
        began, written, read = self._flowed.setdefault(region_id, counted)
        if now - began < _FLOW_S:
            return 0, 0, 0
        self._flowed[region_id] = counted
        return max(0, counted[1] - written), max(0, counted[2] - read), int(now - began)

    async def _execute(self, peer: RegionPeer, operator: Operator) -> None:
        """Do one step, if it is still to be done."""
        step = operator.step
        region = peer.region
        deadline = asyncio.get_running_loop().time() + _ADMIN_S
        if operator.region_id != region.id or not peer.is_leader:
            return
        if isinstance(step, TransferLeader):
            peer.transfer_leader(step.peer)
        elif operator.epoch.is_older_than(region.epoch):
            return
        elif isinstance(step, ChangePeers):
            if any(change.peer.store_id not in self._known for change in step.changes):
                await self.learn_stores()
            done = peer.change_peers(step.changes, deadline)
            if done is not None:
                await done
        elif isinstance(step, SplitRegion):
            keys: Sequence[bytes] = step.keys
            if step.policy is not SplitPolicy.USE_KEYS:
                middle = await self._of_snapshot(partial(middle_key, region=region))
                keys = [middle] if middle and peer.region.epoch == region.epoch else []
            if keys:
                await self.split_at(peer, keys, deadline)
        else:
            done = prepare_merge(peer, step.target, deadline)
            if done is not None:
                await done

    async def _look_at_merges(self) -> None:
        self._peers.merges.look()

    # --- splits ---

    async def split_at(self, peer: RegionPeer, keys: Sequence[bytes], deadline: float) -> list[Region]:
        """Cut a region at these keys; its parts, in order.

        Raises:
            RegionError: it was not split.
            OutcomeUnknown: it may or may not be split.
        """
        region = peer.region
        fitting = sorted({key for key in keys if key != region.start_key and region.contains(key)})
        if not fitting:
            return [region]
        ids = await self._placement.ask_batch_split(region, len(fitting))
        news = [NewRegion(key, new) for key, new in zip(fitting, ids, strict=True)]
        parts = [part for part in await peer.split(news, deadline) if isinstance(part, Region)]
        with suppress(RaftlyError):
            await self._placement.report_batch_split(parts)
        return parts

    async def _of_snapshot(self, walk: Callable[[EngineSnapshot], Coroutine[object, object, T]]) -> T:
        keys = self._engine.snapshot()
        try:
            return await walk(keys)
        finally:
            keys.close()

    async def _check_splits(self) -> None:
        options = self._options
        limits = SplitLimits(
            options.region_max_bytes, options.region_split_bytes, options.region_max_keys, options.region_split_keys
        )
        for peer in list(self._peers.all.values()):
            if (peer.written_bytes - peer.checked_bytes) * 16 < options.region_split_bytes or not peer.is_leader:
                continue
            region = peer.region
            size = self._engine.approximate_bytes(data_key(region.start_key), data_end_key(region.end_key))
            if size < options.region_max_bytes and peer.keys < options.region_max_keys:
                continue
            peer.checked_bytes = peer.written_bytes
            before = peer.keys  # what is written during the walk counts again
            found = await self._of_snapshot(partial(check_split, region=region, limits=limits))
            peer.keys += found.size.keys - before
            cuts = found.split_keys
            if cuts and peer.is_leader and peer.region.epoch == region.epoch:
                await self.split_at(peer, cuts, asyncio.get_running_loop().time() + _ADMIN_S)

    # --- logs ---

    async def _cut_logs(self) -> None:
        """Cut what is applied, once the engine is known to have it on disk."""
        cuts: list[tuple[RegionPeer, int]] = []
        for region_id, group in self._shared.driver.awake.items():
            peer = self._peers.all.get(region_id)
            if peer is None or peer.group is not group or not peer.is_initialized or peer.failure is not None:
                continue
            log = group.log
            begin = log.first_index() - 1
            if peer.applied - begin < min(self._options.log_entries_keep, self._options.log_entries_max):
                continue
            raft = group.raw.raft
            slowest = min((member.match for _, member in raft.tracker.peers), default=0) if peer.is_leader else None
            size = sum(size for _, _, _, size in log.places.segments(begin + 1, peer.applied + 1))
            index = cut_at(self._options, begin, peer.applied, size, slowest)
            if index is not None and index > begin:
                cuts.append((peer, index))
        if not cuts:
            return
        await self._engine.sync()
        for peer, wanted in cuts:
            if peer.group is None or self._shared.driver.groups.get(peer.region.id) is not peer.group:
                continue
            log = peer.group.log
            floor = peer.log_floor if peer.merging is None else peer.merging.min_index
            index = wanted if floor is None else min(wanted, floor)  # a commit has to carry what is behind it
            if index >= log.first_index():
                meta = SnapshotMeta(index, log.term(index), conf_state_of(peer.region))
                self._shared.driver.write(SnapshotItem(peer.region.id, Snapshot(meta), keeps_entries=True))

    # --- peers that nobody speaks to ---

    async def _settle_stale(self) -> None:
        """A peer without a leader for long may have been removed while it was away, or its region is no more."""
        patience = self._options.stale_peer_timeout / self._options.tick
        for peer in list(self._peers.all.values()):
            is_out = peer.group is None and peer.region.id not in self._peers.busy  # it failed, or waits for a source
            if not is_out and peer.leaderless_ticks < patience:
                continue
            if peer.group is None or not peer.group.raw.raft.promotable():
                self._peers.ask(peer)  # those that campaign are told then
            known = await self._placement.region_by_id(peer.region.id)
            if self._peers.all.get(peer.region.id) is not peer:
                continue
            if known is None:
                await self._settle_merged(peer)
                continue
            region = known[0]
            is_newer = region.epoch.conf_ver > peer.region.epoch.conf_ver
            if region.peer(peer.peer_id) is None and (is_newer or peer.is_expelled):
                self._peers.remove(peer)

    async def _settle_merged(self, peer: RegionPeer) -> None:
        """The driver knows no such region. No region loses the key where it begins but in a merge.

        So it is part of whoever has that key at a later version. The peer goes if that one has no peer here, which
        would need its keys.
        """
        known = await self._placement.region_by_key(peer.region.start_key) if peer.is_initialized else None
        if known is None or self._peers.all.get(peer.region.id) is not peer:
            return
        heir = known[0]
        if heir.id != peer.region.id and heir.epoch.version > peer.region.epoch.version:
            peer.heir = peer.heir or UNKNOWN_HEIR
            if heir.peer_on(self._meta.id) is None and not self._peers.is_needed(peer, ()):
                self._peers.remove(peer)
