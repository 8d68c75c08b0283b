"""Processes and machines that stop, stand still, end in good order, or are asked for something."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import Final

from raftly.base.types import NodeId
from raftly.testing.sim.faults import Fault
from raftly.testing.sim.host import HostDown
from raftly.testing.sim.inject.injection import Cluster, Injection
from raftly.testing.sim.inject.network import cut_for
from raftly.testing.sim.net import edges_between

_PATIENCE_S: Final = 5.0


async def crash(by: Injection, fault: Fault) -> None:
    """See `KINDS`, as for all others."""
    by.hit(fault, by.host(fault).up)
    await _down(by, fault, power=True)


async def exit_(by: Injection, fault: Fault) -> None:
    """The process alone."""
    by.hit(fault, by.host(fault).alive)
    await _down(by, fault, power=False)


async def _down(by: Injection, fault: Fault, *, power: bool) -> None:
    id_ = fault.nodes[0]
    by.cluster.kill(id_, power=power)
    await by.boot(id_, fault.seconds)


async def crash_at_write(by: Injection, fault: Fault) -> None:
    """Given up when no such write comes."""
    id_, host = fault.nodes[0], by.host(fault)
    if not host.alive:
        return  # the fuse would burn after its next start, and nobody would start it again
    disk, until = host.disk, by.cluster.world.now + _PATIENCE_S  # who is no member may never write
    disk.fuse, burnt = int(fault.amount), disk.burnt
    by.lit[id_] = fault
    while host.alive and disk.fuse and by.cluster.world.now < until:  # noqa: ASYNC110 - disks know of no events
        await asyncio.sleep(0.01)
    disk.fuse = 0 if by.lit[id_] is fault else disk.fuse
    by.hit(fault, disk.burnt > burnt and by.lit[id_] is fault)
    if not by.host(fault).alive:  # else somebody has started it again
        await by.boot(id_, fault.seconds)


async def crash_at_callback(by: Injection, fault: Fault) -> None:
    """Given up when so many do not come."""
    host = by.host(fault)
    if not host.alive or host.fuse > 0:
        return
    life, until = host.incarnation, by.cluster.world.now + _PATIENCE_S
    host.kill_after(int(fault.amount))
    while host.fuse > 0 and host.incarnation == life and by.cluster.world.now < until:  # noqa: ASYNC110 - as disks
        await asyncio.sleep(0.01)
    if host.incarnation == life:
        host.fuse = 0
    by.hit(fault, host.burnt_in == life)
    if not by.host(fault).alive:  # else somebody has started it again
        await by.boot(fault.nodes[0], fault.seconds)


async def crash_all(by: Injection, fault: Fault) -> None:
    """A whole data centre."""
    by.hit(fault, any(by.cluster.hosts[id_].up for id_ in by.cluster.ids))
    for id_ in by.cluster.ids:
        by.cluster.kill(id_)
    await asyncio.sleep(fault.seconds)
    for id_ in by.cluster.ids:
        await by.boot(id_)


async def pause(by: Injection, fault: Fault) -> None:
    """The machine answers in the meantime, its process does not."""
    by.hit(fault, by.host(fault).alive)
    by.host(fault).pause(fault.seconds)
    await asyncio.sleep(fault.seconds)


async def suspend(by: Injection, fault: Fault) -> None:
    """Nothing answers, and afterwards one of its clocks knows nothing of it."""
    host = by.host(fault)
    if host.alive:
        by.hit(fault)
        host.suspend(fault.seconds)
        await cut_for(by, edges_between([[host], by.others(host)]), fault.seconds)


async def transfer(by: Injection, fault: Fault) -> None:
    """Nothing is promised."""
    if by.cluster.leader() not in {None, fault.nodes[0]}:
        by.hit(fault)
        await by.cluster.transfer(fault.nodes[0])


async def snapshot(by: Injection, fault: Fault) -> None:
    """If it can."""
    if fault.nodes[0] in by.cluster.nodes:
        by.hit(fault)
        await by.cluster.snapshot(fault.nodes[0])


async def stop(by: Injection, fault: Fault) -> None:
    """As one who repairs the machine does it."""
    id_ = fault.nodes[0]
    by.hit(fault, id_ in by.cluster.nodes)
    await _end(by.cluster, id_)
    await by.boot(id_, fault.seconds)


async def rolling(by: Injection, fault: Fault) -> None:
    """As an upgrade does it: the next one when the last one serves again, or does not for long."""
    cluster = by.cluster
    by.hit(fault, bool(cluster.nodes))
    for id_ in cluster.ids:
        await _end(cluster, id_)
        await asyncio.sleep(fault.seconds / 10)
        await by.boot(id_)
        until = cluster.world.now + _PATIENCE_S
        while id_ not in cluster.nodes and cluster.world.now < until:  # noqa: ASYNC110 - as `SimCluster.start`
            await asyncio.sleep(0.05)


async def _end(cluster: Cluster, id_: NodeId) -> None:
    """SIGTERM; SIGKILL to who has not ended after some time."""
    if id_ in cluster.nodes:
        with suppress(HostDown, TimeoutError):
            async with asyncio.timeout(_PATIENCE_S):
                await cluster.stop(id_)
