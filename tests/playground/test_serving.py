"""Real stores and real clients: a split that a client asks for, stores that end in good order one after the other."""

from __future__ import annotations

import asyncio
import importlib.util
import json
import sys
from asyncio.subprocess import PIPE
from pathlib import Path
from urllib.request import urlopen

import pytest

from raftly.base.region import PeerRole, Region
from raftly.client.regions import Kind
from raftly.client.wire import region_of
from raftly.playground.cluster import Cluster, Picture
from raftly.playground.processes import Process
from raftly.proto import kvrpcpb_pb2, tikvpb_rpc

pytest.importorskip("rocksdict", reason="the extra `store` is not installed")
parser = pytest.importorskip("prometheus_client.parser", reason="the extra `metrics` is not installed")

PATIENCE_S = 90.0


def is_whole(picture: Picture) -> bool:
    return len(picture.regions) == 2 and all(
        placed.leader is not None
        and not placed.pending_peers
        and [peer.role for peer in placed.region.peers] == [PeerRole.VOTER] * 3
        for placed in picture.regions
    )


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
    families = list(parser.text_string_to_metric_families(text))
    names = [family.name for family in families]
    assert len(names) == len(set(names))
    assert {"raftly_log_size_bytes", "raftly_write_seconds", "raftly_transport", "process_cpu_seconds"} <= set(names)
    samples = [(one.name, *sorted(one.labels.items())) for family in families for one in family.samples]
    assert len(samples) == len(set(samples))


def test_no_write_fails_while_stores_restart_one_after_the_other(tmp_path: Path) -> None:
    async def scenario() -> None:
        cluster = Cluster(tmp_path)
        official = None
        try:
            await cluster.start(1, 3)
            parts = await split(cluster, b"own-0050")
            assert [part.start_key for part in parts] == [b"", b"own-0050"]
            assert len(await split(cluster, b"own-0050")) == 1, "it was split there already"
            assert (await cluster.wait(is_whole, PATIENCE_S))[1]
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
                assert count > 50
                assert failures == []
            assert await cluster.read_all() == []
            for process in (cluster.stores()[0], cluster.members()[0]):
                await check_pages(process, cluster)
        finally:
            if official is not None and official.returncode is None:
                official.kill()
                await official.wait()
            await cluster.close(kill=True)

    asyncio.run(scenario())
