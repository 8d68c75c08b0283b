"""A host whose work is cut into small steps, since a crash may come between any two."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable

from raftly.base.types import Entry, EntryType, Snapshot
from raftly.core.config import Config
from raftly.core.memory import MemoryStorage
from raftly.core.messages import Message
from raftly.core.ready import Ready
from raftly.errors import ConfChangeError
from tests.sim_core.safety import SafetyChecker
from tests.support.network import Host


class SimHost(Host):
    """A host that does its work in steps with room for a crash between any two, and tells the checker what it does."""

    def __init__(self, config: Config, storage: MemoryStorage, checker: SafetyChecker) -> None:
        self.checker = checker
        super().__init__(config, storage)

    def _start(self) -> None:
        self.working: tuple[Ready, list[Message]] | None = None  # synchronous: the Ready that is being dealt with
        self.saved = False  # ... and whether it is written
        self.append_answers: deque[Message] = deque()  # asynchronous: from the storage threads to this node
        self.apply_answers: deque[Message] = deque()
        self.snapshot_reports: deque[tuple[int, bool]] = deque()
        super()._start()

    def apply(self, entries: Iterable[Entry]) -> None:
        for entry in entries:
            try:
                super().apply([entry])
            except ConfChangeError:
                assert entry.type != EntryType.NORMAL  # impossible changes are skipped, by everyone alike
            self.checker.applied(self, entry)

    def _restore(self, snapshot: Snapshot) -> None:
        if snapshot.meta.index > self.storage.snapshot().meta.index:
            super()._restore(snapshot)
            self.checker.restored(self)

    def is_busy(self) -> bool:
        """Is there anything that `Simulation._work_on` could do?"""
        queues = self.append_queue or self.apply_queue or self.append_answers or self.apply_answers
        return bool(self.working is not None or queues or self.node.has_ready())

    def can_compact(self) -> bool:
        """Compacting what the core does not know to be applied would take from under it what it may still read."""
        stored = self.storage.snapshot().meta.index
        known = self.applied_index == self.raft.log.applied
        idle = self.working is None and not self.append_queue
        return idle and known and stored < self.applied_index <= self.storage.last_index()
