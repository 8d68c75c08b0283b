"""Wiring: a store from its configuration: engine, log, transport, regions, services, and their end in the right order.

stop: clients hear that it goes ─► leaderships handed over, writes finished ─► connections closed ─► engine closed
"""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from typing import Final

from raftly.engine.base import Engine
from raftly.engine.memory import MemoryEngine
from raftly.engine.rocks_options import RocksOptions
from raftly.errors import ConfigError, RaftlyError
from raftly.rpc import Limits, ServerTls
from raftly.server.config import StorageSection, StoreConfig, TlsSection
from raftly.server.kv_server import KvServer, KvServerOptions
from raftly.server.metrics import CONTENT_TYPE, exposition
from raftly.server.process import Started, bound_address
from raftly.server.raw import RawOptions
from raftly.server.standalone import PEER, StandaloneKv
from raftly.server.standalone_pd import standalone_pd
from raftly.server.status import Pages, StatusServer, json_page, text_page

__all__ = ["start_standalone"]

STANDALONE_CLUSTER: Final = 1


def open_engine(section: StorageSection, directory: Path) -> Engine:
    """The engine of a store.

    Raises:
        ConfigError: RocksDB is wanted and not installed.
        StorageError: the directory cannot be used.
    """
    if section.engine == "memory":
        return MemoryEngine()
    try:
        from raftly.engine.rocks import RocksEngine  # noqa: PLC0415 - an extra
    except ImportError as error:
        raise ConfigError("storage.engine", "is rocks, which needs: pip install 'raftly[store]'") from error
    directory.mkdir(parents=True, exist_ok=True)
    options = RocksOptions(
        block_cache_bytes=section.block_cache,
        write_buffer_bytes=section.write_buffer,
        wal_bytes=section.wal,
        background_jobs=section.background_jobs,
    )
    return RocksEngine(directory, options)


def server_options(config: StoreConfig, cluster_id: int, store_id: int) -> KvServerOptions:
    """How clients are served."""
    server = config.server
    return KvServerOptions(
        cluster_id=cluster_id,
        store_id=store_id,
        raw=RawOptions(enable_ttl=config.storage.ttl),
        in_flight_max=server.in_flight_max,
        seconds_max=server.command_time_max,
        limits=Limits(message_bytes_max=server.message_max, connections_max=server.connections_max),
        tls=server_tls(config.tls),
    )


def server_tls(section: TlsSection) -> ServerTls | None:
    """What a server shows, and whom it trusts; None: plain text."""
    if not section.is_on:
        return None
    return ServerTls(Path(section.certificate), Path(section.key), Path(section.authorities))


async def start_status(address: str, pages: Pages) -> tuple[StatusServer | None, str]:
    """Serve pages; nothing, at no address, if there is none."""
    if not address:
        return None, ""
    bound = bound_address("status_address", address)
    status = StatusServer(pages)
    await status.start(bound.host, bound.port)
    return status, bound.advertised


async def start_standalone(config: StoreConfig) -> Started:
    """One engine without Raft, and what clients need of a placement driver, on one port.

    Raises:
        RaftlyError, OSError: it cannot be.
    """
    failed: asyncio.Future[RaftlyError] = asyncio.get_running_loop().create_future()

    def on_failure(error: RaftlyError) -> None:
        if not failed.done():
            failed.set_result(error)

    bound = bound_address("address", config.address, config.advertise_address)
    engine = open_engine(config.storage, Path(config.data_dir) / "engine")
    try:
        backend = StandaloneKv(engine, on_failure)
        options = server_options(config, STANDALONE_CLUSTER, PEER.store_id)
        driver = standalone_pd(STANDALONE_CLUSTER, bound.advertised)
        server = KvServer(backend, time.time, options, [driver])
        await server.start(bound.host, bound.port)
        pages: Pages = {
            "/metrics": lambda: text_page(exposition(server.counts.families()), CONTENT_TYPE),
            "/status": lambda: json_page({"store": PEER.store_id, "standalone": True}),
        }
        status, status_address = await start_status(config.status_address, pages)
    except BaseException:
        engine.close()
        raise

    async def stop() -> None:
        await server.stop(config.server.drain / 2)
        await backend.stop()
        if status is not None:
            await status.stop()
        engine.close()

    addresses = {"address": bound.advertised, "status": status_address}
    return Started("store 1", addresses, failed, stop, config.server.drain, {"store": PEER.store_id})
