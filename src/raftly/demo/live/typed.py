"""What somebody typed at a prompt: a command's name and its words."""

from __future__ import annotations

import difflib
import shlex
from collections.abc import Callable, Collection, Mapping


def read_typed(
    line: str, names: Collection[str], aliases: Mapping[str, str], refuse: Callable[[str], Exception]
) -> tuple[str, list[str]] | None:
    """The name, and the words behind it; None if there is nothing on the line, or a comment.

    Raises:
        refuse(text): it names no command, or is cut off; the text says what was expected.
    """
    try:
        words = shlex.split(line, comments=True)
    except ValueError:
        raise refuse('a quotation mark is missing: put KEY "a value of several words"') from None
    if not words:
        return None
    name = aliases.get(words[0].lower(), words[0].lower())
    if name not in names:
        near = difflib.get_close_matches(name, [*names, *aliases], n=1)
        meant = f" Did you mean `{near[0]}`?" if near else ""
        raise refuse(f"there is no command `{words[0]}`.{meant} `help` lists them all")
    return name, words[1:]
