"""What a handler raises becomes the answer; admission, deadlines and counts."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from raftly.base.region_errors import NotRegionLeader
from raftly.errors import DecodeError, DiskFull, LimitExceeded, OutcomeUnknown, RaftlyError, SyncFailed
from raftly.proto import kvrpcpb_pb2 as pb
from raftly.rpc import RpcError, StatusCode
from raftly.server.commands import Command, Commands, Handler, InvalidRequest, refusal
from tests.unit.server.parts import FAR, run


def command(commands: Commands, handler: Handler, response: Any = pb.RawPutResponse) -> Command:
    return Command("RawPut", None, response, handler, commands.counts.command("raw_put"))


def outcome(error: BaseException, response: Any = pb.RawPutResponse) -> tuple[Any, Commands]:
    commands = Commands(store_id=3)

    async def fails(_request: Any, _deadline: float) -> Any:
        raise error

    return run(commands.run(command(commands, fails, response), None, FAR)), commands


@pytest.mark.parametrize(
    "error,field",
    [(NotRegionLeader(1), "not_leader"), (OutcomeUnknown(), "undetermined_result"), (DiskFull(), "disk_full")],
)
def test_what_the_region_says_is_a_region_error(error: RaftlyError, field: str) -> None:
    response, commands = outcome(error)
    assert response.region_error.HasField(field)
    assert not response.error
    assert commands.counts.region_errors == {error.code: 1}
    assert commands.counts.command("raw_put").failed == 0


@pytest.mark.parametrize("error", [InvalidRequest("no"), LimitExceeded("key_bytes", 9, 8)])
def test_what_is_wrong_with_a_request_is_its_error(error: RaftlyError) -> None:
    response, _ = outcome(error)
    assert response.error == str(error)
    assert not response.HasField("region_error")


@pytest.mark.parametrize(
    "error,status",
    [(InvalidRequest("no"), StatusCode.INVALID_ARGUMENT), (DecodeError("v", 0, "p"), StatusCode.DATA_LOSS)],
)
def test_an_answer_without_a_place_for_errors_fails(error: RaftlyError, status: StatusCode) -> None:
    with pytest.raises(RpcError) as caught:
        outcome(error, pb.RawScanResponse)
    assert caught.value.status is status
    assert caught.value.message == str(error)


def test_other_errors_come_out_and_are_counted() -> None:
    commands = Commands()

    async def fails(_request: Any, _deadline: float) -> Any:
        raise SyncFailed

    with pytest.raises(SyncFailed):
        run(commands.run(command(commands, fails), None, FAR))
    assert commands.counts.command("raw_put").failed == 1
    assert commands.counts.in_flight == 0


def test_refusals_of_all_forms() -> None:
    assert refusal(pb.RawPutResponse, "t").error == "t"
    assert refusal(pb.GetResponse, "t").error.abort == "t"
    assert refusal(pb.PrewriteResponse, "t").errors[0].abort == "t"
    assert refusal(pb.RawScanResponse, "t") is None


def test_past_the_limit_the_server_is_busy_and_before_it_is_not() -> None:
    async def body() -> None:
        commands = Commands(in_flight_max=2)
        gate = asyncio.Event()

        async def waits(_request: Any, _deadline: float) -> Any:
            await gate.wait()
            return pb.RawPutResponse()

        put = command(commands, waits)
        first = [asyncio.ensure_future(commands.run(put, None, FAR)) for _ in range(2)]
        await asyncio.sleep(0)
        assert (await commands.run(put, None, FAR)).region_error.server_is_busy.reason == "2 commands are in flight"
        assert commands.counts.in_flight == 2
        gate.set()
        assert await asyncio.gather(*first) == [pb.RawPutResponse()] * 2
        assert commands.counts.in_flight == 0
        assert (await commands.run(put, None, FAR)) == pb.RawPutResponse()
        assert sum(put.counts.seconds.counts) == 4

    run(body())


def test_a_deadline_is_kept_and_none_is_far_off() -> None:
    async def body() -> None:
        commands = Commands(seconds_max=10.0)
        told: list[float] = []

        async def notes(_request: Any, deadline: float) -> Any:
            told.append(deadline - now)

        now = asyncio.get_running_loop().time()
        for deadline in (now + 3, now + 30, None):
            await commands.run(command(commands, notes), None, deadline)
        assert told[0] == pytest.approx(3)
        assert told[1:] == pytest.approx([10, 10], abs=5)
        assert all(seconds >= 10 for seconds in told[1:])

    run(body())
