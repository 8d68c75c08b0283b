"""A store on the network: our client and grpcio's, health, reflection, what is not served, and an end in good order."""

from __future__ import annotations

import asyncio
from typing import Any

import grpc
import grpc.aio
import pytest

from raftly.base.region import Peer
from raftly.base.region_errors import NotRegionLeader
from raftly.engine import MemoryEngine
from raftly.proto import kvrpcpb_pb2 as pb
from raftly.proto import pdpb_pb2
from raftly.proto.pdpb_rpc import PDClient
from raftly.proto.tikvpb_pb2 import BatchCommandsRequest, BatchCommandsResponse
from raftly.rpc import Limits, RpcError, StatusCode
from raftly.rpc.health import HEALTH_CHECK, HEALTH_WATCH, HealthRequest, Serving
from raftly.server.kv_server import KvServer, KvServerOptions
from raftly.server.standalone import StandaloneKv
from raftly.server.standalone_pd import standalone_pd
from tests.unit.server.parts import CONTEXT, Clock, Fake, context, ignore, run, served

GET = pb.RawGetRequest(context=CONTEXT, key=b"k")
PUT = pb.RawPutRequest(context=CONTEXT, key=b"k", value=b"v")


def standalone() -> StandaloneKv:
    return StandaloneKv(MemoryEngine(), ignore)


def test_calls_and_streams_reach_the_same_store() -> None:
    async def body() -> None:
        async with served(standalone()) as (server, _channel, client):
            assert (await client.raw_get(GET)).not_found
            assert await client.raw_put(PUT) == pb.RawPutResponse()
            assert (await client.raw_get(GET)).value == b"v"
            pairs = (await client.raw_scan(pb.RawScanRequest(context=CONTEXT, limit=9))).kvs
            assert [(pair.key, pair.value) for pair in pairs] == [(b"k", b"v")]
            async with await client.batch_commands() as stream:
                for id_ in (5, 6):
                    request = BatchCommandsRequest.Request(RawGet=GET)
                    await stream.send(BatchCommandsRequest(request_ids=[id_], requests=[request]))
                found: list[int] = []
                while len(found) < 2:
                    answer = await stream.recv()
                    assert answer is not None
                    found += answer.request_ids
                    assert all(response.RawGet.value == b"v" for response in answer.responses)
            assert sorted(found) == [5, 6]
            seconds = server.counts.command("raw_get").seconds
            assert sum(seconds.counts) == 4

    run(body())


def test_a_region_error_is_an_answer_and_a_wrong_cluster_is_not() -> None:
    async def body() -> None:
        backend = Fake()
        async with served(backend, KvServerOptions(cluster_id=9)) as (_server, _channel, client):
            backend.error = NotRegionLeader(1, Peer(7, 2))
            assert (await client.raw_get(GET)).region_error.not_leader.region_id == 1
            with pytest.raises(RpcError) as caught:
                await client.raw_get(pb.RawGetRequest(context=context(cluster_id=8)))
            assert caught.value.status is StatusCode.INVALID_ARGUMENT
            with pytest.raises(RpcError) as caught:
                await client.kv_get(pb.GetRequest(context=CONTEXT))
            assert caught.value.status is StatusCode.UNIMPLEMENTED

    run(body())


def test_the_deadline_of_a_call_is_the_deadline_of_its_command() -> None:
    async def body() -> None:
        backend = Fake()
        async with served(backend, KvServerOptions(seconds_max=50.0)) as (_server, _channel, client):
            now = asyncio.get_running_loop().time()
            await client.raw_put(PUT, timeout_s=40.0)
            await client.raw_put(PUT, timeout_s=4000.0)
            await client.raw_put(PUT)
            assert backend.deadlines[0] - now > 39
            assert all(50 <= deadline - now < 4000 for deadline in backend.deadlines[1:])
            backend.is_prompt = False
            with pytest.raises(RpcError) as caught:
                await client.raw_put(PUT, timeout_s=0.01)
            assert caught.value.status is StatusCode.DEADLINE_EXCEEDED

    run(body())


def test_a_message_past_the_limit_is_refused_and_its_connection_lives() -> None:
    async def body() -> None:
        async with served(standalone(), KvServerOptions(limits=Limits(message_bytes_max=1000))) as (_s, _c, client):
            with pytest.raises(RpcError) as caught:
                await client.raw_put(pb.RawPutRequest(context=CONTEXT, key=b"k", value=b"v" * 1000))
            assert caught.value.status is StatusCode.RESOURCE_EXHAUSTED
            assert (await client.raw_put(pb.RawPutRequest(context=CONTEXT, key=b"k", value=b"v" * 900))).error == ""

    run(body())


def test_health_says_when_the_end_is_near_and_what_was_asked_is_answered() -> None:
    async def body() -> None:
        backend = Fake()
        server = KvServer(backend, Clock())
        port = await server.start("127.0.0.1", 0)
        async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
            check = channel.unary_unary("/grpc.health.v1.Health/Check")
            watch = channel.unary_stream("/grpc.health.v1.Health/Watch")(b"")
            serving, not_serving = (bytes([8, state]) for state in (Serving.SERVING, Serving.NOT_SERVING))
            assert await check(HealthRequest(service="tikvpb.Tikv").SerializeToString()) == serving
            assert await watch.read() == serving
            backend.is_prompt = False
            put = channel.unary_unary("/tikvpb.Tikv/RawPut")(PUT.SerializeToString())
            stream = channel.stream_stream("/tikvpb.Tikv/BatchCommands")()
            commands = [BatchCommandsRequest.Request(RawPut=PUT), BatchCommandsRequest.Request(RawGet=GET)]
            await stream.write(BatchCommandsRequest(request_ids=[1, 2], requests=commands).SerializeToString())
            assert list(BatchCommandsResponse.FromString(await stream.read()).request_ids) == [2]
            while len(backend.written) < 2:  # noqa: ASYNC110 - what grpcio sends comes when it comes
                await asyncio.sleep(0)
            stopping = asyncio.ensure_future(server.stop(30.0))
            assert await watch.read() == not_serving
            backend.finish()
            assert await put == b""
            assert list(BatchCommandsResponse.FromString(await stream.read()).request_ids) == [1]
            assert await stream.read() is grpc.aio.EOF
            watch.cancel()
            await stopping

    run(body())


def test_grpcio_as_the_client() -> None:
    async def body() -> None:
        server = KvServer(standalone(), Clock())
        port = await server.start("127.0.0.1", 0)

        def talk() -> None:
            def call(channel: grpc.Channel, name: str, request: Any, response: Any) -> Any:
                make = channel.unary_unary(f"/tikvpb.Tikv/{name}", type(request).SerializeToString, response.FromString)
                return make(request, timeout=30)

            with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
                assert call(channel, "RawPut", PUT, pb.RawPutResponse) == pb.RawPutResponse()
                assert call(channel, "RawGet", GET, pb.RawGetResponse).value == b"v"
                with pytest.raises(grpc.RpcError) as caught:
                    call(channel, "KvCommit", pb.CommitRequest(), pb.CommitResponse)
                assert caught.value.code() is grpc.StatusCode.UNIMPLEMENTED
                many = channel.stream_stream(
                    "/tikvpb.Tikv/BatchCommands",
                    BatchCommandsRequest.SerializeToString,
                    BatchCommandsResponse.FromString,
                )
                request = BatchCommandsRequest.Request(RawGet=GET)
                batches = [BatchCommandsRequest(request_ids=range(128), requests=[request] * 128)] * 3
                found = [id_ for answer in many(iter(batches), timeout=30) for id_ in answer.request_ids]
                assert sorted(found) == sorted([*range(128)] * 3)

        await asyncio.get_running_loop().run_in_executor(None, talk)
        await server.stop(1.0)

    run(body())


def test_reflection_and_health_are_there() -> None:
    async def body() -> None:
        async with served(standalone()) as (server, channel, _client):
            assert (await channel.unary(HEALTH_CHECK, HealthRequest())).status == Serving.SERVING
            watch: Any = channel.unary_stream(HEALTH_WATCH, HealthRequest(service="tikvpb.Tikv"))
            assert (await anext(watch)).status == Serving.SERVING
            await watch.aclose()
            names = {service.name for service in server.rpc.services}
            assert {"grpc.reflection.v1.ServerReflection", "grpc.reflection.v1alpha.ServerReflection"} <= names

    run(body())


def test_a_standalone_store_tells_clients_where_its_region_is() -> None:
    async def body() -> None:
        more = [standalone_pd(77, "127.0.0.1:5")]
        async with served(standalone(), KvServerOptions(cluster_id=77), more) as (_server, channel, client):
            pd = PDClient(channel)
            members = await pd.get_members(pdpb_pb2.GetMembersRequest())
            assert members.header.cluster_id == 77
            assert not members.header.HasField("error")
            assert members.members[0] == members.leader
            assert list(members.leader.client_urls) == ["http://127.0.0.1:5"]
            found = await pd.get_region(pdpb_pb2.GetRegionRequest(region_key=b"k"))
            assert found.leader == found.region.peers[0]
            store = await pd.get_store(pdpb_pb2.GetStoreRequest(store_id=found.leader.store_id))
            assert store.store.address == "127.0.0.1:5"
            routed = pb.Context(
                region_id=found.region.id, region_epoch=found.region.region_epoch, peer=found.leader, cluster_id=77
            )
            assert (await client.raw_put(pb.RawPutRequest(context=routed, key=b"k", value=b"v"))) == pb.RawPutResponse()
            assert (await pd.get_region_by_id(pdpb_pb2.GetRegionByIDRequest(region_id=1))).region == found.region
            assert not (await pd.get_region_by_id(pdpb_pb2.GetRegionByIDRequest(region_id=2))).HasField("region")
            assert not (await pd.get_prev_region(pdpb_pb2.GetRegionRequest())).HasField("region")
            scanned = await pd.scan_regions(pdpb_pb2.ScanRegionsRequest(limit=5))
            assert scanned.regions[0].region == scanned.region_metas[0] == found.region
            assert scanned.regions[0].leader == scanned.leaders[0] == found.leader
            assert [s.id for s in (await pd.get_all_stores(pdpb_pb2.GetAllStoresRequest())).stores] == [1]
            assert "no store 9" in (await pd.get_store(pdpb_pb2.GetStoreRequest(store_id=9))).header.error.message

    run(body())
