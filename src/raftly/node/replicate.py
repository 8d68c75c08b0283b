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
    config: NodeConfig | None = None,
    tcp: TcpOptions | None = None,
) -> Replicated[T]:
    """Run node `id` of a group whose members listen at `addresses`; its log is in `directory`.

    Every member is started with the same addresses, each with a directory of its own. Without TLS in `tcp` only
    loopback is allowed, unless `tcp` says otherwise. By default the members are those of `addresses`. Callers elsewhere
    (`raftly.node.remote.connect`) come to the same port.

    Raises:
        ConfigError: an option is wrong, or `addresses` lacks this node, or the class cannot be replicated.
        StorageError: the directory is in use, damaged, or another node's.
        OSError: the port cannot be listened on.
    """
    if id not in addresses:
        raise ConfigError("addresses", f"has no node {id}")
    config = config or NodeConfig(id, tuple(sorted(addresses)))
    others = {node: address for node, address in addresses.items() if node != id}
    options = dataclasses.replace(tcp or TcpOptions(), write_at_once=True)  # the driver sends once a turn
    transport = TcpTransport(config.cluster_id, id, addresses[id], others, options)
    node = await Replicated.start(factory, config, transport, directory=directory)
    transport.serve(Service(node, address_of=addresses.get))
    return node
