"""Doing what a list of faults says, to a cluster, and undoing it."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Coroutine, Sequence
from contextlib import suppress
from typing import Any, Final, TypeAlias, final

from raftly.base.types import NodeId
from raftly.errors import OutcomeUnknown
from raftly.testing.faultfs import Effect
from raftly.testing.faultfs import Fault as DiskFault
from raftly.testing.sim.cluster import SimCluster
from raftly.testing.sim.faults import KINDS, Fault, Successors
from raftly.testing.sim.host import Host, HostDown
from raftly.testing.sim.net import LinkOptions, edges_between

Cluster: TypeAlias = SimCluster[Any]


@final
class Injection:
    """One list of faults on its way, and what of it really struck."""

    def __init__(self, cluster: Cluster, struck: Counter[str]) -> None:
        self.cluster = cluster
        self.replacing: set[NodeId] = set()
        """Nodes whose successors are on their way in, or have come."""
        self.lit: dict[NodeId, Fault] = {}
        """Who lit the fuse of a disk last."""
        self._struck = struck

    def hit(self, fault: Fault, is_so: bool = True) -> None:
        """It does something, if so: then it counts."""
        if is_so:
            self._struck[fault.kind] += 1

    def host(self, fault: Fault) -> Host:
        """Of its first node."""
        return self.cluster.hosts[fault.nodes[0]]


async def inject(
    cluster: Cluster, faults: Sequence[Fault], seconds: float = 0.0, struck: Counter[str] | None = None
) -> Counter[str]:
    """Let each fault happen at its time, counted from now, and undo all at the end; how many of each kind struck.

    They are counted in `struck` as soon as they do something. It takes at least so many seconds. Runs on the director's
    host. Nodes that are down then are started.
    """
    begun = cluster.world.now
    struck = Counter() if struck is None else struck
    injection = Injection(cluster, struck)
    successors = Successors(faults)

    async def one(fault: Fault) -> None:
        await asyncio.sleep(begun + fault.at - cluster.world.now)
        here = successors.resolve(fault, cluster.hosts, cluster.ids)
        cluster.world.note("fault", fault.kind, str(here or fault))
        if here is not None:
            await _ACTIONS[here.kind](injection, here)

    tasks = [asyncio.create_task(one(fault)) for fault in sorted(faults, key=lambda fault: fault.at)]
    try:
        await asyncio.gather(*tasks, asyncio.sleep(seconds))
    finally:
        for task in tasks:
            task.cancel()
    heal(cluster)
    return struck


async def settle_members(cluster: Cluster, within: float) -> None:
    """After healing: bring in and let go for good whoever was on the way in or out when the time was up.

    Raises:
        OutcomeUnknown: the cluster could not.
    """
    for id_ in [id_ for id_ in cluster.ids if id_ in cluster.leaving]:
        await cluster.remove(id_, within)
    for id_ in [id_ for id_ in cluster.ids if id_ not in cluster.founders]:
        await cluster.add(id_, within)


def heal(cluster: Cluster) -> None:
    """Everything is well from now on, and every node is up."""
    cluster.world.net.heal()
    for id_, host in cluster.hosts.items():
        host.disk.slow = 1.0
        host.disk.stalled_until = 0.0
        host.disk.fuse = 0
        host.disk.fs.faults.clear()
        host.disk.free()
        if host.clock.rate != 1.0:
            host.set_rate(1.0)
        if not host.alive:
            cluster.boot(id_)


async def _hold(fault: Fault, undo: Callable[[], None]) -> None:
    """Until the time of a fault is over."""
    try:
        await asyncio.sleep(fault.seconds)
    finally:
        undo()


# --- processes and machines ---


async def _crash(by: Injection, fault: Fault) -> None:
    by.hit(fault, by.host(fault).up)
    await _down(by, fault, power=True)


async def _exit(by: Injection, fault: Fault) -> None:
    by.hit(fault, by.host(fault).alive)
    await _down(by, fault, power=False)


async def _down(by: Injection, fault: Fault, *, power: bool) -> None:
    id_ = fault.nodes[0]
    by.cluster.kill(id_, power=power)
    await _boot(by.cluster, id_, fault.seconds)


async def _boot(cluster: Cluster, id_: NodeId, after: float = 0.0) -> None:
    await asyncio.sleep(after)
    if not cluster.hosts[id_].alive:
        cluster.boot(id_)


async def _crash_at_write(by: Injection, fault: Fault) -> None:
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
        await _boot(by.cluster, id_, fault.seconds)


async def _crash_all(by: Injection, fault: Fault) -> None:
    by.hit(fault, any(by.cluster.hosts[id_].up for id_ in by.cluster.ids))
    for id_ in by.cluster.ids:
        by.cluster.kill(id_)
    await asyncio.sleep(fault.seconds)
    for id_ in by.cluster.ids:
        await _boot(by.cluster, id_)


async def _pause(by: Injection, fault: Fault) -> None:
    by.hit(fault, by.host(fault).alive)
    by.host(fault).pause(fault.seconds)
    await asyncio.sleep(fault.seconds)


async def _transfer(by: Injection, fault: Fault) -> None:
    if by.cluster.leader() not in {None, fault.nodes[0]}:
        by.hit(fault)
        await by.cluster.transfer(fault.nodes[0])


async def _snapshot(by: Injection, fault: Fault) -> None:
    if fault.nodes[0] in by.cluster.nodes:
        by.hit(fault)
        await by.cluster.snapshot(fault.nodes[0])


async def _stop(by: Injection, fault: Fault) -> None:
    id_ = fault.nodes[0]
    by.hit(fault, id_ in by.cluster.nodes)
    await _end(by.cluster, id_)
    await _boot(by.cluster, id_, fault.seconds)


async def _rolling(by: Injection, fault: Fault) -> None:
    """As an upgrade does it: the next one when the last one serves again, or does not for long."""
    cluster = by.cluster
    by.hit(fault, bool(cluster.nodes))
    for id_ in cluster.ids:
        await _end(cluster, id_)
        await asyncio.sleep(fault.seconds / 10)
        await _boot(cluster, id_)
        until = cluster.world.now + _PATIENCE_S
        while id_ not in cluster.nodes and cluster.world.now < until:  # noqa: ASYNC110 - as `SimCluster.start`
            await asyncio.sleep(0.05)


async def _end(cluster: Cluster, id_: NodeId) -> None:
    """SIGTERM; SIGKILL to who has not ended after some time."""
    if id_ in cluster.nodes:
        with suppress(HostDown, TimeoutError):
            async with asyncio.timeout(_PATIENCE_S):
                await cluster.stop(id_)


# --- nodes that come and go ---


async def _grow(by: Injection, fault: Fault) -> None:
    cluster, new = by.cluster, fault.nodes[0]
    if new not in cluster.hosts:
        by.hit(fault)
        with suppress(OutcomeUnknown):
            await cluster.add(new, _CHANGE_S)
        await asyncio.sleep(fault.seconds)
        await _let_go(cluster, new)


async def _replace(by: Injection, fault: Fault) -> None:
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


# --- damage: nodes that are replaced ---


async def _wipe(by: Injection, fault: Fault) -> None:
    if _may_damage(by, fault):
        by.hit(fault)
        by.cluster.kill(fault.nodes[0])
        by.host(fault).disk.wipe()
        await _start_damaged(by, fault)


async def _bit_rot(by: Injection, fault: Fault) -> None:
    if _may_damage(by, fault):
        host = by.host(fault)
        by.cluster.kill(fault.nodes[0])
        path = host.disk.flip_bit()
        by.hit(fault, bool(path))
        by.cluster.world.note(host.name, "rot", path)
        await _start_damaged(by, fault)


async def _bad_write(by: Injection, fault: Fault) -> None:
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
    old = fault.nodes[0]
    await _boot(by.cluster, old)
    await asyncio.sleep(fault.seconds)
    by.cluster.leaving.add(old)
    await _swap(by.cluster, fault)


# --- the network ---


def _others(by: Injection, host: Host) -> list[Host]:
    """Every host but this one and the director's: clients are cut off too."""
    world = by.cluster.world
    return [other for other in world.hosts.values() if other is not host and other is not world.director]


async def _cut(by: Injection, fault: Fault, edges: list[tuple[Host, Host]]) -> None:
    if edges:
        by.hit(fault)
        await _cut_for(by, edges, fault.seconds)


async def _cut_for(by: Injection, edges: list[tuple[Host, Host]], seconds: float) -> None:
    net = by.cluster.world.net
    net.cut_edges(edges)
    try:
        await asyncio.sleep(seconds)
    finally:
        net.mend_edges(edges)


async def _isolate(by: Injection, fault: Fault) -> None:
    host = by.host(fault)
    await _cut(by, fault, edges_between([[host], _others(by, host)]))


async def _deaf(by: Injection, fault: Fault) -> None:
    host = by.host(fault)
    await _cut(by, fault, [(other, host) for other in _others(by, host)])


async def _mute(by: Injection, fault: Fault) -> None:
    host = by.host(fault)
    await _cut(by, fault, [(host, other) for other in _others(by, host)])


async def _split(by: Injection, fault: Fault) -> None:
    """Clients reach both sides: that is what shows a leader that is none any more."""
    cluster = by.cluster
    inside = [cluster.hosts[id_] for id_ in fault.nodes]
    outside = [host for id_, host in cluster.hosts.items() if id_ not in fault.nodes and id_ not in cluster.retired]
    await _cut(by, fault, edges_between([inside, outside]))


async def _bridge(by: Injection, fault: Fault) -> None:
    rest = [by.cluster.hosts[id_] for id_ in by.cluster.ids if id_ != fault.nodes[0]]
    half = len(rest) // 2
    await _cut(by, fault, edges_between([rest[:half], rest[half:]]))


def _both(by: Injection, fault: Fault) -> list[Host]:
    """The two hosts of a link, if there are two."""
    hosts = [by.cluster.hosts[id_] for id_ in fault.nodes]
    return hosts if len(set(fault.nodes)) == 2 else []


async def _cut_one(by: Injection, fault: Fault) -> None:
    if hosts := _both(by, fault):
        await _cut(by, fault, [(hosts[0], hosts[1])])


async def _flap(by: Injection, fault: Fault) -> None:
    if hosts := _both(by, fault):
        a, b = hosts
        until = by.cluster.world.now + fault.seconds
        by.hit(fault)
        while by.cluster.world.now < until:
            await _cut_for(by, [(a, b), (b, a)], fault.amount)
            await asyncio.sleep(fault.amount)


async def _reset(by: Injection, fault: Fault) -> None:
    if hosts := _both(by, fault):
        by.hit(fault, by.cluster.world.net.reset(hosts[0], hosts[1]) > 0)


async def _slow_link(by: Injection, fault: Fault) -> None:
    host = by.host(fault)
    links = [by.cluster.world.net.link(host, other) for other in _others(by, host)]
    by.hit(fault)
    for link in links:
        link.slow *= fault.amount
    try:
        await asyncio.sleep(fault.seconds)
    finally:
        for link in links:
            link.slow /= fault.amount


async def _loss(by: Injection, fault: Fault) -> None:
    by.hit(fault)
    host, net = by.host(fault), by.cluster.world.net
    links = [net.link(host, other) for other in _others(by, host)]
    for link in links:
        link.options = LinkOptions(loss=fault.amount, duplicate=fault.amount, reorder=fault.amount)
    try:
        await asyncio.sleep(fault.seconds)
    finally:
        for link in links:
            link.options = net.options


# --- disks ---


async def _slow_disk(by: Injection, fault: Fault) -> None:
    disk = by.host(fault).disk
    by.hit(fault)
    disk.slow *= fault.amount
    try:
        await asyncio.sleep(fault.seconds)
    finally:
        disk.slow /= fault.amount


async def _stall_disk(by: Injection, fault: Fault) -> None:
    disk = by.host(fault).disk
    by.hit(fault)
    disk.stalled_until = max(disk.stalled_until, by.cluster.world.now + fault.seconds)
    await asyncio.sleep(fault.seconds)


async def _full_disk(by: Injection, fault: Fault) -> None:
    disk = by.host(fault).disk
    by.hit(fault)
    disk.fill(int(fault.amount))
    await _hold(fault, disk.free)


async def _sync_error(by: Injection, fault: Fault) -> None:
    fs = by.host(fault).disk.fs
    rule = fs.add(DiskFault("sync", Effect.IO_ERROR))
    try:
        await asyncio.sleep(fault.seconds)
        by.hit(fault, rule.struck > 0)
    finally:
        if rule in fs.faults:
            fs.faults.remove(rule)


# --- clocks ---


async def _clock_rate(by: Injection, fault: Fault) -> None:
    by.hit(fault)
    host = by.host(fault)
    host.set_rate(fault.amount)
    await _hold(fault, lambda: host.set_rate(1.0))


async def _wall_jump(by: Injection, fault: Fault) -> None:
    host = by.host(fault)
    by.hit(fault)
    host.jump(fault.amount)
    await _hold(fault, lambda: host.jump(-fault.amount))


_CHANGE_S: Final = 8.0
_PATIENCE_S: Final = 5.0

_Action: TypeAlias = Callable[[Injection, Fault], Coroutine[Any, Any, None]]

_ACTIONS: Final[dict[str, _Action]] = {
    "crash": _crash,
    "exit": _exit,
    "crash_at_write": _crash_at_write,
    "crash_all": _crash_all,
    "pause": _pause,
    "isolate": _isolate,
    "deaf": _deaf,
    "mute": _mute,
    "split": _split,
    "bridge": _bridge,
    "cut": _cut_one,
    "flap": _flap,
    "reset": _reset,
    "slow_link": _slow_link,
    "loss": _loss,
    "slow_disk": _slow_disk,
    "stall_disk": _stall_disk,
    "full_disk": _full_disk,
    "sync_error": _sync_error,
    "clock_rate": _clock_rate,
    "wall_jump": _wall_jump,
    "transfer": _transfer,
    "snapshot": _snapshot,
    "grow": _grow,
    "stop": _stop,
    "rolling": _rolling,
    "wipe": _wipe,
    "bit_rot": _bit_rot,
    "bad_write": _bad_write,
    "replace": _replace,
}
assert _ACTIONS.keys() == KINDS.keys()
