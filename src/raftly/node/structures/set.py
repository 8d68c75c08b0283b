"""Set: keys that are there or not."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar, Generic, TypeVar

from raftly.errors import LimitExceeded
from raftly.node.commands import command, query
from raftly.node.errors import ValueTypeError
from raftly.node.structures.order import find, insert, page, remove

K = TypeVar("K")


@dataclass(slots=True)
class Set(Generic[K]):
    """Keys, each once, in order (`order` says what a key is).

    Adding and discarding may be repeated: after `OutcomeUnknown` do it again; only the answer, whether this call
    changed something, is sure in a session alone.
    """

    errors: ClassVar[tuple[type[Exception], ...]] = (LimitExceeded, ValueTypeError)

    members: list[K] = field(default_factory=list)  # sorted

    @command
    def add(self, key: K) -> bool:
        """Whether it was not there before.

        Raises:
            ValueTypeError: it is no key.
        """
        return insert(self.members, key)

    @command
    def discard(self, key: K) -> bool:
        """Whether it was there.

        Raises:
            ValueTypeError: it is no key.
        """
        return remove(self.members, key)

    @query
    def contains(self, key: K) -> bool:
        """Whether it is there.

        Raises:
            ValueTypeError: it is no key.
        """
        return find(self.members, key) is not None

    @query
    def scan(self, prefix: K | None = None, after: K | None = None, limit: int = 100) -> list[K]:
        """Members in order, `limit` at most (up to 1,000), that begin with `prefix` and come after `after`.

        Raises:
            LimitExceeded: `limit` is not in [1, 1000].
            ValueTypeError: not a prefix, or not a key.
        """
        return page(self.members, prefix, after, limit)

    @query
    def size(self) -> int:
        """How many there are."""
        return len(self.members)
