"""What a simulated cluster prints: harness text and log lines in one buffer, in the order of events."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import final

from raftly.core.logtext import LogLevel, LogLine, log_line
from raftly.core.raft import Raft
from raftly.core.trace import TraceEvent
from raftly.testing.golden.script import CommandError, ended

_INDENT = "  "


@final
class Console:
    """A buffer, and the tracer of every node.

    The level hides log lines below it; NONE hides everything, harness text too.
    """

    def __init__(self) -> None:
        self.level = LogLevel.DEBUG
        self._parts: list[str] = []

    def on_event(self, node: Raft, event: TraceEvent) -> None:
        """Print the event's log line, if it has one."""
        line = log_line(node, event)
        if line is not None:
            self.log(line)

    def log(self, line: LogLine) -> None:
        """Print a log line, unless its level is hidden."""
        level, text = line
        if self.level <= level:
            self.write(f"{level.name} {text}\n")

    def write(self, text: str) -> None:
        """Print harness text."""
        if not self.quiet():
            self._parts.append(text)

    def quiet(self) -> bool:
        """Does nothing at all come out?"""
        return self.level is LogLevel.NONE

    def take(self) -> str:
        """All that was printed since the last call."""
        text = "".join(self._parts)
        self._parts = []
        return text

    def set_level(self, name: str) -> None:
        """Set the level by its name, in any case.

        Raises:
            CommandError: no level has this name.
        """
        level = LogLevel.__members__.get(name.upper())
        if level is None:
            raise CommandError(f"log levels must be either of [{' '.join(LogLevel.__members__)}]")
        self.level = level

    @contextmanager
    def indented(self) -> Iterator[None]:
        """What is printed inside is moved to the right by two spaces."""
        outer, self._parts = self._parts, []
        try:
            yield
        finally:
            inner = ended("".join(self._parts))
            self._parts = outer
            self._parts += [f"{_INDENT}{line}\n" for line in inner.split("\n")[:-1]]
