"""The disk of a host: a MemFs that takes its time and survives its host, behind a FaultFs."""

from __future__ import annotations

import asyncio
import itertools
from bisect import bisect_right
from typing import TYPE_CHECKING, Final, final

from raftly.errors import StorageError
from raftly.testing.faultfs import FaultFs
from raftly.testing.memfs import MemFs

if TYPE_CHECKING:
    from raftly.testing.sim.host import Host

_HUGE: Final = 1 << 40
_SLICE_S: Final = 0.05


class Killed(BaseException):
    """The process is gone; unwinds the callback that it died in."""


@final
class Disk:
    """`fs` is what production code gets; it is another object after each loss of power.

    A process that is killed leaves everything it wrote; when the power goes, of what was not synced anything may be
    left (`MemFs`). Rules in `fs.faults` stay in force over both.
    """

    __slots__ = ("_host", "_memory", "_random", "_source", "burnt", "fs", "fuse", "slow", "stalled_until")

    def __init__(self, host: Host) -> None:
        self.slow = 1.0
        """A sync takes so many times as long."""
        self.stalled_until = 0.0
        """No sync ends before this time of the world's."""
        self.fuse = 0
        """The host loses power before this many-th change of its disk from now; 0: it does not."""
        self.burnt = 0
        """How often it did."""
        self._host = host
        self._random = host.world.stream(f"disk/{host.name}")
        self._source = host.world.source(f"crash/{host.name}")
        self._memory = MemFs()
        self.fs = FaultFs(self._memory, self._source)
        self._attach()

    def lose_power(self) -> None:
        """What was not synced is decided."""
        faults = self.fs.faults
        self._memory = self._memory.crash(self._source)
        self.fs = FaultFs(self._memory, self._source)
        self.fs.faults = faults
        self.fuse = 0
        self._attach()

    def let_go(self) -> None:
        """The process that had it is gone, with its locks."""
        self._memory.locked.clear()
        self.fuse = 0

    def wipe(self) -> None:
        """The disk is another one, with nothing on it. The host has no process."""
        assert not self._host.alive
        self._memory = MemFs()
        self.fs = FaultFs(self._memory, self._source)
        self._attach()

    def flip_bit(self) -> str:
        """One bit of one file is wrong from now on; its path, or nothing when there is no file."""
        assert not self._host.alive
        contents = {path: self._memory.content(path) for path in self._memory.paths()}
        ends = list(itertools.accumulate(map(len, contents.values())))
        if not ends or not ends[-1]:
            return ""
        at = self._random.randrange(ends[-1])
        number = bisect_right(ends, at)
        path = list(contents)[number]
        flipped = bytearray(contents[path])
        flipped[ends[number] - at - 1] ^= 1 << self._random.randrange(8)
        self._memory.put(path, bytes(flipped), self._memory.open(path).inode())
        return path

    def fill(self, slack_bytes: int = 0) -> None:
        """From now on there is room for this much more."""
        self.free()
        self._memory.capacity_bytes = self.used_bytes() + slack_bytes

    def free(self) -> None:
        """There is room again."""
        self._memory.capacity_bytes = None

    def used_bytes(self) -> int:
        """In all files."""
        capacity = self._memory.capacity_bytes
        self._memory.capacity_bytes = _HUGE
        try:
            return _HUGE - self._memory.free_bytes("")
        finally:
            self._memory.capacity_bytes = capacity

    def _attach(self) -> None:
        self._memory.on_step = self._on_step
        self._memory.on_sync = self._on_sync
        self._memory.on_full = self._on_full

    def _on_full(self) -> None:
        self._host.world.rare["writes on a full disk"] += 1

    def _on_step(self, operation: str, path: str) -> None:
        host = self._host
        if not host.alive:
            raise StorageError(f"{host.name} is dead")  # its last callback unwinds: nothing it does counts
        host.world.note(host.name, operation, path)
        if self.fuse:
            self.fuse -= 1
            if not self.fuse:
                host.world.rare["power lost in a write"] += 1
                self.burnt += 1
                host.kill(power=True)
                raise Killed

    async def _on_sync(self, path: str) -> None:
        world = self._host.world
        options = world.options
        random = self._random
        seconds = random.expovariate(1.0 / options.sync_s_mean)
        if random.random() < options.slow_sync_chance:
            seconds += random.random() * options.slow_sync_s
        while seconds > 0:
            slow = self.slow  # may change meanwhile
            piece = min(seconds * slow, _SLICE_S)
            await asyncio.sleep(piece)
            seconds -= piece / slow
        while self.stalled_until > world.now:  # noqa: ASYNC110 - it may be stalled for longer meanwhile
            await asyncio.sleep(self.stalled_until - world.now + 1e-6)
