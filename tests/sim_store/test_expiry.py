"""Values that expire, under faults and on clocks that differ: none goes early, all go in the end, replicas agree."""

import asyncio
from dataclasses import replace

from raftly.engine.base import CF_DEFAULT
from raftly.errors import OutcomeUnknown, RaftlyError
from raftly.store.kv import RequestContext
from raftly.store.ops import Put, expiry_of
from raftly.store.store import RegionStore
from raftly.testing.sim import Host, HostDown
from tests.sim_store.clients import stream
from tests.sim_store.world import OPTIONS, StoreWorld

MARGIN_S = 3.0
SKEW_S = 1.0  # of each clock, so that any two are no further apart than the margin
EXPIRING = replace(OPTIONS, sweep_interval=0.5, sweep_margin=MARGIN_S)
PUT_BEFORE = 1  # a second long ago


class Client:
    """It owns its keys. Every value ends in its expiry; a key is put again and again, with another one."""

    def __init__(self, world: StoreWorld) -> None:
        self.world = world
        self.random = stream(world, "expiring")
        self.expiries: dict[bytes, set[int]] = {}  # by key, of what it may hold
        self.writes = self.found = 0

    async def work(self, over: asyncio.Event) -> None:
        """Put and get until it is over."""
        while not over.is_set():
            key = b"%02d-%03d" % (self.random.randrange(4), self.random.randrange(30))
            place = self.leader(key)
            if place is not None:
                if self.random.random() < 0.4:
                    await self.put(key, *place)
                else:
                    await self.get(key, *place)
            await asyncio.sleep(0.01)

    def leader(self, key: bytes) -> tuple[Host, RegionStore, RequestContext] | None:
        """Who leads the region of a key."""
        for number, store in sorted(self.world.running.items()):
            for region in store.regions():
                peer = store.peer_of(region.id)
                if region.contains(key) and peer is not None and peer.is_leader:
                    return self.world.hosts[number], store, RequestContext(region.id, region.epoch, peer.own())
        return None

    async def put(self, key: bytes, host: Host, store: RegionStore, ctx: RequestContext) -> None:
        """A value for some seconds, or for ever."""
        expires_s = 0 if self.random.random() < 0.2 else int(host.wall()) + self.random.randrange(1, 8)

        async def write() -> None:
            if expires_s:
                store.will_expire(ctx.region_id, expires_s)
            value = b"." * self.random.randrange(40) + expires_s.to_bytes(8, "big")
            await store.write(ctx, [Put(CF_DEFAULT, key, value)], asyncio.get_running_loop().time() + 1.0)

        try:
            await host.run(write())
        except (OutcomeUnknown, HostDown):
            self.expiries.setdefault(key, {PUT_BEFORE}).add(expires_s)
        except RaftlyError:
            return
        else:
            self.writes += 1
            self.expiries[key] = {expires_s}

    async def get(self, key: bytes, host: Host, store: RegionStore, ctx: RequestContext) -> None:
        """A value that no clock has seen expire is there."""
        latest = max(host.wall() for host in self.world.hosts.values()) + 1.0

        async def read() -> bytes | None:
            deadline = asyncio.get_running_loop().time() + 1.0
            return (store.read_now(ctx) or await store.read(ctx, deadline)).get(CF_DEFAULT, key)

        try:
            value = await host.run(read())
        except (RaftlyError, HostDown):
            return
        expiries = self.expiries.get(key, {PUT_BEFORE})
        if all(second == 0 or second > latest for second in expiries):
            self.found += 1
            assert value is not None, f"{key!r} went early: {expiries}, {latest}"
            assert expiry_of(value) in expiries


def test_what_expires_goes_everywhere_and_nothing_goes_early() -> None:
    world = StoreWorld(seed=4, size=4, options=EXPIRING)
    world.values_expire = True

    async def script() -> None:
        for number, host in world.hosts.items():
            host.jump(SKEW_S * (number % 3 - 1))
        await world.start()
        client = Client(world)
        over = asyncio.Event()
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(client.work(over))
            await world.trouble(stream(world, "trouble"), 6.0)
            over.set()
        await world.settle()
        last = int(max(host.wall() for host in world.hosts.values())) + 8
        await asyncio.sleep(8.0 + 2 * SKEW_S + MARGIN_S + 4.0)
        for store in world.running.values():
            held = {key[1:]: expiry_of(value) for key, value in store.engine.scan(CF_DEFAULT, b"z", b"{", 1 << 20)}
            assert not any(0 < second <= last for second in held.values()), f"store {store.id} still has {held}"
        await world.settle()
        assert client.writes > 50
        assert client.found > 50
        assert {0} in client.expiries.values()

    world.run(script(), within=300)
