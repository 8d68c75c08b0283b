"""What simulated nodes log belongs into the timeline of their run, not on the terminal of who runs it."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from raftly.testing.sim.loop import SimLoop

if TYPE_CHECKING:
    from raftly.testing.sim.world import World

_LOGGER: Final = logging.getLogger("raftly")


class _IntoTrace(logging.Handler):
    """Tells the trace of a world what its hosts log; also keeps Python's handler of last resort out of it."""

    def __init__(self, world: World) -> None:
        super().__init__()
        self._world = world

    def emit(self, record: logging.LogRecord) -> None:
        """One line of the host whose turn it is."""
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:
            return
        if isinstance(loop, SimLoop) and loop.host.world is self._world:
            text = " ".join(record.getMessage().split())
            self._world.trace.tell(self._world.now, loop.host.name, "log", f"{record.levelname.lower()}: {text}")


@contextmanager
def logs_into(world: World) -> Iterator[None]:
    """Meanwhile what is logged goes into the world's trace, and to handlers that somebody else has set up."""
    handler = _IntoTrace(world)
    _LOGGER.addHandler(handler)
    try:
        yield
    finally:
        _LOGGER.removeHandler(handler)
