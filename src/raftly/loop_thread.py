"""LoopThread: an event loop in a thread of its own, for those who wait instead of awaiting: nodes, callers and clients.

Not in `base`, which decides and does not act.
"""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Callable, Coroutine
from concurrent.futures import CancelledError, Future, wait
from typing import Any, ClassVar, TypeVar, final

from raftly.errors import OutcomeUnknown, RaftlyError

__all__ = ["Forked", "LoopStopped", "LoopThread", "WrongThread"]

R = TypeVar("R")


@final
class WrongThread(RaftlyError):
    """A blocking call on the thread that runs the loop: it would wait for itself. Use the asynchronous one there."""

    code: ClassVar[str] = "wrong_thread"


@final
class Forked(RaftlyError):
    """This was made before a fork, and is used in the child, where its thread does not exist. Nothing was begun."""

    code: ClassVar[str] = "forked"
    sentence: ClassVar[str] = "this is of the process that was forked, with its thread: make another one in the child"


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
        self._ending: Future[None] | None = None  # somebody stops it
        self._stopped = False
        self._pid = os.getpid()
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
            Forked: this is a child of the process that has the thread.
            LoopStopped, or what stands for it: it was stopped; `work` was not begun.
            OutcomeUnknown: it was stopped meanwhile.
            Exception: whatever `work` raises.
        """
        if os.getpid() != self._pid:  # looked at first: the lock may be held for ever
            work.close()
            raise Forked
        self._check_thread(work)
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
        """Do `last`, then end the thread, and all that runs in it; again is fine. In a child of its process: nothing.

        When the wait is interrupted (Ctrl-C) the thread does so by itself; `stop` once more waits for it.

        Raises:
            WrongThread: this is the thread.
            Exception: whatever `last` raises.
        """
        if os.getpid() != self._pid:
            if last is not None:
                last.close()
            return
        self._check_thread(last)
        with self._lock:
            is_first = self._ending is None
            if self._ending is None:
                self._ending = asyncio.run_coroutine_threadsafe(self._finish(last), self._loop)
            ending = self._ending
        if not is_first and last is not None:
            last.close()
        wait([ending])  # a join that is interrupted takes the thread for ended (Python 3.11)
        self._thread.join()
        if is_first:
            ending.result()

    async def _finish(self, last: Coroutine[Any, Any, None] | None) -> None:
        try:
            if last is not None:
                await last
        finally:
            with self._lock:
                self._stopped = True
            self._end.set()

    def _check_thread(self, work: Coroutine[Any, Any, object] | None) -> None:
        if threading.current_thread() is self._thread:
            if work is not None:
                work.close()
            raise WrongThread("a blocking call on the thread of its own event loop would wait for itself")
