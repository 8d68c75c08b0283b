"""Nodes that come and go, and nodes that are replaced because their disks are damaged."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import Final

from raftly.base.types import NodeId
from raftly.errors import OutcomeUnknown
from raftly.testing.faultfs import Effect
from raftly.testing.faultfs import Fault as DiskFault
from raftly.testing.sim.faults import Fault
from raftly.testing.sim.inject.injection import Cluster, Injection

_CHANGE_S: Final = 8.0


async def grow(by: Injection, fault: Fault) -> None:
    """See `KINDS`, as for all others."""
    cluster, new = by.cluster, fault.nodes[0]
    if new not in cluster.hosts:
        by.hit(fault)
        with suppress(OutcomeUnknown):
            await cluster.add(new, _CHANGE_S)
        await asyncio.sleep(fault.seconds)
        await _let_go(cluster, new)


async def replace(by: Injection, fault: Fault) -> None:
    """Unless it is on its way out already."""
    if _may_replace(by, fault):
        by.replacing.add(fault.nodes[0])
        by.hit(fault)
        await _swap(by.cluster, fault)


def _may_replace(by: Injection, fault: Fault) -> bool:
    """Is there still somebody to be replaced, by nobody else?"""
    old, new = fault.nodes
    going = by.replacing | by.cluster.leaving
    return new not in by.cluster.hosts and old in by.cluster.ids and old not in going


async def _swap(cluster: Cluster, fault: Fault) -> None:
    old, new = fault.nodes
    if old in cluster.ids:
        try:
            await cluster.add(new, _CHANGE_S)
        except OutcomeUnknown:
            return  # it stays as well
        await _let_go(cluster, old)


async def _let_go(cluster: Cluster, id_: NodeId) -> None:
    cluster.leaving.add(id_)
    with suppress(OutcomeUnknown):
        await cluster.remove(id_, _CHANGE_S)


# --- damage ---


async def wipe(by: Injection, fault: Fault) -> None:
    """Another disk, with nothing on it."""
    if _may_damage(by, fault):
        by.hit(fault)
        by.cluster.kill(fault.nodes[0])
        by.host(fault).disk.wipe()
        await _start_damaged(by, fault)


async def bit_rot(by: Injection, fault: Fault) -> None:
    """While it is down."""
    if _may_damage(by, fault):
        host = by.host(fault)
        by.cluster.kill(fault.nodes[0])
        path = host.disk.flip_bit()
        by.hit(fault, bool(path))
        by.cluster.world.note(host.name, "rot", path)
        await _start_damaged(by, fault)


async def bad_write(by: Injection, fault: Fault) -> None:
    """While it runs, and it is not told."""
    if _may_damage(by, fault):
        disk = by.host(fault).disk
        # Not one that lands elsewhere: if it is the last, nobody can tell it from one that never came.
        rule = disk.fs.add(DiskFault("write", Effect.FLIP_BIT, path="wal/", after=int(fault.amount)))
        await asyncio.sleep(fault.seconds)
        by.hit(fault, rule.struck > 0)
        by.cluster.kill(fault.nodes[0])
        if rule in disk.fs.faults:
            disk.fs.faults.remove(rule)
        await _start_damaged(by, fault)


def _may_damage(by: Injection, fault: Fault) -> bool:
    """May this node's disk be damaged, so that most disks are sound? If so it is to be replaced from now on."""
    cluster, old = by.cluster, fault.nodes[0]
    damaged = cluster.damaged - cluster.retired
    if not _may_replace(by, fault) or 2 * (len(damaged) + 1) >= len(cluster.founders):
        return False
    by.replacing.add(old)
    cluster.damaged.add(old)
    return True


async def _start_damaged(by: Injection, fault: Fault) -> None:
    """What a node makes of a damaged disk, before its operator replaces it."""
    old: NodeId = fault.nodes[0]
    await by.boot(old)
    await asyncio.sleep(fault.seconds)
    by.cluster.leaving.add(old)
    await _swap(by.cluster, fault)
