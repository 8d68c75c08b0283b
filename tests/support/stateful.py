"""Classes that bring their own streams, or keep their state on disk."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

from raftly.node import command, query
from raftly.node.values import decode_raw, encode_value
from raftly.testing.memfs import MemFs

LINE_BYTES = 64  # of a line in a stream


class Counts:
    """Names and how often each was added, as lines of a fixed size in its stream."""

    def __init__(self) -> None:
        self.counts: dict[str, int] = {}
        self.applied_here = 0  # commands that this instance ran
        self.chunks: list[int] = []  # sizes of what it was restored from

    @command
    def add(self, name: str) -> int:
        self.applied_here += 1
        self.counts[name] = self.counts.get(name, 0) + 1
        return self.counts[name]

    @command
    def fill(self, lines: int) -> int:
        self.applied_here += 1
        for line in range(lines):
            self.counts[f"line-{line}"] = line
        return len(self.counts)

    @query
    def get(self, name: str) -> int:
        return self.counts.get(name, 0)

    def snapshot(self) -> Iterator[bytes]:
        captured = dict(self.counts)
        for name, count in captured.items():
            yield f"{name}={count}".encode().ljust(LINE_BYTES)

    async def restore(self, chunks: AsyncIterator[bytes]) -> None:
        held = b""
        async for chunk in chunks:
            self.chunks.append(len(chunk))
            held += chunk
            for at in range(0, len(held) - LINE_BYTES + 1, LINE_BYTES):
                name, _, count = held[at : at + LINE_BYTES].decode().strip().partition("=")
                self.counts[name] = int(count)
            held = held[len(held) // LINE_BYTES * LINE_BYTES :]
        assert not held


class Ledger(Counts):
    """Counts on a MemFs. Every `lazy`-th save reaches the disk; in between it is in memory, as in a page cache."""

    def __init__(self, fs: MemFs, lazy: int = 1) -> None:
        super().__init__()
        self.fs = fs
        self.lazy = lazy
        self.saves = 0
        self.kept: tuple[int, bytes] | None = None
        self.closed = False
        if fs.exists("ledger"):
            index, head, counts = decode_raw(fs.content("ledger"))
            self.kept = (index, head)
            self.found = dict(counts)
        else:
            self.found = {}
        self.counts = dict(self.found)

    async def restore(self, chunks: AsyncIterator[bytes]) -> None:
        self.counts.clear()
        self.kept = None  # of another instance
        await super().restore(chunks)

    def durable(self) -> tuple[int, bytes] | None:
        return self.kept

    def save(self, index: int, head: bytes) -> None:
        assert not self.closed
        self.saves += 1
        if self.saves % self.lazy:
            return
        self.fs.remove("ledger.tmp")
        file = self.fs.open("ledger.tmp", create=True)
        file.write(0, encode_value((index, head, self.counts)))
        file.sync_now()
        self.fs.rename("ledger.tmp", "ledger")
        self.fs.sync_dir_now("")
        self.kept = (index, head)

    def close(self) -> None:
        self.closed = True
