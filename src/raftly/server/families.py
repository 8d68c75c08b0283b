"""The numbers of a process beside those of its commands and regions: gRPC, engine, the sweep, the process itself.

Names are TiKV's, or Prometheus' own for processes, where the meaning is the same. All are read when they are asked for.
"""

from __future__ import annotations

import os
import resource
import time
from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from typing import Final

from raftly.engine.base import Engine
from raftly.node.metrics import Family, Kind, Sample, Value
from raftly.rpc import Server
from raftly.server.metrics import CONTENT_TYPE, Families, exposition
from raftly.server.status import Page, text_page
from raftly.store.expiry import Sweeper

__all__ = [
    "engine_families",
    "metrics_page",
    "process_families",
    "rpc_families",
    "sweep_families",
]

_STARTED_S: Final = time.time()
_STATM: Final = Path("/proc/self/statm")

Numbers = Iterator[tuple[Family, list[Sample]]]


def metrics_page(*known: Families) -> Page:
    """All of them, one after the other, for Prometheus."""
    return text_page(exposition(chain.from_iterable(known)), CONTENT_TYPE)


def engine_families(engine: Engine) -> Numbers:
    """How the engine does."""
    stats = engine.stats()
    yield _gauge("raftly_engine_disk_bytes", "Bytes of tables on the disk.", stats.disk_bytes)
    yield _gauge("raftly_engine_memory_bytes", "Bytes of write buffers, caches and indexes.", stats.memory_bytes)
    yield _gauge("raftly_engine_keys", "Keys, as the engine estimates them.", stats.keys)
    yield _gauge("raftly_engine_level0_files", "Tables that no compaction has taken up yet.", stats.level0_files)
    yield _gauge("raftly_engine_compaction_bytes", "Bytes that compactions have to rewrite.", stats.compaction_bytes)
    yield _gauge("raftly_engine_busy", "1 when compactions are behind.", int(stats.is_busy))


def sweep_families(sweeper: Sweeper | None) -> Numbers:
    """How the sweep of what has expired gets on; nothing where nothing expires."""
    if sweeper is None:
        return
    yield _counter("raftly_sweep_removed_total", "Keys that had expired and were taken away.", sweeper.keys_removed)
    yield _counter("raftly_sweep_read_total", "Keys that were read to find those.", sweeper.keys_read)
    yield _counter("raftly_sweep_walks_total", "Regions that were walked over for that.", sweeper.walks)


def rpc_families(server: Server) -> Numbers:
    """What a gRPC server has seen."""
    stats = server.stats
    yield _gauge("raftly_grpc_connections_open", "Connections that are open.", server.connections_open)
    yield _gauge("raftly_grpc_calls_open", "Calls that are open, streams too.", server.calls_open)
    yield _counter("raftly_grpc_connections_total", "Connections, the refused ones too.", stats.connections)
    yield _counter("raftly_grpc_connections_refused_total", "Connections over the limit.", stats.connections_refused)
    yield _counter("raftly_grpc_tls_failures_total", "TLS handshakes that failed.", stats.tls_failures)
    yield _counter("raftly_grpc_faults_total", "Connections that ended by the client's fault.", stats.faults)


def process_families() -> Numbers:
    """What Prometheus wants to know of every process."""
    usage = resource.getrusage(resource.RUSAGE_SELF)
    seconds = usage.ru_utime + usage.ru_stime
    yield _counter("process_cpu_seconds_total", "Processor time, of user and system.", seconds)
    yield _gauge("process_start_time_seconds", "When it started, in seconds since 1970.", _STARTED_S)
    try:
        pages = int(_STATM.read_bytes().split()[1])
    except (OSError, IndexError, ValueError):  # no such thing on this system
        return
    yield _gauge("process_resident_memory_bytes", "Memory that is resident.", pages * os.sysconf("SC_PAGE_SIZE"))


def _gauge(name: str, text: str, value: Value) -> tuple[Family, list[Sample]]:
    return Family(name, Kind.GAUGE, text), [Sample((), value)]


def _counter(name: str, text: str, value: Value) -> tuple[Family, list[Sample]]:
    return Family(name, Kind.COUNTER, text), [Sample((), value)]
