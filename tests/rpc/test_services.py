"""Health, reflection, the code generator, and grpcio's keepalive, without other programs."""

from __future__ import annotations

import ast
import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import grpc
import grpc.aio
import pytest
from google.protobuf import descriptor_pb2

from raftly.rpc import codegen
from raftly.rpc.channel import Channel
from raftly.rpc.grpc.status import RpcError, StatusCode
from raftly.rpc.health import HEALTH_CHECK, HEALTH_WATCH, Health, HealthRequest, Serving
from raftly.rpc.reflection import _file, reflection_services
from raftly.rpc.server import Server
from raftly.rpc.service import Kind, Service
from tests.rpc.parties import Handlers, Seen
from tests.rpc.protos import echo_rpc
from tests.rpc.protos.echo_pb2 import DESCRIPTOR, Batch, EchoReply, EchoRequest

PROTOS = Path(__file__).parent / "protos"


def with_channel(services: list[Service], body: Callable[[Channel], Awaitable[None]]) -> None:
    async def main() -> None:
        async with asyncio.timeout(20):
            server = Server(services)
            port = await server.start()
            async with Channel("127.0.0.1", port) as channel:
                await body(channel)
            await server.stop(1.0)

    asyncio.run(main())


def test_health_check_and_watch() -> None:
    health = Health()

    async def body(channel: Channel) -> None:
        assert (await channel.unary(HEALTH_CHECK, HealthRequest())).status == Serving.SERVING
        with pytest.raises(RpcError) as caught:
            await channel.unary(HEALTH_CHECK, HealthRequest(service="a.B"))
        assert caught.value.status is StatusCode.NOT_FOUND
        watch: AsyncIterator[Any] = channel.unary_stream(HEALTH_WATCH, HealthRequest(service="a.B"))
        assert (await anext(watch)).status == Serving.SERVICE_UNKNOWN
        for serving in (Serving.NOT_SERVING, Serving.SERVING):
            health.set("a.B", serving)
            assert (await anext(watch)).status == serving
        health.set("a.B", Serving.SERVING)  # no change, no word
        health.set("a.B", Serving.NOT_SERVING)
        assert (await anext(watch)).status == Serving.NOT_SERVING
        await watch.aclose()  # type: ignore[attr-defined]

    with_channel([health.service()], body)


def test_reflection_gives_services_and_files_with_their_imports() -> None:
    served = [echo_rpc.echo_service(Handlers(Seen())), Health().service()]
    file = _file("v1")
    ask = file.message_class("ServerReflectionRequest")
    info = file.method(
        "ServerReflection",
        "ServerReflectionInfo",
        "ServerReflectionRequest",
        "ServerReflectionResponse",
        Kind.STREAM_STREAM,
    )

    async def body(channel: Channel) -> None:
        async with await channel.open(info) as call:

            async def answer(**question: str) -> Any:
                await call.send(ask(**question))
                return await call.recv()

            listed = await answer(list_services="*")
            assert [service.name for service in listed.list_services_response.service] == [
                "grpc.health.v1.Health",
                "grpc.reflection.v1.ServerReflection",
                "grpc.reflection.v1alpha.ServerReflection",
                "raftly.test.Echo",
            ]
            for symbol in ("raftly.test.Echo", "raftly.test.Echo.Unary", "raftly.test.EchoRequest"):
                files = (await answer(file_containing_symbol=symbol)).file_descriptor_response.file_descriptor_proto
                assert list(files) == [DESCRIPTOR.serialized_pb]
            files = (await answer(file_by_filename="raftly/rpc/health.proto")).file_descriptor_response
            (proto,) = [descriptor_pb2.FileDescriptorProto.FromString(one) for one in files.file_descriptor_proto]
            assert proto.service[0].name == "Health"
            assert (await answer(file_containing_symbol="no.Such")).error_response.error_code == StatusCode.NOT_FOUND

    with_channel([*served, *reflection_services(served)], body)


def test_the_generated_module_is_what_the_generator_writes() -> None:
    proto = descriptor_pb2.FileDescriptorProto.FromString(DESCRIPTOR.serialized_pb)
    written = ast.parse(codegen.generate(proto, [proto]))
    kept = ast.parse((PROTOS / "echo_rpc.py").read_text())
    assert [ast.dump(node) for node in written.body] == [ast.dump(node) for node in kept.body]


def test_the_generator_finds_nested_and_imported_messages_and_names() -> None:
    other = descriptor_pb2.FileDescriptorProto(name="google/x/other-one.proto", package="x")
    other.message_type.add(name="Outer").nested_type.add(name="Inner")
    file = descriptor_pb2.FileDescriptorProto(name="kv.proto", package="a.b", dependency=[other.name])
    service = file.service.add(name="RawKV")
    service.method.add(name="BatchGetV2", input_type=".x.Outer.Inner", output_type=".x.Outer", server_streaming=True)
    source = codegen.generate(file, [other, file])
    ast.parse(source)
    assert "from google.x import other_one_pb2" in source
    assert "RAW_KV_BATCH_GET_V2: Final[Method[other_one_pb2.Outer.Inner, other_one_pb2.Outer]]" in source
    assert 'service="a.b.RawKV"' in source
    assert "def batch_get_v2(self) -> StreamHandler[other_one_pb2.Outer.Inner, other_one_pb2.Outer]" in source


def test_generated_client_and_handlers_of_every_kind() -> None:
    async def body(channel: Channel) -> None:
        client = echo_rpc.EchoClient(channel)
        assert (await client.unary(EchoRequest(payload=b"x"), timeout_s=5.0)).payload == b"x"
        assert [r.payload async for r in client.server_stream(EchoRequest(replies=2, reply_bytes=1))] == [b"\0", b"\0"]
        async with await client.client_stream() as call:
            await call.send(EchoRequest(payload=b"abc"))
            call.done_sending()
            assert await call.recv() == EchoReply(payload=b"3")
        async with await client.batches(compress=True) as batches:
            await batches.send(Batch(requests=[EchoRequest(payload=b"%d" % n) for n in range(16)], ids=range(16)))
            reply = await batches.recv()
            assert reply is not None
            assert [one.payload for one in reply.replies] == [b"%d" % n for n in range(16)]

    with_channel([echo_rpc.echo_service(Handlers(Seen()))], body)


def test_keepalive_pings_of_grpcio_are_answered_and_no_flood() -> None:
    async def main() -> None:
        server = Server([echo_rpc.echo_service(Handlers(Seen()))])
        port = await server.start()
        options = [
            ("grpc.keepalive_time_ms", 50),
            ("grpc.keepalive_timeout_ms", 1000),
            ("grpc.keepalive_permit_without_calls", 1),
            ("grpc.http2.max_pings_without_data", 0),
        ]
        async with asyncio.timeout(20), grpc.aio.insecure_channel(f"127.0.0.1:{port}", options=options) as channel:
            call = channel.unary_unary("/raftly.test.Echo/Unary", EchoRequest.SerializeToString, EchoReply.FromString)
            assert (await call(EchoRequest(payload=b"x", wait_ms=700))).payload == b"x"
            assert server.stats.faults == 0
            assert server.stats.connections == 1
        await server.stop(1.0)

    asyncio.run(main())
