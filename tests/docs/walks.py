"""Pages that follow a call through the sources: rows of a table that name functions."""

from __future__ import annotations

import importlib
import re
from pathlib import Path

from raftly.demo.source import AnyFunction

DOCS = Path(__file__).parents[2] / "docs"
ROW = re.compile(r"\| (client|leader|follower) \| `([\w.]+)` \| \S")
NAME = re.compile(r"`((?:client|core|engine|node|rpc|server|storage|store|transport)\.\w+\.[\w.]+)`")


def steps(page: str) -> list[tuple[str, str]]:
    """Who, and what runs there."""
    return ROW.findall((DOCS / page).read_text("utf-8"))


def names(page: str) -> set[str]:
    """Everything of raftly that the page names."""
    return set(NAME.findall((DOCS / page).read_text("utf-8")))


def function_of(name: str) -> AnyFunction:
    """As `core.log.RaftLog.append`; everything before the first capital letter is the module, or all but the last."""
    parts = name.split(".")
    classes = [place for place, part in enumerate(parts) if part[0].isupper()]
    split = classes[0] if classes else len(parts) - 1
    found: AnyFunction = importlib.import_module(".".join(["raftly", *parts[:split]]))  # type: ignore[assignment]
    for part in parts[split:]:
        found = getattr(found, part)
    return found
