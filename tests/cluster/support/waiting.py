"""Waiting for what other processes do."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

WITHIN_S = 30.0


async def until(what: Callable[[], object], within: float = WITHIN_S) -> None:
    """Look every now and then."""
    deadline = time.monotonic() + within
    while not what():
        assert time.monotonic() < deadline, "it did not happen in time"
        await asyncio.sleep(0.05)
