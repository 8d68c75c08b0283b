"""Host: a machine with a clock, a disk, an address, and at most one process, which is an event loop."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Any, TypeVar, final

from raftly.base.rand import SplitMix64
from raftly.testing.sim.clock import WALL_AT_START, Clock
from raftly.testing.sim.disk import Disk
from raftly.testing.sim.loop import SimLoop

if TYPE_CHECKING:
    from raftly.testing.sim.connect import Listener
    from raftly.testing.sim.stream import Stream
    from raftly.testing.sim.world import World

T = TypeVar("T")


class HostDown(Exception):
    """The host on which something was to be done, or was being done, is dead."""


@final
class Host:
    """Made by `World.host`, switched off.

    After `start` there is a process; `kill` ends it between two callbacks (`kill_after`: in the middle of a turn), or
    inside one when the disk's fuse burns down. Nothing of a dead process reaches the world: its callbacks and tasks are
    dropped, and what its `finally` blocks do meets a dead loop, dead sockets and a dead disk.
    """

    def __init__(self, world: World, name: str, address: str) -> None:
        self.world = world
        self.name = name
        self.address = address
        random = world.stream(f"clock/{name}")
        self.clock = Clock(random.uniform(0, 1e6), WALL_AT_START + random.uniform(-0.05, 0.05))
        self.up = False  # the machine has power, so its network stack answers
        self.free_at = 0.0  # the process does nothing before this time of the world's
        self.fuse = 0  # the process dies after so many callbacks; 0: it does not
        self.incarnation = 0
        self.burnt_in = 0  # the incarnation that died of its fuse last
        self.on_death: Callable[[Host], None] | None = None
        self.streams: dict[Stream, None] = {}
        self.listeners: dict[int, Listener] = {}
        self.next_port = 49152
        self._loop: SimLoop | None = None
        self._fuse_power = False
        self._waiters: dict[asyncio.Future[Any], None] = {}  # on other hosts, for what runs here
        self.disk = Disk(self)

    def __repr__(self) -> str:
        return f"<{self.name}>"

    # --- process ---

    @property
    def alive(self) -> bool:
        """Is there a process?"""
        return self._loop is not None

    @property
    def loop(self) -> SimLoop:
        """The process's loop.

        Raises:
            HostDown: there is no process.
        """
        if self._loop is None:
            raise HostDown(f"{self.name} is down")
        return self._loop

    def start(self) -> None:
        """Switch on what is off, and start a process that does nothing yet."""
        assert self._loop is None, f"{self.name} runs already"
        self.incarnation += 1
        self.free_at = self.world.now
        self.clock.wake(self.world.now)
        self._loop = SimLoop(self)  # type: ignore[abstract]  # what it lacks has no meaning here
        self.world.note(self.name, "start", str(self.incarnation))
        if not self.up:
            self.up = True
            self.world.net.on_host_up(self)

    def kill(self, *, power: bool = True) -> None:
        """The process dies; with `power` the machine goes too, until `start`.

        Without power connections are left half-open: the other ends hear nothing before they ask a machine that is up
        again. A process alone has its connections ended by the machine. A host that has no process loses only power.
        """
        if not self.up:
            return
        loop, self._loop = self._loop, None
        self.fuse = 0
        self.world.note(self.name, "kill", "power" if power else "process")
        if power:
            self.up = False
        self.world.net.on_host_dead(self)
        if loop is not None:
            loop.kill()
        if power:
            self.disk.lose_power()
        else:
            self.disk.let_go()
        waiters, self._waiters = self._waiters, {}
        for waiter in waiters:
            if not waiter.done():
                waiter.set_exception(HostDown(f"{self.name} died"))
        if loop is not None and self.on_death is not None:
            self.on_death(self)

    def kill_after(self, callbacks: int, *, power: bool = True) -> None:
        """Die right after this many callbacks from now."""
        self.fuse = callbacks
        self._fuse_power = power

    def burn(self) -> bool:
        """A callback was run while the fuse is lit; is the host dead?"""
        self.fuse -= 1
        if self.fuse == 0:
            self.burnt_in = self.incarnation
            self.kill(power=self._fuse_power)
            return True
        return False

    def pause(self, seconds: float) -> None:
        """The process stands still (SIGSTOP, a long collection of garbage); its clocks and its machine go on."""
        self.world.note(self.name, "pause", repr(seconds))
        self.free_at = max(self.free_at, self.world.now + seconds)

    # --- work ---

    def spawn(self, coro: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
        """Run a coroutine on this host. The task may be waited for only on this host.

        Raises:
            HostDown: there is no process.
        """
        try:
            loop = self.loop
        except HostDown:
            coro.close()
            raise
        return loop.create_task(coro)

    def begin(self, coro: Coroutine[Any, Any, None]) -> None:
        """As `spawn`, for what nobody waits for; what it raises, `World.check` raises again."""
        self.spawn(coro).add_done_callback(self._on_done)

    def _on_done(self, task: asyncio.Task[None]) -> None:
        if not task.cancelled() and (error := task.exception()) is not None:
            self.on_error({"message": f"{task.get_name()} failed", "exception": error})

    def run(self, coro: Coroutine[Any, Any, T]) -> asyncio.Future[T]:
        """Run a coroutine on this host and wait for it on another one: the script's, without any network between.

        The future gets its result, its exception, or HostDown when the host dies first.
        """
        here: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        task = self.spawn(coro)
        self._waiters[here] = None

        def done(task: asyncio.Task[T]) -> None:
            self._waiters.pop(here, None)
            if here.done():
                return
            if task.cancelled():
                here.set_exception(HostDown(f"what {self.name} did was cancelled"))
            elif (error := task.exception()) is not None:
                here.set_exception(error)
            else:
                here.set_result(task.result())

        task.add_done_callback(done)
        return here

    def source(self, name: str) -> SplitMix64:
        """Randomness of this incarnation of the host, for production code that takes a RandomSource."""
        return self.world.source(f"{self.name}/{self.incarnation}/{name}")

    def seed(self, name: str) -> int:
        """A number of this incarnation of the host."""
        return self.source(name).below(1 << 62)

    # --- clocks ---

    def wall(self) -> float:
        """The wall clock: what production code takes as `clock`."""
        return self.clock.wall(self.world.now)

    def set_rate(self, rate: float) -> None:
        """All clocks run so many times as fast as the world's time."""
        self.world.note(self.name, "rate", repr(rate))
        self.clock.set_rate(self.world.now, rate)
        self._on_clock_changed()

    def suspend(self, seconds: float) -> None:
        """The machine sleeps: its process stands still and its monotonic clock too; the other clocks go on."""
        self.world.note(self.name, "suspend", repr(seconds))
        self.free_at = max(self.free_at, self.world.now + seconds)
        self.clock.sleep(self.world.now, seconds)
        self._on_clock_changed()

    def skip(self, seconds: float) -> None:
        """All clocks jump forward, as those of a virtual machine that was moved."""
        self.world.note(self.name, "skip", repr(seconds))
        self.clock.skip(self.world.now, seconds)
        self._on_clock_changed()

    def jump(self, seconds: float) -> None:
        """The wall clock is set forward or back."""
        self.world.note(self.name, "jump", repr(seconds))
        self.clock.jump(self.world.now, seconds)

    def _on_clock_changed(self) -> None:
        if self._loop is not None:
            self._loop.on_clock_changed()

    def on_error(self, context: dict[str, Any]) -> None:
        """A callback raised what nobody caught."""
        self.world.on_error(self, context)
