"""A file of a MemFs apart from its names: what was written since it was synced, and what a crash may leave of it."""

from __future__ import annotations

import itertools
from typing import Final, TypeAlias, final

SECTOR_BYTES: Final = 512
_NUMBERS: Final = itertools.count(1)  # of files, ever

Write: TypeAlias = tuple[int, bytes | None]  # (offset, data) written, or (size, None): cut or extended to it


@final
class Inode:
    """A file apart from its names: its bytes now, the durable ones, and what lies between them."""

    __slots__ = ("changes", "clean", "current", "durable", "number", "since")

    def __init__(self, content: bytes = b"", number: int = 0) -> None:
        self.number = number or next(_NUMBERS)
        self.current = bytearray(content)
        self.durable = bytearray(content)
        self.since: list[Write] = []
        self.changes = 0  # ever made; the last len(since) of them are not durable
        self.clean: set[int] = set()  # sectors that a sync failed for: they hold what no sync writes

    def change(self, write: Write) -> None:
        """One more, not durable yet."""
        apply_write(self.current, write)
        self.since.append(self._whole(write))
        self.changes += 1

    def settle(self, changes: int) -> None:
        """The first `changes` of all changes are durable; another sync may have seen to some of them."""
        for write in self._take(changes):
            apply_write(self.durable, write)

    def lose(self, changes: int) -> None:
        """The sync of the first `changes` failed: they stay to be read, and are never written by another one."""
        cuts: list[Write] = []
        for offset, data in self._take(changes):
            if data is None:
                cuts.append((offset, data))  # lengths are the journal's, as names are
            else:
                self.clean.update(_sectors(offset, data))
        self.since = [*cuts, *map(self._whole, self.since)]

    def _take(self, changes: int) -> list[Write]:
        count = max(changes - (self.changes - len(self.since)), 0)
        taken, self.since = self.since[:count], self.since[count:]
        return taken

    def _whole(self, write: Write) -> Write:
        """The change as the disk will see it: clean sectors go with it whole, and are clean no more."""
        offset, data = write
        if data is None or not self.clean:
            return write
        sectors = self.clean.intersection(_sectors(offset, data))
        if not sectors:
            return write
        self.clean -= sectors
        start = min(offset, min(sectors) * SECTOR_BYTES)
        stop = max(offset + len(data), (max(sectors) + 1) * SECTOR_BYTES)
        return start, bytes(self.current[start:stop])

    def axes(self) -> tuple[list[int], dict[int, list[bytes]]]:
        """What a crash may leave: the lengths, and for each sector that changed its versions; the durable one first."""
        content = bytearray(self.durable)
        lengths = [len(content)]
        versions: dict[int, list[bytes]] = {}
        for offset, data in self.since:
            before = len(content)
            stop = before if data is None else offset + len(data)
            if data is not None and content[offset:stop].ljust(len(data), b"\0") == data:
                stop = 0  # zeros written ahead, say: only the length may change
            sectors = range(min(offset, before) // SECTOR_BYTES, -(-stop // SECTOR_BYTES))
            old = {sector: _sector(content, sector) for sector in sectors}
            apply_write(content, (offset, data))
            lengths += _lengths_between(before, len(content))
            for sector, was in old.items():
                now = _sector(content, sector)
                if now != was:
                    versions.setdefault(sector, [was]).append(now)
        return [length for length, _ in itertools.groupby(lengths)], versions


def apply_write(content: bytearray, write: Write) -> None:
    """Carry out a change."""
    offset, data = write
    if len(content) < offset:
        content.extend(bytes(offset - len(content)))
    if data is None:
        del content[offset:]
    else:
        content[offset : offset + len(data)] = data


def _sectors(offset: int, data: bytes) -> range:
    return range(offset // SECTOR_BYTES, -(-(offset + len(data)) // SECTOR_BYTES))


def _sector(content: bytearray, number: int) -> bytes:
    return bytes(content[number * SECTOR_BYTES : (number + 1) * SECTOR_BYTES]).ljust(SECTOR_BYTES, b"\0")


def _lengths_between(before: int, after: int) -> list[int]:
    """A growing file may be caught at a sector's edge on the way; the nearest and the middle one stand for all."""
    if after <= before:
        return [after]
    edges = (-(-(before + 1) // SECTOR_BYTES), (before + after) // 2 // SECTOR_BYTES)
    return [*(edge * SECTOR_BYTES for edge in edges if before < edge * SECTOR_BYTES < after), after]
