"""The numbers of a store process are there, under names that dashboards know."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from raftly.engine import MemoryEngine
from raftly.engine.base import WriteBatch
from raftly.errors import StorageError
from raftly.proto import kvrpcpb_pb2 as pb
from raftly.server import families
from raftly.server.metrics import Families, exposition
from raftly.server.store_families import store_families
from raftly.store.ops import Put
from raftly.transport.events import PeerStatus, TransportStats
from tests.support.virtual import run as in_virtual_time
from tests.unit.server.parts import CONTEXT, Fake, run, served
from tests.unit.store.cluster import OPTIONS, Cluster, soon

parser = pytest.importorskip("prometheus_client.parser")


def numbers(found: Families) -> dict[tuple[str, ...], float]:
    return {
        (sample.name, *sample.labels.values()): sample.value
        for family in parser.text_string_to_metric_families(exposition(found).decode())
        for sample in family.samples
    }


def test_a_store() -> None:
    async def body() -> None:
        cluster = Cluster(3, replace(OPTIONS, hibernate_ticks=5))
        await cluster.start()
        store, peer = await cluster.leader()
        await store.split(cluster.context(peer), [b"m"], soon())
        await store.write(cluster.context(peer), [Put("default", b"a", bytes(1000))], soon())
        await cluster.until(lambda: not any(other.parts.driver.awake for other in cluster.running()))
        found = [numbers(store_families(other)) for other in cluster.running()]
        assert [one["tikv_raftstore_region_count", "region"] for one in found] == [2, 2, 2]
        assert sum(one["tikv_raftstore_region_count", "leader"] for one in found) == 2
        for one in found:
            assert one["tikv_raftstore_hibernated_peer_state", "hibernated"] == 2
            assert one["tikv_raftstore_hibernated_peer_state", "awaken"] == 0
            assert one["raftly_log_size_bytes",] >= one["raftly_log_live_bytes",] > 1000
            assert one["raftly_written_bytes_total",] > 1000
            assert one["raftly_writes_total",] == one["raftly_write_seconds_count",] > 3
            assert one["raftly_ticks_total",] > 10
            assert (one["raftly_disk_ok",], one["raftly_peers_failed",], one["raftly_writes_held_back",]) == (1, 0, 0)
            assert one["tikv_store_size_bytes", "used"] > 1000
            assert (one["raftly_peers_waiting",], one["raftly_merges_total", "committed"]) == (0, 0)
        store.parts.driver.fail(StorageError("the disk is gone"))
        assert numbers(store_families(store))["raftly_disk_ok",] == 0
        await cluster.stop()

    in_virtual_time(body())


def test_connections_between_stores() -> None:
    async def body() -> None:
        cluster = Cluster(1)
        await cluster.start()
        store = cluster.running()[0]
        peers = [PeerStatus(2, ("a", 1), True, 30, 0.5, ""), PeerStatus(3, ("b", 1), False, 0, 0.0, "refused")]
        transport: Any = SimpleNamespace(stats=TransportStats(frames_sent=7), peers=lambda: peers)
        store.parts = replace(store.parts, transport=transport)
        found = numbers(store_families(store))
        assert found["raftly_transport_total", "frames_sent"] == 7
        assert (found["raftly_peer_reachable", "2"], found["raftly_peer_reachable", "3"]) == (1, 0)
        assert (found["raftly_peer_rtt_seconds", "2"], found["raftly_peer_queue_bytes", "2"]) == (0.5, 30)
        await cluster.stop()

    in_virtual_time(body())


def test_the_engine() -> None:
    engine = MemoryEngine()
    batch = WriteBatch()
    batch.put("default", b"zk", b"v")
    engine.write(batch)
    found = numbers(families.engine_families(engine))
    assert found["raftly_engine_keys",] == engine.stats().keys == 1
    assert found["raftly_engine_busy",] == 0


def test_grpc() -> None:
    async def body() -> None:
        async with served(Fake()) as (server, _channel, client):
            await client.raw_get(pb.RawGetRequest(context=CONTEXT, key=b"k"))
            found = numbers(families.rpc_families(server.rpc))
            assert found["raftly_grpc_connections_open",] == found["raftly_grpc_connections_total",] == 1
            assert found["raftly_grpc_calls_open",] == found["raftly_grpc_faults_total",] == 0

    run(body())


def test_the_process() -> None:
    found = numbers(families.process_families())
    assert found["process_cpu_seconds_total",] > 0
    assert found["process_start_time_seconds",] > 1.6e9
    if families._STATM.exists():
        assert 1e6 < found["process_resident_memory_bytes",] < 1e12


def test_a_system_without_proc(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(families, "_STATM", tmp_path / "none")
    assert ("process_resident_memory_bytes",) not in numbers(families.process_families())
