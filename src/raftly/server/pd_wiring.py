"""A member of the placement driver from its configuration, as a process runs it."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from dataclasses import asdict

from raftly.client.channels import split_address
from raftly.errors import RaftlyError
from raftly.node import Replicated
from raftly.pd.placement import Placement
from raftly.server.config import PdConfig
from raftly.server.families import metrics_page, process_families
from raftly.server.pd_main import PdOptions, PdServer
from raftly.server.pd_schedule import schedule_config
from raftly.server.process import Started, bound_address
from raftly.server.status import Pages, json_page
from raftly.server.wiring import peer_tcp, server_tls, start_status

__all__ = ["pd_options", "start_pd"]


def pd_options(config: PdConfig) -> PdOptions:
    """What a member is told.

    Raises:
        ConfigError: an address is none.
        OSError: no port can be had.
    """
    clients = bound_address("address", config.address, config.advertise_address)
    told = {int(id_): address for id_, address in config.members.items()}
    peers = bound_address("peer_address", config.peer_address, told.get(config.id, ""), told_by="members")
    members = {id_: split_address(address) for id_, address in told.items()}
    return PdOptions(
        id=config.id,
        name=config.name,
        directory=config.data_dir,
        listen=(clients.host, clients.port),
        advertise=clients.advertised,
        peer_listen=(peers.host, peers.port),
        peer_advertise=members.get(config.id),
        members=members,
        join=config.join,
        moved=config.moved,
        cluster_id=config.cluster_id,
        schedule=schedule_config(config.schedule),
        tls=server_tls(config.tls),
        tcp=peer_tcp(config.tls, bind_senders=True),
    )


async def start_pd(config: PdConfig) -> Started:
    """A member: of a new cluster, or of the one that its directory knows.

    Raises:
        RaftlyError, OSError: it cannot be.
    """
    loop = asyncio.get_running_loop()
    failed: asyncio.Future[RaftlyError] = loop.create_future()
    options = pd_options(config)
    async with AsyncExitStack() as undo:
        pd = await PdServer.start(options)
        undo.push_async_callback(pd.stop)
        pages: Pages = {
            "/config": lambda: json_page(asdict(config)),
            "/metrics": lambda: metrics_page(pd.node.metrics(), process_families()),
            "/state": lambda: json_page(pd.state()),
        }
        status, status_address = await start_status(config.status_address, pd.address, pages)
        if status is not None:
            undo.push_async_callback(status.stop)
        watching = loop.create_task(_watch(pd.node, failed))
        undo.callback(watching.cancel)
        pd.member.failed.add_done_callback(lambda future: _on_bug(future, failed))
        ends = undo.pop_all()
    addresses = {"address": pd.address, "status": status_address}
    name = options.name or f"pd-{options.id}"
    return Started(name, addresses, failed, ends.aclose, config.drain, {"member": options.id})


async def _watch(node: Replicated[Placement], failed: asyncio.Future[RaftlyError]) -> None:
    """Learn that the node has ended by itself: leadership is told until then."""
    async for _ in node.leadership():
        pass
    if node.failure is not None and not failed.done():
        failed.set_result(node.failure)


def _on_bug(future: asyncio.Future[None], failed: asyncio.Future[RaftlyError]) -> None:
    """A duty of the leader ended by a bug of ours: the member must not go on."""
    if not future.cancelled() and (error := future.exception()) is not None and not failed.done():
        failed.set_exception(error)
