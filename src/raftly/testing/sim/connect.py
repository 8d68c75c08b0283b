"""How simulated connections come about: SYN, answer, accept; refused, lost, sent again."""

from __future__ import annotations

import asyncio
import errno
from collections.abc import Callable
from typing import TYPE_CHECKING, Final, final

from raftly.testing.sim.stream import Stream

if TYPE_CHECKING:
    from raftly.testing.sim.host import Host
    from raftly.testing.sim.world import Event

_SYN_BYTES: Final = 74
_SYN_RETRY_S: Final = 1.0  # doubles, as Linux has it
_SYN_ATTEMPTS: Final = 7  # ... and gives up after 127 s


async def connect(
    host: Host, protocol_factory: Callable[[], asyncio.BaseProtocol], name: str, port: int
) -> tuple[asyncio.Transport, asyncio.BaseProtocol]:
    """As `loop.create_connection`.

    Raises:
        OSError: refused, timed out, no such host.
    """
    attempt = _Attempt(host, host.world.net.resolve(host, name), port)
    try:
        stream = await attempt.done
    except BaseException:
        attempt.abandon()
        raise
    protocol = protocol_factory()
    made = host.loop.create_future()
    stream.begin(protocol, made)
    try:
        await made
    except BaseException:
        stream.close()
        raise
    return stream, protocol


def listen(host: Host, protocol_factory: Callable[[], asyncio.BaseProtocol], name: str, port: int) -> Listener:
    """As `loop.create_server`; port 0 is any that is free.

    Raises:
        OSError: the port is taken, or the address is not this host's.
    """
    if name not in {"", "0.0.0.0"} and host.world.net.resolve(host, name) is not host:  # noqa: S104 - in a simulation
        raise OSError(errno.EADDRNOTAVAIL, f"{name} is no address of {host.name}")
    port = port or _next_port(host)
    if port in host.listeners:
        raise OSError(errno.EADDRINUSE, f"port {port} of {host.name} is in use")
    listener = host.listeners[port] = Listener(host, protocol_factory, port)
    return listener


def _next_port(host: Host) -> int:
    host.next_port = port = 49152 + (host.next_port + 1 - 49152) % (1 << 14)
    return port


@final
class _Name:
    """As much of a listening socket as is asked for."""

    def __init__(self, address: tuple[str, int]) -> None:
        self._address = address

    def getsockname(self) -> tuple[str, int]:
        """Address and port."""
        return self._address


@final
class Listener(asyncio.AbstractServer):
    """A port that is listened on."""

    def __init__(self, host: Host, protocol_factory: Callable[[], asyncio.BaseProtocol], port: int) -> None:
        self._host = host
        self._factory = protocol_factory
        self._port = port

    @property
    def sockets(self) -> tuple[_Name, ...]:
        """See asyncio."""
        return (_Name((self._host.address, self._port)),) if self.is_serving() else ()

    def take(self, stream: Stream) -> None:
        """A connection came in."""
        self._host.loop.arrive(lambda: self._accept(stream))

    def _accept(self, stream: Stream) -> None:
        if stream.gone:
            return
        if self.is_serving():
            stream.begin(self._factory())
        else:
            stream.drop()

    def is_serving(self) -> bool:
        """See asyncio."""
        return self._host.listeners.get(self._port) is self

    def get_loop(self) -> asyncio.AbstractEventLoop:
        """See asyncio."""
        return self._host.loop

    def close(self) -> None:
        """See asyncio."""
        if self.is_serving():
            del self._host.listeners[self._port]

    async def start_serving(self) -> None:
        """It does so from the beginning."""

    async def serve_forever(self) -> None:
        """See asyncio."""
        await asyncio.get_running_loop().create_future()

    async def wait_closed(self) -> None:
        """See asyncio."""


@final
class _Attempt:
    """A connection that is being made."""

    def __init__(self, host: Host, target: Host, port: int) -> None:
        self.done: asyncio.Future[Stream] = host.loop.create_future()
        self._host = host
        self._target = target
        self._port = port
        self._source_port = _next_port(host)
        self._tries = 0
        self._retry: Event | None = None
        self._over = False
        self._ends: tuple[Stream, Stream] | None = None  # ours, theirs
        host.world.note(host.name, "connect", f"{target.name}:{port}")
        self._send()

    def _send(self) -> None:
        if self._tries == _SYN_ATTEMPTS:
            self._fail(TimeoutError(errno.ETIMEDOUT, f"{self._target.name} does not answer"))
            return
        world = self._host.world
        world.at(world.net.arrival(self._host, self._target, _SYN_BYTES), self._at_target)
        self._retry = world.after(_SYN_RETRY_S * 2**self._tries, self._send)
        self._tries += 1

    def _at_target(self) -> None:
        a, b, net = self._host, self._target, self._host.world.net
        if not net.reaches(a, b) or (self._over and self._ends is None):
            return
        answer = self._at_host
        if self._ends is None:
            listener = b.listeners.get(self._port)
            if listener is None:
                answer = self._refused
            else:
                ours, theirs = (a.address, self._source_port), (b.address, self._port)
                self._ends = Stream(a, b, ours, theirs), Stream(b, a, theirs, ours)
                self._ends[0].join(self._ends[1])
                listener.take(self._ends[1])
        a.world.at(net.arrival(b, a, _SYN_BYTES), answer)

    def _at_host(self) -> None:
        assert self._ends is not None
        if self._over or not self._host.world.net.reaches(self._target, self._host):
            return
        self._end()
        if self.done.done() or self._ends[0].gone:
            self._ends[0].drop()
        else:
            self._host.world.note(self._host.name, "connected", self._target.name)
            self.done.set_result(self._ends[0])

    def _refused(self) -> None:
        if self._host.world.net.reaches(self._target, self._host):
            self._fail(ConnectionRefusedError(errno.ECONNREFUSED, f"{self._target.name} refused port {self._port}"))

    def _fail(self, error: OSError) -> None:
        if not self._over:
            self._end()
            if not self.done.done():
                self.done.set_exception(error)

    def abandon(self) -> None:
        """Whoever asked does not want it any more."""
        self._end()
        if self._ends is not None and self._host.up:
            self._ends[0].drop()

    def _end(self) -> None:
        self._over = True
        if self._retry is not None:
            self._retry.cancel()
