"""LoopThread: an event loop in a thread of its own, for those who wait instead of awaiting: nodes, callers and clients.

Not in `base`, which decides and does not act.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Coroutine
from concurrent.futures import CancelledError
from typing import Any, ClassVar, TypeVar, final

from raftly.errors import OutcomeUnknown, RaftlyError

__all__ = ["LoopStopped", "LoopThread", "WrongThread"]

R = TypeVar("R")


@final
class WrongThread(RaftlyError):
    """A blocking call on the thread that runs the loop: it would wait for itself. Use the asynchronous one there."""

    code: ClassVar[str] = "wrong_thread"


@final
class LoopStopped(RaftlyError):
    """The thread was stopped; nothing was begun."""

    code: ClassVar[str] = "loop_stopped"
    sentence: ClassVar[str] = "this was stopped"


@final
class LoopThread:
    """A thread with an event loop in it, until `stop`. May be used from any number of threads."""

    def __init__(self, name: str, stopped: Callable[[], RaftlyError] = LoopStopped) -> None:
        """`stopped` makes what is raised for work that comes too late."""
        self._stopped_error = stopped
        self._lock = threading.Lock()
        self._loop = asyncio.new_event_loop()
        self._end = asyncio.Event()
        self._stopping = False  # somebody is about to
        self._stopped = False
        self._thread = threading.Thread(target=self._main, name=name, daemon=True)
        self._thread.start()

    def _main(self) -> None:
        with asyncio.Runner(loop_factory=lambda: self._loop) as runner:
            runner.run(self._wait_end())

    async def _wait_end(self) -> None:
        await self._end.wait()

    def run(self, work: Coroutine[Any, Any, R]) -> R:
        """The result of `work`, done in the thread.

        Raises:
            WrongThread: this is the thread.
            LoopStopped, or what stands for it: it was stopped; `work` was not begun.
            OutcomeUnknown: it was stopped meanwhile.
            Exception: whatever `work` raises.
        """
        if threading.current_thread() is self._thread:
            work.close()
            raise WrongThread("a blocking call on the thread of its own event loop would wait for itself")
        with self._lock:
            if self._stopped:
                work.close()
                raise self._stopped_error()
            future = asyncio.run_coroutine_threadsafe(work, self._loop)
        try:
            return future.result()
        except CancelledError:
            raise OutcomeUnknown("it was stopped before the answer came") from None
        finally:
            future.cancel()  # when the wait was interrupted; nothing otherwise

    def do(self, work: Callable[[], R]) -> R:
        """The result of a function that is called in the thread. Raises as `run`."""

        async def call() -> R:
            return work()

        return self.run(call())

    def stop(self, last: Coroutine[Any, Any, None] | None = None) -> None:
        """Do `last`, then end the thread, and all that runs in it; again is fine.

        Raises:
            WrongThread: this is the thread.
            Exception: whatever `last` raises.
        """
        with self._lock:
            begun, self._stopping = self._stopping, threading.current_thread() is not self._thread or self._stopping
        if begun:
            if last is not None:
                last.close()
            self._thread.join()
            return
        try:
            self.run(_nothing() if last is None else last)
        finally:
            if self._stopping:
                with self._lock:
                    self._stopped = True
                self._loop.call_soon_threadsafe(self._end.set)
                self._thread.join()


async def _nothing() -> None:
    """What is left to do when nothing was begun."""
