"""Tellers: what happens, as lines for a pipe, as JSON for a program, in colour for a terminal."""

from __future__ import annotations

import json
import time
from typing import Final, Protocol, final

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from raftly.demo.live.step import Step

INDENT: Final = " " * 9


class Teller(Protocol):
    """Told of everything, in order."""

    def note(self, text: str) -> None:
        """Something that belongs to no command."""

    def begin(self, line: str, about: str) -> None:
        """A command of a script is about to be carried out."""

    def end(self, line: str, step: Step, seconds: float) -> None:
        """A command was carried out."""

    def verdict(self, lines: list[str], *, ok: bool) -> None:
        """How it went, all in all."""


@final
class Lines:
    """Plain lines, each command with the seconds since the beginning."""

    def __init__(self) -> None:
        self._begun = time.monotonic()

    def note(self, text: str) -> None:
        print(f"{INDENT}{text}", flush=True)

    def begin(self, line: str, about: str) -> None:
        at = f"{time.monotonic() - self._begun:6.1f} s"
        print((f"\n{INDENT}{about}\n" if about else "") + f"{at} > {line}", flush=True)

    def end(self, line: str, step: Step, seconds: float) -> None:
        rows = [step.columns, *step.rows] if step.rows else []
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        for row in rows:
            cells = (cell.ljust(width) for cell, width in zip(row, widths, strict=True))
            print(f"{INDENT}{'  '.join(cells).rstrip()}")
        mark = "" if step.ok else "! "
        for told in step.lines:
            print(f"{INDENT}{mark}{told}", flush=True)

    def verdict(self, lines: list[str], *, ok: bool) -> None:
        print()
        for line in lines:
            print(line, flush=True)


@final
class Objects:
    """An object of JSON for each command, and one for the verdict; nothing else."""

    def __init__(self) -> None:
        self._begun = time.monotonic()
        self._step = 0

    def note(self, text: str) -> None:
        """It is for people."""

    def begin(self, line: str, about: str) -> None:
        """The end tells all."""

    def end(self, line: str, step: Step, seconds: float) -> None:
        self._step += 1
        head = {"step": self._step, "command": line, "ok": step.ok, "seconds": round(seconds, 3)}
        self._print({**head, "told": step.lines, **step.facts})

    def verdict(self, lines: list[str], *, ok: bool) -> None:
        self._print({"step": "verdict", "ok": ok, "seconds": round(time.monotonic() - self._begun, 3), "told": lines})

    def _print(self, told: dict[str, object]) -> None:
        print(json.dumps(told), flush=True)


@final
class Colours:
    """For a terminal."""

    def __init__(self, console: Console) -> None:
        self._console = console

    def note(self, text: str) -> None:
        self._console.print(Text(text, "dim"))

    def begin(self, line: str, about: str) -> None:
        if about:
            self._console.print(Text(f"\n{about}", "italic cyan"))
        self._console.print(Text("> ", "dim") + Text(line, "bold"))

    def end(self, line: str, step: Step, seconds: float) -> None:
        if step.rows:
            shown = Table(box=box.SIMPLE, show_edge=False, header_style="dim")
            for column in step.columns:
                shown.add_column(column)
            for row in step.rows:
                shown.add_row(*(Text(cell, _style(cell)) for cell in row))
            self._console.print(shown)
        for told in step.lines:
            self._console.print(Text(told, "" if step.ok else "red"))

    def verdict(self, lines: list[str], *, ok: bool) -> None:
        self._console.print()
        for line in lines:
            self._console.print(Text(line, "bold green" if ok else "bold red"))


def _style(cell: str) -> str:
    """A leader stands out, and so does what is broken."""
    if cell == "leader":
        return "bold green"
    if cell == "candidate" or "✗" in cell or cell.startswith("paused"):
        return "yellow"
    return "red" if cell in {"killed", "failed"} else "dim" if cell in {"stopped", "-"} else ""
