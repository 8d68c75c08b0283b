"""tikvpb.Tikv: raw commands, as calls of their own and in BatchCommands; SplitRegion. All else is UNIMPLEMENTED."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from functools import partial
from typing import Final, final

from raftly.proto import kvrpcpb_pb2 as pb
from raftly.proto import tikvpb_pb2, tikvpb_rpc
from raftly.proto.tikvpb_pb2 import (
    BatchCommandsEmptyRequest,
    BatchCommandsEmptyResponse,
    BatchCommandsRequest,
    BatchCommandsResponse,
)
from raftly.rpc import Method, Service, bind
from raftly.rpc.service import files_of
from raftly.server.batch_commands import BatchStream
from raftly.server.commands import Command, Commands, Message, Planner, Reading
from raftly.server.raw import RawKv
from raftly.server.splitting import RegionSplitter

__all__ = ["TikvService"]


@final
class TikvService:
    """Serves commands. `service` is for the gRPC server; `drain` ends the streams of commands in good order."""

    def __init__(self, raw: RawKv, splitter: RegionSplitter, commands: Commands) -> None:
        self._commands = commands
        self._streams: dict[BatchStream, None] = {}
        table = _commands(raw, splitter, commands)
        self._slots: Final = {command.slot: command for command in table if command.slot}
        calls = [
            bind(command.method, partial(commands.serve, command), takes_call=True)
            for command in table
            if command.method is not None
        ]
        self.service: Final = Service(
            tikvpb_rpc.TIKV_RAW_GET.service,
            [*calls, bind(tikvpb_rpc.TIKV_BATCH_COMMANDS, self._batch_commands)],
            files_of(tikvpb_pb2.DESCRIPTOR),
        )

    def drain(self) -> None:
        """Streams take no more commands, answer those that they have, and end."""
        for stream in self._streams:
            stream.drain()

    async def _batch_commands(
        self, requests: AsyncIterator[BatchCommandsRequest]
    ) -> AsyncIterator[BatchCommandsResponse]:
        stream = BatchStream(self._commands, self._slots, requests)
        self._streams[stream] = None
        try:
            async for message in stream:
                yield message
        finally:
            del self._streams[stream]
            await stream.aclose()


def _commands(raw: RawKv, splitter: RegionSplitter, commands: Commands) -> list[Command]:
    rpc = tikvpb_rpc
    reads: list[tuple[str, str, Method[Message, Message] | None, Message, Reading]] = [
        ("raw_get", "RawGet", rpc.TIKV_RAW_GET, pb.RawGetResponse, raw.get),
        ("raw_batch_get", "RawBatchGet", rpc.TIKV_RAW_BATCH_GET, pb.RawBatchGetResponse, raw.batch_get),
        ("raw_scan", "RawScan", rpc.TIKV_RAW_SCAN, pb.RawScanResponse, raw.scan),
        ("raw_batch_scan", "RawBatchScan", rpc.TIKV_RAW_BATCH_SCAN, pb.RawBatchScanResponse, raw.batch_scan),
        ("raw_get_key_ttl", "", rpc.TIKV_RAW_GET_KEY_TTL, pb.RawGetKeyTTLResponse, raw.get_key_ttl),
        ("raw_checksum", "", rpc.TIKV_RAW_CHECKSUM, pb.RawChecksumResponse, raw.checksum),
        ("split_region", "", rpc.TIKV_SPLIT_REGION, pb.SplitRegionResponse, splitter.split),
        ("empty", "Empty", None, BatchCommandsEmptyResponse, _empty),
    ]
    writes: list[tuple[str, str, Method[Message, Message], Message, Planner]] = [
        ("raw_put", "RawPut", rpc.TIKV_RAW_PUT, pb.RawPutResponse, raw.put),
        ("raw_batch_put", "RawBatchPut", rpc.TIKV_RAW_BATCH_PUT, pb.RawBatchPutResponse, raw.batch_put),
        ("raw_delete", "RawDelete", rpc.TIKV_RAW_DELETE, pb.RawDeleteResponse, raw.delete),
        ("raw_batch_delete", "RawBatchDelete", rpc.TIKV_RAW_BATCH_DELETE, pb.RawBatchDeleteResponse, raw.batch_delete),
        ("raw_delete_range", "RawDeleteRange", rpc.TIKV_RAW_DELETE_RANGE, pb.RawDeleteRangeResponse, raw.delete_range),
        ("raw_compare_and_swap", "", rpc.TIKV_RAW_COMPARE_AND_SWAP, pb.RawCASResponse, raw.compare_and_swap),
    ]
    counts = commands.counts.command
    return [
        *(Command(slot, method, response, counts(name), read=read) for name, slot, method, response, read in reads),
        *(Command(slot, method, response, counts(name), plan=plan) for name, slot, method, response, plan in writes),
    ]


async def _empty(request: BatchCommandsEmptyRequest, deadline: float) -> BatchCommandsEmptyResponse:
    """The command that clients test streams with: it answers, after as many milliseconds as it is told."""
    if request.delay_time:
        left_s = deadline - asyncio.get_running_loop().time()
        await asyncio.sleep(min(request.delay_time / 1000, left_s))
    return BatchCommandsEmptyResponse(test_id=request.test_id)
