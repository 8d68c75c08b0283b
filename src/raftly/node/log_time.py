"""Log time: the only clock that commands and queries may look at.

    @command
    def reserve(self, seat: str) -> int:
        self.until[seat] = log_time_us() + 60_000_000

It is the stamp of the newest entry that was applied: the leader's clock when it proposed the entry, never going back.
All replicas see the same when they apply the same entry. Between entries it stands still.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final, Protocol, final, runtime_checkable


@final
class _Current(threading.local):
    """Of the command that runs in this thread; commands do not nest."""

    now_us: int | None = None


CURRENT: Final = _Current()


def log_time_us() -> int:
    """Log time in microseconds since 1970; 0 before any entry had a stamp. Only inside commands and queries.

    Raises:
        RuntimeError: no command or query of a replicated class is running.
    """
    now_us = CURRENT.now_us
    if now_us is None:
        raise RuntimeError("log time is for commands and queries; outside of a node, tests give them one with `at`")
    return now_us


@contextmanager
def at(now_us: int) -> Iterator[None]:
    """Let it be `now_us` inside: for tests that call the methods of a class without a node."""
    before = CURRENT.now_us
    CURRENT.now_us = now_us
    try:
        yield
    finally:
        CURRENT.now_us = before


@runtime_checkable
class Timed(Protocol):
    """What a class has that wants things to happen at a time. Both methods are called with the log time at hand.

    When its clock reaches `due_us`, the leader proposes an entry that lets time pass. The first entry, of any kind,
    whose stamp reaches `due_us` calls `on_time` on every replica, before the command it carries; `on_time` changes the
    state like a command, and leaves a `due_us` that lies ahead. Raising anything is a bug and stops the node.
    """

    def due_us(self) -> int | None:
        """The log time from which on `on_time` has something to do; None: nothing is planned. Cheap."""
        ...

    def on_time(self) -> None:
        """Do all that is due."""
        ...
