"""Step: what a command did, to be told: in words, as facts, and whether it went as it must."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import final


@final
@dataclass(frozen=True, slots=True)
class Step:
    """One command carried out. `ok` is false when it could not be done, or something was found wrong."""

    lines: list[str]
    ok: bool = True
    facts: dict[str, object] = field(default_factory=dict)  # for programs
    rows: list[tuple[str, ...]] = field(default_factory=list)  # a table, below `columns`
    columns: tuple[str, ...] = ()
    lost: tuple[str, ...] = ()  # what was acknowledged and is not there, or replicas that differ
