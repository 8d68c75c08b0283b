"""Processes: members and stores as children. They end when the playground does, however it went (`--with-parent`)."""

from __future__ import annotations

import asyncio
import sys
from enum import Enum
from pathlib import Path
from typing import Final, final

from raftly.demo.live.child import Child
from raftly.demo.live.report import State
from raftly.errors import RaftlyError

__all__ = ["Kind", "NotStarted", "Process", "State"]

START_S: Final = 120.0  # it takes two, and longer where much else runs


class Kind(Enum):
    """What a process is; the value is its command."""

    PD = "pd"
    STORE = "store"


class NotStarted(RaftlyError):
    """A process ended instead of serving, or took too long; the text has its last words."""

    code = "playground_not_started"


@final
class Process(Child):
    """One member or store."""

    problem = NotStarted

    def __init__(self, kind: Kind, number: int, root: Path) -> None:
        name = f"{kind.value}-{number}"
        super().__init__(name, root / f"{name}.log")
        self.kind: Final = kind
        self.number: Final = number
        self.config: Final = root / f"{name}.toml"
        self.facts: dict[str, object] = {}  # what it said when it was ready: its id in the cluster, its addresses

    async def start(self) -> None:
        """Start it, and wait until it serves.

        Raises:
            NotStarted: it does not.
        """
        command = [sys.executable, "-P", "-m", "raftly.cli", self.kind.value, "--config", str(self.config)]
        self.facts = await self._begin([*command, "--json", "--with-parent"], START_S, asyncio.subprocess.DEVNULL)
