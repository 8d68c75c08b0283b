"""Other people's programs against our server, each where it is installed: h2spec, curl, nghttp, h2load, grpcurl
(grpc-go), and tikv-client (tonic).

What they cover is covered without them too: test_h2_sections, test_hostile, test_interop_grpcio.
"""

from __future__ import annotations

import asyncio
import json
import re
import shutil
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from raftly.rpc.health import Health
from raftly.rpc.reflection import reflection_services
from raftly.rpc.server import Server
from raftly.rpc.service import Kind, Method, Service, bind
from tests.rpc.parties import Handlers, Seen
from tests.rpc.protos import echo_rpc
from tests.rpc.protos.echo_pb2 import EchoRequest


def tool(name: str) -> str:
    found = shutil.which(name) or shutil.which(name, path=str(Path.home() / "go/bin"))
    if found is None:
        pytest.skip(f"{name} is not installed")
    return found


async def output(*command: str, ok: bool = True) -> str:
    process = await asyncio.create_subprocess_exec(
        *command, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
    )
    async with asyncio.timeout(60):
        said, _ = await process.communicate()
    text = said.decode("utf-8", "replace")
    assert not ok or process.returncode == 0, text
    return text


def with_server(body: Callable[[int], Awaitable[None]]) -> None:
    async def main() -> None:
        echo, health = echo_rpc.echo_service(Handlers(Seen())), Health()
        services = [echo, health.service()]
        server = Server([*services, *reflection_services(services)])
        port = await server.start()
        await body(port)
        await server.stop(1.0)
        assert server.connections_open == 0

    asyncio.run(main())


@pytest.mark.parametrize("strict", [False, True])
def test_h2spec(strict: bool) -> None:
    h2spec = tool("h2spec")

    async def body(port: int) -> None:
        options = ["-h", "127.0.0.1", "-p", str(port), "-o", "2", *(["--strict"] if strict else [])]
        said = await output(h2spec, *options, ok=False)
        totals = re.search(r"(\d+) tests, (\d+) passed, (\d+) skipped, (\d+) failed", said)
        assert totals is not None, said
        assert int(totals[1]) >= 145
        assert (totals[2], totals[3], totals[4]) == (totals[1], "0", "0"), said

    with_server(body)


def test_curl() -> None:
    curl = tool("curl")

    async def body(port: int) -> None:
        url = f"http://127.0.0.1:{port}/"
        assert "speaks gRPC over HTTP/2" in await output(curl, "-s", "-i", "--http1.1", url)
        if "HTTP2" not in await output(curl, "--version"):
            pytest.skip("this curl has no HTTP/2")
        said = await output(curl, "-s", "-i", "--http2-prior-knowledge", url)
        assert said.startswith("HTTP/2 415")
        assert "This port speaks gRPC" in said

    with_server(body)


def test_curl_makes_a_grpc_call(tmp_path: Path) -> None:
    curl = tool("curl")
    message = EchoRequest(payload=b"by curl").SerializeToString()
    request = tmp_path / "request"
    request.write_bytes(b"\0" + len(message).to_bytes(4, "big") + message)

    async def body(port: int) -> None:
        options = ["-H", "content-type: application/grpc", "-H", "te: trailers", "--data-binary", f"@{request}"]
        url = f"http://127.0.0.1:{port}/raftly.test.Echo/Unary"
        said = await output(curl, "-s", "-i", "--http2-prior-knowledge", *options, url)
        assert "by curl" in said
        assert "grpc-status: 0" in said

    with_server(body)


def test_nghttp() -> None:
    nghttp = tool("nghttp")

    async def body(port: int) -> None:
        said = await output(nghttp, "-v", "-n", "-m", "20", f"http://127.0.0.1:{port}/")
        assert said.count(":status: 415") == 20
        assert "NO_ERROR" in said

    with_server(body)


def test_h2load(tmp_path: Path) -> None:
    h2load = tool("h2load")
    message = EchoRequest(payload=bytes(150)).SerializeToString()
    request = tmp_path / "request"
    request.write_bytes(b"\0" + len(message).to_bytes(4, "big") + message)

    async def body(port: int) -> None:
        options = ["-n", "5000", "-c", "4", "-m", "64", "-d", str(request), "-H", "content-type: application/grpc"]
        url = f"http://127.0.0.1:{port}/raftly.test.Echo/Unary"
        said = await output(h2load, *options, "-H", "te: trailers", url)
        assert "5000 succeeded, 0 failed, 0 errored, 0 timeout" in said, said

    with_server(body)


def test_grpcurl() -> None:
    """grpc-go as a client, with reflection, health, streams, status and deadline."""
    grpcurl = tool("grpcurl")

    async def body(port: int) -> None:
        async def call(method: str, *requests: Any, options: tuple[str, ...] = (), ok: bool = True) -> str:
            data = "".join(json.dumps(request) for request in requests)
            address = f"127.0.0.1:{port}"
            return await output(grpcurl, "-plaintext", *options, "-d", data, address, method, ok=ok)

        listed = await output(grpcurl, "-plaintext", f"127.0.0.1:{port}", "list")
        assert {"raftly.test.Echo", "grpc.health.v1.Health", "grpc.reflection.v1.ServerReflection"} <= set(
            listed.split()
        )
        described = await output(grpcurl, "-plaintext", f"127.0.0.1:{port}", "describe", "raftly.test.Echo.Bidi")
        assert "( stream .raftly.test.EchoRequest ) returns ( stream .raftly.test.EchoReply )" in described
        assert json.loads(await call("grpc.health.v1.Health/Check", {})) == {"status": "SERVING"}
        assert "NotFound" in await call("grpc.health.v1.Health/Check", {"service": "x"}, ok=False)
        assert json.loads(await call("raftly.test.Echo/Unary", {"payload": "YWJj"})) == {"payload": "YWJj"}
        assert (await call("raftly.test.Echo/ServerStream", {"replies": 5, "replyBytes": 3})).count("AAAA") == 5
        assert "Mw==" in await call("raftly.test.Echo/ClientStream", {"payload": "YQ=="}, {"payload": "YmM="})
        assert (await call("raftly.test.Echo/Bidi", {"payload": "YQ=="}, {"payload": "YmM="})).count("payload") == 2
        failed = await call("raftly.test.Echo/Unary", {"status": 9, "message": "not so ☺"}, ok=False)
        assert "FailedPrecondition" in failed
        assert "not so ☺" in failed
        late = await call("raftly.test.Echo/Unary", {"waitMs": 60_000}, options=("-max-time", "0.3"), ok=False)
        assert "DeadlineExceeded" in late
        large = await call("raftly.test.Echo/Unary", {"replyBytes": 3_000_000}, options=("-max-msg-sz", "4000000"))
        assert len(large) > 3_900_000

    with_server(body)


# --- tonic, by way of tikv-client -------------------------------------------------------------------------------------


def _field(number: int, value: int | str | bytes) -> bytes:
    """One protobuf field."""
    if isinstance(value, int):
        return _varint(number << 3) + _varint(value)
    data = value.encode() if isinstance(value, str) else value
    return _varint(number << 3 | 2) + _varint(len(data)) + data


def _varint(value: int) -> bytes:
    out = bytearray()
    while value >= 0x80:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes((*out, value))


def _fields(data: bytes) -> dict[int, bytes]:
    """Length-delimited fields of a message that has no others of interest."""
    found: dict[int, bytes] = {}
    at = 0

    def varint() -> int:
        nonlocal at
        value = shift = 0
        while True:
            byte = data[at]
            at += 1
            value |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                return value

    while at < len(data):
        tag = varint()
        length = varint()
        if tag & 7 == 2:
            found[tag >> 3] = data[at : at + length]
            at += length
    return found


def _cluster(store: dict[bytes, bytes], address: list[str]) -> list[Service]:
    """As much of a TiKV cluster of one store as a raw client asks for."""
    header = _field(1, _field(1, 7))
    peer = _field(1, 3) + _field(2, 1)

    async def members(_request: bytes) -> bytes:
        member = _field(1, "pd") + _field(2, 1) + _field(3, address[0]) + _field(4, address[0])
        return header + _field(2, member) + _field(3, member)

    async def region(_request: bytes) -> bytes:
        epoch = _field(1, 1) + _field(2, 1)
        return header + _field(2, _field(1, 2) + _field(4, epoch) + _field(5, peer)) + _field(3, peer)

    async def get_store(_request: bytes) -> bytes:
        return header + _field(2, _field(1, 1) + _field(2, address[0].removeprefix("http://")))

    async def raw_put(request: bytes) -> bytes:
        fields = _fields(request)
        store[fields[2]] = fields[3]
        return b""

    async def raw_get(request: bytes) -> bytes:
        value = store.get(_fields(request)[2])
        return _field(4, 1) if value is None else _field(3, value)

    def bound(service: str, name: str, handler: Callable[[bytes], Awaitable[bytes]]) -> Any:
        return bind(Method(service, name, Kind.UNARY_UNARY, bytes, bytes, bytes, bytes), handler)

    pd = [bound("pdpb.PD", "GetMembers", members), bound("pdpb.PD", "GetRegion", region)]
    kv = [bound("tikvpb.Tikv", "RawPut", raw_put), bound("tikvpb.Tikv", "RawGet", raw_get)]
    return [Service("pdpb.PD", [*pd, bound("pdpb.PD", "GetStore", get_store)]), Service("tikvpb.Tikv", kv)]


def test_tikv_client() -> None:
    tikv = pytest.importorskip("tikv_client.asynchronous", reason="tikv-client is not installed")

    async def use(port: int, store: dict[bytes, bytes]) -> None:
        client = await tikv.RawClient.connect([f"127.0.0.1:{port}"])
        keys = [b"key %d" % number for number in range(200)]
        await asyncio.gather(*(client.put(key, key * 100) for key in keys))
        assert len(store) == 200
        assert await asyncio.gather(*(client.get(key) for key in keys)) == [key * 100 for key in keys]
        large = bytes(range(256)) * 4_000
        await client.put(b"large", large)
        assert await client.get(b"large") == large
        assert await client.get(b"missing") is None

    async def main() -> None:
        store: dict[bytes, bytes] = {}
        address: list[str] = []
        server = Server(_cluster(store, address))
        port = await server.start()
        address.append(f"http://127.0.0.1:{port}")
        async with asyncio.timeout(60):
            await use(port, store)
        await server.stop(0.5)

    asyncio.run(main())
