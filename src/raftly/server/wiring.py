"""Wiring: a store from its configuration: engine, log, transport, regions, services, and their end in the right order.

stop: health says that it goes ─► leaderships handed over, clients told to whom ─► what was asked is answered ─►
connections closed ─► log and engine synced and closed
"""

from __future__ import annotations

import asyncio
import logging
import os
import shutil
import time
from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from typing import Final

from raftly.base.rand import SplitMix64
from raftly.base.store_meta import VALUE_LAYOUT, StoreMeta
from raftly.client.channels import split_address
from raftly.client.errors import NotDone
from raftly.client.pd import PdClient
from raftly.engine.base import Engine
from raftly.engine.memory import MemoryEngine
from raftly.engine.rocks_options import RocksOptions
from raftly.errors import ConfigError, RaftlyError
from raftly.rpc import ClientTls, Limits, ServerTls
from raftly.server.config import StorageSection, StoreConfig, TlsSection
from raftly.server.families import (
    engine_families,
    metrics_page,
    process_families,
    rpc_families,
    sweep_families,
)
from raftly.server.kv_server import KvServer, KvServerOptions
from raftly.server.layout import settle_layout
from raftly.server.metrics import Families
from raftly.server.placement_client import GrpcPlacement
from raftly.server.process import Bound, Started, bound_address
from raftly.server.raw import RawOptions
from raftly.server.standalone import PEER, StandaloneKv
from raftly.server.standalone_pd import standalone_pd
from raftly.server.status import Page, Pages, StatusServer, json_page
from raftly.server.store_families import store_families
from raftly.storage.log_store import LogOptions
from raftly.storage.osfs import OsFs
from raftly.store.options import StoreOptions
from raftly.store.store import MakeTransport, RegionStore
from raftly.transport.options import TcpOptions
from raftly.transport.tcp import TcpTransport
from raftly.transport.tls import PeerTls

__all__ = ["peer_tcp", "server_tls", "start_standalone", "start_status", "start_store"]

_log: Final = logging.getLogger("raftly.server")
STANDALONE_CLUSTER: Final = 1
WATCH_S: Final = 0.1
LINGER_S: Final = 0.25


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
    """What a server shows, and whom it trusts; None: plain text.

    Raises:
        ConfigError: a file cannot be read.
    """
    if not section.is_on:
        return None
    for name in ("authorities", "certificate", "key"):
        try:
            Path(getattr(section, name)).open("rb").close()
        except OSError as error:
            raise ConfigError(f"tls.{name}", f"cannot be read: {error}") from error
    return ServerTls(Path(section.certificate), Path(section.key), Path(section.authorities))


async def start_status(address: str, beside: str, pages: Pages) -> tuple[StatusServer | None, str]:
    """Serve pages, on the machine that others reach at `beside`; nothing, at no address, if there is none."""
    if not address:
        return None, ""
    bound = bound_address("status_address", address, beside=beside)
    status = StatusServer(pages)
    await status.start(bound.host, bound.port)
    return status, bound.advertised


def peer_tcp(section: TlsSection, *, bind_senders: bool) -> TcpOptions:
    """How members of the placement driver, or stores, speak among themselves."""
    if not section.is_on:
        return TcpOptions(bind_senders=bind_senders, write_at_once=True, allow_plaintext=True)
    names = section.names
    files = Path(section.certificate), Path(section.key), Path(section.authorities)
    tls = PeerTls(*files, lambda _: names, clients=names)  # a member that joins asks as a client
    return TcpOptions(tls=tls, bind_senders=bind_senders, write_at_once=True)


def client_tls(section: TlsSection) -> ClientTls | None:
    """What a store shows to the placement driver, and whom it trusts; None: plain text."""
    if not section.is_on:
        return None
    return ClientTls(Path(section.authorities), Path(section.certificate), Path(section.key))


def store_options(config: StoreConfig) -> StoreOptions:
    """What regions are told."""
    raft, region = config.raft, config.region
    return StoreOptions(
        tick=raft.tick,
        heartbeat_tick=raft.heartbeat_ticks,
        election_tick=raft.election_ticks,
        lease=raft.lease,
        clock_drift=raft.clock_drift,
        hibernate_ticks=raft.hibernate_ticks,
        entry_bytes_max=raft.entry_max,
        log_entries_max=raft.log_entries_max,
        log_bytes_max=raft.log_bytes_max,
        snapshot_rate=raft.snapshot_rate,
        region_max_bytes=region.max_size,
        region_split_bytes=region.split_size,
        region_max_keys=region.max_keys,
        region_split_keys=region.split_keys,
        split_check_interval=region.split_check,
        region_heartbeat_interval=region.heartbeat,
        store_heartbeat_interval=region.store_heartbeat,
        sweep_interval=config.storage.ttl_sweep,
        log=LogOptions(segment_bytes=raft.log_segment),
    )


async def start_store(config: StoreConfig) -> Started:
    """A store of a cluster: joins it, or goes on where its directory was left.

    Raises:
        RaftlyError, OSError: it cannot be.
    """
    loop = asyncio.get_running_loop()
    failed: asyncio.Future[RaftlyError] = loop.create_future()
    clients = bound_address("address", config.address, config.advertise_address)
    peers = bound_address("peer_address", config.peer_address, config.advertise_peer_address)
    directory = Path(config.data_dir)
    async with AsyncExitStack() as undo:
        fs = OsFs(directory / "raft")
        undo.callback(fs.close)  # after all else: it waits for what the disk has under way
        engine = open_engine(config.storage, directory / "engine")
        undo.callback(engine.close)
        await settle_layout(engine, enable_ttl=config.storage.ttl)
        pd = PdClient(config.pd, tls=client_tls(config.tls))
        placement = GrpcPlacement(pd)
        undo.push_async_callback(placement.close)
        await _wait_for_driver(pd, config.pd)

        where = config.status_address
        status = bound_address("status_address", where, beside=clients.advertised) if where else None
        meta = StoreMeta(
            0,
            clients.advertised,
            peers.advertised,
            status.advertised if status else "",
            {**config.labels, VALUE_LAYOUT: str(int(config.storage.ttl))},
            version=version("raftly"),
        )
        (directory / "raft").mkdir(parents=True, exist_ok=True)
        store = await RegionStore.start(
            fs,
            engine,
            _transports(config.tls, peers),
            placement,
            meta,
            store_options(config),
            random=SplitMix64(int.from_bytes(os.urandom(8), "little")),
            usage=lambda: _usage(directory),
            wall_clock=time.time if config.storage.ttl else None,
        )
        undo.push_async_callback(store.stop)
        placement.on_step = store.on_step
        placement.on_new_leader = store.report_all
        server = KvServer(store, time.time, server_options(config, store.cluster_id, store.id))
        undo.push_async_callback(server.stop, config.server.drain / 2)
        await server.start(clients.host, clients.port)
        undo.push_async_callback(_leave, server, store)
        pages = StatusServer(_store_pages(store, server, config))
        undo.push_async_callback(pages.stop)
        if status is not None:
            await pages.start(status.host, status.port)
        watching = loop.create_task(_watch(store, failed))
        undo.callback(watching.cancel)
        ends = undo.pop_all()
    addresses = {"address": clients.advertised, "peer": peers.advertised, "status": meta.status_address}
    return Started(f"store {store.id}", addresses, failed, ends.aclose, config.server.drain, {"store": store.id})


async def _leave(server: KvServer, store: RegionStore) -> None:
    """Others lead, and clients hear of it where they knew a leader, before that place is closed to them."""
    server.leave()
    if await store.leave():
        await asyncio.sleep(LINGER_S)


def _transports(tls: TlsSection, peers: Bound) -> MakeTransport:
    """How a store reaches the others, once it knows who it is."""

    def make(cluster_id: int, store_id: int) -> TcpTransport:
        listen, advertise = (peers.host, peers.port), split_address(peers.advertised)
        options = peer_tcp(tls, bind_senders=False)
        return TcpTransport(cluster_id, store_id, listen, {}, options, advertise=advertise)

    return make


def _usage(directory: Path) -> tuple[int, int]:
    disk = shutil.disk_usage(directory)
    return disk.total, disk.free


async def _wait_for_driver(pd: PdClient, addresses: Sequence[str]) -> None:
    """A store may be started before its placement driver is: until a member answers it says so and asks again."""
    while True:
        try:
            await pd.members()
        except NotDone as error:
            _log.warning("no placement driver answers at %s yet: %s", ", ".join(addresses), error.cause)
        else:
            return


async def _watch(store: RegionStore, failed: asyncio.Future[RaftlyError]) -> None:
    """Learn that a store has failed: then it serves nothing any more, and must end."""
    while store.failure is None:  # noqa: ASYNC110 - it is not told to anybody
        await asyncio.sleep(WATCH_S)
    failed.set_result(store.failure)


def _metrics(server: KvServer, engine: Engine, *more: Families) -> Page:
    known = server.counts.families(), *more, engine_families(engine), rpc_families(server.rpc), process_families()
    return metrics_page(*known)


def _store_pages(store: RegionStore, server: KvServer, config: StoreConfig) -> Pages:
    def regions() -> Page:
        rows = []
        for region in store.regions():
            peer = store.peer_of(region.id)
            rows.append(
                {
                    "id": region.id,
                    "start_key": region.start_key.hex(),
                    "end_key": region.end_key.hex(),
                    "conf_ver": region.epoch.conf_ver,
                    "version": region.epoch.version,
                    "peers": [{"id": one.id, "store": one.store_id, "role": one.role.name} for one in region.peers],
                    "leads": peer is not None and peer.is_leader,
                    "leader": 0 if peer is None or peer.leader is None else peer.leader.store_id,
                    "term": 0 if peer is None else peer.term,
                    "asleep": peer is not None and peer.group is not None and peer.group.asleep,
                }
            )
        return json_page(rows)

    def status() -> Page:
        failure = None if store.failure is None else str(store.failure)
        return json_page(
            {
                "cluster": store.cluster_id,
                "store": store.id,
                "regions": len(store.regions()),
                "version": store.meta.version,
                "labels": dict(store.meta.labels),
                "failure": failure,
            }
        )

    return {
        "/config": lambda: json_page(asdict(config)),
        "/metrics": lambda: _metrics(server, store.engine, store_families(store), sweep_families(store.sweeper)),
        "/regions": regions,
        "/status": status,
    }


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
        await settle_layout(engine, enable_ttl=config.storage.ttl)
        wall_clock = time.time if config.storage.ttl else None
        backend = StandaloneKv(engine, on_failure, wall_clock, config.storage.ttl_sweep)
        options = server_options(config, STANDALONE_CLUSTER, PEER.store_id)
        driver = standalone_pd(STANDALONE_CLUSTER, bound.advertised)
        server = KvServer(backend, time.time, options, [driver])
        await server.start(bound.host, bound.port)
        pages: Pages = {
            "/config": lambda: json_page(asdict(config)),
            "/metrics": lambda: _metrics(server, engine, sweep_families(backend.sweeper)),
            "/status": lambda: json_page({"store": PEER.store_id, "standalone": True}),
        }
        status, status_address = await start_status(config.status_address, bound.advertised, pages)
        sweeping = None if backend.sweeper is None else asyncio.get_running_loop().create_task(backend.sweeper.run())
    except BaseException:
        engine.close()
        raise

    async def stop() -> None:
        await server.stop(config.server.drain / 2)
        if sweeping is not None:
            sweeping.cancel()
            await asyncio.wait([sweeping])
        await backend.stop()
        if status is not None:
            await status.stop()
        engine.close()

    addresses = {"address": bound.advertised, "status": status_address}
    return Started("store 1", addresses, failed, stop, config.server.drain, {"store": PEER.store_id})
