"""Disks that are slow, full, or fail, and clocks that are wrong."""

from __future__ import annotations

import asyncio

from raftly.testing.faultfs import Effect
from raftly.testing.faultfs import Fault as DiskFault
from raftly.testing.sim.faults import Fault
from raftly.testing.sim.inject.injection import Injection, hold


async def slow_disk(by: Injection, fault: Fault) -> None:
    """See `KINDS`, as for all others."""
    disk = by.host(fault).disk
    by.hit(fault)
    disk.slow *= fault.amount

    def undo() -> None:
        disk.slow /= fault.amount

    await hold(fault, undo)


async def stall_disk(by: Injection, fault: Fault) -> None:
    """They end when it is over."""
    disk = by.host(fault).disk
    by.hit(fault)
    disk.stalled_until = max(disk.stalled_until, by.cluster.world.now + fault.seconds)
    await asyncio.sleep(fault.seconds)


async def full_disk(by: Injection, fault: Fault) -> None:
    """There is room again when it is over."""
    disk = by.host(fault).disk
    by.hit(fault)
    disk.fill(int(fault.amount))
    await hold(fault, disk.free)


async def sync_error(by: Injection, fault: Fault) -> None:
    """If it syncs."""
    await _fail(by, fault, DiskFault("sync", Effect.IO_ERROR))


async def write_error(by: Injection, fault: Fault) -> None:
    """If it writes."""
    await _fail(by, fault, DiskFault("write", Effect.IO_ERROR, after=int(fault.amount)))


async def read_error(by: Injection, fault: Fault) -> None:
    """Most of what a node reads it reads when it starts, so it does."""
    by.cluster.kill(fault.nodes[0], power=False)
    await by.boot(fault.nodes[0])
    await _fail(by, fault, DiskFault("read", Effect.IO_ERROR, times=None, chance=(1, int(fault.amount))))


async def _fail(by: Injection, fault: Fault, rule: DiskFault) -> None:
    """It counts if it strikes. The rule stays over a loss of power, on the disk and not on its file system."""
    disk = by.host(fault).disk
    disk.fs.add(rule)
    try:
        await asyncio.sleep(fault.seconds)
        by.hit(fault, rule.struck > 0)
    finally:
        if rule in disk.fs.faults:
            disk.fs.faults.remove(rule)


# --- clocks ---


async def clock_rate(by: Injection, fault: Fault) -> None:
    """All clocks of a machine."""
    by.hit(fault)
    host = by.host(fault)
    host.set_rate(fault.amount)
    await hold(fault, lambda: host.set_rate(1.0))


async def wall_jump(by: Injection, fault: Fault) -> None:
    """Not the monotonic ones."""
    host = by.host(fault)
    by.hit(fault)
    host.jump(fault.amount)
    await hold(fault, lambda: host.jump(-fault.amount))
