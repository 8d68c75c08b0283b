"""What a client does to stores that run: it asks for a split, and writes while they end and come back. For tests."""

from __future__ import annotations

import asyncio
import importlib.util
import json
import sys
from asyncio.subprocess import PIPE
from pathlib import Path
from urllib.request import urlopen

from raftly.base.region import Region
from raftly.client.regions import Kind
from raftly.client.wire import region_of
from raftly.playground.cluster import Cluster
from raftly.playground.processes import Process
from raftly.proto import kvrpcpb_pb2, tikvpb_rpc

PATIENCE_S = 90.0


async def split(cluster: Cluster, key: bytes) -> list[Region]:
    regions = cluster.client.regions
    request = kvrpcpb_pb2.SplitRegionRequest(split_keys=[key], is_raw_kv=True)
    attempt = regions.attempt("split", Kind.WRITE, PATIENCE_S)
    response = await regions.at(tikvpb_rpc.TIKV_SPLIT_REGION, key, request, attempt)
    return [region_of(one) for one in response.regions]


async def write_until(over: asyncio.Event, cluster: Cluster) -> int:
    """Our own client: the first write that fails raises."""
    count = 0
    while not over.is_set():
        await cluster.put(b"own-%04d" % count, b"v")
        count += 1
        await asyncio.sleep(0.01)
    return count


async def check_pages(process: Process, cluster: Cluster) -> None:
    """Prometheus can read what a process shows, and nothing is there twice."""
    url = f"http://{cluster.status_address(process)}/metrics"
    text = await asyncio.to_thread(lambda: urlopen(url, timeout=PATIENCE_S).read().decode())
    from prometheus_client import parser  # noqa: PLC0415 - an extra

    families = list(parser.text_string_to_metric_families(text))
    names = [family.name for family in families]
    assert len(names) == len(set(names))
    assert {"raftly_log_size_bytes", "raftly_write_seconds", "raftly_transport", "process_cpu_seconds"} <= set(names)
    samples = [(one.name, *sorted(one.labels.items())) for family in families for one in family.samples]
    assert len(samples) == len(set(samples))


async def restart_all(cluster: Cluster) -> None:
    """SIGTERM for each store in its turn, under writes of our client and of the official one: none fails."""
    official = None
    try:
        if importlib.util.find_spec("tikv_client") is not None:
            script = str(Path(__file__).with_name("official_writer.py"))
            command = [sys.executable, script, cluster.pd_addresses()[0]]
            official = await asyncio.create_subprocess_exec(*command, stdin=PIPE, stdout=PIPE)
        over = asyncio.Event()
        async with asyncio.TaskGroup() as tasks:
            writing = tasks.create_task(write_until(over, cluster))
            for process in cluster.stores():
                assert await process.stop(PATIENCE_S)
                await process.start()
            over.set()
        assert writing.result() > 50
        if official is not None:
            said, _ = await official.communicate(b"enough\n")
            count, failures = json.loads(said)
            assert count > 50, count
            assert not failures, failures
        problems = await cluster.read_all()
        assert not problems, problems
    finally:
        if official is not None and official.returncode is None:
            official.kill()
            await official.wait()
