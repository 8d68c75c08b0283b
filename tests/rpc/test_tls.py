"""TLS: ALPN, mutual, reload, and hostile inputs 25 and 26 of the security catalogue, on 127.0.0.1."""

from __future__ import annotations

import asyncio
import gc
import socket
import ssl
import threading
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import grpc
import grpc.aio
import pytest

from raftly.errors import ConfigError
from raftly.rpc.channel import Backoff, Channel
from raftly.rpc.grpc.status import RpcError, StatusCode
from raftly.rpc.limits import Limits
from raftly.rpc.server import Server
from raftly.rpc.server_call import ServerCall
from raftly.rpc.service import Service, bind
from raftly.rpc.tls import ClientTls, ServerTls
from tests.rpc.certificates import CLIENT, SERVER, Authority
from tests.unit.rpc.memory import method

CALL = method("WhoAmI")
QUICK = Backoff(first_s=0.01, last_s=0.02)


async def who_am_i(request: bytes, call: ServerCall) -> bytes:
    certificate = call.peer_certificate
    if certificate is None:
        return b"nobody"
    return str(dict(pair[0] for pair in certificate["subject"])["commonName"]).encode()


def run(body: Callable[[], Awaitable[Any]]) -> Any:
    async def main() -> Any:
        async with asyncio.timeout(30):
            return await body()

    return asyncio.run(main())


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path, "authority")


@asynccontextmanager
async def serving(tls: ServerTls | None, limits: Limits | None = None) -> AsyncIterator[tuple[Server, int]]:
    server = Server([Service("t.T", [bind(CALL, who_am_i)])], tls=tls, limits=limits)
    port = await server.start()
    try:
        yield server, port
    finally:
        await server.stop(0.5)
        assert server.connections_open == 0


async def ask(port: int, tls: ClientTls | None, host: str = "127.0.0.1") -> bytes:
    async with Channel(host, port, tls=tls, backoff=QUICK) as channel:
        return await channel.unary(CALL, b"", timeout_s=5.0)


async def refused(port: int, tls: ClientTls | None) -> str:
    with pytest.raises(RpcError) as caught:
        await ask(port, tls)
    assert caught.value.status is StatusCode.UNAVAILABLE
    return caught.value.message


def test_tls_and_mutual_tls(authority: Authority) -> None:
    async def body() -> None:
        async with serving(ServerTls(*authority.issue("server"))) as (_, port):
            assert await ask(port, ClientTls(authority.path)) == b"nobody"
        mutual = ServerTls(*authority.issue("server"), authority.path)
        async with serving(mutual) as (_, port):
            assert await ask(port, ClientTls(authority.path, *authority.issue("alice", usage=CLIENT))) == b"alice"
            assert await refused(port, ClientTls(authority.path))

    run(body)


def test_grpcio_over_mutual_tls(authority: Authority) -> None:
    async def body() -> None:
        async with serving(ServerTls(*authority.issue("server"), authority.path)) as (_, port):
            certificate, key = authority.issue("alice")
            credentials = grpc.ssl_channel_credentials(
                authority.path.read_bytes(), key.read_bytes(), certificate.read_bytes()
            )
            async with grpc.aio.secure_channel(f"127.0.0.1:{port}", credentials) as channel:
                assert await channel.unary_unary("/t.T/WhoAmI")(b"") == b"alice"

    run(body)


def test_nothing_stays_open_when_a_channel_was_closed(authority: Authority) -> None:
    """What the loop would end with: asyncio warns of a transport that is still open then."""

    async def body() -> None:
        for tls in (None, ServerTls(*authority.issue("server"))):
            async with serving(tls) as (server, port):
                client = None if tls is None else ClientTls(authority.path)
                assert await ask(port, client) == b"nobody"
                for _ in range(3):  # turns in which the server hears of it
                    await asyncio.sleep(0)
                assert server.connections_open == 0

    run(body)


@pytest.mark.parametrize("is_connected", [False, True])
def test_a_server_that_does_not_end_its_side_is_left_after_a_while(
    authority: Authority, monkeypatch: pytest.MonkeyPatch, is_connected: bool
) -> None:
    monkeypatch.setattr("raftly.rpc.channel.GOODBYE_S", 0.05)
    asked, over = threading.Event(), threading.Event()
    context = ServerTls(*authority.issue("server")).context()

    def greet_and_be_silent() -> None:
        accepted, _ = listener.accept()
        with context.wrap_socket(accepted, server_side=True) as connection:
            connection.recv(1 << 16)
            asked.set()
            if is_connected:
                connection.sendall(bytes(3) + b"\x04" + bytes(5))  # SETTINGS, none of them
            over.wait(20)

    async def body() -> None:
        channel = Channel("127.0.0.1", listener.getsockname()[1], tls=ClientTls(authority.path), backoff=QUICK)
        call = asyncio.create_task(channel.unary(CALL, b"", timeout_s=20.0))
        assert await asyncio.to_thread(asked.wait, 20)
        while is_connected and channel._connection is None:  # noqa: ASYNC110 - nobody tells
            await asyncio.sleep(0)
        await channel.close()
        with pytest.raises(RpcError, match="the channel is closed"):
            await call

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=greet_and_be_silent)
        thread.start()
        try:
            run(body)
        finally:
            over.set()
            thread.join()
    gc.collect()  # a transport that was left open would warn now


def test_large_messages_over_tls(authority: Authority) -> None:
    async def body() -> None:
        async def echo(request: bytes) -> bytes:
            return request

        server = Server([Service("t.T", [bind(method("E"), echo)])], tls=ServerTls(*authority.issue("server")))
        port = await server.start()
        payload = bytes(range(256)) * 12_000
        async with Channel("127.0.0.1", port, tls=ClientTls(authority.path)) as channel:
            assert await asyncio.gather(*(channel.unary(method("E"), payload) for _ in range(3))) == [payload] * 3
        await server.stop(1.0)

    run(body)


def test_certificate_is_reloaded_without_a_restart(authority: Authority, caplog: pytest.LogCaptureFixture) -> None:
    async def presented(port: int) -> str:
        context = ssl.create_default_context(cafile=authority.path)
        context.set_alpn_protocols(["h2"])
        _, writer = await asyncio.open_connection("localhost", port, ssl=context)
        certificate: Any = writer.get_extra_info("peercert")
        writer.close()
        return str(certificate["serialNumber"])

    async def body() -> None:
        certificate, key = authority.issue("server")
        tls = ServerTls(certificate, key)
        async with serving(tls) as (_, port), Channel("127.0.0.1", port, tls=ClientTls(authority.path)) as channel:
            assert await channel.unary(CALL, b"") == b"nobody"
            first = await presented(port)
            assert await presented(port) == first
            authority.issue("server")  # the same files, a new certificate
            second = await presented(port)
            assert second != first
            assert await channel.unary(CALL, b"") == b"nobody", "connections that were up stay up"
            certificate.write_text("half written")
            assert await presented(port) == second, "the last good one stays in use"
            assert await presented(port) == second
            authority.issue("server")
            assert await presented(port) not in (first, second)

    run(body)
    assert caplog.text.count("do not load") == 1


def test_files_that_never_loaded(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="tls"):
        ServerTls(tmp_path / "none.crt", tmp_path / "none.key").context()


# --- hostile input 25 -------------------------------------------------------------------------------------------------


def test_plain_text_on_a_tls_port_and_tls_on_a_plain_port(authority: Authority) -> None:
    async def body() -> None:
        async with serving(ServerTls(*authority.issue("server"))) as (server, port):
            assert await refused(port, None)
            assert server.stats.tls_failures >= 1
            assert await ask(port, ClientTls(authority.path)) == b"nobody"
        async with serving(None) as (server, port):
            assert await refused(port, ClientTls(authority.path))
            assert server.stats.faults >= 1
            assert await ask(port, None) == b"nobody"

    run(body)


def test_server_certificates_that_a_client_must_not_take(authority: Authority, tmp_path: Path) -> None:
    stranger = Authority(tmp_path, "stranger")

    async def body() -> None:
        cases = {
            "expired": authority.issue("expired", expired=True),
            "self-signed or a stranger's": stranger.issue("stranger"),
            "another name": authority.issue("other", hosts=("elsewhere",), address="192.0.2.1"),
            "a client's": authority.issue("client", usage=CLIENT),
        }
        for name, files in cases.items():
            async with serving(ServerTls(*files)) as (_, port):
                assert "certificate" in (await refused(port, ClientTls(authority.path))).lower(), name

    run(body)


def test_client_certificates_that_a_server_must_not_take(authority: Authority, tmp_path: Path) -> None:
    stranger = Authority(tmp_path, "stranger")

    async def body() -> None:
        async with serving(ServerTls(*authority.issue("server"), authority.path)) as (_, port):
            for files in (
                authority.issue("old", expired=True),
                stranger.issue("stranger"),
                authority.issue("servers-own", usage=SERVER),
            ):
                assert await refused(port, ClientTls(authority.path, *files))
            assert await ask(port, ClientTls(authority.path, *authority.issue("alice"))) == b"alice"

    run(body)


def test_old_protocol_versions_are_refused(authority: Authority) -> None:
    async def body() -> None:
        async with serving(ServerTls(*authority.issue("server"))) as (_, port):
            context = ssl.create_default_context(cafile=authority.path)
            context.set_ciphers("ALL:@SECLEVEL=0")
            with pytest.warns(DeprecationWarning, match="TLSv1"):
                context.minimum_version = ssl.TLSVersion.TLSv1
            with pytest.warns(DeprecationWarning, match="TLSv1_1"):
                context.maximum_version = ssl.TLSVersion.TLSv1_1
            with pytest.raises((ssl.SSLError, ConnectionError)):
                await asyncio.open_connection("127.0.0.1", port, ssl=context)

    run(body)


def test_a_client_that_wants_http1_is_let_go(authority: Authority) -> None:
    async def body() -> None:
        async with serving(ServerTls(*authority.issue("server"))) as (_, port):
            context = ssl.create_default_context(cafile=authority.path)
            context.set_alpn_protocols(["http/1.1"])
            reader, writer = await asyncio.open_connection("localhost", port, ssl=context)
            writer.write(b"GET / HTTP/1.1\r\n\r\n")
            assert (await reader.read()).startswith(b"HTTP/1.1 426")
            writer.close()

    run(body)


# --- hostile input 26 -------------------------------------------------------------------------------------------------


def test_half_handshakes_are_counted_bounded_and_timed_out(authority: Authority) -> None:
    async def body() -> None:
        limits = Limits(connections_max=50, handshake_s=2.0)
        async with serving(ServerTls(*authority.issue("server")), limits) as (server, port):
            halves = [await asyncio.open_connection("127.0.0.1", port) for _ in range(60)]
            for _, writer in halves:
                writer.write(b"\x16\x03\x01\x02\x00\x01")  # a ClientHello that never ends
            await asyncio.sleep(0.2)
            assert server.connections_open <= 50
            assert server.stats.connections_refused >= 10
            await asyncio.gather(*(reader.read() for reader, _ in halves), return_exceptions=True)
            assert server.connections_open == 0
            assert await ask(port, ClientTls(authority.path)) == b"nobody"
            for _, writer in halves:
                writer.close()

    run(body)
