"""What a command raises becomes its answer; admission, deadlines and counts."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from raftly.base.region import Peer
from raftly.base.region_errors import NotRegionLeader, StaleCommand
from raftly.errors import DecodeError, DiskFull, LimitExceeded, OutcomeUnknown, RaftlyError, SyncFailed
from raftly.node.group import Waiter
from raftly.proto import kvrpcpb_pb2 as pb
from raftly.proto.tikvpb_pb2 import BatchCommandsEmptyResponse
from raftly.rpc import Later, RpcError, StatusCode
from raftly.rpc.later import settled
from raftly.server.commands import Command, Commands, InvalidRequest, Write, refusal
from raftly.server.contexts import Contexts
from raftly.store.ops import Put
from tests.unit.server.parts import CONTEXT, FAR, Fake, run, until

WRITE = Write(Contexts().of(CONTEXT), [Put("default", b"k", b"v")])
FORMS = ["read", "plan", "write"]  # where it fails: reading, planning a write, or writing


class Party:
    """A command on a backend that does as it is told."""

    def __init__(
        self, form: str = "write", error: Exception | None = None, response: Any = None, **limits: Any
    ) -> None:
        self.backend = Fake()
        self.commands = Commands(self.backend, store_id=3, **limits)
        self.deadlines: list[float] = []
        self.error = error
        counts = self.commands.counts.command("raw_put")
        if form == "read":
            self.command = Command("RawPut", None, response or pb.RawPutResponse, counts, read=self._read)
        else:
            self.command = Command("RawPut", None, response or pb.RawPutResponse, counts, plan=self._plan)
        if form == "write":
            self.error = None
            self.backend.is_prompt = error is None
            self.fails = error
        self.form = form

    async def _read(self, _request: Any, deadline: float) -> Any:
        self.deadlines.append(deadline)
        if self.error is not None:
            raise self.error
        return pb.RawPutResponse()

    def _plan(self, _request: Any) -> Write:
        if self.error is not None:
            raise self.error
        return WRITE

    async def outcome(self, deadline: float | None = FAR) -> Any:
        begun = self.commands.begin(self.command, None, deadline)
        if self.form == "write" and self.fails is not None:
            self.backend.writing[-1].set_exception(self.fails)
        return await settled(begun)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize(
    "error,field",
    [
        (NotRegionLeader(1, Peer(7, 2)), "not_leader"),
        (OutcomeUnknown(), "undetermined_result"),
        (DiskFull(), "disk_full"),
    ],
)
def test_what_the_region_says_is_a_region_error(form: str, error: RaftlyError, field: str) -> None:
    async def body() -> None:
        party = Party(form, error)
        response = await party.outcome()
        assert response.region_error.HasField(field)
        assert not response.error
        assert party.commands.counts.region_errors == {error.code: 1}
        assert party.command.counts.failed == party.commands.counts.in_flight == 0
        assert sum(party.command.counts.seconds.counts) == 1

    run(body())


@pytest.mark.parametrize("form", ["read", "write"])
@pytest.mark.parametrize("leader", [None, Peer(7, 2)])
def test_where_nobody_leads_a_command_waits_a_little(
    form: str, leader: Peer | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("raftly.server.commands._LEADERLESS_S", 30.0)
    monkeypatch.setattr("raftly.server.commands._LEADERLESS_PAUSE_S", 0.001)

    async def body() -> None:
        errors = [NotRegionLeader(1), NotRegionLeader(1), *([NotRegionLeader(1, leader)] if leader else [])]

        class Backend(Fake):
            def submit(self, ctx: Any, ops: Any, deadline: float, waiter: Waiter) -> None:
                if errors:
                    raise errors.pop(0)
                super().submit(ctx, ops, deadline, waiter)

        async def read(_request: Any, deadline: float) -> Any:
            await backend.write(WRITE.ctx, WRITE.ops, deadline)
            return pb.RawPutResponse()

        backend = Backend()
        commands = Commands(backend)
        how = {"read": read} if form == "read" else {"plan": lambda _: WRITE}
        command = Command("", None, pb.RawPutResponse, commands.counts.command("c"), **how)
        response = await settled(commands.begin(command, None, None))
        assert not errors
        assert response.HasField("region_error") == (leader is not None)
        assert response.region_error.not_leader.leader.id == (7 if leader else 0)

    run(body())


@pytest.mark.parametrize("error", [NotRegionLeader(1, Peer(7, 2)), OutcomeUnknown(), StaleCommand()])
def test_a_write_that_was_begun_is_not_begun_again(error: Exception) -> None:
    async def body() -> None:
        party = Party("write", error)
        assert (await party.outcome()).HasField("region_error")
        assert len(party.backend.written) == 1

    run(body())


@pytest.mark.parametrize("refusals", [1, 3])
def test_a_write_that_a_transfer_of_leadership_refused_is_done_once_somebody_leads(
    refusals: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("raftly.server.commands._LEADERLESS_S", 30.0)
    monkeypatch.setattr("raftly.server.commands._LEADERLESS_PAUSE_S", 0.001)

    async def body() -> None:
        party = Party("write", NotRegionLeader(1))
        backend = party.backend

        def begun(count: int) -> Callable[[], bool]:
            return lambda: len(backend.writing) == count

        answer = asyncio.ensure_future(settled(party.commands.begin(party.command, None, None)))
        for count in range(1, refusals + 1):
            await until(begun(count))
            assert party.commands.counts.in_flight == 1
            backend.writing[-1].set_exception(NotRegionLeader(1))
        await until(begun(refusals + 1))
        backend.finish()
        assert not (await answer).HasField("region_error")
        assert party.commands.counts.in_flight == 0
        assert sum(party.command.counts.seconds.counts) == 1

    run(body())


def test_where_nobody_leads_for_long_the_client_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("raftly.server.commands._LEADERLESS_S", 0.2)
    monkeypatch.setattr("raftly.server.commands._LEADERLESS_PAUSE_S", 0.001)

    async def body() -> None:
        for deadline in (None, asyncio.get_running_loop().time()):
            party = Party("write")
            party.backend.error = NotRegionLeader(1)
            response = await party.outcome(deadline)
            assert response.region_error.HasField("not_leader")
            assert (len(party.backend.asked) > 1) == (deadline is None)
            assert party.commands.counts.region_errors == {"not_leader": 1}

    run(body())


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("error", [InvalidRequest("no"), LimitExceeded("key_bytes", 9, 8)])
def test_what_is_wrong_with_a_request_is_its_error(form: str, error: RaftlyError) -> None:
    async def body() -> None:
        response = await Party(form, error).outcome()
        assert response.error == str(error)
        assert not response.HasField("region_error")

    run(body())


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize(
    "error,status",
    [
        (InvalidRequest("no"), StatusCode.INVALID_ARGUMENT),
        (DecodeError("v", 0, "p"), StatusCode.DATA_LOSS),
        (DiskFull(), StatusCode.UNAVAILABLE),
    ],
)
def test_an_answer_without_a_place_for_errors_fails(form: str, error: RaftlyError, status: StatusCode) -> None:
    with pytest.raises(RpcError) as caught:
        run(Party(form, error, BatchCommandsEmptyResponse).outcome())
    assert caught.value.status is status
    assert caught.value.message == str(error)


@pytest.mark.parametrize("form", FORMS)
def test_other_errors_come_out_and_are_counted(form: str) -> None:
    async def body() -> None:
        party = Party(form, SyncFailed())
        with pytest.raises(SyncFailed):
            await party.outcome()
        assert party.command.counts.failed == 1
        assert party.commands.counts.in_flight == 0

    run(body())


def test_refusals_of_all_forms() -> None:
    assert refusal(pb.RawPutResponse, "t").error == "t"
    assert refusal(pb.GetResponse, "t").error.abort == "t"
    assert refusal(pb.PrewriteResponse, "t").errors[0].abort == "t"
    assert refusal(pb.RawScanResponse, "t") is None


def test_past_the_limit_the_server_is_busy_and_before_it_is_not() -> None:
    async def body() -> None:
        party = Party(in_flight_max=2)
        party.backend.is_prompt = False
        first = [party.commands.begin(party.command, None, None) for _ in range(2)]
        assert (await party.outcome()).region_error.server_is_busy.reason == "2 commands are in flight"
        assert party.commands.counts.in_flight == 2
        party.backend.finish()
        assert await asyncio.gather(*first) == [pb.RawPutResponse()] * 2
        assert party.commands.counts.in_flight == 0
        party.backend.is_prompt = True
        assert await party.outcome() == pb.RawPutResponse()
        assert sum(party.command.counts.seconds.counts) == 4

    run(body())


def test_a_write_that_nobody_waits_for_is_in_flight_until_it_ends() -> None:
    async def body() -> None:
        party = Party()
        party.backend.is_prompt = False
        wrong: list[object] = []
        asyncio.get_running_loop().set_exception_handler(lambda _loop, what: wrong.append(what))
        answers = [party.commands.begin(party.command, None, None) for _ in range(2)]
        assert all(isinstance(answer, Later) for answer in answers)
        del answers
        assert party.commands.counts.in_flight == 2
        party.backend.writing[0].set_exception(OutcomeUnknown())
        party.backend.writing[1].set_result([None])
        assert all(waiter.done() for waiter in party.backend.writing)
        assert party.commands.counts.in_flight == 0
        assert wrong == []

    run(body())


def test_a_write_without_ops_is_done_at_once() -> None:
    async def body() -> None:
        party = Party()
        empty = Command("", None, pb.RawPutResponse, party.command.counts, plan=lambda _: Write(WRITE.ctx, ()))
        assert party.commands.begin(empty, None, None) == pb.RawPutResponse()
        assert party.backend.written == []
        assert party.commands.counts.in_flight == 0

    run(body())


def test_a_read_that_need_not_wait_is_answered_at_once() -> None:
    async def body() -> None:
        party = Party("read")
        command = Command("", None, pb.RawPutResponse, party.command.counts, read=lambda *_: pb.RawPutResponse())
        assert party.commands.begin(command, None, None, 0.0) == pb.RawPutResponse()
        assert party.commands.counts.in_flight == 0
        assert party.command.counts.seconds.sum > 0

    run(body())


def test_an_answer_that_cannot_be_made_is_a_failure() -> None:
    async def body() -> None:
        party = Party()

        def broken(_results: object) -> Any:
            raise ZeroDivisionError

        command = Command(
            "", None, pb.RawPutResponse, party.command.counts, plan=lambda _: Write(WRITE.ctx, WRITE.ops, broken)
        )
        with pytest.raises(ZeroDivisionError):
            await party.commands.begin(command, None, None)

    run(body())


@pytest.mark.parametrize("form", ["read", "write"])
def test_a_deadline_is_kept_and_none_is_far_off(form: str) -> None:
    async def body() -> None:
        party = Party(form, seconds_max=10.0)
        now = asyncio.get_running_loop().time()
        for deadline in (now + 3, now + 300, None):
            await party.outcome(deadline)
        told = [deadline - now for deadline in (party.deadlines or party.backend.deadlines)]
        assert told[0] == pytest.approx(3)
        assert all(10 <= seconds < 200 for seconds in told[1:])

    run(body())
