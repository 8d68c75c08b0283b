"""Clusters in a thread of this process, for commands that run in the test's own thread."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import replace
from pathlib import Path

from click.testing import CliRunner, Result

from raftly.base.heartbeats import RegionReport, StoreStats
from raftly.base.region import Peer, Region, RegionEpoch
from raftly.base.store_meta import StoreMeta
from raftly.cli.root import raftly
from raftly.client.pd import PdClient
from raftly.loop_thread import LoopThread
from raftly.server.pd_main import PdOptions, PdServer
from raftly.server.placement_client import GrpcPlacement
from tests.unit.client.fakes import FakeCluster

WITHIN_S = 30


class Cli:
    """`raftly GROUP` with the address of a placement driver."""

    def __init__(self, group: str, address: str) -> None:
        self.address = address
        self._words = [group, "--timeout", str(WITHIN_S), "--pd", address]

    def __call__(self, *words: str) -> Result:
        return CliRunner().invoke(raftly, [*self._words, *words])

    def said(self, *words: str) -> str:
        """The standard output of what must succeed, which says nothing on the other."""
        done = self(*words)
        assert (done.exit_code, done.stderr) == (0, ""), done.output
        return done.stdout

    def problem(self, *words: str, code: int = 1) -> str:
        """The sentence of what must fail."""
        done = self(*words)
        assert (done.exit_code, done.stdout) == (code, ""), done.output
        return done.stderr


@contextmanager
def fake_stores() -> Iterator[tuple[Cli, FakeCluster]]:
    """Three stores and a placement driver that are made up: `raftly kv`."""
    thread = LoopThread("fake-stores")
    cluster = FakeCluster()
    try:
        thread.run(cluster.__aenter__())
        yield Cli("kv", f"127.0.0.1:{cluster.pd_port}"), cluster
    finally:
        thread.stop(cluster.__aexit__())


@contextmanager
def real_driver(directory: Path) -> Iterator[Cli]:
    """Our placement driver, which was told of three stores and two regions that nobody has: `raftly ctl`."""
    thread = LoopThread("real-driver")
    running: list[PdServer] = []

    async def start() -> None:
        options = PdOptions(directory=str(directory), listen=("127.0.0.1", 0), peer_listen=("127.0.0.1", 0))
        running.append(await PdServer.start(options))
        async with _placement(running[0].address) as placement:
            await _tell(placement)

    async def stop() -> None:
        for pd in running:
            await pd.stop()

    try:
        thread.run(start())
        yield Cli("ctl", running[0].address)
    finally:
        thread.stop(stop())


@asynccontextmanager
async def _placement(address: str) -> AsyncIterator[GrpcPlacement]:
    placement = GrpcPlacement(PdClient([address]))
    try:
        yield placement
    finally:
        await placement.close()


async def _tell(placement: GrpcPlacement) -> None:
    stores = [StoreMeta(id_, f"127.0.0.1:{20160 + id_}", labels={"zone": f"z{id_}"}) for id_ in (1, 2, 3)]
    first = Region(2, b"", b"", RegionEpoch(1, 1), (Peer(3, 1),))
    assert await placement.bootstrap(stores[0], first)
    for store in stores[1:]:
        await placement.put_store(store)
    for store in stores:
        await placement.store_heartbeat(StoreStats(store.id))
    peers = (Peer(3, 1), Peer(1002, 2), Peer(1003, 3))
    low = replace(first, epoch=RegionEpoch(3, 2), peers=peers, end_key=b"\x00\xff")
    high = Region(9, b"\x00\xff", b"", RegionEpoch(3, 2), tuple(Peer(2000 + id_, id_) for id_ in (1, 2, 3)))
    await placement.region_heartbeat(RegionReport(low, peers[0], 5, 1 << 20))
    await placement.region_heartbeat(RegionReport(high, high.peers[1], 5, 1 << 20, pending_peers=(high.peers[2],)))
