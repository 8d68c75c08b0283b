"""What a node does with requests: typed answers to everything, and nothing from outside ends it."""

from __future__ import annotations

import asyncio
import gc
import random
import warnings
from typing import Any

import pytest

from raftly.base.types import Entry, EntryType
from raftly.core.messages import MsgProp
from raftly.errors import DecodeError, LimitExceeded, RaftlyError
from raftly.node import LOCAL, STRONG, command, query
from raftly.node.commands import call_payload, clock_payload, open_payload
from raftly.node.errors import Busy, NodeStopped, RemoteFailed, UnknownCommand, ValueTypeError
from raftly.node.machine import StateMachine
from raftly.node.requests import (
    Admin,
    AskStatus,
    Call,
    NotLeading,
    Open,
    Query,
    Request,
    Response,
    Value,
    decode_response,
    encode_request,
)
from raftly.node.service import Service, ServiceLimits
from raftly.transport.exchange import Item
from raftly.transport.memory_client import memory_address
from tests.support.nodes import Nodes, Register, Taken
from tests.support.virtual import run

ERRORS: dict[str, type[Exception]] = {"Taken": Taken}


class FakeCaller:
    """Sends requests, keeps responses. Each is answered exactly once."""

    def __init__(self, service: Service) -> None:
        self.service = service
        self.in_flight_max = 7
        self.response_bytes_max = 1 << 20
        self.waiting: dict[int, asyncio.Future[bytes]] = {}
        self.next = 1

    def respond(self, id: int, data: bytes) -> None:
        self.waiting.pop(id).set_result(data)

    def send(self, data: bytes) -> tuple[Item, asyncio.Future[bytes]]:
        future = self.waiting[self.next] = asyncio.get_running_loop().create_future()
        self.next += 1
        return (self.next - 1, data), future

    async def bytes_of(self, data: bytes) -> Response:
        item, future = self.send(data)
        self.service.on_requests(self, [item])
        return decode_response(await future, ERRORS)

    async def ask(self, request: Request, within: float = 5.0) -> Response:
        return await self.bytes_of(encode_request(request, within))


def encoded(name: str, *args: object) -> bytes:
    return StateMachine(Register).encode(name, args, {})


async def caller_of(nodes: Nodes, id_: int | None = None, **limits: Any) -> FakeCaller:
    node = await nodes.leader() if id_ is None else nodes.nodes[id_]
    return FakeCaller(Service(node, address_of=memory_address, limits=ServiceLimits(**limits)))


def test_a_turn_of_calls_is_one_batch_and_each_has_its_answer() -> None:
    async def main() -> None:
        async with Nodes() as nodes:
            caller = await caller_of(nodes)
            leader = await nodes.leader()
            before = leader.machine.applied
            sent = [caller.send(encode_request(Call(encoded("add", "a", 1)), 5.0)) for _ in range(10)]
            caller.service.on_requests(caller, [item for item, _ in sent])
            assert len(leader._group.proposals) == 10
            answers = [decode_response(await future, ERRORS) for _, future in sent]
            assert answers == [Value(number) for number in range(1, 11)]
            assert leader.machine.applied == before + 10

    run(main())


def test_what_is_cancelled_before_it_begins_leaves_no_coroutine_behind() -> None:
    """Found by a process that died in the middle of a turn (simulator, profile storm)."""

    async def main() -> None:
        async with Nodes() as nodes:
            caller = await caller_of(nodes)
            wants: list[Request] = [
                Admin("remove", (9,)),
                Query(LOCAL, "get", ("a",)),
                Query(LOCAL, "get", ("a",), 1 << 40),
            ]
            for want in wants:
                item, _ = caller.send(encode_request(want, 5.0))
                caller.service.on_requests(caller, [item])
            assert len(caller.service._tasks) == len(wants)
            with warnings.catch_warnings(record=True) as warned:
                warnings.simplefilter("always")
                for task in list(caller.service._tasks):
                    task.cancel()
                await asyncio.sleep(0.1)
                gc.collect()
            assert not warned

    run(main())


def test_a_follower_names_the_leader_and_its_address() -> None:
    async def main() -> None:
        async with Nodes() as nodes:
            leader = await nodes.leader()
            follower = nodes.others(leader)[0].config.id
            caller = await caller_of(nodes, follower)
            expected = NotLeading(leader.config.id, memory_address(leader.config.id))
            assert await caller.ask(Call(encoded("add", "a", 1))) == expected
            assert await caller.ask(Open(1_000_000, 5)) == expected
            assert await caller.ask(Query(STRONG, "get", ("a",))) == expected
            assert await caller.ask(Admin("remove", (follower,))) == expected
            local = await caller.ask(Query(LOCAL, "get", ("a",)))
            assert isinstance(local, Value)
            status = await caller.ask(AskStatus())
            assert isinstance(status, Value)

    run(main())


@pytest.mark.parametrize(
    "request_,error",
    [
        (Call(b""), DecodeError),
        (Call(b"\x01\x00\x03add"), (DecodeError, ValueTypeError)),
        (Call(b"\x01\x00\x09add"), DecodeError),
        (Call(b"\x01\x00\x03ad\xff\x08\x00"), DecodeError),
        (Call(b"\x01\x00\x03add\x08\x02\x05\x01a\x05\x01b"), ValueTypeError),
        (Call(b"\x01\x00\x03add\x08\x01\x05\x01a"), ValueTypeError),
        (Call(b"\x01\x00\x03get\x08\x01\x05\x01a"), UnknownCommand),
        (Call(b"\x02\x00\x03add\x08\x02\x05\x01a\x03\x01\x01"), UnknownCommand),  # a newer schema
        (Call(b"\x01\x00\x04stop\x08\x00"), UnknownCommand),
        (Query(STRONG, "set", ("a", 1)), UnknownCommand),
        (Query(STRONG, "__init__", ()), UnknownCommand),
        (Query(STRONG, "get", ()), ValueTypeError),
        (Query(LOCAL, "get", (1,)), ValueTypeError),
        (Query(LOCAL, "get", ("a", "b")), ValueTypeError),
        (Open(0, 5), LimitExceeded),
        (Open((1 << 64) - 1, 5), LimitExceeded),
        (Admin("stop", ()), UnknownCommand),
        (Admin("remove", ("x",)), ValueTypeError),
        (Admin("remove", ()), ValueTypeError),
        (Admin("remove", (1, 2, 3)), ValueTypeError),
        (Admin("remove", (0,)), ValueTypeError),
        (Admin("add", (4, ("host", 1, 2))), ValueTypeError),
        (Admin("remove", (1,), {"within": True}), ValueTypeError),
        (Admin("remove", ("x" * 3_000_000,)), ValueTypeError),
        (Admin("remove", (1 << 100_000,)), ValueTypeError),
    ],
)
def test_a_wrong_request_is_told_what_is_wrong_and_enters_no_log(
    request_: Request, error: type[RaftlyError] | tuple[type[RaftlyError], ...]
) -> None:
    async def main() -> None:
        async with Nodes() as nodes:
            leader = await nodes.leader()
            caller = await caller_of(nodes)
            await leader.fresh()
            last = leader.machine.applied
            heard = await caller.ask(request_)
            assert isinstance(heard, error), heard
            assert "Traceback" not in str(heard)
            await asyncio.sleep(1)
            assert leader.machine.applied == last
            assert await caller.ask(Call(encoded("add", "a", 1))) == Value(1)

    run(main())


def test_hostile_bytes_are_answered_and_end_nobody() -> None:
    async def main() -> None:
        async with Nodes() as nodes:
            caller = await caller_of(nodes)
            draw = random.Random(7)
            good = [
                encode_request(request, 0.5)
                for request in (
                    Call(encoded("add", "a", 1)),
                    Call(encoded("set", "b", 1), 1, 1, 1),
                    Query(STRONG, "get", ("a",)),
                    Query(LOCAL, "get", ("a",)),
                    Open(1_000_000, 4),
                )
            ]
            waiting = []
            for _ in range(3000):
                data = bytearray(draw.choice(good))
                for _ in range(draw.randint(1, 3)):
                    data[draw.randrange(len(data))] = draw.randrange(256)
                item, future = caller.send(bytes(data[: draw.randint(1, len(data))]))
                caller.service.on_requests(caller, [item])
                waiting.append(future)
            for future in waiting:
                decode_response(await future, ERRORS)
            assert all(node.failure is None for node in nodes.nodes.values())
            await nodes.equal()

    run(main())


def test_what_a_peer_passes_on_is_looked_at_before_it_enters_the_log() -> None:
    async def main() -> None:
        async with Nodes() as nodes:
            leader = await nodes.leader()
            peer = nodes.others(leader)[0].config.id
            await leader.call(Register.set, "a", 1)
            bad = [
                b"x",
                bytes(10),
                b"\x02" + bytes(20),
                b"\x01\x07" + bytes(8),
                call_payload(0, 0, 0, 0, b"\x01\x00\x04stop\x08\x00"),
                call_payload(0, 0, 0, 0, b"\x02\x00\x03set\x08\x00"),
                call_payload(0, 0, 0, 0, b"\x01\x00\xffset"),
                call_payload(0, 0, 0, 0, b"\x01\x00\x03set\x08\x00"),  # without its arguments
                open_payload(0, 1, 1)[:-1],
            ]
            for payload in bad:
                prop = MsgProp(leader.config.id, peer, 0, [Entry(data=payload), Entry(data=clock_payload(0))])
                leader._driver._receive(peer, [(1, [prop])])
            change = MsgProp(leader.config.id, peer, 0, [Entry(0, 0, EntryType.CONF_CHANGE_V2, b"\xff\xff")])
            leader._driver._receive(peer, [(1, [change])])
            await asyncio.sleep(1)
            assert leader._driver.peer_errors == len(bad) + 1
            assert all(node.failure is None for node in nodes.nodes.values())
            assert await leader.call(Register.add, "a", 1) == 2
            await nodes.equal()

    run(main())


def test_sessions_and_what_they_keep_are_bounded() -> None:
    async def main() -> None:
        async with Nodes() as nodes:
            caller = await caller_of(nodes, sessions=2, replies=3)
            first = await caller.ask(Open(1_000_000_000, 1))
            await caller.ask(Open(1_000_000_000, 2))
            third = await caller.ask(Open(1_000_000_000, 3))
            assert isinstance(third, Busy)
            assert third.limit == "sessions"
            assert isinstance(first, Value)
            assert isinstance(first.value, int)
            add = encoded("add", "a", 1)
            for number in range(1, 4):
                assert await caller.ask(Call(add, first.value, number, 1)) == Value(number)
            hoarding = await caller.ask(Call(add, first.value, 4, 1))
            assert isinstance(hoarding, Busy)
            assert hoarding.limit == "replies_kept"
            assert await caller.ask(Call(add, first.value, 2, 1)) == Value(2)  # asked again
            assert await caller.ask(Call(add, first.value, 4, 4)) == Value(4)
            last = (1 << 64) - 1
            assert await caller.ask(Call(add, first.value, last, last)) == Value(5)
            leader = await nodes.leader()
            assert list(leader.machine.sessions[first.value].replies) == [last]
            await nodes.equal()

    run(main())


def test_too_large_an_answer_is_no_answer_but_says_so() -> None:
    async def main() -> None:
        async with Nodes() as nodes:
            caller = await caller_of(nodes)
            caller.response_bytes_max = 3
            await caller.ask(Call(encoded("set", "a", 1)))
            large = await caller.ask(Call(encoded("add", "a", 1 << 100)))
            assert isinstance(large, LimitExceeded)
            assert large.limit == "response_bytes"
            assert (await nodes.leader()).look(Register.get, "a") == (1 << 100) + 1  # applied, as documented

    run(main())


def test_excess_is_answered_at_once() -> None:
    async def main() -> None:
        async with Nodes() as nodes:
            caller = await caller_of(nodes)
            item, future = caller.send(b"whatever")
            caller.service.on_excess(caller, [item])
            heard = decode_response(await future, ERRORS)
            assert heard == Busy("requests_in_flight", 8, 7)

    run(main())


class Unspeakable(Exception):
    def __repr__(self) -> str:
        raise ValueError


class Odd:
    value: int = 0

    @command
    def set(self, value: int) -> int:
        self.value = value
        return value

    @query
    def broken(self) -> int:
        return self.value // 0

    @query
    def worse(self) -> int:
        raise Unspeakable


def test_a_query_with_a_bug_harms_its_caller_alone() -> None:
    async def main() -> None:
        async with Nodes(1) as nodes:
            node = await nodes.leader()
            node.machine = StateMachine(Odd)  # type: ignore[arg-type]
            caller = FakeCaller(Service(node))
            await node.fresh()
            for read in (STRONG, LOCAL):
                heard = await caller.ask(Query(read, "broken", ()))
                assert isinstance(heard, RemoteFailed)
                assert "ZeroDivisionError" in str(heard)
                assert "Traceback" not in str(heard)
            worse = await caller.ask(Query(LOCAL, "worse", ()))
            assert isinstance(worse, RemoteFailed)
            assert "Unspeakable" in str(worse)
            assert node.failure is None

    run(main())


def test_a_stopped_or_failed_node_sends_its_callers_elsewhere() -> None:
    async def main() -> None:
        async with Nodes() as nodes:
            leader = await nodes.leader()
            caller = await caller_of(nodes)
            bug = await caller.ask(Call(encoded("bug")))  # ends every replica
            assert not isinstance(bug, Value)
            for request in (Call(encoded("add", "a", 1)), Query(STRONG, "get", ("a",)), Open(1_000_000, 3)):
                heard = await caller.ask(request)
                assert isinstance(heard, NodeStopped)
                assert "failed" in str(heard)
            await leader.stop()

    run(main())
