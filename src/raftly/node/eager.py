"""Eager: a coroutine that runs at once as far as it goes, and on from there whenever what it awaits is done.

A task begins a turn of the loop later (Python 3.12 has eager ones). A write whose sync the disk answers on the spot has
nothing to wait for, and that turn costs as much as the write. To asyncio it is no task, so nothing in it may use
`asyncio.timeout` and the like, which look for the task they are in.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import final


@final
class Eager:
    """Runs one coroutine; what that raises goes to whoever takes its step: `__init__`, or the loop's handler."""

    __slots__ = ("_coroutine", "_loop", "_waits_for", "is_done")

    def __init__(self, coroutine: Coroutine[object, None, None], loop: asyncio.AbstractEventLoop) -> None:
        self.is_done = False
        self._coroutine = coroutine
        self._loop = loop
        self._waits_for: asyncio.Future[object] | None = None
        self._step(None)

    def _step(self, _: object) -> None:
        self._waits_for = None
        try:
            awaited = self._coroutine.send(None)
        except StopIteration:
            self.is_done = True
        except asyncio.CancelledError:
            self.is_done = True
        except BaseException:
            self.is_done = True
            raise
        else:
            if isinstance(awaited, asyncio.Future):
                awaited._asyncio_future_blocking = False  # noqa: SLF001 - so a task says that it has seen it
                self._waits_for = awaited
                awaited.add_done_callback(self._step)
            else:  # a bare turn of the loop
                self._loop.call_soon(self._step, None)

    def cancel(self) -> None:
        """End it where it waits, if it does."""
        if self._waits_for is not None:
            self._waits_for.cancel()
