"""Teller: followers hear of a commit with the next append, or alone when there was none for a while.

To tell each commit at once, as the core does by itself, doubles the messages of a caller that makes one call after the
other, and the work of everybody: the next call would have told it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final, final

from raftly.core.messages import Message
from raftly.core.role import Role
from raftly.node.group import Group

TELL_S: Final = 0.001
"""For whom calls are made at followers too: they are answered when it is applied there."""


@final
class Teller:
    """Tells for the groups that lead here and have `skip_bcast_commit`. `wake` is their driver's, `after` seconds."""

    def __init__(self, wake: Callable[[Group], None], after: float) -> None:
        self._wake = wake
        self._after = after
        self._untold: dict[int, Group] = {}
        self._timer: asyncio.TimerHandle | None = None

    def look(self, group: Group) -> None:
        """The commit index may have moved."""
        raft = group.raw.raft
        if raft.log.committed == group.committed:
            return
        group.committed = raft.log.committed
        if raft.role is Role.LEADER:
            self._untold[group.id] = group
            if self._timer is None:
                self._timer = asyncio.get_running_loop().call_later(self._after, self._tell)

    def _tell(self) -> None:
        self._timer = None
        untold, self._untold = self._untold, {}
        for group in untold.values():
            if group.raw.maybe_tell_commit():
                self._wake(group)

    def stop(self) -> None:
        """Tell nothing more."""
        if self._timer is not None:
            self._timer.cancel()


def last_words(group: Group) -> list[Message]:
    """Of a group that stops: what stopped it will stop the others, at once and not one election after the other."""
    try:
        return group.raw.raft.messages if group.raw.maybe_tell_commit() else []
    except Exception:  # noqa: BLE001 - the core is what broke
        return []
