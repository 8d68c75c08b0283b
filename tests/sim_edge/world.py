"""EdgeWorld: the placement driver and stores on simulated hosts as clients know them: by gRPC, and by nothing else.

    world = EdgeWorld(seed=1)
    world.run(script(world), within=120)

What `raftly.server.wiring` makes of a configuration is made by hand here, of the same parts: the disk, the clock and
the randomness are the host's.
"""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from dataclasses import replace
from functools import partial
from random import Random
from typing import Final, final

from raftly.base.region import PeerRole, StoreId
from raftly.base.store_meta import StoreMeta
from raftly.client.errors import NotDone
from raftly.client.pd import PdClient
from raftly.client.raw import RawClient
from raftly.client.regions import ClientOptions
from raftly.engine.base import CF_DEFAULT
from raftly.engine.memory import MemoryEngine
from raftly.node import Replicated
from raftly.node.config import NodeConfig
from raftly.node.service import Service
from raftly.pd.config import ScheduleConfig
from raftly.pd.member import Member
from raftly.pd.placement import MemberRow, Placement
from raftly.rpc import Server
from raftly.server.kv_server import KvServer, KvServerOptions
from raftly.server.pd_admin import admin_service
from raftly.server.pd_service import pd_service
from raftly.server.placement_client import GrpcPlacement
from raftly.server.wiring import LINGER_S
from raftly.store.keys import data_end_key, data_key
from raftly.store.store import RegionStore
from raftly.testing.sim import Host
from raftly.transport.options import TcpOptions
from raftly.transport.tcp import TcpTransport
from tests.sim_store import world as store_world
from tests.support.worlds import HostWorld

CLUSTER: Final = 7
PORT: Final = 20160  # for clients
PEER_PORT: Final = 20180
TCP: Final = TcpOptions(write_at_once=True, bind_senders=False)
TCP_DRIVERS: Final = TcpOptions(write_at_once=True)
STORES: Final = 3
OPTIONS: Final = replace(store_world.OPTIONS, region_max_bytes=80, region_split_bytes=40)  # of few keys
SCHEDULE: Final = ScheduleConfig(split_merge_interval_s=3.0)
START_S: Final = 30.0
SETTLE_S: Final = 30.0


@final
class EdgeWorld(HostWorld):
    """Members of the placement driver, and three stores; clients are on hosts that a test makes."""

    def __init__(self, seed: int, drivers: int = 1) -> None:
        super().__init__(seed)
        self.drivers = {number: self.world.host(f"pd{number}") for number in range(1, drivers + 1)}
        self.stores = {number: self.world.host(f"store{number}") for number in range(1, STORES + 1)}
        self.members: dict[int, Member] = {}  # that run
        self.running: dict[int, RegionStore] = {}
        self._ends: dict[int, AsyncExitStack] = {}  # of those
        self.drop_dead(self.drivers, self.members)
        self.drop_dead(self.stores, self.running)

    # --- life ---

    async def start(self) -> None:
        """Start all, and wait until every region is on every store."""
        for number in self.drivers:
            await self.boot_driver(number)
        for number in self.stores:
            await self.boot(number)
        deadline = self.world.now + START_S
        while not self._is_replicated():
            assert self.world.now < deadline, "the first region has too few peers"
            await asyncio.sleep(0.1)

    def _is_replicated(self) -> bool:
        leading = [member for member in self.members.values() if member.leads]
        regions = [report.region for member in leading for report in member.leader().cluster.regions]
        voters = [sum(peer.role is PeerRole.VOTER for peer in region.peers) for region in regions]
        return bool(voters) and set(voters) == {STORES}

    async def boot_driver(self, number: int) -> None:
        """Switch the host of a member of the placement driver on, with the member as its disk has it."""
        host = self.drivers[number]
        host.start()
        self.members[number] = await host.run(self._drive(number, host))

    async def _drive(self, number: int, host: Host) -> Member:
        addresses = {id_: (other.address, PEER_PORT) for id_, other in self.drivers.items() if other is not host}
        own = (host.address, PEER_PORT)
        tcp = TcpTransport(CLUSTER, number, own, addresses, TCP_DRIVERS, random=host.source("transport"))
        config = NodeConfig(
            number, tuple(self.drivers), cluster_id=CLUSTER, seed=host.seed("node"), addresses=addresses, address=own
        )
        node = await Replicated.start(Placement, config, tcp, fs=host.disk.fs, clock=host.wall)
        tcp.serve(Service(node, address_of=node.address_of))
        member = Member(node, CLUSTER, SCHEDULE, clock=host.wall)
        await Server([pd_service(member), admin_service(member)]).start(host.address, PORT)
        member.announce(MemberRow(number, host.name, [_url(host)], [f"http://{host.address}:{PEER_PORT}"]))
        return member

    async def boot(self, number: int) -> None:
        """Switch a store's host on; with its store as its disk has it, once the placement driver answers."""
        host = self.stores[number]
        host.start()
        self.running[number], self._ends[number] = await host.run(self._serve(host))

    async def stop(self, number: int) -> None:
        """End a store in good order, and its process."""
        await self.stores[number].run(self._ends[number].aclose())
        self.stores[number].kill(power=False)

    async def _serve(self, host: Host) -> tuple[RegionStore, AsyncExitStack]:
        pd = PdClient(self._endpoints(), rng=_random(host, "pd"))
        while True:
            try:
                await pd.members()
                break
            except NotDone:
                continue
        placement = GrpcPlacement(pd)

        def make_transport(cluster_id: int, store_id: StoreId) -> TcpTransport:
            return TcpTransport(
                cluster_id, store_id, (host.address, PEER_PORT), {}, TCP, random=host.source("transport")
            )

        fs = host.disk.fs
        meta = StoreMeta(0, f"{host.address}:{PORT}", f"{host.address}:{PEER_PORT}")
        store = await RegionStore.start(
            fs, MemoryEngine(fs), make_transport, placement, meta, OPTIONS, random=host.source("store")
        )
        placement.on_step = store.on_step
        placement.on_new_leader = store.report_all
        options = KvServerOptions(cluster_id=store.cluster_id, store_id=store.id)
        server = KvServer(store, host.wall, options)
        await server.start(host.address, PORT)
        ends = AsyncExitStack()
        for end in (placement.close, store.stop, server.stop, partial(_leave, server, store)):
            ends.push_async_callback(end)
        return store, ends

    async def settle(self) -> None:
        """Wait until all stores have the same regions, as far applied; then they must hold the same."""
        deadline = self.world.now + SETTLE_S
        while len({_regions(store) for store in self.running.values()}) > 1:
            assert self.world.now < deadline, [_regions(store) for store in self.running.values()]
            await asyncio.sleep(0.1)
        first, *others = [_content(store) for store in self.running.values()]
        assert all(other == first for other in others), "replicas differ"

    def client(self, host: Host, options: ClientOptions) -> RawClient:
        """A client on a host of its own; to be made there."""
        pd = PdClient(self._endpoints(), timeout_s=options.timeout_s, rng=_random(host, "pd"))
        return RawClient(pd, options, rng=_random(host, "client"))

    def _endpoints(self) -> list[str]:
        return [_url(host) for host in self.drivers.values()]


def _regions(store: RegionStore) -> tuple[object, ...]:
    peers = [store.peer_of(region.id) for region in store.regions()]
    return tuple((peer.region.id, peer.region.epoch, peer.applied) for peer in peers if peer is not None)


def _content(store: RegionStore) -> list[tuple[bytes, bytes]]:
    return store.engine.scan(CF_DEFAULT, data_key(b""), data_end_key(b""), 1 << 30)


async def _leave(server: KvServer, store: RegionStore) -> None:
    server.leave()
    if await store.leave():
        await asyncio.sleep(LINGER_S)


def _url(host: Host) -> str:
    return f"http://{host.address}:{PORT}"


def _random(host: Host, name: str) -> Random:
    return Random(host.seed(name))
