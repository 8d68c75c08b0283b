"""Dict: values by key, with a revision for every change, compare-and-set, and a history that can be watched."""

from __future__ import annotations

from copy import deepcopy
from dataclasses import dataclass, field
from typing import ClassVar, Generic, TypeVar, final

from raftly.errors import ConfigError, LimitExceeded, RaftlyError
from raftly.node.annotations import SCALARS
from raftly.node.commands import command, query
from raftly.node.errors import ValueTypeError
from raftly.node.structures.order import check_limit, insert, order_key, page, remove

K = TypeVar("K")
V = TypeVar("V")


class HistoryGone(RaftlyError):
    """Changes that were asked for are forgotten; `first` is the oldest that is known. Read the state, go on from there.

    Raised by `Dict.changes` and `watch`.
    """

    code: ClassVar[str] = "history_gone"

    def __init__(self, first: int) -> None:
        super().__init__(first)
        self.first = first

    def __str__(self) -> str:
        return f"changes before revision {self.first} are forgotten; read the state and watch from its revision on"


@final
@dataclass(frozen=True, slots=True)
class Item(Generic[K, V]):
    """A key, its value, and the revision of the change that put it there."""

    key: K
    value: V
    revision: int


@final
@dataclass(frozen=True, slots=True)
class Page(Generic[K, V]):
    """Items in the order of their keys, as they were at `revision`: changes after it are not in them."""

    revision: int
    items: list[Item[K, V]]


@final
@dataclass(frozen=True, slots=True)
class Change(Generic[K, V]):
    """What revision `revision` did to a key: put `value`, or (then that is None) deleted it."""

    revision: int
    key: K
    value: V | None
    deleted: bool


@dataclass(slots=True)
class Dict(Generic[K, V]):
    """Values by key (`order` says what a key is). Each change makes the revision one higher, and no revision is reused.

    The last `history_max` changes are kept in the state, so they survive restarts and snapshots and are alike on all
    replicas. That is part of the state too: it cannot be another for a group that exists already.

    Where a command changed nothing (a comparison that failed, a delete of what is not there) there is no new revision.
    After `OutcomeUnknown`: `put` may be repeated where it does no harm that an older value comes back for a moment;
    `put_at` may be repeated, since only one of the attempts can succeed, but whether that was one's own is told by a
    session alone.
    """

    errors: ClassVar[tuple[type[Exception], ...]] = (HistoryGone, LimitExceeded, ValueTypeError)

    history_max: int = 1000
    revision: int = 0
    items: dict[K, Item[K, V]] = field(default_factory=dict)
    order: list[K] = field(default_factory=list)  # keys of `items`, sorted
    history: dict[int, Change[K, V]] = field(default_factory=dict)  # by revision, without gaps, up to `revision`

    def __post_init__(self) -> None:
        """Check the option."""
        if self.history_max < 1:
            raise ConfigError("history_max", f"is {self.history_max}, it must be at least 1")

    # --- changes ---

    @command
    def put(self, key: K, value: V) -> int:
        """Set a value; the new revision.

        Raises:
            ValueTypeError: `key` is no key.
        """
        order_key(key)
        return self._put(key, value)

    @command
    def compare_and_set(self, key: K, expected: V | None, value: V) -> int | None:
        """Set a value where the present one is equal to `expected`, or is not there and None is expected.

        The new revision; None if it was something else. Values are equal when Python says so.

        Raises:
            ValueTypeError: `key` is no key.
        """
        order_key(key)
        item = self.items.get(key)
        return self._put(key, value) if (None if item is None else item.value) == expected else None

    @command
    def put_at(self, key: K, revision: int, value: V) -> int | None:
        """Set a value where the present one is of this revision; 0: where there is none.

        The new revision; None if it was another.

        Raises:
            ValueTypeError: `key` is no key.
        """
        return self._put(key, value) if self._revision_of(key) == revision else None

    @command
    def delete(self, key: K) -> int | None:
        """Delete a key; the new revision, None if it was not there.

        Raises:
            ValueTypeError: `key` is no key.
        """
        return self._delete(key) if self._revision_of(key) else None

    @command
    def delete_at(self, key: K, revision: int) -> int | None:
        """Delete a key whose value is of this revision; the new revision, None if it was another or not there.

        Raises:
            ValueTypeError: `key` is no key.
        """
        return self._delete(key) if self._revision_of(key) == revision != 0 else None

    def _revision_of(self, key: K) -> int:
        order_key(key)
        item = self.items.get(key)
        return 0 if item is None else item.revision

    def _put(self, key: K, value: V) -> int:
        if key not in self.items:
            insert(self.order, key)
        # Of its own: an object in two places would be two after a snapshot, and changing it then another change.
        told = value if type(value) in SCALARS else deepcopy(value)
        self._remember(Change(self.revision + 1, key, told, deleted=False))
        self.items[key] = Item(key, value, self.revision)
        return self.revision

    def _delete(self, key: K) -> int:
        del self.items[key]
        remove(self.order, key)
        self._remember(Change(self.revision + 1, key, None, deleted=True))
        return self.revision

    def _remember(self, change: Change[K, V]) -> None:
        self.revision = change.revision
        self.history[change.revision] = change
        self.history.pop(change.revision - self.history_max, None)

    # --- reading ---

    @query
    def get(self, key: K) -> V | None:
        """The value; None if there is none.

        Raises:
            ValueTypeError: `key` is no key.
        """
        order_key(key)
        item = self.items.get(key)
        return None if item is None else item.value

    @query
    def item(self, key: K) -> Item[K, V] | None:
        """The value with its revision; None if there is none.

        Raises:
            ValueTypeError: `key` is no key.
        """
        order_key(key)
        return self.items.get(key)

    @query
    def scan(self, prefix: K | None = None, after: K | None = None, limit: int = 100) -> Page[K, V]:
        """Items in order of their keys, `limit` at most (up to 1,000), that begin with `prefix` and come after `after`.

        The next page begins after the last key of this one. Between two pages there may be changes: whoever needs all
        of one moment watches from the revision of the first page on, and takes what is newer than what it has.

        Raises:
            LimitExceeded: `limit` is not in [1, 1000].
            ValueTypeError: not a prefix, or not a key.
        """
        return Page(self.revision, [self.items[key] for key in page(self.order, prefix, after, limit)])

    @query
    def size(self) -> int:
        """How many keys there are."""
        return len(self.items)

    @query
    def changes(self, after: int, limit: int = 100) -> list[Change[K, V]]:
        """Changes after a revision, in order, none left out, `limit` at most (up to 1,000); none if there are none yet.

        Raises:
            HistoryGone: some of them are forgotten.
            LimitExceeded: `limit` is not in [1, 1000].
        """
        check_limit(limit)
        first = self.revision - len(self.history) + 1
        if after < first - 1:
            raise HistoryGone(first)
        return [self.history[revision] for revision in range(after + 1, min(self.revision, after + limit) + 1)]
