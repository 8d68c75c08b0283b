"""EdgeWorld: the placement driver and stores on simulated hosts as clients know them: by gRPC, and by nothing else.

    world = EdgeWorld(seed=1)
    world.run(script(world), within=120)

What `raftly.server.wiring` makes of a configuration is made by hand here, of the same parts: the disk, the clock and
the randomness are the host's.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from functools import partial
from random import Random
from typing import Any, Final, TypeVar, final

from raftly.base.region import PeerRole, StoreId
from raftly.base.store_meta import StoreMeta
from raftly.client.errors import NotDone
from raftly.client.pd import PdClient
from raftly.client.raw import RawClient
from raftly.client.regions import ClientOptions
from raftly.engine.memory import MemoryEngine
from raftly.node import Replicated
from raftly.node.config import NodeConfig
from raftly.pd.member import Member
from raftly.pd.placement import MemberRow, Placement
from raftly.rpc import Server
from raftly.server.kv_server import KvServer, KvServerOptions
from raftly.server.pd_admin import admin_service
from raftly.server.pd_service import pd_service
from raftly.server.placement_client import GrpcPlacement
from raftly.store.store import RegionStore
from raftly.testing.sim import Host, World
from raftly.transport.options import TcpOptions
from raftly.transport.tcp import TcpTransport
from tests.sim_store.world import OPTIONS

T = TypeVar("T")

CLUSTER: Final = 7
PORT: Final = 20160  # for clients
PEER_PORT: Final = 20180
TCP: Final = TcpOptions(write_at_once=True, bind_senders=False)
STORES: Final = 3
START_S: Final = 30.0


@final
class EdgeWorld:
    """One placement driver, three stores, and hosts for clients."""

    def __init__(self, seed: int) -> None:
        self.world = World(seed)
        self.driver = self.world.host("pd")
        self.stores: dict[int, Host] = {number: self.world.host(f"store{number}") for number in range(1, STORES + 1)}
        self.member: Member | None = None  # while the driver runs
        self.running: dict[int, RegionStore] = {}
        self.driver.on_death = lambda _: setattr(self, "member", None)
        for number, host in self.stores.items():
            host.on_death = partial(self._on_death, number)

    def _on_death(self, number: int, _: Host) -> None:
        self.running.pop(number, None)

    def run(self, script: Coroutine[Any, Any, T], within: float) -> T:
        """Run a script on the director's host."""
        try:
            return self.world.run(script, within=within)
        finally:
            self.world.close()

    # --- life ---

    async def start(self) -> None:
        """Start all, and wait until every region is on every store."""
        await self.boot_driver()
        for number in self.stores:
            await self.boot(number)
        deadline = self.world.now + START_S
        while not self._is_replicated():
            assert self.world.now < deadline, "the first region has too few peers"
            await asyncio.sleep(0.1)

    def _is_replicated(self) -> bool:
        member = self.member
        if member is None or not member.leads:
            return False
        regions = [report.region for report in member.leader().cluster.regions]
        voters = [sum(peer.role is PeerRole.VOTER for peer in region.peers) for region in regions]
        return bool(voters) and set(voters) == {STORES}

    async def boot_driver(self) -> None:
        """Switch on the placement driver's host."""
        self.driver.start()
        self.member = await self.driver.run(self._drive(self.driver))

    async def _drive(self, host: Host) -> Member:
        peer_address = (host.address, PEER_PORT)
        tcp = TcpTransport(CLUSTER, 1, peer_address, {}, TCP, random=host.source("transport"))
        config = NodeConfig(1, (1,), cluster_id=CLUSTER, seed=host.seed("node"), address=peer_address)
        node = await Replicated.start(Placement, config, tcp, fs=host.disk.fs, clock=host.wall)
        member = Member(node, CLUSTER, clock=host.wall)
        await Server([pd_service(member), admin_service(member)]).start(host.address, PORT)
        member.announce(MemberRow(1, "pd-1", [_url(host)], [f"http://{host.address}:{PEER_PORT}"]))
        return member

    async def boot(self, number: int) -> None:
        """Switch a store's host on; with its store as its disk has it, once the placement driver answers."""
        host = self.stores[number]
        host.start()
        self.running[number] = await host.run(self._serve(host))

    async def _serve(self, host: Host) -> RegionStore:
        pd = PdClient([_url(self.driver)], rng=_random(host, "pd"))
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
        await KvServer(store, host.wall, options).start(host.address, PORT)
        return store

    def client(self, host: Host, options: ClientOptions) -> RawClient:
        """A client on a host of its own; to be made there."""
        pd = PdClient([_url(self.driver)], timeout_s=options.timeout_s, rng=_random(host, "pd"))
        return RawClient(pd, options, rng=_random(host, "client"))


def _url(host: Host) -> str:
    return f"http://{host.address}:{PORT}"


def _random(host: Host, name: str) -> Random:
    return Random(host.seed(name))
