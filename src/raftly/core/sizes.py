"""Sizes for limits, computed as etcd computes them: the protobuf encoding, by arithmetic, encoding nothing.

    Entry  1 type   2 term   3 index   4 data   (6 context: raft-rs)

Term and index always count; the type when it is not NORMAL or was set on purpose; the payload when there is one.
"""

from __future__ import annotations

from typing import Final

from raftly.base.types import DATA_SET, NO_LIMIT, TYPE_SET, Entry
from raftly.base.wire import varint_bytes

_OVERHEAD_MAX: Final = 36  # everything but payload and context bytes, at most


def entry_bytes(entry: Entry) -> int:
    """Encoded size of an entry that has its term and index."""
    size = 2 + varint_bytes(entry.term) + varint_bytes(entry.index)
    if entry.type != 0 or entry.flags & TYPE_SET:
        size += 2
    data_bytes = entry.data_bytes()
    if data_bytes or entry.flags & DATA_SET:
        size += 1 + varint_bytes(data_bytes) + data_bytes
    if entry.context:
        size += 1 + varint_bytes(len(entry.context)) + len(entry.context)
    return size


def entries_bytes(entries: list[Entry]) -> int:
    """Encoded size of entries."""
    return sum([entry_bytes(entry) for entry in entries])


def payload_bytes(entries: list[Entry]) -> int:
    """Payload bytes of entries, nothing else counted."""
    total = 0
    for entry in entries:
        total += entry.data_bytes()
    return total


def limit_slice(entries: list[Entry], start: int, stop: int, bytes_max: int) -> list[Entry]:
    """The longest prefix of `entries[start:stop]` whose encoded size is at most `bytes_max`, at least one entry.

    Looks at no more entries than it returns, plus one: a laggard's million entries are not walked for each message.
    """
    if bytes_max >= NO_LIMIT or stop - start <= 1:
        return entries[start:stop]
    bound = 0  # an upper bound first: cheap, and nearly always enough
    for position in range(start, stop):
        entry = entries[position]
        bound += _OVERHEAD_MAX + entry.data_bytes() + len(entry.context)
        if bound > bytes_max:
            break
    else:
        return entries[start:stop]
    total = 0
    for position in range(start, stop):
        total += entry_bytes(entries[position])
        if total > bytes_max and position > start:
            return entries[start:position]
    return entries[start:stop]


def limit_bytes(entries: list[Entry], bytes_max: int) -> list[Entry]:
    """The longest prefix whose encoded size is at most `bytes_max`, at least one entry."""
    return limit_slice(entries, 0, len(entries), bytes_max)
