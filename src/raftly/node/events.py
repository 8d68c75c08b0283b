"""Events of a node as levels: what is, then what it became; a slow reader misses what lay between, never the newest.

    async for leadership in node.leadership():      the state now first, then each newer one, until the node stops
    node.leadership().value                         the state now

A level holds one value, so no queue can grow, whoever reads and however slowly. `Applied` is the level of the applied
index: what a watch stands on that waits for a replicated class to change.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Generic, TypeVar, final

from raftly.base.membership import ConfState
from raftly.base.types import NO_NODE, Index, NodeId, Term
from raftly.errors import RaftlyError
from raftly.node.errors import ReadTimeout

V = TypeVar("V")


@final
@dataclass(frozen=True, slots=True)
class Leadership:
    """Who leads, as far as this node knows."""

    leader: NodeId  # NO_NODE: nobody, or nobody that this node knows of
    term: Term
    is_self: bool  # so this node led when this was noted; a strong read tells whether it still does

    def __str__(self) -> str:
        if self.is_self:
            return f"this node leads in term {self.term}"
        if self.leader == NO_NODE:
            return f"no leader is known in term {self.term}"
        return f"node {self.leader} leads in term {self.term}"


@final
@dataclass(frozen=True, slots=True)
class Members:
    """Who belongs to the group, by the configuration in force at this node. All ascending."""

    voters: tuple[NodeId, ...]
    learners: tuple[NodeId, ...] = ()
    outgoing: tuple[NodeId, ...] = ()  # while joint, the voters of before: their majority counts too
    coming_learners: tuple[NodeId, ...] = ()  # voters of before that stay as learners

    @property
    def is_joint(self) -> bool:
        """Is a change under way, so that both majorities decide?"""
        return bool(self.outgoing)

    def all(self) -> tuple[NodeId, ...]:
        """Everybody, ascending."""
        return tuple(sorted({*self.voters, *self.learners, *self.outgoing, *self.coming_learners}))

    def __str__(self) -> str:
        text = f"voters {_ids(self.voters)}"
        if self.outgoing:
            text += f", leaving {_ids(self.outgoing)}"
        if self.learners or self.coming_learners:
            text += f", learners {_ids(tuple(sorted({*self.learners, *self.coming_learners})))}"
        return text


def _ids(ids: tuple[NodeId, ...]) -> str:
    return " ".join(map(str, ids)) or "nobody"


def members_of(conf: ConfState) -> Members:
    """A configuration of the core as this value."""
    return Members(
        tuple(sorted(conf.voters)),
        tuple(sorted(conf.learners)),
        tuple(sorted(conf.voters_outgoing)),
        tuple(sorted(conf.learners_next)),
    )


@final
class _Bell:
    """Wakes everybody who waits for the next ring. A waiter that is cancelled takes nobody with it."""

    __slots__ = ("waiters",)

    def __init__(self) -> None:
        self.waiters: dict[asyncio.Future[None], None] = {}

    def ring(self) -> None:
        waiters, self.waiters = self.waiters, {}
        for future in waiters:
            if not future.done():
                future.set_result(None)

    async def wait(self) -> None:
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.waiters[future] = None
        try:
            await future
        finally:
            self.waiters.pop(future, None)


@final
class Level(Generic[V]):
    """A value that changes. Iterating gives what it is, then what it became, and ends when it is closed."""

    __slots__ = ("_bell", "closed", "value", "version")

    def __init__(self, value: V) -> None:
        self.value = value
        self.version = 1  # counts changes
        self.closed = False
        self._bell: Final = _Bell()

    def set(self, value: V) -> bool:
        """It became this; whether that is a change, which readers are told. Ignored once closed."""
        if self.closed:
            return False
        changed = value != self.value
        self.value = value  # also an equal one: what does not count in a comparison is the newest
        if not changed:
            return False
        self.version += 1
        self._bell.ring()
        return True

    def close(self) -> None:
        """There is no next value; readers get the last one, if they have not yet, and end."""
        self.closed = True
        self._bell.ring()

    def __aiter__(self) -> Reader[V]:
        return Reader(self)

    async def wait_change(self, version: int) -> None:
        """Wait until it is another version than this one, or closed."""
        while self.version == version and not self.closed:
            await self._bell.wait()


@final
class Reader(Generic[V]):
    """One reader of a Level. Nothing has to be closed: leaving the loop is enough."""

    __slots__ = ("_level", "_seen")

    def __init__(self, level: Level[V]) -> None:
        self._level = level
        self._seen = 0

    def __aiter__(self) -> Reader[V]:
        return self

    async def __anext__(self) -> V:
        level = self._level
        await level.wait_change(self._seen)
        if self._seen == level.version:
            raise StopAsyncIteration
        self._seen = level.version
        return level.value


@final
class Applied:
    """The applied index of one replica, and those who wait for it to rise."""

    __slots__ = ("_bell", "_failure", "index")

    def __init__(self, index: Index) -> None:
        self.index = index
        self._bell: Final = _Bell()
        self._failure: RaftlyError | None = None

    def advance(self, index: Index) -> None:
        """All up to `index` is in the state. Called once a batch; free while nobody waits."""
        self.index = index
        if self._bell.waiters:
            self._bell.ring()

    def close(self, failure: RaftlyError) -> None:
        """It does not rise any more."""
        self._failure = failure
        self._bell.ring()

    async def next_change(self, after: Index) -> Index:
        """Wait until something beyond `after` is applied; the index that is applied then.

        Level-triggered: returns at once when that is so already, and several changes at once are one.

        Raises:
            RaftlyError: the node stopped or failed (its `failure`).
        """
        while self.index <= after:
            if self._failure is not None:
                raise self._failure
            await self._bell.wait()
        return self.index

    async def wait_until(self, predicate: Callable[[], V], within: float, what: str) -> V:
        """Evaluate `predicate` now and after each batch that is applied; its first true value.

        Raises:
            ReadTimeout: it did not become true in time.
            RaftlyError: the node stopped or failed.
        """
        try:
            async with asyncio.timeout(within):
                while not (value := predicate()):
                    await self.next_change(self.index)
                return value
        except TimeoutError as error:
            raise ReadTimeout(f"{what} did not happen within {within:g} s") from error
