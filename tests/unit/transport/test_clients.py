"""Clients on the nodes' port: who is let in, what they may send, and what happens to those that misbehave."""

from __future__ import annotations

import asyncio
import random
import struct
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from raftly.base.rand import SplitMix64
from raftly.base.types import NO_NODE, NodeId
from raftly.errors import ConfigError, DecodeError, LimitExceeded, PeerRefused, RequestLost
from raftly.transport.base import Caller
from raftly.transport.client import TcpChannel, TcpDialer
from raftly.transport.events import StrangerClosed
from raftly.transport.exchange import Item, decode_items, encode_items
from raftly.transport.frame import (
    FRAME_GROUPS,
    FRAME_REFUSAL,
    FRAME_REQUESTS,
    FRAME_RESPONSES,
    FRAME_WELCOME,
    HEADER_BYTES,
    FrameReader,
    encode_frame,
)
from raftly.transport.handshake import FEATURES, Hello, Identity, Purpose, Reason, decode_refusal, make_hello
from raftly.transport.options import TcpOptions
from raftly.transport.tls import PeerTls
from tests.unit.transport.certificates import Authority
from tests.unit.transport.nodes import Node, close
from tests.unit.transport.virtual import VirtualLoop, Wire, run

ADDRESS = ("127.0.0.1", 4001)


class Echo:
    """Answers what it was asked, in the same turn; what begins with "later" when it is told to."""

    def __init__(self) -> None:
        self.asked: list[list[Item]] = []
        self.excess: list[list[Item]] = []
        self.later: list[tuple[Caller, int, bytes]] = []

    def on_requests(self, caller: Caller, items: list[Item]) -> None:
        self.asked.append(items)
        for id_, data in items:
            if data.startswith(b"later"):
                self.later.append((caller, id_, data))
            else:
                caller.respond(id_, data)

    def on_excess(self, caller: Caller, items: list[Item]) -> None:
        self.excess.append(items)
        for id_, _ in items:
            caller.respond(id_, b"busy")

    def answer(self) -> None:
        later, self.later = self.later, []
        for caller, id_, data in later:
            caller.respond(id_, data)


async def start(**options: Any) -> tuple[Node, Echo]:
    node = await Node(1, 4001, {}, options=TcpOptions(**options)).start()
    echo = Echo()
    node.transport.serve(echo)
    return node, echo


def dialer(cluster_id: int = 7, **options: Any) -> TcpDialer:
    return TcpDialer(cluster_id, TcpOptions(**options), random=SplitMix64(5))


class Raw(asyncio.Protocol):
    """A client that sends what it likes."""

    def __init__(self) -> None:
        self.frames: list[tuple[int, bytes]] = []
        self.reader = FrameReader(1 << 20)
        self.gone = asyncio.Event()
        self.wire: Wire | None = None

    def data_received(self, data: bytes) -> None:
        buf, frames = self.reader.feed(data)
        self.frames += [(kind, buf[start:stop]) for kind, start, stop in frames]

    def connection_lost(self, error: Exception | None) -> None:
        self.gone.set()

    def send(self, data: bytes) -> None:
        assert self.wire is not None
        self.wire.write(data)

    def refusals(self) -> list[Reason]:
        return [Reason(decode_refusal(body).reason) for kind, body in self.frames if kind == FRAME_REFUSAL]


async def raw(loop: VirtualLoop, *, hello: bool = True) -> Raw:
    wire, protocol = await loop.create_connection(Raw, *ADDRESS)
    assert isinstance(protocol, Raw)
    protocol.wire = wire
    if hello:
        protocol.send(make_hello(Identity(7, NO_NODE, 9), NO_NODE, Purpose.CLIENT).encode())
        await asyncio.sleep(0.01)
        assert [kind for kind, _ in protocol.frames] == [FRAME_WELCOME]
    return protocol


# --- what works ------------------------------------------------------------------------------------------------


def test_requests_are_answered_in_one_write_a_turn() -> None:
    async def main(loop: VirtualLoop) -> None:
        node, echo = await start()
        client = dialer()
        channel = await client.dial(ADDRESS)
        assert channel.node_id == 1
        here, there = loop.wires[-1]
        writes = len(here.writes), len(there.writes)
        answers = await asyncio.gather(*(channel.request(b"%d" % number) for number in range(100)))
        assert answers == [b"%d" % number for number in range(100)]
        assert (len(here.writes), len(there.writes)) == (writes[0] + 1, writes[1] + 1)
        assert len(echo.asked) == 1
        assert channel.in_flight == 0
        assert (node.transport.stats.clients, node.transport.stats.requests) == (1, 100)
        assert node.transport.incoming() == []  # a client is no node
        await client.close()
        await asyncio.sleep(0.1)
        assert node.transport.stats.clients == 0
        assert node.told(StrangerClosed) == []
        await close(node)

    run(main)


def test_answers_may_come_late_and_in_any_order() -> None:
    async def main(loop: VirtualLoop) -> None:
        node, echo = await start()
        client = dialer()
        channel = await client.dial(ADDRESS)
        late = channel.request(b"later")
        given_up = channel.request(b"later, for nobody")
        assert await channel.request(b"now") == b"now"
        given_up.cancel()
        echo.answer()
        assert await late == b"later"
        assert await channel.request(b"again") == b"again"  # the answer that nobody waited for harmed nothing
        await client.close()
        await close(node)

    run(main)


def test_large_requests_are_cut_into_frames_and_too_large_ones_refused_here() -> None:
    async def main(loop: VirtualLoop) -> None:
        node, _ = await start(client_frame_bytes_max=3000)
        client = dialer(client_frame_bytes_max=3000)
        channel = await client.dial(ADDRESS)
        largest = bytes(client.request_bytes_max)
        assert await asyncio.gather(*(channel.request(largest) for _ in range(3))) == [largest] * 3
        with pytest.raises(LimitExceeded):
            await channel.request(largest + b"x")
        assert node.transport.stats.garbage == 0
        await client.close()
        await close(node)

    run(main)


# --- who is let in ---------------------------------------------------------------------------------------------


def test_a_foreign_cluster_and_a_node_without_service_are_told_apart() -> None:
    async def main(loop: VirtualLoop) -> None:
        node = await Node(1, 4001, {}).start()
        client, foreign = dialer(), dialer(8)
        with pytest.raises(PeerRefused) as refused:
            await client.dial(ADDRESS)
        assert refused.value.reason == "NO_SERVICE"
        node.transport.serve(Echo())
        assert (await client.dial(ADDRESS)).is_open
        with pytest.raises(PeerRefused) as refused:
            await foreign.dial(ADDRESS)
        assert refused.value.reason == "CLUSTER"
        with pytest.raises(ConnectionError):
            await client.dial(("127.0.0.1", 4009))
        with pytest.raises(ConfigError, match="loopback"):
            await client.dial(("10.0.0.1", 4001))
        await client.close()
        await foreign.close()
        with pytest.raises(ConnectionError, match="closed"):
            await client.dial(ADDRESS)
        await close(node)

    run(main)


@pytest.mark.parametrize(
    "change,reason",
    [
        ({"node_id": 5}, Reason.DUPLICATE),
        ({"expected": 2}, Reason.WRONG_NODE),
        ({"required": 1 << 40}, Reason.FEATURES),
        ({"version_lo": 9, "version_hi": 9}, Reason.VERSION),
        ({"cluster_id": 8}, Reason.CLUSTER),
    ],
)
def test_a_hello_that_does_not_fit_is_refused(change: dict[str, int], reason: Reason) -> None:
    async def main(loop: VirtualLoop) -> None:
        node, _ = await start()
        hello = make_hello(Identity(7, NO_NODE, 9), NO_NODE, Purpose.CLIENT)
        stranger = await raw(loop, hello=False)
        stranger.send(Hello(**{name: change.get(name, getattr(hello, name)) for name in Hello.__slots__}).encode())
        await stranger.gone.wait()
        assert stranger.refusals() == [reason]
        assert node.transport.stats.clients == 0
        await close(node)

    run(main)


def test_what_nodes_require_of_each_other_is_not_asked_of_clients() -> None:
    async def main(loop: VirtualLoop) -> None:
        node = await Node(1, 4001, {}, required_features=FEATURES).start()
        node.transport.serve(Echo())
        stranger = await raw(loop, hello=False)
        stranger.send(make_hello(Identity(7, NO_NODE, 9, features=0), 1, Purpose.CLIENT).encode())
        await asyncio.sleep(0.01)
        assert [kind for kind, _ in stranger.frames] == [FRAME_WELCOME]
        await close(node)

    run(main)


def test_one_client_more_than_there_is_room_for_is_told_so() -> None:
    async def main(loop: VirtualLoop) -> None:
        node, _ = await start(clients_max=2)
        client = dialer()
        channels = [await client.dial(ADDRESS) for _ in range(2)]
        with pytest.raises(PeerRefused) as refused:
            await client.dial(ADDRESS)
        assert refused.value.reason == "BUSY"
        channels[0].close()
        await asyncio.sleep(0.1)
        assert (await client.dial(ADDRESS)).is_open
        await client.close()
        await close(node)

    run(main)


# --- who misbehaves --------------------------------------------------------------------------------------------


def item(id_: int, data: bytes) -> bytes:
    return struct.pack("<QI", id_, len(data)) + data


@pytest.mark.parametrize(
    "sent",
    [
        b"GET / HTTP/1.1\r\n\r\n",
        encode_frame(FRAME_REQUESTS, b""),
        encode_frame(FRAME_REQUESTS, item(1, b"x")[:-1]),
        encode_frame(FRAME_REQUESTS, item(1, b"x") + b"more"),
        encode_frame(FRAME_REQUESTS, item(1, b"later") + item(1, b"later")),
        encode_frame(FRAME_REQUESTS, item(1, b"x"))[:-1] + b"y",  # the checksum
        encode_frame(FRAME_GROUPS, b"x"),
        encode_frame(FRAME_RESPONSES, item(1, b"x")),
        encode_frame(FRAME_REQUESTS, bytes(5000))[:12],  # a giant, by its header
    ],
)
def test_garbage_closes_its_connection_with_a_reason_and_no_other(sent: bytes) -> None:
    async def main(loop: VirtualLoop) -> None:
        node, _ = await start(client_frame_bytes_max=4096)
        client = dialer()
        channel = await client.dial(ADDRESS)
        stranger = await raw(loop)
        stranger.send(sent)
        await stranger.gone.wait()
        assert stranger.refusals() == [Reason.BROKEN]
        assert node.transport.stats.garbage == 1
        assert len(node.told(StrangerClosed)) == 1
        assert await channel.request(b"x") == b"x"
        await client.close()
        await close(node)

    run(main)


def test_slow_frames_and_silence_are_cut_with_a_reason() -> None:
    async def main(loop: VirtualLoop) -> None:
        node, _ = await start(frame_s_max=2.0)
        slow, silent = await raw(loop), await raw(loop)
        frame = encode_frame(FRAME_REQUESTS, item(1, bytes(100)))
        for at in range(40):
            if not slow.gone.is_set():
                slow.send(frame[at : at + 1])
            await asyncio.sleep(0.1)
        assert slow.gone.is_set()
        assert slow.refusals() == [Reason.SILENT]
        await silent.gone.wait()
        assert silent.refusals() == [Reason.SILENT]
        assert node.transport.stats.timeouts == 2
        await close(node)

    run(main)


def test_a_client_that_does_not_read_is_not_read_any_further_and_then_cut() -> None:
    async def main(loop: VirtualLoop) -> None:
        node, echo = await start()
        stranger = await raw(loop)
        _, there = loop.wires[-1]
        paused: list[bool] = []
        there.pause_reading = lambda: paused.append(True)  # type: ignore[method-assign]
        there.stalled = True
        for number in range(1, 4):
            stranger.send(encode_frame(FRAME_REQUESTS, item(number, bytes(600_000))))
            await asyncio.sleep(0.01)
        assert paused == [True]
        while not stranger.gone.is_set():  # noqa: ASYNC110 - the watch is what is waited for
            await asyncio.sleep(0.5)
        assert node.transport.stats.timeouts == 1
        assert node.transport.stats.clients == 0
        assert len(echo.asked) == 3
        await close(node)

    run(main)


def test_more_in_flight_than_allowed_is_answered_at_once() -> None:
    async def main(loop: VirtualLoop) -> None:
        node, echo = await start(client_in_flight_max=3, client_bytes_max=100)
        client = dialer()
        channel = await client.dial(ADDRESS)
        later = [channel.request(b"later") for _ in range(3)]
        assert await channel.request(b"x") == b"busy"
        echo.answer()
        assert await asyncio.gather(*later) == [b"later"] * 3
        assert await channel.request(b"x") == b"x"
        assert await channel.request(bytes(101)) == b"busy"
        assert node.transport.stats.requests_excess == 2
        await client.close()
        await close(node)

    run(main)


def test_random_damage_ends_in_a_reason_or_in_answers() -> None:
    async def main(loop: VirtualLoop) -> None:
        node, _ = await start(client_frame_bytes_max=4096)
        draw = random.Random(3)
        good = encode_frame(FRAME_REQUESTS, item(1, b"one") + item(2, b"two"))
        for _ in range(60):
            stranger = await raw(loop)
            data = bytearray(good)
            data[draw.randrange(len(data))] ^= 1 << draw.randrange(8)
            stranger.send(bytes(data))
            await asyncio.sleep(0.05)
            if stranger.gone.is_set():
                assert stranger.refusals() == [Reason.BROKEN]
            else:  # a length that grew: it waits for the rest
                assert stranger.wire is not None
                stranger.wire.abort()
        client = dialer()
        assert await (await client.dial(ADDRESS)).request(b"x") == b"x"
        await client.close()
        await close(node)

    run(main)


# --- how it ends -----------------------------------------------------------------------------------------------


def test_a_lost_connection_tells_what_was_sent() -> None:
    async def main(loop: VirtualLoop) -> None:
        node, _ = await start()
        client = dialer()
        channel = await client.dial(ADDRESS)
        here, there = loop.wires[-1]
        sent = channel.request(b"later")
        await asyncio.sleep(0.01)
        here.stalled = True
        here.high = 0
        blocked = channel.request(bytes(100))
        await asyncio.sleep(0.01)
        assert here.paused
        unsent = channel.request(b"x")
        await asyncio.sleep(0.01)
        there.abort()
        for future, was_sent in ((sent, True), (blocked, True), (unsent, False)):
            with pytest.raises(RequestLost) as lost:
                await future
            assert lost.value.sent is was_sent
        assert not channel.is_open
        with pytest.raises(RequestLost) as lost:
            await channel.request(b"x")
        assert not lost.value.sent
        await client.close()
        await close(node)

    run(main)


def test_a_node_that_stops_answers_what_it_has_and_says_so() -> None:
    async def main(loop: VirtualLoop) -> None:
        node, echo = await start()
        client = dialer()
        channel = await client.dial(ADDRESS)
        answered, unanswered = channel.request(b"later 1"), channel.request(b"later 2")
        await asyncio.sleep(0.01)
        caller, id_, data = echo.later[0]
        caller.respond(id_, data)
        await close(node)
        assert await answered == b"later 1"
        with pytest.raises(RequestLost, match="STOPPING"):
            await unanswered
        caller, id_, data = echo.later[1]
        caller.respond(id_, data)  # too late, and harmless
        await client.close()

    run(main)


def test_a_node_that_does_not_answer_pings_is_given_up() -> None:
    async def main(loop: VirtualLoop) -> None:
        node, _ = await start()
        client = dialer(ping_s=0.5, dead_s=2.0)
        channel = await client.dial(ADDRESS)
        await asyncio.sleep(20)
        assert channel.is_open  # idle, and pinged
        _, there = loop.wires[-1]
        there.mute = True
        began = loop.now
        with pytest.raises(RequestLost) as lost:
            await channel.request(b"x")
        assert lost.value.sent
        assert loop.now - began <= 5
        await client.close()
        await close(node)

    run(main)


def test_a_node_that_answers_nonsense_is_left() -> None:
    class Nonsense(asyncio.Protocol):
        def connection_made(self, transport: Any) -> None:
            self.transport = transport

        def data_received(self, data: bytes) -> None:
            if not hasattr(self, "welcomed"):
                self.welcomed = True
                self.transport.write(encode_frame(FRAME_WELCOME, struct.pack("<HQQQQQ", 1, 7, 1, 0, 9, 0)))
            else:
                self.transport.write(encode_items(FRAME_RESPONSES, [(99, b"x")], 100))

    async def main(loop: VirtualLoop) -> None:
        await loop.create_server(Nonsense, *ADDRESS)
        client = dialer()
        channel: TcpChannel = await client.dial(ADDRESS)
        with pytest.raises(RequestLost, match="not in flight"):
            await channel.request(b"x")
        assert client.stats.garbage == 1
        await client.close()

    run(main)


# --- TLS -------------------------------------------------------------------------------------------------------


def names(node: NodeId) -> set[str]:
    return {f"n{node}.test"}


@pytest.mark.parametrize(
    "shown,problem",
    [("app.test", ""), ("n1.test", "CERTIFICATE"), ("other.test", "CERTIFICATE")],
)
def test_with_tls_a_client_is_let_in_by_its_name(tmp_path: Path, shown: str, problem: str) -> None:
    authority = Authority(tmp_path)
    node_tls = PeerTls(*authority.issue("node", "n1.test"), authority.path, names, clients={"app.test"})
    client_tls = PeerTls(*authority.issue("client", shown), authority.path, names)

    async def main() -> None:
        node = await Node(1, 0, {}, options=TcpOptions(tls=node_tls)).start()
        node.transport.serve(Echo())
        client = TcpDialer(7, TcpOptions(tls=client_tls))
        if problem:
            with pytest.raises(PeerRefused) as refused:
                await client.dial(node.transport.address)
            assert refused.value.reason == problem
            assert "not for a client" in str(refused.value)
        else:
            channel = await client.dial(node.transport.address)
            assert await channel.request(bytes(1 << 20)) == bytes(1 << 20)
        await client.close()
        await close(node)

    asyncio.run(asyncio.wait_for(main(), 30))


def test_with_tls_a_node_is_believed_only_with_its_own_certificate(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    node_tls = PeerTls(*authority.issue("node", "n2.test"), authority.path, names, clients={"app.test"})
    client_tls = PeerTls(*authority.issue("client", "app.test"), authority.path, names)

    async def main() -> None:
        node = await Node(1, 0, {}, options=TcpOptions(tls=node_tls)).start()
        node.transport.serve(Echo())
        client = TcpDialer(7, TcpOptions(tls=client_tls))
        with pytest.raises(PeerRefused, match="not for node 1"):
            await client.dial(node.transport.address)
        await client.close()
        await close(node)

    asyncio.run(asyncio.wait_for(main(), 30))


def test_without_names_of_clients_none_is_let_in(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    assert PeerTls(*authority.issue("node", "n1.test"), authority.path, names).find_client_problem(
        {"subjectAltName": (("DNS", "n1.test"),)}
    )


# --- bytes -----------------------------------------------------------------------------------------------------


@given(st.lists(st.tuples(st.integers(0, (1 << 64) - 1), st.binary(max_size=40)), min_size=1), st.integers(52, 200))
def test_items_arrive_whatever_the_limit(items: list[Item], limit: int) -> None:
    data = encode_items(FRAME_REQUESTS, items, limit)
    reader = FrameReader(limit)
    buf, frames = reader.feed(data)
    assert not reader.waiting
    assert [found for _, start, stop in frames for found in decode_items(buf, start, stop)] == items


@given(st.binary(max_size=60))
def test_any_bytes_are_items_or_refused(data: bytes) -> None:
    try:
        items = decode_items(data, 0, len(data))
    except DecodeError:
        return
    assert encode_items(FRAME_REQUESTS, items, 1 << 20)[HEADER_BYTES:] == data


def test_the_bytes_of_version_1_stay() -> None:
    assert (
        encode_items(FRAME_REQUESTS, [(1, b"ab"), (2, b"")], 1 << 20)[HEADER_BYTES:].hex()
        == "0100000000000000" + "02000000" + "6162" + "0200000000000000" + "00000000"
    )
