"""The processes of an example: three members that speak in lines."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from types import TracebackType
from typing import Self

from raftly.testing.processes import free_ports

EXAMPLES = Path(__file__).parents[2] / "examples"


class Processes:
    """`NAME.py ID DIRECTORY PORT PORT PORT`, up to three of them; killed at the end."""

    def __init__(self, name: str, root: Path) -> None:
        self._example = EXAMPLES / f"{name}.py"
        self._root = root
        self._ports = [str(port) for port in free_ports(3)]
        self._running: dict[int, subprocess.Popen[str]] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for id_ in list(self._running):
            self.kill(id_)

    def start(self, id_: int) -> None:
        directory = self._root / str(id_)
        directory.mkdir(exist_ok=True)
        self._running[id_] = subprocess.Popen(
            [sys.executable, str(self._example), str(id_), str(directory), *self._ports],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def hear(self, id_: int) -> str:
        """The next line that it prints; "" when it ended."""
        out = self._running[id_].stdout
        assert out is not None
        return out.readline().rstrip("\n")

    def ask(self, id_: int, line: str) -> str:
        """What it prints next when it is given a line."""
        taken = self._running[id_].stdin
        assert taken is not None
        taken.write(line + "\n")
        taken.flush()
        return self.hear(id_)

    def kill(self, id_: int) -> None:
        process = self._running.pop(id_)
        process.kill()
        process.communicate()
