"""watch: changes as they are applied at one replica, any replica.

    async for change in watch(node, Dict.changes, after=revision, prefix="users/"):
        ...

Every change after `after` comes once, in order of revisions, when this replica has applied it, whoever leads meanwhile.
A replica that is cut off is silent, not wrong. Whoever loses its replica goes on at another one from `Watch.revision`;
one that lags behind gives nothing before it has got there. Through a `Remote` that is done by itself:

    async for change in watch(connect(Dict[str, int], addresses), Dict.changes, after=revision):
        ...
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Concatenate, Final, Generic, ParamSpec, Protocol, TypeVar, final

from raftly.base.types import Index
from raftly.errors import LimitExceeded
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
    """What a watch needs: a replica (`Replicated`), or a caller elsewhere (`Remote`)."""

    async def poll(
        self, after: Index | None, method: Callable[Concatenate[T_co, P], R], /, *args: P.args, **kwargs: P.kwargs
    ) -> tuple[R, Index]:
        """Call a query once something beyond `after` is applied, and how far the state was that it saw; None: now."""
        ...


@final
class Watch(Generic[T, K, V]):
    """An endless iterator of changes, made by `watch`. Leaving the loop is enough to end it."""

    __slots__ = ("_changes", "_node", "_page", "_prefix", "_ready", "_seen", "revision")

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
        self._page = _PAGE
        self._seen: Index | None = None
        self._ready: deque[Change[K, V]] = deque()

    def __aiter__(self) -> Watch[T, K, V]:
        return self

    async def __anext__(self) -> Change[K, V]:
        """The next change.

        Raises:
            HistoryGone: it is forgotten here.
            RaftlyError: the node stopped or failed. Through a `Remote`: what `Remote.poll` raises; nothing is lost by
                it, so the next `anext` goes on where this one stood.
        """
        while True:
            while self._ready:
                change = self._ready.popleft()
                self.revision = change.revision
                if has_prefix(change.key, self._prefix):
                    return change
            changes, applied = await self._poll()
            self._ready.extend(changes)
            self._seen = None if changes else applied  # as long as there are some there may be more
            await asyncio.sleep(0)  # others want to run too, however much there is to catch up with

    async def _poll(self) -> tuple[list[Change[K, V]], Index | None]:
        try:
            return await self._node.poll(self._seen, self._changes, self.revision, self._page)
        except LimitExceeded as error:
            if error.limit != "response_bytes" or self._page == 1:
                raise
            self._page //= 2  # large values, of which fewer fit into a response
            return [], None


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
