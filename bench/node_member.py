"""One process of a benchmark of nodes: a member of a group of three, driven by lines on its standard input.

    python bench/node_member.py raftly ID PORT,PORT,PORT DIRECTORY {}     or, instead of raftly, a name of PYSYNCOBJ

The last argument holds options of NodeConfig in JSON. Each line is a request in JSON, each answer a line:
{"do": "leads"} says whether this member leads; {"do": "usage"} what CPU it used so far, its resident memory, and how
often it warned; {"do": "call", "ask" or "callback", "in_flight": n, "seconds": s} lets so many callers call again and
again;
{"do": "fresh"} ends when this member has all that was committed before.
"""

from __future__ import annotations

import asyncio
import gc
import json
import logging
import math
import resource
import sys
import threading
import time
from collections import deque
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from raftly.core.role import Role
from raftly.errors import RaftlyError
from raftly.node import FOLLOWER, NodeConfig, Replicated, command, query, replicate

PAYLOAD = b"x" * 128
PYSYNCOBJ: dict[str, dict[str, object]] = {
    "defaults": {},
    "unbatched": {"appendEntriesUseBatch": False},
    "short period": {
        "appendEntriesPeriod": 0.002,
        "autoTickPeriod": 0.001,
        "appendEntriesBatchSizeBytes": 1 << 20,
        "sendBufferSize": 1 << 20,
        "recvBufferSize": 1 << 20,
    },
}
Answer = dict[str, float | bool]
warnings: list[str] = []


class Store:
    """What is replicated."""

    def __init__(self) -> None:
        self.count = 0
        self.last = b""

    @command
    def put(self, value: bytes) -> int:
        """One command."""
        self.count += 1
        self.last = value
        return self.count

    @query
    def get(self) -> int:
        """One query."""
        return self.count


def usage() -> Answer:
    """CPU of this process in seconds, and its resident memory."""
    try:
        pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
        resident = pages * resource.getpagesize()
    except OSError:
        resident = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss  # the most there ever was
    return {"cpu": time.process_time(), "resident": resident, "warnings": len(warnings)}


class Warnings(logging.Handler):
    """Counts."""

    def emit(self, record: logging.LogRecord) -> None:
        """Another one."""
        if record.levelno >= logging.WARNING:
            warnings.append(record.getMessage())


def figures(latencies: list[float], wall: float, failed: int) -> Answer:
    """What a run of callers gave."""
    latencies.sort()
    count = len(latencies)
    if not count:
        return {"per_s": 0.0, "p50_ms": math.inf, "p99_ms": math.inf, "done": 0, "failed": failed}
    return {
        "per_s": count / wall,
        "p50_ms": latencies[count // 2] * 1e3,
        "p99_ms": latencies[min(count - 1, count * 99 // 100)] * 1e3,
        "done": count,
        "failed": failed,
    }


# --- raftly ---


async def load(once: Callable[[], Awaitable[object]], in_flight: int, seconds: float) -> Answer:
    """So many callers that call again and again, until this member leads no longer."""
    latencies: list[float] = []
    failed = 0
    stop_at = time.perf_counter() + seconds

    async def caller() -> None:
        nonlocal failed
        try:
            while (began := time.perf_counter()) < stop_at:
                await once()
                latencies.append(time.perf_counter() - began)
        except RaftlyError:
            failed += 1

    gc.collect()
    began_at = time.perf_counter()
    await asyncio.gather(*(caller() for _ in range(in_flight)))
    return figures(latencies, time.perf_counter() - began_at, failed)


async def answer(node: Replicated[Store], request: dict[str, Any]) -> Answer:
    """Do what a line asks for."""
    what = request["do"]
    if what == "leads":
        return {"leads": node.status().basic.soft_state.role is Role.LEADER}
    if what == "usage":
        return usage()
    if what == "fresh":
        await node.fresh(FOLLOWER)
        return {}
    if what == "call":
        return await load(lambda: node.call(Store.put, PAYLOAD), request["in_flight"], request["seconds"])
    return await load(lambda: node.ask(Store.get), request["in_flight"], request["seconds"])


async def serve_raftly(id_: int, ports: list[int], directory: str, options: dict[str, Any]) -> None:
    """A member of raftly's, with a real log."""
    addresses = {at + 1: ("127.0.0.1", port) for at, port in enumerate(ports)}
    began = time.perf_counter()
    config = NodeConfig(id_, tuple(addresses), **options)
    node = await replicate(Store, id_, addresses, directory, config=config)
    print(json.dumps({"started_s": time.perf_counter() - began}), flush=True)
    lines = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(lines), sys.stdin)
    while line := await lines.readline():
        print(json.dumps(await answer(node, json.loads(line))), flush=True)
    await node.stop()


# --- PySyncObj ---


def load_by_callbacks(put: Callable[..., object], in_flight: int, seconds: float) -> Answer:
    """Each caller calls again in the callback of its last call, in the thread that runs it: the least it can cost."""
    latencies: list[float] = []
    running = in_flight
    failed = 0
    finished = threading.Event()
    stop_at = time.perf_counter() + seconds

    def caller() -> None:
        began = time.perf_counter()

        def done(_result: object, error: int) -> None:
            nonlocal failed, running
            now = time.perf_counter()
            if error:
                failed += 1
            else:
                latencies.append(now - began)
            if now < stop_at:
                caller()
            else:
                running -= 1
                if running == 0:
                    finished.set()

        put(PAYLOAD, callback=done)

    gc.collect()
    began_at = time.perf_counter()
    for _ in range(in_flight):
        caller()
    finished.wait()
    return figures(latencies, time.perf_counter() - began_at, failed)


async def load_by_coroutines(put: Callable[..., object], in_flight: int, seconds: float) -> Answer:
    """Callers as raftly's: coroutines of an event loop, which is woken once for all results that wait for it."""
    loop = asyncio.get_running_loop()
    results: deque[tuple[asyncio.Future[object], object, int]] = deque()

    def deliver() -> None:
        while results:
            future, result, error = results.popleft()
            if error:
                future.set_exception(RaftlyError(f"PySyncObj failed with {error}"))
            else:
                future.set_result(result)

    async def once() -> object:
        future: asyncio.Future[object] = loop.create_future()

        def done(result: object, error: int) -> None:
            results.append((future, result, error))
            if len(results) == 1:
                loop.call_soon_threadsafe(deliver)

        put(PAYLOAD, callback=done)
        return await future

    return await load(once, in_flight, seconds)


def serve_pysyncobj(id_: int, ports: list[int], settings: dict[str, object]) -> None:
    """A member of PySyncObj's, all in memory."""
    from pysyncobj import SyncObj, SyncObjConf, replicated  # noqa: PLC0415 - an extra that only this needs

    class SyncStore(SyncObj):  # type: ignore[misc]  # it has no types
        def __init__(self) -> None:
            addresses = [f"127.0.0.1:{port}" for port in ports]
            own = addresses.pop(id_ - 1)
            super().__init__(own, addresses, conf=SyncObjConf(**settings))
            self.count = 0
            self.last = b""

        @replicated  # type: ignore[untyped-decorator]
        def put(self, value: bytes) -> int:
            self.count += 1
            self.last = value
            return self.count

    store = SyncStore()
    print("{}", flush=True)
    for line in sys.stdin:
        request = json.loads(line)
        if request["do"] == "leads":
            state = store.getStatus()
            result: Answer = {"leads": store.isReady() and state["leader"] == state["self"]}
        elif request["do"] == "usage":
            result = usage()
        elif request["do"] == "callback":
            result = load_by_callbacks(store.put, request["in_flight"], request["seconds"])
        else:
            result = asyncio.run(load_by_coroutines(store.put, request["in_flight"], request["seconds"]))
        print(json.dumps(result), flush=True)
    store.destroy()


def main() -> None:
    """Serve until the input ends."""
    system, id_, ports, options, directory = sys.argv[1:]
    logging.getLogger().addHandler(Warnings())
    numbers = [int(port) for port in ports.split(",")]
    if system == "raftly":
        asyncio.run(serve_raftly(int(id_), numbers, directory, json.loads(options)))
    else:
        serve_pysyncobj(int(id_), numbers, PYSYNCOBJ[system])


if __name__ == "__main__":
    main()
