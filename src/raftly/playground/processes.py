"""Processes: members and stores as children, which are killed, paused, and started again.

A child has a process group of its own, so that Ctrl-C in the terminal reaches the playground alone, and ends when the
playground does, however it went (`--with-parent`).
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from contextlib import suppress
from enum import Enum
from pathlib import Path
from typing import Final, final

from raftly.errors import RaftlyError

__all__ = ["Kind", "NotStarted", "Process", "State"]

START_S: Final = 120.0  # it takes two, and longer where much else runs


class Kind(Enum):
    """What a process is; the value is its command."""

    PD = "pd"
    STORE = "store"


class State(Enum):
    """How a process fares."""

    NEW = "new"
    RUNNING = "running"
    PAUSED = "paused"
    KILLED = "killed"
    STOPPED = "stopped"
    FAILED = "failed"  # it ended by itself


class NotStarted(RaftlyError):
    """A process ended instead of serving, or took too long; the text has its last words."""

    code = "playground_not_started"


@final
class Process:
    """One member or store, started any number of times, one at a time."""

    def __init__(self, kind: Kind, number: int, root: Path) -> None:
        self.kind = kind
        self.number = number
        self.name = f"{kind.value}-{number}"
        self.config = root / f"{self.name}.toml"
        self.said = root / f"{self.name}.log"
        self.state = State.NEW
        self.facts: dict[str, object] = {}  # what it said when it was ready: its id in the cluster, its addresses
        self._child: asyncio.subprocess.Process | None = None
        self._reading: asyncio.Task[None] | None = None
        self._ready: asyncio.Future[dict[str, object]] | None = None

    @property
    def pid(self) -> int:
        """Of the process that runs, or 0."""
        return self._child.pid if self._child is not None and self.is_alive else 0

    @property
    def is_alive(self) -> bool:
        """Is there a process, paused or not?"""
        return self.state in (State.RUNNING, State.PAUSED)

    async def start(self) -> None:
        """Start it, and wait until it serves.

        Raises:
            NotStarted: it does not.
        """
        await self._wait_end()
        loop = asyncio.get_running_loop()
        self._ready = loop.create_future()
        command = [sys.executable, "-P", "-m", "raftly.cli", self.kind.value, "--config", str(self.config)]
        with self.said.open("ab") as said:
            self._child = await asyncio.create_subprocess_exec(
                *command,
                "--json",
                "--with-parent",
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.PIPE,
                stderr=said,
                process_group=0,
            )
        self.state = State.RUNNING
        self._reading = loop.create_task(self._read(self._child, self._ready))
        try:
            async with asyncio.timeout(START_S):
                self.facts = await self._ready
        except TimeoutError:
            raise NotStarted(f"{self.name} does not serve after {START_S:g} s: {self.last_words()}") from None

    async def _read(self, child: asyncio.subprocess.Process, ready: asyncio.Future[dict[str, object]]) -> None:
        assert child.stdout is not None
        while line := await child.stdout.readline():
            with suppress(ValueError):  # a process that is killed may leave half a line
                if not ready.done():
                    ready.set_result(json.loads(line))
        code = await child.wait()
        if self.is_alive:
            self.state = State.FAILED
        if not ready.done():
            ready.set_exception(NotStarted(f"{self.name} ended, with exit code {code}: {self.last_words()}"))
            ready.exception()  # seen, also when nobody waits

    def last_words(self) -> str:
        """The last line that it wrote to its log."""
        lines = self.said.read_text("utf-8", "replace").splitlines() if self.said.exists() else []
        return lines[-1] if lines else "it said nothing"

    # --- signals ---

    async def kill(self) -> None:
        """SIGKILL: it can do nothing about it."""
        self._signal(State.KILLED, signal.SIGKILL)
        await self._wait_end()

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
                await self._wait_end()
        except TimeoutError:
            await self.kill()
            return False
        return True

    def _signal(self, state: State, number: signal.Signals) -> None:
        if self._child is not None and self._child.returncode is None:
            self.state = state
            with suppress(ProcessLookupError):
                os.kill(self._child.pid, number)

    async def _wait_end(self) -> None:
        if self._reading is not None:
            await asyncio.shield(self._reading)
