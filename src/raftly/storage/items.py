"""What a batch of the log holds: items, each for one group.

Little-endian; every item begins with u8 kind, u64 group.

    1 ENTRIES      u32 count, u32 size, that many entry records (base.record): they cut away what they overwrite
    2 REWRITTEN    the same, moved here from a segment about to go: they cut nothing
    3 HARD_STATE   u64 term, u64 vote, u64 commit
    4 SNAPSHOT     u8 keeps entries, u64 index, u64 term, membership, u32 size, data: the log now begins behind index
    5 MEMBERSHIP   u64 index, membership: in force once index was applied
    6 REMOVED      nothing: the group is gone
    7 STATE        u64 term, vote, commit, u64 index of MEMBERSHIP, membership: 3 and 5 in one, when they move segments
    8 RECLAIMED    u64 number: segments up to it are not needed any more (group 0)

    membership     u8 auto_leave, u32 counts of voters, learners, voters_outgoing, learners_next, then those ids (u64)
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import IntEnum
from struct import Struct
from struct import error as struct_error
from typing import Final, TypeAlias, final

from raftly.base.membership import ConfState
from raftly.base.record import RECORD_BYTES_MIN, record_of
from raftly.base.types import Entry, HardState, Index, Snapshot, SnapshotMeta
from raftly.errors import DecodeError
from raftly.storage.places import Runs

_WHAT: Final = "log item"
_HEAD: Final = Struct("<BQ")
_ENTRIES: Final = Struct("<II")
_RECORD: Final = Struct("<I2xQQ")  # size, term and index of a record, as drawn in base.record
_HARD: Final = Struct("<QQQ")
_SNAP: Final = Struct("<?QQ")
_CONF: Final = Struct("<?IIII")
_U32: Final = Struct("<I")
_U64: Final = Struct("<Q")


class Kind(IntEnum):
    """The kinds of items."""

    ENTRIES = 1
    REWRITTEN = 2
    HARD_STATE = 3
    SNAPSHOT = 4
    MEMBERSHIP = 5
    REMOVED = 6
    STATE = 7
    RECLAIMED = 8


@final
@dataclass(slots=True)
class EntriesItem:
    """Entries to append, at least one, with indexes that follow each other."""

    group: int
    entries: list[Entry]
    rewritten: bool = False


@final
@dataclass(slots=True)
class StoredEntries:
    """Entries as a batch holds them, back to back: where, and of what term, not what. `EntriesItem` once read back."""

    group: int
    first: Index
    sizes: list[int]
    terms: Runs
    rewritten: bool
    offset: int  # of the first record in the payload

    @property
    def stop(self) -> Index:
        return self.first + len(self.sizes)


@final
@dataclass(slots=True)
class HardStateItem:
    """Term, vote and commit."""

    group: int
    hard_state: HardState


@final
@dataclass(slots=True)
class SnapshotItem:
    """The log begins behind a snapshot; entries behind it are kept (compaction), or all go (one received)."""

    group: int
    snapshot: Snapshot
    keeps_entries: bool


@final
@dataclass(slots=True)
class MembershipItem:
    """The membership as of an applied index."""

    group: int
    index: Index
    conf_state: ConfState


@final
@dataclass(slots=True)
class RemovedItem:
    """The group is gone."""

    group: int


@final
@dataclass(slots=True)
class StateItem:
    """Hard state and membership together."""

    group: int
    hard_state: HardState
    index: Index
    conf_state: ConfState


@final
@dataclass(slots=True)
class ReclaimedItem:
    """Segments up to `through` are not needed any more: they are being removed, or were."""

    through: int


_Plain: TypeAlias = HardStateItem | SnapshotItem | MembershipItem | RemovedItem | StateItem | ReclaimedItem
Item: TypeAlias = EntriesItem | _Plain
StoredItem: TypeAlias = StoredEntries | _Plain


def encode_membership(conf: ConfState) -> bytes:
    """The bytes of a membership."""
    ids = conf.voters + conf.learners + conf.voters_outgoing + conf.learners_next
    head = _CONF.pack(
        conf.auto_leave, len(conf.voters), len(conf.learners), len(conf.voters_outgoing), len(conf.learners_next)
    )
    return head + b"".join([_U64.pack(id_) for id_ in ids])


def decode_membership(buf: bytes, offset: int) -> tuple[ConfState, int]:
    """The membership at `offset` and the offset behind it.

    Raises:
        DecodeError: it does not fit.
    """
    if len(buf) - offset < _CONF.size:
        raise DecodeError("membership", offset, "the bytes end inside it")
    auto_leave, *counts = _CONF.unpack_from(buf, offset)
    at = offset + _CONF.size
    lists: list[tuple[int, ...]] = []
    for count in counts:
        if count * 8 > len(buf) - at:
            raise DecodeError("membership", offset, f"{count} ids do not fit")
        lists.append(tuple(_U64.unpack_from(buf, at + 8 * position)[0] for position in range(count)))
        at += 8 * count
    return ConfState(lists[0], lists[1], lists[2], lists[3], auto_leave), at


def encode_items(items: Sequence[Item]) -> tuple[bytes, list[tuple[int, list[int]]]]:
    """The payload of a batch, and for each item of entries where in it its records begin, and their sizes."""
    out: list[bytes] = []
    layout: list[tuple[int, list[int]]] = []
    size = 0
    for item in items:
        if isinstance(item, EntriesItem):
            records = [entry.record or record_of(entry) for entry in item.entries]
            sizes = list(map(len, records))
            total = sum(sizes)
            kind = Kind.REWRITTEN if item.rewritten else Kind.ENTRIES
            out.append(_HEAD.pack(kind, item.group) + _ENTRIES.pack(len(records), total))
            out += records
            size += _HEAD.size + _ENTRIES.size
            layout.append((size, sizes))
            size += total
        else:
            encoded = _encode(item)
            out.append(encoded)
            size += len(encoded)
            layout.append((size, []))
    return b"".join(out), layout


def _encode(item: _Plain) -> bytes:
    if isinstance(item, HardStateItem):
        state = item.hard_state
        return _HEAD.pack(Kind.HARD_STATE, item.group) + _HARD.pack(state.term, state.vote, state.commit)
    if isinstance(item, SnapshotItem):
        meta = item.snapshot.meta
        head = _HEAD.pack(Kind.SNAPSHOT, item.group) + _SNAP.pack(item.keeps_entries, meta.index, meta.term)
        return head + encode_membership(meta.conf_state) + _U32.pack(len(item.snapshot.data)) + item.snapshot.data
    if isinstance(item, MembershipItem):
        head = _HEAD.pack(Kind.MEMBERSHIP, item.group) + _U64.pack(item.index)
        return head + encode_membership(item.conf_state)
    if isinstance(item, StateItem):
        state = item.hard_state
        head = _HEAD.pack(Kind.STATE, item.group) + _HARD.pack(state.term, state.vote, state.commit)
        return head + _U64.pack(item.index) + encode_membership(item.conf_state)
    if isinstance(item, ReclaimedItem):
        return _HEAD.pack(Kind.RECLAIMED, 0) + _U64.pack(item.through)
    return _HEAD.pack(Kind.REMOVED, item.group)


def decode_items(payload: bytes) -> Iterator[StoredItem]:
    """The items of a batch, in order.

    Raises:
        DecodeError: an unknown kind, or one that does not fit: the batch was written by another version.
    """
    offset = 0
    try:
        while offset < len(payload):
            item, offset = _decode(payload, offset)
            yield item
    except struct_error as error:
        raise DecodeError(_WHAT, offset, "the batch ends inside an item") from error


def _decode(payload: bytes, offset: int) -> tuple[StoredItem, int]:
    kind, group = _HEAD.unpack_from(payload, offset)
    at = offset + _HEAD.size
    if kind in (Kind.ENTRIES, Kind.REWRITTEN):
        return _decode_entries(payload, at, group, kind == Kind.REWRITTEN)
    if kind == Kind.HARD_STATE:
        return HardStateItem(group, HardState(*_HARD.unpack_from(payload, at))), at + _HARD.size
    if kind == Kind.SNAPSHOT:
        keeps, index, term = _SNAP.unpack_from(payload, at)
        conf_state, at = decode_membership(payload, at + _SNAP.size)
        size = _U32.unpack_from(payload, at)[0]
        at += _U32.size
        if size > len(payload) - at:
            raise DecodeError(_WHAT, offset, f"{size} bytes of a snapshot do not fit")
        snapshot = Snapshot(SnapshotMeta(index, term, conf_state), payload[at : at + size])
        return SnapshotItem(group, snapshot, keeps), at + size
    if kind == Kind.MEMBERSHIP:
        index = _U64.unpack_from(payload, at)[0]
        conf_state, at = decode_membership(payload, at + _U64.size)
        return MembershipItem(group, index, conf_state), at
    if kind == Kind.STATE:
        hard_state = HardState(*_HARD.unpack_from(payload, at))
        index = _U64.unpack_from(payload, at + _HARD.size)[0]
        conf_state, at = decode_membership(payload, at + _HARD.size + _U64.size)
        return StateItem(group, hard_state, index, conf_state), at
    if kind == Kind.REMOVED:
        return RemovedItem(group), at
    if kind == Kind.RECLAIMED:
        return ReclaimedItem(_U64.unpack_from(payload, at)[0]), at + _U64.size
    raise DecodeError(_WHAT, offset, f"kind {kind} is unknown to this release")


def _decode_entries(payload: bytes, at: int, group: int, rewritten: bool) -> tuple[StoredEntries, int]:
    """Sizes and terms of the records. Their content was covered by the checksum of the batch."""
    count, size = _ENTRIES.unpack_from(payload, at)
    at += _ENTRIES.size
    end = at + size
    if end > len(payload) or count == 0 or count * RECORD_BYTES_MIN > size:
        raise DecodeError(_WHAT, at, f"{count} entries in {size} bytes do not fit")
    item = StoredEntries(group, 0, [], [], rewritten, at)
    expected = item.first = _RECORD.unpack_from(payload, at)[2]
    known_term = -1
    for _ in range(count):
        record_bytes, term, index = _RECORD.unpack_from(payload, at)
        if record_bytes < RECORD_BYTES_MIN or record_bytes > end - at or index != expected or term < known_term:
            raise DecodeError(_WHAT, at, f"a record of {record_bytes} bytes, entry {term}/{index}, cannot stand here")
        if term != known_term:
            item.terms.append((index, term))
            known_term = term
        item.sizes.append(record_bytes)
        at += record_bytes
        expected += 1
    if at != end:
        raise DecodeError(_WHAT, at, f"{end - at} bytes are left over")
    return item, end
