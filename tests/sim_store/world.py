"""StoreWorld: a small cluster of stores on simulated hosts, the placement driver's rules beside them, and its troubles.

    world = StoreWorld(seed=1, size=4)
    world.run(script(world), within=300)

Stores come and go with the power; messages are lost; the network is cut; leaders move, regions split, peers move, by
the driver's rules and by the test's hand at once. What must hold all the while is checked all the while (`watch`), and
the rest when all is healed (`settle`).
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from itertools import pairwise
from random import Random
from typing import Any

from raftly.base.operators import ChangeKind, PeerChange
from raftly.base.region import Peer, PeerRole, Region, RegionEpoch, RegionId, StoreId
from raftly.base.store_meta import StoreMeta
from raftly.engine.base import DATA_CFS
from raftly.engine.memory import MemoryEngine
from raftly.errors import RaftlyError
from raftly.pd.config import ScheduleConfig
from raftly.pd.local import LocalPlacement
from raftly.storage.log_store import LogOptions
from raftly.store.keys import data_end_key, data_key
from raftly.store.kv import RequestContext
from raftly.store.merge import problem_with_merge
from raftly.store.merging import prepare_merge
from raftly.store.options import StoreOptions
from raftly.store.peer import RegionPeer
from raftly.store.store import RegionStore
from raftly.testing.sim import Host, HostDown, MessageNetwork, MessageTransport
from raftly.testing.sim.net import edges_between
from raftly.transport.options import TcpOptions
from raftly.transport.tcp import TcpTransport
from tests.support.worlds import HostWorld

OPTIONS = StoreOptions(
    tick=0.05,
    lease=0.2,
    clock_drift=0.05,
    region_max_bytes=3000,
    region_split_bytes=2000,
    split_check_interval=0.3,
    log_entries_max=60,
    log_entries_keep=10,
    log_check_interval=0.1,
    region_heartbeat_interval=0.3,
    store_heartbeat_interval=0.5,
    stale_peer_timeout=2.0,
    hibernate_ticks=10,
    log=LogOptions(segment_bytes=32 << 10),
)
TCP = TcpOptions(write_at_once=True, bind_senders=False)
PORT = 4001
SETTLE_S = 60.0
_WATCH_S = 0.05


class StoreWorld(HostWorld):
    """Stores 1 to `size`; the driver is always reached, and forgets nothing but what only a leader's memory holds."""

    def __init__(
        self, seed: int, size: int = 4, options: StoreOptions = OPTIONS, schedule: ScheduleConfig | None = None
    ) -> None:
        super().__init__(seed)
        self.hosts: dict[StoreId, Host] = {id_: self.world.host(f"store{id_}") for id_ in range(1, size + 1)}
        self.placement = LocalPlacement(lambda: self.world.now, seed=seed)
        if schedule is not None:
            self.placement.placement.configure(schedule)
            self.placement.restart()
        self.replicas = self.placement.placement.config.max_replicas
        self.options = options
        self.running: dict[StoreId, RegionStore] = {}  # by the number of their host
        self.wanted: set[StoreId] = set()  # hosts that are to run
        self.prepared = 0  # merges
        self.values_expire = False
        self._messages: MessageNetwork | None = None
        self._epochs: dict[tuple[int, int, RegionId, int], RegionEpoch] = {}
        self.drop_dead(self.hosts, self.running)

    # --- life ---

    async def start(self) -> None:
        """Start all, and wait until every region has all its peers."""
        by_id: dict[StoreId, Host] = {}
        self._messages = MessageNetwork(by_id)  # by the stores' ids
        for number in self.hosts:
            await self.boot(number)
        await self.until(self._is_replicated, "the first region has too few peers")

    def _is_replicated(self) -> bool:
        reports = list(self.placement.leader.cluster.regions)
        return bool(reports) and all(
            sum(peer.role is PeerRole.VOTER for peer in report.region.peers) == self.replicas for report in reports
        )

    async def boot(self, number: int) -> None:
        """Switch a host on, and start its store from what its disk holds."""
        host = self.hosts[number]
        host.start()
        self.running[number] = await host.run(self._serve(host))

    async def _serve(self, host: Host) -> RegionStore:
        fs = host.disk.fs
        messages = self._messages
        assert messages is not None

        def make_transport(cluster_id: int, store_id: StoreId) -> MessageTransport:
            messages.hosts[store_id] = host
            address = (host.address, PORT)
            tcp = TcpTransport(cluster_id, store_id, address, {}, TCP, random=host.source("transport"))
            return MessageTransport(messages, store_id, tcp)

        meta = StoreMeta(0, f"{host.address}:1", f"{host.address}:{PORT}")
        return await RegionStore.start(
            fs,
            MemoryEngine(fs),
            make_transport,
            self.placement,
            meta,
            self.options,
            random=host.source("store"),
            wall_clock=host.wall if self.values_expire else None,
        )

    async def until(self, is_so: Any, problem: str, within: float = SETTLE_S) -> None:
        """Wait until something is so."""
        deadline = self.world.now + within
        while not is_so():
            assert self.world.now < deadline, f"{problem}, at {self.world.now:.2f} s"
            await asyncio.sleep(0.02)

    # --- what must hold all the while ---

    async def watch(self) -> None:
        """Look again and again."""
        while True:
            self.check()
            await asyncio.sleep(_WATCH_S)

    def check(self) -> None:
        """No regions of a store overlap, and no epoch goes back within the life of a process."""
        for number, store in self.running.items():
            incarnation = self.hosts[number].incarnation
            regions = store.regions()
            for below, above in pairwise(regions):
                assert not below.overlaps(above), f"store {store.id}: regions {below} and {above} overlap"
            for region in regions:
                peer = store.peer_of(region.id)
                assert peer is not None, f"store {store.id} has keys of region {region.id}, and no peer"
                assert peer.region == region, f"{peer.region} is not {region}"
                key = (number, incarnation, region.id, peer.peer_id)
                seen = self._epochs.get(key, RegionEpoch(0, 0))
                assert not region.epoch.is_older_than(seen), f"store {store.id}: {region.epoch} after {seen}"
                self._epochs[key] = region.epoch

    # --- what must hold in the end ---

    async def settle(self) -> None:
        """Wait until all regions are as the driver knows them, and every replica has caught up; then compare them."""
        problem = ""
        deadline = self.world.now + SETTLE_S
        while (problem := self._unsettled()) and self.world.now < deadline:  # noqa: ASYNC110 - many things move
            await asyncio.sleep(0.1)
        assert not problem, f"{problem}, at {self.world.now:.2f} s"
        self.check()
        for report in self.placement.leader.cluster.regions:
            contents = {peer.store_id: self._content(peer.store_id, report.region) for peer in report.region.peers}
            first, *others = contents.values()
            assert all(other == first for other in others), f"replicas of region {report.region.id} differ"

    def _unsettled(self) -> str:
        stores = {store.id: store for store in self.running.values()}
        reports = list(self.placement.leader.cluster.regions)
        ends = [b"", *(report.region.end_key for report in reports)]
        if not reports or ends[-1] != b"" or [report.region.start_key for report in reports] != ends[:-1]:
            return "the regions leave a gap or overlap"
        members: set[tuple[StoreId, RegionId]] = set()
        for report in reports:
            region = report.region
            peers = []
            for member in region.peers:
                members.add((member.store_id, region.id))
                store = stores.get(member.store_id)
                peer = None if store is None else store.peer_of(region.id)
                if peer is None or peer.peer_id != member.id or peer.group is None:
                    return f"peer {member.id} of region {region.id} is not on store {member.store_id}"
                peers.append(peer)
            if len({(peer.applied, peer.region) for peer in peers}) > 1 or peers[0].region != region:
                return f"the replicas of region {region.id} are not alike"
            if not any(peer.is_leader for peer in peers) or len(peers) != self.replicas:
                return f"region {region.id} has {len(peers)} peers, or no leader"
        for store in stores.values():
            for region in store.regions():
                if (store.id, region.id) not in members:
                    return f"store {store.id} still has region {region.id}"
        return ""

    def _content(self, store_id: StoreId, region: Region) -> list[list[tuple[bytes, bytes]]]:
        store = next(store for store in self.running.values() if store.id == store_id)
        lo, hi = data_key(region.start_key), data_end_key(region.end_key)
        return [store.engine.scan(cf, lo, hi, 1 << 30) for cf in DATA_CFS]

    # --- troubles ---

    async def trouble(self, random: Random, seconds: float) -> None:
        """One thing after the other goes wrong; at the end all is healed."""
        until = self.world.now + seconds
        acts = (
            self._crash,
            self._cut,
            self._lose,
            self._move_leader,
            self._move_peer,
            self._split,
            self._merge,
            self._change_driver,
        )
        while self.world.now < until:
            with suppress(RaftlyError, HostDown):
                await random.choice(acts)(random)
            await asyncio.sleep(random.uniform(0.05, 0.5))

    async def _crash(self, random: Random) -> None:
        number = random.choice(sorted(self.running))
        self.hosts[number].kill(power=random.random() < 0.7)
        await asyncio.sleep(random.uniform(0.05, 2.0))
        await self.boot(number)

    async def _cut(self, random: Random) -> None:
        sides: tuple[list[Host], list[Host]] = ([], [])
        for host in self.hosts.values():
            sides[random.randrange(2)].append(host)
        edges = edges_between([sides[0], sides[1]])
        self.world.net.cut_edges(edges)
        await asyncio.sleep(random.uniform(0.2, 2.0))
        self.world.net.mend_edges(edges)

    async def _lose(self, random: Random) -> None:
        self.world.net.options.loss = random.uniform(0.02, 0.3)
        await asyncio.sleep(random.uniform(0.2, 2.0))
        self.world.net.options.loss = 0.0

    def _some_leader(self, random: Random) -> tuple[Host, RegionPeer] | None:
        leaders = [
            (self.hosts[number], peer)
            for number, store in sorted(self.running.items())
            for region in store.regions()
            if (peer := store.peer_of(region.id)) is not None and peer.is_leader
        ]
        return random.choice(leaders) if leaders else None

    async def _move_leader(self, random: Random) -> None:
        found = self._some_leader(random)
        if found is not None:
            host, peer = found
            to = random.choice(peer.region.peers)

            async def move() -> None:
                peer.transfer_leader(to)

            await host.run(move())

    async def _move_peer(self, random: Random) -> None:
        """By joint consensus: a new voter in the place of another one, which the driver's rules then remove."""
        found = self._some_leader(random)
        if found is None:
            return
        host, peer = found
        region = peer.region
        homes = {member.store_id for member in region.peers}
        free = [store.id for _, store in sorted(self.running.items()) if store.id not in homes]
        others = [member for member in region.peers if member.id != peer.peer_id]
        if not free or not others:
            return
        new = Peer(await self.placement.alloc_id(), random.choice(free))
        changes = [
            PeerChange(ChangeKind.ADD_VOTER, new),
            PeerChange(ChangeKind.ADD_LEARNER, random.choice(others)),
        ]

        async def change() -> None:
            done = peer.change_peers(changes, asyncio.get_running_loop().time() + 3.0)
            if done is not None:
                await done

        await host.run(change())

    async def _split(self, random: Random) -> None:
        found = self._some_leader(random)
        if found is not None:
            host, peer = found
            store = next(store for store in self.running.values() if store.id == peer.own().store_id)
            keys = [b"%02d-%03d" % (random.randrange(4), random.randrange(100)) for _ in range(random.randint(1, 3))]

            ctx = RequestContext(peer.region.id, peer.region.epoch, peer.own())

            async def split() -> None:
                await store.split(ctx, keys, asyncio.get_running_loop().time() + 3.0)

            await host.run(split())

    async def _change_driver(self, _: Random) -> None:
        """Another member of the driver leads, from what was written down; stores tell it all they lead."""
        self.placement.restart()
        for number, store in sorted(self.running.items()):

            async def tell(store: RegionStore = store) -> None:
                store.report_all()

            await self.hosts[number].run(tell())

    async def _merge(self, random: Random) -> None:
        """A region becomes part of a neighbour that has its peers on the same stores."""
        found = self._some_leader(random)
        if found is None:
            return
        host, peer = found
        store = next(store for store in self.running.values() if store.id == peer.own().store_id)
        beside = [
            region
            for region in store.regions()
            if region.id != peer.region.id and not problem_with_merge(peer.region, region)
        ]
        if not beside:
            return
        target = random.choice(beside)

        async def merge() -> None:
            done = prepare_merge(peer, target, asyncio.get_running_loop().time() + 3.0)
            if done is not None:
                await done
                self.prepared += 1

        await host.run(merge())
