"""Links and the proxies that cut them, on loopback."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress

import pytest

from raftly.demo.live.links import Links
from raftly.demo.live.proxy import HOST, Proxy, dialer_of
from raftly.errors import DecodeError
from raftly.transport.frame import FRAME_PING, encode_frame
from raftly.transport.handshake import Identity, Purpose, make_hello

NODE = 1


def hello(dialer: int) -> bytes:
    purpose = Purpose.MESSAGES if dialer else Purpose.CLIENT
    return make_hello(Identity(7, dialer, 99), NODE, purpose).encode()


def test_a_link_is_cut_both_ways_and_callers_are_never_cut_off() -> None:
    links = Links()
    links.part([[1], [2, 3]])
    assert links.all_cut() == [(1, 2), (1, 3)]
    assert links.is_cut(2, 1)
    assert links.is_cut(1, 2)
    assert not links.is_cut(2, 3)
    assert not links.is_cut(0, 1)
    links.cut(3, 2)
    links.part([[1, 2], [3]])  # what is said now counts for these nodes
    assert links.all_cut() == [(1, 3), (2, 3)]
    links.part([[4], [5]])
    assert links.all_cut() == [(1, 3), (2, 3), (4, 5)]
    links.heal()
    assert links.all_cut() == []


def test_the_first_frame_says_who_dials() -> None:
    data = hello(3)
    assert dialer_of(data) == 3
    assert dialer_of(data + b"more") == 3
    assert all(dialer_of(data[:size]) is None for size in range(len(data)))
    with pytest.raises(DecodeError):
        dialer_of(encode_frame(FRAME_PING, b""))
    with pytest.raises(DecodeError):
        dialer_of(b"GET / HTTP/1.1\r\n\r\n")


class Network:
    """A proxy, and behind it a node that sends everything back."""

    def __init__(self) -> None:
        self.links = Links()
        self.proxy = Proxy(NODE, self.links)
        self.served = 0
        self.writers: list[asyncio.StreamWriter] = []

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.served += 1
        self.writers.append(writer)
        try:
            while data := await reader.read(65536):
                writer.write(data)
                await writer.drain()
        except ConnectionError:
            pass
        finally:
            writer.close()

    async def dial(self, dialer: int) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        return await self.say(hello(dialer))

    async def say(self, first: bytes) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        reader, writer = await asyncio.open_connection(HOST, self.proxy.port)
        self.writers.append(writer)
        writer.write(first)
        return reader, writer


@asynccontextmanager
async def network() -> AsyncIterator[Network]:
    net = Network()
    await net.proxy.start()
    server = await asyncio.start_server(net.serve, HOST, 0)
    net.proxy.target = server.sockets[0].getsockname()[1]
    try:
        yield net
    finally:
        await net.proxy.close()
        server.close()
        for writer in net.writers:
            writer.close()
            with suppress(ConnectionError):
                await writer.wait_closed()


def run(test: Callable[[Network], Awaitable[None]]) -> None:
    async def main() -> None:
        async with asyncio.timeout(20), network() as net:
            await test(net)

    asyncio.run(main())


def test_bytes_go_through_both_ways_as_they_are() -> None:
    async def check(net: Network) -> None:
        reader, writer = await net.dial(2)
        data = bytes(range(256)) * 20_000  # more than any buffer on the way
        writer.write(data)
        assert await reader.readexactly(len(hello(2)) + len(data)) == hello(2) + data

    run(check)


def test_a_link_that_is_cut_loses_its_connections_and_no_others() -> None:
    async def check(net: Network) -> None:
        cut, _ = await net.dial(2)
        held, held_writer = await net.dial(3)
        caller, caller_writer = await net.dial(0)
        for reader, dialer in ((cut, 2), (held, 3), (caller, 0)):
            await reader.readexactly(len(hello(dialer)))
        net.links.cut(NODE, 2)
        net.proxy.on_links()
        with pytest.raises((ConnectionError, asyncio.IncompleteReadError)):
            await cut.readexactly(1)
        for reader, writer in ((held, held_writer), (caller, caller_writer)):
            writer.write(b"still here")
            assert await reader.readexactly(10) == b"still here"

    run(check)


def test_who_dials_over_a_cut_link_waits_until_it_is_healed() -> None:
    async def check(net: Network) -> None:
        net.links.cut(NODE, 2)
        reader, writer = await net.dial(2)
        other, _ = await net.dial(3)
        await other.readexactly(len(hello(3)))  # the proxy has dealt with both by now, and let one through
        assert net.served == 1
        writer.write(b"late")
        net.links.heal()
        net.proxy.on_links()
        assert await reader.readexactly(len(hello(2)) + 4) == hello(2) + b"late"

    run(check)


def test_a_node_that_does_not_run_is_a_connection_that_ends() -> None:
    async def check(net: Network) -> None:
        net.proxy.target = 0
        reader, _ = await net.dial(2)
        assert await reader.read() == b""

    run(check)


def test_who_does_not_speak_the_protocol_is_not_let_through() -> None:
    async def check(net: Network) -> None:
        reader, _ = await net.say(b"GET / HTTP/1.1\r\n\r\n")
        assert await reader.read() == b""
        assert net.served == 0

    run(check)
