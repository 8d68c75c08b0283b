"""Doing what a list of faults says, to a cluster, and undoing it. What each kind does is in the modules here."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Sequence
from typing import Final

from raftly.testing.sim.faults import KINDS, Fault, Successors
from raftly.testing.sim.inject import machines, members, network, processes
from raftly.testing.sim.inject.injection import Action, Cluster, Injection

__all__ = ["heal", "inject", "settle_members"]


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
        host.fuse = host.disk.fuse = 0
        host.disk.fs.faults.clear()
        host.disk.free()
        if host.clock.rate != 1.0:
            host.set_rate(1.0)
        if not host.alive:
            cluster.boot(id_)


_ACTIONS: Final[dict[str, Action]] = {
    "crash": processes.crash,
    "exit": processes.exit_,
    "crash_at_write": processes.crash_at_write,
    "crash_at_callback": processes.crash_at_callback,
    "crash_all": processes.crash_all,
    "pause": processes.pause,
    "suspend": processes.suspend,
    "isolate": network.isolate,
    "deaf": network.deaf,
    "mute": network.mute,
    "split": network.split,
    "bridge": network.bridge,
    "cut": network.cut,
    "flap": network.flap,
    "reset": network.reset,
    "slow_link": network.slow_link,
    "narrow_link": network.narrow_link,
    "loss": network.loss,
    "slow_disk": machines.slow_disk,
    "stall_disk": machines.stall_disk,
    "full_disk": machines.full_disk,
    "sync_error": machines.sync_error,
    "write_error": machines.write_error,
    "read_error": machines.read_error,
    "clock_rate": machines.clock_rate,
    "wall_jump": machines.wall_jump,
    "transfer": processes.transfer,
    "snapshot": processes.snapshot,
    "grow": members.grow,
    "stop": processes.stop,
    "rolling": processes.rolling,
    "wipe": members.wipe,
    "bit_rot": members.bit_rot,
    "bad_write": members.bad_write,
    "replace": members.replace,
}
assert _ACTIONS.keys() == KINDS.keys()
