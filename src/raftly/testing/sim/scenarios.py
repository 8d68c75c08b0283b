"""Scenarios: what the clients of a run call, and the model that its history is judged by.

    report = run_of(seed=7, profile="storm", seconds=20.0).go()        the scenario is drawn from the seed

Objects are structures that ship (`raftly.node.structures`), so a run also tests those.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from random import Random
from typing import Any, Final, final

from raftly.node.structures import Dict, HeldBy, Lease, Locks, Queue
from raftly.testing.models import Lock as LockModel
from raftly.testing.models import Model
from raftly.testing.models import Queue as QueueModel
from raftly.testing.models import Register as RegisterModel
from raftly.testing.sim.clients import Call, Workload
from raftly.testing.sim.faults import Fault
from raftly.testing.sim.run import Ask, Last, NotLive, Run, RunOptions
from raftly.testing.sim.trace import Trace


@final
@dataclass(frozen=True, slots=True)
class Scenario:
    """`begin` gives what clients call, new for each run, since it may remember what was answered.

    `last` makes the last calls of a run; None: some queries of the workload are made.
    """

    factory: Callable[[], Any]
    begin: Callable[[], Workload[Any]]
    model: Callable[[], Model]
    last: Last | None = None


# --- registers ---


def _registers() -> Workload[Any]:
    """Two keys of a Dict: reads, writes, compare-and-set. No value is written twice."""

    def call(random: Random) -> Call[Any]:
        key = random.choice("ab")
        draw = random.random()
        if draw < 0.45:
            return Call("read", key, None, Dict.get, (key,), is_query=True)
        value = random.getrandbits(40)
        if draw < 0.85:
            return Call("write", key, value, Dict.put, (key, value))
        known = seen[random.randrange(len(seen))]
        shape = lambda revision: revision is not None  # noqa: E731
        return Call("cas", key, (known, value), Dict.compare_and_set, (key, known, value), shape=shape)

    seen: deque[int | None] = deque([None], maxlen=4)

    def remember(random: Random) -> Call[Any]:
        made = call(random)
        if made.name != "read":
            seen.append(made.args[-1])
        return made

    return remember


# --- queues ---


def _taken(values: list[Hashable]) -> Hashable:
    return values[0] if values else None


def _queue() -> Workload[Any]:
    """Puts and takes of single values, as many of each."""

    def call(random: Random) -> Call[Any]:
        if random.random() < 0.5:
            value = random.getrandbits(40)
            return Call("put", None, value, Queue.put, (value,))
        return _TAKE

    return call


_TAKE: Final[Call[Any]] = Call("take", None, None, Queue.take, shape=_taken)


async def _take_all(ask: Ask) -> None:
    """What was put and is lost behind the last value that a client took is not found here either."""
    taken: set[Hashable] = set()
    while (value := await ask(_TAKE)) is not None and value not in taken:
        taken.add(value)


# --- locks ---


def _locks() -> Workload[Any]:
    """One lock, whose leases end by log time now and then; every attempt is another owner's."""
    tokens: deque[int] = deque([0], maxlen=3)

    def token(given: object) -> Hashable:
        if not isinstance(given, Lease):
            return None
        tokens.append(given.token)
        return given.token

    def call(random: Random) -> Call[Any]:
        if random.random() < 0.6:
            owner = f"{random.getrandbits(40):x}"
            ttl = random.choice((0.05, 0.5, 5.0))
            return Call("acquire", None, None, Locks.acquire, ("it", owner, ttl), shape=token)
        given = tokens[random.randrange(len(tokens))]
        return Call("release", None, given, Locks.release, ("it", given))

    return call


async def _lock_once(ask: Ask) -> None:
    """Take the lock as whoever holds it, and let it go: after a clock was set, log time may stand still for long."""
    owner = "the last"

    def token(given: object) -> Hashable:
        nonlocal owner
        if isinstance(given, HeldBy):
            owner = given.owner
        return given.token if isinstance(given, Lease) else None

    for _ in range(_LOCK_TRIES):  # calls that were on their way may still come
        given = await ask(Call("acquire", None, None, Locks.acquire, ("it", owner, 5.0), shape=token))
        if given is not None:
            await ask(Call("release", None, given, Locks.release, ("it", given)))
            return
    raise NotLive(f"nobody calls any more, and the lock is not to be had in {_LOCK_TRIES} tries")


_LOCK_TRIES: Final = 10

SCENARIOS: Final[Mapping[str, Scenario]] = {
    "registers": Scenario(Dict, _registers, RegisterModel),
    "queue": Scenario(Queue, _queue, QueueModel, _take_all),
    "locks": Scenario(Locks, _locks, partial(LockModel, expires=True), _lock_once),
}
"""By name."""


def scenario_of(seed: int) -> str:
    """The scenario that is drawn for a seed: registers as often as the others together."""
    return Random(f"{seed}/scenario").choice(("registers", "registers", "queue", "locks"))


def run_of(
    seed: int,
    profile: str = "uniform",
    seconds: float = 20.0,
    *,
    scenario: str | None = None,
    faults: Sequence[Fault] | None = None,
    trace: Trace | None = None,
    options: RunOptions | None = None,
) -> Run[Any]:
    """A run in which everything but the profile and its length is drawn from the seed; `go` is left to the caller.

    Three nodes or five, Raft's messages over TCP or on links that lose them, and the scenario. `options` are taken as
    they are instead of all that; `faults` instead of those of the profile.

    Raises:
        KeyError: there is no such profile, or scenario.
    """
    chosen = SCENARIOS[scenario or scenario_of(seed)]
    if options is None:
        random = Random(f"{seed}/shape")
        size = random.choice((3, 3, 3, 5))
        options = RunOptions(size=size, profile=profile, seconds=seconds, messages=random.random() < 0.3)
    return Run(
        seed,
        chosen.factory,
        chosen.begin(),
        options,
        faults=faults,
        trace=trace,
        model=chosen.model(),
        last=chosen.last,
    )
