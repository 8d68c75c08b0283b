"""What makes no sense, or is far too much, over a real connection: a typed answer each, and the store goes on."""

from __future__ import annotations

from typing import Any

import pytest

from raftly.engine import MemoryEngine
from raftly.proto import kvrpcpb_pb2 as pb
from raftly.proto.tikvpb_pb2 import BatchCommandsRequest
from raftly.rpc import Limits, RpcError, StatusCode
from raftly.rpc.limits import MIB
from raftly.server.kv_server import KvServerOptions
from raftly.server.raw import RawOptions
from raftly.server.standalone import StandaloneKv
from tests.unit.server.parts import CONTEXT, Fake, ignore, run, served

KEY_BYTES_MAX = 100
LONG = b"k" * (KEY_BYTES_MAX + 1)
OPTIONS = KvServerOptions(
    raw=RawOptions(key_bytes_max=KEY_BYTES_MAX, value_bytes_max=1000, answer_bytes_max=MIB),
    limits=Limits(message_bytes_max=MIB),
)
ALL = (1 << 32) - 1


def pairs(*keys: bytes) -> list[pb.KvPair]:
    return [pb.KvPair(key=key, value=b"v") for key in keys]


REFUSED: list[tuple[str, Any, str]] = [
    ("raw_put", pb.RawPutRequest(key=LONG), "key_bytes"),
    ("raw_put", pb.RawPutRequest(key=b"k", value=bytes(1001)), "value_bytes"),
    ("raw_put", pb.RawPutRequest(key=b"k", cf="raft"), "no column family"),
    ("raw_batch_put", pb.RawBatchPutRequest(pairs=pairs(b"a", LONG)), "key_bytes"),
    ("raw_batch_put", pb.RawBatchPutRequest(pairs=pairs(b"a"), ttls=[1, 2]), "2 ttls for 1 pairs"),
    ("raw_delete", pb.RawDeleteRequest(key=LONG), "key_bytes"),
    ("raw_delete", pb.RawDeleteRequest(key=b"k", cf="x"), "no column family"),
    ("raw_batch_delete", pb.RawBatchDeleteRequest(keys=[b"a", LONG]), "key_bytes"),
    ("raw_delete_range", pb.RawDeleteRangeRequest(cf="x"), "no column family"),
    ("raw_compare_and_swap", pb.RawCASRequest(key=LONG), "key_bytes"),
    ("raw_compare_and_swap", pb.RawCASRequest(key=LONG, delete=True), "key_bytes"),
    ("raw_compare_and_swap", pb.RawCASRequest(key=b"k", cf="x"), "no column family"),
    ("raw_get", pb.RawGetRequest(key=b"k", cf="x"), "no column family"),
    ("raw_get_key_ttl", pb.RawGetKeyTTLRequest(key=b"k", cf="x"), "no column family"),
    ("raw_checksum", pb.RawChecksumRequest(algorithm=9), "checksum algorithm 9"),  # type: ignore[arg-type]
]


@pytest.mark.parametrize("command,request_,problem", REFUSED)
def test_what_makes_no_sense_is_answered_with_a_sentence(command: str, request_: Any, problem: str) -> None:
    async def body() -> None:
        engine = MemoryEngine()
        async with served(StandaloneKv(engine, ignore), OPTIONS) as (_server, _channel, client):
            request_.context.CopyFrom(CONTEXT)
            response = await getattr(client, command)(request_)
            assert problem in response.error
            assert not response.HasField("region_error")
            assert not engine.scan("default", b"", b"", 9)

    run(body())


@pytest.mark.parametrize(
    "command,request_",
    [
        ("raw_batch_get", pb.RawBatchGetRequest(cf="x")),
        ("raw_scan", pb.RawScanRequest(cf="x")),
        ("raw_batch_scan", pb.RawBatchScanRequest(cf="x")),
    ],
)
def test_where_an_answer_has_no_place_for_a_sentence_the_call_fails_with_it(command: str, request_: Any) -> None:
    async def body() -> None:
        async with served(StandaloneKv(MemoryEngine(), ignore), OPTIONS) as (_server, _channel, client):
            request_.context.CopyFrom(CONTEXT)
            with pytest.raises(RpcError, match="no column family") as caught:
                await getattr(client, command)(request_)
            assert caught.value.status is StatusCode.INVALID_ARGUMENT

    run(body())


def test_empty_keys_and_bounds_at_the_edges() -> None:
    async def body() -> None:
        async with served(StandaloneKv(MemoryEngine(), ignore), OPTIONS) as (_server, _channel, client):
            empty = b""
            assert not (await client.raw_put(pb.RawPutRequest(context=CONTEXT, key=empty, value=b"v"))).error
            assert (await client.raw_get(pb.RawGetRequest(context=CONTEXT, key=empty))).value == b"v"
            edge = b"k" * KEY_BYTES_MAX
            assert not (await client.raw_put(pb.RawPutRequest(context=CONTEXT, key=edge, value=bytes(1000)))).error

            async def scan(**fields: Any) -> list[bytes]:
                request = pb.RawScanRequest(context=CONTEXT, key_only=True, **fields)
                return [pair.key for pair in (await client.raw_scan(request)).kvs]

            assert await scan(limit=0) == await scan(limit=0, reverse=True) == []
            assert await scan(limit=ALL) == [empty, edge]
            assert await scan(limit=ALL, reverse=True) == [edge, empty]
            assert await scan(limit=ALL, start_key=edge, reverse=True) == [empty]
            assert await scan(limit=ALL, start_key=bytes([255]) * 8193, end_key=b"k", reverse=True) == [edge]
            assert await scan(limit=ALL, start_key=b"z", end_key=b"a") == []
            assert await scan(limit=ALL, start_key=b"a", end_key=b"z", reverse=True) == []
            gone = await client.raw_delete_range(pb.RawDeleteRangeRequest(context=CONTEXT, start_key=b"a"))
            assert not gone.error
            assert await scan(limit=ALL) == [empty]
            assert not (await client.raw_delete_range(pb.RawDeleteRangeRequest(context=CONTEXT))).error
            assert await scan(limit=ALL) == []

    run(body())


def test_ten_thousand_keys_at_once() -> None:
    async def body() -> None:
        async with served(StandaloneKv(MemoryEngine(), ignore), OPTIONS) as (_server, _channel, client):
            keys = [b"%05d" % number for number in range(10_000)]
            put = pb.RawBatchPutRequest(context=CONTEXT, pairs=pairs(*keys))
            assert not (await client.raw_batch_put(put)).error
            got = await client.raw_batch_get(pb.RawBatchGetRequest(context=CONTEXT, keys=keys))
            assert len(got.pairs) == 10_000
            ranges = [pb.KeyRange()] * 10_000  # far over the bound of an answer
            with pytest.raises(RpcError) as caught:
                await client.raw_batch_scan(pb.RawBatchScanRequest(context=CONTEXT, ranges=ranges, each_limit=ALL))
            assert caught.value.status is StatusCode.RESOURCE_EXHAUSTED
            gone = await client.raw_batch_delete(pb.RawBatchDeleteRequest(context=CONTEXT, keys=keys))
            assert not gone.error
            assert not (await client.raw_scan(pb.RawScanRequest(context=CONTEXT, limit=ALL))).kvs

    run(body())


def test_ten_thousand_requests_in_flight_on_one_connection() -> None:
    async def body() -> None:
        backend = Fake()
        backend.is_prompt = False
        options = KvServerOptions(in_flight_max=3000)
        async with served(backend, options) as (server, _channel, client):
            put = BatchCommandsRequest.Request(RawPut=pb.RawPutRequest(context=CONTEXT, key=b"k"))
            stream = await client.batch_commands()
            for part in range(10):
                ids = range(part * 1000, part * 1000 + 1000)
                await stream.send(BatchCommandsRequest(request_ids=ids, requests=[put] * 1000))
            stream.done_sending()
            answered: dict[int, bool] = {}
            async for message in stream:
                for id_, response in zip(message.request_ids, message.responses, strict=True):
                    answered[id_] = response.RawPut.region_error.HasField("server_is_busy")
                if server.counts.in_flight == 3000 or len(answered) == 10_000:
                    backend.finish()
                    backend.is_prompt = True
            assert len(answered) == 10_000
            assert 0 < sum(answered.values()) <= 7000
            assert server.counts.in_flight == 0

    run(body())
