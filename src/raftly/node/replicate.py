"""The short way to a replicated class: TCP between the nodes, a directory each."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from typing import TypeVar

from raftly.base.types import NodeId
from raftly.errors import ConfigError
from raftly.node.config import NodeConfig
from raftly.node.replicated import Replicated
from raftly.node.service import Service
from raftly.transport.options import Address, TcpOptions
from raftly.transport.tcp import TcpTransport

T = TypeVar("T")


async def replicate(
    factory: Callable[[], T],
    id: NodeId,
    addresses: Mapping[NodeId, Address],
    directory: str,
    *,
    join: bool = False,
    listen: Address | None = None,
    config: NodeConfig | None = None,
    tcp: TcpOptions | None = None,
) -> Replicated[T]:
    """Run node `id` of a group whose members are at `addresses`; its log is in `directory`.

    The first members are all started with the same addresses, each with a directory of its own. One that is to `join`
    is started with its own address and those of the members as of now, of whom one may lead; then a leader adds it.
    Once a node has a log, what the group itself knows of members and addresses counts: `addresses` may be out of date,
    but for its own. It listens there, or at `listen`.

    Without TLS in `tcp` only loopback is allowed, unless `tcp` says otherwise. Callers elsewhere
    (`raftly.node.remote.connect`) come to the same port.

    Raises:
        ConfigError: an option is wrong, or `addresses` lacks this node, or the class cannot be replicated.
        StorageError: the directory is in use, damaged, or another node's.
        OSError: the port cannot be listened on.
    """
    if id not in addresses:
        raise ConfigError("addresses", f"has no node {id}")
    others = {node: address for node, address in addresses.items() if node != id}
    config = config or NodeConfig(id, () if join else tuple(sorted(addresses)), join)
    own = addresses[id] if listen is not None or addresses[id][1] else None  # port 0: any, so only the transport knows
    config = dataclasses.replace(config, addresses={**others, **config.addresses}, address=config.address or own)
    options = dataclasses.replace(tcp or TcpOptions(), write_at_once=True)  # the driver sends once a turn
    transport = TcpTransport(
        config.cluster_id, id, listen or addresses[id], config.addresses, options, advertise=config.address
    )
    node = await Replicated.start(factory, config, transport, directory=directory)
    transport.serve(Service(node, address_of=node.address_of))
    return node
