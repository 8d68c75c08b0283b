"""watch: changes as they are applied at one replica, any replica.

    async for change in watch(node, Dict.changes, after=revision, prefix="users/"):
        ...

Every change after `after` comes once, in order of revisions, when this replica has applied it, whoever leads meanwhile.
A replica that is cut off is silent, not wrong. Whoever loses its replica goes on at another one from `Watch.revision`;
one that lags behind gives nothing before it has got there.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Concatenate, Final, Generic, ParamSpec, Protocol, TypeVar, final

from raftly.base.types import Index
from raftly.node.structures.dict import Change
from raftly.node.structures.order import has_prefix

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)
K = TypeVar("K")
V = TypeVar("V")
P = ParamSpec("P")
R = TypeVar("R")

_PAGE: Final = 256


class Watched(Protocol[T_co]):
    """What a watch needs of a replica; `Replicated` has it."""

    async def next_change(self, after: Index) -> Index:
        """Wait until something beyond `after` is applied; the index that is applied then."""
        ...

    def look(self, method: Callable[Concatenate[T_co, P], R], /, *args: P.args, **kwargs: P.kwargs) -> R:
        """Call a query on the state as it is here and now."""
        ...


@final
class Watch(Generic[T, K, V]):
    """An endless iterator of changes, made by `watch`. Leaving the loop is enough to end it."""

    __slots__ = ("_changes", "_node", "_prefix", "_ready", "_seen", "revision")

    def __init__(
        self,
        node: Watched[T],
        changes: Callable[[T, int, int], list[Change[K, V]]],
        after: int,
        prefix: K | None,
    ) -> None:
        has_prefix(None, prefix)
        self.revision = after
        """All changes up to it were given, or do not begin with the prefix: another watch may go on after it."""
        self._node = node
        self._changes = changes
        self._prefix = prefix
        self._seen: Index = 0
        self._ready: deque[Change[K, V]] = deque()

    def __aiter__(self) -> Watch[T, K, V]:
        return self

    async def __anext__(self) -> Change[K, V]:
        """The next change.

        Raises:
            HistoryGone: it is forgotten here.
            RaftlyError: the node stopped or failed.
        """
        while True:
            while self._ready:
                change = self._ready.popleft()
                self.revision = change.revision
                if has_prefix(change.key, self._prefix):
                    return change
            self._ready.extend(self._node.look(self._changes, self.revision, _PAGE))
            if self._ready:
                await asyncio.sleep(0)  # others want to run too, however much there is to catch up with
            else:
                self._seen = await self._node.next_change(self._seen)


def watch(
    node: Watched[T],
    changes: Callable[[T, int, int], list[Change[K, V]]],
    *,
    after: int = 0,
    prefix: K | None = None,
) -> Watch[T, K, V]:
    """Watch the changes that the query `changes` gives: `Dict.changes`, or one of a class that has a Dict inside.

    Raises:
        ValueTypeError: nothing can begin with that prefix.
    """
    return Watch(node, changes, after, prefix)
