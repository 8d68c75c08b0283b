"""Links: which nodes can reach each other. A link that is cut carries nothing either way; callers reach everyone."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import final

from raftly.base.types import NO_NODE, NodeId


@final
class Links:
    """The links that are cut; all others hold."""

    __slots__ = ("_cut",)

    def __init__(self) -> None:
        self._cut: set[tuple[NodeId, NodeId]] = set()

    def cut(self, one: NodeId, other: NodeId) -> None:
        """Cut one link."""
        self._cut.add((min(one, other), max(one, other)))

    def part(self, groups: Sequence[Iterable[NodeId]]) -> None:
        """Let nodes of different groups not reach each other, and those of the same group reach each other."""
        where = {id_: at for at, group in enumerate(groups) for id_ in group}
        ids = sorted(where)
        self._cut = {(a, b) for a, b in self._cut if a not in where or b not in where}
        self._cut |= {(a, b) for a in ids for b in ids if a < b and where[a] != where[b]}

    def heal(self) -> None:
        """All links hold again."""
        self._cut.clear()

    def is_cut(self, one: NodeId, other: NodeId) -> bool:
        """Is this link cut? Those of a caller, which is no node, never are."""
        return NO_NODE not in (one, other) and (min(one, other), max(one, other)) in self._cut

    def all_cut(self) -> list[tuple[NodeId, NodeId]]:
        """Every link that is cut, the smaller id first."""
        return sorted(self._cut)
