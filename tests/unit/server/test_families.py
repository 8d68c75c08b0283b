"""The numbers of a store process are there, under names that dashboards know."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pytest

from raftly.base.region import Region
from raftly.engine import MemoryEngine
from raftly.engine.base import WriteBatch
from raftly.proto import kvrpcpb_pb2 as pb
from raftly.server import families
from raftly.server.metrics import Families, exposition
from tests.unit.server.parts import CONTEXT, Fake, run, served

parser = pytest.importorskip("prometheus_client.parser")


def numbers(found: Families) -> dict[tuple[str, ...], float]:
    return {
        (sample.name, *sample.labels.values()): sample.value
        for family in parser.text_string_to_metric_families(exposition(found).decode())
        for sample in family.samples
    }


@dataclass
class Peer:
    is_leader: bool


class Regions:
    def regions(self) -> list[Region]:
        return [Region(1), Region(2), Region(3)]

    def peer_of(self, region_id: int) -> Peer | None:
        return {1: Peer(True), 2: Peer(False)}.get(region_id)


def test_regions_and_leaders() -> None:
    assert numbers(families.region_families(Regions())) == {
        ("tikv_raftstore_region_count", "region"): 3,
        ("tikv_raftstore_region_count", "leader"): 1,
    }


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
            assert found["raftly_grpc_connections",] == found["raftly_grpc_connections_total",] == 1
            assert found["raftly_grpc_calls",] == found["raftly_grpc_faults_total",] == 0

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
