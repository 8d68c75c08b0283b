import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from raftly.base.heartbeats import RegionReport, StoreStats
from raftly.base.operators import TransferLeader
from raftly.base.region import Peer, Region, RegionEpoch
from raftly.base.store_meta import StoreMeta, StoreState
from raftly.client.errors import PlacementRefused
from raftly.client.pd import PdClient
from raftly.pd import admin
from raftly.pd.placement import Placement
from raftly.proto import pdpb_pb2 as pb
from raftly.proto import pdpb_rpc
from raftly.rpc import Channel, RpcError, StatusCode
from raftly.rpc.health import HEALTH_CHECK, HealthRequest, Serving
from raftly.server.pd_main import PdOptions, PdServer
from raftly.server.placement_client import GrpcPlacement

WITHIN_S = 30.0
FIRST = Region(2, b"", b"", RegionEpoch(1, 1), (Peer(3, 1),))


def run(main: Callable[[], Awaitable[None]]) -> None:
    async def bounded() -> None:
        async with asyncio.timeout(WITHIN_S):
            await main()

    asyncio.run(bounded())


def options(path: Path, **changes: Any) -> PdOptions:
    return PdOptions(directory=str(path), listen=("127.0.0.1", 0), peer_listen=("127.0.0.1", 0), **changes)


@asynccontextmanager
async def one(path: Path, **changes: Any) -> AsyncIterator[tuple[PdServer, PdClient]]:
    pd = await PdServer.start(options(path, **changes))
    client = PdClient([pd.address])
    try:
        yield pd, client
    finally:
        await client.close()
        await pd.stop()


def store(id_: int, **changes: Any) -> StoreMeta:
    return StoreMeta(id_, f"127.0.0.1:{20160 + id_}", f"127.0.0.1:{30160 + id_}", **changes)


async def until(condition: Callable[[], bool]) -> None:
    while not condition():
        await asyncio.sleep(0.01)


def test_a_cluster_begins(tmp_path: Path) -> None:
    async def main() -> None:
        async with one(tmp_path) as (pd, client):
            placement = GrpcPlacement(client)
            members = await client.members()
            assert members.cluster_id == pd.member.state.cluster_id != 0
            assert members.leader.client_urls[0].endswith(pd.address)
            assert not await placement.is_bootstrapped()
            assert [await placement.alloc_id() for _ in range(3)] == [1, 2, 3]
            with pytest.raises(PlacementRefused, match="no region yet"):
                await placement.put_store(store(1))
            assert await placement.bootstrap(store(1), FIRST)
            assert not await placement.bootstrap(store(1), FIRST)
            assert await placement.region_by_key(b"any") == (FIRST, Peer(3, 1))
            await placement.put_store(store(7))
            assert await placement.alloc_id() > 7
            assert (await placement.store_of(7)) == store(7)
            assert await placement.store_of(8) is None
            assert [meta.id for meta in await placement.stores()] == [1, 7]
            await placement.store_heartbeat(StoreStats(7, 100, 50))
            assert pd.member.leader().cluster.stores.get(7).stats.available == 50
            await placement.close()

    run(main)


def test_timestamps_grow_and_survive_a_restart(tmp_path: Path) -> None:
    async def main() -> None:
        async with one(tmp_path) as (_, client):
            batches = [await client.timestamps(100) for _ in range(20)]
            singles = await asyncio.gather(*(client.timestamp() for _ in range(100)))
            given = [number for batch in batches for number in batch] + sorted(singles)
            assert given == sorted(set(given))
        async with one(tmp_path) as (_, client):
            assert await client.timestamp() > given[-1]

    run(main)


def test_a_stream_of_timestamps_is_answered_in_order(tmp_path: Path) -> None:
    async def main() -> None:
        async with one(tmp_path) as (pd, client):
            await client.members()
            host, _, port = pd.address.rpartition(":")
            async with Channel(host, int(port)) as channel:
                async with await channel.open(pdpb_rpc.PD_TSO) as call:
                    counts = [1, 10_000, 64, 262_143, 2]
                    for count in counts:
                        await call.send(
                            pb.TsoRequest(header=pb.RequestHeader(cluster_id=client.cluster_id), count=count)
                        )
                    answers = [await call.recv() for _ in counts]
                    assert [answer.count for answer in answers] == counts
                    last = 0
                    for answer in answers:
                        assert not answer.header.HasField("error")
                        assert answer.timestamp.logical < 1 << 18
                        number = answer.timestamp.physical << 18 | answer.timestamp.logical
                        assert number - answer.count >= last
                        last = number
                async with await channel.open(pdpb_rpc.PD_TSO) as call:
                    await call.send(pb.TsoRequest(header=pb.RequestHeader(cluster_id=client.cluster_id), count=1 << 18))
                    with pytest.raises(RpcError) as refused:
                        await call.recv()
                    assert refused.value.status is StatusCode.INVALID_ARGUMENT

    run(main)


def test_another_cluster_is_refused(tmp_path: Path) -> None:
    async def main() -> None:
        async with one(tmp_path, cluster_id=5) as (pd, client):
            await client.members()
            host, _, port = pd.address.rpartition(":")
            async with Channel(host, int(port)) as channel:
                with pytest.raises(RpcError, match="mismatch cluster id, need 5 but got 6") as refused:
                    await channel.unary(
                        pdpb_rpc.PD_ALLOC_ID, pb.AllocIDRequest(header=pb.RequestHeader(cluster_id=6), count=1)
                    )
                assert refused.value.status is StatusCode.FAILED_PRECONDITION
                health = await channel.unary(HEALTH_CHECK, HealthRequest())
                assert health.status == Serving.SERVING

    run(main)
