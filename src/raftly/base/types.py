"""The values that all layers pass around: ids, entries, hard state, snapshots.

Ids, terms and indexes are unsigned 64-bit numbers held in plain ints. They are aliases and not `NewType`: a NewType
call on each arithmetic result costs more, interpreted, than the arithmetic (docs/design/0003-core.md).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import IntEnum
from typing import Final, TypeAlias, final

from raftly.base.membership import ConfState

NodeId: TypeAlias = int
Term: TypeAlias = int
Index: TypeAlias = int

NO_NODE: Final = 0  # "no leader", "no vote"; never the id of a node
INDEX_MAX: Final = (1 << 64) - 1  # "infinity" of quorum calculations, and the largest number on the wire
NO_LIMIT: Final = (1 << 62) - 1  # a size limit that is never reached; fits a machine word once compiled


class EntryType(IntEnum):
    """What an entry carries. The values are those of raftpb and eraftpb."""

    NORMAL = 0
    CONF_CHANGE = 1  # payload: an encoded ConfChange
    CONF_CHANGE_V2 = 2  # payload: an encoded ConfChangeV2


TYPE_SET: Final = 1  # Entry.flags: the type counts in the encoded size although it is NORMAL
PAYLOAD_START: Final = 22  # of a record without a context; `raftly.base.record` draws it
PAYLOAD_STOP: Final = -4
DATA_SET: Final = 2  # Entry.flags: the payload counts in the encoded size although it is empty


@final
class Entry:
    """One slot of the log. Immutable once appended; `data` is opaque, `context` is the proposer's own (raft-rs).

    `record` is the framed form made once by the leader and spliced everywhere after (`raftly.base.record`); empty
    until then. An entry that came with its record keeps no second copy of the payload: `data` cuts it out.
    `flags` keeps what protobuf's field presence would say, so that sizes are computed as etcd does.
    """

    __slots__ = ("_data", "context", "flags", "index", "record", "term", "type")

    def __init__(
        self,
        term: int = 0,
        index: int = 0,
        type: EntryType = EntryType.NORMAL,
        data: bytes | None = b"",
        context: bytes = b"",
        flags: int = 0,
        record: bytes = b"",
    ) -> None:
        self.term = term
        self.index = index
        self.type = type
        self._data = data  # None: it is in the record
        self.context = context
        self.flags = flags
        self.record = record

    @property
    def data(self) -> bytes:
        """The payload."""
        data = self._data
        return self.record[PAYLOAD_START:PAYLOAD_STOP] if data is None else data

    @data.setter
    def data(self, data: bytes) -> None:
        self._data = data

    def data_bytes(self) -> int:
        """Size of the payload."""
        data = self._data
        return len(self.record) - PAYLOAD_START + PAYLOAD_STOP if data is None else len(data)

    def __eq__(self, other: object) -> bool:
        """Equal in what was proposed and where it stands; framing and presence flags do not count."""
        return (
            isinstance(other, Entry)
            and self.term == other.term
            and self.index == other.index
            and self.type == other.type
            and self.data == other.data
            and self.context == other.context
        )

    def __hash__(self) -> int:
        return hash((self.term, self.index))

    def __repr__(self) -> str:
        context = f", context={self.context!r}" if self.context else ""
        return f"Entry({self.term}/{self.index} {self.type.name} {self.data!r}{context})"


@final
@dataclass(init=False, slots=True, unsafe_hash=True)
class HardState:
    """What a node must have on disk before it speaks: its term, its vote in that term, and what it knows committed.

    Immutable by agreement; one is built for most Readies, and a frozen dataclass takes twice as long to build.
    """

    term: Term
    vote: NodeId
    commit: Index

    def __init__(self, term: Term = 0, vote: NodeId = NO_NODE, commit: Index = 0) -> None:
        self.term = term
        self.vote = vote
        self.commit = commit

    def is_empty(self) -> bool:
        return self.term == 0 and self.vote == NO_NODE and self.commit == 0


@final
@dataclass(frozen=True, slots=True)
class SnapshotMeta:
    """Where a snapshot stands: the last entry it covers, and the membership as of that entry."""

    index: Index = 0
    term: Term = 0
    conf_state: ConfState = field(default_factory=ConfState)


@final
@dataclass(frozen=True, slots=True)
class Snapshot:
    """The state machine at `meta.index`. `data` is opaque; large state is referred to, not carried, in it."""

    meta: SnapshotMeta = field(default_factory=SnapshotMeta)
    data: bytes = b""

    def is_empty(self) -> bool:
        return self.meta.index == 0
