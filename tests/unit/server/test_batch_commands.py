"""Streams of commands: ids, order, slow ones, failures, clients that do not read, and ends."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from raftly.base.region import Peer
from raftly.base.region_errors import NotRegionLeader
from raftly.engine.base import WriteBatch
from raftly.errors import SyncFailed
from raftly.proto import kvrpcpb_pb2 as pb
from raftly.proto.tikvpb_pb2 import BatchCommandsEmptyRequest, BatchCommandsRequest, BatchCommandsResponse
from raftly.rpc import RpcError, StatusCode
from raftly.server.batch_commands import BatchStream
from raftly.server.commands import Commands
from raftly.server.contexts import Contexts
from raftly.server.raw import RawKv, RawOptions
from raftly.server.splitting import RegionSplitter
from raftly.server.tikv_service import TikvService
from tests.unit.server.parts import CONTEXT, Clock, Fake, context, run

GET = BatchCommandsRequest.Request(RawGet=pb.RawGetRequest(context=CONTEXT, key=b"k"))
PUT = BatchCommandsRequest.Request(RawPut=pb.RawPutRequest(context=CONTEXT, key=b"k", value=b"v"))


def batch(**requests: BatchCommandsRequest.Request) -> BatchCommandsRequest:
    """As `batch(_7=GET)`: a get with the id 7."""
    return BatchCommandsRequest(request_ids=[int(id_[1:]) for id_ in requests], requests=requests.values())


def answers(message: BatchCommandsResponse) -> dict[int, str | None]:
    return {id_: r.WhichOneof("cmd") for id_, r in zip(message.request_ids, message.responses, strict=True)}


class Talk:
    """A stream of commands without a network."""

    def __init__(self, backend: Fake | None = None, ready_bytes_max: int = 1 << 30, **limits: Any) -> None:
        self.backend = backend or Fake()
        self.commands = Commands(self.backend, **limits)
        contexts = Contexts(9)
        raw = RawKv(self.backend, contexts, Clock(), RawOptions(enable_ttl=False))
        service = TikvService(raw, RegionSplitter(self.backend, contexts, 100), self.commands)
        self.requests: asyncio.Queue[BatchCommandsRequest | Exception | None] = asyncio.Queue()
        self.read = 0
        self.stream = BatchStream(self.commands, service._slots, self._incoming(), ready_bytes_max)

    async def _incoming(self) -> AsyncIterator[BatchCommandsRequest]:
        while (request := await self.requests.get()) is not None:
            if isinstance(request, Exception):
                raise request
            self.read += 1
            yield request

    def send(self, *requests: BatchCommandsRequest | Exception | None) -> None:
        for request in requests:
            self.requests.put_nowait(request)


def test_what_is_ready_at_once_comes_in_one_message() -> None:
    async def body() -> None:
        party = Talk()
        values = WriteBatch()
        values.put("default", b"zk", b"v")
        party.backend.engine.write(values)
        party.send(batch(_3=GET, _9=PUT), batch(_4=GET), None)
        message = await anext(party.stream)
        assert answers(message) == {3: "RawGet", 9: "RawPut", 4: "RawGet"}
        assert message.responses[list(message.request_ids).index(3)].RawGet.value == b"v"
        with pytest.raises(StopAsyncIteration):
            await anext(party.stream)
        await party.stream.aclose()
        assert party.commands.counts.request_batch.value().count == 2
        assert party.commands.counts.response_batch.value().count == 1

    run(body())


def test_a_slow_command_holds_nothing_up() -> None:
    async def body() -> None:
        party = Talk()
        party.backend.is_prompt = False
        party.send(batch(_1=PUT, _2=GET))
        assert answers(await anext(party.stream)) == {2: "RawGet"}
        party.send(batch(_3=GET), None)
        assert answers(await anext(party.stream)) == {3: "RawGet"}
        party.backend.finish()
        assert answers(await anext(party.stream)) == {1: "RawPut"}
        with pytest.raises(StopAsyncIteration):
            await anext(party.stream)
        await party.stream.aclose()

    run(body())


def test_an_error_is_the_answer_to_its_command_only() -> None:
    async def body() -> None:
        party = Talk()
        wrong_cluster = pb.RawGetRequest(context=context(cluster_id=8))
        wrong_family = pb.RawScanRequest(context=CONTEXT, cf="x")
        party.send(
            batch(
                _1=BatchCommandsRequest.Request(RawGet=wrong_cluster),
                _2=BatchCommandsRequest.Request(RawScan=wrong_family),
                _3=GET,
            )
        )
        message = await anext(party.stream)
        by_id = dict(zip(message.request_ids, message.responses, strict=True))
        assert "this is cluster 9" in by_id[1].RawGet.error
        assert "no column family" in by_id[2].RawScan.region_error.message
        assert by_id[3].RawGet.not_found
        party.backend.error = NotRegionLeader(1, Peer(7, 2))
        party.send(batch(_4=GET, _5=PUT))
        message = await anext(party.stream)
        assert message.responses[0].RawGet.region_error.HasField("not_leader")
        assert message.responses[1].RawPut.region_error.HasField("not_leader")
        party.backend.error = SyncFailed()
        party.send(batch(_6=PUT))
        assert (await anext(party.stream)).responses[0].RawPut.error == "the handler failed"
        await party.stream.aclose()

    run(body())


def test_commands_that_are_not_served_get_their_own_kind_of_answer() -> None:
    async def body() -> None:
        party = Talk()
        unknown = BatchCommandsRequest.Request.FromString(b"\xa2\x06\x00")  # field 100, of some later protocol
        party.send(
            batch(
                _1=BatchCommandsRequest.Request(Get=pb.GetRequest()),
                _2=BatchCommandsRequest.Request(Prewrite=pb.PrewriteRequest()),
                _3=unknown,
            ),
            None,
        )
        message = await anext(party.stream)
        assert answers(message) == {1: "Get", 2: "Prewrite", 3: None}
        assert message.responses[0].Get.error.abort == "Get is not served"
        assert message.responses[1].Prewrite.errors[0].abort == "Prewrite is not served"
        await party.stream.aclose()

    run(body())


def test_the_empty_command_answers_when_it_is_told_to() -> None:
    async def body() -> None:
        party = Talk()
        late = BatchCommandsEmptyRequest(test_id=5, delay_time=1)
        soon = BatchCommandsEmptyRequest(test_id=6)
        party.send(batch(_1=BatchCommandsRequest.Request(Empty=late), _2=BatchCommandsRequest.Request(Empty=soon)))
        assert (await anext(party.stream)).responses[0].Empty.test_id == 6
        assert (await anext(party.stream)).responses[0].Empty.test_id == 5
        await party.stream.aclose()

    run(body())


def test_ids_and_requests_have_to_match() -> None:
    async def body() -> None:
        party = Talk()
        party.send(BatchCommandsRequest(request_ids=[1, 2], requests=[GET]))
        with pytest.raises(RpcError) as caught:
            await anext(party.stream)
        assert caught.value.status is StatusCode.INVALID_ARGUMENT
        await party.stream.aclose()

    run(body())


def test_what_was_asked_before_a_broken_message_is_answered_first() -> None:
    async def body() -> None:
        party = Talk()
        party.send(batch(_1=GET), RpcError(StatusCode.INTERNAL, "does not decode"))
        assert answers(await anext(party.stream)) == {1: "RawGet"}
        with pytest.raises(RpcError, match="does not decode"):
            await anext(party.stream)
        await party.stream.aclose()

    run(body())


def test_a_client_that_takes_no_answers_is_not_read_from_past_a_bound() -> None:
    async def body() -> None:
        party = Talk()
        full = BatchCommandsRequest(request_ids=range(512), requests=[GET] * 512)
        party.send(*[full] * 20, None)
        taken = len((await anext(party.stream)).request_ids)
        for _ in range(100):
            await asyncio.sleep(0)
        assert party.read == 9  # the bound of 4096 commands, and room again for those that were taken
        async for message in party.stream:
            assert len(message.request_ids) <= 256
            taken += len(message.request_ids)
        assert (taken, party.read) == (20 * 512, 20)
        await party.stream.aclose()

    run(body())


def test_a_message_with_very_many_commands_gives_others_their_turn() -> None:
    async def body() -> None:
        party = Talk()
        count = 10_000
        party.send(BatchCommandsRequest(request_ids=range(count), requests=[GET] * count), None)
        first = asyncio.ensure_future(anext(party.stream))
        turns = 0
        while not first.done():
            assert len(party.stream._ready) <= 256
            await asyncio.sleep(0)
            turns += 1
        answered = len(first.result().request_ids)
        async for message in party.stream:
            answered += len(message.request_ids)
            turns += 1
        assert answered == count
        assert turns >= count / 256
        await party.stream.aclose()

    run(body())


def test_draining_in_the_middle_of_a_message_answers_the_rest_of_it() -> None:
    async def body() -> None:
        party = Talk()
        party.send(BatchCommandsRequest(request_ids=range(1000), requests=[GET] * 1000), batch(_1=GET))
        answered = list((await anext(party.stream)).request_ids)
        party.stream.drain()
        async for message in party.stream:
            answered += message.request_ids
        assert sorted(answered) == list(range(1000))
        await party.stream.aclose()

    run(body())


def test_large_answers_that_nobody_takes_are_bounded() -> None:
    async def body() -> None:
        party = Talk(ready_bytes_max=100_000)
        values = WriteBatch()
        values.put("default", b"zk", b"v" * 30_000)
        party.backend.engine.write(values)
        party.send(*[BatchCommandsRequest(request_ids=range(100), requests=[GET] * 100)] * 9, None)
        message = await anext(party.stream)
        for _ in range(100):
            await asyncio.sleep(0)
            assert party.stream._ready_bytes < 150_000
        assert party.read < 9
        responses = list(message.responses)
        async for message in party.stream:
            responses += message.responses
        assert len(responses) == 900
        whole = [answer for answer in responses if len(answer.RawGet.value) == 30_000]
        refused = [answer for answer in responses if answer.RawGet.error]
        assert len(whole) + len(refused) == 900
        assert len(whole) > 4
        assert "not taken" in refused[0].RawGet.error
        await party.stream.aclose()

    run(body())


def test_large_answers_come_in_messages_of_their_own() -> None:
    async def body() -> None:
        party = Talk()
        values = WriteBatch()
        values.put("default", b"zk", b"v" * 400_000)
        party.backend.engine.write(values)
        party.send(BatchCommandsRequest(request_ids=range(7), requests=[GET] * 7), None)
        assert [list(message.request_ids) async for message in party.stream] == [[0, 1, 2], [3, 4, 5], [6]]
        await party.stream.aclose()

    run(body())


def test_a_client_that_is_gone_leaves_nothing_running() -> None:
    async def body() -> None:
        party = Talk()
        party.backend.is_prompt = False
        party.send(batch(_1=PUT, _2=PUT, _3=GET))
        await anext(party.stream)
        await party.stream.aclose()
        assert asyncio.all_tasks() == {asyncio.current_task()}
        assert party.commands.counts.in_flight == 2  # they are not taken back
        party.backend.finish()
        await asyncio.sleep(0)
        assert party.commands.counts.in_flight == 0

    run(body())


def test_draining_answers_what_was_taken_and_ends() -> None:
    async def body() -> None:
        party = Talk()
        party.backend.is_prompt = False
        party.send(batch(_1=PUT, _2=GET))
        assert answers(await anext(party.stream)) == {2: "RawGet"}
        party.stream.drain()
        last = asyncio.ensure_future(anext(party.stream))
        party.send(batch(_3=GET))
        await asyncio.sleep(0)
        party.backend.finish()
        assert answers(await last) == {1: "RawPut"}
        with pytest.raises(StopAsyncIteration):
            await anext(party.stream)
        await party.stream.aclose()

    run(body())


def test_draining_a_stream_that_waits_ends_it() -> None:
    async def body() -> None:
        party = Talk()
        waiting = asyncio.ensure_future(anext(party.stream, None))
        await asyncio.sleep(0)
        party.stream.drain()
        assert await waiting is None
        await party.stream.aclose()
        early = Talk()
        early.stream.drain()
        assert await anext(early.stream, None) is None

    run(body())


def test_a_command_past_the_limit_is_told_that_the_server_is_busy() -> None:
    async def body() -> None:
        party = Talk(in_flight_max=1)
        party.backend.is_prompt = False
        party.send(batch(_1=PUT, _2=PUT))
        message = await anext(party.stream)
        assert list(message.request_ids) == [2]
        assert message.responses[0].RawPut.region_error.HasField("server_is_busy")
        party.send(batch(_3=BatchCommandsRequest.Request(Empty=BatchCommandsEmptyRequest(test_id=5))))
        message = await anext(party.stream)
        assert answers(message) == {3: "Empty"}  # which has no place to say why it did nothing
        assert message.responses[0].Empty.test_id == 0
        await party.stream.aclose()

    run(body())
