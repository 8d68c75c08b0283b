"""SortedMap: keys in order, in chunks; a frozen view of it costs nothing until the map changes.

    first keys   [ b"",      b"k7",     b"p2", ... ]      bisect finds the chunk
    chunks       [ keys: [...] values: [...], ... ]       bisect finds the key

`freeze` hands out both lists and raises the map's age. A chunk that is younger than no frozen view is copied before it
is changed, and so are the two lists; the rest stays shared. Insertion costs the length of a chunk and of the list of
chunks, both about the square root of what fits in memory.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterator
from typing import Final, final

from raftly.engine.base import KeyValue

_CHUNK_KEYS_MAX: Final = 512
_DRAWN: Final = 8  # keys of a chunk that speak for the others


@final
class _Chunk:
    """A run of keys with their values. `age` is that of the map when the chunk was made: older ones may be shared."""

    __slots__ = ("age", "keys", "values")

    def __init__(self, age: int, keys: list[bytes], values: list[bytes]) -> None:
        self.age = age
        self.keys = keys
        self.values = values


class SortedView:
    """The map at one moment, to read."""

    __slots__ = ("_chunks", "_firsts")

    def __init__(self, firsts: list[bytes], chunks: list[_Chunk]) -> None:
        self._firsts = firsts  # the first is b"": every key has a chunk; the others bound their chunks from below
        self._chunks = chunks

    def get(self, key: bytes) -> bytes | None:
        """The value of a key."""
        chunk = self._chunks[bisect_right(self._firsts, key) - 1]
        at = bisect_left(chunk.keys, key)
        return chunk.values[at] if at < len(chunk.keys) and chunk.keys[at] == key else None

    def ascending(self, lo: bytes, hi: bytes) -> Iterator[KeyValue]:
        """All in [lo, hi), in order. The map must not change meanwhile, a frozen view does not."""
        number = bisect_right(self._firsts, lo) - 1
        start = bisect_left(self._chunks[number].keys, lo)
        for number in range(number, len(self._chunks)):  # noqa: B020 - from the chunk just found on
            keys, values = self._chunks[number].keys, self._chunks[number].values
            stop = len(keys) if not hi or not keys or keys[-1] < hi else bisect_left(keys, hi)
            yield from zip(keys[start:stop], values[start:stop], strict=True)
            if stop < len(keys):
                return
            start = 0

    def descending(self, lo: bytes, hi: bytes) -> Iterator[KeyValue]:
        """All in [lo, hi), the last first."""
        number = bisect_left(self._firsts, hi) - 1 if hi else len(self._chunks) - 1
        for at in range(number, -1, -1):
            keys, values = self._chunks[at].keys, self._chunks[at].values
            stop = bisect_left(keys, hi) if hi else len(keys)
            start = bisect_left(keys, lo)
            yield from zip(reversed(keys[start:stop]), reversed(values[start:stop]), strict=True)
            if start:
                return

    def approximate_bytes(self, lo: bytes, hi: bytes) -> int:
        """About how many bytes are in [lo, hi): chunks are counted by a few of their keys."""
        first = bisect_right(self._firsts, lo) - 1
        last = bisect_left(self._firsts, hi) if hi else len(self._chunks)
        total = 0
        for chunk in self._chunks[first:last]:
            start = bisect_left(chunk.keys, lo)
            stop = bisect_left(chunk.keys, hi) if hi else len(chunk.keys)
            drawn = range(start, stop, -(-(stop - start) // _DRAWN) or 1)
            if drawn:
                size = sum(len(chunk.keys[at]) + len(chunk.values[at]) for at in drawn)
                total += size * (stop - start) // len(drawn)
        return total

    def __len__(self) -> int:
        """How many keys."""
        return sum(len(chunk.keys) for chunk in self._chunks)


@final
class SortedMap(SortedView):
    """The map itself."""

    __slots__ = ("_age", "_shared", "size")

    def __init__(self) -> None:
        super().__init__([b""], [_Chunk(0, [], [])])
        self._age = 0
        self._shared = False  # are the two lists in a view?
        self.size = 0
        """Bytes of all keys and values."""

    def freeze(self) -> SortedView:
        """The map as it is now, for good."""
        self._age += 1
        self._shared = True
        return SortedView(self._firsts, self._chunks)

    def put(self, key: bytes, value: bytes) -> None:
        """Give a key a value."""
        number = bisect_right(self._firsts, key) - 1
        chunk = self._own(number)
        at = bisect_left(chunk.keys, key)
        if at < len(chunk.keys) and chunk.keys[at] == key:
            self.size += len(value) - len(chunk.values[at])
            chunk.values[at] = value
            return
        chunk.keys.insert(at, key)
        chunk.values.insert(at, value)
        self.size += len(key) + len(value)
        if len(chunk.keys) > _CHUNK_KEYS_MAX:
            self._halve(number)

    def delete(self, key: bytes) -> None:
        """Take a key away, if it is there."""
        number = bisect_right(self._firsts, key) - 1
        keys = self._chunks[number].keys
        at = bisect_left(keys, key)
        if at < len(keys) and keys[at] == key:
            self._cut(number, at, at + 1)

    def delete_range(self, lo: bytes, hi: bytes) -> None:
        """Take away all in [lo, hi)."""
        number = bisect_right(self._firsts, lo) - 1
        while number < len(self._chunks) and (not hi or self._firsts[number] < hi):
            keys = self._chunks[number].keys
            start, stop = bisect_left(keys, lo), bisect_left(keys, hi) if hi else len(keys)
            chunks = len(self._chunks)
            if start < stop:
                self._cut(number, start, stop)
            number += len(self._chunks) == chunks

    def _own(self, number: int) -> _Chunk:
        """The chunk, in a form that no view has; nor has one the two lists, from here to the next `freeze`."""
        chunk = self._chunks[number]
        if chunk.age < self._age:
            if self._shared:
                self._firsts = self._firsts.copy()
                self._chunks = self._chunks.copy()
                self._shared = False
            chunk = self._chunks[number] = _Chunk(self._age, chunk.keys.copy(), chunk.values.copy())
        return chunk

    def _cut(self, number: int, start: int, stop: int) -> None:
        """Take keys out of a chunk, and the chunk away when it is empty; the first one stays."""
        chunk = self._own(number)
        self.size -= sum(map(len, chunk.keys[start:stop])) + sum(map(len, chunk.values[start:stop]))
        del chunk.keys[start:stop]
        del chunk.values[start:stop]
        if not chunk.keys and number:
            del self._firsts[number]
            del self._chunks[number]

    def _halve(self, number: int) -> None:
        chunk = self._own(number)
        middle = len(chunk.keys) // 2
        upper = _Chunk(self._age, chunk.keys[middle:], chunk.values[middle:])
        del chunk.keys[middle:]
        del chunk.values[middle:]
        self._firsts.insert(number + 1, upper.keys[0])
        self._chunks.insert(number + 1, upper)
