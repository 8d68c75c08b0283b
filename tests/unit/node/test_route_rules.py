"""A caller's way among nodes that mislead it: they name each other for ever, or answer with garbage."""

import asyncio
from collections.abc import Callable

import pytest

from raftly.base.rand import SplitMix64
from raftly.errors import NotLeader
from raftly.node.requests import (
    AskStatus,
    Call,
    GroupStatus,
    MemberStatus,
    Value,
    decode_request,
    encode_not_leader,
    encode_result,
)
from raftly.node.route import Effect, Route, RouteOptions
from raftly.transport.options import Address
from tests.support.virtual import run

ONE, TWO = ("one", 1), ("two", 2)
THREE = GroupStatus(3, 0, 1, 9, [MemberStatus(id_, "voter", f"member{id_}", id_) for id_ in (3, 4, 5)])
Answer = Callable[[Address], bytes]


class Line:
    """A connection to a node that answers at once."""

    def __init__(self, network: "Misleading", address: Address) -> None:
        self.network = network
        self.address = address
        self.node_id = 0
        self.in_flight = 0
        self.heard_at = 0.0
        self.is_open = True

    def request(self, data: bytes) -> asyncio.Future[bytes]:
        future = asyncio.get_running_loop().create_future()
        _, request = decode_request(data)
        if isinstance(request, AskStatus):
            future.cancel()
            return future
        self.network.asked.append(self.address)
        assert len(self.network.asked) < 1000, "it runs in a circle"
        future.set_result(self.network.answer(self.address))
        return future

    def close(self) -> None:
        self.is_open = False


class Misleading:
    """Dials nodes that answer what the test wants."""

    def __init__(self, answer: Answer) -> None:
        self.request_bytes_max = 1 << 20
        self.answer = answer
        self.asked: list[Address] = []
        self.lines: list[Line] = []

    async def dial(self, address: Address) -> Line:
        line = Line(self, address)
        self.lines.append(line)
        return line

    async def close(self) -> None: ...

    def route(self) -> Route:
        return Route(self, [ONE, TWO], {}, RouteOptions(), SplitMix64(1))


def test_nodes_that_name_each_other_are_asked_at_a_measured_pace() -> None:
    async def main() -> None:
        network = Misleading(lambda at: encode_not_leader(2, TWO) if at == ONE else encode_not_leader(1, ONE))
        with pytest.raises(NotLeader):
            await network.route().ask(Call(b""), 2.0, Effect.EACH_TIME)
        # A pause of a quarter of a second at most after every four: enough to hear of a new leader soon.
        assert 8 <= len(network.asked) <= 100

    run(main())


def test_a_connection_that_gave_garbage_is_not_used_again() -> None:
    async def main() -> None:
        answers = iter([b"\xff garbage", encode_result(7)])
        network = Misleading(lambda _: next(answers))
        answer = await network.route().ask(Call(b"", 1, 1, 1), 2.0, Effect.ONCE)
        assert isinstance(answer, Value)
        assert answer.value == 7
        assert [line.is_open for line in network.lines] == [False, True]

    run(main())


def test_members_are_asked_before_the_addresses_that_were_given() -> None:
    """Those may be of nodes that are long gone, each of which costs a caller a second of silence."""

    async def main() -> None:
        network = Misleading(lambda _: encode_not_leader(0, None))
        route = network.route()
        route.learn(THREE)
        with pytest.raises(NotLeader):
            await route.ask(Call(b""), 2.0, Effect.EACH_TIME)
        assert sorted(network.asked[:3]) == [(one.host, one.port) for one in THREE.members]
        assert sorted(network.asked[3:5]) == [ONE, TWO]

    run(main())


def test_what_is_learnt_again_leaves_the_turn_where_it_is() -> None:
    async def main() -> None:
        route = Misleading(lambda _: encode_not_leader(0, None)).route()
        route.learn(THREE)
        known = route.addresses
        for _ in range(20):
            route.learn(THREE)
            assert route.addresses == known

    run(main())
