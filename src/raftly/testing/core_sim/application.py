"""What a node does with committed entries: a hash of them, the members, and snapshots of both.

Made anew at every start, from the snapshot that the log stands on.
"""

from __future__ import annotations

import struct
from collections import deque
from typing import TYPE_CHECKING, Final, final

from raftly.base.types import Entry, EntryType, Index, NodeId, Snapshot, SnapshotMeta, Term
from raftly.core.messages import MsgStorageApply
from raftly.core.proposals import decode_change
from raftly.errors import ConfChangeError
from raftly.node.roster import advance
from raftly.storage.items import MembershipItem, SnapshotItem
from raftly.testing.checks import mix

if TYPE_CHECKING:
    from raftly.testing.core_sim.node import Node
    from raftly.testing.core_sim.world import World

GROUP: Final = 1
_STATE: Final = struct.Struct("<Q")
EMPTY: Final = _STATE.pack(0)
"""What a snapshot of nothing holds."""


@final
class Application:
    """The application of one process."""

    def __init__(self, node: Node, world: World) -> None:
        stored = node.log.snapshot_meta
        self.applied: Index = stored.meta.index
        self.state: int = _STATE.unpack(stored.data)[0] if stored.data else 0
        self.conf = stored.meta.conf_state
        self.waiters: dict[Index, Term] = {}  # proposed here at an index, in which term
        self._node = node
        self._world = world
        self._conf_index = node.log.conf_index
        self._applying: deque[MsgStorageApply] = deque()  # it is at work on these
        self._cut: tuple[Snapshot, Index] | None = None

    def hand_over(self, message: MsgStorageApply) -> None:
        """The application applies this at once, or takes its time."""
        wait = self._world.drawn.apply_us
        if wait:
            self._applying.append(message)
            self._world.after(wait, self._applied_later, self._node.starts)
        else:
            self.apply(message.entries)
            for response in message.responses:
                self._node.raw.step(response)

    def _applied_later(self, incarnation: int) -> None:
        if not self._node.alive or incarnation != self._node.starts:
            return
        wait = self._node.paused_until - self._world.now
        if wait > 0:
            self._world.after(wait, self._applied_later, incarnation)
            return
        message = self._applying.popleft()
        self.apply(message.entries)
        for response in message.responses:
            self._node.raw.step(response)
        self._node.acted()

    def apply(self, entries: list[Entry]) -> None:
        checker, raft = self._world.checker, self._node.raft
        for entry in entries:
            if entry.index <= self.applied:
                continue  # a snapshot covered it meanwhile
            assert entry.index == self.applied + 1, f"{entry!r} is to be applied behind {self.applied}"
            self.applied = entry.index
            if entry.type == EntryType.NORMAL:
                if entry.data_bytes():
                    self.state = mix(self.state, entry.data)
            else:
                self._apply_change(entry)
            checker.applied(raft, entry, self.state)
            if self.waiters:
                term = self.waiters.pop(entry.index, None)
                if term == entry.term:
                    checker.acknowledged(raft, entry.index, term)
                    self._world.on_acknowledged()
        if entries:
            self._maybe_snapshot()

    def _apply_change(self, entry: Entry) -> None:
        change = decode_change(entry).as_v2()
        is_new = entry.index > self._conf_index
        try:
            conf = self._node.raw.apply_conf_change(change) if is_new else advance(self.conf, change)
        except ConfChangeError:
            return  # impossible changes are skipped, by everyone alike
        self._world.checker.configured(self._node.raft, entry.index, self.conf, conf)
        if conf.voters_outgoing and any(link.cuts for link in self._world.network.links.values()):
            self._world.rare["joint changes in a partition"] += 1
        self.conf = conf
        if is_new:
            self._node.write(MembershipItem(GROUP, entry.index, conf))

    def restore(self, snapshot: Snapshot) -> None:
        meta = snapshot.meta
        self.applied = meta.index
        self.state = _STATE.unpack(snapshot.data)[0]
        self.conf = meta.conf_state
        self._conf_index = meta.index
        self._cut = None
        self.waiters.clear()
        self._world.checker.restored(self._node.raft, meta.index, self.state)

    def _maybe_snapshot(self) -> None:
        drawn = self._world.drawn
        if self.applied - self._node.log.snapshot_meta.meta.index >= drawn.snapshot_entries:
            self.compact()

    def compact(self, *, at_once: bool = False) -> None:
        """Make a snapshot of now, or cut the log behind one that was made before; as far as all that is durable.

        With `at_once` the new snapshot does not wait until so many entries are kept behind it.
        """
        log = self._node.log
        if self._cut is None or at_once:
            term = self._node.raft.log.term_or_none(self.applied)
            if term is None or self.applied <= log.snapshot_meta.meta.index:
                return
            snapshot = Snapshot(SnapshotMeta(self.applied, term, self.conf), _STATE.pack(self.state))
            self._cut = (snapshot, self.applied + (0 if at_once else self._world.drawn.entries_kept))
        snapshot, due = self._cut
        index = snapshot.meta.index
        known = self._node.raft.log.applied
        if due <= known and log.first_index() <= index <= log.last_index():
            self._cut = None
            self._node.write(SnapshotItem(GROUP, snapshot, keeps_entries=True))
            self._world.checker.counts["compactions"] += 1

    def to_send(self, to: NodeId) -> Snapshot | None:
        """The snapshot that the log stands on, or one of now for somebody whom that does not know."""
        stored = self._node.log.snapshot_meta
        conf = stored.meta.conf_state
        if to in conf.voters or to in conf.learners or to in conf.voters_outgoing:
            return stored
        term = self._node.raft.log.term_or_none(self.applied)
        return None if term is None else Snapshot(SnapshotMeta(self.applied, term, self.conf), _STATE.pack(self.state))
