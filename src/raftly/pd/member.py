"""Member: one member of the placement driver: the replicated class on a node, and what it does while it leads.

    timestamps, alloc_ids      under the leader's lease only
    store_heartbeat, ...       of `Leader`, while this member leads; NotLeader names who does
    call                       a command through the log

While it leads it lets the rules run, saves the bound of timestamps and batches of ids ahead of need, writes changed
regions down, and buries stores that are drained. All that it knows of a term ends with the term.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine, Sequence
from contextlib import suppress
from typing import Concatenate, Final, ParamSpec, TypeVar, final

from raftly.base.heartbeats import NewRegionIds, RegionReport, StoreStats
from raftly.base.operators import Operator
from raftly.base.region import Region
from raftly.base.types import Term
from raftly.errors import NotLeader, RaftlyError
from raftly.node import STRONG, Replicated
from raftly.pd.config import ScheduleConfig
from raftly.pd.errors import NotReady
from raftly.pd.id_alloc import IDS_BATCH
from raftly.pd.leader import Leader
from raftly.pd.placement import MemberRow, Placement, StoreRow
from raftly.pd.tso import Timestamp

P = ParamSpec("P")
R = TypeVar("R")

TICK_S: Final = 0.05
SAVE_REGIONS_MAX: Final = 1000
"""Regions written down in one entry."""
_POLL_S: Final = 0.0005  # while a timestamp waits for the next millisecond
_RETRY_S: Final = 0.1


@final
class Member:
    """See the module. `announce` it, and `close` it.

    `cluster_id` and `config` are for a cluster that has neither yet; None: the defaults.
    """

    def __init__(
        self,
        node: Replicated[Placement],
        cluster_id: int,
        config: ScheduleConfig | None = None,
        *,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.node: Final = node
        self.on_steps: Callable[[Sequence[Operator]], None] = lambda _: None  # what should not wait for a heartbeat
        self.on_term_end: Callable[[], None] = lambda: None  # what was told to this leader is forgotten
        self._cluster_id = cluster_id
        self._config = config
        self._clock = clock
        self._loop = asyncio.get_running_loop()
        self._leader: Leader | None = None
        self._term: Term = 0  # of `_leader`
        self._saving = _Flight()
        self._reserving = _Flight()
        self._waiting: dict[asyncio.Future[None], None] = {}  # for a change of ranges or of leadership
        self.failed: Final[asyncio.Future[None]] = self._loop.create_future()  # by a bug: the member must not go on
        self._duties = [self._loop.create_task(duty()) for duty in (self._follow_leadership, self._run)]
        for each in self._duties:
            each.add_done_callback(self._on_duty_done)

    def announce(self, row: MemberRow) -> None:
        """Let everybody know where clients find this member, as soon as there is a leader."""
        duty = self._loop.create_task(self._register(row))
        duty.add_done_callback(self._on_duty_done)
        self._duties.append(duty)

    async def close(self) -> None:
        """Stop the duties; the node is its owner's."""
        for duty in self._duties:
            duty.cancel()
        await asyncio.gather(*self._duties, return_exceptions=True)
        self._saving.cancel()
        self._reserving.cancel()
        self._drop()
        self.failed.cancel()

    def _on_duty_done(self, duty: asyncio.Task[None]) -> None:
        if not duty.cancelled() and (error := duty.exception()) is not None and not self.failed.done():
            self.failed.set_exception(error)

    # --- who leads --------------------------------------------------------------------------------------------------

    @property
    def state(self) -> Placement:
        """The replicated state as it is here and now; only to be read."""
        return self.node.machine.instance

    @property
    def leads(self) -> bool:
        """Does this member lead, as far as it knows, and is it ready to?"""
        return self._leader is not None and self._is_term(self._term)

    def leader(self) -> Leader:
        """What this member knows as the leader.

        Raises:
            NotLeader: it does not lead.
            NotReady: it has just begun to.
        """
        leadership = self.node.leadership().value
        if not leadership.is_self:
            raise NotLeader(leadership.leader)
        if self._leader is None or self._term != leadership.term:
            raise NotReady("this member has just begun to lead")
        return self._leader

    def _is_term(self, term: Term) -> bool:
        leadership = self.node.leadership().value
        return leadership.is_self and leadership.term == term

    async def _follow_leadership(self) -> None:
        async for leadership in self.node.leadership():
            if not leadership.is_self:
                self._drop()
            while self._is_term(leadership.term) and self._term != leadership.term:
                try:
                    await self._begin(leadership.term)
                except RaftlyError:  # not settled yet, or no longer leader
                    await asyncio.sleep(_RETRY_S)
        self._drop()

    def _drop(self) -> None:
        if self._leader is not None:
            self.on_term_end()
        self._leader = None
        self._term = 0
        self._ring()

    async def _begin(self, term: Term) -> None:
        self._drop()
        await self.node.fresh(STRONG)  # all that earlier leaders promised is in the state
        if not self.state.cluster_id:
            if self._config is not None:
                await self.node.call(Placement.configure, self._config)
            await self.node.call(Placement.found, self._cluster_id)
        if not self._is_term(term):
            return
        # Only the leader of a term changes what a leader looks at, and that one does not before it is ready.
        leader = Leader(self.state, self._loop.time(), self._now_ms(), seed=term)
        for _ in leader.remember(self.state):
            await asyncio.sleep(0)
            if not self._is_term(term):
                return
        self._leader = leader
        self._term = term
        self._ring()

    async def _register(self, row: MemberRow) -> None:
        while True:
            if self.state.members.get(row.id) != row:
                with suppress(RaftlyError):
                    session = await self.node.open_session(within=5.0)
                    try:
                        await session.call(Placement.register, row)
                    finally:
                        session.close()
            await asyncio.sleep(_RETRY_S)

    # --- calls ------------------------------------------------------------------------------------------------------

    async def call(self, method: Callable[Concatenate[Placement, P], R], /, *args: P.args, **kwargs: P.kwargs) -> R:
        """A command through the log, at the leader.

        Raises:
            NotLeader, NotReady, Busy, OutcomeUnknown: see `Replicated.call`.
            Refused: the command says no.
        """
        self.leader()
        try:
            return await self.node.call(method, *args, **kwargs)
        finally:
            if self._leader is not None:
                self._leader.on_placement(self.state, self._loop.time())

    async def bootstrap(self, store: StoreRow, region: bytes) -> None:
        """See `Placement.bootstrap`. The first region is known from then on, led from the store that brought it.

        Raises:
            Refused: it is not to be.
        """
        leader = self.leader()
        await self.call(Placement.bootstrap, store, region)
        leader.on_bootstrap(self.state)
        self._ring()

    async def put_store(self, store: StoreRow) -> None:
        """See `Placement.put_store`.

        Raises:
            Refused: the cluster does not take it.
        """
        leader = self.leader()
        await self.call(Placement.put_store, store)
        leader.ids.skip_past(store.id)

    async def timestamps(self, count: int) -> Timestamp:
        """The last of `count` consecutive timestamps, above all that anybody was given before this was asked for.

        Raises:
            NotLeader, NotReady: this member cannot tell.
            ReadTimeout: nobody confirmed that it still leads.
            LimitExceeded: no millisecond has so many.
        """
        while True:
            leader = await self._confirmed()
            now_ms = self._now_ms()
            found = leader.oracle.take(count, now_ms)
            if found is not None:
                return found
            if leader.oracle.bound_to_save(now_ms) is None:
                await asyncio.sleep(_POLL_S)
            else:
                await self._save_bound()

    async def alloc_ids(self, count: int = 1) -> int:
        """The first of `count` consecutive ids, above all that were given out before.

        Raises:
            NotLeader, NotReady, ReadTimeout: as `timestamps`.
            Refused: too many.
        """
        while True:
            leader = await self._confirmed()
            found = leader.ids.take(count)
            if found is not None:
                return found
            await self._reserve_ids(count)

    async def split_ids(self, region: Region, count: int) -> list[NewRegionIds]:
        """See `Leader.split_ids`."""
        while True:
            leader = await self._confirmed()
            try:
                return leader.split_ids(region, count)
            except NotReady:
                await self._reserve_ids(count * (1 + len(region.peers)))

    async def _confirmed(self) -> Leader:
        """The leader's memory, at a moment after this was called at which nobody else led."""
        leader = self.leader()
        if self.node.fresh_nowait() is None:
            await self.node.fresh(STRONG)
            if self.leader() is not leader:  # another term began meanwhile
                raise NotReady("leadership changed")
        return leader

    def _now_ms(self) -> int:
        return int(self._clock() * 1000)

    # --- what stores tell -------------------------------------------------------------------------------------------

    def store_heartbeat(self, stats: StoreStats) -> None:
        """See `Leader.store_heartbeat`; raises NotLeader and NotReady too."""
        self.leader().store_heartbeat(stats, self._loop.time())

    def region_heartbeat(self, report: RegionReport) -> Operator | None:
        """See `Leader.region_heartbeat`; raises NotLeader and NotReady too."""
        leader = self.leader()
        before = leader.ranges_version
        try:
            return leader.region_heartbeat(report, self._loop.time())
        finally:
            if leader.ranges_version != before:
                self._ring()

    async def next_ranges(self) -> None:
        """Wait until some region's range, peers or leader changed, or who leads here."""
        future: asyncio.Future[None] = self._loop.create_future()
        self._waiting[future] = None
        try:
            await future
        finally:
            self._waiting.pop(future, None)

    def _ring(self) -> None:
        waiting, self._waiting = self._waiting, {}
        for future in waiting:
            if not future.done():
                future.set_result(None)

    # --- duties of a leader -----------------------------------------------------------------------------------------

    async def _run(self) -> None:
        while True:
            await asyncio.sleep(TICK_S)
            if not self.leads:
                continue
            with suppress(RaftlyError):
                await self._tick(self.leader())

    async def _tick(self, leader: Leader) -> None:
        steps = leader.on_time(self._loop.time())
        if steps:
            self.on_steps(steps)
        if leader.oracle.bound_to_save(self._now_ms()) is not None:
            await self._save_bound()
        if len(leader.ids) < IDS_BATCH // 2:
            await self._reserve_ids(IDS_BATCH)
        await self._save_regions(leader)
        for store_id in leader.drained():
            await self.call(Placement.bury_store, store_id)

    async def _save_bound(self) -> None:
        """Save the next bound of timestamps."""
        leader = self.leader()
        bound_ms = leader.oracle.bound_to_save(self._now_ms())
        if bound_ms is not None:
            await self._saving.join(lambda: self._save(leader, bound_ms))

    async def _save(self, leader: Leader, bound_ms: int) -> None:
        leader.oracle.on_saved(await self.node.call(Placement.save_tso_bound, bound_ms))

    async def _reserve_ids(self, count: int) -> None:
        leader, batch = self.leader(), max(count, IDS_BATCH)
        await self._reserving.join(lambda: self._reserve(leader, batch))

    async def _reserve(self, leader: Leader, batch: int) -> None:
        leader.ids.add(await self.node.call(Placement.reserve_ids, batch), batch)

    async def _save_regions(self, leader: Leader) -> None:
        changed, gone = leader.take_changes(SAVE_REGIONS_MAX)
        if not changed and not gone:
            return
        try:
            await self.node.call(Placement.save_regions, changed, gone)
        except RaftlyError:
            leader.give_back(changed, gone)
            raise


@final
class _Flight:
    """Something that is done once at a time; who wants it meanwhile waits for the one under way."""

    def __init__(self) -> None:
        self._task: asyncio.Task[None] | None = None

    async def join(self, make: Callable[[], Coroutine[object, object, None]]) -> None:
        """Begin, unless it has begun, and wait for the end; raises what it raises."""
        if self._task is None:
            self._task = asyncio.get_running_loop().create_task(make())
            self._task.add_done_callback(self._on_done)
        await asyncio.shield(self._task)

    def _on_done(self, task: asyncio.Task[None]) -> None:
        self._task = None
        if not task.cancelled():
            task.exception()  # seen, also when nobody waits any more

    def cancel(self) -> None:
        """Give it up."""
        if self._task is not None:
            self._task.cancel()
