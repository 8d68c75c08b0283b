"""Stopping: how who holds a directory, a port and tasks stops, whoever waits for that and however often it is asked."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import final


@final
class Stopping:
    """One stop: first what may be cut short, then, whatever came of that, the letting go."""

    def __init__(self) -> None:
        self._ended: asyncio.Future[None] | None = None

    async def run(
        self,
        leave: Callable[[], Coroutine[object, object, None]],
        let_go: Callable[[], Coroutine[object, object, None]],
    ) -> None:
        """Do `leave`, then `let_go`; who comes later waits for the end of that.

        Cancelled in `leave`, it does `let_go` all the same before it raises; cancelled in `let_go`, that goes on by
        itself. Raises what `leave` raised, or else what `let_go` did.
        """
        if self._ended is not None:
            await asyncio.shield(self._ended)
            return
        loop = asyncio.get_running_loop()
        ended = self._ended = loop.create_future()
        cut: BaseException | None = None
        try:
            await leave()
        except (Exception, asyncio.CancelledError) as error:  # noqa: BLE001 - raised once all is let go
            cut = error
        ending = loop.create_task(let_go())  # it goes on when nobody waits for it
        ending.add_done_callback(lambda _: ended.set_result(None))
        await asyncio.shield(ending)
        if cut is not None:
            raise cut
