"""serve: a process that is a node, until it is told to end."""

from __future__ import annotations

import asyncio
import signal
from typing import Any, Final

from raftly.node.replicated import Replicated

_SIGNALS: Final = (signal.SIGTERM, signal.SIGINT)


async def serve(node: Replicated[Any]) -> None:
    """Run until SIGTERM or SIGINT comes, then stop the node in good order; see `Replicated.stop`.

    A second signal ends the process at once, as a kill would: everything that was acknowledged is on disk anyway. Runs
    on the main thread's loop, and takes both signals for itself meanwhile.

    Raises:
        RaftlyError: the node failed (`Replicated.failure`); or it was stopped by somebody else.
    """
    loop = asyncio.get_running_loop()
    asked = asyncio.Event()

    def on_signal() -> None:
        asked.set()
        for number in _SIGNALS:
            loop.remove_signal_handler(number)
            signal.signal(number, signal.SIG_DFL)

    before = {number: signal.getsignal(number) for number in _SIGNALS}
    for number in _SIGNALS:
        loop.add_signal_handler(number, on_signal)
    waits = [loop.create_task(asked.wait()), loop.create_task(_end_of(node))]
    try:
        await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        failure = None if asked.is_set() else node.failure
        await node.stop()
    finally:
        for wait in waits:
            wait.cancel()
        for number, handler in before.items():
            loop.remove_signal_handler(number)
            signal.signal(number, handler)
    if failure is not None:
        raise failure


async def _end_of(node: Replicated[Any]) -> None:
    async for _ in node.leadership():
        pass
