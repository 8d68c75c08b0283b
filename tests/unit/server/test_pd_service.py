import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from raftly.base.heartbeats import RegionReport, StoreStats
from raftly.base.operators import Operator, SplitRegion, TransferLeader
from raftly.base.region import Peer, Region, RegionEpoch
from raftly.base.store_meta import VALUE_LAYOUT, StoreMeta
from raftly.client.errors import PlacementRefused
from raftly.client.pd import PdClient
from raftly.client.wire import region_message, store_message
from raftly.errors import RaftlyError
from raftly.pd import admin
from raftly.pd.config import ScheduleConfig
from raftly.pd.placement import Placement
from raftly.proto import pdpb_pb2 as pb
from raftly.proto import pdpb_rpc
from raftly.rpc import Channel, RpcError, StatusCode
from raftly.rpc.health import HEALTH_CHECK, HealthRequest, Serving
from raftly.server.pd_main import PdOptions, PdServer
from raftly.server.placement_client import GrpcPlacement
from raftly.testing.processes import free_ports

WITHIN_S = 60.0
FIRST = Region(2, b"", b"", RegionEpoch(1, 1), (Peer(3, 1),))


def run(main: Callable[[], Awaitable[None]]) -> None:
    async def bounded() -> None:
        async with asyncio.timeout(WITHIN_S):
            await main()

    asyncio.run(bounded())


def options(path: Path, **changes: Any) -> PdOptions:
    given = {"listen": ("127.0.0.1", 0), "peer_listen": ("127.0.0.1", 0), **changes}
    return PdOptions(directory=str(path), **given)


@asynccontextmanager
async def one(path: Path, **changes: Any) -> AsyncIterator[tuple[PdServer, PdClient]]:
    pd = await PdServer.start(options(path, **changes))
    client = PdClient([pd.address])
    try:
        while not pd.member.leads:  # noqa: ASYNC110 - a request is kept waiting for a second, and the machine may be busy
            await asyncio.sleep(0.01)
        yield pd, client
    finally:
        await client.close()
        await pd.stop()


def channel_to(pd: PdServer) -> Channel:
    host, _, port = pd.address.rpartition(":")
    return Channel(host, int(port))


def store(id_: int, **changes: Any) -> StoreMeta:
    return StoreMeta(id_, f"127.0.0.1:{20160 + id_}", f"127.0.0.1:{30160 + id_}", **changes)


async def begin(placement: GrpcPlacement, stores: int = 3) -> RegionReport:
    """Bootstrap, and let the first region have a peer on each store."""
    assert await placement.bootstrap(store(1), FIRST)
    for id_ in range(2, stores + 1):
        await placement.put_store(store(id_))
    for id_ in range(1, stores + 1):
        await placement.store_heartbeat(StoreStats(id_))
    peers = (Peer(3, 1), Peer(1002, 2), Peer(1003, 3))
    report = RegionReport(replace(FIRST, epoch=RegionEpoch(3, 1), peers=peers), peers[0], 5, 1 << 20)
    assert await placement.region_heartbeat(report) is None
    return report


def halves(report: RegionReport, at: bytes) -> tuple[RegionReport, RegionReport]:
    epoch = RegionEpoch(report.region.epoch.conf_ver, report.region.epoch.version + 1)
    left = replace(report, region=replace(report.region, id=9, end_key=at, epoch=epoch))
    return left, replace(report, region=replace(report.region, start_key=at, epoch=epoch))


def number_of(response: pb.TsoResponse | None) -> tuple[int, int]:
    assert response is not None
    assert not response.header.HasField("error")
    assert response.timestamp.logical < 1 << 18
    return response.count, response.timestamp.physical << 18 | response.timestamp.logical


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
            assert await placement.region_by_key(b"any") is None
            assert await placement.bootstrap(store(1), FIRST)
            assert not await placement.bootstrap(store(1), FIRST)
            assert await placement.region_by_key(b"any") == (FIRST, Peer(3, 1)), "never without a leader"
            assert await placement.alloc_id() == 4
            await placement.put_store(store(7))
            assert await placement.alloc_id() == 8
            with pytest.raises(PlacementRefused, match="store 7 is at"):
                await placement.put_store(replace(store(8), address=store(7).address))
            assert await placement.store_of(7) == store(7)
            assert await placement.store_of(8) is None
            assert [meta.id for meta in await placement.stores()] == [1, 7]
            await placement.store_heartbeat(StoreStats(7, 100, 50))
            info = pd.member.leader().cluster.stores.get(7)
            assert info is not None
            assert info.stats.available == 50
            with pytest.raises(PlacementRefused, match="store 9 is not known"):
                await placement.store_heartbeat(StoreStats(9))
            await placement.close()

    run(main)


def test_timestamps_grow_and_survive_a_restart(tmp_path: Path) -> None:
    async def main() -> None:
        async with one(tmp_path) as (_, client):
            cluster_id = (await client.members()).cluster_id
            batches = [await client.timestamps(100) for _ in range(20)]
            singles = await asyncio.gather(*(client.timestamp() for _ in range(100)))
            given = [number for batch in batches for number in batch] + sorted(singles)
            assert given == sorted(set(given))
        async with one(tmp_path) as (_, client):
            assert await client.timestamp() > given[-1]
            assert client.cluster_id == cluster_id

    run(main)


def test_a_stream_of_timestamps_is_answered_in_order(tmp_path: Path) -> None:
    async def main() -> None:
        async with one(tmp_path) as (pd, client), channel_to(pd) as channel:
            await client.members()
            header = pb.RequestHeader(cluster_id=client.cluster_id)
            async with await channel.open(pdpb_rpc.PD_TSO) as call:
                counts = [1, 10_000, 64, 262_143, 2]
                for count in counts:
                    await call.send(pb.TsoRequest(header=header, count=count))
                last = 0
                for count in counts:
                    told, number = number_of(await call.recv())
                    assert told == count
                    assert number - count >= last
                    last = number
            for count in (0, 1 << 18):
                async with await channel.open(pdpb_rpc.PD_TSO) as call:
                    await call.send(pb.TsoRequest(header=header, count=count))
                    with pytest.raises(RpcError) as refused:
                        await call.recv()
                    assert refused.value.status is StatusCode.INVALID_ARGUMENT
            response = await channel.unary(pdpb_rpc.PD_GET_MIN_TS, pb.GetMinTSRequest(header=header))
            assert response.timestamp.physical << 18 | response.timestamp.logical > last

    run(main)


def test_headers_and_health(tmp_path: Path) -> None:
    async def main() -> None:
        async with one(tmp_path, cluster_id=5) as (pd, client), channel_to(pd) as channel:
            await client.members()
            foreign = pb.AllocIDRequest(header=pb.RequestHeader(cluster_id=6), count=1)
            with pytest.raises(RpcError, match="mismatch cluster id, need 5 but got 6") as refused:
                await channel.unary(pdpb_rpc.PD_ALLOC_ID, foreign)
            assert refused.value.status is StatusCode.FAILED_PRECONDITION
            good = await channel.unary(pdpb_rpc.PD_ALLOC_ID, pb.AllocIDRequest(count=10))
            assert (good.header.cluster_id, good.header.HasField("error")) == (5, False)
            assert (good.id, good.count) == (10, 10), "the last of them"
            bad = await channel.unary(pdpb_rpc.PD_GET_STORE, pb.GetStoreRequest(store_id=3))
            assert (bad.header.cluster_id, bad.header.error.type) == (5, pb.ErrorType.UNKNOWN)
            assert (await channel.unary(HEALTH_CHECK, HealthRequest())).status == Serving.SERVING
            info = await channel.unary(pdpb_rpc.PD_GET_CLUSTER_INFO, pb.GetClusterInfoRequest())
            assert list(info.serviceModes) == [pb.ServiceMode.PD_SVC_MODE]

    run(main)


def test_regions_are_found_in_every_way(tmp_path: Path) -> None:
    async def main() -> None:
        async with one(tmp_path) as (pd, client), channel_to(pd) as channel:
            placement = GrpcPlacement(client)
            whole = await begin(placement)
            ids = await placement.ask_batch_split(whole.region, 2)
            numbers = [number for each in ids for number in (each.region_id, *each.peer_ids)]
            assert len(set(numbers)) == 8
            left, right = halves(whole, b"m")
            assert await placement.region_heartbeat(left) is None
            waiting = asyncio.create_task(placement.region_by_key(b"z"))
            await asyncio.sleep(0)
            assert await placement.region_heartbeat(right) is None
            assert await waiting == (right.region, right.leader), "it waits for the other half"
            assert await placement.region_heartbeat(whole) is None, "a stale one is not heard"
            assert await placement.region_by_key(b"a") == (left.region, left.leader)
            assert await placement.region_by_id(9) == (left.region, left.leader)
            assert await placement.region_by_id(10) is None
            with pytest.raises(PlacementRefused):
                await placement.ask_batch_split(whole.region, 1)
            assert (await client.get_prev_region(b"z")).region == left.region
            first = await channel.unary(pdpb_rpc.PD_GET_PREV_REGION, pb.GetRegionRequest(region_key=b"a"))
            assert not first.HasField("region")
            assert not first.header.HasField("error")
            assert [each.region.id for each in await client.scan_regions()] == [9, 2]
            assert [each.region.id for each in await client.scan_regions(b"n")] == [2]
            assert [each.region.id for each in await client.scan_regions(b"", b"m")] == [9]
            assert [each.region.id for each in await client.scan_regions(limit=1)] == [9]
            found = await client.batch_scan_regions([(b"a", b"b"), (b"c", b""), (b"x", b"")])
            assert [each.region.id for each in found] == [9, 2]
            async with await channel.open(pdpb_rpc.PD_QUERY_REGION) as call:
                await call.send(pb.QueryRegionRequest(keys=[b"z", b"a", b"b"], prev_keys=[b"z", b"a"], ids=[2, 77]))
                answer = await call.recv()
            assert answer is not None
            assert list(answer.key_id_map) == [2, 9, 9]
            assert list(answer.prev_key_id_map) == [9, 0]
            assert sorted(answer.regions_by_id) == [2, 9]
            assert answer.regions_by_id[9].leader.store_id == 1
            pd.member.leader().cluster.regions.remove(9)
            with pytest.raises(PlacementRefused, match="holds key 61"):
                await client.get_region(b"a")
            request = pb.BatchScanRegionsRequest(ranges=[pb.KeyRange(start_key=b"a")], contain_all_key_range=True)
            gap = await channel.unary(pdpb_rpc.PD_BATCH_SCAN_REGIONS, request)
            assert gap.header.error.type == pb.ErrorType.REGIONS_NOT_CONTAIN_ALL_KEY_RANGE
            await placement.close()

    run(main)


def test_hostile_requests_are_refused_and_harm_nobody_else(tmp_path: Path) -> None:
    async def main() -> None:
        async with one(tmp_path, cluster_id=5) as (pd, client), channel_to(pd) as channel:
            placement = GrpcPlacement(client)
            whole = await begin(placement)
            keys = [b"%06d" % n for n in range(16_385)]
            ids = range(1, 16_386)
            header = pb.RequestHeader(cluster_id=5)
            refused: list[tuple[Any, Any]] = [
                (pdpb_rpc.PD_ALLOC_ID, pb.AllocIDRequest(header=header, count=(1 << 20) + 1)),
                (pdpb_rpc.PD_ASK_BATCH_SPLIT, pb.AskBatchSplitRequest(header=header, split_count=0)),
                (pdpb_rpc.PD_ASK_BATCH_SPLIT, pb.AskBatchSplitRequest(header=header, split_count=(1 << 32) - 1)),
                (pdpb_rpc.PD_SCATTER_REGION, pb.ScatterRegionRequest(header=header, regions_id=ids)),
                (pdpb_rpc.PD_SPLIT_REGIONS, pb.SplitRegionsRequest(header=header, split_keys=keys[:1025])),
                (
                    pdpb_rpc.PD_BATCH_SCAN_REGIONS,
                    pb.BatchScanRegionsRequest(header=header, ranges=[pb.KeyRange(start_key=key) for key in keys]),
                ),
                (pdpb_rpc.PD_PUT_STORE, pb.PutStoreRequest(header=header)),
                (
                    pdpb_rpc.PD_PUT_STORE,
                    pb.PutStoreRequest(header=header, store=store_message(store((1 << 64) - 1, version="x"))),
                ),
                (pdpb_rpc.PD_STORE_HEARTBEAT, pb.StoreHeartbeatRequest(header=header)),
                (pdpb_rpc.PD_SET_GC_BARRIER, pb.SetGCBarrierRequest(header=header, barrier_ts=7, ttl_seconds=-1)),
                (pdpb_rpc.PD_BOOTSTRAP, pb.BootstrapRequest(header=header)),
            ]
            for method, request in refused:
                assert (await channel.unary(method, request)).header.HasField("error"), method
            async with await channel.open(pdpb_rpc.PD_QUERY_REGION) as call:
                await call.send(pb.QueryRegionRequest(header=header, keys=keys))
                answer = await call.recv()
                assert answer is not None
                assert answer.header.HasField("error")
                await call.send(pb.QueryRegionRequest(header=header, keys=[b"k"]))  # the stream goes on
                answer = await call.recv()
                assert answer is not None
                assert list(answer.key_id_map) == [2]
            foreign = pb.RequestHeader(cluster_id=6)
            streams: list[tuple[Any, Any]] = [
                (pdpb_rpc.PD_TSO, pb.TsoRequest(header=foreign, count=1)),
                (pdpb_rpc.PD_REGION_HEARTBEAT, pb.RegionHeartbeatRequest(header=foreign)),
                (pdpb_rpc.PD_QUERY_REGION, pb.QueryRegionRequest(header=foreign)),
            ]
            for method, request in streams:
                async with await channel.open(method) as call:
                    await call.send(request)
                    with pytest.raises(RpcError, match="mismatch cluster id, need 5 but got 6"):
                        await call.recv()
            async with await channel.open(pdpb_rpc.PD_REGION_HEARTBEAT) as call:
                for region in (replace(FIRST, id=0), replace(FIRST, id=9, start_key=b"z", end_key=b"a")):
                    message = region_message(replace(region, epoch=RegionEpoch(9, 9)))
                    await call.send(pb.RegionHeartbeatRequest(header=header, region=message, leader=message.peers[0]))
                    told = await call.recv()
                    assert told is not None
                    assert not told.HasField("change_peer")
            assert [each.region for each in await client.scan_regions()] == [whole.region]
            assert await placement.region_heartbeat(whole) is None
            await placement.store_heartbeat(StoreStats(1))
            assert await placement.alloc_id() < 1 << 40
            await placement.close()

    run(main)


def test_ranges_are_told_once_however_they_lie(tmp_path: Path) -> None:
    async def main() -> None:
        async with one(tmp_path) as (_, client):
            placement = GrpcPlacement(client)
            whole = await begin(placement)
            left, right = halves(whole, b"m")
            for half in (left, right):
                await placement.region_heartbeat(half)
            cases: list[tuple[list[tuple[bytes, bytes]], list[int]]] = [
                ([(b"", b"")] * 1000, [9, 2]),
                ([(b"z", b""), (b"a", b"b"), (b"a", b"c")], [9, 2]),
                ([(b"a", b"b"), (b"b", b"c"), (b"c", b"m")], [9]),
                ([(b"x", b"n")], []),
                ([(b"x", b"n"), (b"a", b"b")], [9]),
                ([(b"n", b"o"), (b"p", b"q")], [2]),
                ([(b"a", b"b"), (b"c", b"d"), (b"k", b"n"), (b"o", b"")], [9, 2]),
                ([], []),
            ]
            for ranges, ids in cases:
                assert [each.region.id for each in await client.batch_scan_regions(ranges)] == ids, ranges[:3]
            assert [each.region.id for each in await client.batch_scan_regions([(b"", b"")], limit=1)] == [9]
            await placement.close()

    run(main)


def test_steps_come_with_heartbeats_and_by_themselves(tmp_path: Path) -> None:
    async def main() -> None:
        by_hand = ScheduleConfig(balance_leaders=False, balance_regions=False)
        async with one(tmp_path, schedule=by_hand) as (pd, client), channel_to(pd) as channel:
            placement = GrpcPlacement(client)
            report = await begin(placement)
            second = report.region.peers[1]
            admin.transfer_leader(pd.member.leader(), 2, 2)
            step = await placement.region_heartbeat(report)
            assert step == Operator(2, report.region.epoch, report.leader, TransferLeader(second))
            running = await client.get_operator(2)
            assert (running.status, running.kind) == ("RUNNING", "admin")
            assert await placement.region_heartbeat(replace(report, leader=second)) is None
            assert (await client.get_operator(2)).status == "SUCCESS"
            splitting = asyncio.create_task(
                channel.unary(pdpb_rpc.PD_SPLIT_REGIONS, pb.SplitRegionsRequest(split_keys=[b"m"]))
            )
            while (step := await placement.region_heartbeat(replace(report, leader=second))) is None:
                pass
            assert isinstance(step.step, SplitRegion)
            assert step.step.keys == (b"m",)
            for half in halves(replace(report, leader=second), b"m"):
                await placement.region_heartbeat(half)
            done = await splitting
            assert (done.finished_percentage, list(done.regions_id)) == (100, [2])
            assert await client.scatter_regions([2, 9], "group") == 100
            state = json.loads(json.dumps(pd.state()))
            assert [region["id"] for region in state["regions"]] == [9, 2]
            assert state["stores"]["2"]["leaders"] == 2
            assert state["members"]["1"]["role"] == "voter"
            await placement.close()

    run(main)


def test_what_people_ask_for(tmp_path: Path) -> None:
    async def main() -> None:
        async with one(tmp_path, schedule=ScheduleConfig(leader_limit=0)) as (pd, client):
            placement = GrpcPlacement(client)
            report = await begin(placement, 4)
            state = await client.admin("state")
            assert isinstance(state, dict)
            assert state["region_count"] == len(state["regions"]) == 1
            assert state["config"]["leader_limit"] == 0
            begun = await client.admin("transfer-leader", {"region": 2, "store": 2})
            assert begun == {"plan": "admin region 2: transfer leadership to store 2"}
            assert await placement.region_heartbeat(report) is not None
            refused: list[tuple[str, dict[str, object], str]] = [
                ("transfer-leader", {"region": 2, "store": 3}, "is under way"),
                ("transfer-leader", {"region": 8, "store": 3}, "region 8 is not known"),
                ("transfer-leader", {"region": 2, "store": 4}, "no peer on store 4"),
                ("add-peer", {"region": 2, "store": 1}, "has a peer on store 1 already"),
                ("add-peer", {"region": 2, "store": 9}, "store 9 is not up"),
                ("merge-region", {"region": 2, "into": 2}, "do not touch"),
                ("split-region", {"region": 2, "keys": ["zz"]}, "hex"),
                ("split-region", {"region": 2, "keys": [""]}, "does not lie inside"),
                ("cancel", {}, "region must be an id"),
                ("remove-store", {"store": 77}, "no store 77"),
                ("dance", {}, "there are add-peer, cancel"),
            ]
            for do, arguments, why in refused:
                with pytest.raises(PlacementRefused, match=why):
                    await client.admin(do, arguments)
            await client.admin("cancel", {"region": 2})
            assert await client.admin("remove-store", {"store": 4}) == {"stuck": ""}
            while pd.member.state.stores[4].state != 2:
                for id_ in range(1, 5):  # once all were heard an empty store is gone for good
                    with suppress(PlacementRefused):
                        await placement.store_heartbeat(StoreStats(id_))
                await asyncio.sleep(0.01)
            assert [meta.id for meta in await placement.stores()] == [1, 2, 3]
            with pytest.raises(PlacementRefused, match="store 4 was drained and removed"):
                await placement.put_store(store(4))
            with pytest.raises(PlacementRefused, match="gone already"):
                await client.admin("restore-store", {"store": 4})
            await placement.close()

    run(main)


def test_safe_points(tmp_path: Path) -> None:
    async def main() -> None:
        async with one(tmp_path) as (pd, client), channel_to(pd) as channel:
            await client.members()
            for target in (7, 3):
                update = pb.UpdateGCSafePointRequest(safe_point=target)
                assert (await channel.unary(pdpb_rpc.PD_UPDATE_GC_SAFE_POINT, update)).new_safe_point == 7
            barrier = pb.SetGCBarrierRequest(barrier_id="backup", barrier_ts=50, ttl_seconds=1000)
            assert (await channel.unary(pdpb_rpc.PD_SET_GC_BARRIER, barrier)).new_barrier_info.barrier_ts == 50
            moved = await channel.unary(pdpb_rpc.PD_ADVANCE_TXN_SAFE_POINT, pb.AdvanceTxnSafePointRequest(target=90))
            assert (moved.old_txn_safe_point, moved.new_txn_safe_point) == (7, 50)
            assert "backup" in moved.blocker_description
            refused = await channel.unary(pdpb_rpc.PD_ADVANCE_GC_SAFE_POINT, pb.AdvanceGCSafePointRequest(target=60))
            assert refused.header.HasField("error")
            await channel.unary(pdpb_rpc.PD_ADVANCE_GC_SAFE_POINT, pb.AdvanceGCSafePointRequest(target=40))
            state = (await channel.unary(pdpb_rpc.PD_GET_GC_STATE, pb.GetGCStateRequest())).gc_state
            assert (state.txn_safe_point, state.gc_safe_point) == (50, 40)
            assert state.keyspace_scope.keyspace_id == 0xFFFFFFFF
            assert [each.barrier_id for each in state.gc_barriers] == ["backup"]
            deleted = await channel.unary(pdpb_rpc.PD_DELETE_GC_BARRIER, pb.DeleteGCBarrierRequest(barrier_id="backup"))
            assert deleted.deleted_barrier_info.barrier_ts == 50
            service = pb.UpdateServiceGCSafePointRequest(service_id=b"br", TTL=100, safe_point=5)
            assert (await channel.unary(pdpb_rpc.PD_UPDATE_SERVICE_GC_SAFE_POINT, service)).service_id == b"gc_worker"

    run(main)


def test_three_members_and_one_that_leads_dies(tmp_path: Path) -> None:
    async def main() -> None:
        ports = free_ports(3)
        members = {id_: ("127.0.0.1", port) for id_, port in enumerate(ports, 1)}
        async with AsyncExitStack() as stack:
            pds: dict[int, PdServer] = {}
            for id_, address in members.items():
                made = options(tmp_path / str(id_), id=id_, peer_listen=address, members=members)
                pds[id_] = await PdServer.start(made)
                stack.push_async_callback(pds[id_].stop)
            client = PdClient([pds[1].address], timeout_s=30.0)
            stack.push_async_callback(client.close)
            placement = GrpcPlacement(client)
            report = await begin(placement)
            while len((told := await client.members()).members) < 3:  # noqa: ASYNC110
                await asyncio.sleep(0.05)
            assert {member.name for member in told.members} == {"pd-1", "pd-2", "pd-3"}
            assert told.leader in told.members
            follower = next(pd for id_, pd in pds.items() if id_ != told.leader.id)
            async with channel_to(follower) as channel:
                with pytest.raises(RpcError, match="not leader") as refused:
                    await channel.unary(pdpb_rpc.PD_ALLOC_ID, pb.AllocIDRequest(count=1))
                assert refused.value.status is StatusCode.UNAVAILABLE
                members_there = await channel.unary(pdpb_rpc.PD_GET_MEMBERS, pb.GetMembersRequest())
                assert members_there.leader.member_id == told.leader.id
                assert members_there.leader in members_there.members
            renewed = asyncio.Event()
            placement.on_new_leader = renewed.set
            await pds[told.leader.id].node.transfer_leader(follower.options.id)
            await renewed.wait()  # although whoever led is alive, and nobody asks it anything
            told = await client.members()
            assert told.leader.id == follower.options.id
            before = await client.timestamp()
            old_ids = [await placement.alloc_id() for _ in range(3)]
            left, right = halves(report, b"m")
            for half in (left, right):
                await placement.region_heartbeat(half)
            while len(pds[told.leader.id].member.state.regions) < 2:  # noqa: ASYNC110
                await asyncio.sleep(0.01)
            await pds[told.leader.id].stop()
            assert await client.timestamp() > before
            assert await placement.alloc_id() > max(old_ids)
            assert await placement.region_by_key(b"a") == (left.region, left.leader), "written down by the one before"
            assert (await client.members()).leader.id != told.leader.id
            assert await placement.is_bootstrapped()

    run(main)


def test_options_are_set_shown_and_kept(tmp_path: Path) -> None:
    async def main() -> None:
        async with one(tmp_path, schedule=ScheduleConfig(leader_limit=9)) as (pd, client):
            before = await client.admin("config")
            assert isinstance(before, dict)
            assert (before["leader_limit"], before["down_after"], before["merge_size"]) == (9, "30m", "20MiB")
            assert await client.admin("set-config", {"name": "down_after", "value": "90s"}) == {"down_after": "90s"}
            await client.admin("set-config", {"name": "merge", "value": "false"})
            both = {"name": "location_labels", "value": "dc,host"}, {"name": "isolation_level", "value": "dc"}
            for each in both:
                await client.admin("set-config", each)
            assert pd.member.leader().cluster.config.down_after_s == 90.0, "rules see it at once"
            refused: list[tuple[object, object, str]] = [
                ("down_after", "soon", "down_after must be a string of a number and a unit"),
                ("down_after", 90, "down_after must be a string"),
                ("down_aftr", "1s", "down_aftr is no option; the nearest is down_after"),
                ("max_replicas", "0", "max_replicas must be at least 1, at most 15, and is 0"),
                ("isolation_level", "rack", "must be one of location_labels"),
                ("merge", "perhaps", "merge must be true or false"),
                ("", None, "is no option"),
            ]
            for name, value, why in refused:
                with pytest.raises(PlacementRefused, match=why):
                    await client.admin("set-config", {"name": name, "value": value})
            many = [client.admin("set-config", {"name": f"{kind}_limit", "value": 1}) for kind in ("hot", "region")]
            await asyncio.gather(*many)  # neither undoes the other
            after = await client.admin("config")
        async with one(tmp_path, schedule=ScheduleConfig(leader_limit=5)) as (_, client):
            told = await client.admin("config")
            assert told == after
            assert isinstance(told, dict)
            assert told == before | {
                "down_after": "90s",
                "merge": False,
                "location_labels": ["dc", "host"],
                "isolation_level": "dc",
                "hot_limit": 1,
                "region_limit": 1,
            }

    run(main)


def test_stores_are_labelled_and_their_values_laid_out_alike(tmp_path: Path) -> None:
    async def main() -> None:
        async with one(tmp_path) as (pd, client):
            placement = GrpcPlacement(client)
            first = store(1, labels={"zone": "a", VALUE_LAYOUT: "1"})
            assert await placement.bootstrap(first, FIRST)
            await placement.put_store(store(2, labels={VALUE_LAYOUT: "1"}))
            await placement.put_store(store(3))  # of a release that did not tell
            with pytest.raises(PlacementRefused, match=r"stores have storage\.ttl = true.*start an empty store 4"):
                await placement.put_store(store(4, labels={VALUE_LAYOUT: "0"}))
            labels = {"zone": "b", "host": "h1"}
            assert await client.admin("label-store", {"store": 2, "labels": labels}) == {}
            assert (await client.get_store(2)).labels == labels | {VALUE_LAYOUT: "1"}
            info = pd.member.leader().cluster.stores.get(2)
            assert info is not None
            assert info.meta.labels["zone"] == "b", "rules see it at once"
            await placement.put_store(store(2, labels={"zone": "c", VALUE_LAYOUT: "1"}))  # it starts again
            assert (await client.get_store(2)).labels == {"zone": "c", "host": "h1", VALUE_LAYOUT: "1"}
            await client.admin("label-store", {"store": 2, "labels": {"host": ""}})
            assert (await client.get_store(2)).labels == {"zone": "c", VALUE_LAYOUT: "1"}
            refused: list[tuple[dict[str, object], str]] = [
                ({"store": 9, "labels": labels}, "no store 9"),
                ({"store": 2, "labels": ["zone"]}, "labels must be names with text"),
                ({"store": 2, "labels": {"zone": 1}}, "labels must be names with text"),
                ({"store": 2, "labels": {VALUE_LAYOUT: "0"}}, "it stays"),
                ({"store": 2, "labels": {"z" * 257: "a"}}, "more than 256 characters"),
                ({"store": 2, "labels": {str(n): "a" for n in range(33)}}, "too many"),
            ]
            for arguments, why in refused:
                with pytest.raises(PlacementRefused, match=why):
                    await client.admin("label-store", arguments)
            await placement.close()

    run(main)


def test_a_member_joins_and_leaves(tmp_path: Path) -> None:
    async def main() -> None:
        async with one(tmp_path / "1") as (first, client):
            await client.members()
            address = first.node.address_of(1)
            assert address is not None
            second = await PdServer.start(options(tmp_path / "2", id=2, members={1: address}, join=True))
            try:
                while len((await client.members()).members) < 2:  # noqa: ASYNC110
                    await asyncio.sleep(0.05)
                assert second.member.state.cluster_id == client.cluster_id
                with pytest.raises(RaftlyError):
                    await second.member.call(Placement.reserve_ids, 1)
                for named, why in (("pd-9", r"no member is called 'pd-9'; there are 1 \(pd-1\), 2 \(pd-2\)"), (7, "7")):
                    with pytest.raises(PlacementRefused, match=why):
                        await client.admin("remove-member", {"member": named})
                assert await client.admin("remove-member", {"member": "pd-1"}, timeout_s=30.0) == {"removed": 1}
                while [member.id for member in (await client.members()).members] != [2]:  # noqa: ASYNC110
                    await asyncio.sleep(0.05)  # until the first has heard that it is none any more
                with pytest.raises(PlacementRefused, match="voter"):
                    await client.admin("remove-member", {"member": 2})
                assert await client.timestamp() > 0
            finally:
                await second.stop()

    run(main)
