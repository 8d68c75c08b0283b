"""Prompt: lines from a terminal, with a history and completion where Python has readline."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from raftly.demo.live.commands import FORMS

PROMPT: Final = "raftly> "

try:
    import readline
except ImportError:  # some Pythons are built without it: then there is no history
    readline = None  # type: ignore[assignment]


def lines() -> Iterator[str]:
    """What is typed, until the end of the input, or Ctrl-C at an empty prompt."""
    if readline is not None:
        readline.set_completer(complete)
        readline.parse_and_bind("tab: complete")
    while True:
        try:
            yield input(PROMPT)
        except (EOFError, KeyboardInterrupt):
            print()
            return


def complete(text: str, number: int) -> str | None:
    """The `number`-th command that begins like this."""
    found = [name for name in FORMS if name.startswith(text)]
    return f"{found[number]} " if number < len(found) else None
