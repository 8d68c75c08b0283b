"""What a batch of the log holds: items, each for one group.

Little-endian; every item begins with u8 kind, u64 group.

    1 ENTRIES      u32 count, u32 size, that many entry records (base.record): they cut away what they overwrite
    2 REWRITTEN    the same, moved here from a segment about to go: they cut nothing
    3 HARD_STATE   u64 term, u64 vote, u64 commit
    4 SNAPSHOT     u8 keeps entries, u64 index, u64 term, membership, u32 size, data: the log now begins behind index
    5 MEMBERSHIP   u64 index, membership: in force once index was applied
    6 REMOVED      nothing: the group is gone
    7 STATE        u64 term, vote, commit, u64 index of MEMBERSHIP, membership: 3 and 5 in one, when they move segments

    membership     u8 auto_leave, u32 counts of voters, learners, voters_outgoing, learners_next, then those ids (u64)
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import IntEnum
from struct import Struct
from struct import error as struct_error
from typing import Final, TypeAlias, final

from raftly.base.membership import ConfState
from raftly.base.record import decode_records, record_of
from raftly.base.types import Entry, HardState, Snapshot, SnapshotMeta
from raftly.errors import DecodeError

_WHAT: Final = "log item"
_HEAD: Final = Struct("<BQ")
_ENTRIES: Final = Struct("<II")
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


@final
@dataclass(slots=True)
class EntriesItem:
    """Entries of a group; `offsets` say where in the batch each record begins."""

    group: int
    entries: list[Entry]
    rewritten: bool = False
    offset: int = 0  # of the first record in the batch, once it was written or read


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
    index: int
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
    index: int
    conf_state: ConfState


Item: TypeAlias = EntriesItem | HardStateItem | SnapshotItem | MembershipItem | RemovedItem | StateItem


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
    auto_leave, voters, learners, outgoing, learners_next = _CONF.unpack_from(buf, offset)
    at = offset + _CONF.size
    lists: list[tuple[int, ...]] = []
    for count in (voters, learners, outgoing, learners_next):
        if count * 8 > len(buf) - at:
            raise DecodeError(_WHAT, offset, f"a membership of {count} ids does not fit")
        lists.append(tuple(_U64.unpack_from(buf, at + 8 * position)[0] for position in range(count)))
        at += 8 * count
    return ConfState(lists[0], lists[1], lists[2], lists[3], auto_leave), at


def encode_items(items: list[Item]) -> bytes:
    """The payload of a batch; sets the `offset` of each EntriesItem."""
    out: list[bytes] = []
    size = 0
    for item in items:
        parts = _encode(item)
        if isinstance(item, EntriesItem):
            item.offset = size + len(parts[0])
        out += parts
        size += sum(map(len, parts))
    return b"".join(out)


def _encode(item: Item) -> list[bytes]:
    if isinstance(item, EntriesItem):
        records = [entry.record or record_of(entry) for entry in item.entries]
        kind = Kind.REWRITTEN if item.rewritten else Kind.ENTRIES
        head = _HEAD.pack(kind, item.group) + _ENTRIES.pack(len(records), sum(map(len, records)))
        return [head, *records]
    if isinstance(item, HardStateItem):
        state = item.hard_state
        return [_HEAD.pack(Kind.HARD_STATE, item.group) + _HARD.pack(state.term, state.vote, state.commit)]
    if isinstance(item, SnapshotItem):
        meta = item.snapshot.meta
        head = _HEAD.pack(Kind.SNAPSHOT, item.group) + _SNAP.pack(item.keeps_entries, meta.index, meta.term)
        data = item.snapshot.data
        return [head + encode_membership(meta.conf_state) + _U32.pack(len(data)), data]
    if isinstance(item, MembershipItem):
        head = _HEAD.pack(Kind.MEMBERSHIP, item.group) + _U64.pack(item.index)
        return [head + encode_membership(item.conf_state)]
    if isinstance(item, StateItem):
        state = item.hard_state
        head = _HEAD.pack(Kind.STATE, item.group) + _HARD.pack(state.term, state.vote, state.commit)
        return [head + _U64.pack(item.index) + encode_membership(item.conf_state)]
    return [_HEAD.pack(Kind.REMOVED, item.group)]


def decode_items(payload: bytes) -> Iterator[Item]:
    """The items of a batch.

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


def _decode(payload: bytes, offset: int) -> tuple[Item, int]:
    kind, group = _HEAD.unpack_from(payload, offset)
    at = offset + _HEAD.size
    if kind in (Kind.ENTRIES, Kind.REWRITTEN):
        count, size = _ENTRIES.unpack_from(payload, at)
        at += _ENTRIES.size
        if size > len(payload) - at:
            raise DecodeError(_WHAT, offset, f"{size} bytes of entries do not fit")
        entries = decode_records(payload, at, at + size, count)
        return EntriesItem(group, entries, kind == Kind.REWRITTEN, at), at + size
    if kind == Kind.HARD_STATE:
        return HardStateItem(group, HardState(*_HARD.unpack_from(payload, at))), at + _HARD.size
    if kind == Kind.SNAPSHOT:
        keeps, index, term = _SNAP.unpack_from(payload, at)
        conf_state, at = decode_membership(payload, at + _SNAP.size)
        size = _U32.unpack_from(payload, at)[0]
        at += 4
        if size > len(payload) - at:
            raise DecodeError(_WHAT, offset, f"{size} bytes of a snapshot do not fit")
        snapshot = Snapshot(SnapshotMeta(index, term, conf_state), payload[at : at + size])
        return SnapshotItem(group, snapshot, keeps), at + size
    if kind == Kind.MEMBERSHIP:
        index = _U64.unpack_from(payload, at)[0]
        conf_state, at = decode_membership(payload, at + 8)
        return MembershipItem(group, index, conf_state), at
    if kind == Kind.STATE:
        hard_state = HardState(*_HARD.unpack_from(payload, at))
        at += _HARD.size
        index = _U64.unpack_from(payload, at)[0]
        conf_state, at = decode_membership(payload, at + 8)
        return StateItem(group, hard_state, index, conf_state), at
    if kind == Kind.REMOVED:
        return RemovedItem(group), at
    raise DecodeError(_WHAT, offset, f"kind {kind} is unknown to this release")
