"""Simulated TCP: order, buffers, ends, and what the network does to it."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from raftly.testing.sim import World


class Party(asyncio.Protocol):
    """Writes down what happens to it."""

    def __init__(self) -> None:
        self.got = bytearray()
        self.events: list[str] = []
        self.error: Exception | None = None
        self.transport: Any = None
        self.half_open = False  # EOF does not close it

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport
        self.events.append("made")

    def data_received(self, data: bytes) -> None:
        self.got += data

    def eof_received(self) -> bool:
        self.events.append("eof")
        return self.half_open

    def pause_writing(self) -> None:
        self.events.append("pause")

    def resume_writing(self) -> None:
        self.events.append("resume")

    def connection_lost(self, error: Exception | None) -> None:
        self.events.append("lost")
        self.error = error


class Pair:
    """Hosts a and b; b listens, and a connects to it."""

    def __init__(self, seed: int = 1) -> None:
        self.world = World(seed)
        self.a, self.b = self.world.host("a"), self.world.host("b")
        self.a.start()
        self.b.start()
        self.accepted: list[Party] = []
        self.server: Any = None

    def accept(self) -> Party:
        self.accepted.append(Party())
        return self.accepted[-1]

    async def listen(self, port: int = 80) -> Any:
        async def serve() -> Any:
            return await asyncio.get_running_loop().create_server(self.accept, self.b.address, port)

        self.server = await self.b.run(serve())
        return self.server

    async def connect(self, port: int = 80) -> Party:
        async def dial() -> Party:
            _, party = await asyncio.get_running_loop().create_connection(Party, "b", port)
            return party

        return await self.a.run(dial())

    async def connected(self) -> tuple[Party, Party]:
        await self.listen()
        client = await self.connect()
        await asyncio.sleep(0.1)
        return client, self.accepted[0]


def run(script: Callable[[Pair], Awaitable[None]], seed: int = 1, within: float = 1000.0) -> Pair:
    pair = Pair(seed)

    async def main() -> None:
        await script(pair)

    pair.world.run(main(), within=within)
    return pair


def test_bytes_arrive_whole_and_in_order_whatever_pieces_they_come_in() -> None:
    async def script(pair: Pair) -> None:
        pair.world.net.options.split = 0.5
        pair.world.net.options.loss = 0.2
        client, server = await pair.connected()
        sent = b"".join(number.to_bytes(4, "big") for number in range(5000))
        for at in range(0, len(sent), 100):
            client.transport.write(sent[at : at + 100])
            if at % 1000 == 0:
                await asyncio.sleep(0.001)
        client.transport.writelines([b"the ", b"end"])
        client.transport.close()
        await asyncio.sleep(60)
        assert bytes(server.got) == sent + b"the end"
        assert client.events == ["made", "lost"]
        assert server.events == ["made", "eof", "lost"]
        assert client.error is None
        assert server.error is None
        assert not pair.a.streams
        assert not pair.b.streams
        assert not pair.world.net.link(pair.a, pair.b).pipes
        assert not pair.world.net.link(pair.b, pair.a).pipes

    run(script)


def test_latency_and_bandwidth_are_the_links() -> None:
    async def script(pair: Pair) -> None:
        options = pair.world.net.options
        options.latency_s_min, options.latency_s_mean, options.tail_chance = 0.1, 1e-9, 0.0
        options.bytes_per_s = 1e6
        begun = pair.world.now
        await pair.listen()
        client = await pair.connect()
        assert pair.world.now - begun == pytest.approx(0.2, abs=0.01)  # there and back
        begun = pair.world.now
        client.transport.write(bytes(200_000))
        while not pair.accepted or len(pair.accepted[0].got) < 200_000:  # noqa: ASYNC110
            await asyncio.sleep(0.001)
        assert pair.world.now - begun == pytest.approx(0.3, abs=0.01)

    run(script)


def test_a_reader_that_does_not_read_stops_the_writer() -> None:
    async def script(pair: Pair) -> None:
        client, server = await pair.connected()
        window = pair.world.net.options.window_bytes
        server.transport.pause_reading()
        client.transport.set_write_buffer_limits(high=1000, low=100)
        client.transport.write(bytes(window))
        assert client.events == ["made"]
        client.transport.write(bytes(1000))
        assert client.events == ["made"]
        client.transport.write(b"x")
        assert client.events == ["made", "pause"]
        assert client.transport.get_write_buffer_size() == 1001
        await asyncio.sleep(10)
        assert client.events == ["made", "pause"]
        server.transport.resume_reading()
        await asyncio.sleep(1)
        assert client.events == ["made", "pause", "resume"]
        assert len(server.got) == window + 1001

    run(script)


def test_close_sends_what_is_buffered_and_abort_does_not() -> None:
    async def script(pair: Pair) -> None:
        await pair.listen()
        window = pair.world.net.options.window_bytes
        closed, aborted = await pair.connect(), await pair.connect()
        await asyncio.sleep(1)
        for client in (closed, aborted):
            client.transport.write(bytes(3 * window))
        closed.transport.close()
        aborted.transport.abort()
        assert closed.transport.is_closing()
        await asyncio.sleep(10)
        assert [len(server.got) for server in pair.accepted] == [3 * window, window]
        assert closed.events == ["made", "pause", "resume", "lost"]
        assert aborted.events == ["made", "pause", "lost"]

    run(script)


def test_half_a_connection_may_be_closed() -> None:
    async def script(pair: Pair) -> None:
        client, server = await pair.connected()
        server.half_open = True
        client.transport.write(b"question")
        client.transport.write_eof()
        with pytest.raises(RuntimeError):
            client.transport.write(b"more")
        await asyncio.sleep(1)
        assert server.events == ["made", "eof"]
        server.transport.write(b"answer")
        server.transport.close()
        await asyncio.sleep(1)
        assert bytes(client.got) == b"answer"
        assert client.events == ["made", "eof", "lost"]

    run(script)


def test_a_protocol_that_raises_loses_its_connection_and_is_told() -> None:
    class Bad(Party):
        def data_received(self, data: bytes) -> None:
            raise ValueError("bad data")

    async def script(pair: Pair) -> None:
        pair.accept = lambda: pair.accepted.append(Bad()) or pair.accepted[-1]  # type: ignore[func-returns-value,method-assign]
        client, server = await pair.connected()
        client.transport.write(b"x")
        await asyncio.sleep(1)
        assert server.events == ["made", "lost"]
        assert client.events == ["made", "eof", "lost"]

    with pytest.raises(AssertionError, match="bad data"):
        run(script)


# --- making connections ---


def test_nobody_listens() -> None:
    async def script(pair: Pair) -> None:
        with pytest.raises(ConnectionRefusedError):
            await pair.connect()
        assert pair.world.now < 0.1

    run(script)


def test_no_such_host_and_no_such_address() -> None:
    async def script(pair: Pair) -> None:
        loop = pair.a.loop
        with pytest.raises(OSError, match="no host is called nobody"):
            await pair.a.run(loop.create_connection(Party, "nobody", 80))
        with pytest.raises(OSError, match="no address of a"):
            await pair.a.run(loop.create_server(Party, "b", 80))
        assert await pair.a.run(loop.getaddrinfo("b", 80)) == [(2, 1, 6, "", (pair.b.address, 80))]
        with pytest.raises(NotImplementedError):
            await pair.a.run(loop.create_connection(Party, "b", 80, ssl=True))

    run(script)


def test_a_port_is_taken_once_and_port_0_is_any() -> None:
    async def script(pair: Pair) -> None:
        server = await pair.listen()
        with pytest.raises(OSError, match="in use"):
            await pair.listen()
        server.close()
        assert server.sockets == ()
        any_port = (await pair.listen(0)).sockets[0].getsockname()
        assert any_port[0] == pair.b.address
        client = await pair.connect(any_port[1])
        assert client.transport.get_extra_info("peername") == any_port
        assert client.transport.get_extra_info("sockname")[0] == pair.a.address

    run(script)


def test_a_machine_that_is_off_does_not_answer() -> None:
    async def script(pair: Pair) -> None:
        await pair.listen()
        pair.b.kill(power=True)
        with pytest.raises(TimeoutError):
            await pair.connect()
        assert pair.world.now == pytest.approx(127, abs=1)

    run(script)


def test_a_connection_is_made_when_the_cut_ends() -> None:
    async def script(pair: Pair) -> None:
        await pair.listen()
        pair.world.net.cut(pair.b, pair.a)
        attempt = asyncio.ensure_future(pair.connect())
        await asyncio.sleep(5)
        assert not attempt.done()
        assert len(pair.accepted) == 1  # b heard of it, and its answer was lost
        pair.world.net.mend(pair.b, pair.a)
        client = await attempt
        assert pair.world.now == pytest.approx(7, abs=0.1)  # SYNs go out after 0, 1, 3 and 7 s
        client.transport.write(b"hello")
        await asyncio.sleep(1)
        assert [bytes(server.got) for server in pair.accepted] == [b"hello"]

    run(script)


def test_an_attempt_that_is_given_up_leaves_nothing_behind() -> None:
    async def script(pair: Pair) -> None:
        await pair.listen()
        pair.world.net.cut(pair.b, pair.a)

        async def dial() -> None:
            async with asyncio.timeout(2):
                await asyncio.get_running_loop().create_connection(Party, "b", 80)

        with pytest.raises(TimeoutError):
            await pair.a.run(dial())
        pair.world.net.mend(pair.b, pair.a)
        await asyncio.sleep(10)
        assert pair.accepted[0].events == ["made", "eof", "lost"]
        assert not pair.a.streams
        assert not pair.b.streams

    run(script)


# --- cuts, resets, deaths ---


def test_a_cut_delays_and_loses_nothing() -> None:
    async def script(pair: Pair) -> None:
        client, server = await pair.connected()
        pair.world.net.cut(pair.a, pair.b)
        client.transport.write(b"late")
        server.transport.write(b"the other way")
        await asyncio.sleep(30)
        assert bytes(server.got) == b""
        assert bytes(client.got) == b"the other way"
        pair.world.net.mend(pair.a, pair.b)
        await asyncio.sleep(5)
        assert bytes(server.got) == b"late"

    run(script)


def test_without_acknowledgements_only_a_window_passes() -> None:
    async def script(pair: Pair) -> None:
        client, server = await pair.connected()
        window = pair.world.net.options.window_bytes
        pair.world.net.cut(pair.b, pair.a)
        client.transport.write(bytes(3 * window))
        await asyncio.sleep(30)
        assert len(server.got) == window
        pair.world.net.mend(pair.b, pair.a)
        await asyncio.sleep(30)
        assert len(server.got) == 3 * window

    run(script)


def test_a_process_that_dies_has_its_connections_ended_by_its_machine() -> None:
    async def script(pair: Pair) -> None:
        client, _ = await pair.connected()
        pair.b.kill(power=False)
        await asyncio.sleep(1)
        assert client.events == ["made", "eof", "lost"]
        with pytest.raises(ConnectionRefusedError):
            await pair.connect()

    run(script)


def test_a_machine_that_dies_leaves_connections_half_open() -> None:
    async def script(pair: Pair) -> None:
        client, server = await pair.connected()
        pair.b.kill(power=True)
        client.transport.write(b"is anybody there?")
        await asyncio.sleep(100)
        assert client.events == ["made"]
        assert server.events == ["made"]
        pair.b.start()
        await asyncio.sleep(5)  # what is sent again meets a machine that knows nothing of it
        assert client.events == ["made", "lost"]
        assert isinstance(client.error, ConnectionResetError)
        assert server.got == b""

    run(script)


def test_an_idle_half_open_connection_is_noticed_by_writing_only() -> None:
    async def script(pair: Pair) -> None:
        client, _ = await pair.connected()
        pair.b.kill(power=True)
        pair.b.start()
        await asyncio.sleep(100)
        assert client.events == ["made"]
        client.transport.write(b"x")
        await asyncio.sleep(1)
        assert client.events == ["made", "lost"]

    run(script)


def test_a_reset_reaches_both_ends() -> None:
    async def script(pair: Pair) -> None:
        client, server = await pair.connected()
        client.transport.write(b"on its way")
        pair.world.net.reset(pair.a, pair.b)
        await asyncio.sleep(1)
        for party in (client, server):
            assert party.events == ["made", "lost"]
            assert isinstance(party.error, ConnectionResetError)
        assert server.got == b""
        await pair.connect()

    run(script)


def test_a_paused_host_reads_later() -> None:
    async def script(pair: Pair) -> None:
        client, server = await pair.connected()
        pair.b.pause(10)
        client.transport.write(b"x")
        await asyncio.sleep(9)
        assert server.got == b""
        await asyncio.sleep(2)
        assert server.got == b"x"

    run(script)


def test_a_host_talks_to_itself() -> None:
    async def script(pair: Pair) -> None:
        await pair.listen()

        async def dial() -> Party:
            _, party = await asyncio.get_running_loop().create_connection(Party, "localhost", 80)
            party.transport.write(b"me")
            return party

        await pair.b.run(dial())
        await asyncio.sleep(0.1)
        assert pair.accepted[0].got == b"me"

    run(script)
