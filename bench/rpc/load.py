"""A client for the benchmark, in a process of its own: for every line `calls` on its input it makes that many calls.

python -m bench.rpc.load raftly|grpcio unary|batches PORT IN_FLIGHT

It answers with JSON: seconds, CPU seconds of its own, and the latencies' quantiles in milliseconds.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import json
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable

from raftly.rpc.channel import Channel
from tests.rpc.protos import echo_pb2 as pb
from tests.rpc.protos import echo_rpc

REQUEST = pb.EchoRequest(payload=b"x" * 147)  # 150 bytes
BATCH = pb.Batch(requests=[REQUEST] * 16, ids=range(16))
TIMEOUT_S = 20.0

Once = Callable[[], Awaitable[None]]
User = Callable[[], contextlib.AbstractAsyncContextManager[Once]]  # of the connection: a stream of its own, if need be


@contextlib.asynccontextmanager
async def raftly_client(port: int, kind: str) -> AsyncIterator[User]:
    """Calls by raftly; each user of it gets a function that makes one call, or one exchange on a stream of its own."""
    async with Channel("127.0.0.1", port) as channel:
        client = echo_rpc.EchoClient(channel)

        @contextlib.asynccontextmanager
        async def user() -> AsyncIterator[Once]:
            if kind == "unary":

                async def unary() -> None:
                    await client.unary(REQUEST, timeout_s=TIMEOUT_S)

                yield unary
                return
            async with await client.batches() as stream:

                async def exchange() -> None:
                    await stream.send(BATCH)
                    await stream.recv()

                yield exchange

        yield user


@contextlib.asynccontextmanager
async def grpcio_client(port: int, kind: str) -> AsyncIterator[User]:
    """The same by grpcio (C-core)."""
    import grpc  # noqa: PLC0415  # not in the other process

    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        call = channel.unary_unary("/raftly.test.Echo/Unary", pb.EchoRequest.SerializeToString, pb.EchoReply.FromString)
        open_stream = channel.stream_stream(
            "/raftly.test.Echo/Batches", pb.Batch.SerializeToString, pb.BatchReply.FromString
        )

        @contextlib.asynccontextmanager
        async def user() -> AsyncIterator[Once]:
            if kind == "unary":

                async def unary() -> None:
                    await call(REQUEST, timeout=TIMEOUT_S)

                yield unary
                return
            stream = open_stream()

            async def exchange() -> None:
                await stream.write(BATCH)
                await stream.read()

            yield exchange
            await stream.done_writing()

        yield user


async def main() -> None:
    """Serve commands until the input ends."""
    library, kind, port, in_flight = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
    connect = raftly_client if library == "raftly" else grpcio_client
    clock = time.perf_counter
    async with connect(port, kind) as user, contextlib.AsyncExitStack() as stack:
        users = [await stack.enter_async_context(user()) for _ in range(in_flight)]
        for once in users:
            await once()
        gc.collect()
        gc.freeze()
        print("ready", flush=True)
        while line := await asyncio.to_thread(sys.stdin.readline):
            each = int(line) // in_flight
            latencies: list[float] = []

            async def work(once: Once, each: int = each, latencies: list[float] = latencies) -> None:
                for _ in range(each):
                    start = clock()
                    await once()
                    latencies.append(clock() - start)

            cpu, start = time.process_time(), clock()
            await asyncio.gather(*(work(once) for once in users))
            seconds, cpu = clock() - start, time.process_time() - cpu
            latencies.sort()
            quantiles = [1000 * latencies[int(len(latencies) * q)] for q in (0.5, 0.99)]
            print(json.dumps([len(latencies), seconds, cpu, *quantiles]), flush=True)


if __name__ == "__main__":
    asyncio.run(main())
