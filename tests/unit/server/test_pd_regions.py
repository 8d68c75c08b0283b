"""What the placement driver tells of regions fits in a message."""

from __future__ import annotations

import asyncio
from itertools import pairwise
from types import SimpleNamespace
from typing import Any

from raftly.base.heartbeats import RegionReport
from raftly.base.region import Peer, Region, RegionEpoch
from raftly.pd.region_tree import RegionTree
from raftly.proto import pdpb_pb2
from raftly.server.pd_regions import RegionHandlers


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
