"""A client of a StoreWorld that owns its keys, and knows what may be read there."""

from __future__ import annotations

import asyncio
from random import Random

from raftly.base.region_errors import RegionError
from raftly.engine.base import CF_DEFAULT
from raftly.errors import OutcomeUnknown, RaftlyError
from raftly.store.kv import RequestContext
from raftly.store.ops import Cas, CasResult, Delete, Put
from raftly.store.store import RegionStore
from raftly.testing.sim import Host, HostDown
from tests.sim_store.world import StoreWorld

_ANSWER_S = 1.0
_KEYS = 100


class Client:
    """See the module. It asks at the stores' side: no network between."""

    def __init__(self, world: StoreWorld, number: int) -> None:
        self.world = world
        self.number = number
        self.random = world.world.stream(f"client/{number}")
        self.may_be: dict[bytes, set[bytes | None]] = {}  # by key, what a read may find
        self.to_come: dict[bytes, list[bytes | None]] = {}  # of it, what may yet be written, in this order
        self.tries = 0
        self.writes = 0
        self.reads = 0

    async def work(self, over: asyncio.Event) -> None:
        """Write and read until it is over."""
        while not over.is_set():
            key = b"%02d-%03d" % (self.number, self.random.randrange(_KEYS))
            if self.random.random() < 0.6:
                await self.write(key)
            else:
                await self.read(key, patience=1)
            await asyncio.sleep(self.random.expovariate(1 / 0.02))

    async def write(self, key: bytes) -> None:
        """Put, delete or compare and put, once."""
        before = self.may_be.setdefault(key, {None})
        self.tries += 1
        value = b"%02d %06d " % (self.number, self.tries) + b"." * self.random.randrange(60)
        kind = self.random.random()
        op: Put | Delete | Cas = Put(CF_DEFAULT, key, value)
        after: bytes | None = value
        if kind < 0.1:
            op, after = Delete(CF_DEFAULT, key), None
        elif kind < 0.3:
            op = Cas(CF_DEFAULT, key, self.random.choice(sorted(before, key=repr)), value)
        try:
            results = await self._ask(key, [op])
        except (OutcomeUnknown, HostDown):
            before.add(after)
            self.to_come.setdefault(key, []).append(after)
            return
        except RaftlyError:
            return  # nothing was written, and will not be
        self.writes += 1
        if isinstance(op, Cas):
            result = results[0]
            assert isinstance(result, CasResult)
            assert result.previous in before, f"{key!r} had {result.previous!r}, may be {before}"
            after = value if result.succeeded else result.previous
        self.may_be[key] = {after}
        self.to_come.pop(key, None)  # it would have been before this one in the log

    async def read(self, key: bytes, patience: int) -> None:
        """Read at the leader or by read index elsewhere, and see that it is right."""
        for _ in range(patience):
            if (found := await self._try_read(key)) is not None:
                expected = self.may_be.get(key, {None})
                assert found[0] in expected, f"{key!r} is {found[0]!r}, may be {expected}"
                to_come = self.to_come.get(key, [])
                if found[0] is not None and found[0] in to_come:
                    del to_come[: to_come.index(found[0]) + 1]  # that is over, and what would have come before it
                self.may_be[key] = {found[0], *to_come}
                self.reads += 1
                return
            await asyncio.sleep(0.2)
        assert patience == 1, f"{key!r} could not be read"

    async def _try_read(self, key: bytes) -> tuple[bytes | None] | None:
        found = self._find(key)
        if found is None:
            return None
        host, store, ctx = found

        async def read() -> tuple[bytes | None]:
            reader = store.read_now(ctx) or await store.read(ctx, asyncio.get_running_loop().time() + _ANSWER_S)
            return (reader.get(CF_DEFAULT, key),)

        try:
            return await host.run(read())
        except (RegionError, HostDown):
            return None

    async def _ask(self, key: bytes, ops: list[Put | Delete | Cas]) -> list[object]:
        found = self._find(key)
        if found is None:
            raise RegionError
        host, store, ctx = found

        async def write() -> list[object]:
            return await store.write(ctx, ops, asyncio.get_running_loop().time() + _ANSWER_S)

        return await host.run(write())

    def _find(self, key: bytes) -> tuple[Host, RegionStore, RequestContext] | None:
        """Whoever leads the region of a key, or any of its stores for a replica read."""
        world = self.world
        holders = []
        for number, store in sorted(world.running.items()):
            for region in store.regions():
                peer = store.peer_of(region.id)
                if region.contains(key) and peer is not None:
                    holders.append((number, store, peer))
        leaders = [holder for holder in holders if holder[2].is_leader]
        if not holders:
            return None
        replica_read = not leaders or self.random.random() < 0.2
        number, store, peer = self.random.choice(holders if replica_read else leaders)
        ctx = RequestContext(peer.region.id, peer.region.epoch, peer.own(), replica_read=replica_read)
        return world.hosts[number], store, ctx


async def check_all(clients: list[Client]) -> None:
    """Every key of every client holds what it may."""
    for client in clients:
        for key in sorted(client.may_be):
            await client.read(key, patience=50)


def stream(world: StoreWorld, name: str) -> Random:
    """Randomness of a test's own."""
    return world.world.stream(name)
