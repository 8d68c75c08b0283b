"""Client: reads and writes keys of simulated stores, whoever leads their regions; it asks again until it is answered.

It stands beside the stores, without a network between, as the course's harness has it: faults are among stores.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeVar

from raftly.base.region import Peer, Region, StoreId
from raftly.base.region_errors import EpochNotMatch, NotRegionLeader, RegionError
from raftly.engine.base import CF_DEFAULT, KeyValue
from raftly.errors import OutcomeUnknown
from raftly.store.kv import KvBackend, RegionReader, RequestContext
from raftly.store.ops import Delete, Op, Put
from raftly.testing.sim import Host, HostDown
from tests.tinykv.placement import Placement

T = TypeVar("T")
Request = Callable[[KvBackend, RequestContext, float], Awaitable[T]]

_ANSWER_S = 1.0  # an attempt without an answer for so long is made again, perhaps elsewhere
_PAUSE_S = 0.05
_ALL = 1_000_000
PATIENCE_S = 30.0


class Cluster(Protocol):
    """What a client needs of the stores."""

    placement: Placement
    hosts: dict[StoreId, Host]

    def backend(self, store_id: StoreId) -> KvBackend:
        """What a store serves.

        Raises:
            HostDown: it does not run.
        """
        ...


class NoAnswer(AssertionError):
    """Nobody answered for `PATIENCE_S`."""


@dataclass(slots=True)
class _Refusal:
    error: RegionError | OutcomeUnknown


class Client:
    """See the module. Puts and deletes may be done twice, which does not show."""

    def __init__(self, cluster: Cluster, patience: float = PATIENCE_S) -> None:
        self.cluster = cluster
        self.patience = patience
        self.told: tuple[Region, Peer] | None = None
        """A region and its leader, as a store said in its refusal."""

    async def put(self, key: bytes, value: bytes, cf: str = CF_DEFAULT) -> None:
        """Write a value."""
        await self._write(key, [Put(cf, key, value)])

    async def delete(self, key: bytes, cf: str = CF_DEFAULT) -> None:
        """Take a key away."""
        await self._write(key, [Delete(cf, key)])

    async def get(self, key: bytes, cf: str = CF_DEFAULT) -> bytes | None:
        """The value of a key."""
        return await self.ask(key, reading(lambda reader: reader.get(cf, key)))

    async def scan(self, lo: bytes, hi: bytes, cf: str = CF_DEFAULT) -> list[KeyValue]:
        """All keys in [lo, hi) and their values, of one region after the other."""
        found: list[KeyValue] = []
        while True:
            pairs, region = await self.ask(lo, _scanning(cf, lo, hi))
            found += pairs
            if not region.end_key or region.end_key >= hi:
                return found
            lo = region.end_key

    async def _write(self, key: bytes, ops: Sequence[Op]) -> None:
        async def write(backend: KvBackend, ctx: RequestContext, deadline: float) -> None:
            await backend.write(ctx, ops, deadline)

        await self.ask(key, write)

    async def ask(self, key: bytes, request: Request[T]) -> T:
        """Put a request to the leader of the region of a key, until it is answered.

        Raises:
            NoAnswer: it never was.
        """
        loop = asyncio.get_running_loop()
        deadline = loop.time() + self.patience
        turn = 0
        last: Exception | None = None
        while loop.time() < deadline:
            route = await self._route(key, turn)
            if route is not None:
                try:
                    return await self.ask_peer(*route, request)
                except NotRegionLeader as error:
                    last = error
                    self.told = None if error.leader is None else (route[0], error.leader)
                except EpochNotMatch as error:
                    last = error
                    self.told = _as_it_is_now(error.current, key, route[1].store_id)
                except (RegionError, OutcomeUnknown, HostDown, TimeoutError) as error:
                    last = error
            turn += 1
            await asyncio.sleep(_PAUSE_S)
        raise NoAnswer(f"nobody answered for {key!r} within {self.patience} s: {last!r}")

    async def ask_peer(self, region: Region, peer: Peer, request: Request[T]) -> T:
        """Put a request to one peer, once."""
        store = peer.store_id
        backend = self.cluster.backend(store)
        context = RequestContext(region.id, region.epoch, peer)

        async def there() -> T | _Refusal:  # nobody may listen any more when it raises
            try:
                return await request(backend, context, asyncio.get_running_loop().time() + _ANSWER_S)
            except (RegionError, OutcomeUnknown) as error:
                return _Refusal(error)

        answer = await asyncio.wait_for(self.cluster.hosts[store].run(there()), _ANSWER_S)
        if isinstance(answer, _Refusal):
            raise answer.error
        return answer

    async def _route(self, key: bytes, turn: int) -> tuple[Region, Peer] | None:
        told, self.told = self.told, None
        if told is not None and told[0].contains(key):
            return told
        found = await self.cluster.placement.region_by_key(key)
        if found is None or not found[0].peers:
            return None
        region, leader = found
        if leader is None or turn % 2:  # whom the placement driver knows may be gone for longer than it knows
            leader = region.peers[turn // 2 % len(region.peers)]
        return region, leader


def _as_it_is_now(current: Sequence[Region], key: bytes, store_id: StoreId) -> tuple[Region, Peer] | None:
    """The region of a key among those that a store told of, and the store's peer of it."""
    region = next((region for region in current if region.contains(key)), None)
    peer = None if region is None else region.peer_on(store_id)
    return None if region is None or peer is None else (region, peer)


def reading(read: Callable[[RegionReader], T]) -> Request[T]:
    """A request that reads at one moment."""

    async def request(backend: KvBackend, ctx: RequestContext, deadline: float) -> T:
        reader = backend.read_now(ctx)
        if reader is None:
            reader = await backend.read(ctx, deadline)
        try:
            return read(reader)
        finally:
            reader.close()

    return request


def _scanning(cf: str, lo: bytes, hi: bytes) -> Request[tuple[list[KeyValue], Region]]:
    """What a region has of a range, and which region that is."""
    return reading(lambda reader: (reader.scan(cf, lo, hi, _ALL), reader.region))
