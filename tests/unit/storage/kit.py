"""What the storage tests share: entries, a plain model of the log, and reading a recovered store back."""

import asyncio
from collections.abc import Coroutine, Sequence
from dataclasses import dataclass, field
from typing import Any

from raftly.base.membership import ConfState
from raftly.base.record import record_of
from raftly.base.types import NO_LIMIT, Entry, EntryType, HardState, Snapshot, SnapshotMeta
from raftly.storage.items import (
    EntriesItem,
    HardStateItem,
    Item,
    MembershipItem,
    RemovedItem,
    SnapshotItem,
)
from raftly.storage.log_store import LogOptions, LogStore
from raftly.storage.vfs import FileSystem

CLUSTER, NODE = 0xC1, 3
SMALL = LogOptions(segment_bytes=4096, cache_bytes_max=2000)


def run(work: Coroutine[Any, Any, object]) -> None:
    asyncio.run(work)


def drive(work: Coroutine[Any, Any, object]) -> None:
    """Run a coroutine that never really waits, from inside another one."""
    try:
        work.send(None)
    except StopIteration:
        return
    raise AssertionError("it waits for something")


def entry(index: int, term: int = 1, data: bytes | None = None) -> Entry:
    made = Entry(term, index, EntryType.NORMAL, b"%d/%d" % (term, index) if data is None else data)
    record_of(made)
    return made


def entries(first: int, count: int, term: int = 1, size: int | None = None) -> list[Entry]:
    return [
        entry(index, term, None if size is None else bytes([index % 255 + 1]) * size)
        for index in range(first, first + count)
    ]


def snapshot(index: int, term: int = 1, data: bytes = b"", voters: tuple[int, ...] = (1, 2, 3)) -> Snapshot:
    return Snapshot(SnapshotMeta(index, term, ConfState(voters)), data)


def open_store(fs: FileSystem, options: LogOptions = SMALL) -> LogStore:
    store = LogStore(fs, CLUSTER, NODE, options)
    store.open()
    return store


@dataclass
class Group:
    """What a group's log must hold."""

    hard: HardState = field(default_factory=HardState)
    conf: tuple[int, ConfState] = (0, ConfState())
    snapshot: Snapshot = field(default_factory=Snapshot)
    entries: list[Entry] = field(default_factory=list)  # behind the snapshot

    @property
    def last(self) -> int:
        return self.snapshot.meta.index + len(self.entries)


Model = dict[int, Group]


def copy_model(model: Model) -> Model:
    return {id_: Group(group.hard, group.conf, group.snapshot, list(group.entries)) for id_, group in model.items()}


def apply(model: Model, items: Sequence[Item]) -> Model:
    """The model after a commit of `items`; the one given stays as it is."""
    after = copy_model(model)
    for item in items:
        if isinstance(item, RemovedItem):
            after.pop(item.group, None)
            continue
        assert not hasattr(item, "through")
        group = after.setdefault(item.group, Group())
        if isinstance(item, EntriesItem):
            keep = item.entries[0].index - group.snapshot.meta.index - 1
            group.entries = group.entries[:keep] + item.entries
        elif isinstance(item, HardStateItem):
            group.hard = item.hard_state
        elif isinstance(item, MembershipItem):
            group.conf = (item.index, item.conf_state)
        elif isinstance(item, SnapshotItem):
            meta = item.snapshot.meta
            drop = meta.index - group.snapshot.meta.index
            group.entries = group.entries[drop:] if item.keeps_entries else []
            group.snapshot = item.snapshot
            if meta.index >= group.conf[0]:
                group.conf = (meta.index, meta.conf_state)
    return after


def read_back(store: LogStore) -> Model:
    """What a store holds, every entry read, and every way of reading compared."""
    model: Model = {}
    for id_ in store.groups():
        log = store.group(id_)
        first, last = log.first_index(), log.last_index()
        held = log.entries(first, last + 1, NO_LIMIT)
        assert [item.index for item in held] == list(range(first, last + 1))
        assert [log.term(item.index) for item in held] == [item.term for item in held]
        assert log.term(first - 1) == log.snapshot_meta.meta.term
        model[id_] = Group(log.hard_state, (log.conf_index, log.conf_state), log.snapshot_meta, held)
    return model


def holds(fs: FileSystem, allowed: list[Model], options: LogOptions = SMALL) -> int:
    """Open the log and say which of the allowed models it holds; nothing else may come out, and it must take more."""
    store = open_store(fs, options)
    try:
        found = read_back(store)
        assert found in allowed, f"recovered {found}, allowed were {allowed}"
        return allowed.index(found)
    finally:
        store.close()
