"""SimLoop: the event loop of one process on one simulated host.

What asyncio promises holds: callbacks run in the order of `call_soon`; what a turn adds runs in the next; timers and
arrivals come between turns. What it leaves open is drawn: the order of arrivals in one turn, and which host goes next.
"""

from __future__ import annotations

import asyncio
import socket
from asyncio import events
from collections import deque
from collections.abc import Callable, Coroutine
from contextlib import suppress
from contextvars import Context
from heapq import heapify, heappop, heappush
from typing import TYPE_CHECKING, Any, Final, TypeVar, final

from raftly.testing.sim.connect import connect, listen

if TYPE_CHECKING:
    from raftly.testing.sim.host import Host
    from raftly.testing.sim.world import Event

T = TypeVar("T")

_RESOLUTION_S: Final = 1e-9
_CANCELLED_MAX: Final = 100  # timers that are dead and still in the heap


@final
class SimTask(asyncio.Task[T]):
    """A task whose hash is a number of its loop's: sets of tasks have the same order in every run."""

    def __init__(
        self, coro: Coroutine[Any, Any, T], loop: SimLoop, name: str | None, context: Context | None, number: int
    ) -> None:
        self.number = number
        super().__init__(coro, loop=loop, name=name, context=context)

    def __hash__(self) -> int:
        return self.number


@final
class SimFuture(asyncio.Future[T]):
    """As SimTask."""

    def __init__(self, loop: SimLoop, number: int) -> None:
        self.number = number
        super().__init__(loop=loop)

    def __hash__(self) -> int:
        return self.number


class SimLoop(asyncio.AbstractEventLoop):
    """Made by its host. After `kill` it takes everything and does nothing.

    What has no meaning here (threads, files, signals, subprocesses, TLS) raises NotImplementedError, as asyncio's base
    class does it.
    """

    def __init__(self, host: Host) -> None:
        self.host = host
        self._world = host.world
        self._alive = True
        self._ready: deque[asyncio.Handle] = deque()
        self._arrived: list[Callable[[], None]] = []
        self._timers: list[tuple[float, int, asyncio.TimerHandle]] = []
        self._timer_number = 0
        self._timers_cancelled = 0
        self._numbers = 0
        self._tasks: dict[asyncio.Task[Any], None] = {}  # asyncio alone would let some be collected as garbage
        self._turn_event: Event | None = None
        self._alarm: Event | None = None
        self._alarm_when = 0.0
        self._in_turn = False
        self._exception_handler: Callable[[asyncio.AbstractEventLoop, dict[str, Any]], object] | None = None

    # --- callbacks ---

    def call_soon(
        self, callback: Callable[..., object], *args: object, context: Context | None = None
    ) -> asyncio.Handle:
        """See asyncio."""
        handle = asyncio.Handle(callback, args, self, context)
        if self._alive:
            self._ready.append(handle)
            if self._turn_event is None and not self._in_turn:
                self._arrange_turn()
        return handle

    def call_soon_threadsafe(
        self, callback: Callable[..., object], *args: object, context: Context | None = None
    ) -> asyncio.Handle:
        """See asyncio. There is one thread."""
        return self.call_soon(callback, *args, context=context)

    def call_later(
        self, delay: float, callback: Callable[..., object], *args: object, context: Context | None = None
    ) -> asyncio.TimerHandle:
        """See asyncio."""
        return self.call_at(self.time() + delay, callback, *args, context=context)

    def call_at(
        self, when: float, callback: Callable[..., object], *args: object, context: Context | None = None
    ) -> asyncio.TimerHandle:
        """See asyncio. Timers of one moment fire in the order in which they were set."""
        timer = asyncio.TimerHandle(when, callback, args, self, context)
        if self._alive:
            timer._scheduled = True  # type: ignore[attr-defined]  # noqa: SLF001 - its cancel tells us then
            self._timer_number += 1
            heappush(self._timers, (when, self._timer_number, timer))
            if not self._in_turn:
                self.arrange_alarm()
        return timer

    def _timer_handle_cancelled(self, timer: asyncio.TimerHandle) -> None:
        self._timers_cancelled += 1
        if self._timers_cancelled > _CANCELLED_MAX and self._timers_cancelled * 2 > len(self._timers):
            self._timers = [entry for entry in self._timers if not entry[2].cancelled()]
            heapify(self._timers)
            self._timers_cancelled = 0

    def arrive(self, action: Callable[[], None]) -> None:
        """Something came in from outside: run it in the next turn, in any order with what else did."""
        if self._alive:
            self._arrived.append(action)
            if self._turn_event is None and not self._in_turn:
                self._arrange_turn()

    def time(self) -> float:
        """The host's monotonic clock."""
        return self.host.clock.monotonic(self._world.now)

    def boot_time(self) -> float:
        """The host's clock that goes on while the machine sleeps: `lease_clock_of`."""
        return self.host.clock.boot(self._world.now)

    # --- turns ---

    def _arrange_turn(self) -> None:
        self._turn_event = self._world.at(self.host.free_at, self._turn)

    def arrange_alarm(self) -> None:
        """Be woken for the earliest timer; again whenever the clock changed."""
        timers = self._timers
        when = timers[0][0] if timers else -1.0
        if self._alarm is not None:
            if when == self._alarm_when:
                return
            self._alarm.cancel()
            self._alarm = None
        if timers and self._alive:
            self._alarm_when = when
            self._alarm = self._world.at(self.host.clock.when(when), self._on_alarm)

    def on_clock_changed(self) -> None:
        """The host's clock shows another time, or runs at another rate."""
        self._alarm_when = -1.0
        self.arrange_alarm()

    def _on_alarm(self) -> None:
        self._alarm = None
        if self._turn_event is None:
            self._arrange_turn()

    def _turn(self) -> None:
        host, world = self.host, self._world
        if world.now < host.free_at:  # it was paused meanwhile
            self._arrange_turn()
            return
        self._turn_event = None
        ready = self._ready
        arrived = self._arrived
        if arrived:
            self._arrived = []
            if len(arrived) > 1:
                world.random.shuffle(arrived)
            ready.extend([asyncio.Handle(action, (), self, None) for action in arrived])
        self._take_due()
        options = world.options
        spread = options.turn_s_max - options.turn_s_min
        host.free_at = world.now + options.turn_s_min + world.random.random() * spread
        count = len(ready)
        if count:
            world.note(host.name, "turn", str(count))
            self._run_ready(count)
        if self._alive:
            self.arrange_alarm()
            if (ready or self._arrived) and self._turn_event is None:
                self._arrange_turn()
        for check in world.after_turn:
            check(host)

    def _take_due(self) -> None:
        timers = self._timers
        due = self.time() + _RESOLUTION_S
        while timers and timers[0][0] <= due:
            timer = heappop(timers)[2]
            timer._scheduled = False  # type: ignore[attr-defined]  # noqa: SLF001
            if timer.cancelled():
                self._timers_cancelled -= 1
            else:
                self._ready.append(timer)

    def _run_ready(self, count: int) -> None:
        ready = self._ready
        outer = events._get_running_loop()  # noqa: SLF001 - the only way to say whose callback runs
        events._set_running_loop(self)  # noqa: SLF001
        self._in_turn = True
        try:
            for _ in range(count):
                handle = ready.popleft()
                if not handle.cancelled():
                    handle._run()  # noqa: SLF001
                    if self.host.fuse and self.host.burn():
                        break
                    if not self._alive:
                        break
        finally:
            self._in_turn = False
            events._set_running_loop(outer)  # noqa: SLF001

    def kill(self) -> None:
        """Nothing of this loop runs again. Its coroutines are closed here and now, while all they could reach is dead.

        Otherwise the garbage collector would close them in the middle of some other host's callback.
        """
        self._alive = False
        for event in (self._turn_event, self._alarm):
            if event is not None:
                event.cancel()
        tasks = [*self._tasks, *self._foreign_tasks()]
        self._tasks = {}
        self._ready.clear()
        self._arrived.clear()
        self._timers.clear()
        outer = events._get_running_loop()  # noqa: SLF001
        events._set_running_loop(self)  # noqa: SLF001
        try:
            for task in tasks:
                _drop(task)
        finally:
            events._set_running_loop(outer)  # noqa: SLF001

    def _foreign_tasks(self) -> list[asyncio.Task[Any]]:
        """Those that `create_task` did not make (`raftly.rpc.eager` does not use it), in the order of their numbers."""
        tasks = [task for task in asyncio.all_tasks(self) if task not in self._tasks]
        return sorted(tasks, key=lambda task: (len(task.get_name()), task.get_name()))  # Task-9, Task-10

    # --- tasks and futures ---

    def create_future(self) -> asyncio.Future[Any]:
        """See asyncio."""
        self._numbers += 1
        return SimFuture(self, self._numbers)

    def create_task(  # type: ignore[override]  # coroutines only
        self, coro: Coroutine[Any, Any, T], *, name: str | None = None, context: Context | None = None
    ) -> asyncio.Task[T]:
        """See asyncio."""
        self._numbers += 1
        task = SimTask(coro, self, name or f"{self.host.name}-{self._numbers}", context, self._numbers)
        if self._alive:
            self._tasks[task] = None
            task.add_done_callback(self._forget)
        else:
            _drop(task)
        return task

    def _forget(self, task: asyncio.Task[Any]) -> None:
        self._tasks.pop(task, None)

    # --- network ---

    async def create_connection(  # type: ignore[override]  # without what is refused
        self, protocol_factory: Callable[[], asyncio.BaseProtocol], host: str, port: int, **options: object
    ) -> tuple[asyncio.Transport, asyncio.BaseProtocol]:
        """See asyncio. There is no TLS here: it is the business of tests of its own.

        Raises:
            OSError: as TCP does: refused, timed out, no such host.
        """
        _refuse_options(options)
        return await connect(self.host, protocol_factory, host, port)

    async def create_server(  # type: ignore[override]  # without what is refused
        self,
        protocol_factory: Callable[[], asyncio.BaseProtocol],
        host: str,
        port: int,
        *,
        backlog: int = 100,
        **options: object,
    ) -> asyncio.AbstractServer:
        """See asyncio. There is room for any `backlog`.

        Raises:
            OSError: the port is taken, or the address is not this host's.
        """
        _refuse_options(options)
        return listen(self.host, protocol_factory, host, port)

    async def getaddrinfo(  # type: ignore[override]  # there is one family of addresses
        self, host: str, port: int, **_: object
    ) -> list[tuple[int, int, int, str, tuple[str, int]]]:
        """See asyncio. Names and addresses of hosts are known.

        Raises:
            OSError: no such host.
        """
        address = self._world.net.resolve(self.host, host).address
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port))]

    # --- errors, and what is left of the interface ---

    def set_exception_handler(
        self, handler: Callable[[asyncio.AbstractEventLoop, dict[str, Any]], object] | None
    ) -> None:
        """See asyncio."""
        self._exception_handler = handler

    def get_exception_handler(self) -> Callable[[asyncio.AbstractEventLoop, dict[str, Any]], object] | None:
        """See asyncio."""
        return self._exception_handler

    def default_exception_handler(self, context: dict[str, Any]) -> None:
        """Have `World.check` raise it."""
        self.host.on_error(context)

    def call_exception_handler(self, context: dict[str, Any]) -> None:
        """See asyncio."""
        if self._alive:
            (self._exception_handler or SimLoop.default_exception_handler)(self, context)

    def get_debug(self) -> bool:
        """No: it would slow everything down."""
        return False

    def set_debug(self, enabled: bool) -> None:
        """See asyncio."""

    def is_running(self) -> bool:
        """Does the world run a callback of this loop?"""
        return events._get_running_loop() is self  # noqa: SLF001

    def is_closed(self) -> bool:
        """Was it killed?"""
        return not self._alive

    async def shutdown_asyncgens(self) -> None:
        """See asyncio."""

    async def shutdown_default_executor(self, timeout: float | None = None) -> None:  # noqa: ASYNC109 - asyncio's
        """See asyncio."""


def _drop(task: asyncio.Task[Any]) -> None:
    """It never runs again, and nobody is to complain of it."""
    task._log_destroy_pending = False  # type: ignore[attr-defined]  # noqa: SLF001
    coro = task.get_coro()
    with suppress(Exception, asyncio.CancelledError):  # it is dead; or it is the one that runs now, and ends by itself
        if coro is not None:
            coro.close()


def _refuse_options(options: dict[str, object]) -> None:
    given = sorted(name for name, value in options.items() if value)
    if given:
        raise NotImplementedError(f"the simulated network does not know {', '.join(given)}")
