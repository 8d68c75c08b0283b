"""SimStores: stores on simulated hosts, a placement driver beside them, and what tests do to them.

    stores = SimStores(seed=1)
    stores.run(script(stores), within=60)         `script` begins with `await stores.start()`

The timing is that of the course's harness. Messages of Raft are lost one by one where `lose` says so; snapshots go over
connections, which only wait.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial

from raftly.base.region import Peer, RegionId, StoreId
from raftly.base.store_meta import StoreMeta
from raftly.base.types import Index
from raftly.engine.base import CF_DEFAULT, DATA_CFS, KeyValue
from raftly.engine.memory import MemoryEngine
from raftly.storage.log_store import LogOptions
from raftly.store.keys import data_key
from raftly.store.options import StoreOptions
from raftly.store.store import RegionStore
from raftly.testing.sim import Host, HostDown, MessageNetwork, MessageTransport
from raftly.testing.sim.net import edges_between
from raftly.transport.options import TcpOptions
from raftly.transport.tcp import TcpTransport
from tests.support.worlds import HostWorld
from tests.tinykv.placement import Placement

OPTIONS = StoreOptions(
    tick=0.05,
    heartbeat_tick=2,
    election_tick=10,
    lease=0.2,
    clock_drift=0.05,
    split_check_interval=0.1,
    log_check_interval=0.05,
    region_heartbeat_interval=0.1,
    store_heartbeat_interval=0.5,
    stale_peer_timeout=5.0,
    log=LogOptions(segment_bytes=32 << 10),
)
ELECTION_S = OPTIONS.election_tick * OPTIONS.tick
TCP = TcpOptions(write_at_once=True, bind_senders=False)
PORT = 4001
_POLL_S = 0.02
_START_S = 30.0


class SimStores(HostWorld):
    """Stores 1 to `size`; region 1 gets a peer on each of them, with the store's id."""

    def __init__(self, seed: int, size: int = 5, options: StoreOptions = OPTIONS) -> None:
        super().__init__(seed)
        self.hosts: dict[StoreId, Host] = {id_: self.world.host(f"store{id_}") for id_ in range(1, size + 1)}
        self.placement = Placement()
        self.options = options
        self.running: dict[StoreId, RegionStore] = {}
        self._messages = MessageNetwork(self.hosts)
        self._edges: list[tuple[Host, Host]] = []  # that are cut
        self.drop_dead(self.hosts, self.running)

    # --- life ---

    async def start(self) -> None:
        """Start all, and give region 1 a peer on each."""
        self.placement.next_ids += [1, 1]  # of the region and its peer, after the store's
        await self.start_store(1)
        await self.until(lambda: len(self.placement.regions) == 1, "no region is reported")
        for id_ in list(self.hosts)[1:]:
            await self.start_store(id_)
            assert await self.placement.add_peer(1, Peer(id_, id_), _START_S), f"store {id_} has no peer"

    async def start_store(self, id_: StoreId) -> None:
        """Start one, from what its disk holds."""
        host = self.hosts[id_]
        host.start()
        if id_ not in self.placement.metas:
            self.placement.next_ids.insert(0, id_)
        store = await host.run(self._serve(id_, host))
        self.running[id_] = store

    async def start_all(self) -> None:
        """Start those that do not run."""
        for id_ in self.hosts:
            if id_ not in self.running:
                await self.start_store(id_)

    def stop(self, id_: StoreId) -> None:
        """The power goes."""
        self.hosts[id_].kill()

    def stop_all(self) -> None:
        """The power goes, everywhere."""
        for id_ in self.hosts:
            self.stop(id_)

    async def _serve(self, id_: StoreId, host: Host) -> RegionStore:
        fs = host.disk.fs

        def make_transport(cluster_id: int, store_id: StoreId) -> MessageTransport:
            address = (host.address, PORT)
            tcp = TcpTransport(cluster_id, store_id, address, {}, TCP, random=host.source("transport"))
            return MessageTransport(self._messages, store_id, tcp)

        meta = StoreMeta(id_, peer_address=f"{host.address}:{PORT}")
        return await RegionStore.start(
            fs, MemoryEngine(fs), make_transport, self.placement, meta, self.options, random=host.source("store")
        )

    def backend(self, store_id: StoreId) -> RegionStore:
        """See `Cluster.backend`."""
        store = self.running.get(store_id)
        if store is None:
            raise HostDown(f"store {store_id} does not run")
        return store

    # --- trouble among stores ---

    def lose(self, chance: float) -> None:
        """Messages of Raft between stores are lost, so many of them, from now on."""
        self.world.net.options.loss = chance

    def cut(self, *sides: Sequence[StoreId]) -> None:
        """Nothing passes from one side to another."""
        self._edges += (edges := edges_between([[self.hosts[id_] for id_ in side] for side in sides]))
        self.world.net.cut_edges(edges)

    def mend(self) -> None:
        """Undo every `cut`."""
        edges, self._edges = self._edges, []
        self.world.net.mend_edges(edges)

    @contextmanager
    def partition(self, *sides: Sequence[StoreId]) -> Iterator[None]:
        """Cut, for a while."""
        self.cut(*sides)
        try:
            yield
        finally:
            self.mend()

    # --- what is in them ---

    async def until(self, is_so: Callable[[], bool], problem: str, within: float = _START_S) -> None:
        """Wait until something is so."""
        deadline = self.world.now + within
        while not is_so():
            assert self.world.now < deadline, f"{problem}, at {self.world.now:.2f} s"
            await asyncio.sleep(_POLL_S)

    async def wait_leader(self, key: bytes) -> StoreId:
        """The store that leads the region of a key, as the placement driver was told last."""
        await self.until(lambda: self.placement.regions.by_key(key) is not None, f"no region holds {key!r}")
        return self.placement.report_of(key).leader.store_id

    def stored(self, id_: StoreId, key: bytes, cf: str = CF_DEFAULT) -> bytes | None:
        """What the engine of a store has for a key."""
        return self.running[id_].engine.get(cf, data_key(key))

    def all_stored(self, id_: StoreId) -> list[KeyValue]:
        """All keys of regions that the engine of a store has, in any family."""
        engine = self.running[id_].engine
        return [pair for cf in DATA_CFS for pair in engine.scan(cf, b"", b"", 1_000_000)]

    async def wait_stored(
        self, key: bytes, value: bytes | None, ids: Iterable[StoreId], cf: str = CF_DEFAULT, within: float = 10.0
    ) -> None:
        """Wait until the engines of these stores have this value; None: none at all."""
        for id_ in ids:
            problem = f"store {id_} does not have {value!r} for {key!r}"
            await self.until(partial(self._has, id_, key, value, cf), problem, within)

    def _has(self, id_: StoreId, key: bytes, value: bytes | None, cf: str) -> bool:
        return self.stored(id_, key, cf) == value

    def check_logs(self, entries_max: int) -> None:
        """No log of any region has more applied entries than so many."""
        for id_, lengths in ((id_, self.log_lengths(id_)) for id_ in self.running):
            for region_id, length in lengths.items():
                assert length <= entries_max, f"store {id_} keeps {length} applied entries of region {region_id}"

    def log_lengths(self, id_: StoreId) -> dict[RegionId, int]:
        """How many applied entries the log of each region has on a store."""
        store = self.running[id_]
        peers = {region.id: store.peer_of(region.id) for region in store.regions()}
        return {
            region_id: peer.applied + 1 - peer.group.log.first_index()
            for region_id, peer in peers.items()
            if peer is not None and peer.group is not None
        }

    def log_start(self, id_: StoreId, region_id: RegionId = 1) -> Index:
        """Where the log of a region begins on a store; 0 where it has none."""
        peer = self.running[id_].peer_of(region_id)
        return 0 if peer is None or peer.group is None else peer.group.log.first_index()
