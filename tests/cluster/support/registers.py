"""What is replicated in the tests of real processes: registers, and how often each write was applied."""

from __future__ import annotations

from raftly.node import command, query

TARGET = "tests.cluster.support.registers:Registers"


class Registers:
    """Each write and each cas has a value that no other has, so a value that was applied twice shows."""

    chapter: int
    values: dict[str, int]
    applied: dict[int, int]  # value -> how often, since the chapter began

    def __init__(self) -> None:
        self.chapter = 0
        self.values = {}
        self.applied = {}

    @command
    def begin(self, chapter: int) -> None:
        """Forget what was before this chapter; once for each."""
        if chapter > self.chapter:
            self.chapter = chapter
            self.values = {}
            self.applied = {}

    @command
    def write(self, key: str, value: int) -> None:
        self.applied[value] = self.applied.get(value, 0) + 1
        self.values[key] = value

    @command
    def cas(self, key: str, old: int | None, new: int) -> bool:
        self.applied[new] = self.applied.get(new, 0) + 1
        if self.values.get(key) != old:
            return False
        self.values[key] = new
        return True

    @query
    def get(self, key: str) -> int | None:
        return self.values.get(key)

    @query
    def everything(self) -> tuple[dict[str, int], dict[int, int]]:
        return dict(sorted(self.values.items())), dict(sorted(self.applied.items()))
