"""The clock of leases and ticks: one that goes on while the machine sleeps, and is read anew each time.

A lease is a promise in time, so it may not be measured by a clock that stood still with its machine (CLOCK_MONOTONIC in
a suspend), nor by one that was read before the process was paused (uvloop keeps the time of a turn's beginning).
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import TypeAlias

LeaseClock: TypeAlias = Callable[[], float]
"""Seconds since some moment; never goes back."""


def lease_clock_of(loop: asyncio.AbstractEventLoop) -> LeaseClock:
    """The clock for a node on this loop: CLOCK_BOOTTIME where there is one; a simulated loop's own.

    Such a loop makes its own time, and has `boot_time` if its machine can sleep.
    """
    kind = type(loop)
    if getattr(kind, "time", None) is not asyncio.BaseEventLoop.time and not kind.__module__.startswith("uvloop"):
        own: LeaseClock = getattr(loop, "boot_time", loop.time)
        return own
    if hasattr(time, "CLOCK_BOOTTIME"):
        which = time.CLOCK_BOOTTIME
        return lambda: time.clock_gettime(which)
    return time.monotonic
