"""What the placement driver tells of regions fits in a message."""

from __future__ import annotations

import asyncio
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from raftly.base.heartbeats import RegionReport
from raftly.base.region import Peer, Region, RegionEpoch
from raftly.base.store_meta import StoreMeta
from raftly.client.pd import SPLIT_S, TIMEOUT_S, PdClient
from raftly.pd.region_tree import RegionTree
from raftly.proto import pdpb_pb2
from raftly.server import pd_regions
from raftly.server.pd_main import PdOptions, PdServer
from raftly.server.pd_regions import RegionHandlers
from raftly.server.placement_client import GrpcPlacement


def test_an_answer_is_no_larger_than_clients_take_and_the_next_goes_on() -> None:
    tree = RegionTree()
    keys = [b"", *(b"%08d" % n * 512 for n in range(999)), b""]
    for n, (lo, hi) in enumerate(pairwise(keys), 1):
        peer = Peer(n, 1)
        tree.put(RegionReport(Region(n, lo, hi, RegionEpoch(1, 1), (peer,)), peer))
    leader = SimpleNamespace(cluster=SimpleNamespace(regions=tree))
    edge: Any = SimpleNamespace(member=SimpleNamespace(leader=lambda: leader))
    handlers = RegionHandlers(edge)
    told: list[int] = []
    at, answers = b"", 0
    while answers == 0 or at:
        answer = asyncio.run(handlers.scan_regions(pdpb_pb2.ScanRegionsRequest(start_key=at)))
        assert answer.ByteSize() < 4 << 20
        told += [each.region.id for each in answer.regions]
        at = answer.regions[-1].region.end_key
        answers += 1
    assert told == list(range(1, 1001))
    assert answers == 6


def test_a_split_that_does_not_come_is_told_before_the_client_gives_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert min(SPLIT_S, TIMEOUT_S) > pd_regions.SPLIT_PATIENCE_S + 1
    monkeypatch.setattr(pd_regions, "SPLIT_PATIENCE_S", 0.1)

    async def main() -> None:
        options = PdOptions(directory=str(tmp_path), listen=("127.0.0.1", 0), peer_listen=("127.0.0.1", 0))
        pd = await PdServer.start(options)
        async with asyncio.timeout(60.0), PdClient([pd.address]) as client:
            region = Region(2, b"", b"", RegionEpoch(1, 1), (Peer(3, 1),))
            assert await GrpcPlacement(client).bootstrap(StoreMeta(1, "127.0.0.1:1", "127.0.0.1:2"), region)
            assert await client.split_regions([b"m"]) == [], "no store is there to do it"
        await pd.stop()

    asyncio.run(main())
