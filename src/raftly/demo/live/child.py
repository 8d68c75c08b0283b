"""Child: a process that somebody started, which is killed, paused, stopped, and started again.

It has a process group of its own, so that Ctrl-C in the terminal reaches its parent alone. What it says to its standard
output are objects of JSON, one a line, of which the first says that it is ready; its log goes to a file.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final

from raftly.demo.live.report import State
from raftly.errors import RaftlyError

LINE_BYTES_MAX: Final = 256 << 20  # all that a node holds comes in one line


class Child:
    """One process at a time, started any number of times. `name` is what people call it."""

    problem: type[RaftlyError]
    """What is raised when it does not start, or ends."""

    def __init__(self, name: str, said: Path) -> None:
        self.name: Final = name
        self.said: Final = said  # the file with what it writes to its standard error
        self.state = State.NEW
        self.starts = 0
        self._child: asyncio.subprocess.Process | None = None
        self._reading: asyncio.Task[None] | None = None

    @property
    def pid(self) -> int:
        """Of the process that runs, or 0."""
        return self._child.pid if self._child is not None and self.is_alive else 0

    @property
    def is_alive(self) -> bool:
        """Is there a process, paused or not?"""
        return self.state in (State.RUNNING, State.PAUSED)

    async def _begin(self, command: Sequence[str], within_s: float, stdin: int) -> dict[str, object]:
        """Start it; what it says when it is ready. Raises `problem`: it ended instead, or took too long."""
        await self.wait_end()
        pipe = asyncio.subprocess.PIPE
        with self.said.open("ab") as said:
            child = self._child = await asyncio.create_subprocess_exec(
                *command, stdin=stdin, stdout=pipe, stderr=said, limit=LINE_BYTES_MAX, process_group=0
            )
        self.state = State.RUNNING
        self.starts += 1
        ready: asyncio.Future[dict[str, object]] = asyncio.get_running_loop().create_future()
        self._reading = asyncio.get_running_loop().create_task(self._read(child, ready))
        try:
            async with asyncio.timeout(within_s):
                return await ready
        except TimeoutError:
            raise self.problem(f"{self.name} does not serve after {within_s:g} s: {self.last_words()}") from None

    async def _read(self, child: asyncio.subprocess.Process, ready: asyncio.Future[dict[str, object]]) -> None:
        assert child.stdout is not None
        while line := await child.stdout.readline():
            with suppress(ValueError):  # a process that is killed may leave half a line
                message = json.loads(line)
                if not ready.done():
                    ready.set_result(message)
                else:
                    self._on_message(message)
        code = await child.wait()
        if self.is_alive:
            self.state = State.FAILED
        gone = self.problem(f"{self.name} ended, with exit code {code}: {self.last_words()}")
        if not ready.done():
            ready.set_exception(gone)
            ready.exception()  # seen, also when nobody waits
        self._on_end(gone)

    def _on_message(self, message: dict[str, object]) -> None:
        """It said something more."""

    def _on_end(self, gone: RaftlyError) -> None:
        """It is gone."""

    def last_words(self) -> str:
        """The last line that it wrote to its standard error."""
        lines = self.said.read_text("utf-8", "replace").splitlines() if self.said.exists() else []
        return lines[-1] if lines else "it said nothing"

    # --- signals ---

    async def kill(self) -> None:
        """SIGKILL: it can do nothing about it."""
        self._signal(State.KILLED, signal.SIGKILL)
        await self.wait_end()

    def pause(self) -> None:
        """SIGSTOP: it stands still, and its connections stay open."""
        self._signal(State.PAUSED, signal.SIGSTOP)

    def resume(self) -> None:
        """SIGCONT."""
        self._signal(State.RUNNING, signal.SIGCONT)

    async def stop(self, within_s: float) -> bool:
        """SIGTERM: it hands over and ends; was that in time? If not, it is killed."""
        if self.state is State.PAUSED:
            self.resume()
        self._signal(State.STOPPED, signal.SIGTERM)
        try:
            async with asyncio.timeout(within_s):
                await self.wait_end()
        except TimeoutError:
            await self.kill()
            return False
        return True

    def _signal(self, state: State, number: signal.Signals) -> None:
        if self._child is not None and self._child.returncode is None:
            self.state = state
            with suppress(ProcessLookupError):
                os.kill(self._child.pid, number)

    async def wait_end(self) -> None:
        """Wait until the process that was started last is gone."""
        if self._reading is not None:
            await asyncio.shield(self._reading)
