"""Callers of the `Nodes` of a test, over its memory network."""

from __future__ import annotations

from typing import Any, TypeVar

from raftly.node.remote import Remote, RemoteOptions, connect
from raftly.node.service import Service
from raftly.transport.memory_client import MemoryDialer, memory_address
from tests.support.nodes import Nodes, Register, Replicas

T = TypeVar("T")

CALLER = -1


def serve(nodes: Replicas[Any], *ids: int, **settings: Any) -> None:
    """Let the nodes (all that run, if none is named) answer callers."""
    for id_ in ids or nodes.nodes:
        nodes.network.handlers[id_] = Service(nodes.nodes[id_], address_of=memory_address, **settings)


def caller(nodes: Nodes, *ids: int, id_: int = CALLER, **options: Any) -> Remote[Register]:
    """Who knows the addresses of these nodes, or of all."""
    return caller_of(Register, nodes, *ids, id_=id_, **options)


def caller_of(cls: type[T], nodes: Replicas[Any], *ids: int, id_: int = CALLER, **options: Any) -> Remote[T]:
    """The same, of another class."""
    addresses = [memory_address(node) for node in ids or nodes.ids]
    return connect(cls, addresses, dialer=MemoryDialer(nodes.network, id_), options=RemoteOptions(seed=7, **options))
