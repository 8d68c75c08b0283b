"""Reads the Python fences of a Markdown page."""

import re
from typing import NamedTuple

FENCE = re.compile(
    r"(?:^<!-- fragment: (?P<reason>[^\n]*?) -->\n)?"  # shows only part of a program, and says why
    r"^(?P<indent>[ ]*)```python\n(?P<code>.*?)^(?P=indent)```$",
    re.MULTILINE | re.DOTALL,
)


class Snippet(NamedTuple):
    """One fence: where its code starts, the code, and why it is not run (None: it is)."""

    line: int
    code: str
    fragment: str | None


def snippets(page: str) -> list[Snippet]:
    """All Python fences of a page in order. A fence right below `<!-- fragment: reason -->` is not to be run."""
    found = []
    for match in FENCE.finditer(page):
        line = page.count("\n", 0, match.start("code"))
        indent = match["indent"]
        code = "".join(text.removeprefix(indent) for text in match["code"].splitlines(keepends=True))
        found.append(Snippet(line, code, match["reason"]))
    return found
