"""World: one virtual time, one heap of events, everything drawn from one seed."""

from __future__ import annotations

import asyncio
import gc
import heapq
from collections import Counter
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from random import Random
from typing import Any, Final, TypeVar, final

from raftly.base.rand import SplitMix64
from raftly.testing.sim.host import Host
from raftly.testing.sim.logs import logs_into
from raftly.testing.sim.net import Network
from raftly.testing.sim.trace import Trace

T = TypeVar("T")

_NEVER: Final = float("inf")
_EVENTS_A_COLLECTION: Final = 20_000


class SimulationError(AssertionError):
    """The run cannot go on, or let something fall."""


class Stuck(SimulationError):
    """Nothing is left that could ever happen."""


class OutOfTime(SimulationError):
    """What was waited for did not happen within the time or the events it had."""


@final
@dataclass(slots=True)
class WorldOptions:
    """How hosts behave when nothing is wrong. Times are seconds."""

    turn_s_min: float = 5e-6
    turn_s_max: float = 50e-6
    """A turn of a host's loop takes so long: what comes meanwhile waits for the next."""
    sync_s_mean: float = 200e-6
    """A disk's sync, drawn with an exponential tail."""
    slow_sync_chance: float = 0.01
    slow_sync_s: float = 0.02
    """Now and then a sync takes up to so long."""


class Event:
    """Something that will happen; `cancel` it as long as it has not."""

    __slots__ = ("action",)

    def __init__(self, action: Callable[[], None]) -> None:
        self.action: Callable[[], None] | None = action

    def cancel(self) -> None:
        """It will not happen."""
        self.action = None


@final
class World:
    """Hosts, the network between them, and time. Not reentrant; one thread.

    Two worlds of one seed and one script are the same to the last event: compare `trace.digest()`.
    """

    def __init__(self, seed: int, options: WorldOptions | None = None, trace: Trace | None = None) -> None:
        self.seed = seed
        self.options = options or WorldOptions()
        self.trace = trace or Trace()
        self.now = 0.0
        self.events = 0
        self.rare: Counter[str] = Counter()
        """What seldom happens, and is worth knowing that it did: by what."""
        self.is_closed = False
        self.errors: list[AssertionError] = []  # what callbacks of hosts let fall
        self.after_turn: list[Callable[[Host], None]] = []
        """Called after every turn of every host: checks, which raise."""
        self.random = self.stream("schedule")
        self.net = Network(self)
        self.hosts: dict[str, Host] = {}
        self._heap: list[tuple[float, float, int, Event]] = []
        self._pushed = 0
        self._collect_at = _EVENTS_A_COLLECTION
        self.director = self.host("director", "127.1.0.0")
        """Where `run` runs the script: a host like others, that faults should leave alone."""
        self.director.start()

    # --- randomness ---

    def stream(self, name: str) -> Random:
        """A generator of its own for a purpose, so that drawing for one does not disturb another."""
        return Random(f"{self.seed}/{name}")

    def source(self, name: str) -> SplitMix64:
        """As `stream`, for those who take a RandomSource."""
        return SplitMix64(self.stream(name).getrandbits(64))

    # --- time ---

    def at(self, when: float, action: Callable[[], None]) -> Event:
        """Have something happen at a time, or now if that is past. Ties are broken by the seed."""
        event = Event(action)
        self._pushed += 1
        heapq.heappush(self._heap, (max(when, self.now), self.random.random(), self._pushed, event))
        return event

    def after(self, seconds: float, action: Callable[[], None]) -> Event:
        """Have something happen later."""
        return self.at(self.now + seconds, action)

    def step(self, until: float = _NEVER) -> bool:
        """Let the next event happen, if it is due by `until`; was there one?"""
        heap = self._heap
        while heap and heap[0][0] <= until:
            self.now, _, _, event = heapq.heappop(heap)
            action = event.action
            if action is not None:
                event.action = None
                self.events += 1
                action()
                return True
        return False

    def run_for(self, seconds: float) -> None:
        """Let time pass."""
        until = self.now + seconds
        with _garbage_kept():
            while self.step(until):
                if self.events >= self._collect_at:
                    self._collect()
            self.now = until
            self._collect()
        self.check()

    def run(self, main: Coroutine[Any, Any, T], *, within: float = _NEVER, events_max: int = 1 << 62) -> T:
        """Run a coroutine on the director's loop until it is done; its result.

        Raises:
            Stuck: it waits for what will never come.
            OutOfTime: it took more virtual seconds, or more events.
            SimulationError: a callback of some host raised what nobody caught.
        """
        with logs_into(self), _garbage_kept():
            try:
                return self._run(main, within, events_max)
            except Exception as error:
                self.trace.tell(self.now, "cluster", "failed", f"{type(error).__name__}: {error}")
                raise

    def _run(self, main: Coroutine[Any, Any, T], within: float, events_max: int) -> T:
        task = self.director.spawn(main)
        until = self.now + within
        last = self.events + events_max
        while not (task.done() or self.errors):
            problem: SimulationError | None = None
            if self.events >= last:
                problem = OutOfTime(f"not done after {events_max} events, at {self.now:.3f} s")
            elif not self.step(until):
                problem = OutOfTime(f"not done within {within} s")
                if not self._heap:
                    problem = Stuck(f"nothing is left to happen, at {self.now:.3f} s")
            if problem is not None:
                task.cancel()
                self._settle(task)
                self.check()
                raise problem
            if self.events >= self._collect_at:
                self._collect()
        self._collect()
        self.check()
        return task.result()

    def _collect(self) -> None:
        """Let go what nobody reaches: who was never asked for an exception complains now, whatever ran before."""
        self._collect_at = self.events + _EVENTS_A_COLLECTION
        gc.collect()

    def _settle(self, task: asyncio.Task[Any]) -> None:
        """Give a cancelled script some turns to let go."""
        for _ in range(1000):
            if task.done() or not self.step(self.now + 1.0):
                break
        if task.done() and not task.cancelled():
            task.exception()

    def on_error(self, host: Host, context: dict[str, Any]) -> None:
        """A callback of a host raised what nobody caught, or something was never looked at."""
        cause = context.get("exception")
        if isinstance(cause, AssertionError):  # a check's own words
            cause.add_note(f"{host.name} at {self.now:.3f} s: {context.get('message')}")
            self.errors.append(cause)
            return
        error = SimulationError(f"{host.name} at {self.now:.3f} s: {context.get('message')}: {cause!r}")
        error.__cause__ = cause
        self.errors.append(error)

    def check(self) -> None:
        """Raise what callbacks let fall.

        Raises:
            SimulationError: the first of it; an AssertionError as it was raised.
        """
        if self.errors:
            raise self.errors[0]

    # --- hosts ---

    def host(self, name: str, address: str = "") -> Host:
        """A new machine, switched off. Its address is a loopback one, so that no TLS is asked for."""
        assert name not in self.hosts, f"there is a host {name} already"
        number = len(self.hosts)
        host = self.hosts[name] = Host(self, name, address or f"127.0.{number >> 8}.{number & 255}")
        self.net.names[name] = self.net.names[host.address] = host
        return host

    def note(self, host: str, kind: str, detail: str = "") -> None:
        """Put something into the trace."""
        self.trace.add(self.now, host, kind, detail)

    def close(self) -> None:
        """Let everything go: hosts, their tasks, what was to happen."""
        self.is_closed = True
        for host in self.hosts.values():
            host.kill(power=True)
        self._heap.clear()


@contextmanager
def _garbage_kept() -> Iterator[None]:
    """Meanwhile nothing is collected but on demand, and then of what was made meanwhile: all else would take long."""
    enabled, frozen = gc.isenabled(), gc.get_freeze_count()
    gc.disable()
    if not frozen:
        gc.freeze()
    try:
        yield
    finally:
        if not frozen:
            gc.unfreeze()
        if enabled:
            gc.enable()
