"""Links that carry nothing, or less, or later."""

from __future__ import annotations

import asyncio

from raftly.testing.sim.faults import Fault
from raftly.testing.sim.host import Host
from raftly.testing.sim.inject.injection import Injection, hold
from raftly.testing.sim.net import Link, LinkOptions, edges_between


async def _cut(by: Injection, fault: Fault, edges: list[tuple[Host, Host]]) -> None:
    if edges:
        by.hit(fault)
        await cut_for(by, edges, fault.seconds)


async def cut_for(by: Injection, edges: list[tuple[Host, Host]], seconds: float) -> None:
    """Cut each direction for some time."""
    net = by.cluster.world.net
    net.cut_edges(edges)
    try:
        await asyncio.sleep(seconds)
    finally:
        net.mend_edges(edges)


async def isolate(by: Injection, fault: Fault) -> None:
    """See `KINDS`, as for all others."""
    host = by.host(fault)
    await _cut(by, fault, edges_between([[host], by.others(host)]))


async def deaf(by: Injection, fault: Fault) -> None:
    """Half a partition."""
    host = by.host(fault)
    await _cut(by, fault, [(other, host) for other in by.others(host)])


async def mute(by: Injection, fault: Fault) -> None:
    """The other half."""
    host = by.host(fault)
    await _cut(by, fault, [(host, other) for other in by.others(host)])


async def split(by: Injection, fault: Fault) -> None:
    """Clients reach both sides: that is what shows a leader that is none any more."""
    cluster = by.cluster
    inside = [cluster.hosts[id_] for id_ in fault.nodes]
    outside = [host for id_, host in cluster.hosts.items() if id_ not in fault.nodes and id_ not in cluster.retired]
    await _cut(by, fault, edges_between([inside, outside]))


async def bridge(by: Injection, fault: Fault) -> None:
    """Two halves, and one who is in both."""
    rest = [by.cluster.hosts[id_] for id_ in by.cluster.ids if id_ != fault.nodes[0]]
    half = len(rest) // 2
    await _cut(by, fault, edges_between([rest[:half], rest[half:]]))


def _both(by: Injection, fault: Fault) -> list[Host]:
    """The two hosts of a link, if there are two."""
    hosts = [by.cluster.hosts[id_] for id_ in fault.nodes]
    return hosts if len(set(fault.nodes)) == 2 else []


async def cut(by: Injection, fault: Fault) -> None:
    """One link, one way."""
    if hosts := _both(by, fault):
        await _cut(by, fault, [(hosts[0], hosts[1])])


async def flap(by: Injection, fault: Fault) -> None:
    """One link, both ways, again and again."""
    if hosts := _both(by, fault):
        a, b = hosts
        until = by.cluster.world.now + fault.seconds
        by.hit(fault)
        while by.cluster.world.now < until:
            await cut_for(by, [(a, b), (b, a)], fault.amount)
            await asyncio.sleep(fault.amount)


async def reset(by: Injection, fault: Fault) -> None:
    """If there are any."""
    if hosts := _both(by, fault):
        by.hit(fault, by.cluster.world.net.reset(hosts[0], hosts[1]) > 0)


def _from(by: Injection, fault: Fault) -> list[Link]:
    """All links from a node."""
    host = by.host(fault)
    return [by.cluster.world.net.link(host, other) for other in by.others(host)]


async def slow_link(by: Injection, fault: Fault) -> None:
    """More latency."""
    by.hit(fault)
    links = _from(by, fault)
    for link in links:
        link.slow *= fault.amount

    def undo() -> None:
        for link in links:
            link.slow /= fault.amount

    await hold(fault, undo)


async def narrow_link(by: Injection, fault: Fault) -> None:
    """Less bandwidth."""
    by.hit(fault)
    links = _from(by, fault)
    for link in links:
        link.bytes_per_s_max = fault.amount

    def undo() -> None:
        for link in links:
            link.widen()

    await hold(fault, undo)


async def loss(by: Injection, fault: Fault) -> None:
    """Of messages; what a stream carries comes later."""
    by.hit(fault)
    links, usual = _from(by, fault), by.cluster.world.net.options
    for link in links:
        link.options = LinkOptions(loss=fault.amount, duplicate=fault.amount, reorder=fault.amount)

    def undo() -> None:
        for link in links:
            link.options = usual

    await hold(fault, undo)
