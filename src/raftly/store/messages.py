"""What stores tell each other beside Raft: the payload of a MsgProp in group 0, which no region has.

    u8 version 1   u8 kind   u64 region id   u64 peer id   u64 index
    1 GONE     the peer is no member of the region any more, for good (index 0)
    2 SLEEP    to the peer: nothing happens in the region, your log ends at index as mine does, so sleep
    3 ASLEEP   from the peer: it sleeps, with a log that ends at index
    4 MERGED   to all peers of the region: it is part of another one, for good; in the place of the peer's id that
               one's, and the index of the commit in its log; 0 and 0: the sender does not know
    5 REFUSED  to the peer: the merge that was prepared at index will never count, so roll it back

Little-endian. Messages of another version, or of a kind not known, are ignored: none is needed for safety.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from struct import Struct
from typing import Final, final

from raftly.base.region import PeerId, RegionId
from raftly.base.types import NO_NODE, Entry, Index
from raftly.core.messages import Message, MsgProp

STORE_GROUP: Final = 0

_VERSION: Final = 1
_FORM: Final = Struct("<BBQQQ")


class Kind(IntEnum):
    """See the module."""

    GONE = 1
    SLEEP = 2
    ASLEEP = 3
    MERGED = 4
    REFUSED = 5


@final
@dataclass(frozen=True, slots=True)
class StoreMessage:
    """See the module."""

    kind: Kind
    region_id: RegionId
    peer_id: PeerId
    index: Index = 0


def to_wire(message: StoreMessage) -> Message:
    """As it travels."""
    data = _FORM.pack(_VERSION, message.kind, message.region_id, message.peer_id, message.index)
    return MsgProp(NO_NODE, NO_NODE, 0, [Entry(data=data)])


def from_wire(messages: list[Message]) -> list[StoreMessage]:
    """What came; what is not understood is left out."""
    found: list[StoreMessage] = []
    for message in messages:
        for entry in message.entries if isinstance(message, MsgProp) else ():
            data = entry.data
            if len(data) == _FORM.size and data[0] == _VERSION and data[1] in Kind.__members__.values():
                _, kind, region_id, peer_id, index = _FORM.unpack(data)
                found.append(StoreMessage(Kind(kind), region_id, peer_id, index))
    return found
