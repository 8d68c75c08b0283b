"""One run from a seed: a cluster, clients, faults, then everything is healed and must work again."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final, Generic, TypeVar, final

from raftly.base.types import NodeId
from raftly.errors import OutcomeUnknown, RaftlyError
from raftly.node import NodeConfig
from raftly.testing.history import History, Operation
from raftly.testing.linearizability import STEPS_MAX, Verdict, check
from raftly.testing.models import Model
from raftly.testing.sim.clients import Client, ClientOptions, Workload
from raftly.testing.sim.cluster import SimCluster, make_config
from raftly.testing.sim.faults import Fault, plan
from raftly.testing.sim.inject import inject, settle_members
from raftly.testing.sim.trace import Trace
from raftly.testing.sim.watch import Watch
from raftly.testing.sim.world import OutOfTime, SimulationError, World

T = TypeVar("T")

LIVENESS_S: Final = 15.0
"""When all is healed a write is answered within so many virtual seconds, and the replicas are equal within as many."""
_START_S: Final = 60.0
_EVENTS_A_SECOND: Final = 250_000
_POLL_S: Final = 0.05
_LAST_CALLS: Final = 16


class NotLive(OutOfTime):
    """All was healed, and still no write was answered, or the replicas stayed apart."""


class NotLinearizable(SimulationError):
    """No order of the calls explains what clients were told. `operations` are all of them."""

    def __init__(self, verdict: Verdict, operations: Sequence[Operation]) -> None:
        super().__init__(str(verdict))
        self.verdict = verdict
        self.operations = operations


class Undecided(SimulationError):
    """The history takes too much work to judge."""


@final
@dataclass(slots=True)
class RunOptions:
    """What a run is made of, besides its seed."""

    size: int = 3
    clients: int = 3
    profile: str = "uniform"
    seconds: float = 20.0
    """Virtual time for faults; start and healing come on top."""
    messages: bool = False
    """Raft's messages do not go over TCP: `SimCluster`."""
    events_max: int = 0
    """A run that needs more does not converge; 0: what twenty seconds of it, or all of `seconds`, may need."""
    checks: bool = True
    """Judge every turn: `Watch`."""
    client: ClientOptions = field(default_factory=ClientOptions)
    configure: Callable[[NodeId, tuple[NodeId, ...], int], NodeConfig] = make_config


@final
@dataclass(slots=True)
class Report:
    """What came of a run that passed."""

    seed: int
    digest: str
    seconds: float
    """Virtual, all of it."""
    events: int
    faults: list[Fault]
    struck: Counter[str]
    """Faults that happened, by kind."""
    operations: list[Operation]
    answered: int
    recovery_s: float
    """From the healing to the first write that was answered."""
    failures: list[tuple[NodeId, str]]
    """Nodes that ended by themselves, and why."""
    judged: Counter[str]
    """How much the checks of every turn had to judge, by kind."""


@final
class Run(Generic[T]):
    """A run: its `world` and `cluster` are there for checks to hook into before `go`."""

    def __init__(
        self,
        seed: int,
        factory: Callable[[], T],
        workload: Workload[T],
        options: RunOptions | None = None,
        *,
        faults: Sequence[Fault] | None = None,
        trace: Trace | None = None,
        model: Model | None = None,
    ) -> None:
        """`model` is what each object of the history is judged by at the end; None: nothing is.

        Raises:
            KeyError: there is no such profile.
        """
        self.options = options or RunOptions()
        self.world = World(seed, trace=trace)
        self.cluster = SimCluster(
            self.world,
            factory,
            self.options.size,
            configure=self.options.configure,
            messages=self.options.messages,
        )
        self.watch = Watch(self.cluster) if self.options.checks else None
        self.history = History(lambda: self.world.now)
        self.faults = list(faults) if faults is not None else self._plan()
        numbers = range(1, self.options.clients + 1)
        self.clients = [Client(self.cluster, n, workload, self.history, self.options.client) for n in numbers]
        for client in self.clients:
            client.watch = self.watch
        self.model = model
        self._workload = workload
        self.faults_from = 0.0  # when the time of faults began
        self.recovery_s = 0.0
        self.struck: Counter[str] = Counter()

    def _plan(self) -> list[Fault]:
        options = self.options
        return plan(self.world.stream("faults"), self.cluster.ids, options.profile, options.seconds)

    def go(self) -> Report:
        """All of it.

        Raises:
            NotLive: nothing was wrong any more, and it did not work.
            SafetyViolation: the nodes did what they never may.
            NotLinearizable: clients saw what is impossible.
            Undecided: it is too much work to tell.
            AssertionError: a check failed, or a callback let an exception fall.
        """
        world, options = self.world, self.options
        try:
            world.run(
                self._script(),
                within=_START_S + options.seconds + 10 * LIVENESS_S,
                events_max=options.events_max or int(_EVENTS_A_SECOND * max(options.seconds, 20.0)),
            )
            if self.model is not None:
                judge(self.history.operations, self.model)
            return Report(
                world.seed,
                world.trace.digest(),
                world.now,
                world.events,
                self.faults,
                self.struck,
                self.history.operations,
                sum(client.answered for client in self.clients),
                self.recovery_s,
                [(id_, repr(error)) for id_, error in self.cluster.failures],
                Counter() if self.watch is None else self.watch.counts + self.watch.checker.counts,
            )
        finally:
            world.close()

    async def _script(self) -> None:
        cluster, world = self.cluster, self.world
        await cluster.start()
        await cluster.wait_leader(_START_S)
        for client in self.clients:
            client.start()
        self.faults_from = world.now
        self.struck = await inject(cluster, self.faults, self.options.seconds)
        for client in self.clients:
            client.find_again()
        healed, written = world.now, self._written()
        while self.clients and self._written() == written:
            if world.now > healed + LIVENESS_S:
                raise NotLive(f"seed {world.seed}: no write was answered within {LIVENESS_S} s of healing")
            await asyncio.sleep(_POLL_S)
        self.recovery_s = world.now - healed
        for client in self.clients:
            client.host.kill()
        try:
            await settle_members(cluster, LIVENESS_S)
            await cluster.wait_equal(LIVENESS_S)
            while self.watch is not None and not self.watch.is_applied():  # a call that was on its way may still come
                await asyncio.sleep(_POLL_S)
                await cluster.wait_equal(LIVENESS_S)
                if world.now > healed + 4 * LIVENESS_S:
                    break  # `finish` says what is missing
        except (OutOfTime, OutcomeUnknown) as error:
            raise NotLive(f"seed {world.seed}: {error}") from error
        if self.watch is not None:
            self.watch.finish()
        await self._look_back()

    async def _look_back(self) -> None:
        """Some reads when all is over: what was acknowledged and is lost shows in the history."""
        cluster, random = self.cluster, self.world.stream("last")
        for call in [self._workload(random) for _ in range(_LAST_CALLS)]:
            if call.is_query:
                invocation = self.history.invoke(0, call.name, call.key, call.argument)
                leader = await cluster.wait_leader(LIVENESS_S)
                reading = cluster.nodes[leader].ask(call.method, *call.args)
                try:
                    invocation.returned(call.shape(await cluster.hosts[leader].run(reading)))
                except RaftlyError:
                    invocation.refused()

    def _written(self) -> int:
        return sum(client.written for client in self.clients)


def judge(operations: Sequence[Operation], model: Model, steps_max: int = STEPS_MAX) -> None:
    """Check what clients saw.

    Raises:
        NotLinearizable: it is impossible.
        Undecided: it takes more than `steps_max` steps to tell.
    """
    verdict = check(operations, model, steps_max)
    if verdict.violations:
        raise NotLinearizable(verdict, operations)
    if verdict.undecided:
        raise Undecided(str(verdict))
