"""Gathered: what the next write of a driver makes durable, and what is answered then."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, final

from raftly.base.types import HardState
from raftly.core.messages import Message, MsgStorageAppend
from raftly.core.sizes import entries_bytes
from raftly.node.group import Group
from raftly.storage.items import EntriesItem, HardStateItem, Item, SnapshotItem

BATCH_BYTES: Final = 64 << 20


@final
class Gathered:
    """Items in the order in which they came."""

    __slots__ = ("answers", "items", "written")

    def __init__(self) -> None:
        self.items: list[Item] = []
        self.answers: list[tuple[Group, list[Message]]] = []
        self.written: list[Callable[[], None]] = []  # the owner's, called once the items are durable

    def add(self, group: Group, message: MsgStorageAppend) -> None:
        """What a Ready wants written. One that only moves the commit index waits for the next item, and causes none."""
        if message.snapshot is not None:
            group.handler.on_snapshot(message.snapshot)
            self.items.append(SnapshotItem(group.id, message.snapshot, keeps_entries=False))
        if message.term or message.vote or message.commit:
            state = HardState(message.term, message.vote, message.commit)
            known = group.log.hard_state if group.pending_state is None else group.pending_state
            if message.entries or message.snapshot is not None or (state.term, state.vote) != (known.term, known.vote):
                self.items.append(HardStateItem(group.id, state))
                group.pending_state = None
            else:
                group.pending_state = state  # only the commit index: it can be learned again, so it can wait
        elif group.pending_state is not None and message.entries:
            self.items.append(HardStateItem(group.id, group.pending_state))
            group.pending_state = None
        if message.entries:
            self.items.append(EntriesItem(group.id, message.entries))
        if message.responses:
            self.answers.append((group, message.responses))

    def batches(self) -> list[list[Item]]:
        """The items as they are committed: at once, unless a disk that stalled let much more gather.

        Cut only behind entries, with which what one message wanted ends: the log has no state that the core never had.
        """
        batches: list[list[Item]] = [[]]
        size = 0
        for item in self.items:
            if size >= BATCH_BYTES:
                batches.append([])
                size = 0
            batches[-1].append(item)
            if isinstance(item, EntriesItem):
                size += entries_bytes(item.entries)
        return batches

    def take_answers(self) -> list[tuple[Group, list[Message]]]:
        """Move the answers out."""
        answers, self.answers = self.answers, []
        return answers
