"""The status server: pages, and clients that do not behave."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Awaitable, Callable
from contextlib import suppress

import pytest

from raftly.server import status
from raftly.server.status import StatusServer, json_page, text_page
from tests.unit.server.parts import run, until


def broken() -> status.Page:
    raise RuntimeError("planted")


PAGES = {"/status": lambda: json_page({"up": True}), "/metrics": lambda: text_page(b"m 1\n"), "/broken": broken}


async def ask(port: int, request: bytes) -> tuple[int, dict[str, str], bytes]:
    """All that comes until the server closes."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(request)
    answer = await reader.read()
    writer.close()
    head, _, body = answer.partition(b"\r\n\r\n")
    first, *lines = head.decode().split("\r\n")
    return int(first.split(" ")[1]), dict(line.split(": ", 1) for line in lines), body


def with_server(body: Callable[[StatusServer, int], Awaitable[None]]) -> None:
    async def main() -> None:
        server = StatusServer(PAGES)
        port = await server.start("127.0.0.1", 0)
        try:
            await body(server, port)
        finally:
            await server.stop()
        assert not server.connections

    run(main())


def test_pages_are_served() -> None:
    async def body(_server: StatusServer, port: int) -> None:
        code, headers, text = await ask(port, b"GET /status HTTP/1.1\r\nHost: x\r\n\r\n")
        assert (code, json.loads(text), headers["Content-Type"]) == (200, {"up": True}, "application/json")
        assert int(headers["Content-Length"]) == len(text)
        code, _, text = await ask(port, b"GET /metrics?x=1 HTTP/1.0\r\n\r\n")
        assert (code, text) == (200, b"m 1\n")
        code, headers, text = await ask(port, b"HEAD /metrics HTTP/1.1\r\n\r\n")
        assert (code, headers["Content-Length"], text) == (200, "4", b"")
        code, _, text = await ask(port, b"GET / HTTP/1.1\r\n\r\n")
        assert (code, text) == (200, b"/broken\n/metrics\n/status\n")

    with_server(body)


@pytest.mark.parametrize(
    "request_,code",
    [
        (b"GET /nowhere HTTP/1.1\r\n\r\n", 404),
        (b"GET /../etc/passwd HTTP/1.1\r\n\r\n", 404),
        (b"POST /status HTTP/1.1\r\nContent-Length: 3\r\n\r\nabc", 405),
        (b"GET /status HTTP/2.0\r\n\r\n", 505),
        (b"GET http://x/status HTTP/1.1\r\n\r\n", 400),
        (b"GET  /status HTTP/1.1\r\n\r\n", 400),
        (b"\x16\x03\x01\x00\xff\r\n\r\n", 400),
        (b"\r\n\r\n", 400),
        (b"GET /status HTTP/1.1\r\nX: " + b"x" * 9000, 431),
    ],
)
def test_what_is_no_good_request_hears_why(request_: bytes, code: int) -> None:
    async def body(_server: StatusServer, port: int) -> None:
        assert (await ask(port, request_))[0] == code
        assert (await ask(port, b"GET /status HTTP/1.1\r\n\r\n"))[0] == 200

    with_server(body)


def test_a_page_that_fails_is_logged_and_the_server_goes_on(caplog: pytest.LogCaptureFixture) -> None:
    async def body(_server: StatusServer, port: int) -> None:
        with caplog.at_level(logging.ERROR, "raftly.server"):
            assert (await ask(port, b"GET /broken HTTP/1.1\r\n\r\n"))[0] == 500
        assert "planted" in caplog.text
        assert (await ask(port, b"GET /status HTTP/1.1\r\n\r\n"))[0] == 200

    with_server(body)


def test_a_client_that_dawdles_is_cut_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(status, "_REQUEST_S", 0.01)

    async def body(_server: StatusServer, port: int) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"GET /sta")
        with suppress(ConnectionResetError):
            assert await reader.read() == b""
        writer.close()

    with_server(body)


def test_too_many_connections_are_closed() -> None:
    async def body(server: StatusServer, port: int) -> None:
        held = [await asyncio.open_connection("127.0.0.1", port) for _ in range(64)]
        await until(lambda: len(server.connections) == 64)
        with pytest.raises((ConnectionResetError, IndexError)):
            await ask(port, b"GET /status HTTP/1.1\r\n\r\n")
        for _, writer in held:
            writer.close()
        await until(lambda: not server.connections)
        assert (await ask(port, b"GET /status HTTP/1.1\r\n\r\n"))[0] == 200

    with_server(body)


def test_stopping_ends_what_is_open() -> None:
    async def main() -> None:
        server = StatusServer(PAGES)
        port = await server.start("127.0.0.1", 0)
        _, writer = await asyncio.open_connection("127.0.0.1", port)
        await until(lambda: bool(server.connections))
        await server.stop()
        assert not server.connections
        writer.close()
        with pytest.raises(OSError, match="Connect call failed"):
            await asyncio.open_connection("127.0.0.1", port)

    run(main())
