"""Doing what a list of faults says, to a cluster, and undoing it."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Coroutine, Sequence
from contextlib import suppress
from typing import Any, Final, TypeAlias

from raftly.errors import OutcomeUnknown
from raftly.testing.faultfs import Effect
from raftly.testing.faultfs import Fault as DiskFault
from raftly.testing.sim.cluster import SimCluster
from raftly.testing.sim.faults import KINDS, NEWCOMERS, Fault
from raftly.testing.sim.host import Host, HostDown
from raftly.testing.sim.net import LinkOptions, edges_between

Cluster: TypeAlias = SimCluster[Any]


async def inject(cluster: Cluster, faults: Sequence[Fault], seconds: float = 0.0) -> Counter[str]:
    """Let each fault happen at its time, counted from now; how many of each kind did. All are undone at the end.

    It takes at least so many seconds. Runs on the director's host. Nodes that are down then are started.
    """
    begun = cluster.world.now
    struck: Counter[str] = Counter()

    async def one(fault: Fault) -> None:
        await asyncio.sleep(begun + fault.at - cluster.world.now)
        cluster.world.note("fault", fault.kind, str(fault))
        struck[fault.kind] += 1
        if fault.kind in NEWCOMERS or all(id_ in cluster.hosts for id_ in fault.nodes):
            await _ACTIONS[fault.kind](cluster, fault)

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


# --- processes and machines ---


async def _crash(cluster: Cluster, fault: Fault) -> None:
    await _down(cluster, fault, power=True)


async def _exit(cluster: Cluster, fault: Fault) -> None:
    await _down(cluster, fault, power=False)


async def _down(cluster: Cluster, fault: Fault, *, power: bool) -> None:
    id_ = fault.nodes[0]
    cluster.kill(id_, power=power)
    await asyncio.sleep(fault.seconds)
    _boot(cluster, id_)


def _boot(cluster: Cluster, id_: int) -> None:
    if not cluster.hosts[id_].alive:
        cluster.boot(id_)


async def _crash_at_write(cluster: Cluster, fault: Fault) -> None:
    id_ = fault.nodes[0]
    host = cluster.hosts[id_]
    runs = host.alive
    if not runs:
        return  # the fuse would burn after its next start, and nobody would start it again
    host.disk.fuse = int(fault.amount)
    while host.alive:
        if host.disk.fuse == 0:
            return  # it had died of something else, and somebody has started it again
        await asyncio.sleep(0.01)
    await asyncio.sleep(fault.seconds)
    _boot(cluster, id_)


async def _crash_all(cluster: Cluster, fault: Fault) -> None:
    for id_ in cluster.ids:
        cluster.kill(id_)
    await asyncio.sleep(fault.seconds)
    for id_ in cluster.ids:
        _boot(cluster, id_)


async def _pause(cluster: Cluster, fault: Fault) -> None:
    cluster.hosts[fault.nodes[0]].pause(fault.seconds)
    await asyncio.sleep(fault.seconds)


async def _transfer(cluster: Cluster, fault: Fault) -> None:
    await cluster.transfer(fault.nodes[0])


async def _snapshot(cluster: Cluster, fault: Fault) -> None:
    await cluster.snapshot(fault.nodes[0])


async def _grow(cluster: Cluster, fault: Fault) -> None:
    new = fault.nodes[0]
    if new not in cluster.hosts:
        with suppress(OutcomeUnknown):
            await cluster.add(new, _CHANGE_S)
        await asyncio.sleep(fault.seconds)
        await _let_go(cluster, new)


async def _replace(cluster: Cluster, fault: Fault) -> None:
    old, new = fault.nodes
    if new not in cluster.hosts and old in cluster.ids:
        try:
            await cluster.add(new, _CHANGE_S)
        except OutcomeUnknown:
            return  # it stays as well
        await _let_go(cluster, old)


async def _let_go(cluster: Cluster, id_: int) -> None:
    cluster.leaving.add(id_)
    with suppress(OutcomeUnknown):
        await cluster.remove(id_, _CHANGE_S)


async def _stop(cluster: Cluster, fault: Fault) -> None:
    id_ = fault.nodes[0]
    await _end(cluster, id_)
    await asyncio.sleep(fault.seconds)
    _boot(cluster, id_)


async def _rolling(cluster: Cluster, fault: Fault) -> None:
    """As an upgrade does it: the next one when the last one serves again, or does not for long."""
    for id_ in cluster.ids:
        await _end(cluster, id_)
        await asyncio.sleep(fault.seconds / 10)
        _boot(cluster, id_)
        until = cluster.world.now + _PATIENCE_S
        while id_ not in cluster.nodes and cluster.world.now < until:  # noqa: ASYNC110 - as `SimCluster.start`
            await asyncio.sleep(0.05)


async def _end(cluster: Cluster, id_: int) -> None:
    """SIGTERM; SIGKILL to who has not ended after some time."""
    if id_ in cluster.nodes:
        with suppress(HostDown, TimeoutError):
            async with asyncio.timeout(_PATIENCE_S):
                await cluster.stop(id_)


# --- damage: nodes that are replaced ---


async def _wipe(cluster: Cluster, fault: Fault) -> None:
    if _may_damage(cluster, fault):
        old = fault.nodes[0]
        cluster.kill(old)
        cluster.hosts[old].disk.wipe()
        await _start_damaged(cluster, fault)


async def _bit_rot(cluster: Cluster, fault: Fault) -> None:
    if _may_damage(cluster, fault):
        old = fault.nodes[0]
        cluster.kill(old)
        path = cluster.hosts[old].disk.flip_bit()
        cluster.world.note(cluster.hosts[old].name, "rot", path)
        await _start_damaged(cluster, fault)


async def _bad_write(cluster: Cluster, fault: Fault) -> None:
    if _may_damage(cluster, fault):
        old = fault.nodes[0]
        # Not one that lands elsewhere: if it is the last, nobody can tell it from one that never came.
        rule = cluster.hosts[old].disk.fs.add(DiskFault("write", Effect.FLIP_BIT, path="wal/", after=int(fault.amount)))
        await asyncio.sleep(fault.seconds)
        cluster.kill(old)
        faults = cluster.hosts[old].disk.fs.faults
        if rule in faults:
            faults.remove(rule)
        await _start_damaged(cluster, fault)


def _may_damage(cluster: Cluster, fault: Fault) -> bool:
    """May this node's disk be damaged, so that most disks are sound? If so it is to be replaced from now on."""
    old, new = fault.nodes
    damaged = cluster.damaged - cluster.retired
    if new in cluster.hosts or old not in cluster.ids or old in cluster.leaving:
        return False
    if 2 * (len(damaged) + 1) >= len(cluster.founders):
        return False
    cluster.damaged.add(old)
    return True


async def _start_damaged(cluster: Cluster, fault: Fault) -> None:
    """What a node makes of a damaged disk, before its operator replaces it."""
    old = fault.nodes[0]
    _boot(cluster, old)
    await asyncio.sleep(fault.seconds)
    cluster.leaving.add(old)
    await _replace(cluster, fault)


# --- the network ---


def _others(cluster: Cluster, host: Host) -> list[Host]:
    """Every host but this one and the director's: clients are cut off too."""
    world = cluster.world
    return [other for other in world.hosts.values() if other is not host and other is not world.director]


async def _cut(cluster: Cluster, edges: list[tuple[Host, Host]], seconds: float) -> None:
    net = cluster.world.net
    net.cut_edges(edges)
    try:
        await asyncio.sleep(seconds)
    finally:
        net.mend_edges(edges)


async def _isolate(cluster: Cluster, fault: Fault) -> None:
    host = cluster.hosts[fault.nodes[0]]
    await _cut(cluster, edges_between([[host], _others(cluster, host)]), fault.seconds)


async def _deaf(cluster: Cluster, fault: Fault) -> None:
    host = cluster.hosts[fault.nodes[0]]
    await _cut(cluster, [(other, host) for other in _others(cluster, host)], fault.seconds)


async def _mute(cluster: Cluster, fault: Fault) -> None:
    host = cluster.hosts[fault.nodes[0]]
    await _cut(cluster, [(host, other) for other in _others(cluster, host)], fault.seconds)


async def _split(cluster: Cluster, fault: Fault) -> None:
    """Clients reach both sides: that is what shows a leader that is none any more."""
    inside = [cluster.hosts[id_] for id_ in fault.nodes]
    outside = [host for id_, host in cluster.hosts.items() if id_ not in fault.nodes]
    await _cut(cluster, edges_between([inside, outside]), fault.seconds)


async def _bridge(cluster: Cluster, fault: Fault) -> None:
    rest = [host for id_, host in cluster.hosts.items() if id_ != fault.nodes[0]]
    half = len(rest) // 2
    await _cut(cluster, edges_between([rest[:half], rest[half:]]), fault.seconds)


async def _cut_one(cluster: Cluster, fault: Fault) -> None:
    if len(fault.nodes) > 1:
        a, b = (cluster.hosts[id_] for id_ in fault.nodes)
        await _cut(cluster, [(a, b)], fault.seconds)


async def _flap(cluster: Cluster, fault: Fault) -> None:
    if len(fault.nodes) > 1:
        a, b = (cluster.hosts[id_] for id_ in fault.nodes)
        until = cluster.world.now + fault.seconds
        while cluster.world.now < until:
            await _cut(cluster, [(a, b), (b, a)], fault.amount)
            await asyncio.sleep(fault.amount)


async def _reset(cluster: Cluster, fault: Fault) -> None:
    if len(fault.nodes) > 1:
        a, b = (cluster.hosts[id_] for id_ in fault.nodes)
        cluster.world.net.reset(a, b)


async def _slow_link(cluster: Cluster, fault: Fault) -> None:
    host = cluster.hosts[fault.nodes[0]]
    links = [cluster.world.net.link(host, other) for other in _others(cluster, host)]
    for link in links:
        link.slow *= fault.amount
    try:
        await asyncio.sleep(fault.seconds)
    finally:
        for link in links:
            link.slow /= fault.amount


async def _loss(cluster: Cluster, fault: Fault) -> None:
    host = cluster.hosts[fault.nodes[0]]
    links = [cluster.world.net.link(host, other) for other in _others(cluster, host)]
    for link in links:
        link.options = LinkOptions(loss=fault.amount, duplicate=fault.amount, reorder=fault.amount)
    try:
        await asyncio.sleep(fault.seconds)
    finally:
        for link in links:
            link.options = cluster.world.net.options


# --- disks ---


async def _slow_disk(cluster: Cluster, fault: Fault) -> None:
    disk = cluster.hosts[fault.nodes[0]].disk
    disk.slow *= fault.amount
    try:
        await asyncio.sleep(fault.seconds)
    finally:
        disk.slow /= fault.amount


async def _stall_disk(cluster: Cluster, fault: Fault) -> None:
    disk = cluster.hosts[fault.nodes[0]].disk
    disk.stalled_until = max(disk.stalled_until, cluster.world.now + fault.seconds)
    await asyncio.sleep(fault.seconds)


async def _full_disk(cluster: Cluster, fault: Fault) -> None:
    disk = cluster.hosts[fault.nodes[0]].disk
    disk.fill(int(fault.amount))
    try:
        await asyncio.sleep(fault.seconds)
    finally:
        disk.free()


async def _sync_error(cluster: Cluster, fault: Fault) -> None:
    fs = cluster.hosts[fault.nodes[0]].disk.fs
    rule = fs.add(DiskFault("sync", Effect.IO_ERROR))
    try:
        await asyncio.sleep(fault.seconds)
    finally:
        if rule in fs.faults:
            fs.faults.remove(rule)


# --- clocks ---


async def _clock_rate(cluster: Cluster, fault: Fault) -> None:
    host = cluster.hosts[fault.nodes[0]]
    host.set_rate(fault.amount)
    try:
        await asyncio.sleep(fault.seconds)
    finally:
        host.set_rate(1.0)


async def _wall_jump(cluster: Cluster, fault: Fault) -> None:
    host = cluster.hosts[fault.nodes[0]]
    host.jump(fault.amount)
    try:
        await asyncio.sleep(fault.seconds)
    finally:
        host.jump(-fault.amount)


_CHANGE_S: Final = 8.0
_PATIENCE_S: Final = 5.0

_Action: TypeAlias = Callable[[Cluster, Fault], Coroutine[Any, Any, None]]

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
