"""Processes: the nodes as children of the demonstration, which it kills, pauses, and starts again.

A child ends when its standard input does, that is when the demonstration is gone, however it went. One that is paused
cannot see that; then the kernel ends it (`end_with_parent`).
"""

from __future__ import annotations

import asyncio
import json
import sys
from contextlib import suppress
from pathlib import Path
from typing import Final, final

from raftly.demo.live.child import Child
from raftly.demo.live.member import Settings
from raftly.demo.live.report import Report, State, decode_report
from raftly.errors import RaftlyError

START_S: Final = 30.0
ANSWER_S: Final = 2.0


class NotAnswered(RaftlyError):
    """A node's process said nothing in time, or ended."""

    code = "demo_not_answered"


@final
class Process(Child):
    """One node's process."""

    problem = NotAnswered

    def __init__(self, settings: Settings, said: Path) -> None:
        super().__init__(f"node {settings.id}", said)
        self.settings = settings
        self.port = 0  # its own, behind the proxy
        self._asked: dict[int, asyncio.Future[dict[str, object]]] = {}
        self._requests = 0

    async def start(self) -> int:
        """Start it, and wait until it listens; the port.

        Raises:
            NotAnswered: it ended instead, or took too long.
        """
        command = [sys.executable, "-P", "-m", "raftly.demo.live.member", self.settings.encode()]
        port = (await self._begin(command, START_S, asyncio.subprocess.PIPE))["ready"]
        assert isinstance(port, int)
        self.port = port
        return port

    def _on_message(self, message: dict[str, object]) -> None:
        id_ = message.get("id")
        asked = self._asked.pop(id_, None) if isinstance(id_, int) else None
        if asked is not None and not asked.done():
            asked.set_result(message)

    def _on_end(self, gone: RaftlyError) -> None:
        asked, self._asked = self._asked, {}
        for wait in asked.values():
            if not wait.done():
                wait.set_exception(gone)
                wait.exception()  # seen, also when nobody waits

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
