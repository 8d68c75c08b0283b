"""StatusServer: a few pages about a process over HTTP/1.1, for people, scripts and Prometheus. Read only.

    GET /metrics HTTP/1.1          one request a connection, GET or HEAD, no body; then the connection is closed

What a page says is made when it is asked for. Source: RFC 9112 (framing), RFC 9110 (status codes).
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Final, TypeAlias, final

__all__ = ["Page", "StatusServer", "json_page", "text_page"]

_log: Final = logging.getLogger("raftly.server")
_HEAD_BYTES_MAX: Final = 8 << 10
_CONNECTIONS_MAX: Final = 64
_REQUEST_S: Final = 5.0  # to send the head
_ANSWER_S: Final = 30.0  # to take the answer


@final
@dataclass(frozen=True, slots=True)
class Page:
    """What a path answers."""

    content_type: str
    body: bytes


Pages: TypeAlias = Mapping[str, Callable[[], Page]]  # by path


def json_page(value: object) -> Page:
    """A value as JSON, with a line end for terminals."""
    return Page("application/json", json.dumps(value).encode() + b"\n")


def text_page(body: bytes, content_type: str = "text/plain; charset=utf-8") -> Page:
    """A text as it is."""
    return Page(content_type, body)


@final
class StatusServer:
    """Serves `pages` by their paths; "/" lists them. Nothing runs before `start`."""

    def __init__(self, pages: Pages) -> None:
        self.pages = dict(pages)
        self.connections: Final[dict[_Connection, None]] = {}
        self._listener: asyncio.Server | None = None

    async def start(self, host: str, port: int) -> int:
        """Listen; returns the port, which is chosen for port 0. Raises OSError when the address cannot be had."""
        loop = asyncio.get_running_loop()
        self._listener = await loop.create_server(lambda: _Connection(self, loop), host, port)
        bound_port: int = self._listener.sockets[0].getsockname()[1]
        return bound_port

    async def stop(self) -> None:
        """Close, answers under way too."""
        if self._listener is not None:
            self._listener.close()
            self._listener = None
        for connection in list(self.connections):
            connection.abort()
        await asyncio.sleep(0)  # for the transports to be told

    def answer(self, head: bytes) -> bytes:
        """The response to the head of a request, to be sent before the connection is closed."""
        method, path, problem = _parse(head)
        if problem is not None:
            return _response(problem, text_page(f"{problem.phrase}\n".encode()), method)
        known = "".join(f"{name}\n" for name in sorted(self.pages)).encode()
        if path == "/":
            return _response(HTTPStatus.OK, text_page(known), method)
        make = self.pages.get(path)
        if make is None:
            return _response(HTTPStatus.NOT_FOUND, text_page(b"no such page; there are\n" + known), method)
        try:
            page = make()
        except Exception:  # noqa: BLE001  # it is logged, and the server goes on
            _log.exception("status page %s failed", path)
            failed = text_page(b"the page could not be made; the log says why\n")
            return _response(HTTPStatus.INTERNAL_SERVER_ERROR, failed, method)
        return _response(HTTPStatus.OK, page, method)


def _parse(head: bytes) -> tuple[str, str, HTTPStatus | None]:
    """Method and path of a request, and what is wrong with it."""
    line = head.partition(b"\r\n")[0].decode("latin-1")
    parts = line.split(" ")
    if len(parts) != 3 or not parts[2].startswith("HTTP/"):
        return "GET", "", HTTPStatus.BAD_REQUEST
    method, target, version = parts
    if version not in {"HTTP/1.0", "HTTP/1.1"}:
        return method, "", HTTPStatus.HTTP_VERSION_NOT_SUPPORTED
    if method not in {"GET", "HEAD"}:
        return method, "", HTTPStatus.METHOD_NOT_ALLOWED
    if not target.startswith("/"):
        return method, "", HTTPStatus.BAD_REQUEST
    return method, target.partition("?")[0], None


def _response(status: HTTPStatus, page: Page, method: str) -> bytes:
    lines = [
        f"HTTP/1.1 {status.value} {status.phrase}",
        f"Content-Type: {page.content_type}",
        f"Content-Length: {len(page.body)}",
        "Cache-Control: no-store",
        "X-Content-Type-Options: nosniff",
        "Connection: close",
    ]
    if status is HTTPStatus.METHOD_NOT_ALLOWED:
        lines.append("Allow: GET, HEAD")
    head = "".join(f"{line}\r\n" for line in lines).encode("latin-1") + b"\r\n"
    return head if method == "HEAD" else head + page.body


@final
class _Connection(asyncio.Protocol):
    def __init__(self, server: StatusServer, loop: asyncio.AbstractEventLoop) -> None:
        self._server = server
        self._loop = loop
        self._transport: asyncio.Transport | None = None
        self._head = bytearray()
        self._timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._server.connections[self] = None
        if len(self._server.connections) > _CONNECTIONS_MAX:
            transport.abort()
            return
        self._timer = self._loop.call_later(_REQUEST_S, transport.abort)

    def data_received(self, data: bytes) -> None:
        transport = self._transport
        if transport is None or transport.is_closing():
            return  # what follows the request
        self._head += data
        end = self._head.find(b"\r\n\r\n")
        if end >= 0:
            self._finish(self._server.answer(bytes(self._head[:end])))
        elif len(self._head) > _HEAD_BYTES_MAX:
            status = HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE
            self._finish(_response(status, text_page(f"{status.phrase}\n".encode()), "GET"))

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None
        self._server.connections.pop(self, None)
        if self._timer is not None:
            self._timer.cancel()

    def abort(self) -> None:
        """Close without another word."""
        if self._transport is not None:
            self._transport.abort()

    def _finish(self, response: bytes) -> None:
        assert self._transport is not None
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self._loop.call_later(_ANSWER_S, self._transport.abort)
        self._transport.write(response)
        self._transport.close()
