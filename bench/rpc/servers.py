"""A server for the benchmark, in a process of its own: prints its port and serves until its input ends.

python -m bench.rpc.servers raftly|grpcio
"""

from __future__ import annotations

import asyncio
import gc
import sys
from collections.abc import AsyncIterator

from raftly.rpc.server import Server
from raftly.rpc.service import Service, bind, files_of
from tests.rpc.protos import echo_pb2 as pb
from tests.rpc.protos import echo_rpc


async def unary(request: pb.EchoRequest) -> pb.EchoReply:
    """Echo."""
    return pb.EchoReply(payload=request.payload)


async def batches(requests: AsyncIterator[pb.Batch]) -> AsyncIterator[pb.BatchReply]:
    """Echo every sub-message of every batch, as TiKV's BatchCommands does."""
    async for batch in requests:
        yield _answer(batch)


def _answer(batch: pb.Batch) -> pb.BatchReply:
    reply = pb.BatchReply(ids=batch.ids)
    add = reply.replies.add
    for request in batch.requests:
        add().payload = request.payload
    return reply


async def serve_raftly() -> int:
    """The Echo service on raftly."""
    bound = [bind(echo_rpc.ECHO_UNARY, unary), bind(echo_rpc.ECHO_BATCHES, batches)]
    return await Server([Service("raftly.test.Echo", bound, files_of(pb.DESCRIPTOR))]).start()


async def serve_grpcio() -> int:
    """The same on grpcio's asyncio server."""
    import grpc  # noqa: PLC0415  # not in the other process

    async def grpcio_unary(request: pb.EchoRequest, _context: object) -> pb.EchoReply:
        return pb.EchoReply(payload=request.payload)

    async def grpcio_batches(requests: AsyncIterator[pb.Batch], _context: object) -> AsyncIterator[pb.BatchReply]:
        async for batch in requests:
            yield _answer(batch)

    server = grpc.aio.server()
    handlers = {
        "Unary": grpc.unary_unary_rpc_method_handler(
            grpcio_unary, pb.EchoRequest.FromString, pb.EchoReply.SerializeToString
        ),
        "Batches": grpc.stream_stream_rpc_method_handler(
            grpcio_batches, pb.Batch.FromString, pb.BatchReply.SerializeToString
        ),
    }
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("raftly.test.Echo", handlers),))
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    _kept.append(server)
    return int(port)


_kept: list[object] = []


async def main() -> None:
    """Serve until standard input ends."""
    port = await (serve_raftly() if sys.argv[1] == "raftly" else serve_grpcio())
    gc.collect()
    gc.freeze()
    print(port, flush=True)
    await asyncio.to_thread(sys.stdin.read)


if __name__ == "__main__":
    asyncio.run(main())
