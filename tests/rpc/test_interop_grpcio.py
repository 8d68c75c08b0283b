"""gRPC's interoperability cases, client first: raftly to raftly, grpcio to raftly, raftly to grpcio.

Case names are those of grpc/grpc doc/interop-test-descriptions.md.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from tests.rpc.parties import DETAILS, INITIAL, PARTIES, TRAILING, Outcome, Seen, run
from tests.rpc.protos.echo_pb2 import EchoRequest

Call = Callable[..., Awaitable[Outcome]]

SPECIAL = "\t\ntest with whitespace\r\nand Unicode BMP ☺ and non-BMP \U0001f608\t\n"
METADATA = ((INITIAL, "test_initial_metadata_value"), (TRAILING, b"\xab\xab\xab"))


@pytest.fixture(params=sorted(PARTIES))
def case(request: pytest.FixtureRequest) -> Callable[[Callable[[Call, Seen], Awaitable[Any]]], Any]:
    serve, connect = PARTIES[request.param]

    def play(body: Callable[[Call, Seen], Awaitable[Any]]) -> Any:
        async def main() -> Any:
            seen = Seen()
            async with serve(seen) as port, connect(port) as client:
                return await body(client.call, seen)

        return run(main())

    return play


def test_empty_unary(case: Any) -> None:
    async def body(call: Call, seen: Seen) -> None:
        outcome = await call("Unary", [EchoRequest()])
        assert (outcome.status, outcome.replies) == (0, [b""])

    case(body)


def test_large_unary(case: Any) -> None:
    async def body(call: Call, seen: Seen) -> None:
        outcome = await call("Unary", [EchoRequest(payload=bytes(271_828), reply_bytes=314_159)])
        assert (outcome.status, [len(reply) for reply in outcome.replies]) == (0, [314_159])

    case(body)


def test_message_over_many_windows(case: Any) -> None:
    async def body(call: Call, seen: Seen) -> None:
        payload = bytes(range(256)) * 14_000  # 3.5 MB, several times every window
        outcome = await call("Unary", [EchoRequest(payload=payload)])
        assert (outcome.status, outcome.replies) == (0, [payload])

    case(body)


def test_client_streaming(case: Any) -> None:
    async def body(call: Call, seen: Seen) -> None:
        sizes = (27_182, 8, 1_828, 45_904)
        outcome = await call("ClientStream", [EchoRequest(payload=bytes(size)) for size in sizes])
        assert (outcome.status, outcome.replies) == (0, [b"74922"])

    case(body)


def test_server_streaming(case: Any) -> None:
    async def body(call: Call, seen: Seen) -> None:
        outcome = await call("ServerStream", [EchoRequest(replies=40, reply_bytes=58_979)])
        assert (outcome.status, [len(reply) for reply in outcome.replies]) == (0, [58_979] * 40)

    case(body)


def test_ping_pong(case: Any) -> None:
    async def body(call: Call, seen: Seen) -> None:
        sizes = ((31_415, 27_182), (9, 8), (2_653, 1_828), (58_979, 45_904))
        requests = [EchoRequest(reply_bytes=reply, payload=bytes(payload)) for reply, payload in sizes]
        outcome = await call("Bidi", requests, ping_pong=True)
        assert (outcome.status, [len(reply) for reply in outcome.replies]) == (0, [reply for reply, _ in sizes])

    case(body)


def test_full_duplex_without_waiting(case: Any) -> None:
    async def body(call: Call, seen: Seen) -> None:
        requests = [EchoRequest(payload=b"%d" % number * 50) for number in range(500)]
        outcome = await call("Bidi", requests)
        assert (outcome.status, outcome.replies) == (0, [request.payload for request in requests])

    case(body)


@pytest.mark.parametrize("method", ["Bidi", "ClientStream"])
def test_empty_stream(case: Any, method: str) -> None:
    async def body(call: Call, seen: Seen) -> None:
        outcome = await call(method, [])
        assert outcome.status == 0
        assert outcome.replies == ([] if method == "Bidi" else [b"0"])

    case(body)


def test_client_compressed_unary(case: Any) -> None:
    async def body(call: Call, seen: Seen) -> None:
        payload = b"abc" * 90_000
        outcome = await call("Unary", [EchoRequest(payload=payload)], compress=True)
        assert (outcome.status, outcome.replies) == (0, [payload])

    case(body)


def test_server_compressed_unary(case: Any) -> None:
    async def body(call: Call, seen: Seen) -> None:
        outcome = await call("Unary", [EchoRequest(message="gzip", reply_bytes=314_159)])
        assert (outcome.status, outcome.replies) == (0, [bytes(314_159)])

    case(body)


def test_status_code_and_message(case: Any) -> None:
    async def body(call: Call, seen: Seen) -> None:
        for method in ("Unary", "Bidi", "ServerStream"):
            outcome = await call(method, [EchoRequest(status=2, message="test status message")])
            assert (outcome.status, outcome.message, outcome.replies) == (2, "test status message", [])

    case(body)


def test_every_status_code(case: Any) -> None:
    async def body(call: Call, seen: Seen) -> None:
        for status in range(1, 17):
            assert (await call("Unary", [EchoRequest(status=status, message=f"no {status}")])).status == status

    case(body)


def test_special_status_message(case: Any) -> None:
    async def body(call: Call, seen: Seen) -> None:
        outcome = await call("Unary", [EchoRequest(status=2, message=SPECIAL)])
        assert (outcome.status, outcome.message) == (2, SPECIAL)

    case(body)


def test_status_details(case: Any) -> None:
    async def body(call: Call, seen: Seen) -> None:
        outcome = await call("Unary", [EchoRequest(status=5, message="details")])
        assert (outcome.status, outcome.details) == (5, DETAILS)

    case(body)


def test_status_after_messages(case: Any) -> None:
    async def body(call: Call, seen: Seen) -> None:
        outcome = await call("ServerStream", [EchoRequest(replies=3, reply_bytes=7, status=15, message="lost")])
        assert (outcome.status, outcome.message, outcome.replies) == (15, "lost", [bytes(7)] * 3)

    case(body)


@pytest.mark.parametrize("method", ["raftly.test.Echo/Unimplemented", "raftly.test.Unimplemented/Unary"])
def test_unimplemented(case: Any, method: str) -> None:
    async def body(call: Call, seen: Seen) -> None:
        assert (await call(method, [EchoRequest()])).status == 12

    case(body)


@pytest.mark.parametrize("method", ["Unary", "Bidi"])
def test_custom_metadata(case: Any, method: str) -> None:
    async def body(call: Call, seen: Seen) -> None:
        outcome = await call(method, [EchoRequest(payload=b"x")], metadata=METADATA)
        assert (outcome.status, outcome.initial, outcome.trailing) == (0, METADATA[:1], METADATA[1:])

    case(body)


def test_metadata_with_a_failure(case: Any) -> None:
    async def body(call: Call, seen: Seen) -> None:
        outcome = await call("Unary", [EchoRequest(status=9, message="no")], metadata=METADATA)
        assert (outcome.status, outcome.trailing) == (9, METADATA[1:])

    case(body)


def test_cancel_after_begin(case: Any) -> None:
    async def body(call: Call, seen: Seen) -> None:
        outcome = await call("ClientStream", [EchoRequest(payload=b"x")], cancel_after=0)
        assert outcome.status == 1

    case(body)


def test_cancel_after_first_response(case: Any) -> None:
    async def body(call: Call, seen: Seen) -> None:
        requests = [EchoRequest(reply_bytes=31_415, payload=bytes(27_182))] * 2
        outcome = await call("Bidi", requests, ping_pong=True, cancel_after=1)
        assert (outcome.status, len(outcome.replies)) == (1, 1)
        await seen.cancelled.wait()  # it reached the handler

    case(body)


def test_timeout_on_sleeping_server(case: Any) -> None:
    async def body(call: Call, seen: Seen) -> None:
        outcome = await call("Unary", [EchoRequest(wait_ms=60_000)], timeout_s=0.2)
        assert outcome.status == 4
        await seen.cancelled.wait()
        assert seen.time_left is not None
        assert 0 < seen.time_left <= 0.2

    case(body)


def test_many_calls_at_once(case: Any) -> None:
    async def body(call: Call, seen: Seen) -> None:
        payloads = [b"%d" % number * 40 for number in range(200)]
        outcomes = await asyncio.gather(*(call("Unary", [EchoRequest(payload=payload)]) for payload in payloads))
        assert [outcome.replies for outcome in outcomes] == [[payload] for payload in payloads]

    case(body)
