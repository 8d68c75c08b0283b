"""Prompt: lines from a terminal, with a history and completion where Python has readline."""

from __future__ import annotations

import signal
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Final

from raftly.demo.live.commands import FORMS

PROMPT: Final = "raftly> "
LOOK_S: Final = 0.5

try:
    import readline
except ImportError:  # some Pythons are built without it: then there is no history
    readline = None  # type: ignore[assignment]


def lines(commands: Iterable[str] = FORMS) -> Iterator[str]:
    """What is typed, until the end of the input, or Ctrl-C at an empty prompt. `commands` are completed."""
    if readline is not None:
        readline.set_completer(partial(complete, commands=tuple(commands)))
        readline.parse_and_bind("tab: complete")
    while True:
        try:
            with _signals_seen():
                line = input(PROMPT)
            yield line
        except (EOFError, KeyboardInterrupt):
            print()
            return


@contextmanager
def _signals_seen() -> Iterator[None]:
    """Have signals seen within LOOK_S: one that comes just before Python waits for a key is else seen with that key."""
    before = signal.signal(signal.SIGALRM, lambda _number, _frame: None)
    signal.setitimer(signal.ITIMER_REAL, LOOK_S, LOOK_S)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def complete(text: str, number: int, commands: Iterable[str] = FORMS) -> str | None:
    """The `number`-th command that begins like this."""
    found = [name for name in commands if name.startswith(text)]
    return f"{found[number]} " if number < len(found) else None
