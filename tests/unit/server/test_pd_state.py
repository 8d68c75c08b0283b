"""What the placement driver tells of all that it knows fits in a message."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest

from raftly.base.heartbeats import DownPeer, RegionReport
from raftly.base.region import Peer, PeerRole, Region, RegionEpoch
from raftly.client.pd import PdClient
from raftly.server.pd_main import PdOptions, PdServer

PEERS = tuple(Peer(1_000_000 + n, 1_000 + n, PeerRole.INCOMING_VOTER) for n in range(5))


@pytest.mark.parametrize("key_bytes", [8, 200, 8192])
def test_as_many_regions_are_told_of_as_fit(tmp_path: Path, key_bytes: int) -> None:
    count = 5000 if key_bytes < 1000 else 200

    async def main() -> None:
        pd = await PdServer.start(
            PdOptions(directory=str(tmp_path), listen=("127.0.0.1", 0), peer_listen=("127.0.0.1", 0))
        )
        async with asyncio.timeout(60.0), PdClient([pd.address]) as client:
            await client.members()
            while not pd.member.leads:  # noqa: ASYNC110 - it is not told to anybody
                await asyncio.sleep(0.01)
            regions = pd.member.leader().cluster.regions
            keys = [b"%08d" % n + bytes(key_bytes - 8) for n in range(count)]
            for n, (lo, hi) in enumerate(zip(keys, [*keys[1:], b""], strict=True), 1):
                region = Region(n, lo, hi, RegionEpoch(9, 9), PEERS)
                down, pending = (DownPeer(PEERS[0], 7),), PEERS[1:]
                regions.put(RegionReport(region, PEERS[4], 5, 1 << 20, down_peers=down, pending_peers=pending))
            told = await client.admin("state")
        await pd.stop()
        assert isinstance(told, dict)
        assert told["region_count"] == len(regions) == count
        assert len(json.dumps(told)) < 4 << 20
        ids = [each["id"] for each in told["regions"]]
        assert ids == list(range(1, len(ids) + 1))
        assert len(ids) > 90

    asyncio.run(main())
