"""What a planted fault is, and how it is put into a copy of the tree."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final, final

LAYERS: Final = ("core", "log", "snapshot", "node", "session", "transport", "store")
BREAKS: Final = ("ES", "LM", "LC", "SMS", "DUR", "LIN", "LIVE", "M", "crash", "check")
"""Election safety, log matching, leader completeness, state machine safety, an acknowledged write lost, not
linearizable, no progress, memory without bound, a node that stops; `check`: a defence is gone that something else than
a correct peer or disk has to get past."""
SAFETY: Final = frozenset(("ES", "LM", "LC", "SMS", "DUR", "LIN"))


class Rotten(Exception):
    """The source has changed: the text to be replaced is not there, or not once."""


@final
@dataclass(frozen=True, slots=True)
class Fault:
    """One rule broken in one small way."""

    id: str
    layer: str
    what: str
    """What the code does with it, in a few words."""
    breaks: tuple[str, ...]
    file: str
    """Below src/raftly."""
    old: str
    new: str
    first: tuple[str, ...]
    """Tests to run first, below tests/."""
    rows: tuple[int, ...] = ()
    """Of the catalogue of real bugs (reliability, section 2)."""

    def mutate(self, source: str) -> str:
        """The source with the fault in it.

        Raises:
            Rotten: the text to be replaced does not occur exactly once.
        """
        count = source.count(self.old)
        if count != 1:
            message = f"{self.id}: its text occurs {count} times in {self.file}, it has to be there once"
            raise Rotten(message)
        return source.replace(self.old, self.new)

    def plant(self, src: Path) -> None:
        """Put it into the tree whose package lies in `src`.

        Raises:
            Rotten: as `mutate`.
        """
        path = src / "raftly" / self.file
        path.write_text(self.mutate(path.read_text("utf-8")), "utf-8")

    @property
    def is_safety(self) -> bool:
        """Can it make the group wrong, and not only slow or dead?"""
        return not SAFETY.isdisjoint(self.breaks)
