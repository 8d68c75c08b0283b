"""A channel: calls to one server over one connection, made again when it is lost.

What a call can count on:
- While there is no connection it waits for the attempt under way; when that fails it fails too, unless it was told to
  `wait_for_ready`.
- Attempts are spaced by an exponential backoff with jitter; a call in a pause fails at once with the last problem.
  A connection that comes up and ends at once, with no call answered, is a failed attempt too, but for the first in a
  row: a server that restarts is reached again without a pause.
- It is repeated by itself only when the server certainly did nothing with it: the stream was refused, or lies above the
  last one that a GOAWAY names. Everything else is the caller's to judge: `RpcError.maybe_processed`.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from random import Random
from typing import TYPE_CHECKING, Final, Self, TypedDict, TypeVar

from raftly.errors import RaftlyError
from raftly.rpc.client_call import ClientCall, UnaryCall, decode_response
from raftly.rpc.client_connection import ClientConnection
from raftly.rpc.driver import WATCH_S, protocol_of
from raftly.rpc.grpc.heads import request_block
from raftly.rpc.grpc.message import frame_message
from raftly.rpc.grpc.metadata import Metadata, encode_metadata
from raftly.rpc.grpc.status import RpcError, StatusCode
from raftly.rpc.h2.frames import ErrorCode
from raftly.rpc.h2.headers import OutBlock
from raftly.rpc.limits import Limits
from raftly.rpc.service import Method

if TYPE_CHECKING:
    from raftly.rpc.tls import ClientTls

__all__ = ["Backoff", "CallOptions", "Channel"]

Request = TypeVar("Request")
Response = TypeVar("Response")


class CallOptions(TypedDict, total=False):
    """What every call may be given."""

    timeout_s: float | None  # deadline from now; sent to the server, kept here; None: none
    metadata: Metadata
    compress: bool  # gzip the requests
    wait_for_ready: bool  # wait for a connection, instead of failing when an attempt does


_USER_AGENT: Final = b"grpc-python-raftly/1"
_HEADS_MAX: Final = 256
GOODBYE_S = 1.0
"""So long may a server take to end a connection that we close; then it is dropped."""


@dataclass(frozen=True, slots=True)
class Backoff:
    """Pauses between attempts: `first_s`, then `factor` times the one before up to `last_s`, each +- `jitter`."""

    first_s: float = 0.1
    factor: float = 1.6
    last_s: float = 10.0
    jitter: float = 0.2
    refused_retries: int = 4  # how often a call that the server refused is sent again

    def pause(self, failures: int, rng: Random) -> float:
        """Seconds to wait after that many failures in a row, at least one."""
        base = min(self.last_s, self.first_s * self.factor ** min(failures - 1, 64))
        return base * (1 + self.jitter * (2 * rng.random() - 1))


class Channel:
    """Calls to the server at `host`:`port`. Connects when first needed; use it as a context manager, or `close` it.

    Raises ConfigError for TLS files that do not load. `rng` decides the jitter only. `authority` is sent as
    `:authority` and checked as the name in a TLS certificate.
    """

    def __init__(
        self,
        host: str,
        port: int,
        *,
        tls: ClientTls | None = None,
        limits: Limits | None = None,
        backoff: Backoff | None = None,
        authority: str | None = None,
        rng: Random | None = None,
    ) -> None:
        self.limits = limits or Limits()
        self.host = host
        self.port = port
        self._tls = tls
        if tls is not None:
            tls.context()  # files that do not load are told here, not at the first call
        self._backoff = backoff or Backoff()
        self._rng = rng or Random()  # noqa: S311  # jitter is no secret
        self._authority = (authority or (f"[{host}]:{port}" if ":" in host else f"{host}:{port}")).encode()
        self._server_name = authority.rsplit(":", 1)[0] if authority else host
        self._scheme = b"http" if tls is None else b"https"
        self._heads: dict[tuple[bytes, float | None], OutBlock] = {}  # of plain calls, by path and time-out
        self._connection: ClientConnection | None = None  # takes new calls
        self._retired: dict[ClientConnection, None] = {}  # finish the calls they have
        self._connecting: asyncio.Task[None] | None = None
        self._failures = 0  # attempts in a row, until a call is answered
        self._barren = 0  # connections in a row on which no call was answered
        self._retry_at = 0.0  # loop time before which no attempt is made
        self._problem = ""
        self._waiting: dict[asyncio.Future[None], None] = {}  # in turn
        self._watch: asyncio.TimerHandle | None = None
        self._emptied: asyncio.Future[None] | None = None  # all that are retired are gone
        self._closed = False

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    # --- calls ------------------------------------------------------------------------------------------------------

    async def unary(
        self,
        method: Method[Request, Response],
        request: Request,
        *,
        timeout_s: float | None = None,
        metadata: Metadata = (),
        compress: bool = False,
        wait_for_ready: bool = False,
    ) -> Response:
        """One request, one response. Raises RpcError; ConfigError on metadata that cannot be sent."""
        if metadata:
            encode_metadata(metadata)  # a mistake is told before anything is waited for
        deadline = None if timeout_s is None else asyncio.get_running_loop().time() + timeout_s
        message = frame_message(method.encode_request(request), compressed=compress)
        refusals = 0
        while True:
            connection = self._connection
            if connection is None or not connection.h2.can_open:
                connection = await self._acquire(deadline, wait_for_ready=wait_for_ready)
                timeout_s = _left(deadline)
            head = self._head(method, timeout_s, metadata, compress)
            call = UnaryCall(connection, head, message, timeout_s, deadline)
            try:
                return decode_response(method, await call.future)
            except asyncio.CancelledError:
                call.cancel()
                raise
            except RpcError as error:
                refusals += 1
                if error.maybe_processed or refusals > self._backoff.refused_retries:
                    raise
            await self._pause(refusals, deadline)
            timeout_s = _left(deadline)

    async def open(
        self,
        method: Method[Request, Response],
        *,
        timeout_s: float | None = None,
        metadata: Metadata = (),
        compress: bool = False,
        wait_for_ready: bool = False,
    ) -> ClientCall[Request, Response]:
        """A call of any kind, to send and receive on; it is not repeated by itself.

        Raises RpcError when there is no connection.
        """
        deadline = None if timeout_s is None else asyncio.get_running_loop().time() + timeout_s
        connection = await self._acquire(deadline, wait_for_ready=wait_for_ready)
        timeout_s = _left(deadline)
        head = self._head(method, timeout_s, metadata, compress)
        return ClientCall(connection, method, head, timeout_s, deadline, compress=compress)

    async def unary_stream(
        self,
        method: Method[Request, Response],
        request: Request,
        *,
        timeout_s: float | None = None,
        metadata: Metadata = (),
        compress: bool = False,
        wait_for_ready: bool = False,
    ) -> AsyncIterator[Response]:
        """One request, a stream of responses. Repeated like a unary call as long as nothing was received."""
        deadline = None if timeout_s is None else asyncio.get_running_loop().time() + timeout_s
        refusals = 0
        while True:
            left = _left(deadline)
            received = False
            try:
                async with await self.open(
                    method, timeout_s=left, metadata=metadata, compress=compress, wait_for_ready=wait_for_ready
                ) as call:
                    await call.send(request)
                    call.done_sending()
                    async for response in call:
                        received = True
                        yield response
                return
            except RpcError as error:
                refusals += 1
                if received or error.maybe_processed or refusals > self._backoff.refused_retries:
                    raise
            await self._pause(refusals, deadline)

    def _head(
        self, method: Method[Request, Response], timeout_s: float | None, metadata: Metadata, compress: bool
    ) -> OutBlock:
        plain = not metadata and not compress
        if plain and (head := self._heads.get((method.path, timeout_s))) is not None:
            return head
        encoding = b"gzip" if compress else b""
        head = request_block(
            method.path, self._authority, self._scheme, _USER_AGENT, encoding, timeout_s, tuple(metadata)
        )
        if plain:
            if len(self._heads) >= _HEADS_MAX:
                self._heads.clear()
            self._heads[method.path, timeout_s] = head
        return head

    async def _pause(self, refusals: int, deadline: float | None) -> None:
        pause = self._backoff.pause(refusals, self._rng)
        loop = asyncio.get_running_loop()
        if deadline is not None and loop.time() + pause >= deadline:
            raise RpcError(StatusCode.DEADLINE_EXCEEDED, "refused until the deadline passed", maybe_processed=False)
        await asyncio.sleep(pause)

    # --- connections ------------------------------------------------------------------------------------------------

    async def _acquire(self, deadline: float | None, *, wait_for_ready: bool) -> ClientConnection:
        """A connection that takes a stream now. Raises RpcError, never `maybe_processed`."""
        try:
            async with asyncio.timeout_at(deadline):
                return await self._wait_connection(wait_for_ready=wait_for_ready)
        except TimeoutError as error:
            raise RpcError(
                StatusCode.DEADLINE_EXCEEDED, f"no connection in time; {self._problem}", maybe_processed=False
            ) from error

    async def _wait_connection(self, *, wait_for_ready: bool) -> ClientConnection:
        loop = asyncio.get_running_loop()
        while True:
            if self._closed:
                raise RpcError(StatusCode.CANCELLED, "the channel is closed", maybe_processed=False)
            connection = self._connection
            if connection is not None and connection.h2.can_open:
                return connection
            if len(self._waiting) >= self.limits.pending_calls_max:
                raise RpcError(StatusCode.RESOURCE_EXHAUSTED, "too many calls wait for a stream", maybe_processed=False)
            if connection is None:
                if self._connecting is None and loop.time() < self._retry_at and not wait_for_ready:
                    raise RpcError(StatusCode.UNAVAILABLE, self._problem, maybe_processed=False)
                self._connect_soon(loop)
            failures = self._failures
            waiter: asyncio.Future[None] = loop.create_future()
            self._waiting[waiter] = None
            try:
                await waiter
            except asyncio.CancelledError:
                if waiter in self._waiting:
                    del self._waiting[waiter]
                elif self._connection is not None:  # it was woken: another may have its stream
                    self.on_progress(self._connection)
                raise
            if self._connection is None and self._failures > failures and not wait_for_ready and not self._closed:
                raise RpcError(StatusCode.UNAVAILABLE, self._problem, maybe_processed=False)

    def _wake(self, count: int) -> None:
        waiting = self._waiting
        while waiting and count > 0:
            waiter = next(iter(waiting))
            del waiting[waiter]
            if not waiter.done():
                waiter.set_result(None)
                count -= 1

    def _connect_soon(self, loop: asyncio.AbstractEventLoop) -> None:
        if self._connecting is None:
            self._connecting = loop.create_task(self._connect(loop))

    async def _connect(self, loop: asyncio.AbstractEventLoop) -> None:
        """One attempt, after the pause that is due. Wakes everyone who waits, whatever its outcome."""
        connection: ClientConnection | None = None
        try:
            await asyncio.sleep(max(0.0, self._retry_at - loop.time()))
            async with asyncio.timeout(self.limits.handshake_s):
                ssl_context = None if self._tls is None else self._tls.context()
                connection = ClientConnection(self, loop)
                protocol = protocol_of(connection)
                await loop.create_connection(
                    lambda: protocol,
                    self.host,
                    self.port,
                    ssl=ssl_context,
                    server_hostname=None if ssl_context is None else self._server_name,
                )
                _check_alpn(connection)
                await connection.ready
                if connection.h2.goaway_received:
                    raise ConnectionError(connection.problem)
        except asyncio.CancelledError:
            if connection is not None:
                connection.abort()
            raise
        except (OSError, ValueError, RaftlyError) as error:  # ssl.SSLError and TimeoutError are OSErrors
            if connection is not None:
                connection.abort()
            reason = str(error) or type(error).__name__
            self._on_failure(loop, f"cannot connect to {self.host}:{self.port}: {reason}")
        else:
            self._connection = connection
            if self._watch is None:
                self._watch = loop.call_later(WATCH_S, self._check, loop)
        finally:
            self._connecting = None
            self._wake(len(self._waiting))

    def _on_failure(self, loop: asyncio.AbstractEventLoop, problem: str) -> None:
        self._failures += 1
        self._retry_at = loop.time() + self._backoff.pause(self._failures, self._rng)
        self._problem = problem

    def _judge(self, connection: ClientConnection) -> None:
        """The connection for new calls is none any more: whether that was a failed attempt after all."""
        self._problem = connection.problem
        if connection.answered or not connection.is_young:
            self._failures = self._barren = 0
            return
        self._barren += 1
        if self._barren > 1:
            self._on_failure(connection.loop, connection.problem)

    def on_progress(self, connection: ClientConnection) -> None:
        """Something came in, or a call was given up: streams may be free again, or the server said goodbye."""
        if self._failures and connection.answered and connection is self._connection:
            self._failures = self._barren = 0
        if connection is self._connection and (connection.h2.goaway_received or connection.h2.exhausted):
            self._retire(connection)
        if self._waiting and connection is self._connection and connection.h2.can_open:
            self._wake(connection.h2.streams_free)

    def _retire(self, connection: ClientConnection) -> None:
        self._connection = None
        self._retired[connection] = None
        self._judge(connection)
        self._wake(len(self._waiting))
        connection.schedule_flush()

    def on_lost(self, connection: ClientConnection) -> None:
        """A connection is gone. The next call makes a new one."""
        self._retired.pop(connection, None)
        if not self._retired and self._emptied is not None and not self._emptied.done():
            self._emptied.set_result(None)
        if connection is self._connection:
            self._connection = None
            self._judge(connection)
            self._wake(len(self._waiting))

    def _check(self, loop: asyncio.AbstractEventLoop) -> None:
        now = loop.time()
        connections = [*self._retired, *([] if self._connection is None else [self._connection])]
        for connection in connections:
            connection.check(now)
            self.on_progress(connection)
        self._watch = loop.call_later(WATCH_S, self._check, loop) if connections else None

    async def close(self) -> None:
        """Say goodbye and close; with TLS the server answers that. Calls under way fail with UNAVAILABLE."""
        self._closed = True
        if self._watch is not None:
            self._watch.cancel()
            self._watch = None
        if self._connecting is not None:
            self._connecting.cancel()
            await asyncio.gather(self._connecting, return_exceptions=True)
        if self._connection is not None:
            self._retired[self._connection] = None
            self._connection = None
        for connection in self._retired:
            connection.close(ErrorCode.NO_ERROR, "")
        self._wake(len(self._waiting))
        if self._retired:
            self._emptied = asyncio.get_running_loop().create_future()
            try:
                await asyncio.wait_for(self._emptied, GOODBYE_S)
            except TimeoutError:
                for connection in self._retired:
                    connection.abort()
                await asyncio.sleep(0)  # they are gone in the next turn


def _left(deadline: float | None) -> float | None:
    """Seconds until loop time `deadline`, not below 0."""
    return None if deadline is None else max(deadline - asyncio.get_running_loop().time(), 0.0)


def _check_alpn(connection: ClientConnection) -> None:
    """GRPC over TLS needs a server that chose `h2`; plain text has nothing to check."""
    if connection.alpn not in (None, "h2"):
        raise ValueError("the server does not speak HTTP/2 over TLS (ALPN)")
