"""Ready: everything the application must do next, in one batch."""

from __future__ import annotations

from typing import final

from raftly.base.types import Entry, HardState, Snapshot
from raftly.core.messages import Message
from raftly.core.readindex import ReadState
from raftly.core.status import SoftState


@final
class Ready:
    """What changed since the last one.

    Synchronous style, in this order: save `hard_state`, `snapshot` and `entries` (with a sync when `must_sync`), send
    `messages`, apply `snapshot` and `committed_entries`, call `advance`. With asynchronous storage writes: send
    `messages`, of which those to the storage threads say what to save and to apply, and what to answer when that is
    done; `entries`, `hard_state`, `snapshot` and `committed_entries` are then for the eye only.

    The lists belong to the receiver, the entries in them do not change.
    """

    __slots__ = (
        "committed_entries",
        "entries",
        "hard_state",
        "messages",
        "must_sync",
        "read_states",
        "snapshot",
        "soft_state",
    )

    def __init__(
        self,
        soft_state: SoftState | None,
        hard_state: HardState | None,
        read_states: list[ReadState],
        entries: list[Entry],
        snapshot: Snapshot | None,
        committed_entries: list[Entry],
        messages: list[Message],
        must_sync: bool,
    ) -> None:
        self.soft_state = soft_state  # only when leader or role changed
        self.hard_state = hard_state  # only when term, vote or commit changed
        self.read_states = read_states
        self.entries = entries
        self.snapshot = snapshot
        self.committed_entries = committed_entries
        self.messages = messages
        self.must_sync = must_sync  # entries, or a changed term or vote: these must reach the disk before they count

    def is_empty(self) -> bool:
        """Is there nothing in it?"""
        return (
            self.soft_state is None
            and self.hard_state is None
            and self.snapshot is None
            and not (self.read_states or self.entries or self.committed_entries or self.messages)
        )
