"""Processes: the nodes as children of the demonstration, which it kills, pauses, and starts again.

A child has a process group of its own, so that Ctrl-C in the terminal reaches the demonstration alone. It ends when its
standard input does, that is when the demonstration is gone, however it went. One that is paused cannot see that; then
the kernel ends it (`end_with_parent`).
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from contextlib import suppress
from pathlib import Path
from typing import Final, final

from raftly.demo.live.member import Settings
from raftly.demo.live.report import Report, State, decode_report
from raftly.errors import RaftlyError

START_S: Final = 30.0
ANSWER_S: Final = 2.0
LINE_BYTES_MAX: Final = 256 << 20  # all that a node holds comes in one line


class NotAnswered(RaftlyError):
    """A node's process said nothing in time, or ended."""

    code = "demo_not_answered"


@final
class Process:
    """One node's process, started any number of times, one at a time."""

    def __init__(self, settings: Settings, said: Path) -> None:
        self.settings = settings
        self.said = said  # the file with what it writes to its standard error
        self.state = State.NEW
        self.port = 0  # its own, behind the proxy
        self.starts = 0  # how often it was started
        self._child: asyncio.subprocess.Process | None = None
        self._reading: asyncio.Task[None] | None = None
        self._ready: asyncio.Future[int] | None = None
        self._asked: dict[int, asyncio.Future[dict[str, object]]] = {}
        self._requests = 0

    @property
    def pid(self) -> int:
        """Of the process that runs, or 0."""
        return self._child.pid if self._child is not None and self.is_alive else 0

    @property
    def is_alive(self) -> bool:
        """Is there a process, paused or not?"""
        return self.state in (State.RUNNING, State.PAUSED)

    async def start(self) -> int:
        """Start it, and wait until it listens; the port.

        Raises:
            NotAnswered: it ended instead, or took too long.
        """
        await self.wait_end()
        loop = asyncio.get_running_loop()
        self._ready = loop.create_future()
        command = [sys.executable, "-P", "-m", "raftly.demo.live.member", self.settings.encode()]
        with self.said.open("ab") as said:
            pipe = asyncio.subprocess.PIPE
            self._child = await asyncio.create_subprocess_exec(
                *command, stdin=pipe, stdout=pipe, stderr=said, limit=LINE_BYTES_MAX, process_group=0
            )
        self.state = State.RUNNING
        self.starts += 1
        self._reading = loop.create_task(self._read(self._child))
        try:
            async with asyncio.timeout(START_S):
                self.port = await self._ready
        except TimeoutError:
            raise NotAnswered(f"node {self.settings.id} did not start within {START_S:g} s") from None
        return self.port

    async def _read(self, child: asyncio.subprocess.Process) -> None:
        assert child.stdout is not None
        assert self._ready is not None
        while line := await child.stdout.readline():
            with suppress(ValueError):  # a process that is killed may leave half a line
                message = json.loads(line)
                if "ready" in message:
                    if not self._ready.done():
                        self._ready.set_result(message["ready"])
                elif (asked := self._asked.pop(message["id"], None)) is not None and not asked.done():
                    asked.set_result(message)
        code = await child.wait()
        if self.is_alive:
            self.state = State.FAILED
        gone = NotAnswered(f"node {self.settings.id} ended, with exit code {code}: {self.last_words()}")
        waits: list[asyncio.Future[int] | asyncio.Future[dict[str, object]]] = [self._ready, *self._asked.values()]
        for wait in waits:
            if not wait.done():
                wait.set_exception(gone)
                wait.exception()  # seen, also when nobody waits
        self._asked.clear()

    def last_words(self) -> str:
        """The last line that it wrote to its standard error."""
        lines = self.said.read_text("utf-8", "replace").splitlines() if self.said.exists() else []
        return lines[-1] if lines else "it said nothing"

    async def ask(self, do: str, **arguments: object) -> object:
        """The answer to a request.

        Raises:
            NotAnswered: it does not run, or says nothing.
        """
        child = self._child
        if self.state is not State.RUNNING or child is None or child.stdin is None:
            raise NotAnswered(f"node {self.settings.id} does not run")
        self._requests += 1
        id_ = self._requests
        asked = self._asked[id_] = asyncio.get_running_loop().create_future()
        with suppress(OSError):
            child.stdin.write(json.dumps({"id": id_, "do": do, **arguments}).encode() + b"\n")
        try:
            async with asyncio.timeout(ANSWER_S):
                message = await asked
        except TimeoutError:
            raise NotAnswered(f"node {self.settings.id} said nothing for {ANSWER_S:g} s") from None
        finally:
            self._asked.pop(id_, None)
        if "error" in message:
            raise NotAnswered(f"node {self.settings.id}: {message['error']}")
        return message["answer"]

    async def report(self, *, whole: bool = False) -> Report:
        """How it stands; `whole`: with its state.

        Raises:
            NotAnswered: as `ask`.
        """
        return decode_report(str(await self.ask("compare" if whole else "report")))

    # --- signals ---

    async def kill(self) -> None:
        """SIGKILL: it can do nothing about it."""
        self._end(State.KILLED, signal.SIGKILL)
        await self.wait_end()

    def pause(self) -> None:
        """SIGSTOP: it stands still, and its connections stay open."""
        self._end(State.PAUSED, signal.SIGSTOP)

    def resume(self) -> None:
        """SIGCONT."""
        self._end(State.RUNNING, signal.SIGCONT)

    async def stop(self, within: float) -> bool:
        """SIGTERM: it hands leadership over and ends; was that in time? If not, it is killed."""
        self._end(State.STOPPED, signal.SIGTERM)
        try:
            async with asyncio.timeout(within):
                await self.wait_end()
        except TimeoutError:
            self._end(State.KILLED, signal.SIGKILL)
            await self.wait_end()
            return False
        return True

    def _end(self, state: State, number: signal.Signals) -> None:
        if self._child is not None and self._child.returncode is None:
            self.state = state
            with suppress(ProcessLookupError):
                os.kill(self._child.pid, number)

    async def wait_end(self) -> None:
        """Wait until the process that was started last is gone."""
        if self._reading is not None:
            await asyncio.shield(self._reading)
