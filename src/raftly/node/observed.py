"""Observed: what a node tells about itself, while it runs and to whoever asks. `Observer` gathers it from hooks."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar, final

from raftly.base.types import Index
from raftly.core.raft import Raft
from raftly.errors import RaftlyError
from raftly.node.config import NodeConfig
from raftly.node.events import Applied, Leadership, Level, Members, members_of
from raftly.node.group import Group

V = TypeVar("V")


@final
class Observer:
    """Watches one replica. Its owner calls the hooks; each costs next to nothing while nothing changes."""

    __slots__ = ("_conf", "_raft", "applied", "config", "leadership", "members")

    def __init__(self, config: NodeConfig, group: Group, applied: Index) -> None:
        raft = group.raw.raft
        self.config = config
        self.applied = Applied(applied)
        self.leadership: Level[Leadership] = Level(_leadership_of(raft))
        self.members: Level[Members] = Level(members_of(raft.tracker.config.conf_state()))
        self._raft = raft
        self._conf = raft.tracker.config

    def on_applied(self, applied: Index) -> None:
        """A batch was applied, or a snapshot taken in."""
        self.applied.advance(applied)
        conf = self._raft.tracker.config
        if conf is not self._conf:
            self._conf = conf
            self.members.set(members_of(conf.conf_state()))

    def on_soft_state(self) -> None:
        """Leader or role changed."""
        self.leadership.set(_leadership_of(self._raft))

    def on_tick(self) -> None:
        """A tick passed. The term may rise under the same leader, which is no change of the soft state."""
        self.on_soft_state()

    def close(self, failure: RaftlyError) -> None:
        """The node stopped or failed: all streams end."""
        self.applied.close(failure)
        self.leadership.close()
        self.members.close()


def _leadership_of(raft: Raft) -> Leadership:
    return Leadership(raft.leader, raft.term, raft.leader == raft.id)


class Observed:
    """The part of a node that is for looking at it."""

    _observer: Observer

    def leadership(self) -> Level[Leadership]:
        """Who leads: `async for` gives it now and after each change, until the node stops; `.value` now."""
        return self._observer.leadership

    def members(self) -> Level[Members]:
        """Voters, learners, and whether a change is under way; as `leadership`."""
        return self._observer.members

    async def next_change(self, after: Index) -> Index:
        """Wait until an entry beyond `after` is applied here; the index that is applied then.

        At once when that is so already, and several changes at once are one: look at the state after each return.
        0 returns when anything is applied at all.

        Raises:
            RaftlyError: the node stopped or failed (its `failure`).
        """
        return await self._observer.applied.next_change(after)

    async def wait_applied(self, index: Index, *, within: float | None = None) -> Index:
        """Wait until `index` is applied here; the index that is applied then.

        Raises:
            ReadTimeout: it was not, within so many seconds (`call_timeout`).
            RaftlyError: the node stopped or failed.
        """
        applied = self._observer.applied
        patience = within or self._observer.config.call_timeout
        await applied.wait_until(lambda: applied.index >= index, patience, f"applying entry {index}")
        return applied.index

    async def wait_until(self, predicate: Callable[[], V], *, within: float | None = None) -> V:
        """Evaluate `predicate`, most often a `look`, now and after each batch of entries; its first true value.

        Raises:
            ReadTimeout: it did not become true within so many seconds (`call_timeout`).
            RaftlyError: the node stopped or failed.
            Exception: whatever `predicate` raises.
        """
        patience = within or self._observer.config.call_timeout
        return await self._observer.applied.wait_until(predicate, patience, "what was waited for")
