"""Expiry: a value that has expired is not there for any reader; here it is taken away, so that its space comes back.

    once every `sweep_interval`, each region led from here in which something may be due:

        read a slice ──► what expired ──► EXPIRE of those keys, through the log ──► rest ──► the next slice

A replica never takes a value away by itself: an EXPIRE carries the leader's second, and each replica compares it with
what it holds when it applies it, so a value that was put again meanwhile stays. That second is `sweep_margin` behind
the leader's clock: every store whose clock is not further behind has already stopped showing the value.

A region is walked over once when it begins to be led here. From then on the soonest expiry in it is known: from the
walk, and from `will_expire`, which is told of every write. Until that second nothing looks at the region again, and it
sleeps as long as it likes; a store whose values never expire walks over each region once.

TiKV does this in its compactions (src/server/ttl), each replica for itself.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Final, Protocol, TypeAlias, final

from raftly.base.region import Peer, Region, RegionId
from raftly.base.types import Term
from raftly.engine.base import DATA_CFS, Engine
from raftly.errors import RaftlyError
from raftly.store.keys import DATA_PREFIX, data_end_key, data_key
from raftly.store.kv import RequestContext
from raftly.store.ops import Expire, Op, expiry_of

_log: Final = logging.getLogger("raftly.store")

_NEVER: Final = 1 << 64
_SLICE_KEYS: Final = 128
_SLICE_BYTES: Final = 256 << 10
_REGIONS: Final = 16  # whose end is reached before a rest
_REST_S: Final = 0.025
_REST: Final = 30  # times as long as the work before it
_DEADLINE_S: Final = 10.0
_LOOK: Final = 512  # regions looked at in one turn of the loop


class SweptPeer(Protocol):
    """A peer, as far as it is swept: a RegionPeer."""

    region: Region

    @property
    def term(self) -> Term: ...
    @property
    def knows_all(self) -> bool: ...
    def own(self) -> Peer: ...


Write: TypeAlias = Callable[[RequestContext, Sequence[Op], float], Awaitable[list[object]]]


@final
@dataclass(slots=True)
class _Known:
    """What is known of a region while it is led here in `term`, with a range of `version`."""

    term: Term = -1  # -1: it was not walked over yet
    version: int = 0
    soonest: int = _NEVER  # of what the last walk left behind
    told: int = _NEVER  # the soonest of writes since the last walk began
    told_before: int = _NEVER  # and of those before it: the walk may have come too early for them


@final
class Sweeper:
    """Of one store. `write` is its `KvBackend.write`, `wall_clock` gives seconds since 1970, `peers` all its peers."""

    def __init__(
        self,
        engine: Engine,
        write: Write,
        wall_clock: Callable[[], float],
        peers: Callable[[], Collection[SweptPeer]],
        *,
        interval: float,
        margin: float,
    ) -> None:
        self._engine = engine
        self._write = write
        self._wall_clock = wall_clock
        self._peers = peers
        self._interval = interval
        self._margin = margin
        self._known: dict[RegionId, _Known] = {}
        self._worked = 0.0  # seconds since the last rest
        self._ended = 0  # regions since then
        self.walks = 0
        """Over a region, to its end."""
        self.keys_read = 0
        self.keys_removed = 0

    def will_expire(self, region_id: RegionId, second: int) -> None:
        """A value that is about to be written to this region is gone at that second."""
        known = self._known.get(region_id)
        if known is None:
            known = self._known[region_id] = _Known()
        known.told = min(known.told, second)

    async def run(self) -> None:
        """Sweep again and again, until cancelled."""
        while True:
            await asyncio.sleep(self._interval)
            await self.sweep()

    async def sweep(self) -> None:
        """Sweep what is due."""
        now_s = int(self._wall_clock() - self._margin)
        for peer in await self._due(now_s):
            try:
                await self._walk(peer, now_s)
            except RaftlyError as error:  # it stays due
                _log.debug("region %d: its expired keys stay for now: %s", peer.region.id, error)
                await self._rest()

    async def _due(self, now_s: int) -> list[SweptPeer]:
        """Peers in whose regions something may have expired; what is known of those not led any more is forgotten."""
        due = []
        known: dict[RegionId, _Known] = {}
        for number, peer in enumerate(list(self._peers()), 1):
            if number % _LOOK == 0:
                await asyncio.sleep(0)
            if not peer.knows_all:
                continue
            of_region = self._known.get(peer.region.id)
            if of_region is None:
                of_region = self._known[peer.region.id] = _Known()
            known[peer.region.id] = of_region
            is_same = of_region.term == peer.term and of_region.version == peer.region.epoch.version
            if not is_same or now_s >= min(of_region.soonest, of_region.told, of_region.told_before):
                due.append(peer)
        self._known = known
        return due

    async def _walk(self, peer: SweptPeer, now_s: int) -> None:
        """Take away what expired in a region, and learn when the next of the rest does; it may end early.

        Raises:
            RaftlyError: something could not be taken away, or not be read.
        """
        region, term = peer.region, peer.term
        known = self._known.setdefault(region.id, _Known())
        told, known.told = known.told, _NEVER
        known.told_before = min(known.told_before, told)  # all of it, should this walk fail
        soonest = _NEVER
        for cf in DATA_CFS:
            lo: bytes | None = data_key(region.start_key)
            while lo is not None:
                if not peer.knows_all or peer.term != term or peer.region.epoch.version != region.epoch.version:
                    return
                expired, left, lo = self._read(cf, lo, data_end_key(region.end_key), now_s)
                soonest = min(soonest, left)
                if expired:
                    await self._remove(peer, [Expire(cf, key, now_s) for key in expired])
                if lo is not None:
                    await self._rest()
        known.term, known.version, known.soonest = term, region.epoch.version, soonest
        known.told_before = told
        self.walks += 1
        self._ended += 1
        if self._ended >= _REGIONS or self._worked >= _REST_S / _REST:
            await self._rest()

    def _read(self, cf: str, lo: bytes, hi: bytes, now_s: int) -> tuple[list[bytes], int, bytes | None]:
        """A slice: users' keys that expired, the soonest expiry of the others, and where the next slice begins."""
        clock = asyncio.get_running_loop().time
        began = clock()
        expired: list[bytes] = []
        soonest, count, size = _NEVER, 0, 0
        following = None
        for key, value in self._engine.iterate(cf, lo, hi):
            count += 1
            size += len(value)
            expires_s = expiry_of(value)
            if expires_s:
                if expires_s <= now_s:
                    expired.append(key[len(DATA_PREFIX) :])
                else:
                    soonest = min(soonest, expires_s)
            if count >= _SLICE_KEYS or size >= _SLICE_BYTES:
                following = key + b"\0"
                break
        self.keys_read += count
        self._worked += clock() - began
        return expired, soonest, following

    async def _remove(self, peer: SweptPeer, ops: list[Expire]) -> None:
        ctx = RequestContext(peer.region.id, peer.region.epoch, peer.own())
        results = await self._write(ctx, ops, asyncio.get_running_loop().time() + _DEADLINE_S)
        self.keys_removed += sum(result is True for result in results)

    async def _rest(self) -> None:
        pause = max(_REST_S, _REST * self._worked)
        self._worked, self._ended = 0.0, 0
        await asyncio.sleep(pause)
