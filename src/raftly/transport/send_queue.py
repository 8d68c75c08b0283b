"""What waits to be written to one peer: bounded, and when it is full the newest is what is lost.

Raft may lose any message. What has queued up is an unbroken run of appends, which the peer can use from the front; to
lose the oldest would make it refuse all the rest.
"""

from __future__ import annotations

from typing import Final, final

from raftly.base.limits import FRAME_BYTES_MAX
from raftly.transport.frame import FRAME_GROUPS, join_frame
from raftly.transport.groups import PART_HEADER_BYTES, pack_part_header

FRAME_BYTES_TARGET: Final = 1 << 20  # a frame is closed when it has this much
PART_BYTES_MAX: Final = FRAME_BYTES_MAX - PART_HEADER_BYTES
_OVERHEAD_BYTES: Final = 200  # what a part costs in memory besides its bytes, about


@final
class SendQueue:
    """Encoded batches, first in, first out. `cost` is their memory: at most `cost_max`, but one always has room."""

    __slots__ = ("_parts", "cost", "cost_max")

    def __init__(self, cost_max: int) -> None:
        self.cost_max = cost_max
        self.cost = 0
        self._parts: list[bytes] = []  # header, batch, header, batch ...

    def __bool__(self) -> bool:
        return bool(self._parts)

    def push(self, group: int, batch: bytes) -> bool:
        """Queue the encoded messages of a group, at most PART_BYTES_MAX; False when there is no room."""
        size = len(batch)
        cost = self.cost + size + _OVERHEAD_BYTES
        if cost > self.cost_max and self._parts:
            return False
        self.cost = cost
        self._parts += (pack_part_header(group, size), batch)
        return True

    def take(self) -> bytes:
        """The next frame; b"" when nothing waits."""
        parts = self._parts
        if self.cost <= FRAME_BYTES_TARGET:
            if not parts:
                return b""
            self._parts = []
            self.cost = 0
            return join_frame(FRAME_GROUPS, parts)
        return self._take_some()

    def _take_some(self) -> bytes:
        """A frame of the first parts: as many as stay below the target, but one at least."""
        parts = self._parts
        size = 0
        stop = 0
        while stop < len(parts) and (stop == 0 or size + len(parts[stop + 1]) < FRAME_BYTES_TARGET):
            size += len(parts[stop]) + len(parts[stop + 1])
            stop += 2
        self._parts = parts[stop:]
        self.cost -= size + stop // 2 * (_OVERHEAD_BYTES - PART_HEADER_BYTES)
        return join_frame(FRAME_GROUPS, parts[:stop])

    def clear(self) -> int:
        """Drop all; how many batches that were."""
        count = len(self._parts) // 2
        self._parts = []
        self.cost = 0
        return count
